"""What the tests of servers share: connections, processes, and the check that nothing is left."""

from __future__ import annotations

import contextlib
import gc
import json
import re
import select
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sanic import Sanic

from streamkit.serving.server import Server, servers, stop_all
from tests.rawsockets import WAIT_S, read_answer, request

ROOT = Path(__file__).parent.parent
QUICK_S = 3.0  # generous: what takes a fraction of a second on a machine that is not busy

EITHER = pytest.mark.parametrize("process", [False, True], ids=["thread", "process"])


@contextlib.contextmanager
def leaves_nothing() -> Iterator[None]:
    """The test inside leaves no server, no server thread and no app behind."""
    apps, threads = dict(Sanic._app_registry), set(threading.enumerate())
    yield
    stop_all(0)
    gc.collect()
    assert servers() == []
    until = time.monotonic() + QUICK_S
    while (left := _threads_beside(threads)) and time.monotonic() < until:  # told to end, they have a moment
        time.sleep(0.01)
    assert left == []
    assert Sanic._app_registry == apps


def _threads_beside(others: set[threading.Thread]) -> list[str]:
    """The names of ours; `others` were there before, and are none of the test's."""
    running = set(threading.enumerate()) - others
    return [thread.name for thread in running if thread.name.startswith("streamkit")]


def connect(server: Server) -> socket.socket:
    if server.unix is None:
        return socket.create_connection((server.host, server.port), WAIT_S)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(WAIT_S)
    connection.connect(server.unix)
    return connection


def about(server: Server) -> Any:
    with connect(server) as connection:
        connection.sendall(request("/about", b""))
        return json.loads(read_answer(connection).partition(b"\r\n\r\n")[2])


def open_stream(server: Server, path: str = "/ticks") -> socket.socket:
    """A POST whose answer has begun."""
    connection = connect(server)
    connection.sendall(request(path, b""))
    seen = b""
    while b"\r\n\r\n" not in seen or not seen.partition(b"\r\n\r\n")[2]:
        seen += connection.recv(4096)
    return connection


def rest_of(connection: socket.socket) -> bytes:
    """What still comes until the end, clean or reset."""
    data = b""
    with connection, contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            data += more
    return data


def refused(server: Server) -> bool:
    try:
        connect(server).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def alive(pid: int) -> bool:
    """Running; a zombie that nobody has reaped is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(claim: Callable[[], bool], within_s: float = WAIT_S) -> bool:
    deadline = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


# asyncio's debug mode, which comes with -X dev, complains where a busy machine was slow.
NO_WORD_ON_SPEED = """\
import logging
logging.getLogger("asyncio").addFilter(lambda record: not record.msg.startswith("Executing "))
"""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A script in a new interpreter in which warnings are errors."""
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", NO_WORD_ON_SPEED + textwrap.dedent(code), *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str], sent: str | None = None, within_s: float = WAIT_S) -> tuple[str, str]:
    """What a script has said by its end, to stdout and stderr; but for asyncio's debug mode, which finds a busy machine
    slow.
    """
    out, errors = process.communicate(sent, timeout=within_s)
    return out, re.sub(r"^Executing <.* took [0-9.]+ seconds\n", "", errors, flags=re.MULTILINE)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    if select.select([process.stdout], [], [], WAIT_S)[0] and (line := process.stdout.readline().strip()):
        return line
    process.kill()
    pytest.fail(f"the script said nothing: {process.communicate(timeout=WAIT_S)[1]}")

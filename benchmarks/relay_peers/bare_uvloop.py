"""The floor: a protocol of uvloop on each side, httptools, a split at blank lines, orjson, indexing.

The text of one read leaves as one HTTP chunk in one write. Reading stops while the client lags (so does every other
relay here); beyond that there is nothing: no deadline, no error handling, no checking of anything, no reuse of
connections to the upstream.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httptools
import orjson
import uvloop

from benchmarks.relay_peers import expected, question, run

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
DONE = b"data: [DONE]"
PREFIX = len(b"data: ")
TRUSTED = ssl.create_default_context()


class Client(asyncio.Protocol):
    """The client's side: one request, then the text that its `Upstream` hands over."""

    def __init__(self, upstream: str) -> None:
        url = urlsplit(upstream)
        self._address = (url.hostname or "", url.port or 80)
        self._tls = TRUSTED if url.scheme == "https" else None
        self._path = url.path
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self.transport: Any = None
        self._upstream: Upstream | None = None
        self._asking: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._asking = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        body = orjson.dumps(question(parse_qs(self._body.decode())["chat_history"][0]))
        upstream = self._upstream = Upstream(self, self._path, body)
        await asyncio.get_running_loop().create_connection(lambda: upstream, *self._address, ssl=self._tls)

    def pause_writing(self) -> None:
        if self._upstream is not None:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._upstream is not None:
            self._upstream.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.close()


class Upstream(asyncio.Protocol):
    """The upstream's side: its events' text goes to `client`, all that one read brought in one write."""

    def __init__(self, client: Client, path: str, body: bytes) -> None:
        self._client = client
        head = f"POST {path} HTTP/1.1\r\nhost: upstream\r\ncontent-type: application/json\r\n"
        self._request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        self._parser = httptools.HttpResponseParser(self)
        events = expected()
        self._text_of, self._blank = events.text, events.blank
        self._rest = b""
        self._complete = False
        self._parts: list[bytes] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def on_headers_complete(self) -> None:
        self._client.transport.write(HEAD)

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self._complete = True

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        *events, self._rest = (self._rest + b"".join(self._parts)).split(self._blank)
        self._parts.clear()
        found = [orjson.loads(event[PREFIX:]) for event in events if event != DONE]
        texts = [self._text_of(chunk, orjson.loads) or "" for chunk in found]
        if text := "".join(texts).encode():
            self._client.transport.write(b"%x\r\n%b\r\n" % (len(text), text))
        if self._complete:
            self._client.transport.write(LAST_CHUNK)
            self.transport.close()


def relay(upstream: str, listener: socket.socket) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Client(upstream), sock=listener)
        await server.serve_forever()

    uvloop.run(serve())


if __name__ == "__main__":
    run(relay)

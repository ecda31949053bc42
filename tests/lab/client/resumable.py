"""A server whose answers are cut where a test wants it, and which can be asked to go on; as bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tests.lab.client.peers import END, Peer, Script, chunk

PIECES: Final = ("He", "llo ", "你好", " 😀!")
TEXT: Final = "".join(PIECES)
TYPES: Final = {"sse": b"text/event-stream", "ndjson": b"application/x-ndjson", "text": b"text/plain; charset=utf-8"}
DONE_SSE: Final = b'event: done\ndata: {"outcome":"complete","pieces":4}\n\n'


class Resumable:
    """`kind` of answer of a relay of ours; its n-th answer is cut behind `cuts[n]` bytes of wire, the rest is whole.

    `overlap`: so many events come once more when it goes on. `plain`: a server that knows `Last-Event-ID` with whole
    numbers, and no other word of ours.
    """

    def __init__(
        self, kind: str = "sse", cuts: Sequence[int] = (), *, plain: bool = False, live: int = 4, overlap: int = 0
    ) -> None:
        self.kind = kind
        self.cuts = cuts
        self.plain = plain
        self.live = live
        self.knows_range = True
        self.overlap = overlap
        self.requests: list[bytes] = []
        self.wires: list[bytes] = []

    @property
    def script(self) -> Script:
        return self._answer

    async def _answer(self, peer: Peer) -> None:
        number = len(self.requests)
        self.requests.append(peer.request)
        wire = self.wire(peer.request.lower())
        self.wires.append(wire)
        await peer.send(wire[: self.cuts[number]] if number < len(self.cuts) else wire)

    def wire(self, request: bytes) -> bytes:
        if self.kind == "text":
            return self._text(request)
        found = re.search(rb"last-event-id: ([a-z0-9]+\.)?(\d+)\r\n", request)
        after = max(0, int(found[2]) - self.overlap) if found else 0
        return self._head(b"200 OK", resumed=found is not None) + chunk(self.body(after)) + END

    def body(self, after: int = 0) -> bytes:
        prefix = b"" if self.plain else b"s1."
        parts = []
        for number, piece in enumerate(PIECES, 1):
            if number > after and self.kind == "sse":
                retry = b"retry: 0\n" if number == after + 1 and not self.plain else b""
                parts.append(b'%bid: %b%d\ndata: {"text":"%b"}\n\n' % (retry, prefix, number, piece.encode()))
            elif number > after:
                parts.append(b'{"text":"%b","id":"%b%d"}\n' % (piece.encode(), prefix, number))
        parts.append(DONE_SSE if self.kind == "sse" else b'{"done":{"outcome":"complete","pieces":4}}\n')
        return b"".join(parts)

    def _text(self, request: bytes) -> bytes:
        body = TEXT.encode()
        found = re.search(rb"range: bytes=(\d+)-\r\n", request)
        if found is None or not self.knows_range:
            return self._head(b"200 OK") + chunk(body) + END
        begin = int(found[1])
        if begin == len(body):
            told = b"Content-Range: bytes */%d\r\nContent-Length: 0\r\n\r\n" % begin
            return b"HTTP/1.1 416 Range Not Satisfiable\r\n" + told
        told = b"Content-Range: bytes %d-9007199254740991/*\r\n" % begin
        return self._head(b"206 Partial Content", told, resumed=True) + chunk(body[begin:]) + END

    def _head(self, status: bytes, more: bytes = b"", *, resumed: bool = False) -> bytes:
        if not self.plain:
            more += b"X-Stream-Id: s1\r\nLocation: /streams/s1\r\nX-Content-Type-Options: nosniff\r\n"
            more += b"X-Stream-Live: %d\r\n" % self.live if resumed else b""
        head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n%b\r\n"
        return head % (status, TYPES[self.kind], more)

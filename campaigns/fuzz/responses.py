"""Target `http`: answers as `exchange.Inbox` takes them, under any cuts; h11 and httptools have to read them alike."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import h11
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from campaigns.fuzz.source import expect, knobs_and_rest
from streamkit.transport.exchange import READ_AHEAD_BYTES, Inbox, ReadPart
from streamkit.transport.http1 import ResponseParser
from streamkit.transport.wire import Wire

METHODS = ("POST", "GET", "HEAD", "OPTIONS")
HEAD_BOUNDS = (65_536, 120, 40)
READ_AHEADS = (READ_AHEAD_BYTES, 0, 300)


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines, b"", b""])


CHUNKED = head(b"Transfer-Encoding: chunked")
SEEDS = (
    head(b"Content-Length: 5") + b"hello",
    CHUNKED + b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
    CHUNKED + b'5;a="b\\" c"\r\nhello\r\n0;x\r\nX-Sum: 1\r\nY:\r\n\r\n',
    head(b"Server: x", b"Connection: close") + b"until the close",
    head(b"Link: </a>", status=b"HTTP/1.1 103 Early Hints") * 2 + CHUNKED + b"1\r\n!\r\n0\r\n\r\n",
    head(b"Content-Length: 3", status=b"HTTP/1.1 304 Not Modified"),
    head(status=b"HTTP/1.1 204 No Content"),
    head(b"Content-Length: 2", b"Connection: keep-alive", status=b"HTTP/1.0 200 OK") + b"ok",
    head(b"Content-Length: 2", status=b"HTTP/1.1 503 Busy") + b"no" + head(b"Content-Length: 0"),
)
TOKENS = (
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 \r\n"),
    *(b"\r\n", b"\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: "),
    *(b"Transfer-Encoding: chunked\r\n", b"\r", b"Transfer-Encoding: gzip, chunked\r\n"),
    *(b"Transfer-Encoding: identity\r\n", b"Connection: close\r\n", b"Upgrade: h2c\r\n"),
    *(b"Connection: upgrade\r\n", b"A: b\r\n", b": ", b" ", b"\t", b"\0", b"5\r\nhello\r\n", b"0\r\n"),
    *(b"0\r\n\r\n", b"\r\n\r\n", b"a", b"F", b"00", b"ffffffffffffffff", b"7fffffffffffffff", b"-1", b"+5", b"0x5"),
    *(b"5,5", b";", b"=", b'"', b"\\", b"hello", b"\x80", b"\xff", b"\x7f"),
    *(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"_", b"x" * 50),
)


@dataclass(frozen=True)
class Seen:
    """What the reader of an answer learns; the same for every split of its bytes.

    But for the text of the `error`: where a head is too large and wrong as well, the cut decides what is met first.
    """

    status: int | None
    headers: list[tuple[bytes, bytes]]
    body: bytes
    complete: bool
    reusable: bool
    broken: bool
    error: str | None = field(compare=False)


class StillWire:
    """As much of a wire and of a loop as an Inbox that nobody waits for looks at."""

    paused = False

    def pause(self) -> None:
        expect(not self.paused, "a paused wire is not paused again")
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def time(self) -> float:
        return 0.0


def read(reads: Sequence[bytes], method: str, max_head_bytes: int, read_ahead: int, *, poured: bool) -> Seen:
    """Through an Inbox: taken from what is pending, or `poured` into a sink. The peer closes behind the last read.

    `reusable` is what was known before the close.
    """
    wire, parser = StillWire(), ResponseParser(method, max_head_bytes=max_head_bytes)
    inbox = Inbox(cast("asyncio.AbstractEventLoop", wire), cast("Wire", wire), parser, read_ahead)
    parts: list[bytes] = []

    def sink(part: ReadPart) -> bool:
        parts.append(part[0])
        return True

    inbox.sink = sink if poured else None
    for data in reads:
        inbox.received(data, (1, "socket", 0, 1))
        expect(wire.paused is (inbox.held > read_ahead), "back-pressure follows what is held", held=inbox.held)
        while inbox.pending:
            part = inbox.pending.pop(0)[0]
            parts.append(part)
            inbox.shrink(len(part))
        expect(inbox.held == 0, "nothing taken is counted as held", held=inbox.held)
        if inbox.error is None and parser._head is not None:
            expect(len(parser._head._buffer) <= max_head_bytes, "a head is bounded", bound=max_head_bytes)
    expect(inbox.received_bytes == sum(map(len, reads)), "all bytes are counted")
    expect(all(parts), "no part is empty", parts=parts)
    reusable = parser.complete and parser.reusable
    inbox.eof()
    inbox.close()
    error = None if inbox.error is None else str(inbox.error())
    expect(not (parser.complete and error), "an answer is complete or broken, never both", error=error)
    expect(parser.complete or error is not None, "behind the close an answer is complete or broken", reads=reads)
    expect(parser.complete or not parser.reusable, "only a complete answer leaves its connection reusable")
    return Seen(parser.status, parser.headers, b"".join(parts), parser.complete, reusable, error is not None, error)


def check_http(data: bytes) -> None:
    knobs, wire = knobs_and_rest(data)
    method, max_head_bytes, read_ahead = knobs.pick(METHODS), knobs.pick(HEAD_BOUNDS), knobs.pick(READ_AHEADS)
    poured = bool(knobs.number(2))
    first = None
    for reads in knobs.ways(wire):
        seen = read(reads, method, max_head_bytes, read_ahead, poured=poured)
        expect(first in (None, seen), "the split does not matter", wire=wire, cut=reads, whole=first, split=seen)
        first = seen
    assert first is not None
    expect(
        len(first.error or "") < 120 and (first.error or "a").isascii(), "an error quotes nothing", error=first.error
    )
    if first.complete:
        compare(first, lambda answer: h11_reads(answer, method), "h11", wire)
        if method != "HEAD":  # httptools cannot be told
            compare(first, httptools_reads, "httptools", wire)


@dataclass(frozen=True)
class PeerSaw:
    """What another parser made of the same bytes and the close behind them."""

    complete: bool
    status: int
    body: bytes
    why: str


INTERIM = re.compile(rb"(?s)(?:HTTP/1\.[01] 1[0-9][0-9][ \r].*?\r\n\r\n)+")
TRAILER_FAULTS = {"Only Transfer-Encoding: chunked is supported", "multiple Transfer-Encoding headers"}


def compare(ours: Seen, peer: Callable[[bytes], PeerSaw], name: str, wire: bytes) -> None:
    """The same end, body and status, but for two differences that are meant.

    - Peers judge Content-Length and Transfer-Encoding in interim heads. They have no say there: the first empty line
      ends a 1xx "regardless of the header fields present" (RFC 9112 section 6.3). So the final answer counts.
    - h11 judges a Transfer-Encoding among the trailers. Here trailers are dropped (7.1.2).
    """
    saw = peer(wire)
    if not saw.complete:
        saw = peer(INTERIM.sub(b"", wire, count=1)) if INTERIM.match(wire) else saw
    if name == "h11" and saw.why in TRAILER_FAULTS and saw.status == ours.status:  # it had accepted the final head
        return
    expect(saw.complete, f"what is complete here is complete for {name}", wire=wire, why=saw.why, ours=ours)
    expect(saw.body == ours.body, f"the body is the same for {name}", wire=wire, ours=ours.body, peer=saw.body)
    expect(saw.status == ours.status, f"the status is the same for {name}", wire=wire, ours=ours, peer=saw)


def h11_reads(wire: bytes, method: str) -> PeerSaw:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(wire)
    connection.receive_data(b"")
    body, status = b"", 0
    try:
        while isinstance(event := connection.next_event(), h11.InformationalResponse | h11.Response | h11.Data):
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                status = event.status_code
    except h11.RemoteProtocolError as error:
        return PeerSaw(False, status, body, str(error))
    return PeerSaw(isinstance(event, h11.EndOfMessage), status, body, repr(event))


class _Callbacks:
    def __init__(self) -> None:
        self.parser = HttpResponseParser(self)
        self.body: list[bytes] = []
        self.status = 0
        self.complete = self.headed = self.framed = False

    def on_message_begin(self) -> None:
        if not self.complete:
            self.framed = False

    def on_header(self, name: bytes, _: bytes) -> None:
        if not self.complete and name.lower() in (b"content-length", b"transfer-encoding"):
            self.framed = True

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.status = self.parser.get_status_code()
            self.headed = self.status >= 200

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self.body.append(data)

    def on_message_complete(self) -> None:
        self.complete = self.headed


def httptools_reads(wire: bytes) -> PeerSaw:
    """It is not told of the close: a body that ends with it is complete with its head, unless something is wrong."""
    peer, why = _Callbacks(), ""
    try:
        peer.parser.feed_data(wire)
    except (HttpParserError, HttpParserUpgrade) as error:
        why = str(error)
    by_close = peer.headed and not why and not peer.framed
    return PeerSaw(peer.complete or by_close, peer.status, b"".join(peer.body), why)

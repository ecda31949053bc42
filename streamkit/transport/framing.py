"""How the body of an HTTP/1.1 message ends: its framing, in bytes. No I/O.

A body of chunks is the hot path. It goes through llhttp (httptools) behind a head of our own making, so that nothing of
the peer's head can move llhttp out of its strict state. The callback for a chunk's data is `list.append` itself: no
Python frame per chunk. It is joined once: with 300 chunks in a read, adding up costs ten times as much. A body of known
length, or one that the close ends, is counted here; nothing is copied.

What llhttp lets through in chunked framing, and why it is left so. Catching it would cost work per byte:
- a chunk size from 2^63 to 2^64 - 1 (from 2^64 on it is refused). Nobody can send that much: such a body ends cut.
- leading zeros of a size, and an extension without a name or value (`5;=b`, `5;a=`): no effect on where anything ends.
Stricter than RFC 9112: no whitespace around the `;` of an extension (7.1.1 lets a sender's bad whitespace be read), no
Content-Length among the trailers, no bare LF anywhere (2.2 lets a recipient take one).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, Protocol, TypeAlias

from httptools import HttpParserError, HttpResponseParser

__all__ = [
    "END_OF_CHUNKED",
    "LAST_CHUNK",
    "MAX_FRAMING_BYTES",
    "BodyParser",
    "Chunked",
    "Framing",
    "Headers",
    "Refused",
    "TooLargeError",
    "WireError",
    "body_parser",
    "chunk",
    "field_values",
    "framing",
]

Framing: TypeAlias = Literal["chunked", "length", "close", "transport"]
Headers = list[tuple[bytes, bytes]]

LAST_CHUNK: Final = b"0\r\n\r\n"
MAX_FRAMING_BYTES: Final = 65_536
"""Framing without a byte of body in between (chunk extensions, leading zeros, trailers) that is certainly accepted;
three times as much is certainly refused. Where in between depends on how the reads fall: llhttp does not say at which
byte a chunk's data begins. As much as a head may have; smaller would only cut common reads in parts."""
MAX_LENGTH: Final = 2**63 - 1
LENGTH: Final = re.compile(rb"[0-9]{1,19}")  # RFC 9110 section 8.6; 19 digits hold MAX_LENGTH
CHUNKED_HEAD: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END_OF_CHUNKED: Final = b"\r\n\r\n"
"""The last four bytes of a chunked body, after the size line of the last chunk or after a trailer."""


class WireError(Exception):
    """The answer broke the rules of HTTP, or was cut. The text quotes nothing that the peer sent.

    `body` holds the body bytes that the same read brought before the fault.

        >>> from streamkit.transport.http1 import ResponseParser
        >>> ResponseParser("GET").feed(b"SSH-2.0-OpenSSH_9.6")
        Traceback (most recent call last):
        ...
        streamkit.transport.framing.WireError: the answer does not begin with HTTP/ (RFC 9112 section 4)
    """

    def __init__(self, message: str, body: bytes = b"") -> None:
        super().__init__(message)
        self.body = body


class TooLargeError(WireError):
    """The head of the answer is beyond its bounds."""


def framing(headers: Mapping[str, str], http_version: str | None) -> Framing:
    """How a body with these `headers` (names in lower case, or a case-insensitive mapping) ends.

    `chunked`: with the final chunk; `length`: with the last of Content-Length's bytes; `transport`: HTTP/2 and later
    end a stream by a frame, and a transport of somebody's own (`http_version` None) by its word. Each proves that the
    body is whole. `close`: with the connection, which proves nothing: a broken connection ends just so.

        >>> from streamkit.transport.framing import framing
        >>> framing({"transfer-encoding": "chunked"}, "HTTP/1.1")
        'chunked'
    """
    if http_version is None or not http_version.startswith("HTTP/1"):
        return "transport"
    codings = headers.get("transfer-encoding", "").lower().replace(" ", "").split(",")
    if codings[-1] == "chunked":
        return "chunked"
    return "length" if codings == [""] and "content-length" in headers else "close"


def chunk(data: bytes | memoryview) -> bytes:
    r"""One chunk of a body (RFC 9112 section 7.1). No data, no chunk: one of size 0 would end the body.

    >>> from streamkit.transport.framing import chunk
    >>> chunk(b"hello")
    b'5\r\nhello\r\n'
    """
    if not data:
        return b""
    return b"".join((b"%x\r\n" % len(data), data, b"\r\n"))  # of 64 KiB, a sixth of the time that b"%b" takes


def field_values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


def body_parser(method: str, status: int, version: bytes, headers: Headers) -> BodyParser:
    """RFC 9112 section 6.3, without its allowances. The fields are checked also where the answer has no body."""
    codings, lengths = field_values(headers, b"transfer-encoding"), field_values(headers, b"content-length")
    if codings and lengths:
        raise WireError("both Transfer-Encoding and Content-Length (RFC 9112 section 6.3)")
    if codings and version == b"1.0":
        raise WireError("Transfer-Encoding in an HTTP/1.0 response (RFC 9112 section 6.1)")
    if codings and [coding.lower() for coding in codings] != [b"chunked"]:
        raise WireError("a Transfer-Encoding other than chunked (RFC 9112 section 6.1)")
    length = _content_length(lengths)
    if method == "HEAD" or status in (204, 304):
        return _Counted(0)
    if codings:
        return Chunked()
    return _UntilClose() if length is None else _Counted(length)


def _content_length(lengths: list[bytes]) -> int | None:
    if not lengths:
        return None
    if len(lengths) > 1:
        raise WireError("several Content-Length fields (RFC 9112 section 6.3)")
    if not LENGTH.fullmatch(lengths[0]):
        raise WireError("a Content-Length that is not a number of 1 to 19 digits (RFC 9110 section 8.6)")
    length = int(lengths[0])
    if length > MAX_LENGTH:
        raise WireError("a Content-Length beyond 2^63 - 1 (RFC 9110 section 8.6)")
    return length


class BodyParser(Protocol):
    """How a body ends. It is first fed what came with the head, perhaps nothing. Bytes behind its end are `surplus`."""

    ended: bool
    surplus: bool

    def feed(self, data: bytes) -> bytes: ...

    def eof(self) -> None: ...


class Refused:
    """Behind a fault there is no knowing what the bytes mean."""

    __slots__ = ("_message", "ended", "surplus")

    def __init__(self, message: str) -> None:
        self._message = message
        self.ended = self.surplus = False

    def feed(self, _: bytes) -> bytes:
        raise WireError(self._message)

    def eof(self) -> None:
        raise WireError(self._message)


class _Counted:
    """Content-Length, or no body at all (RFC 9112 section 6.3)."""

    __slots__ = ("_got", "_length", "ended", "surplus")

    def __init__(self, length: int) -> None:
        self._length = length
        self._got = 0
        self.ended = self.surplus = False

    def feed(self, data: bytes) -> bytes:
        self._got += len(data)
        beyond = self._got - self._length
        if beyond < 0:
            return data
        self.ended = True
        if beyond == 0:
            return data
        self._got, self.surplus = self._length, True
        return data[:-beyond]

    def eof(self) -> None:
        if not self.ended:
            raise WireError(f"the body ended after {self._got} of {self._length} bytes (RFC 9112 section 8)")


class _UntilClose:
    """Neither length nor coding: the close is the end, and a cut cannot be told from it (RFC 9112 section 6.3)."""

    __slots__ = ("ended", "surplus")

    def __init__(self) -> None:
        self.ended = self.surplus = False

    def feed(self, data: bytes) -> bytes:
        return data

    def eof(self) -> None:
        self.ended = True


class _Events:
    """What llhttp calls. It refers to no parser: a finished one is freed at once, not by the cycle collector."""

    __slots__ = ("data", "ended", "on_body")

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.on_body = self.data.append
        self.ended = False

    def on_message_begin(self) -> None:
        if self.ended:
            raise WireError("bytes after the end of the message")

    def on_message_complete(self) -> None:
        self.ended = True


class Chunked:
    """RFC 9112 section 7.1. Trailers are checked like headers, and dropped."""

    __slots__ = ("ended", "events", "execute", "idle_bytes", "surplus")

    def __init__(self) -> None:
        self.events = _Events()
        self.execute = HttpResponseParser(self.events).feed_data
        self.execute(CHUNKED_HEAD)
        self.idle_bytes = 0  # framing since the last byte of body
        self.ended = self.surplus = False

    def feed(self, data: bytes) -> bytes:
        size = len(data)
        if len(END_OF_CHUNKED) < size <= MAX_FRAMING_BYTES and not self.ended:
            return self._feed_part(data)
        return self._feed_parts(data, 1 if size <= len(END_OF_CHUNKED) else MAX_FRAMING_BYTES)

    def _feed_parts(self, data: bytes, part_bytes: int) -> bytes:
        """Small parts keep the bound on framing sharp; single bytes show where the message ends, see `_has_surplus`."""
        bodies: list[bytes] = []
        try:
            for start in range(0, len(data), part_bytes):
                if self.ended:
                    self.surplus = True
                    break
                part = data[start : start + part_bytes]
                bodies.append(self._feed_part(part) if part_bytes == 1 else self.feed(part))
        except WireError as error:
            error.body = b"".join(bodies) + error.body
            raise
        return b"".join(bodies)

    def _feed_part(self, data: bytes) -> bytes:
        fault = None
        try:
            self.execute(data)
        except HttpParserError as error:
            fault = str(error)
        return self.executed(data, fault)

    def executed(self, data: bytes, fault: str | None) -> bytes:
        """The body in `data`, which llhttp has taken: all of it, or up to a `fault`."""
        events = self.events
        bodies = events.data
        if fault is not None:
            if not events.ended:
                reason = f"broken chunked framing: {fault} (RFC 9112 section 7.1)"
                raise WireError(reason, b"".join(bodies))
            self.surplus = True
        if events.ended:
            self.ended = True
            self.surplus = self.surplus or _has_surplus(data)
        elif not bodies:
            self._note_idle(len(data))
            return b""
        self.idle_bytes = 0
        body = b"".join(bodies)
        bodies.clear()
        return body

    def _note_idle(self, size: int) -> None:
        self.idle_bytes += size
        if self.idle_bytes > MAX_FRAMING_BYTES:
            raise WireError(f"more than {MAX_FRAMING_BYTES} bytes of chunk extension or trailers at a stretch")

    def eof(self) -> None:
        if not self.ended:
            raise WireError("the body ended without its final chunk (RFC 9112 section 8)")


def _has_surplus(data: bytes) -> bool:
    """Whether CR or LF came behind a chunked body that ended in `data`.

    llhttp skips them in silence, and reports everything else. The body's own end is exactly four such bytes behind
    another one, so a fifth is surplus. A single byte that ended the body cannot hold any.
    """
    return len(data) > 1 and (not data.endswith(END_OF_CHUNKED) or data[-5] in b"\r\n")

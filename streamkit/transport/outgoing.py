"""A request as bytes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Mapping
from typing import Final, Self, TypeAlias

import httpx2

from streamkit.transport.dialer import origin_of
from streamkit.transport.framing import LAST_CHUNK, chunk
from streamkit.transport.http1 import request_bytes

__all__ = ["WRITE_BYTES", "Outgoing", "Template"]

WRITE_BYTES: Final = 65_536
"""How much of a request's body is written at a time, and what one `write` timeout is for."""
Part: TypeAlias = "tuple[bytes | memoryview, int]"
"""What is written at a time, and how many bytes of it are the body's."""
FRAMING: Final = frozenset({"content-length", "transfer-encoding", "expect"})
PROBE: Final = b"a body"
OF_PROBE: Final = b"\r\nContent-Length: %d\r\n" % len(PROBE)
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})  # RFC 9110 section 9.2.2


class Outgoing:
    """A request as bytes. Raises httpx2.LocalProtocolError for one that cannot be sent as it is."""

    __slots__ = ("_chunked", "_length", "_stream", "asks_first", "close", "content", "head", "method", "small")

    def __init__(self, request: httpx2.Request) -> None:
        headers = request.headers
        if request.method == "CONNECT":
            raise httpx2.LocalProtocolError("expected a method whose answer is a message, got CONNECT: no tunnels here")
        if "host" not in headers:
            raise httpx2.LocalProtocolError("expected a Host header (RFC 9112 section 3.2)")
        try:
            self.head = request_bytes(request.method, request.url.raw_path, headers.raw)
        except ValueError as error:
            raise httpx2.LocalProtocolError(str(error)) from None
        self.method = request.method
        self.close = "close" in headers.get("connection", "").lower()
        self.asks_first = "100-continue" in headers.get("expect", "").lower()
        """Its body is to be sent when the server says that it wants it (RFC 9110 section 10.1.1)."""
        self._chunked = "transfer-encoding" in headers
        self._length = self._declared_length(headers)
        self._stream: AsyncIterable[bytes] | None = None
        self.content = b""
        try:
            self.content = request.content
        except httpx2.RequestNotRead:
            if not isinstance(request.stream, httpx2.AsyncByteStream):
                raise RuntimeError(  # noqa: TRY004  # as httpx2's client does
                    "expected an asynchronous body; an AsyncClient cannot send a synchronous one"
                ) from None
            self._stream = request.stream
        if self._stream is None and not self._chunked and len(self.content) != self._length:
            raise self._wrong_length(len(self.content))
        whole = self._stream is None and not self._chunked and len(self.content) <= WRITE_BYTES
        self.small = whole and not self.asks_first
        """Head and body are one write."""

    @classmethod
    def of_bytes(cls, method: str, head: bytes, content: bytes, *, close: bool) -> Self:
        """One whose head is known to be right, and says how long `content` is."""
        self = cls.__new__(cls)
        self.method, self.head, self.content, self.close = method, head, content, close
        self.asks_first = self._chunked = False
        self._length = len(content)
        self._stream = None
        self.small = self._length <= WRITE_BYTES
        return self

    @property
    def replayable(self) -> bool:
        """Whether it may be sent a second time when nobody knows what became of the first."""
        return self._stream is None and self.method in IDEMPOTENT

    def let_go(self) -> None:
        """It is sent and answered: a long conversation is not held for as long as its answer takes."""
        self.head = self.content = b""

    async def parts(self) -> AsyncGenerator[Part, None]:
        """The body as it goes on the wire behind the head, in the parts in which the caller gives it, or smaller ones.

        However it ends, what it was iterated from is closed before this is.
        """
        if self._stream is None:
            for part in self._written(self.content):
                yield part
        else:
            sent = 0
            async with _closing(self._stream) as given:
                async for data in given:
                    sent += len(data)
                    if not self._chunked and sent > self._length:
                        raise self._wrong_length(sent)
                    for part in self._written(data):
                        yield part
            if not self._chunked and sent != self._length:
                raise self._wrong_length(sent)
        if self._chunked:
            yield LAST_CHUNK, 0

    def _written(self, data: bytes) -> Iterator[Part]:
        view = memoryview(data)
        for start in range(0, len(view), WRITE_BYTES):
            part = view[start : start + WRITE_BYTES]
            yield (chunk(part) if self._chunked else part), len(part)

    def _declared_length(self, headers: httpx2.Headers) -> int:
        if not self._chunked:
            value = headers.get("content-length", "0")
            if value.isascii() and value.isdigit():
                return int(value)
        elif headers["transfer-encoding"].lower() == "chunked" and "content-length" not in headers:
            return 0
        raise httpx2.LocalProtocolError(
            "expected either one Content-Length, or Transfer-Encoding: chunked (RFC 9112 section 6)"
        )

    def _wrong_length(self, length: int) -> Exception:
        return httpx2.LocalProtocolError(
            f"the body has {'at least ' if self._stream else ''}{length} bytes, its Content-Length says {self._length}"
        )


class Template:
    r"""Requests of which nothing but the body differs: made and checked once, by the general way, which `Outgoing` is.

    Raises what that raises, and ValueError for headers that say how the body is framed: that is this one's business.

        >>> import httpx2
        >>> from streamkit.transport.outgoing import Template
        >>> ask = Template("POST", httpx2.URL("http://a.test/ans"), {"accept": "*/*"})
        >>> ask.outgoing(b"hello").head
        b'POST /ans HTTP/1.1\r\nHost: a.test\r\naccept: */*\r\nContent-Length: 5\r\n\r\n'
    """

    __slots__ = ("_after", "_before", "_close", "_method", "origin")

    def __init__(self, method: str, url: httpx2.URL, headers: Mapping[str, str]) -> None:
        if not FRAMING.isdisjoint(name.lower() for name in headers):
            raise ValueError(f"expected headers without {', '.join(sorted(FRAMING))}, got some: send them by Outgoing")
        outgoing = Outgoing(httpx2.Request(method, url, headers=headers, content=PROBE))
        self.origin = origin_of(url)
        """Whom it is to be sent to."""
        self._method = outgoing.method
        self._close = outgoing.close
        self._before, _, self._after = outgoing.head.partition(OF_PROBE)  # no other line can be like it

    def outgoing(self, content: bytes) -> Outgoing:
        """The request with this body."""
        head = b"%b\r\nContent-Length: %d\r\n%b" % (self._before, len(content), self._after)
        return Outgoing.of_bytes(self._method, head, content, close=self._close)


@contextlib.asynccontextmanager
async def _closing(stream: AsyncIterable[bytes]) -> AsyncGenerator[AsyncIterable[bytes], None]:
    """The iterator of `stream`, closed in the end if it is a generator: nobody else would, before it is collected."""
    iterator = aiter(stream)
    try:
        yield iterator
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()

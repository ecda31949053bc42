"""Where the body of an HTTP/1.1 message ends in bytes that go on behind it. No I/O.

`streamkit.transport.framing` takes one body off one connection, and need not know at which byte it ended; who looks at
a connection of others has to: the next message may begin in the same read (RFC 9112, section 9.3.2).
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from streamkit.transport.framing import Headers, WireError, body_parser, field_values, framing
from streamkit.transport.http1 import fields

__all__ = ["Chunks", "OfLength", "PassingBody", "UntilClose", "body_of"]

MAX_LINES_BYTES: Final = 65_536
"""Of framing at a stretch: a chunk's size with its extensions, all trailers."""
SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?")


class PassingBody(Protocol):
    """A body that goes on."""

    ended: bool

    def take(self, data: bytes) -> tuple[bytes, int]:
        """What of `data` is content, and how many bytes of it belong to this body. Raises WireError."""


class OfLength:
    """A body of known length, or none.

    >>> from streamkit.lab.wiretap.bodies import OfLength
    >>> OfLength(5).take(b"helloHTTP/1.1 200 OK")
    (b'hello', 5)
    """

    def __init__(self, length: int) -> None:
        self._left = length
        self.ended = not length

    def take(self, data: bytes) -> tuple[bytes, int]:
        part = data[: self._left]
        self._left -= len(part)
        self.ended = not self._left
        return part, len(part)


class UntilClose:
    """The rest of the connection."""

    ended = False

    def take(self, data: bytes) -> tuple[bytes, int]:
        return data, len(data)


class Chunks:
    r"""Chunks up to the last one, and its trailers (RFC 9112, section 7.1).

    >>> from streamkit.lab.wiretap.bodies import Chunks
    >>> Chunks().take(b"5\r\nhello\r\n0\r\n\r\nHTTP/1.1")
    (b'hello', 15)
    """

    def __init__(self) -> None:
        self._left = 0  # of the chunk
        self._expects = "size"  # of the next line; "end": of a chunk, "trailer"
        self._line = b""
        self._lines_bytes = 0
        self.ended = False

    def take(self, data: bytes) -> tuple[bytes, int]:
        parts: list[bytes] = []
        at, size = 0, len(data)
        while at < size and not self.ended:
            if self._left:
                part = data[at : at + self._left]
                parts.append(part)
                self._left -= len(part)
                at += len(part)
            else:
                at = self._take_line(data, at)
        return b"".join(parts), at

    def _take_line(self, data: bytes, at: int) -> int:
        """The next line from `at`, or what there is of it; where it ends."""
        end = data.find(b"\n", at) + 1 or len(data)
        self._line += data[at:end]
        self._lines_bytes += end - at
        if self._lines_bytes > MAX_LINES_BYTES:
            raise WireError(f"more than {MAX_LINES_BYTES} bytes of chunk extension or trailers at a stretch")
        if self._line.endswith(b"\n"):
            if not self._line.endswith(b"\r\n"):
                raise WireError("broken chunked framing: a line ends with a bare LF (RFC 9112 section 7.1)")
            line, self._line = self._line[:-2], b""
            self._took(line)
        return end

    def _took(self, line: bytes) -> None:
        if self._expects == "size":
            found = SIZE_LINE.fullmatch(line)
            if found is None:
                raise WireError("broken chunked framing: a chunk without a size (RFC 9112 section 7.1)")
            self._left = int(found[1], 16)
            self._expects = "end" if self._left else "trailer"
            self._lines_bytes = 0 if self._left else self._lines_bytes
        elif self._expects == "end":
            if line:
                raise WireError("broken chunked framing: a chunk does not end where it should (RFC 9112 section 7.1)")
            self._expects = "size"
        elif not line:
            self.ended = True


def body_of(headers: Headers, version: bytes, *, answer: bool) -> PassingBody:
    """The body behind a head that has one (RFC 9112, section 6.3): of a request without framing it is empty, of an
    answer the rest of the connection. Raises WireError for a head that says two things, or what nobody can know.
    """
    body_parser("POST", 200, version, headers)  # checks what the fields say
    kind = framing(fields(headers), f"HTTP/{version.decode('ascii')}")
    if kind == "chunked":
        return Chunks()
    if kind == "length":
        return OfLength(int(field_values(headers, b"content-length")[0]))
    return UntilClose() if answer else OfLength(0)

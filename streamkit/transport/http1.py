"""HTTP/1.1 for the client: a request's head in bytes, a response's bytes taken apart. No I/O.

A response that breaks the rules of framing is refused: two parties that disagree about where a message ends can be made
to disagree about whose message it is (RFC 9112 section 11.2). The way of the bytes is head → body:

- The head is small and comes once. It is checked here, line by line; llhttp would let through status lines, versions
  and codings that are refused here.
- A chunked body is the hot path. It goes through llhttp (httptools) behind a head of our own making, so that nothing
  of the peer's head can move llhttp out of its strict state. The callback for a chunk's data is `list.append`
  itself: no Python frame per chunk. It is joined once: with 300 chunks in a read, adding up costs ten times as much.
  A read of one event is one chunk, and `ResponseParser.feed` gives it to llhttp by itself: only what is more than some
  body goes through `_Chunked.feed`.
- A body of known length, or one that the close ends, is counted here; nothing is copied.

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
    "LAST_CHUNK",
    "MAX_FRAMING_BYTES",
    "Framing",
    "ResponseParser",
    "TooLargeError",
    "WireError",
    "chunk",
    "fields",
    "framing",
    "request_bytes",
]

Framing: TypeAlias = Literal["chunked", "length", "close", "transport"]

LAST_CHUNK: Final = b"0\r\n\r\n"
MAX_FRAMING_BYTES: Final = 65_536
"""Framing without a byte of body in between (chunk extensions, leading zeros, trailers) that is certainly accepted;
three times as much is certainly refused. Where in between depends on how the reads fall: llhttp does not say at which
byte a chunk's data begins. As much as a head may have; smaller would only cut common reads in parts."""
MAX_LENGTH: Final = 2**63 - 1

TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
TARGET: Final = re.compile(rb"[\x21-\x7e]+")  # RFC 9112 section 3.2: no whitespace; URIs are ASCII
STATUS_LINE: Final = re.compile(rb"HTTP/([0-9]\.[0-9]) ([0-9]{3})(?: ([\t\x20-\x7e\x80-\xff]*))?")
"""RFC 9112 section 4. The space before an absent reason is left out by enough servers to be taken, as h11 does."""
WHOLE_HEAD: Final = re.compile(
    rb"HTTP/(1\.[01]) ([2-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n"
)
"""A final head in which nothing is wrong: what `_HeadParser` takes line by line, and no other."""
LENGTH: Final = re.compile(rb"[0-9]{1,19}")  # RFC 9110 section 8.6; 19 digits hold MAX_LENGTH
FIELD_VALUE_BYTES: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])  # RFC 9110 section 5.5
CHUNKED_HEAD: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END_OF_CHUNKED: Final = b"\r\n\r\n"
"""The last four bytes of a chunked body, after the size line of the last chunk or after a trailer."""

TLS_ALERT: Final = b"\x15"
"""How a server begins that was not spoken to in TLS: the type of an alert (RFC 8446 section 5.1)."""

Headers = list[tuple[bytes, bytes]]


class WireError(Exception):
    """The answer broke the rules of HTTP, or was cut. The text quotes nothing that the peer sent.

    `body` holds the body bytes that the same read brought before the fault.

        >>> from streamkit.transport.http1 import ResponseParser
        >>> ResponseParser("GET").feed(b"SSH-2.0-OpenSSH_9.6")
        Traceback (most recent call last):
        ...
        streamkit.transport.http1.WireError: the answer does not begin with HTTP/ (RFC 9112 section 4)
    """

    def __init__(self, message: str, body: bytes = b"") -> None:
        super().__init__(message)
        self.body = body


class TooLargeError(WireError):
    """The head of the answer is beyond its bounds."""


class ResponseParser:
    r"""The answer to one request: bytes in, body bytes out.

    `status`, `reason`, `http_version` and `headers` are there once the final head is accepted; header names keep their
    case and order. After a WireError, every further call raises it again. Bytes behind the end of the message never
    become body; a connection that brought some is not `reusable`: they would pass for the next answer (RFC 9112
    section 9.2). `reusable` means something once the message is `complete`.

        >>> from streamkit.transport.http1 import ResponseParser
        >>> answer = ResponseParser("GET")
        >>> answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), answer.status, answer.complete
        (b'hello', 200, True)
    """

    __slots__ = (
        *("_body", "_chunked", "_continued", "_head", "_keep_alive", "_method"),
        *("complete", "headers", "http_version", "reason", "reusable", "status"),
    )

    def __init__(self, method: str, *, max_head_bytes: int = 65_536, max_informational: int = 16) -> None:
        """`method` is the request's: it decides whether the answer has a body.

        `max_head_bytes` bounds all heads of the answer together, interim ones (1xx) included; `max_informational`
        bounds the number of these. Raises ValueError for CONNECT, whose answer opens a tunnel and has no end.
        """
        if method == "CONNECT":
            raise ValueError("expected a method whose answer is a message, got CONNECT: tunnels are not supported")
        self._method = method
        self._head: _HeadParser | None = _HeadParser(max_head_bytes, max_informational)
        self._continued = False
        self._body: _BodyParser | None = None
        self._chunked: _Chunked | None = None  # the body, while it is one of chunks, and goes on
        self._keep_alive = False
        self.status: int | None = None
        self.reason = b""
        self.http_version = b""
        self.headers: Headers = []
        self.complete = False
        self.reusable = False

    @property
    def continued(self) -> bool:
        """`100 Continue` came: the server wants the request's body (RFC 9110 section 15.2.1)."""
        return self._continued if self._head is None else self._head.continued

    def feed(self, data: bytes) -> bytes:
        """The body bytes that this read brought, without their transfer coding. Raises WireError."""
        chunked = self._chunked
        if chunked is None or not len(END_OF_CHUNKED) < len(data) <= MAX_FRAMING_BYTES:
            return self._feed(data)
        fault = None
        try:
            chunked.execute(data)
        except HttpParserError as error:
            fault = str(error)
        events = chunked.events
        bodies = events.data
        if not bodies or events.ended or fault is not None:
            return self._executed(chunked, data, fault)
        chunked.idle_bytes = 0
        part = b"".join(bodies)  # of one: that one itself
        bodies.clear()
        return part

    def _feed(self, data: bytes) -> bytes:
        try:
            body = self._body
            if body is None:
                return self._feed_head(data)
            part = body.feed(data)
            if body.ended:
                self._end(body)
        except WireError as error:
            self._refuse(error)
            raise
        return part

    def _executed(self, chunked: _Chunked, data: bytes, fault: str | None) -> bytes:
        """It was more than some body, or none."""
        try:
            part = chunked.executed(data, fault)
        except WireError as error:
            self._refuse(error)
            raise
        if chunked.ended:
            self._end(chunked)
        return part

    def _refuse(self, error: WireError) -> None:
        self._body, self._chunked = _Refused(str(error)), None

    def eof(self) -> None:
        """The peer closed. Raises WireError if that cuts the message short (RFC 9112 section 8)."""
        self._keep_alive = False
        try:
            if self._body is not None:
                self._body.eof()
                self._end(self._body)
            elif self._head is not None:
                self._head.eof()
        except WireError as error:
            self._refuse(error)
            raise

    def _feed_head(self, data: bytes) -> bytes:
        head = self._head
        assert head is not None  # noqa: S101  # there is a body, once it has come
        rest = head.feed(data)
        if rest is None:
            return b""
        self._head, self._continued = None, head.continued
        self._body = body = _body(self._method, head.status, head.version, head.headers)
        self._chunked = body if isinstance(body, _Chunked) else None
        self._keep_alive = _keep_alive(head.version, head.headers)
        self.status, self.reason, self.headers = head.status, head.reason, head.headers
        self.http_version = b"HTTP/" + head.version
        return self.feed(rest)

    def _end(self, body: _BodyParser) -> None:
        self.complete, self._chunked = True, None
        self.reusable = self._keep_alive and not body.surplus


class _HeadParser:
    """Status line and header fields, line by line as they come in, so that what is wrong is refused before its end.

    Most heads come whole, and nothing is wrong with them: `_whole` takes those at once, and leaves all others alone.
    """

    __slots__ = (
        *("_buffer", "_eaten", "_informational", "_max_bytes", "_max_informational", "_searched"),
        *("continued", "headers", "reason", "status", "version"),
    )

    def __init__(self, max_bytes: int, max_informational: int) -> None:
        self._max_bytes = max_bytes
        self._max_informational = max_informational
        self._informational = 0
        self.continued = False
        self._buffer = bytearray()
        self._searched = 0  # so far there is no LF in the buffer: dripped bytes are looked at once
        self._eaten = 0
        self.status = 0  # 0: the status line has not come yet
        self.reason = self.version = b""
        self.headers: Headers = []

    def feed(self, data: bytes) -> bytes | None:
        """What came behind the final head; None while it is not complete."""
        if not (self._eaten or self._buffer) and (rest := self._whole(data)) is not None:
            return rest
        buffer = self._buffer
        buffer += data
        while (end := buffer.find(b"\n", self._searched) + 1) > 0:
            self._check_start_and_size(end)
            line = bytes(buffer[:end])
            del buffer[:end]
            self._eaten += end
            self._searched = 0
            if self._line(line):
                self._buffer = bytearray()
                return bytes(buffer)
        self._searched = len(buffer)
        self._check_start_and_size(len(buffer))
        return None

    def _whole(self, data: bytes) -> bytes | None:
        """What is behind a head that one read brought, and that is as it should be; None, and nothing done, else."""
        found = WHOLE_HEAD.match(data, 0, self._max_bytes)
        if found is None:
            return None
        self.version, status, reason, lines = found.groups()
        self.status, self.reason = int(status), reason or b""
        for line in lines.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b":")
            self.headers.append((name, value.strip(b" \t")))
        return data[found.end() :]

    def eof(self) -> None:
        if self._eaten or self._buffer:
            raise WireError("the connection was closed inside of the head of the answer (RFC 9112 section 8)")
        raise WireError("the connection was closed before an answer came")

    def _check_start_and_size(self, more: int) -> None:
        """Before the line is complete: a TLS alert has none, and waiting for it would end in a timeout."""
        if not self.status and not b"HTTP/".startswith(self._buffer[:5]):
            if self._buffer[:1] == TLS_ALERT:
                raise WireError("the answer does not begin with HTTP/, but as TLS does: https:// may be meant")
            raise WireError("the answer does not begin with HTTP/ (RFC 9112 section 4)")
        if self._eaten + more > self._max_bytes:
            raise TooLargeError(f"the head of the answer is larger than {self._max_bytes} bytes")

    def _line(self, line: bytes) -> bool:
        """Whether this line ends the final head."""
        if not line.endswith(b"\r\n"):
            raise WireError("a line of the head ends with a bare LF (RFC 9112 section 2.2)")
        line = line[:-2]
        if b"\r" in line:
            raise WireError("a bare CR in the head (RFC 9112 section 2.2)")
        if not self.status:
            self._status_line(line)
        elif line:
            self.headers.append(_field(line))
        else:
            return self._is_final()
        return False

    def _status_line(self, line: bytes) -> None:
        match = STATUS_LINE.fullmatch(line)
        if match is None:
            raise WireError("a malformed status line (RFC 9112 section 4)")
        self.version, status, reason = match.groups()
        if self.version not in (b"1.0", b"1.1"):
            raise WireError("an HTTP version other than 1.0 and 1.1 (RFC 9112 section 2.3)")
        self.status, self.reason = int(status), reason or b""
        if not 100 <= self.status <= 599:
            raise WireError("a status outside of 100 to 599 (RFC 9110 section 15)")
        if self.status == 101:
            raise WireError("101 Switching Protocols, which was not asked for (RFC 9110 section 7.8)")

    def _is_final(self) -> bool:
        """Interim responses are heads without a body, as many as the server likes (RFC 9110 section 15.2)."""
        if self.status >= 200:
            return True
        self._informational += 1
        if self._informational > self._max_informational:
            raise TooLargeError(f"more than {self._max_informational} interim (1xx) responses")
        self.continued = self.continued or self.status == 100
        self.status, self.headers = 0, []
        return False


def _field(line: bytes) -> tuple[bytes, bytes]:
    """One header field (RFC 9112 section 5)."""
    if line[:1] in (b" ", b"\t"):
        raise WireError("a header line begins with whitespace: obsolete line folding (RFC 9112 section 5.2)")
    name, colon, value = line.partition(b":")
    if not colon:
        raise WireError("a header line without a colon (RFC 9112 section 5)")
    if not TOKEN.fullmatch(name):
        if name[-1:] in (b" ", b"\t"):
            raise WireError("whitespace between a header name and the colon (RFC 9112 section 5.1)")
        raise WireError("a header name that is not a token (RFC 9110 section 5.1)")
    value = value.strip(b" \t")
    if value.translate(None, FIELD_VALUE_BYTES):
        raise WireError("a control character in a header value (RFC 9110 section 5.5)")
    return name, value


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


def _keep_alive(version: bytes, headers: Headers) -> bool:
    """RFC 9112 section 9.3."""
    options = {option.strip(b" \t").lower() for v in _values(headers, b"connection") for option in v.split(b",")}
    return b"close" not in options and (version == b"1.1" or b"keep-alive" in options)


def _body(method: str, status: int, version: bytes, headers: Headers) -> _BodyParser:
    """RFC 9112 section 6.3, without its allowances. The fields are checked also where the answer has no body."""
    codings, lengths = _values(headers, b"transfer-encoding"), _values(headers, b"content-length")
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
        return _Chunked()
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


class _BodyParser(Protocol):
    """How a body ends. It is first fed what came with the head, perhaps nothing. Bytes behind its end are `surplus`."""

    ended: bool
    surplus: bool

    def feed(self, data: bytes) -> bytes: ...

    def eof(self) -> None: ...


class _Refused:
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
            raise WireError("bytes behind the end of the message")

    def on_message_complete(self) -> None:
        self.ended = True


class _Chunked:
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


def request_bytes(method: str, target: bytes, headers: Headers) -> bytes:
    r"""The head of a request. Raises ValueError for anything that could end a line early or begin a second request.

    The text of the error quotes neither target nor values: they may hold secrets.

        >>> from streamkit.transport.http1 import request_bytes
        >>> request_bytes("GET", b"/ans", [(b"host", b"a.test")])
        b'GET /ans HTTP/1.1\r\nhost: a.test\r\n\r\n'
    """
    name_of_method = method.encode("ascii", "replace")
    if not TOKEN.fullmatch(name_of_method):
        raise ValueError("expected a method that is a token such as POST (RFC 9110 section 9.1)")
    if not TARGET.fullmatch(target):
        raise ValueError("expected a request target of visible ASCII; percent-encode the rest (RFC 9112 section 3.2)")
    lines = [b"%b %b HTTP/1.1" % (name_of_method, target)]
    for number, (name, value) in enumerate(headers):
        if not TOKEN.fullmatch(name):
            raise ValueError(f"expected a token as the name of header {number} (RFC 9110 section 5.1)")
        if value.translate(None, FIELD_VALUE_BYTES):
            shown = name[:40].decode("ascii")
            raise ValueError(f"expected no control characters in the value of {shown} (RFC 9110 section 5.5)")
        lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join([*lines, b"", b""])


def chunk(data: bytes | memoryview) -> bytes:
    r"""One chunk of a body (RFC 9112 section 7.1). No data, no chunk: one of size 0 would end the body.

    >>> from streamkit.transport.http1 import chunk
    >>> chunk(b"hello")
    b'5\r\nhello\r\n'
    """
    if not data:
        return b""
    return b"".join((b"%x\r\n" % len(data), data, b"\r\n"))  # of 64 KiB, a sixth of the time that b"%b" takes


def fields(headers: Headers) -> dict[str, str]:
    """Header fields by their names in lower case; several of one name as one, with commas (RFC 9110 section 5.3).

    >>> from streamkit.transport.http1 import fields
    >>> fields([(b"Via", b"1.1 a"), (b"via", b"1.1 b")])
    {'via': '1.1 a, 1.1 b'}
    """
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def framing(headers: Mapping[str, str], http_version: str | None) -> Framing:
    """How a body with these `headers` (names in lower case, or a case-insensitive mapping) ends.

    `chunked`: with the final chunk; `length`: with the last of Content-Length's bytes; `transport`: HTTP/2 and later
    end a stream by a frame, and a transport of somebody's own (`http_version` None) by its word. Each proves that the
    body is whole. `close`: with the connection, which proves nothing: a broken connection ends just so.

        >>> from streamkit.transport.http1 import framing
        >>> framing({"transfer-encoding": "chunked"}, "HTTP/1.1")
        'chunked'
    """
    if http_version is None or not http_version.startswith("HTTP/1"):
        return "transport"
    codings = headers.get("transfer-encoding", "").lower().replace(" ", "").split(",")
    if codings[-1] == "chunked":
        return "chunked"
    return "length" if codings == [""] and "content-length" in headers else "close"

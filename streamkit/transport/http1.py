"""HTTP/1.1 for the client: a request's head in bytes, a response's bytes taken apart. No I/O.

A response that breaks the rules of framing is refused: two parties that disagree about where a message ends can be made
to disagree about whose message it is (RFC 9112 section 11.2). The way of the bytes is head → body:

- The head is small and comes once. It is checked here, line by line; llhttp would let through status lines, versions
  and codings that are refused here.
- The body is what `framing.py` takes apart. A read of one event is one chunk, and `ResponseParser.feed` gives it to
  llhttp by itself: only what is more than some body goes through `Chunked.feed`.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError

from streamkit.transport.framing import (
    END_OF_CHUNKED,
    MAX_FRAMING_BYTES,
    BodyParser,
    Chunked,
    Headers,
    Refused,
    TooLargeError,
    WireError,
    body_parser,
    field_values,
)

__all__ = ["ResponseParser", "fields", "request_bytes"]

TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
TARGET: Final = re.compile(rb"[\x21-\x7e]+")  # RFC 9112 section 3.2: no whitespace; URIs are ASCII
STATUS_LINE: Final = re.compile(rb"HTTP/([0-9]\.[0-9]) ([0-9]{3})(?: ([\t\x20-\x7e\x80-\xff]*))?")
"""RFC 9112 section 4. The space before an absent reason is left out by enough servers to be taken, as h11 does."""
WHOLE_HEAD: Final = re.compile(
    rb"HTTP/(1\.[01]) ([2-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n"
)
"""A final head in which nothing is wrong: what `_HeadParser` takes line by line, and no other."""
FIELD_VALUE_BYTES: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])  # RFC 9110 section 5.5
TLS_ALERT: Final = b"\x15"
"""How a server begins that was not spoken to in TLS: the type of an alert (RFC 8446 section 5.1)."""


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
        self._body: BodyParser | None = None
        self._chunked: Chunked | None = None  # the body, while it is one of chunks, and goes on
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

    def _executed(self, chunked: Chunked, data: bytes, fault: str | None) -> bytes:
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
        self._body, self._chunked = Refused(str(error)), None

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
        self._body = body = body_parser(self._method, head.status, head.version, head.headers)
        self._chunked = body if isinstance(body, Chunked) else None
        self._keep_alive = _keep_alive(head.version, head.headers)
        self.status, self.reason, self.headers = head.status, head.reason, head.headers
        self.http_version = b"HTTP/" + head.version
        return self.feed(rest)

    def _end(self, body: BodyParser) -> None:
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
            raise WireError("the connection was closed inside the head of the answer (RFC 9112 section 8)")
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
            raise WireError("a status outside 100 to 599 (RFC 9110 section 15)")
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


def _keep_alive(version: bytes, headers: Headers) -> bool:
    """RFC 9112 section 9.3."""
    options = {option.strip(b" \t").lower() for v in field_values(headers, b"connection") for option in v.split(b",")}
    return b"close" not in options and (version == b"1.1" or b"keep-alive" in options)


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

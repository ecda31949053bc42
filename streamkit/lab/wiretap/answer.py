"""One answer, as its bytes pass: its head, its body, and where it ends. No I/O."""

from __future__ import annotations

from streamkit.lab.wiretap.bodies import OfLength, PassingBody, UntilClose, body_of
from streamkit.transport.framing import Headers
from streamkit.transport.http1 import ResponseParser

__all__ = ["PassingAnswer"]

END = b"\r\n\r\n"


class PassingAnswer:
    r"""The answer to a request by `method`; `head`, `status`, `headers` and `version` are there when the final head is.

    >>> from streamkit.lab.wiretap.answer import PassingAnswer
    >>> answer = PassingAnswer("GET")
    >>> answer.take(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1"), answer.status, answer.ended
    ((b'hi', 40), 200, True)
    """

    def __init__(self, method: str) -> None:
        self._parser = ResponseParser(method)
        self._tail = b""  # of the head so far: its end may lie in two reads
        self._body: PassingBody | None = None
        self.status: int | None = None
        self.headers: Headers = []
        self.version = b""
        self.begun = False
        """A byte of it has come."""

    @property
    def ended(self) -> bool:
        """Its last byte has come; of one that the close ends, nobody knows."""
        return self._body is not None and self._body.ended

    @property
    def by_close(self) -> bool:
        """Nothing but the end of the connection ends it."""
        return isinstance(self._body, UntilClose)

    def take(self, data: bytes) -> tuple[bytes, int]:
        """What of `data` is body, and how many bytes of it belong to this answer. Raises WireError."""
        self.begun = True
        at = 0
        while self._body is None:
            if at == len(data):
                return b"", at
            at = self._take_head(data, at)
        part, used = self._body.take(data[at:]) if at < len(data) and not self.ended else (b"", 0)
        return part, at + used

    def closed(self) -> None:
        """The server has closed. Raises WireError where that cuts it inside of its head; else the framing tells."""
        if self._body is None:
            self._parser.eof()

    def _take_head(self, data: bytes, at: int) -> int:
        """One head, or what has come of it, goes to the parser by itself; where that ended."""
        known = len(self._tail)
        seen = self._tail + data[at:]
        end = seen.find(END) + len(END)
        if end < len(END):
            self._parser.feed(data[at:])
            self._tail = seen[-(len(END) - 1) :]
            return len(data)
        at_end = at + end - known
        self._parser.feed(data[at:at_end])
        self._tail = b""
        if self._parser.status is not None:  # else an interim one (1xx)
            self.status, self.headers = self._parser.status, self._parser.headers
            self.version = self._parser.http_version.removeprefix(b"HTTP/")
            bodiless = self._parser.complete
            self._body = OfLength(0) if bodiless else body_of(self.headers, self.version, answer=True)
        return at_end

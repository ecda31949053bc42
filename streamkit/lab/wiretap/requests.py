"""The requests that a client sends on one connection, one behind the other: bytes in, requests out. No I/O.

    requests = Requests()
    passed_on, begun = requests.feed(data, at_ns)

All bytes go on as they come. Where the target is to see another Host than the client wrote, a head goes on when it is
complete, with that one field changed; nothing else ever is.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from streamkit.lab.wiretap.bodies import PassingBody, body_of
from streamkit.transport.framing import Headers, WireError
from streamkit.transport.http1 import fields

__all__ = ["PassingRequest", "Requests"]

MAX_HEAD_BYTES: Final = 65_536
LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e\x80-\xff]+) HTTP/(1\.[01])")
FIELD: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
END: Final = b"\r\n\r\n"


@dataclass(slots=True)
class PassingRequest:
    """One request, of which the head has come. `upgrade`: it asks for another protocol. `end`: how many bytes have gone
    on with its last one, of all on the connection; None while its body is not whole. `parts`: of its body, by how many
    bytes each has gone on, how large it is, and when it came.
    """

    method: str
    target: str
    headers: dict[str, str]
    begun_ns: int
    upgrade: bool
    end: int | None = None
    parts: deque[tuple[int, int, int]] = field(default_factory=deque)


class Requests:
    """`host`: what is to stand in each Host in the place of what the client wrote; None: that."""

    def __init__(self, host: str | None = None) -> None:
        self._host = None if host is None else host.encode("ascii")
        self._head = bytearray()
        self._begins_well = False  # its first line is one of HTTP
        self._begun_ns = 0
        self._body: PassingBody | None = None
        self._current: PassingRequest | None = None
        self._passed = 0
        self.between = True
        """No request has begun that has not ended."""

    @property
    def kept_back(self) -> bytes:
        """What has come of a head, and goes on when it is complete."""
        return b"" if self._host is None else bytes(self._head)

    def let_go(self) -> bytes:
        """The same, which goes on as it is now: no more of these requests is looked at."""
        kept_back = self.kept_back
        self._head.clear()
        return kept_back

    def feed(self, data: bytes, at_ns: int) -> tuple[bytes, list[PassingRequest]]:
        """What goes on now, and the requests whose head this read has completed. Raises WireError for what is no
        HTTP/1; then nothing of this read, and of what was kept back, has gone on.
        """
        begun: list[PassingRequest] = []
        out: list[bytes] = []
        at = 0
        while at < len(data):
            if self._body is not None:
                content, used = self._body.take(data[at:])
                self._pass(out, data[at : at + used])
                if content and self._current is not None:
                    self._current.parts.append((self._passed, len(content), at_ns))
                at += used
                self._end_if_whole()
            else:
                at = self._take_head(data, at, at_ns, out, begun)
        return b"".join(out) if self._host is not None else data, begun

    def _take_head(self, data: bytes, at: int, at_ns: int, out: list[bytes], begun: list[PassingRequest]) -> int:
        if not self._head:
            self._begun_ns = at_ns
        known = len(self._head)
        self._head += data[at:]
        end = self._head.find(END, max(0, known - len(END) + 1))
        if end < 0:
            self._check_size_and_start()
            if self._host is None:
                self._passed += len(data) - at
            self.between = not self._head.strip(b"\r\n")
            return len(data)
        end += len(END)
        head, used = bytes(self._head[:end]), end - known
        self._head.clear()
        self._begins_well = False
        self._begin(head, used, out, begun)
        return at + used

    def _begin(self, head: bytes, used: int, out: list[bytes], begun: list[PassingRequest]) -> None:
        if not head.strip(b"\r\n"):  # empty lines before a request (RFC 9112, section 2.2)
            self._pass(out, head if self._host is not None else head[-used:])
            return
        method, target, version, headers = _read_head(head)
        body = body_of(headers, version, answer=False)
        told = fields(headers)
        self._current = PassingRequest(
            method, target, told, self._begun_ns, upgrade=method == "CONNECT" or "upgrade" in told
        )
        begun.append(self._current)
        self._pass(out, head[-used:] if self._host is None else _with_host(head, self._host))
        self._body, self.between = body, False
        self._end_if_whole()

    def _pass(self, out: list[bytes], data: bytes) -> None:
        out.append(data)
        self._passed += len(data)

    def _end_if_whole(self) -> None:
        if self._body is not None and self._body.ended and self._current is not None:
            self._current.end = self._passed
            self._body = self._current = None
            self.between = True

    def _check_size_and_start(self) -> None:
        """Before it is complete: what is no HTTP may never have an empty line."""
        if len(self._head) > MAX_HEAD_BYTES:
            raise WireError(f"the head of a request is larger than {MAX_HEAD_BYTES} bytes")
        if self._begins_well or b"\n" not in self._head:
            return
        line, ended, _ = bytes(self._head).lstrip(b"\r\n").partition(b"\r\n")
        if ended and LINE.fullmatch(line) is None:
            raise WireError("what the client sends does not begin as HTTP/1 does (RFC 9112 section 3)")
        self._begins_well = bool(ended)


def _read_head(head: bytes) -> tuple[str, str, bytes, Headers]:
    line, *rest = head.lstrip(b"\r\n")[: -len(END)].split(b"\r\n")
    found = LINE.fullmatch(line)
    if found is None:
        raise WireError("what the client sends does not begin as HTTP/1 does (RFC 9112 section 3)")
    headers: Headers = []
    for each in rest:
        field = FIELD.fullmatch(each)
        if field is None:
            raise WireError("a header line of a request breaks the grammar (RFC 9112 section 5)")
        headers.append((field[1], field[2]))
    return found[1].decode("ascii"), found[2].decode("latin-1"), found[3], headers


def _with_host(head: bytes, host: bytes) -> bytes:
    """The head with this Host; what else stands in it, also in which order, is left."""
    lines = head.split(b"\r\n")
    for number, line in enumerate(lines):
        name, colon, _ = line.partition(b":")
        if number and colon and name.lower() == b"host":
            lines[number] = name + b": " + host
    return b"\r\n".join(lines)

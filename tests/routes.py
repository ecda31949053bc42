"""Routes asked over plain sockets: a request sent part by part, and what has come of its answer meanwhile."""

from __future__ import annotations

import json
import logging
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from tests.rawsockets import LAST_CHUNK, WAIT_S, chunk

__all__ = ["NDJSON", "RESET", "SSE", "TEXT", "Answer", "Asked", "Event", "ask", "form", "log_lines", "ndjson"]

SSE, NDJSON, TEXT = "text/event-stream", "application/x-ndjson", "text/plain"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class Event(NamedTuple):
    """One that is there as a whole: `kind` is `data`, `progress`, `done` or `error`."""

    kind: str
    data: Any
    id: str = ""


class Answer(NamedTuple):
    """As much of it as has come; `whole` by its own framing."""

    status: int
    heads: dict[str, str]
    body: bytes
    whole: bool

    @property
    def events(self) -> list[Event]:
        """In whichever format; of text each line is one."""
        return _EVENTS[self.heads["content-type"].partition(";")[0]](self.body)

    @property
    def values(self) -> list[Any]:
        """The results."""
        return [each.data for each in self.events if each.kind == "data"]

    @property
    def final(self) -> Any:
        """The last result, which says that it is the last."""
        assert self.values[-1]["final"] is True
        assert not any("final" in each for each in self.values[:-1])
        return self.values[-1]

    @property
    def end(self) -> Event:
        """The terminal event, behind which there is none."""
        *others, last = self.events
        assert last.kind in ("done", "error"), last
        assert all(each.kind in ("data", "progress") for each in others)
        return last

    @property
    def problem(self) -> dict[str, Any]:
        """Of a refusal."""
        assert self.heads["content-type"] == "application/problem+json", self
        told: dict[str, Any] = json.loads(self.body)
        assert told["status"] == self.status
        return told

    @property
    def code(self) -> str:
        """Of a failure, before or behind results; "" of none."""
        if self.heads["content-type"] == "application/problem+json":
            return str(self.problem["code"])
        return str(self.end.data["code"]) if self.end.kind == "error" else ""


class Asked:
    """One request on a socket of its own: its head is sent. `length` announces its body; None: it comes in chunks.

    A context manager: whoever leaves it closes the socket. `receive_bytes` is the socket's buffer, where it is to be
    small.
    """

    def __init__(
        self,
        url: str,
        path: str,
        *,
        method: str = "POST",
        length: int | None = None,
        accept: str = NDJSON,
        receive_bytes: int = 0,
        **headers: str,
    ) -> None:
        parts = urlsplit(url)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.settimeout(WAIT_S)
        self.sock.connect((parts.hostname, parts.port))
        self._chunked = length is None and method == "POST"
        self.data = bytearray()
        framing = ["transfer-encoding: chunked"] if self._chunked else [f"content-length: {length or 0}"]
        named = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        host = [] if "host" in headers else ["host: localhost"]
        lines = [f"{method} {path} HTTP/1.1", *host, f"accept: {accept}", *framing, *named, "", ""]
        self.sock.sendall("\r\n".join(lines).encode())

    def send(self, data: bytes) -> Self:
        """Some of the body."""
        self.sock.sendall(chunk(data) if self._chunked else data)
        return self

    def finish(self) -> Self:
        """The body is whole."""
        if self._chunked:
            self.sock.sendall(LAST_CHUNK)
        return self

    def leave(self, how: str) -> None:
        """By FIN, or by RST."""
        if how == "RST":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.close()

    def until(self, claim: Callable[[Answer], bool], within_s: float = WAIT_S) -> Answer:
        """Read until that holds of what has come, which has to be soon."""
        deadline = time.monotonic() + within_s
        while not (self.data.find(b"\r\n\r\n") >= 0 and claim(self.so_far)):
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b""
            assert more, f"it ended before: {bytes(self.data[-1000:])!r}"
            self.data += more
        return self.so_far

    def answer(self, within_s: float = WAIT_S) -> Answer:
        """All of it: until it is whole by its own framing, or the server has closed."""
        deadline = time.monotonic() + within_s
        while not (self.data.find(b"\r\n\r\n") >= 0 and self.so_far.whole):
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                break
            if not more:
                break
            self.data += more
        assert self.data, "it was closed without a word"
        return self.so_far

    @property
    def so_far(self) -> Answer:
        """What has come. An interim answer before it is passed over."""
        return _parsed(bytes(self.data))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()


def ask(url: str, path: str, body: bytes | Any = b"", *, method: str = "POST", **headers: str) -> Answer:
    """Ask, and read all of the answer. What is not bytes is sent as JSON."""
    if not isinstance(body, bytes):
        body, headers = json.dumps(body).encode(), {"content_type": "application/json", **headers}
    with Asked(url, path, method=method, length=len(body), **headers) as asked:  # type: ignore[arg-type]  # all are text
        return asked.send(body).answer()


def form(*parts: tuple[str, str | None, bytes], boundary: str = "XX") -> tuple[bytes, str]:
    """A multipart body of (name, file's name, content), and its media type."""
    body = b""
    for name, file, content in parts:
        named = f'; filename="{file}"' if file is not None else ""
        body += f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + content
        body += b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def ndjson(numbers: Any) -> bytes:
    """As lines."""
    return b"".join(b"%b\n" % json.dumps(number).encode() for number in numbers)


@contextmanager
def log_lines() -> Iterator[list[dict[str, Any]]]:
    """The log lines of the streams that end meanwhile, of servers in this process."""
    kept: list[dict[str, Any]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if (line := record.getMessage()).startswith("{"):
                kept.append(json.loads(line))

    logger, handler = logging.getLogger("streamkit.relay"), Kept()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield kept
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


# -- what came ---------------------------------------------------------------------------------------------------------


def _parsed(data: bytes) -> Answer:
    head, _, rest = data.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100") and rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    heads = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    status = int(line.split(" ")[1])
    if heads.get("transfer-encoding") != "chunked":
        return Answer(
            status, heads, rest, status in (204, 304) or len(rest) >= int(heads.get("content-length", 1 << 60))
        )
    body, whole = b"", False
    while not whole and (at := rest.find(b"\r\n")) >= 0:
        size = int(rest[:at], 16)
        body, whole, rest = body + rest[at + 2 : at + 2 + size], not size and len(rest) >= at + 4, rest[at + 4 + size :]
    return Answer(status, heads, body, whole)


def _of_lines(body: bytes) -> list[Event]:
    events = []
    for value in map(json.loads, filter(None, body.split(b"\n")[:-1])):
        kind = next(
            (kind for kind in ("progress", "done", "error") if isinstance(value, dict) and kind in value), "data"
        )
        cursor = value.pop("id", "") if isinstance(value, dict) and "." in str(value.get("id", "")) else ""
        events.append(Event(kind, value if kind == "data" else value[kind], cursor))
    return events


def _of_events(body: bytes) -> list[Event]:
    events = []
    for block in body.split(b"\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if line and not line.startswith(":"))
        if fields:
            events.append(Event(fields.get("event", "data"), json.loads(fields["data"]), fields.get("id", "")))
    return events


def _of_text(body: bytes) -> list[Event]:
    return [Event("data", json.loads(line)) for line in body.split(b"\n")[:-1]]


_EVENTS = {NDJSON: _of_lines, SSE: _of_events, TEXT: _of_text}

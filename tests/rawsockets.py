"""Both ends of HTTP on plain sockets: what a well-behaved library would hide, a test must be able to do and to see."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
WAIT_S = 10.0


def chunk(data: bytes) -> bytes:
    """One HTTP chunk (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class RawServer:
    """An upstream that reads one request a connection (or of it what `read` does), and then does with the socket
    whatever `behave` says.
    """

    def __init__(
        self, behave: Callable[[socket.socket], None], read: Callable[[socket.socket], bytes] | None = None
    ) -> None:
        self._behave = behave
        self._read = read or read_request
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._workers: list[threading.Thread] = []
        self.requests: list[bytes] = []
        self.left_at_ns: list[int] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in [self._thread, *self._workers]:
            thread.join(WAIT_S)
            assert not thread.is_alive(), "the upstream of this test still runs"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            worker = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._workers.append(worker)
            worker.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):
            connection.settimeout(WAIT_S)
            self.requests.append(self._read(connection))
            self._behave(connection)

    def until_left(self, connection: socket.socket) -> None:
        """Wait until the other side closes, and note when."""
        with contextlib.suppress(ConnectionError):
            while connection.recv(4096):
                pass
        self.left_at_ns.append(time.monotonic_ns())


def read_request(connection: socket.socket) -> bytes:
    """One request with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def read_head(connection: socket.socket) -> bytes:
    """A request's head, and not a byte behind it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = connection.recv(1)
        if not more:
            break
        head += more
    return head


def request(path: str, body: bytes, **headers: str) -> bytes:
    """A POST as bytes; keyword `content_type` becomes `content-type`."""
    given = {"host": "test", "content_length": str(len(body)), "content_type": "application/x-www-form-urlencoded"}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {**given, **headers}.items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode() + body


@contextlib.contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    """A plain connection to the server behind `url`."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), WAIT_S) as connection:
        yield connection


def exchange(url: str, sent: bytes) -> bytes:
    """Send bytes, then read until the server closes or its last chunk (or whole body) is here."""
    with connected(url) as connection:
        connection.sendall(sent)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> bytes:
    """All that comes until the server closes, or until the answer is complete by its own framing."""
    data = b""
    while not is_whole(data):
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            break
        if not more:
            break
        data += more
    return data


def is_whole(data: bytes) -> bool:
    """Whether an answer is complete by its framing."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(LAST_CHUNK)
    return any(
        line.startswith(b"content-length:") and len(body) >= int(line[15:]) for line in head.lower().split(b"\r\n")
    )

"""The scripted upstream of the relay benchmark: a provider's events, as many and as fast as the question asks.

    python -m benchmarks.relay_upstream --events openai     # prints "ready http://127.0.0.1:PORT", serves until killed

The script of a stream travels in the question itself (`Question`), which every relay passes on: one upstream process
serves all scenarios and all relays. It must never be the bottleneck, so it does next to nothing: one thread, epoll,
bytes that were encoded before the first request. A saturated stream is written in blocks of `BLOCK_EVENTS` events
(about 90 kB a send, one HTTP chunk an event, as the providers do); a paced one with one event per send, each at its own
due time.

Times below a millisecond, which epoll rounds up, are slept: otherwise the events of several streams would leave, and be
read by a relay, in bunches.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import re
import select
import socket
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from benchmarks.relay_events import BLOCK_EVENTS, DEFAULT, EVENTS, WORDS, Events

__all__ = ["BLOCK_EVENTS", "FRAMING_BYTES", "Question", "Sum", "events_of", "pieces_of", "serve", "text_of"]

FRAMING_BYTES: Final = b"0123456789abcdefABCDEF\r\n"
"""What HTTP's chunked framing is written in. A reader that deletes these bytes is left with the text alone, whatever
chunks it came in, at the speed of C: the load client compares texts without parsing a chunk."""
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
LAST_CHUNK: Final = b"0\r\n\r\n"
QUESTION: Final = re.compile(rb"events-(\d+)-gap-(\d+)-delay-(\d+)")
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
MAX_REQUEST_BYTES: Final = 64 * 1024
BACKLOG: Final = 4096


@dataclass(frozen=True)
class Question:
    """What to stream: `events` pieces, `gap_us` apart (0: as fast as they are taken), the first after `delay_us`."""

    events: int
    gap_us: int = 0
    delay_us: int = 0

    def __str__(self) -> str:
        """Only characters that neither a form nor JSON escapes."""
        return f"events-{self.events}-gap-{self.gap_us}-delay-{self.delay_us}"

    @classmethod
    def found_in(cls, request: bytes) -> Self:
        """The question anywhere in a request. Raises ValueError where there is none."""
        found = QUESTION.search(request)
        if found is None:
            raise ValueError("expected a question such as events-10-gap-0-delay-0 in the request: the relay lost it")
        return cls(*map(int, found.groups()))


# -- what is said --------------------------------------------------------------------------------------------------


def text_of(events: int) -> Iterator[bytes]:
    """The text of an answer, in parts: what a relay has to deliver."""
    words = [word.encode() for word in WORDS]
    yield from _repeated(words * (BLOCK_EVENTS // len(WORDS)), events)


def pieces_of(events: int) -> Iterator[list[bytes]]:
    """The same, in its pieces."""
    words = [word.encode() for word in WORDS]
    whole, rest = divmod(events, len(words))
    yield from itertools.repeat(words, whole)
    yield words[:rest]


def events_of(events: int, said: str = DEFAULT) -> Iterator[bytes]:
    """The body of an answer, in parts: what a proxy has to deliver; `said` is a name of `EVENTS`."""
    yield from EVENTS[said].opening
    yield from _repeated(EVENTS[said].pieces, events)
    yield from EVENTS[said].closing


def _repeated(block: Sequence[bytes], events: int) -> Iterator[bytes]:
    whole, rest = divmod(events, len(block))
    yield from itertools.repeat(b"".join(block), whole)
    yield b"".join(block[:rest])


class Sum:
    """Length and CRC-32 of a text, whatever parts and HTTP chunks it comes in."""

    def __init__(self, parts: Iterable[bytes] = ()) -> None:
        self.length = 0
        self.crc = 0
        for part in parts:
            self.add(part)

    def add(self, data: bytes) -> None:
        """Count what is left of `data` without the bytes of the framing."""
        text = data.translate(None, FRAMING_BYTES)
        self.length += len(text)
        self.crc = zlib.crc32(text, self.crc)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sum) and (self.length, self.crc) == (other.length, other.crc)

    __hash__ = None  # type: ignore[assignment]  # it changes


# -- how it is said: (due, bytes) pairs, one send each ---------------------------------------------------------------


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Said:
    """The same events as they are sent: one HTTP chunk each, encoded before anybody asks."""

    def __init__(self, events: Events) -> None:
        self.chunks = [_chunk(event) for event in events.pieces]
        self.block = b"".join(self.chunks)
        self.head = HEAD + b"".join(map(_chunk, events.opening))
        self.end = b"".join(map(_chunk, events.closing)) + LAST_CHUNK

    def sends(self, question: Question, now_ns: int) -> Iterator[tuple[int, bytes]]:
        """An answer: when which bytes are to be sent."""
        yield now_ns, self.head
        first_ns = now_ns + question.delay_us * 1000
        if not question.gap_us:
            whole, rest = divmod(question.events, BLOCK_EVENTS)
            yield from itertools.repeat((first_ns, self.block), whole)
            yield first_ns, b"".join([*self.chunks[:rest], self.end])
            return
        for i in range(question.events):
            end = self.end if i == question.events - 1 else b""
            yield first_ns + i * question.gap_us * 1000, self.chunks[i % BLOCK_EVENTS] + end


# -- the server ------------------------------------------------------------------------------------------------------


class _Connection:
    """One connection: a request is gathered, its answer is sent, the next request may come."""

    def __init__(self, sock: socket.socket, said: Said) -> None:
        self.sock = sock
        self._said = said
        self.number = sock.fileno()
        self.events = select.EPOLLIN
        self.gathered = b""
        self.sends: Iterator[tuple[int, bytes]] | None = None
        self.due: tuple[int, bytes] | None = None
        self.unsent = memoryview(b"")

    def read(self) -> bool:
        """Take what has come; False when the other side has left."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:  # under TLS, what came may be no data
            return True
        except ConnectionError:
            return False
        self.gathered += data
        head, end, body = self.gathered.partition(b"\r\n\r\n")
        assert len(self.gathered) < MAX_REQUEST_BYTES, "expected a short question"
        if end:
            found = LENGTH.search(head)
            assert found is not None, "expected a request with a Content-Length"
            if len(body) >= int(found[1]):
                self.sends = self._said.sends(Question.found_in(body), time.monotonic_ns())
                self.gathered = b""
        return bool(data)

    def write(self) -> int | None:
        """Send what is due and fits: 0 if more waits for the socket, the time at which more is due, None at the end.

        One large send per call, so that many saturated streams are served in turn.
        """
        while self.sends is not None:
            if not self.unsent:
                self.due = self.due or next(self.sends, None)
                if self.due is None:
                    self.sends = None
                    return None
                due_ns, data = self.due
                if due_ns > time.monotonic_ns():
                    return due_ns
                self.due, self.unsent = None, memoryview(data)
            try:
                sent = self.sock.send(self.unsent)
            except BlockingIOError:
                return 0
            self.unsent = self.unsent[sent:]
            if self.unsent or sent >= len(self._said.block):
                return 0
        return None


class _Upstream:
    def __init__(self, listener: socket.socket, said: Said) -> None:
        self._listener = listener
        self._said = said
        self._epoll = select.epoll()
        self._epoll.register(listener, select.EPOLLIN)
        self._connections: dict[int, _Connection] = {}
        self._due: list[tuple[int, int]] = []  # a heap of (time, file number)

    def run(self) -> None:
        while True:
            for number, events in self._epoll.poll(self._nap()):
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._serve(self._connections[number], events)
            now_ns = time.monotonic_ns()
            while self._due and self._due[0][0] <= now_ns:
                connection = self._connections.get(heapq.heappop(self._due)[1])
                if connection is not None:
                    self._push(connection)

    def _nap(self) -> float:
        """Seconds that epoll may wait; shorter ones are slept here, to the microsecond."""
        if not self._due:
            return -1
        wait_s = (self._due[0][0] - time.monotonic_ns()) / 1e9
        if wait_s > 0.002:
            return wait_s - 0.001
        if wait_s > 0:
            time.sleep(wait_s)
        return 0

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(sock, self._said)
        self._connections[connection.number] = connection
        self._epoll.register(sock, connection.events)

    def _serve(self, connection: _Connection, events: int) -> None:
        if events & ~select.EPOLLOUT and not connection.read():
            self._close(connection)
        else:
            self._push(connection)

    def _push(self, connection: _Connection) -> None:
        try:
            due_ns = connection.write()
        except ConnectionError:
            self._close(connection)
            return
        if due_ns:
            heapq.heappush(self._due, (due_ns, connection.number))
        events = select.EPOLLIN | (select.EPOLLOUT if due_ns == 0 else 0)
        if events != connection.events:
            self._epoll.modify(connection.number, events)
            connection.events = events

    def _close(self, connection: _Connection) -> None:
        del self._connections[connection.number]
        connection.sock.close()


def serve(listener: socket.socket, said: str = DEFAULT) -> None:
    """Answer on `listener`, in events of that name, until the process ends."""
    listener.listen(BACKLOG)
    _Upstream(listener, Said(EVENTS[said])).run()


def main() -> None:
    """Say where, and serve."""
    options = argparse.ArgumentParser(description="The scripted upstream of the relay benchmark")
    options.add_argument("--events", choices=tuple(EVENTS), default=DEFAULT, help="what is said (default: %(default)s)")
    given = options.parse_args()
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listening:
        print(f"ready http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        serve(listening, given.events)


if __name__ == "__main__":
    main()

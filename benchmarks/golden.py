"""The golden server: a stream of events whose every send is on record.

    python -m benchmarks.golden '{"streams": 20, "events": 200, "interval_ns": 20000000}'

prints its port, answers that many POSTs, and then prints its log as JSON. A client is judged against this log, so the
server is as lean as Python allows: one thread, plain non-blocking sockets, one heap of what is due next.

Schedule: absolute. Write k of a stream is due at `start + k * interval` (a stall shifts all that follow), whatever the
writes before it did, so lateness does not add up. Streams begin on a common grid, `interval / streams` apart, at the
first point of the grid that is `first_ns` or more after their own request: however long a client takes to connect,
its streams' phases are spread.

Log: for every write the monotonic clock read immediately before and after the `send()` system call. On loopback the
kernel delivers within that call, so the arrival lies in this bracket unless the kernel puts delivery off (then it lies
after its start). For every request the kernel's receive time of its last segment (SO_TIMESTAMPNS, socket(7)): with
it a true time to first event exists, `first send - request received`, whatever the client believes.

One request a connection (`Connection: close`). The request's text names the stream, `stream-7`; a request that
names none is a warm-up, is answered at once and stands in no log. Only the standard library is imported; Linux only.
"""

from __future__ import annotations

import gc
import heapq
import json
import re
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeAlias

__all__ = ["SO_TIMESTAMPNS", "Plan", "kernel_stamp_ns", "realtime_offset_ns", "serve"]

SO_TIMESTAMPNS: Final = 35
"""asm-generic/socket.h: x86 and arm. Python's socket module does not name it."""

TIMESPEC: Final = struct.Struct("@ll")
ANCILLARY_BYTES: Final = socket.CMSG_SPACE(TIMESPEC.size)
MAX_REQUEST_BYTES: Final = 1 << 20
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
_STREAM: Final = re.compile(rb"stream-(\d+)")
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")

Ancillary: TypeAlias = Sequence[tuple[int, int, bytes]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What each stream does.

    streams, events      how many; `events` is per stream
    interval_ns          between writes
    per_write            events in one write, each an HTTP chunk of its own
    stall_ns             one stall in each stream, added to the interval after write `stall_after(stream)`; 0: none
    first_ns             the first event comes this long after the request, or up to one interval later
    limit_s              the server gives up then, whatever has been sent
    """

    streams: int
    events: int
    interval_ns: int
    per_write: int = 1
    stall_ns: int = 0
    first_ns: int = 100_000_000
    limit_s: float = 60.0

    @property
    def writes(self) -> int:
        """Writes that carry events, per stream."""
        return -(-self.events // self.per_write)

    def stall_after(self, stream: int) -> int:
        """The write after which the stream stalls: in the middle third, each stream at a place of its own."""
        return self.writes // 3 + (self.writes // 3) * stream // self.streams

    def start_ns(self, stream: int, epoch_ns: int, received_ns: int) -> int:
        """When the first write is due: the stream's first point of the grid not before `received_ns + first_ns`."""
        phase_ns = epoch_ns + self.interval_ns * stream // self.streams
        steps = -(-(received_ns + self.first_ns - phase_ns) // self.interval_ns)
        return phase_ns + steps * self.interval_ns

    def due_ns(self, stream: int, write: int) -> int:
        """When a write is due, counted from the stream's first one; write number `writes` is the end of the stream."""
        stalled = self.stall_ns if write > self.stall_after(stream) else 0
        return write * self.interval_ns + stalled

    def payload(self, write: int) -> bytes:
        """The bytes of a write: events as one HTTP chunk each (RFC 9112 §7.1), or the stream's end."""
        if write == self.writes:
            return _chunk(_event("", "stop") + b"data: [DONE]\n\n") + b"0\r\n\r\n"
        first = write * self.per_write
        numbers = range(first, min(first + self.per_write, self.events))
        return b"".join(_chunk(_event(f"word{number} ", None)) for number in numbers)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(text: str, finish_reason: str | None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-golden", "object": "chat.completion.chunk", "created": 1700000000, "model": "golden"}
    return b"data: " + json.dumps({**head, "choices": [choice]}, separators=(",", ":")).encode() + b"\n\n"


def kernel_stamp_ns(ancillary: Ancillary) -> int | None:
    """The kernel's receive time (CLOCK_REALTIME, ns) out of what recvmsg() gave; None if there is none."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = TIMESPEC.unpack(data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return None


def realtime_offset_ns(tries: int = 5) -> tuple[int, int]:
    """`(offset, error)`: CLOCK_REALTIME minus the monotonic clock, by bracketing, and half the width of the bracket.

    The narrowest of some brackets is taken; a preemption in between only makes one wide. NTP slews both clocks alike,
    so the offset moves by steps of the wall clock only.
    """
    best = (0, 1 << 62)
    for _ in range(tries):
        before = time.monotonic_ns()
        real = time.time_ns()
        after = time.monotonic_ns()
        if after - before < best[1]:
            best = (real - (before + after) // 2, after - before)
    return best[0], best[1] // 2 + 1


@dataclass
class _Stream:
    """One connection: its request so far, then what was sent."""

    connection: socket.socket
    request: bytearray = field(default_factory=bytearray)
    number: int = -1
    received_ns: int = 0
    received_error_ns: int = 0
    start_ns: int = 0
    write: int = 0
    before_ns: list[int] = field(default_factory=list)
    after_ns: list[int] = field(default_factory=list)

    def log(self) -> dict[str, Any]:
        names = ("received_ns", "received_error_ns", "start_ns", "before_ns", "after_ns")
        return {name: getattr(self, name) for name in names}


class _Server:
    def __init__(self, plan: Plan, listener: socket.socket) -> None:
        self._plan = plan
        self._payloads = [plan.payload(write) for write in range(plan.writes + 1)]
        self._listener = listener
        self._epoll = select.epoll()
        self._epoll.register(listener, select.EPOLLIN)
        self._reading: dict[int, _Stream] = {}
        self._due: list[tuple[int, int, _Stream]] = []  # heap: when, which stream
        self._done: list[_Stream] = []
        self._epoch_ns = 0

    def run(self) -> dict[str, Any]:
        """Until every stream of the plan has ended. Returns the log."""
        deadline_ns = time.monotonic_ns() + int(self._plan.limit_s * 1e9)
        while len(self._done) < self._plan.streams:
            now = time.monotonic_ns()
            if now > deadline_ns:
                break
            next_ns = self._due[0][0] if self._due else deadline_ns
            # select() on the epoll's own descriptor: epoll_wait() rounds its time limit to milliseconds.
            if select.select([self._epoll], [], [], max(0, next_ns - now) / 1e9)[0]:
                for descriptor, _ in self._epoll.poll(0):
                    self._readable(descriptor)
            if self._due and self._due[0][0] <= time.monotonic_ns():
                self._send(heapq.heappop(self._due)[2])
        for stream in [*self._reading.values(), *(entry[2] for entry in self._due)]:
            stream.connection.close()
        self._epoll.close()
        return {"plan": asdict(self._plan), "streams": {stream.number: stream.log() for stream in self._done}}

    def _readable(self, descriptor: int) -> None:
        if descriptor == self._listener.fileno():
            connection, _ = self._listener.accept()  # inherits SO_TIMESTAMPNS: its first segment is stamped too
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._epoll.register(connection, select.EPOLLIN)
            self._reading[connection.fileno()] = _Stream(connection)
            return
        stream = self._reading[descriptor]
        data, ancillary, _, _ = stream.connection.recvmsg(65536, ANCILLARY_BYTES)
        stream.request += data
        whole = _is_whole(stream.request)
        if whole or not data or len(stream.request) > MAX_REQUEST_BYTES:
            self._epoll.unregister(descriptor)
            del self._reading[descriptor]
        if whole:
            self._begin(stream, ancillary)
        elif descriptor not in self._reading:
            stream.connection.close()

    def _begin(self, stream: _Stream, ancillary: Ancillary) -> None:
        now = time.monotonic_ns()
        named = _STREAM.search(stream.request)
        if named is None:
            stream.connection.send(HEAD + self._payloads[0] + self._payloads[-1])
            stream.connection.close()
            return
        stream.number = int(named[1])
        stamp = kernel_stamp_ns(ancillary)
        offset, error = realtime_offset_ns()
        stream.received_ns = now if stamp is None else stamp - offset
        stream.received_error_ns = 1_000_000_000 if stamp is None else error
        self._epoch_ns = self._epoch_ns or now
        stream.start_ns = self._plan.start_ns(stream.number, self._epoch_ns, stream.received_ns)
        stream.connection.send(HEAD)
        self._plan_next(stream)

    def _plan_next(self, stream: _Stream) -> None:
        due = stream.start_ns + self._plan.due_ns(stream.number, stream.write)
        heapq.heappush(self._due, (due, stream.number, stream))

    def _send(self, stream: _Stream) -> None:
        payload = self._payloads[stream.write]
        send = stream.connection.send
        before = time.monotonic_ns()
        try:
            sent = send(payload)
        except OSError:  # the client left, or does not read
            sent = -1
        after = time.monotonic_ns()
        if sent == len(payload) and stream.write < self._plan.writes:
            stream.before_ns.append(before)
            stream.after_ns.append(after)
            stream.write += 1
            self._plan_next(stream)
            return
        stream.connection.close()
        self._done.append(stream)


def _is_whole(request: bytearray) -> bool:
    head = request.find(b"\r\n\r\n")
    length = _LENGTH.search(request, 0, head + 2)
    return head >= 0 and len(request) >= head + 4 + (int(length[1]) if length else 0)


def serve(plan: Plan, listener: socket.socket) -> dict[str, Any]:
    """Answer the plan's streams on `listener`, and return the log; its times are those of the monotonic clock."""
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return _Server(plan, listener).run()


def main() -> None:
    """Print the port, serve, print the log."""
    plan = Plan(**json.loads(sys.argv[1]))
    gc.disable()  # a collection is a pause; nothing here makes cycles
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        print(listener.getsockname()[1], flush=True)
        log = serve(plan, listener)
    json.dump(log, sys.stdout)


if __name__ == "__main__":
    main()

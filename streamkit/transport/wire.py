"""How bytes move: a socket each, read in one of two ways.

`ProtocolWire` leaves reading to the event loop, which is the fastest way; its stamps are the time at which a read was
handed to us. `StampedWire` reads by itself with recvmsg(2), because only so the kernel's receive times can be had.

Theory of operation. Each read is told once, to whoever is the wire's `receiver` at that moment, with its stamp:

    ProtocolWire    loop ──data_received()──▶ stamp: now                    ──received(data, stamp)──▶ receiver
    StampedWire     loop ──_readable()──▶ recvmsg(2) ──▶ ReceiveTimes.stamp ──received(data, stamp)──▶ receiver

The receiver changes with the connection's state: nobody (before the first request), an `exchange.Inbox` (a message
comes), and in `transport` what waits for a parked message's end, and what minds an idle connection. It is told the end
once, by `eof` or by `lost`, and nothing behind it; who calls `abort` is told nothing. The choice between the two wires
is the dialer's: `StampedWire` on plain sockets where kernel times are wanted and there, or reads of a bounded size.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns
from typing import Final, Protocol, cast

from streamkit.sockets import TcpInfo, tcp_info, unread_bytes, window_full_ns
from streamkit.transport.receive_times import ReceiveTimes, Stamp, WallClock

__all__ = [
    "LEAST_PART_BYTES",
    "MOST_PART_BYTES",
    "READ_BYTES",
    "TURN_NS",
    "ProtocolWire",
    "Receiver",
    "StampedWire",
    "Timings",
    "Wire",
]

READ_BYTES: Final = 16_384  # of a StampedWire: room for all that waits would cost more than a second read
LEAST_PART_BYTES: Final = 16_384
MOST_PART_BYTES: Final = 32_768
TURN_NS: Final = 3_000_000
"""How a wire hands on a large read: in parts that grow while they take no time, and no longer than this in one turn of
the loop. asyncio reads 256 KiB at once, and uvloop goes on reading while its reads are full: with the smallest of
events, that takes seconds, and stalls all other streams."""
ANCILLARY_BYTES: Final = 64  # one SCM_TIMESTAMPNS takes 32


@dataclass(slots=True)
class Timings:
    """When a request got how far: `time.monotonic_ns()`, None for what has not happened (yet).

    `acquired_ns`: it got its slot in the pool; `connected_ns`: TCP or unix socket connected; `tls_ns`: handshake done
    (both None on a reused connection); `sent_ns`: the last byte of the request went to the kernel, at some moment
    within the `sent_error_ns` after it (None: before it, by how much is not known); `head_ns`: stamp of the read that
    completed the final head.

    `window_full_ns`: for how long, up to the last write that had to wait, the server's end of the connection had no
    room for more (`sockets.window_full_ns`); None where no write had to, or where that is not known.
    `on_sent`, where it is given, is told `(at_ns, size, held_ns)` of each write of the request's body when the kernel
    has it: when, as of `sent_ns`, how many bytes of body (64 KiB at most), and how long the kernel had no room for it.

        timings = Timings()
        response = await client.get(url, extensions={"timings": timings})
    """

    started_ns: int | None = None
    acquired_ns: int | None = None
    connected_ns: int | None = None
    tls_ns: int | None = None
    sent_ns: int | None = None
    sent_error_ns: int | None = None
    head_ns: int | None = None
    window_full_ns: int | None = None
    on_sent: Callable[[int, int, int], object] | None = None


class Receiver(Protocol):
    """Told what a wire reads."""

    def received(self, data: bytes, stamp: Stamp) -> None:
        """One read."""

    def eof(self) -> None:
        """The peer closed. Nothing else will come."""

    def lost(self, error: Exception | None) -> None:
        """The connection broke. Nothing else will come."""


class _Nobody:
    """Before the first request: what comes now was not asked for."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def received(self, data: bytes, stamp: Stamp) -> None:  # noqa: ARG002  # Receiver
        self._wire.abort()

    def eof(self) -> None: ...

    def lost(self, error: Exception | None) -> None: ...


class Wire:
    """A connected socket. `closed` as soon as it is of no more use, whoever closed it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._flushed: asyncio.Future[None] | None = None
        self.receiver: Receiver = _Nobody(self)
        self.closed = False
        self._deaf = False  # the peer takes nothing more, but what it has sent is still to be read
        self.sent_ns = 0
        """When the last byte of the latest write went to the kernel: just before the call that took it, because on
        loopback the answer may be there before that call returns; where we had to wait, when we heard of it."""
        self.sent_error_ns: int | None = 0
        """How long that call took: the byte went at some moment in it. None where we had to wait."""

    def write(self, data: bytes | memoryview) -> bool:
        """Send `data`; True if it is all with the kernel, otherwise await `flush` before the next write."""
        raise NotImplementedError

    def _blocked(self) -> bool:
        raise NotImplementedError

    async def flush(self) -> None:
        """Wait until everything written is with the kernel. Raises ConnectionError if the connection ended before."""
        if self._blocked() and not (self.closed or self._deaf):
            self._flushed = self._loop.create_future()
            await self._flushed
        if self.closed or self._deaf:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

    def _wake_writer(self) -> None:
        if self._flushed is not None and not self._flushed.done():
            self._flushed.set_result(None)

    def pause(self) -> None:
        """Read no more, so that TCP slows the peer down."""
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    def unread_bytes(self) -> int | None:
        """Bytes that the kernel holds for us; None where that is not known, and of a closed wire."""
        raise NotImplementedError

    def window_full_ns(self) -> int | None:
        """See `streamkit.sockets.window_full_ns`."""
        raise NotImplementedError

    def tcp_info(self) -> TcpInfo | None:
        """See `streamkit.sockets.tcp_info`; of a closed wire what it was then, or None where that is not known."""
        raise NotImplementedError

    def stirred(self) -> bool:
        """The peer has sent something, or closed, that was not read yet; asks the kernel."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close at once; what was written and not sent is dropped. The receiver is not told: who aborts knows."""
        raise NotImplementedError


class ProtocolWire(Wire, asyncio.Protocol):
    """An asyncio transport's protocol: TCP and unix sockets, on any event loop; under TLS, see `tls_wire`."""

    _transport: asyncio.Transport
    _full = _paused = False
    _rest = memoryview(b"")  # of a large read
    _part_bytes = LEAST_PART_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Without a write buffer: `pause_writing` then says that the kernel has not taken it all."""
        self._transport = cast(
            "asyncio.Transport", transport
        )  # create_connection's contract; uvloop's have no such base
        self._transport.set_write_buffer_limits(high=0, low=0)

    @property
    def transport(self) -> asyncio.Transport:
        return self._transport

    def data_received(self, data: bytes) -> None:
        if len(data) > self._part_bytes:
            self._rest = memoryview(data)
            self._hand_on()
            return
        now_ns = monotonic_ns()
        self.receiver.received(data, (now_ns, "socket", -1, now_ns))

    def _hand_on(self) -> None:
        """Parts of a large read, each as if it had been read just now."""
        began_ns = now_ns = monotonic_ns()
        while self._rest and now_ns - began_ns < TURN_NS:
            size, since_ns = self._part_bytes, now_ns
            part, self._rest = bytes(self._rest[:size]), self._rest[size:]
            self._take(part, now_ns)
            now_ns = monotonic_ns()
            self._part_bytes = min(2 * size, MOST_PART_BYTES) if now_ns - since_ns < TURN_NS else LEAST_PART_BYTES
        if self._rest:
            self._transport.pause_reading()
            self._loop.call_soon(self._hand_on)
        elif not self._paused:
            self.resume()

    def _hand_on_rest(self) -> None:
        """At once: the connection has ended."""
        if rest := bytes(self._rest):
            self._rest = memoryview(b"")
            self._take(rest, monotonic_ns())

    def _take(self, data: bytes, now_ns: int) -> None:
        self.receiver.received(data, (now_ns, "socket", -1, now_ns))

    def eof_received(self) -> None:
        self._hand_on_rest()
        if not self.closed:
            self.receiver.eof()
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed:
            self.closed = True  # from here on it is neither paused nor resumed
            self._hand_on_rest()
            self.receiver.lost(exc)
            self._wake_writer()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self.sent_ns, self.sent_error_ns = monotonic_ns(), None
        self._wake_writer()

    def write(self, data: bytes | memoryview) -> bool:
        if self.closed:
            return False
        self.sent_ns = monotonic_ns()
        self._transport.write(data)
        self.sent_error_ns = monotonic_ns() - self.sent_ns
        return not self._full

    def _blocked(self) -> bool:
        return self._full

    def pause(self) -> None:
        if not self.closed:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self.closed:
            self._paused = False
            if not self._rest:
                self._transport.resume_reading()

    def unread_bytes(self) -> int | None:
        return None if self.closed else unread_bytes(self._transport.get_extra_info("socket"))

    def window_full_ns(self) -> int | None:
        return None if self.closed else window_full_ns(self._transport.get_extra_info("socket"))

    def tcp_info(self) -> TcpInfo | None:
        return None if self.closed else tcp_info(self._transport.get_extra_info("socket"))

    def stirred(self) -> bool:
        return self.closed or bool(self._rest) or _readable(self._transport.get_extra_info("socket"))

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self._rest = memoryview(b"")
            self._transport.abort()
            self._wake_writer()


class StampedWire(Wire):
    """A plain socket of our own, read with recvmsg(2): for the kernel's receive times, or by so much at a time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, clock: WallClock, read_bytes: int = READ_BYTES
    ) -> None:
        super().__init__(loop)
        self._sock = sock
        # A unix socket has no times to tell, but could hand over file descriptors, which would stay open here.
        self._ancillary_bytes = 0 if sock.family == socket.AF_UNIX else ANCILLARY_BYTES
        self._read_bytes = read_bytes
        self._recvmsg = sock.recvmsg
        self._times = ReceiveTimes(clock)
        self._unsent = memoryview(b"")
        self._last_info: TcpInfo | None = None
        self._reading = False
        self.resume()

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._recvmsg(self._read_bytes, self._ancillary_bytes)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error)
            return
        if data:
            self.receiver.received(data, self._times.stamp(ancillary, drained=len(data) < self._read_bytes))
        else:
            self.receiver.eof()
            self.abort()

    def _fail(self, error: OSError) -> None:
        if not self.closed:
            self.abort()
            self.receiver.lost(error)

    def write(self, data: bytes | memoryview) -> bool:
        if self.closed or self._deaf:
            return False
        self._unsent = memoryview(data)
        self._send()
        if self._unsent and not self._deaf:
            self._loop.add_writer(self._sock, self._writable)
        return not self._blocked()

    def _writable(self) -> None:
        self._send()
        if self._deaf or not self._unsent:
            self._loop.remove_writer(self._sock)
            self._wake_writer()

    def _send(self) -> None:
        self.sent_ns = monotonic_ns()
        try:
            self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            # The answer may have come before the reset: reading goes on, and finds the end by itself.
            self._deaf = True
        self.sent_error_ns = monotonic_ns() - self.sent_ns

    def _blocked(self) -> bool:
        return len(self._unsent) > 0

    def pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock)

    def resume(self) -> None:
        if not (self._reading or self.closed):
            self._reading = True
            self._loop.add_reader(self._sock, self._readable)

    def unread_bytes(self) -> int | None:
        return None if self.closed else unread_bytes(self._sock)

    def window_full_ns(self) -> int | None:
        return None if self.closed else window_full_ns(self._sock)

    def tcp_info(self) -> TcpInfo | None:
        return self._last_info if self.closed else tcp_info(self._sock)

    def stirred(self) -> bool:
        return self.closed or _readable(self._sock)

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self.pause()
            self._loop.remove_writer(self._sock)
            self._last_info = tcp_info(self._sock)
            self._sock.close()
            self._wake_writer()


def _readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))

"""How bytes move: a socket each, read in one of two ways, and how it comes to be connected.

`ProtocolWire` leaves reading to the event loop, which is the fastest way; its stamps are the time at which a read was
handed to us. `KernelWire` reads by itself with recvmsg(2), because only so the kernel's receive times can be had.

What a wire reads goes to its `receiver`, which changes with the connection's state: a response, nothing expected, …
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, cast

import httpx2

from streamkit.kernelclock import SO_TIMESTAMPNS, Kind, ReceiveTimes, WallClock, keep_stamping
from streamkit.sockets import unread_bytes

__all__ = ["Dialer", "KernelWire", "Origin", "ProtocolWire", "Receiver", "SocketOption", "Timings", "Wire"]

SocketOption: TypeAlias = tuple[int, int, int | bytes]
Address: TypeAlias = tuple[Any, ...]  # family, type, protocol, name, socket address: what getaddrinfo(3) gives

READ_BYTES: Final = 16_384  # of the kernel wire: room for all that waits would cost more than a second read
ANCILLARY_BYTES: Final = 64  # one SCM_TIMESTAMPNS takes 32
STAGGER_S: Final = 0.25  # RFC 8305 §5: the delay before the next address is tried beside the first
TLS_SHUTDOWN_S: Final = 1.0

monotonic_ns = time.monotonic_ns


class Origin(NamedTuple):
    """Whom a connection leads to; connections of equal origin can serve each other's requests."""

    scheme: str
    host: str
    port: int


@dataclass(slots=True)
class Timings:
    """When a request got how far: `time.monotonic_ns()`, None for what has not happened (yet).

    `acquired_ns`: it got its slot in the pool; `connected_ns`: TCP or unix socket connected; `tls_ns`: handshake done
    (both None on a reused connection); `sent_ns`: the last byte of the request went to the kernel (under TLS: to
    the TLS layer, which may hold up to 64 KiB); `head_ns`: stamp of the read that completed the final head.
    """

    started_ns: int | None = None
    acquired_ns: int | None = None
    connected_ns: int | None = None
    tls_ns: int | None = None
    sent_ns: int | None = None
    head_ns: int | None = None


class Receiver(Protocol):
    """Takes what a wire reads."""

    def take(self, data: bytes, at_ns: int, kind: Kind, error_ns: int, read_ns: int) -> None:
        """One read; see `kernelclock.Stamp` for its times."""

    def eof(self) -> None:
        """The peer closed. Nothing else will come."""

    def lost(self, error: Exception | None) -> None:
        """The connection broke. Nothing else will come."""


class _Nobody:
    """Before the first request: what comes now was not asked for."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def take(self, data: bytes, at_ns: int, kind: Kind, error_ns: int, read_ns: int) -> None:  # noqa: ARG002  # Receiver
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

    def abort(self) -> None:
        """Close at once; what was written and not sent is dropped. The receiver is not told: who aborts knows."""
        raise NotImplementedError


class ProtocolWire(Wire, asyncio.Protocol):
    """An asyncio transport's protocol: TCP, TLS and unix sockets, on any event loop."""

    _transport: asyncio.Transport
    _full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.use(cast("asyncio.Transport", transport))  # create_connection's contract; uvloop's have no such base

    def use(self, transport: asyncio.Transport, high_bytes: int = 0) -> None:
        """Without a write buffer: `pause_writing` then says that the kernel has not taken it all."""
        self._transport = transport
        transport.set_write_buffer_limits(high=high_bytes, low=0)

    @property
    def transport(self) -> asyncio.Transport:
        return self._transport

    def data_received(self, data: bytes) -> None:
        now_ns = monotonic_ns()
        self.receiver.take(data, now_ns, "socket", -1, now_ns)

    def eof_received(self) -> None:
        if not self.closed:
            self.receiver.eof()
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed:
            self.closed = True
            self.receiver.lost(exc)
            self._wake_writer()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self.sent_ns = monotonic_ns()
        self._wake_writer()

    def write(self, data: bytes | memoryview) -> bool:
        if self.closed:
            return False
        self.sent_ns = monotonic_ns()
        self._transport.write(data)
        return not self._full

    def _blocked(self) -> bool:
        return self._full

    def pause(self) -> None:
        if not self.closed:
            self._transport.pause_reading()

    def resume(self) -> None:
        if not self.closed:
            self._transport.resume_reading()

    def unread_bytes(self) -> int | None:
        return None if self.closed else unread_bytes(self._transport.get_extra_info("socket"))

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self._transport.abort()
            self._wake_writer()


class KernelWire(Wire):
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
            self.receiver.take(data, *self._times.stamp(ancillary, drained=len(data) < self._read_bytes))
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

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self.pause()
            self._loop.remove_writer(self._sock)
            self._sock.close()
            self._wake_writer()


class Dialer:
    """Makes connected wires.

    `ssl_context` None: the system's certificates, verified, without a look at the environment; read when first needed.
    `kernel_stamps` gives a KernelWire where there are such times: plain TCP on Linux. `read_bytes` gives one on every
    plain socket, with or without them.
    """

    def __init__(
        self,
        *,
        unix: str | None,
        ssl_context: ssl.SSLContext | None,
        socket_options: Sequence[SocketOption],
        kernel_stamps: bool,
        read_bytes: int | None = None,
    ) -> None:
        self._unix = unix
        self._ssl_context = ssl_context
        self._socket_options = tuple(socket_options)
        self._read_bytes = read_bytes
        self._stamped = kernel_stamps and sys.platform == "linux" and unix is None
        if self._stamped:
            keep_stamping()
        self._clock = WallClock() if self._stamped or read_bytes is not None else None

    async def dial(self, origin: Origin, timings: Timings) -> Wire:
        """A wire to `origin`. Raises httpx2.ConnectError; the time limit is the caller's."""
        loop = asyncio.get_running_loop()
        context = await self._context() if origin.scheme == "https" else None
        clock = None if context else self._clock
        try:
            sock = await self._connected_socket(loop, origin, stamped=self._stamped and clock is not None)
        except OSError as error:
            raise httpx2.ConnectError(f"no connection: {_reason(error)}") from None
        timings.connected_ns = monotonic_ns()
        if clock is not None:
            return KernelWire(loop, sock, clock, self._read_bytes or READ_BYTES)
        wire = await _wrapped(loop, sock)
        if context is not None:
            await _start_tls(loop, wire, context, origin.host)
            timings.tls_ns = monotonic_ns()
        return wire

    async def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            # In a thread: parsing the certificates takes tens of milliseconds, which would stall every stream.
            context = await asyncio.to_thread(_default_context)
            self._ssl_context = self._ssl_context or context
        return self._ssl_context

    async def _connected_socket(
        self, loop: asyncio.AbstractEventLoop, origin: Origin, *, stamped: bool
    ) -> socket.socket:
        options = self._socket_options
        if self._unix is not None:
            return await _connect(loop, (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", self._unix), options)
        options = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *options)
        if stamped:
            options = ((socket.SOL_SOCKET, SO_TIMESTAMPNS, 1), *options)
        addresses = await _resolve(loop, origin)
        return await _first([_attempt(loop, address, options) for address in addresses])


def _default_context() -> ssl.SSLContext:
    context = httpx2.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _resolve(loop: asyncio.AbstractEventLoop, origin: Origin) -> Sequence[Address]:
    """The addresses, in the order of RFC 6724; an address as such needs no thread."""
    kind = {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}
    with contextlib.suppress(socket.gaierror):
        return socket.getaddrinfo(origin.host, origin.port, flags=socket.AI_NUMERICHOST, **kind)
    return await loop.getaddrinfo(origin.host, origin.port, **kind)


def _attempt(
    loop: asyncio.AbstractEventLoop, address: Address, options: Sequence[SocketOption]
) -> Callable[[], Coroutine[Any, Any, socket.socket]]:
    return lambda: _connect(loop, address, options)


async def _connect(loop: asyncio.AbstractEventLoop, address: Address, options: Sequence[SocketOption]) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        for level, name, value in options:
            sock.setsockopt(level, name, value)
        await loop.sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


async def _first(attempts: Sequence[Callable[[], Coroutine[Any, Any, socket.socket]]]) -> socket.socket:
    """Happy eyeballs (RFC 8305 §5): the next address is tried when the last one failed, or took 250 ms so far."""
    if len(attempts) == 1:
        return await attempts[0]()
    running: set[asyncio.Task[socket.socket]] = set()
    error: BaseException = OSError("the name has no address")
    try:
        for number, attempt in enumerate(attempts, 1):
            running.add(asyncio.create_task(attempt()))
            while running:
                patience_s = STAGGER_S if number < len(attempts) else None
                done, _ = await asyncio.wait(running, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
                running -= done
                won = [task.result() for task in done if task.exception() is None]
                for late in won[1:]:
                    late.close()
                if won:
                    return won[0]
                for task in done:
                    error = task.exception() or error
                if number < len(attempts):
                    break
        raise error
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close_late)


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    """Somebody else won, or nobody wants it any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _wrapped(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> ProtocolWire:
    """The loop takes the socket over, which must not be interrupted half-way: uvloop would leave it owned twice."""
    make = loop.create_unix_connection if sock.family == socket.AF_UNIX else loop.create_connection
    taking: asyncio.Task[tuple[Any, ProtocolWire]] = loop.create_task(make(lambda: ProtocolWire(loop), sock=sock))
    try:
        _, wire = await asyncio.shield(taking)
    except asyncio.CancelledError:
        taking.add_done_callback(lambda task: task.result()[1].abort())
        raise
    return wire


async def _start_tls(loop: asyncio.AbstractEventLoop, wire: ProtocolWire, context: ssl.SSLContext, host: str) -> None:
    plain = wire.transport
    try:
        transport = await loop.start_tls(
            plain, wire, context, server_hostname=host, ssl_shutdown_timeout=TLS_SHUTDOWN_S
        )
        if transport is None:  # asyncio, when the connection was closed during the handshake
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))  # noqa: TRY301  # see above
    except BaseException as error:
        plain.abort()
        wire.closed = True
        if isinstance(error, OSError):  # ssl.SSLError and ssl.CertificateError are OSErrors
            raise httpx2.ConnectError(f"no TLS connection: {_reason(error)}") from None
        raise
    wire.use(transport, high_bytes=1)  # asyncio's TLS pauses *at* the mark, others above it


def _reason(error: OSError) -> str:
    """Why, without the addresses and names that the texts of these errors hold."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate was not accepted (X509_V_ERR {error.verify_code})"
    if isinstance(error, ssl.SSLError):
        return f"the handshake failed ({error.reason})"
    if isinstance(error, socket.gaierror):
        return "the host name was not resolved"
    return os.strerror(error.errno) if error.errno else type(error).__name__

"""How a wire comes to be connected: names, addresses, TLS. The errors name neither host nor path."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from time import monotonic_ns
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import httpx2

from streamkit.transport.receive_times import SO_TIMESTAMPNS, WallClock, keep_stamping
from streamkit.transport.refusals import reason
from streamkit.transport.tls import ssl_context
from streamkit.transport.tls_wire import TLSWire
from streamkit.transport.wire import READ_BYTES, ProtocolWire, StampedWire, Timings, Wire

__all__ = ["STAGGER_S", "Dialer", "Origin", "SocketOption", "first_connected", "origin_of"]

SocketOption: TypeAlias = tuple[int, int, int | bytes]
Address: TypeAlias = tuple[Any, ...]  # family, type, protocol, name, socket address: what getaddrinfo(3) gives
AnyWire = TypeVar("AnyWire", bound=ProtocolWire)
Attempt: TypeAlias = Callable[[], Coroutine[Any, Any, socket.socket]]

STAGGER_S: Final = 0.25  # RFC 8305 §5: the delay before the next address is tried beside the first
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Whom a connection leads to; connections of equal origin can serve each other's requests."""

    scheme: str
    host: str
    port: int


def origin_of(url: httpx2.URL) -> Origin:
    """Whom `url` leads to. Raises httpx2.UnsupportedProtocol."""
    if url.scheme not in DEFAULT_PORTS or not url.host:
        raise httpx2.UnsupportedProtocol("expected a URL with http:// or https:// and a host")
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS[url.scheme])


class Dialer:
    """Makes connected wires.

    `ssl_context` None: the system's certificates, verified, without a look at the environment; read when first needed.
    `kernel_stamps` gives a StampedWire where there are such times: plain TCP on Linux. `read_bytes` gives one on every
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
            raise httpx2.ConnectError(f"no connection: {reason(error)}") from None
        timings.connected_ns = monotonic_ns()
        if clock is not None:
            return StampedWire(loop, sock, clock, self._read_bytes or READ_BYTES)
        if context is None:
            return await _wrapped(loop, sock, partial(ProtocolWire, loop))
        secure = await _wrapped(loop, sock, partial(TLSWire, loop, context, origin.host))
        await _shaken(secure)
        timings.tls_ns = monotonic_ns()
        return secure

    async def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            # In a thread: parsing the certificates takes tens of milliseconds, which would stall every stream.
            context = await asyncio.to_thread(ssl_context)
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
        return await first_connected([partial(_connect, loop, address, options) for address in addresses])


async def _resolve(loop: asyncio.AbstractEventLoop, origin: Origin) -> Sequence[Address]:
    """The addresses, in the order of RFC 6724; an address as such needs no thread."""
    kind = {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}
    with contextlib.suppress(socket.gaierror):
        return socket.getaddrinfo(origin.host, origin.port, flags=socket.AI_NUMERICHOST, **kind)
    return await loop.getaddrinfo(origin.host, origin.port, **kind)


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


async def first_connected(attempts: Sequence[Attempt]) -> socket.socket:
    """Happy eyeballs (RFC 8305 §5): the next address is tried when the last one failed, or took 250 ms so far.

    By hand, because aiohappyeyeballs 2.7.1 does two things that we cannot have: a request that is cancelled while the
    losers are being ended is connected all the same (`staggered_race` suppresses CancelledError there, for a turn of
    the loop or two with each loser), and where addresses fail for different reasons (no IPv6 route, then refused), its
    error has no errno.
    """
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


async def _wrapped(loop: asyncio.AbstractEventLoop, sock: socket.socket, make_wire: Callable[[], AnyWire]) -> AnyWire:
    """The loop takes the socket over, which must not be interrupted half-way: uvloop would leave it owned twice."""
    make = loop.create_unix_connection if sock.family == socket.AF_UNIX else loop.create_connection
    taking: asyncio.Task[tuple[Any, AnyWire]] = loop.create_task(make(make_wire, sock=sock))
    try:
        _, wire = await asyncio.shield(taking)
    except asyncio.CancelledError:
        taking.add_done_callback(lambda task: task.result()[1].abort())
        raise
    return wire


async def _shaken(wire: TLSWire) -> None:
    try:
        await wire.handshake()
    except BaseException as error:
        wire.abort()
        if isinstance(error, OSError):  # ssl.SSLError and ssl.CertificateError are OSErrors
            raise httpx2.ConnectError(f"no TLS connection: {reason(error)}") from None
        raise

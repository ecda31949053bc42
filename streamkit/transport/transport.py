"""The transport of relay and recorder: httpx2's interface, our own sockets, and a stamp on every socket read.

A read goes wire → parser → `exchange.Inbox` in one callback, and comes out of `Body` as one part, however many HTTP
chunks it held. HTTP/1.1 only, no proxies: any other httpx2 transport can stand here for those, and has no stamps.

The errors are httpx2's own. Their texts name the timer and the time, never a host, a path or a header.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic_ns
from typing import Final, Literal

import httpx2

from streamkit.transport.body import Body
from streamkit.transport.dialer import Dialer, Origin, SocketOption, origin_of
from streamkit.transport.errors import ClosedIdle
from streamkit.transport.exchange import READ_AHEAD_BYTES, Exchange, Fate, Inbox
from streamkit.transport.framing import WireError
from streamkit.transport.outgoing import Outgoing, Template
from streamkit.transport.pool import Pool, WhenFull
from streamkit.transport.receive_times import Stamp
from streamkit.transport.wire import Timings, Wire

__all__ = ["StreamTransport"]

PARK_S: Final = 0.1
PARK_BYTES: Final = 4_096


class StreamTransport(httpx2.AsyncBaseTransport):
    """An httpx2 transport for HTTP/1.1 over TCP, TLS or a unix socket, with a stamp on each read of the answer.

        async with httpx2.AsyncClient(transport=StreamTransport(stamps="kernel")) as client:
            async with client.stream("POST", url, data={"chat_history": "hi"}) as response:
                async for data in (body := response.extensions["stamps"]):
                    print(body.at_ns, data)

    unix              the path of a unix socket that all requests go to
    ssl_context       for TLS; by default the system's certificates, verified
    max_connections, when_full, max_waiting, keepalive_s
                      see `pool.Pool`
    socket_options    (level, name, value), set before connecting
    stamps            "socket": the time at which a read returned. "kernel": the kernel's receive times where there are
                      any (plain TCP on Linux), elsewhere as for "socket"; `Body.kind` says which
    max_head_bytes    how large the heads of an answer may be together
    read_ahead_bytes  how much of an answer is read before somebody takes it
    receive_buffer_bytes
                      SO_RCVBUF of each connection; 0 leaves it to the kernel
    read_bytes        the most that one read takes (not under TLS), for a reader that leaves to the kernel what it does
                      not want yet

    A request that is too large for one write is sent while its answer is read, even after the answer's head, until the
    answer ends or refuses (a status from 400 on). With `Expect: 100-continue`, its body waits for the server's word,
    for at most `exchange.CONTINUE_S`.

    `request.extensions["timeout"]` is httpx's dict of seconds: `pool`, `connect` (name, connection and TLS together),
    `write` (each 64 KiB), `read` (until the next bytes, once everything is sent). `request.extensions["timings"]` may
    be a `Timings`, which is filled in even if the request fails. `response.extensions["stamps"]` is the `Body`.

    It belongs to the event loop of its first request: RuntimeError in any other, and after `aclose`.
    """

    def __init__(
        self,
        *,
        unix: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = 100,
        when_full: WhenFull = "wait",
        max_waiting: int = 1000,
        keepalive_s: float = 5.0,
        socket_options: Sequence[SocketOption] = (),
        stamps: Literal["kernel", "socket"] = "socket",
        max_head_bytes: int = 65_536,
        read_ahead_bytes: int = READ_AHEAD_BYTES,
        receive_buffer_bytes: int = 0,
        read_bytes: int | None = None,
    ) -> None:
        if stamps not in ("kernel", "socket"):
            raise ValueError(f"expected stamps 'kernel' or 'socket', got {stamps!r}")
        if receive_buffer_bytes:  # before connecting: the window is agreed on with the first packets (tcp(7))
            socket_options = [*socket_options, (socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)]
        self._dialer = Dialer(
            unix=unix,
            ssl_context=ssl_context,
            socket_options=socket_options,
            kernel_stamps=stamps == "kernel",
            read_bytes=read_bytes,
        )
        self._pool: Pool[Wire] = Pool(
            lambda wire: wire.abort(),
            max_connections=max_connections,
            when_full=when_full,
            max_waiting=max_waiting,
            keepalive_s=keepalive_s,
        )
        self._max_head_bytes = max_head_bytes
        self._read_ahead_bytes = read_ahead_bytes
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._running: set[Exchange] = set()
        self._dialing: set[asyncio.Timeout] = set()

    @property
    def open_connections(self) -> int:
        """How many of the `max_connections` slots are taken: in use, connecting, idle or parked."""
        return self._pool.open

    @property
    def idle_connections(self) -> int:
        """How many connections wait for their next request, each for at most `keepalive_s`."""
        return self._pool.idle

    @property
    def waiting_requests(self) -> int:
        """How many requests wait for a slot, with `when_full="wait"`."""
        return self._pool.waiting

    def __repr__(self) -> str:
        pool = self._pool
        return f"<StreamTransport: {pool.open} connections, {pool.idle} of them idle, {pool.waiting} requests waiting>"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and return the answer when its head has come; its stream is a `Body`, to be read or closed.

            response = await transport.handle_async_request(httpx2.Request("GET", url))

        Raises httpx2's errors, each for its phase: PoolTimeout, ConnectTimeout, ConnectError, WriteTimeout, WriteError,
        ReadTimeout, ReadError, RemoteProtocolError; LocalProtocolError and UnsupportedProtocol for a request that
        cannot be sent; and our own subclasses (`errors`) MalformedHead and HeadTooLarge. A request that the server
        closed without hearing, on a connection that had been used before, is sent once more on a new one; if it must
        not be (RFC 9110, section 9.2.2), that is a ClosedIdle.
        """
        timings: Timings = request.extensions.get("timings") or Timings()
        timings.started_ns = monotonic_ns()
        self._check_open()
        limits: Mapping[str, float | None] = request.extensions.get("timeout") or {}
        body = await self._asked(origin_of(request.url), Outgoing(request), timings, limits)
        head = body.head
        return httpx2.Response(
            status_code=head.status or 0,
            headers=head.headers,
            stream=body,
            extensions={"http_version": head.http_version, "reason_phrase": head.reason, "stamps": body},
        )

    async def ask(self, template: Template, content: bytes, connect_s: float | None) -> Body:
        """Send a request without httpx2's objects around it, which take as long as all the rest.

        `template` is the request's head, `content` its body, `connect_s` the time for the slot and for connecting. The
        head of the answer is `Body.head`.
        """
        self._check_open()
        limits = {"pool": connect_s, "connect": connect_s}
        timings = Timings(started_ns=monotonic_ns())
        return await self._asked(template.origin, template.outgoing(content), timings, limits)

    async def _asked(
        self, origin: Origin, outgoing: Outgoing, timings: Timings, limits: Mapping[str, float | None]
    ) -> Body:
        wire = await self._pool.acquire(origin, limits.get("pool"))
        timings.acquired_ns = monotonic_ns()
        try:
            exchange = await self._answered(wire, origin, outgoing, timings, limits)
        except BaseException:
            self._pool.free()
            raise
        return Body(exchange, limits.get("read"))

    async def aclose(self) -> None:
        """Close every connection, even those in use: their readers, and requests that wait, get an error."""
        if self._loop is None:
            self._closed = True
            return
        self._check_loop()
        self._closed = True
        self._pool.shut(_closed_error)
        for scope in list(self._dialing):
            scope.reschedule(self._loop.time())
        for exchange in list(self._running):
            exchange.inbox.fail(_closed_error)
            exchange.wire.abort()
        for _ in range(4):  # cancelled dialling, and the loops themselves, close sockets in their next turns
            await asyncio.sleep(0)

    async def _answered(
        self,
        wire: Wire | None,
        origin: Origin,
        outgoing: Outgoing,
        timings: Timings,
        limits: Mapping[str, float | None],
    ) -> Exchange:
        """The exchange of which the head has come. If this fails, the connection is closed, and the slot still held."""
        if wire is not None and wire.stirred():
            wire.abort()  # what it says would pass for the answer, and if it was closed, the request would be lost
        used_before = wire is not None and not wire.closed
        while True:
            if wire is None or wire.closed:
                wire = await self._dial(origin, timings, limits.get("connect"))
            exchange = Exchange(
                wire, outgoing, self._max_head_bytes, self._read_ahead_bytes, partial(self._done, origin)
            )
            self._running.add(exchange)
            try:
                await exchange.ask(timings, limits.get("write"), limits.get("read"))
            except BaseException as error:
                exchange.stop()
                self._running.discard(exchange)
                wire.abort()
                await exchange.sender_ended()
                gone = isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError) and exchange.untouched
                if not (gone and used_before) or self._closed:
                    raise
                if not outgoing.replayable:
                    raise ClosedIdle(f"{error}; it was used before, and this request must not be sent twice") from None
                used_before = False
            else:
                return exchange

    async def _dial(self, origin: Origin, timings: Timings, connect_s: float | None) -> Wire:
        if self._closed:
            raise _closed_error()
        try:
            async with asyncio.timeout(connect_s) as scope:
                self._dialing.add(scope)
                try:
                    return await self._dialer.dial(origin, timings)
                finally:
                    self._dialing.discard(scope)
        except TimeoutError:
            if self._closed:
                raise _closed_error() from None
            missing = "no connection" if timings.connected_ns is None else "connected, but no TLS handshake"
            raise httpx2.ConnectTimeout(f"{missing} within {connect_s:g} s") from None

    def _done(self, origin: Origin, exchange: Exchange, fate: Fate) -> None:
        self._running.discard(exchange)
        wire = exchange.wire
        if fate == "park" and not self._closed and not exchange.inbox.paused and self._pool.park(wire):
            wire.receiver = _Parked(exchange.inbox, lambda reuse: self._unpark(origin, wire, reuse))
        else:
            self._settle(origin, wire, reuse=fate == "reuse")

    def _unpark(self, origin: Origin, wire: Wire, reuse: bool) -> None:
        """The message has ended, or took too long; nothing is left to do if the slot was needed before."""
        if self._pool.unpark(wire):
            self._settle(origin, wire, reuse=reuse)

    def _settle(self, origin: Origin, wire: Wire, *, reuse: bool) -> None:
        """The last word on a slot: its connection goes idle, or is closed."""
        if reuse and not (self._closed or wire.closed):
            wire.receiver = _Idle(self._pool, wire)
            wire.resume()
            self._pool.give_back(origin, wire)
        else:
            wire.abort()
            self._pool.free()

    def _check_open(self) -> None:
        self._check_loop()
        if self._closed:
            raise RuntimeError("this StreamTransport is closed; make a new one")

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise RuntimeError("this StreamTransport belongs to another event loop; make one for each loop")


class _Idle:
    """The receiver of a connection that waits for its next request: whatever comes now makes it useless."""

    __slots__ = ("_pool", "_wire")

    def __init__(self, pool: Pool[Wire], wire: Wire) -> None:
        self._pool = pool
        self._wire = wire

    def received(self, data: bytes, stamp: Stamp) -> None:  # noqa: ARG002  # Receiver
        self.eof()

    def eof(self) -> None:
        self._wire.abort()
        self._pool.forget(self._wire)

    def lost(self, error: Exception | None) -> None:  # noqa: ARG002  # Receiver
        self.eof()


class _Parked:
    """The receiver of a connection whose response nobody wants further, for the moment until its own end comes."""

    __slots__ = ("_left", "_parser", "_settle", "_timer")

    def __init__(self, inbox: Inbox, settle: Callable[[bool], None]) -> None:
        self._parser = inbox.parser
        self._settle = settle
        self._left = PARK_BYTES - sum(len(data) for data, _, _ in inbox.pending)
        self._timer = asyncio.get_running_loop().call_later(PARK_S, self.eof)

    def received(self, data: bytes, stamp: Stamp) -> None:  # noqa: ARG002  # Receiver
        self._left -= len(data)
        try:
            self._parser.feed(data)
        except WireError:
            self._leave(reuse=False)
            return
        if self._parser.complete or self._left < 0:
            self._leave(reuse=self._parser.reusable)

    def eof(self) -> None:
        self._leave(reuse=False)

    def lost(self, error: Exception | None) -> None:  # noqa: ARG002  # Receiver
        self._leave(reuse=False)

    def _leave(self, *, reuse: bool) -> None:
        self._timer.cancel()
        self._settle(reuse)


def _closed_error() -> Exception:
    return httpx2.ReadError("the transport was closed")

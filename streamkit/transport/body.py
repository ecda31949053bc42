"""The answer's body: one bytes object for each socket read."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from time import monotonic_ns
from typing import NoReturn

import httpx2

from streamkit.sockets import TcpInfo
from streamkit.transport.exchange import Exchange, Sink
from streamkit.transport.http1 import ResponseParser
from streamkit.transport.receive_times import StampKind
from streamkit.transport.wire import TURN_NS

__all__ = ["Body"]


class Body(httpx2.AsyncByteStream):
    """A response's body: iterate it for one `bytes` object per socket read that brought some of it, never empty.

        body = response.extensions["stamps"]
        async for data in body:
            print(body.read, body.at_ns, data)

    Its attributes describe the part just yielded; all times are `time.monotonic_ns()`:

    read       the number of its socket read, from 1, counted over the whole answer, heads included
    at_ns, kind, error_ns, read_ns
               its stamp, see `receive_times.Stamp`. No two reads share one; `read_ns - at_ns` is how late Python was

    Raises httpx2.ReadTimeout, ReadError (reset) and RemoteProtocolError (cut, or against the rules of HTTP), after all
    that came before has been yielded; StreamClosed when iterated after `aclose`.
    """

    read: int = 0
    at_ns: int = 0
    kind: StampKind = "socket"
    error_ns: int = -1
    read_ns: int = 0

    def __init__(self, exchange: Exchange, read_s: float | None) -> None:
        self._exchange = exchange
        self._inbox = exchange.inbox
        self._pending = exchange.inbox.pending
        self._read_s = read_s
        self._parked = self._closed = False
        self._loop = asyncio.get_running_loop()

    @property
    def head(self) -> ResponseParser:
        """The head of the answer: `status`, `reason`, `http_version` and `headers`."""
        return self._inbox.parser

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        while not self._pending:
            if self._closed:
                raise httpx2.StreamClosed
            if self._inbox.error is not None or self._inbox.parser.complete:
                self._end()
            await self._inbox.more(self._read_s)
        if self._closed:
            raise httpx2.StreamClosed
        data, self.read, (self.at_ns, self.kind, self.error_ns, self.read_ns) = self._pending.pop(0)
        self._inbox.shrink(len(data))
        return data

    async def pour(self, sink: Sink) -> None:
        """Pass each `ReadPart` to `sink` in the callback that reads it, until the end, or until `sink` returns False.

        So nothing lies between reading and taking, and a future and a turn of the loop are saved for each read. `sink`
        gets all that iteration would give, and must not wait; what comes after its False can be poured or iterated
        later. Raises what iteration raises, and what `sink` raises.

            def sink(part):
                data, number, (at_ns, kind, error_ns, read_ns) = part
                return number < 100

            await body.pour(sink)
        """
        inbox = self._inbox
        inbox.enough = False
        try:
            # What came with the head; what comes meanwhile queues up behind it.
            while self._pending and not inbox.enough:
                part = self._pending.pop(0)
                inbox.shrink(len(part[0]))
                since_ns = monotonic_ns()
                inbox.enough = not sink(part)
                if monotonic_ns() - since_ns > TURN_NS:
                    await asyncio.sleep(0)
            inbox.sink = sink
            while not inbox.over:
                await inbox.more(self._read_s)
        finally:
            inbox.sink = None
        if inbox.spilled is not None:
            raise inbox.spilled
        if self._closed:
            raise httpx2.StreamClosed
        if inbox.enough:
            return
        self._exchange.finish()
        if inbox.error is not None:
            raise inbox.error()

    def _end(self) -> NoReturn:
        self._exchange.finish()
        if self._inbox.error is not None:
            raise self._inbox.error()
        raise StopAsyncIteration

    def pause(self) -> None:
        """Stop reading until `resume`; the read timeout is suspended meanwhile."""
        if not self._exchange.finished:
            self._inbox.hold_back(True)

    def resume(self) -> None:
        """Go on reading after `pause`."""
        if not self._exchange.finished:
            self._inbox.hold_back(False)

    @property
    def received_bytes(self) -> int:
        """How many bytes of the whole message were read, including its head and the framing of chunks."""
        return self._inbox.received_bytes

    @property
    def waiting_bytes(self) -> int:
        """How many bytes were read that nobody has taken yet."""
        return sum(len(data) for data, _, _ in self._pending)

    def unread_bytes(self) -> int | None:
        """How many bytes the kernel holds that were not read yet; None if that is not known, or the message is over."""
        return None if self._exchange.finished else self._exchange.wire.unread_bytes()

    def tcp_info(self) -> TcpInfo | None:
        """What the kernel knows about the connection (`streamkit.sockets.tcp_info`), even after it was closed."""
        return self._exchange.wire.tcp_info()

    def park(self) -> None:
        """Say that the stream is over although the message is not.

        `aclose` then leaves the connection open for up to 0.1 s and 4 KiB, so that the message's own end may come and
        another request may use the connection. Nobody waits for that, and it gives way if the pool is full.
        """
        self._parked = True

    async def aclose(self) -> None:
        """Give the connection back to the pool if the message has ended; otherwise close it at once.

        A request that is still being sent ends with it: what it was sent from is closed when this returns.
        """
        self._closed = True
        self._exchange.finish(park=self._parked)
        await self._exchange.sender_ended()

    def __del__(self) -> None:
        exchange = getattr(self, "_exchange", None)
        if exchange is None or exchange.finished:
            return
        warnings.warn("a response was neither read to its end nor closed", ResourceWarning, stacklevel=2, source=self)
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the socket with it
            self._loop.call_soon_threadsafe(exchange.finish)

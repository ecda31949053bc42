"""One request and its response on one connection: what is sent, what has come and waits, and how it ends.

wire ──take()──▶ Inbox ──pending──▶ transport.Body    or    Inbox ──sink()──▶ whoever asked for it
wire ◀──write()── Exchange ◀── Outgoing
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

import httpx2

from streamkit.transport.http1 import ResponseParser, WireError
from streamkit.transport.outgoing import WRITE_BYTES, Outgoing
from streamkit.transport.receive_times import Kind
from streamkit.transport.wire import Timings, Wire

__all__ = ["READ_AHEAD_BYTES", "Entry", "Exchange", "Fate", "Inbox", "Sink"]

READ_AHEAD_BYTES: Final = 65_536
"""How much of an answer is read before somebody takes it, by default; reading goes on at a quarter of it."""
PIECE_BYTES: Final = 256
"""What a pending piece costs beside its bytes (tuple, numbers, headers of objects): many small ones are not free."""

Entry = tuple[bytes, int, int, Kind, int, int]
"""A piece with `read`, `at_ns`, `kind`, `error_ns` and `read_ns`: what `transport.Body` says of it."""
Sink = Callable[[Entry], bool]
"""Takes a piece in the callback that reads it; False: enough."""
Fate = Literal["reuse", "park", "close"]
"""What is to become of the connection."""
_MakeError = Callable[[], BaseException]


class Inbox:
    """What has come of one response and waits to be taken. The receiver of a wire that is in use."""

    __slots__ = (
        "_feed",
        "_high",
        "_limit_s",
        "_loop",
        "_since",
        "_timer",
        "_waiter",
        "_wire",
        "ended",
        "enough",
        "error",
        "head_ns",
        "held",
        "held_back",
        "parser",
        "paused",
        "pending",
        "reads",
        "received",
        "sink",
        "spilled",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wire: Wire, parser: ResponseParser, read_ahead_bytes: int
    ) -> None:
        self._loop = loop
        self._wire = wire
        self._high = read_ahead_bytes
        self._feed = parser.feed
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._limit_s = self._since = 0.0
        self.parser = parser
        self.pending: deque[Entry] = deque()
        self.held = 0  # bytes pending, see PIECE_BYTES
        self.paused = False
        self.held_back = False  # by the reader's own wish
        self.reads = 0
        self.received = 0  # bytes, all of the message's framing included
        self.head_ns: int | None = None
        self.ended = False
        self.error: _MakeError | None = None
        self.sink: Sink | None = None
        self.enough = False  # said the sink: what comes now is pending again
        self.spilled: Exception | None = None  # what the sink raised

    def take(self, data: bytes, at_ns: int, kind: Kind, error_ns: int, read_ns: int) -> None:
        self.reads = read = self.reads + 1
        self.received += len(data)
        try:
            piece = self._feed(data)
        except WireError as error:
            piece = error.body
            self.fail(_maker(httpx2.RemoteProtocolError, str(error)))
        if self.head_ns is None and self.parser.status is not None:
            self.head_ns = at_ns
        if self.sink is not None and not self.enough:
            self._since = self._loop.time()
            if piece:
                self._pour(self.sink, (piece, read, at_ns, kind, error_ns, read_ns))
            if not self.over:
                return
        elif piece:
            self.pending.append((piece, read, at_ns, kind, error_ns, read_ns))
            self.held += len(piece) + PIECE_BYTES
            if self.held > self._high and not self.paused:
                self.paused = True
                self._wire.pause()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _pour(self, sink: Sink, entry: Entry) -> None:
        try:
            self.enough = not sink(entry)
        except Exception as error:  # noqa: BLE001  # it is raised where the sink was given
            self.enough, self.spilled = True, error

    def eof(self) -> None:
        self.ended = True
        try:
            self.parser.eof()
        except WireError as error:
            self.fail(_maker(httpx2.RemoteProtocolError, str(error)))
        self.wake()

    def lost(self, error: Exception | None) -> None:
        reason = "reset" if isinstance(error, ConnectionError) else "broken"
        self.fail(_maker(httpx2.ReadError, f"the connection was {reason} before the answer was complete"))

    def fail(self, error: _MakeError) -> None:
        """Nothing more will come; what is pending can still be taken. The first error counts."""
        if self.error is None and not self.parser.complete:
            self.error = error
        self.wake()

    @property
    def over(self) -> bool:
        """Nothing more will be pending, or is wanted."""
        return self.parser.complete or self.error is not None or self.enough

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def more(self, limit_s: float | None) -> asyncio.Future[None]:
        """To be awaited: done with the next read, at the end, or after `limit_s`, with httpx2.ReadTimeout."""
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("two tasks read the same response")
        if limit_s is not None:
            self._since, self._limit_s = self._loop.time(), limit_s
            if self._timer is None:
                self._timer = self._loop.call_later(limit_s, self._ring)
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _ring(self) -> None:
        """One timer is moved on when it rings too early, instead of one set and cancelled for each read."""
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self.held_back:  # we do not read, so that nothing comes says nothing of the server
            self._since = self._loop.time()
        due = self._since + self._limit_s
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._ring)
        else:
            self.error = self.error or _maker(httpx2.ReadTimeout, f"nothing was received for {self._limit_s:g} s")
            self._waiter.set_result(None)

    def shrink(self, size: int) -> None:
        """A piece of `size` bytes was taken."""
        self.held -= size + PIECE_BYTES
        if self.paused and self.held <= self._high // 4:
            self.resume()

    def resume(self) -> None:
        self.paused = False
        if not self.held_back:
            self._wire.resume()

    def hold_back(self, held_back: bool) -> None:
        """Read nothing from now on, or again."""
        if held_back != self.held_back:
            self.held_back = held_back
            self._since = self._loop.time()
            if held_back:
                self._wire.pause()
            elif not self.paused:
                self._wire.resume()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Broken(Exception):
    """The server takes no more of the request."""


class Exchange:
    """One request on one connection: sending it, the wait for the head, and what becomes of the connection."""

    def __init__(
        self,
        wire: Wire,
        request: Outgoing,
        max_head_bytes: int,
        read_ahead_bytes: int,
        done: Callable[[Exchange, Fate], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = done
        self._request = request
        self._sender: asyncio.Task[None] | None = None
        self._sent = self._broken = False
        self.wire = wire
        parser = ResponseParser(request.method, max_head_bytes=max_head_bytes)
        self.inbox = Inbox(self._loop, wire, parser, read_ahead_bytes)
        self.finished = False
        wire.receiver = self.inbox

    async def head(self, timings: Timings, write_s: float | None, read_s: float | None) -> None:
        """Send the request and wait for the head of the response, which may come first."""
        request, inbox = self._request, self.inbox
        if self.wire.closed:
            raise httpx2.ReadError("the connection was closed before the request was sent")
        if request.small and self.wire.write(request.head + request.content):
            self._note_sent(timings)
        else:
            self._sender = self._loop.create_task(self._send(timings, write_s))
            self._sender.add_done_callback(self._sender_done)
        while inbox.parser.status is None:
            if inbox.error is not None:
                raise self._why(inbox.error())
            sending = self._sender is not None and not self._sender.done()
            await inbox.more(None if sending else read_s)
        timings.head_ns = inbox.head_ns
        if self._sent:
            request.let_go()
        if self._sender is not None and (inbox.parser.status >= 400 or inbox.over):
            # RFC 9112 section 9.5: cease sending when the answer shows that the server does not want the rest. Below
            # 400 it may answer what has come so far, and the rest is sent beside it.
            self._sender.cancel()

    def finish(self, *, park: bool = False) -> None:
        """The caller is done with the response; `park`: and knows that no more of it will come than its end."""
        if self.finished:
            return
        self.stop()
        fate: Fate = "close"
        if self._sent and not (self.wire.closed or self._request.close):
            if self.inbox.parser.complete:
                fate = "reuse" if self.inbox.parser.reusable else "close"
            elif park and self.inbox.error is None:
                fate = "park"
        self._done(self, fate)

    def stop(self) -> None:
        """No more timers, nothing more is sent."""
        self.finished = True
        self.inbox.close()
        if self._sender is not None:
            self._sender.cancel()

    async def _send(self, timings: Timings, write_s: float | None) -> None:
        """Everything, by pieces of which each has `write_s`: slow is not stuck."""
        if self._request.small:
            await self._flush(write_s)
        else:
            async with contextlib.aclosing(self._request.parts()) as parts:
                async for part in parts:
                    view = memoryview(part)
                    for start in range(0, len(view), WRITE_BYTES):
                        if not self.wire.write(view[start : start + WRITE_BYTES]):
                            await self._flush(write_s)
        self._note_sent(timings)

    async def _flush(self, write_s: float | None) -> None:
        try:
            async with asyncio.timeout(write_s):
                await self.wire.flush()
        except TimeoutError:
            raise httpx2.WriteTimeout(f"the server took nothing of the request for {write_s:g} s") from None
        except ConnectionError:
            raise _Broken from None

    def _note_sent(self, timings: Timings) -> None:
        self._sent = True
        timings.sent_ns = self.wire.sent_ns

    def _sender_done(self, sender: asyncio.Task[None]) -> None:
        error = None if sender.cancelled() else sender.exception()
        if isinstance(error, _Broken):
            self._broken = True  # the server may have answered first, so the reading side has the last word
        elif error is not None:
            self.inbox.fail(lambda: error)
        self.inbox.wake()

    def _why(self, error: BaseException) -> BaseException:
        if self._broken and self.untouched and isinstance(error, httpx2.ReadError):
            return httpx2.WriteError("the connection was broken while the request was sent")
        return error

    @property
    def untouched(self) -> bool:
        """Not a byte of an answer has come."""
        return self.inbox.reads == 0


def _maker(kind: type[httpx2.TransportError], text: str) -> _MakeError:
    return lambda: kind(text)

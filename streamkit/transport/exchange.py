"""One request and its response on one connection: what is sent, what has come and waits, and how it ends.

    wire ──received()──▶ Inbox ──pending──▶ Body    or    Inbox ──sink()──▶ whoever poured it
    wire ◀──write()── Exchange ◀── Outgoing

A `Sink` is the one name here for a callback that takes what a read brought; `Body.pour` is how one is given.

Theory of operation. The wire tells an Inbox what comes (`received`, `eof`, `lost`), the reader tells it what was taken
(`shrink`) and what is wanted (`hold_back`, a sink), and one timer waits for silence. A message's state is:

    state       known by                          a read goes                      ends by
    ─────────   ───────────────────────────────   ──────────────────────────────   ────────────────────────────────────
    head        parser.status is None             into the parser                  received(): its last line came
    body        no sink, or it has had enough     to `pending`                     Body.pour(): a sink
    poured      a sink that has not had enough    to the sink                      sink(): enough, or it raises
    paused      paused: `pending` is too large    nowhere: TCP holds the server    shrink(): a quarter of it is left
    held back   held_back: the reader wishes it   nowhere: TCP holds the server    hold_back(False)
    over        parser.complete, or error         surplus is noted, or dropped     Exchange.finish()
    finished    Exchange.finished                 to whom its fate says            –

Paused and held back interrupt any state before `over`, also both at once; reading goes on when neither holds. An error
never overtakes what came before it: `pending` is always taken first. The sender of a large request runs beside all
this: what comes meanwhile is read as it comes. It ends by itself, or with a status that says that the server does not
want the rest, or with `finished` at the latest, and `sender_ended` waits until it has let go of what it sends. `finish`
decides what becomes of the connection, and `done` does it:

    fate        when                                            then
    ─────────   ─────────────────────────────────────────────   ──────────────────────────────────────────────────────
    reuse       complete, and both sides keep it open           idle, until the next request
    park        the caller knows that only the end is missing   that end is waited for, shortly: then reuse, else close
    close       anything else                                   closed at once
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from time import monotonic_ns
from typing import Final, Literal, TypeAlias

import httpx2

from streamkit.transport.errors import HeadTooLarge, MalformedHead
from streamkit.transport.framing import TooLargeError, WireError
from streamkit.transport.http1 import ResponseParser
from streamkit.transport.outgoing import Outgoing
from streamkit.transport.receive_times import Stamp
from streamkit.transport.wire import Timings, Wire

__all__ = ["CONTINUE_S", "READ_AHEAD_BYTES", "Exchange", "Fate", "Inbox", "ReadPart", "Sink"]

CONTINUE_S: Final = 1.0
"""How long `100 Continue` is waited for where it was asked for; a server may know nothing of it (RFC 9110 section
10.1.1)."""

READ_AHEAD_BYTES: Final = 65_536
"""How much of an answer is read before somebody takes it, by default; reading goes on at a quarter of it."""
SEND_TURN_NS: Final = 1_000_000
"""How long a request is sent in one turn of the loop, where neither the kernel nor who makes it has to be waited for:
what comes meanwhile waits for that."""
PART_BYTES: Final = 256
"""What a pending part costs beside its bytes (tuples, numbers, headers of objects): many small ones are not free."""

ReadPart: TypeAlias = tuple[bytes, int, Stamp]
"""The part of a body that one socket read brought: `(data, number, stamp)`: its bytes, never none; the read's number,
from 1, counted over the whole answer, the reads that brought its head included; the read's stamp. For why it is a plain
tuple, see `Stamp`."""
Sink: TypeAlias = Callable[[ReadPart], bool]
"""Takes what a read brought, in the callback that reads it; it must not wait. False: enough."""
Fate: TypeAlias = Literal["reuse", "park", "close"]
"""What is to become of the connection."""
_MakeError: TypeAlias = Callable[[], BaseException]


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
        "enough",
        "error",
        "head_ns",
        "held",
        "held_back",
        "parser",
        "paused",
        "pending",
        "reads",
        "received_bytes",
        "sending",
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
        self.pending: list[ReadPart] = []  # few at a time; an empty deque takes 600 bytes
        self.held = 0  # bytes pending, see PART_BYTES
        self.paused = False
        self.held_back = False  # by the reader's own wish
        self.sending = False  # the request, still: the server may wait for more of it
        self.reads = 0
        self.received_bytes = 0  # all of the message's framing included
        self.head_ns: int | None = None
        self.error: _MakeError | None = None
        self.sink: Sink | None = None
        self.enough = False  # said the sink: what comes now is pending again
        self.spilled: Exception | None = None  # what the sink raised

    def received(self, data: bytes, stamp: Stamp) -> None:
        self.reads = number = self.reads + 1
        self.received_bytes += len(data)
        try:
            part = self._feed(data)
        except WireError as error:
            part = error.body
            self.fail(_maker(self._kind_of(error), str(error)))
        sink = self.sink
        if sink is not None and not self.enough:
            if self._timer is not None:
                self._since = self._loop.time()
            if part:
                try:
                    self.enough = not sink((part, number, stamp))
                except Exception as error:  # noqa: BLE001  # it is raised where the sink was given
                    self.enough, self.spilled = True, error
            if not (self.enough or self.parser.complete or self.error is not None):  # as `over`
                return
        else:
            if self.head_ns is None and self.parser.status is not None:
                self.head_ns, *_ = stamp
            if part:
                self._keep((part, number, stamp))
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _keep(self, part: ReadPart) -> None:
        self.pending.append(part)
        self.held += len(part[0]) + PART_BYTES
        if self.held > self._high and not self.paused:
            self.paused = True
            self._wire.pause()

    def _kind_of(self, error: WireError) -> type[httpx2.RemoteProtocolError]:
        if self.parser.status is not None:
            return httpx2.RemoteProtocolError  # inside of the body
        return HeadTooLarge if isinstance(error, TooLargeError) else MalformedHead

    def eof(self) -> None:
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
        if self.held_back or self.sending:  # that nothing comes says nothing of the server
            self._since = self._loop.time()
        due = self._since + self._limit_s
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._ring)
        else:
            self.error = self.error or _maker(httpx2.ReadTimeout, f"nothing was received for {self._limit_s:g} s")
            self._waiter.set_result(None)

    def shrink(self, size: int) -> None:
        """A part of `size` bytes was taken."""
        self.held -= size + PART_BYTES
        if self.paused and self.held <= self._high // 4:
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

    def sent(self) -> None:
        """The request is; from now on it is the server that is waited for."""
        self.sending = False
        self._since = self._loop.time()
        self.wake()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Broken(Exception):
    """The server takes no more of the request."""


class Exchange:
    """One request on one connection: sending it, the wait for the head, and what becomes of the connection."""

    __slots__ = ("_broken", "_done", "_loop", "_request", "_sender", "_sent", "_wanted", "finished", "inbox", "wire")

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
        self._wanted = asyncio.Event() if request.asks_first else None  # the body
        self._sent = self._broken = False
        self.wire = wire
        parser = ResponseParser(request.method, max_head_bytes=max_head_bytes)
        self.inbox = Inbox(self._loop, wire, parser, read_ahead_bytes)
        self.finished = False
        wire.receiver = self.inbox

    async def ask(self, timings: Timings, write_s: float | None, read_s: float | None) -> None:
        """Send the request and wait for the head of the response, which may come first."""
        request, inbox = self._request, self.inbox
        if self.wire.closed:
            raise httpx2.ReadError("the connection was closed before the request was sent")
        if request.small and self.wire.write(request.head + request.content):
            self._note_sent(timings, len(request.content))
        else:
            inbox.sending = True
            self._sender = self._loop.create_task(self._send(timings, write_s))
            self._sender.add_done_callback(self._sender_done)
        while inbox.parser.status is None:
            if inbox.error is not None:
                raise self._why(inbox.error())
            if self._wanted is not None and inbox.parser.continued:
                self._wanted.set()
            await inbox.more(read_s)
        timings.head_ns = inbox.head_ns
        if self._sent:
            request.let_go()
        if self._sender is not None and (inbox.parser.status >= 400 or inbox.over):
            # RFC 9112 section 9.5: cease sending when the answer shows that the server does not want the rest. Below
            # 400 it may answer what has come so far, and the rest is sent beside it.
            self._sender.cancel()
        if self._wanted is not None:
            self._wanted.set()

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

    async def sender_ended(self) -> None:
        """Wait until nothing is sent any more, and what was to be sent is closed; to be called when it is stopped."""
        if self._sender is not None:
            await asyncio.wait([self._sender])

    async def _send(self, timings: Timings, write_s: float | None) -> None:
        """Everything, in parts of which each has `write_s`: slow is not stuck."""
        request = self._request
        if request.small:
            await self._flush(write_s)
            self._note_sent(timings, len(request.content))
            return
        if not self.wire.write(request.head):
            await self._flush(write_s)
        if self._wanted is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CONTINUE_S):
                    await self._wanted.wait()
        turn_ns = monotonic_ns()
        async with contextlib.aclosing(request.parts()) as parts:
            async for data, size in parts:
                if monotonic_ns() - turn_ns > SEND_TURN_NS:
                    await asyncio.sleep(0)
                    turn_ns = monotonic_ns()
                held_ns = 0
                if not self.wire.write(data):
                    since_ns = monotonic_ns()
                    await self._flush(write_s)
                    held_ns = monotonic_ns() - since_ns
                    timings.window_full_ns = self.wire.window_full_ns()
                if timings.on_sent is not None and size:
                    timings.on_sent(self.wire.sent_ns, size, held_ns)
        self._note_sent(timings)

    async def _flush(self, write_s: float | None) -> None:
        try:
            async with asyncio.timeout(write_s):
                await self.wire.flush()
        except TimeoutError:
            raise httpx2.WriteTimeout(f"the server took nothing of the request for {write_s:g} s") from None
        except ConnectionError:
            raise _Broken from None

    def _note_sent(self, timings: Timings, size: int = 0) -> None:
        """All of it; `size` bytes of body in one write with the head."""
        self._sent = True
        timings.sent_ns, timings.sent_error_ns = self.wire.sent_ns, self.wire.sent_error_ns
        if timings.on_sent is not None and size:
            timings.on_sent(self.wire.sent_ns, size, 0)

    def _sender_done(self, sender: asyncio.Task[None]) -> None:
        error = None if sender.cancelled() else sender.exception()
        if isinstance(error, _Broken):
            self._broken = True  # the server may have answered first, so the reading side has the last word
        elif error is not None:
            self.inbox.fail(lambda: error)
        self.inbox.sent()

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

"""Outlet: one stream's way from its source to its answer, under a policy of back-pressure.

source ──offer()──▶ answer                           while the client keeps up: in the very callback that read it
source ──offer()──▶ queue ──▶ drain task ──▶ answer      while it does not, as far as the policy keeps anything
source ──put() waits─────────────────────▶ answer        beyond that: the source waits, and with it the upstream

Theory of operation
-------------------
An outlet is in one of four states, by where the last pieces went. "Room" means that the connection's buffer is below
its mark (`Answer.writable`).

state       held here                      who moves it on, and to what
beginning   nothing; no head has left      `put`: the first pieces, with the head, by Sanic → keeps up. An `offer` is
                                           refused, since only Sanic can send a head
keeps up    nothing                        `offer`: writes → keeps up; without room, keeps what the policy allows
                                           → queued; what it does not allow, `put` → held
queued      the queue: ≤ the policy's      `offer`: keeps more → queued; or refuses, `put` → held
            bytes; a drain task            the drain task: room → writes the next; nothing left → keeps up
held        the queue and one list, in     `put`: the drain task has made a move → tries again; without a drain task
            `put`                          (`pause` keeps nothing) `Answer.send` waits for room → keeps up

Order holds because pieces are written directly only where there is no drain task, and nothing is offered while `put`
holds a list (see `streamkit.relay.sources.source`). The deadlines follow: `idle` is entered when pieces were taken,
`held` while the source waits and so nothing is expected of it; `behind` and `caught_up` say when bytes begin and cease
to wait for the client. A drain task that fails, or is cancelled because the client left, wakes whoever waits for it,
who raises what it raised: a failure has one way out, through `put` or `finish`.

States (`streamkit.relay.pieces`: what tells how something stands) make no source wait, in any state but the beginning:
those that cannot leave at once wait beside the queue, where newer ones take their place, and leave when the client
would read them soon (`Nearness`). What is not a state and comes behind them sends them before it. They are owed to
nobody: a client that takes none of them is not stalled as long as its kernel has all that was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from streamkit.extractor.pieces import Piece, weigh
from streamkit.relay.deadline import Watch
from streamkit.relay.delivery.format import Format
from streamkit.relay.delivery.policy import Queue, Write
from streamkit.relay.delivery.states import States, size_of
from streamkit.relay.failure import Failure
from streamkit.relay.pieces import are_states
from streamkit.relay.settings import Deadlines
from streamkit.taps import StreamTaps

if TYPE_CHECKING:
    from sanic import HTTPResponse

    from streamkit.relay.delivery.answer import Answer

__all__ = ["Outlet"]

LOOK_S: Final = 0.02
"""How often that is looked at while a state waits: no kernel tells."""


class Outlet:
    """Hands pieces to `answer`, in order; those that have to wait are in `queue`.

    `taps` get a step at `relay.send` and `relay.sent` for each write of text, the mark `relay.blocked` and the count
    `relay.blocked_bytes` (written until then) when the client cannot take a piece for the first time, and at the end
    the counts `relay.dropped_pieces`, `relay.peak_pending_bytes` and `relay.held_ns`, which is for how long in all the
    source had to wait. A context manager: whoever leaves it drops what still waits. `watch` is the timer of the
    stream's `deadlines`; whoever runs the stream has to enter it.
    """

    __slots__ = (
        *(
            "_answer",
            "_blocked",
            "_drainer",
            "_ended",
            "_failed",
            "_form",
            "_held_bytes",
            "_held_ns",
            "_held_since_ns",
            "_moved",
            "_offered",
            "_peak_bytes",
        ),
        *("_queue", "_states", "_taps", "finish_reason", "watch"),
    )

    def __init__(
        self, answer: Answer, form: Format, queue: Queue, deadlines: Deadlines, taps: StreamTaps | None = None
    ) -> None:
        self._answer = answer
        self._form = form
        self._queue = queue
        self._states = States()
        self.watch = Watch(deadlines, answer.unsent_bytes, self._beat)
        self._taps = taps
        self._offered = 0  # pieces that came, whatever became of them
        self._drainer: asyncio.Task[None] | None = None
        self._moved: asyncio.Future[None] | None = None  # somebody waits for the next write out of the queue
        self._failed: BaseException | None = None  # the drainer
        self._blocked = False
        self._ended = False  # it was said that all is complete
        self.finish_reason: str | None = None
        """The provider's word for why it ended, where the source knows one."""
        self._held_bytes = 0  # that wait in `put`
        self._held_ns = 0
        self._held_since_ns = 0  # 0: the source does not wait now
        self._peak_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Output that waits here: in the policy's queue, and what one read brought and `put` waits with; what the
        connection's own buffers hold is not in it.
        """
        return self._queue.bytes + self._held_bytes

    @property
    def dropped(self) -> int:
        """Pieces that the policy left out, or newer states."""
        return self._queue.dropped + self._states.dropped

    @property
    def sent(self) -> int:
        """Pieces that were handed over, or still wait to be."""
        return self._offered - self.dropped

    @property
    def held_ns(self) -> int:
        """For how long in all the source had to wait, until now."""
        return self._held_ns + (time.monotonic_ns() - self._held_since_ns if self._held_since_ns else 0)

    def _beat(self) -> None:
        """Let the client, and proxies on the way, hear that the stream lives; nothing of it is a piece."""
        if self._form.heartbeat and self._drainer is None:
            self._answer.offer(self._form.heartbeat)

    def offer(self, pieces: list[Piece]) -> bool:
        """Write or keep what one read brought, now; False, and nothing done, where it has to wait.

        What a source may call from any callback of the loop (`sources.source.Offer`).
        """
        if not pieces:
            if self.watch.phase != "first_piece":
                self.watch.enter("idle")
            return True
        if type(pieces[0]) is not Piece and are_states(pieces):
            if not self._answer.started:
                return False
            self._tell(pieces)
        elif self._drainer is None and self._answer.writable():
            self._write(pieces)
        elif not (self._answer.started and self._keep(pieces)):
            return False
        self.watch.enter("idle")
        return True

    def offer_texts(self, texts: list[str]) -> bool:
        """The same for texts, which are pieces with nothing beside them: written now, or False, and nothing done."""
        if self._drainer is not None:
            return False
        answer, taps = self._answer, self._taps
        now_ns = 0 if taps is None else time.monotonic_ns()
        data = self._form.texts(texts, self._offered + 1)
        if not (answer.offer(data) if data else answer.writable()):
            return False
        self._offered += len(texts)
        if taps is not None:
            size = len("".join(texts).encode())
            taps.stamp_two("relay.send", now_ns, "relay.sent", time.monotonic_ns(), len(texts), size)
        watch = self.watch
        if watch.phase == "idle":
            watch.since = watch.now()  # as `enter` has it
        else:
            watch.enter("idle")
        return True

    def thinking(self) -> None:
        """The answer goes on, though nothing of it is for the client: a first piece is to be waited for from now on."""
        if self.watch.phase == "first_piece":
            self.watch.enter("first_piece")

    async def put(self, pieces: list[Piece]) -> None:
        """The same, as soon as there is room; until then the source is not expected to say anything.

        Raises CancelledError when the client has left.
        """
        if self.offer(pieces):
            return
        self._held_since_ns = time.monotonic_ns()
        self.watch.enter("held")
        try:
            await self._put_later(pieces)
        finally:
            self._held_ns, self._held_since_ns = self.held_ns, 0
        self.watch.enter("idle")

    def finished(self, reason: str) -> None:
        """The source has come to its end, and that is its provider's word for why."""
        self.finish_reason = reason

    @property
    def started(self) -> bool:
        """The client has got a head."""
        return self._answer.started

    async def begin(self) -> None:
        """The head, before there is a piece: to a client that comes back. Raises CancelledError when it has left."""
        await self._answer.begin()
        self.watch.enter("idle")

    def in_flight(self) -> int | None:
        """Bytes that were taken here and may not have arrived; None where that cannot be known."""
        unsent = self._answer.unsent_bytes()
        return None if unsent is None else self.pending_bytes + unsent

    async def finish(self) -> None:
        """The stream is complete: say so, behind all that waits."""
        self.watch.enter("held")
        self._hurry()
        await self._drained()
        self.watch.behind()
        self._ended = True
        await self._answer.finish(self._form.done(self.sent, self.dropped, self.finish_reason))

    async def fail(self, failure: Failure, within_s: float | None = None) -> HTTPResponse | None:
        """End a broken stream visibly, behind all that waits, for as long as the client takes it (`Watch.last_words`);
        what is returned still has to be sent as the whole answer.
        """
        with contextlib.suppress(Exception):  # it takes nothing, or the drainer's own failure, why we may be here
            if not self._ended:  # behind its end there is nothing to be said
                async with self.watch.last_words(within_s):
                    self._hurry()
                    await self._drained()
                    self.watch.behind()
                    return await self._answer.fail(failure, self._form.error(failure, self.sent))
        self._answer.cut()
        return None

    def cut(self) -> None:
        """End it visibly, now."""
        self._answer.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.watch.let_go()  # it refers to this: both would wait for the cycle collector
        if self._drainer is not None:
            self._drainer.cancel()
        if self._taps is not None:
            self._taps.count("relay.dropped_pieces", self.dropped)
            self._taps.count("relay.peak_pending_bytes", self._peak_bytes)
            self._taps.count("relay.held_ns", self._held_ns)

    # -- to the answer -------------------------------------------------------------------------------------------

    def _write(self, pieces: list[Piece]) -> None:
        now_ns = time.monotonic_ns() if self._taps is not None else 0
        data = self._encoded(pieces)
        if data:
            self._answer.offer(data)  # there is room for it: who calls has asked
        if self._taps is not None:
            sent_ns = time.monotonic_ns()
            self._taps.stamp_two("relay.send", now_ns, "relay.sent", sent_ns, *weigh(pieces))

    async def _send(self, pieces: list[Piece]) -> None:
        if data := self._encoded(pieces):
            self.watch.behind()
            self._held_bytes = len(data)
            await self._hand_over(Write(data, *weigh(pieces)))
            self._held_bytes = 0
            self.watch.caught_up()

    async def _hand_over(self, write: Write) -> None:
        """By way of `Answer.send`, which waits for the client if it has to."""
        if self._taps is not None:
            self._taps.stamp("relay.send", time.monotonic_ns(), write.events, write.text_bytes)
        await self._answer.send(write.data)
        if self._taps is not None:
            self._taps.stamp("relay.sent", time.monotonic_ns(), write.events, write.text_bytes)

    async def _put_later(self, pieces: list[Piece]) -> None:
        while not (self._answer.started and self._keep(pieces)):
            if self._drainer is None:
                await self._send(pieces)
                return
            await self._next_move()

    def _encoded(self, pieces: list[Piece]) -> bytes:
        first = self._offered + 1
        self._offered += len(pieces)
        return self._form.pieces(pieces, first)

    # -- states ----------------------------------------------------------------------------------------------------

    def _tell(self, pieces: list[Piece]) -> None:
        """Pieces that all are states: now, or as soon as what was sent before has come to the client."""
        if self._drainer is None and self._answer.writable() and self._answer.may_leave(size_of(pieces)):
            self._write(self._states.shown(pieces))
            return
        self._states.put(pieces, self._offered + 1)
        self._offered += len(pieces)
        self._drain_later()

    async def _near(self) -> None:
        """Until a state that waits may leave, or has to: something comes behind it."""
        while self._states and not self._queue and not self._answer.may_leave(self._states.bytes):
            if self._answer.unsent_bytes():  # its kernel takes nothing: it may be gone
                self.watch.lags()
            else:
                self.watch.caught_up()
            await asyncio.sleep(LOOK_S)

    def _hurry(self) -> None:
        """The states that wait leave next, as nothing can take their place any more."""
        if self._states:
            pieces = len(self._states)
            self._queue.push(self._states.pop(self._form.pieces), pieces)

    # -- through the queue ---------------------------------------------------------------------------------------

    def _keep(self, pieces: list[Piece]) -> bool:
        self._note_blocked()
        self._hurry()
        end = self._offered + len(pieces) + 1

        def encode(some: Sequence[Piece], dropped: int) -> bytes:
            return self._form.pieces(some, end - len(some), dropped)

        if not self._queue.offer(pieces, encode):
            return False
        self._offered += len(pieces)
        self._peak_bytes = max(self._peak_bytes, self._queue.bytes)
        if self._queue:
            self.watch.lags()
            self._drain_later()
        return True

    def _drain_later(self) -> None:
        if self._drainer is None:
            self._drainer = asyncio.get_running_loop().create_task(self._drain())
            self._drainer.add_done_callback(self._drain_done)

    async def _drain(self) -> None:
        """Until nothing waits. A policy may change its mind about what waits for as long as there is no room."""
        while self._queue or self._states:
            await self._answer.room()
            await self._near()
            write = self._queue.pop() if self._queue else self._states.pop(self._form.pieces)
            self._wake()
            await self._hand_over(write)
            self.watch.behind()  # the client has taken something
        self.watch.caught_up()
        self._drainer = None  # here and not when the task is done: until then pieces could come that nobody drains

    def _drain_done(self, drainer: asyncio.Task[None]) -> None:
        if drainer.cancelled():
            self._failed = asyncio.CancelledError()  # the client has left
        elif drainer.exception() is not None:
            self._failed = drainer.exception()
        self._wake()

    async def _drained(self) -> None:
        while self._drainer is not None:
            await self._next_move()

    async def _next_move(self) -> None:
        if self._failed is None:
            self._moved = asyncio.get_running_loop().create_future()
            await self._moved
        if self._failed is not None:
            raise self._failed

    def _wake(self) -> None:
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    def _note_blocked(self) -> None:
        if not self._blocked:
            self._blocked = True
            if self._taps is not None:
                self._taps.mark("relay.blocked", time.monotonic_ns())
                self._taps.count("relay.blocked_bytes", self._answer.wrote)

    def __repr__(self) -> str:
        return f"<Outlet: {self._offered} pieces, {self._queue.bytes} bytes waiting, {self.dropped} pieces dropped>"

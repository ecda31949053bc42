"""One timer for all the deadlines of a stream.

A timer per read, set and cancelled again, costs a heap entry an event. Here `enter()` stores two numbers; the one timer
looks at them when it rings, and sets itself again if it came too early.

Which deadline watches when; those of the client run beside those of the upstream:

phase              deadline      counts from                               until
first_piece        first_piece   the upstream is asked, or its latest      the first piece; other events without text do
                                 reasoning that is not passed on           not count, nor do heartbeats
idle               idle          an event                                  the next one
                   heartbeat     the same, while nothing waits for the     ends nothing: the client hears a comment
                                 client
held               (none)        a piece has to wait for the client, or    it was taken: `idle` begins
                                 the source has ended
any, and output    write_stall   `behind()`, or the client took a byte     the client takes a byte
waits
any                total         the request is complete                   the end

A stream that failed has an end too, behind all that waits: `last_words` is the same timer for that.

Before all of that, on the connection, head and body have deadlines of their own (`relay.request.connection`), and
connecting has one in the source (`relay.sources.post`). grace belongs to the server, not to a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, Self

from streamkit.relay.settings import Deadlines

__all__ = ["Phase", "Watch"]

Phase = Literal["first_piece", "idle", "held"]
"""What is expected of the upstream: a first piece, the next event, or nothing, since it is not read."""

NEVER: Final = float("inf")
STALL_SAMPLES: Final = 10
"""How often a blocked client is looked at within its deadline, which therefore fires at most a tenth late."""


def _unknown() -> None:
    """Nothing is known, and nobody to be told."""


class Watch:
    """Cancels the block it guards when the present phase, the client, or the whole, has taken too long.

    `async with Watch(deadlines) as watch:` raises TimeoutError out of the block; `watch.fired` then names the deadline.
    Upstream and client are watched side by side, since a policy may read the one while the other takes nothing:
    `enter(phase)` says what is expected of the upstream, `behind()` that output waits for the client and
    `caught_up()` that none does.

    `unsent` gives the bytes that still wait for the client (None where that cannot be known): while their number falls,
    the client is slow but alive, and `write_stall` does not fire. A look at `send()` alone would cut honest readers: at
    10 kB/s a TCP window opens in steps of many seconds.

    `beat` is called after each `heartbeat_s` in which the upstream said nothing and nothing waited for the client, from
    the first piece on.
    """

    __slots__ = (
        *("_beat", "_beat_since", "_deadlines", "_ends_at", "_least_unsent", "_loop", "_rings_at", "_scope"),
        *("_stalled_since", "_timer", "_unsent", "fired", "now", "phase", "since"),
    )

    def __init__(
        self,
        deadlines: Deadlines,
        unsent: Callable[[], int | None] = _unknown,
        beat: Callable[[], object] = _unknown,
    ) -> None:
        self.fired: str | None = None
        self._beat = beat
        self._beat_since = 0.0
        self._deadlines = deadlines
        self._unsent = unsent
        self._least_unsent: int | None = None
        self._stalled_since: float | None = None
        self.phase: Phase = "first_piece"
        self.since = 0.0
        self._ends_at: float | None = None  # None: it has not begun
        self._rings_at = NEVER
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.since = self.now()
        if self._ends_at is None:
            self._ends_at = self.since + (self._deadlines.total_s or NEVER)
        self._scope = asyncio.timeout(None)
        await self._scope.__aenter__()
        self._set_timer()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = float("-inf")  # whoever still says something sets no timer
        await self._scope.__aexit__(kind, error, trace)

    def last_words(self, within_s: float | None = None) -> Self:
        """The same timer, to be entered anew for the end of a stream that failed: the upstream is asked nothing more,
        and what waits for the client, which begins now, has `write_stall` and what is left of `total`; or `within_s`
        instead of that, where it is the time that is over.
        """
        self.fired = None
        self.phase = "held"
        if within_s is not None:
            self._ends_at = self.now() + within_s
        self.behind()
        return self

    def let_go(self) -> None:
        """It is not entered again: nobody is asked for anything, nor referred to."""
        self._unsent, self._beat = _unknown, _unknown

    def enter(self, phase: Phase) -> None:
        """`phase` begins now."""
        self.since = self.now()
        if phase != self.phase:  # the same phase anew is due later than the timer rings
            self.phase = phase
            self._ring_by(min(self.since + self._limit_s(), self._beat_due()))

    def behind(self) -> None:
        """Output waits for the client, and its deadline begins now, also if some waited before."""
        self._stalled_since = self.now()
        self._least_unsent = None
        self._ring_by(self._stalled_since + self._look_after_s())

    def lags(self) -> None:
        """The same, but where some waited before its deadline goes on."""
        if self._stalled_since is None:
            self.behind()

    def caught_up(self) -> None:
        """Nothing waits for the client."""
        self._stalled_since = None
        self._ring_by(self._beat_due())

    def _limit_s(self) -> float:
        """How long the present phase may take."""
        if self.phase == "held":
            return NEVER
        return (self._deadlines.idle_s if self.phase == "idle" else self._deadlines.first_piece_s) or NEVER

    def _stall_s(self) -> float:
        return self._deadlines.write_stall_s or NEVER

    def _look_after_s(self) -> float:
        """How soon after a look the blocked client is to be looked at again."""
        return self._stall_s() / STALL_SAMPLES

    def _due(self) -> tuple[float, str]:
        """When which deadline fires if nothing happens until then."""
        assert self._ends_at is not None  # noqa: S101  # set when it was entered
        due = min((self.since + self._limit_s(), str(self.phase)), (self._ends_at, "total"))
        return due if self._stalled_since is None else min(due, (self._stalled_since + self._stall_s(), "write_stall"))

    def _beat_due(self) -> float:
        """When the client is to hear a heartbeat if nothing happens until then."""
        if self.phase != "idle" or self._stalled_since is not None or not self._deadlines.heartbeat_s:
            return NEVER
        return max(self.since, self._beat_since) + self._deadlines.heartbeat_s

    def _ring_by(self, when: float) -> None:
        if when < self._rings_at:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        assert self._ends_at is not None  # noqa: S101  # set when it was entered
        self._rings_at = min(self.since + self._limit_s(), self._ends_at, self._beat_due())
        if self._stalled_since is not None:
            look_at = self.now() + self._look_after_s()
            self._rings_at = min(self._rings_at, look_at, self._stalled_since + self._stall_s())
        if self._rings_at < NEVER:
            self._timer = self._loop.call_at(self._rings_at, self._ring)

    def _ring(self) -> None:
        if self._stalled_since is not None:
            self._note_progress()
        due, name = self._due()
        if self.now() < due:
            self._beat_if_due()
            self._set_timer()
            return
        self.fired = name
        self._scope.reschedule(self.now())

    def _beat_if_due(self) -> None:
        if self.now() >= self._beat_due():
            self._beat_since = self.now()
            self._beat()

    def _note_progress(self) -> None:
        """A client that takes bytes starts its deadline anew."""
        unsent = self._unsent()
        if unsent is None:
            return
        if self._least_unsent is not None and unsent < self._least_unsent:
            self._stalled_since = self.now()
        self._least_unsent = unsent

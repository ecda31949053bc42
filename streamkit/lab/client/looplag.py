"""How late an event loop was: a timer that knows when it should have rung.

A loop that is busy with one thing stamps all others late. One timer for each loop, whoever watches, so that fifty
recordings on one loop do not slow it by watching it.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakKeyDictionary

from streamkit.lab.recording.trust import LIMITED_NS, LOOP_PROBE_NS

__all__ = ["LoopLag", "SharedLag", "watch_loop"]

PROBE_S: Final = LOOP_PROBE_NS / 1e9
"""What keeps the loop busy for shorter than this may fall between two probes."""


MAX_BUSY: Final = 1000
"""How many busy times of a watcher are kept apart; beyond it they become one."""
MAX_SHARED: Final = 20 * MAX_BUSY
"""Of all watchers of a loop, for as long as one of them watches."""


class LoopLag:
    """How late the loop was, in ns: `worst_ns`, at the most; `calm_ns`, at the most where it was no later than any
    shared machine makes a free loop; `busy`, the times between two looks, by the loop's clock, in which it was later.
    """

    def __init__(self) -> None:
        self.worst_ns = self.calm_ns = 0
        self.busy: list[tuple[int, int]] = []

    def note(self, since_ns: int, until_ns: int, late_ns: int) -> None:
        """Between these two looks it was so late."""
        self.worst_ns = max(self.worst_ns, late_ns)
        if late_ns <= LIMITED_NS:
            self.calm_ns = max(self.calm_ns, late_ns)
        elif len(self.busy) < MAX_BUSY:
            self.busy.append((since_ns, until_ns))
        else:
            self.busy[-1] = (self.busy[-1][0], until_ns)

    def as_dict(self, later_ns: int) -> dict[str, int | list[list[int]]]:
        """As a recording's `meta` has it: the busy times by its clock, `later_ns` later than the loop's."""
        busy = [[at_ns + later_ns for at_ns in span] for span in self.busy]
        return {"loop_lag_ns": self.worst_ns, "loop_calm_ns": self.calm_ns, "loop_busy_ns": busy}


@contextmanager
def watch_loop() -> Iterator[LoopLag]:
    """Watch the running loop: `with watch_loop() as lag: ...; lag.worst_ns`.

    A timer is set every 50 ms; its lateness is how long the loop was busy, plus what the machine's own timers are late.
    When the block ends before the timer rings, what it is late by then counts. All of it is told when the block ends.
    Raises RuntimeError without a running loop.
    """
    loop = asyncio.get_running_loop()
    probe = _probes.get(loop)
    if probe is None:
        probe = _probes[loop] = _Probe(loop)
    lag, since = LoopLag(), probe.begin()
    try:
        yield lag
    finally:
        told = probe.end(since)
        lag.worst_ns, lag.calm_ns, lag.busy = told.worst_ns, told.calm_ns, told.busy


class SharedLag:
    """All looks of one loop, for all that watch it: a look costs the same with one of them and with ten thousand.

    since(n) tells what a `LoopLag` would be that had noted all looks from the n-th on.
    """

    def __init__(self) -> None:
        self.looks = 0
        self._worst, self._calm = _Highest(), _Highest()
        self._busy: list[tuple[int, int]] = []
        self._busy_looks: list[int] = []

    def note(self, since_ns: int, until_ns: int, late_ns: int) -> None:
        """As a `LoopLag` does."""
        if late_ns > 0:
            self._worst.add(self.looks, late_ns)
            if late_ns <= LIMITED_NS:
                self._calm.add(self.looks, late_ns)
            else:
                self._note_busy(since_ns, until_ns)
        self.looks += 1

    def since(self, look: int) -> LoopLag:
        """What there was from that look on."""
        lag = LoopLag()
        lag.worst_ns, lag.calm_ns = self._worst.since(look), self._calm.since(look)
        busy = self._busy[bisect_left(self._busy_looks, look) :]
        lag.busy = busy if len(busy) <= MAX_BUSY else [*busy[: MAX_BUSY - 1], (busy[MAX_BUSY - 1][0], busy[-1][1])]
        return lag

    def _note_busy(self, since_ns: int, until_ns: int) -> None:
        if len(self._busy) == MAX_SHARED:  # the newest become one
            since_ns = self._busy.pop()[0]
            self._busy_looks.pop()
        self._busy.append((since_ns, until_ns))
        self._busy_looks.append(self.looks)


class _Highest:
    """The highest value since any look. Kept are those that no later one reaches: they descend, and are few."""

    def __init__(self) -> None:
        self._looks: list[int] = []
        self._values: list[int] = []

    def add(self, look: int, value: int) -> None:
        while self._values and self._values[-1] <= value:
            self._values.pop()
            self._looks.pop()
        self._looks.append(look)
        self._values.append(value)

    def since(self, look: int) -> int:
        first = bisect_left(self._looks, look)
        return self._values[first] if first < len(self._values) else 0


class _Probe:
    """The timer of one loop; it runs while somebody watches."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watchers = 0
        self._shared = SharedLag()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> int:
        """Somebody watches from now on: from that look."""
        self._watchers += 1
        if self._timer is None:
            self._set()
        return self._shared.looks

    def end(self, since: int) -> LoopLag:
        """Who began with that look has watched enough."""
        self._note()
        self._watchers -= 1
        if not self._watchers and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            _probes.pop(self._loop, None)  # it holds the loop
        return self._shared.since(since)

    def _set(self) -> None:
        self._due = self._loop.time() + PROBE_S
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        self._note()
        self._set()

    def _note(self) -> None:
        now = self._loop.time()
        self._shared.note(*(int(s * 1e9) for s in (self._due - PROBE_S, now, now - self._due)))


_probes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Probe] = WeakKeyDictionary()

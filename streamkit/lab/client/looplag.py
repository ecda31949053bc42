"""How late an event loop was: a timer that knows when it should have rung.

A loop that is busy with one thing stamps all others late. One timer for each loop, whoever watches, so that fifty
recordings on one loop do not slow it by watching it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakKeyDictionary

from streamkit.lab.recording.trust import LIMITED_NS, LOOP_PROBE_NS

__all__ = ["LoopLag", "watch_loop"]

PROBE_S: Final = LOOP_PROBE_NS / 1e9
"""What keeps the loop busy for shorter than this may fall between two probes."""


MAX_BUSY: Final = 1000
"""How many busy times are kept apart; beyond it they become one."""


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


@contextmanager
def watch_loop() -> Iterator[LoopLag]:
    """Watch the running loop: `with watch_loop() as lag: ...; lag.worst_ns`.

    A timer is set every 50 ms; its lateness is how long the loop was busy, plus what the machine's own timers are late.
    When the block ends before the timer rings, what it is late by then counts. Raises RuntimeError without a running
    loop.
    """
    loop = asyncio.get_running_loop()
    probe = _probes.get(loop)
    if probe is None:
        probe = _probes[loop] = _Probe(loop)
    lag = LoopLag()
    probe.add(lag)
    try:
        yield lag
    finally:
        probe.remove(lag)


class _Probe:
    """The timer of one loop; it runs while somebody watches."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watchers: dict[LoopLag, None] = {}
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, lag: LoopLag) -> None:
        self._watchers[lag] = None
        if self._timer is None:
            self._set()

    def remove(self, lag: LoopLag) -> None:
        lag.note(*self._late())  # it alone: a thousand that end at once would else look at each other a million times
        del self._watchers[lag]
        if not self._watchers and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            _probes.pop(self._loop, None)  # it holds the loop

    def _set(self) -> None:
        self._due = self._loop.time() + PROBE_S
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        self._note()
        self._set()

    def _note(self) -> None:
        since_ns, until_ns, late_ns = self._late()
        for lag in self._watchers:
            lag.note(since_ns, until_ns, late_ns)

    def _late(self) -> tuple[int, int, int]:
        now = self._loop.time()
        return int((self._due - PROBE_S) * 1e9), int(now * 1e9), int((now - self._due) * 1e9)


_probes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Probe] = WeakKeyDictionary()

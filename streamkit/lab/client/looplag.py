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

from streamkit.lab.recording.trust import LOOP_PROBE_NS

__all__ = ["LoopLag", "watch_loop"]

PROBE_S: Final = LOOP_PROBE_NS / 1e9
"""What keeps the loop busy for shorter than this may fall between two probes."""


class LoopLag:
    """The largest lateness so far, in ns."""

    def __init__(self) -> None:
        self.worst_ns = 0


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
        self._watchers: list[LoopLag] = []
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, lag: LoopLag) -> None:
        self._watchers.append(lag)
        if self._timer is None:
            self._set()

    def remove(self, lag: LoopLag) -> None:
        self._note()
        self._watchers.remove(lag)
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
        late_ns = int((self._loop.time() - self._due) * 1e9)
        for lag in self._watchers:
            lag.worst_ns = max(lag.worst_ns, late_ns)


_probes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Probe] = WeakKeyDictionary()

"""What processes and event loops use while a load runs, sampled in the loop that runs it.

A process tells its memory, descriptors and processor time (Linux: /proc; elsewhere only this one's processor time).
A loop of this process, as that of each server of a Lab with roles="threads", tells how late it is, and its thread's
processor time. Of a process elsewhere nobody but itself knows how late its loop is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, Self, TypeAlias

from streamkit.lab.load.room import descriptors_of
from streamkit.lab.sets import Resources
from streamkit.lab.sets.resources import UNKNOWN

__all__ = ["LoopHere", "Process", "ServerLoop", "Watched", "Watching"]

SAMPLE_S: Final = 0.1
PROBE_S: Final = 0.02
"""How often a loop looks how late it is."""
MAX_SAMPLES: Final = 2000
"""Of each; beyond it every other one is dropped, and half as often looked."""

Sample: TypeAlias = tuple[int, int, int, int]
"""rss_bytes, descriptors, cpu_ns, loop_late_ns."""


class Watched(Protocol):
    """Something that tells what it used."""

    name: str

    def begin(self) -> None:
        """Before the first sample, in the loop that runs the load."""

    def sample(self) -> Sample:
        """What it uses now, `UNKNOWN` where that cannot be told; how late it was since the sample before."""

    def end(self) -> None:
        """After the last one."""


class Process:
    """A process by its number; `lag` where the loop is that of the load, which is this one's."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self._pid = pid
        self._own = pid == os.getpid()

    def begin(self) -> None:
        """Nothing to be done."""

    def sample(self) -> Sample:
        cpu_ns = time.process_time_ns() if self._own else _cpu_ns(self._pid)
        return _rss_bytes(self._pid), descriptors_of(self._pid), cpu_ns, UNKNOWN

    def end(self) -> None:
        """Nothing to be done."""


class LoopHere:
    """The loop that runs the load; with `process` also what the process uses that it is in, where that is its own."""

    def __init__(self, name: str, *, whole_process: bool) -> None:
        self.name = name
        self._process = Process(name, os.getpid()) if whole_process else None
        self._watch = _Lateness()

    def begin(self) -> None:
        self._watch.begin()

    def sample(self) -> Sample:
        late_ns = self._watch.worst_ns()
        if self._process is not None:
            return (*self._process.sample()[:3], late_ns)
        return UNKNOWN, UNKNOWN, time.thread_time_ns(), late_ns

    def end(self) -> None:
        self._watch.end()


class ServerLoop:
    """The loop of a server that has a thread of this process."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self._loop = loop
        self._watch = _Lateness()
        self._thread: int | None = None

    def begin(self) -> None:
        self._in_loop(self._begin)

    def sample(self) -> Sample:
        if self._thread is None:  # it has not come round to it yet
            return UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN
        return UNKNOWN, UNKNOWN, _thread_cpu_ns(self._thread), self._watch.worst_ns()

    def end(self) -> None:
        self._in_loop(self._watch.end)

    def _begin(self) -> None:
        self._thread = threading.get_ident()
        self._watch.begin()

    def _in_loop(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended, which its streams tell
            self._loop.call_soon_threadsafe(call)


class Watching:
    """Samples all of `watched` until it ends: `with Watching([...]) as watching: ...; watching.resources()`.

    `on_sample` is called along with it, ten times a second.
    """

    def __init__(self, watched: list[Watched], on_sample: Callable[[], object] | None = None) -> None:
        self._watched = watched
        self._on_sample = on_sample
        self._every_s = SAMPLE_S
        self._at_ns: list[int] = []
        self._rows: list[list[Sample]] = [[] for _ in watched]
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        for each in self._watched:
            each.begin()
        self._ring()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._sample()
        for each in self._watched:
            each.end()

    def resources(self) -> list[Resources]:
        """What each has used by now."""
        return [
            Resources.of(each.name, ((at_ns, *row) for at_ns, row in zip(self._at_ns, rows, strict=True)))
            for each, rows in zip(self._watched, self._rows, strict=True)
        ]

    def _ring(self) -> None:
        self._sample()
        if self._on_sample is not None:
            self._on_sample()
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._ring)

    def _sample(self) -> None:
        if len(self._at_ns) >= MAX_SAMPLES:
            self._every_s *= 2
            self._at_ns = self._at_ns[::2]
            self._rows = [_thinned(rows) for rows in self._rows]
        self._at_ns.append(time.monotonic_ns())
        for each, rows in zip(self._watched, self._rows, strict=True):
            rows.append(each.sample())


def _thinned(rows: list[Sample]) -> list[Sample]:
    """Every other one; none of the lateness is lost, which is the worst of each time."""
    late = [max(rows[max(0, i - 1)][3], rows[i][3]) for i in range(0, len(rows), 2)]
    return [(*row[:3], worst) for row, worst in zip(rows[::2], late, strict=True)]


class _Lateness:
    """How late the loop was in which it was begun, since it was asked the last time: a timer that knows when it should
    have rung.
    """

    def __init__(self) -> None:
        self._worst_s: float | None = None
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._worst_s = 0.0
        self._set()

    def worst_ns(self) -> int:
        if self._worst_s is None:  # not begun
            return UNKNOWN
        worst_s, self._worst_s = self._worst_s, 0.0
        return int(worst_s * 1e9)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set(self) -> None:
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + PROBE_S
        self._timer = loop.call_at(self._due_s, self._ring)

    def _ring(self) -> None:
        self._worst_s = max(self._worst_s or 0.0, asyncio.get_running_loop().time() - self._due_s)
        self._set()


def _rss_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as told:  # noqa: PTH123  # ten times a second, in the loop
            return int(told.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return UNKNOWN


def _cpu_ns(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as told:  # noqa: PTH123  # ten times a second, in the loop
            fields = told.read().rpartition(b")")[2].split()  # its name may hold anything, brackets and spaces
        return (int(fields[11]) + int(fields[12])) * _TICK_NS
    except (OSError, IndexError, ValueError):
        return UNKNOWN


def _thread_cpu_ns(thread: int) -> int:
    try:
        return time.clock_gettime_ns(time.pthread_getcpuclockid(thread))
    except (AttributeError, OSError):  # no such clocks here, or no such thread any more
        return UNKNOWN


def _system(name: str, default: int) -> int:
    return os.sysconf(name) if hasattr(os, "sysconf") else default


_PAGE_BYTES: Final = _system("SC_PAGE_SIZE", 4096)
_TICK_NS: Final = 1_000_000_000 // _system("SC_CLK_TCK", 100)

"""What is under way, and can be asked what it has so far by whoever watches it.

    with under_way(self.so_far):                # a recording, a load, a sweep: it begins here, and ends there
    with completed_by(with_the_servers_taps):   # what is told meanwhile has more to it
    with watched_by(watched := Watcher()):      # what begins in the block, in this task and those that it makes

Nobody who is not watched does more than look at a context variable. What is told is a copy, which does not grow. It is
asked for from another thread, since a loop may be kept for long by whoever reads (an `on_piece` that sleeps): columns
that are not even yet are an error there, and asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = ["Watcher", "completed_by", "is_watched", "under_way", "watched_by"]

SoFar: TypeAlias = Callable[[], object]
Complete: TypeAlias = Callable[[Any], object]


class _Running(NamedTuple):
    so_far: SoFar
    complete: Complete | None

    def completed(self, told: object) -> object:
        return told if self.complete is None else self.complete(told)


class Watcher:
    """What runs while somebody watches, and what it has so far: of several, one within the other, that which began
    first. `on_begin` is called when one begins: in the loop that is to run it.
    """

    def __init__(self, on_begin: Callable[[Watcher], object] | None = None) -> None:
        self._running: list[_Running] = []
        self._last: _Running | None = None
        self._on_begin = on_begin

    def so_far(self) -> object | None:
        """What there is, with all that completes it; None while nothing runs. From any thread: an exception is to be
        expected now and then, and says nothing of what runs.
        """
        running = next(iter(self._running), None)
        return None if running is None else running.completed(running.so_far())

    @property
    def last_is_completed(self) -> bool:
        """There is more to what began last than it has by itself: the taps of servers."""
        return self._last is not None and self._last.complete is not None

    def completed(self, value: object) -> object:
        """What came of the last one, with all that completes it."""
        return value if self._last is None else self._last.completed(value)

    @contextmanager
    def begun(self, so_far: SoFar, complete: Complete | None) -> Iterator[None]:
        """It runs while the block does."""
        self._last = running = _Running(so_far, complete)
        self._running.append(running)
        if self._on_begin is not None:
            self._on_begin(self)
        try:
            yield
        finally:
            self._running.remove(running)


_WATCHED: Final[ContextVar[Watcher | None]] = ContextVar("watched", default=None)
_COMPLETE: Final[ContextVar[Complete | None]] = ContextVar("complete", default=None)


def is_watched() -> bool:
    """Somebody watches what runs here."""
    return _WATCHED.get() is not None


@contextmanager
def under_way(so_far: SoFar) -> Iterator[None]:
    """While the block runs, `so_far` tells what has come of it."""
    watched = _WATCHED.get()
    if watched is None:
        yield
        return
    with watched.begun(so_far, _COMPLETE.get()):
        yield


@contextmanager
def completed_by(complete: Complete) -> Iterator[None]:
    """What begins in the block, and tells what it has, has that added which `complete` adds."""
    token = _COMPLETE.set(complete)
    try:
        yield
    finally:
        _COMPLETE.reset(token)


@contextmanager
def watched_by(watched: Watcher | None) -> Iterator[None]:
    """What begins in the block is told to `watched`; None: to nobody."""
    token = _WATCHED.set(watched)
    try:
        yield
    finally:
        _WATCHED.reset(token)

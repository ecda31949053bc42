"""Feeds: numbers that are added in this process, and any number of clients that watch them, each in its own window.

    feed = sk.create_feed("sensors")
    feed.add({"t": 20.5, "h": 0.4})         # from any thread
    feed.close()

    POST /analysis?feed=sensors&window=10s     # without a body

A watcher gets what is added while it watches; earlier values are not kept. It hears of each value up to `every_s` after
it was added, and the value counts as having come then.
"""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from numbers import Real
from types import TracebackType
from typing import Final, Literal, Self

from streamkit.extractor.pieces import Piece
from streamkit.processors.numbers import MAX_COLUMNS, MAX_NAME
from streamkit.processors.rolling import Window
from streamkit.relay.failure import Failed
from streamkit.relay.sources.analysis import EVERY_S, LiveStatistics, told
from streamkit.relay.sources.source import Into

__all__ = ["Feed", "create_feed", "feed_asked", "watch"]

_feeds: Final[dict[str, Feed]] = {}
_lock: Final = threading.Lock()


class Feed:
    """A stream of numbers, or of objects of numbers, that clients can watch; made by `create_feed`.

        >>> with sk.create_feed("sensors") as feed:
        ...     feed.add({"t": 20.5, "h": 0.4})
        ...     feed.watchers
        0

    As a context manager it is closed at the end of the block.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._watchers: list[LiveStatistics] = []
        self._lock = threading.Lock()
        self._kind: Literal["number", "object"] | None = None
        self._columns: set[str] = set()
        self._closed = False

    @property
    def watchers(self) -> int:
        """How many clients are watching now."""
        return len(self._watchers)

    def add(self, value: float | Mapping[str, float | None]) -> None:
        """Add a number, or an object of numbers; all have to be of the same kind as the first.

        It may be called from any thread, and waits for no client. None within an object is a missing number. Raises
        TypeError for anything else, ValueError for NaN, infinity, and names that are empty, too long or too many;
        RuntimeError when the feed is closed.
        """
        kind, row = self._checked(value)
        with self._lock:
            if self._closed:
                raise RuntimeError(f"add() after close(): {self!r} has ended; create it again")
            if self._kind not in (None, kind):
                raise TypeError(f"expected one more {self._kind}, as before, got {value!r}")
            if not row.keys() <= self._columns:
                self._columns = self._known_with(row)
            self._kind = kind
            for watcher in self._watchers:
                watcher.put(row)

    def _known_with(self, row: dict[str, float]) -> set[str]:
        columns = self._columns | row.keys()
        if len(columns) > MAX_COLUMNS:
            raise ValueError(f"expected up to {MAX_COLUMNS} different names, got more")
        return columns

    @staticmethod
    def _checked(value: float | Mapping[str, float | None]) -> tuple[Literal["number", "object"], dict[str, float]]:
        if not isinstance(value, Mapping):
            return "number", {"": _finite(value)}
        for name in value:
            if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
                raise ValueError(f"expected names of 1 to {MAX_NAME} characters, got {name!r}")
        return "object", {name: _finite(number) for name, number in value.items() if number is not None}

    def close(self) -> None:
        """End the feed: watchers get the last result. It may be called again, and from any thread."""
        with self._lock:
            self._closed = True
            for watcher in self._watchers:
                watcher.end_soon()
        with _lock:
            if _feeds.get(self.name) is self:
                del _feeds[self.name]

    def begin(self, watcher: LiveStatistics) -> None:
        """It watches from now on."""
        with self._lock:
            self._watchers.append(watcher)
            if self._closed:
                watcher.end_soon()

    def leave(self, watcher: LiveStatistics) -> None:
        """It no longer does."""
        with self._lock:
            self._watchers.remove(watcher)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Feed {self.name!r}: {'closed' if self._closed else f'{self.watchers} watchers'}>"


def _finite(value: object) -> float:
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, Real)):
        raise TypeError(f"expected a number, or an object of numbers, got {value!r}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, got {number!r}; leave it out, or say None in an object")
    return number


def create_feed(name: str) -> Feed:
    """Make a feed that clients of this process can watch by its name: `POST /analysis?feed=sensors`.

        >>> sk.create_feed("sensors").close()

    An earlier feed of the same name is closed, so a cell can be run again. Raises ValueError for a name that is empty,
    longer than 100 characters or not printable.
    """
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"expected a name of 1 to {MAX_NAME} printable characters, got {name!r}")
    feed = Feed(name)
    with _lock:
        before, _feeds[name] = _feeds.get(name), feed
    if before is not None:
        before.close()
    return feed


def feed_asked(name: str) -> Feed:
    """The feed of `?feed=…`. Raises Failed: 422 `unknown_feed`."""
    with _lock:
        feed, there_are = _feeds.get(name), ", ".join(sorted(_feeds)[:20])
    if feed is None:
        raise Failed.of_request(422, "unknown_feed", f"there is no such feed; there are: {there_are or 'none'}")
    return feed


async def watch(
    feed: Feed, window: Window, into: Into, *, every_s: float = EVERY_S
) -> AsyncGenerator[list[Piece], None]:
    """The rolling statistics of what is added to `feed` from now on, as `analysis` tells them: a state at once, though
    it be empty, so that a client sees that it watches; the last one when the feed is closed.
    """
    live = LiveStatistics(window)
    live.changed()
    feed.begin(live)
    try:
        async with aclosing(told(live, into, every_s)) as states:
            async for pieces in states:
                yield pieces
    finally:
        feed.leave(live)

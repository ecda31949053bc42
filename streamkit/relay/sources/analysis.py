"""Live analysis as a source (see `streamkit.relay.sources.source`): numbers that come in a request's body, and their
rolling statistics as states while they come.

    body ──number_reader──▶ Rolling ──told──▶ Snapshot({"count": 3, "mean": 2.3, …})      ten times a second at most
    feed (feed.py) ────────▶

Reading never waits for telling: one task reads, and another one tells whatever is the present state when the time has
come. Each state is whole: who missed some has missed nothing that the next one does not say. The last one has
`"final": true`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final

from streamkit.errors import ConfigError
from streamkit.extractor.pieces import Piece
from streamkit.processors.numbers import NumberReader, Rows, number_reader
from streamkit.processors.processor import Unprocessable
from streamkit.processors.rolling import Rolling, Window
from streamkit.relay.failure import Failed
from streamkit.relay.pieces import Snapshot
from streamkit.relay.sources.source import Arriving, Into

__all__ = ["EVERY_S", "LiveStatistics", "analysis", "told", "window_asked"]

EVERY_S: Final = 0.1
AT_ONCE_BYTES: Final = 16_384
"""What is read between two turns of everybody else: a millisecond or two."""
MAX_WAITING: Final = 4_096


def window_asked(text: str) -> Window:
    """The window of `?window=…` (see `Window.of`). Raises Failed: 422 `bad_window`."""
    try:
        return Window.of(text)
    except ConfigError:
        raise Failed.of_request(
            *(422, "bad_window"),
            "window may be all, a number of values (1000), a time (10s; also ms, min, h), or the time constant of "
            "weights that fade: exp(30s)",
        ) from None


class LiveStatistics:
    """Rolling statistics that are filled, and somebody who waits for news of them on the running loop.

    `bad` tells how many lines were bad, and the first of them. `put` and `end_soon` may be called from any thread, the
    rest from the loop's own.
    """

    def __init__(self, window: Window, bad: Callable[[], tuple[int, list[dict[str, Any]]]] = lambda: (0, [])) -> None:
        self._loop = asyncio.get_running_loop()
        self._rolling = Rolling(window)
        self._lock = threading.Lock()
        self._bad = bad
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._waiting: list[dict[str, float]] = []  # rows that were put: many at once are cheaper
        self._called = False  # the loop, since they were taken last
        self.failure: Exception | None = None
        """Why no more will come, where that is no good end."""

    def add(self, rows: Rows) -> None:
        """Some more of them, which come now."""
        with self._lock:
            self._rolling.add(rows, self._loop.time())
        self.changed()

    def put(self, row: dict[str, float]) -> None:
        """One more row, by the names of its columns."""
        with self._lock:
            self._waiting.append(row)
            if len(self._waiting) >= MAX_WAITING:
                self._take()
            called, self._called = self._called, True
        if not called:
            self._soon(self.changed)

    def _take(self) -> None:
        columns: dict[str, list[float]] = {}
        for row in self._waiting:
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        self._rolling.add(Rows(len(self._waiting), columns), self._loop.time())
        self._waiting.clear()

    def _soon(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call)

    def changed(self) -> None:
        """There is news."""
        self._news.set()

    def end_soon(self) -> None:
        """`end`, called soon."""
        self._soon(self.end)

    def end(self, failure: Exception | None = None) -> None:
        """No more will come."""
        self.failure = failure
        self._over.set()
        self._news.set()

    async def news(self, at_s: float) -> bool:
        """Wait until there are some, and then until that time of the loop. False, at once, when no more will come."""
        await self._news.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(at_s):
                await self._over.wait()
        self._news.clear()
        return not self._over.is_set()

    async def state(self) -> dict[str, Any]:
        """How they stand. Columns are looked at one after another, with everybody else's turns between them: those of
        one state may be some milliseconds apart, until no more will come.
        """
        with self._lock:
            self._take()
            self._called = False
            growing = self._rolling.growing(self._loop.time())
            state = next(growing)
        while True:
            with self._lock:
                found = next(growing, None)
            if found is None:
                break
            await asyncio.sleep(0)
        bad, bad_lines = self._bad()
        return {**state, "bad": bad, "bad_lines": bad_lines, "skipped": 0}


async def told(live: LiveStatistics, into: Into, every_s: float) -> AsyncGenerator[list[Piece], None]:
    """States, while there is news, with pauses of `every_s` at least; and the last one. Raises what `live` ended by."""
    told_s = -math.inf
    while await live.news(told_s + every_s):
        pieces: list[Piece] = [Snapshot(await live.state())]
        if not into.offer(pieces):
            yield pieces
        told_s = asyncio.get_running_loop().time()
    state = await live.state()
    if live.failure is None:
        last: list[Piece] = [Snapshot({**state, "final": True})]
        if not into.offer(last):
            yield last
        return
    if told_s > -math.inf:  # else the failure is told as the whole answer
        into.offer([Snapshot(state)])
    raise live.failure


async def analysis(
    body: Arriving, window: Window, into: Into, *, every_s: float = EVERY_S
) -> AsyncGenerator[list[Piece], None]:
    """The rolling statistics of a body's numbers: lines of JSON, or CSV if it is `text/csv`.

    A state has the fields of `Rolling.result`, `bad` (lines that could not be read), `bad_lines` (the first 20 by
    `line`, `byte` and `reason`), and `skipped`, which the delivery counts. Raises Failed: whatever the body raises, and
    422 for a CSV whose first row cannot name columns.
    """
    reader = number_reader(body.content_type)
    live = LiveStatistics(window, lambda: (reader.bad, reader.bad_lines))
    reading = asyncio.create_task(_read(body, reader, live))
    try:
        async with aclosing(told(live, into, every_s)) as states:
            async for pieces in states:
                yield pieces
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def _read(body: Arriving, reader: NumberReader, live: LiveStatistics) -> None:
    try:
        async for data in body:
            for begin in range(0, len(data), AT_ONCE_BYTES):
                live.add(reader.feed(data[begin : begin + AT_ONCE_BYTES]))
                await asyncio.sleep(0)
        live.add(reader.close())
        live.end()
    except Unprocessable as error:
        live.end(Failed.of_request(422, error.code, error.detail))
    except Exception as error:  # noqa: BLE001  # it is raised where the states are told
        live.end(error)

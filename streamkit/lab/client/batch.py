"""Batch: reads are given on sixteen at a time where nobody waits for their text.

A decoder that runs once for each read finds the processor's caches cold. Measured on two busy cores, CPU of the client
per event, medians of nine interleaved rounds:

                                          without     with
    1 event a read, 20 streams at 50/s    53.7 µs     41.9 µs
    1 event a read, 50 streams at 100/s   32.7 µs     28.0 µs
    5 events a read, 20 streams at 50/s   17.1 µs     14.6 µs
    100 events a read                      6.6 µs      6.5 µs

No time is lost: an event that nobody waits for counts as handed over when its read returned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streamkit.transport import ReadPart

__all__ = ["Batch"]

READS: Final = 16
AT_LEAST_EVERY_S: Final = 0.1


class Batch:
    """Keeps what was read until there are 16 reads of it, or 100 ms have passed, and then gives it all to `feed`.

    `feed` says whether to go on. `enough` is called where it does not, and no read is waiting for its answer.
    """

    def __init__(self, feed: Callable[[Sequence[ReadPart]], bool], enough: Callable[[], None]) -> None:
        self._feed = feed
        self._enough = enough
        self._kept: list[ReadPart] = []
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def kept_bytes(self) -> int:
        """How much lies here."""
        return sum(len(data) for data, *_ in self._kept)

    def take(self, part: ReadPart) -> bool:
        """A read came. False: no more of them."""
        self._kept.append(part)
        if len(self._kept) >= READS:
            return self.give()
        if self._timer is None:
            self._timer = self._loop.call_later(AT_LEAST_EVERY_S, self._ring)
        return True

    def give(self) -> bool:
        """Give on what there is."""
        kept, self._kept = self._kept, []
        return self._feed(kept) if kept else True

    def end(self) -> None:
        """Nothing more comes."""
        if self._timer is not None:
            self._timer.cancel()
        self.give()

    def _ring(self) -> None:
        self._timer = None
        if not self.give():
            self._enough()

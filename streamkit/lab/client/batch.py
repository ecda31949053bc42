"""Batch: reads are given on many at a time where nobody waits for their text.

A decoder that runs once for each read finds the processor's caches cold, and cannot put down their events together
(`bulk`). `python -m benchmarks.recorder --scenario paced` tells what recording costs.

No time is lost: an event that nobody waits for counts as handed over when its read returned. What a bound of ours, or
an end mark behind which the connection stays open, changes is heard of so much later.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streamkit.transport import ReadPart

__all__ = ["Batch"]

READS: Final = 32
MOST_BYTES: Final = 1 << 20
AT_LEAST_EVERY_S: Final = 0.5

PARTS: Final = itertools.cycle([k * 0.618 % 1 for k in range(1, 501)])
"""How large the first batch of each stream is: those that begin together, and are as quick as each other, would all be
full at once, and what came while so many are given on would share a read. By the golden ratio, any few are apart.
"""


class Batch:
    """Keeps what was read until there are 32 reads of it, or 1 MiB, or 500 ms have passed, and gives it all to `feed`.
    The first batch is smaller.

    `feed` says whether to go on. `enough` is called where it does not, and no read is waiting for its answer.
    """

    def __init__(self, feed: Callable[[Sequence[ReadPart]], bool], enough: Callable[[], None]) -> None:
        self._feed = feed
        self._enough = enough
        self._kept: list[ReadPart] = []
        self._room = MOST_BYTES
        self._part = next(PARTS)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def kept_bytes(self) -> int:
        """How much lies here."""
        return sum(len(data) for data, *_ in self._kept)

    def take(self, part: ReadPart) -> bool:
        """A read came. False: no more of them."""
        self._kept.append(part)
        self._room -= len(part[0])
        if len(self._kept) >= READS * self._part or self._room < 0:
            return self.give()
        if self._timer is None:
            self._timer = self._loop.call_later(AT_LEAST_EVERY_S * self._part, self._ring)
        return True

    def give(self) -> bool:
        """Give on what there is."""
        kept, self._kept, self._room = self._kept, [], MOST_BYTES
        self._part = 1.0
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

"""Schedule: which streams a load has, when each is due, and what it asks. Pure; all is known before the first one."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from streamkit.lab.load.arrivals import Arrivals, ArrivalsLike, Closed, spread_of
from streamkit.lab.load.mix import Mix, Visit

__all__ = ["Schedule"]

HIDES_WAITING: Final = (
    "a closed loop hides waiting: a server that grows slow is asked less often, and requests that would have come "
    "meanwhile are missing from the numbers (coordinated omission)"
)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A load before it runs: `Schedule.of("poisson", Mix(), streams=100, rate=20).due_s`.

    `share` (k, of): of several clients of one load, every `of`-th stream from the k-th on is this one's.
    """

    arrivals: Arrivals | Closed
    mix: Mix
    streams: int | None
    duration_s: float | None
    rate: float | None
    seed: int
    share: tuple[int, int] = (0, 1)

    @classmethod
    def of(
        cls,
        arrivals: ArrivalsLike | None,
        mix: Mix,
        *,
        streams: int | None = None,
        duration_s: float | None = None,
        rate: float | None = None,
        seed: int = 0,
    ) -> Schedule:
        """Raises what `spread_of` raises."""
        spread = spread_of(arrivals, streams=streams, duration_s=duration_s, rate=rate)
        return cls(arrivals=spread, mix=mix, streams=streams, duration_s=duration_s, rate=rate, seed=seed)

    @cached_property
    def due_s(self) -> list[float]:
        """When each is due, in seconds from the beginning; empty in a closed loop."""
        if isinstance(self.arrivals, Closed):
            return []
        return self.arrivals.due_s(streams=self.streams, duration_s=self.duration_s, rate=self.rate, seed=self.seed)

    @property
    def total(self) -> int | None:
        """How many there will be; None where a closed loop ends with its time."""
        if isinstance(self.arrivals, Closed):
            return self.streams
        return len(range(self.share[0], len(self.due_s), self.share[1]))

    @property
    def at_once(self) -> int:
        """How many are open at a time for certain, whatever the server does."""
        if isinstance(self.arrivals, Closed):
            return self.arrivals.users if self.streams is None else min(self.arrivals.users, self.streams)
        first, step = self.share
        return max(Counter(itertools.islice(self.due_s, first, None, step)).values(), default=0)

    def visits(self, begun_ns: int) -> Iterator[Visit]:
        """Of an open loop that began then, in the order in which they are due."""
        first, step = self.share
        for n in range(first, len(self.due_s), step):
            yield self.mix.visit(n, begun_ns + int(self.due_s[n] * 1e9))

    def numbers(self) -> Iterator[int]:
        """Of the streams of a closed loop."""
        return iter(itertools.count() if self.streams is None else range(self.streams))

    def until_ns(self, begun_ns: int) -> int | None:
        """When a closed loop that began then is over; None: with its last stream."""
        return None if self.duration_s is None else begun_ns + int(self.duration_s * 1e9)

    def as_meta(self) -> dict[str, Any]:
        """As a set of recordings has it: JSON values."""
        closed = isinstance(self.arrivals, Closed)
        return {
            "arrivals": str(self.arrivals),
            "loop": "closed" if closed else "open",
            "rate": self.rate,
            "streams": self.streams,
            "duration_s": self.duration_s,
            "seed": self.seed,
            "notes": [HIDES_WAITING] if closed else [],
        }

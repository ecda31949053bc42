"""Rhythm: at which pace events come, whether they come in bunches, and what several halts have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.diagnosis.seen import Seen
from streamkit.lab.metrics.columns import Ints

__all__ = ["Bunches", "Period", "Usual", "bunches", "pace", "period"]

GLUE_NS: Final = 5_000_000
"""Gaps up to this are no gap that a sender meant: any shared machine makes, and swallows, such ones."""
GLUE_SHARE: Final = 0.2
"""Events are of one bunch where the gap between them is less than this share of a usual one."""
LEAST_BUNCHES: Final = 5
"""Three that look alike between the first and the last, which may be cut short."""
REGULAR: Final = 0.8
"""The share of bunches that has to be like the median one."""
TOLERANCE: Final = 0.25
"""How far a bunch may be from the median one, in size or in distance, to be like it: timers of a busy machine."""
SEEN_NS: Final = 40_000_000
"""Bunches that follow each other faster than this look like a stream that flows (25 pictures a second)."""
BUNCH_FACTOR: Final = 3
"""Bunches keep time, as somebody's buffer or timer does: three times their distance is no jitter of theirs."""
CLUMP: Final = 5
"""So many events at once, each time, are no accident, however few times there are …"""
CLUMP_SHARE: Final = 0.02
"""… if they are there in this share of the wait before them: no model speaks so fast after it has been silent so
long.
"""
MOST_READS: Final = 90
"""The percentile of reads up to which their size is a habit of the stream: a model that guesses ahead says several."""
LEAST_HALTS: Final = 4
"""Three equal distances: by chance that is one stream in a thousand, with one distance less one in thirty."""
LEAST_EVENTS: Final = 2
"""Halts behind each single event are a slower pace (a model that thinks, and then speaks), and nobody's count."""
LEAST_BY_TIME: Final = 5
SAME_TIME: Final = 0.08
"""Distances in time are equal within this share of their median: tighter than timers, wider than chance."""


class Bunches(NamedTuple):
    """Events that come several at a time: how many, how far apart (ns), and which of the two is always the same."""

    size: int
    every_ns: int
    number: int
    by_size: bool
    by_time: bool


class Usual(NamedTuple):
    """The usual course of a stream: `size` events every `every_ns`; what is longer than `threshold_ns` is a halt. Nine
    of ten reads bring `most` or fewer.
    """

    every_ns: int
    size: float
    threshold_ns: int
    bunches: Bunches | None
    most: float = 1.0

    @property
    def per_ns(self) -> float:
        """Events in a nanosecond."""
        return self.size / self.every_ns if self.every_ns else 0.0


class Period(NamedTuple):
    """Halts at equal distances: in events (`events`), or in time (`every_ns`)."""

    events: int | None
    every_ns: int


def pace(seen: Seen) -> Usual:
    """Of a stream that comes in bunches, theirs; of any other the median gap between reads, and what a read brings."""
    found = bunches(seen)
    begins = np.flatnonzero(np.diff(seen.read, prepend=-1))
    brought = np.add.reduceat(seen.weight, begins) if len(seen) else np.ones(1)
    if found is not None:
        gap_ns, size = found.every_ns, float(found.size)
    else:
        gaps = metrics.gaps_ns(seen.at_ns, seen.read, follows=seen.follows)
        gap_ns = metrics.percentile_ns(gaps, 50) or 0
        size = float(np.median(brought))
    factor = metrics.gaps.STALL_FACTOR if found is None else BUNCH_FACTOR
    threshold_ns = max(metrics.gaps.MIN_STALL_NS, factor * gap_ns)
    return Usual(gap_ns, size, threshold_ns, found, float(np.percentile(brought, MOST_READS, method="lower")))


def bunches(seen: Seen) -> Bunches | None:
    """Whether the events always come several at a time; None where they do not, or where the wire has no borders.

    A bunch ends where a gap is more than a fifth of the usual one (the median of those above 5 ms). The bunches are
    alike in size or in distance, follow each other at least 40 ms apart, and each of them is over in a fifth of that.
    Where there are few of them, down to one with the whole answer, more is asked (`CLUMP`, `CLUMP_SHARE`).
    """
    gaps = np.diff(seen.at_ns)
    wide = gaps[gaps > GLUE_NS]
    if not seen.borders or not len(seen):
        return None
    border_ns = max(GLUE_NS, GLUE_SHARE * float(np.median(wide))) if wide.size else GLUE_NS
    starts = np.flatnonzero(np.concatenate(([True], gaps > border_ns)))
    if starts.size < LEAST_BUNCHES:
        return _clumps(seen, starts)
    size = np.diff(starts)[1:]  # neither the first nor the last, which may be cut short
    every = np.diff(seen.at_ns[starts])[:-1]  # and the last comes early, with the end
    took = seen.at_ns[starts[2:] - 1] - seen.at_ns[starts[1:-1]]
    usual, usual_ns = int(np.median(size)), int(np.median(every))
    together = np.count_nonzero(size > 1) >= REGULAR * size.size
    quick = np.count_nonzero(took <= GLUE_SHARE * usual_ns) >= REGULAR * size.size
    by_size, by_time = _alike(size, usual), _alike(every, usual_ns)
    if usual < 2 or usual_ns < SEEN_NS or not (together and quick and (by_size or by_time)):
        return None
    return Bunches(usual, usual_ns, starts.size, by_size, by_time)


def _clumps(seen: Seen, starts: Ints) -> Bunches | None:
    """Few bunches, of many events each, that are there in next to no time, after waits that are stalls to a reader."""
    ends = np.append(starts[1:], len(seen)) - 1
    size, took = ends - starts + 1, seen.at_ns[ends] - seen.at_ns[starts]
    waits = np.diff(seen.at_ns[starts], prepend=seen.origin_ns)
    many = bool((size[: max(1, size.size - 1)] >= CLUMP).all())
    at_once = bool((took <= np.maximum(GLUE_NS, CLUMP_SHARE * waits)).all())
    if not (many and at_once and int(waits.min()) >= metrics.gaps.MIN_STALL_NS):
        return None
    later = waits[1:] if waits.size > 1 else waits
    return Bunches(int(np.median(size)), int(np.median(later)), starts.size, by_size=False, by_time=False)


def _alike(values: Ints, usual: int) -> bool:
    return bool(np.count_nonzero(np.abs(values - usual) <= TOLERANCE * usual) >= REGULAR * values.size)


def period(after: Sequence[int], start_ns: Sequence[int]) -> Period | None:
    """Whether halts that began after these events, at these times, come at equal distances.

    >>> from streamkit.lab.diagnosis.rhythm import period
    >>> period([20, 40, 60, 80], [0, 9, 19, 30])
    Period(events=20, every_ns=10)
    """
    if len(after) < LEAST_HALTS:
        return None
    distances = {later - earlier for earlier, later in pairwise(after)}
    every = np.diff(np.asarray(start_ns, dtype=np.int64))
    usual_ns = int(np.median(every))
    if min(distances) < LEAST_EVENTS:
        return None
    if len(distances) == 1:
        return Period(distances.pop(), usual_ns)
    if len(after) >= LEAST_BY_TIME and bool((np.abs(every - usual_ns) <= SAME_TIME * usual_ns).all()):
        return Period(None, usual_ns)
    return None

"""Pure functions from columns of integer nanoseconds to numbers. Nothing here reads a clock or a recording.

Arguments are anything that `np.asarray` takes as int64: `array('q')`, lists, arrays. `at_ns[i]` is when event i was
read and `read[i]` the number of the read that completed it, both ascending. A number that is not defined (a gap of
a single event) is None, never 0 or NaN.

Gaps are counted **between reads that brought pieces** (see `pieces`). Pieces that share a read have no measured gap:
one socket read handed them over together, and when they were sent cannot be told from the client's side. Counting
zeros for them would pull every percentile down (five events in one write: a p50 of 0 ms at a true pace of 50 ms).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

__all__ = [
    "MIN_STALL_NS",
    "STALL_FACTOR",
    "coalesced_share",
    "gaps_ns",
    "percentile_ns",
    "pieces",
    "stall_threshold_ns",
    "stalls_ns",
    "throughput_per_s",
    "ttft_ns",
]

MIN_STALL_NS = 250_000_000
STALL_FACTOR = 5


def ttft_ns(at_ns: npt.ArrayLike, characters: npt.ArrayLike, origin_ns: int = 0) -> int | None:
    """Time to the first piece (called TTFT after tokens): `min(at_ns[characters > 0]) - origin_ns`.

    Counts events that carry text; `characters[i]` is the length of event i's text. None if no event carries any.
    `origin_ns` is the moment counted from: when the request's last byte had left, or the call.
    """
    with_text = _ints(at_ns)[_ints(characters) > 0]
    return int(with_text[0]) - origin_ns if with_text.size else None


def pieces(characters: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which events a reader waits for: those with text, or all of them where none has any.

    `characters[i]` is the length of event i's text. The others (role chunks, pings, `done`) carry nothing to read: a
    ping in the middle of a stall does not end it, and the moment between the last piece and its `done` is no gap.
    """
    with_text = _ints(characters) > 0
    return with_text if with_text.any() else np.ones_like(with_text)


def gaps_ns(at_ns: npt.ArrayLike, read: npt.ArrayLike) -> Ints:
    """Gaps between consecutive reads that brought events: `diff` over one time per read.

    Counts reads: r reads that brought events give r - 1 gaps, however many events they held.
    """
    return np.diff(_ints(at_ns)[_first_of_read(read)])


def percentile_ns(values: npt.ArrayLike, q: int) -> int | None:
    """The q-th percentile by the nearest-rank rule: the value at rank `ceil(n * q / 100)` of the sorted values.

    It is always a value that occurred (numpy calls this rule "inverted_cdf"); interpolation would report latencies
    that nobody saw. For n < 100 the 99th percentile is therefore the largest value. None for no values.
    Raises ValueError unless 0 < q <= 100.
    """
    if not 0 < q <= 100:
        raise ValueError(f"expected a percentile above 0 and up to 100, got {q!r}")
    numbers = _ints(values)
    if not numbers.size:
        return None
    rank = math.ceil(numbers.size * q / 100) - 1
    return int(np.partition(numbers, rank)[rank])


def stall_threshold_ns(gaps: npt.ArrayLike) -> int:
    """What counts as a stall where nothing else is said: a gap above `max(250 ms, 5 * median gap)`.

    250 ms is where a reader notices the halt; five times the median leaves streams alone that are slow throughout.
    """
    median = percentile_ns(gaps, 50) or 0
    return max(MIN_STALL_NS, STALL_FACTOR * median)


def stalls_ns(at_ns: npt.ArrayLike, read: npt.ArrayLike, threshold_ns: int | None = None) -> Ints:
    """The stalls, as an array of shape (k, 2): the times between which no read brought an event.

    Counts gaps between reads (see `gaps_ns`) longer than `threshold_ns` (default: `stall_threshold_ns` of them). The
    wait for the first event and the silence after the last are not gaps and not counted.
    """
    times = _ints(at_ns)[_first_of_read(read)]
    gaps = np.diff(times)
    above = gaps > (stall_threshold_ns(gaps) if threshold_ns is None else threshold_ns)
    return np.column_stack((times[:-1][above], times[1:][above]))


def coalesced_share(read: npt.ArrayLike) -> float | None:
    """The share of events that came in the same read as an earlier event: `1 - reads / events`.

    Counts events, and the reads that completed one. None for no events.
    """
    first = _first_of_read(read)
    return float(1 - np.count_nonzero(first) / first.size) if first.size else None


def throughput_per_s(at_ns: npt.ArrayLike, read: npt.ArrayLike, amount: npt.ArrayLike) -> float | None:
    """Pace after the first read: the `amount` in all later reads / (time of the last read - time of the first).

    `amount[i]` is what event i counts for: 1 for events per second, its characters for characters per second. The
    first read is left out because what it brought was produced before the interval; the wait for it is the TTFT.
    None for fewer than two reads that brought events, or when no time passed between them.
    """
    first = _first_of_read(read)
    if np.count_nonzero(first) < 2:
        return None
    times = _ints(at_ns)
    span_ns = int(times[-1] - times[0])
    later = _ints(read) > _ints(read)[0]
    return float(_ints(amount)[later].sum() / (span_ns / 1e9)) if span_ns > 0 else None


def _ints(values: npt.ArrayLike) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _first_of_read(read: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    numbers = _ints(read)
    first = np.ones(numbers.size, dtype=np.bool_)
    first[1:] = numbers[1:] != numbers[:-1]
    return first

"""Cumulative curves: staircases that say how much had passed a place by when, and what two of them say together.

A `Curve` is a right-continuous staircase A(t): the number of units (events, or bytes of text) that have passed by time
t, the step at t included. Of two curves, `before` and `after`, at consecutive places of a stream:

    backlog at time t    A_before(t) - A_after(t)               the vertical distance: what is held between the places
    delay of unit n      time_of(after, n) - time_of(before, n) the horizontal distance: how long it was held

This is the picture of G. F. Newell, *Applications of Queueing Theory* (2nd ed. 1982), ch. 1, and of Le Boudec & Thiran,
*Network Calculus* (2001), section 1.1 (backlog and virtual delay, definition 1.1.1). The horizontal distance is the
delay of unit n if units pass in order, as on one connection they do.

Neither is ever clipped: if two places were stamped in different ways (the kernel's receive time here, the return of
`send` there), an event may seem to arrive before it had left. A negative delay shows that; zero would hide it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal, NamedTuple, overload

import numpy as np

from streamkit.lab.metrics.columns import Ints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from streamkit.taps import Tap

__all__ = [
    "Backlog",
    "Curve",
    "Hop",
    "Unit",
    "backlog",
    "count_at",
    "curve",
    "curve_of",
    "delay_ns",
    "hops",
    "max_backlog",
    "mean_backlog",
    "time_of",
    "times",
]

Unit = Literal["events", "bytes"]


class Curve(NamedTuple):
    """A staircase that says how much had passed a place by when: by `at_ns[i]`, `count[i]` units in all.

    recording.curves()["relay.sent"].total      # of a recording's taps; `curve` makes one from your own numbers

    Both columns are int64 and never fall.
    """

    at_ns: Ints
    count: Ints  # type: ignore[assignment]  # hides tuple.count(), of which a pair of columns has no use

    @property
    def total(self) -> int:
        """How many units have passed in all."""
        return int(self.count[-1]) if self.count.size else 0


class Backlog(NamedTuple):
    """What was between two places over time: `held[i]` units from `at_ns[i]` until `at_ns[i + 1]`.

    at_ns, held = sk.metrics.backlog(curves["relay.sent"], curves["client.read"])
    """

    at_ns: Ints
    held: Ints


class Hop(NamedTuple):
    """The way from the place `before` to the next one known, `after`; unit n took `delays_ns[n - 1]`.

    for hop in sk.metrics.hops(recording.curves()): print(hop.name, hop.delays_ns.max())
    """

    before: str
    after: str
    delays_ns: Ints

    @property
    def name(self) -> str:
        """As a label: `relay.sent → client.read`."""
        return f"{self.before} → {self.after}"


def curve(at_ns: npt.ArrayLike, amount: npt.ArrayLike | None = None) -> Curve:
    """A curve from single passings: A(t) = the sum of `amount[i]` over all i with `at_ns[i] <= t`.

    `amount[i]` is what passing i counts for: 1 (the default) for events, its size for bytes. Unordered times are
    sorted. Raises ValueError for a negative amount: what has passed does not come back.

    >>> sk.metrics.curve([10, 20, 20], amount=[3, 1, 1]).count.tolist()
    [3, 4, 5]
    """
    times = np.array(at_ns, dtype=np.int64)
    amounts = np.ones_like(times) if amount is None else np.asarray(amount, dtype=np.int64)
    if times.shape != amounts.shape or times.ndim != 1:
        raise ValueError(
            f"expected at_ns and amount as columns of one length, got shapes {times.shape}, {amounts.shape}"
        )
    if amounts.size and amounts.min() < 0:
        raise ValueError(f"expected amounts of 0 or more, got {amounts.min()}")
    if np.any(times[1:] < times[:-1]):
        order = np.argsort(times, kind="stable")
        times, amounts = times[order], amounts[order]
    return Curve(times, np.cumsum(amounts))


def curve_of(tap: Tap, unit: Unit = "events") -> Curve:
    """The curve of a tap; `unit` is "events" or "bytes" (of text). It is a copy, so the tap can go on growing.

    sk.metrics.curve_of(recording.taps["upstream.sent"], "bytes").total
    """
    steps = len(tap)
    column = tap.events if unit == "events" else tap.bytes
    return Curve(np.array(tap.at_ns[:steps], dtype=np.int64), np.array(column[:steps], dtype=np.int64))


@overload
def count_at(curve: Curve, t_ns: int) -> int: ...
@overload
def count_at(curve: Curve, t_ns: Ints | Sequence[int]) -> Ints: ...
def count_at(curve: Curve, t_ns: int | Ints | Sequence[int]) -> int | Ints:
    """How many units had passed by `t_ns`, those at `t_ns` included: A(t). An array of times gives an array.

    >>> sk.metrics.count_at(sk.metrics.curve([10, 20, 20]), 20)
    3
    """
    steps = np.searchsorted(curve.at_ns, np.asarray(t_ns, dtype=np.int64), side="right")
    counts = np.concatenate((_ZERO, curve.count))[steps]
    return counts if np.ndim(t_ns) else int(counts)


def time_of(curve: Curve, n: int) -> int | None:
    """When unit n (from 1) had passed: the first t with A(t) >= n; None if fewer than n ever did.

    It is the lower pseudo-inverse of A: `time_of(n) <= t` exactly if `n <= count_at(t)`. Raises ValueError for n < 1.

    >>> sk.metrics.time_of(sk.metrics.curve([10, 20, 20]), 3)
    20
    """
    if n < 1:
        raise ValueError(f"expected the number of a unit, from 1, got {n!r}")
    step = int(np.searchsorted(curve.count, n, side="left"))
    return int(curve.at_ns[step]) if step < curve.count.size else None


def times(curve: Curve, units: int | None = None) -> Ints:
    """`time_of` for many units: when each of the units 1 … `units` had passed (default: all that did).

    >>> sk.metrics.times(sk.metrics.curve([10, 20], amount=[1, 2])).tolist()
    [10, 20, 20]
    """
    upto = curve.count if units is None else np.minimum(curve.count, units)
    return np.repeat(curve.at_ns, np.diff(upto, prepend=0))  # each step's time, once per unit


def delay_ns(before: Curve, after: Curve) -> Ints:
    """Each unit's delay, the horizontal distance: `time_of(after, n) - time_of(before, n)`.

    n runs from 1 to the smaller total of the two: a unit that has not passed both places has no delay. The result takes
    8 bytes per unit, even if the unit is a byte.

    >>> sk.metrics.delay_ns(sk.metrics.curve([10, 20]), sk.metrics.curve([15, 40])).tolist()
    [5, 20]
    """
    units = min(before.total, after.total)
    return times(after, units) - times(before, units)


def backlog(before: Curve, after: Curve) -> Backlog:
    """What is held between two places, the vertical distance: `count_at(before, t) - count_at(after, t)` at each step.

    >>> sk.metrics.backlog(sk.metrics.curve([10, 20]), sk.metrics.curve([15, 40])).held.tolist()
    [1, 0, 1, 0]
    """
    at_ns = _merged(before.at_ns, after.at_ns)
    return Backlog(at_ns, count_at(before, at_ns) - count_at(after, at_ns))


def max_backlog(before: Curve, after: Curve) -> int:
    """The most that was ever held between two places: `max(A_before(t) - A_after(t))` over all t, at least 0.

    Only the steps of `before` are looked at: between them the distance can only shrink.

    >>> sk.metrics.max_backlog(sk.metrics.curve([10, 20]), sk.metrics.curve([15, 40]))
    1
    """
    if not before.at_ns.size:
        return 0
    return max(0, int((before.count - count_at(after, before.at_ns)).max()))


def mean_backlog(before: Curve, after: Curve) -> float | None:
    """The mean of the backlog over time: `∫ (A_before - A_after) dt / span`, from the first step of either to the last.

    None if no time passed. (By Little's law it is the throughput times the mean delay, if all units pass both places.)

    >>> sk.metrics.mean_backlog(sk.metrics.curve([0]), sk.metrics.curve([5]))
    1.0
    """
    at_ns, held = backlog(before, after)
    if at_ns.size < 2:
        return None
    widths = np.diff(at_ns)
    return float(np.dot(held[:-1].astype(np.float64), widths) / widths.sum())  # a product of int64 could overflow


def hops(curves: Mapping[str, Curve]) -> list[Hop]:
    """The delays between each curve and the next, in the order given; a missing place merges its two hops.

    For units that passed all places, the delays of the hops add up to exactly `delay_ns(first, last)`.

    >>> curves = {"relay.sent": sk.metrics.curve([10, 20]), "client.read": sk.metrics.curve([15, 40])}
    >>> [(hop.name, hop.delays_ns.tolist()) for hop in sk.metrics.hops(curves)]
    [('relay.sent → client.read', [5, 20])]
    """
    passed = [(name, times(one)) for name, one in curves.items()]
    found = []
    for (before, left), (after, right) in itertools.pairwise(passed):
        units = min(left.size, right.size)
        found.append(Hop(before, after, right[:units] - left[:units]))
    return found


_ZERO = np.zeros(1, dtype=np.int64)


def _merged(left: Ints, right: Ints) -> Ints:
    """The distinct values of two ascending columns. The stable sort (a merge sort) takes linear time for two runs."""
    both = np.sort(np.concatenate((left, right)), kind="stable")
    return both[np.diff(both, prepend=both[:1] - 1) != 0] if both.size else both

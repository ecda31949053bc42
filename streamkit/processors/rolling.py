"""Rolling statistics: of all values, of the last n, of the last seconds, or of all with weights that fade.

    rolling = Rolling(Window.of("10s"))
    rolling.add(Rows(3, {"": [1.0, 2.0, 4.0]}), at_s=0.0)
    rolling.result(at_s=1.0)        # {'count': 3, 'total': 3, 'rate': 3.0, 'mean': 2.33…, 'variance': 2.33…, …}

Theory of operation
-------------------
Of each column the latest values stand in an array, up to 10,000 of them: as long as a window holds no more, everything
is computed from them when it is asked for, quantiles as numpy's `linear` method has them. Of a larger window the older
values are summarised in blocks, each a 32nd of the window wide and a `Statistics`: mean, variance, minimum and maximum
are exact still, quantiles are found by t-digests, to a thousandth of the rank, and a window ends with a block: it holds
up to a 32nd less than it says, never more. So memory is bounded for any rate and any window: 600 kB a column at most.

Weights that fade are exp(-age / time constant). Values older than five time constants, which have 0.7 % of the weight,
are left out, and all that stands in a block has one weight.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamkit.errors import ConfigError
from streamkit.processors.numbers import Rows
from streamkit.processors.statistics import Statistics

__all__ = ["EXACT", "Rolling", "Window"]

EXACT: Final = 10_000
"""Values of a column that are kept as they are."""
AT_ONCE: Final = EXACT // 4
PART: Final = EXACT // 8
"""What is summarised at once."""
PHASES: Final = 16
BLOCKS: Final = 32
LIFE: Final = 5.0
"""After so many time constants a fading value is left out."""
CENTROIDS: Final = 500
"""Of each t-digest."""
POINTS: Final = [point / 32 for point in range(33)]
"""Ranks whose quantiles tell of a block where to look."""
STEPS: Final = 33
NARROWINGS: Final = 3
RANKS: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
MAX_VALUES: Final = 10**12
MAX_S: Final = 1e9
WRITTEN: Final = re.compile(r"(?P<fading>exp\()?(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|min|h)?(?P<end>\))?")
UNITS_S: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}

_Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """Over which values statistics are taken: all of them, or those of a window.

    values     the last so many
    seconds    those of the last so many seconds
    fading_s   all, with weights that fade by this time constant

        >>> from streamkit.processors.rolling import Window
        >>> Window.of("1000"), Window.of("10s")
        (Window(values=1000, seconds=None, fading_s=None), Window(values=None, seconds=10.0, fading_s=None))

    `str()` writes a window as `Window.of` reads it.
    """

    values: int | None = None
    seconds: float | None = None
    fading_s: float | None = None

    @classmethod
    def of(cls, text: str) -> Window:
        """The window written as `all`, `1000`, `10s` or `exp(30s)`; the units are ms, s, min and h.

        Raises ConfigError for anything else.

        >>> str(Window.of("exp(1.5min)"))
        'exp(90s)'
        """
        text = text.strip()
        if text in ("", "all"):
            return cls()
        found = WRITTEN.fullmatch(text)
        if found is not None and bool(found["fading"]) == bool(found["end"]):
            number, unit = float(found["number"]), found["unit"]
            seconds = number * UNITS_S.get(unit, math.nan)
            if not unit and not found["fading"] and found["number"].isdigit() and 1 <= number <= MAX_VALUES:
                return cls(values=int(found["number"]))
            if 0 < seconds <= MAX_S:
                return cls(fading_s=seconds) if found["fading"] else cls(seconds=seconds)
        raise ConfigError(
            "expected a window such as all, 1000 (the last thousand values), 10s (those of the last ten seconds; also "
            "ms, min, h) or exp(30s) (all, with weights that fade within thirty seconds or so), "
            f"got {text[:40]!r}"
        )

    @property
    def width_s(self) -> float:
        """How old values in it may be, in seconds; infinite if time does not matter."""
        if self.fading_s is not None:
            return LIFE * self.fading_s
        return math.inf if self.seconds is None else self.seconds

    def __str__(self) -> str:
        if self.values is not None:
            return str(self.values)
        if self.fading_s is not None:
            return f"exp({self.fading_s:g}s)"
        return "all" if self.seconds is None else f"{self.seconds:g}s"


class _Block(NamedTuple):
    """Older values, summarised; the first of them is number `first` of all, and came at `first_s`."""

    place: float  # which 32nd
    first: int
    first_s: float
    statistics: Statistics


class _Weighted(NamedTuple):
    """Values, or groups of them, with weights: what statistics with weights are made of."""

    counts: _Floats  # values in each
    weights: _Floats  # of each value of it
    means: _Floats
    squares: _Floats  # Σ (x - mean)² in each


class _Series:
    """The values of one column, in one window. `total`: all that were added."""

    __slots__ = ("_blocks", "_first_s", "_latest", "_most", "_size", "_start", "_window", "total")

    def __init__(self, window: Window, number: int = 0) -> None:
        self.total = 0
        # Columns grow alike: with as much room each, all of them would be full in the same moment, and summarise then
        self._most = EXACT + PART * (number % PHASES) // PHASES
        self._window = window
        self._latest = np.empty((2, 64))  # values, and when they came
        self._start = 0
        self._size = 0
        self._blocks: deque[_Block] = deque()
        self._first_s = math.nan  # when the very first came

    def add(self, values: _Floats, at_s: float) -> None:
        for some in np.split(values, range(AT_ONCE, values.size, AT_ONCE)):
            if not self.total and some.size:
                self._first_s = at_s
            self._make_room(some.size)
            end = self._start + self._size
            self._latest[0, end : end + some.size] = some
            self._latest[1, end : end + some.size] = at_s
            self._size += some.size
            self.total += some.size
            self._leave_out(at_s)
            if self._size > self._most:
                self._summarise(self._size - self._most + PART)

    def _make_room(self, more: int) -> None:
        needed = self._size + more
        if self._start + needed <= self._latest.shape[1]:
            return
        held = self._latest[:, self._start : self._start + self._size]
        if 5 * needed > 4 * self._latest.shape[1]:  # else those that are held take each other's place too often
            self._latest = np.empty((2, 3 * needed // 2))
        self._latest[:, : self._size] = held.copy()
        self._start = 0

    def _leave_out(self, at_s: float) -> None:
        """What is no longer in the window."""
        oldest_s, oldest = at_s - self._window.width_s, self.total - (self._window.values or self.total)
        while self._blocks and (self._blocks[0].first_s <= oldest_s or self._blocks[0].first < oldest):
            self._blocks.popleft()
        times = self._latest[1, self._start : self._start + self._size]
        too_old = int(np.searchsorted(times, oldest_s, side="right"))
        self._forget(max(too_old, oldest - (self.total - self._size)))

    def _forget(self, count: int) -> None:
        self._start, self._size = self._start + count, self._size - count

    def _summarise(self, count: int) -> None:
        """The oldest of the latest, in the blocks where they belong."""
        values, times = self._latest[:, self._start : self._start + count]
        first = self.total - self._size
        places = self._places(times, first)
        bounds = np.flatnonzero(np.diff(places)) + 1
        for begin, some in zip([0, *bounds.tolist()], np.split(values, bounds), strict=True):
            place = float(places[begin])
            if not self._blocks or self._blocks[-1].place != place:
                self._blocks.append(_Block(place, first + begin, float(times[begin]), Statistics(CENTROIDS)))
            self._blocks[-1].statistics.add(some)
        self._forget(count)

    def _places(self, times: _Floats, first: int) -> _Floats:
        """In which 32nd each is, counted from the beginning of time or of the values."""
        if self._window.values is None:
            return np.floor_divide(times, self._window.width_s / BLOCKS)
        return np.floor_divide(np.arange(first, first + times.size, dtype=np.float64), self._window.values / BLOCKS)

    def result(self, at_s: float) -> dict[str, Any]:
        """Its fields; None where they are not known."""
        self._leave_out(at_s)
        values, times = self._latest[:, self._start : self._start + self._size]
        count = self._size + sum(block.statistics.count for block in self._blocks)
        with np.errstate(over="ignore", invalid="ignore"):  # a mean beyond a double is not known
            if not count:
                found = dict.fromkeys(("mean", "variance", "min", "max", *RANKS), math.nan)
            elif self._blocks or self._window.fading_s is not None:
                found = self._weighed(values, times, at_s)
            else:
                found = _exact(values)
            rate = self._rate(count, times, at_s)
        told = {name: value if math.isfinite(value) else None for name, value in {"rate": rate, **found}.items()}
        return {"count": count, "total": self.total, **told}

    def _rate(self, count: int, times: _Floats, at_s: float) -> float:
        """Values a second, over the time of which they are."""
        age_s = at_s - self._first_s
        if self._window.fading_s is not None:
            weighted = self._weighted(times, times, at_s)  # their times instead of the values, which do not matter
            weight = float(weighted.counts @ weighted.weights)
            over_s = -self._window.fading_s * math.expm1(-min(age_s, self._window.width_s) / self._window.fading_s)
            return weight / over_s if over_s > 0 else math.nan
        if self._blocks:
            age_s = at_s - self._blocks[0].first_s
        elif self._window.values is not None and count:
            age_s = at_s - float(times[0])
        over_s = min(age_s, self._window.width_s)
        return count / over_s if over_s > 0 else math.nan

    def _weighted(self, values: _Floats, times: _Floats, at_s: float) -> _Weighted:
        fading_s, blocks = self._window.fading_s or math.inf, [block.statistics for block in self._blocks]
        ends = [*(block.first_s for block in self._blocks), float(times[0]) if times.size else at_s]
        middles = [(begin + end) / 2 for begin, end in pairwise(ends)]
        zeros = np.zeros(values.size)
        return _Weighted(
            counts=np.concatenate([[float(each.count) for each in blocks], zeros + 1]),
            weights=np.exp((np.concatenate([middles, times]) - at_s) / fading_s),
            means=np.concatenate([[each.mean for each in blocks], values]),
            squares=np.concatenate([[each.square for each in blocks], zeros]),
        )

    def _weighed(self, values: _Floats, times: _Floats, at_s: float) -> dict[str, float]:
        """The same of values that have weights, or some of which are in blocks."""
        counts, weights, means, squares = self._weighted(values, times, at_s)
        blocks = [block.statistics for block in self._blocks]
        all_weight, of_squares = float(counts @ weights), float(counts @ weights**2)
        mean = float((counts * weights) @ means) / all_weight
        spread = float((counts * weights) @ (means - mean) ** 2 + weights @ squares)
        # Of a sample, with weights of how much each value counts: V1 - V2 / V1 stands for n - 1
        freedom = all_weight - of_squares / all_weight
        extremes = np.concatenate([[each.min for each in blocks], [each.max for each in blocks], values])
        if blocks:
            shares = (counts * weights)[: len(blocks)]
            quantiles = _narrowed(blocks, shares, values, weights[len(blocks) :])
        else:
            quantiles = _quantiles(values, weights)
        return {
            "mean": mean,
            "variance": spread / freedom if counts.sum() > 1 and freedom > 0 else math.nan,
            "min": float(extremes.min()),
            "max": float(extremes.max()),
            **dict(zip(RANKS, quantiles, strict=True)),
        }


def _exact(values: _Floats) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        "variance": float(values.var(ddof=1)) if values.size > 1 else math.nan,
        "min": float(values.min()),
        "max": float(values.max()),
        **dict(zip(RANKS, np.quantile(values, list(RANKS.values())).tolist(), strict=True)),
    }


def _quantiles(values: _Floats, weights: _Floats) -> list[float]:
    """Of values with weights; where all are equal, as numpy's `linear` method has them."""
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    middles = np.cumsum(weights) - weights / 2
    middles -= middles[0]
    found: list[float] = np.interp(np.multiply(list(RANKS.values()), middles[-1]), middles, values).tolist()
    return found


def _narrowed(blocks: list[Statistics], shares: _Floats, values: _Floats, weights: _Floats) -> list[float]:
    """The quantiles of blocks, each of which weighs its share, and of values beside them.

    To merge the t-digests of many values with single ones puts the result off by up to a hundredth of the rank. What
    lies below a value each of them tells to a few ten-thousandths, and their sum is as right: so the first value below
    which there is enough is looked for, within ever narrower bounds.
    """
    order = np.argsort(values)
    values, summed = values[order], np.concatenate([[0.0], np.cumsum(weights[order])])
    points = np.sort(
        np.concatenate([*(block.quantiles(POINTS) for block in blocks), values[:: 1 + values.size // 512]])
    )
    ranks = np.array(list(RANKS.values()))
    tried = np.tile(points[np.linspace(0, points.size - 1, STEPS).astype(int)], (ranks.size, 1))
    upper = tried[:, -1]
    for _ in range(NARROWINGS):
        below = summed[np.searchsorted(values, tried, "right")]
        for block, share in zip(blocks, shares, strict=True):
            below = below + share * block.below(tried)
        short = below < (ranks * (shares.sum() + summed[-1]))[:, np.newaxis]
        first = np.minimum(short.sum(axis=1), STEPS - 1)
        upper = np.take_along_axis(tried, first[:, np.newaxis], 1)[:, 0]
        lower = np.take_along_axis(tried, np.maximum(first - 1, 0)[:, np.newaxis], 1)[:, 0]
        tried = np.linspace(lower, upper, STEPS, axis=1)
    found: list[float] = upper.tolist()
    return found


class Rolling:
    """Rolling statistics of rows that come one after another.

        >>> from streamkit.processors.numbers import Rows
        >>> from streamkit.processors.rolling import Rolling, Window
        >>> rolling = Rolling(Window.of("3"))
        >>> rolling.add(Rows(4, {"": [1.0, 2.0, 3.0, 7.0]}), at_s=0.0)
        >>> found = rolling.result(at_s=2.0)
        >>> found["count"], found["total"], found["rate"], found["mean"], found["p50"]
        (3, 4, 1.5, 4.0, 3.0)

    Rows without names, numbers that is, have their fields at the top of a result; of others those of each column are
    below `columns`, by its name, and `count`, `total` and `rate` are of rows. The last n values of a column are those
    that it has: where some rows lack it, they reach further back.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._rows = _Series(window)  # of a column that no row lacks
        self._columns: dict[str, _Series] = {}

    def add(self, rows: Rows, at_s: float) -> None:
        """Some more of them, which came at `at_s`: of any clock that does not go back."""
        unnamed = rows.columns.get("")
        self._rows.add(np.zeros(rows.number) if unnamed is None else np.asarray(unnamed, np.float64), at_s)
        for name, values in rows.columns.items():
            if name:
                series = self._columns.get(name) or self._new(name)
                series.add(np.asarray(values, np.float64), at_s)

    def _new(self, name: str) -> _Series:
        series = self._columns[name] = _Series(self._window, len(self._columns))
        return series

    @property
    def total(self) -> int:
        """Rows that were added."""
        return self._rows.total

    def result(self, at_s: float) -> dict[str, Any]:
        """The fields, as JSON has them: `count` (values in the window), `total` (all that there were), `rate` (values a
        second; since the first one came, where the window is not full yet), `mean`, `variance` (of a sample), `min`,
        `max`, `p50`, `p95`, `p99`. None where something is not known.
        """
        *_, whole = self.growing(at_s)
        return whole

    def growing(self, at_s: float) -> Iterator[dict[str, Any]]:
        """The result, with one column more each time, and whole at last: it may take two milliseconds a column, while
        which nobody should wait.
        """
        found = self._rows.result(at_s)
        if self._columns:
            found = {name: found[name] for name in ("count", "total", "rate")} | {"columns": {}}
        yield found
        for name, series in tuple(self._columns.items()):
            found["columns"][name] = series.result(at_s)
            yield found

    def __repr__(self) -> str:
        return f"<Rolling: {self.total} rows, window {self._window}>"

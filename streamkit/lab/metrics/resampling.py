"""Is one group of numbers larger than another, by how much, and what could so few of them have shown? By resampling.

    design = paired(a, b)                       # a[i] and b[i] are of one round; design_of says which it is to be
    design.estimate                             # by how much b is larger
    p_value(design, null(design, rng))          # how often chance alone does that
    interval(design, bootstrap(design, rng))    # between what that may lie

Nothing is assumed of how the numbers are distributed. Three designs, by how they came:

    Pairs    numbers of one round belong together, and their middle (or mean) is asked for: the differences of the
             pairs, in which whatever a round's minutes did to both cancels
    Rounds   the same, where another quantile is asked for, which differences do not have: those of both, and chance may
             swap the two of a round
    Groups   no rounds: chance may deal all of them out anew

**Test**: were there no difference, the two numbers of a round might as well have come the other way round. So they are
swapped at random, many times, and counted is how often the estimate is as far from 0 as the one that was seen. With m
draws p = (b + 1) / (m + 1), which is never 0 and never too small (Phipson & Smyth, "Permutation p-values should never
be zero", 2010); where there are fewer ways to swap than draws, all of them are taken and p is exact.

**Quantiles** are those of Harrell & Davis (1982): a weighted mean of all numbers in their order, the weights those of a
beta distribution about the quantile. The nearest rank, by which percentiles are shown everywhere else, moves in steps
from number to number: half of all swaps leave a median of six where it is, and a test by it sees nothing.

**Interval**: the percentiles of the estimate over rounds (or numbers) that are drawn with replacement (Efron &
Tibshirani, "An introduction to the bootstrap", chapter 13), a little further out where they are few: Student's t
instead of the normal distribution (Hesterberg, "What teachers should know about the bootstrap", 2015, section 4).

Everything is drawn by a seed: the same numbers give the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Final, Literal, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "ALPHA",
    "At",
    "Design",
    "Groups",
    "Pairs",
    "Rounds",
    "bootstrap",
    "design_of",
    "enough_for",
    "holm",
    "interval",
    "least_difference",
    "located",
    "null",
    "p_value",
]

Floats: TypeAlias = npt.NDArray[np.float64]
At: TypeAlias = int | Literal["mean"]
"""What is asked of the numbers: a percentile (50 is their middle), or their mean."""

ALPHA: Final = 0.05
POWER: Final = 0.8
APPROACHES: Final = 3  # to the least difference: the third moves it by a hundredth or so
DRAWS: Final = 9_999
FEWEST_DRAWS: Final = 999
LEAST_DRAWS: Final = 1_999
"""For what could have been seen, of which nobody wants four digits."""
MOST_NUMBERS: Final = 5_000_000
"""Drawn in all, so that a comparison of thousands takes seconds: of so many draws are fewer."""
AT_A_TIME: Final = 2_000_000  # of them, in memory
BEYOND: Final = 8
"""So many numbers have to lie beyond a quantile, in the mean, for resampling to know how much it may vary."""
GRID: Final = 64  # steps of the beta density for each number
ROUNDING: Final = 1e-9  # of the largest number: estimates that are nearer are the same


class Design(Protocol):
    """Numbers of two groups, by how they came."""

    @property
    def at(self) -> At:
        """What is asked of them."""

    @property
    def estimate(self) -> float:
        """By how much the second group is larger."""

    @property
    def size(self) -> int:
        """How many numbers, or rounds, of the smaller group."""

    @property
    def scale(self) -> float:
        """The largest of the numbers."""

    @property
    def ways(self) -> float:
        """How many ways there are to swap."""

    def shifted(self, by: float) -> Self:
        """The same numbers as they would be were the difference larger by this."""

    def swapped(self, rng: np.random.Generator, draws: int) -> Floats:
        """Estimates, were chance alone at work."""

    def every_swap(self) -> Floats:
        """Those of all ways, the one that was seen among them."""

    def drawn_again(self, rng: np.random.Generator, draws: int) -> Floats:
        """Estimates of numbers that are drawn out of these, with replacement."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """The differences of pairs, `b[i] - a[i]`: their middle or mean."""

    differences: Floats
    at: At = 50

    @property
    def estimate(self) -> float:
        return float(located(self.differences, self.at))

    @property
    def size(self) -> int:
        return self.differences.size

    @property
    def scale(self) -> float:
        return float(np.abs(self.differences).max(initial=0.0))

    @property
    def ways(self) -> float:
        return 2.0 ** min(self.size, 1000)

    def shifted(self, by: float) -> Self:
        return replace(self, differences=self.differences + by)

    def swapped(self, rng: np.random.Generator, draws: int) -> Floats:
        return located(self.differences * _coins(rng, draws, self.size), self.at)

    def every_swap(self) -> Floats:
        return located(self.differences * _every_coin(self.size), self.at)

    def drawn_again(self, rng: np.random.Generator, draws: int) -> Floats:
        return located(self.differences[rng.integers(self.size, size=(draws, self.size))], self.at)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounds:
    """Numbers of which `a[i]` and `b[i]` are of one round: how far a quantile of the one is from that of the other."""

    a: Floats
    b: Floats
    at: At

    @property
    def estimate(self) -> float:
        return float(located(self.b, self.at) - located(self.a, self.at))

    @property
    def size(self) -> int:
        return self.a.size

    @property
    def scale(self) -> float:
        return _largest(self.a, self.b)

    @property
    def ways(self) -> float:
        return 2.0 ** min(self.size, 1000)

    def shifted(self, by: float) -> Self:
        return replace(self, b=self.b + by)

    def swapped(self, rng: np.random.Generator, draws: int) -> Floats:
        return self._by(_coins(rng, draws, self.size))

    def every_swap(self) -> Floats:
        return self._by(_every_coin(self.size))

    def _by(self, coins: Floats) -> Floats:
        stay = coins > 0
        a, b = np.where(stay, self.a, self.b), np.where(stay, self.b, self.a)
        return located(b, self.at) - located(a, self.at)

    def drawn_again(self, rng: np.random.Generator, draws: int) -> Floats:
        which = rng.integers(self.size, size=(draws, self.size))
        return located(self.b[which], self.at) - located(self.a[which], self.at)


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """Numbers of two groups, of which none belongs to any other."""

    a: Floats
    b: Floats
    at: At = 50

    @property
    def estimate(self) -> float:
        return float(located(self.b, self.at) - located(self.a, self.at))

    @property
    def size(self) -> int:
        return min(self.a.size, self.b.size)

    @property
    def scale(self) -> float:
        return _largest(self.a, self.b)

    @property
    def ways(self) -> float:
        return math.inf  # they are drawn, however few there are

    def shifted(self, by: float) -> Self:
        return replace(self, b=self.b + by)

    def swapped(self, rng: np.random.Generator, draws: int) -> Floats:
        both = np.concatenate((self.a, self.b))
        dealt = rng.permuted(np.broadcast_to(both, (draws, both.size)), axis=1)
        return located(dealt[:, self.a.size :], self.at) - located(dealt[:, : self.a.size], self.at)

    def every_swap(self) -> Floats:
        raise NotImplementedError("there are more ways than anybody wants: see `ways`")

    def drawn_again(self, rng: np.random.Generator, draws: int) -> Floats:
        a = self.a[rng.integers(self.a.size, size=(draws, self.a.size))]
        b = self.b[rng.integers(self.b.size, size=(draws, self.b.size))]
        return located(b, self.at) - located(a, self.at)


def design_of(a: npt.ArrayLike, b: npt.ArrayLike, at: At, *, rounds: bool) -> Design:
    """The design for these numbers; `rounds`: a[i] and b[i] are of one. Raises ValueError where those are not equally
    many, or there is none.

    >>> from streamkit.lab.metrics.resampling import design_of
    >>> round(design_of([10.0, 20.0, 90.0], [12.0, 22.0, 92.0], 50, rounds=True).estimate, 3)
    2.0
    """
    mine, its = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if not mine.size or not its.size or (rounds and mine.size != its.size):
        raise ValueError(f"expected numbers of both, of rounds as many of each, got {mine.size} and {its.size}")
    if not rounds:
        return Groups(a=mine, b=its, at=at)
    return Pairs(differences=its - mine, at=at) if at in (50, "mean") else Rounds(a=mine, b=its, at=at)


def enough_for(at: At) -> int:
    """How many numbers of each an answer about this percentile takes: `BEYOND` of them lie beyond it.

    >>> from streamkit.lab.metrics.resampling import enough_for
    >>> enough_for(50), enough_for(95)
    (6, 160)
    """
    if at in (50, "mean"):
        return 6  # five coins fall alike once in sixteen throws, six once in thirty-two
    beyond = min(float(at), 100 - float(at)) / 100
    return math.ceil(round(BEYOND / beyond, 6))


def null(design: Design, rng: np.random.Generator, draws: int = DRAWS) -> Floats:
    """Estimates, were chance alone at work: of all ways to swap where those are few, else of so many draws."""
    draws = _draws(design, draws)
    return design.every_swap() if design.ways <= draws else _in_parts(design.swapped, rng, draws, design)


def bootstrap(design: Design, rng: np.random.Generator, draws: int = DRAWS) -> Floats:
    """Estimates of numbers that are drawn again."""
    return _in_parts(design.drawn_again, rng, _draws(design, draws), design)


def p_value(design: Design, by_chance: Floats) -> float:
    """How often chance alone gives an estimate as far from 0 (two-sided): exact, or (b + 1) / (m + 1)."""
    close = ROUNDING * max(design.scale, 1e-300)
    as_far = int(np.count_nonzero(np.abs(by_chance) >= abs(design.estimate) - close))
    if design.ways == by_chance.size:
        return as_far / by_chance.size
    return (as_far + 1) / (by_chance.size + 1)


def interval(design: Design, drawn: Floats, level: float = 1 - ALPHA) -> tuple[float, float]:
    """Between what the difference lies, with this confidence: percentiles of what was drawn again, further out the
    fewer numbers there are (`expanded`).
    """
    outside = 100 * expanded((1 - level) / 2, design.size)
    low, high = np.percentile(drawn, [outside, 100 - outside])
    return float(low), float(high)


def least_difference(
    design: Design, rng: np.random.Generator, width: float, alpha: float = ALPHA, draws: int = LEAST_DRAWS
) -> float:
    """The least difference that so many numbers, as widely spread as these, show in four of five comparisons (a power
    of 80 %). `width`: of the interval.

    Of the numbers without their difference: what an estimate has to reach for p to fall to `alpha`, and for half the
    interval to lie above 0; and beyond that as much as four of five estimates do not fall short of the truth. A
    difference that is there makes chance look larger, so the first is found once more with the difference put in.
    """
    without = design.shifted(-design.estimate)
    off = bootstrap(without, rng, draws)
    short = float(np.quantile(np.concatenate((off, -off)), 1 - expanded(1 - POWER, design.size)))
    least = 0.0
    for _ in range(APPROACHES):
        chance = np.abs(null(without.shifted(least), rng, draws))
        least = max(float(np.quantile(chance, 1 - alpha, method="higher")), width / 2) + short
    return least


def holm(ps: Sequence[float], of: int | None = None) -> list[tuple[float, int]]:
    """Of several p-values each adjusted, and by how much it was divided, in their order (Holm, "A simple sequentially
    rejective multiple test procedure", 1979): all that are then below 5 % may be claimed together.

    NaN, where nothing could be compared, stays so. `of`: out of so many comparisons these were chosen; by default they
    are all there were.

    >>> from streamkit.lab.metrics.resampling import holm
    >>> holm([0.02, 0.01])
    [(0.02, 1), (0.02, 2)]
    """
    found: list[tuple[float, int]] = [(math.nan, max(1, len(ps) if of is None else of))] * len(ps)
    total, least = len(ps) if of is None else of, 0.0
    known = [index for index, p in enumerate(ps) if not math.isnan(p)]
    for place, index in enumerate(sorted(known, key=ps.__getitem__)):
        times = total - place if of is None else total
        least = max(least, min(1.0, ps[index] * times))
        found[index] = (least, times)
    return found


# --- An estimate of sorted numbers ----------------------------------------------------------------------------------


def located(numbers: Floats, at: At) -> Floats:
    """The percentile (Harrell & Davis), or the mean, over the last axis.

    >>> import numpy as np
    >>> from streamkit.lab.metrics.resampling import located
    >>> float(located(np.array([1.0, 2.0, 9.0]), "mean")), round(float(located(np.array([1.0, 2.0, 3.0]), 50)), 6)
    (4.0, 2.0)
    """
    if at == "mean":
        return np.asarray(numbers.mean(axis=-1))
    found: Floats = np.asarray(np.sort(numbers, axis=-1) @ weights(numbers.shape[-1], at))
    return found


@lru_cache(maxsize=64)
def weights(n: int, at: int) -> Floats:
    """Of n numbers in their order: what the beta distribution (n + 1) q, (n + 1) (1 - q) has between i / n and
    (i + 1) / n.
    """
    q = at / 100
    x = (np.arange(n * GRID) + 0.5) / (n * GRID)
    log = ((n + 1) * q - 1) * np.log(x) + ((n + 1) * (1 - q) - 1) * np.log1p(-x)
    mass = np.exp(log - log.max()).reshape(n, GRID).sum(axis=1)
    found: Floats = mass / mass.sum()
    found.flags.writeable = False  # it is kept, and shared
    return found


# --- Few numbers ----------------------------------------------------------------------------------------------------


def expanded(tail: float, n: int) -> float:
    """The share to cut off at each end in the place of `tail`, so that an interval of few numbers is not too narrow:
    Phi(-t sqrt(n / (n - 1))), with Student's t of n - 1 degrees of freedom.
    """
    if n < 2:
        return tail
    return NormalDist().cdf(-student(1 - tail, n - 1) * math.sqrt(n / (n - 1)))


@lru_cache(maxsize=256)
def student(share: float, degrees: int) -> float:
    """The quantile of Student's t (share above one half), by the density's integral: nothing else here needs scipy."""
    x = np.linspace(0, 60, 240_001)
    density = (1 + x**2 / degrees) ** (-(degrees + 1) / 2)
    upto = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2)))
    beyond = _beyond(float(x[-1]), degrees) / (x[1] - x[0])
    return float(np.interp((share - 0.5) * 2 * (upto[-1] + beyond), upto, x))


def _beyond(x: float, degrees: int) -> float:
    """What of the density lies beyond x, where that is about a power: of one degree it is a tenth of a thousandth."""
    return degrees ** ((degrees + 1) / 2) * x ** (-degrees) / degrees if degrees < 20 else 0.0


# --- Drawing --------------------------------------------------------------------------------------------------------


class _Draw(Protocol):
    def __call__(self, rng: np.random.Generator, draws: int) -> Floats: ...


def _draws(design: Design, wanted: int) -> int:
    return min(wanted, max(FEWEST_DRAWS, MOST_NUMBERS // max(design.size, 1)))


def _in_parts(draw: _Draw, rng: np.random.Generator, draws: int, design: Design) -> Floats:
    part = max(1, AT_A_TIME // max(design.size, 1))
    return np.concatenate([draw(rng, min(part, draws - done)) for done in range(0, draws, part)])


def _coins(rng: np.random.Generator, draws: int, n: int) -> Floats:
    return np.asarray(rng.integers(2, size=(draws, n)) * 2.0 - 1.0, dtype=np.float64)


def _every_coin(n: int) -> Floats:
    return np.asarray((np.arange(2**n)[:, None] >> np.arange(n) & 1) * 2.0 - 1.0, dtype=np.float64)


def _largest(*several: Floats) -> float:
    return float(max(np.abs(each).max(initial=0.0) for each in several))

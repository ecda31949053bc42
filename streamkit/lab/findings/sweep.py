"""What a sweep shows: which setting is best, and whether that is sure. It is the title of sweep and heatmap.

    sk.findings.sweep_finding(swept, y="held_ms", x="buffer", by="policy")

Settings are compared in pairs: each trial with the one of the best setting from the same round (and with the same
values of those parameters that are not compared), so that whatever affected a whole round cancels. What is told of
these differences is their median, and a 95 % interval for it that assumes nothing about how they are distributed: its
ends are two of the differences themselves, as far from the smallest and the largest as coins would allow (the sign
test, turned round: Conover, "Practical Nonparametric Statistics", chapter 3). With fewer than six pairs there is none:
five coins fall alike once in sixteen throws.

The best is surely better than all others if it surely is for each of them: all have to agree, so no correction for
their number is due (an intersection-union test: Berger, 1982).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import numpy as np

from streamkit.lab.findings.words import byte_size, duration, many, short
from streamkit.lab.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamkit.lab.sweep import TrialRow

__all__ = [
    "Better",
    "Difference",
    "SettingFacts",
    "SweepFacts",
    "describe_sweep",
    "median_interval",
    "quantity",
    "span",
    "sweep_facts",
    "sweep_finding",
]

Better: TypeAlias = Literal["lower", "higher"]
Key: TypeAlias = tuple[object, ...]

SURE: Final = 0.95
FEWEST: Final = 6
"""Pairs of which there is an interval: 2 / 2 ** 6 < 5 %."""
DO_NOT: Final = "do not quote"
REASON_LIMIT: Final = 80
RELATIVE: Final = 1e-9  # differences below this share of the values are those of adding up, and none


@dataclass(frozen=True, kw_only=True)
class Difference:
    """By how much the values of a setting are larger than those of the best one, pair by pair.

    median      of the differences
    low, high   its 95 % interval; None if there are too few pairs
    pairs       how many
    """

    median: float
    low: float | None
    high: float | None
    pairs: int

    @property
    def apart(self) -> bool:
        """Whether it surely differs from the best one."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, kw_only=True)
class SettingFacts:
    """What was found with one setting.

    setting      its parameters, with their values
    values       the numbers that its trials gave
    repeats      the round of each of these
    failed       how many trials failed
    difference   to the best setting; None for that itself, and if no two trials can be compared
    """

    setting: tuple[tuple[str, object], ...]
    values: tuple[float, ...]
    repeats: tuple[int, ...]
    failed: int
    difference: Difference | None = None

    @property
    def name(self) -> str:
        """The setting as text: `policy=pause, buffer=65,536`."""
        return ", ".join(f"{name}={value_name(value)}" for name, value in self.setting)

    @property
    def median(self) -> float:
        """The median of its values; NaN if there are none."""
        return float(np.median(self.values)) if self.values else float("nan")


@dataclass(frozen=True, kw_only=True)
class SweepFacts:
    """The settings of a sweep, compared by one number: what its figures draw.

        facts = sk.findings.sweep_facts(swept, "held_ms", x="buffer", by="policy")
        facts.settings[facts.best].name

    y, x, by   the number, and the parameters that are compared; `by` may be None
    better     which values are better: "lower" or "higher"
    settings   the settings that are compared, in the order of the grid
    best       the index of the best one by its median; None if no trial has the number
    open       the indices of those that are not surely worse
    pooled     the other parameters: trials are paired by equal values of these
    repeats    how many rounds
    trials, failed   how many trials, and how many of them failed
    reasons    why trials failed, the commonest first
    doubtful   how many trials were loads whose verdict says "do not quote": the client was too slow
    """

    y: str
    x: str
    by: str | None
    better: Better
    settings: tuple[SettingFacts, ...]
    best: int | None
    pooled: tuple[str, ...]
    repeats: int
    trials: int
    failed: int
    reasons: tuple[str, ...]
    doubtful: int

    @property
    def open(self) -> tuple[int, ...]:
        """The indices of settings that may be as good as the best one, the nearest first."""
        others = [
            index
            for index, each in enumerate(self.settings)
            if index != self.best and each.values and not (each.difference and each.difference.apart)
        ]
        return tuple(sorted(others, key=self._distance))

    @property
    def next(self) -> int | None:
        """The index of the setting nearest to the best one."""
        others = [index for index, each in enumerate(self.settings) if index != self.best and each.difference]
        return min(others, key=self._distance, default=None)

    def _distance(self, index: int) -> float:
        difference = self.settings[index].difference
        return float("inf") if difference is None else abs(difference.median)


def sweep_facts(
    swept: Sweep, y: str | None = None, x: str | None = None, by: str | None = None, *, better: Better = "lower"
) -> SweepFacts:
    """Compare the settings of a sweep that differ in the parameters `x` and `by`, by their number `y`.

        facts = sk.findings.sweep_facts(swept, "held_ms", x="buffer", by="policy")
        facts.settings[facts.best].name, [facts.settings[other].name for other in facts.open]

    By default `y` is the first number of the trials, `x` the first parameter of the grid, and then `by` the second, if
    there is one. `better` says which values are better: "lower" or "higher".

    Raises TypeError for what is not a sweep, ValueError for names that it does not have.
    """
    if not isinstance(swept, Sweep):
        raise TypeError(f"expected what sk.sweep() returned, got {swept!r}")
    if better not in get_args(Better):
        raise ValueError(f"expected better as 'lower' or 'higher', got {better!r}")
    x, by = _compared(swept, x, by)
    y = _number(swept, y)
    shown = (x,) if by is None else (x, by)
    pooled = tuple(name for name in swept.parameters if name not in shown)
    found = [_setting(swept, key, y, shown) for key in _keys(swept, shown)]
    best = _best(found, better)
    if best is not None:
        pairs = _pairs(swept, y, shown, pooled)
        key = _key_of(found[best])
        found = [replace(each, difference=_difference(pairs, _key_of(each), key)) for each in found]
    return SweepFacts(
        y=y,
        x=x,
        by=by,
        better=better,
        settings=tuple(found),
        best=best,
        pooled=pooled,
        repeats=swept.repeats,
        trials=len(swept.rows),
        failed=len(swept.failed),
        doubtful=sum(str(row.metrics.get("verdict")).startswith(DO_NOT) for row in swept.rows),
        reasons=tuple(str(error) for error, _ in Counter(row.error for row in swept.failed).most_common()),
    )


def sweep_finding(
    swept: Sweep, y: str | None = None, x: str | None = None, by: str | None = None, *, better: Better = "lower"
) -> str:
    """Which setting of a sweep is best, and how sure that is, as a sentence.

        sk.findings.sweep_finding(swept, "held_ms", x="buffer", by="policy")

    The arguments are those of `sweep_facts`. It is the title of `sk.plots.sweep` and `sk.plots.heatmap`.
    """
    return describe_sweep(sweep_facts(swept, y, x, by, better=better))


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Between which of the `values` the median of all that there might be lies with 95 %; None of fewer than six.

    >>> from streamkit.lab.findings.sweep import median_interval
    >>> median_interval([3.0, 1.0, 2.0, 4.0, 9.0, 2.5])
    (1.0, 9.0)
    """
    ordered, n = sorted(values), len(values)
    inside, tail = 0, 1  # how many may be left out at each end, and in how many of 2 ** n throws so many coins are
    while 2 * tail <= (1 - SURE) * 2**n and 2 * inside < n:
        inside += 1
        tail += comb(n, inside)
    return (ordered[inside - 1], ordered[n - inside]) if inside else None


def describe_sweep(facts: SweepFacts) -> str:
    """`sweep_finding` of what are already facts."""
    if facts.best is None:
        why = f": {short(facts.reasons[0], REASON_LIMIT)}" if facts.reasons else ""
        return f"No trial gave {facts.y}{why}"
    best, extreme = facts.settings[facts.best], "lowest" if facts.better == "lower" else "highest"
    compared = [each for each in facts.settings if each.values]
    if len(compared) == 1:
        return f"{facts.y} is {quantity(facts.y, best.median)} with {best.name} ({many(len(best.values), 'trial')})"
    if _all_alike(compared):
        return f"{facts.y} is {quantity(facts.y, best.median)} with each of {len(compared)} settings"
    told = f"{facts.y} is {extreme} with {best.name} ({quantity(facts.y, best.median)})"
    return f"{told}{_sureness(facts)}"


def _sureness(facts: SweepFacts) -> str:
    if facts.next is None:
        return ", but no two trials can be compared: each is alone in its round"
    rival = facts.settings[facts.open[0] if facts.open else facts.next]
    if rival.difference is None:
        return f", but {rival.name} cannot be compared with it: no round has both"
    pairs, by = rival.difference.pairs, _by_how_much(facts, rival.difference)
    if not facts.open:
        return f", surely: the next, {rival.name}, is {by}"
    if rival.difference.low is None:
        return (
            f"; the next is {rival.name}, {by}. Of {many(pairs, 'pair')} nothing is sure: {FEWEST} that agree would be"
        )
    others = "" if len(facts.open) == 1 else f" and {many(len(facts.open) - 1, 'other')}"
    return f", but {many(pairs, 'pair')} do not tell it from {rival.name} ({by}){others}"


def _by_how_much(facts: SweepFacts, difference: Difference) -> str:
    """`122 ms more (114 to 128 ms)`; of one that is not sure `+0.5 ms, -1.2 to 3.0 ms`."""
    low, high = difference.low, difference.high
    if low is None or high is None:
        return f"{_signed(facts.y, difference.median)}"
    if not difference.apart:
        return f"{_signed(facts.y, difference.median)}, {span(facts.y, low, high)}"
    word = "more" if difference.median > 0 else "less"
    return f"{quantity(facts.y, abs(difference.median))} {word} ({span(facts.y, *sorted((abs(low), abs(high))))})"


def _signed(name: str, value: float) -> str:
    return f"{'+' if value > 0 else ''}{quantity(name, value)}"


def span(name: str, low: float, high: float) -> str:
    """Both ends, and their unit once where they have the same: `31 to 44 ms`."""
    first, last = quantity(name, low), quantity(name, high)
    if first == last:
        return last
    unit = last.rpartition(" ")[2]
    return f"{first.removesuffix(f' {unit}')} to {last}" if " " in last else f"{first} to {last}"


def quantity(name: str, value: float) -> str:
    """A number by its name's unit: `12 ms` of `held_ms`, `3.8 kB` of `peak_bytes`, `1,234` of others."""
    if name.endswith("_ms"):
        return duration(value * 1e6)
    if name.endswith("_ns"):
        return duration(value)
    if name.endswith("_s") and not name.endswith("_per_s"):
        return f"{_plain(value)} s"
    if name.endswith("_bytes"):
        return f"{'-' if value < 0 else ''}{byte_size(round(abs(value)))}"
    if name.endswith("_share"):
        return f"{value:.1%}"
    return _plain(value)


def value_name(value: object) -> str:
    """A parameter's value, as it is said."""
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _plain(value: float) -> str:
    """Three digits or so, and no exponent below a million billions."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e15 else f"{value:.3g}"


# --- Which are compared, and how ------------------------------------------------------------------------------------


def _compared(swept: Sweep, x: str | None, by: str | None) -> tuple[str, str | None]:
    known = swept.parameters
    for name, given in (("x", x), ("by", by)):
        if given is not None and given not in known:
            raise ValueError(f"expected {name} as a parameter of the grid ({', '.join(known)}), got {given!r}")
    if x is None:
        x, by = known[0] if by != known[0] else known[-1], by if by or len(known) < 2 else known[1]
    if x == by:
        raise ValueError(f"expected x and by as two parameters, got {x!r} twice")
    return x, by


def _number(swept: Sweep, y: str | None) -> str:
    known = swept.metrics
    if y is None:
        return known[0] if known else "a number"
    if y not in known and known:
        raise ValueError(f"expected a number that the trials returned ({', '.join(known)}), got {y!r}")
    return y


def _keys(swept: Sweep, shown: tuple[str, ...]) -> Iterable[Key]:
    """Values of x in their order, and of each those of by: numbers as numbers, all else as in the grid."""
    columns = [ordered({setting.get(name): None for setting in swept.settings}) for name in shown]
    places = [{value: place for place, value in enumerate(column)} for column in columns]
    keys = dict.fromkeys(tuple(setting.get(name) for name in shown) for setting in swept.settings)
    return sorted(keys, key=lambda key: [place[value] for place, value in zip(places, key, strict=True)])


def ordered(values: Iterable[object]) -> list[object]:
    """Numbers by size, if there is nothing else; otherwise as they come."""
    found = list(values)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
        return sorted(found, key=lambda value: float(value))  # type: ignore[arg-type]  # they are numbers
    return found


def _setting(swept: Sweep, key: Key, y: str, shown: tuple[str, ...]) -> SettingFacts:
    rows = [row for row in swept.rows if tuple(row.parameters.get(name) for name in shown) == key]
    told = [row for row in rows if _told(row, y) is not None]
    return SettingFacts(
        setting=tuple(zip(shown, key, strict=True)),
        values=tuple(float(_told(row, y) or 0) for row in told),
        repeats=tuple(row.repeat for row in told),
        failed=len(rows) - len(told),
    )


def _told(row: TrialRow, y: str) -> float | None:
    value = row.metrics.get(y)
    return float(value) if isinstance(value, int | float) else None


def _best(found: Sequence[SettingFacts], better: Better) -> int | None:
    medians = {index: each.median for index, each in enumerate(found) if each.values}
    choose: Callable[..., int] = min if better == "lower" else max
    return choose(medians, key=medians.__getitem__) if medians else None


def _pairs(swept: Sweep, y: str, shown: tuple[str, ...], pooled: tuple[str, ...]) -> dict[Key, dict[Key, float]]:
    """By setting: its values by round and pooled parameters."""
    found: dict[Key, dict[Key, float]] = defaultdict(dict)
    for row in swept.rows:
        value = _told(row, y)
        if value is not None:
            key = tuple(row.parameters.get(name) for name in shown)
            found[key][row.repeat, *(row.parameters.get(name) for name in pooled)] = value
    return found


def _difference(pairs: dict[Key, dict[Key, float]], key: Key, best: Key) -> Difference | None:
    mine, its = pairs.get(key, {}), pairs[best]
    both = [] if key == best else sorted(mine.keys() & its.keys(), key=repr)
    if not both:
        return None
    differences = [mine[one] - its[one] for one in both]
    interval = median_interval(differences)
    low, high = interval or (None, None)
    return Difference(median=float(np.median(differences)), low=low, high=high, pairs=len(both))


def _key_of(facts: SettingFacts) -> Key:
    return tuple(value for _, value in facts.setting)


def _all_alike(found: Sequence[SettingFacts]) -> bool:
    values = [value for each in found for value in each.values]
    return max(values) - min(values) <= RELATIVE * max(map(abs, values))

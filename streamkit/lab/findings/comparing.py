"""From recordings to a `Comparison`: which runs are compared with which, and what has to be said of that."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamkit.lab.arguments import check_whole
from streamkit.lab.findings.comparison import ROUND, Against, Comparison, describe_compare, said_p, usual_at
from streamkit.lab.findings.sweep import quantity
from streamkit.lab.findings.words import many, short
from streamkit.lab.metrics.resampling import (
    ALPHA,
    At,
    bootstrap,
    design_of,
    enough_for,
    holm,
    interval,
    least_difference,
    located,
    null,
    p_value,
)
from streamkit.lab.recording.measures import Measure, MetricLike, measure_of
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet
from streamkit.lab.sets.set_summary import no_text

if TYPE_CHECKING:
    from streamkit.lab.findings.comparison import Decision
    from streamkit.lab.metrics.resampling import Design
    from streamkit.lab.recording.recorded import Label

__all__ = ["BEST", "MOST_TARGETS", "Runs", "check_asked", "compare", "compare_finding", "compare_of", "compare_sets"]

Floats: TypeAlias = npt.NDArray[np.float64]
Runs: TypeAlias = "RecordingSet | Iterable[Recording] | Mapping[str, RecordingSet | Iterable[Recording] | Recording]"

BEST: Final = "best"
MOST_TARGETS: Final = 10
LOST_SHARE: Final = 0.2
"""Of the runs of either: where more failed, those that are left say too little."""
OF_GAPS: Final = ("gap", "max_gap", "stall", "longest_stall")
"""Numbers that `Recording.trust` weighs errors against: how names of such begin."""


def compare(
    runs: Runs | Comparison,
    *,
    metric: MetricLike = "ttft",
    by: str = "label",
    against: str | None = None,
    at: At | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare recordings that exist already, as `sk.compare` compares those that it makes.

        compared = sk.findings.compare(sk.RecordingSet.load("runs.jsonl"), metric="gap_p99", by="label")
        compared.sentence, compared.verdict

    runs      a `RecordingSet` or recordings, which are grouped by the label `by` (`RecordingSet.by`); a mapping from
              names to sets or recordings; or a `Comparison`, to be compared by another metric
    metric    what is compared: a number of `summary()`, with or without its unit (`ttft`, `duration`, `gap_p50`,
              `gap_max`, `stalls`, …); an objective, `sk.metrics.SLO(ttft_ms=500)`, by the share of runs that kept it;
              or a function of a Recording
    by        the label by which runs are grouped into targets
    against   the target that the others are compared with: by default the first one; another by its name, or "best"
    at        which percentile of the runs is compared, 1 to 99 (default: the median, 50), or "mean", the default for
              counts and shares
    seed      for the resampling

    Runs with a label `round`, one of each target in each round, are compared round by round. The runs have to be
    independent of each other. The streams of one load are not: whatever the server did to one stream it also did to its
    neighbours (but two loads are two runs).

    Raises ValueError for fewer than two groups, or more than ten, and for unknown names; TypeError for what are not
    recordings.

    >>> a, b = ([sk.Recording.from_pieces([(ms * 1_000_000, "x")]) for ms in range(n, n + 8)] for n in (10, 90))
    >>> sk.findings.compare({"a": a, "b": b}).verdict
    'slower'
    """
    if isinstance(runs, Comparison):
        runs = runs.recordings
    sets = _sets(runs, by)
    check_asked(tuple(sets), against, at, seed)
    return compare_sets(sets, measure_of(metric), against=against, at=at, seed=seed)


def compare_sets(
    sets: Mapping[str, RecordingSet],
    measure: Measure,
    *,
    against: str | None = None,
    at: At | None = None,
    seed: int = 0,
) -> Comparison:
    """`compare` of what has been checked."""
    at = usual_at(measure.name) if at is None else at
    told = {name: _Told.of(each, measure) for name, each in sets.items()}
    base = _base(told, against, at, measure)
    return _Comparing(measure, at, told, base, against == BEST and BEST not in told, seed).result(sets)


def compare_finding(runs: Runs | Comparison, **given: Any) -> str:
    """The result of a comparison as a sentence; it is the title of `sk.plots.compare`.

        sk.findings.compare_finding({"a": recordings, "b": others}, metric="gap_p99")

    The arguments are those of `sk.findings.compare`; a `Comparison` needs none.
    """
    return describe_compare(compare_of(runs, **given))


def compare_of(runs: Runs | Comparison, **given: Any) -> Comparison:
    """The comparison that is given, or the one that these recordings make."""
    return runs if isinstance(runs, Comparison) and not given else compare(runs, **given)


def check_asked(targets: Sequence[str], against: str | None, at: At | None, seed: int) -> None:
    """Raise for what cannot be asked of targets of these names."""
    if not 2 <= len(targets) <= MOST_TARGETS:
        raise ValueError(f"expected 2 to {MOST_TARGETS} targets to compare, got {len(targets)}: {list(targets)}")
    if against is not None and against not in (*targets, BEST):
        raise ValueError(f"expected against out of {', '.join(targets)}, or {BEST!r}, got {against!r}")
    if at is not None and at != "mean":
        check_whole("at", at, least=1)
        if at > 99:
            raise ValueError(f"expected at as a percentile from 1 to 99, or 'mean', got {at!r}")
    check_whole("seed", seed)


def _sets(runs: Runs, by: str) -> dict[str, RecordingSet]:
    if isinstance(runs, Mapping):
        return {str(name): _set(each) for name, each in runs.items()}
    return {str(key): part for key, part in _set(runs).by(by).items()}


def _set(given: Any) -> RecordingSet:
    if isinstance(given, RecordingSet):
        return given
    several = [given] if isinstance(given, Recording) else list(given) if isinstance(given, Iterable) else [given]
    wrong = [one for one in several if not isinstance(one, Recording)]
    if wrong:
        raise TypeError(f"expected recordings, or a RecordingSet, got {wrong[0]!r} ({type(wrong[0]).__name__})")
    return RecordingSet(several)


def _base(told: Mapping[str, _Told], against: str | None, at: At, measure: Measure) -> str:
    if against in told:
        return str(against)
    if against is None:
        return next(iter(told))
    middles = {name: float(located(each.known, at)) for name, each in told.items() if each.known.size}
    choose = max if measure.higher_is_better else min
    return choose(middles, key=middles.__getitem__) if middles else next(iter(told))


# --- What each run tells --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class _Told:
    """Of the runs of one target: their numbers (NaN: none), by how much these may be wrong, whether they failed."""

    values: Floats
    above: Floats
    below: Floats
    failed: npt.NDArray[np.bool_]
    over: npt.NDArray[np.bool_]
    rounds: tuple[Label | None, ...]
    doubtful: int
    """How many of them say of themselves that they are not to be quoted."""
    runs: RecordingSet
    """All of them."""

    @classmethod
    def of(cls, runs: RecordingSet, measure: Measure) -> _Told:
        failed = np.array([_failed(run) for run in runs], dtype=np.bool_)
        over = np.array([str(run.outcome) != "cancelled(by us)" for run in runs], dtype=np.bool_)
        measured = [measure.of(run) for run in runs]
        table = np.array(
            [[math.nan if value is None else value, above, below] for value, above, below in measured], dtype=np.float64
        ).reshape(-1, 3)
        counts = over & ~failed if measure.whole else over
        values, above, below = np.where(counts[:, None], table, math.nan).T
        return cls(
            values=values,
            above=above,
            below=below,
            failed=failed,
            over=over,
            rounds=tuple(run.labels.get(ROUND) for run in runs),
            runs=runs,
            doubtful=sum(run.trust.level == "do not quote" for run in runs) if measure.name.startswith(OF_GAPS) else 0,
        )

    @property
    def known(self) -> Floats:
        found: Floats = self.values[~np.isnan(self.values)]
        return found

    def where(self, places: Iterable[int]) -> _Told:
        """These runs alone, in this order."""
        at = np.array(list(places), dtype=np.int64)
        return replace(
            self,
            values=self.values[at],
            above=self.above[at],
            below=self.below[at],
            failed=self.failed[at],
            over=self.over[at],
            rounds=tuple(self.rounds[place] for place in at),
        )

    @property
    def by_round(self) -> dict[Label, int] | None:
        """The place of each round's run; None where some have no round, or share one."""
        found = {each: place for place, each in enumerate(self.rounds) if each is not None}
        return found if len(found) == len(self.rounds) else None


def _failed(run: Recording) -> bool:
    """It did not come as it should have; what its own client wanted no more of has not failed."""
    return bool(run.damage) or not (run.outcome.ok or run.outcome.name == "cancelled")


# --- Two by two -----------------------------------------------------------------------------------------------------


class _Comparing:
    """All targets against one. `chosen`: it was chosen as the best."""

    def __init__(self, measure: Measure, at: At, told: Mapping[str, _Told], base: str, chosen: bool, seed: int) -> None:
        self._measure, self._at, self._told, self._base, self._seed = measure, at, told, base, seed
        self._looked_at = len(told) * (len(told) - 1) // 2 if chosen else None
        self._in_rounds = all(each.by_round is not None for each in told.values())

    def result(self, sets: Mapping[str, RecordingSet]) -> Comparison:
        mine = self._told[self._base]
        pairs = {
            name: _Pair(mine, its, self._at, self._in_rounds, self._seed)
            for name, its in self._told.items()
            if name != self._base
        }
        odds = holm([pair.p for pair in pairs.values()], self._looked_at)
        return Comparison(
            metric=self._measure.name,
            at=self._at,
            base=self._base,
            targets=tuple(self._told),
            others=tuple(
                self._judged(name, pair, p, times) for (name, pair), (p, times) in zip(pairs.items(), odds, strict=True)
            ),
            recordings=dict(sets),
            values={name: each.values for name, each in self._told.items()},
            in_rounds=self._in_rounds,
            notes=tuple(self._notes(sets)),
        )

    def _judged(self, name: str, pair: _Pair, p: float, times: int) -> Against:
        """`p` adjusted, and by how much it was multiplied: the interval is as much surer."""
        numbers = pair.numbers(ALPHA / times)
        failed_p = min(1.0, pair.failed_p * (self._looked_at or len(self._told) - 1))
        why = self._undecided(name, pair, failed_p)
        verdict: Decision = "cannot decide" if why else self._verdict(numbers, p)
        if verdict == "not shown" and p <= ALPHA:
            why = self._drowned(numbers)
        whole = self._measure.whole
        return Against(
            name=name,
            base=self._base,
            difference=numbers.difference,
            low=numbers.low - numbers.down,
            high=numbers.high + numbers.up,
            p=p,
            least=numbers.least + numbers.error,
            error=numbers.error,
            runs=(pair.mine.known.size, pair.its.known.size),
            failed=pair.failed if whole else (0, 0),
            made=pair.made,
            failed_p=failed_p if whole else 1.0,
            verdict=verdict,
            why=why,
        )

    def _undecided(self, name: str, pair: _Pair, failed_p: float) -> str:
        """The first reason why nothing can be said, if there is one."""
        (mine, its), (base_made, made) = pair.failed, pair.made
        if self._measure.whole and made and its == made and base_made and mine == base_made:
            return "every run of both failed"
        if self._measure.whole and failed_p <= ALPHA:
            often, seldom = (name, self._base) if its / made > mine / base_made else (self._base, name)
            counts = (its, made, mine, base_made) if often == name else (mine, base_made, its, made)
            left = "none is left" if counts[0] == counts[1] else "those that are left are the lucky ones"
            return (
                f"{short(often)} failed {counts[0]} of {counts[1]} times, {short(seldom)} {counts[2]} of {counts[3]} "
                f"(p = {said_p(failed_p)}), and {left}"
            )
        few = min(pair.mine.known.size, pair.its.known.size)
        silent = [each for each in (self._base, name) if not self._told[each].known.size]
        if silent and not any(pair.failed):
            whose = f"{short(silent[0])}'s"
            without = no_text(self._told[silent[0]].runs, whose=f" of {whose}")
            return without or f"no run of {whose} has a {self._measure.name}"
        if few < enough_for(self._at):
            there = many(few, "round") if self._in_rounds else f"{many(few, 'run')} of one of them"
            return (
                f"{there}, and it takes {enough_for(self._at)}{'' if self._at in (50, 'mean') else f' (p{self._at})'}"
            )
        if self._measure.whole and max(mine / base_made, its / made) > LOST_SHARE:
            return f"{mine + its} of {base_made + made} runs failed: those that are left say too little"
        doubtful = self._told[self._base].doubtful + self._told[name].doubtful
        if 2 * doubtful > base_made + made:
            return f"{doubtful} of {base_made + made} recordings say of themselves: do not quote"
        return ""

    def _verdict(self, numbers: _Numbers, p: float) -> Decision:
        if p > ALPHA or numbers.low - numbers.down <= 0 <= numbers.high + numbers.up:
            return "not shown"
        larger = numbers.difference > 0
        if usual_at(self._measure.name) == "mean":
            return "more" if larger else "less"
        return "slower" if larger != self._measure.higher_is_better else "faster"

    def _drowned(self, numbers: _Numbers) -> str:
        """Chance alone would not do it, but the instrument might."""
        if numbers.low <= 0 <= numbers.high:
            return "p alone says so: the interval reaches 0"
        seen, error = (quantity(self._measure.name, each) for each in (abs(numbers.difference), numbers.error))
        if abs(numbers.difference) <= numbers.error:
            return f"the difference of {seen} drowns in the {error} by which the instrument may be wrong"
        return f"the instrument may have made {error} of the difference of {seen}, and the rest is not sure"

    def _notes(self, sets: Mapping[str, RecordingSet]) -> Iterable[str]:
        if self._looked_at is not None:
            yield f"the best was chosen by these very numbers: p counts all {self._looked_at} pairs"
        elif len(self._told) > 2:
            yield f"p of {len(self._told) - 1} comparisons, by Holm's procedure"
        if len({run.meta.get("origin") for runs in sets.values() for run in runs}) > 1:
            yield "runs by several clocks (machines, or boots): what else differs between these is in the difference"
        elif _one_after_the_other(sets):
            yield "the runs of one came before the other's: what changed in between is in the difference"
        if any(map(_side_by_side, sets.values())):
            yield "runs of one target overlap in time: they are not independent of each other, and p is too small"
        unmeasured = sum(int((np.isnan(each.values) & ~each.failed & each.over).sum()) for each in self._told.values())
        if unmeasured:
            yield f"{many(unmeasured, 'run')} without {self._measure.name}, left out"


@dataclass(frozen=True, kw_only=True)
class _Numbers:
    """Without the instrument's error, which may have made the difference `down` larger, or `up` smaller, than it is."""

    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    least: float = math.nan
    down: float = 0.0
    up: float = 0.0

    @property
    def error(self) -> float:
        return max(self.down, self.up)


class _Pair:
    """The runs of two targets that are compared: of rounds those that both have."""

    def __init__(self, mine: _Told, its: _Told, at: At, in_rounds: bool, seed: int) -> None:
        self._at, self._in_rounds, self._seed = at, in_rounds, seed
        self.made = (int(mine.over.sum()), int(its.over.sum()))
        self.failed = (int(mine.failed.sum()), int(its.failed.sum()))
        rounds = (mine.by_round, its.by_round)
        if in_rounds and rounds[0] is not None and rounds[1] is not None:
            both = [each for each in rounds[0] if each in rounds[1]]
            mine, its = mine.where(rounds[0][each] for each in both), its.where(rounds[1][each] for each in both)
        self.failed_p = self._p_of_failures(mine, its)
        self.mine, self.its = self._measured(mine, its)
        self._design = self._of(self.mine.values, self.its.values) if self._comparable else None
        self.p = math.nan if self._design is None else p_value(self._design, null(self._design, self._rng))

    def numbers(self, alpha: float) -> _Numbers:
        """What is told of the difference, at this level."""
        design = self._design
        if design is None:
            return _Numbers()
        rng = self._rng
        low, high = interval(design, bootstrap(design, rng), 1 - alpha)
        mine, its = self.mine, self.its
        least = self._of(mine.values + mine.below, its.values - its.above).estimate
        most = self._of(mine.values - mine.above, its.values + its.below).estimate
        return _Numbers(
            difference=design.estimate,
            low=low,
            high=high,
            least=least_difference(design, rng, high - low, alpha),
            down=max(0.0, design.estimate - least),
            up=max(0.0, most - design.estimate),
        )

    def _measured(self, mine: _Told, its: _Told) -> tuple[_Told, _Told]:
        """Those that have a number; of a round both, or none."""
        known = [~np.isnan(each.values) for each in (mine, its)]
        if self._in_rounds:
            known = [known[0] & known[1]] * 2
        return mine.where(np.flatnonzero(known[0])), its.where(np.flatnonzero(known[1]))

    def _p_of_failures(self, mine: _Told, its: _Told) -> float:
        if not any(self.failed) or not all(self.made):
            return 1.0
        over = [mine.over, its.over]
        if self._in_rounds:
            over = [mine.over & its.over] * 2
        if not over[0].any() or not over[1].any():
            return 1.0
        failures = (mine.failed[over[0]].astype(np.float64), its.failed[over[1]].astype(np.float64))
        design = design_of(*failures, "mean", rounds=self._in_rounds)
        return p_value(design, null(design, self._rng))

    def _of(self, mine: Floats, its: Floats) -> Design:
        return design_of(mine, its, self._at, rounds=self._in_rounds)

    @property
    def _comparable(self) -> bool:
        return min(self.mine.values.size, self.its.values.size) >= 2

    @property
    def _rng(self) -> np.random.Generator:
        """The same for each pair, and each question: what is told of two does not depend on a third."""
        return np.random.default_rng(self._seed)


def _one_after_the_other(sets: Mapping[str, RecordingSet]) -> bool:
    """All of one target were begun before the first of another."""
    spans = sorted(
        (min(begun), max(begun)) for each in sets.values() if (begun := [run.started_ns for run in each]) and any(begun)
    )
    return any(before[1] < after[0] for before, after in pairwise(spans))


def _side_by_side(runs: RecordingSet) -> bool:
    """Some began before those before them had ended, by one clock: streams of one load."""
    known = sorted(
        (str(run.meta.get("origin")), run.started_ns, run.started_ns + run.ended_ns) for run in runs if run.ended_ns
    )
    return any(before[0] == after[0] and after[1] < before[2] for before, after in pairwise(known))

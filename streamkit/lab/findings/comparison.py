"""Is b slower than a, and by how much? Runs of several targets compared, with a verdict: the title of `plots.compare`.

    compared = sk.findings.compare({"a": recordings, "b": others}, metric="ttft")
    compared.sentence      # b's first piece is 31 to 44 ms later than a's: real (p = 0.0002, 40 runs each)

A run is a recording, and has one number (`lab/recording/measures.py`). Compared are the runs' middles, by a
permutation test, with an interval of 95 % and the least difference that so many runs could have shown
(`lab/metrics/resampling.py`). Runs that bear a label `round` are compared within their rounds, as `sk.compare` makes
them; others as two groups, and then whatever changed between them is in the difference too.

Four things are said before a difference is believed:

    failures       runs that failed have no number, and those that are left are the lucky ones. Where one target surely
                   fails more often (the same test, of the failures), that is the finding, and of the rest nothing is
    the instrument what each number may be wrong by (`Recording.trust`'s stated errors), in the worst case at the cost
                   of the difference, is added to the interval. A difference that drowns in it is not shown, whatever
                   p says
    how many       below six rounds no difference is sure, and a 95th percentile takes 160 (`enough_for`)
    both           p is below 5 % and the interval keeps away from 0. One of them alone is not believed

Of more than two targets each is compared with the first one, and their p-values are Holm's; the best one is chosen by
the very numbers that are compared, so against that one every pair counts that might have been looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from streamkit.lab.findings.sweep import quantity, span
from streamkit.lab.findings.words import enumerated, many, short
from streamkit.lab.metrics.resampling import located
from streamkit.lab.recording.measures import KEPT, RATE, per_ms_of
from streamkit.lab.recording.tables import html_table, text_table

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types

    from streamkit.lab.metrics.resampling import At
    from streamkit.lab.sets import RecordingSet

__all__ = ["CALLED", "ROUND", "Against", "Comparison", "Decision", "describe_compare", "said_p", "usual_at"]

Floats: TypeAlias = npt.NDArray[np.float64]
Decision: TypeAlias = Literal["slower", "faster", "more", "less", "not shown", "cannot decide"]

ROUND: Final = "round"
"""The label by which runs are known to have been made together."""
NAME_LIMIT: Final = 32
CALLED: Final[dict[str, tuple[str, str, str]]] = {
    "ttft_ms": ("first piece", "later", "earlier"),
    "ttft_text_ms": ("first text", "later", "earlier"),
    "ttft_reasoning_ms": ("first reasoning", "later", "earlier"),
    "duration_ms": ("whole answer", "longer", "shorter"),
    "gap_p50_ms": ("median gap", "longer", "shorter"),
    "gap_p95_ms": ("p95 gap", "longer", "shorter"),
    "gap_p99_ms": ("p99 gap", "longer", "shorter"),
    "max_gap_ms": ("longest gap", "longer", "shorter"),
    "longest_stall_ms": ("longest stall", "longer", "shorter"),
    **{
        name: (f"number of {name}", "higher", "lower")
        for name in ("stalls", "events", "reads", "bytes", "characters", "gaps", "cuts")
    },
    KEPT: ("share of runs that kept the objective", "higher", "lower"),
}
"""What a number is called, and how a larger and a smaller one are."""


@dataclass(frozen=True, kw_only=True)
class Against:
    """One target compared with the base: `compared.others[0].low`. Numbers are in the metric's own unit, ms for a time.

    name, base     this target, and the one it is compared with
    difference     by how much its number is larger than the base's: the median of the differences within rounds, or the
                   difference of the two medians. NaN if no two runs can be compared
    low, high      the 95 % interval of that (for several targets, of all intervals together), with the instrument's
                   error included
    p              how often chance alone would give such a difference; adjusted by Holm's procedure for several targets
    least          the least difference that so many runs show in four of five comparisons, that error included
    error          by how much the instrument alone may have made the difference: its larger side
    runs           how many runs of the base, and of this target, were compared
    failed, made   how many runs of each failed, and how many there were
    failed_p       how often chance alone would make their failures differ so much; 1 if none failed
    verdict        "slower" or "faster" ("more" or "less" for what is not a time or a rate), "not shown", "cannot
                   decide"
    why            what prevents a decision; empty otherwise
    """

    name: str
    base: str
    difference: float
    low: float
    high: float
    p: float
    least: float
    error: float
    runs: tuple[int, int]
    failed: tuple[int, int]
    made: tuple[int, int]
    failed_p: float
    verdict: Decision
    why: str = ""

    @property
    def real(self) -> bool:
        """Whether it surely differs."""
        return self.verdict not in ("not shown", "cannot decide")

    def runs_for(self, difference: float) -> int:
        """How many runs of each target it would take to show such a difference in four of five comparisons.

            compared.others[0].runs_for(3.0)     # of a metric in ms: 3 ms

        Noise falls with the square root of their number, so half the difference takes four times the runs. Raises
        ValueError for a difference that the instrument cannot show with any number of runs, and if nothing could be
        compared.
        """
        noise, beyond = self.least - self.error, abs(difference) - self.error
        if not beyond > 0:
            raise ValueError(
                f"expected a difference larger than the instrument's error, {self.error:.3g}, got {difference!r}"
            )
        if math.isnan(noise):
            raise ValueError(f"expected runs that can be compared, got none of {self.name} and {self.base}")
        return max(2, math.ceil(min(self.runs) * (noise / beyond) ** 2))


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Comparison:
    """The result of `sk.compare` and `sk.findings.compare`: each target compared with the base.

        compared = await sk.compare({"a": lab, "b": url}, runs=40)
        print(compared.sentence)
        sk.plots.compare(compared)

    With two targets, the numbers of the comparison are attributes of this object: `difference`, `low`, `high`, `p`,
    `least`, `verdict`, `runs_for(…)`, and in ms `difference_ms` and `least_ms`. With more targets these raise
    ValueError; each of `others` has its own.

    metric       the name of the number that is compared, with its unit
    at           which percentile of the runs is compared, 50 for the median; or "mean"
    base         the target with which the others are compared
    targets      the names of all targets, in the order given
    others       an `Against` for each target but the base
    recordings   by target: all runs, including those that failed
    values       by target: the number of each of these runs, NaN if it has none
    in_rounds    whether runs were compared within rounds
    wanted       how many runs of each were planned; after an interruption there are fewer
    notes        what you need to know to read it correctly
    """

    metric: str
    at: At
    base: str
    targets: tuple[str, ...]
    others: tuple[Against, ...]
    recordings: Mapping[str, RecordingSet]
    values: Mapping[str, Floats]
    in_rounds: bool
    wanted: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The result as a sentence."""
        return describe_compare(self)

    @property
    def only(self) -> Against:
        """With two targets, the one that is not the base. Raises ValueError if there are more."""
        if len(self.others) != 1:
            names = ", ".join(each.name for each in self.others)
            raise ValueError(f"expected two targets, got {len(self.targets)}: see `others`, one each for {names}")
        return self.others[0]

    @property
    def difference(self) -> float:
        """By how much the number is larger than the base's, in the metric's unit."""
        return self.only.difference

    @property
    def difference_ms(self) -> float:
        """The `difference` of a time, in ms. Raises ValueError for a metric that is not a time."""
        return self.only.difference / self._per_ms

    @property
    def low(self) -> float:
        """The lower end of the difference's 95 % interval, in the metric's unit."""
        return self.only.low

    @property
    def high(self) -> float:
        """The upper end of that interval."""
        return self.only.high

    @property
    def p(self) -> float:
        """How often chance alone would give such a difference."""
        return self.only.p

    @property
    def least(self) -> float:
        """The least difference that so many runs could have shown, in the metric's unit."""
        return self.only.least

    @property
    def least_ms(self) -> float:
        """The `least` difference of a time, in ms. Raises ValueError for a metric that is not a time."""
        return self.only.least / self._per_ms

    @property
    def verdict(self) -> Decision:
        """The result in a word: "slower", "faster", "more", "less", "not shown", "cannot decide"."""
        return self.only.verdict

    def runs_for(self, difference: float) -> int:
        """How many runs of each it takes to show such a difference; see `Against.runs_for`."""
        return self.only.runs_for(difference)

    @property
    def _per_ms(self) -> float:
        found = per_ms_of(self.metric)
        if found is None:
            raise ValueError(f"expected a metric that is a time, got {self.metric}: see `difference` and `least`")
        return found

    def rows(self) -> list[tuple[str, str]]:
        """The rows of the printed table: pairs of a name and a value."""
        called = "mean" if self.at == "mean" else f"p{self.at}"
        told = [
            (f"{name}: {self.metric}, {called} of {many(self.known(name).size, 'run')}", self._said(self.middle(name)))
            for name in self.targets
        ]
        most = max(map(len, self.recordings.values()), default=0)
        if self.wanted is not None and most < self.wanted:
            told.append(("rounds, interrupted", f"{most} of {self.wanted}"))
        for each in self.others:
            whose = "" if len(self.others) == 1 else f"{each.name}: "
            told += [
                (f"{whose}verdict", each.verdict),
                (f"{whose}difference", self._between(each)),
                (f"{whose}p", said_p(each.p)),
                (f"{whose}least that could be seen", self._said(each.least)),
                (f"{whose}of which the instrument's", self._said(each.error)),
            ]
            if any(each.failed):
                told.append(
                    (f"{whose}failed", f"{each.failed[1]} of {each.made[1]}, base {each.failed[0]} of {each.made[0]}")
                )
        return told

    def known(self, name: str) -> Floats:
        """The numbers of a target's runs, without those that have none."""
        found: Floats = self.values[name][~np.isnan(self.values[name])]
        return found

    def middle(self, name: str) -> float:
        """A target's percentile `at`, or its mean; NaN if no run has a number."""
        known = self.known(name)
        return float(located(known, self.at)) if known.size else math.nan

    def _between(self, each: Against) -> str:
        if math.isnan(each.low):
            return self._said(each.difference)
        return f"{self._said(each.difference)} ({span(self.metric, each.low, each.high)})"

    def _said(self, value: float) -> str:
        return "–" if math.isnan(value) else quantity(self.metric, value)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON values, without the recordings; None for what is not known."""
        others = [
            {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in told.items()}
            for told in map(asdict, self.others)
        ]
        named = {"sentence": self.sentence, "metric": self.metric, "at": self.at, "base": self.base}
        return {**named, "others": others, "in_rounds": self.in_rounds, "notes": list(self.notes)}

    def to_pandas(self) -> pd.DataFrame:
        """A DataFrame with one row per run: `target`, `round` (None without), `outcome`, and the metric (or NaN).

            compared.to_pandas().groupby("target").ttft_ms.describe()

        Raises ImportError if pandas is missing (`pip install 'streamkit[pandas]'`).
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("to_pandas() needs pandas: pip install 'streamkit[pandas]'") from None
        rows = [
            {
                "target": name,
                ROUND: run.labels.get(ROUND),
                "outcome": str(run.outcome),
                self.metric: value,
            }
            for name in self.targets
            for run, value in zip(self.recordings[name], self.values[name].tolist(), strict=True)
        ]
        return pd.DataFrame(rows, columns=["target", ROUND, "outcome", self.metric])

    def __str__(self) -> str:
        return f"{self.sentence}\n\n{text_table(self.rows(), self.notes)}"

    def __repr__(self) -> str:
        return f"<Comparison: {self.sentence}>"

    def _repr_html_(self) -> str:
        return html_table(self.rows(), self.notes, caption=self.sentence)


# --- In one sentence ------------------------------------------------------------------------------------------------


def describe_compare(compared: Comparison) -> str:
    """What came of a comparison; it is `Comparison.sentence`, and the title of `plots.compare`."""
    if len(compared.others) == 1:
        return _alone(compared, compared.others[0])
    real = [each for each in compared.others if each.real]
    not_shown = [each for each in compared.others if each.verdict == "not shown"]
    told = [f"{_called(compared)[0]} of {enumerated([_real(compared, each) for each in real])}"] if real else []
    if not_shown:
        names = [f"{_named(each.name)} ({_unseen(compared, each)})" for each in not_shown]
        told.append(f"not shown to differ: {enumerated(names)}")
    told += [f"{_named(each.name)} cannot be decided: {each.why}" for each in compared.others if _open(each)]
    failed = "".join(_failures(each) for each in compared.others)
    return f"Against {_named(compared.base)}, {_most_runs(compared)}: {'; '.join(told)}{failed}"


def _open(each: Against) -> bool:
    return each.verdict == "cannot decide"


def _real(compared: Comparison, each: Against) -> str:
    return f"{_named(each.name)} {_by(compared, each)} (p = {said_p(each.p)})"


def _most_runs(compared: Comparison) -> str:
    """`40 runs each`, or from the fewest to the most."""
    counts = {count for each in compared.others for count in each.runs}
    return f"{many(max(counts), 'run')} each" if len(counts) == 1 else f"{min(counts):,} to {many(max(counts), 'run')}"


def usual_at(metric: str) -> At:
    """What is compared of the runs, by default: the middle of times and rates; of counts and shares, which are alike in
    most runs, the mean.
    """
    return 50 if per_ms_of(metric) is not None or metric.endswith(RATE) else "mean"


def said_p(p: float) -> str:
    """`0.0002`, `0.031`, `0.4`; `–` where there is none."""
    if math.isnan(p):
        return "–"
    return f"{p:.1g}" if p < 0.01 or p >= 0.095 else f"{p:.2g}"


def _alone(compared: Comparison, each: Against) -> str:
    called, more, less = _called(compared)
    name, base = _named(each.name), _named(each.base)
    odds = f"p = {said_p(each.p)}, {_runs(each)}"
    if each.verdict == "cannot decide":
        told = f"Cannot decide whether {name}'s {called} is {more} than {base}'s: {each.why}"
    elif each.real:
        told = f"{name}'s {called} is {_by(compared, each)} than {base}'s: real ({odds})"
    else:
        told = f"Not shown that {name}'s {called} is {more} or {less} than {base}'s ({odds}): {_unseen(compared, each)}"
    return f"{told}{_failures(each)}"


def _called(compared: Comparison) -> tuple[str, str, str]:
    """What the number is called, and how a larger and a smaller one are."""
    called, more, less = CALLED.get(compared.metric, (compared.metric, "higher", "lower"))
    if compared.at == usual_at(compared.metric):
        return called, more, less
    return f"{called} ({'mean' if compared.at == 'mean' else f'p{compared.at}'} of the runs)", more, less


def _by(compared: Comparison, each: Against) -> str:
    """`31 to 44 ms later`."""
    _, more, less = _called(compared)
    low, high = sorted((abs(each.low), abs(each.high)))
    return f"{span(compared.metric, low, high)} {more if each.difference > 0 else less}"


def _unseen(compared: Comparison, each: Against) -> str:
    """Why there is nothing to be seen."""
    if each.why:
        return each.why
    if not each.least > 0:
        return "all runs are alike"
    return f"a difference of less than {quantity(compared.metric, each.least)} could not have been seen"


def _runs(each: Against) -> str:
    mine, its = each.runs
    return f"{many(its, 'run')} each" if mine == its else f"{mine:,} and {many(its, 'run')}"


def _failures(each: Against) -> str:
    """Those that are no finding of their own yet; none where `why` tells of them."""
    if not any(each.failed) or "failed" in each.why:
        return ""
    told = [f"{count} of {made} of {_named(name)}'s" for name, count, made in _failed(each) if count]
    return f". Failed, and left out: {enumerated(told)}"


def _failed(each: Against) -> Sequence[tuple[str, int, int]]:
    return tuple(zip((each.base, each.name), each.failed, each.made, strict=True))


def _named(name: str) -> str:
    return short(name, NAME_LIMIT)

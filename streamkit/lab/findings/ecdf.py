"""How a number of streams is distributed in each group, in one sentence: the title of plots.ecdf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from streamkit.lab import metrics
from streamkit.lab.findings.load import Streams, set_of
from streamkit.lab.findings.words import are_apart, both, duration, short
from streamkit.lab.sets import RecordingSet, Verdict
from streamkit.lab.sets.columns import known

if TYPE_CHECKING:
    from streamkit.lab.metrics.columns import Ints

__all__ = ["MOST_GROUPS", "Group", "Grouped", "Metric", "describe_ecdf", "ecdf_finding", "groups_in"]

Metric: TypeAlias = Literal["ttft", "ttft_due", "ttft_sent", "gap", "duration"]
Grouped: TypeAlias = Streams | Mapping[str, RecordingSet]
MOST_GROUPS: Final = 10  # more lines than that are not told apart
CALLED: Final[dict[str, str]] = {
    "ttft_due": "time to the first piece",
    "ttft_sent": "time to the first piece",
    "gap": "gap",
    "duration": "duration",
}
SINCE: Final[dict[str, str]] = {
    "ttft_due": "from when it was due",
    "ttft_sent": "from when it was sent",
    "gap": "between reads",
    "duration": "from when it was sent",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """The streams of one curve: their name, their values in ns in ascending order, and how many streams they are."""

    name: str
    values: Ints
    streams: int
    metric: str
    verdict: Verdict

    def value_ns(self, q: int) -> int:
        """The q-th percentile; 0 where there is none."""
        return metrics.percentile_ns(self.values, q) or 0


def ecdf_finding(streams: Grouped, by: str | Sequence[str] | None = None, metric: Metric = "ttft") -> str:
    """The most important thing to see in a distribution, as a sentence.

        >>> fast, slow = (sk.Recording.from_pieces([(ms * 1_000_000, "x")], labels={"ms": ms}) for ms in (20, 90))
        >>> sk.findings.ecdf_finding([fast, slow], by="ms")
        'The p50 of the time to the first piece is 90 ms with ms=90, and 20 ms with ms=20'

    The arguments are those of `sk.plots.ecdf`, of which it is the title.
    """
    return describe_ecdf(groups_in(streams, by, metric))


def groups_in(streams: Grouped, by: str | Sequence[str] | None, metric: Metric) -> list[Group]:
    """The groups, in their order: of a mapping of sets its names, else by the labels named, else all as one.

    `ttft` is from due where every stream of all groups has a time at which it was due, else from sent. Raises
    ValueError for another metric, for labels that no stream has, and for more groups than can be told apart.
    """
    if metric not in get_args(Metric):
        raise ValueError(f"expected metric out of {', '.join(get_args(Metric))}, got {metric!r}")
    sets = _sets(streams, by)
    if len(sets) > MOST_GROUPS:
        raise ValueError(
            f"expected at most {MOST_GROUPS} groups, got {len(sets)}: a figure does not tell more apart; group by a "
            "label with fewer values, or give a part of the streams"
        )
    if metric == "ttft":
        metric = "ttft_due" if all(one.due_ns is not None for each in sets.values() for one in each) else "ttft_sent"
    return [
        Group(
            name=name,
            values=_values(each, metric),
            streams=len(each),
            metric=metric,
            verdict=each.verdict,
        )
        for name, each in sets.items()
    ]


def _sets(streams: Grouped, by: str | Sequence[str] | None) -> dict[str, RecordingSet]:
    if isinstance(streams, Mapping) and streams and all(isinstance(each, RecordingSet) for each in streams.values()):
        if by is not None:
            raise TypeError("expected by= or a mapping of sets, got both: the mapping's names are the groups")
        named: dict[str, RecordingSet] = {str(name): set_of(each) for name, each in streams.items()}
        return named
    several = set_of(streams)  # type: ignore[arg-type]  # no mapping of sets
    if by is None:
        return {"": several}
    names = (by,) if isinstance(by, str) else tuple(by)
    return {_called(names, key): part for key, part in several.by(*names).items()}


def _called(names: Sequence[str], key: Any) -> str:
    values = (key,) if len(names) == 1 else key
    return ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


def _values(streams: RecordingSet, metric: str) -> Ints:
    column: Ints = streams.rows.gaps if metric == "gap" else known(getattr(streams.rows, metric))
    return column[column.argsort()]


def describe_ecdf(groups: Sequence[Group]) -> str:
    """`ecdf_finding` of what is already groups."""
    measured = [group for group in groups if group.values.size]
    called = CALLED[groups[0].metric]
    if not measured:
        return f"No {called} to measure"
    if len(groups) == 1:
        return _half_and_tail(groups[0], called)
    for q in (50, 95, 99):
        low, high = (pick(measured, key=lambda group: group.value_ns(q)) for pick in (min, max))
        if are_apart(low.value_ns(q), high.value_ns(q)):
            rest = f", and {duration(low.value_ns(q))} with {short(low.name)}"
            return f"The p{q} of the {called} is {duration(high.value_ns(q))} with {short(high.name)}{rest}"
    p50, p99 = (duration(max(group.value_ns(q) for group in measured)) for q in (50, 99))
    return f"{both(len(measured))} alike: {called} p50 up to {p50}, p99 up to {p99}"


def _half_and_tail(group: Group, called: str) -> str:
    half = f"Half {'are' if group.metric == 'gap' else 'have a'} {called} within {duration(group.value_ns(50))}"
    if group.values.size < 100:  # below that the 99th percentile is the maximum
        return f"{half}, the longest {duration(group.value_ns(100))}"
    return f"{half}; 99 % within {duration(group.value_ns(99))}"

"""Numbers of results, as a client gets them one after another, and one sentence of them: the title of results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from streamkit.lab.findings.subjects import Bundle, Recordings, grouped, named, recordings_in
from streamkit.lab.findings.words import listed, many, short
from streamkit.lab.recording.results import Result

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.recording.recording import Recording
    from streamkit.lab.recording.trust import Trust

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

__all__ = ["Number", "Numbers", "Row", "describe_results", "median_of", "number_rows", "results_finding"]

MOST_TIMES: Final = 1000  # of a median: more cannot be seen

Number: TypeAlias = "str | Callable[[Result], float | None]"
"""Which number of a result: a member of it by its name, or what a function makes of the result."""

Numbers: TypeAlias = "Number | Iterable[Number]"


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One number of one recording's results: when its reader had each, in ns from `Recording.origin_ns` on, and the
    number. Results that have none are left out.
    """

    name: str
    number: str
    at_ns: Ints
    values: Floats
    end_ns: int
    sent: bool
    trust: Trust


class _Given(NamedTuple):
    name: str
    recording: Recording


def number_rows(recordings: Recordings, number: Numbers = "mean") -> list[Bundle[Row]]:
    """For each group of recordings and each number a row of each of its recordings; by the name of what is several.

    Raises what `plots.results` raises.
    """
    several = [number] if isinstance(number, str) or callable(number) else list(number)
    if not several:
        raise ValueError("expected a number or several, such as 'mean', got none")
    shown = [_Given(*one) for one in named(recordings_in(recordings))]
    bundles = []
    for group, each in [(group, each) for group in grouped(shown) for each in several]:
        called = each if isinstance(each, str) else getattr(each, "__name__", "number")
        names = [group.name, called] if len(several) > 1 else [group.name or called]
        name = ": ".join(filter(None, names))
        bundles.append(Bundle(name=name, members=[_row(name, called, one.recording, each) for one in group.members]))
    return bundles


def results_finding(recordings: Recordings, number: Numbers = "mean") -> str:
    """What a number of the results was at the end, as a sentence; it is the title of `sk.plots.results`.

    >>> sk.findings.results_finding(sk.Recording())
    'No result has a number: mean'
    """
    return describe_results(number_rows(recordings, number))


def describe_results(bundles: Sequence[Bundle[Row]]) -> str:
    """`results_finding` of what are already rows."""
    there = [row for bundle in bundles for row in bundle.members if row.values.size]
    numbers = list(dict.fromkeys(row.number for bundle in bundles for row in bundle.members))
    if not there:
        return f"No result has a number: {listed([short(number) for number in numbers])}"
    if len(there) == 1:
        (row,) = there
        low, high, last = map(_told, (row.values.min(), row.values.max(), row.values[-1]))
        return f"{short(row.number)}: from {low} to {high} in {many(row.values.size, 'result')}, ending at {last}"
    of = f"Last {short(numbers[0])}: " if len(numbers) == 1 else "Last: "
    return of + listed([told for bundle in bundles if (told := _last(bundle))])


def _last(bundle: Bundle[Row]) -> str:
    """Of several recordings from the least to the most; "" where none has any."""
    last = [float(row.values[-1]) for row in bundle.members if row.values.size]
    if not last:
        return ""
    low, high = _told(min(last)), _told(max(last))
    return f"{short(bundle.name)} {low if low == high else f'from {low} to {high}'}"


def median_of(rows: Sequence[Row]) -> tuple[Ints, Floats]:
    """When, and what the number was in the middle one of these, wherever more than half of them had it; between two
    results of a recording it is on the way from the one to the other.
    """
    there = [row for row in rows if row.values.size]
    at_ns = np.unique(np.concatenate([row.at_ns for row in there]))
    at_ns = at_ns[np.unique(np.linspace(0, at_ns.size - 1, min(at_ns.size, MOST_TIMES)).astype(np.int64))]
    known = np.array([np.interp(at_ns, row.at_ns, row.values, left=np.nan, right=np.nan) for row in there])
    enough = 2 * np.count_nonzero(~np.isnan(known), axis=0) > len(there)
    values: Floats = np.nanmedian(known[:, enough], axis=0) if enough.any() else np.zeros(0)
    return at_ns[enough], values


def _told(value: float) -> str:
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _row(name: str, called: str, recording: Recording, number: Number) -> Row:
    found = [(result.at_ns, _number_of(result, number)) for result in recording.results]
    kept = [(at_ns, value) for at_ns, value in found if value is not None]
    origin_ns = recording.origin_ns
    at_ns = np.array([at_ns for at_ns, _ in kept], dtype=np.int64) - origin_ns
    ended_ns = 0 if recording.ended_ns is None else recording.ended_ns - origin_ns
    return Row(
        name=name,
        number=called,
        at_ns=at_ns,
        values=np.array([value for _, value in kept], dtype=np.float64),
        end_ns=max([ended_ns, *at_ns[-1:].tolist()]),
        sent=recording.sent_ns is not None,
        trust=recording.trust,
    )


def _number_of(result: Result, number: Number) -> float | None:
    members = result.value if isinstance(result.value, dict) else {}
    found = number(result) if callable(number) else members.get(number)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return float(found)

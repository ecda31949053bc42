"""Numbers of results, as a client gets them one after another, and one sentence of them: the title of results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from streamkit.lab.findings.subjects import Recordings, named, recordings_in
from streamkit.lab.findings.words import listed, many, short
from streamkit.lab.recording.results import Result

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.recording.recording import Recording
    from streamkit.lab.recording.trust import Trust

__all__ = ["Number", "Numbers", "Row", "describe_results", "number_rows", "results_finding"]

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
    at_ns: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    end_ns: int
    sent: bool
    trust: Trust


def number_rows(recordings: Recordings, number: Numbers = "mean") -> list[Row]:
    """A row for each recording and number; each by the name of what is several. Raises what `plots.results` raises."""
    several = [number] if isinstance(number, str) or callable(number) else list(number)
    if not several:
        raise ValueError("expected a number or several, such as 'mean', got none")
    shown = named(recordings_in(recordings))
    return [_row(name, recording, each, len(several) > 1) for name, recording in shown for each in several]


def results_finding(recordings: Recordings, number: Numbers = "mean") -> str:
    """What a number of the results was at the end, as a sentence; it is the title of `sk.plots.results`.

    >>> sk.findings.results_finding(sk.Recording())
    'No result has a number: mean'
    """
    return describe_results(number_rows(recordings, number))


def describe_results(rows: list[Row]) -> str:
    """`results_finding` of what are already rows."""
    there = [row for row in rows if row.values.size]
    numbers = list(dict.fromkeys(row.number for row in rows))
    if not there:
        return f"No result has a number: {listed([short(number) for number in numbers])}"
    if len(there) == 1:
        (row,) = there
        low, high, last = map(_told, (row.values.min(), row.values.max(), row.values[-1]))
        return f"{short(row.number)}: from {low} to {high} in {many(row.values.size, 'result')}, ending at {last}"
    of = f"Last {short(numbers[0])}: " if len(numbers) == 1 else "Last: "
    return of + listed([f"{short(row.name)} {_told(row.values[-1])}" for row in there])


def _told(value: float) -> str:
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _row(name: str, recording: Recording, number: Number, is_one_of_several: bool) -> Row:
    called = number if isinstance(number, str) else getattr(number, "__name__", "number")
    found = [(result.at_ns, _number_of(result, number)) for result in recording.results]
    kept = [(at_ns, value) for at_ns, value in found if value is not None]
    origin_ns = recording.origin_ns
    at_ns = np.array([at_ns for at_ns, _ in kept], dtype=np.int64) - origin_ns
    ended_ns = 0 if recording.ended_ns is None else recording.ended_ns - origin_ns
    names = [name, called] if is_one_of_several else [name or called]
    return Row(
        name=": ".join(filter(None, names)),
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

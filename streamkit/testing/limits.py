"""A limit: kept, broken, or nearer than the instrument can tell. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from streamkit.lab import metrics
from streamkit.lab.arguments import check_number
from streamkit.lab.findings.words import duration

__all__ = ["Judged", "Limit", "State", "Waits", "judged", "limits_of"]

State: TypeAlias = Literal["kept", "broken", "undecided"]
LONGEST: Final = 100
"""The percentile that is the longest of all."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Of some times a percentile (100: the longest) is at most so many ms."""

    percentile: int
    most_ms: float

    @property
    def name(self) -> str:
        """`p95`, or `longest`."""
        return "longest" if self.percentile == LONGEST else f"p{self.percentile}"


def limits_of(given: Mapping[str, float]) -> list[Limit]:
    """`ms` and `max_ms` limit the longest, `p95_ms` a percentile. Raises TypeError for other names, and for none.

    >>> from streamkit.testing.limits import limits_of
    >>> limits_of({"p95_ms": 300})
    [Limit(percentile=95, most_ms=300)]
    """
    if not given:
        raise TypeError("expected at least one limit, such as p95_ms=300, or ms=300 for every one of them")
    return [Limit(percentile=_percentile(name), most_ms=_checked(name, most)) for name, most in given.items()]


def _percentile(name: str) -> int:
    if name in ("ms", "max_ms"):
        return LONGEST
    found = re.fullmatch(r"p(\d{1,2})_ms", name)
    if found is None or not 0 < int(found[1]) < LONGEST:
        raise TypeError(f"expected a limit as ms, max_ms, p50_ms, p95_ms, …, got {name}")
    return int(found[1])


def _checked(name: str, most: float) -> float:
    check_number(name, most, "milliseconds")
    return most


@dataclass(frozen=True, kw_only=True, eq=False)
class Waits:
    """Waits in ns, and by how much each may lie above, or below, what it should be."""

    ns: npt.NDArray[np.int64]
    above_ns: npt.NDArray[np.int64]
    below_ns: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[tuple[float, float, float]]) -> Waits:
        """Rows of a time and its two errors."""
        table = np.array(rows, dtype=np.float64).reshape(-1, 3).round().astype(np.int64)
        return cls(ns=table[:, 0], above_ns=table[:, 1], below_ns=table[:, 2])


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What came of a limit: the percentile as it was measured, and between what it truly lies."""

    limit: Limit
    state: State
    got_ns: int
    least_ns: int
    most_ns: int

    def __str__(self) -> str:
        got = duration(self.got_ns)
        if duration(self.least_ns) == duration(self.most_ns):
            return f"expected at most {self.limit.most_ms:g} ms, got {got}"
        between = f"between {duration(self.least_ns)} and {duration(self.most_ns)}, as far as the instrument can tell"
        return f"expected at most {self.limit.most_ms:g} ms, got {got} ({between})"


def judged(limit: Limit, times: Waits) -> Judged | None:
    """Kept if the percentile is within the limit even if all errors are at its cost, broken if it is not even if all
    are to its gain. None of no times: nothing broke it.
    """
    got, least, most = (
        metrics.percentile_ns(each, limit.percentile)
        for each in (times.ns, times.ns - times.above_ns, times.ns + times.below_ns)
    )
    if got is None or least is None or most is None:
        return None
    most_ns = limit.most_ms * 1e6
    state: State = "kept" if most <= most_ns else "broken" if least > most_ns else "undecided"
    return Judged(limit=limit, state=state, got_ns=got, least_ns=max(0, least), most_ns=most)

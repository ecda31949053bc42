"""SLO: an objective for a stream, and which of its events kept it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from streamkit.lab.arguments import check_number

if TYPE_CHECKING:
    import numpy.typing as npt


__all__ = ["SLO", "Goodput", "on_time", "slo_failures"]


@dataclass(frozen=True, slots=True)
class SLO:
    """A service level objective for a stream: the first event within `ttft_ms`, each gap at most `gap_ms`.

    None means no limit. Raises ValueError for a limit that is not above 0, TypeError for one that is not a number.

    >>> sk.metrics.SLO(ttft_ms=500, gap_ms=100)
    SLO(ttft_ms=500, gap_ms=100)
    """

    ttft_ms: float | None = None
    gap_ms: float | None = None

    def __post_init__(self) -> None:
        for name in ("ttft_ms", "gap_ms"):
            if getattr(self, name) is not None:
                check_number(
                    name, getattr(self, name), "milliseconds", zero=False, infinite=True, hint="; None: no limit"
                )

    @property
    def ttft_ns(self) -> int:
        """`ttft_ms` in ns; without a limit, the largest int64."""
        return _ns(self.ttft_ms)

    @property
    def gap_ns(self) -> int:
        """`gap_ms` in ns; without a limit, the largest int64."""
        return _ns(self.gap_ms)


class Goodput(NamedTuple):
    """How many streams or events kept an objective: `good` of `total`, as a `share`, and how many `per_s`.

    sk.findings.goodput(recordings, sk.metrics.SLO(gap_ms=100)).share

    `share` is None if nothing was counted, `per_s` if no time passed or the clocks differ.
    """

    good: int
    total: int
    share: float | None
    per_s: float | None


def on_time(at_ns: npt.ArrayLike, read: npt.ArrayLike, slo: SLO, *, origin_ns: int = 0) -> npt.NDArray[np.bool_]:
    """Which events of a stream kept the objective: `wait <= slo.ttft_ns` in the first read, `gap <= slo.gap_ns` later.

    `at_ns[i]` is when event i was read, `read[i]` in which read; events that share a read share its gap to the read
    before. Give the columns of the pieces only (`pieces`): a ping does not end a gap. `origin_ns` is when the request
    had left.

    >>> sk.metrics.on_time([50_000_000, 250_000_000], [0, 1], sk.metrics.SLO(ttft_ms=100, gap_ms=100)).tolist()
    [True, False]
    """
    times = np.asarray(at_ns, dtype=np.int64)
    numbers = np.asarray(read, dtype=np.int64)
    if not times.size:
        return np.zeros(0, dtype=np.bool_)
    begins = np.concatenate(([True], numbers[1:] != numbers[:-1]))
    starts = times[begins]
    good = np.diff(starts, prepend=starts[0]) <= slo.gap_ns
    good[0] = starts[0] - origin_ns <= slo.ttft_ns
    kept: npt.NDArray[np.bool_] = good[np.cumsum(begins) - 1]
    return kept


def slo_failures(
    at_ns: npt.ArrayLike, read: npt.ArrayLike, slo: SLO, *, origin_ns: int = 0, complete: bool = True
) -> tuple[str, ...]:
    """Which parts of the objective a stream missed: `outcome` (it did not come whole), `ttft`, `gap`; empty if none.

    The stream counts as one: a single late event fails it. A stream without any event fails `ttft`. Arguments are as
    for `on_time`; `complete` says whether the stream came whole.

    >>> sk.metrics.slo_failures([50_000_000, 250_000_000], [0, 1], sk.metrics.SLO(ttft_ms=100, gap_ms=100))
    ('gap',)
    """
    good = on_time(at_ns, read, slo, origin_ns=origin_ns)
    starts = np.asarray(read)[:1] == np.asarray(read)  # the events of the first read
    failed = {
        "outcome": not complete,
        "ttft": not good[:1].all() or not good.size,
        "gap": not good[~starts].all(),
    }
    return tuple(name for name, true in failed.items() if true)


def _ns(limit_ms: float | None) -> int:
    most = int(np.iinfo(np.int64).max)
    return most if limit_ms is None else min(most, round(limit_ms * 1e6))

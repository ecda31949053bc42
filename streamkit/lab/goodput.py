"""Goodput: the throughput that counts, that of streams (or events) which kept a service level objective (SLO).

Usually: the requests per second that meet both a TTFT and a TPOT objective (DistServe, Zhong et al., OSDI '24, section
1, for a wanted share of the requests and per GPU). TPOT is a mean over a whole answer, in which a stall of a second
disappears; here **every gap** has to keep its objective, and the stream has to come whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from streamkit.lab.columns import characters, pieces

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.curves import Ints
    from streamkit.lab.recording import Recording

__all__ = ["SLO", "Goodput", "goodput", "on_time", "slo_failures"]


@dataclass(frozen=True, slots=True)
class SLO:
    """An objective for a stream: the first event within `ttft_ms`, each gap at most `gap_ms`. None: no limit.

    Raises ValueError for a limit that is not above 0.
    """

    ttft_ms: float | None = None
    gap_ms: float | None = None

    def __post_init__(self) -> None:
        for name in ("ttft_ms", "gap_ms"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ValueError(f"expected {name} above 0 ms, or None for no limit, got {limit!r}")

    @property
    def ttft_ns(self) -> int:
        """The limit in ns; the largest number there is where there is none."""
        return _ns(self.ttft_ms)

    @property
    def gap_ns(self) -> int:
        """The limit in ns; the largest number there is where there is none."""
        return _ns(self.gap_ms)


class Goodput(NamedTuple):
    """`good` of `total` kept the objective. `share` is None where nothing was counted, `per_s` where no time passed."""

    good: int
    total: int
    share: float | None
    per_s: float | None


def on_time(at_ns: npt.ArrayLike, read: npt.ArrayLike, slo: SLO, *, origin_ns: int = 0) -> npt.NDArray[np.bool_]:
    """Which events of a stream kept the objective: `wait <= slo.ttft_ns` in the first read, `gap <= slo.gap_ns` later.

    Counts events; those that share a read share its gap to the read before. Give the columns of the pieces only
    (`pieces`): a ping does not end a gap. `origin_ns` is when the request had left.
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
    """What a stream failed by: `outcome` (it did not come whole), `ttft`, `gap`; empty if it kept the objective.

    Counts the stream as one: a single late event fails it. One without any event fails `ttft`.
    """
    good = on_time(at_ns, read, slo, origin_ns=origin_ns)
    starts = np.asarray(read)[:1] == np.asarray(read)  # the events of the first read
    failed = {
        "outcome": not complete,
        "ttft": not good[:1].all() or not good.size,
        "gap": not good[~starts].all(),
    }
    return tuple(name for name, true in failed.items() if true)


def goodput(
    recordings: Recording | Iterable[Recording], slo: SLO, count: Literal["streams", "events"] = "streams"
) -> Goodput:
    """Which share of one or several recordings kept the objective, and how many a second: good / total, good / span.

    Counts streams (`slo_failures` finds nothing), or their events with text (`on_time`). The span is from when the
    first request had left to the end of the last stream; it is not known, and `per_s` None, if the recordings were made
    by different clocks. Raises ValueError for another `count`.
    """
    if count not in ("streams", "events"):
        raise ValueError(f"expected count 'streams' or 'events', got {count!r}")
    several = list(recordings) if isinstance(recordings, Iterable) else [recordings]
    if count == "streams":
        kept = [not one.slo_failures(slo) for one in several]
    else:
        kept = [bool(good) for one in several for good in on_time(*_pieces(one), slo, origin_ns=one.sent_ns or 0)]
    good, span_ns = sum(kept), _span_ns(several)
    return Goodput(good, len(kept), good / len(kept) if kept else None, good / (span_ns / 1e9) if span_ns > 0 else None)


def failures_of(recording: Recording, slo: SLO) -> tuple[str, ...]:
    """See `Recording.slo_failures`."""
    at_ns, read = _pieces(recording)
    return slo_failures(at_ns, read, slo, origin_ns=recording.sent_ns or 0, complete=recording.outcome.ok)


def _pieces(recording: Recording) -> tuple[Ints, Ints]:
    counted = pieces(characters(recording.events.text))
    return np.asarray(recording.events.at_ns)[counted], np.asarray(recording.events.read)[counted]


def _span_ns(recordings: list[Recording]) -> int:
    if len({one.meta.get("origin") for one in recordings}) != 1:
        return 0
    begins = min(one.started_ns + (one.sent_ns or 0) for one in recordings)
    return max(one.started_ns + _end_ns(one) for one in recordings) - begins


def _end_ns(recording: Recording) -> int:
    if recording.ended_ns is not None:
        return recording.ended_ns
    return recording.reads.at_ns[-1] if recording.reads else recording.sent_ns or 0


def _ns(limit_ms: float | None) -> int:
    most = int(np.iinfo(np.int64).max)
    return most if limit_ms is None else min(most, round(limit_ms * 1e6))

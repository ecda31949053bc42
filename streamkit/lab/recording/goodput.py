"""Goodput: the throughput of those streams (or events) that kept a service level objective (SLO).

Usually it means the requests per second that meet both a TTFT and a TPOT objective (DistServe, Zhong et al., OSDI '24,
section 1, for a wanted share of the requests and per GPU). TPOT is a mean over a whole answer, in which a stall of a
second disappears; here **every gap** has to keep its objective, and the stream has to come whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from streamkit.lab.metrics.slo import SLO, Goodput, on_time, slo_failures

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from streamkit.lab.recording.recorded import Recorded

__all__ = ["failures_of", "goodput"]


def goodput(
    recordings: Recorded | Iterable[Recorded], slo: SLO, count: Literal["streams", "events"] = "streams"
) -> Goodput:
    """The share of streams that kept an objective (good / total), and how many did so per second (good / span).

        sk.findings.goodput(recordings, sk.metrics.SLO(ttft_ms=500, gap_ms=100)).share

    recordings  one recording, or several
    slo         the objective; see `sk.metrics.SLO`
    count       "streams": a stream is good if `slo_failures` finds nothing. "events": their pieces of any recorded
                channel are counted one by one, by `on_time`

    The span is from when the first request had left to the end of the last stream; if the recordings were made by
    different clocks it is not known, and `per_s` is None. Raises ValueError for another `count`.
    """
    if count not in ("streams", "events"):
        raise ValueError(f"expected count 'streams' or 'events', got {count!r}")
    several = list(recordings) if isinstance(recordings, Iterable) else [recordings]
    if count == "streams":
        kept = [not failures_of(one, slo) for one in several]
    else:
        kept = [bool(good) for one in several for good in _on_time(one, slo)]
    good, span_ns = sum(kept), _span_ns(several)
    return Goodput(good, len(kept), good / len(kept) if kept else None, good / (span_ns / 1e9) if span_ns > 0 else None)


def failures_of(recording: Recorded, slo: SLO) -> tuple[str, ...]:
    """See `Recording.slo_failures`."""
    at_ns, read = recording.counted.at_ns, recording.counted.read
    return slo_failures(at_ns, read, slo, origin_ns=recording.origin_ns, complete=recording.outcome.ok)


def _on_time(recording: Recorded, slo: SLO) -> npt.NDArray[np.bool_]:
    return on_time(recording.counted.at_ns, recording.counted.read, slo, origin_ns=recording.origin_ns)


def _span_ns(recordings: list[Recorded]) -> int:
    if len({one.meta.get("origin") for one in recordings}) != 1:
        return 0
    begins = min(one.started_ns + one.origin_ns for one in recordings)
    return max(one.started_ns + _end_ns(one) for one in recordings) - begins


def _end_ns(recording: Recorded) -> int:
    if recording.ended_ns is not None:
        return recording.ended_ns
    return recording.reads.at_ns[-1] if recording.reads else recording.origin_ns

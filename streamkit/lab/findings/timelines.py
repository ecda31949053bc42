"""What a recording shows, in one sentence: the titles of the figures. Pure functions of recordings, no matplotlib.

Pieces are counted where any text was extracted, events otherwise; numbers count from 1. Times to the first piece
are from when the request had left (from the call where that is not known), gaps are between reads: both by
`streamkit.lab.metrics.gaps`, so the sentence, the figure and `summary()` agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.findings.traces import Recordings, Trace, traces
from streamkit.lab.findings.words import both, duration, listed, lower, many, of, short

if TYPE_CHECKING:
    pass


__all__ = ["describe", "describe_gaps", "finding", "gaps_finding"]


OUTCOME_LIMIT: Final = 32  # an error's code is the provider's own text
CROWDED: Final = 0.2  # from this share of coalesced events on, "one every 50 ms" would be untrue
APART: Final = 1.1  # two times are told apart in a title when one is more than a tenth longer …
APART_NS: Final = 5_000_000  # … and by more than a shared machine's noise


def finding(recordings: Recordings, stall_ms: float | None = None) -> str:
    """The most important thing to see in a timeline, as a sentence.

    In this order: streams that did not complete, stalls, and the pace; of several recordings what sets them apart.
    """
    return describe(traces(recordings, stall_ms))


def gaps_finding(recordings: Recordings) -> str:
    """The most important thing to see in the distribution of gaps, as a sentence."""
    return describe_gaps(traces(recordings))


def describe(shown: list[Trace]) -> str:
    """`finding` of what is already a list of traces."""
    return _one(shown[0]) if len(shown) == 1 else _several(shown)


def describe_gaps(shown: list[Trace]) -> str:
    """`gaps_finding` of what is already a list of traces."""
    measured = [trace for trace in shown if trace.gaps.size]
    if not measured:
        return "No gap to measure: it takes events in two reads"
    if len(shown) == 1:
        return _half_and_tail(shown[0])
    for q in (99, 50):
        low, high = _extremes(measured, [_percentile(trace, q) for trace in measured])
        if _apart(_percentile(low, q), _percentile(high, q)):
            values = f"{duration(_percentile(high, q))}, that of {short(low.name)} {duration(_percentile(low, q))}"
            return f"The p{q} gap of {short(high.name)} is {values}"
    if len(measured) == 1:
        return f"{short(measured[0].name)} alone has gaps: {lower(_half_and_tail(measured[0]))}"
    p50, p99 = (duration(max(_percentile(trace, q) for trace in measured)) for q in (50, 99))
    return f"{both(len(measured))} alike: p50 up to {p50}, p99 up to {p99}"


def _one(trace: Trace) -> str:
    if not trace.count:
        return _nothing(trace)
    if not trace.outcome.ok:
        verb = "Cancelled" if trace.outcome.name == "cancelled" else "Cut"
        reason = "" if trace.outcome.name == "cancelled" else f": {short(str(trace.outcome), OUTCOME_LIMIT)}"
        return f"{verb} after {many(trace.count, trace.noun)}{reason}"
    if trace.stalls.size:
        return _stalls(trace)
    return _pace(trace)


def _nothing(trace: Trace) -> str:
    took = duration(trace.end_ns - trace.origin_ns)
    if trace.outcome.name == "refused":
        status = "" if trace.outcome.detail is None else f" with status {trace.outcome.detail}"
        return f"Refused{status} after {took}"
    return f"Not one piece in {took}: {short(str(trace.outcome), OUTCOME_LIMIT)}"


def _stalls(trace: Trace) -> str:
    start, end = trace.longest_stall or (0, 0)
    before = int(np.count_nonzero(trace.counted & (trace.at_ns <= start)))
    where = f"after {trace.noun} {before}"
    if len(trace.stalls) == 1:
        return f"A stall of {duration(end - start)} {where}"
    return f"{len(trace.stalls)} stalls, the longest {duration(end - start)} {where}"


def _pace(trace: Trace) -> str:
    wait = duration(trace.wait_ns or 0)
    if trace.count == 1:
        return f"The only {trace.noun} after {wait}"
    if not trace.gaps.size:
        return f"All {many(trace.count, trace.noun)} in one read after {wait}"
    every = duration(_percentile(trace, 50))
    if trace.shared >= CROWDED:
        return f"First {trace.noun} after {wait}, then {_ratio(trace)} events per read, a read every {every}"
    return f"First {trace.noun} after {wait}, then one every {every}"


def _several(shown: list[Trace]) -> str:
    failed = [trace for trace in shown if not trace.outcome.ok]
    if failed:
        named = listed([f"{short(trace.name)}: {short(str(trace.outcome), OUTCOME_LIMIT)}" for trace in failed])
        return f"{of(len(failed), len(shown))} did not complete – {named}"
    stalled = [trace for trace in shown if trace.stalls.size]
    if stalled:
        worst = max(stalled, key=_worst_stall_ns)
        longest = duration(_worst_stall_ns(worst))
        return f"{of(len(stalled), len(shown))} stalled, {short(worst.name)} for {longest}"
    measured = [trace for trace in shown if trace.count]
    if len(measured) < len(shown):
        return f"{len(shown) - len(measured)} of {len(shown)} brought not one piece"
    low, high = _extremes(shown, [trace.wait_ns or 0 for trace in shown])
    if _apart(low.wait_ns or 0, high.wait_ns or 0):
        later = duration((high.wait_ns or 0) - (low.wait_ns or 0))
        return f"{short(high.name)}: first piece {later} later than {short(low.name)}"
    crowded = [trace for trace in shown if trace.count > 1 and trace.shared >= CROWDED]
    paced = [trace for trace in shown if trace.gaps.size and trace.shared < CROWDED]
    if crowded and paced:
        most = max(crowded, key=lambda trace: trace.shared)
        every = duration(_percentile(paced[0], 50))
        return f"{short(most.name)}: {_together(most)}, {short(paced[0].name)}: one every {every}"
    if paced:
        low, high = _extremes(paced, [_percentile(trace, 50) for trace in paced])
        fast, slow = _percentile(low, 50), _percentile(high, 50)
        if _apart(fast, slow):
            return f"{short(high.name)}: a read every {duration(slow)}, {short(low.name)} every {duration(fast)}"
    return f"{both(len(shown))} alike: {lower(_pace(shown[0]))}"


def _together(trace: Trace) -> str:
    if not trace.gaps.size:
        return f"all {many(trace.count, trace.noun)} in one read"
    return f"{_ratio(trace)} events per read"


def _worst_stall_ns(trace: Trace) -> int:
    start, end = trace.longest_stall or (0, 0)
    return end - start


def _half_and_tail(trace: Trace) -> str:
    half = f"Half of the gaps are within {duration(_percentile(trace, 50))}"
    if trace.gaps.size < 100:  # below that the 99th percentile is the maximum
        return f"{half}, the longest is {duration(_percentile(trace, 100))}"
    return f"{half}, 99 % within {duration(_percentile(trace, 99))}"


def _percentile(trace: Trace, q: int) -> int:
    return metrics.percentile_ns(trace.gaps, q) or 0


def _extremes(shown: list[Trace], values: list[int]) -> tuple[Trace, Trace]:
    return shown[int(np.argmin(values))], shown[int(np.argmax(values))]


def _apart(low_ns: int, high_ns: int) -> bool:
    return high_ns > APART * low_ns and high_ns - low_ns > APART_NS


def _ratio(trace: Trace) -> str:
    events_per_read = 1 / (1 - trace.shared)
    return f"{events_per_read:.1f}".removesuffix(".0") if events_per_read < 10 else f"{events_per_read:.0f}"

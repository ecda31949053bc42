"""What a recording shows, in one sentence: the title of the timeline.

Pieces are counted where any text was extracted, events otherwise; numbers count from 1. Times to the first piece
are from when the request had left (from the call where that is not known), gaps are between reads: both by
`streamkit.lab.metrics.gaps`, so the sentence, the figure and `summary()` agree. "One every 50 ms" is the mean from the
first piece to the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from streamkit.lab.diagnosis.result import CauseName
from streamkit.lab.diagnosis.several import serial
from streamkit.lab.findings.subjects import Recordings, Subject, extremes, subjects
from streamkit.lab.findings.words import (
    OUTCOME_LIMIT,
    about,
    are_apart,
    both,
    duration,
    listed,
    lower,
    many,
    of,
    short,
)
from streamkit.lab.metrics.words import times

__all__ = ["describe_cuts", "describe_timeline", "finding"]

IN_A_TITLE: Final[Mapping[CauseName, str]] = {
    "late_loop": "our own event loop was late",
    "slow_reader": "the client was slow",
    "network": "packets were lost",
    "held": "it was held back, and came at once",
    "model_paused": "the model paused, its server did not",
    "without_text": "events came, but no text",
    "source_paused": "the source paused",
    "periodic": "they come at even intervals",
}
"""Why, where `Recording.diagnose()` knows it; short enough to stand behind the stall that it explains."""
CROWDED: Final = 0.2  # from this share of coalesced events on, "one every 50 ms" would be untrue


def finding(recordings: Recordings, stall_ms: float | None = None) -> str:
    """The most important thing to see in a timeline, as a sentence.

        >>> sk.findings.finding(sk.Recording.from_pieces([(10_000_000, "Hel"), (60_000_000, "lo")]))
        'First piece after 10 ms, then one every 50 ms'

    It is the first that applies: streams that did not complete, cuts after which one went on, stalls, the pace. For
    several recordings, it is what sets them apart. `stall_ms` is how long a gap must be to count as a stall (default:
    `metrics.stall_threshold_ns`). It is the title of `sk.plots.timeline`.
    """
    return describe_timeline(subjects(recordings, stall_ms))


def describe_timeline(shown: list[Subject]) -> str:
    """`finding` of what is already a list of subjects."""
    return _one(shown[0]) if len(shown) == 1 else _several(shown)


def _one(subject: Subject) -> str:
    if not subject.count:
        return _nothing(subject)
    if not subject.outcome.ok:
        verb = "Stopped" if subject.outcome.stopped else "Cut"
        reason = f": {short(str(subject.outcome), OUTCOME_LIMIT)}"
        silent = f" and {duration(subject.silence_ns)} of silence" if subject.silence else ""
        told = f"{verb} after {many(subject.count, subject.noun)}{silent}{reason}{_asked_again(subject)}"
        return told + _besides(subject, "before")
    if subject.cuts.size:
        return describe_cuts(subject) + _besides(subject, "besides")
    if _stall_count(subject):
        return _stalls(subject)
    return _pace(subject)


def describe_cuts(subject: Subject) -> str:
    """A stream that was cut, resumed, and is whole: how often, for how long, and how much was replayed."""
    silent = about(int(np.diff(subject.cuts).sum()))
    count = int(np.count_nonzero(subject.counted & subject.replayed))
    replayed = f"{'' if subject.told or not count else 'about '}{many(count, subject.noun)} replayed"
    return f"Cut {times(len(subject.cuts))}; nothing lost; {silent} of silence; {replayed}"


def _besides(subject: Subject, where: str) -> str:
    """The stalls that are drawn, in a title that is about something else."""
    if subject.longest_stall is None:
        return ""
    longest = duration(subject.longest_stall[1] - subject.longest_stall[0])
    count = len(subject.stalls)
    return f"; a stall of {longest} {where}" if count == 1 else f"; {count} stalls {where}, the longest {longest}"


def _asked_again(subject: Subject) -> str:
    """What resuming brought, of a stream that is not whole."""
    resumed = f"; resumed {times(len(subject.cuts))} before" if subject.cuts.size else ""
    return f"{resumed}; asked again {times(subject.in_vain)} in vain" if subject.in_vain else resumed


def _nothing(subject: Subject) -> str:
    took = duration(subject.end_ns - subject.origin_ns)
    if subject.outcome.name == "refused":
        if subject.outcome.detail == "connect":
            return f"No connection after {took}"
        status = "" if subject.outcome.detail is None else f" with status {subject.outcome.detail}"
        return f"Refused{status} after {took}"
    return f"Not one piece in {took}: {short(str(subject.outcome), OUTCOME_LIMIT)}{_asked_again(subject)}"


def _stalls(subject: Subject) -> str:
    """Silence before the end is one more: no gap between pieces, but a client waits for the end as for a piece."""
    start, end = subject.longest_stall or (0, 0)
    last = subject.silence_ns > end - start
    longest_ns = subject.silence_ns if last else end - start
    before = subject.count if last else int(np.count_nonzero(subject.counted & (subject.at_ns <= start)))
    where = f"after {subject.noun} {before}{', before the end' if last else ''}"
    count = _stall_count(subject)
    what = "A stall of" if count == 1 else f"{count} stalls, the longest"
    return f"{what} {duration(longest_ns)} {where}{_why(subject, before)}"


def _why(subject: Subject, after: int) -> str:
    """The cause of that stall, if it is the main one, and known."""
    found = subject.why
    if found is None or found.after != after or found.cause not in IN_A_TITLE:
        return ""
    return f": {IN_A_TITLE[found.cause]}"


def _stall_count(subject: Subject) -> int:
    return len(subject.stalls) + bool(subject.silence)


def _pace(subject: Subject) -> str:
    wait = duration(subject.wait_ns or 0)
    if subject.count == 1:
        return f"The only {subject.noun} after {wait}"
    if not subject.gaps.size:
        return f"All {many(subject.count, subject.noun)} in one read after {wait}"
    if subject.shared >= CROWDED:
        every = duration(subject.read_every_ns)
        return f"First {subject.noun} after {wait}, then {_ratio(subject)} events per read, a read every {every}"
    return f"First {subject.noun} after {wait}, then one every {duration(subject.piece_every_ns)}"


def _several(shown: list[Subject]) -> str:
    failed = [subject for subject in shown if not subject.outcome.ok]
    if failed:
        named = listed([f"{short(subject.name)}: {short(str(subject.outcome), OUTCOME_LIMIT)}" for subject in failed])
        return f"{of(len(failed), len(shown))} did not complete – {named}{_stalled(shown, failed)}"
    cut = [subject for subject in shown if subject.cuts.size]
    if cut:
        worst = max(cut, key=lambda subject: int(np.diff(subject.cuts).sum()))
        silent = about(int(np.diff(worst.cuts).sum()))
        often = f"{short(worst.name)} {times(len(worst.cuts))}"
        return f"{of(len(cut), len(shown))} cut and resumed, {often}: {silent} of silence{_stalled(shown, cut)}"
    stalled = [subject for subject in shown if _stall_count(subject)]
    if stalled:
        worst = max(stalled, key=_worst_stall_ns)
        longest = duration(_worst_stall_ns(worst))
        return f"{of(len(stalled), len(shown))} stalled, {short(worst.name)} for {longest}"
    measured = [subject for subject in shown if subject.count]
    if len(measured) < len(shown):
        return f"{len(shown) - len(measured)} of {len(shown)} brought no piece"
    low, high = extremes(shown, [subject.wait_ns or 0 for subject in shown])
    if serial([subject.served for subject in shown if subject.served is not None]):
        later = duration((high.wait_ns or 0) - (low.wait_ns or 0))
        return f"Served one after the other: {short(high.name)} waited {later} longer than {short(low.name)}"
    if are_apart(low.wait_ns or 0, high.wait_ns or 0):
        later = duration((high.wait_ns or 0) - (low.wait_ns or 0))
        return f"{short(high.name)}: first piece {later} later than {short(low.name)}"
    crowded = [subject for subject in shown if subject.count > 1 and subject.shared >= CROWDED]
    paced = [subject for subject in shown if subject.gaps.size and subject.shared < CROWDED]
    if crowded and paced:
        most = max(crowded, key=lambda subject: subject.shared)
        every = duration(paced[0].piece_every_ns)
        return f"{short(most.name)}: {_together(most)}, {short(paced[0].name)}: one every {every}"
    if paced:
        low, high = extremes(paced, [subject.read_every_ns for subject in paced])
        fast, slow = low.read_every_ns, high.read_every_ns
        if are_apart(fast, slow):
            return f"{short(high.name)}: a read every {duration(slow)}, {short(low.name)} every {duration(fast)}"
        others = [subject for subject in shown if not subject.gaps.size]
        if others:
            one, other = others[0], paced[0]
            every = duration(other.piece_every_ns)
            return f"{short(one.name)}: {lower(_pace(one))}, {short(other.name)}: one every {every}"
    return f"{both(len(shown))} alike: {lower(_pace(shown[0]))}"


def _stalled(shown: list[Subject], told: list[Subject]) -> str:
    """How many others have stalls, in a title that is about something else."""
    count = sum(_stall_count(subject) > 0 for subject in shown if subject not in told)
    return f"; {count} more stalled" if count else ""


def _together(subject: Subject) -> str:
    if not subject.gaps.size:
        return f"all {many(subject.count, subject.noun)} in one read"
    return f"{_ratio(subject)} events per read"


def _worst_stall_ns(subject: Subject) -> int:
    start, end = subject.longest_stall or (0, 0)
    return max(end - start, subject.silence_ns)


def _ratio(subject: Subject) -> str:
    events_per_read = 1 / (1 - subject.shared)
    return f"{events_per_read:.1f}".removesuffix(".0") if events_per_read < 10 else f"{events_per_read:.0f}"

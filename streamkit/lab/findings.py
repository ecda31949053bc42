"""What a recording shows, in one sentence: the titles of the figures. Pure functions of recordings, no matplotlib.

Pieces are counted where any text was extracted, events otherwise; numbers count from 1. Times to the first piece
are from when the request had left (from the call where that is not known), gaps are between reads: both by
`streamkit.lab.metrics`, so the sentence, the figure and `summary()` agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.recording import Recording

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.trust import Trust
    from streamkit.outcome import Outcome

    Ints = npt.NDArray[np.int64]

__all__ = [
    "Recordings",
    "Trace",
    "byte_size",
    "describe",
    "describe_gaps",
    "duration",
    "finding",
    "gaps_finding",
    "short",
    "traces",
]

Recordings: TypeAlias = Recording | Iterable[Recording] | Mapping[str, Recording]

SECONDS_FROM_MS: Final = 100_000.0  # times are shown in ms; from here on six digits read worse than seconds
NAME_LIMIT: Final = 24
OUTCOME_LIMIT: Final = 32  # an error's code is the provider's own text
CROWDED: Final = 0.2  # from this share of coalesced events on, "one every 50 ms" would be untrue
APART: Final = 1.1  # two times are told apart in a title when one is more than a tenth longer …
APART_NS: Final = 5_000_000  # … and by more than a shared machine's noise


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """One recording as figures see it: names, and columns as int64 arrays (copies).

    `characters[i]` is the length of event i's text, `bytes[i]` the size of its data; `stalls` has shape (k, 2) and
    holds the gaps longer than `threshold_ns`.
    """

    name: str
    outcome: Outcome
    trust: Trust
    at_ns: Ints
    read: Ints
    characters: Ints
    bytes: Ints
    sent_ns: int | None
    end_ns: int
    gaps: Ints
    stalls: Ints
    threshold_ns: int

    @property
    def noun(self) -> str:
        """What is counted: `piece`, or `event` where no event carried text."""
        return "event" if self.at_ns.size and not self.characters.any() else "piece"

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        """Which events count as a `noun`."""
        return metrics.pieces(self.characters)

    @property
    def count(self) -> int:
        """How many pieces (or events) there are."""
        return int(np.count_nonzero(self.counted))

    @property
    def origin_ns(self) -> int:
        """The moment waiting is counted from."""
        return self.sent_ns or 0

    @property
    def wait_ns(self) -> int | None:
        """The wait for the first piece (or event); None if there was none."""
        return metrics.ttft_ns(self.at_ns, self.counted, self.origin_ns)

    @property
    def shared(self) -> float:
        """Share of the events that came in the same read as an earlier one, 0 to 1."""
        return metrics.coalesced_share(self.read) or 0.0

    @property
    def silence(self) -> tuple[int, int] | None:
        """From the last event to the end, in ns, if that took as long as a stall."""
        if not self.at_ns.size or self.end_ns - self.at_ns[-1] <= self.threshold_ns:
            return None
        return int(self.at_ns[-1]), self.end_ns

    @property
    def longest_stall(self) -> tuple[int, int] | None:
        """Start and end of the longest stall, in ns."""
        if not self.stalls.size:
            return None
        start, end = self.stalls[np.argmax(self.stalls[:, 1] - self.stalls[:, 0])]
        return int(start), int(end)


def traces(recordings: Recordings, stall_ms: float | None = None) -> list[Trace]:
    """The recordings as `Trace`s, in order; a mapping's keys are their names, else `label`, else "recording 2".

    `stall_ms`: a gap longer than this is a stall; `metrics.stall_threshold_ns` decides where it is None.
    Raises TypeError for what is not a recording, ValueError for none at all.
    """
    if isinstance(recordings, Recording):
        return [_trace(recordings, recordings.label, stall_ms)]
    named: Sequence[tuple[str, Recording]]
    if isinstance(recordings, Mapping):
        named = [(str(name), recording) for name, recording in recordings.items()]
    else:
        named = [("", recording) for recording in recordings]
    if not named:
        raise ValueError("expected a Recording or several, got none")
    for _, recording in named:
        if not isinstance(recording, Recording):
            raise TypeError(f"expected a Recording, a sequence or a mapping of them, got {type(recording).__name__}")
    nameless = "" if len(named) == 1 else "recording {}"
    return [
        _trace(recording, name or recording.label or nameless.format(number), stall_ms)
        for number, (name, recording) in enumerate(named, 1)
    ]


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
        return f"{short(measured[0].name)} alone has gaps: {_lower(_half_and_tail(measured[0]))}"
    p50, p99 = (duration(max(_percentile(trace, q) for trace in measured)) for q in (50, 99))
    return f"{_all(len(measured))} alike: p50 up to {p50}, p99 up to {p99}"


def duration(ns: float, unit: bool = True) -> str:
    """Nanoseconds as text: `0.032 ms`, `0.32 ms`, `3.2 ms`, `1,234 ms`, and seconds from 100 s on (`180 s`)."""
    ms = ns / 1e6
    if abs(ms) >= SECONDS_FROM_MS:
        return f"{ms / 1e3:,.0f}{' s' if unit else ''}"
    places = 0 if ms == 0 else sum(abs(ms) < limit for limit in (9.95, 0.995, 0.0995))
    return f"{ms:,.{places}f}{' ms' if unit else ''}"


def _trace(recording: Recording, name: str, stall_ms: float | None) -> Trace:
    events = recording.events
    at_ns, read = _column(events.at_ns), _column(events.read)
    characters = np.fromiter(map(len, events.text), dtype=np.int64, count=len(events))
    counted = metrics.pieces(characters)
    gaps = metrics.gaps_ns(at_ns[counted], read[counted])
    threshold_ns = metrics.stall_threshold_ns(gaps) if stall_ms is None else round(stall_ms * 1e6)
    last_seen = max((recording.head_ns or 0, *recording.reads.at_ns[-1:]))
    return Trace(
        name=name,
        outcome=recording.outcome,
        trust=recording.trust,
        at_ns=at_ns,
        read=read,
        characters=characters,
        bytes=_column(events.size),
        sent_ns=recording.sent_ns,
        end_ns=last_seen if recording.ended_ns is None else recording.ended_ns,
        gaps=gaps,
        stalls=metrics.stalls_ns(at_ns[counted], read[counted], threshold_ns),
        threshold_ns=threshold_ns,
    )


def _column(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)  # a copy: a view that lingers keeps array('q') from growing


def _one(trace: Trace) -> str:
    if not trace.count:
        return _nothing(trace)
    if not trace.outcome.ok:
        verb = "Cancelled" if trace.outcome.name == "cancelled" else "Cut"
        reason = "" if trace.outcome.name == "cancelled" else f": {short(str(trace.outcome), OUTCOME_LIMIT)}"
        return f"{verb} after {_many(trace.count, trace.noun)}{reason}"
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
        return f"All {_many(trace.count, trace.noun)} in one read after {wait}"
    every = duration(_percentile(trace, 50))
    if trace.shared >= CROWDED:
        return f"First {trace.noun} after {wait}, then {_ratio(trace)} events per read, a read every {every}"
    return f"First {trace.noun} after {wait}, then one every {every}"


def _several(shown: list[Trace]) -> str:
    failed = [trace for trace in shown if not trace.outcome.ok]
    if failed:
        named = _listed([f"{short(trace.name)}: {short(str(trace.outcome), OUTCOME_LIMIT)}" for trace in failed])
        return f"{_of(len(failed), len(shown))} did not complete – {named}"
    stalled = [trace for trace in shown if trace.stalls.size]
    if stalled:
        worst = max(stalled, key=_worst_stall_ns)
        longest = duration(_worst_stall_ns(worst))
        return f"{_of(len(stalled), len(shown))} stalled, {short(worst.name)} for {longest}"
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
    return f"{_all(len(shown))} alike: {_lower(_pace(shown[0]))}"


def _together(trace: Trace) -> str:
    if not trace.gaps.size:
        return f"all {_many(trace.count, trace.noun)} in one read"
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


def _of(some: int, total: int) -> str:
    return _all(total) if some == total else f"{some} of {total}"


def _all(total: int) -> str:
    return "Both" if total == 2 else f"All {total}"


def _listed(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 3 else [*names[:2], f"and {len(names) - 2} more"])


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def short(text: str, limit: int = NAME_LIMIT) -> str:
    """At most `limit` characters; what was cut shows as an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def byte_size(count: int) -> str:
    """`512 B`, `3.8 kB`, `310 kB`, `4.2 MB`: decimal prefixes."""
    if count < 1000:
        return f"{count} B"
    for unit, name in ((1e3, "kB"), (1e6, "MB"), (1e9, "GB")):
        if count < 999.5 * unit or name == "GB":
            amount = count / unit
            return f"{amount:,.1f} {name}" if amount < 9.95 else f"{amount:,.0f} {name}"
    raise AssertionError  # the last unit takes everything

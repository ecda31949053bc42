"""What a load shows, in one sentence (the title of `plots.load`), and the facts that the figure draws.

    load_facts(streams).most_live, load_finding(streams)

The sentence says the first that applies: nothing may be quoted at all; streams did not come whole; the time to the
first piece grew; what it was. Times to the first piece count from when requests were due, if they have such a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.findings.subjects import Recordings, recordings_in
from streamkit.lab.findings.words import about, byte_size, duration, listed, many, short
from streamkit.lab.metrics.curves import Curve
from streamkit.lab.sets import RecordingSet, Resources
from streamkit.lab.sets.columns import Floats, known
from streamkit.lab.sets.set_summary import SetSummary, left_as_asked, live_streams, outcomes_of
from streamkit.lab.sets.verdict import Verdict

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Bend", "LoadFacts", "ProcessUse", "Streams", "describe_load", "load_facts", "load_finding", "set_of"]

Streams: TypeAlias = RecordingSet | Recordings

BENT: Final = 2.0  # the time to the first piece at the end of a load, against that at its begin
BENT_NS: Final = 50_000_000  # … and at least so much longer
FEW: Final = 5  # streams to each part of it
GREW_BYTES: Final = 64_000  # a process grows by so much for anything


@dataclass(frozen=True, kw_only=True)
class Bend:
    """How the time to the first piece grew: its median over the first and over the last fifth of the streams, in ns."""

    before_ns: int
    after_ns: int


@dataclass(frozen=True, kw_only=True)
class ProcessUse:
    """What one process used during a load; None where it is not known.

    name               what the process is called
    most_rss_bytes     its largest resident memory
    stream_bytes       by how much its memory grew for each stream that was live when it was largest; None if it did not
    most_descriptors   the most files and sockets that were open
    cpu_share          processor time by the time sampled: 1.0 is one core
    loop_late_ns       how late its event loop was at worst
    """

    name: str
    most_rss_bytes: int | None
    stream_bytes: int | None
    most_descriptors: int | None
    cpu_share: float | None
    loop_late_ns: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadFacts:
    """The course of a load in numbers: what `sk.plots.load` draws.

        sk.findings.load_facts(streams).live.count.max()

    Moments are in ns from when the first stream was due, which is `zero_ns` on the monotonic clock.

    summary, verdict   those of the set
    due, sent     when each stream was due, and when its request had left, in ascending order
    due_and_sent  both, for those of which both are known, as two rows
    live          how many streams were live over time, as a `Curve`
    at, ttft_due, ttft_sent   when each stream came, and its time to the first piece from due and from sent
    ended, outcomes   when each stream ended, and how
    bend          whether the time to the first piece grew along the load; None where it cannot be told
    broken        outcomes, with counts, of streams that did not come whole and were not meant to leave
    processes     what each process used, where it was sampled
    """

    summary: SetSummary
    verdict: Verdict
    due: npt.NDArray[np.int64]
    sent: npt.NDArray[np.int64]
    due_and_sent: npt.NDArray[np.int64]
    live: Curve
    at: Floats
    ttft_due: Floats
    ttft_sent: Floats
    ended: Floats
    outcomes: tuple[str, ...]
    bend: Bend | None
    broken: Mapping[str, int]
    processes: tuple[ProcessUse, ...]
    zero_ns: int | None

    @property
    def end_ns(self) -> int:
        """The last of all moments."""
        moments = [self.due, self.sent, known(self.ended), self.live.at_ns]
        return max((int(each.max()) for each in moments if each.size), default=0)

    @property
    def ttft(self) -> Floats:
        """The times to the first piece: from due if that is known of any stream, otherwise from sent."""
        return self.ttft_due if known(self.ttft_due).size else self.ttft_sent


def load_finding(streams: Streams) -> str:
    """The most important thing to see in a load, as a sentence.

        >>> sk.findings.load_finding([sk.Recording.from_pieces([(7_000_000, "Hi")], sent_ns=0, ended_ns=8_000_000)])
        '1 stream: first piece 7.0 ms after it was sent'

    It is the title of `sk.plots.load`.
    """
    return describe_load(load_facts(streams))


def load_facts(streams: Streams) -> LoadFacts:
    """The course of a load, in numbers.

        >>> sk.findings.load_facts([sk.Recording(ended_ns=5)]).summary.most_live
        1

    It takes a `RecordingSet` or recordings. Raises ValueError for none, TypeError for anything else.
    """
    several = set_of(streams)
    rows = several.rows
    begun = np.where(np.isnan(rows.due), rows.started, rows.due)
    both = ~np.isnan(rows.due) & ~np.isnan(rows.sent)
    live = live_streams(rows)
    zero_ns = _zero_ns(several)
    return LoadFacts(
        summary=several.summary(),
        verdict=several.verdict,
        due=np.sort(known(rows.due)),
        sent=np.sort(known(rows.sent)),
        due_and_sent=np.array([np.sort(known(each[both])) for each in (rows.due, rows.sent)]),
        live=live,
        at=begun,
        ttft_due=rows.ttft_due,
        ttft_sent=rows.ttft_sent,
        ended=rows.ended,
        outcomes=tuple(str(one.outcome) for one in several),
        bend=_bend(begun, rows.ttft_due if known(rows.ttft_due).size else rows.ttft_sent),
        broken=outcomes_of([one for one in several if not (one.outcome.ok or left_as_asked(one))]),
        processes=tuple(_process(each, live, zero_ns) for each in several.resources),
        zero_ns=zero_ns,
    )


def set_of(streams: Streams) -> RecordingSet:
    """Recordings as a set. Raises ValueError for none, TypeError for what is no recording."""
    if isinstance(streams, RecordingSet):
        return streams if len(streams) else set_of(streams.recordings)  # which refuses none as everywhere
    return RecordingSet(recording for _, recording in recordings_in(streams))


def describe_load(facts: LoadFacts) -> str:
    """`load_finding` of what is already facts."""
    summary = facts.summary
    if facts.verdict.level == "do not quote":
        return f"Do not quote: {facts.verdict.reasons[0]}"
    broken = summary.streams - summary.complete - summary.left
    if broken:
        ended = [f"{count:,} {short(name)}" for name, count in facts.broken.items()]
        return f"{broken:,} of {summary.streams:,} streams did not complete: {listed(ended)}"
    live = f", up to {summary.most_live:,} live at once" if (summary.most_live or 0) > 1 else ""
    if facts.bend is not None:
        before, after = about(facts.bend.before_ns), about(facts.bend.after_ns)
        return f"First pieces took {before} at the start, {after} at the end: {many(summary.streams, 'stream')}{live}"
    return f"{many(summary.streams, 'stream')}{live}: {_first_piece(facts)}"


def _first_piece(facts: LoadFacts) -> str:
    due = known(facts.ttft_due).size > 0
    p50, p99, most = metrics.percentiles_ns(known(facts.ttft), (50, 99, 100))
    since = "due" if due else "sent"
    if p50 is None or p99 is None or most is None:
        return "no piece came"
    if known(facts.ttft).size == 1:
        return f"first piece {duration(p50)} after it was {since}"
    far = f"p99 {duration(p99)}" if known(facts.ttft).size >= 100 else f"the longest {duration(most)}"
    return f"first piece {duration(p50)} (p50) after it was {since}, {far}"


def _bend(at: Floats, ttft: Floats) -> Bend | None:
    """None where it did not grow, too."""
    there = ~np.isnan(ttft)
    if np.count_nonzero(there) < FEW:
        return None
    ordered = ttft[there][np.argsort(at[there], kind="stable")].astype(np.int64)
    part = max(1, ordered.size // 5)
    before, after = (metrics.percentile_ns(each, 50) or 0 for each in (ordered[:part], ordered[-part:]))
    grew = after > BENT * before and after - before > BENT_NS
    return Bend(before_ns=before, after_ns=after) if grew else None


def _zero_ns(several: RecordingSet) -> int | None:
    """By the clock, when the first was due: resources are sampled by it."""
    begun = known(several.rows.started)
    return several[0].started_ns - int(several.rows.started[0]) if begun.size else None


def _process(used: Resources, live: Curve, zero_ns: int | None) -> ProcessUse:
    rss, descriptors, late = (each[each >= 0] for each in (used.rss_bytes, used.descriptors, used.loop_late_ns))
    sampled = used.cpu_ns >= 0
    cpu, at = used.cpu_ns[sampled], used.at_ns[sampled]
    took = int(at[-1] - at[0]) if at.size > 1 else 0
    return ProcessUse(
        name=used.name,
        most_rss_bytes=int(rss.max()) if rss.size else None,
        stream_bytes=_stream_bytes(used.at_ns, used.rss_bytes, live, zero_ns),
        most_descriptors=int(descriptors.max()) if descriptors.size else None,
        cpu_share=float(cpu[-1] - cpu[0]) / took if took else None,
        loop_late_ns=int(late.max()) if late.size else None,
    )


def _stream_bytes(
    at_ns: npt.NDArray[np.int64], rss: npt.NDArray[np.int64], live: Curve, zero_ns: int | None
) -> int | None:
    """From the first sample to the largest, by the most that were live at once up to then."""
    there = rss >= 0
    if not there.any() or zero_ns is None or not live.at_ns.size:
        return None
    sampled, at = rss[there], at_ns[there] - zero_ns
    largest = int(sampled.argmax())
    upto = int(np.searchsorted(live.at_ns, at[largest], side="right"))
    most_live = int(live.count[:upto].max(initial=0))
    grew = int(sampled[largest] - sampled[0])
    return round(grew / most_live) if grew > GREW_BYTES and most_live > 1 else None


def describe_process(one: ProcessUse) -> str:
    """What one process used, at the most: `relay: 84 MB (28 kB a stream), 1,012 descriptors, 62 % of a core`."""
    a_stream = f" ({byte_size(one.stream_bytes)} a stream)" if one.stream_bytes is not None else ""
    told = [
        *([] if one.most_rss_bytes is None else [f"{byte_size(one.most_rss_bytes)}{a_stream}"]),
        *([] if one.most_descriptors is None else [f"{one.most_descriptors:,} descriptors"]),
        *([] if one.cpu_share is None else [f"{one.cpu_share:.0%} of a core"]),
        *([] if one.loop_late_ns is None else [f"loop up to {duration(one.loop_late_ns)} late"]),
    ]
    return f"{one.name}: {', '.join(told) or 'nothing is known'}"

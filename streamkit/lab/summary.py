"""Summary: the numbers of one recording, with units, and with the rule by which each was counted."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from streamkit.lab import metrics

if TYPE_CHECKING:
    from streamkit.lab.recording import Recording
    from streamkit.outcome import Outcome

__all__ = ["Summary", "summarize", "timetable"]


@dataclass(frozen=True, kw_only=True)
class Summary(Mapping[str, Any]):
    """The numbers of one recording; also a mapping from field names to them. What is not defined is None.

    events, reads, bytes, characters   counts; reads are those that brought body bytes, characters those of the text
    ttft_ms                   the first event with text, from when the request's last byte had left (from the call
                              where that is not known: see `notes`)
    duration_ms               the end of the stream, from the same moment
    gaps                      how many gaps there are between reads that brought pieces (`metrics.pieces`)
    gap_p50_ms, gap_p95_ms, gap_p99_ms, max_gap_ms   over those gaps; percentiles by nearest rank
    stalls                    how many of those gaps are longer than `stall_threshold_ms`
    coalesced_share           share of the events that came in the same read as an earlier one (0 to 1)
    throughput_events_per_s, throughput_chars_per_s   pieces and their characters, after the first read that brought any
    notes                     what has to be known to read the numbers rightly
    """

    outcome: Outcome
    events: int
    reads: int
    bytes: int
    characters: int
    ttft_ms: float | None
    duration_ms: float | None
    gaps: int
    gap_p50_ms: float | None
    gap_p95_ms: float | None
    gap_p99_ms: float | None
    max_gap_ms: float | None
    stalls: int
    stall_threshold_ms: float
    coalesced_share: float | None
    throughput_events_per_s: float | None
    throughput_chars_per_s: float | None
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> Any:
        if name not in self.as_dict():
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))

    def __len__(self) -> int:
        return len(fields(self))

    def as_dict(self) -> dict[str, Any]:
        """Field names and values, in the order of the table."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def rows(self) -> list[tuple[str, str]]:
        """The table as pairs of a name and a value with its unit; "–" stands for what is not defined."""
        return [
            ("outcome", str(self.outcome)),
            ("events", str(self.events)),
            ("reads", str(self.reads)),
            ("bytes", str(self.bytes)),
            ("characters", str(self.characters)),
            ("time to first piece", _ms(self.ttft_ms)),
            ("duration", _ms(self.duration_ms)),
            ("gaps between reads", str(self.gaps)),
            ("gap p50", _ms(self.gap_p50_ms)),
            ("gap p95", _ms(self.gap_p95_ms)),
            ("gap p99", _ms(self.gap_p99_ms)),
            ("longest gap", _ms(self.max_gap_ms)),
            (f"stalls (gaps above {self.stall_threshold_ms:.0f} ms)", str(self.stalls)),
            ("events sharing a read", "–" if self.coalesced_share is None else f"{self.coalesced_share:.0%}"),
            ("events per second", _rate(self.throughput_events_per_s)),
            ("characters per second", _rate(self.throughput_chars_per_s)),
        ]

    def __str__(self) -> str:
        rows = self.rows()
        names = max(len(name) for name, _ in rows)
        values = max(len(value) for _, value in rows)
        table = [f"{name:<{names}}  {value:>{values}}" for name, value in rows]
        return "\n".join([*table, *(f"* {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{html.escape(n)}</th><td>{html.escape(v)}</td></tr>" for n, v in self.rows())
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return f"<table><tbody>{rows}</tbody></table><ul>{notes}</ul>"


def summarize(recording: Recording) -> Summary:
    """The `Summary` of a recording."""
    events = recording.events
    characters = np.fromiter(map(len, events.text), dtype=np.int64, count=len(events))
    origin_ns = recording.sent_ns or 0
    pieces = metrics.pieces(characters)
    at_ns, read = np.asarray(events.at_ns)[pieces], np.asarray(events.read)[pieces]
    gaps = metrics.gaps_ns(at_ns, read)
    threshold_ns = metrics.stall_threshold_ns(gaps)
    return Summary(
        outcome=recording.outcome,
        events=len(events),
        reads=len(recording.reads),
        bytes=sum(recording.reads.size),
        characters=int(characters.sum()),
        ttft_ms=_in_ms(metrics.ttft_ns(events.at_ns, characters, origin_ns)),
        duration_ms=None if recording.ended_ns is None else _in_ms(recording.ended_ns - origin_ns),
        gaps=gaps.size,
        gap_p50_ms=_in_ms(metrics.percentile_ns(gaps, 50)),
        gap_p95_ms=_in_ms(metrics.percentile_ns(gaps, 95)),
        gap_p99_ms=_in_ms(metrics.percentile_ns(gaps, 99)),
        max_gap_ms=_in_ms(metrics.percentile_ns(gaps, 100)),
        stalls=len(metrics.stalls_ns(at_ns, read, threshold_ns)),
        stall_threshold_ms=threshold_ns / 1e6,
        coalesced_share=metrics.coalesced_share(events.read),
        throughput_events_per_s=metrics.throughput_per_s(at_ns, read, np.ones_like(read)),
        throughput_chars_per_s=metrics.throughput_per_s(at_ns, read, characters[pieces]),
        notes=_notes(recording, metrics.coalesced_share(events.read)),
    )


def _notes(recording: Recording, coalesced: float | None) -> tuple[str, ...]:
    notes = []
    if coalesced:
        notes.append(f"gaps are between reads; {coalesced:.0%} of the events shared a read with an earlier one")
    if recording.sent_ns is None:
        notes.append("times are from the call: when the request had left is not known")
    if recording.stamps == "piece":
        notes.append("the stamps are of the pieces that a client library gave, not of socket reads")
    if recording.damage:
        notes.append("loaded from a damaged file: what is missing there is missing here")
    return (*notes, *recording.meta.get("notes", ()))


def _in_ms(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ms"


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} /s"


def timetable(recording: Recording, rows: int = 12) -> str:
    """When each piece came, as text: ms since the request was sent, the gap before it, the number of its read, itself.

    Pieces are the events with text; beyond `rows` of them the middle is left out and counted. The gap is to the piece
    before it, so pieces of one read show 0.0.
    """
    origin_ns = recording.sent_ns or 0
    pieces = [event for event in recording.events if event.text]
    earlier = [None, *(event.at_ns for event in pieces)]
    lines = [
        f"{(event.at_ns - origin_ns) / 1e6:>9.1f}  "
        f"{'' if before is None else f'{(event.at_ns - before) / 1e6:.1f}':>8}  {event.read:>5}  {event.text!r}"
        for before, event in zip(earlier, pieces, strict=False)
    ]
    if len(lines) > rows:
        head = rows // 2
        lines[head : len(lines) - (rows - head)] = [f"{'…':>9}  {len(lines) - rows} more pieces"]
    return "\n".join([f"{'at ms':>9}  {'gap ms':>8}  {'read':>5}  piece", *lines])

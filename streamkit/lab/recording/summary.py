"""Summary: the numbers of one recording, with their units and the rule by which each is counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.metrics.columns import characters
from streamkit.lab.metrics.words import about_ms, ms
from streamkit.lab.recording.diagnosed import diagnosed
from streamkit.lab.recording.recorded import FOREIGN_TAPS
from streamkit.lab.recording.server_times import before_first, server_times
from streamkit.lab.recording.tables import html_table, text_table
from streamkit.lab.recording.tap_curves import OF_ONE_ANSWER, tap_curves, upload_curves
from streamkit.lab.recording.trust import first_piece_error_ns, first_piece_is_shared, judge
from streamkit.taps import UPLOAD_TAPS

if TYPE_CHECKING:
    from streamkit.lab.recording.recorded import Counted, Recorded, RecordedEvent, Stamps
    from streamkit.outcome import Outcome

__all__ = ["HopSummary", "Summary", "summarize", "timetable"]

WIDEST_NUMBER: Final = 16  # characters, in the printed table
WORTH_A_ROW_MS: Final = 1.0
"""So long takes a request that did not have to wait for a connection, or less."""


class HopSummary(NamedTuple):
    """One hop: its events' delays (percentiles by nearest rank), and the most events it held at any time."""

    name: str
    events: int
    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None
    max_backlog: int


@dataclass(frozen=True, kw_only=True)
class Summary(Mapping[str, Any]):
    """The numbers of one recording; also a mapping from field names to values. What is not defined is None.

        recording.summary().ttft_ms, recording.summary()["gap_p95_ms"]

    Printed it is a table, and in a notebook an HTML table.

    outcome                   how the stream ended
    finish_reason             the provider's word for why it ended (`stop`, `length`, …); None where it gave none
    error                     why it ended so, in our words, where that says more (`Recording.error`)
    relay_outcome             how the stream ended for the relay, by its own account (`Recording.relay`)
    events, reads, bytes, characters   counts; reads are those that brought body bytes, characters those of the text
    reasoning_characters      those of the reasoning, where it was recorded
    ttft_ms                   time to first token: from when the request's last byte had left (from the call where that
                              is not known: see `notes`) to the first piece of any recorded channel, text or reasoning
    ttft_text_ms, ttft_reasoning_ms   the same for each channel by itself
    ttft_error_ms             by how much `ttft_ms` may be too long: the piece may have come before its read ended, and
                              the request may have left later than was noted; an estimate where the read was shared
    ttft_is_bound             the first piece shared its read with what came after it: `ttft_ms` is an upper bound
    waited_ms, connecting_ms, tls_ms, sending_ms   what came before that moment, and is in no other number: waiting for
                              a connection (a limit on them may make a request wait), connecting, the TLS handshake,
                              sending the request; each where both ends are known
    sent_bytes, sent_whole    for a request's body given as `content` or `files`: how much had left, and whether that
                              was all of it
    held_ms                   for how long in all the kernel had no room for more of it: back-pressure
    unread_bytes              the most bytes that had left and that the server had not read; None where it does not tell
    duration_ms               from the same moment to the end of the stream
    gaps                      how many gaps there are between reads that brought pieces (`metrics.pieces`)
    gap_p50_ms, gap_p95_ms, gap_p99_ms, max_gap_ms   over those gaps; percentiles by nearest rank
    cuts, attempts            how often it was cut, and how often it was asked for again in all (`Recording.cuts`)
    cut_ms                    for how long nothing came because of these cuts: from the last event before each to the
                              first one after it, or to the end
    replayed                  events that happened during a cut, and came when the client was back. No gap is counted
                              over a cut, nor from or to one of these: they say nothing about the stream's pace
    stalls                    how many of the gaps are longer than `stall_threshold_ms`
    stall_threshold_ms        five median gaps, but at least 250 ms (`metrics.stall_threshold_ns`)
    longest_stall_ms, longest_stall_after   the longest stall, the first of equals: its length, and after which piece
                              (counted from 1) it began
    silent_end_ms             from the last piece to the end (its mark, a cut, our leaving), if longer than a stall
    diagnosis                 why it stuttered, in a sentence (`Recording.diagnose()`); None where it did not
    coalesced_share           the share of events that came in the same read as an earlier one (0 to 1)
    throughput_events_per_s, throughput_chars_per_s   pieces and their characters, those of reasoning included, after
                              the first read that brought any
    server_ms                 what the server tells of its own times, by name: `queue`, `load`, `prefill`, `decode`,
                              `total` (vLLM, llama.cpp, Groq, Ollama), and what its `Server-Timing` says
    hops                      delays and backlog between consecutive taps, in events, if there are taps of servers
    stamps                    what a read's time is: the kernel's ("kernel"), that of the read ("socket"), or when a
                              client library gave it ("library")
    error_p99_ms              how wrong the times of the reads can be (99th percentile), over the reads for which that
                              is known
    late_p99_ms               how late Python was at reads whose times the kernel took (99th percentile). It is in no
                              other number; a tool without the kernel's stamps would have added it to them
    trust                     how far all of this can be trusted (`Recording.trust`)
    notes                     what you need to know to read the numbers correctly
    """

    outcome: Outcome
    finish_reason: str | None
    error: str | None
    relay_outcome: Outcome | None
    events: int
    reads: int
    bytes: int
    characters: int
    reasoning_characters: int
    ttft_ms: float | None
    ttft_text_ms: float | None
    ttft_reasoning_ms: float | None
    ttft_error_ms: float | None
    ttft_is_bound: bool
    duration_ms: float | None
    waited_ms: float | None
    connecting_ms: float | None
    tls_ms: float | None
    sending_ms: float | None
    sent_bytes: int | None
    sent_whole: bool | None
    held_ms: float | None
    unread_bytes: int | None
    gaps: int
    gap_p50_ms: float | None
    gap_p95_ms: float | None
    gap_p99_ms: float | None
    max_gap_ms: float | None
    cuts: int
    attempts: int
    cut_ms: float | None
    replayed: int
    stalls: int
    stall_threshold_ms: float
    longest_stall_ms: float | None
    longest_stall_after: int | None
    silent_end_ms: float | None
    diagnosis: str | None
    coalesced_share: float | None
    throughput_events_per_s: float | None
    throughput_chars_per_s: float | None
    server_ms: Mapping[str, float]
    hops: tuple[HopSummary, ...]
    stamps: Stamps
    error_p99_ms: float | None
    late_p99_ms: float | None
    trust: str | None
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
        """The rows of the printed table: pairs of a name and a value with its unit; "–" where it is not defined.

        Rows about the connection, hops and the instrument are left out where nothing is known about them, the wait for
        a connection where there was none, and the relay's outcome where the client saw the same. If no event came,
        there are no rows of dashes, only how it ended.
        """
        return [
            ("outcome", str(self.outcome)),
            *([("finish reason", self.finish_reason)] if self.finish_reason else []),
            *([("error", self.error)] if self.error else []),
            *([("outcome for the relay", str(self.relay_outcome))] if self._relay_differs() else []),
            *(self._stream() if self.events else self._no_event()),
            *((f"server: {name}, as it reports", ms(value)) for name, value in self.server_ms.items()),
            *((hop.name, _hop(hop)) for hop in self.hops),
            *([("stamps", self.stamps)] if self.reads else []),
            *_known(("first piece's error", self.ttft_error_ms), digits=3),
            *_known(("stamp error p99", self.error_p99_ms), ("Python late p99", self.late_p99_ms), digits=3),
            *([("trust", self.trust)] if self.trust else []),
        ]

    def _stream(self) -> list[tuple[str, str]]:
        return [
            ("events", str(self.events)),
            ("reads", str(self.reads)),
            ("bytes", str(self.bytes)),
            ("characters", str(self.characters)),
            *([("characters of reasoning", str(self.reasoning_characters))] if self.reasoning_characters else []),
            ("time to first piece", f"{'≤ ' if self.ttft_is_bound else ''}{ms(self.ttft_ms)}"),
            *self._by_channel(),
            ("duration", ms(self.duration_ms)),
            *self._connecting(),
            ("gaps between reads", str(self.gaps)),
            ("gap p50", ms(self.gap_p50_ms)),
            ("gap p95", ms(self.gap_p95_ms)),
            ("gap p99", ms(self.gap_p99_ms)),
            ("longest gap", ms(self.max_gap_ms)),
            *self._resumed(),
            (f"stalls (gaps above {self.stall_threshold_ms:.0f} ms)", self._stalls()),
            *_known(("silence before the end", self.silent_end_ms)),
            *([("why", self.diagnosis)] if self.diagnosis else []),
            ("events sharing a read", "–" if self.coalesced_share is None else f"{self.coalesced_share:.0%}"),
            ("events per second", _rate(self.throughput_events_per_s)),
            ("characters per second", _rate(self.throughput_chars_per_s)),
        ]

    def _no_event(self) -> list[tuple[str, str]]:
        body = [("reads", str(self.reads)), ("bytes", str(self.bytes))] if self.reads else []
        return [("events", "0"), *body, *_known(("duration", self.duration_ms)), *self._connecting()]

    def _connecting(self) -> list[tuple[str, str]]:
        waited = self.waited_ms is not None and self.waited_ms >= WORTH_A_ROW_MS
        return (
            _known(
                ("waited for a connection", self.waited_ms if waited else None),
                ("connecting", self.connecting_ms),
                ("TLS", self.tls_ms),
                ("sending", self.sending_ms),
            )
            + self._uploaded()
        )

    def _uploaded(self) -> list[tuple[str, str]]:
        if self.sent_bytes is None:
            return []
        whole = "" if self.sent_whole else ", not all of it"
        return [
            ("bytes sent", f"{self.sent_bytes:,}{whole}"),
            ("sending held back", ms(self.held_ms)),
            *([] if self.unread_bytes is None else [("bytes sent and not read", f"at most {self.unread_bytes:,}")]),
        ]

    def _by_channel(self) -> list[tuple[str, str]]:
        """Where there is more than one."""
        if not self.reasoning_characters:
            return []
        return [
            ("time to first reasoning", ms(self.ttft_reasoning_ms)),
            ("time to first text", ms(self.ttft_text_ms)),
        ]

    def _resumed(self) -> list[tuple[str, str]]:
        if not self.cuts:
            return []
        asked = "" if self.attempts == self.cuts else f", asked {self.attempts} times"
        return [
            ("cuts", f"{self.cuts}, {ms(self.cut_ms, 0)} of silence{asked}"),
            ("events replayed", str(self.replayed)),
        ]

    def _relay_differs(self) -> bool:
        return self.relay_outcome not in (None, self.outcome)

    def _stalls(self) -> str:
        if not self.stalls:
            return "0"
        return f"{self.stalls}, longest {ms(self.longest_stall_ms, 0)} after event {self.longest_stall_after}"

    def __str__(self) -> str:
        return text_table(self.rows(), self.notes, widest=WIDEST_NUMBER)

    def _repr_html_(self) -> str:
        return html_table(self.rows(), self.notes)


def summarize(recording: Recorded) -> Summary:
    """The `Summary` of a recording. Its cost is linear in reads, events and steps of taps."""
    events, counted = recording.events, recording.counted
    origin_ns = recording.origin_ns
    gaps = metrics.gaps_ns(counted.at_ns, counted.read, follows=counted.follows)
    p50, p95, p99, longest = map(_in_ms, metrics.percentiles_ns(gaps, (50, 95, 99, 100)))
    threshold_ns = metrics.stall_threshold_ns(gaps)
    coalesced = metrics.coalesced_share(events.read)
    hops = _hops(recording) if set(FOREIGN_TAPS) & recording.taps.keys() else ()
    text, reasoning = characters(events.text), characters(events.reasoning)
    return Summary(
        outcome=recording.outcome,
        finish_reason=recording.finish_reason,
        error=recording.error,
        relay_outcome=None if recording.relay is None else recording.relay.outcome,
        events=len(events),
        reads=len(recording.reads),
        bytes=int(np.asarray(recording.reads.size).sum()),
        characters=int(text.sum()),
        reasoning_characters=int(reasoning.sum()),
        ttft_ms=_in_ms(metrics.ttft_ns(counted.at_ns, counted.characters, origin_ns)),
        ttft_text_ms=_in_ms(metrics.ttft_ns(events.at_ns, text, origin_ns)),
        ttft_reasoning_ms=_in_ms(metrics.ttft_ns(events.at_ns, reasoning, origin_ns)),
        ttft_error_ms=_in_ms(first_piece_error_ns(recording)),
        ttft_is_bound=first_piece_is_shared(recording),
        duration_ms=_between_ms(origin_ns, recording.ended_ns),
        **_before_sent(recording),
        **_upload(recording),
        gaps=gaps.size,
        gap_p50_ms=p50,
        gap_p95_ms=p95,
        gap_p99_ms=p99,
        max_gap_ms=longest,
        cuts=len(recording.cuts),
        attempts=sum(cut.attempts for cut in recording.cuts),
        cut_ms=sum(until - since for since, until in recording.cut_silences) / 1e6 if recording.cuts else None,
        replayed=int(recording.replayed.sum()),
        **_stalls(counted, threshold_ns),
        silent_end_ms=_silent_end_ms(recording, threshold_ns),
        diagnosis=_why(recording),
        coalesced_share=coalesced,
        throughput_events_per_s=metrics.throughput_per_s(counted.at_ns, counted.read, np.ones_like(counted.read)),
        throughput_chars_per_s=metrics.throughput_per_s(counted.at_ns, counted.read, counted.characters),
        server_ms=_server_ms(recording),
        hops=hops,
        **_instrument(recording),
        notes=_notes(recording, coalesced, hops),
    )


def _why(recording: Recorded) -> str | None:
    found = diagnosed(recording)
    return None if found.cause == "none" else found.sentence


def _before_sent(recording: Recorded) -> dict[str, Any]:
    """From the call to the request's last byte, in the order in which it happens."""
    acquired_ns, connected_ns, tls_ns = recording.acquired_ns, recording.connected_ns, recording.tls_ns
    ready_ns = next((at_ns for at_ns in (tls_ns, connected_ns, acquired_ns) if at_ns is not None), None)
    return {
        "waited_ms": _between_ms(0, acquired_ns),
        "connecting_ms": _between_ms(acquired_ns, connected_ns),
        "tls_ms": _between_ms(connected_ns, tls_ns),
        "sending_ms": _between_ms(ready_ns, recording.sent_ns),
    }


def _upload(recording: Recorded) -> dict[str, Any]:
    curves = upload_curves(recording)
    both = len(curves) == len(UPLOAD_TAPS)
    return {
        "sent_bytes": recording.sent_bytes if recording.sends else None,
        "sent_whole": recording.sent_ns is not None if recording.sends else None,
        "held_ms": sum(recording.sends.held_ns) / 1e6 if recording.sends else None,
        "unread_bytes": metrics.max_backlog(*curves.values()) if both else None,
    }


def _stalls(counted: Counted, threshold_ns: int) -> dict[str, Any]:
    stalls = np.diff(metrics.stalls_ns(counted.at_ns, counted.read, threshold_ns, follows=counted.follows)).ravel()
    places = metrics.stall_places(counted.at_ns, counted.read, threshold_ns, follows=counted.follows)
    longest = int(stalls.argmax()) if stalls.size else None
    return {
        "stalls": stalls.size,
        "stall_threshold_ms": threshold_ns / 1e6,
        "longest_stall_ms": None if longest is None else int(stalls[longest]) / 1e6,
        "longest_stall_after": None if longest is None else int(places[longest]),
    }


def _silent_end_ms(recording: Recorded, threshold_ns: int) -> float | None:
    if recording.ended_ns is None:
        return None
    silence = metrics.end_silence(
        recording.events.at_ns,
        recording.counted.which,
        recording.ended_ns,
        complete=recording.outcome.ok,
        late_ns=recording.end_late_ns,
    )
    return None if silence is None or silence[1] - silence[0] <= threshold_ns else (silence[1] - silence[0]) / 1e6


def _server_ms(recording: Recorded) -> dict[str, float]:
    """Where the answer and its head tell of the same, the answer counts."""
    found: dict[str, float] = {}
    for time in server_times(recording):
        found.setdefault(time.name, time.ns / 1e6)
    return found


def _hops(recording: Recorded) -> tuple[HopSummary, ...]:
    if recording.counts.get("relay.dropped_pieces") and not recording.events.kept:
        return ()  # where they were left out stands in texts that are not here
    curves = tap_curves(recording)
    found = []
    for hop in metrics.hops(curves):
        p50, p95, longest = map(_in_ms, metrics.percentiles_ns(hop.delays_ns, (50, 95, 100)))
        held = metrics.max_backlog(curves[hop.before], curves[hop.after])
        found.append(HopSummary(hop.name, hop.delays_ns.size, p50, p95, longest, held))
    return tuple(found)


def _instrument(recording: Recorded) -> dict[str, Any]:
    reads = recording.reads
    errors_ns = np.asarray(reads.error_ns)
    return {
        "stamps": recording.stamps,
        "error_p99_ms": _in_ms(metrics.percentile_ns(errors_ns[errors_ns >= 0], 99)),
        "late_p99_ms": _in_ms(metrics.percentile_ns(reads.late_ns, 99)) if recording.stamps == "kernel" else None,
        "trust": str(judge(recording)),
    }


def _notes(recording: Recorded, coalesced: float | None, hops: tuple[HopSummary, ...]) -> tuple[str, ...]:
    notes = []
    if coalesced:
        notes.append(f"gaps are between reads; {coalesced:.0%} of the events shared a read with an earlier one")
    if first_piece_is_shared(recording):
        earlier = about_ms(first_piece_error_ns(recording) or 0)
        notes.append(
            f"the first piece shared its read with what came after it: it may have come up to {earlier} earlier, and "
            "the time to it is an upper bound"
        )
    if any(cut.resumed and not cut.told for cut in recording.cuts):
        notes.append(
            "which events were replayed after a cut is an estimate: those that came in one go (reads up to 5 ms apart)"
        )
    if any(cut.resumed for cut in recording.cuts) and (left_out := sorted(OF_ONE_ANSWER & recording.taps.keys())):
        notes.append(f"{', '.join(left_out)}: of the first answer only, as the stream was resumed: they make no hop")
    if below := [hop.name for hop in hops if hop.p50_ms is not None and hop.p50_ms < 0]:
        notes.append(
            f"{', '.join(below)} is below zero: sent is when the call returned; by then the other end may have had it"
        )
    if recording.sends and recording.origin_ns != recording.sent_ns:
        notes.append("times are from the first byte of the request's body")
    elif recording.sent_ns is None:
        notes.append("times are from the call: when the request had left is not known")
    told_ns = sum(time.ns for time in before_first(server_times(recording)))
    if recording.counted.characters.any() and told_ns > recording.counted.at_ns[0] - recording.origin_ns:
        notes.append(
            f"the server reports {about_ms(told_ns)} before its first token, which is more than the first piece took"
        )
    if recording.stamps == "library":
        notes.append("the stamps say when a client library handed events over: they are not of socket reads")
    if recording.damage:
        notes.append("loaded from a damaged file: what is missing there is missing here")
    return (*notes, *recording.meta.get("notes", ()))


def _in_ms(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6


def _between_ms(begin_ns: int | None, end_ns: int | None) -> float | None:
    return None if begin_ns is None or end_ns is None else (end_ns - begin_ns) / 1e6


def _known(*rows: tuple[str, float | None], digits: int = 1) -> list[tuple[str, str]]:
    return [(name, ms(value, digits)) for name, value in rows if value is not None]


def _hop(hop: HopSummary) -> str:
    if hop.p50_ms is None:
        return f"no event passed both, held at most {hop.max_backlog}"
    return f"p50 {hop.p50_ms:.2f}, p95 {hop.p95_ms:.2f}, max {hop.max_ms:.2f} ms, held at most {hop.max_backlog}"


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} /s"


def _said(piece: RecordedEvent) -> str:
    text = [repr(piece.text)] if piece.text else []
    return ", ".join([f"{piece.reasoning!r} (reasoning)", *text] if piece.reasoning else text)


def timetable(recording: Recorded, rows: int = 12) -> str:
    """When each piece came, as text: ms since the request was sent, the gap before it, the number of its read, itself.

    Pieces are the events with text or recorded reasoning, which is marked as such; beyond `rows` of them the middle is
    left out and counted. The gap is to the piece before it, so pieces of one read show 0.0.
    """
    origin_ns = recording.origin_ns
    events = recording.events
    text, reasoning = characters(events.text), characters(events.reasoning)
    said = _said if events.kept else lambda piece: f"{text[piece.index] + reasoning[piece.index]} characters, not kept"
    pieces = [events[number] for number in np.flatnonzero(text + reasoning).tolist()]
    earlier = [None, *(event.at_ns for event in pieces)]
    lines = [
        f"{(event.at_ns - origin_ns) / 1e6:>9.1f}  "
        f"{'' if before is None else f'{(event.at_ns - before) / 1e6:.1f}':>8}  {event.read:>5}  {said(event)}"
        for before, event in zip(earlier, pieces, strict=False)
    ]
    if len(lines) > rows:
        head = rows // 2
        lines[head : len(lines) - (rows - head)] = [f"{'…':>9}  {len(lines) - rows} more pieces"]
    return "\n".join([f"{'at ms':>9}  {'gap ms':>8}  {'read':>5}  piece", *lines])

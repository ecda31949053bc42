"""SetSummary: the numbers of many streams, with the verdict on them as the first line."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.metrics.columns import Ints
from streamkit.lab.metrics.curves import Curve
from streamkit.lab.metrics.words import many
from streamkit.lab.recording.recorded import Recorded
from streamkit.lab.recording.tables import html_table, text_table
from streamkit.lab.sets.columns import Floats, StreamRows, known
from streamkit.lab.sets.verdict import Verdict, rates_per_s

__all__ = ["SetSummary", "Spread", "live_streams", "no_text", "outcomes_of", "summarize_set"]

WIDEST_NUMBER: Final = 48  # characters, in the printed table
WIDTH: Final = 110  # of the lines of the verdict above it
HOW: Final = "preset=, --preset"
FEW: Final = 100
"""Below so many values the 99th percentile by nearest rank is the largest."""
BRIEF_S: Final = 0.1
"""What was spread over less than that had no rate worth a word."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How values are spread: how many there are, and their percentiles by nearest rank, in ms; None if there are none.

        streams.summary().ttft_due.p99_ms

    `str()` has p50, p95, p99 and the largest.
    """

    count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None

    @classmethod
    def of(cls, values_ns: Floats | Ints) -> Spread:
        """The spread of a column in ns, without what is not known."""
        values = known(values_ns)
        found = metrics.percentiles_ns(values, (50, 95, 99, 100))
        return cls(values.size, *(None if each is None else each / 1e6 for each in found))

    def as_dict(self, name: str) -> dict[str, int | float | None]:
        """Its numbers, called after `name`: `ttft_due_p50_ms`."""
        return {f"{name}_{each.name}": getattr(self, each.name) for each in fields(self)}

    def __str__(self) -> str:
        told = (self.p50_ms, self.p95_ms, self.p99_ms, self.max_ms)
        return " / ".join("–" if each is None else f"{each:,.1f}" for each in told)


@dataclass(frozen=True, kw_only=True)
class SetSummary(Mapping[str, Any]):
    """The numbers of many streams; also a mapping from names to values. What is not defined is None.

        streams.summary().ttft_due.p99_ms, streams.summary()["ttft_due_p99_ms"]

    verdict             whether these numbers may be quoted, and why not (`RecordingSet.verdict`)
    streams, complete   how many streams, and how many of them came whole
    left                how many left early as planned (`labels["leaves"]`, from `sk.load(leave=…)`)
    outcomes            how many ended in which way, the most frequent first
    ttft_due            the time to the first piece from when a request was due: what somebody who came then waited
    ttft_sent           the same from when it had left: what most tools report, without any wait for a slow client
    own_late            how late this client itself began each request (`started − due`)
    leaving             from there until it had left: waiting for a connection, connecting, sending
    gap                 all gaps of all streams, between reads (`metrics.gaps_ns`)
    duration            from when the request had left to the end
    server              the servers' own times, by name: `queue`, `prefill`, …
    offered_per_s, achieved_per_s   at which rate requests were due, and left; between the first and the last of them
    ended_per_s         complete streams per second of the whole span
    most_live           the most streams that were live at any one time
    span_ms             from when the first was due (or begun) to the last end
    events, reads, bytes, characters   of all streams; `characters` of text and reasoning
    stamps              how many of the streams that had a read have which stamps
    loop_late_max_ms    how late the event loop of a recorder was at worst
    notes               what you need to know to read the numbers correctly

    `ttft_due` to `duration`, and each of `server`, are `Spread`s. In the mapping, each of them is five numbers:
    `ttft_due_p50_ms`, `…_p95_ms`, `…_p99_ms`, `…_max_ms` and `…_count`.
    """

    verdict: Verdict
    streams: int
    complete: int
    left: int
    outcomes: Mapping[str, int]
    ttft_due: Spread
    ttft_sent: Spread
    own_late: Spread
    leaving: Spread
    gap: Spread
    duration: Spread
    server: Mapping[str, Spread]
    offered_per_s: float | None
    achieved_per_s: float | None
    ended_per_s: float | None
    most_live: int | None
    span_ms: float | None
    events: int
    reads: int
    bytes: int
    characters: int
    stamps: Mapping[str, int]
    loop_late_max_ms: float | None
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.as_dict())

    def __len__(self) -> int:
        return len(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Names and values, JSON values only; the verdict is its text."""
        found: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Spread):
                found |= value.as_dict(field.name)
            elif field.name == "server":
                for name, spread in self.server.items():
                    found |= spread.as_dict(f"server_{name}")
            else:
                found[field.name] = dict(value) if isinstance(value, Mapping) else value
        return {**found, "verdict": str(self.verdict), "notes": list(self.notes)}

    def rows(self) -> list[tuple[str, str]]:
        """The rows of the printed table: pairs of a name and a value with its unit; what is not known is left out.

        The verdict is the line above the table, and not among them. The rates of requests are left out where all
        were due at once or within a tenth of a second; that of ends where all was over within that.
        """
        spreads = [
            ("time to first piece, from due", self.ttft_due),
            ("time to first piece, from sent", self.ttft_sent),
            ("begun late by this client", self.own_late),
            ("connecting and sending", self.leaving),
            ("gap between reads", self.gap),
            ("duration", self.duration),
            *((f"server: {name}, as it reports", spread) for name, spread in self.server.items()),
        ]
        return [
            ("streams", f"{self.streams:,}"),
            ("outcomes", ", ".join(f"{count:,} {outcome}" for outcome, count in self.outcomes.items()) or "–"),
            *_aligned([(name, each) for name, each in spreads if each.count]),
            *([] if self._at_once else _told("offered", self.offered_per_s, "requests/s")),
            *([] if self._at_once else _told("sent", self.achieved_per_s, "requests/s")),
            *([] if self._brief else _told("completed", self.ended_per_s, "streams/s")),
            *([] if self.most_live is None else [("most live at once", f"{self.most_live:,}")]),
            *([] if self.span_ms is None else [("from the first request to the last end", _seconds(self.span_ms))]),
            ("events", f"{self.events:,}"),
            ("bytes", f"{self.bytes:,}"),
            ("stamps", ", ".join(f"{name} ({count:,})" for name, count in self.stamps.items()) or "–"),
            *_told("recorder's loop late, at worst", self.loop_late_max_ms, "ms"),
        ]

    @property
    def _at_once(self) -> bool:
        """Whether all requests were due, or without a schedule sent, at once, or so to say: then there is no rate."""
        rate = self.offered_per_s if self.own_late.count else self.achieved_per_s
        return rate is None or self.streams - 1 < BRIEF_S * rate

    @property
    def _brief(self) -> bool:
        return self.span_ms is not None and self.span_ms < BRIEF_S * 1e3

    def __str__(self) -> str:
        verdict = textwrap.fill(f"trust  {self.verdict}", WIDTH, subsequent_indent=" " * 7)
        return f"{verdict}\n{text_table(self.rows(), self.notes, widest=WIDEST_NUMBER)}"

    def _repr_html_(self) -> str:
        return html_table(self.rows(), self.notes, caption=f"trust: {self.verdict}")


def summarize_set(
    recordings: Sequence[Recorded], rows: StreamRows, verdict: Verdict, notes: Iterable[str] = ()
) -> SetSummary:
    """The `SetSummary` of these recordings, whose rows are `rows`; `notes` are those of whoever made the load."""
    outcomes = outcomes_of(recordings)
    offered, achieved = rates_per_s(rows)
    span_ns, live = _span_ns(rows), live_streams(rows)
    complete = sum(one.outcome.ok for one in recordings)
    return SetSummary(
        verdict=verdict,
        streams=len(recordings),
        complete=complete,
        left=sum(map(left_as_asked, recordings)),
        outcomes=outcomes,
        ttft_due=Spread.of(rows.ttft_due),
        ttft_sent=Spread.of(rows.ttft_sent),
        own_late=Spread.of(rows.own_late),
        leaving=Spread.of(rows.leaving),
        gap=Spread.of(rows.gaps),
        duration=Spread.of(rows.duration),
        server={name: Spread.of(column) for name, column in rows.server.items()},
        offered_per_s=offered,
        achieved_per_s=achieved,
        ended_per_s=complete / (span_ns / 1e9) if span_ns else None,
        most_live=int(live.count.max(initial=0)) if live.count.size else None,
        span_ms=None if span_ns is None else span_ns / 1e6,
        events=int(rows.events.sum()),
        reads=int(rows.reads.sum()),
        bytes=int(rows.bytes.sum()),
        characters=int(rows.characters.sum()),
        stamps=dict(Counter(str(one.stamps) for one in recordings if one.reads).most_common()),
        loop_late_max_ms=float(np.nanmax(rows.loop_late)) / 1e6 if known(rows.loop_late).size else None,
        notes=(*_notes(recordings, rows), *notes),
    )


def left_as_asked(recording: Recorded) -> bool:
    """It was to leave, and did: that is not the server's doing."""
    return bool(recording.labels.get("leaves")) and recording.outcome.name == "cancelled"


def no_text(recordings: Iterable[Recorded], *, whose: str = "", so: str = "") -> str:
    """That streams came whole, and no text was found in any event, with what to do; "" where that is not so."""
    came = [one for one in recordings if len(one.events) and one.outcome.ok]
    if not came or any(one.counted.characters.any() for one in came):
        return ""
    presets = sorted({one.preset for one in came if one.preset is not None})
    found = f"no text was found in any event{whose}"
    return f"{found} by the preset {', '.join(presets)}{so}" if presets else f"{found}{so}: name a preset ({HOW})"


def outcomes_of(recordings: Sequence[Recorded]) -> dict[str, int]:
    """How many ended in which way, the most frequent first."""
    return dict(Counter(str(one.outcome) for one in recordings).most_common())


def live_streams(rows: StreamRows) -> Curve:
    """How many streams were begun and not ended, by the time from the set's zero; those whose times are not known are
    left out.
    """
    there = ~np.isnan(rows.started) & ~np.isnan(rows.ended)
    moments = np.concatenate((rows.started[there], rows.ended[there])).astype(np.int64)
    steps = np.repeat(np.array([1, -1], dtype=np.int64), np.count_nonzero(there))
    order = np.lexsort((steps, moments))  # of one moment the ends first
    return Curve(moments[order], np.cumsum(steps[order]))


def _span_ns(rows: StreamRows) -> int | None:
    """The set's zero is when the first was due."""
    ended = known(rows.ended)
    return int(ended.max()) if ended.size else None


def _notes(recordings: Sequence[Recorded], rows: StreamRows) -> Iterator[str]:
    silent = int(np.count_nonzero(np.isnan(rows.ttft_sent)))
    if silent and silent < len(recordings):
        yield f"{many(silent, 'stream')} brought no piece: left out of the time to the first piece"
    elif silent and (why := no_text(recordings, so=", so there is no time to the first piece")):
        yield why
    unsent = int(np.count_nonzero(np.isnan(rows.sent)))
    if unsent:
        yield f"of {many(unsent, 'stream')} it is not known when the request had left: their times are from the call"
    if 0 < len(recordings) < FEW:
        yield f"with fewer than {FEW} values the p99 is the largest one"


def _aligned(spreads: Sequence[tuple[str, Spread]]) -> list[tuple[str, str]]:
    """One below the other, so that from due and from sent can be compared."""
    cells = [str(each).split(" / ") for _, each in spreads]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lined = [" / ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells]
    return [(f"{name}, p50 / p95 / p99 / max", f"{line} ms") for (name, _), line in zip(spreads, lined, strict=True)]


def _seconds(value_ms: float) -> str:
    return f"{value_ms / 1e3:,.1f} s" if value_ms >= 1_000 else f"{value_ms:,.0f} ms"


def _told(name: str, value: float | None, unit: str) -> list[tuple[str, str]]:
    return [] if value is None else [(name, f"{value:,.1f} {unit}")]

"""The verdict on a set: whether this client was good enough to say anything about the server.

    streams.verdict          # do not quote: this client began up to 310 ms late (p99): …

Judged is the instrument, as by `Recording.trust`, not the server. The rule, once for summary and figure:

    time to the first piece    its p50, p95 and p99 from when requests were due are compared with the same less our own
                               part (late to begin, and an event loop that was busy before the request had left). Where
                               one of them changes by more than a tenth, it is limited; by more than half, do not quote
    the load itself            the rate at which requests were begun, against that at which they were due: below 98 %
                               limited, below 90 % do not quote
    gaps                       stamps that are not the kernel's, where the loop was later than a tenth of the median gap
                               or time to the first piece; the upstream's own lateness; pieces that share reads
    what is not there          a schedule (a closed loop waits for its server, and hides how long), streams that a
                               damaged file lost, one clock

Less than 5 ms is what any shared machine does to a free loop, unless it is half of what is measured. What still holds
where the verdict is bad, says `stands`: read times of the kernel do not move when Python is late, so the gaps, and the
time to the first piece from when a request had left, are then those of the load that was really sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.metrics.words import about_ms, many
from streamkit.lab.recording.recorded import Recorded
from streamkit.lab.recording.trust import LEVELS, LIMITED_NS, Level
from streamkit.lab.sets.columns import Floats, StreamRows, known

__all__ = ["Verdict", "judge_set", "rates_per_s"]

LIMITED_SHARE: Final = 0.1
WORST_SHARE: Final = 0.5
LIMITED_RATE: Final = 0.98
WORST_RATE: Final = 0.9
COALESCED_SHARE: Final = 0.2
COMPARED: Final = (50, 95, 99)
BENT: Final = ("own", "rate")
"""Rules that say the load was not the one asked for."""


@dataclass(frozen=True)
class Verdict:
    """Whether a set's numbers may be quoted.

    if streams.verdict.level == "do not quote": print(streams.verdict.reasons)

    level     "good", "limited" or "do not quote"
    reasons   the reasons for it, the worst first
    stands    which numbers hold all the same

    `str()` is the text that is shown.
    """

    level: Level
    reasons: tuple[str, ...] = ()
    stands: str = ""

    def __str__(self) -> str:
        told = f"{self.level}: {'; '.join(self.reasons)}" if self.reasons else self.level
        return f"{told}. {self.stands}" if self.stands else told

    @property
    def brief(self) -> str:
        """The level with its worst reason, and how many more there are."""
        more = f"; and {len(self.reasons) - 1} more" if len(self.reasons) > 1 else ""
        return f"{self.level}: {self.reasons[0]}{more}" if self.reasons else self.level


_Finding: TypeAlias = tuple[Level, str]
_Rule: TypeAlias = Callable[[Sequence[Recorded], StreamRows], _Finding | None]


def judge_set(recordings: Sequence[Recorded], rows: StreamRows, damage: Sequence[str] = ()) -> Verdict:
    """The verdict by the rules of this module."""
    found = {name: finding for name, rule in _RULES.items() if (finding := rule(recordings, rows)) is not None}
    if damage:
        found["lost"] = ("do not quote", f"parts of the set were lost with a damaged file: {damage[0]}")
    ordered = sorted(found.values(), key=lambda finding: LEVELS.index(finding[0]))
    if not ordered:
        return Verdict("good")
    return Verdict(ordered[0][0], tuple(reason for _, reason in ordered), _stands(recordings, found))


def rates_per_s(rows: StreamRows) -> tuple[float | None, float | None]:
    """At which rate requests were due, and at which they left: those between the first and the last of each, by the
    time that took. None where no time passed, or where that is not known.
    """
    return _rate(rows.due), _rate(rows.sent)


def _rate(at: Floats) -> float | None:
    moments = known(at)
    span_ns = int(np.ptp(moments)) if moments.size else 0
    return (moments.size - 1) / (span_ns / 1e9) if span_ns else None


def _stands(recordings: Sequence[Recorded], found: dict[str, _Finding]) -> str:
    bent = [found[name][0] for name in BENT if name in found]
    if not bent:
        return ""
    if "loop" in found or any(one.stamps != "kernel" for one in recordings if one.reads):
        return "No other number is free of it: not all read times are the kernel's"
    return (
        "Read times are the kernel's: gaps, and the time to the first piece from when a request was sent, hold, but "
        "for the load that was sent, not for the one that was due"
    )


# --- The rules ------------------------------------------------------------------------------------------------------


def _nothing_came(recordings: Sequence[Recorded], rows: StreamRows) -> _Finding | None:
    del recordings
    if not len(rows):
        return "do not quote", "there is no stream"
    return None if rows.events.any() else ("limited", "no event came: nothing but the ends was measured")


def _own_part(recordings: Sequence[Recorded], rows: StreamRows) -> _Finding | None:
    """Percentile by percentile, for what is quoted are percentiles."""
    del recordings
    late = np.fmax(np.nan_to_num(rows.own_late), 0)
    whole = np.where(np.isnan(rows.ttft_due), rows.ttft_sent + rows.leaving, rows.ttft_due)
    seen = ~np.isnan(whole)
    with_it, without = (metrics.percentiles_ns(each[seen], COMPARED) for each in (whole, whole - late - rows.own_busy))
    told = [
        (level, q, more, more - less)
        for q, more, less in zip(COMPARED, with_it, without, strict=True)
        if more is not None and less is not None and (level := _level(more - less, less)) is not None
    ]
    if not told:
        return None
    level, q, whole_ns, ours_ns = min(told, key=lambda each: LEVELS.index(each[0]))
    late_ns, busy_ns = (metrics.percentile_ns(each, 99) or 0 for each in (late, rows.own_busy))
    how = (
        f"this client began up to {about_ms(late_ns)} late (p99)"
        if late_ns >= busy_ns
        else f"this client was busy up to {about_ms(busy_ns)} (p99) before requests had left"
    )
    return (
        level,
        f"{how}: of {about_ms(whole_ns)} to the first piece (p{q}) {about_ms(ours_ns)} are ours",
    )


def _level(error_ns: float, measured_ns: float) -> Level | None:
    """What an error leaves of what was to be measured."""
    if error_ns > max(WORST_SHARE * measured_ns, min(LIMITED_NS, measured_ns)):
        return "do not quote"
    return "limited" if error_ns > max(LIMITED_SHARE * measured_ns, min(LIMITED_NS, measured_ns / 2)) else None


def _rate_not_kept(recordings: Sequence[Recorded], rows: StreamRows) -> _Finding | None:
    """What is ours of leaving late; connecting may take its time, which is not."""
    del recordings
    there = ~np.isnan(rows.due)
    begun = (rows.started + rows.own_busy)[there]
    due, left = _rate(rows.due[there]), _rate(begun)
    if due is None or left is None or left >= LIMITED_RATE * due:
        return None
    if int(np.ptp(begun) - np.ptp(rows.due[there])) <= LIMITED_NS:
        return None
    text = f"{due:,.1f} requests/s were due, this client began {left:,.1f}"
    return "do not quote" if left < WORST_RATE * due else "limited", text


def _left_slowly(recordings: Sequence[Recorded], rows: StreamRows) -> _Finding | None:
    """Beyond the quickest, and beyond what the loop is known to have been busy: theirs and ours are not told apart."""
    del recordings
    leaving = known(np.where(np.isnan(rows.ttft_sent), np.nan, rows.leaving - rows.own_busy))
    quick, slow = metrics.percentiles_ns(leaving, (5, 99))
    typical = metrics.percentile_ns(known(rows.ttft_sent), 50)
    if quick is None or slow is None or typical is None:
        return None
    if _level(slow - max(quick, 0), typical) is None:
        return None
    return "limited", f"connecting and sending took up to {about_ms(slow)} (p99): how much of that is ours is not known"


def _loop_was_late(recordings: Sequence[Recorded], rows: StreamRows) -> _Finding | None:
    """Where the kernel did not stamp, what the loop was late by is in every time."""
    others = np.array([one.stamps != "kernel" and len(one.reads) > 0 for one in recordings], dtype=np.bool_)
    late_ns = metrics.percentile_ns(known(rows.loop_late[others]), 95)
    if late_ns is None:
        return None
    measured = [metrics.percentile_ns(rows.gaps, 50), metrics.percentile_ns(known(rows.ttft_sent), 50)]
    least = min((each for each in measured if each is not None), default=None)
    level = None if least is None else _level(late_ns, least)
    text = f"the recorder's event loop was up to {about_ms(late_ns)} late (p95), and the kernel stamped no reads"
    return None if level is None else (level, text)


def _stamped_by_a_library(recordings: Sequence[Recorded], rows: StreamRows) -> _Finding | None:
    del rows
    count = sum(one.stamps == "library" for one in recordings)
    return ("limited", f"{many(count, 'stream')} stamped by a client library, not at reads") if count else None


def _upstream_was_late(recordings: Sequence[Recorded], rows: StreamRows) -> _Finding | None:
    """A scripted upstream says so itself."""
    told = [late for one in recordings if (late := one.counts.get("upstream.own_late_p95_ns")) is not None]
    late_ns, gap_ns = metrics.percentile_ns(told, 95), metrics.percentile_ns(rows.gaps, 50)
    level = None if late_ns is None or gap_ns is None else _level(late_ns, gap_ns)
    return None if level is None else (level, f"the scripted upstream sent {about_ms(late_ns or 0)} late (p95)")


def _coalesced(recordings: Sequence[Recorded], rows: StreamRows) -> _Finding | None:
    del recordings
    share = rows.shared.sum() / max(1, rows.pieces.sum())
    text = f"{share:.0%} of the pieces share a read with an earlier one: their gaps are not known"
    return ("limited", text) if share > COALESCED_SHARE else None


def _without_schedule(recordings: Sequence[Recorded], rows: StreamRows) -> _Finding | None:
    """Each request of a closed loop waits for the answer before it, and what it waited is in no number."""
    del rows
    without = sum(one.due_ns is None for one in recordings)
    if not without:
        return None
    who = "no request" if without == len(recordings) else f"{len(recordings) - without:,} of {len(recordings):,}"
    return "limited", f"{who} had a due time: requests that a slow server held up are missing from the numbers"


def _damaged(recordings: Sequence[Recorded], rows: StreamRows) -> _Finding | None:
    del rows
    count = sum(bool(one.damage) for one in recordings)
    return ("do not quote", f"parts of {many(count, 'stream')} were lost with damaged files") if count else None


def _several_clocks(recordings: Sequence[Recorded], rows: StreamRows) -> _Finding | None:
    del rows
    clocks = len({one.meta.get("origin") for one in recordings})
    return ("limited", f"made by {clocks} clocks: there is no rate, and no axis of time") if clocks > 1 else None


_RULES: Final[dict[str, _Rule]] = {
    "nothing": _nothing_came,
    "damaged": _damaged,
    "own": _own_part,
    "rate": _rate_not_kept,
    "loop": _loop_was_late,
    "upstream": _upstream_was_late,
    "leaving": _left_slowly,
    "library": _stamped_by_a_library,
    "coalesced": _coalesced,
    "schedule": _without_schedule,
    "clocks": _several_clocks,
}

"""Trust: how far the numbers of a recording can be relied on, judged by what it says about how it was made.

    recording.trust                    # good
                                       # limited: 41 % of the pieces share a read with another one
                                       # do not quote: the upstream sent 81 ms late (p95)
    stated_error_ns(recording)         # of each event: how wrong its time may be

It judges the instrument, not the stream: a server that stalls, or a slow reader that holds the upstream back, is what a
recording is there to show. So is a network that cuts it: gaps over a cut, and those of replayed events, are not looked
at. Since what is measured is gaps between pieces, errors are compared with the median gap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.metrics.words import about_ms
from streamkit.lab.recording.calibration import Calibration
from streamkit.lab.recording.join import DROPPED, UNDER_WAY, UNFINISHED
from streamkit.lab.recording.tap_curves import has_borders

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.metrics.columns import Ints
    from streamkit.lab.recording.recorded import Recorded

__all__ = [
    "LEVELS",
    "LIBRARY_ERROR_NS",
    "LIMITED_NS",
    "LOOP_PROBE_NS",
    "SOCKET_ERROR_NS",
    "TIMER_ROUNDING_NS",
    "Level",
    "Trust",
    "first_piece_error_ns",
    "first_piece_is_shared",
    "judge",
    "reach_ns",
    "read_error_ns",
    "stated_error_ns",
]

Level: TypeAlias = Literal["do not quote", "limited", "good"]
LEVELS: Final[tuple[Level, ...]] = ("do not quote", "limited", "good")
"""From the worst to the best."""

LIMITED_SHARE: Final = 0.1  # of the median gap: a tenth is seen in a percentile …
LIMITED_NS: Final = (
    5_000_000  # … but less than this is what any shared machine does (or half a gap, where that is less)
)
WORST_SHARE: Final = 1.0  # an error of a whole gap: nothing is left of what was to be measured …
NEGLIGIBLE_NS: Final = 1_000
"""An error that no gap between events is measured against: closer are only the parts of one packet, read one by one."""
WORST_NS: Final = 50_000_000  # … and this much a reader sees, however long the gaps are
COALESCED_SHARE: Final = 0.2  # of the pieces in shared reads: every fifth gap is then an artefact or not there at all

SOCKET_ERROR_NS: Final = 2_000_000
"""Of a read stamped in user space, while nothing is calibrated. Pessimistic: on a machine of two cores that is not
overloaded, asyncio's client libraries are off by 0.6 to 1.2 ms at the 99th percentile."""
LIBRARY_ERROR_NS: Final = 20_000_000
"""Of what somebody else's client gave: pools, decoders and queues of unknown length lie before it; client
libraries have been seen 9 ms late in the median at 50 streams of 100 events/s."""
COMPRESSING: Final = frozenset(("nginx", "openresty", "tengine", "apache", "caddy", "litespeed", "microsoft-iis"))
"""Servers, by the first word of their Server field, that can compress what passes through them."""
LOOP_PROBE_NS: Final = 50_000_000
"""How often a recorder looks how late its loop is: what keeps it busy for shorter than this may not be seen."""
TIMER_ROUNDING_NS: Final = 1_000_000
"""epoll_wait(2) counts milliseconds, so a timer of asyncio rings up to one later than a read would have."""
FEW_READS: Final = 20
"""Fewer reads than this do not show how late reads are here."""
LINE_ENDS: Final = (b"\n", b"\r")
"""By which an event ends, in either grammar."""


@dataclass(frozen=True, repr=False)
class Trust:
    """How far a recording's numbers can be trusted: a level, and the reasons for it.

        worst = min(recording.trust for recording in recordings)

    level     "good", "limited" (read the reasons first) or "do not quote"
    reasons   what limits them, the worst first; empty if nothing does

    `str()` is the text that figures show. Verdicts are ordered by level, so `min()` finds the worst. They have no truth
    value: `bool()` raises TypeError, compare `.level`.
    """

    level: Level
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.level}: {'; '.join(self.reasons)}" if self.reasons else self.level

    def __repr__(self) -> str:
        return f"<Trust {self}>"

    def __lt__(self, other: Trust) -> bool:
        return LEVELS.index(self.level) < LEVELS.index(other.level)

    def __le__(self, other: Trust) -> bool:
        return LEVELS.index(self.level) <= LEVELS.index(other.level)

    def __bool__(self) -> bool:
        raise TypeError("a verdict is neither true nor false: compare its .level, one of 'good', 'limited', …")


def judge(recording: Recorded) -> Trust:
    """The verdict on a recording; see the constants of this module for what leads to which level, and why."""
    gap_ns = _median_gap_ns(recording)
    found = [finding for rule in _RULES if (finding := rule(recording, gap_ns)) is not None]
    found.sort(key=lambda finding: LEVELS.index(finding[0]))
    return Trust(found[0][0], tuple(reason for _, reason in found)) if found else Trust("good")


def stated_error_ns(recording: Recorded) -> Ints:
    """Of each event, how wrong its time `at_ns` may be (ns): it arrived up to this much earlier.

    That of its read (`read_error_ns`), which has one time, that of its end. An event with which its read ends has that
    time. Another one may have come earlier, but not before the read before it (the head; where that came with this very
    read, the request); and had the loop been free, its first byte would have begun a read at once. So an **estimate**
    is how late the loop may have been at that read (`reach_ns`), where that is less. Without event borders a read may
    hold any number of pieces, and has that error in any case.
    """
    reads, read = recording.reads, np.asarray(recording.events.read, dtype=np.int64)
    if not read.size:
        return np.zeros(0, dtype=np.int64)
    at_ns, own_ns = np.asarray(reads.at_ns, dtype=np.int64), read_error_ns(recording)
    earlier_ns = np.diff(at_ns, prepend=_before_body_ns(recording, int(at_ns[0])))
    reach = reach_ns(recording)
    if reach is not None:
        earlier_ns = np.minimum(earlier_ns, reach)
    stamped = np.asarray(reads.error_ns, dtype=np.int64) >= 0  # the others have the time of their return
    shared_ns = np.where(stamped, own_ns + earlier_ns, np.maximum(own_ns, earlier_ns))
    error_ns: Ints = np.where(_ends_its_read(recording), own_ns[read], shared_ns[read])
    return error_ns


def first_piece_error_ns(recording: Recorded) -> int | None:
    """How much too long the time to the first piece may be (ns); None where there is none.

    What the piece may have come earlier (`stated_error_ns`), and what the request may have left later: the call that
    handed its last byte to the kernel took so long (`meta["sent_error_ns"]`, else what any moment of user space has).
    """
    counted = recording.counted
    if not counted.characters.any():
        return None
    left_ns = 0
    if recording.sent_ns is not None:
        told = recording.meta.get("sent_error_ns")
        left_ns = _user_space_error_ns(recording) if told is None else int(told)
    wait_ns = int(counted.at_ns[0]) - recording.origin_ns
    return min(int(stated_error_ns(recording)[counted.which][0]) + left_ns, max(wait_ns, 0))


def first_piece_is_shared(recording: Recorded) -> bool:
    """The read that brought the first piece brought more behind it, so that its time is known as an upper bound."""
    if not recording.counted.characters.any():
        return False
    first = int(recording.counted.which.argmax())
    if has_borders(recording):
        return not _ends_its_read(recording)[first]
    # Any read of text may hold several pieces; told is where that counts.
    return bool(stated_error_ns(recording)[first] > LIMITED_NS)


def reach_ns(recording: Recorded) -> Ints | None:
    """Of each read, how long before it returned its first byte may have come (ns), an estimate; None: nothing is known.

    A free loop reads at once. How late it is then, is seen by its timers (`meta["loop_calm_ns"]`, of which a kernel's
    rounding is no lateness) and where the kernel has stamped what was read (`Reads.late_ns`); few reads tell less than
    a calibration. In `meta["loop_busy_ns"]` it was busy, at the longest since the beginning of that time; and what a
    read that was itself late may have waited for is not known. A reader that is slow on purpose, and somebody else's
    client, are late by unknown times.
    """
    lag_ns = recording.meta.get("loop_lag_ns")
    if lag_ns is None or recording.stamps == "library" or "reader" in recording.meta:
        return None
    late_ns = np.asarray(recording.reads.late_ns, dtype=np.int64)
    returned_ns = np.asarray(recording.reads.at_ns, dtype=np.int64) + late_ns
    is_late = late_ns > LIMITED_NS
    calm_ns = max(_calm_ns(recording, lag_ns), int(np.max(late_ns[~is_late], initial=0)))
    if recording.stamps != "kernel" or late_ns.size < FEW_READS:
        calm_ns = max(calm_ns, _user_space_error_ns(recording))
    found: Ints = np.where(is_late, np.iinfo(np.int64).max >> 1, np.int64(calm_ns))
    for since_ns, until_ns in recording.meta.get("loop_busy_ns", ()):
        first, end = np.searchsorted(returned_ns, (since_ns, until_ns + LIMITED_NS))
        found[first:end] = np.maximum(found[first:end], returned_ns[first:end] - since_ns + calm_ns)
    return found


def _calm_ns(recording: Recorded, lag_ns: int) -> int:
    """How late the loop was while it was not busy; where that is not told apart, as in older files, how late at all."""
    told = recording.meta.get("loop_calm_ns")
    return max(0, (_at_most_late_ns(lag_ns) if told is None else int(told)) - TIMER_ROUNDING_NS)


def _at_most_late_ns(seen_ns: int) -> int:
    """How late a loop may have been that was seen so late, beyond what any shared machine does to a free one: it was
    busy for up to `LOOP_PROBE_NS` before its timer could see it.
    """
    return seen_ns + LOOP_PROBE_NS if seen_ns > LIMITED_NS else seen_ns


def _before_body_ns(recording: Recorded, first_ns: int) -> int:
    """What had come, or left, before the body's first read: the head, unless that read brought it too."""
    known = (recording.head_ns, recording.sent_ns, 0)
    return min(first_ns, next((at_ns for at_ns in known if at_ns is not None and at_ns < first_ns), first_ns))


def _ends_its_read(recording: Recorded) -> npt.NDArray[np.bool_]:
    """Of each event, whether its read brought nothing behind it: no other event, and no beginning of one."""
    events, read = recording.events, np.asarray(recording.events.read, dtype=np.int64)
    if not has_borders(recording):
        return np.zeros(read.size, dtype=np.bool_)
    ends: npt.NDArray[np.bool_] = np.append(read[1:] != read[:-1], np.ones(min(read.size, 1), dtype=np.bool_))
    # Made by hand, or encoded, the bytes of a read are not those of its events.
    if (any(events.data) or not events.kept) and "content-encoding" not in recording.headers:
        kept = recording.reads.data
        whole = (data is None or data.endswith(LINE_ENDS) for data in kept)
        ends &= np.fromiter(whole, np.bool_, len(kept))[read]
    return ends


def read_error_ns(recording: Recorded) -> Ints:
    """Of each read, how wrong its time may be (ns): what its stamp says, where it does (`Reads.error_ns`).

    Else the stamp was taken in user space: the 99th percentile of the calibration it was made under, or
    `SOCKET_ERROR_NS`, `LIBRARY_ERROR_NS` without one; and no less than the recorder's loop may have been late.
    """
    stated = np.asarray(recording.reads.error_ns, dtype=np.int64)
    known = reach_ns(recording)
    late_ns = _at_most_late_ns(recording.meta.get("loop_lag_ns") or 0) if known is None else known
    return np.where(stated >= 0, stated, np.maximum(late_ns, _user_space_error_ns(recording)))


# --- The rules: each gives a level and a reason, or nothing ---------------------------------------------------------

_Finding: TypeAlias = tuple[Level, str]


def _damaged(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    del gap_ns
    return ("do not quote", "parts of it were lost with a damaged file") if recording.damage else None


def _nothing_came(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    """A refused connection, say: when it ended is known, and no other number is."""
    del gap_ns
    return None if len(recording.events) else ("limited", "no event came: nothing but the end was measured")


def _sent_late(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    """By its own count, in which no reader has a part; where it does not tell, as in older files, nothing is known.

    Weighed against the gaps that the upstream meant to keep: where it does not, those that came are no measure.
    """
    late_ns = recording.counts.get("upstream.own_late_p95_ns")
    if late_ns is None:
        return None
    return _weighed(
        late_ns, _scheduled_gap_ns(recording) or gap_ns, f"the upstream sent {about_ms(late_ns)} late (p95)"
    )


def _timers_are_coarse(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    """The schedule was finer than this machine's timers, whether or not this one recording was lucky."""
    del gap_ns
    calibration, scheduled_ns = _calibration(recording), _scheduled_gap_ns(recording)
    if calibration is None or scheduled_ns is None:
        return None
    late_ns = calibration.timer_p99_ns
    text = (
        f"timers here are up to {about_ms(late_ns)} late (p99), and the upstream's gaps were meant to be "
        f"{about_ms(scheduled_ns)}"
    )
    return ("limited", text) if late_ns > WORST_SHARE * scheduled_ns else None


def _stamped_by_a_library(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    del gap_ns
    return ("limited", "stamped by a client library, not when it was read") if recording.stamps == "library" else None


def _stamps_are_wrong(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    """The stamps' own error. A single delay of the loop is the business of `_loop_was_late`."""
    stated = np.asarray(recording.reads.error_ns, dtype=np.int64)
    error_ns = metrics.percentile_ns(np.where(stated >= 0, stated, _user_space_error_ns(recording)), 99) or 0
    if error_ns <= NEGLIGIBLE_NS:
        return None
    found = _weighed(error_ns, gap_ns, f"read times may be {about_ms(error_ns)} wrong (p99)")
    if found is None or _calibration(recording) is not None or (stated >= 0).all():
        return found
    return "limited", f"{found[1]}, an assumption: calibrate() measures it"


def _reads_without_kernel_time(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    del gap_ns
    if recording.stamps != "kernel":
        return None
    without = int((np.asarray(recording.reads.error_ns, dtype=np.int64) < 0).sum())
    text = f"{without} of {len(recording.reads)} reads have no kernel time, as after a step of the wall clock"
    return ("limited", text) if without else None


def _loop_was_late(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    """The largest delay, so it tells of one moment only: it can move one gap by so much, or make up a stall.

    Without kernel times only; with them, see `_reads_taken_late`.
    """
    late_ns = recording.meta.get("loop_lag_ns") or 0
    if recording.stamps == "kernel" or late_ns <= LIMITED_NS:
        return None
    stall_ns = metrics.stall_threshold_ns([] if gap_ns is None else [gap_ns])
    text = f"the recorder's event loop was up to {about_ms(late_ns)} late"
    if late_ns > stall_ns:
        return "do not quote", f"{text}: it may have made the stalls that it shows"
    return ("limited", text) if late_ns > min(WORST_NS, gap_ns or WORST_NS) else None


def _reads_taken_late(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    """The kernel's times stand however late Python is. The times of handing over are true too, but of a slow reader; a
    paced one reads late because it is to.
    """
    if recording.stamps != "kernel" or "reader" in recording.meta:
        return None
    late_ns = metrics.percentile_ns(recording.reads.late_ns, 95) or 0
    text = f"Python was {about_ms(late_ns)} late (p95): client.event includes that, read times do not"
    return ("limited", text) if _weighed(late_ns, gap_ns, text) is not None else None


def _coalesced(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    del gap_ns
    live = ~recording.replayed[recording.counted.which]  # those that were replayed lay ready, and came together
    share = metrics.coalesced_share(recording.counted.read[live]) or 0.0
    text = f"{share:.0%} of the pieces share a read with an earlier one: their gaps are not known"
    return ("limited", text) if share > COALESCED_SHARE else None


def _first_piece_may_be_earlier(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    """Weighed against the wait for it; the gaps behind it are as they are."""
    del gap_ns
    error_ns = first_piece_error_ns(recording)
    if error_ns is None or not first_piece_is_shared(recording):
        return None
    wait_ns = int(recording.counted.at_ns[0]) - recording.origin_ns
    text = f"the first piece may have come up to {about_ms(error_ns)} earlier: it shared its read"
    return ("limited", text) if error_ns > max(LIMITED_NS, LIMITED_SHARE * wait_ns) else None


def _taps_are_incomplete(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    """A stream that was cut has taps without an end by nature."""
    del gap_ns
    meta = recording.meta
    if meta.get(DROPPED):
        return "limited", f"{meta[DROPPED]} steps of the taps were dropped"
    if meta.get(UNFINISHED) and recording.outcome.ok and UNDER_WAY not in meta:
        return "limited", f"read before their end: {', '.join(meta[UNFINISHED])}"
    return None


def _asked_for_an_unencoded_body(recording: Recorded, gap_ns: int | None) -> _Finding | None:
    """A server that compresses where it is asked to would have sent a browser something else, perhaps in lumps.

    Known where it says so (Vary: RFC 9110, section 12.5.5); likely where it is of those that compress as they are set
    up to and need not say it (nginx does not, unless told to).
    """
    del gap_ns
    headers = recording.headers
    if recording.meta.get("accept_encoding") != "identity" or "content-encoding" in headers:
        return None
    varies = {word.strip() for word in headers.get("vary", "").lower().split(",")}
    server = headers.get("server", "").lower().replace("/", " ").split()
    if varies & {"accept-encoding", "*"}:
        who = ""
    elif server and server[0] in COMPRESSING:
        who = f", and {server[0]} may compress for it"
    else:
        return None
    return "limited", f"asked for an unencoded body; a browser would ask for gzip{who}"


_RULES: Final[tuple[Callable[[Recorded, int | None], _Finding | None], ...]] = (
    _damaged,
    _nothing_came,
    _sent_late,
    _timers_are_coarse,
    _stamped_by_a_library,
    _stamps_are_wrong,
    _reads_without_kernel_time,
    _loop_was_late,
    _reads_taken_late,
    _coalesced,
    _first_piece_may_be_earlier,
    _taps_are_incomplete,
    _asked_for_an_unencoded_body,
)


def _weighed(error_ns: int, gap_ns: int | None, text: str) -> _Finding | None:
    """An error against the median gap (None: there is none, and only the absolute bounds count)."""
    if error_ns > WORST_NS or (gap_ns is not None and error_ns > WORST_SHARE * gap_ns):
        return "do not quote", text
    bound_ns = LIMITED_NS if gap_ns is None else max(LIMITED_SHARE * gap_ns, min(LIMITED_NS, gap_ns / 2))
    return ("limited", text) if error_ns > bound_ns else None


# --- What the rules look at -----------------------------------------------------------------------------------------


def _median_gap_ns(recording: Recorded) -> int | None:
    counted = recording.counted
    return metrics.percentile_ns(metrics.gaps_ns(counted.at_ns, counted.read, follows=counted.follows), 50)


def _scheduled_gap_ns(recording: Recorded) -> int | None:
    """The median gap of the upstream's schedule; None where it is not known, or holds one moment only."""
    due = recording.taps.get("upstream.due")
    if due is None:
        return None
    gaps_ns = np.diff(np.asarray(due.at_ns, dtype=np.int64))
    return metrics.percentile_ns(gaps_ns[gaps_ns > 0], 50)


def _calibration(recording: Recorded) -> Calibration | None:
    told: Any = recording.meta.get("calibration")
    try:
        return None if told is None else Calibration.from_dict(told)
    except ValueError:  # out of a file that was changed: as good as none
        return None


def _user_space_error_ns(recording: Recorded) -> int:
    calibration = _calibration(recording)
    measured_ns = None if calibration is None else calibration.lag_p99_ns
    if recording.stamps == "library":
        return max(LIBRARY_ERROR_NS, measured_ns or 0)
    return SOCKET_ERROR_NS if measured_ns is None else measured_ns

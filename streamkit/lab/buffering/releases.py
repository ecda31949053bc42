"""In which portions an answer was let go, and whether something held its bytes back: facts of one recording.

A **release** is what came at once: reads that follow each other by no more than `TOGETHER_NS`. How releases lie says
how they were made, but not by whom: a source that pauses makes bursts too. Two things tell a buffer from a source: a
buffer counts bytes, so it lets go *inside* of events, always so many bytes apart; and what left a server whose taps
were joined, and came here much later, was held on the way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.recording.tap_curves import has_borders, tap_curves

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.recording.recording import Recording

__all__ = ["Lateness", "Pattern", "Release", "Releasing", "lateness", "releases", "releasing"]

TOGETHER_NS: Final = 2_000_000
"""A buffer that lets go of 16 KiB is seen as a few reads, some tenths of a millisecond apart."""

Pattern: TypeAlias = Literal["nothing", "as it came", "portions", "period", "head start", "lump", "bursts"]
"""`portions`: always so many bytes, also inside of events; `period`: always after so long, at the end of an event;
`head start`: much at first, then as it came; `lump`: all at once; `bursts`: several events at once, in no such order.
"""

LUMP: Final = 0.9  # of the bytes in one release
UNIT_BYTES: Final = 1024  # buffers are counted in these
FEWEST_BYTES: Final = 4096  # a portion that is seen only once, and a head start
FASTEST_BYTES_PER_S: Final = 400_000  # above that TLS records and windows of 16 KiB look like portions
EVEN: Final = 0.25  # by how much the times between the releases of one period may differ
EVEN_SHARE: Final = 0.8
SEVERAL: Final = 3  # events of a release, at the median: fewer are those that came together by chance
FEWEST_RELEASES: Final = 4
LATE_NS: Final = 10_000_000
LATE_GAPS: Final = 2.0  # an event is late when it waits for longer than this many gaps of its source …
LATE_SHARE: Final = 0.25  # … and it is held back when so many are, or the first ones
LATE_FIRST: Final = 5
BUSY_NS: Final = 50_000_000  # a shared machine does that to events that nobody holds
FAR_NS: Final = 100_000_000  # one clock means one machine: nothing takes that long there but a link that is made to


@dataclass(frozen=True, slots=True)
class Release:
    """What came at once. `at_ns` counts from when the request was sent; `bytes` of body, as the wire brought them, and
    `events` had come by its end. `inside`: it ends inside of an event; None where that is not known.
    """

    at_ns: int
    bytes: int
    events: int
    inside: bool | None


@dataclass(frozen=True, slots=True)
class Releasing:
    """How the releases of one answer lie: `amount` is of the pattern, in bytes (portions, head start, lump) or in ns
    (period), 0 for others; `inside` is how many of the releases before the last end inside of an event, `apart_ns` the
    median time between two. `borders`: it is known how many events each one brought.
    """

    pattern: Pattern
    amount: int
    count: int
    inside: int
    apart_ns: int
    first_ns: int
    last_ns: int
    bytes: int
    events: int
    borders: bool


@dataclass(frozen=True, slots=True)
class Lateness:
    """From a tap of the server to the client, beyond the fastest event, which took `least_ns`: the median, how large a
    share was late, and how many events in a row from the first one on.
    """

    tap: str
    least_ns: int
    median_ns: int
    share: float
    first: int

    def held(self, pattern: Pattern) -> bool | None:
        """Whether that is more than a network does, or a machine that is busy; None where it may be either: where each
        event comes late, and one by one, or only the first ones do, and not at once.
        """
        if pattern == "as it came":
            return False if self.least_ns < FAR_NS and self.median_ns < BUSY_NS else None
        if self.share >= LATE_SHARE or (self.first >= LATE_FIRST and pattern == "head start"):
            return True
        return False if self.least_ns < FAR_NS and self.first < LATE_FIRST else None


# --- Releases -------------------------------------------------------------------------------------------------------


def releases(recording: Recording) -> tuple[Release, ...]:
    """The releases of a recording, in the order of time.

    >>> three = sk.Recording.from_pieces([(0, "a"), (50_000_000, "b"), (50_500_000, "c")], sent_ns=0)
    >>> [(release.at_ns, release.events) for release in releases(three)]
    [(0, 1), (50000000, 3)]
    """
    at_ns = np.asarray(recording.reads.at_ns, dtype=np.int64) - recording.origin_ns
    if not at_ns.size:
        return ()
    ends = np.flatnonzero(np.append(np.diff(at_ns) > TOGETHER_NS, True))
    begins = np.append(0, ends[:-1] + 1)
    sizes = np.cumsum(np.asarray(recording.reads.size, dtype=np.int64))
    events = _events_by(recording, ends)
    borders = _borders(recording)
    return tuple(
        Release(int(at_ns[begin]), int(sizes[end]), int(count), _is_inside(recording, int(end), borders))
        for begin, end, count in zip(begins, ends, events, strict=True)
    )


def _events_by(recording: Recording, reads: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many events had come with each of these reads. Of a text without borders that is known by the bytes that each
    took at a tap of the server; without one a read counts as one event, which says nothing.
    """
    if has_borders(recording) or not recording.taps:
        return np.searchsorted(np.asarray(recording.events.read), reads, side="right")
    came = tap_curves(recording)["client.read"]
    return metrics.count_at(came, np.asarray(recording.reads.at_ns, dtype=np.int64)[reads])


def _borders(recording: Recording) -> tuple[bytes, ...]:
    """How events end; none where that is not known: without borders, or under a coding."""
    kind = recording.headers.get("content-type", "")
    if not has_borders(recording) or recording.headers.get("content-encoding", "identity") != "identity":
        return ()
    return (b"\n\n", b"\r\r", b"\r\n\r\n") if "event-stream" in kind else (b"\n",)


def _is_inside(recording: Recording, read: int, borders: tuple[bytes, ...]) -> bool | None:
    data = recording.reads.data[read]
    if data is None or not borders:
        return None
    before = recording.reads.data[read - 1] if read and len(data) < len(borders[-1]) else b""
    return not ((before or b"") + data).endswith(borders)


# --- How they lie ---------------------------------------------------------------------------------------------------


def releasing(recording: Recording) -> Releasing:
    """How the releases of a recording lie; the rules in their order, the first one that fits."""
    found = releases(recording)
    if not found:
        return Releasing("nothing", 0, 0, 0, 0, 0, 0, 0, 0, False)
    borders = has_borders(recording) or bool(recording.taps)
    pattern, amount = _pattern(found, borders=borders)
    inside = sum(release.inside is True for release in found[:-1])
    apart_ns = int(median([after.at_ns - before.at_ns for before, after in pairwise(found)] or [0]))
    first, last = found[0], found[-1]
    when = inside, apart_ns, first.at_ns, last.at_ns
    return Releasing(pattern, amount, len(found), *when, last.bytes, last.events, borders)


def _pattern(found: Sequence[Release], *, borders: bool) -> tuple[Pattern, int]:
    sizes = _steps([release.bytes for release in found])
    if max(sizes) >= LUMP * found[-1].bytes:
        return "lump", max(sizes)
    if portion := _portion(found, sizes):
        return "portions", portion
    events = _steps([release.events for release in found])
    several = median(events[:-1]) >= SEVERAL
    if len(found) > FEWEST_RELEASES and borders:
        if sizes[0] >= FEWEST_BYTES and events[0] > SEVERAL * median(events[1:]) and median(events[1:-1]) < SEVERAL:
            return "head start", sizes[0]
        if several and (period := _period([release.at_ns for release in found])):
            return "period", period
    if borders and len(found) >= 2 * FEWEST_RELEASES and not several:
        return "as it came", 0
    return "bursts", 0


def _portion(found: Sequence[Release], sizes: Sequence[int]) -> int:
    """Of so many bytes each release is, or a multiple of it, but the first (a head lies before it) and the last."""
    inner = sizes[1:-1]
    unit = math.gcd(*inner)
    if not inner or unit % UNIT_BYTES or (len(inner) == 1 and unit % FEWEST_BYTES):
        return 0
    took_s = max(found[-1].at_ns - found[0].at_ns, 1) / 1e9
    if found[-1].bytes / took_s > FASTEST_BYTES_PER_S:
        return 0
    told = [release.inside for release in found[:-1] if release.inside is not None]
    if told:
        return unit if sum(told) * 2 > len(told) else 0
    return unit if len(inner) >= FEWEST_RELEASES else 0


def _period(at_ns: Sequence[int]) -> int:
    apart = _steps(at_ns)[1:-1]  # the end comes when it comes
    if len(apart) < SEVERAL:
        return 0
    middle = median(apart)
    even = sum(abs(one - middle) <= EVEN * middle for one in apart)
    return int(middle) if even >= EVEN_SHARE * len(apart) else 0


def _steps(cumulative: Sequence[int]) -> list[int]:
    return [after - before for before, after in pairwise([0, *cumulative])]


# --- What a server's taps say ---------------------------------------------------------------------------------------


def lateness(recording: Recording) -> Lateness | None:
    """How much later than it left the server each event came, by the last of the server's taps that were joined.

    None without taps, and where what the client had then says nothing: its own loop was busy for as long as half of
    what the events were late.
    """
    curves = tap_curves(recording)
    tap = next((name for name in ("relay.sent", "upstream.sent") if name in curves), None)
    if tap is None:
        return None
    delay_ns = metrics.delay_ns(curves[tap], curves["client.read"])
    if not delay_ns.size:
        return None
    late_ns = delay_ns - delay_ns.min()
    left_ns = metrics.times(curves[tap], len(late_ns))
    gap_ns = float(np.median(np.diff(left_ns))) if len(late_ns) > 1 else 0.0
    late = late_ns > max(LATE_NS, LATE_GAPS * gap_ns)
    on_time = np.flatnonzero(~late)
    first = int(on_time[0]) if on_time.size else len(late)
    busy_ns = int(recording.meta.get("loop_lag_ns") or 0)
    if late.mean() >= LATE_SHARE and busy_ns * 2 > late_ns.max():
        return None
    return Lateness(tap, int(delay_ns.min()), int(np.median(late_ns)), float(late.mean()), first)

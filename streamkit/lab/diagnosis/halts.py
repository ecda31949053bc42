"""Halts: where a reader had to wait, and what was there in each wait.

A halt is a wait between two events of the live stream that is longer than a stall (`metrics.stall_threshold_ns`), as
its reader had them or as they came, whichever was longer: a kernel's stamp is that of a read's last segment, so a
client that reads late may shift the one or the other. The silence before the end is one, too.

What tells a source that paused from events that were held is what comes behind the silence: at the usual pace, or all
that was due meanwhile at once (`caught_up`: 0 and 1). It is counted within a fifth of the silence, so that a burst may
come in parts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from streamkit.lab.diagnosis.rhythm import GLUE_NS, Usual
from streamkit.lab.diagnosis.seen import Seen, overlap_ns

__all__ = ["Halt", "find_halts"]

WINDOW: Final = 0.2
"""The share of a silence within which what was held comes behind it."""
LEAST_APART: Final = 3.0
"""Events by which a burst and the usual pace have to differ, or which of the two it was cannot be told."""
TOGETHER: Final = 0.5
"""This share of a burst comes close behind the one before; the rest is what a busy machine spreads of it."""
FAR_MORE: Final = 2
"""A burst is so many times as large as the reads that are usual: a model that says several at a time has large ones."""
GOES_ON: Final = 0.5
"""Where this share of a burst comes once more in as long a time behind it, it was none: the pace has changed."""
EDGE: Final = 0.1
"""A heartbeat so near to the end of a silence belongs to the event beside it."""


@dataclass(frozen=True, kw_only=True)
class Halt:
    """One wait.

    after          after how many events that a reader waits for it began
    start_ns, end_ns   when its reader had the one before, and the one behind it
    silent_ns      for how long none came, by the stamps
    lay_ns         how long the one behind it had been here when its reader had it
    same_read      it came with the same read as the one before
    loop_ns, reader_ns   how much of the wait the loop was late, and the reader took nothing
    burst          how many events came within a fifth of the silence behind it; `due`: that had been due meanwhile
    caught_up      what of these came at once, beyond the usual pace: 0 none, 1 all; None where that cannot be told
    at_once        that burst is none of the stream's own: see `_at_once`
    alive, other, parts   heartbeats within it, events without text, and reads that brought a part of an event
    out_of_order, retransmits   what TCP counted from the last look before it to the first one behind it
    unread         the most bytes that lay in the receive queue meanwhile; None where nobody looked
    before_end     it is the silence before the end
    """

    after: int
    start_ns: int
    end_ns: int
    silent_ns: int
    lay_ns: int = 0
    same_read: bool = False
    loop_ns: int = 0
    reader_ns: int = 0
    burst: int = 0
    due: float = 0.0
    caught_up: float | None = None
    at_once: bool = True
    alive: int = 0
    other: int = 0
    parts: int = 0
    out_of_order: int = 0
    retransmits: int = 0
    unread: int | None = None
    before_end: bool = False

    @property
    def wait_ns(self) -> int:
        """As its reader had it."""
        return self.end_ns - self.start_ns

    @property
    def length_ns(self) -> int:
        """As its reader had it, or as it came, whichever is longer."""
        return max(self.wait_ns, self.silent_ns)


def find_halts(seen: Seen, usual: Usual) -> list[Halt]:
    """The halts of a stream with this pace, in their order, that before its end last."""
    waited = np.diff(seen.handed_ns)
    silent = np.diff(seen.at_ns)
    long = (np.maximum(waited, silent) > usual.threshold_ns) & seen.follows[1:]
    found = [_halt(seen, usual, index) for index in (np.flatnonzero(long) + 1).tolist()]
    return found if seen.end is None else [*found, _before_end(seen, *seen.end)]


def _halt(seen: Seen, usual: Usual, index: int) -> Halt:
    start_ns, end_ns = int(seen.handed_ns[index - 1]), int(seen.handed_ns[index])
    since_ns, until_ns = int(seen.at_ns[index - 1]), int(seen.at_ns[index])
    burst, due, caught_up, at_once = _caught_up(seen, usual, index)
    waited = end_ns - start_ns >= until_ns - since_ns
    within = (start_ns, end_ns) if waited else (since_ns, until_ns)
    return Halt(
        after=index,
        start_ns=start_ns,
        end_ns=end_ns,
        silent_ns=until_ns - since_ns,
        lay_ns=end_ns - until_ns,
        same_read=bool(seen.read[index] == seen.read[index - 1]),
        loop_ns=overlap_ns(seen.loop_busy_ns, *within),
        reader_ns=overlap_ns(seen.reader_busy_ns, *within),
        burst=burst,
        due=due,
        caught_up=caught_up,
        at_once=at_once,
        **_meanwhile(seen, since_ns, until_ns),
    )


def _before_end(seen: Seen, since_ns: int, until_ns: int) -> Halt:
    return Halt(
        after=len(seen),
        start_ns=since_ns,
        end_ns=until_ns,
        silent_ns=until_ns - since_ns,
        loop_ns=overlap_ns(seen.loop_busy_ns, since_ns, until_ns),
        reader_ns=overlap_ns(seen.reader_busy_ns, since_ns, until_ns),
        before_end=True,
        **_meanwhile(seen, since_ns, until_ns),
    )


def _meanwhile(seen: Seen, since_ns: int, until_ns: int) -> dict[str, Any]:
    edge_ns = int(EDGE * (until_ns - since_ns))
    inside = (since_ns + edge_ns, until_ns - edge_ns)
    counts: dict[str, Any] = {
        name: int(np.diff(np.searchsorted(times, inside))[0])
        for name, times in (("alive", seen.alive_ns), ("other", seen.other_ns), ("parts", seen.parts_ns))
    }
    for name in ("out_of_order", "retransmits"):
        counts[name] = seen.tcp.grown(name, since_ns, until_ns)
    counts["unread"] = _most_unread(seen, since_ns, until_ns)
    return counts


def _most_unread(seen: Seen, since_ns: int, until_ns: int) -> int | None:
    if seen.unread is None:
        return None
    at_ns, value = seen.unread
    first, end = bisect_left(at_ns, since_ns), bisect_right(at_ns, until_ns)
    return max((size for size in value[first:end] if size >= 0), default=None)


def _caught_up(seen: Seen, usual: Usual, index: int) -> tuple[int, float, float | None, bool]:
    """`burst`, `due`, `caught_up` and `at_once` of the halt before event `index`. Its silence is the stamps' or, where
    these are of a client that read late, the wait of its reader: what was due, was due in the longer one.
    """
    since_ns = int(seen.at_ns[index - 1])
    until_ns = int(max(seen.at_ns[index], seen.handed_ns[index] - (seen.handed_ns[index - 1] - since_ns)))
    window_ns = WINDOW * (until_ns - since_ns)
    upto = int(np.searchsorted(seen.at_ns, until_ns + window_ns, side="right"))
    upto = index + int(np.argmin([*seen.follows[index:upto], False]))  # not beyond a cut
    burst, left = float(seen.weight[index:upto].sum()), seen.total_weight - float(seen.upto_weight[index - 1])
    due = usual.per_ns * (until_ns - since_ns)
    in_window = usual.per_ns * window_ns
    at_pace, at_once = min(usual.size + in_window, left), min(due + in_window, left)
    if at_once - at_pace < max(LEAST_APART, usual.size):
        return round(burst), due, None, True
    return round(burst), due, (burst - at_pace) / (at_once - at_pace), _at_once(seen, usual, index, upto, window_ns)


def _at_once(seen: Seen, usual: Usual, index: int, upto: int, window_ns: float) -> bool:
    """Whether events `index` to `upto`, which came within a window, are a burst that something held.

    They are far more than the stream brings in a read anyhow; most of them follow each other closer than any sender
    means; and then it is over. A source that goes on faster than before has no burst.
    """
    at_ns, weight = seen.at_ns, seen.weight
    burst = float(weight[index:upto].sum())
    close = np.diff(at_ns[index:upto], prepend=at_ns[index]) <= GLUE_NS
    together = float(weight[index:upto][close].sum()) >= TOGETHER * burst
    last = int(np.searchsorted(at_ns, at_ns[upto - 1] + window_ns, side="right")) if upto > index else upto
    return burst > FAR_MORE * usual.most and together and float(weight[upto:last].sum()) < GOES_ON * burst

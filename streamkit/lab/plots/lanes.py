"""The lanes of a timeline: what stands in each, and where. Vertically the unit is the point, from the frame's top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streamkit.lab.findings.subjects import Bundle, Subject
from streamkit.lab.plots.palette import LINE_PT

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    Bools = npt.NDArray[np.bool_]
    Ints = npt.NDArray[np.int64]

__all__ = ["BAND_PT", "SIZES_PT", "Fits", "Lane", "Layout", "Stand", "lane_of", "places_of", "shifted"]

STRIP_PT: Final = LINE_PT + 2  # words above a lane
LEAST_PT: Final = 28.0  # lanes that are lower have none
SIZES_PT: Final = 11.0  # for the numbers of characters, below a lane
BAND_PT: Final = STRIP_PT + 6  # what a group takes beside its rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Lane:
    """A recording, and its reads that brought events, one tick each."""

    subject: Subject
    group: int  # those of one name have one colour
    end_ns: int
    at_ns: Ints
    events: Ints  # of each read
    total: Ints  # of each read, in `unit`
    unit: str  # "characters" or "bytes"
    single: Bools  # which reads brought one event, with text
    empty: Bools  # one event, without text
    shared: Bools  # several events
    replayed: Bools  # they had happened before the client was back behind a cut


class Stand(NamedTuple):
    """Where a lane's ticks stand, from the top to the floor; both in points from the top of the frame."""

    top: float
    floor: float


class Fits(NamedTuple):
    """What there is room for: `sizes` below the ticks, the names of the `ends`; `crowded`: more ticks than that."""

    sizes: bool
    ends: bool
    crowded: bool


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where things go: x in the axis' unit, y in points from the top of the frame."""

    ax: Axes
    unit_ns: float
    left: float  # x at the frame's left edge
    per_pt: float  # x units in one point
    width_pt: float
    places: Sequence[Stand]
    strip_pt: float  # for words above a lane's ticks, where lanes are high enough
    heaviest: int  # the most characters
    seen: Fits

    def x(self, ns: float) -> float:
        return ns / self.unit_ns

    def pt(self, ns: float) -> float:
        return (self.x(ns) - self.left) / self.per_pt

    def at_pt(self, pt: float) -> float:
        return self.left + pt * self.per_pt


def places_of(
    groups: Sequence[Bundle[Subject]], header: float, height: float, *, sizes: bool
) -> tuple[list[Stand], float]:
    """A place for each lane, and how high the strip of words is; `sizes`: below each lane there is room for those.

    Alone, a lane has both; of a group, all lanes share one strip, and are rows without any words.
    """
    rows = sum(len(group.members) for group in groups)
    if rows == len(groups):
        lane_pt = max(10.0, (height - header) / rows)
        strip = STRIP_PT if lane_pt >= LEAST_PT else 2.0
        below = min(5.0, lane_pt / 4) + (SIZES_PT if sizes else 0.0)
        places = [Stand(header + i * lane_pt + strip, header + (i + 1) * lane_pt - below) for i in range(rows)]
        return places, strip
    row_pt = max(2.0, (height - header - len(groups) * BAND_PT) / rows)
    places, top = [], header
    for group in groups:
        top += STRIP_PT
        places += [
            Stand(top + i * row_pt, top + (i + 1) * row_pt - min(1.5, row_pt / 4)) for i in range(len(group.members))
        ]
        top += len(group.members) * row_pt + BAND_PT - STRIP_PT
    return places, STRIP_PT


def shifted(subject: Subject, zero_ns: int) -> Subject:
    """Counted from that time on."""
    return replace(
        subject,
        sent_ns=0,
        end_ns=subject.end_ns - zero_ns,
        at_ns=subject.at_ns - zero_ns,
        stalls=subject.stalls - zero_ns,
        cuts=subject.cuts - zero_ns,
    )


def lane_of(subject: Subject, group: int, *, text: bool) -> Lane:
    """`text`: sizes are characters of text, else bytes."""
    first = np.flatnonzero(np.diff(subject.read, prepend=-1))
    events = np.diff(first, append=subject.read.size)
    weight = subject.characters if text else subject.bytes
    total = np.add.reduceat(weight, first) if first.size else weight
    return Lane(
        subject=subject,
        group=group,
        end_ns=max(subject.end_ns, *subject.at_ns[-1:].tolist(), 0),
        at_ns=subject.at_ns[first],
        events=events,
        total=total,
        unit="characters" if text else "bytes",
        single=(events == 1) & (total > 0),
        empty=(events == 1) & (total == 0),
        shared=events > 1,
        replayed=subject.replayed[first],
    )

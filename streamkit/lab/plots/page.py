"""Where things go in a figure of staircases: what is measured in points before it is drawn.

A word goes where no staircase and no other word is, or nowhere. Since staircases only rise, whether one runs through a
box is seen from its height at the box's two sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from streamkit.lab.metrics.curves import Curve, count_at
from streamkit.lab.plots.palette import INK, LINE_PT, NOTE_PT, width_pt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLUMNS_PER_PT", "Box", "Page", "stairs"]

COLUMNS_PER_PT: Final = 4  # finer than any screen; more steps than columns are thinned


class Box(NamedTuple):
    """In points from the frame's left edge and from zero."""

    left: float
    low: float
    right: float
    high: float

    def meets(self, other: Box) -> bool:
        apart = self.right <= other.left or other.right <= self.left or self.high <= other.low or other.high <= self.low
        return not apart


@dataclass(kw_only=True)
class Page:
    """Where things go, what has its place already, and what is still to be drawn."""

    ax: Axes
    unit_ns: float
    left_ns: float
    ns_per_pt: float
    count_per_pt: float
    width: float
    low: float  # the frame's lower and upper edge, in points from zero
    high: float
    drawn: list[Curve] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    todo: list[Callable[[], object]] = field(default_factory=list)
    head_pt: float  # kept free for the legend, above everything
    fits: bool = True  # whether the legend found a place; if not, `head_pt` is what it needs

    @property
    def ceiling(self) -> float:
        """The upper edge for all but the legend."""
        return self.high - self.head_pt

    def later(self, draw: Callable[..., object], *args: Any, **style: Any) -> None:
        self.todo.append(partial(draw, *args, **style))

    def x(self, ns: float) -> float:
        return ns / self.unit_ns

    def pt(self, ns: float) -> float:
        """A length."""
        return ns / self.ns_per_pt

    def across(self, ns: float) -> float:
        """A place, from the left edge."""
        return (ns - self.left_ns) / self.ns_per_pt

    def up(self, count: float) -> float:
        return count / self.count_per_pt

    def at(self, across: float, up: float) -> tuple[float, float]:
        """Points to data."""
        return self.x(self.left_ns + across * self.ns_per_pt), up * self.count_per_pt

    def free(self, box: Box) -> bool:
        inside = box.left >= 0 and box.right <= self.width and box.low >= self.low and box.high <= self.ceiling
        return (
            inside and not any(map(box.meets, self.boxes)) and not any(self._runs_through(c, box) for c in self.drawn)
        )

    def _runs_through(self, curve: Curve, box: Box) -> bool:
        if not curve.at_ns.size:
            return False
        left, right = (self.left_ns + side * self.ns_per_pt for side in (box.left - 1, box.right + 1))
        if right < curve.at_ns[0] or left > curve.at_ns[-1]:
            return False
        return self.up(count_at(curve, int(left))) < box.high + 1 and self.up(count_at(curve, int(right))) > box.low - 1

    def write(self, text: str, left: float, middle: float, **style: Any) -> bool:
        """Write it, left-aligned, if the place is free."""
        lines = text.split("\n")
        half = len(lines) * LINE_PT / 2 - 1
        width = max(map(width_pt, lines))
        if not self.free(box := Box(left, middle - half, left + width, middle + half)):
            return False
        self.boxes.append(box)
        x, y = self.at(left, middle)
        self.later(self.ax.text, x, y, text, fontsize=NOTE_PT, color=INK, va="center", parse_math=False, **style)
        return True


def stairs(curve: Curve, ns_per_pt: float) -> Curve:
    """The steps that can be seen: the first and the last of each quarter point, all if there are not so many.

    What a staircase covers within one column reaches from its first to its last step there, so nothing is lost.
    """
    columns = np.floor(curve.at_ns * (COLUMNS_PER_PT / ns_per_pt))
    seen = (np.diff(columns, prepend=-np.inf) != 0) | (np.diff(columns, append=np.inf) != 0)
    return Curve(curve.at_ns[seen], curve.count[seen])

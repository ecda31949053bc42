"""Names beside a line of places: in as few rows as can be, each joined to its place by a line that meets no other name.

All in points along that line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final

__all__ = ["rows_of"]

APART_PT: Final = 5.0  # two names
PAST_PT: Final = 3.0  # a name, and the line of another that passes it
FEW: Final = 5  # of so many names every arrangement is tried, of more those in which rows take turns


def rows_of(labels: Sequence[tuple[float, float]], low: float, high: float) -> list[tuple[int, float]]:
    """For each label (where its line stands, how wide it is) its row, 0 the nearest to the way, and its left edge.

    As few rows as can be, and in them each near to its line and to the way; [] if they do not fit at all.
    """
    for rows in range(1, len(labels) + 1):
        fitting = []
        for chosen in _arrangements(rows, len(labels)):
            lefts = _fit(labels, chosen, low, high)
            if lefts is not None:
                off = sum(abs(left + wide / 2 - x) for left, (x, wide) in zip(lefts, labels, strict=True))
                fitting.append((off + APART_PT * sum(chosen), list(zip(chosen, lefts, strict=True))))
        if fitting:
            return min(fitting)[1]
    return []


def _arrangements(rows: int, labels: int) -> Iterable[tuple[int, ...]]:
    if labels <= FEW:
        return product(range(rows), repeat=labels)
    down, up = (tuple((sign * index) % rows for index in range(labels + rows)) for sign in (1, -1))
    return [turn[start : start + labels] for turn in (down, up) for start in range(rows)]


def _fit(labels: Sequence[tuple[float, float]], chosen: Sequence[int], low: float, high: float) -> list[float] | None:
    """The left edges of these labels in these rows; None if there are none that keep all apart."""
    lefts = [0.0] * len(labels)
    for row in set(chosen):
        lines = [x for (x, _), other in zip(labels, chosen, strict=True) if other > row]  # they pass by here
        end = -1e9
        for index in [index for index, own in enumerate(chosen) if own == row]:
            x, wide = labels[index]
            begin = max([low, end + APART_PT, *(line + PAST_PT for line in lines if line < x)])
            until = min([high, *(line - PAST_PT for line in lines if line > x)])
            left = max(begin, min(x - wide / 2, until - wide))
            if left + wide > until + 0.01 or left > x - 2 or left + wide < x + 2:
                return None
            lefts[index], end = left, left + wide
    return lefts

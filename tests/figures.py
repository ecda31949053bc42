"""What the tests of figures share: axes outside pyplot, and the claim that nothing written runs into anything."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox


def empty_axes(width: float = 8, height: float = 4, layout: str | None = "constrained") -> Axes:
    """Axes of a figure that pyplot does not know; inches."""
    figure = Figure(figsize=(width, height), layout=layout)  # type: ignore[arg-type]  # its type lists the names
    FigureCanvasAgg(figure)
    axes: Axes = figure.add_subplot()
    return axes


def are_apart(words: Iterable[tuple[str, Bbox]]) -> None:
    """No box of a word lies over another."""
    for (one, box), (other, other_box) in itertools.combinations(words, 2):
        assert not box.overlaps(other_box), (one, other)


def are_readable(ax: Axes, words: list[tuple[str, Bbox]]) -> None:
    """… and each is within the figure."""
    page = ax.figure.bbox
    for text, box in words:
        assert page.x0 <= box.x0, text
        assert box.x1 <= page.x1, text
        assert page.y0 <= box.y0, text
        assert box.y1 <= page.y1, text
    are_apart(words)

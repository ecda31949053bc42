"""What the tests of figures share: axes outside pyplot, what is drawn on some, and that no word runs into anything."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

LAID_OUT: weakref.WeakSet[Figure] = weakref.WeakSet()


def empty_axes(width: float = 8, height: float = 4, layout: str | None = "constrained") -> Axes:
    """Axes of a figure that pyplot does not know; inches."""
    figure = Figure(figsize=(width, height), layout=layout)  # type: ignore[arg-type]  # its type lists the names
    FigureCanvasAgg(figure)
    axes: Axes = figure.add_subplot()
    return axes


def labelled(ax: Axes, label: str) -> list[Any]:
    """The artists that the figure made under an internal name."""
    return [artist for artist in ax.get_children() if artist.get_label() == label]


def areas(ax: Axes) -> dict[str, Any]:
    """What was held, by whom, in the order of drawing."""
    prefix = "_held "
    found = [artist for artist in ax.get_children() if str(artist.get_label()).startswith(prefix)]
    return {str(artist.get_label()).removeprefix(prefix): artist for artist in found}


def steps_of(ax: Axes, label: str) -> tuple[list[float], list[float]]:
    (line,) = labelled(ax, label)
    assert line.get_drawstyle() == "steps-post"
    return list(line.get_xdata()), list(line.get_ydata())


def title_of(ax: Axes) -> str:
    """On one line."""
    return ax.get_title("left").replace("\n", " ")


def key_of(ax: Axes) -> list[str]:
    """The words of the legend."""
    legend = ax.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def inside(ax: Axes) -> list[str]:
    """The words within the frame, beside the legend."""
    return [text.get_text() for text in ax.texts if text.get_label() != "_note"]


def note_of(ax: Axes) -> str:
    """The small print below."""
    (note,) = labelled(ax, "_note")
    return str(note.get_text())


def texts(ax: Axes, label: str) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_label() == label]


def words(ax: Axes) -> list[Any]:
    """Every text that is seen: title, names of axes, ticks, what is inside, the legend."""
    low, high = ax.get_xlim()
    ticks = [label for label, at in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True) if low <= at <= high]
    legend = ax.get_legend()
    outside = [ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]  # type: ignore[attr-defined]  # no other way to it
    found = [*outside, *ticks, *ax.get_yticklabels(), *ax.texts, *(legend.get_texts() if legend else [])]
    return [text for text in found if text.get_text()]


def lay_out(ax: Axes) -> None:
    """As if drawn, once: from then on all has its place. (Whoever asks for ticks makes a figure stale.)"""
    figure = ax.figure.figure
    if figure not in LAID_OUT:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        LAID_OUT.add(figure)


def boxes(ax: Axes) -> list[tuple[str, Bbox]]:
    """… with its box in pixels; what was not drawn yet is laid out for that."""
    lay_out(ax)
    return [(text.get_text(), text.get_window_extent()) for text in words(ax)]


def are_apart(words: Iterable[tuple[str, Bbox]]) -> None:
    """No box of a word lies over another."""
    for (one, box), (other, other_box) in itertools.combinations(words, 2):
        assert not box.overlaps(other_box), (one, other)


def are_readable(ax: Axes) -> None:
    """No word runs into another or out of the figure."""
    page, found = ax.figure.bbox, boxes(ax)
    for text, box in found:
        assert page.x0 <= box.x0, text
        assert box.x1 <= page.x1, text
        assert page.y0 <= box.y0, text
        assert box.y1 <= page.y1, text
    are_apart(found)

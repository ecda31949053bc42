"""The backlog: what each hop held over time, the heights between the staircases of the journey."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from streamkit.lab.findings.backlog import describe_backlog
from streamkit.lab.findings.journey import HopFacts, Journey, journeys
from streamkit.lab.findings.words import duration, many
from streamkit.lab.plots import palette
from streamkit.lab.plots.page import COLUMNS_PER_PT
from streamkit.lab.plots.palette import INK, LINE_PT, NOTE_PT, WIDTH_IN, width_pt

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from streamkit.lab.metrics.curves import Unit
    from streamkit.lab.recording.recording import Recording

    Ints = npt.NDArray[np.int64]

__all__ = ["backlog"]

HEIGHT_IN: Final = 3.6
LITTLE: Final = 0.1  # of the largest backlog: areas of up to this share would be lines along the axis


def backlog(recording: Recording, ax: Axes | None = None, *, title: str | None = None, unit: Unit = "events") -> Axes:
    """How much each hop held over time, in events or bytes of text (`unit`).

        sk.plots.backlog(await lab.post("/ans", chat_history="hi"), unit="bytes")

    x is in ms since the request was sent (since the call, if that is not known); in s from 100 s on. There is one area
    for each hop, in the hop's shade and hatch, under the line of the tap it waits for. A dot marks its maximum; the key
    has the size and time of it. Hops that held next to nothing compared with the largest are only in the key. Values
    below 0 (an event that seems to arrive before it had left, as the two ends stamp differently) are drawn as 0.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    Raises TypeError for what is not a recording, ValueError for an unknown unit.
    """
    shown = journeys([recording], unit)[0]
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, HEIGHT_IN)
    most = max((hop.most for hop in shown.hops), default=0)
    held = [hop for hop in shown.hops if hop.most > (LITTLE * most if most > 1 else 0)]
    others = max((hop.most for hop in shown.hops if hop not in held), default=0)
    unit_ns = palette.time_axis(ax, shown.end_ns, sent=shown.subject.sent_ns is not None)
    ax.set_ylabel(f"{'events' if unit == 'events' else 'bytes of text'} held", fontsize=palette.LABEL_PT)
    ax.yaxis.set_major_locator(palette.whole_numbers(most))
    ax.yaxis.set_major_formatter(palette.plain_numbers())
    left = min(0, *(int(hop.at_ns[0]) for hop in held)) if held else 0
    right = max(shown.end_ns, 1_000_000)
    ax.set_xlim(left / unit_ns, right / unit_ns)
    palette.settle(ax)  # the frame's width, for title and note; then its height, with both
    palette.dress(ax, describe_backlog(shown) if title is None else title, spines=["left", "bottom"])
    palette.trust_below(ax, [shown.trust])
    palette.settle(ax)
    width, height = palette.size_pt(ax)
    head_pt = (len(held) + bool(others)) * (LINE_PT + 1) + LINE_PT + 14
    ax.set_ylim(0, max(most, 1) * height / max(height - head_pt, height / 3))
    ns_per_pt = (right - left) / width
    for hop in sorted(held, key=lambda hop: hop.most, reverse=True):  # the small ones on top
        _draw(ax, shown, hop, unit_ns, ns_per_pt)
    if held:
        highest = max(held, key=lambda hop: hop.most)
        _name_maximum(ax, highest, shown.noun, (highest.most_at_ns - left) / ns_per_pt, width)
        _explain(ax, held, others, shown.noun)
    return ax


def _draw(ax: Axes, shown: Journey, hop: HopFacts, unit_ns: float, ns_per_pt: float) -> None:
    end_ns = max(shown.end_ns, int(hop.at_ns[-1])) if hop.lost else int(hop.at_ns[-1])
    at_ns, held = np.append(hop.at_ns, end_ns), np.maximum(np.append(hop.held, hop.held[-1]), 0)
    seen = _seen(at_ns, held, ns_per_pt)
    x, y = at_ns[seen] / unit_ns, held[seen]
    ax.fill_between(x, y, step="post", label=f"_held {hop.name}", zorder=1.5, **palette.HOP_FILLS[hop.after].style)
    ax.plot(x, y, drawstyle="steps-post", label=f"_{hop.name}", zorder=2, **_line_style(hop))
    dot, colour = [hop.most_at_ns / unit_ns], palette.TAP_STROKES[hop.after].colour
    ax.plot(dot, [hop.most], "o", color=colour, markeredgecolor="white", markersize=6, label="_most", zorder=3)


def _line_style(hop: HopFacts) -> dict[str, Any]:
    return {**palette.TAP_STROKES[hop.after].style, "linewidth": 1.4}


def _seen(at_ns: Ints, held: Ints, ns_per_pt: float) -> Ints:
    """The steps that are seen: of each quarter point the first, the last, the lowest and the highest."""
    column = np.floor(at_ns * (COLUMNS_PER_PT / ns_per_pt))
    first = np.flatnonzero(np.diff(column, prepend=-np.inf))
    last = np.append(first[1:], column.size) - 1
    by_height = np.lexsort((held, column))
    return np.unique(np.concatenate((first, last, by_height[first], by_height[last])))


def _name_maximum(ax: Axes, hop: HopFacts, noun: str, across_pt: float, width: float) -> None:
    text = many(hop.most, noun)
    half = width_pt(text) / 2
    inside_pt = min(max(across_pt, half), width - half)
    ax.annotate(
        text,
        (inside_pt / width, hop.most),
        xycoords=("axes fraction", "data"),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=NOTE_PT,
        color=INK,
    )


def _explain(ax: Axes, held: list[HopFacts], others: int, noun: str) -> None:
    handles: list[Any] = []
    names = [f"{hop.name}: max {many(hop.most, noun)}, after {duration(hop.most_at_ns)}" for hop in held]
    for hop in held:
        handles.append((Patch(**palette.HOP_FILLS[hop.after].style), Line2D([], [], **_line_style(hop))))
    if others:
        handles.append(Line2D([], [], linestyle="none"))
        names.append(f"the others: max {many(others, noun)}")
    ax.legend(
        handles,
        names,
        **{**palette.KEY, "borderaxespad": 0.3},
    )

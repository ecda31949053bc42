"""Results: one number of each, or several, over time, as the client got them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from streamkit.lab.findings.results import Numbers, Row, describe_results, median_of, number_rows
from streamkit.lab.findings.subjects import Bundle, Recordings
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import LINE_PT, WIDTH_IN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["results"]

HEIGHT_IN: Final = 3.4
DOT_EVERY_PT: Final = 6.0  # closer than that, dots are a thick line
NEAR_ZERO: Final = 0.4  # numbers of which the least is no more than so much of the most are shown from 0 on
AIR: Final = 0.06  # of the height, above and below


def results(
    recordings: Recordings, ax: Axes | None = None, *, number: Numbers = "mean", title: str | None = None
) -> Axes:
    """A number of each result over time, for routes that answer with results instead of text.

        sk.plots.results({"window": plain, "fading": fading}, number="mean")
        sk.plots.results(recording, number=["p50", "p95"])
        sk.plots.results(recording, number=lambda result: result.clock_ns / 1e9 - result.value["max"])

    x is when its reader had the result, in ms since the request was sent (since the call, if that is not known).
    `number` says what is drawn: the name of a member of the result's object, or a function that gets each `Result`
    (`Recording.results`) and returns a number, or None to leave it out; or a list of these. Each result is a dot,
    unless they lie too close together.

    More than eight recordings are drawn as groups, by their names: a thin line for each, and a thick one for their
    median, wherever more than half of them have the number.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    It takes one `Recording`, several, or a mapping from names to recordings. Raises ValueError for none, TypeError for
    anything else.
    """
    bundles = number_rows(recordings, number)
    rows = [row for bundle in bundles for row in bundle.members]
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, HEIGHT_IN)
    end_ns = max(1_000_000, *(row.end_ns for row in rows))
    unit_ns = palette.time_axis(ax, end_ns, sent=all(row.sent for row in rows))
    called = dict.fromkeys(row.number for row in rows)
    palette.name_axis(ax.yaxis, next(iter(called)) if len(called) == 1 else "")
    ax.yaxis.set_major_formatter(palette.plain_numbers())
    ax.set_xlim(min(0, *(int(at) for row in rows for at in row.at_ns[:1]), 0) / unit_ns, end_ns / unit_ns)
    palette.settle(ax)  # the frame's width, for title and note; then its height, with both
    palette.dress(ax, describe_results(bundles) if title is None else title, spines=["left", "bottom"])
    palette.trust_below(ax, list({id(row.trust): row.trust for row in rows}.values()))  # of a recording once
    palette.settle(ax)
    there = [row for row in rows if row.values.size]
    if not there:
        ax.set_yticks([])
        palette.say_instead(ax, [("", "no result has such a number")])
        return ax
    _set_height(ax, there, lines=_explain(ax, bundles))
    width, _ = palette.size_pt(ax)
    for index, bundle in enumerate(bundles):
        if len(bundle.members) > 1:
            _draw_members(ax, index, bundle, unit_ns)
        else:
            row = bundle.members[0]
            _draw(ax, index, row, unit_ns, dotted=row.values.size * DOT_EVERY_PT < width)
    return ax


def _explain(ax: Axes, bundles: Sequence[Bundle[Row]]) -> int:
    """The key, where there are several lines; how many lines of words it has."""
    if len(bundles) == len(bundles[0].members) == 1:
        return 0
    names = [_entry(bundle)[:60] for bundle in bundles]
    texts = [palette.legible(name, 60)[0] for name in names]
    handles = [Line2D([], [], linewidth=1.6, **palette.recording_stroke(index).style) for index in range(len(bundles))]
    columns = palette.key_columns(texts, palette.size_pt(ax)[0] - 8, handle_pt=48)
    key = ax.legend(handles, texts, ncols=columns, **{**palette.KEY, "borderaxespad": 0.3})
    for text, name in zip(key.get_texts(), names, strict=True):
        text.set(fontfamily=palette.legible(name, 60)[1], parse_math=False)
    return -(-len(bundles) // columns)


def _entry(bundle: Bundle[Row]) -> str:
    without = sum(not row.values.size for row in bundle.members)
    if without == len(bundle.members):
        return f"{bundle.name}: none"
    return f"{bundle.name}, {without:,} of them without" if without else bundle.name


def _set_height(ax: Axes, rows: list[Row], lines: int) -> None:
    """From the least to the most, or from zero, and room for the key above."""
    low, high = min(float(row.values.min()) for row in rows), max(float(row.values.max()) for row in rows)
    if 0 < low < high * NEAR_ZERO:
        low = 0.0
    spread = (high - low) or abs(high) or 1.0
    _, height = palette.size_pt(ax)
    free = max(height - lines * (LINE_PT + 3) - (7 if lines else 0), height / 3) / height
    bottom, top = low - AIR * spread, high + AIR * spread
    ax.set_ylim(bottom, bottom + (top - bottom) / free)
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(bottom, top)
    ax.yaxis.set_major_locator(FixedLocator([at for at in ticks if bottom <= at <= top]))


def _draw(ax: Axes, index: int, row: Row, unit_ns: float, dotted: bool) -> None:
    stroke = palette.recording_stroke(index)
    style: dict[str, Any] = {**stroke.style, "linewidth": 1.6, "label": f"_{row.name}", "clip_on": False}
    dots: dict[str, Any] = (
        {"marker": "o", "markersize": 3.5, "markeredgewidth": 0} if dotted or row.values.size == 1 else {}
    )
    ax.plot(row.at_ns / unit_ns, row.values, zorder=2, **style, **dots)


def _draw_members(ax: Axes, index: int, bundle: Bundle[Row], unit_ns: float) -> None:
    """A thin line for each, and a thick one for their median; of a single result there is but a dot."""
    there = [row for row in bundle.members if row.values.size]
    if not there:
        return
    stroke = palette.recording_stroke(index)
    lines = [np.column_stack([row.at_ns / unit_ns, row.values]) for row in there]
    thin: dict[str, Any] = {"linewidths": 0.7, "colors": stroke.colour, "alpha": 0.35, "label": "_one", "zorder": 1.5}
    ax.add_collection(LineCollection(lines, **thin), autolim=False)
    dots = np.concatenate([line for line in lines if len(line) == 1] or [np.zeros((0, 2))])
    ax.plot(*dots.T, ".", color=stroke.colour, label="_single", clip_on=False)
    at_ns, values = median_of(there)
    ax.plot(at_ns / unit_ns, values, linewidth=1.8, label=f"_{bundle.name}", clip_on=False, zorder=2, **stroke.style)

"""A comparison: how the runs of each target are distributed, and beside that how far they surely differ.

Two panels within the Axes that is given, each with a scale of its own: a difference of 3 ms is seen, however far the
runs are spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

from streamkit.lab.findings.comparing import Runs, compare_of
from streamkit.lab.findings.comparison import CALLED, Against, Comparison, describe_compare
from streamkit.lab.findings.sweep import quantity, span
from streamkit.lab.findings.words import many
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import FRAME_PT, INK, KEY, LABEL_PT, LINE_PT, MUTED, NOTE_PT, WIDTH_IN
from streamkit.lab.recording.measures import PER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["compare"]

TALL_PT: Final = 130.0
ROW_PT: Final = 30.0
BELOW_PT: Final = 40.0  # the panels' own ticks, and the names of their axes
LEFT_PT: Final = 36.0
BETWEEN_PT: Final = 34.0
BAR_PT: Final = 8.0
UNSEEN_PT: Final = 14.0
SHARE: Final = 0.52  # of the width is for the runs
LOG_FROM: Final = 30.0
"""The scale of the runs is one of ratios where the largest is so many times the least."""
KEY_LINE_PT: Final = LINE_PT + 3
NAME_LIMIT: Final = 32
UNSEEN: Final[dict[str, Any]] = {"facecolor": "#EFEFEF", "edgecolor": "#C9C9C9", "hatch": "///", "linewidth": 0.0}
"""Differences that could not have been seen."""


def compare(compared: Comparison | Runs, ax: Axes | None = None, *, title: str | None = None, **given: Any) -> Axes:
    """How the runs of each target are distributed, and by how much each target differs from the first.

        sk.plots.compare(await sk.compare({"a": lab, "b": url}))

    Left: for each target, the share of its runs that had at most x (an ECDF). The mark is what is compared: the median,
    or the percentile you asked for. Right: for each of the other targets, its difference to the base. The point is the
    estimate, the bar its 95 % interval, with the instrument's error included; the bar is empty if the difference is not
    shown or cannot be decided. The hatched band around 0 holds the differences that so many runs could not have shown.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    It takes a `Comparison`, or recordings; then `given` are the keywords of `sk.findings.compare`. Raises what that
    raises.
    """
    found = compare_of(compared, **given)
    entries = _entries(found)
    if ax is None:
        tall = FRAME_PT + BELOW_PT + max(TALL_PT, ROW_PT * len(found.others)) + KEY_LINE_PT * -(-len(entries) // 3)
        ax = palette.new_axes(WIDTH_IN, tall / 72)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.patch.set_visible(False)
    palette.settle(ax)
    palette.dress(ax, describe_compare(found) if title is None else title, spines=[])
    palette.note_below(ax, _note(found, 0.96 * palette.size_pt(ax)[0]))
    palette.settle(ax)
    runs, differences = _panels(ax, _explain(ax, entries))
    _draw_runs(runs, found)
    _draw_differences(differences, found)
    return ax


def _note(found: Comparison, width: float) -> str:
    """How they came, and of what has to be known as much as there is room for."""
    most = max(len(each) for each in found.recordings.values())
    told = f"{many(most, 'round')}, shuffled" if found.in_rounds else f"up to {many(most, 'run')} each, not in rounds"
    for number, note in enumerate(found.notes):
        longer, left = f"{told}; {note}", len(found.notes) - number
        if palette.width_pt(longer) > width - (palette.width_pt("; and 9 more") if left > 1 else 0):
            return f"{told}; and {left} more"
        told = longer
    return told


def _entries(found: Comparison) -> list[tuple[Any, str]]:
    """The key: a line for each target, and the hatch."""
    handles: list[tuple[Any, str]] = [
        (
            Line2D([], [], linewidth=1.8, **palette.recording_stroke(index).style),
            f"{palette.legible(name, NAME_LIMIT)[0]}: {_middle(found, name)}",
        )
        for index, name in enumerate(found.targets)
    ]
    return [*handles, (Patch(**UNSEEN), "too small to be seen")]


def _middle(found: Comparison, name: str) -> str:
    middle = found.middle(name)
    return "no number" if math.isnan(middle) else quantity(found.metric, middle)


def _explain(ax: Axes, entries: Sequence[tuple[Any, str]]) -> float:
    """The key, above both panels; how high it is, in points."""
    width, _ = palette.size_pt(ax)
    shown = [palette.legible(text, 60) for _, text in entries]
    columns = palette.key_columns([text for text, _ in shown], width - 8, handle_pt=48)
    legend = ax.legend(
        [handle for handle, _ in entries],
        [text for text, _ in shown],
        ncols=columns,
        **{**KEY, "loc": "upper left", "borderaxespad": 0.0},
    )
    for word, (_, families) in zip(legend.get_texts(), shown, strict=True):
        word.set(fontfamily=families, parse_math=False)
    return -(-len(shown) // columns) * KEY_LINE_PT + 6


def _panels(ax: Axes, head_pt: float) -> tuple[Axes, Axes]:
    """Beside each other, below the key."""
    width, height = palette.size_pt(ax)
    left, between, below = (
        min(pt, 0.2 * of) / of for pt, of in ((LEFT_PT, width), (BETWEEN_PT, width), (BELOW_PT, height))
    )
    tall = max(0.2, 1 - below - head_pt / height)
    wide = (1 - left - between) * SHARE
    runs = ax.inset_axes((left, below, wide, tall))
    differences = ax.inset_axes((left + wide + between, below, 1 - left - between - wide, tall))
    for inner, label, spines in ((runs, "_runs", ("left", "bottom")), (differences, "_differences", ("bottom",))):
        inner.set_label(label)
        inner.patch.set_visible(False)
        for side, spine in inner.spines.items():
            spine.set_visible(side in spines)
            spine.set_color(MUTED)
        inner.tick_params(labelsize=NOTE_PT, color=MUTED, labelcolor=INK)
        inner.xaxis.set_major_formatter(palette.plain_numbers())
        inner.yaxis.set_major_formatter(palette.plain_numbers())
    return runs, differences


def _draw_runs(inner: Axes, found: Comparison) -> None:
    known = {name: np.sort(found.known(name)) for name in found.targets}
    palette.name_axis(inner.xaxis, _axis(found.metric))
    inner.set_ylabel("runs within that (%)", fontsize=LABEL_PT)
    inner.set_ylim(0, 102)
    inner.yaxis.set_major_locator(FixedLocator([0, 50, 100]))
    every = np.concatenate(list(known.values()))
    if not every.size:
        palette.say_instead(inner, [("", f"no run has {found.metric}")])
        return
    _set_scale(inner, every)
    level = None if found.at == "mean" else found.at
    for index, (name, values) in enumerate(known.items()):
        if not values.size:
            continue
        stroke = palette.recording_stroke(index)
        share = np.arange(1, values.size + 1) / values.size * 100
        inner.plot(
            np.append(values[0], values),
            np.append(0, share),
            drawstyle="steps-post",
            linewidth=1.8,
            label=f"_{name}",
            **stroke.style,
        )
        middle = found.middle(name)
        height = float(np.interp(middle, values, share)) if level is None else level
        inner.plot([middle], [height], "o", color=stroke.colour, markeredgecolor="white", markersize=6.5, label="_at")


def _axis(metric: str) -> str:
    """`first piece (ms)`."""
    called = CALLED.get(metric, (metric,))[0]
    unit = next((unit for unit in PER if metric.endswith(unit) and called != metric), "")
    return f"{called} ({unit.removeprefix('_')})" if unit else called


def _set_scale(inner: Axes, values: Any) -> None:
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > LOG_FROM * low:
        inner.set_xscale("log")
        inner.set_xlim(low / 1.1, high * 1.1)
        inner.xaxis.set_major_locator(LogLocator(numticks=6))
        inner.xaxis.set_minor_locator(NullLocator())
        inner.xaxis.set_major_formatter(palette.plain_numbers())
        return
    room = 0.05 * (high - low) or max(abs(high) * 0.1, 0.5)
    inner.set_xlim(low - room, high + room)
    _few_ticks(inner, low - room, high + room)


def _few_ticks(inner: Axes, low: float, high: float) -> None:
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
    inner.xaxis.set_major_locator(FixedLocator([at for at in ticks if low <= at <= high]))


def _draw_differences(inner: Axes, found: Comparison) -> None:
    base, _ = palette.legible(found.base, 16)
    palette.name_axis(inner.xaxis, f"difference to {base}{_unit(found.metric)}")
    inner.set_yticks([])
    shown = [each for each in found.others if not math.isnan(each.low)]
    if not shown:
        palette.say_instead(inner, [("", "nothing to compare")])
        return
    inner.set_ylim(len(found.others) - 0.5, -0.5)
    ends = [0.0, *(end for each in shown for end in (each.low, each.high))]
    seen = [min(each.least, 3 * max(map(abs, ends)) or each.least) for each in shown]
    low, high = min([*ends, *(-least for least in seen)]), max([*ends, *seen])
    room = 0.06 * (high - low) or 1.0
    inner.set_xlim(low - room, high + room)
    _few_ticks(inner, low - room, high + room)
    inner.axvline(0, color=MUTED, linewidth=1, zorder=2, label="_none")
    _, height = palette.size_pt(inner)
    for row, each in enumerate(found.others):
        _draw_row(inner, row, each, found, len(found.others) / max(height, 1.0))


def _unit(metric: str) -> str:
    unit = next((unit for unit in PER if metric.endswith(unit)), "")
    return f" ({unit.removeprefix('_')})" if unit else ""


def _draw_row(inner: Axes, row: int, each: Against, found: Comparison, per_pt: float) -> None:
    """`per_pt`: how many rows are a point high."""
    stroke = palette.recording_stroke(found.targets.index(each.name))
    name, families = palette.legible(each.name, 18)
    told = each.verdict if math.isnan(each.low) else f"{span(found.metric, each.low, each.high)}, {each.verdict}"
    inner.annotate(
        f"{name}: {told}",
        (0, row),
        xycoords=("axes fraction", "data"),
        xytext=(0, UNSEEN_PT / 2 + 2),
        textcoords="offset points",
        fontsize=NOTE_PT,
        color=INK,
        fontfamily=families,
        parse_math=False,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # the line at 0 ends below it
        zorder=5,
        label="_told",
    )
    if math.isnan(each.low):
        return
    inner.barh(row, 2 * each.least, left=-each.least, height=UNSEEN_PT * per_pt, zorder=1, label="_unseen", **UNSEEN)
    inner.barh(
        row,
        each.high - each.low,
        left=each.low,
        height=BAR_PT * per_pt,
        facecolor=stroke.colour if each.real else "white",
        edgecolor=stroke.colour,
        linewidth=1.2,
        zorder=3,
        label="_interval",
    )
    mark: dict[str, Any] = {"color": stroke.colour, "markeredgecolor": "white", "markersize": 7, "zorder": 4}
    inner.plot([each.difference], [row], "o", label="_difference", **mark)

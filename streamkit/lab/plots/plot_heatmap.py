"""A sweep as a map: two parameters, and in each field the median of a number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from matplotlib.patches import Rectangle

from streamkit.lab.findings.sweep import (
    Better,
    SweepFacts,
    describe_sweep,
    ordered,
    quantity,
    sweep_facts,
    value_name,
)
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import INK, MUTED, NOTE_PT, WIDTH_IN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from streamkit.lab.sweep import Sweep

__all__ = ["heatmap"]

ROW_IN: Final = 0.5
FRAME_IN: Final = 1.3  # title, axis and note
TALLEST_IN: Final = 7.0
LOG_FROM: Final = 30.0  # as in plot_sweep: from here on shades tell ratios
NAME_LIMIT: Final = 24
NONE: Final = palette.Fill("#FFFFFF", "////", "#D2D2D2")  # no such setting, or no number of it


class _Map(NamedTuple):
    facts: SweepFacts
    xs: Sequence[object]
    ys: Sequence[object]
    fields: dict[tuple[int, int], int]  # column and row → which setting of the facts


def heatmap(
    swept: Sweep,
    ax: Axes | None = None,
    *,
    value: str | None = None,
    x: str | None = None,
    y: str | None = None,
    better: Better = "lower",
    title: str | None = None,
) -> Axes:
    """The median of a number for each combination of two parameters of a sweep, as a map of shades and numbers.

        sk.plots.heatmap(swept, value="held_ms", x="buffer", y="policy")

    swept    a `Sweep`. Parameters other than `x` and `y` are pooled; `swept.where(…)` takes a part
    value    a number of the trials; by default the first one
    x, y     parameters of the grid; by default the first two
    better   which values are better: "lower" (the default) or "higher"

    The lighter a field, the better. The best one has a solid frame; those that are not surely worse
    (`findings.sweep_facts`) have a dashed one. A hatched field: there was no such setting, or none of its trials has
    the number. If values differ more than thirtyfold, the shades show ratios.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    Raises TypeError for what is not a sweep, ValueError for names that it does not have and for a grid with a single
    parameter.
    """
    facts = sweep_facts(swept, value, x, y, better=better)
    if facts.by is None:
        raise ValueError(f"expected a grid of two parameters or more, got one of {facts.x}: plots.sweep draws it")
    made = _made(facts)
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, min(TALLEST_IN, FRAME_IN + ROW_IN * len(made.ys)))
    palette.name_axis(ax.xaxis, facts.x)
    palette.name_axis(ax.yaxis, facts.by)
    ax.set_xlim(-0.5, len(made.xs) - 0.5)
    ax.set_ylim(-0.5, len(made.ys) - 0.5)
    _name_rows(ax, made.ys)
    palette.settle(ax)
    palette.dress(ax, describe_sweep(facts) if title is None else title, spines=[])
    _name_columns(ax, made.xs)
    ax.tick_params(length=0)
    palette.note_below(ax, _note(facts))
    palette.settle(ax)
    _name_rows(ax, made.ys)
    _draw(ax, made)
    return ax


def _made(facts: SweepFacts) -> _Map:
    xs = ordered(dict.fromkeys(each.setting[0][1] for each in facts.settings))
    ys = ordered(dict.fromkeys(each.setting[1][1] for each in facts.settings))
    fields = {(xs.index(each.setting[0][1]), ys.index(each.setting[1][1])): i for i, each in enumerate(facts.settings)}
    return _Map(facts, xs, ys, fields)


def _draw(ax: Axes, made: _Map) -> None:
    facts = made.facts
    width, height = palette.size_pt(ax)
    room, high = width / len(made.xs) - 6, height / len(made.ys)
    words = {index: quantity(facts.y, each.median) for index, each in enumerate(facts.settings) if each.values}
    fits = high > NOTE_PT + 4 and all(palette.width_pt(text) <= room for text in words.values())
    shares = _shares(facts)
    open_ones = set(facts.open) if facts.repeats > 1 else set()
    for column, row in product(range(len(made.xs)), range(len(made.ys))):
        index = made.fields.get((column, row))
        if index is None or index not in words:
            _hatch(ax, column, row, "failed" if fits and index is not None and facts.settings[index].failed else "")
            continue
        fill, ink = palette.heat(shares[index])
        ax.add_patch(_field(column, row, facecolor=fill, edgecolor="white", linewidth=0.8, label="_field"))
        if fits:
            _write(ax, column, row, words[index], ink)
        if index == facts.best:
            ax.add_patch(_frame(column, row, ink, "-", label="_best"))
        elif index in open_ones:
            ax.add_patch(_frame(column, row, ink, (0, (3, 2)), label="_open"))


def _shares(facts: SweepFacts) -> dict[int, float]:
    """How good each is, from 0, the worst, to 1."""
    medians = {index: each.median for index, each in enumerate(facts.settings) if each.values}
    if not medians:
        return {}
    values = np.array(list(medians.values()))
    if _by_ratios(values):
        values = np.log(values)
    span = float(np.ptp(values)) or 1.0
    shares = (values - values.min()) / span
    good = 1 - shares if facts.better == "lower" else shares
    return dict(zip(medians, good.tolist(), strict=True))


def _by_ratios(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    return bool(values.min() > 0 and values.max() > LOG_FROM * values.min())


def _note(facts: SweepFacts) -> str:
    medians = np.array([each.median for each in facts.settings if each.values])
    told = f"{facts.trials:,} trials"
    if facts.pooled:
        told += f", over all {', '.join(facts.pooled)}"
    if medians.size:
        low, high = quantity(facts.y, float(medians.min())), quantity(facts.y, float(medians.max()))
        light, dark = (low, high) if facts.better == "lower" else (high, low)
        told = f"median {facts.y}: light {light}, dark {dark}; frame: best, dashed: may be as good; {told}"
    if facts.doubtful:
        told += f", {facts.doubtful} not to be quoted"
    if facts.failed:
        told += f", {facts.failed} failed"
    return told


def _field(column: int, row: int, **style: object) -> Rectangle:
    return Rectangle((column - 0.5, row - 0.5), 1, 1, **style)  # type: ignore[arg-type]  # its options are typed one by one


def _frame(column: int, row: int, ink: str, line: object, label: str) -> Rectangle:
    at = (column - 0.47, row - 0.45)
    return Rectangle(at, 0.94, 0.9, fill=False, edgecolor=ink, linewidth=1.6, linestyle=line, zorder=3, label=label)


def _hatch(ax: Axes, column: int, row: int, word: str) -> None:
    style = {"facecolor": NONE.colour, "edgecolor": NONE.line, "hatch": NONE.hatch, "linewidth": 0.0}
    ax.add_patch(_field(column, row, label="_none", **style))
    if word:
        ax.text(column, row, word, ha="center", va="center", fontsize=NOTE_PT, color=INK, backgroundcolor="white")


def _write(ax: Axes, column: int, row: int, text: str, ink: str) -> None:
    ax.text(
        column,
        row,
        text,
        ha="center",
        va="center",
        fontsize=NOTE_PT,
        color=ink,
        parse_math=False,
        zorder=4,
        label="_cell",
    )


def _name_columns(ax: Axes, xs: Sequence[object]) -> None:
    width, _ = palette.size_pt(ax)
    names = [palette.legible(value_name(value), NAME_LIMIT) for value in xs]
    widest = max(palette.width_pt(name, palette.TICK_PT) for name, _ in names) + 8
    shown = list(range(0, len(xs), max(1, int(np.ceil(widest * len(xs) / max(width, 1))))))
    ax.set_xticks(shown, labels=[names[place][0] for place in shown], color=MUTED)
    for label, place in zip(ax.get_xticklabels(), shown, strict=True):
        label.set_fontfamily(names[place][1])
        label.set_parse_math(False)


def _name_rows(ax: Axes, ys: Sequence[object]) -> None:
    _, height = palette.size_pt(ax)
    step = max(1, int(np.ceil(len(ys) * (palette.TICK_PT + 4) / max(height, 1))))
    shown = list(range(0, len(ys), step))
    names = [palette.legible(value_name(ys[place]), NAME_LIMIT) for place in shown]
    ax.set_yticks(shown, labels=[name for name, _ in names])
    for label, (_, families) in zip(ax.get_yticklabels(), names, strict=True):
        label.set_fontfamily(families)
        label.set_parse_math(False)

"""A sweep: every trial, the median of each setting, and how far each is surely from the best one.

x is a parameter of the grid, its values side by side, and at each of them those of `by`. Differences to the best
setting are drawn on the same scale, as bars about the line at its median: where a bar touches the line, that setting
may be as good.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from streamkit.lab.findings.sweep import Better, SettingFacts, SweepFacts, describe_sweep, sweep_facts, value_name
from streamkit.lab.findings.words import many, short
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import INK, LINE_PT, MUTED, NOTE_PT, WIDTH_IN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from streamkit.lab.sweep import Sweep

__all__ = ["sweep"]

HEIGHT_IN: Final = 4.0
GROUP: Final = 0.8  # of the way from one value of x to the next
MARGIN: Final = 0.12  # of a setting's place, before its points
POINTS: Final = 0.55  # of a setting's place; beside them is the bar of its difference
LOG_FROM: Final = 30.0  # how many times the least value the largest is, from which the scale is one of ratios
MANY: Final = 40  # points of a setting, from which they are drawn pale
SHAPES: Final = "osD^"  # four, and five colours: twenty settings before a pair comes back
NAME_LIMIT: Final = 28
NARROW_PT: Final = 7.0  # a setting that has less room shows its range, and its mark at its median


def sweep(
    swept: Sweep,
    ax: Axes | None = None,
    *,
    y: str | None = None,
    x: str | None = None,
    by: str | None = None,
    better: Better = "lower",
    title: str | None = None,
) -> Axes:
    """Every trial of a sweep: its number `y` over the values of the parameter `x`, in colours by the parameter `by`.

        sk.plots.sweep(swept, y="held_ms", x="buffer", by="policy")

    swept    a `Sweep`. Parameters other than `x` and `by` are pooled; `swept.where(…)` takes a part
    y        a number of the trials; by default the first one
    x, by    parameters of the grid; by default the first two. The values of `x` are evenly spaced
    better   which values are better: "lower" (the default) or "higher"

    Each point is a trial; in each place they go from the first round at the left to the last at the right. The vertical
    line reaches from the smallest to the largest, the short level one is the median. The dashed line is the median of
    the best setting. The bar beside the points is the 95 % interval of the difference to the best setting, compared
    within rounds: full if there surely is a difference, empty if it touches the dashed line, or might: this setting may
    be as good. With fewer than six rounds there are no bars, nor where many settings leave little room for each; then a
    mark is a median. A cross on the axis: trials failed there. If values differ more than thirtyfold, y has a log
    scale.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    Raises TypeError for what is not a sweep, ValueError for names that it does not have.
    """
    facts = sweep_facts(swept, y, x, by, better=better)
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, HEIGHT_IN)
    xs = list(dict.fromkeys(each.setting[0][1] for each in facts.settings))
    palette.name_axis(ax.xaxis, facts.x)
    palette.name_axis(ax.yaxis, facts.y)
    ax.set_xlim(-0.5, len(xs) - 0.5)
    if facts.best is not None:
        _set_scale(ax, facts, 2 * LINE_PT)  # its numbers take their room beside the frame before the title is broken
    _name_values(ax, xs)
    ax.tick_params(labelsize=palette.TICK_PT)
    palette.settle(ax)
    palette.dress(ax, describe_sweep(facts) if title is None else title, spines=["left", "bottom"])
    _name_values(ax, xs)
    palette.note_below(ax, note_of_trials(facts))
    if facts.best is None:
        palette.say_instead(ax, [("", f"no trial gave {facts.y}")])
        ax.set_yticks([])
        return ax
    bys: list[object] = list(dict.fromkeys(each.setting[-1][1] for each in facts.settings)) if facts.by else [None]
    roomy = palette.size_pt(ax)[0] * GROUP / len(bys) / len(xs) >= NARROW_PT
    entries = _entries(facts, bys, roomy)
    _set_scale(ax, facts, _head_pt(ax, entries))
    best = facts.settings[facts.best].median
    ax.axhline(best, color=MUTED, linestyle=(0, (4, 3)), linewidth=1, zorder=1, label="_best")
    places = [_place(each, xs, bys) for each in facts.settings]
    for index in range(len(bys)):
        shown = [(each, at) for each, at in zip(facts.settings, places, strict=True) if at.by == index]
        _draw_series(ax, shown, index, roomy)
        if roomy:
            _draw_differences(ax, shown, index, best)
    ax.legend(
        [handle for handle, _ in entries],
        [text for _, text in entries],
        ncols=_columns(ax, entries),
        **{**palette.KEY, "columnspacing": 1.4},
    )
    for text, (_, name) in zip(ax.get_legend().get_texts(), entries, strict=True):  # type: ignore[union-attr]  # made above
        text.set_fontfamily(palette.legible(name, len(name) + 1)[1])
    return ax


def note_of_trials(facts: SweepFacts) -> str:
    """How much there was, and what failed."""
    rounds = many(facts.repeats, "round")
    told = f"{many(facts.trials, 'trial')} in {rounds}, shuffled"
    if facts.pooled:
        told += f"; over all {', '.join(facts.pooled)}"
    if facts.doubtful:
        told += f"; {facts.doubtful} not to be quoted"
    if facts.failed:
        told += f"; {facts.failed} failed: {short(facts.reasons[0], 60)}"
    return told


class _Place(NamedTuple):
    """Where a setting is drawn: its points from `left` to `right`, its bar beside them."""

    by: int
    left: float
    right: float
    width: float

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2


def _place(each: SettingFacts, xs: Sequence[object], bys: Sequence[object]) -> _Place:
    width = GROUP / len(bys)
    by = bys.index(each.setting[1][1]) if len(each.setting) > 1 else 0
    left = xs.index(each.setting[0][1]) - GROUP / 2 + (by + MARGIN) * width
    return _Place(by, left, left + POINTS * width, width)


def _draw_series(ax: Axes, shown: Sequence[tuple[SettingFacts, _Place]], index: int, roomy: bool) -> None:
    """All settings of one colour: trials, from the first round at the left to the last; range and median; crosses."""
    colour = palette.recording_stroke(index).colour
    told = [(each, at) for each, at in shown if each.values]
    if not told:
        _draw_failed(ax, shown)
        return
    middles = [at.middle for _, at in told]
    lows, highs = [min(each.values) for each, _ in told], [max(each.values) for each, _ in told]
    ax.vlines(middles, lows, highs, colors=colour, linewidth=1, alpha=0.6, zorder=2, label="_spread")
    medians = [each.median for each, _ in told]
    mark: dict[str, Any] = {"linestyle": "none", "marker": SHAPES[index % len(SHAPES)], "color": colour}
    mark |= {"markeredgecolor": "white", "markeredgewidth": 0.4}
    if roomy:
        few = all(len(each.values) < MANY for each, _ in told)
        x = [place for each, at in told for place in _over_rounds(each, at)]
        y = [value for each, _ in told for value in each.values]
        size, alpha = (4.5, 0.9) if few else (3, 0.5)
        ax.plot(x, y, **mark, markersize=size, alpha=alpha, zorder=3, label="_trials")
        left, right = zip(*((at.left - 0.03 * at.width, at.right + 0.03 * at.width) for _, at in told), strict=True)
        ax.hlines(medians, left, right, colors=INK, linewidth=2.2, zorder=5, label="_median")
    else:
        ax.plot(middles, medians, **mark, markersize=4, zorder=5, label="_median")
    _draw_failed(ax, shown)


def _draw_failed(ax: Axes, shown: Sequence[tuple[SettingFacts, _Place]]) -> None:
    failed = [at.middle for each, at in shown if each.failed]
    if failed:  # a line without points, where it is not clipped, has its place at zero all the same
        style: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False, "zorder": 6}
        ax.plot(failed, [0.0] * len(failed), "x", color=INK, label="_failed", **style)


def _over_rounds(each: SettingFacts, at: _Place) -> list[float]:
    if len(each.values) == 1:
        return [at.middle]
    last = max(each.repeats) or 1
    return [at.left + (at.right - at.left) * repeat / last for repeat in each.repeats]


def _draw_differences(ax: Axes, shown: Sequence[tuple[SettingFacts, _Place]], index: int, best: float) -> None:
    """About the line of the best one: full where surely apart from it."""
    colour = palette.recording_stroke(index).colour
    for apart in (True, False):
        bars = [
            (at.right + 0.16 * at.width, best + one.low, best + one.high)
            for each, at in shown
            if (one := each.difference) is not None and one.low is not None and one.high is not None
            if one.apart == apart
        ]
        if bars:
            x, low, high = map(np.array, zip(*bars, strict=True))
            ax.bar(
                x,
                high - low,
                width=0.14 * shown[0][1].width,
                bottom=low,
                facecolor=colour if apart else "white",
                edgecolor=colour,
                linewidth=1.2,
                zorder=4,
                label="_apart" if apart else "_open",
            )


def _name_values(ax: Axes, xs: Sequence[object]) -> None:
    """At each place its value; where they are too wide, only so many as have room."""
    width, _ = palette.size_pt(ax)
    names = [palette.legible(value_name(value), NAME_LIMIT) for value in xs]
    widest = max(palette.width_pt(name, palette.TICK_PT) for name, _ in names) + 8
    step = max(1, int(np.ceil(widest * len(xs) / max(width, 1))))
    shown = list(range(0, len(xs), step))
    ax.set_xticks(shown, labels=[names[place][0] for place in shown])
    for label, place in zip(ax.get_xticklabels(), shown, strict=True):
        label.set_fontfamily(names[place][1])
        label.set_parse_math(False)


def _set_scale(ax: Axes, facts: SweepFacts, head_pt: float) -> None:
    """From zero, or of ratios; with room for the key above everything."""
    _, height = palette.size_pt(ax)
    best = facts.settings[facts.best or 0].median
    values = [value for each in facts.settings for value in each.values]
    ends = [
        best + end
        for each in facts.settings
        if each.difference is not None
        for end in (each.difference.low, each.difference.high)
        if end is not None
    ]
    share = max(0.3, (height - head_pt) / height)  # of the frame is for the values
    low, high = min(values), max([*values, *ends])
    if low > 0 and high > LOG_FROM * low:
        low = min([low, *(end for end in ends if end > low / 3)])
        ax.set_yscale("log")
        begin, end = np.log10(low) - 0.05, np.log10(high) + 0.03
        ax.set_ylim(10**begin, 10 ** (begin + (end - begin) / share))
        ax.yaxis.set_major_locator(FixedLocator([10.0**n for n in range(math.ceil(begin), math.floor(end + 0.1) + 1)]))
        ax.yaxis.set_minor_locator(NullLocator())
    else:
        low = min([0.0, *values, *ends])
        room = high - low or 1.0
        begin = low - 0.03 * room if low < 0 else 0.0
        ax.set_ylim(begin, begin + (high + 0.03 * room - begin) / share)
        ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(begin, high + 0.03 * room)
        ax.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if begin <= tick <= high + 0.1 * room]))
    ax.yaxis.set_major_formatter(palette.plain_numbers())


def _entries(facts: SweepFacts, bys: Sequence[object], roomy: bool) -> list[tuple[Any, str]]:
    entries: list[tuple[Any, str]] = []
    for index, value in enumerate(bys):
        name = (
            ("a trial" if roomy else "median")
            if facts.by is None
            else palette.legible(f"{facts.by}={value_name(value)}", NAME_LIMIT)[0]
        )
        marker = SHAPES[index % len(SHAPES)]
        colour = palette.recording_stroke(index).colour
        entries.append((Line2D([], [], linestyle="none", marker=marker, color=colour, markersize=5), name))
    if roomy:
        entries.append((Line2D([], [], color=INK, linewidth=2.2), "median"))
    entries.append((Line2D([], [], color=MUTED, linestyle=(0, (4, 3)), linewidth=1), "the best one's"))
    differences = [each.difference for each in facts.settings if each.difference is not None and roomy]
    grey = palette.MUTED
    if any(one.apart for one in differences):
        entries.append((Patch(facecolor=grey, edgecolor=grey), "surely differs by (95 %)"))
    if any(one.low is not None and not one.apart for one in differences):
        entries.append((Patch(facecolor="white", edgecolor=grey), "may not differ (95 %)"))
    if any(each.failed for each in facts.settings):
        entries.append((Line2D([], [], linestyle="none", marker="x", color=INK), "trials failed"))
    return entries


def _columns(ax: Axes, entries: Sequence[tuple[Any, str]]) -> int:
    return palette.key_columns((text for _, text in entries), palette.size_pt(ax)[0] - 8, handle_pt=42)


def _head_pt(ax: Axes, entries: Sequence[tuple[Any, str]]) -> float:
    return -(-len(entries) // _columns(ax, entries)) * (LINE_PT + 3) + NOTE_PT

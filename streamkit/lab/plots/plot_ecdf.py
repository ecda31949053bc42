"""How a number of many streams is distributed, a curve for each group of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from streamkit.lab.findings.ecdf import CALLED, SINCE, Group, Grouped, Metric, describe_ecdf, groups_in
from streamkit.lab.findings.words import duration
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import FRAME_PT, KEY, LABEL_PT, LINE_PT, PERCENTILES, WIDTH_IN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ecdf"]

FRAME_TALL_PT: Final = 200.0
MOST_STEPS: Final = 2000  # more cannot be seen
KEY_LINE_PT: Final = LINE_PT + 3


def ecdf(
    streams: Grouped,
    ax: Axes | None = None,
    *,
    by: str | Sequence[str] | None = None,
    metric: Metric = "ttft",
    title: str | None = None,
) -> Axes:
    """How a number of many streams is distributed: the share of streams up to x ms (an ECDF), one curve per group.

        >>> two = [sk.Recording.from_pieces([(ms * 1_000_000, "x")], labels={"ms": ms}) for ms in (20, 90)]
        >>> sk.plots.ecdf(two, by="ms").get_title("left")
        'The p50 of the time to the first piece is 90 ms with ms=90, and 20 ms with ms=20'

    streams   a `RecordingSet`, recordings, or a mapping from names to sets, which are then the groups
    by        a label of the recordings, or several: one curve for each of their values (`RecordingSet.by`), at most
              ten. None: all streams are one group
    metric    "ttft": the time to the first piece, from when the request was due if all have such a time, otherwise from
              when it was sent; "ttft_due" and "ttft_sent" choose one; "gap": all gaps between reads; "duration"

    x has a log scale. p50, p95 and p99 by nearest rank are marked, and the key has their values and how many streams
    are in the curve; a stream whose number is not known is in no curve.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    Raises ValueError for no streams and for too many groups, TypeError for anything else.
    """
    groups = groups_in(streams, by, metric)
    texts = [_entry(group) for group in groups]
    if ax is None:
        tall = FRAME_PT + FRAME_TALL_PT + len(groups) * KEY_LINE_PT
        ax = palette.new_axes(WIDTH_IN, tall / 72)
    measured = groups[0].metric
    since = f"{CALLED[measured]} {SINCE[measured]}"
    ax.set_xlabel(f"{since} (ms, log scale)")
    ax.set_ylabel(f"{'gaps' if measured == 'gap' else 'streams'} within that (%)", fontsize=LABEL_PT)
    palette.settle(ax)
    palette.dress(ax, describe_ecdf(groups) if title is None else title, spines=["left", "bottom"])
    palette.note_below(ax, f"verdict{'' if len(groups) == 1 else ', the worst'}: {_worst(groups)}")
    palette.settle(ax)
    there = [group for group in groups if group.values.size]
    if not there:
        ax.set_yticks([])
        why = [(group.name, f"no {CALLED[measured]} ({group.streams:,} streams)") for group in groups]
        palette.say_instead(ax, why)
        return ax
    _set_frame(ax, there, _explain(ax, groups, texts))
    for index, group in enumerate(groups):
        _draw(ax, index, group)
    return ax


def _worst(groups: Sequence[Group]) -> str:
    levels = ("do not quote", "limited", "good")
    return min((group.verdict for group in groups), key=lambda verdict: levels.index(verdict.level)).brief


def _entry(group: Group) -> str:
    if not group.values.size:
        return f"{group.name or 'all'}: none of {group.streams:,}"
    told = " / ".join(duration(group.value_ns(q), unit=False) for q, _ in PERCENTILES)
    return f"{group.name or 'all'} ({group.values.size:,}): {told} ms"


def _explain(ax: Axes, groups: Sequence[Group], texts: Sequence[str]) -> int:
    """The key, above the curves; how many lines it has. Its head is the last entry: which numbers stand there."""
    head = "p50 / p95 / p99"
    mark = Line2D([], [], linestyle="none", marker=PERCENTILES[0][1], color=palette.MUTED, markersize=4.5)
    handles = [
        *(Line2D([], [], linewidth=1.8, **palette.recording_stroke(index).style) for index in range(len(groups))),
        mark,
    ]
    shown = [palette.legible(text, 70) for text in [*texts, f"in each: {head}"]]
    width, _ = palette.size_pt(ax)
    columns = palette.key_columns([text for text, _ in shown], width - 8, handle_pt=48)
    legend = ax.legend(handles, [text for text, _ in shown], ncols=columns, **{**KEY, "borderaxespad": 0.3})
    for word, (_, families) in zip(legend.get_texts(), shown, strict=True):
        word.set(fontfamily=families, parse_math=False)
    return -(-len(shown) // columns)


def _set_frame(ax: Axes, groups: Sequence[Group], lines: int) -> None:
    _, height = palette.size_pt(ax)
    free = max(height - lines * KEY_LINE_PT - 8, height / 3) / height
    ax.set_ylim(0, 102 / free)
    ax.yaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 100]))
    low = np.log10(min(palette.log_ms(int(group.values[0])) for group in groups)) - 0.06
    high = np.log10(max(palette.log_ms(int(group.values[-1])) for group in groups)) + 0.06
    short = max(0.0, 0.8 - (high - low)) / 2
    ax.set_xscale("log")
    ax.set_xlim(10 ** (low - short), 10 ** (high + short))
    width, _ = palette.size_pt(ax)
    roomy = width / (high - low + 2 * short) > 110  # points in a decade
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if roomy else (1.0,), numticks=20))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(palette.plain_numbers())  # a log scale brings its own
    ax.hlines([50, 95, 99], *ax.get_xlim(), color=palette.GRID, linewidth=0.8, zorder=0)


def _draw(ax: Axes, index: int, group: Group) -> None:
    count = group.values.size
    if not count:
        return
    stroke = palette.recording_stroke(index)
    place = np.unique(np.linspace(0, count - 1, min(count, MOST_STEPS)).astype(np.int64))
    ms = np.maximum(group.values[place] / 1e6, palette.log_ms(0))
    share = (place + 1) / count * 100
    ax.plot(
        np.append(ms[0], ms),
        np.append(0, share),
        drawstyle="steps-post",
        linewidth=1.8,
        label=f"_{group.name or 'all'}",
        **stroke.style,
    )
    for q, marker in PERCENTILES:
        x = palette.log_ms(group.value_ns(q))
        ax.plot([x], [q], marker, color=stroke.colour, markeredgecolor="white", markersize=6.5, label=f"_p{q}")

"""The delays of the hops: one row per hop, several recordings side by side within it.

The vertical unit inside the frame is the point, counted from the top: rows, words and bars keep their distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from streamkit.lab.findings.hops import describe_hops
from streamkit.lab.findings.journey import HopFacts, Journey, journeys
from streamkit.lab.findings.subjects import Recordings
from streamkit.lab.findings.words import duration
from streamkit.lab.metrics import percentile_ns
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import FRAME_PT, INK, LINE_PT, MUTED, NOTE_PT, PERCENTILES, WIDTH_IN, log_ms, width_pt
from streamkit.taps import TAPS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["hops"]

COLUMN_PT: Final = 48.0
BAND_PT: Final = 15.0  # one recording's row
GAP_PT: Final = 9.0  # between hops
WHOLE: Final = "all the way"


def hops(recordings: Recordings, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """How long events took from tap to tap: one row per hop, x in ms on a log scale from 1 µs on.

        sk.plots.hops({"alone": one, "together": other})

    A thin line reaches from the shortest delay to the longest, a bar from p5 to p95, the hatched one from p25 to p75;
    p50, p95 and p99 (nearest rank) are marked, their values stand at the right. What is shorter than 1 µs, or negative
    (a send may return after the other end has read), is drawn there and written as it is. The last row is from the
    first tap to the last.

    Takes one `Recording`, several, or a mapping from names to recordings; ValueError for none, TypeError for others.
    """
    shown = journeys(recordings)
    groups = _groups(shown)
    if ax is None:
        bands = sum(len(group.bands) for group in groups)
        ax = palette.new_axes(
            WIDTH_IN, max(2.4, (FRAME_PT + _head(shown) + bands * BAND_PT + len(groups) * GAP_PT) / 72)
        )
    ax.set_xlabel("delay from tap to tap (ms, log scale)")
    _name_rows(ax, groups)
    palette.settle(ax)
    palette.dress(ax, describe_hops(shown) if title is None else title, spines=["bottom"])
    palette.trust_below(ax, [journey.trust for journey in shown])
    if not groups:
        return _nothing(ax, shown)
    palette.settle(ax)
    _, height = palette.size_pt(ax)
    head = _head(shown)
    stretch = max(0.2, (height - head) / sum(group.height for group in groups))
    ax.set_ylim(height, 0)
    _limit(ax, groups)
    if len(shown) > 1:
        _explain(ax, shown)
    _write_heads(ax, head)
    middles, top = [], head
    for index, group in enumerate(groups):
        if index:
            ax.axhline(top, color=palette.GRID, linewidth=0.8, zorder=0, label="_border")
        for row, (number, hop) in enumerate(group.bands):
            y = top + (GAP_PT / 2 + (row + 0.5) * BAND_PT) * stretch
            look = _look(hop, group.name == WHOLE, number if len(shown) > 1 else None)
            _draw_band(ax, y, hop, look, tall=min(10.0, 0.7 * BAND_PT * stretch))
        middles.append(top + group.height * stretch / 2)
        top += group.height * stretch
    ax.set_yticks(middles, labels=[group.name for group in groups])
    return ax


class _Group(NamedTuple):
    """A hop, and which recordings have it."""

    name: str
    bands: list[tuple[int, HopFacts]]

    @property
    def height(self) -> float:
        return len(self.bands) * BAND_PT + GAP_PT


def _groups(shown: Sequence[Journey]) -> list[_Group]:
    found: dict[tuple[int, int], _Group] = {}
    for number, journey in enumerate(shown):
        for hop in journey.hops:
            if hop.delay.size:
                place = (TAPS.index(hop.before), TAPS.index(hop.after))
                found.setdefault(place, _Group(hop.name, [])).bands.append((number, hop))
    groups = [found[place] for place in sorted(found)]
    whole = [(n, one.whole) for n, one in enumerate(shown) if one.whole is not None and one.whole.delay.size]
    return [*groups, _Group(WHOLE, whole)] if len(groups) > 1 else groups


def _head(shown: Sequence[Journey]) -> float:
    """Room above the rows: the columns' names and, of several recordings, a line for each."""
    return LINE_PT + 4 + (len(shown) * (LINE_PT + 1) + 4 if len(shown) > 1 else 0)


def _name_rows(ax: Axes, groups: Sequence[_Group]) -> None:
    """The names in any place, so that the layout knows how wide they are."""
    ax.set_yticks(range(len(groups)), labels=[group.name for group in groups])
    ax.tick_params(axis="y", length=0)


def _limit(ax: Axes, groups: Sequence[_Group]) -> None:
    """At least a factor of ten, and room for three columns of numbers at the right."""
    bands = [hop for group in groups for _, hop in group.bands]
    low = np.log10(min(log_ms(int(hop.delay.min())) for hop in bands)) - 0.08
    high = max(np.log10(max(log_ms(hop.longest_ns) for hop in bands)) + 0.05, low + 1)
    width, _ = palette.size_pt(ax)
    right = low + (high - low) * width / max(width - _columns_pt(), width / 3)
    ax.set_xscale("log")
    ax.set_xlim(10**low, 10**right)
    roomy = width / (right - low) > 110  # points in a decade
    ticks = LogLocator(subs=(1.0, 2.0, 5.0) if roomy else (1.0,), numticks=20).tick_values(10**low, 10**high)
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if tick <= 10**high]))  # none under the numbers
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(palette.plain_numbers())  # a log scale brings its own


def _columns_pt() -> float:
    return len(PERCENTILES) * COLUMN_PT + 8


def _write(ax: Axes, column: int, y: float, text: str) -> None:
    corner = palette.points_from(ax, 1, 1)
    x = (column + 1 - len(PERCENTILES)) * COLUMN_PT
    ax.text(x, -y, text, transform=corner, ha="right", va="center", fontsize=NOTE_PT, color=INK)


def _write_heads(ax: Axes, head: float) -> None:
    y = head - LINE_PT / 2 - 2
    corner = palette.points_from(ax, 1, 1)
    for column, (q, marker) in enumerate(PERCENTILES):
        _write(ax, column, y, f"p{q} ms")
        x = (column + 1 - len(PERCENTILES)) * COLUMN_PT - width_pt(f"p{q} ms") - 5
        ax.plot([x], [-y], marker, color=MUTED, markersize=4, transform=corner, label="_head")


def _look(hop: HopFacts, whole: bool, number: int | None) -> dict[str, Any]:
    """The hop's own fill, in the colour of the tap it waits for, or of the recording at `number` of several."""
    tap = INK if whole else palette.TAP_STROKES[hop.after].colour
    colour = tap if number is None else palette.recording_stroke(number).colour
    fill = {"facecolor": palette.WAIT_FILL} if whole else palette.HOP_FILLS[hop.after].style
    return {**fill, "edgecolor": colour, "linewidth": 1.0}


def _draw_band(ax: Axes, y: float, hop: HopFacts, look: dict[str, Any], tall: float) -> None:
    p5, p25, p75, p95 = (log_ms(percentile_ns(hop.delay, q) or 0) for q in (5, 25, 75, 95))
    ends = [log_ms(int(hop.delay.min())), log_ms(hop.longest_ns)]
    colour = look["edgecolor"]
    ax.plot(ends, [y, y], color=colour, linewidth=1.0, label="_range", zorder=1)
    ax.plot([p5, p95], [y, y], color=colour, linewidth=min(4.0, tall), solid_capstyle="butt", label="_middle", zorder=1)
    ax.add_patch(Rectangle((p25, y - tall / 2), p75 - p25, tall, label="_half", zorder=1.5, **look))
    for column, (q, marker) in enumerate(PERCENTILES):
        value = percentile_ns(hop.delay, q) or 0
        ax.plot(
            [log_ms(value)], [y], marker, color=colour, markeredgecolor="white", markersize=6, label=f"_p{q}", zorder=2
        )
        _write(ax, column, y, duration(value, unit=False))


def _explain(ax: Axes, shown: Sequence[Journey]) -> None:
    strokes = [palette.recording_stroke(number) for number in range(len(shown))]
    names = [palette.legible(journey.name) for journey in shown]
    legend = ax.legend(
        [Line2D([], [], color=stroke.colour, linewidth=4) for stroke in strokes],
        [name for name, _ in names],
        **{**palette.KEY, "borderaxespad": 0.2},
    )
    for text, (_, families) in zip(legend.get_texts(), names, strict=True):
        text.set_fontfamily(families)
        text.set_parse_math(False)


def _nothing(ax: Axes, shown: Sequence[Journey]) -> Axes:
    def why(journey: Journey) -> str:
        return f"no delay ({journey.subject.count or 'no'} {journey.subject.noun}s, {journey.subject.outcome})"

    palette.say_instead(ax, [(journey.name, why(journey)) for journey in shown])
    return ax

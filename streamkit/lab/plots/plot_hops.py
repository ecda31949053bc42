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

from streamkit.lab.findings.hops import describe_hops, hop_journeys
from streamkit.lab.findings.journey import HopFacts, Journey
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
LEAST_NS: Final = 1_000  # where the axis may begin
ARROW_PT: Final = 6.0
BELOW_ZERO: Final = "below 0"


def hops(recordings: Recordings, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """How long events took from tap to tap: one row per hop, x in ms on a log scale from 1 µs on.

        sk.plots.hops({"alone": one, "together": other})

    A thin line reaches from the shortest delay to the longest, a bar from p5 to p95, the hatched one from p25 to p75;
    p50, p95 and p99 (nearest rank) are marked, their values stand at the right. The last row is from the first tap to
    the last. What is shorter than 1 µs or negative (a send may return after the other end has read) has no place on a
    log scale: it is not drawn, an arrow at the left edge says that there is such, percentiles are written as they are,
    and a column tells how many are below 0.

    Takes one `Recording`, several, or a mapping from names to recordings, with taps of the upstream or the relay;
    ValueError for none and for the client's own taps alone (of them a picture of hops would say nothing), TypeError for
    others.
    """
    shown = hop_journeys(recordings)
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
    columns = _Columns.of(groups)
    _write_heads(ax, columns, head)
    middles, top = [], head
    for index, group in enumerate(groups):
        if index:
            ax.axhline(top, color=palette.GRID, linewidth=0.8, zorder=0, label="_border")
        for row, (number, hop) in enumerate(group.bands):
            y = top + (GAP_PT / 2 + (row + 0.5) * BAND_PT) * stretch
            look = _look(hop, group.name == WHOLE, number if len(shown) > 1 else None)
            _draw_band(ax, y, hop, look, tall=min(10.0, 0.7 * BAND_PT * stretch))
            columns.write(ax, y, _numbers(hop))
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


class _Columns(NamedTuple):
    """The numbers at the right of the frame: where each column ends, in points from the right edge, and its head."""

    ends: tuple[float, ...]
    heads: tuple[str, ...]
    width: float

    @classmethod
    def of(cls, groups: Sequence[_Group]) -> _Columns:
        negative = [_numbers(hop)[-1] for group in groups for _, hop in group.bands if _negative(hop)]
        heads = (*(f"p{q} ms" for q, _ in PERCENTILES), *([BELOW_ZERO] if negative else []))
        widths = [COLUMN_PT] * len(PERCENTILES)
        if negative:
            widths.append(max(map(width_pt, [BELOW_ZERO, *negative])) + 14)
        ends = tuple(-sum(widths[number + 1 :]) for number in range(len(widths)))
        return cls(ends, heads, sum(widths) + 8)

    def write(self, ax: Axes, y: float, texts: Sequence[str]) -> None:
        corner = palette.points_from(ax, 1, 1)
        for x, text in zip(self.ends, texts, strict=False):  # the last one may be missing
            ax.text(x, -y, text, transform=corner, ha="right", va="center", fontsize=NOTE_PT, color=INK)


def _negative(hop: HopFacts) -> int:
    return int(np.count_nonzero(hop.delay < 0))


def _numbers(hop: HopFacts) -> list[str]:
    """The percentiles, and how many delays are negative."""
    negative = _negative(hop)
    values = [duration(percentile_ns(hop.delay, q) or 0, unit=False) for q, _ in PERCENTILES]
    return [*values, f"{negative:,} of {hop.delay.size:,}" if negative else ""]


def _limit(ax: Axes, groups: Sequence[_Group]) -> None:
    """At least a factor of ten, and room for the columns of numbers at the right."""
    delays = np.concatenate([hop.delay for group in groups for _, hop in group.bands])
    drawn = delays[delays >= LEAST_NS]
    low = np.log10(log_ms(int(drawn.min()) if drawn.size else LEAST_NS)) - 0.08
    if drawn.size < delays.size:
        low -= 0.12  # room for the arrow
    high = max(np.log10(log_ms(int(delays.max()))) + 0.05, low + 1)
    width, _ = palette.size_pt(ax)
    right = low + (high - low) * width / max(width - _Columns.of(groups).width, width / 3)
    ax.set_xscale("log")
    ax.set_xlim(10**low, 10**right)
    roomy = width / (right - low) > 110  # points in a decade
    ticks = LogLocator(subs=(1.0, 2.0, 5.0) if roomy else (1.0,), numticks=20).tick_values(10**low, 10**high)
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if tick <= 10**high]))  # none under the numbers
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(palette.plain_numbers())  # a log scale brings its own


def _write_heads(ax: Axes, columns: _Columns, head: float) -> None:
    y = head - LINE_PT / 2 - 2
    corner = palette.points_from(ax, 1, 1)
    columns.write(ax, y, columns.heads)
    for (_, marker), end, text in zip(PERCENTILES, columns.ends, columns.heads, strict=False):
        x = end - width_pt(text) - 5
        ax.plot([x], [-y], marker, color=MUTED, markersize=4, transform=corner, label="_head")


def _look(hop: HopFacts, whole: bool, number: int | None) -> dict[str, Any]:
    """The hop's own fill, in the colour of the tap it waits for, or of the recording at `number` of several."""
    tap = INK if whole else palette.TAP_STROKES[hop.after].colour
    colour = tap if number is None else palette.recording_stroke(number).colour
    fill = {"facecolor": palette.WAIT_FILL} if whole else palette.HOP_FILLS[hop.after].style
    return {**fill, "edgecolor": colour, "linewidth": 1.0}


def _draw_band(ax: Axes, y: float, hop: HopFacts, look: dict[str, Any], tall: float) -> None:
    """Each part as far as it lies on the axis: what is shorter than `LEAST_NS` is beyond its left edge."""
    left = ax.get_xlim()[0]
    colour = look["edgecolor"]

    def x(ns: int) -> float:
        return log_ms(ns) if ns >= LEAST_NS else left

    shortest = int(hop.delay.min())
    p5, p25, p75, p95 = (x(percentile_ns(hop.delay, q) or 0) for q in (5, 25, 75, 95))
    ax.plot([x(shortest), x(hop.longest_ns)], [y, y], color=colour, linewidth=1.0, label="_range", zorder=1)
    ax.plot([p5, p95], [y, y], color=colour, linewidth=min(4.0, tall), solid_capstyle="butt", label="_middle", zorder=1)
    if p75 > left:
        ax.add_patch(Rectangle((p25, y - tall / 2), p75 - p25, tall, label="_half", zorder=1.5, **look))
    if shortest < LEAST_NS:
        corner = palette.points_from(ax, 0, 1)
        ax.plot([ARROW_PT], [-y], "<", color=colour, markersize=ARROW_PT, transform=corner, label="_beyond", zorder=3)
    for q, marker in PERCENTILES:
        value = percentile_ns(hop.delay, q) or 0
        if value >= LEAST_NS:
            ax.plot(
                [x(value)], [y], marker, color=colour, markeredgecolor="white", markersize=6, label=f"_p{q}", zorder=2
            )


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

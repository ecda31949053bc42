"""The delays of the hops of one recording, or of one group of them: a row per hop. Of several, see `hops_side_by_side`.

The vertical unit inside the frame is the point, counted from the top: rows, words and bars keep their distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from streamkit.lab.findings.hops import WHOLE, describe_hops, hop_journeys, hops_of
from streamkit.lab.findings.journey import HopFacts
from streamkit.lab.findings.subjects import Recordings
from streamkit.lab.findings.words import duration
from streamkit.lab.metrics import percentile_ns
from streamkit.lab.plots import palette
from streamkit.lab.plots.hops_side_by_side import draw_differing, no_delay
from streamkit.lab.plots.palette import FRAME_PT, INK, LINE_PT, MUTED, NOTE_PT, PERCENTILES, WIDTH_IN, log_ms, width_pt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["hops"]

COLUMN_PT: Final = 48.0
ROW_PT: Final = 24.0
LEAST_NS: Final = 1_000  # where the axis may begin
HEAD_PT: Final = LINE_PT + 4  # the columns' names
ARROW_PT: Final = 6.0
BELOW_ZERO: Final = "below 0"


def hops(recordings: Recordings, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """How long events took from tap to tap: for one recording every hop, for several only the hops that differ.

        sk.plots.hops(recording)
        sk.plots.hops({"alone": one, "together": other})

    One recording: x is in ms on a log scale (each step is ten times the one before), from 1 µs on. A thin line reaches
    from the shortest delay to the longest, a bar from p5 to p95, the hatched one from p25 to p75; p50, p95 and p99
    (nearest rank) are marked, with their values at the right. The last row is from the first tap to the last. Delays
    below 1 µs or below 0 (a send may return after the other end has read) have no place on a log scale: they are not
    drawn, but an arrow at the left edge shows that there are some, percentiles are written as they are, and a column
    counts those below 0.

    Several recordings: for each hop in which they differ by more than a tenth and 5 ms, a bar as long as each one's p95
    in ms (or its p99, or p50, if the p95 are alike everywhere; the axis says which). All other hops are in the small
    print above.

    More than eight recordings are drawn as groups, by their names: a bar for the delays of a group together, and on it
    a mark for each of its recordings. Recordings that all have one name are drawn as one recording is, and so are
    recordings with more than eight names.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    It takes one `Recording`, several, or a mapping from names to recordings, with taps of the upstream or the relay.
    Raises ValueError for none, and for recordings with only the client's own taps; TypeError for anything else.
    """
    shown = hop_journeys(recordings)
    if len(shown) > 1:
        return draw_differing(shown, ax, title)
    rows = [(hop.name, hop.of[0]) for hop in hops_of(shown)]
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, max(2.4, (FRAME_PT + HEAD_PT + len(rows) * ROW_PT) / 72))
    (group,) = shown
    many = f"; {len(group.members):,} recordings together" if len(group.members) > 1 else ""
    ax.set_xlabel(f"delay from tap to tap (ms, log scale{many})")
    ax.set_yticks(range(len(rows)), labels=[name for name, _ in rows])  # so that the layout knows how wide they are
    ax.tick_params(axis="y", length=0)
    palette.settle(ax)
    palette.dress(ax, describe_hops(shown) if title is None else title, spines=["bottom"])
    palette.trust_below(ax, [journey.trust for journey in group.members])
    if not rows:
        palette.say_instead(ax, [(group.name, no_delay(group))])
        return ax
    palette.settle(ax)
    _, height = palette.size_pt(ax)
    ax.set_ylim(height, 0)
    own = [hop for _, hop in rows]
    _limit(ax, own)
    columns = _Columns.of(own)
    _write_heads(ax, columns, HEAD_PT)
    row_pt = max(0.2 * ROW_PT, (height - HEAD_PT) / len(rows))
    middles = [HEAD_PT + (row + 0.5) * row_pt for row in range(len(rows))]
    for row, ((name, hop), y) in enumerate(zip(rows, middles, strict=True)):
        if row:
            ax.axhline(y - row_pt / 2, color=palette.GRID, linewidth=0.8, zorder=0, label="_border")
        _draw_band(ax, y, hop, _look(hop, name == WHOLE), tall=min(10.0, 0.45 * row_pt))
        columns.write(ax, y, _numbers(hop))
    ax.set_yticks(middles, labels=[name for name, _ in rows])
    return ax


class _Columns(NamedTuple):
    """The numbers at the right of the frame: where each column ends, in points from the right edge, and its head."""

    ends: tuple[float, ...]
    heads: tuple[str, ...]
    width: float

    @classmethod
    def of(cls, hops: Sequence[HopFacts]) -> _Columns:
        negative = [_numbers(hop)[-1] for hop in hops if _negative(hop)]
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


def _limit(ax: Axes, hops: Sequence[HopFacts]) -> None:
    """At least a factor of ten, and room for the columns of numbers at the right."""
    delays = np.concatenate([hop.delay for hop in hops])
    drawn = delays[delays >= LEAST_NS]
    low = np.log10(log_ms(int(drawn.min()) if drawn.size else LEAST_NS)) - 0.08
    if drawn.size < delays.size:
        low -= 0.12  # room for the arrow
    high = max(np.log10(log_ms(int(delays.max()))) + 0.05, low + 1)
    width, _ = palette.size_pt(ax)
    right = low + (high - low) * width / max(width - _Columns.of(hops).width, width / 3)
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


def _look(hop: HopFacts, whole: bool) -> dict[str, Any]:
    """The hop's own fill, in the colour of the tap it waits for."""
    colour = INK if whole else palette.TAP_STROKES[hop.after].colour
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

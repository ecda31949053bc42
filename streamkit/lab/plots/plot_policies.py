"""The same slow client under several policies of back-pressure: a lane of staircases and a row of numbers for each.

Inside the frame the vertical unit is the point, counted from the top; the staircases of all lanes share one scale, so
that equal heights are equal numbers of pieces. The table stands beside its lanes in the same frame: the axis of time
ends where it begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator

from streamkit.lab.findings.policies import Compared, PolicyFacts, compared, describe_policies
from streamkit.lab.findings.subjects import Recordings
from streamkit.lab.findings.words import about
from streamkit.lab.metrics.curves import Curve
from streamkit.lab.plots import palette
from streamkit.lab.plots.page import stairs
from streamkit.lab.plots.palette import (
    FRAME_PT,
    GRID,
    INK,
    LABEL_PT,
    LINE_PT,
    MUTED,
    NOTE_PT,
    WIDTH_IN,
    end_mark,
    width_pt,
)
from streamkit.lab.plots.policies_table import Column, table_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


__all__ = ["policies"]

STRIP_PT: Final = 15.0  # above a lane's staircases: its name, and how it ended
FOOT_PT: Final = 7.0  # below them
LOWEST_PT: Final = STRIP_PT + FOOT_PT + 10  # a lane; where they would be lower, the legend makes room
BAR_PT: Final = 9.0  # which pieces came, at the right of a lane
GAP_PT: Final = 13.0  # between two columns of the table
STAIRS_SHARE: Final = 0.38  # of the width stays with the staircases; columns beyond that are left out
ROOM_FOR_NOTES_PT: Final = 30.0  # a lane lower than this has one line of numbers, not two
SECONDS_FROM_NS: Final = 1_000_000_000  # as in the table
WIDTHS: Final = {"upstream.due": 1.3, "upstream.sent": 2.6, "relay.sent": 1.7, "client.event": 1.4}
"""The staircases that are drawn, thinner from tap to tap: where they coincide, each shows beside those over it."""
LOST: Final[dict[str, Any]] = {"facecolor": "#FFFFFF", "edgecolor": MUTED, "hatch": "/////", "linewidth": 0.6}
CAME: Final = palette.TAP_STROKES["client.event"].colour


def policies(recordings: Recordings, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """The same slow client under several policies: a lane of staircases and a row of numbers for each.

        sk.plots.policies({"pause": one, "latest": other})

    A lane shows which piece had passed where by when, from the upstream's schedule to the client, over ms or s since
    the request was sent (since the call, if that is not known). All lanes have one scale. Where pieces were dropped,
    the staircases jump over them from there on. The bar at the right shows which pieces arrived: green those that did,
    hatched those that are lost. A cross is an end that is not complete, a square one that was our own.

    The columns of the table: pieces lost; the most that lay in the relay's memory, and below it in the kernels' queues;
    the time to the end; how late the upstream was made to send, and below it how long the relay made it wait; the age
    of the oldest piece when it arrived, and below it the median. "–" is not known. Bold is the best of a column, among
    those that completed.

    More than eight recordings are drawn as groups, by their names. A lane shows the middle recording of its group (of
    those that ended as most did, the one that took the middle time) and the others as thin staircases. The table has
    the numbers of the middle one, and below each the range of the group.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    It takes one `Recording`, several, or a mapping from names to recordings. Raises ValueError for none, and for more
    than eight recordings with more than eight names; TypeError for anything else.
    """
    lanes = compared(recordings)
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, (FRAME_PT + 3 * LINE_PT + len(lanes) * (58 + 64 / len(lanes))) / 72)
    each = [one for lane in lanes for one in lane.group]
    sent = all(one.journey.subject.sent_ns is not None for one in each)
    end_ns = max(1_000_000, *(one.journey.end_ns for one in each))
    unit, unit_ns = ("ms", 1e6) if end_ns < SECONDS_FROM_NS else ("s", 1e9)
    ax.set_xlabel(f"{unit} since the request was {'sent' if sent else 'sent, or made'}", loc="left")
    ax.set_ylabel("pieces passed", fontsize=LABEL_PT)
    ax.set_yticks([0.0], labels=[f"{_most(lanes):,}"])
    ax.tick_params(axis="y", length=0, pad=3, labelsize=NOTE_PT, labelcolor=MUTED)
    palette.settle(ax)  # the frame's width, for title and note; then its height, with both
    palette.dress(ax, describe_policies(lanes) if title is None else title, spines=["bottom"])
    palette.trust_below(ax, [one.journey.trust for one in each])
    palette.settle(ax)
    layout = _lay_out(ax, lanes, end_ns, unit_ns)
    if layout.key_columns:
        _explain(layout, lanes)
    _write_heads(layout)
    for index, lane in enumerate(lanes):
        _draw_lane(layout, index, lane)
        _write_row(layout, index)
    return ax


@dataclass(frozen=True, kw_only=True, eq=False)
class _Layout:
    """Where things go: y in points from the top of the frame."""

    ax: Axes
    unit_ns: float
    left_ns: float
    ns_per_pt: float
    stairs_pt: float  # the width of the staircases
    header_pt: float
    lane_pt: float
    most: int  # the highest number of all lanes
    columns: tuple[Column, ...]
    key_columns: int  # 0: there is no room for it

    def x(self, ns: float) -> float:
        return ns / self.unit_ns

    def at_pt(self, pt: float) -> float:
        return (self.left_ns + pt * self.ns_per_pt) / self.unit_ns

    def across(self, ns: float) -> float:
        return (ns - self.left_ns) / self.ns_per_pt

    def strip(self, index: int) -> float:
        """The middle of the line of words above a lane."""
        return self.header_pt + index * self.lane_pt + STRIP_PT / 2 + 1

    def top(self, index: int) -> float:
        return self.header_pt + index * self.lane_pt + STRIP_PT

    def floor(self, index: int) -> float:
        return self.header_pt + (index + 1) * self.lane_pt - FOOT_PT

    @property
    def tall_pt(self) -> float:
        return self.floor(0) - self.top(0)

    def height(self, count: float) -> float:
        return self.tall_pt * count / self.most


def _lay_out(ax: Axes, lanes: Sequence[Compared], end_ns: int, unit_ns: float) -> _Layout:
    width, height = palette.size_pt(ax)
    columns = table_of(lanes)
    while columns and width - _table_pt(columns) < STAIRS_SHARE * width:
        columns = columns[:-1]
    stairs_pt = width - _table_pt(columns)
    entries = _entries(lanes)
    key_columns = palette.key_columns((text for _, text in entries), stairs_pt, handle_pt=34)
    key_pt = -(-len(entries) // key_columns) * (LINE_PT + 1)
    heads_pt = 2 * LINE_PT if columns else 0.0
    if height - max(key_pt, heads_pt) - 8 < len(lanes) * LOWEST_PT:
        key_columns, key_pt = 0, 0.0
    header_pt = max(key_pt, heads_pt) + 8
    lane_pt = max(LOWEST_PT, (height - header_pt) / len(lanes))
    curves = [curve for lane in lanes for one in lane.group for curve in one.journey.curves.values()]
    firsts = [int(curve.at_ns[0]) for curve in curves if curve.total]
    left_ns = min(0, *firsts) if firsts else 0
    ns_per_pt = (end_ns - left_ns) / (stairs_pt - 8)  # room for the last mark
    layout = _Layout(
        ax=ax,
        unit_ns=unit_ns,
        left_ns=left_ns,
        ns_per_pt=ns_per_pt,
        stairs_pt=stairs_pt,
        header_pt=header_pt,
        lane_pt=lane_pt,
        most=_most(lanes),
        columns=columns,
        key_columns=key_columns,
    )
    _set_axes(layout, end_ns, width, len(lanes))
    return layout


def _set_axes(layout: _Layout, end_ns: int, width: float, lanes: int) -> None:
    ax, end = layout.ax, layout.x(end_ns)
    ax.set_xlim(layout.at_pt(0), layout.at_pt(width))
    ax.set_ylim(layout.header_pt + lanes * layout.lane_pt, 0)
    ticks = MaxNLocator(nbins=6, min_n_ticks=2, steps=[1, 2, 5, 10]).tick_values(0, end)
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if 0 <= tick <= end]))
    ax.spines["bottom"].set_bounds(layout.at_pt(0), layout.at_pt(layout.stairs_pt))
    places = [place(index) for index in range(lanes) for place in (layout.top, layout.floor)]
    roomy = layout.tall_pt >= LINE_PT
    ax.set_yticks(places, labels=[f"{layout.most:,}" if roomy else "", "0"] * lanes)


def _most(lanes: Sequence[Compared]) -> int:
    each = [one.journey for lane in lanes for one in lane.group]
    return max(1, *(max(curve.total for curve in journey.curves.values()) for journey in each))


# --- A lane ---------------------------------------------------------------------------------------------------------


def _draw_lane(layout: _Layout, index: int, lane: Compared) -> None:
    ends, floor = [layout.at_pt(0), layout.at_pt(layout.stairs_pt)], layout.floor(index)
    layout.ax.plot(ends, [floor, floor], color=GRID, linewidth=0.8, label="_floor")
    curves = lane.journey.curves
    for other in lane.others:
        _draw_other(layout, index, other)
    for order, (tap, width) in enumerate(WIDTHS.items()):
        if tap in curves and curves[tap].total:
            _draw_stairs(layout, index, tap, _to_the_end(lane, tap, curves[tap]), width, 2 + 0.1 * order)
    _draw_bar(layout, index, lane.facts)
    taken = _write_name(layout, index, lane)
    _draw_end(layout, index, lane, curves["client.event"].total, taken)


def _draw_other(layout: _Layout, index: int, other: Compared) -> None:
    """Of a group, one that is not the middle one."""
    journey, floor = other.journey, layout.floor(index)
    for tap in WIDTHS:
        if tap in journey.curves and journey.curves[tap].total:
            curve = stairs(_to_the_end(other, tap, journey.curves[tap]), layout.ns_per_pt)
            heights = floor - layout.height(1) * curve.count
            layout.ax.step(
                curve.at_ns / layout.unit_ns, heights, where="post", label="_other", zorder=1.5, **_thin(tap)
            )
    mark = "|" if other.whole else "x"
    y = floor - (0 if other.whole else layout.height(journey.curves["client.event"].total))
    end = layout.x(journey.subject.end_ns - journey.origin_ns)
    layout.ax.plot([end], [y], mark, color=MUTED, markersize=5, markeredgewidth=0.8, label="_other_end", zorder=2.9)


def _thin(tap: str) -> dict[str, Any]:
    return {"color": palette.TAP_STROKES[tap].colour, "linewidth": 0.6, "alpha": 0.25}


def _to_the_end(lane: Compared, tap: str, curve: Curve) -> Curve:
    """Of a stream that was cut, what stood still goes on to the cut."""
    end_ns = lane.journey.subject.end_ns - lane.journey.origin_ns
    if lane.whole or tap == "upstream.due" or end_ns <= curve.at_ns[-1]:
        return curve
    return Curve(np.append(curve.at_ns, end_ns), np.append(curve.count, curve.total))


def _draw_stairs(layout: _Layout, index: int, tap: str, curve: Curve, width: float, order: float) -> None:
    """From the floor on, so that a single piece and a first jump are seen too."""
    seen = stairs(curve, layout.ns_per_pt)
    layout.ax.plot(
        np.append(seen.at_ns[:1], seen.at_ns) / layout.unit_ns,
        layout.floor(index) - layout.height(1) * np.append(0, seen.count),
        drawstyle="steps-post",
        linewidth=width,
        label=f"_{tap}",
        zorder=order,
        **palette.TAP_STROKES[tap].style,
    )


def _draw_bar(layout: _Layout, index: int, facts: PolicyFacts) -> None:
    """Which pieces came, from the floor up: of each two points the share that did."""
    if not facts.total:
        return
    left, width = layout.at_pt(layout.stairs_pt + 4), BAR_PT * layout.ns_per_pt / layout.unit_ns
    floor, tall = layout.floor(index), layout.height(facts.total)
    layout.ax.add_patch(
        Rectangle((left, floor - tall), width, tall, label="_lost" if facts.lost else "_whole", zorder=1, **LOST)
    )
    rows = max(1, min(facts.total, int(tall / 2)))
    edges = np.linspace(0, facts.total, rows + 1).astype(np.int64)
    if facts.numbers is None:
        share = np.full(rows, facts.received / facts.total)
    else:
        share = np.histogram(facts.numbers, edges + 0.5)[0] / np.diff(edges)
    layout.ax.fill_betweenx(
        floor - layout.height(1) * edges,
        left,
        left + width * np.append(share, share[-1]),
        step="post",
        facecolor=CAME,
        linewidth=0,
        label="_came",
        zorder=1.5,
    )


def _write_name(layout: _Layout, index: int, lane: Compared) -> float:
    """The lane's name at the left of its strip; how far it reaches, in points."""
    if not lane.name:
        return 0.0
    room = max(8, int(0.6 * layout.stairs_pt / (0.6 * LABEL_PT)))
    name, families = palette.legible(lane.name, limit=room)
    layout.ax.text(
        layout.at_pt(0),
        layout.strip(index),
        name,
        fontsize=LABEL_PT,
        fontweight="bold",
        fontfamily=families,
        color=INK,
        va="center",
        parse_math=False,
        label="_name",
    )
    return 1.15 * width_pt(name, LABEL_PT)


def _draw_end(layout: _Layout, index: int, lane: Compared, reached: int, taken: float) -> None:
    """A tick where it completed; else a cross, and the outcome's name above it, as near as the lane's name allows."""
    end_ns, floor = lane.journey.subject.end_ns - lane.journey.origin_ns, layout.floor(index)
    end = layout.x(end_ns)
    if lane.whole:
        if lane.journey.client_only and lane.facts.received:
            _write_beside(layout, index, taken, "seen by the client alone", taken + 8)
        elif lane.failed:
            _write_beside(layout, index, taken, _failed(lane), taken + 8)
        layout.ax.plot([end, end], [floor - 4, floor + 4], color=INK, linewidth=2, label="_complete", zorder=3)
        return
    y = floor - layout.height(reached)
    line = (0, (4, 3))
    layout.ax.plot([end, end], [layout.strip(index) + 6, y], color=INK, linewidth=0.9, linestyle=line, label="_ended")
    layout.ax.plot([end], [y], **end_mark(lane.facts.outcome), zorder=4)
    _write_beside(layout, index, taken, _ending(lane), layout.across(end_ns))


def _write_beside(layout: _Layout, index: int, taken: float, text: str, middle: float) -> None:
    """In a lane's strip, as near to `middle` as its name, which reaches to `taken`, and the frame allow."""
    room = layout.stairs_pt - taken - 8
    shown, families = palette.legible(text, limit=max(8, min(48, int(room / (0.6 * NOTE_PT)))))
    width = width_pt(shown)
    left = min(max(middle - width / 2, taken + 8), max(layout.stairs_pt - width, 0.0))
    layout.ax.text(
        layout.at_pt(left),
        layout.strip(index),
        shown,
        fontsize=NOTE_PT,
        fontfamily=families,
        color=INK,
        va="center",
        parse_math=False,
        label="_beside",
    )


def _ending(lane: Compared) -> str:
    facts = lane.facts
    ended = str(facts.outcome) if facts.finished_ns is None else f"{facts.outcome} after {about(facts.finished_ns)}"
    return f"{ended}; {_failed(lane)}" if lane.failed < len(lane.group) else ended


def _failed(lane: Compared) -> str:
    return f"{lane.failed:,} of {len(lane.group):,} not complete"


# --- The table ------------------------------------------------------------------------------------------------------


def _table_pt(columns: Sequence[Column]) -> float:
    """With the bar before it."""
    return BAR_PT + 4 + sum(column.width + GAP_PT for column in columns)


def _edges(layout: _Layout) -> list[float]:
    """Where each column ends: numbers stand flush right."""
    widths = np.array([column.width + GAP_PT for column in layout.columns])
    return [layout.at_pt(layout.stairs_pt + BAR_PT + 4 + edge) for edge in np.cumsum(widths).tolist()]


def _write_heads(layout: _Layout) -> None:
    for column, edge in zip(layout.columns, _edges(layout), strict=True):
        for line, text in zip((1.5, 0.5), column.head, strict=True):
            y = layout.header_pt - 8 + LINE_PT * (0.5 - line)
            layout.ax.text(edge, y + 4, text, ha="right", va="center", fontsize=NOTE_PT, color=MUTED, label="_head")


def _write_row(layout: _Layout, index: int) -> None:
    middle = (layout.top(index) + layout.floor(index)) / 2
    shift = LINE_PT / 2 if layout.tall_pt >= ROOM_FOR_NOTES_PT else 0.0
    for column, edge in zip(layout.columns, _edges(layout), strict=True):
        cell = column.cells[index]
        style: dict[str, Any] = {"ha": "right", "va": "center", "parse_math": False}
        weight = "bold" if cell.best else "normal"
        layout.ax.text(
            edge, middle - shift, cell.text, fontsize=LABEL_PT, fontweight=weight, color=INK, label="_cell", **style
        )
        if cell.note and shift:
            layout.ax.text(edge, middle + shift, cell.note, fontsize=NOTE_PT, color=MUTED, label="_cell", **style)


# --- The legend -----------------------------------------------------------------------------------------------------


def _entries(lanes: Sequence[Compared]) -> list[tuple[Artist, str]]:
    """Only what occurs, in the order of the way."""
    entries: list[tuple[Artist, str]] = []
    for tap, width in WIDTHS.items():
        if any(tap in lane.journey.curves for lane in lanes):
            entries.append((Line2D([], [], linewidth=width, **palette.TAP_STROKES[tap].style), tap))
    if any(lane.facts.total for lane in lanes):
        entries.append((Patch(facecolor=CAME), "came"))
    if any(lane.facts.lost for lane in lanes):
        entries.append((Patch(**LOST), "lost"))
    if any(lane.others for lane in lanes):
        entries.append((Line2D([], [], color=CAME, linewidth=0.6), "the others"))
    if any(lane.whole for lane in lanes):
        tick = Line2D([], [], linestyle="none", marker="|", color=INK, markersize=8, markeredgewidth=2)
        entries.append((tick, "complete"))
    return entries


def _explain(layout: _Layout, lanes: Sequence[Compared]) -> None:
    entries = _entries(lanes)
    layout.ax.legend(
        [handle for handle, _ in entries],
        [text for _, text in entries],
        bbox_to_anchor=(0, 1),
        ncols=layout.key_columns,
        **{**palette.KEY, "columnspacing": 1.4, "labelspacing": 0.3},
    )

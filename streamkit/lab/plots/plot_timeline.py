"""The timeline: one lane per recording, and in it a tick for each read. What is seen first is time: the distances.

Inside the frame the vertical unit is the point: lanes, words and ticks keep their distances, and what would run into
another word is left out rather than drawn over it. `lanes` says what stands where, `lane_words` what is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from streamkit.lab.findings.subjects import Bundle, Recordings, Subject, grouped, subjects
from streamkit.lab.findings.timeline import describe_timeline
from streamkit.lab.findings.words import duration
from streamkit.lab.plots import lane_words, palette
from streamkit.lab.plots.lanes import BAND_PT, SIZES_PT, Fits, Lane, Layout, Stand, lane_of, places_of, shifted
from streamkit.lab.plots.palette import FRAME_PT, INK, LINE_PT, MUTED, NOTE_PT, WIDTH_IN, end_mark, width_pt

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    Bools = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["timeline"]

INSTEAD: Final = "plots.load draws many streams, plots.ecdf how a number of them is distributed"
ROWS_PT: Final = 320.0  # what the rows of groups may take together
ROW_PT: Final = 12.0  # the most that one of them takes
SIZES_FROM_PT: Final = 48.0  # lanes that are lower do not show how many characters …
ALONE_FROM_PT: Final = 16.0  # … and these do not say how they ended …
ROWS_FROM_PT: Final = 10.0  # … nor do rows of a group
WAITING: Final[dict[str, Any]] = {
    "facecolor": palette.WAIT_FILL,
    "edgecolor": palette.WAIT_LINE,
    "hatch": palette.WAIT_HATCH,
    "linewidth": 0.8,
}
CUT: Final[dict[str, Any]] = {
    "facecolor": palette.CUT_FILL,
    "edgecolor": palette.CUT_LINE,
    "hatch": palette.CUT_HATCH,
    "linewidth": 0.8,
}
UPRIGHT: Final = ((-0.4, -1.0), (0.4, -1.0), (0.4, 1.0), (-0.4, 1.0), (-0.4, -1.0))  # a marker like a bar


def timeline(
    recordings: Recordings, ax: Axes | None = None, *, title: str | None = None, stall_ms: float | None = None
) -> Axes:
    """When each piece came: one lane per recording, with a tick for each read.

        >>> ax = sk.plots.timeline(sk.Recording.from_pieces([(10_000_000, "Hel"), (60_000_000, "lo")]))
        >>> ax.get_title("left")
        'First piece after 10 ms, then one every 50 ms'

    x is in ms since the request was sent, or since the call if that is not known (the label says which); in s from
    100 s on. The wait for the first piece is a hatched bar. Each read that brought events is an upright tick, all of
    one height; several events in one read are one outlined tick with a count. Below it, small and grey, hangs how many
    characters they brought (bytes of data, if no text was extracted at all). Gaps longer than `stall_ms` (default:
    `metrics.stall_threshold_ns`) are shaded and measured, and so is the silence before the end. A cut after which the
    stream went on is a crossed area, and what was then replayed is dark purple. The end is a solid line if complete,
    otherwise a cross, or a square if we stopped the stream ourselves; the outcome stands beside it. Recordings with one
    name have one colour.

    More than eight recordings are drawn in groups, by their names: a thin row for each, and one line of words per
    group.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    It takes one `Recording`, up to 100, or a mapping from names to recordings. Raises ValueError for none and for more
    than 100 (for many streams there is `sk.plots.load`), TypeError for anything else.
    """
    shown = subjects(recordings, stall_ms, instead=INSTEAD)
    sent = all(subject.sent_ns is not None for subject in shown)
    groups = grouped([shifted(subject, subject.origin_ns) for subject in shown] if sent else shown)
    lanes = _lanes(groups)
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, (FRAME_PT + 2 * LINE_PT + _height_pt(groups)) / 72)
    unit_ns = palette.time_axis(ax, max(lane.end_ns for lane in lanes), sent=sent)
    palette.dress(ax, describe_timeline(shown) if title is None else title, spines=["bottom"])
    layout = _lay_out(ax, groups, lanes, unit_ns)
    for lane, place in zip(lanes, layout.places, strict=True):
        _draw_lane(layout, place, lane)
    if len(groups) < len(lanes):
        _label_groups(layout, groups)
    elif layout.strip_pt >= LINE_PT:
        for index, lane in enumerate(lanes):
            lane_words.label_lane(layout, index, lane)
    _explain(ax, _entries(lanes, layout.seen), layout.width_pt)
    return ax


def _height_pt(groups: Sequence[Bundle[Subject]]) -> float:
    rows = sum(len(group.members) for group in groups)
    if rows == len(groups):
        return rows * (38 + 28 / rows)
    return len(groups) * BAND_PT + rows * min(ROW_PT, ROWS_PT / rows)


def _lanes(groups: Sequence[Bundle[Subject]]) -> list[Lane]:
    shown = [subject for group in groups for subject in group.members]
    text = any(subject.characters.any() for subject in shown) or not any(subject.at_ns.size for subject in shown)
    names = list(dict.fromkeys(group.name for group in groups))
    return [lane_of(one, names.index(group.name), text=text) for group in groups for one in group.members]


def _lay_out(ax: Axes, groups: Sequence[Bundle[Subject]], lanes: list[Lane], unit_ns: float) -> Layout:
    """Set the limits, so that every lane and every outcome's name has its room."""
    ends = [lane.end_ns / unit_ns for lane in lanes]
    left = min(0.0, *(min(lane.at_ns.tolist(), default=0) / unit_ns for lane in lanes))
    widest = max(ends) if max(ends) > left else left + 1
    ax.set_xlim(left, widest)
    _name_lanes(ax, groups, [i + 0.5 for i in range(len(groups))])
    palette.settle(ax)
    palette.trust_below(ax, [lane.subject.trust for lane in lanes])
    palette.settle(ax)
    width, height = palette.size_pt(ax)
    seen = _seen(groups, lanes, width, height)
    header = _columns(_entries(lanes, seen), width)[1] * LINE_PT + 5
    places, strip = places_of(groups, header, height, sizes=seen.sizes)
    right = widest
    for lane, end in zip(lanes, ends, strict=True):
        taken = 12 + width_pt(lane_words.end_name(lane)) if seen.ends else 8
        right = max(right, left + (end - left) * width / max(width - taken, width / 3))
    layout = Layout(
        ax=ax,
        unit_ns=unit_ns,
        left=left,
        per_pt=(right - left) / width,
        width_pt=width,
        places=places,
        strip_pt=strip,
        heaviest=_heaviest(lanes),
        seen=seen,
    )
    ax.set_xlim(left, right)
    ax.set_ylim(max(height, places[-1].floor + 5), 0)
    _name_lanes(ax, groups, [(first.top + last.floor) / 2 for first, last in _ends_of(groups, places)])
    return layout


def _seen(groups: Sequence[Bundle[Subject]], lanes: list[Lane], width: float, height: float) -> Fits:
    """What there is room for, with a key of two lines."""
    alone, free = len(groups) == len(lanes), height - 2 * LINE_PT - 5
    lane_pt = free / len(lanes) if alone else (free - len(groups) * BAND_PT) / len(lanes)
    return Fits(
        sizes=alone and lane_pt >= SIZES_FROM_PT,
        ends=lane_pt >= (ALONE_FROM_PT if alone else ROWS_FROM_PT),
        crowded=max(lane.events.size for lane in lanes) > 2 * width,
    )


def _ends_of(groups: Sequence[Bundle[Subject]], places: Sequence[Stand]) -> list[tuple[Stand, Stand]]:
    """The first and the last place of each group."""
    last = np.cumsum([len(group.members) for group in groups])
    return [(places[end - len(group.members)], places[end - 1]) for group, end in zip(groups, last, strict=True)]


def _heaviest(lanes: list[Lane]) -> int:
    return max(int(lane.total.max(initial=1)) for lane in lanes)


def _name_lanes(ax: Axes, groups: Sequence[Bundle[Subject]], middles: list[float]) -> None:
    named = any(group.name for group in groups)
    shown = [palette.legible(group.name) for group in groups]
    ax.set_yticks(
        middles if named else [],
        labels=[name for name, _ in shown] if named else [],
        fontfamily=list(dict.fromkeys(family for _, families in shown for family in families)),
        parse_math=False,
    )
    ax.tick_params(axis="y", length=0)


def _label_groups(layout: Layout, groups: Sequence[Bundle[Subject]]) -> None:
    for group, (first, _) in zip(groups, _ends_of(groups, layout.places), strict=True):
        lane_words.label_group(layout, first.top, group)


# --- A lane -----------------------------------------------------------------------------------------------------------


def _draw_lane(layout: Layout, place: Stand, lane: Lane) -> None:
    subject = lane.subject
    start, end = subject.origin_ns, lane.end_ns
    _shade(layout, place, (start, end if subject.wait_ns is None else start + subject.wait_ns), "_wait", **WAITING)
    for cut in subject.cuts.tolist():
        _shade(layout, place, cut, "_cut_off", **CUT)
    for stall in subject.all_stalls:
        _shade(layout, place, stall, "_stall", facecolor=palette.STALL_FILL)
    _measure(layout, place, subject.all_stalls)
    x, y = [layout.x(start), layout.x(end)], [place.floor, place.floor]
    layout.ax.plot(x, y, color=MUTED, linewidth=0.8, label="_open")
    _draw_ticks(layout, place, lane)
    if layout.seen.sizes:
        _draw_sizes(layout, place, lane)
    _draw_end(layout, place, lane)


def _shade(layout: Layout, place: Stand, span_ns: Sequence[int], label: str, **style: Any) -> None:
    left, right = layout.x(span_ns[0]), layout.x(span_ns[1])
    corner = (left, place.top)
    layout.ax.add_patch(Rectangle(corner, right - left, place.floor - place.top, label=label, zorder=0.5, **style))


def _measure(layout: Layout, place: Stand, stalls: Sequence[tuple[int, int]]) -> None:
    """A line from end to end of each stall, as on a drawing with measures: without its colour it is seen, too."""
    if not stalls:
        return
    middle, half = (place.top + place.floor) / 2, min(3.0, (place.floor - place.top) / 3)
    lines: list[list[tuple[float, float]]] = []
    for start, end in stalls:
        left, right = layout.x(start) + 2 * layout.per_pt, layout.x(end) - 2 * layout.per_pt
        if right > left:
            ends = [[(x, middle - half), (x, middle + half)] for x in (left, right)]
            lines += [[(left, middle), (right, middle)], *ends]
    measures = LineCollection(lines, linewidths=0.9, colors=palette.STALL_LINE, label="_measure", zorder=1)
    layout.ax.add_collection(measures, autolim=False)


def _draw_ticks(layout: Layout, place: Stand, lane: Lane) -> None:
    colour = palette.recording_stroke(lane.group).colour
    x = lane.at_ns / layout.unit_ns
    pitch = float(np.median(np.diff(x))) / layout.per_pt if x.size > 1 else np.inf
    thin, thick = float(np.clip(0.4 * pitch, 0.6, 1.8)), float(np.clip(0.8 * pitch, 2.4, 5.0))
    middle = (place.top + place.floor) / 2

    def ticks(which: Bools, width: float, colour: str, label: str, top: float = place.top, inset: float = 0) -> None:
        chosen = x[_drawn(layout, x, lane.total, np.flatnonzero(which))]
        low, high = np.full(chosen.size, place.floor - inset), np.full(chosen.size, top + inset)
        ends = np.stack([np.column_stack([chosen, low]), np.column_stack([chosen, high])], axis=1)
        lines = LineCollection(list(ends), linewidths=width, colors=colour, capstyle="butt", label=label)
        layout.ax.add_collection(lines, autolim=False)

    ticks(lane.empty, thin, MUTED, "_empty", top=middle)
    inside = thick if thick < 3 else thick - 1.6
    ticks(lane.single & ~lane.replayed, thin, colour, "_pieces")
    ticks(lane.single & lane.replayed, thin, palette.REPLAYED, "_replayed")
    ticks(lane.shared, thick, INK, "_shared")  # where ticks touch, this outlines them all together
    ticks(lane.shared & ~lane.replayed, inside, _pale(colour), "_inside", inset=0.8)
    ticks(lane.shared & lane.replayed, inside, palette.REPLAYED, "_replayed_inside", inset=0.8)


def _draw_sizes(layout: Layout, place: Stand, lane: Lane) -> None:
    """How much each read brought hangs below the floor."""
    x = lane.at_ns / layout.unit_ns
    chosen = _drawn(layout, x, lane.total, np.flatnonzero(lane.total > 0))
    low = place.floor + 1.5 + (SIZES_PT - 2) * lane.total[chosen] / layout.heaviest
    ends = np.stack(
        [np.column_stack([x[chosen], np.full(chosen.size, place.floor + 1.5)]), np.column_stack([x[chosen], low])],
        axis=1,
    )
    lines = LineCollection(list(ends), linewidths=1.2, colors=palette.SIZES, capstyle="butt", label="_sizes")
    layout.ax.add_collection(lines, autolim=False)


def _drawn(layout: Layout, x: Floats, total: Ints, chosen: Ints) -> Ints:
    """Of too many ticks that of the largest of each half point: the others would be painted over anyway."""
    if not layout.seen.crowded:
        return chosen
    column = np.floor((x[chosen] - layout.left) / layout.per_pt * 2).astype(np.int64)
    order = np.lexsort((total[chosen], column))
    largest = order[np.flatnonzero(np.diff(column[order], append=np.iinfo(np.int64).max))]
    return chosen[largest]


def _draw_end(layout: Layout, place: Stand, lane: Lane) -> None:
    """A line over the whole height, or a cross, or a square; its name beside it, where there is room."""
    end, outcome, tall = layout.x(lane.end_ns), lane.subject.outcome, place.floor - place.top
    y = (place.top + place.floor) / 2
    if outcome.ok:
        span = [place.top, place.floor + min(3.0, tall / 4)]
        layout.ax.plot([end, end], span, color=INK, linewidth=min(2.0, tall / 4), label="_complete", zorder=3)
    else:
        mark = end_mark(outcome)
        layout.ax.plot([end], [y], zorder=3, **{**mark, "markersize": min(mark["markersize"], tall)})
    if layout.seen.ends:
        x, name = end + (5 if outcome.ok else 8) * layout.per_pt, lane_words.end_name(lane)
        style: dict[str, Any] = {"fontsize": NOTE_PT, "fontfamily": palette.legible(name)[1], "color": INK}
        layout.ax.text(x, y, name, va="center", parse_math=False, label="_end", **style)


# --- The key ----------------------------------------------------------------------------------------------------------


def _entries(lanes: list[Lane], seen: Fits) -> list[tuple[Artist, str]]:
    """The key: only what occurs, and what no word beside it says."""
    colour = palette.recording_stroke(0).colour
    entries: list[tuple[Artist, str]] = []
    if any(lane.total.any() for lane in lanes):
        what = "piece" if lanes[0].unit == "characters" else "event"
        entries.append((_mark("|", colour, 9), what))
    if seen.sizes and any(lane.total.any() for lane in lanes):
        most = f"{lanes[0].unit} of each, at most {_heaviest(lanes):,}"
        most += "; where crowded, the most" if seen.crowded else ""
        entries.append((_mark("|", palette.SIZES, 5), most))
    if any(lane.empty.any() for lane in lanes):
        entries.append((_mark("|", MUTED, 4), "event without text"))
    if any(lane.shared.any() for lane in lanes):
        entries.append((_mark(UPRIGHT, INK, 9, _pale(colour)), "arrived in one read"))
    if any(lane.subject.cuts.size for lane in lanes):
        entries.append((Patch(**CUT), "cut, asked again"))
    if any(lane.replayed.any() for lane in lanes):
        entries.append((_mark("|", palette.REPLAYED, 9), "replayed"))
    if any(lane.subject.all_stalls for lane in lanes):
        longer = sorted({lane.subject.threshold_ns for lane in lanes if lane.subject.all_stalls})
        over = duration(longer[0]) + (f" ({duration(longer[-1])} where slower)" if len(longer) > 1 else "")
        entries.append((Patch(facecolor=palette.STALL_FILL), f"stall: nothing for over {over}"))
    if not seen.ends and any(lane.subject.outcome.ok for lane in lanes):
        entries.append((_mark("|", INK, 7), "complete"))
    if not seen.ends and any(not lane.subject.outcome.ok for lane in lanes):
        entries.append((_mark("X", INK, 6), "not complete"))
    return entries


def _mark(marker: object, colour: str, size: float, inside: str | None = None) -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,  # type: ignore[arg-type]  # matplotlib also takes vertices
        color=colour,
        markerfacecolor=inside or colour,
        markersize=size,
        markeredgewidth=1.0 if inside else 1.8,
    )


def _columns(entries: list[tuple[Artist, str]], width: float) -> tuple[int, int]:
    """Into how many columns, and so rows, the legend goes; matplotlib fills it column by column."""
    widths = [width_pt(text) + 32 for _, text in entries]
    for rows in range(1, len(entries)):
        if sum(max(widths[i : i + rows]) for i in range(0, len(widths), rows)) <= width:
            return -(-len(entries) // rows), rows
    return 1, len(entries)


def _explain(ax: Axes, entries: list[tuple[Artist, str]], width: float) -> None:
    ax.legend(
        [handle for handle, _ in entries],
        [text for _, text in entries],
        loc="upper left",
        bbox_to_anchor=(0, 1),
        ncols=_columns(entries, width)[0],
        fontsize=NOTE_PT,
        labelcolor=INK,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.6,
        handletextpad=0.5,
        columnspacing=1.4,
        labelspacing=0.3,
    )


def _pale(colour: str) -> str:
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - 0.35 * (255 - c)):02X}" for c in channels)

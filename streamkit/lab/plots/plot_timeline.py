"""The timeline: one lane per recording.

Inside the frame the vertical unit is the point: lanes, words and bars keep their distances, and what would run into
another word is left out rather than drawn over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from streamkit.lab.findings.subjects import Recordings, Subject, subjects
from streamkit.lab.findings.timeline import describe_timeline
from streamkit.lab.findings.words import duration
from streamkit.lab.plots import palette
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
STUB_PT: Final = 4.0  # the shortest bar: an event without text
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
    """When each piece came: one lane per recording, x in ms since the request was sent (or made: the label says it).

        >>> ax = sk.plots.timeline(sk.Recording.from_pieces([(10_000_000, "Hel"), (60_000_000, "lo")]))
        >>> ax.get_title("left")
        'First piece after 10 ms, then one every 50 ms'

    The wait for the first piece is a hatched bar; each read that brought events is an upright bar, as tall as the
    text it brought has characters (bytes of data where no text was extracted at all); several events in one read are
    one outlined bar with a count; a cut behind which the stream went on is a crossed area, and what was replayed then
    is dark purple; gaps longer than `stall_ms` (default: `metrics.stall_threshold_ns`) are shaded; the end is a tick,
    or with the outcome a cross, or a square where we stopped it ourselves. From 100 s on the axis is in seconds.
    Where there are more bars than the width can show, the tallest of each half point is drawn. Recordings of one name
    have one colour.

    Takes one `Recording`, up to 20, or a mapping from names to recordings; ValueError for none and for more (many
    streams draws `plots.load`), TypeError for others.
    """
    shown = subjects(recordings, stall_ms, instead=INSTEAD)
    sent = all(subject.sent_ns is not None for subject in shown)
    lanes = _lanes([_counted_from(subject, subject.origin_ns) for subject in shown] if sent else shown)
    if ax is None:
        lane_pt = 36 + 66 / len(lanes)
        ax = palette.new_axes(WIDTH_IN, (FRAME_PT + 2 * LINE_PT + len(lanes) * lane_pt) / 72)
    unit_ns = palette.time_axis(ax, max(lane.end_ns for lane in lanes), sent=sent)
    palette.dress(ax, describe_timeline(shown) if title is None else title, spines=["bottom"])
    layout = _lay_out(ax, lanes, unit_ns)
    for index, lane in enumerate(lanes):
        _draw_lane(layout, index, lane)
    _explain(ax, _entries(lanes, layout.crowded), layout.width_pt)
    return ax


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lane:
    """A recording, and its reads that brought events, one bar each."""

    subject: Subject
    group: int  # those of one name have one colour
    end_ns: int
    at_ns: Ints
    first: Ints  # index of each read's first event
    events: Ints
    weight: Ints  # of each event, in `unit`
    total: Ints  # of each read
    unit: str  # what heights show: "characters" or "bytes"
    single: Bools  # which reads brought one event, with text
    empty: Bools  # one event, without text
    shared: Bools  # several events
    replayed: Bools  # they had happened before the client was back behind a cut


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where things go: x in the axis' unit, y in points from the top of the frame."""

    ax: Axes
    unit_ns: float
    left: float  # x at the frame's left edge
    per_pt: float  # x units in one point
    width_pt: float
    header_pt: float  # for the legend
    lane_pt: float
    strip_pt: float  # for words above a lane's bars, where lanes are high enough
    heaviest: int  # the tallest bar
    crowded: bool  # more bars than the width can show

    def top(self, index: int) -> float:
        return self.header_pt + index * self.lane_pt + self.strip_pt

    def floor(self, index: int) -> float:
        return self.header_pt + (index + 1) * self.lane_pt - 6

    @property
    def tall_pt(self) -> float:
        return self.floor(0) - self.top(0)

    def x(self, ns: float) -> float:
        return ns / self.unit_ns

    def pt(self, ns: float) -> float:
        return (self.x(ns) - self.left) / self.per_pt

    def at_pt(self, pt: float) -> float:
        return self.left + pt * self.per_pt

    def height(self, weight: Ints) -> Floats:
        stub = min(STUB_PT, self.tall_pt / 2)
        return stub + (self.tall_pt - stub) * weight / self.heaviest


def _counted_from(subject: Subject, zero_ns: int) -> Subject:
    return replace(
        subject,
        sent_ns=0,
        end_ns=subject.end_ns - zero_ns,
        at_ns=subject.at_ns - zero_ns,
        stalls=subject.stalls - zero_ns,
        cuts=subject.cuts - zero_ns,
    )


def _lanes(shown: list[Subject]) -> list[_Lane]:
    text = any(subject.characters.any() for subject in shown) or not any(subject.at_ns.size for subject in shown)
    names = list(dict.fromkeys(subject.name for subject in shown))
    lanes = []
    for subject in shown:
        first = np.flatnonzero(np.diff(subject.read, prepend=-1))
        events = np.diff(first, append=subject.read.size)
        weight = subject.characters if text else subject.bytes
        total = np.add.reduceat(weight, first) if first.size else weight
        lane = _Lane(
            subject=subject,
            group=names.index(subject.name),
            end_ns=max(subject.end_ns, *subject.at_ns[-1:].tolist(), 0),
            at_ns=subject.at_ns[first],
            first=first,
            events=events,
            weight=weight,
            total=total,
            unit="characters" if text else "bytes",
            single=(events == 1) & (total > 0),
            empty=(events == 1) & (total == 0),
            shared=events > 1,
            replayed=subject.replayed[first],
        )
        lanes.append(lane)
    return lanes


def _lay_out(ax: Axes, lanes: list[_Lane], unit_ns: float) -> _Layout:
    """Set the limits, so that every lane and every outcome's name has its room."""
    ends = [lane.end_ns / unit_ns for lane in lanes]
    left = min(0.0, *(min(lane.at_ns.tolist(), default=0) / unit_ns for lane in lanes))
    widest = max(ends) if max(ends) > left else left + 1
    ax.set_xlim(left, widest)
    _name_lanes(ax, lanes, [i + 0.5 for i in range(len(lanes))])
    palette.settle(ax)
    palette.trust_below(ax, [lane.subject.trust for lane in lanes])
    palette.settle(ax)
    width, height = palette.size_pt(ax)
    right = widest
    for lane, end in zip(lanes, ends, strict=True):
        taken = 8 if lane.subject.outcome.ok else 12 + width_pt(_end_name(lane))
        right = max(right, left + (end - left) * width / max(width - taken, width / 3))
    crowded = max(lane.events.size for lane in lanes) > 2 * width
    header = _columns(_entries(lanes, crowded), width)[1] * LINE_PT + 5
    lane_pt = max(10.0, (height - header) / len(lanes))
    layout = _Layout(
        ax=ax,
        unit_ns=unit_ns,
        left=left,
        per_pt=(right - left) / width,
        width_pt=width,
        header_pt=header,
        lane_pt=lane_pt,
        strip_pt=LINE_PT + 2 if lane_pt >= 28 else 2,
        heaviest=_heaviest(lanes),
        crowded=crowded,
    )
    ax.set_xlim(left, right)
    ax.set_ylim(header + len(lanes) * lane_pt, 0)
    _name_lanes(ax, lanes, [(layout.top(i) + layout.floor(i)) / 2 for i in range(len(lanes))])
    return layout


def _heaviest(lanes: list[_Lane]) -> int:
    return max(int(lane.total.max(initial=1)) for lane in lanes)


def _name_lanes(ax: Axes, lanes: list[_Lane], middles: list[float]) -> None:
    named = any(lane.subject.name for lane in lanes)
    shown = [palette.legible(lane.subject.name) for lane in lanes]
    ax.set_yticks(
        middles if named else [],
        labels=[name for name, _ in shown] if named else [],
        fontfamily=list(dict.fromkeys(family for _, families in shown for family in families)),
        parse_math=False,
    )
    ax.tick_params(axis="y", length=0)


def _draw_lane(layout: _Layout, index: int, lane: _Lane) -> None:
    subject = lane.subject
    start, end = subject.origin_ns, lane.end_ns
    waits = [(start, end if subject.wait_ns is None else start + subject.wait_ns), subject.silence]
    for wait in filter(None, waits):
        _shade(layout, index, wait, "_wait", **WAITING)
    for cut in subject.cuts.tolist():
        _shade(layout, index, cut, "_cut_off", **CUT)
    for stall in subject.stalls.tolist():
        _shade(layout, index, stall, "_stall", facecolor=palette.STALL_FILL)
    floor = layout.floor(index)
    layout.ax.plot([layout.x(start), layout.x(end)], [floor, floor], color=MUTED, linewidth=0.8, label="_open")
    _draw_bars(layout, index, lane)
    _draw_end(layout, index, lane)
    if layout.strip_pt >= LINE_PT:
        _label_lane(layout, index, lane)


def _shade(layout: _Layout, index: int, span_ns: Sequence[int], label: str, **style: Any) -> None:
    left, right = layout.x(span_ns[0]), layout.x(span_ns[1])
    corner = (left, layout.top(index))
    layout.ax.add_patch(Rectangle(corner, right - left, layout.tall_pt, label=label, zorder=0.5, **style))


def _draw_bars(layout: _Layout, index: int, lane: _Lane) -> None:
    colour = palette.recording_stroke(lane.group).colour
    x = lane.at_ns / layout.unit_ns
    pitch = float(np.median(np.diff(x))) / layout.per_pt if x.size > 1 else np.inf
    thin, thick = float(np.clip(0.5 * pitch, 0.6, 2.4)), float(np.clip(0.8 * pitch, 2.4, 5.0))
    floor = layout.floor(index)

    def bars(which: Bools, inset: float, width: float, colour: str, label: str) -> None:
        chosen = _drawn(layout, x, lane.total, np.flatnonzero(which))
        low = np.full(chosen.size, floor - inset)
        high = floor - layout.height(lane.total[chosen]) + inset
        ends = np.stack([np.column_stack([x[chosen], low]), np.column_stack([x[chosen], high])], axis=1)
        lines = LineCollection(list(ends), linewidths=width, colors=colour, capstyle="butt", label=label)
        layout.ax.add_collection(lines, autolim=False)

    bars(lane.empty, 0, thin, MUTED, "_empty")
    inside = thick if thick < 3 else thick - 1.6
    bars(lane.single & ~lane.replayed, 0, thin, colour, "_pieces")
    bars(lane.single & lane.replayed, 0, thin, palette.REPLAYED, "_replayed")
    bars(lane.shared, 0, thick, INK, "_shared")  # where bars touch, this outlines them all together
    bars(lane.shared & ~lane.replayed, 1, inside, _pale(colour), "_inside")
    bars(lane.shared & lane.replayed, 1, inside, palette.REPLAYED, "_replayed_inside")
    if thick >= 4:
        _draw_borders(layout, floor, lane, x, thick)


def _drawn(layout: _Layout, x: Floats, total: Ints, chosen: Ints) -> Ints:
    """Of too many bars the tallest of each half point: the others would be painted over anyway."""
    if not layout.crowded:
        return chosen
    column = np.floor((x[chosen] - layout.left) / layout.per_pt * 2).astype(np.int64)
    order = np.lexsort((total[chosen], column))
    tallest = order[np.flatnonzero(np.diff(column[order], append=np.iinfo(np.int64).max))]
    return chosen[tallest]


def _draw_borders(layout: _Layout, floor: float, lane: _Lane, x: Floats, thick: float) -> None:
    """The borders between the pieces of one read, where they can be told apart."""
    half = thick / 2 * layout.per_pt
    lines = []
    for at, first, count in zip(x[lane.shared], lane.first[lane.shared], lane.events[lane.shared], strict=True):
        edges = floor - layout.height(np.cumsum(lane.weight[first : first + count]))
        if np.ptp(edges) > 3 * count:
            lines += [[(at - half, edge), (at + half, edge)] for edge in edges[:-1].tolist()]
    layout.ax.add_collection(LineCollection(lines, linewidths=0.9, colors=INK, label="_borders"), autolim=False)


def _draw_end(layout: _Layout, index: int, lane: _Lane) -> None:
    end, floor, outcome = layout.x(lane.end_ns), layout.floor(index), lane.subject.outcome
    if outcome.ok:  # across the base line: bars stand on it and cannot hide the lower half
        layout.ax.plot([end, end], [floor - 5, floor + 5], color=INK, linewidth=2, label="_complete")
        return
    y = floor - min(9.0, 0.5 * layout.tall_pt)
    layout.ax.plot([end], [y], **end_mark(outcome))
    x = end + 8 * layout.per_pt
    layout.ax.text(x, y, _end_name(lane), fontsize=NOTE_PT, color=INK, va="center", parse_math=False)


def _end_name(lane: _Lane) -> str:
    return palette.legible(str(lane.subject.outcome), limit=32)[0]  # an error's code is the provider's own text


def _label_lane(layout: _Layout, index: int, lane: _Lane) -> None:
    """Words above the bars: what has no room beside something more telling is shortened or left out."""
    counts = [
        _over(layout, (at_ns, at_ns), f"×{events:,}")
        for at_ns, events in zip(lane.at_ns[lane.shared][:100], lane.events[lane.shared], strict=False)
    ]
    choices = [
        [
            *_wait_words(layout, lane, full_wait),
            *_stall_words(layout, lane, full_stalls),
            *_cut_words(layout, lane, full_stalls),
            *more,
        ]
        for more in (counts, [])
        for full_stalls in (True, False)
        for full_wait in (True, False)
    ]
    words = next((choice for choice in choices if _apart(choice)), None)
    if words is None:
        telling = [*_cut_words(layout, lane, True)[:1], *_stall_words(layout, lane, True)[:1]]
        words = _fitting([], [*telling, *choices[-1]])
    with_counts = _fitting(words, counts)
    if len(with_counts) - len(words) > len(counts) / 2:
        words = with_counts
    y = layout.top(index) - layout.strip_pt / 2
    for word in words:
        layout.ax.text(layout.at_pt(word.left), y, word.text, fontsize=NOTE_PT, color=INK, va="center")


@dataclass(frozen=True)
class _Word:
    text: str
    left: float  # in points from the frame's left edge

    @property
    def right(self) -> float:
        return self.left + width_pt(self.text)


def _over(layout: _Layout, span_ns: Sequence[int], text: str) -> _Word:
    return _inside(layout, text, (layout.pt(span_ns[0]) + layout.pt(span_ns[1])) / 2 - width_pt(text) / 2)


def _inside(layout: _Layout, text: str, left: float) -> _Word:
    return _Word(text, max(0.0, min(left, layout.width_pt - width_pt(text))))


def _apart(words: list[_Word]) -> bool:
    ordered = sorted(words, key=lambda word: word.left)
    return all(one.right + 3 <= other.left for one, other in pairwise(ordered))


def _fitting(words: list[_Word], more: list[_Word]) -> list[_Word]:
    for word in more:
        words = [*words, word] if _apart([*words, word]) else words
    return words


def _wait_words(layout: _Layout, lane: _Lane, full: bool) -> list[_Word]:
    subject = lane.subject
    took = lane.end_ns - subject.origin_ns if subject.wait_ns is None else subject.wait_ns
    what = f"no {subject.noun} in " if subject.wait_ns is None else f"first {subject.noun} after "
    words = [_inside(layout, f"{what if full else ''}{duration(took)}", layout.pt(subject.origin_ns))]
    if subject.silence:
        silence = duration(subject.silence[1] - subject.silence[0])
        words.append(_over(layout, subject.silence, f"nothing for {silence}" if full else silence))
    return words


def _stall_words(layout: _Layout, lane: _Lane, full: bool) -> list[_Word]:
    """The longest first."""
    stalls, what = sorted(lane.subject.stalls.tolist(), key=lambda stall: stall[0] - stall[1]), "stall " if full else ""
    return [_over(layout, stall, f"{what}{duration(stall[1] - stall[0])}") for stall in stalls[:100]]


def _cut_words(layout: _Layout, lane: _Lane, full: bool) -> list[_Word]:
    """The longest first."""
    subject = lane.subject
    cuts = zip(subject.cuts.tolist(), subject.replayed_after, strict=True)
    words = []
    for (start, end), count in sorted(cuts, key=lambda cut: cut[0][0] - cut[0][1])[:100]:
        more = f", {count:,} replayed" if full and count else ""
        words.append(_over(layout, (start, end), f"{'cut ' if full else ''}{duration(end - start)}{more}"))
    return words


def _entries(lanes: list[_Lane], crowded: bool) -> list[tuple[Artist, str]]:
    """The legend: only what occurs."""
    colour = palette.recording_stroke(0).colour
    unit, heaviest = lanes[0].unit, _heaviest(lanes)
    entries: list[tuple[Artist, str]] = [(Patch(**WAITING), "waiting")]
    if any(lane.total.any() for lane in lanes):
        what = "piece" if unit == "characters" else "event"
        tallest = f"tallest {heaviest:,}{'; where crowded, the tallest' if crowded else ''}"
        entries.append((_mark("|", colour, 9), f"{what}, height = {unit} ({tallest})"))
    if any(lane.empty.any() for lane in lanes):
        entries.append((_mark("|", MUTED, 4), "event without text"))
    if any(lane.shared.any() for lane in lanes):
        entries.append((_mark(UPRIGHT, INK, 9, _pale(colour)), "arrived in one read"))
    if any(lane.subject.cuts.size for lane in lanes):
        entries.append((Patch(**CUT), "cut, asked again"))
    if any(lane.replayed.any() for lane in lanes):
        entries.append((_mark("|", palette.REPLAYED, 9), "replayed"))
    if any(lane.subject.stalls.size for lane in lanes):
        entries.append((Patch(facecolor=palette.STALL_FILL), "stall"))
    if any(lane.subject.outcome.ok for lane in lanes):
        entries.append((_mark("|", INK, 7), "complete"))
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

"""The journey: the staircases of all taps, and between them what each hop held."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from streamkit.lab.findings.journey import HopFacts, Journey, describe_journey, journeys
from streamkit.lab.findings.words import duration, many
from streamkit.lab.metrics.curves import Curve, count_at
from streamkit.lab.plots import palette
from streamkit.lab.plots.page import Box, Page, stairs
from streamkit.lab.plots.palette import INK, LINE_PT, WIDTH_IN, end_mark, width_pt

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from streamkit.lab.metrics.curves import Unit
    from streamkit.lab.recording.recording import Recording

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["journey"]

HEIGHT_IN: Final = 4.4
COINCIDE: Final = 0.01  # taps of one place that are never further apart than this share of the width are drawn as one
VISIBLE_PT: Final = 3.0  # a hop's area is worth a name from this width on
BAR_PT: Final = 4.5  # bars that lie under a tread
BELOW_PT: Final = 22.0  # room below zero: for the wait and its name
ABOVE_PT: Final = 18.0  # room above the last event: for names at the ends
ROW_PT: Final = LINE_PT + 1  # of the legend
HEAD_SHARE: Final = 0.36  # of the height at most for a legend with all hops that stands above the staircases
MAX_BARS: Final = 100
WAITING: Final[dict[str, Any]] = {
    "facecolor": palette.WAIT_FILL,
    "edgecolor": palette.WAIT_LINE,
    "hatch": 2 * palette.WAIT_HATCH,
    "linewidth": 0.8,
}


CUT: Final[dict[str, Any]] = {
    "facecolor": palette.CUT_FILL,
    "edgecolor": palette.CUT_LINE,
    "hatch": 2 * palette.CUT_HATCH,
    "linewidth": 0.8,
}


def journey(recording: Recording, ax: Axes | None = None, *, title: str | None = None, unit: Unit = "events") -> Axes:
    """How many events (or bytes of text, by `unit`) had passed each tap by when: one staircase per tap.

        sk.plots.journey(await lab.post("/ans", chat_history="hi"))     # a Lab brings the taps of all three

    x is in ms since the request was sent (since the call, if that is not known); in s from 100 s on. Between two
    neighbouring staircases, the height is how much that hop held, and the width for how long; each hop has its own
    shade and hatch. Taps of one place that coincide are drawn as one.

    Under the client's staircase are the wait for the first event, stalls, cuts with what was replayed after them, and
    the silence before an end that is not complete. That end is a cross with the outcome (a square if we stopped the
    stream ourselves); a timer that fired is a dashed line. Events that shared a read are outlined.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    Raises TypeError for what is not a recording, ValueError for an unknown unit.
    """
    shown = journeys([recording], unit)[0]
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, HEIGHT_IN)
    unit_ns = _dress(ax, shown, describe_journey(shown) if title is None else title)
    page = _arrange(ax, shown, unit_ns, head_pt=0)
    if not page.fits:
        page = _arrange(ax, shown, unit_ns, head_pt=page.head_pt)
    for draw in page.todo:
        draw()
    return ax


class _Strand(NamedTuple):
    """One or several taps of a place, drawn as one staircase."""

    taps: Sequence[str]
    main: str
    curve: Curve
    shown: Curve  # where it goes on to the end, a last step of height 0

    @property
    def name(self) -> str:
        return ", ".join([self.taps[0], *(tap.partition(".")[2] for tap in self.taps[1:])])


def _dress(ax: Axes, shown: Journey, title: str) -> float:
    """All words outside the frame, so that its size is known; how many ns the unit of its axis has."""
    unit_ns = palette.time_axis(ax, shown.end_ns, sent=shown.subject.sent_ns is not None)
    ax.set_ylabel("events passed" if shown.unit == "events" else "bytes of text passed", fontsize=palette.LABEL_PT)
    left, right, most = _extent(shown)
    ax.set_xlim(left / unit_ns, right / unit_ns)
    ax.yaxis.set_major_locator(palette.whole_numbers(most))
    ax.yaxis.set_major_formatter(palette.plain_numbers())
    ax.set_ylim(0, most)
    palette.settle(ax)  # the frame's width, for title and note; then its height, with both
    palette.dress(ax, title, spines=["left", "bottom"])
    palette.trust_below(ax, [shown.trust])
    palette.settle(ax)
    return unit_ns


def _extent(shown: Journey) -> tuple[int, int, int]:
    """The first and the last moment in ns, and the greatest number; never nothing."""
    curves = [curve for curve in shown.curves.values() if curve.total]
    first = min((int(curve.at_ns[0]) for curve in curves), default=0)
    most = max((curve.total for curve in curves), default=1)
    return min(0, first), max(shown.end_ns, 1_000_000), most


def _arrange(ax: Axes, shown: Journey, unit_ns: float, head_pt: float) -> Page:
    """Find a place for everything, the staircases first and the ornaments last."""
    page = _lay_out(ax, shown, unit_ns, head_pt)
    strands = _strands(shown, page)
    page.drawn.extend(strand.shown for strand in strands)
    between = [(one.taps[-1], other.taps[0]) for one, other in pairwise(strands)]
    hops = [hop for hop in shown.hops if (hop.before, hop.after) in between]
    for hop in hops:
        _shade(page, shown, hop)
    for strand in strands:
        _draw_strand(page, strand)
    _mark_end(page, shown)
    _mark_pauses(page, shown)
    shared = _mark_reads(page, shown)
    _explain(page, shown, strands, [hop for hop in hops if page.pt(hop.longest_ns) >= VISIBLE_PT or hop.lost], shared)
    _name_ends(page, strands)
    return page


def _lay_out(ax: Axes, shown: Journey, unit_ns: float, head_pt: float) -> Page:
    """Limits, with room for the outcome's name at the right and for words above and below."""
    left, right, most = _extent(shown)
    width, height = palette.size_pt(ax)
    room = 6.0 if shown.subject.outcome.ok else 14 + width_pt(_end_name(shown)[0])
    ns_per_pt = (right - left) / max(width - room, width / 3)
    count_per_pt = most / max(height - ABOVE_PT - BELOW_PT - head_pt, height / 4)
    high = height - BELOW_PT
    ax.set_xlim(left / unit_ns, (left + width * ns_per_pt) / unit_ns)
    ax.set_ylim(-BELOW_PT * count_per_pt, high * count_per_pt)
    return Page(
        ax=ax,
        unit_ns=unit_ns,
        left_ns=left,
        ns_per_pt=ns_per_pt,
        count_per_pt=count_per_pt,
        width=width,
        low=-BELOW_PT,
        high=high,
        head_pt=head_pt,
    )


def _strands(shown: Journey, page: Page) -> list[_Strand]:
    groups: list[list[str]] = []
    for tap in shown.curves:
        together = groups and tap.partition(".")[0] == groups[-1][0].partition(".")[0]
        if together and page.pt(_distance_ns(shown, groups[-1][0], tap)) <= COINCIDE * page.width:
            groups[-1].append(tap)
        else:
            groups.append([tap])
    strands = []
    for taps in groups:
        main = next((tap for tap in taps if palette.TAP_STROKES[tap].line == "-"), taps[0])
        curve = shown.curves[main]
        silent = bool(shown.subject.silence) or not shown.subject.outcome.ok
        on = curve.total and (_keeps(shown, taps[-1]) or (main.startswith("client.") and silent))
        ends = Curve(np.append(curve.at_ns, shown.end_ns), np.append(curve.count, curve.total)) if on else curve
        strands.append(_Strand(taps, main, curve, ends))
    return strands


def _distance_ns(shown: Journey, tap: str, other: str) -> float:
    hop = shown.hop(tap, other)
    return np.inf if hop.lost else float(np.abs(hop.delay).max(initial=0))


def _keeps(shown: Journey, tap: str) -> bool:
    """Whether something passed this tap and never the next one."""
    return any(hop.lost for hop in shown.hops if hop.before == tap)


def _shade(page: Page, shown: Journey, hop: HopFacts) -> None:
    before, after = shown.curves[hop.before], shown.curves[hop.after]
    times = np.union1d(stairs(before, page.ns_per_pt).at_ns, stairs(after, page.ns_per_pt).at_ns)
    if hop.lost:
        times = np.append(times, max(shown.end_ns, times[-1]))
    upper, lower = count_at(before, times), count_at(after, times)
    page.later(
        page.ax.fill_between,
        times / page.unit_ns,
        np.minimum(lower, upper),
        upper,
        step="post",
        label=f"_held {hop.name}",
        zorder=1,
        **palette.HOP_FILLS[hop.after].style,
    )


def _draw_strand(page: Page, strand: _Strand) -> None:
    """From zero on, so that a single event and a first jump are seen too."""
    if not strand.curve.at_ns.size:
        return
    seen = stairs(strand.shown, page.ns_per_pt)
    page.later(
        page.ax.plot,
        np.append(seen.at_ns[:1], seen.at_ns) / page.unit_ns,
        np.append(0, seen.count),
        drawstyle="steps-post",
        label=f"_{strand.name}",
        zorder=2,
        **_stroke(strand),
    )


def _stroke(strand: _Strand) -> dict[str, Any]:
    return {**palette.TAP_STROKES[strand.main].style, "linewidth": _width(strand)}


def _width(strand: _Strand) -> float:
    """Thinner from tap to tap: where staircases coincide, each shows beside those drawn over it."""
    taps = list(palette.TAP_STROKES)
    return 1.5 if strand.main == taps[0] else 2.8 - 1.4 * taps.index(strand.main) / (len(taps) - 1)


def _reading(shown: Journey) -> Curve:
    return shown.curves["client.read"] if "client.read" in shown.curves else Curve(*np.zeros((2, 0), np.int64))


def _mark_reads(page: Page, shown: Journey) -> list[tuple[Artist, str]]:
    """Reads that brought several events: outlined risers, with a count where there is room."""
    subject, curve = shown.subject, _reading(shown)
    _, first, events = np.unique(subject.read[subject.counted], return_index=True, return_counts=True)
    at_ns = subject.at_ns[subject.counted][first[events > 1]] - shown.origin_ns
    if not 0 < at_ns.size <= min(MAX_BARS, page.width / 6):
        return []
    low, high = count_at(curve, at_ns - 1), count_at(curve, at_ns)
    ends = [[(page.x(at), one), (page.x(at), other)] for at, one, other in zip(at_ns, low, high, strict=True)]
    for width, colour, label in ((5.0, INK, "_shared"), (3.4, "#A6DCCB", "_inside")):
        lines = LineCollection(ends, linewidths=width, colors=colour, capstyle="butt", label=label, zorder=3)
        page.later(page.ax.add_collection, lines, autolim=False)
    for at, one, other, count in zip(at_ns.tolist(), low.tolist(), high.tolist(), events[events > 1], strict=True):
        if page.up(other - one) >= LINE_PT:
            page.write(f"×{count}", page.across(at) + 6, page.up((one + other) / 2))
    handle = Line2D([], [], linestyle="none", marker="s", color=INK, markerfacecolor="#A6DCCB", markersize=5)
    return [(handle, "events that shared a read")]


def _mark_pauses(page: Page, shown: Journey) -> None:
    """Under the client's treads: the wait for the first event, the stalls, the silence at the end."""
    subject, curve = shown.subject, _reading(shown)
    first_ns = int(curve.at_ns[0]) if curve.at_ns.size else shown.end_ns
    if first_ns > 0:
        what = f"first {subject.noun} after" if curve.at_ns.size else f"no {subject.noun} in"
        _mark_pause(page, 0, (0, first_ns), f"{what} {duration(first_ns)}", WAITING)
    spans = [(start - shown.origin_ns, end - shown.origin_ns) for start, end in subject.stalls.tolist()]
    for span in sorted(spans, key=lambda span: span[0] - span[1])[:MAX_BARS]:
        stalled = {"facecolor": palette.STALL_FILL, "edgecolor": "#B98A1B", "linewidth": 0.6}
        _mark_pause(page, count_at(curve, span[0]), span, f"stall {duration(span[1] - span[0])}", stalled)
    for (start, end), count in zip((subject.cuts - shown.origin_ns).tolist(), subject.replayed_after, strict=True):
        replayed = f", {many(count, subject.noun)} replayed" if count else ""
        _mark_pause(page, count_at(curve, start), (start, end), f"cut {duration(end - start)}{replayed}", CUT)
    if subject.silence:
        start, end = (at - shown.origin_ns for at in subject.silence)
        _mark_pause(page, count_at(curve, start), (start, end), f"nothing for {duration(end - start)}", WAITING)


def _mark_pause(page: Page, count: int, span_ns: tuple[int, int], words: str, style: dict[str, Any]) -> None:
    start, end = (page.x(at) for at in span_ns)
    top = page.up(count) - 2
    _, low = page.at(0, top - BAR_PT)
    page.later(
        page.ax.add_patch,
        Rectangle((start, low), end - start, BAR_PT * page.count_per_pt, label="_pause", zorder=1.5, **style),
    )
    left = page.across(span_ns[0])
    page.boxes.append(Box(left, top - BAR_PT, page.across(span_ns[1]), top))
    page.write(words, max(left + 3, 0.0), top - BAR_PT - LINE_PT / 2 - 1)


def _mark_end(page: Page, shown: Journey) -> None:
    outcome = shown.subject.outcome
    if outcome.ok:
        return
    end, count = shown.subject.end_ns - shown.origin_ns, _reading(shown).total
    x, y = page.x(end), float(count)
    if outcome.name == "timeout":
        top = page.at(0, page.ceiling)[1]
        page.later(
            page.ax.vlines,
            x,
            page.at(0, page.low)[1],
            top,
            color=INK,
            linewidth=0.9,
            linestyle=(0, (4, 3)),
            label="_timer",
        )
    page.later(page.ax.plot, [x], [y], **end_mark(outcome), zorder=4)
    across, up = page.across(end), page.up(count)
    if outcome.name == "timeout":
        page.boxes.append(Box(across - 2, page.low, across + 2, page.ceiling))
    page.boxes.append(Box(across - 6, up - 6, across + 6, up + 6))
    name, families = _end_name(shown)
    for shift in (0.0, -LINE_PT, LINE_PT):
        if page.write(name, across + 8, up + shift, fontfamily=families):
            return


def _end_name(shown: Journey) -> tuple[str, list[str]]:
    return palette.legible(str(shown.subject.outcome), limit=32)  # an error's code is the provider's own text


def _name_ends(page: Page, strands: Sequence[_Strand]) -> None:
    """Each strand's name above its end, if there are several and all have room."""
    shown = [strand for strand in strands if strand.curve.total]
    boxes = []
    for strand in shown:
        width, low = width_pt(strand.name), page.up(strand.curve.total) + 3
        left = page.across(int(strand.shown.at_ns[-1])) - width / 2
        left = min(max(left, 0.0), page.width - width)
        boxes.append(Box(left, low, left + width, low + LINE_PT - 2))
    crowded = any(one.meets(other) for one, other in combinations(boxes, 2))
    if len(shown) > 1 and not crowded and all(map(page.free, boxes)):
        for strand, box in zip(shown, boxes, strict=True):
            page.write(strand.name, box.left, (box.low + box.high) / 2)


def _explain(
    page: Page, shown: Journey, strands: list[_Strand], held: list[HopFacts], more: list[tuple[Artist, str]]
) -> None:
    """The legend in the order of the way, above all staircases or below them; without numbers where it is tight."""
    lines: list[tuple[Artist, str]] = [
        (Line2D([], [], **_stroke(strand)), strand.name) for strand in strands if strand.curve.total
    ]
    names = [f"held: {hop.name}" for hop in held]
    most = [f"{hop.name}: max {many(hop.most, shown.noun)}, {_how_long(hop)}" for hop in held]
    areas = [Patch(**palette.HOP_FILLS[hop.after].style) for hop in held]
    full, plain = ([*lines, *zip(areas, words, strict=True), *more] for words in (most, names))
    if not full:
        return
    if page.head_pt:
        entries = next(choice for choice in (full, plain, lines) if _rows_pt(page, choice) <= page.head_pt)
        _draw_legend(page, entries, Box(8, page.ceiling, page.width, page.high - 2))
        return
    low = [_rows_pt(page, choice) for choice in (full, plain)]
    above = next((needed for needed in low if needed <= HEAD_SHARE * (page.high - page.low)), None)
    corners = [
        (choice, box)
        for choice in (full, plain, *([lines] if above is None else []))
        for box in _corners(page, choice)
        if _aside(page, box)
    ]
    if corners:
        page.boxes.append(corners[0][1])
        _draw_legend(page, *corners[0])
    else:
        page.head_pt = _rows_pt(page, lines) if above is None else above
        page.fits = False


def _rows_pt(page: Page, entries: list[tuple[Artist, str]]) -> float:
    """How high the legend is above the staircases, in as many columns as fit."""
    return -(-len(entries) // _columns(page, entries)) * ROW_PT + 4


def _columns(page: Page, entries: list[tuple[Artist, str]]) -> int:
    return palette.key_columns((text for _, text in entries), page.width - 8, handle_pt=48)


def _how_long(hop: HopFacts) -> str:
    return f"{hop.lost:,} of them for good" if hop.lost and not hop.under_way else duration(hop.longest_ns)


def _corners(page: Page, entries: list[tuple[Artist, str]]) -> tuple[Box, Box]:
    width = max(width_pt(text) for _, text in entries) + 34
    height = len(entries) * ROW_PT
    return (
        Box(8, page.high - height - 2, 8 + width, page.high - 2),
        Box(page.width - width - 4, 4, page.width - 4, 4 + height),
    )


def _aside(page: Page, box: Box) -> bool:
    """Whether it is free and lies above all staircases or below them, not in an area between two."""
    left, right = (int(page.left_ns + side * page.ns_per_pt) for side in (box.left, box.right))
    above = all(page.up(count_at(curve, right)) <= box.low for curve in page.drawn)
    below = all(page.up(count_at(curve, left)) >= box.high for curve in page.drawn)
    return page.free(box) and (above or below)


def _draw_legend(page: Page, entries: list[tuple[Artist, str]], box: Box) -> None:
    page.later(
        page.ax.legend,
        [handle for handle, _ in entries],
        [text for _, text in entries],
        bbox_to_anchor=(box.left / page.width, (box.high - page.low) / (page.high - page.low)),
        ncols=_columns(page, entries) if page.head_pt else 1,
        **palette.KEY,
    )

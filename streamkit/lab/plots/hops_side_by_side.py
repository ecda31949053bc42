"""The hops of several recordings, or groups of them: those in which they differ, a bar each; the others in small print.

The vertical unit inside the frame is the point, counted from the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator

from streamkit.lab.findings.hops import ComparedHops, SameHop, compared_hops, delay_at, describe_hops, has_delay
from streamkit.lab.findings.words import duration, enumerated, short
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import FRAME_PT, INK, LINE_PT, MUTED, NOTE_PT, WIDTH_IN, width_pt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from streamkit.lab.findings.journey import Journey
    from streamkit.lab.findings.subjects import Bundle

__all__ = ["draw_differing", "no_delay"]

MS: Final = 1e6
BAND_PT: Final = 15.0  # one bar
GAP_PT: Final = 10.0  # between hops
BAR: Final = 0.62  # of the band
MARK_PT: Final = 2.0  # by which a mark reaches over its bar, above and below


def draw_differing(shown: Sequence[Bundle[Journey]], ax: Axes | None, title: str | None) -> Axes:
    """What `plots.hops` draws of more than one recording, or group of them."""
    compared = compared_hops(shown)
    rest = " ".join(_rest(shown, compared))
    bands = sum(len(hop.of) for hop in compared.drawn)
    if ax is None:
        lines = len(palette.wrapped(rest, NOTE_PT, 0.75 * WIDTH_IN * 72))
        needed = FRAME_PT + lines * LINE_PT + bands * BAND_PT + len(compared.drawn) * GAP_PT
        ax = palette.new_axes(WIDTH_IN, max(2.2, needed / 72))
    marks = "; a mark for each recording" if any(len(group.members) > 1 for group in shown) else ""
    ax.set_xlabel(f"p{compared.q} of the delay from tap to tap (ms{marks})")
    ax.set_yticks(range(len(compared.drawn)), labels=[hop.name for hop in compared.drawn])
    ax.tick_params(axis="y", length=0)
    palette.settle(ax)
    palette.dress(ax, describe_hops(shown) if title is None else title, spines=["bottom"])
    palette.trust_below(ax, [journey.trust for group in shown for journey in group.members])
    if not compared.drawn:
        palette.say_instead(ax, [(group.name, no_delay(group)) for group in shown])
        return ax
    palette.settle(ax)
    width, height = palette.size_pt(ax)
    ax.set_ylim(height, 0)
    first = top = _say(ax, rest, width)
    stretch = max(0.2, (height - top) / (bands * BAND_PT + len(compared.drawn) * GAP_PT))
    rows = [_bars(shown, hop, compared.q) for hop in compared.drawn]
    _limit(ax, [bar for bars in rows for bar in bars], width)
    middles = []
    for row, bars in enumerate(rows):
        if row:
            ax.axhline(top, color=palette.GRID, linewidth=0.8, zorder=0, label="_border")
        tall = (len(bars) * BAND_PT + GAP_PT) * stretch
        for band, bar in enumerate(bars):
            y = top + (GAP_PT / 2 + (band + 0.5) * BAND_PT) * stretch
            _draw_bar(ax, y, bar, stretch)
        middles.append(top + tall / 2)
        top += tall
    ax.plot([0, 0], [first, height], color=MUTED, linewidth=0.8, zorder=1, label="_zero")
    ax.set_yticks(middles, labels=[hop.name for hop in compared.drawn])
    return ax


class _Bar(NamedTuple):
    """A hop in one group of recordings: how long, what stands behind it, and how long it is in each of several."""

    number: int
    delay_ns: int
    words: str
    families: list[str]
    each: list[int]

    @property
    def ends_ms(self) -> tuple[float, float]:
        """Of all that is drawn of it; it begins at 0."""
        ends = (0, self.delay_ns, *self.each)
        return min(ends) / MS, max(ends) / MS


def _bars(shown: Sequence[Bundle[Journey]], hop: SameHop, q: int) -> list[_Bar]:
    bars = []
    for number, together in hop.of.items():
        group, each = shown[number], [delay_at(one, q) for one in hop.each[number]]
        name, families = palette.legible(group.name)
        seen = "" if len(each) == len(group.members) else f", seen in {len(each):,}"
        delay_ns = delay_at(together, q)
        words = f"{name}{seen}: {duration(delay_ns)}"
        bars.append(_Bar(number, delay_ns, words, families, each if len(each) > 1 else []))
    return bars


def no_delay(group: Bundle[Journey]) -> str:
    """Why there is nothing to measure in it."""
    journey, *others = group.members
    if others:
        return "no delay in any of them"
    return f"no delay ({journey.subject.count or 'no'} {journey.subject.noun}s, {journey.subject.outcome})"


def _rest(shown: Sequence[Bundle[Journey]], compared: ComparedHops) -> list[str]:
    """Every hop that is not drawn, and every recording that is in none: nothing is left out in silence."""
    q, alike = compared.q, [hop for hop in compared.alike if len(hop.of) > 1]
    sentences = []
    if alike:
        most = duration(max(_most(hop, q) for hop in alike))
        sentences.append(f"Alike by p{q}, each up to {most}: {', '.join(hop.name for hop in alike)}.")
    everywhere = (*compared.drawn, *compared.alike)
    measured = {number for hop in everywhere for number in hop.of}
    partly: dict[tuple[int, ...], list[str]] = {}
    for hop in everywhere:
        if len(hop.of) < len(measured):
            alone = f" ({duration(_most(hop, q))})" if len(hop.of) == 1 else ""
            partly.setdefault(tuple(hop.of), []).append(f"{hop.name}{alone}")
    for numbers, names in partly.items():
        sentences.append(f"Seen only in {enumerated([short(shown[n].name) for n in numbers])}: {', '.join(names)}.")
    for number, group in enumerate(shown if measured else []):
        without = sum(not has_delay(journey) for journey in group.members)
        if number not in measured:
            sentences.append(f"{short(group.name)}: {no_delay(group)}.")
        elif without:
            sentences.append(f"{short(group.name)}: no delay in {without:,} of them.")
    return sentences


def _most(hop: SameHop, q: int) -> int:
    return max(delay_at(together, q) for together in hop.of.values())


def _say(ax: Axes, text: str, width: float) -> float:
    """Small lines from the top of the frame on, and how high they are."""
    shown, families = palette.legible(text, limit=len(text) + 1)
    lines = palette.wrapped(shown, NOTE_PT, width - 4) if text else []
    corner = palette.points_from(ax, 0, 1)
    for row, line in enumerate(lines):
        y = -(row + 0.5) * LINE_PT
        style: dict[str, Any] = {"fontsize": NOTE_PT, "color": MUTED, "fontfamily": families, "parse_math": False}
        ax.text(0, y, line, transform=corner, va="center", label="_said", **style)
    return len(lines) * LINE_PT


def _limit(ax: Axes, bars: Sequence[_Bar], width: float) -> None:
    """From 0, or the lowest below it, and room for what stands behind each bar."""
    low, high = min(bar.ends_ms[0] for bar in bars), max(bar.ends_ms[1] for bar in bars)
    if low == high:
        high = low + 1
    ms_per_pt = (high - low) / width
    for _ in range(4):  # the more room for words, the fewer points for a millisecond
        ends = [bar.ends_ms[1] + (width_pt(bar.words) + 10) * ms_per_pt for bar in bars]
        right = max([high, *ends])
        ms_per_pt = (right - low) / width
    ax.set_xlim(low, right)
    ticks = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(low, high)
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    ax.xaxis.set_major_formatter(palette.plain_numbers())


def _draw_bar(ax: Axes, y: float, bar: _Bar, stretch: float) -> None:
    tall = min(10.0, BAR * BAND_PT * stretch)
    colour = palette.recording_stroke(bar.number).colour
    left, right = sorted((0.0, bar.delay_ns / MS))
    ax.add_patch(Rectangle((left, y - tall / 2), right - left, tall, facecolor=colour, linewidth=0, label="_bar"))
    if bar.each:
        top, floor = y - tall / 2 - MARK_PT, y + tall / 2 + MARK_PT
        marks = [[(x / MS, top), (x / MS, floor)] for x in bar.each]
        ax.add_collection(LineCollection(marks, colors=INK, linewidths=0.8, label="_each", zorder=2), autolim=False)
    ax.annotate(
        bar.words,
        (bar.ends_ms[1], y),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=NOTE_PT,
        color=INK,
        fontfamily=bar.families,
        parse_math=False,
        label="_named",
    )

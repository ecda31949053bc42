"""The hops of several recordings: those in which they differ, a bar for each recording; the others in small print.

The vertical unit inside the frame is the point, counted from the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator

from streamkit.lab.findings.hops import ComparedHops, SameHop, compared_hops, delay_at, describe_hops
from streamkit.lab.findings.words import duration, enumerated, short
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import FRAME_PT, INK, LINE_PT, MUTED, NOTE_PT, WIDTH_IN, width_pt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from streamkit.lab.findings.journey import Journey

__all__ = ["draw_differing", "no_delay"]

MS: Final = 1e6
BAND_PT: Final = 15.0  # one recording's bar
GAP_PT: Final = 10.0  # between hops
BAR: Final = 0.62  # of the band


def draw_differing(shown: Sequence[Journey], ax: Axes | None, title: str | None) -> Axes:
    """What `plots.hops` draws of more than one recording."""
    compared = compared_hops(shown)
    rest = " ".join(_rest(shown, compared))
    bands = sum(len(group.of) for group in compared.drawn)
    if ax is None:
        lines = len(palette.wrapped(rest, NOTE_PT, 0.75 * WIDTH_IN * 72))
        needed = FRAME_PT + lines * LINE_PT + bands * BAND_PT + len(compared.drawn) * GAP_PT
        ax = palette.new_axes(WIDTH_IN, max(2.2, needed / 72))
    ax.set_xlabel(f"p{compared.q} of the delay from tap to tap (ms)")
    ax.set_yticks(range(len(compared.drawn)), labels=[group.name for group in compared.drawn])
    ax.tick_params(axis="y", length=0)
    palette.settle(ax)
    palette.dress(ax, describe_hops(shown) if title is None else title, spines=["bottom"])
    palette.trust_below(ax, [journey.trust for journey in shown])
    if not compared.drawn:
        palette.say_instead(ax, [(journey.name, no_delay(journey)) for journey in shown])
        return ax
    palette.settle(ax)
    width, height = palette.size_pt(ax)
    ax.set_ylim(height, 0)
    first = top = _say(ax, rest, width)
    stretch = max(0.2, (height - top) / (bands * BAND_PT + len(compared.drawn) * GAP_PT))
    _limit(ax, shown, compared, width)
    middles = []
    for row, group in enumerate(compared.drawn):
        if row:
            ax.axhline(top, color=palette.GRID, linewidth=0.8, zorder=0, label="_border")
        tall = (len(group.of) * BAND_PT + GAP_PT) * stretch
        for band, number in enumerate(group.of):
            y = top + (GAP_PT / 2 + (band + 0.5) * BAND_PT) * stretch
            _draw_bar(ax, y, delay_at(group.of[number], compared.q), number, shown[number], stretch)
        middles.append(top + tall / 2)
        top += tall
    ax.plot([0, 0], [first, height], color=MUTED, linewidth=0.8, zorder=1, label="_zero")
    ax.set_yticks(middles, labels=[group.name for group in compared.drawn])
    return ax


def no_delay(journey: Journey) -> str:
    """Why there is nothing to measure in it."""
    return f"no delay ({journey.subject.count or 'no'} {journey.subject.noun}s, {journey.subject.outcome})"


def _rest(shown: Sequence[Journey], compared: ComparedHops) -> list[str]:
    """Every hop that is not drawn, and every recording that is in none: nothing is left out in silence."""
    q, alike = compared.q, [group for group in compared.alike if len(group.of) > 1]
    sentences = []
    if alike:
        most = duration(max(_most(group, q) for group in alike))
        sentences.append(f"Alike by p{q}, each up to {most}: {', '.join(group.name for group in alike)}.")
    everywhere = (*compared.drawn, *compared.alike)
    measured = {number for group in everywhere for number in group.of}
    partly: dict[tuple[int, ...], list[str]] = {}
    for group in everywhere:
        if len(group.of) < len(measured):
            alone = f" ({duration(_most(group, q))})" if len(group.of) == 1 else ""
            partly.setdefault(tuple(group.of), []).append(f"{group.name}{alone}")
    for numbers, names in partly.items():
        sentences.append(f"Seen only in {enumerated([short(shown[n].name) for n in numbers])}: {', '.join(names)}.")
    without = [journey for number, journey in enumerate(shown) if number not in measured]
    return sentences + [f"{short(journey.name)}: {no_delay(journey)}." for journey in without if measured]


def _most(group: SameHop, q: int) -> int:
    return max(delay_at(hop, q) for hop in group.of.values())


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


def _label(journey: Journey, delay_ns: int) -> tuple[str, list[str]]:
    name, families = palette.legible(journey.name)
    return f"{name}: {duration(delay_ns)}", families


def _limit(ax: Axes, shown: Sequence[Journey], compared: ComparedHops, width: float) -> None:
    """From 0, or the lowest below it, and room for what stands behind each bar."""
    bars = [(delay_at(hop, compared.q), number) for group in compared.drawn for number, hop in group.of.items()]
    low, high = min(0, *(delay for delay, _ in bars)) / MS, max(0, *(delay for delay, _ in bars)) / MS
    if low == high:
        high = low + 1
    ms_per_pt = (high - low) / width
    for _ in range(4):  # the more room for words, the fewer points for a millisecond
        ends = [max(delay, 0) / MS + (width_pt(_label(shown[n], delay)[0]) + 10) * ms_per_pt for delay, n in bars]
        right = max([high, *ends])
        ms_per_pt = (right - low) / width
    ax.set_xlim(low, right)
    ticks = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(low, high)
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    ax.xaxis.set_major_formatter(palette.plain_numbers())


def _draw_bar(ax: Axes, y: float, delay_ns: int, number: int, journey: Journey, stretch: float) -> None:
    tall = min(10.0, BAR * BAND_PT * stretch)
    colour = palette.recording_stroke(number).colour
    left, right = sorted((0.0, delay_ns / MS))
    ax.add_patch(Rectangle((left, y - tall / 2), right - left, tall, facecolor=colour, linewidth=0, label="_bar"))
    words, families = _label(journey, delay_ns)
    ax.annotate(
        words,
        (right, y),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=NOTE_PT,
        color=INK,
        fontfamily=families,
        parse_math=False,
        label="_named",
    )

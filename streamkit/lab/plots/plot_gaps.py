"""The distribution of gaps: one rising curve per recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from streamkit.lab.findings.gaps import describe_gaps, together
from streamkit.lab.findings.subjects import Bundle, Recordings, Subject, grouped, subjects
from streamkit.lab.findings.words import duration
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import (
    FRAME_PT,
    INK,
    LABEL_PT,
    LINE_PT,
    MUTED,
    NOTE_PT,
    PERCENTILES,
    WIDTH_IN,
    width_pt,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    Floats = npt.NDArray[np.float64]

__all__ = ["gaps"]


def gaps(recordings: Recordings, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """How long the gaps are: for each recording, the share of gaps that are at most x ms long (an ECDF).

        >>> ax = sk.plots.gaps(sk.Recording.from_pieces([(10_000_000, "Hel"), (60_000_000, "lo")]))
        >>> ax.get_title("left")
        'Half of the gaps are within 50 ms, the longest is 50 ms'

    x has a log scale. Gaps are between reads that brought events (`metrics.gaps_ns`); the axis label says how many
    events shared a read. p50, p95 and p99 by nearest rank are marked on the curve; their values stand beside them (one
    recording) or in the key (several). A recording with fewer than two such reads has no gap, and is named as such.

    More than eight recordings are drawn in groups, by their names: a thin line for each, and a thick one for all gaps
    of the group together, to which the marks and the key belong.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    It takes one `Recording`, up to 100, or a mapping from names to recordings. Raises ValueError for none and for more
    than 100 (for many streams there is `sk.plots.ecdf`), TypeError for anything else.
    """
    each = subjects(recordings, instead='plots.ecdf(recordings, by=…, metric="gap") draws groups of them')
    groups = grouped(each)
    shown = [together(group) for group in groups]
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, max(3.2, (FRAME_PT + (len(shown) + 2) * LINE_PT) / 72))
    ax.set_xlabel(f"gap between reads (ms, log scale){_sharing(each)}")
    ax.set_ylabel("gaps at most this long (%)", fontsize=LABEL_PT)
    palette.dress(ax, describe_gaps(groups) if title is None else title, spines=["left", "bottom"])
    palette.settle(ax)
    palette.trust_below(ax, [subject.trust for subject in each])
    if not any(subject.gaps.size for subject in shown):
        return _no_gaps(ax, shown)
    ax.set_ylim(0, 104)
    ax.yaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 100]))
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())  # else the layout makes, and measures, labels that will not be there
    ax.xaxis.set_major_formatter(palette.plain_numbers())  # a log scale brings its own
    palette.settle(ax)
    width, _ = palette.size_pt(ax)
    notes = _beside_points(shown[0]) if len(each) == 1 else [(np.inf, _key_width(shown))]
    _log_limits(ax, shown, notes, width)
    for at, (q, _) in enumerate(PERCENTILES):
        longest = max(_percentiles_ms(subject)[at] for subject in shown if subject.gaps.size)
        ax.hlines(q, ax.get_xlim()[0], longest, color=palette.GRID, linewidth=0.8, zorder=0)
    for index, (subject, group) in enumerate(zip(shown, groups, strict=True)):
        _draw_curve(ax, index, subject)
        if len(group.members) > 1:
            _draw_members(ax, index, group)
    if len(each) == 1:
        _label_points(ax, shown[0], width)
    else:
        _draw_key(ax, shown)
        _name_curves(ax, shown, width)
    return ax


def _draw_members(ax: Axes, index: int, group: Bundle[Subject]) -> None:
    for subject in group.members:
        if subject.gaps.size:
            ms = _gaps_ms(subject)
            share = np.arange(ms.size + 1) / ms.size * 100
            thin: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.35, "zorder": 1, "label": "_one"}
            colour = palette.recording_stroke(index).colour
            ax.plot(np.append(ms[0], ms), share, drawstyle="steps-post", color=colour, **thin)


def _sharing(shown: list[Subject]) -> str:
    shares = [subject.shared for subject in shown if subject.shared]
    if not shares:
        return ""
    percent = max(shares) * 100
    share = f"{percent:.0f} %" if percent >= 1 else "under 1 %"
    return f"; {'up to ' if len(shown) > 1 and percent >= 1 else ''}{share} of the events shared a read"


def _no_gaps(ax: Axes, shown: list[Subject]) -> Axes:
    ax.set_yticks([])
    palette.say_instead(ax, [(subject.name, _why_no_gap(subject)) for subject in shown])
    return ax


def _why_no_gap(subject: Subject) -> str:
    events = subject.at_ns.size
    what = "no event" if not events else "one event" if events == 1 else f"{events} events in one read"
    return f"no gap ({what}, {subject.outcome})"


def _gaps_ms(subject: Subject) -> Floats:
    """In ascending order; a clock may give two reads one time."""
    return np.maximum(np.sort(subject.gaps) / 1e6, palette.log_ms(0))


def _percentile_ms(subject: Subject, q: int) -> float:
    return palette.log_ms(subject.gap_ns(q))


def _percentiles_ms(subject: Subject) -> list[float]:
    return [_percentile_ms(subject, q) for q, _ in PERCENTILES]


def _point_text(q: int, ms: float) -> str:
    return f"p{q}  {duration(ms * 1e6)}"


def _beside_points(subject: Subject) -> list[tuple[float, float]]:
    ms = _percentiles_ms(subject)
    return [(x, 10 + width_pt(_point_text(q, x))) for x, (q, _) in zip(ms, PERCENTILES, strict=True)]


def _log_limits(ax: Axes, shown: list[Subject], notes: Sequence[tuple[float, float]], width: float) -> None:
    """At least a factor of ten, and room to the right of each place for its note: `(x in ms, width in points)`."""
    values = np.concatenate([_gaps_ms(subject) for subject in shown])
    low, high = np.log10(values.min()) - 0.1, np.log10(values.max()) + 0.1
    short = max(0.0, 1 - (high - low))
    low, high = low - short / 2, high + short / 2
    right = high
    for x_ms, taken in notes:
        end = min(np.log10(x_ms), high)
        right = max(right, low + (end - low) * width / max(width - taken, width / 3))
    ax.set_xlim(10**low, 10**right)
    roomy = width / (right - low) > 110  # points in a decade
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if roomy else (1.0,), numticks=20))


def _draw_curve(ax: Axes, index: int, subject: Subject) -> None:
    if not subject.gaps.size:
        return
    stroke = palette.recording_stroke(index)
    ms = _gaps_ms(subject)
    share = np.arange(ms.size + 1) / ms.size * 100
    ax.plot(
        np.append(ms[0], ms),
        share,
        drawstyle="steps-post",
        color=stroke.colour,
        linestyle=stroke.line,
        linewidth=1.8,
        label=subject.name or "gaps",
    )
    for (q, marker), x in zip(PERCENTILES, _percentiles_ms(subject), strict=True):
        ax.plot([x], [q], marker, color=stroke.colour, markeredgecolor="white", markersize=6.5, label=f"_p{q}")


def _label_points(ax: Axes, subject: Subject, width: float) -> None:
    """To the right of and below each point: a curve that only rises is never there."""
    _, height = palette.size_pt(ax)
    per_pt = (np.log10(ax.get_xlim()[1]) - np.log10(ax.get_xlim()[0])) / width
    above_left, above_y = np.inf, np.inf
    for x, (q, _) in reversed(list(zip(_percentiles_ms(subject), PERCENTILES, strict=True))):
        text = _point_text(q, x)
        left, y = np.log10(x) / per_pt, q / 104 * height
        reaches = left + 10 + width_pt(text) > above_left
        top = min(y - 2, above_y - LINE_PT) if reaches else y - 2
        ax.annotate(
            text,
            (x, q),
            xytext=(8, top - y),
            textcoords="offset points",
            fontsize=NOTE_PT,
            color=INK,
            va="top",
            ha="left",
        )
        above_left, above_y = left, top


def _key_columns(shown: list[Subject]) -> tuple[float, float]:
    names = max(width_pt(palette.legible(subject.name)[0]) for subject in shown)
    measured = [subject for subject in shown if subject.gaps.size]
    numbers = [duration(ms * 1e6, unit=False) for subject in measured for ms in _percentiles_ms(subject)]
    return names, max(width_pt(number) for number in [*numbers, "p99 ms"]) + 16


def _key_width(shown: list[Subject]) -> float:
    names, numbers = _key_columns(shown)
    return 44 + names + len(PERCENTILES) * numbers


def _draw_key(ax: Axes, shown: list[Subject]) -> None:
    """A table at the upper right, where no curve can be: line, name, p50, p95, p99."""
    names, numbers = _key_columns(shown)
    corner = palette.points_from(ax, 1, 1)
    left = 14 - _key_width(shown)

    def write(x: float, row: int, text: str, side: str = "right") -> None:
        shown_text, families = palette.legible(text)
        ax.text(
            x,
            -(row + 0.5) * LINE_PT,
            shown_text,
            transform=corner,
            ha=side,
            va="center",
            fontsize=NOTE_PT,
            color=INK,
            fontfamily=families,
            parse_math=False,
        )

    columns = [left + 30 + names + (i + 1) * numbers for i in range(len(PERCENTILES))]
    for x, (q, marker) in zip(columns, PERCENTILES, strict=True):
        write(x, 0, f"p{q} ms")
        ax.plot([x - width_pt(f"p{q} ms") - 5], [-LINE_PT / 2], marker, color=MUTED, markersize=4, transform=corner)
    for row, subject in enumerate(shown, 1):
        write(left + 30, row, subject.name, "left")
        if not subject.gaps.size:
            write(columns[-1], row, "no gap")
            continue
        stroke = palette.recording_stroke(row - 1)
        y = -(row + 0.5) * LINE_PT
        ax.plot([left, left + 24], [y, y], color=stroke.colour, linestyle=stroke.line, lw=1.8, transform=corner)
        for x, ms in zip(columns, _percentiles_ms(subject), strict=True):
            write(x, row, duration(ms * 1e6, unit=False))


def _name_curves(ax: Axes, shown: list[Subject], width: float) -> None:
    """Names beside the medians, if every one of them stands clear of all curves and of the key."""
    measured = [subject for subject in shown if subject.gaps.size]
    low, high = np.log10(ax.get_xlim())
    per_pt = (high - low) / width

    def pt(subject: Subject, q: int) -> float:
        return float((np.log10(_percentile_ms(subject, q)) - low) / per_pt)

    for subject in measured:
        left = pt(subject, 50) + 8
        right = left + width_pt(palette.legible(subject.name)[0])
        others = [other for other in measured if other is not subject]
        if len(measured) > 4 or any(pt(other, 30) - 8 < right and left < pt(other, 60) + 12 for other in others):
            return
    for subject in measured:
        name, families = palette.legible(subject.name)
        ax.annotate(
            name,
            (_percentiles_ms(subject)[0], 50),
            xytext=(8, -2),
            textcoords="offset points",
            fontsize=NOTE_PT,
            color=INK,
            va="top",
            ha="left",
            fontfamily=families,
            parse_math=False,
        )

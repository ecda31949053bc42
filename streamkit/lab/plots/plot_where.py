"""Where the bytes lay at one moment: one bar in the order of the way.

Inside the frame y is in points from its top, x in bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matplotlib.patches import Rectangle

from streamkit.lab.findings.queues import NOBODY_LOOKED
from streamkit.lab.findings.where import UNSEEN, Moment, describe_where, moment
from streamkit.lab.findings.words import byte_size, capital
from streamkit.lab.plots import palette
from streamkit.lab.plots.names import rows_of
from streamkit.lab.plots.palette import INK, LINE_PT, MUTED, NOTE_PT, WIDTH_IN, Fill, width_pt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from streamkit.lab.recording.recording import Recording

__all__ = ["where"]

HEIGHT_IN: Final = 2.05
LITTLE: Final = 0.05  # of it all: smaller parts are drawn as one, at the end, and named in the note
STRETCH_PT: Final = 20.0  # the name of a stretch above the bar, and its line
BAR_PT: Final = 34.0
LEAD_PT: Final = 8.0  # from the bar to the first row of names
ROW_PT: Final = 24.0  # a name, and its size
OTHERS: Final = "the others"


def where(
    recording: Recording, at_ms: float | None = None, ax: Axes | None = None, *, title: str | None = None
) -> Axes:
    """Where the bytes lay at one moment: one bar, from the upstream's queues at the left to the client's at the right.

        sk.plots.where(recording)
        sk.plots.where(recording, at_ms=812)

    The moment is the fullest one, or `at_ms` after the request was sent, as on the axis of `sk.plots.queues`. Each part
    is a queue, as wide as the bytes it held, with its name and size below it and its stretch of the way above it. The
    white, dotted part is what the curves say was on the way but was in no queue that was seen. Parts of less than a
    twentieth are drawn as one, in grey at the end, and named in small print. A recording without gauges gets a text
    that says so.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    Raises TypeError for what is not a recording or not a number, ValueError for a time at which nobody looked.
    """
    shown = moment(recording, at_ms)
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, HEIGHT_IN)
    ax.set_yticks([])
    ax.set_xticks([])
    ax.set_xlabel("bytes, in the order of the way")
    palette.settle(ax)  # the frame's width, for title and note; then its height, with both
    finding = describe_where(shown)
    palette.dress(ax, finding if title is None else title, spines=[])
    palette.trust_below(ax, [shown.queued.journey.trust])
    if not shown.total:
        instead = "no gauges in this recording (gauge_ms turns them on)" if finding == NOBODY_LOOKED else finding
        palette.say_instead(ax, [("", instead)])
        return ax
    palette.settle(ax)
    width, height = palette.size_pt(ax)
    parts = _parts(shown)
    ax.set_xlim(0, shown.total)
    for part in parts:
        _draw_part(ax, part)
    _name_stretches(ax, shown, parts, width)
    below_pt = _name_parts(ax, parts, shown.total / width, width)
    below_pt = _note(ax, shown, width, below_pt)
    ax.set_ylim(max(height, below_pt + 2), 0)
    return ax


class _Part(NamedTuple):
    """From where to where, in bytes from the upstream's end."""

    stretch: str
    name: str
    left: int
    size: int
    fill: Fill


def _parts(shown: Moment) -> list[_Part]:
    parts, left = [], 0
    for (stretch, name), size in shown.by_name.items():
        if size > LITTLE * shown.total:
            fill = palette.REST if name == UNSEEN else palette.QUEUE_FILLS[name]
            parts.append(_Part(stretch, name, left, size, fill))
            left += size
    if left < shown.total:
        parts.append(_Part("", OTHERS, left, shown.total - left, palette.OTHERS))
    return parts


def _draw_part(ax: Axes, part: _Part) -> None:
    corner, look = (part.left, STRETCH_PT), {"label": f"_held {part.name}", **part.fill.style}
    ax.add_patch(Rectangle(corner, part.size, BAR_PT, zorder=2, **look))
    ax.add_patch(
        Rectangle(corner, part.size, BAR_PT, fill=False, edgecolor=MUTED, linewidth=0.9, zorder=3, label="_edge")
    )


def _name_stretches(ax: Axes, shown: Moment, parts: list[_Part], width: float) -> None:
    """A line over the parts of each stretch, and its name where that is not wider."""
    for stretch in shown.parts:
        own = [part for part in parts if part.stretch == stretch]
        if not own:
            continue
        left, right = own[0].left, own[-1].left + own[-1].size
        inset = 2 * shown.total / width
        style: dict[str, Any] = {"color": MUTED, "linewidth": 1.0, "label": "_stretch"}
        ax.plot([left + inset, right - inset], [STRETCH_PT - 4] * 2, **style)
        words = [f"{stretch}: {byte_size(sum(shown.parts[stretch].values()))}", stretch] if len(own) > 1 else [stretch]
        fitting = [text for text in words if width_pt(text) <= (right - left) * width / shown.total]
        if fitting:
            _write(ax, (left + right) / 2, STRETCH_PT - 11, fitting[0], MUTED)


def _name_parts(ax: Axes, parts: list[_Part], bytes_per_pt: float, width: float) -> float:
    """Names and sizes below the bar, each joined to its part; where the last row ends."""
    total = sum(part.size for part in parts)
    named = [part for part in parts if part.size > LITTLE * total]
    texts = [f"{part.name}\n{byte_size(part.size)}" for part in named]
    wide = [max(map(width_pt, text.split("\n"))) for text in texts]
    middles = [(part.left + part.size / 2) / bytes_per_pt for part in named]
    places = rows_of(list(zip(middles, wide, strict=True)), 0, width)
    low = STRETCH_PT + BAR_PT
    for text, x, own, (row, left) in zip(texts, middles, wide, places, strict=False):
        top = low + LEAD_PT + row * ROW_PT
        ax.plot([x * bytes_per_pt] * 2, [low, top], color=MUTED, linewidth=0.9, label="_leader", zorder=1)
        _write(ax, (left + own / 2) * bytes_per_pt, top + ROW_PT / 2, text, INK)
    return low + LEAD_PT + (max((row for row, _ in places), default=0) + 1) * ROW_PT


def _note(ax: Axes, shown: Moment, width: float, above_pt: float) -> float:
    """Which parts are too small to be drawn one by one, and what nobody could see."""
    small = {place: size for place, size in shown.by_name.items() if 0 < size <= LITTLE * shown.total}
    sizes = [
        f"{f'{stretch} in no queue' if name == UNSEEN else name} {byte_size(size)}"
        for (stretch, name), size in small.items()
    ]
    texts = [f"{capital(OTHERS)}, in grey at the right: {', '.join(sizes)}."] if small else []
    texts += [f"Not known here: {', '.join(shown.queued.missing)}."] if shown.queued.missing else []
    lines = palette.wrapped(" ".join(texts), NOTE_PT, width - 4) if texts else []
    for row, line in enumerate(lines):
        y = above_pt + 4 + (row + 0.5) * LINE_PT
        ax.text(0, y, line, va="center", fontsize=NOTE_PT, color=MUTED, label="_said")
    return above_pt + 4 + len(lines) * LINE_PT


def _write(ax: Axes, x: float, y: float, words: str, colour: str) -> None:
    ax.text(
        x, y, words, ha="center", va="center_baseline", fontsize=NOTE_PT, color=colour, linespacing=1.05, label="_name"
    )

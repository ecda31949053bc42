"""The way of a chunk: who stands on it, where it is observed, and where its bytes may wait. Of no recording.

The unit inside the frame is the point, counted from its upper left corner. Names stand in their party's box, in as many
rows as they need; from each a line leads to its place, and no line runs through another name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import FancyBboxPatch, Rectangle

from streamkit.lab.plots import palette
from streamkit.lab.plots.names import rows_of
from streamkit.lab.plots.palette import INK, LABEL_PT, MUTED, NOTE_PT, WIDTH_IN, width_pt
from streamkit.taps import TAPS, WAY, Section
from streamkit.taps.gauges import GAUGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["way"]

HEIGHT_IN: Final = 2.6
ABOUT: Final = {
    "upstream": "the model’s server",
    "relay": "your server",
    "client": "a browser, a script",
    "kernels": "and the network",
}
PARTIES: Final = tuple(part.name for part in WAY if part.name != "kernels")
WHOLE: Final = "The way of a chunk: eight taps, nine queues"
HERE: Final = "you are here"

TAP_PT: Final = 20.0  # what a place takes of the way, at least
QUEUE_PT: Final = 37.0
BETWEEN_PT: Final = 9.0  # two boxes
PAD_PT: Final = 4.0  # within a box, on each side
HEAD_PT: Final = 31.0  # a box's name, and what it is
ROW_PT: Final = 13.5  # of names
POLE_PT: Final = 7.0  # what is seen of the line from a name to its place, at least
TALL_PT: Final = 26.0  # a queue
KEY_PT: Final = 19.0
PALE: Final = 0.62  # by how much what is not marked is nearer to white, where something is
WIDER: Final = 1.15  # so much the boxes grow into which their names do not go, at the others' cost, at each try
TRIES: Final = 8
EDGE: Final = "#B9B9B9"


def way(*here: str, ax: Axes | None = None, title: str | None = None) -> Axes:
    """A map of the way of a chunk from the upstream to the client, with its taps and queues; it needs no recording.

        sk.plots.way()
        sk.plots.way("relay.unsent", "client.unread")
        sk.plots.way("relay")

    `here` are names of taps, queues or parties (upstream, relay, client) to be marked; the others are drawn paler. The
    flags above the line are the taps, in the colours and lines of `sk.plots.journey`; the boxes on it are the queues,
    in the shades of `sk.plots.queues`.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    Raises ValueError for other names, TypeError for what is not a name.
    """
    marked = _marked(here)
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, HEIGHT_IN)
    ax.set_xticks([])
    ax.set_yticks([])
    palette.settle(ax)
    palette.dress(
        ax, (f"You are here: {', '.join(marked)}" if marked else WHOLE) if title is None else title, spines=[]
    )
    palette.settle(ax)
    width, height = palette.size_pt(ax)
    ax.set_xlim(0, width)
    plan = _Plan.of(width, height, marked)
    ax.set_ylim(max(height, plan.bottom + KEY_PT), 0)  # of a low frame all is seen, if a little flat
    _draw_wire(ax, plan)
    for box in plan.boxes:
        _draw_box(ax, plan, box)
    _draw_key(ax, plan, here=bool(marked))
    return ax


def _marked(here: Sequence[str]) -> list[str]:
    """In the order of the way, each once."""
    known = [name for part in WAY for name in (part.name, *part.places) if name != "kernels"]
    for name in here:
        if not isinstance(name, str):
            raise TypeError(f"expected the name of a tap, a queue or a party, got {name!r}: try 'relay.unsent'")
        if name not in known:
            raise ValueError(
                f"expected the name of a tap ({', '.join(TAPS)}), of a queue ({', '.join(GAUGES)}) or of a party "
                f"({', '.join(PARTIES)}), got {name!r}"
            )
    return [name for name in known if name in here]


# --- Where everything goes ------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """A tap or a queue: where it is, how wide it and its name are, and where that begins, `row` rows off the way."""

    name: str
    x: float
    words: str
    wide: float
    room: float
    row: int = 0
    left: float = 0.0
    strong: bool = False
    pale: bool = False

    @property
    def queue(self) -> bool:
        return self.name in GAUGES


@dataclass(frozen=True, kw_only=True)
class _Box:
    """A party, or the kernels between two. `tight`: its names do not go into it."""

    name: str
    left: float
    right: float
    places: list[_Place]
    tight: bool
    strong: bool
    pale: bool


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """All of it, in points from the frame's upper left corner."""

    boxes: tuple[_Box, ...]
    top: float
    wire: float
    bottom: float
    row_pt: float
    pole_pt: float

    @classmethod
    def of(cls, width: float, height: float, marked: Sequence[str]) -> _Plan:
        boxes, lines = _boxes(width, marked)
        row_pt = lines * (ROW_PT - 2.5) + 2.5
        above, below = (
            max(place.row + 1 for box in boxes for place in box.places if place.queue is queue)
            for queue in (False, True)
        )
        needed = HEAD_PT + (above + below) * row_pt + TALL_PT + 2 * POLE_PT + PAD_PT + KEY_PT
        pole_pt = POLE_PT + min(max(height - needed, 0) / 2, 2 * POLE_PT)
        top = max(1.0, (height - needed - 2 * (pole_pt - POLE_PT)) / 2)
        wire = top + HEAD_PT + above * row_pt + pole_pt + TALL_PT / 2
        bottom = wire + TALL_PT / 2 + pole_pt + below * row_pt + PAD_PT
        return cls(boxes=boxes, top=top, wire=wire, bottom=bottom, row_pt=row_pt, pole_pt=pole_pt)

    def middle(self, place: _Place) -> float:
        """Of its name, from the top."""
        away = TALL_PT / 2 + self.pole_pt + (place.row + 0.5) * self.row_pt
        return self.wire + away if place.queue else self.wire - away


def _boxes(width: float, marked: Sequence[str]) -> tuple[tuple[_Box, ...], int]:
    """The boxes, and in how many lines their names are: in one, or broken into two where the frame is narrow."""
    for lines in (1, 2):
        share = [sum(map(_least, part.places)) for part in WAY]
        for _ in range(TRIES):
            boxes = tuple(_laid_out(width, share, marked, lines))
            tight = [box.tight for box in boxes]
            if not any(tight):
                return boxes, lines
            share = [own * (WIDER if grows else 1) for own, grows in zip(share, tight, strict=True)]
    return boxes, lines


def _laid_out(width: float, share: Sequence[float], marked: Sequence[str], lines: int) -> Iterator[_Box]:
    room = width - 2 - BETWEEN_PT * (len(WAY) - 1) - 2 * PAD_PT * len(WAY)
    left = 1.0
    for part, own in zip(WAY, share, strict=True):
        right = left + own * room / sum(share) + 2 * PAD_PT
        places, tight = _places(part, left, right, lines)
        strong = part.name in marked
        pale = bool(marked) and not strong
        yield _Box(
            name=part.name,
            left=left,
            right=right,
            places=[
                place._replace(strong=place.name in marked, pale=pale and place.name not in marked) for place in places
            ],
            tight=tight,
            strong=strong,
            pale=pale and not any(name in marked for name in part.places),
        )
        left = right + BETWEEN_PT


def _least(name: str) -> float:
    return QUEUE_PT if name in GAUGES else TAP_PT


def _places(part: Section, left: float, right: float, lines: int) -> tuple[list[_Place], bool]:
    """Those of a part between these edges, and whether their names are too wide for that."""
    scale = (right - left - 2 * PAD_PT) / sum(map(_least, part.places))
    x, places = left + PAD_PT, []
    for name in part.places:
        words = name if lines == 1 else name.replace(".", ".\n")
        wide = max(map(width_pt, words.split("\n")))
        places.append(_Place(name, x + _least(name) * scale / 2, words, wide, _least(name) * scale))
        x += _least(name) * scale
    tight = False
    for queue in (False, True):
        own = [index for index, place in enumerate(places) if place.queue is queue]
        found = rows_of([(places[index].x, places[index].wide) for index in own], left + 3, right - 3)
        tight = tight or len(found) < len(own)
        for index, (row, edge) in zip(own, found, strict=False):
            places[index] = places[index]._replace(row=row, left=edge)
    return places, tight


# --- Drawing ----------------------------------------------------------------------------------------------------------


def _shade(colour: str, pale: bool) -> str:
    share = PALE if pale else 0.0
    red, green, blue = (part + (1 - part) * share for part in to_rgb(colour))
    return str(to_hex((red, green, blue)))


def _draw_wire(ax: Axes, plan: _Plan) -> None:
    style: dict[str, Any] = {"color": MUTED, "linewidth": 1.3, "label": "_wire", "zorder": 2}
    ax.plot([plan.boxes[0].places[0].x, plan.boxes[-1].right - 6], [plan.wire] * 2, **style)
    for box, after in zip(plan.boxes, plan.boxes[1:], strict=False):
        middle = (box.right + after.left) / 2
        ax.plot([middle + 0.5], [plan.wire], ">", color=MUTED, markersize=6.5, zorder=3, label="_onward")
    ax.plot([plan.boxes[-1].right - 6], [plan.wire], ">", color=MUTED, markersize=6.5, zorder=3, label="_onward")


def _draw_box(ax: Axes, plan: _Plan, box: _Box) -> None:
    kernels = box.name not in PARTIES
    ax.add_patch(
        FancyBboxPatch(
            (box.left, plan.top),
            box.right - box.left,
            plan.bottom - plan.top,
            boxstyle="round,pad=0,rounding_size=5",
            facecolor=palette.WAIT_FILL if kernels else "white",
            edgecolor=INK if box.strong else EDGE,
            linewidth=2.2 if box.strong else 0.9,
            linestyle=(0, (3, 2)) if kernels else "-",
            zorder=1,
            label=f"_box {box.name}",
        )
    )
    middle = (box.left + box.right) / 2
    _write(ax, box.name, middle, plan.top + 10, size=LABEL_PT, bold=True, strong=box.strong, pale=box.pale)
    about = ABOUT[box.name]
    if width_pt(about) < box.right - box.left:
        ax.text(middle, plan.top + 22, about, ha="center", va="center_baseline", fontsize=NOTE_PT, color=MUTED)
    for place in box.places:
        (_draw_queue if place.queue else _draw_tap)(ax, plan, place)
        _write(ax, place.words, place.left + place.wide / 2, plan.middle(place), strong=place.strong, pale=place.pale)


def _write(
    ax: Axes,
    words: str,
    x: float,
    y: float,
    *,
    strong: bool,
    pale: bool,
    size: float = NOTE_PT,
    bold: bool = False,
) -> None:
    """A name; where you are, light on dark."""
    colour = "white" if strong else MUTED if pale else INK
    pill = {"boxstyle": "round,pad=0.16", "facecolor": INK, "edgecolor": "none"} if strong else None
    ax.text(
        x,
        y,
        words,
        ha="center",
        va="center_baseline",
        fontsize=size,
        fontweight="bold" if bold else "normal",
        color=colour,
        bbox=pill,
        linespacing=1.0,
        parse_math=False,
        zorder=6,
        label="_here" if strong else "_name",
    )


def _draw_tap(ax: Axes, plan: _Plan, place: _Place) -> None:
    stroke = palette.TAP_STROKES[place.name]
    colour = _shade(stroke.colour, place.pale)
    top = plan.middle(place) + plan.row_pt / 2 - 1
    ax.plot(
        [place.x] * 2,
        [top, plan.wire],
        color=colour,
        linestyle=stroke.line,
        linewidth=2.6 if place.strong else 1.5,
        zorder=4,
        label=f"_tap {place.name}",
    )
    ax.plot(
        [place.x],
        [plan.wire],
        "o",
        color=colour,
        markeredgecolor=INK if place.strong else "white",
        markeredgewidth=2.0 if place.strong else 1.0,
        markersize=11 if place.strong else 7.5,
        zorder=5,
        label="_head",
    )


def _draw_queue(ax: Axes, plan: _Plan, place: _Place) -> None:
    fill = palette.QUEUE_FILLS[place.name]
    wide = min(QUEUE_PT - 8, place.room - 4)
    low = plan.wire + TALL_PT / 2
    leader: dict[str, Any] = {"color": INK, "linewidth": 2.0} if place.strong else {"color": EDGE, "linewidth": 0.9}
    ax.plot([place.x] * 2, [low, plan.middle(place) - plan.row_pt / 2 + 1], label="_leader", zorder=2, **leader)
    corner = (place.x - wide / 2, plan.wire - TALL_PT / 2)
    shade: dict[str, Any] = {"facecolor": _shade(fill.colour, place.pale), "edgecolor": _shade(fill.line, place.pale)}
    look: dict[str, Any] = {**shade, "hatch": fill.hatch or None, "linewidth": 0, "label": f"_queue {place.name}"}
    edge = INK if place.strong else _shade(MUTED, place.pale)
    thick = 2.6 if place.strong else 0.9
    ax.add_patch(Rectangle(corner, wide, TALL_PT, zorder=3, **look))
    ax.add_patch(
        Rectangle(corner, wide, TALL_PT, fill=False, edgecolor=edge, linewidth=thick, zorder=3.5, label="_edge")
    )


def _draw_key(ax: Axes, plan: _Plan, *, here: bool) -> None:
    """What a flag is, what a box on the line, and what is marked."""
    y = plan.bottom + KEY_PT / 2 + 1.5
    x = plan.boxes[0].left + 4
    ax.plot([x, x], [y - 5, y + 1], color=MUTED, linewidth=1.5, label="_key")
    ax.plot([x], [y + 2], "o", color=MUTED, markersize=5.5, label="_key")
    x = _say(ax, x + 8, y, "tap: when each event passes") + 18
    ax.add_patch(Rectangle((x, y - 5), 14, 10, facecolor=palette.OTHERS.colour, edgecolor=MUTED, linewidth=0.9))
    x = _say(ax, x + 20, y, "queue: how many bytes wait") + 22
    if here:
        _write(ax, HERE, x + width_pt(HERE) / 2, y, strong=True, pale=False)


def _say(ax: Axes, x: float, y: float, words: str) -> float:
    """Where they end."""
    ax.text(x, y, words, va="center_baseline", fontsize=NOTE_PT, color=MUTED, label="_explained")
    return x + width_pt(words)

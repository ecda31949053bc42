"""Queues: where the bytes were over time, a lane for each queue in the order of the way, below what the curves say.

All lanes have one scale, so that their heights can be compared and added up: y is in bytes, each lane counted from its
own base, and a lane is as high as its queue was full. With `held=True` the lanes are the stretches of the way, and show
what curves and queues do not agree on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from streamkit.lab.findings.queues import Queued, describe_held, describe_queues, queued
from streamkit.lab.findings.words import byte_size
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import INK, LINE_PT, MUTED, NOTE_PT, WIDTH_IN, Fill, width_pt
from streamkit.taps.gauges import GAUGES, STRETCHES

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from streamkit.lab.recording.recording import Recording

    Ints = npt.NDArray[np.int64]

__all__ = ["queues"]

HEIGHT_IN: Final = 4.8
LITTLE: Final = 0.05  # of the most that lay in all queues: those that never hold more have no lane of their own
LANE_PT: Final = 13.0  # a lane's name needs so much
GAP_PT: Final = 7.0  # between lanes
TWO_LINES_PT: Final = 26.0  # a lane that is so high has its size below its name
LINE: Final[dict[str, Any]] = {"color": INK, "linewidth": 1.3}
CURVES: Final = "by the curves"
OTHERS: Final = "The others"
BLOCKED: Final = "relay first blocked"
NO_GAUGES: Final = "no gauges in this recording (gauge_ms turns them on)"
GREY: Final = "Line: what lay on the way by the curves; grey: all queues together"
NO_QUEUE: Final = "Above each line: in no queue that was seen"
TWO_QUEUES: Final = "; below it: in two queues at once"


def queues(recording: Recording, ax: Axes | None = None, *, title: str | None = None, held: bool = False) -> Axes:
    """How many bytes lay in each queue on the way, over time: one lane per queue, from the upstream to the client.

        sk.plots.queues(await lab.post("/ans", chat_history="hi", reader=sk.Reader(bytes_per_s=100)))

    x is in ms since the request was sent (since the call, if that is not known); in s from 100 s on. Each queue that
    held something has a lane, the upstream's at the top, the client's at the bottom, all on one scale. A dot marks when
    the queue was fullest; how much lay there then stands beside its name. Queues that never held a twentieth of
    everything share a lane, or are named above. The line on top is what was on the way according to the curves, the
    grey area below it what all queues held together. A dashed line is where the relay first had to wait for its client.
    A recording without gauges gets a text that says so.

    `held=True` draws another figure: for each stretch of the way, what its curves say minus what its queues held. Above
    the line are bytes that were in no queue that could be seen, below it bytes seen in two at once (`findings.held`).

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    Raises TypeError for what is not a recording.
    """
    shown = queued(recording)
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, HEIGHT_IN)
    lanes = (_of_stretches if held else _of_queues)(shown)
    unit_ns = palette.time_axis(ax, shown.journey.end_ns, sent=shown.journey.subject.sent_ns is not None)
    left, right = _first_ns(shown, lanes), max(shown.end_ns, 1_000_000)
    ax.set_xlim(left / unit_ns, right / unit_ns)
    ax.set_yticks(range(len(lanes)), labels=[lane.label(0) for lane in lanes], fontsize=NOTE_PT)
    ax.tick_params(axis="y", length=0)
    palette.settle(ax)  # the frame's width, for title and note; then its height, with both
    finding = (describe_held if held else describe_queues)(shown)
    palette.dress(ax, finding if title is None else title, spines=["bottom"])
    ax.tick_params(axis="y", labelsize=NOTE_PT)
    palette.trust_below(ax, [shown.journey.trust])
    if not lanes:
        return _nothing(ax, shown, finding)
    palette.settle(ax)
    width, height = palette.size_pt(ax)
    head_pt = _say(ax, "".join(f"{note}. " for note in _notes(shown, lanes, held=held)), width)
    blocked_ns = None if held else shown.blocked_ns
    blocked_pt = 0.0 if blocked_ns is None else LINE_PT
    heights = _heights(lanes, height - head_pt - blocked_pt)
    ax.set_ylim(0, height / heights.scale)
    bases = _place(ax, lanes, (height - head_pt - blocked_pt) / heights.scale, heights)
    for lane, base in zip(lanes, bases, strict=True):
        _draw(ax, shown.at_ns / unit_ns, lane, base)
    if blocked_ns is not None:
        room = (right - blocked_ns) / (right - left) * width
        _mark_blocked(ax, blocked_ns / unit_ns, head_pt, right=width_pt(BLOCKED) + 4 <= room)
    return ax


# --- What the lanes are -----------------------------------------------------------------------------------------------


class _Lane(NamedTuple):
    """What is drawn over time from one base; `edge` is the colour of its upper edge."""

    name: str
    held: Ints
    fill: Fill
    edge: str
    line: Ints | None = None  # what the curves say

    @property
    def most(self) -> int:
        return int(max(self.held.max(initial=0), 0 if self.line is None else self.line.max(initial=0)))

    @property
    def low(self) -> int:
        """0, or below it."""
        return int(self.held.min(initial=0))

    @property
    def tall(self) -> int:
        return self.most - self.low

    def label(self, tall_pt: float) -> str:
        size = byte_size(self.most) if self.most or not self.low else ""
        below = f"{', ' if size else ''}−{byte_size(-self.low)}" if self.low < 0 else ""
        return f"{self.name}{chr(10) if tall_pt >= TWO_LINES_PT else ': '}{size}{below}"


def _of_queues(shown: Queued) -> list[_Lane]:
    large, small = _parted(shown)
    lanes = [_Lane(name, shown.queues[name], palette.QUEUE_FILLS[name], _edge(name)) for name in large]
    others = sum((shown.queues[name] for name in small), np.zeros_like(shown.at_ns))
    if others.max(initial=0) > _little(shown):
        lanes.append(_Lane(OTHERS, others, palette.OTHERS, palette.OTHERS.line))
    if shown.rest is not None and shown.most:
        by_curves = shown.in_queues + shown.rest
        lanes.insert(0, _Lane(CURVES, shown.in_queues, palette.OTHERS, palette.OTHERS.line, line=by_curves))
    return lanes


def _little(shown: Queued) -> float:
    return LITTLE * int(shown.in_queues.max(initial=0))


def _parted(shown: Queued) -> tuple[list[str], list[str]]:
    """The queues with a lane of their own, and those that held something, but little."""
    most = {name: int(held.max(initial=0)) for name, held in shown.queues.items()}
    large = [name for name in most if most[name] > _little(shown)]
    return large, [name for name in most if most[name] and name not in large]


def _of_stretches(shown: Queued) -> list[_Lane]:
    return [
        _Lane(stretch, held.rest, palette.REST, _edge(STRETCHES[stretch][0]))
        for stretch, held in shown.stretches.items()
        if held.rest is not None
    ]


def _edge(name: str) -> str:
    """The colour of the tap to which the stretch of this queue leads."""
    taps = dict(zip(STRETCHES, ("upstream.sent", "relay.sent", "client.read", "client.event"), strict=True))
    return palette.TAP_STROKES[next(taps[stretch] for stretch, names in STRETCHES.items() if name in names)].colour


def _first_ns(shown: Queued, lanes: Sequence[_Lane]) -> int:
    """0, or earlier if something was held before the request was sent."""
    seen = np.zeros(shown.at_ns.size, dtype=bool)
    for lane in lanes:
        seen |= (lane.held > 0) | (False if lane.line is None else lane.line > 0)
    return min(0, int(shown.at_ns[seen][0])) if seen.any() else 0


def _notes(shown: Queued, lanes: Sequence[_Lane], *, held: bool) -> list[str]:
    """How the lanes are read; what has none, and why."""
    if held:
        notes = [NO_QUEUE + (TWO_QUEUES if any(lane.low < 0 for lane in lanes) else "")]
    else:
        notes = [GREY] if lanes[0].line is not None else []
        notes += _without_lane(shown, lanes)
    notes += [f"Not known here: {', '.join(shown.missing)}"] if shown.missing else []
    untold = [f"{name} ({one.untold})" for name, one in shown.stretches.items() if one.untold]
    return notes + ([f"Not told by the curves: {', '.join(untold)}"] if untold else [])


def _without_lane(shown: Queued, lanes: Sequence[_Lane]) -> list[str]:
    _, small = _parted(shown)
    sizes = [f"{name} {byte_size(int(shown.queues[name].max()))}" for name in small]
    empty = [name for name in GAUGES if name in shown.queues and not shown.queues[name].any()]
    named = OTHERS if lanes[-1].name == OTHERS else "Too little to draw"
    found = [f"{named}: {', '.join(sizes)}"] if sizes else []
    return found + ([f"Empty: {', '.join(empty)}"] if empty else [])


# --- Where they go, and drawing ---------------------------------------------------------------------------------------


class _Heights(NamedTuple):
    """Points for a byte, for the least high lane, and between two of them."""

    scale: float
    least: float
    gap: float

    def of(self, lane: _Lane) -> float:
        return max(self.least, lane.tall * self.scale)


def _heights(lanes: Sequence[_Lane], room: float) -> _Heights:
    """So that all lanes go into `room`; a lane is not lower than its name, where there is room for all names."""
    room = max(room, 10.0)
    gap = min(GAP_PT, 0.25 * room / len(lanes))
    rows = room - gap * len(lanes)
    least = min(LANE_PT, 0.9 * rows / len(lanes))
    low, high = 0.0, rows / max(sum(lane.tall for lane in lanes), 1)
    for _ in range(30):
        middle = (low + high) / 2
        fits = sum(max(least, lane.tall * middle) for lane in lanes) <= rows
        low, high = (middle, high) if fits else (low, middle)
    return _Heights(max(low, 1e-12), least, gap)


def _place(ax: Axes, lanes: Sequence[_Lane], top: float, heights: _Heights) -> list[float]:
    """The base of each lane, in bytes from the axis of time; and its name beside it."""
    bases, middles, labels = [], [], []
    for lane in lanes:
        tall_pt = heights.of(lane)
        bottom = top - (tall_pt + heights.gap / 2) / heights.scale
        bases.append(bottom - lane.low)
        middles.append(bottom + tall_pt / 2 / heights.scale)
        labels.append(lane.label(tall_pt))
        top = bottom - heights.gap / 2 / heights.scale
    ax.set_yticks(middles, labels=labels)
    return bases


def _draw(ax: Axes, x: npt.NDArray[np.float64], lane: _Lane, base: float) -> None:
    ax.axhline(base, color=palette.GRID, linewidth=0.8, zorder=1, label="_base")
    ax.fill_between(x, base, base + lane.held, step="post", label=f"_held {lane.name}", zorder=1.5, **lane.fill.style)
    if lane.line is not None:
        ax.plot(x, base + lane.line, drawstyle="steps-post", label="_curves", zorder=3, **LINE)
        return
    edge = base + lane.held if lane.fill is palette.REST else np.where(lane.held > 0, base + lane.held, np.nan)
    ax.plot(x, edge, drawstyle="steps-post", label=f"_{lane.name}", color=lane.edge, linewidth=1.0, zorder=2)
    if lane.most:
        at = int(np.argmax(lane.held))
        style: dict[str, Any] = {"color": lane.edge, "markeredgecolor": "white", "markersize": 5.5, "zorder": 4}
        ax.plot([x[at]], [base + lane.most], "o", label="_most", **style)


def _say(ax: Axes, text: str, width: float) -> float:
    """Small lines from the top of the frame on; how high they are."""
    lines = palette.wrapped(text, NOTE_PT, width - 4) if text else []
    corner = palette.points_from(ax, 0, 1)
    for row, line in enumerate(lines):
        y = -(row + 0.5) * LINE_PT
        ax.text(0, y, line, transform=corner, va="center", fontsize=NOTE_PT, color=MUTED, label="_said")
    return len(lines) * LINE_PT + 2


def _mark_blocked(ax: Axes, x: float, head_pt: float, *, right: bool) -> None:
    """A dashed line up to its name, which stands above the lanes, to the `right` of it or to the left."""
    _, height = palette.size_pt(ax)
    style: dict[str, Any] = {"color": INK, "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 4}
    ax.plot([x, x], [0, 1 - head_pt / height], transform=ax.get_xaxis_transform(), label="_blocked", **style)
    ax.annotate(
        BLOCKED,
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4 if right else -4, -head_pt - LINE_PT / 2),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        fontsize=NOTE_PT,
        color=INK,
    )


def _nothing(ax: Axes, shown: Queued, finding: str) -> Axes:
    ax.set_yticks([])
    palette.say_instead(ax, [("", finding if shown.stretches else NO_GAUGES)])
    return ax

"""Queues: where the bytes were over time, the nearest to the client at the bottom, and what the curves say on top."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from streamkit.lab.findings.queues import Queued, describe_queues, queued
from streamkit.lab.findings.words import byte_size, duration
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import INK, LINE_PT, MUTED, NOTE_PT, WIDTH_IN, Fill, width_pt
from streamkit.taps.gauges import STRETCHES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from streamkit.lab.recording.recording import Recording

    Ints = npt.NDArray[np.int64]

__all__ = ["queues"]

HEIGHT_IN: Final = 4.6
LITTLE: Final = 0.02  # of the highest stack: queues that never hold more would be lines
ROW_PT: Final = 11.6  # of the key
HANDLE_PT: Final = 36.0  # what an entry of the key takes beside its words
KEY_SHARE: Final = 0.45  # of the height: a key that needs more goes without numbers
LINE: Final[dict[str, Any]] = {"color": INK, "linewidth": 1.3}
BLOCKED: Final = "relay first blocked"


def queues(recording: Recording, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """How many bytes lay in each queue on the way: x in ms since the request was sent (or made), s from 100 s on.

        sk.plots.queues(await lab.post("/ans", chat_history="hi", reader=sk.Reader(bytes_per_s=100)))

    The queues are stacked from the client's at the bottom to the upstream's on top: one family of colours for each
    stretch of the way, in it one shade and hatch for each queue. Those that never held more than a fiftieth of it all
    are drawn together. The line is what the curves say that lay on the way; between it and the stack is what was in no
    queue that could be seen. Where the line is below the stack, bytes were in two queues at once (see `findings.held`).
    A dashed line is where the relay first had to wait for its client. Without gauges, words say so.

    Raises TypeError for what is not a recording.
    """
    shown = queued(recording)
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, HEIGHT_IN)
    stack = _stacked(shown)
    unit_ns = palette.time_axis(ax, shown.journey.end_ns, sent=shown.journey.subject.sent_ns is not None)
    ax.set_ylabel("bytes held", fontsize=palette.LABEL_PT)
    _name_sizes(ax, stack.most)
    left, right = stack.left_ns, max(shown.end_ns, 1_000_000)
    ax.set_xlim(left / unit_ns, right / unit_ns)
    ax.set_ylim(0, max(stack.most, 1))
    palette.settle(ax)  # the frame's width, for title and note; then its height, with both
    palette.dress(ax, describe_queues(shown) if title is None else title, spines=["left", "bottom"])
    palette.trust_below(ax, [shown.journey.trust])
    if not shown.stretches:
        ax.set_yticks([])
        palette.say_instead(ax, [("", "no gauges in this recording (gauge_ms turns them on)")])
        return ax
    palette.settle(ax)
    width, height = palette.size_pt(ax)
    key_pt = _explain(ax, shown, stack)
    ax.set_ylim(0, max(stack.most, 1) * height / max(height - key_pt - ROW_PT - 4, height / 3))
    for layer, low, high in stack.bands():
        _draw(ax, stack.at_ns / unit_ns, low, high, layer)
    if stack.by_curves is not None:
        ax.plot(stack.at_ns / unit_ns, stack.by_curves, drawstyle="steps-post", label="_curves", zorder=3, **LINE)
    if shown.blocked_ns is not None:
        across = (shown.blocked_ns - left) / (right - left) * width
        _mark_blocked(ax, shown.blocked_ns / unit_ns, across, key_pt)
    return ax


class _Layer(NamedTuple):
    """What is drawn as one area; `edge` is the colour of its upper edge."""

    name: str
    held: Ints
    fill: Fill
    edge: str


@dataclass(frozen=True, kw_only=True, eq=False)
class _Stack:
    """The layers from the bottom to the top, and the line that the curves draw over them."""

    at_ns: Ints
    layers: tuple[_Layer, ...]
    by_curves: Ints | None
    rest: Ints | None

    @cached_property
    def top(self) -> Ints:
        return sum((layer.held for layer in self.layers), np.zeros_like(self.at_ns))

    @property
    def highest(self) -> Ints:
        return self.top if self.by_curves is None else np.maximum(self.top, self.by_curves)

    @property
    def most(self) -> int:
        return int(self.highest.max(initial=0))

    @property
    def left_ns(self) -> int:
        """0, or earlier if something was held before the request was sent."""
        early = self.at_ns[self.highest > 0]
        return min(0, int(early[0])) if early.size else 0

    def bands(self) -> Iterator[tuple[_Layer, Ints, Ints]]:
        """Each layer with its lower and upper edge; the last is the rest."""
        low = np.zeros_like(self.at_ns)
        for layer in self.layers:
            yield layer, low, (low := low + layer.held)
        if self.rest is not None:
            yield _Layer("rest", self.rest, palette.REST, palette.REST.line), low, self.highest


def _stacked(shown: Queued) -> _Stack:
    large = [name for name, held in shown.queues.items() if held.max(initial=0) > LITTLE * shown.most]
    layers = [_Layer(name, shown.queues[name], palette.QUEUE_FILLS[name], _edge(name)) for name in reversed(large)]
    small = [held for name, held in shown.queues.items() if name not in large]
    if any(held.any() for held in small):
        layers.append(_Layer("the others together", np.sum(small, axis=0), palette.OTHERS, palette.OTHERS.line))
    by_curves = None if shown.rest is None else shown.in_queues + shown.rest
    return _Stack(at_ns=shown.at_ns, layers=tuple(layers), by_curves=by_curves, rest=shown.rest)


def _edge(name: str) -> str:
    """The colour of the tap to which the stretch of this queue leads."""
    taps = dict(zip(STRETCHES, ("upstream.sent", "relay.sent", "client.read", "client.event"), strict=True))
    return palette.TAP_STROKES[next(taps[stretch] for stretch, names in STRETCHES.items() if name in names)].colour


def _draw(ax: Axes, x: npt.NDArray[np.float64], low: Ints, high: Ints, layer: _Layer) -> None:
    ax.fill_between(x, low, high, step="post", label=f"_held {layer.name}", zorder=1.5, **layer.fill.style)
    if layer.name != "rest":
        edge = np.where(high > low, high, np.nan)
        ax.plot(x, edge, drawstyle="steps-post", label=f"_{layer.name}", color=layer.edge, linewidth=0.8, zorder=2)


def _name_sizes(ax: Axes, most: int) -> None:
    """Ticks up to `most`, all in the unit in which it is best read."""
    scale, unit = next((step for step in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if most >= step[0]), (1.0, "B"))
    ticks = MaxNLocator(nbins=6, min_n_ticks=1, steps=[1, 2, 5, 10]).tick_values(0, max(most, 1) / scale)
    ax.yaxis.set_major_locator(FixedLocator([tick * scale for tick in ticks if 0 <= tick <= max(most, 1) / scale]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y / scale:,g} {unit}" if y else "0"))


def _mark_blocked(ax: Axes, x: float, across: float, key_pt: float) -> None:
    """A dashed line up to its name, which stands below the key, to the right if there is room."""
    width, height = palette.size_pt(ax)
    ceiling = 1 - (key_pt + 2) / height
    style: dict[str, Any] = {"color": INK, "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 4}
    ax.plot([x, x], [0, ceiling], transform=ax.get_xaxis_transform(), label="_blocked", **style)
    right = across + 4 + width_pt(BLOCKED) <= width
    ax.text(
        across + (4 if right else -4),
        -key_pt - 2 - ROW_PT / 2,
        BLOCKED,
        transform=palette.points_from(ax, 0, 1),
        ha="left" if right else "right",
        va="center",
        fontsize=NOTE_PT,
        color=INK,
    )


def _explain(ax: Axes, shown: Queued, stack: _Stack) -> float:
    """The key in the order of the way, and below it, small, what nobody can tell; how high both are, in points."""
    width, height = palette.size_pt(ax)
    small = [line for text in _unknown(shown) for line in palette.wrapped(text, NOTE_PT, width - 8)]
    choices = [_entries(stack, numbers=numbers) for numbers in (True, False)]
    heights = [-(-len(entries) // _columns(entries, width)) * ROW_PT for entries in choices]
    fits = heights[0] + len(small) * LINE_PT <= KEY_SHARE * height
    entries, key_pt = (choices[0], heights[0]) if fits else (choices[1], heights[1])
    ax.legend(
        [handle for handle, _ in entries],
        [text for _, text in entries],
        ncols=_columns(entries, width),
        **{**palette.KEY, "borderaxespad": 0.3, "columnspacing": 1.2},
    )
    corner = palette.points_from(ax, 0, 1)
    for row, line in enumerate(small):
        y = -key_pt - 4 - (row + 0.5) * LINE_PT
        ax.text(3, y, line, transform=corner, va="center", fontsize=NOTE_PT, color=MUTED, label="_unknown")
    return key_pt + len(small) * LINE_PT + 6


def _columns(entries: list[tuple[Artist, str]], width: float) -> int:
    return palette.key_columns((text for _, text in entries), width, HANDLE_PT)


def _entries(stack: _Stack, *, numbers: bool) -> list[tuple[Artist, str]]:
    entries: list[tuple[Artist, str]] = []
    if stack.by_curves is not None and stack.rest is not None:
        most = f": max {byte_size(int(stack.by_curves.max()))}" if numbers else ""
        span = f": {_span(stack.rest)}" if numbers else ""
        entries.append((Line2D([], [], **LINE), f"by the curves{most}"))
        entries.append((Patch(**palette.REST.style), f"in no queue{span}"))
    for layer in reversed(stack.layers):
        peak = int(np.argmax(layer.held))
        most = f": max {byte_size(int(layer.held[peak]))}, after {duration(int(stack.at_ns[peak]))}" if numbers else ""
        entries.append((Patch(**layer.fill.style), layer.name + most))
    return entries


def _span(rest: Ints) -> str:
    low, high = int(rest.min()), max(0, int(rest.max()))
    return f"max {byte_size(high)}{f', in two: {byte_size(-low)}' if low < 0 else ''}"


def _unknown(shown: Queued) -> list[str]:
    texts = []
    if shown.missing:
        texts.append(f"not known here: {', '.join(shown.missing)}")
    untold = [f"{name} ({held.untold})" for name, held in shown.stretches.items() if held.untold]
    if untold:
        texts.append(f"not told by the curves: {', '.join(untold)}")
    return texts

"""A load: when requests were due and sent, how many streams were live, how long they waited, how they ended; and what
it cost the server. One panel each, over one axis of time.

Few streams are dots; of many there are bands, so that 5,000 are as readable as 50.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from streamkit.lab.findings.load import LoadFacts, Streams, describe_load, load_facts, set_of
from streamkit.lab.findings.words import byte_size, duration
from streamkit.lab.metrics.columns import Ints
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import FRAME_PT, LINE_PT, LOAD_STROKES, OUTCOME_FILLS, OWN_FILL, TAP_STROKES, WIDTH_IN
from streamkit.lab.plots.panels import Panel, caption, height_pt, heights, stack

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from streamkit.lab.plots.palette import Stroke
    from streamkit.lab.sets import Resources
    from streamkit.lab.sets.columns import Floats

__all__ = ["load"]

DOTS: Final = 300  # more streams than that are bands
BINS: Final = 60
LEAST_IN_BIN: Final = 25
LOG_FROM: Final = 4.0  # times that differ by more than this factor are on a log scale
SECONDS_FROM_NS: Final = 3_000_000_000
PANELS: Final = (
    Panel("requests", 84),
    Panel("live", 52),
    Panel("first piece", 110),
    Panel("outcomes", 46),
)
USED: Final[dict[str, tuple[str, float]]] = {
    "rss_bytes": ("memory, MB", 1e6),
    "descriptors": ("descriptors", 1),
    "cpu_ns": ("CPU, % of a core", 1),
    "loop_late_ns": ("event loop late, ms", 1e6),
}
"""What a process uses: the caption of its panel, and in which unit."""
USED_PT: Final = 44.0
PROCESS_STROKES: Final[dict[str, Stroke]] = {
    "upstream": TAP_STROKES["upstream.sent"],
    "relay": TAP_STROKES["relay.sent"],
    "client": TAP_STROKES["client.read"],
}


def load(streams: Streams, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """The course of a load over time: requests, live streams, waits, ends, and what it cost the server.

        >>> one, two = (sk.Recording.from_pieces([(7_000_000, "Hi")], ended_ns=8_000_000, due_ns=0) for _ in range(2))
        >>> sk.plots.load([one, two]).get_title("left")
        '2 streams, up to 2 live at once: first piece 7.0 ms (p50) after it was due, the longest 7.0 ms'

    x is the time since the first request was due. The panels, from the top:

    - how many requests were due, and how many had left, by when: what lies between is this client's own delay
    - how many streams were live
    - the time to the first piece, from when each request was due and from when it was sent: one dot each. Above 300
      streams, the median of neighbours as a line, 5 to 95 % of them as a band, and dots for what lies above
    - how the streams ended, by when
    - what each process used, if it was sampled (`RecordingSet.resources`)

    Small print at the bottom is the verdict: whether these numbers may be quoted.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    It takes a `RecordingSet` or recordings. Raises ValueError for none, TypeError for anything else.
    """
    several = set_of(streams)
    facts = load_facts(several)
    used = [name for name in USED if any(_known(each, name).any() for each in several.resources)]
    panels = (*PANELS, *(Panel(name, USED_PT) for name in used))
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, (FRAME_PT + LINE_PT + height_pt(panels)) / 72)
    palette.settle(ax)
    palette.dress(ax, describe_load(facts) if title is None else title, spines=[])
    seconds = facts.end_ns >= SECONDS_FROM_NS
    ax.set_xlabel(f"{'s' if seconds else 'ms'} since the first request was due", labelpad=18)
    palette.note_below(ax, f"verdict: {facts.verdict.brief}")
    palette.settle(ax)
    if facts.zero_ns is None:
        palette.say_instead(ax, [("", "made by different clocks: there is no common time axis")])
        ax.set_yticks([])
        return ax
    unit_ns = 1e9 if seconds else 1e6
    inner = stack(ax, panels)
    _draw_requests(inner["requests"], facts, unit_ns)
    _draw_live(inner["live"], facts, unit_ns)
    _draw_first_piece(inner["first piece"], facts, unit_ns)
    _draw_outcomes(inner["outcomes"], facts, unit_ns)
    for name in used:
        _draw_used(inner[name], name, several.resources, facts, unit_ns)
        caption(inner[name], _said(name, facts), _processes(several.resources, used) if name == used[0] else ())
    right = max(facts.end_ns, 1) / unit_ns
    for each in inner.values():
        each.set_xlim(-0.01 * right, 1.01 * right)
    return ax


def _steps(ax: Axes, at: Any, count: Any, stroke: Stroke, **style: Any) -> None:
    ax.plot(at, count, drawstyle="steps-post", linewidth=1.6, **stroke.style, **style)


def _draw_requests(ax: Axes, facts: LoadFacts, unit_ns: float) -> None:
    due, sent = facts.due / unit_ns, facts.sent / unit_ns
    ours = facts.due_and_sent / unit_ns
    key: list[tuple[Any, str]] = []
    if ours.size:
        number = np.arange(1, ours.shape[1] + 1)
        style: dict[str, Any] = {**OWN_FILL.style, "linewidth": 0, "label": "_own"}
        ax.fill_betweenx(number, ours[0], ours.max(axis=0), step="pre", **style)
    for name, moments in (("due", due), ("sent", sent)):
        if moments.size:
            stroke = LOAD_STROKES[name]
            style = {"label": f"_{name}", "zorder": 3 if name == "due" else 2}  # dots on a line: both are seen
            _steps(ax, _thin(moments), _thin(np.arange(1, moments.size + 1)), stroke, **style)
            key.append((Line2D([], [], linewidth=1.6, **stroke.style), name))
    if ours.size:
        key.append((Patch(**OWN_FILL.style), "sent later than due"))
    heights(ax, 0, 1.06 * max(1, due.size, sent.size), whole=True)
    caption(ax, "requests, one after the other", key)


def _thin(values: npt.NDArray[Any], most: int = 2000) -> npt.NDArray[Any]:
    """Evenly, with the first and the last: more cannot be seen."""
    if values.size <= most:
        return values
    return values[np.linspace(0, values.size - 1, most).astype(np.int64)]


def _draw_live(ax: Axes, facts: LoadFacts, unit_ns: float) -> None:
    stroke = LOAD_STROKES["sent"]
    live = facts.live
    at, count = _outline(live.at_ns / unit_ns, live.count)
    _steps(ax, at, count, stroke, label="_live")
    heights(ax, 0, 1.08 * max(1, live.count.max(initial=1)), whole=True)
    caption(ax, f"streams live, begun and not ended: at most {facts.summary.most_live or 0:,}")


def _outline(at: Floats, count: Ints, most: int = 1000) -> tuple[Floats, Ints]:
    """Of a staircase with more steps than can be seen the highest and the lowest of each few."""
    if at.size <= 2 * most:
        return at, count
    edges = np.linspace(0, at.size, most + 1).astype(np.int64)[:-1]
    high, low = np.maximum.reduceat(count, edges), np.minimum.reduceat(count, edges)
    return np.repeat(at[edges], 2), np.column_stack((high, low)).ravel()


def _draw_first_piece(ax: Axes, facts: LoadFacts, unit_ns: float) -> None:
    columns = {"due": facts.ttft_due / 1e6, "sent": facts.ttft_sent / 1e6}
    there = {name: column for name, column in columns.items() if not np.isnan(column).all()}
    if not there:
        ax.set_yticks([])
        caption(ax, "time to the first piece: no piece came")
        return
    at = facts.at / unit_ns
    values = np.concatenate([column[~np.isnan(column)] for column in there.values()])
    _scale(ax, np.maximum(values, palette.log_ms(0)))
    if at.size <= DOTS:
        _draw_dots(ax, at, there)
    else:
        for name, column in there.items():
            _draw_band(ax, at, column, LOAD_STROKES[name], name)
    key = [(_handle(name, dots=at.size <= DOTS), f"from {name}") for name in there]
    silent = int(np.count_nonzero(np.isnan(columns["sent"])))
    without = f" ({silent:,} had none)" if silent else ""
    caption(ax, f"time to the first piece, ms, by when it was {'due' if facts.due.size else 'begun'}{without}", key)


def _handle(name: str, *, dots: bool) -> Line2D:
    colour = LOAD_STROKES[name].colour
    if not dots:
        return Line2D([], [], linewidth=1.8, **LOAD_STROKES[name].style)
    return Line2D([], [], linestyle="none", markeredgecolor=colour, **{**_marker(name), "markersize": 5})


def _marker(name: str) -> dict[str, Any]:
    """From due hollow, from sent filled: where they are one, both are seen."""
    colour = LOAD_STROKES[name].colour
    if name == "due":
        return {"marker": "o", "markerfacecolor": "none", "markersize": 5, "markeredgewidth": 1.1}
    return {"marker": "o", "markerfacecolor": colour, "markersize": 3, "markeredgewidth": 0}


def _scale(ax: Axes, values: Floats) -> None:
    low, high = float(values.min()), float(values.max())
    if high <= LOG_FROM * low:
        heights(ax, 0, 1.12 * high)
        return
    ax.set_yscale("log")
    ax.set_ylim(low / 1.3, high * 1.3)
    few = high / low < 60  # else whole decades are enough
    ticks = LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=8).tick_values(low / 1.3, high * 1.3)
    ax.yaxis.set_major_locator(FixedLocator([at for at in ticks if low / 1.3 <= at <= high * 1.3]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(palette.plain_numbers())


def _draw_dots(ax: Axes, at: Floats, there: dict[str, Floats]) -> None:
    if len(there) == 2:
        ends = [((x, low), (x, high)) for x, low, high in zip(at, there["sent"], there["due"], strict=True)]
        style: dict[str, Any] = {"colors": OWN_FILL.line, "linewidths": 1.0, "label": "_ours", "zorder": 1}
        ax.add_collection(LineCollection([each for each in ends if not np.isnan(each).any()], **style))
    faint = 1.0 if at.size <= 100 else 0.65
    for name, column in there.items():
        colour = LOAD_STROKES[name].colour
        style = {**_marker(name), "markeredgecolor": colour, "linestyle": "none", "alpha": faint}
        ax.plot(at, column, label=f"_{name}", zorder=2, **style)


def _draw_band(ax: Axes, at: Floats, column: Floats, stroke: Stroke, name: str) -> None:
    """Neighbours in time, as many in each bin."""
    there = ~np.isnan(column) & ~np.isnan(at)
    order = np.argsort(at[there], kind="stable")
    x, y = at[there][order], column[there][order]
    bins = max(1, min(BINS, x.size // LEAST_IN_BIN))
    edges = np.linspace(0, x.size, bins + 1).astype(np.int64)
    parts = [slice(a, b) for a, b in pairwise(edges.tolist()) if b > a]
    middle = np.array([float(np.median(x[part])) for part in parts])
    low, half, high = np.array([np.percentile(y[part], (5, 50, 95), method="inverted_cdf") for part in parts]).T
    ax.fill_between(middle, low, high, color=stroke.colour, alpha=0.18, linewidth=0, label=f"_band {name}")
    ax.plot(middle, half, linewidth=1.8, label=f"_{name}", zorder=3 if name == "due" else 2, **stroke.style)
    beyond = np.concatenate([np.flatnonzero(y[part] > top) + part.start for part, top in zip(parts, high, strict=True)])
    dots: dict[str, Any] = {"marker": ".", "markersize": 2.5, "markeredgewidth": 0, "linestyle": "none"}
    ax.plot(x[beyond], y[beyond], color=stroke.colour, alpha=0.6, rasterized=True, label=f"_beyond {name}", **dots)


def _draw_outcomes(ax: Axes, facts: LoadFacts, unit_ns: float) -> None:
    words = [outcome.partition("(")[0] for outcome in facts.outcomes]
    ended = np.where(np.isnan(facts.ended), facts.at, facts.ended) / unit_ns
    edges = np.linspace(0, max(facts.end_ns / unit_ns, 1e-9), 1 + min(BINS, 4 * len(words)))
    kinds = [word for word in OUTCOME_FILLS if word in words]
    floor = np.zeros(edges.size - 1)
    counts = Counter(words)
    key = []
    for word in kinds:
        of_word = ended[np.array([each == word for each in words])]
        count, _ = np.histogram(of_word, edges)
        style: dict[str, Any] = {**OUTCOME_FILLS[word].style, "linewidth": 0.5}
        ax.stairs(floor + count, edges, baseline=floor, fill=True, label=f"_{word}", **style)
        floor = floor + count
        key.append((Patch(**style), f"{counts[word]:,} {word}"))
    heights(ax, 0, 1.08 * max(1.0, float(floor.max(initial=1))), whole=True)
    caption(ax, "streams, by when they ended", key)


def _known(used: Resources, name: str) -> npt.NDArray[np.bool_]:
    column: Ints = getattr(used, name)
    return column >= 0


def _processes(resources: tuple[Resources, ...], used: list[str]) -> list[tuple[Any, str]]:
    """The key to all panels of what was used."""
    return [
        (Line2D([], [], linewidth=1.4, **_stroke(index, each).style), each.name)
        for index, each in enumerate(resources)
        if any(_known(each, name).any() for name in used)
    ]


def _stroke(index: int, used: Resources) -> Stroke:
    return PROCESS_STROKES.get(used.name, palette.recording_stroke(index + 1))


def _said(name: str, facts: LoadFacts) -> str:
    """The caption of what was used, with what a stream took of memory, and how late a loop was."""
    said, _ = USED[name]
    a_stream = [f"{one.name} {byte_size(one.stream_bytes)} a stream" for one in facts.processes if one.stream_bytes]
    late = [one.loop_late_ns for one in facts.processes if one.loop_late_ns is not None]
    if name == "rss_bytes" and a_stream:
        return f"{said}: {', '.join(a_stream)}"
    return f"{said}: up to {duration(max(late))}" if name == "loop_late_ns" and late else said


def _draw_used(ax: Axes, name: str, resources: tuple[Resources, ...], facts: LoadFacts, unit_ns: float) -> None:
    _, unit = USED[name]
    top = 1e-9
    for index, used in enumerate(resources):
        there = _known(used, name)
        if not there.any():
            continue
        at = (used.at_ns[there] - (facts.zero_ns or 0)) / unit_ns
        values = getattr(used, name)[there] / unit
        if name == "cpu_ns":
            at, values = _share(used.at_ns[there], values, at)
        top = max(top, float(values.max(initial=0)))
        ax.plot(at, values, linewidth=1.4, label=f"_{used.name}", **_stroke(index, used).style)
    heights(ax, 0, 1.08 * top)


def _share(at_ns: Ints, cpu_ns: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Between two samples, in per cent of a core."""
    took = np.diff(at_ns)
    kept = took > 0
    return at[1:][kept], 100 * np.diff(cpu_ns)[kept] / took[kept]

"""Streams whose client left: a panel for each, what was sent behind it for nobody is the hatched area."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from streamkit.lab.findings.leaving import Left, describe_leaving, leavings
from streamkit.lab.findings.subjects import Recordings
from streamkit.lab.findings.words import duration, many
from streamkit.lab.metrics.curves import Curve, count_at
from streamkit.lab.plots import palette, panels
from streamkit.lab.plots.page import Page, stairs
from streamkit.lab.plots.palette import FRAME_PT, INK, LINE_PT, WIDTH_IN, width_pt
from streamkit.lab.plots.panels import Panel

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["leaving"]

MOST: Final = 8
TALL_PT: Final = 92.0
HEAD_PT: Final = LINE_PT + 6  # above the highest staircase: the client's leaving has its name there
SAYS: Final = {
    "upstream.sent": "sent by the upstream",
    "relay.sent": "sent by the relay",
    "client.read": "read by the client",
}
NOBODY: Final = "for nobody"
WIDTHS: Final = {"upstream.sent": 3.6, "relay.sent": 2.4, "client.read": 1.4}
"""Where they run on each other, the wider one stays to be seen."""
LEAVES: Final[dict[str, Any]] = {"color": INK, "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 4}
STOPPED: Final[dict[str, Any]] = {
    "color": palette.TAP_STROKES["upstream.sent"].colour,
    "linestyle": "none",
    "marker": "|",
    "markersize": 11,
    "markeredgewidth": 2,
}


def leaving(*recordings: Recordings, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Streams whose client left: when it left (dashed), and what was still sent for nobody after that (hatched).

        sk.plots.leaving(ours, pumped)
        sk.plots.leaving({"our relay": ours, "a relay that pumps": pumped})

    There is one panel per recording, all with one scale, over one axis of time; where the client stayed to the end,
    there is no dashed line. The staircases are the pieces that the upstream and the relay had sent, and that the client
    had read, by when; an upright tick is where the upstream stopped.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    It takes up to eight recordings: one by one, in a list or in a mapping from names. They need the upstream's taps,
    which `Lab.post` and `Lab.ask` bring. Raises ValueError for none, for more than eight, and for recordings without
    these taps; TypeError for anything else.
    """
    shown = leavings(*recordings)
    if len(shown) > MOST:
        raise ValueError(
            f"expected at most {MOST} recordings, got {len(shown):,}: each has a panel; "
            "findings.after_leaving has the numbers of any of them"
        )
    asked = [Panel(str(index), TALL_PT) for index in range(len(shown))]
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, (FRAME_PT + panels.height_pt(asked)) / 72)
    sent = all(left.origin_ns is not None for left in shown)
    zeros_ns = [left.origin_ns or 0 if sent else 0 for left in shown]
    end_ns = max(left.end_ns - zero for left, zero in zip(shown, zeros_ns, strict=True))
    unit_ns = palette.time_axis(ax, end_ns, sent=sent)
    ax.xaxis.labelpad = 18.0  # the lowest panel's ticks stand there
    palette.settle(ax)
    palette.dress(ax, describe_leaving(shown) if title is None else title, spines=())
    palette.trust_below(ax, [left.trust for left in shown])
    palette.settle(ax)
    inners = panels.stack(ax, asked)
    most = max((curve.total for left in shown for curve in left.curves.values()), default=0)
    pages = [
        _draw(inners[str(index)], left, zero, (unit_ns, max(end_ns, 1_000_000)), most)
        for index, (left, zero) in enumerate(zip(shown, zeros_ns, strict=True))
    ]
    named = _name_directly(shown, pages)
    for index, (left, page) in enumerate(zip(shown, pages, strict=True)):
        panels.caption(page.ax, _caption(left), [] if named or index else _key(shown))
        for draw in page.todo:
            draw()
    return ax


def _draw(inner: Axes, left: Left, zero_ns: int, scale: tuple[float, int], most: int) -> Page:
    """The staircases, as a page on which their names find their places."""
    unit_ns, end_ns = scale
    width, height = palette.size_pt(inner)
    per_pt = max(most, 1) / max(height - HEAD_PT, height / 2)
    page = Page(
        ax=inner,
        unit_ns=unit_ns,
        left_ns=0.0,
        ns_per_pt=end_ns / width,
        count_per_pt=per_pt,
        width=width,
        low=0.0,
        high=height,
        head_pt=0.0,
    )
    inner.set_xlim(0, end_ns / unit_ns)
    panels.heights(inner, 0, per_pt * height, whole=True)
    inner.set_ylabel("pieces", fontsize=palette.NOTE_PT, color=INK)
    gone_ns = left.left_ns - zero_ns
    for tap, curve in left.curves.items():
        whole = Curve(curve.at_ns - zero_ns, curve.count)
        page.drawn.append(whole)
        _draw_staircase(page, tap, whole, left, (zero_ns, gone_ns))
    if left.stopped_ns is not None:
        total = left.curves["upstream.sent"].total if "upstream.sent" in left.curves else 0
        at = (left.stopped_ns - zero_ns) / unit_ns
        inner.plot([at], [total], zorder=3, clip_on=False, label="_stopped", **STOPPED)
    if not left.stayed:
        inner.axvline(gone_ns / unit_ns, 0, 1, label="_leaves", **LEAVES)
    return page


def _draw_staircase(page: Page, tap: str, curve: Curve, left: Left, moments: tuple[int, int]) -> None:
    """Until the upstream stopped, or the client left; what the upstream sent behind that is an area."""
    zero_ns, gone_ns = moments
    stopped_ns = left.end_ns - zero_ns if left.stopped_ns is None else left.stopped_ns - zero_ns
    until_ns = gone_ns if tap == "client.read" else max(stopped_ns, gone_ns)
    seen = stairs(curve, page.ns_per_pt) if curve.total else curve
    at_ns = np.concatenate(([0], seen.at_ns, [max([until_ns, *seen.at_ns[-1:].tolist()])]))
    count = np.concatenate(([0], seen.count, [curve.total]))
    style = {**palette.TAP_STROKES[tap].style, "linewidth": WIDTHS[tap]}
    page.ax.plot(at_ns / page.unit_ns, count, drawstyle="steps-post", label=f"_{tap}", zorder=2, **style)
    if tap != "upstream.sent":
        return
    if _for_nobody(left):
        behind, floor = at_ns > gone_ns, int(count_at(curve, gone_ns))
        x = np.concatenate(([gone_ns], at_ns[behind])) / page.unit_ns
        y = np.concatenate(([floor], count[behind]))
        area = {"step": "post", "label": "_for nobody", "zorder": 1.5, **palette.NOBODY.style}
        page.ax.fill_between(x, floor, y, **area)


def _for_nobody(left: Left) -> bool:
    return left.facts.pieces > 0 and not left.stayed


def _caption(left: Left) -> str:
    name, facts = f"{left.name}: " if left.name else "", left.facts
    if left.stayed:
        return f"{name}the client did not leave before the end"
    parts = [f"{many(facts.pieces, 'piece')} sent for nobody"]
    if facts.relay_pieces:
        parts.append(f"{facts.relay_pieces:,} of them sent on by the relay")
    over = facts.stopped_after_ms
    parts.append(
        "the upstream is still at work" if over is None else f"the upstream stopped after {duration(over * 1e6)}"
    )
    return f"{name}{', '.join(parts)}"


def _name_directly(shown: list[Left], pages: list[Page]) -> bool:
    """Names beside the staircases of the panel where they are farthest apart, if there is room for all of them."""
    index = max(range(len(shown)), key=lambda one: (shown[one].facts.pieces, -one))
    left, page = shown[index], pages[index]
    taps = [tap for tap, curve in left.curves.items() if curve.total]
    if {tap for each in shown for tap, curve in each.curves.items() if curve.total} != set(taps):
        return _name_leaving(pages[0]) and False
    kept = list(page.todo), list(page.boxes)
    done = _name_leaving(page) and all(
        _write_beside(page, tap, page.drawn[list(left.curves).index(tap)]) for tap in taps
    )
    if done and _for_nobody(left):
        _write_inside(page, left)
    if not done:
        page.todo, page.boxes = kept
        _name_leaving(pages[0])
    return done


def _name_leaving(page: Page) -> bool:
    """Beside the dashed line, above the staircases; where nobody left there is neither."""
    line = next((line for line in page.ax.lines if line.get_label() == "_leaves"), None)
    if line is None:
        return True
    across = page.across(float(np.asarray(line.get_xdata(), dtype=float)[0]) * page.unit_ns)
    text = "the client left"
    middle = page.high - LINE_PT / 2
    places = (across + 4, across - 4 - width_pt(text))
    return any(page.write(text, at, middle, label="_left") for at in places)


def _write_beside(page: Page, tap: str, curve: Curve) -> bool:
    """Left of and above the last step, or right of and below it: a staircase that only rises is never there."""
    end, up, wide = page.across(float(curve.at_ns[-1])), page.up(curve.total), width_pt(SAYS[tap])
    above, below = (end - 8 - wide, up + LINE_PT * 0.7), (end + 6, up - LINE_PT / 2 - 1)
    places = [below, above] if tap == "client.read" else [above, (end + 6, up), below]
    return any(page.write(SAYS[tap], at, middle, label=f"_says {tap}") for at, middle in places)


def _write_inside(page: Page, left: Left) -> None:
    """In the hatched area, where it is high enough: a caption says it anyway."""
    curve = page.drawn[list(left.curves).index("upstream.sent")]
    seen = curve.total - left.facts.pieces
    at = page.across(float(curve.at_ns[-1])) - 10 - width_pt(NOBODY)
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.2}
    page.write(NOBODY, at, page.up(seen) + LINE_PT * 0.75, label="_says for nobody", bbox=behind)


def _key(shown: list[Left]) -> list[tuple[Artist, str]]:
    """Only what is drawn."""
    taps = [tap for tap in SAYS if any(tap in left.curves and left.curves[tap].total for left in shown)]
    entries: list[tuple[Artist, str]] = [
        (Line2D([], [], **{**palette.TAP_STROKES[tap].style, "linewidth": WIDTHS[tap]}), SAYS[tap]) for tap in taps
    ]
    if any(map(_for_nobody, shown)):
        entries.append((Patch(**palette.NOBODY.style), NOBODY))
    if any(left.stopped_ns is not None for left in shown):
        entries.append((Line2D([], [], **STOPPED), "it stopped"))
    return entries

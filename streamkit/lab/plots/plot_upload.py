"""An upload: what had been sent and what the server had read by when, and the results that came back meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator

from streamkit.lab.findings.upload import UploadFacts, describe_upload, uploads
from streamkit.lab.findings.words import byte_size, many
from streamkit.lab.metrics.curves import Curve, count_at
from streamkit.lab.plots import palette
from streamkit.lab.plots.page import stairs
from streamkit.lab.plots.palette import LABEL_PT, LINE_PT, WIDTH_IN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from streamkit.lab.recording.recording import Recording

__all__ = ["upload"]

HEIGHT_IN: Final = 3.8
UNITS: Final = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))
RESULTS: Final[dict[str, Any]] = {"color": palette.TAP_STROKES["client.read"].colour, "linewidth": 1.0}
TICK_PT: Final = 8
LINE_WIDTHS: Final = {"client.sent": 3.4, "server.read": 1.4}
"""Where nothing lies between the two they run on each other: the wider one stays to be seen."""


def upload(recording: Recording, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """How much of a request's body had been sent, and how much the server had read, by when; and when answers came.

        sk.plots.upload(await sk.record(url, content=rows, accept="sse"))

    x is in ms since the body could be sent, as its connection stood; the title counts from there, too. (If that is not
    known, since the body began to leave; if another client sent it, since the request was made.) What lies between the
    two staircases was held by the kernels and the network; a dot marks the most. The ticks above are the results, or
    pieces, of the answer as they came: if there is none before the end of the body, the server, or something on the
    way, answers only when everything is there.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    Raises TypeError for what is not a recording.
    """
    facts = uploads([recording])[0]
    if ax is None:
        ax = palette.new_axes(WIDTH_IN, HEIGHT_IN)
    unit_ns = palette.time_axis(ax, facts.end_ns, sent=True)
    ax.set_xlabel(ax.get_xlabel().replace("the request was sent", facts.since))
    most = max((one.total for one in facts.curves.values()), default=0)
    size, unit = next((size, unit) for size, unit in UNITS if max(most, 1) >= size)
    ax.set_ylabel(f"{unit} of the body", fontsize=LABEL_PT)
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(0, max(most, 1) / size)
    ax.yaxis.set_major_locator(FixedLocator([at for at in ticks if at <= max(most, 1) / size]))
    ax.yaxis.set_major_formatter(palette.plain_numbers())
    right = max(facts.end_ns, 1_000_000)
    left = min(0, *(int(one.at_ns[0]) for one in (*facts.curves.values(), facts.results) if one.at_ns.size), 0)
    ax.set_xlim(left / unit_ns, right / unit_ns)
    palette.settle(ax)  # the frame's width, for title and note; then its height, with both
    palette.dress(ax, describe_upload(facts) if title is None else title, spines=["left", "bottom"])
    palette.trust_below(ax, [facts.trust])
    palette.settle(ax)
    width, height = palette.size_pt(ax)
    entries = _entries(facts)
    columns = palette.key_columns((text for _, text in entries), width - 8, handle_pt=48) if entries else 1
    head_pt = -(-len(entries) // columns) * (LINE_PT + 3) + 2 * TICK_PT + 6
    top = max(most, 1) / size * height / max(height - head_pt, height / 3)
    ax.set_ylim(0, top)
    if not facts.curves:
        palette.say_instead(ax, [("", "no upload is known")])
        return ax
    _draw(ax, facts, unit_ns, size, right, (right - left) / width)
    ticks_at = (height - head_pt + TICK_PT + 2) / height * top
    at_ns = stairs(facts.results, (right - left) / width).at_ns if facts.results.total else facts.results.at_ns
    ax.plot(
        at_ns / unit_ns, np.full(at_ns.size, ticks_at), "|", markersize=TICK_PT, label="_results", zorder=3, **RESULTS
    )
    ax.legend([handle for handle, _ in entries], [text for _, text in entries], ncols=columns, **palette.KEY)
    return ax


def _draw(ax: Axes, facts: UploadFacts, unit_ns: float, size: float, right: int, ns_per_pt: float) -> None:
    curves = {tap: _to_the_end(stairs(one, ns_per_pt), right) for tap, one in facts.curves.items()}
    if len(curves) > 1:
        sent, read = curves.values()
        at_ns = np.union1d(sent.at_ns, read.at_ns)
        ax.fill_between(
            at_ns / unit_ns,
            count_at(sent, at_ns) / size,
            count_at(read, at_ns) / size,
            step="post",
            label="_held",
            zorder=1.5,
            **palette.UPLOAD_FILL.style,
        )
    for tap, one in curves.items():
        style = _stroke(tap)
        ax.plot(one.at_ns / unit_ns, one.count / size, drawstyle="steps-post", label=f"_{tap}", zorder=2, **style)
    if facts.most and "server.read" in facts.curves:
        up = count_at(facts.curves["client.sent"], facts.most_at_ns) / size
        dot: dict[str, Any] = {
            "markeredgecolor": "white",
            "markersize": 6,
            "color": palette.UPLOAD_STROKES["client.sent"].colour,
        }
        ax.plot([facts.most_at_ns / unit_ns], [up], "o", label="_most", zorder=3, **dot)


def _stroke(tap: str) -> dict[str, Any]:
    return {**palette.UPLOAD_STROKES[tap].style, "linewidth": LINE_WIDTHS[tap], "solid_capstyle": "butt"}


def _to_the_end(one: Curve, right: int) -> Curve:
    """From where it begins at zero until the end of the figure."""
    if not one.at_ns.size:
        return one
    begin, end = int(one.at_ns[0]), max(int(one.at_ns[-1]), right)
    return Curve(np.array([begin, *one.at_ns, end]), np.array([0, *one.count, one.total]))


def _entries(facts: UploadFacts) -> list[tuple[Any, str]]:
    entries: list[tuple[Any, str]] = []
    for tap, one in facts.curves.items():
        handle = Line2D([], [], **_stroke(tap))
        entries.append((handle, f"{tap}: {byte_size(one.total)}"))
    if facts.most is not None:
        entries.append((Patch(**palette.UPLOAD_FILL.style), f"sent and not read: at most {byte_size(facts.most)}"))
    if facts.results.total:
        came = many(facts.results.total, "event")
        handle = Line2D([], [], linestyle="none", marker="|", markersize=TICK_PT, **RESULTS)
        entries.append((handle, f"client.read: {came}"))
    return entries

"""A picture of what there is so far, or in the end: which figure it is, and its PNG, always of the same size.

It is drawn in a process of its own while a stream runs (`camera.py`), and in this one afterwards; this module is what
both have in common.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from streamkit.lab.findings.comparison import Comparison
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet
from streamkit.lab.sets.resources import Resources
from streamkit.lab.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KINDS", "LoadPart", "Picture", "can_be_shown", "draw", "empty", "how_far", "make_ready", "still"]

KINDS: Final = ("journey", "timeline", "queues", "where", "backlog", "gaps", "hops", "upload", "results")
"""Figures of one recording."""
LIVE_SCALE: Final = 1.0
STILL_SCALE: Final = 2.0  # twice the pixels: a line is as sharp as the text beside it
TAIL: Final = 72  # characters of the text that stand in the title

WIDTH: Final = 800
HEIGHTS: Final = {"journey": 440, "queues": 460, "timeline": 217, "load": 1080, "sweep": 400}
"""In CSS pixels, by the figure, where nobody has set another resolution."""

Shown: TypeAlias = Recording | RecordingSet | Sweep | Comparison


class Picture(NamedTuple):
    """A PNG in base64, how large it is to be shown in CSS pixels, and what it says in words."""

    png: str
    width: int
    height: int
    words: str


class LoadPart(NamedTuple):
    """Of a load that runs what has ended since the last picture; those before are kept where they were drawn."""

    recordings: tuple[Recording, ...]
    meta: Mapping[str, Any]
    resources: Iterable[Resources]


_ended: Final[list[Recording]] = []


def make_ready() -> None:
    """For the process that draws: all is loaded when the first picture is wanted."""
    import streamkit.lab.plots  # noqa: F401  it takes half a second


def empty(shown: object, kind: str | None, *, with_taps: bool) -> Picture:
    """Nothing, as large as the figure will be: it keeps the place."""
    kind = kind or ("journey" if with_taps else "timeline")
    kind = "load" if isinstance(shown, RecordingSet) else "sweep" if isinstance(shown, Sweep) else kind
    height = HEIGHTS.get(kind, HEIGHTS["journey"])
    return Picture(_clear(WIDTH, height), WIDTH, height, "")


def _clear(width: int, height: int) -> str:
    """A PNG of that size with nothing in it: a browser keeps the shape of a picture, whatever size it is told."""
    rows = height * bytes(1 + -(-width // 8))  # one bit a pixel, of a grey that is clear
    chunks = (
        (b"IHDR", struct.pack("!2I5B", width, height, 1, 0, 0, 0, 0)),
        (b"tRNS", bytes(2)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    parts = (
        struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data)) for name, data in chunks
    )
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def can_be_shown(value: object) -> bool:
    """There is a figure of it."""
    return isinstance(value, Recording | Sweep | Comparison) or (isinstance(value, RecordingSet) and len(value) > 0)


def draw(told: Recording | Sweep | LoadPart, kind: str | None, look: dict[Any, Any]) -> Picture:
    """A picture of what goes on, in the `look` (rcParams) that figures have elsewhere. For the process that draws."""
    from matplotlib import rc_context

    shown: Shown
    if isinstance(told, LoadPart):
        _ended.extend(told.recordings)
        shown = RecordingSet(_ended, meta=told.meta, resources=told.resources)
    else:
        shown = told
    with rc_context(look):
        return _png(shown, kind, _so_far(shown), LIVE_SCALE)


def still(value: Shown, kind: str | None = None) -> Picture:
    """The ordinary figure of it."""
    return _png(value, kind, None, STILL_SCALE)


def how_far(recording: Recording) -> str:
    """What has come of one that goes on."""
    seconds = ((recording.ended_ns or 0) - (recording.sent_ns or 0)) / 1e9
    return f"{len(recording.events)} events in {seconds:.1f} s"


def _so_far(shown: Shown) -> str:
    if isinstance(shown, Recording):
        texts = shown.events.text[-TAIL:] if shown.events.kept else []
        tail = " ".join("".join(texts).split())
        said = f": “{'…' if len(tail) > TAIL else ''}{tail[-TAIL:]}”" if tail else ""
        return f"So far {how_far(shown)}{said}"
    if isinstance(shown, Sweep):
        return f"So far {len(shown.rows)} of {len(shown.settings) * shown.repeats} trials"
    return f"So far {len(shown)} streams have ended" if isinstance(shown, RecordingSet) else ""


def _png(shown: Shown, kind: str | None, title: str | None, scale: float) -> Picture:
    import matplotlib.pyplot as plt

    with plt.ioff():  # else a notebook's backend shows it, too
        ax = _axes(shown, kind, title)
    figure = ax.figure.figure
    file = io.BytesIO()
    try:
        # Not "tight", as a notebook's own: its size would change from picture to picture.
        figure.savefig(file, format="png", dpi=scale * figure.dpi, bbox_inches=None)
        width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
    finally:
        plt.close(figure)
    return Picture(base64.b64encode(file.getvalue()).decode(), width, height, ax.get_title("left"))


def _axes(shown: Shown, kind: str | None, title: str | None) -> Axes:
    from streamkit.lab import plots

    if isinstance(shown, RecordingSet):
        return plots.load(shown, title=title)
    if isinstance(shown, Sweep):
        return plots.sweep(shown, title=title)
    if isinstance(shown, Comparison):
        return plots.compare(shown, title=title)
    if kind is None:
        kind = "journey" if shown.taps else "timeline"
    ax: Axes = getattr(plots, kind)(shown, title=title)
    return ax

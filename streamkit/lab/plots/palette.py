"""The one language of all figures: colours, line styles, hatches, marks, sizes, and how numbers and names are written.

What is what, in every figure:

    a staircase                 what has passed one tap; `TAP_STROKES`: upstream blue, relay orange, client green; where
                                a place has two taps, one is dashed; the upstream's schedule is grey and dotted
                                of an upload (`UPLOAD_STROKES`): green what was sent, orange what was read of it
    an area                     what a hop held (`HOP_FILLS`, by the tap at which the hop ends), or a queue
                                (`QUEUE_FILLS`: a family of shades for each stretch, in it a hatch for each queue)
    pale red                    what was sent for nobody: its client had left (`NOBODY`)
    white, dotted               bytes that the curves know of and no queue had (`REST`)
    plain grey                  what is too little to be drawn part by part, or all of it together (`OTHERS`)
    light words on dark         you are here, in the picture of the way; all else steps back there
    grey, hatched with lines    waiting for the first piece (`WAIT_…`)
    pale yellow, with a line    a stall (`STALL_…`), the last silence before the end like any other
    from end to end
    pale purple, crossed        a cut, behind which the stream went on (`CUT_…`); dark purple: what was replayed then
    an outlined tick or riser   events that came in one read
    a stripe                    one stream's end (`END_FILLS`); the white ! in a black triangle: it looks complete, and
                                is not
    an upright line, a cross    the end: complete, or not, and then the outcome's name is beside it; a square where we
                                stopped it ourselves (`Outcome.stopped`), so that nothing was cut
    a dashed upright line       a moment: a timer fired, the relay was first blocked
    circle, square, diamond     p50, p95, p99 (`PERCENTILES`)
    indigo, dotted              when requests of a load were due (`LOAD_STROKES`), and what is counted from then on;
                                green is from when they had left; pale indigo between the two: the client was late
    a bar of a load             streams by how they ended (`OUTCOME_FILLS`, by the outcome's word)
    a light field in a map      the better value; cividis, which is in order for all kinds of sight (`heat`)
    recordings side by side     each has a colour and a line of its own (`recording_stroke`), in any figure the same

How texts are drawn says `lettering`, which is shown here too; `paper` keeps a dark style from swallowing them.

Imported by the plotting modules only; it brings in matplotlib. Nothing here touches rcParams or pyplot's state, and
pyplot itself is loaded only by `new_axes`, so drawing onto somebody's own Axes works without it.

Colours follow Okabe and Ito ("Color Universal Design", 2008) for the taps. Recordings side by side start with the
client's green; the others were chosen so that any two stay apart (CIE76 distance over 20) for normal vision and for
the three colour-vision deficiencies as simulated by Machado, Oliveira and Fernandes (2009). Colour is never the only
difference: line style, hatch, shape or a word says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matplotlib import colormaps, rcParams
from matplotlib.colors import to_hex
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from matplotlib.transforms import Affine2D, ScaledTranslation, Transform

from streamkit.lab.findings.words import SECONDS_FROM_MS
from streamkit.lab.plots.lettering import NOTE_PT, legible, width_pt, wrapped
from streamkit.lab.plots.paper import FACE, Paper, is_dark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from streamkit.lab.recording.trust import Trust
    from streamkit.outcome import Outcome

__all__ = [
    "CUT_FILL",
    "CUT_HATCH",
    "CUT_LINE",
    "END_FILLS",
    "FRAME_PT",
    "GRID",
    "HEAT",
    "HOP_FILLS",
    "INK",
    "KEY",
    "LABEL_PT",
    "LINE_PT",
    "LOAD_STROKES",
    "MUTED",
    "NOBODY",
    "NOTE_PT",
    "OTHERS",
    "OUTCOME_FILLS",
    "OWN_FILL",
    "PERCENTILES",
    "QUEUE_FILLS",
    "RECORDING_COLOURS",
    "RECORDING_LINES",
    "REPLAYED",
    "REST",
    "SIZES",
    "STALL_FILL",
    "STALL_LINE",
    "TAP_STROKES",
    "TICK_PT",
    "TITLE_PT",
    "UPLOAD_FILL",
    "UPLOAD_STROKES",
    "WAIT_FILL",
    "WAIT_HATCH",
    "WAIT_LINE",
    "WIDTH_IN",
    "Fill",
    "Stroke",
    "dress",
    "end_mark",
    "heat",
    "key_columns",
    "legible",
    "log_ms",
    "name_axis",
    "new_axes",
    "note_below",
    "plain_numbers",
    "points_from",
    "recording_stroke",
    "say_instead",
    "settle",
    "size_pt",
    "time_axis",
    "trust_below",
    "whole_numbers",
    "width_pt",
    "wrapped",
]

INK: Final = "#222222"  # what must be read
MUTED: Final = "#6B6B6B"  # axes, small print: 5.3 : 1 on white
GRID: Final = "#E3E3E3"

WAIT_FILL: Final = "#F5F5F5"
WAIT_LINE: Final = "#D2D2D2"
WAIT_HATCH: Final = "//"
STALL_FILL: Final = "#F7DFA0"
STALL_LINE: Final = "#7A5C00"
SIZES: Final = "#A8A8A8"  # how much each read brought, which is not what a timeline is about
CUT_FILL: Final = "#F6E3EE"
CUT_LINE: Final = "#CC79A7"
CUT_HATCH: Final = "xx"
REPLAYED: Final = "#8A2D66"  # pieces that came late, because nobody listened

TITLE_PT: Final = 10.5
LABEL_PT: Final = 9.0
TICK_PT: Final = 8.5
LINE_PT: Final = 12.0  # one line of notes
KEY: Final[dict[str, Any]] = {
    "loc": "upper left",
    "fontsize": NOTE_PT,
    "labelcolor": INK,
    "frameon": False,
    "borderpad": 0,
    "borderaxespad": 0,
    "handlelength": 2.0,
    "handletextpad": 0.6,
    "labelspacing": 0.35,
}
"""How the key of a figure looks: arguments of `Axes.legend`."""
PERCENTILES: Final = ((50, "o"), (95, "s"), (99, "D"))
"""Those that are marked, each with its shape."""
FRAME_PT: Final = 66.0  # about what title, ticks and axis label take above and below the frame
WIDTH_IN: Final = 8.0  # a notebook's column


class Stroke(NamedTuple):
    """A colour and a line style, as matplotlib takes them."""

    colour: str
    line: str | tuple[int, tuple[int, ...]]

    @property
    def style(self) -> dict[str, Any]:
        """As arguments of a line."""
        return {"color": self.colour, "linestyle": self.line}


class Fill(NamedTuple):
    """A shade, its hatch as matplotlib takes it ("" for none), and the hatch's colour."""

    colour: str
    hatch: str
    line: str

    @property
    def style(self) -> dict[str, Any]:
        """As arguments of an area without an edge."""
        return {"facecolor": self.colour, "edgecolor": self.line, "hatch": self.hatch or None, "linewidth": 0}


# Where a place has two taps (relay.read and relay.event), one is a darker or lighter sister of the other, dashed.
TAP_STROKES: Final[dict[str, Stroke]] = {
    "upstream.due": Stroke("#8C8C8C", ":"),
    "upstream.sent": Stroke("#0072B2", "-"),
    "relay.read": Stroke("#E69F00", "-"),
    "relay.event": Stroke("#A87400", "--"),
    "relay.send": Stroke("#F0884B", "--"),
    "relay.sent": Stroke("#D55E00", "-"),
    "client.read": Stroke("#009E73", "-"),
    "client.event": Stroke("#00664A", "--"),
}

# A request's body on its way to the server: the client's green, and the relay's orange.
UPLOAD_STROKES: Final[dict[str, Stroke]] = {
    "client.sent": Stroke("#009E73", "-"),
    "server.read": Stroke("#D55E00", "-"),
}
UPLOAD_FILL: Final = Fill("#F8E6BD", "///", "#E9C98F")  # sent, and not read

# What is held on a hop, by the tap at which it ends: pale sisters of the taps, told apart in grey by the hatch alone.
HOP_FILLS: Final[dict[str, Fill]] = {
    "upstream.sent": Fill("#EDEDED", "..", "#B4B4B4"),
    "relay.read": Fill("#DCEBF6", "\\\\\\\\", "#A3C8E2"),
    "relay.event": Fill("#F6EBD3", "---", "#D3B878"),
    "relay.send": Fill("#FBDFCB", "xxx", "#E9B58F"),
    "relay.sent": Fill("#F8E6BD", "", "#E69F00"),
    "client.read": Fill("#D2EEE5", "///", "#8CCFBA"),
    "client.event": Fill("#CBDDD6", "|||", "#7FA99A"),
}

# The queues, by their names in `streamkit.taps.gauges`: one family of shades for each stretch of the
# way, in it a hatch for each queue.
QUEUE_FILLS: Final[dict[str, Fill]] = {
    "upstream.buffer": Fill("#DCEBF6", "\\\\\\\\", "#7FB3D5"),
    "upstream.unsent": Fill("#A9CCE6", "..", "#3D85B8"),
    "relay.unread": Fill("#7DB2D9", "---", "#2F6F9F"),
    "relay.inbox": Fill("#FBDFCB", "xxx", "#DD9A6B"),
    "relay.pending": Fill("#F2B98D", "++", "#C8743A"),
    "relay.buffer": Fill("#D2EEE5", "///", "#6DBFA5"),
    "relay.unsent": Fill("#9ED9C5", "", "#4FA88B"),
    "client.unread": Fill("#6BC0A4", "||", "#2C8A6C"),
    "client.backlog": Fill("#C9D6D0", "oo", "#6F9186"),
}
REST: Final = Fill("#FFFFFF", "...", "#9A9A9A")  # what no queue has
NOBODY: Final = Fill("#F6DAD5", "///", "#D9998F")  # sent when its client had left
OTHERS: Final = Fill("#D9D9D9", "", "#B4B4B4")  # queues too small to be drawn one by one

# A load: when its requests were due, and when they had left; between the two is the client's own part.
LOAD_STROKES: Final[dict[str, Stroke]] = {
    "due": Stroke("#332288", (0, (1, 1))),
    "sent": Stroke("#009E73", "-"),
}
OWN_FILL: Final = Fill("#E4E0F2", "\\\\\\", "#B3A9D8")

# How many streams ended in which way, by the outcome's word.
OUTCOME_FILLS: Final[dict[str, Fill]] = {
    "complete": Fill("#CFE9DF", "", "#8CCFBA"),
    "refused": Fill("#9CC9EA", "...", "#4A90C2"),
    "error_event": Fill("#F2DD9C", "///", "#C9A227"),
    "truncated": Fill("#E8A03C", "xxx", "#A8690A"),
    "timeout": Fill("#B9B4C0", "---", "#7C7485"),
    "cancelled": Fill("#FFFFFF", "\\\\\\", "#9A9A9A"),
}

# How a stream ended, by `endings.EndKind`: the calmer, the better; in grey the hatch and the mark tell them apart.
END_FILLS: Final[dict[str, Fill]] = {
    "complete": Fill("#E6F4EE", "", "#8CCFBA"),
    "named": Fill("#9CC9EA", "...", "#4A90C2"),
    "unnamed": Fill("#F2DD9C", "///", "#C9A227"),
    "cut": Fill("#E8A03C", "xxx", "#A8690A"),
    "endless": Fill("#B9B4C0", "---", "#7C7485"),
    "false_complete": Fill("#C8372D", "", "#7A1510"),
}

# Five colours and four line styles have no common factor: twenty recordings before a pair comes back.
RECORDING_COLOURS: Final = (TAP_STROKES["client.read"].colour, "#332288", "#BB5599", "#484848", "#808F00")
RECORDING_LINES: Final = ("-", (0, (5, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)))

HEAT: Final = "cividis"
"""A map's shades, from dark to light, in order for all kinds of sight (Nuñez, Anderton and Renslow, 2018)."""


def recording_stroke(index: int) -> Stroke:
    """Colour and line style of the recording at `index` (from 0) among those side by side."""
    return Stroke(
        RECORDING_COLOURS[index % len(RECORDING_COLOURS)],
        RECORDING_LINES[index % len(RECORDING_LINES)],
    )


def end_mark(outcome: Outcome) -> dict[str, Any]:
    """How the end of a stream that did not complete is drawn: a cross, or a square where we stopped it ourselves."""
    shape = {"marker": "s", "label": "_stopped"} if outcome.stopped else {"marker": "X", "label": "_cut"}
    return {**shape, "color": INK, "markeredgecolor": "white", "markersize": 9}


def heat(share: float) -> tuple[str, str]:
    """The shade of a field in a map, the lighter the better it is (0 to 1), and the ink that is read on it."""
    colour = colormaps[HEAT](share)
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3])
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # WCAG 2: ink and white are equally far from 0.21
    return to_hex(colour), INK if luminance > 0.21 else "#FFFFFF"


def new_axes(width_in: float, height_in: float) -> Axes:
    """Fresh Axes on a pyplot figure (which is what makes a notebook show it), in inches, with constrained layout.

    The figure is white in a dark style too: our colours are made for that.
    """
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(width_in, height_in), layout="constrained", facecolor=FACE)
    if is_dark(rcParams["savefig.facecolor"]):
        ax.add_artist(Paper(whole=True))
    return ax


def size_pt(ax: Axes) -> tuple[float, float]:
    """Width and height of the Axes' frame, in points, as its figure is laid out now."""
    box = ax.get_window_extent()
    scale = 72 / ax.figure.dpi
    return box.width * scale, box.height * scale


def points_from(ax: Axes, x: float, y: float) -> Transform:
    """Coordinates in points, counted from the place (`x`, `y`) given as a fraction of the Axes."""
    inches = ax.figure.dpi_scale_trans
    return Affine2D().scale(1 / 72) + inches + ScaledTranslation(x, y, ax.transAxes)  # type: ignore[arg-type]  # affine, typed wider


def dress(ax: Axes, title: str, spines: Iterable[str]) -> None:
    _tidy(ax, spines)
    _lay_paper(ax)
    ax.xaxis.label.set_fontsize(LABEL_PT)
    ax.xaxis.set_major_formatter(plain_numbers())
    shown, families = legible(title, limit=240)
    width, _ = size_pt(ax)
    lines = wrapped(shown, TITLE_PT, 0.98 * width)  # hinting makes it a little wider at some resolutions
    ax.set_title(
        "\n".join(lines), loc="left", fontsize=TITLE_PT, color=INK, pad=7, fontfamily=families, parse_math=False
    )


def trust_below(ax: Axes, verdicts: Sequence[Trust]) -> None:
    """How far to trust what the figure shows: the verdict on its recording, or the worst of them. See `note_below`."""
    worst = min(verdicts)
    about = "trust" if len(verdicts) == 1 else f"trust, the worst of {len(verdicts)}"
    note = f"{about}: {worst}"
    if len(worst.reasons) > 1 and width_pt(note) > size_pt(ax)[0]:
        note = f"{about}: {worst.level}: {worst.reasons[0]}; and {len(worst.reasons) - 1} more"
    note_below(ax, note)


def note_below(ax: Axes, text: str) -> None:
    """Small print below the axis at the right: beside the axis label, which makes room to the left where it has to, or,
    where both are too long for that, in a line below it.

    To be called when the axis has its label. The artist is labelled `_note`.
    """
    width, _ = size_pt(ax)
    shown, families = legible(text, limit=max(24, int(width / (0.5 * NOTE_PT))))
    label = ax.xaxis.label
    room = width - width_pt(label.get_text(), LABEL_PT) - 14
    beside = width_pt(shown) <= room
    if beside and width_pt(shown) > room / 2:
        ax.set_xlabel(label.get_text(), loc="left")
    ax.annotate(
        shown,
        xy=(1, 0),
        xycoords=("axes fraction", label),
        xytext=(0, 0 if beside else -2),
        textcoords="offset points",
        ha="right",
        va="bottom" if beside else "top",
        fontsize=NOTE_PT,
        color=MUTED,
        fontfamily=families,
        parse_math=False,
        annotation_clip=False,
        label="_note",
    )


def say_instead(ax: Axes, reasons: Sequence[tuple[str, str]]) -> None:
    """Where there is nothing to draw: names (may be "") and why, one below the other in the middle of the frame."""
    ax.set_xticks([])
    for index, (name, why) in enumerate(reasons):
        (called, _), (told, _) = legible(name), legible(why, limit=80)
        ax.text(
            0.5,
            0.5 + (len(reasons) / 2 - index - 0.5) * 0.12,
            f"{called}: {told}" if name else told,
            transform=ax.transAxes,
            ha="center",
            va="center",
            fontsize=LABEL_PT,
            color=MUTED,
            fontfamily=legible(f"{name}{why}")[1],
            parse_math=False,
        )


def name_axis(axis: Axis, name: str) -> None:
    """Somebody's own word for what an axis shows."""
    shown, families = legible(name, limit=60)
    axis.set_label_text(shown, fontsize=LABEL_PT, fontfamily=families, parse_math=False)


def key_columns(words: Iterable[str], width: float, handle_pt: float) -> int:
    """In how many columns a key of these words goes into `width` points; `handle_pt`: an entry's, beside them."""
    widths = [width_pt(text) for text in words]
    return max(1, min(len(widths), int(width / (max(widths, default=0.0) + handle_pt))))


def time_axis(ax: Axes, end_ns: int, *, sent: bool) -> float:
    """Name the axis of time, which is in ms, from 100 s on in s; how many ns its unit has.

    `sent`: time counts from when the request was sent; else from when it was made.
    """
    unit, unit_ns = ("s", 1e9) if end_ns >= SECONDS_FROM_MS * 1e6 else ("ms", 1e6)
    ax.set_xlabel(f"{unit} since the request was {'sent' if sent else 'made'}")
    return unit_ns


def log_ms(ns: float) -> float:
    """ms where they can be drawn on a log scale: it has no place for 0, and begins at a microsecond."""
    return max(ns / 1e6, 1e-3)


def whole_numbers(most: int) -> FixedLocator:
    """Ticks from 0 up to `most`, none of them between two events."""
    ticks = MaxNLocator(nbins=6, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]).tick_values(0, max(most, 1))
    return FixedLocator([tick for tick in ticks if 0 <= tick <= max(most, 1)])


def plain_numbers() -> FuncFormatter:
    """Ticks as `0.5`, `50` and `20,000`, on linear and log scales alike."""
    return FuncFormatter(lambda x, _: f"{x:,g}")


def settle(ax: Axes) -> None:
    """Let the figure's layout engine, if it has one, place the frame, so that sizes in points can be relied on."""
    figure = ax.figure.figure  # of a SubFigure: the Figure
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def _lay_paper(ax: Axes) -> None:
    """On somebody's dark figure, something white behind all that is drawn here."""
    ax.set_facecolor(FACE)
    dark = any(map(is_dark, (ax.figure.figure.get_facecolor(), rcParams["savefig.facecolor"])))
    if dark and not any(isinstance(artist, Paper) for artist in ax.patches):
        ax.add_artist(Paper())


def _tidy(ax: Axes, spines: Iterable[str] = ("left", "bottom")) -> None:
    """No frame but the named spines; small muted ticks."""
    kept = set(spines)
    for side, spine in ax.spines.items():
        spine.set_visible(side in kept)
        spine.set_color(MUTED)
    ax.tick_params(labelsize=TICK_PT, color=MUTED, labelcolor=INK)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_color(INK)  # a style may have said otherwise
    ax.grid(visible=False)

"""How streams ended, as a map: rows and columns of cells, in one or several panels side by side.

Inside the frame both units are the point, counted from the upper left corner. A cell is cut into one stripe for each
of its streams, so that a share can be seen as such.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable

from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from streamkit.lab.findings.endings import KINDS, EndGrid, Ending, EndKind, endings_of
from streamkit.lab.findings.subjects import Recordings
from streamkit.lab.findings.words import duration
from streamkit.lab.plots import palette
from streamkit.lab.plots.palette import FRAME_PT, INK, LABEL_PT, LINE_PT, MUTED, NOTE_PT, WIDTH_IN, width_pt

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = ["HasEndGrid", "outcomes"]

TALL_PT: Final = 50.0  # a row of a map, with two lines below its cells
LOW_PT: Final = 30.0  # a row of a table, with up to two lines in its cells
ROW_GAP_PT: Final = 5.0
PANEL_GAP_PT: Final = 16.0
CELL_GAP_PT: Final = 1.0
LEAST_PT: Final = 14.0  # a cell's height, before words below it are left out
ROW_SIGNS: Final = 36
NAME_PT: Final = 16.0  # the names of the panels
MARK_PT: Final = 17.0  # the mark of what looks complete and is not
BAND_PT: Final = 13.0  # the bands below them
COLUMNS_PT: Final = 22.0  # the names of the columns, where other panels are below them
EXPLAIN_PT: Final = 150.0  # beside the first panel: how it is read
WORDS: Final[dict[EndKind, str]] = {
    "complete": "complete",
    "named": "broken: the client is told why",
    "unnamed": "broken: a bare error status",
    "cut": "broken off, visibly",
    "endless": "never ended: the client gave up",
    "false_complete": "looks complete, is not",
}
MARK: Final[dict[str, Any]] = {
    "marker": "^", "markersize": 11, "color": INK, "markeredgecolor": "white", "linestyle": "none"
}  # fmt: skip
BANG: Final[dict[str, Any]] = {"marker": "$!$", "markersize": 5, "color": "white", "linestyle": "none"}
BEHIND: Final[dict[str, Any]] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.2}


@runtime_checkable
class HasEndGrid(Protocol):
    """Such as a `TimeoutMap`."""

    def end_grid(self) -> EndGrid: ...


Shown: TypeAlias = EndGrid | HasEndGrid | Recordings


def outcomes(shown: Shown, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """How streams ended: a map of cells, each with a colour, a hatch and a word; false completions carry a mark.

        >>> cut = sk.Recording.from_pieces([(10_000_000, "Hel")])
        >>> ax = sk.plots.outcomes(sk.findings.end_grid({"cut by FIN": {"naive": cut}}, whole="Hello"))
        >>> ax.get_title("left")
        'naive: the broken stream looks complete'

    `shown` is one of

    - a `TimeoutMap`: places × lengths of silences, with a panel for each relay. The columns are a scale, so neighbours
      with the same outcome share one word; the first panel says how to read it
    - an `EndGrid`, as `sk.findings.end_grid` makes it: faults × relays
    - recordings, each with the outcome it states: one row each, or one per name if there are more than eight

    A cell that stands for several streams has a stripe for each. Times count as the grid says: in a timeout map, from
    the beginning of the silence.

    It draws on `ax`, by default in a new figure, and returns it. `title` replaces the finding; "" leaves it out.

    Raises ValueError for no recordings, TypeError for anything else.
    """
    grid = shown if isinstance(shown, EndGrid) else _grid(shown)
    row_pt = TALL_PT if grid.scale else LOW_PT
    if ax is None:
        head_pt, floors = NAME_PT + BAND_PT, 2 if _stacked(grid) else 1
        tall_pt = FRAME_PT + 2 * LINE_PT + floors * (head_pt + len(grid.rows) * (row_pt + ROW_GAP_PT))
        ax = palette.new_axes(WIDTH_IN, (tall_pt + (floors - 1) * COLUMNS_PT) / 72)
    palette.name_axis(ax.xaxis, grid.x_label)
    _write_names(ax.yaxis, range(len(grid.rows)), grid.rows, ROW_SIGNS)  # their width is what counts now
    ax.set_xticks([])
    ax.tick_params(axis="both", length=0)
    palette.settle(ax)  # the frame's width, for the title; then its height, with it
    palette.dress(ax, grid.finding if title is None else title, spines=[])
    if grid.note:
        palette.note_below(ax, grid.note)
    palette.settle(ax)
    layout = _lay_out(ax, grid)
    _explain(layout)
    _explain_first(layout)
    for number, name in enumerate(grid.panels):
        _draw_panel(layout, number, name)
    return ax


def _grid(shown: HasEndGrid | Recordings) -> EndGrid:
    return shown.end_grid() if isinstance(shown, HasEndGrid) else endings_of(shown)


def _stacked(grid: EndGrid) -> bool:
    """Whether the first panel has a floor of its own, above the others: it says how they are read."""
    return bool(grid.explain) and len(grid.panels) > 1


@dataclass(frozen=True, kw_only=True, eq=False)
class _Layout:
    """Where things go, in points from the upper left corner."""

    ax: Axes
    grid: EndGrid
    kinds: tuple[EndKind, ...]
    key_columns: int
    key_pt: float
    head_pt: float  # the names of the panels, and the bands
    widths: tuple[float, ...]  # of a cell, in each panel
    row_pt: float
    below_pt: float  # what is written below the cells of a row

    @property
    def stacked(self) -> bool:
        return _stacked(self.grid)

    def wide(self, panel: int) -> float:
        """A panel's width."""
        return len(self.grid.columns) * self.widths[panel]

    def left(self, panel: int, column: int) -> float:
        before = range(1 if self.stacked and panel else 0, panel)
        return sum(self.wide(one) + PANEL_GAP_PT for one in before) + column * self.widths[panel]

    def head(self, panel: int) -> float:
        """Where the name of a panel begins."""
        if self.stacked and panel:
            return self.key_pt + self.head_pt + len(self.grid.rows) * self.row_pt + COLUMNS_PT
        return self.key_pt

    def top(self, panel: int, row: int) -> float:
        return self.head(panel) + self.head_pt + row * self.row_pt

    @property
    def tall_pt(self) -> float:
        """A cell's height."""
        return self.row_pt - ROW_GAP_PT - self.below_pt


def _lay_out(ax: Axes, grid: EndGrid) -> _Layout:
    width, height = palette.size_pt(ax)
    found = {one.kind for one in grid.all()}
    kinds = tuple(kind for kind in KINDS if kind in found)
    key_columns = palette.key_columns((WORDS[kind] for kind in kinds), width, handle_pt=40)
    key_pt = -(-len(kinds) // key_columns) * (LINE_PT + 2) + 6
    head_pt = (NAME_PT if any(grid.panels) else 0) + (BAND_PT if grid.bands else 0)
    panels, floors = len(grid.panels), 2 if _stacked(grid) else 1
    free = height - key_pt - floors * head_pt - (floors - 1) * COLUMNS_PT
    row_pt = max(LINE_PT + ROW_GAP_PT, free / (floors * len(grid.rows)))
    lines = min(2, int((row_pt - ROW_GAP_PT - LEAST_PT) / LINE_PT)) if grid.scale else 0
    beside = panels - floors + 1
    cell_pt = (width - (beside - 1) * PANEL_GAP_PT) / (beside * len(grid.columns))
    first_pt = max(width - EXPLAIN_PT, width / 2) / len(grid.columns) if grid.explain else cell_pt
    layout = _Layout(
        ax=ax,
        grid=grid,
        kinds=kinds,
        key_columns=key_columns,
        key_pt=key_pt,
        head_pt=head_pt,
        widths=(first_pt, *[cell_pt] * (panels - 1)),
        row_pt=row_pt,
        below_pt=max(0.0, lines * LINE_PT),
    )
    ax.set_xlim(0, width)
    ax.set_ylim(layout.top(panels - 1, len(grid.rows)), 0)
    shown = list(itertools.product((0, 1) if layout.stacked else (0,), range(len(grid.rows))))
    middles = [layout.top(panel, row) + layout.tall_pt / 2 for panel, row in shown]
    _write_names(ax.yaxis, middles, [grid.rows[row] for _, row in shown], ROW_SIGNS)
    _write_columns(layout)
    return layout


def _write_columns(layout: _Layout) -> None:
    """Below the cells of each panel; of a scale as many as there is room for. Those of the lowest are the axis'."""
    panels = range(len(layout.grid.panels))
    lowest = [(panel, *of) for panel in panels if panel or not layout.stacked for of in _columns_of(layout, panel)]
    signs = max(4, int(layout.widths[-1] / (0.5 * NOTE_PT)))
    _write_names(layout.ax.xaxis, [x for _, x, _ in lowest], [name for _, _, name in lowest], signs)
    if layout.stacked:
        y = layout.top(0, len(layout.grid.rows)) + COLUMNS_PT / 2 - ROW_GAP_PT
        for x, name in _columns_of(layout, 0):
            _write(layout, x, y, name, palette.TICK_PT, "_column")


def _columns_of(layout: _Layout, panel: int) -> list[tuple[float, str]]:
    names, wide = layout.grid.columns, layout.widths[panel]
    signs = max(4, int(wide / (0.5 * NOTE_PT)))
    widest = max(width_pt(palette.legible(name, signs)[0]) for name in names)
    every = int((widest + 3) / wide) + 1 if layout.grid.scale else 1
    return [(layout.left(panel, at) + wide / 2, names[at]) for at in range(0, len(names), every)]


def _write_names(axis: Axis, places: Sequence[float], names: Sequence[str], signs: int) -> None:
    legible = [palette.legible(name, signs) for name in names]
    axis.set_ticks(places, labels=[shown for shown, _ in legible])
    for label, (_, families) in zip(axis.get_ticklabels(), legible, strict=True):
        label.set_fontfamily(families)
        label.set_parse_math(False)


# --- A panel --------------------------------------------------------------------------------------------------------


def _draw_panel(layout: _Layout, panel: int, name: str) -> None:
    if name:
        middle = layout.head(panel) + NAME_PT / 2
        _write(layout, layout.left(panel, 0), middle, name, LABEL_PT, "_panel", weight="bold", ha="left")
    _draw_band(layout, panel, name)
    for row, row_name in enumerate(layout.grid.rows):
        cells = [layout.grid.panels[name].get((row_name, column), ()) for column in layout.grid.columns]
        for column, cell in enumerate(cells):
            _draw_cell(layout, panel, row, column, cell)
            if any(one.kind == "false_complete" for one in cell):
                _mark(layout, panel, row, column)
        if layout.grid.scale:
            _write_below(layout, panel, row, cells)
        else:
            for column, cell in enumerate(cells):
                _write_inside(layout, panel, row, column, cell)


def _draw_band(layout: _Layout, panel: int, name: str) -> None:
    """A bar above its columns, and its edges through the cells of each row."""
    band = layout.grid.bands.get(name)
    if band is None:
        return
    first, last = (list(layout.grid.columns).index(column) for column in (band.first, band.last))
    left, right = layout.left(panel, first), layout.left(panel, last + 1)
    top = layout.top(panel, 0) - BAND_PT
    bar = Rectangle((left, top), right - left, BAND_PT - 2, facecolor=palette.OTHERS.colour, linewidth=0)
    bar.set_label("_band")
    layout.ax.add_patch(bar)
    edge: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": (0, (2, 1)), "label": "_edge"}
    for x, row in itertools.product((left - 0.5, right - 0.5), range(len(layout.grid.rows))):
        layout.ax.plot([x, x], [layout.top(panel, row) - 2, layout.top(panel, row) + layout.tall_pt], **edge)
    _write(layout, (left + right) / 2, top + BAND_PT / 2 - 1, band.name, NOTE_PT, "_band_name")


def _draw_cell(layout: _Layout, panel: int, row: int, column: int, cell: Sequence[Ending]) -> None:
    """A stripe for each stream."""
    left, width = layout.left(panel, column), layout.widths[panel] - CELL_GAP_PT
    for number, one in enumerate(cell):
        fill = palette.END_FILLS[one.kind]
        layout.ax.add_patch(
            Rectangle(
                (left + width * number / len(cell), layout.top(panel, row)),
                width / len(cell),
                layout.tall_pt,
                facecolor=fill.colour,
                edgecolor=fill.line,
                hatch=fill.hatch,
                linewidth=0,
                label=f"_{one.kind}",
            )
        )


def _mark(layout: _Layout, panel: int, row: int, column: int) -> None:
    """It looks complete and is not: in the middle of a scale's cell, at the left of a table's, which has words too."""
    x = layout.left(panel, column) + ((layout.widths[panel] - CELL_GAP_PT) / 2 if layout.grid.scale else MARK_PT / 2)
    y = layout.top(panel, row) + layout.tall_pt / 2
    layout.ax.plot([x], [y], label="_mark", zorder=4, **MARK)
    layout.ax.plot([x], [y + 1.2], label="_bang", zorder=5, **BANG)


def _write_below(layout: _Layout, panel: int, row: int, cells: Sequence[Sequence[Ending]]) -> None:
    """Below the cells that are broken, as near as the panel's edges allow: what they say, and when."""
    broken = [(n, one) for n, cell in enumerate(cells) for one in cell if one.kind != "complete"]
    if not broken or not layout.below_pt:
        return
    left, right = layout.left(panel, 0), layout.left(panel, len(cells)) - CELL_GAP_PT
    lines = _lines([one for _, one in broken], right - left)[: int(layout.below_pt / LINE_PT)]
    half = max(map(width_pt, lines), default=0.0) / 2
    middle = (layout.left(panel, broken[0][0]) + layout.left(panel, broken[-1][0] + 1)) / 2
    top = layout.top(panel, row) + layout.tall_pt + 1
    for number, line in enumerate(lines):
        x = min(max(middle, left + half), right - half)
        _write(layout, x, top + (number + 0.5) * LINE_PT, line, NOTE_PT, "_says")


def _write_inside(layout: _Layout, panel: int, row: int, column: int, cell: Sequence[Ending]) -> None:
    if not cell:
        return
    marked = any(one.kind == "false_complete" for one in cell)
    left, right = layout.left(panel, column) + (MARK_PT if marked else 0), layout.left(panel, column + 1) - CELL_GAP_PT
    lines = _lines(cell, right - left - 6)
    if len(lines) > 1 and width_pt(joined := ", ".join(lines)) <= right - left - 6:
        lines = [joined]
    if lines := lines[: int((layout.tall_pt - 2) / (LINE_PT - 1))]:
        middle = layout.top(panel, row) + layout.tall_pt / 2
        _write(layout, (left + right) / 2, middle, "\n".join(lines), NOTE_PT, "_says", bbox=BEHIND)


def _lines(endings: Sequence[Ending], width: float) -> list[str]:
    """The words that occur, the most frequent ones first, as many as there is room for; then the times."""
    words = [says for says, _ in Counter(one.says for one in endings if one.says).most_common()]
    told = next((line for n in range(len(words), 0, -1) if width_pt(line := _several(words, n)) <= width), "")
    lines = [told] if told else _in_two(words[0], width) if words else []
    if words and not lines:
        lines = [palette.legible(words[0], limit=max(4, int(width / (0.62 * NOTE_PT))))[0]]
    times = [one.after_ms for one in endings if one.after_ms is not None]
    when = _span(min(times), max(times)) if times else ""
    return [line for line in (*lines, when) if line and width_pt(line) <= width]


def _in_two(word: str, width: float) -> list[str]:
    """A code that is too wide, broken at a joint, as late as there is room; nothing where that is too wide as well."""
    joints = [at + 1 for at, sign in enumerate(word) if sign in "_-.:( "]
    halves = ([word[:at].rstrip(), word[at:]] for at in reversed(joints))
    return next((both for both in halves if all(width_pt(line) <= width for line in both)), [])


def _several(words: Sequence[str], shown: int) -> str:
    return ", ".join(words[:shown]) + (" …" if shown < len(words) else "")


def _span(least_ms: float, most_ms: float) -> str:
    low, high = (duration(ms * 1e6, unit=False) for ms in (least_ms, most_ms))
    return duration(most_ms * 1e6) if low == high else f"{low} – {duration(most_ms * 1e6)}"


def _write(layout: _Layout, x: float, y: float, text: str, size: float, label: str, **style: Any) -> None:
    shown, families = palette.legible(text.replace("\n", "\0"), limit=120)
    layout.ax.text(
        x,
        y,
        shown.replace("\\x00", "\n"),
        fontsize=size,
        fontfamily=families,
        color=INK,
        parse_math=False,
        label=label,
        linespacing=1.1,
        **{"ha": "center", "va": "center", **style},
    )


def _explain_first(layout: _Layout) -> None:
    """Beside the first panel, how it is read: a sentence at each row, and one at the columns."""
    left, (*of_rows, of_columns) = layout.wide(0) + 18, layout.grid.explain or ("",)
    if not of_columns:
        return
    room, _ = palette.size_pt(layout.ax)
    rows = len(layout.grid.rows)
    places = [layout.top(0, row) + layout.tall_pt / 2 for row in range(rows)][: len(of_rows)]
    below = layout.top(0, rows) + COLUMNS_PT / 2 - ROW_GAP_PT
    for y, sentence in [*zip(places, of_rows, strict=False), *([(below, of_columns)] if layout.stacked else [])]:
        lines = palette.wrapped(sentence, NOTE_PT, room - left)
        if len(lines) * LINE_PT > layout.row_pt or max(map(width_pt, lines)) > room - left:
            continue
        layout.ax.plot([layout.wide(0) + 2, left - 4], [y, y], color=MUTED, linewidth=0.8, label="_leader")
        _write(layout, left, y, "\n".join(lines), NOTE_PT, "_explain", ha="left")


def _explain(layout: _Layout) -> None:
    """Only what occurs, above everything."""
    handles: list[Artist | tuple[Artist, ...]] = []
    for kind in layout.kinds:
        fill = palette.END_FILLS[kind]
        patch = Patch(facecolor=fill.colour, edgecolor=fill.line, hatch=fill.hatch, linewidth=0.6)
        marked = kind == "false_complete"
        handles.append((patch, Line2D([], [], **MARK), Line2D([], [], **BANG)) if marked else patch)
    layout.ax.legend(
        handles,
        [WORDS[kind] for kind in layout.kinds],
        bbox_to_anchor=(0, 1),
        ncols=layout.key_columns,
        handler_map={tuple: HandlerTuple(ndivide=1, pad=0)},
        **{**palette.KEY, "columnspacing": 1.6, "labelcolor": MUTED},
    )

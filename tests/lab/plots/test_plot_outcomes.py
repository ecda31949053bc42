"""The figure of how streams ended: a stripe for each stream, a mark on what looks complete and is not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.transforms import Bbox

from streamkit.lab import plots
from streamkit.lab.experiments.silences import LENGTHS, RELAYS
from streamkit.lab.experiments.timeouts import PLACES, SilenceCell, TimeoutMap
from streamkit.lab.findings.endings import KINDS, Band, EndGrid, Ending, EndKind, end_grid
from streamkit.lab.plots import palette
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from tests.figures import are_apart, are_readable, empty_axes

mpl.use("Agg")  # no test may open a window
import matplotlib.pyplot as plt

WHOLE = "床前明月光"
FIRED = {"before head": "first_piece", "before first piece": "first_piece", "between events": "idle",
         "blocked write": "write_stall"}  # fmt: skip


@pytest.fixture(autouse=True)
def no_figure_stays() -> Iterator[None]:
    yield
    plt.close("all")


def ended(relay: str, place: str, length: float, phase: int) -> tuple[EndKind, str, float | None]:
    """As they were measured: ours at T, httpx at T and cleanly, Sanic at 1.0 to 1.5 T."""
    blocked = place == "blocked write"
    if relay == "ours":
        return ("cut" if blocked else "named", FIRED[place], 504.0 + phase) if length > 1 else ("complete", "", None)
    if relay == "Sanic + httpx" and not blocked:
        kind: EndKind = "false_complete" if place == "between events" else "unnamed"
        return (kind, "ReadTimeout", 503.0 + phase) if length > 1 else ("complete", "", None)
    fires = 1.5 - phase / 8
    kind = "unnamed" if place in PLACES[:2] else "cut"
    return (kind, "RESPONSE_TIMEOUT", 500 * fires) if length > fires else ("complete", "", None)


def measured(relays: tuple[str, ...] = RELAYS, lengths: tuple[float, ...] = LENGTHS, phases: int = 4) -> TimeoutMap:
    cells = []
    for relay, place, length, phase in product(relays, PLACES, lengths, range(phases)):
        kind, fired, after_ms = ended(relay, place, length, phase)
        status = 503 if kind == "unnamed" else 200
        cells.append(
            SilenceCell(relay, place, length / 2, phase / 16, kind, "", kind, status, not fired, fired, after_ms, 4.0)
        )
    return TimeoutMap(0.5, tuple(cells))


def got(text: str, outcome: str, server: str | None = None) -> Recording:
    meta = {} if server is None else {"server_outcome": server}
    return Recording.from_pieces(
        [(1_000_000, text)] if text else [],
        outcome=Outcome.parse(outcome),
        sent_ns=0,
        ended_ns=312_000_000,
        meta=meta,
    )


FAULTS = {
    "none": {"article": got(WHOLE, "complete"), "stock": got(WHOLE, "complete"), "ours": got(WHOLE, "complete")},
    "cut by FIN after event 5": {
        "article": got(WHOLE[:2] + "error: …", "complete"),
        "stock": got(WHOLE[:2], "complete"),
        "ours": got(WHOLE[:2], "error_event(upstream_truncated)", "truncated"),
    },
    "never answers": {
        "article": got("", "timeout(total)"),
        "stock": got("", "refused(503)"),
        "ours": got("", "refused(504)", "timeout(first_piece)"),
    },
    "你好: an endless line, and then nothing": {
        "article": got("", "complete"),
        "stock": got(WHOLE[:1], "truncated"),
        "ours": got("", "refused(502)", f"error_event({'x' * 90})"),
    },
}
MIXED = EndGrid(
    rows=["row"],
    columns=["1", "2"],
    panels={
        "": {
            ("row", "1"): [Ending("complete"), Ending("cut", "a", 3.0), Ending("cut", "b", 5.0), Ending("complete")],
            ("row", "2"): [Ending("false_complete", "c")],
        }
    },
)
SHOWN: dict[str, Any] = {
    "map": measured(),
    "ours alone": measured(("ours",)),
    "one length": measured(lengths=(1.2,), phases=1),
    "many lengths": measured(lengths=tuple(np.linspace(0.1, 3, 30))),
    "table": end_grid(FAULTS, WHOLE, x_label="relay"),
    "mixed": MIXED,
    "strip": {f"{fault} / {relay}": one for fault, row in FAULTS.items() for relay, one in row.items()},
    "one recording": got(WHOLE, "complete"),
}
every_case = pytest.mark.parametrize("case", SHOWN)


@cache
def drawn(case: str) -> Axes:
    """As a user calls it, in a figure of its own, rendered."""
    ax = plots.outcomes(SHOWN[case])
    ax.figure.canvas.draw()
    return ax


def labelled(ax: Axes, label: str) -> list[Any]:
    return [child for child in ax.get_children() if child.get_label() == label]


def texts(ax: Axes, label: str) -> list[str]:
    return [text.get_text() for text in labelled(ax, label)]


def words(ax: Axes) -> list[tuple[str, Bbox]]:
    """Every text of the figure, and where it stands; the title is one."""
    legend = ax.get_legend()
    found = [*ax.texts, *ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.label, ax._left_title]  # type: ignore[attr-defined]  # there is no public way to a left title's box
    found += legend.get_texts() if legend else []
    return [(text.get_text(), text.get_window_extent()) for text in found if text.get_text()]


def legend_of(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


@every_case
def test_no_word_runs_into_another_or_out_of_the_figure(case: str) -> None:
    ax = drawn(case)
    are_readable(ax, words(ax))


@pytest.mark.parametrize("size", [(7, 4.5), (9, 4.5), (14, 8)])
@pytest.mark.parametrize("case", ["map", "table", "mixed"])
def test_in_other_sizes_words_keep_apart_too(case: str, size: tuple[float, float]) -> None:
    ax = empty_axes(*size)
    assert plots.outcomes(SHOWN[case], ax) is ax
    ax.figure.canvas.draw()
    are_apart(words(ax))


@every_case
def test_words_of_a_map_stand_beside_the_cells_and_those_of_a_table_inside(case: str) -> None:
    """On a stripe a word could be read as that stripe's."""
    ax = drawn(case)
    stripes = [box.get_window_extent() for kind in KINDS for box in labelled(ax, f"_{kind}")]
    scale = isinstance(SHOWN[case], TimeoutMap)
    for text in labelled(ax, "_says"):
        box = text.get_window_extent()
        assert any(box.overlaps(stripe) for stripe in stripes) != scale


@every_case
def test_the_title_is_the_finding(case: str) -> None:
    ax = drawn(case)
    shown = SHOWN[case]
    finding = shown.finding if isinstance(shown, TimeoutMap | EndGrid) else ax.get_title(loc="left").replace("\n", " ")
    assert ax.get_title(loc="left").split() == finding.split()


def test_another_title_replaces_it() -> None:
    assert plots.outcomes(MIXED, title="Mine").get_title(loc="left") == "Mine"
    assert plots.outcomes(MIXED, title="").get_title(loc="left") == ""


def test_each_stream_is_a_stripe_in_the_look_of_its_end() -> None:
    ax = drawn("map")
    cells = measured().cells
    for kind in KINDS:
        stripes = labelled(ax, f"_{kind}")
        assert len(stripes) == sum(cell.kind == kind for cell in cells)
        for stripe in stripes:
            assert same_color(stripe.get_facecolor(), palette.ENDS[kind].colour)
            assert (stripe.get_hatch() or "") == palette.ENDS[kind].hatch


def test_stripes_of_a_cell_share_it_evenly_in_their_order() -> None:
    ax = drawn("mixed")
    first, last = sorted(labelled(ax, "_complete"), key=lambda stripe: stripe.get_x())
    one, other = sorted(labelled(ax, "_cut"), key=lambda stripe: stripe.get_x())
    assert np.diff([stripe.get_x() for stripe in (first, one, other, last)]) == pytest.approx([first.get_width()] * 3)
    (alone,) = labelled(ax, "_false_complete")
    assert alone.get_width() == pytest.approx(4 * first.get_width())


def test_what_looks_complete_and_is_not_bears_a_mark_in_each_cell() -> None:
    broken = [length for length in LENGTHS if length > 1]
    assert len(labelled(drawn("map"), "_mark")) == len(labelled(drawn("map"), "_bang")) == len(broken)
    assert len(labelled(drawn("table"), "_mark")) == 3
    assert labelled(drawn("ours alone"), "_mark") == []


def test_the_band_of_sanics_timer_is_named_over_its_columns() -> None:
    ax = drawn("map")
    assert texts(ax, "_band_name") == ["1.0 – 1.5 × T"] * 2
    bar = labelled(ax, "_band")[1].get_window_extent()
    ticks = {tick.get_window_extent().x0: tick.get_text() for tick in ax.get_xticklabels()}
    under = [text for x, text in ticks.items() if bar.x0 <= x <= bar.x1]
    assert under == ["1.1", "1.2", "1.3", "1.4"]
    assert labelled(drawn("ours alone"), "_band") == []


def test_panels_rows_and_columns_have_their_names() -> None:
    ax = drawn("map")
    assert texts(ax, "_panel") == list(RELAYS)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(PLACES)
    assert ax.get_xlabel() == "length of the silence, × T (500 ms)"
    assert texts(ax, "_note") == ["the machine was up to 4 ms late"]
    assert [label.get_text() for label in drawn("table").get_xticklabels()] == ["article", "stock", "ours"]


def test_a_row_of_a_map_says_which_timer_and_when() -> None:
    says = texts(drawn("ours alone"), "_says")
    assert says[:2] == ["first_piece", "504 – 507 ms"]
    assert says[-2:] == ["write_stall", "504 – 507 ms"]


def test_a_cell_of_a_table_says_what_was_seen_and_when() -> None:
    says = texts(drawn("table"), "_says")
    assert says[:6] == ["complete, 312 ms"] * 3 + ["error in text, 312 ms", "text missing, 312 ms", "truncated, 312 ms"]


def test_the_legend_has_what_occurs() -> None:
    assert legend_of(drawn("ours alone")) == ["complete", "broken: the client is told why", "broken off, visibly"]
    assert legend_of(drawn("mixed")) == ["complete", "broken off, visibly", "looks complete, is not"]


def test_recordings_are_a_row_each() -> None:
    ax = drawn("strip")
    assert len(ax.get_yticks()) == 12
    assert len(labelled(ax, "_complete")) == 6  # taken at their word
    assert labelled(ax, "_mark") == []


def test_a_band_may_be_any_columns() -> None:
    grid = EndGrid(
        rows=["a"],
        columns=["x", "y", "z"],
        panels={"p": {("a", "y"): [Ending("cut")]}},
        bands={"p": Band("y", "z", "here")},
    )
    assert texts(plots.outcomes(grid), "_band_name") == ["here"]


def test_an_axes_that_is_given_is_the_only_thing_drawn_on() -> None:
    before = dict(mpl.rcParams)
    ax = empty_axes(9, 5)
    plots.outcomes(SHOWN["map"], ax)
    assert plt.get_fignums() == []
    assert ax.figure.axes == [ax]
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(("given", "error"), [([], ValueError), (["x"], TypeError), (7, TypeError)])
def test_what_is_not_a_recording_is_refused(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        plots.outcomes(given)

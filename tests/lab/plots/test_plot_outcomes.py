"""The figure of how streams ended: a stripe for each stream, a mark on what looks complete and is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import same_color

from streamkit.lab import plots
from streamkit.lab.experiments.silences import LENGTHS, RELAYS
from streamkit.lab.experiments.timeouts import PLACES, TimeoutMap
from streamkit.lab.findings.endings import KINDS, Band, EndGrid, Ending, end_grid
from streamkit.lab.plots import palette
from tests.figures import (
    key_of,
    labelled,
    texts,
)
from tests.lab.plots.cases import ENDINGS, drawn, got, measured


@pytest.mark.parametrize("case", ENDINGS)
def test_words_of_a_map_stand_beside_the_cells_and_those_of_a_table_inside(case: str) -> None:
    """On a stripe a word could be read as that stripe's."""
    ax = drawn("outcomes", case)
    stripes = [box.get_window_extent() for kind in KINDS for box in labelled(ax, f"_{kind}")]
    scale = isinstance(ENDINGS[case], TimeoutMap)
    for text in labelled(ax, "_says"):
        box = text.get_window_extent()
        assert any(box.overlaps(stripe) for stripe in stripes) != scale


def test_each_stream_is_a_stripe_in_the_look_of_its_end() -> None:
    ax = drawn("outcomes", "map")
    cells = measured().cells
    for kind in KINDS:
        stripes = labelled(ax, f"_{kind}")
        assert len(stripes) == sum(cell.kind == kind for cell in cells)
        for stripe in stripes:
            assert same_color(stripe.get_facecolor(), palette.END_FILLS[kind].colour)
            assert (stripe.get_hatch() or "") == palette.END_FILLS[kind].hatch


def test_stripes_of_a_cell_share_it_evenly_in_their_order() -> None:
    ax = drawn("outcomes", "mixed")
    first, last = sorted(labelled(ax, "_complete"), key=lambda stripe: stripe.get_x())
    one, other = sorted(labelled(ax, "_cut"), key=lambda stripe: stripe.get_x())
    assert np.diff([stripe.get_x() for stripe in (first, one, other, last)]) == pytest.approx([first.get_width()] * 3)
    (alone,) = labelled(ax, "_false_complete")
    assert alone.get_width() == pytest.approx(4 * first.get_width())


def test_what_looks_complete_and_is_not_bears_a_mark_in_each_cell() -> None:
    broken = [length for length in LENGTHS if length > 1]
    assert (
        len(labelled(drawn("outcomes", "map"), "_mark"))
        == len(labelled(drawn("outcomes", "map"), "_bang"))
        == len(broken)
    )
    assert len(labelled(drawn("outcomes", "table"), "_mark")) == 3
    assert labelled(drawn("outcomes", "ours alone"), "_mark") == []


def test_the_band_of_sanics_timer_is_named_over_its_columns() -> None:
    ax = drawn("outcomes", "map")
    assert texts(ax, "_band_name") == ["1.0 – 1.5 × T"] * 2
    bar = labelled(ax, "_band")[1].get_window_extent()
    ticks = {tick.get_window_extent().x0: tick.get_text() for tick in ax.get_xticklabels()}
    under = [text for x, text in ticks.items() if bar.x0 <= x <= bar.x1]
    assert under == ["1.1", "1.2", "1.3", "1.4"]
    assert labelled(drawn("outcomes", "ours alone"), "_band") == []


def test_panels_rows_and_columns_have_their_names() -> None:
    ax = drawn("outcomes", "map")
    assert texts(ax, "_panel") == list(RELAYS)
    assert [label.get_text() for label in ax.get_yticklabels()] == [*PLACES] * 2
    assert ax.get_xlabel() == "length of the silence, × T (500 ms)"
    assert texts(ax, "_note") == ["the machine was up to 4 ms late"]
    assert [label.get_text() for label in drawn("outcomes", "table").get_xticklabels()] == ["article", "stock", "ours"]


def test_the_first_panel_of_a_map_says_how_it_is_read_and_the_others_are_below_it() -> None:
    ax = drawn("outcomes", "map")
    assert [text.replace("\n", " ") for text in texts(ax, "_explain")] == [
        "a row is a place: where the upstream falls silent",
        "a field is 4 streams, a stripe each",
        "below it: what ended them, and after how long",
        "a column is a length of the silence",
    ]
    first, *others = (text.get_window_extent() for text in labelled(ax, "_panel"))
    assert all(other.y1 < first.y0 for other in others)
    assert len({round(other.y0) for other in others}) == 1
    assert len(texts(ax, "_column")) == len(LENGTHS)
    assert not labelled(drawn("outcomes", "table"), "_explain")


def test_a_row_of_a_map_says_which_timer_and_when() -> None:
    says = texts(drawn("outcomes", "ours alone"), "_says")
    assert says[:2] == ["first_piece", "504 – 507 ms"]
    assert says[-2:] == ["write_stall", "504 – 507 ms"]


def test_a_cell_of_a_table_says_what_was_seen_and_when() -> None:
    says = texts(drawn("outcomes", "table"), "_says")
    assert says[:6] == ["complete, 312 ms"] * 3 + ["error in text, 312 ms", "text missing, 312 ms", "truncated, 312 ms"]


@pytest.mark.parametrize("code", ["upstream_content_type", "malformed_json", "upstream_incremental_refused"])
def test_among_four_columns_a_code_can_be_read_whole(code: str) -> None:
    ours = got("", "refused(502)", f"error_event({code})")
    ax = plots.outcomes(end_grid({f"fault {n}": dict.fromkeys("abcd", ours) for n in range(10)}, whole="all"))
    says = texts(ax, "_says")
    assert len(says) == 40
    assert all(each.replace("\n", "").startswith(code) for each in says)


def test_the_legend_has_what_occurs() -> None:
    assert key_of(drawn("outcomes", "ours alone")) == [
        "complete",
        "broken: the client is told why",
        "broken off, visibly",
    ]
    assert key_of(drawn("outcomes", "mixed")) == ["complete", "broken off, visibly", "looks complete, is not"]


def test_up_to_eight_recordings_are_a_row_each() -> None:
    ax = plots.outcomes([got("x", "complete"), got("x", "truncated")] * 4)
    assert len(ax.get_yticks()) == 8
    assert len(labelled(ax, "_complete")) == 4  # taken at their word
    assert labelled(ax, "_mark") == []


def test_more_than_eight_recordings_are_a_row_for_each_name_with_a_stripe_for_each_of_them() -> None:
    ax = drawn("outcomes", "strip")
    assert len(ax.get_yticks()) == 1
    assert [label.get_text() for label in ax.get_yticklabels()] == ["all 12"]
    assert len(labelled(ax, "_complete")) == 6
    named = plots.outcomes([replace(got("x", "complete"), label=label) for label in "abc" * 3])
    assert [label.get_text() for label in named.get_yticklabels()] == ["a (3)", "b (3)", "c (3)"]


def test_a_band_may_be_any_columns() -> None:
    grid = EndGrid(
        rows=["a"],
        columns=["x", "y", "z"],
        panels={"p": {("a", "y"): [Ending("cut")]}},
        bands={"p": Band("y", "z", "here")},
    )
    assert texts(plots.outcomes(grid), "_band_name") == ["here"]

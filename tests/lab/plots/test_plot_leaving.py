"""Streams whose client left: where the line stands, what the area is, and which words there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from matplotlib.axes import Axes

from streamkit.lab import plots
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from tests.figures import are_apart, boxes, empty_axes, key_of, labelled, texts, title_of
from tests.lab.plots.cases import LATE, LEAVINGS, SOON, drawn


def panels(ax: Axes) -> list[Any]:
    return list(ax.child_axes)


def test_each_recording_has_a_panel_and_a_caption_that_says_what_was_for_nobody() -> None:
    captions = [texts(inner, "_caption") for inner in panels(drawn("leaving", "two"))]
    assert captions == [
        ["our relay: 0 pieces sent for nobody, the upstream stopped after 2.0 ms"],
        ["the pumping relay: 30 pieces sent for nobody, the upstream stopped after 1,482 ms"],
    ]


def test_the_area_is_between_what_the_client_had_read_and_what_was_sent_behind_its_leaving() -> None:
    (inner,) = panels(drawn("leaving", "one"))
    (area,) = labelled(inner, "_for nobody")
    low, high = area.get_paths()[0].get_extents().min, area.get_paths()[0].get_extents().max
    assert [*low, *high] == [770, 10, 2252, 40]
    assert not any(labelled(each, "_for nobody") for each in panels(drawn("leaving", "to the end")))


def test_the_dashed_line_is_where_the_client_left_and_the_tick_where_the_upstream_stopped() -> None:
    inner = panels(drawn("leaving", "two"))[1]
    assert list(labelled(inner, "_leaves")[0].get_xdata()) == [770, 770]
    assert [list(labelled(inner, "_stopped")[0].get_data()[0]), texts(inner, "_left")] == [[2252], []]
    never = panels(drawn("leaving", "before a piece"))[2]
    assert not labelled(never, "_stopped")


def test_where_nobody_left_there_is_no_line_no_word_for_it_and_no_area() -> None:
    stayed, gone = replace(LATE, outcome=Outcome("complete")), LATE
    (alone,) = panels(plots.leaving(stayed))
    assert texts(alone, "_caption") == ["the client did not leave before the end"]
    first, second = panels(plots.leaving({"stayed": stayed, "gone": gone}))
    for inner in (alone, first):
        assert not any(labelled(inner, what) for what in ("_leaves", "_left", "_for nobody", "_says for nobody"))
    assert texts(alone, "_says client.read") == ["read by the client"]
    assert labelled(second, "_leaves")
    assert labelled(second, "_for nobody")


def test_staircases_are_named_directly_where_all_have_room_and_in_a_key_elsewhere() -> None:
    (alone,) = panels(drawn("leaving", "one"))
    assert key_of(alone) == []
    assert texts(alone, "_says upstream.sent") == ["sent by the upstream"]
    assert texts(alone, "_says client.read") == ["read by the client"]
    assert texts(alone, "_says for nobody") == ["for nobody"]
    first, second = panels(drawn("leaving", "two"))
    assert key_of(first)[:3] == ["sent by the upstream", "sent by the relay", "read by the client"]
    assert key_of(second) == []


@pytest.mark.parametrize("case", LEAVINGS)
def test_words_keep_apart_in_all_panels(case: str) -> None:
    ax = drawn("leaving", case)
    are_apart([word for each in (ax, *panels(ax)) for word in boxes(each)])


def test_all_panels_have_one_scale() -> None:
    one, other = panels(drawn("leaving", "two"))
    assert (one.get_xlim(), one.get_ylim()) == (other.get_xlim(), other.get_ylim())


def test_they_come_one_by_one_in_a_list_or_in_a_mapping() -> None:
    for given in ((SOON, LATE), ([SOON, LATE],), (SOON, [LATE])):
        title = title_of(plots.leaving(*given, ax=empty_axes(layout=None)))
        assert title == "30 pieces for nobody with recording 2, none with recording 1"


def test_what_has_no_taps_and_more_than_eight_are_refused_before_a_figure_is_made() -> None:
    with pytest.raises(ValueError, match="the upstream's taps"):
        plots.leaving(SOON, Recording(ended_ns=5))
    with pytest.raises(ValueError, match="at most 8 recordings, got 9"):
        plots.leaving([SOON] * 9)

"""The hops: what it draws are their delays."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes

from streamkit.lab import plots
from streamkit.lab.plots import palette
from tests.figures import (
    are_apart,
    are_readable,
    boxes,
    empty_axes,
    inside,
    key_of,
    labelled,
    note_of,
    texts,
    title_of,
)
from tests.lab.plots.cases import WAYS, drawn
from tests.ways import DUE, later, way


def test_every_hop_has_a_row_and_the_whole_way_is_the_last() -> None:
    ax = drawn("hops", "slow reader")
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "upstream.due → upstream.sent",
        "upstream.sent → relay.read",
        "relay.read → relay.sent",
        "relay.sent → client.read",
        "client.read → client.event",
        "all the way",
    ]
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "delay from tap to tap (ms, log scale)"


def test_percentiles_are_marked_and_written_and_differ_in_shape() -> None:
    ax = plots.hops(way({"relay.sent": [0] * 100}, [1 + i for i in range(100)]))
    marks = [labelled(ax, f"_p{q}")[0] for q in (50, 95, 99)]
    assert [mark.get_xdata()[0] for mark in marks] == [50, 95, 99]
    assert len({mark.get_marker() for mark in marks}) == 3
    assert {"50", "95", "99"} <= set(inside(ax))
    (half, *_) = labelled(ax, "_half")
    assert (half.get_x(), half.get_x() + half.get_width()) == (25, 75)


def test_delays_below_zero_are_off_the_axis_counted_and_written_as_they_are() -> None:
    """The relay's send may return after the client has read. Zero would hide it; a log scale has no place for it."""
    ax = plots.hops(way({"relay.sent": later(DUE, 0.5)}, DUE))
    assert not labelled(ax, "_p50")
    assert not labelled(ax, "_p99")
    assert len(labelled(ax, "_beyond")) == 3, (
        "of both hops, the client's own of no time among them, and of the whole way"
    )
    assert {"-0.50", "below 0", "40 of 40"} <= set(inside(ax))


def test_of_delays_on_both_sides_of_zero_the_positive_ones_are_drawn_from_the_edge_on() -> None:
    client = [at - 0.2 if index < 12 else at + 3 for index, at in enumerate(DUE)]
    ax = plots.hops(way({"relay.sent": DUE}, client))
    assert "12 of 40" in inside(ax)
    left = ax.get_xlim()[0]
    assert labelled(ax, "_range")[0].get_xdata().tolist() == [left, 3.0]
    assert labelled(ax, "_p50")[0].get_xdata()[0] == 3.0
    assert left > 1, "the axis begins at what can be drawn"
    are_apart(boxes(ax))


def test_without_negative_delays_there_is_no_column_for_them() -> None:
    ax = drawn("hops", "fine")
    assert "below 0" not in inside(ax)
    assert [text for text in inside(ax) if text.endswith(" ms")] == ["p50 ms", "p95 ms", "p99 ms"]


def test_the_clients_own_taps_make_no_figure() -> None:
    with pytest.raises(ValueError, match="expected recordings with taps of the upstream or the relay"):
        plots.hops([WAYS["client alone"], WAYS["error"]])
    assert plt.get_fignums() == []


def test_without_a_delay_a_note_says_why() -> None:
    assert inside(drawn("hops", "refused")) == ["no delay (no pieces, refused(503))"]


# --- Of several -------------------------------------------------------------------------------------------------------


def bars(ax: Axes) -> list[tuple[float, float]]:
    """From where to where, in ms."""
    return [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in labelled(ax, "_bar")]


def rows(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


@pytest.fixture(scope="module")
def several() -> Axes:
    shown = {"direct": WAYS["fine"], "你好": WAYS["coalesced"], "refused": WAYS["refused"]}
    return plots.hops(shown, empty_axes(8, 3))


def test_of_several_only_the_hops_that_differ_have_rows_and_x_is_linear(several: Axes) -> None:
    assert rows(several) == ["relay.event → relay.send", "all the way"]
    assert several.get_xscale() == "linear"
    assert several.get_xlabel() == "p95 of the delay from tap to tap (ms)"


def test_a_bar_is_as_long_as_its_p95_and_has_its_recordings_name_and_colour(several: Axes) -> None:
    assert [bar[1] for bar in bars(several)] == pytest.approx([0.2, 200, 1.2, 200.9], abs=0.6)
    assert all(bar[0] == 0 for bar in bars(several))
    name = palette.legible("你好")[0]
    assert texts(several, "_named")[:2] == ["direct: 0.20 ms", f"{name}: 200 ms"]
    colours = [mpl.colors.to_hex(bar.get_facecolor()) for bar in labelled(several, "_bar")]
    assert colours == [palette.recording_stroke(number).colour.lower() for number in (0, 1, 0, 1)]
    assert not key_of(several)


def test_all_other_hops_and_whoever_has_none_are_in_the_small_print(several: Axes) -> None:
    said = " ".join(texts(several, "_said"))
    assert said.startswith(
        "Alike by p95, each up to 0.20 ms: upstream.due → upstream.sent, upstream.sent → relay.read,"
    )
    assert "client.read → client.event." in said
    assert said.endswith("refused: no delay (no pieces, refused(503)).")
    are_readable(several)
    assert note_of(several).startswith("trust, the worst of 3: ")


def test_hops_that_only_some_have_are_named_with_those() -> None:
    ax = plots.hops({"slow": WAYS["slow reader"], "cut": WAYS["cut"]}, empty_axes(8, 3.2))
    said = " ".join(texts(ax, "_said"))
    assert "Seen only in slow: upstream.due → upstream.sent (0 ms), relay.read → relay.sent (504 ms)." in said
    assert "Seen only in cut: relay.read → relay.send (0 ms), relay.send → relay.sent (0 ms)." in said
    are_readable(ax)


def test_where_nothing_differs_there_is_still_the_whole_way() -> None:
    ax = plots.hops([WAYS["fine"], WAYS["fine"]], empty_axes(8, 2.4))
    assert rows(ax) == ["all the way"]
    assert title_of(ax) == "Both alike: p95 up to 1.2 ms from the first tap to the last"


def test_delays_below_zero_of_several_are_bars_to_the_left() -> None:
    early = way({"relay.sent": later(DUE, 50)}, DUE)
    late = way({"relay.sent": DUE}, later(DUE, 50))
    ax = plots.hops({"early": early, "late": late}, empty_axes(8, 2.4))
    assert bars(ax)[:2] == [(-50, 0), (0, 50)]
    assert ax.get_xlim()[0] == -50
    are_readable(ax)


def test_of_several_without_any_delay_words_say_why() -> None:
    ax = plots.hops({"a": WAYS["refused"], "b": WAYS["refused"]}, empty_axes(8, 2.4))
    assert inside(ax) == ["a: no delay (no pieces, refused(503))", "b: no delay (no pieces, refused(503))"]


def test_more_than_eight_recordings_are_a_bar_for_each_name_and_on_it_a_mark_for_each_of_them() -> None:
    ax = drawn("hops", "groups")
    assert [name.rpartition(" (")[2] for name in texts(ax, "_named")] == ["5): 5.0 ms", "5): 94 ms"] * 2
    assert [bar[1] for bar in bars(ax)] == [5, 94] * 2
    marks = labelled(ax, "_each")
    assert [[start[0] for start, _ in mark.get_segments()] for mark in marks[:2]] == [
        [1, 2, 3, 4, 5],
        [90, 91, 92, 93, 94],
    ]
    assert ax.get_xlabel() == "p95 of the delay from tap to tap (ms; a mark for each recording)"


def test_of_a_group_it_is_said_how_many_of_it_had_no_delay() -> None:
    shown = [replace(WAYS[case], label=label) for label, case in [("a", "fine"), ("b", "far"), ("c", "refused")] * 3]
    shown[0] = replace(WAYS["refused"], label="a")
    said = " ".join(texts(plots.hops(shown, empty_axes(8, 3)), "_said"))
    assert said.endswith("a (3): no delay in 1 of them. c (3): no delay in any of them.")


def test_of_one_name_alone_all_delays_are_drawn_as_those_of_one_recording() -> None:
    ax = plots.hops([WAYS["fine"]] * 9)
    assert rows(ax) == rows(drawn("hops", "fine"))
    assert ax.get_xlabel() == "delay from tap to tap (ms, log scale; 9 recordings together)"
    assert inside(plots.hops([WAYS["refused"]] * 9)) == ["all 9: no delay in any of them"]

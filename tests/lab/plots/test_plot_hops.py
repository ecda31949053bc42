"""The hops: what it draws are their delays."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from streamkit.lab import plots
from streamkit.lab.plots import palette
from tests.figures import (
    are_apart,
    boxes,
    inside,
    key_of,
    labelled,
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


def test_several_recordings_have_a_band_each_in_every_hop() -> None:
    ax = plots.hops({"direct": WAYS["fine"], "你好": WAYS["coalesced"], "refused": WAYS["refused"]})
    assert key_of(ax) == ["direct", palette.legible("你好")[0], "refused"]
    assert len(labelled(ax, "_half")) == 2 * 7, "the client's own hop takes no time, and so has no place on the axis"
    colours = {mpl.colors.to_hex(patch.get_edgecolor()) for patch in labelled(ax, "_half")}
    assert colours == {palette.recording_stroke(i).colour.lower() for i in (0, 1)}
    assert any(text.get_text().startswith("trust, the worst of 3: ") for text in ax.texts)
    are_apart(boxes(ax))


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

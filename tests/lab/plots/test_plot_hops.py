"""The hops: what it draws are their delays."""

from __future__ import annotations

import matplotlib as mpl

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
    assert len(labelled(ax, "_half")) == 2 * 8
    colours = {mpl.colors.to_hex(patch.get_edgecolor()) for patch in labelled(ax, "_half")}
    assert colours == {palette.recording_stroke(i).colour.lower() for i in (0, 1)}
    assert any(text.get_text().startswith("trust, the worst of 3: ") for text in ax.texts)
    are_apart(boxes(ax))


def test_delays_below_zero_stand_at_a_microsecond_and_are_written_as_they_are() -> None:
    """The relay's send may return after the client has read; zero would hide it."""
    ax = plots.hops(way({"relay.sent": later(DUE, 0.5)}, DUE))
    assert labelled(ax, "_p50")[0].get_xdata()[0] == 0.001
    assert "-0.50" in inside(ax)


def test_without_a_delay_a_note_says_why() -> None:
    assert inside(drawn("hops", "refused")) == ["no delay (no pieces, refused(503))"]

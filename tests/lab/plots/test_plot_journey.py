"""The journey: what it draws is what was measured."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.path import Path

from streamkit.lab import plots
from streamkit.lab.metrics.curves import count_at
from streamkit.lab.plots import palette
from streamkit.lab.plots.page import COLUMNS_PER_PT
from streamkit.taps import TAPS
from tests.figures import (
    areas,
    empty_axes,
    inside,
    key_of,
    labelled,
    steps_of,
)
from tests.lab.plots.cases import WAYS, drawn
from tests.ways import DUE, MS, later, slow_reader, way


@pytest.mark.parametrize("case", WAYS)
def test_no_staircase_runs_through_a_word(case: str) -> None:
    ax = drawn("journey", case)
    legend = ax.get_legend()
    texts = [*ax.texts, *(legend.get_texts() if legend else [])]
    boxes = [text.get_window_extent() for text in texts]
    for line in ax.get_lines():
        if line.get_drawstyle() == "steps-post":
            x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
            path = Path(ax.transData.transform(np.column_stack([np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]])))
            assert not any(path.intersects_bbox(box, filled=False) for box in boxes)


@pytest.mark.parametrize("figure", ["journey", "backlog"])
def test_an_unknown_unit_is_refused(figure: str) -> None:
    with pytest.raises(ValueError, match="'events' or 'bytes', got 'tokens'"):
        getattr(plots, figure)(WAYS["fine"], unit="tokens")


def test_the_staircases_are_the_curves() -> None:
    """… each with a riser from zero before its first step."""
    recording = slow_reader()
    ax = plots.journey(recording)
    for tap, label in (
        ("relay.read", "_relay.read"),
        ("relay.sent", "_relay.sent"),
        ("client.read", "_client.read, event"),
    ):
        x, y = steps_of(ax, label)
        curve = recording.curves()[tap]
        assert (x[0], y[0]) == (x[1], 0)
        assert x[1:] == (curve.at_ns / MS).tolist()
        assert y[1:] == curve.count.tolist()


def test_bytes_of_text_can_be_shown_instead_of_events() -> None:
    ax = plots.journey(slow_reader(), unit="bytes")
    assert ax.get_ylabel() == "bytes of text passed"
    assert steps_of(ax, "_relay.read")[1][-1] == 7 * 120


@pytest.mark.parametrize(
    ("case", "label"),
    [
        ("fine", "ms since the request was sent"),
        ("made", "ms since the request was made"),
        ("long", "s since the request was sent"),
    ],
)
def test_the_axes_say_the_unit_and_where_time_begins(case: str, label: str) -> None:
    ax = drawn("journey", case)
    assert ax.get_xlabel() == label
    assert ax.get_ylabel() == "events passed"


def test_time_begins_when_the_request_had_left() -> None:
    ax = plots.journey(replace(way({"relay.sent": DUE}, later(DUE, 100)), sent_ns=60 * MS))
    assert steps_of(ax, "_relay.sent")[0][0] == 240


def test_every_area_is_the_backlog_of_its_hop() -> None:
    recording = slow_reader()
    curves = recording.curves()
    area = areas(plots.journey(recording))["relay.sent → client.read"]
    (path,) = area.get_paths()
    for at_ms in (500, 1000, 2000, 3000, 4000):
        crossing = [
            y
            for (x0, y0), (x1, y1) in itertools.pairwise(path.vertices.tolist())
            if min(x0, x1) <= at_ms < max(x0, x1)
            for y in [y0]
            if y0 == y1
        ]
        assert max(crossing) == count_at(curves["relay.sent"], at_ms * MS)
        assert min(crossing) == count_at(curves["client.read"], at_ms * MS)


def test_every_hop_has_a_shade_and_a_hatch_of_its_own() -> None:
    """In grey they are told apart by the hatch alone."""
    assert set(palette.HOP_FILLS) == set(TAPS) - {"upstream.due"}
    assert len({fill.hatch for fill in palette.HOP_FILLS.values()}) == len(palette.HOP_FILLS)
    assert len({fill.colour for fill in palette.HOP_FILLS.values()}) == len(palette.HOP_FILLS)
    seen = areas(drawn("journey", "cut")).values()
    looks = {(mpl.colors.to_hex(area.get_facecolor()[0]), area.get_hatch()) for area in seen}
    assert len(looks) == len(seen) == 4


def test_taps_of_one_place_that_coincide_are_one_staircase_and_one_entry() -> None:
    assert key_of(drawn("journey", "fine")) == [
        "upstream.due, sent",
        "relay.read, event, send, sent",
        "client.read, event",
    ]


def test_the_legend_is_in_the_order_of_the_way_and_says_what_each_hop_held() -> None:
    assert key_of(drawn("journey", "slow reader")) == [
        "upstream.due, sent",
        "relay.read",
        "relay.sent",
        "client.read, event",
        "upstream.sent → relay.read: max 21 events, 847 ms",
        "relay.read → relay.sent: max 12 events, 504 ms",
        "relay.sent → client.read: max 15 events, 630 ms",
    ]


def test_a_small_frame_has_the_staircases_in_its_legend_at_least() -> None:
    ax = plots.journey(WAYS["slow reader"], empty_axes(3.5, 2.6))
    assert key_of(ax)[:4] == ["upstream.due, sent", "relay.read", "relay.sent", "client.read, event"]


def test_a_tap_wears_its_colour_and_the_schedule_is_dotted() -> None:
    ax = drawn("journey", "late upstream")
    (due,), (sent,) = labelled(ax, "_upstream.due"), labelled(ax, "_upstream.sent")
    assert (due.get_color(), due.get_linestyle()) == (palette.TAP_STROKES["upstream.due"].colour, ":")
    assert (sent.get_color(), sent.get_linestyle()) == ("#0072B2", "-")


def test_stalls_and_the_wait_lie_under_the_clients_staircase_with_their_lengths() -> None:
    ax = drawn("journey", "client alone")
    spans = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in labelled(ax, "_pause")]
    assert spans == [(0, 312), (1062, 1724), (1874, 2324)]
    assert {"first piece after 312 ms", "stall 662 ms", "stall 450 ms"} <= set(inside(ax))


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ("cut", "truncated"),
        ("refused", "refused(503)"),
        ("timeout", "timeout(idle)"),
        ("no first piece", "timeout(first_piece)"),
    ],
)
def test_an_end_that_is_not_complete_is_a_cross_with_its_name(case: str, outcome: str) -> None:
    ax = drawn("journey", case)
    assert outcome in inside(ax)
    (cross,) = labelled(ax, "_cut")
    assert list(cross.get_xdata()) == [(WAYS[case].ended_ns or 0) / MS]
    assert not labelled(drawn("journey", "fine"), "_cut")


def test_a_timer_that_fired_is_a_line_and_the_silence_before_it_is_measured() -> None:
    ax = drawn("journey", "timeout")
    (timer,) = labelled(ax, "_timer")
    assert timer.get_segments()[0][0][0] == 3000
    assert "nothing for 2,050 ms" in inside(ax)
    assert not labelled(drawn("journey", "cut"), "_timer")


def test_silence_before_a_complete_end_is_measured_too() -> None:
    ax = plots.journey(way({"relay.sent": DUE}, DUE, "complete", 5000))
    assert "nothing for 2,750 ms" in inside(ax)
    assert not labelled(ax, "_cut")


def test_what_never_arrived_stays_held_up_to_the_end() -> None:
    ax = drawn("journey", "cut")
    assert steps_of(ax, "_relay.send")[0][-1] == 1600
    assert areas(ax)["relay.send → relay.sent"].get_paths()[0].vertices[:, 0].max() == 1600
    lost = way({"relay.sent": DUE[:18]}, DUE[:16], "truncated", 1600)
    assert "relay.sent → client.read: max 2 events, 2 of them for good" in key_of(plots.journey(lost))


def test_reads_that_carried_several_events_are_outlined_and_counted() -> None:
    ax = drawn("journey", "coalesced")
    (shared,) = labelled(ax, "_shared")
    assert [np.ptp(ends[:, 1]) for ends in shared.get_segments()] == [5] * 8
    assert inside(ax).count("×5") == 7  # the last has no room before the frame's edge
    assert "events that shared a read" in key_of(ax)
    assert not labelled(drawn("journey", "fine"), "_shared")


def test_without_event_borders_events_are_joined_by_bytes() -> None:
    """In text/plain an event of the client is a read; its staircase counts what the other taps count."""
    ax = drawn("journey", "plain text")
    assert steps_of(ax, "_client.read, event")[1][-1] == 40


def test_ends_that_are_far_apart_have_their_names() -> None:
    names = ["upstream.sent", "client.read, event"]
    assert inside(plots.journey(way({"upstream.sent": DUE}, [3 * at for at in DUE])))[-2:] == names
    assert not set(names) & set(inside(drawn("journey", "timeout")))


def test_ticks_are_whole_events() -> None:
    for case in ("one", "cut", "slow reader", "nothing"):
        ticks = drawn("journey", case).get_yticks()
        assert all(tick == int(tick) >= 0 for tick in ticks)


def test_a_hundred_thousand_events_make_a_bounded_path_in_bounded_time() -> None:
    """… that covers the same points of the paper, to a quarter of a point."""
    times = np.cumsum(np.full(100_000, 0.5)) + 300
    ways = {name: (times + 0.2 * i).tolist() for i, name in enumerate(TAPS[1:6])}
    recording = way(ways, np.maximum(times + 2, times * 1.1 - 2_000).tolist())
    started = time.perf_counter()
    ax = plots.journey(recording)
    ax.figure.canvas.draw()
    assert time.perf_counter() - started < 20
    width, _ = palette.size_pt(ax)
    for line in ax.get_lines():
        assert np.size(line.get_xdata()) <= 2 * COLUMNS_PER_PT * width + 3
    for area in areas(ax).values():
        assert len(area.get_paths()[0].vertices) <= 16 * COLUMNS_PER_PT * width

"""The timeline: what it says and where it draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from matplotlib.axes import Axes

from streamkit.lab import plots
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from tests.figures import (
    boxes,
    empty_axes,
    inside,
    key_of,
    labelled,
    texts,
    title_of,
)
from tests.lab.plots.cases import drawn, made
from tests.ways import MS


def bars(ax: Axes, label: str) -> int:
    return sum(len(lines.get_segments()) for lines in labelled(ax, label))


@pytest.mark.parametrize(
    ("recordings", "label"),
    [
        (made(), "ms since the request was sent"),
        (Recording.from_pieces([(MS, "a")]), "ms since the request was made"),
        ([made(), Recording()], "ms since the request was made"),
        (made(3, gap=60_000), "s since the request was sent"),
        (made(3, gap=40_000), "ms since the request was sent"),
    ],
)
def test_the_axis_says_the_unit_and_where_time_begins(recordings: Any, label: str) -> None:
    """ms up to 100 s; "sent" only if it is known of every recording."""
    assert plots.timeline(recordings, empty_axes(layout=None)).get_xlabel() == label


def test_time_begins_when_the_request_had_left() -> None:
    early = Recording.from_pieces([(100 * MS, "a"), (200 * MS, "b")], sent_ns=60 * MS, ended_ns=200 * MS)
    ax = plots.timeline(early)
    (pieces,) = labelled(ax, "_pieces")
    assert [segment[0][0] for segment in pieces.get_segments()] == [40, 140]


def test_thousands_are_separated_on_the_axis() -> None:
    ax = plots.timeline(made(100))
    boxes(ax)
    assert "2,000" in [label.get_text() for label in ax.get_xticklabels()]


def test_each_recording_has_a_lane_with_its_name() -> None:
    ax = plots.timeline({"direct": made(), "relay": made(), "none": Recording()})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["direct", "relay", "none"]
    assert len(labelled(ax, "_open")) == 3


def test_recordings_of_one_label_have_one_colour() -> None:
    ax = plots.timeline([replace(made(), label=label) for label in ("fast", "slow", "fast")])
    first, second, third = (lines.get_colors().tolist() for lines in labelled(ax, "_pieces"))
    assert first == third != second


def test_a_single_recording_without_a_name_has_no_lane_name() -> None:
    assert plots.timeline(made()).get_yticklabels() == []


def test_eight_lanes_make_a_higher_figure_than_one() -> None:
    one, eight = (plots.timeline([made(2)] * lanes).figure.bbox for lanes in (1, 8))
    assert eight.height > 2 * one.height
    assert eight.width == one.width


def test_more_than_eight_recordings_are_groups_by_name_with_a_row_each() -> None:
    ax = plots.timeline([made(3, label=label, stalls={1: n * 900}) for n in (0, 1, 0) for label in "abc"])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a (3)", "b (3)", "c (3)"]
    assert texts(ax, "_group") == ["3 recordings, a row each; first piece after 312 ms; 1 with a stall"] * 3
    assert len(labelled(ax, "_open")) == 9
    colours = [lines.get_colors().tolist() for lines in labelled(ax, "_pieces")]
    assert colours[0] == colours[2] != colours[3]


def test_more_than_eight_names_are_one_group_and_nothing_is_left_out() -> None:
    ax = drawn("timeline", "twelve")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["all 12"]
    assert len(labelled(ax, "_open")) == 12


def test_the_wait_is_a_bar_of_its_own_with_its_length_in_ms() -> None:
    ax = plots.timeline(made(first=312))
    (wait,) = labelled(ax, "_wait")
    assert (wait.get_x(), wait.get_width()) == (0, 312)
    assert wait.get_hatch()
    assert "first piece after 312 ms" in inside(ax)


def heights(ax: Axes, label: str) -> list[float]:
    (lines,) = labelled(ax, label)
    return [abs(top[1] - bottom[1]) for bottom, top in lines.get_segments()]


def test_ticks_are_of_one_height_and_how_many_characters_they_brought_hangs_small_below() -> None:
    pieces = [(100 * MS, "x" * 10), (200 * MS, "x" * 20), (300 * MS, "x" * 30)]
    ax = plots.timeline(Recording.from_pieces(pieces, ended_ns=300 * MS))
    assert len(set(heights(ax, "_pieces"))) == 1
    low, middle, high = heights(ax, "_sizes")
    assert high - middle == pytest.approx(middle - low)
    assert high < heights(ax, "_pieces")[0] / 3
    assert "characters of each, at most 30" in key_of(ax)


def test_bytes_are_shown_where_no_text_was_extracted() -> None:
    times = [100 * MS, 200 * MS]
    recording = Recording(reads=Reads(times, size=[9, 9]), events=Events(times, data=["abc", "abcd"]))
    assert key_of(plots.timeline(recording)) == ["event", "bytes of each, at most 4"]


def test_an_event_without_text_is_a_stub_of_its_own() -> None:
    times = [100 * MS, 200 * MS]
    recording = Recording(reads=Reads(times, size=[9, 9]), events=Events(times, text=["", "abc"]))
    ax = plots.timeline(recording)
    assert (bars(ax, "_empty"), bars(ax, "_pieces")) == (1, 1)
    assert "event without text" in key_of(ax)


def test_events_of_one_read_are_one_outlined_bar_with_their_number() -> None:
    ax = plots.timeline(made(6, per_read=3, gap=200))
    assert (bars(ax, "_shared"), bars(ax, "_inside"), bars(ax, "_pieces")) == (2, 2, 0)
    assert inside(ax).count("×3") == 2
    assert "arrived in one read" in key_of(ax)


def test_what_does_not_occur_is_not_in_the_legend() -> None:
    """… and neither is what has its words beside it: the wait, the end."""
    assert key_of(plots.timeline(made(count=20))) == ["piece", "characters of each, at most 12"]


def test_a_stall_is_shaded_and_its_length_written() -> None:
    ax = plots.timeline(made(20, first=300, stalls={10: 562}))
    (stall,) = labelled(ax, "_stall")
    assert (stall.get_x(), stall.get_width()) == (750, 612)
    assert "stall 612 ms" in inside(ax)
    assert "stall: nothing for over 250 ms" in key_of(ax)


def test_stalls_of_other_causes_than_the_titles_say_theirs_where_there_is_room() -> None:
    lost, paused = made(40, stalls={10: 900, 25: 2000}), "the source paused"
    ax = plots.timeline(lost)
    assert title_of(ax) == f"2 stalls, the longest 2,050 ms after piece 25: {paused}"
    assert "stall 2,050 ms: the source paused" in inside(ax)


def test_what_counts_as_a_stall_can_be_said() -> None:
    assert not labelled(plots.timeline(made(20, gap=100)), "_stall")
    assert len(labelled(plots.timeline(made(20, gap=100), stall_ms=99), "_stall")) == 19


def test_the_silence_before_a_timeout_is_shown() -> None:
    ax = plots.timeline(made(5, outcome="timeout(idle)", tail=2000))
    (stall,) = labelled(ax, "_stall")
    assert (stall.get_x(), stall.get_width()) == (512, 2000)
    assert "stall 2,000 ms" in inside(ax)


def test_the_same_silence_is_marked_in_every_lane_whatever_event_tells_its_end() -> None:
    """An error event comes at the end of a silence, and a mark behind it; neither is what the reader waited for."""
    times = [300 * MS, 350 * MS, 2350 * MS]
    texts = ["abc", "abc", ""]
    told, marked = (
        Recording(
            reads=Reads(times, size=[9] * 3), events=Events(times, text=texts), outcome=outcome, sent_ns=0, ended_ns=end
        )
        for outcome, end in ((Outcome("error_event", "timeout_idle"), 2350 * MS), (Outcome("complete"), 3000 * MS))
    )
    cut = replace(made(2, first=300, outcome="truncated"), ended_ns=2350 * MS)
    ax = plots.timeline({"told": told, "marked": marked, "cut": cut})
    assert inside(ax).count("stall 2,000 ms") == 3
    spans = [(stall.get_x(), stall.get_width()) for stall in labelled(ax, "_stall")]
    assert spans == [(350, 2000)] * 3


def test_silence_before_a_complete_end_is_a_stall_in_the_title() -> None:
    ax = plots.timeline(made(5, tail=2000))
    assert title_of(ax) == "A stall of 2,000 ms after piece 5, before the end"
    assert len(labelled(ax, "_stall")) == 1


@pytest.mark.parametrize(
    "outcome",
    ["truncated", "timeout(idle)", "timeout(first_piece)", "refused(503)", "error_event(overloaded)"],
)
@pytest.mark.parametrize("count", [0, 5])
def test_an_end_that_is_not_complete_is_a_cross_with_its_name(outcome: str, count: int) -> None:
    ax = plots.timeline(made(count, outcome=outcome), empty_axes(layout=None))
    assert outcome in inside(ax)
    assert [len(labelled(ax, name)) for name in ("_cut", "_stopped", "_complete")] == [1, 0, 0]


@pytest.mark.parametrize("outcome", ["cancelled", "cancelled(by us)", "cancelled(max_events)", "timeout(total)"])
@pytest.mark.parametrize("count", [0, 5])
def test_an_end_that_was_our_own_is_a_square_with_its_name_and_no_cut(outcome: str, count: int) -> None:
    ax = plots.timeline(made(count, outcome=outcome), empty_axes(layout=None))
    assert outcome in inside(ax)
    assert [len(labelled(ax, name)) for name in ("_cut", "_stopped", "_complete")] == [0, 1, 0]
    assert "cut" not in " ".join([*inside(ax), ax.get_title("left")]).lower()


def test_a_complete_end_is_a_tick_at_the_end() -> None:
    ax = plots.timeline(made(3, first=100, gap=50, tail=10))
    (tick,) = labelled(ax, "_complete")
    assert list(tick.get_xdata()) == [210, 210]
    assert texts(ax, "_end") == ["complete"]
    assert not labelled(ax, "_cut")


def test_without_a_piece_the_whole_time_was_waiting() -> None:
    ax = plots.timeline(made(0, first=0, tail=5000, outcome="timeout(first_piece)"))
    (wait,) = labelled(ax, "_wait")
    assert wait.get_width() == 5000
    assert "no piece in 5,000 ms" in inside(ax)


def test_a_hundred_thousand_events_are_thinned_to_what_the_width_can_show() -> None:
    """… the largest is among what is left, and the legend says so."""
    pieces = [(i * MS, "xxx") for i in range(1, 100_000)]
    pieces[54_321] = (pieces[54_321][0], "x" * 90)
    ax = plots.timeline(Recording.from_pieces(pieces, ended_ns=100_000 * MS))
    sizes = heights(ax, "_sizes")
    assert 500 < bars(ax, "_pieces") == len(sizes) < 2000
    assert sum(size > 2 * min(sizes) for size in sizes) == 1
    assert "characters of each, at most 90; where crowded, the most" in key_of(ax)


def test_a_code_from_a_provider_cannot_spoil_the_figure() -> None:
    """Long, with dollar signs, line ends and signs that the font lacks."""
    code = "$x$ 你好\n" + "long " * 50
    recording = Recording.from_pieces([(100 * MS, "a")], outcome=Outcome("error_event", code), ended_ns=100 * MS)
    ax = plots.timeline(recording)
    (name,) = [text for text in inside(ax) if text.startswith("error_event($x$ ")]
    assert len(name) <= 32
    assert all(box.x1 <= ax.figure.bbox.x1 for _, box in boxes(ax))


def test_lanes_too_low_for_words_have_none() -> None:
    ax = plots.timeline([made(2)] * 8, empty_axes(8, 2, layout=None))
    assert inside(ax) == []
    assert "complete" in key_of(ax)

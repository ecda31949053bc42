"""Results over time: a line for each recording and number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes

from streamkit.lab import plots
from streamkit.lab.plots import palette
from tests.figures import boxes, empty_axes, inside, key_of, labelled, note_of
from tests.lab.plots.cases import drawn
from tests.lab.results import results_of


def line_of(ax: Axes, label: str) -> Any:
    (line,) = labelled(ax, label)
    return line


def test_each_result_is_a_dot_at_its_time_and_its_number() -> None:
    line = line_of(plots.results(results_of([{"mean": n} for n in (1, 5, 3)])), "_mean")
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([10, 20, 30], [1, 5, 3])
    assert line.get_marker() == "o"


def test_dots_that_would_run_together_are_left_out() -> None:
    assert line_of(drawn("results", "many"), "_mean").get_marker() == "None"


def test_the_axis_bears_the_name_of_the_number_and_the_time_is_that_since_the_request_was_sent() -> None:
    ax = plots.results(results_of([{"p95": 1}]), number="p95")
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("p95", "ms since the request was sent")
    assert plots.results(results_of([{"a": 1, "b": 2}]), number=["a", "b"]).get_ylabel() == ""


def test_several_lines_have_a_key_above_them_and_differ_in_colour_and_in_line() -> None:
    shown = results_of([{"mean": n, "p95": 2 * n} for n in range(20)])
    ax = plots.results({"a": shown, "b": shown}, empty_axes(), number=["mean", "p95"])
    assert key_of(ax) == ["a: mean", "a: p95", "b: mean", "b: p95"]
    lines = [line_of(ax, f"_{name}") for name in key_of(ax)]
    assert [line.get_color() for line in lines] == [palette.recording_stroke(n).colour for n in range(4)]
    assert len({line.get_linestyle() for line in lines}) > 1
    key = [box for text, box in boxes(ax) if text in key_of(ax)]
    assert min(box.y0 for box in key) > ax.transData.transform((0, 38))[1]


def test_the_verdict_on_a_recording_counts_once_however_many_numbers_are_shown() -> None:
    shown = results_of([{"mean": 1, "p95": 2}])
    assert note_of(plots.results(shown, number=["mean", "p95"])) == f"trust: {shown.trust}"


def test_one_line_alone_has_no_key() -> None:
    assert key_of(drawn("results", "one")) == []


def test_of_what_has_no_such_number_it_is_said() -> None:
    assert inside(drawn("results", "none")) == ["no result has such a number"]
    assert key_of(drawn("results", "one of two")) == ["there", "not there: none"]


def test_the_axis_begins_at_zero_where_that_is_not_far_off() -> None:
    ticks = [plots.results(results_of([{"mean": low}, {"mean": 10}])).get_yticks().tolist() for low in (3, 8)]
    assert [begin for begin, *_ in ticks] == [0, 8]


def test_one_number_all_the_time_lies_within_the_figure() -> None:
    ax = plots.results(results_of([{"mean": 7}] * 5))
    low, high = ax.get_ylim()
    assert low < 7 < high


def test_more_than_eight_recordings_are_groups_a_thin_line_for_each_and_a_thick_one_for_their_median() -> None:
    ax = drawn("results", "groups")
    assert key_of(ax)[0] == "a (5)"
    assert len(key_of(ax)) == 2
    thin = labelled(ax, "_one")
    assert [len(lines.get_segments()) for lines in thin] == [5, 5]
    thick = line_of(ax, "_a (5)")
    assert thick.get_color() == palette.recording_stroke(0).colour
    assert min(line[-1][0] for line in thin[0].get_segments()) < max(thick.get_xdata())


def test_of_a_group_it_is_said_how_many_of_it_have_no_such_number_and_a_single_one_is_a_dot() -> None:
    shown = [results_of([{"mean": 1}] * (n % 3)) for n in range(9)]
    ax = plots.results(shown, empty_axes(layout=None))
    assert key_of(ax) == ["all 9, 3 of them without"]
    assert labelled(ax, "_single")[0].get_xdata().tolist() == [10] * 3
    only = plots.results([*shown, *[replace(results_of([{}]), label="none")] * 9], empty_axes(layout=None))
    assert key_of(only) == ["all 18, 12 of them without"]

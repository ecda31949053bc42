"""The distribution of gaps: what it says and where it draws."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.path import Path

from streamkit.lab import plots
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from tests.figures import (
    empty_axes,
    inside,
    labelled,
)
from tests.lab.plots.cases import drawn, made
from tests.ways import MS


def curve_of(ax: Axes, label: str) -> tuple[list[float], list[float]]:
    (line,) = labelled(ax, label)
    assert line.get_drawstyle() == "steps-post"
    return list(line.get_xdata()), list(line.get_ydata())


def test_the_curve_is_the_share_of_gaps_up_to_each_length() -> None:
    recording = Recording.from_pieces([(at * MS, "a") for at in (100, 110, 150, 170, 200)])
    assert curve_of(plots.gaps(recording), "gaps") == ([10, 10, 20, 30, 40], [0, 25, 50, 75, 100])


def test_zero_gaps_within_a_read_are_no_gaps() -> None:
    x, _ = curve_of(plots.gaps(made(30, per_read=5)), "gaps")
    assert set(x) == {250}


@pytest.mark.parametrize(
    ("recordings", "label"),
    [
        (made(), "gap between reads (ms, log scale)"),
        (made(50, per_read=5), "gap between reads (ms, log scale); 80 % of the events shared a read"),
        (
            [made(), made(50, per_read=5)],
            "gap between reads (ms, log scale); up to 80 % of the events shared a read",
        ),
        (
            Recording.from_pieces([(max(i, 1) * MS, "a") for i in range(500)]),
            "gap between reads (ms, log scale); under 1 % of the events shared a read",
        ),
    ],
)
def test_the_axis_names_the_rule_and_how_many_events_shared_a_read(recordings: Any, label: str) -> None:
    ax = plots.gaps(recordings, empty_axes(layout=None))
    assert ax.get_xlabel() == label
    assert ax.get_ylabel() == "gaps at most this long (%)"
    assert ax.get_xscale() == "log"


def test_percentiles_stand_on_the_curve_with_their_values() -> None:
    recording = made(101, gap=50, stalls={50: 562})
    ax = plots.gaps(recording)
    summary = recording.summary()
    assert [labelled(ax, f"_p{q}")[0].get_xdata()[0] for q in (50, 95, 99)] == [
        summary.gap_p50_ms,
        summary.gap_p95_ms,
        summary.gap_p99_ms,
    ]
    assert sorted(inside(ax)) == ["p50  50 ms", "p95  50 ms", "p99  50 ms"]


def test_the_three_percentiles_differ_in_shape() -> None:
    ax = plots.gaps(made())
    assert len({labelled(ax, f"_p{q}")[0].get_marker() for q in (50, 95, 99)}) == 3


def test_several_recordings_have_a_row_each_with_their_values() -> None:
    ax = plots.gaps({"direct": made(), "relay": made(gap=70), "none": made(0, outcome="refused(503)")})
    texts = inside(ax)
    assert {"p50 ms", "p95 ms", "p99 ms", "direct", "relay", "none", "no gap"} <= set(texts)
    assert (texts.count("50"), texts.count("70")) == (3, 3)


def test_names_stand_beside_curves_that_are_well_apart() -> None:
    assert inside(plots.gaps({"a": made(), "b": made(gap=200)})).count("a") == 2
    assert inside(plots.gaps({"a": made(), "b": made(gap=51)})).count("a") == 1


def test_eight_recordings_differ_in_colour_or_line() -> None:
    """The first is the client's green; neighbours differ in both."""
    ax = plots.gaps({f"run {i}": made(gap=50 + i) for i in range(8)})
    curves = [labelled(ax, f"run {i}")[0] for i in range(8)]
    looks = [(curve.get_color(), str(curve._dash_pattern)) for curve in curves]
    assert looks[0][0] == "#009E73"
    assert len(set(looks)) == 8
    assert all(a != b and c != d for (a, c), (b, d) in itertools.pairwise(looks))


def test_more_than_eight_are_groups_a_thin_line_for_each_and_a_thick_one_of_all_their_gaps() -> None:
    """Nothing is left out: the key has the number of each group."""
    ax = plots.gaps([made(5, gap=gap + n, label=label) for n in range(5) for label, gap in (("a", 50), ("b", 90))])
    assert {"a (5)", "b (5)"} <= set(inside(ax))
    assert len(labelled(ax, "_one")) == 10
    assert set(curve_of(ax, "a (5)")[0]) == {50, 51, 52, 53, 54}
    assert len(labelled(drawn("gaps", "twelve"), "_one")) == 12
    assert "all 12" in inside(drawn("gaps", "twelve"))


@pytest.mark.parametrize(
    ("recording", "note"),
    [
        (Recording(), "no gap (no event, complete)"),
        (made(0, outcome="refused(503)"), "no gap (no event, refused(503))"),
        (made(1), "no gap (one event, complete)"),
        (made(4, per_read=4), "no gap (4 events in one read, complete)"),
    ],
)
def test_without_a_gap_a_note_says_why(recording: Recording, note: str) -> None:
    ax = plots.gaps(recording, empty_axes(layout=None))
    assert inside(ax) == [note]
    assert not ax.get_lines()


def test_two_reads_at_one_time_do_not_break_the_log_axis() -> None:
    events = Events([5 * MS] * 2 + [6 * MS], read=[0, 1, 2], text=["a"] * 3)
    ax = plots.gaps(Recording(reads=Reads([5 * MS] * 2 + [6 * MS], size=[1] * 3), events=events))
    assert curve_of(ax, "gaps")[0] == [0.001, 0.001, 1]


@pytest.mark.parametrize("case", ["normal", "stall", "stalls side by side", "bursts", "many", "long", "tiny", "two"])
def test_no_curve_runs_through_a_word(case: str) -> None:
    ax = drawn("gaps", case)
    boxes = [text.get_window_extent() for text in ax.texts]
    curves = [line for line in ax.get_lines() if line.get_drawstyle() == "steps-post"]
    assert curves
    for curve in curves:
        x, y = np.asarray(curve.get_xdata(), float), np.asarray(curve.get_ydata(), float)
        stairs = np.column_stack([np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]])
        path = Path(ax.transData.transform(stairs))
        assert not any(path.intersects_bbox(box, filled=False) for box in boxes)

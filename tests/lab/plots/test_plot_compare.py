"""plots.compare: every run is in a curve, every difference is where the comparison says."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.axes import Axes

from streamkit.lab import plots
from tests.figures import are_apart, empty_axes, key_of, labelled, note_of
from tests.lab.compare.examples import COMPARISONS, runs
from tests.lab.plots.cases import drawn


def panels(ax: Axes) -> tuple[Any, Any]:
    found = {str(inner.get_label()): inner for inner in ax.child_axes}
    return found["_runs"], found["_differences"]


def test_a_curve_rises_to_all_of_a_targets_runs_at_their_values() -> None:
    compared = COMPARISONS["slower"]
    ms, _ = panels(plots.compare(compared, empty_axes()))
    (line,) = labelled(ms, "_b")
    assert sorted(line.get_xdata()[1:]) == sorted(compared.known("b"))
    assert line.get_ydata()[-1] == 100
    assert [mark.get_xdata()[0] for mark in labelled(ms, "_at")] == [compared.middle("a"), compared.middle("b")]


def test_a_bar_is_the_interval_full_where_it_is_real_and_empty_where_it_is_not() -> None:
    for name, full in (("slower", True), ("not shown", False)):
        compared = COMPARISONS[name]
        _, differences = panels(plots.compare(compared, empty_axes()))
        bars = {container.get_label(): container.patches[0] for container in differences.containers}
        bar, unseen = bars["_interval"], bars["_unseen"]
        assert (bar.get_x(), bar.get_x() + bar.get_width()) == pytest.approx((compared.low, compared.high))
        assert (bar.get_facecolor()[:3] != (1, 1, 1)) == full
        assert unseen.get_width() == pytest.approx(2 * compared.least)
        (point,) = labelled(differences, "_difference")
        assert point.get_xdata()[0] == compared.difference


def test_each_of_several_has_a_row_and_its_verdict_in_words() -> None:
    _, differences = panels(plots.compare(COMPARISONS["five"], empty_axes(10, 6)))
    told = [text.get_text() for text in labelled(differences, "_told")]
    assert [text.rpartition(", ")[2].rpartition(": ")[2] for text in told] == [
        "slower",
        "slower",
        "cannot decide",
        "slower",
    ]


def test_the_key_tells_each_targets_middle_and_the_note_how_they_came() -> None:
    ax = drawn("compare", "slower")
    assert key_of(ax) == ["a: 115 ms", "b: 143 ms", "too small to be seen"]
    assert note_of(ax) == "40 rounds, shuffled"
    without = plots.compare({"a": runs("a", rounds=False), "b": runs("b", rounds=False, begun=90_000)})
    assert note_of(without).startswith("up to 40 runs each, not in rounds; the runs of one came before")


def test_runs_that_are_far_apart_stand_on_a_scale_of_ratios() -> None:
    assert panels(drawn("compare", "far apart"))[0].get_xscale() == "log"
    assert panels(drawn("compare", "slower"))[0].get_xscale() == "linear"


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_words_of_the_panels_keep_apart_and_above_the_note(name: str) -> None:
    ax = drawn("compare", name)
    words = []
    for inner in panels(ax):
        low, high = inner.get_xlim()
        ticks = [t for t, at in zip(inner.get_xticklabels(), inner.get_xticks(), strict=True) if low <= at <= high]
        words += [*ticks, *inner.get_yticklabels(), *inner.texts, inner.xaxis.label, inner.yaxis.label]
    shown = [(text.get_text(), text.get_window_extent()) for text in words if text.get_text()]
    (note,) = labelled(ax, "_note")
    are_apart([*shown, (note.get_text(), note.get_window_extent())])
    assert all(box.x1 <= ax.figure.bbox.x1 for _, box in shown)


def test_recordings_are_compared_as_they_are_given() -> None:
    ax = plots.compare({"a": runs("a"), "b": runs("b", gap=30)}, metric="gap_p50")
    assert panels(ax)[0].get_xlabel() == "median gap (ms)"

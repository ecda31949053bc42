"""plots.ecdf: a curve for each group of streams, never one for each stream."""

from __future__ import annotations

import pytest

from streamkit.lab.plots import ecdf
from streamkit.lab.sets import RecordingSet
from tests.figures import key_of, labelled
from tests.lab.sets.streams import load, stream


def test_each_group_s_curve_rises_from_none_to_all_of_its_values() -> None:
    ax = ecdf(load(9), by="prompt")
    (curve,) = labelled(ax, "_prompt=long")
    assert list(curve.get_ydata()) == [0, 25, 50, 75, 100]
    told = RecordingSet(load(9)).by("prompt")["long"].columns()["ttft_due_ms"]
    assert list(curve.get_xdata())[1:] == sorted(told)


def test_the_key_says_how_many_values_there_are_and_their_percentiles() -> None:
    ax = ecdf([stream(ttft=50, leaving=0), stream(ttft=70, leaving=0)])
    assert key_of(ax) == ["all (2): 50 / 70 / 70 ms", "in each: p50 / p95 / p99"]


def test_a_thousand_streams_are_one_curve_with_no_more_steps_than_can_be_seen() -> None:
    ax = ecdf(load(500, pieces=8), metric="gap")
    (curve,) = labelled(ax, "_all")
    assert len(curve.get_xdata()) == 2001
    assert curve.get_ydata()[-1] == 100
    assert ax.get_xlabel() == "gap between reads (ms, log scale)"


def test_more_groups_than_can_be_told_apart_are_refused_before_anything_is_drawn() -> None:
    with pytest.raises(ValueError, match="expected at most 10 groups, got 11: a figure does not tell more apart"):
        ecdf([stream(labels={"n": n}) for n in range(11)], by="n")

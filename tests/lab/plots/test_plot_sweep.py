"""plots.sweep: each trial is there, medians and differences are those of the facts, on one scale."""

from __future__ import annotations

import random

import numpy as np

from streamkit.lab import plots
from streamkit.lab.findings.sweep import sweep_facts
from tests.figures import empty_axes, key_of, labelled, note_of
from tests.lab.plots.cases import drawn
from tests.lab.sweep.examples import SWEEPS, swept


def test_every_trial_is_a_point() -> None:
    ax = drawn("sweep", "sure")
    values = sorted(value for line in labelled(ax, "_trials") for value in line.get_ydata())
    assert values == sorted(SWEEPS["sure"].to_pandas().held_ms)


def test_the_dashed_line_is_the_best_median_and_bars_are_differences_from_it() -> None:
    facts, ax = sweep_facts(SWEEPS["sure"]), drawn("sweep", "sure")
    assert facts.best is not None
    best = facts.settings[facts.best].median
    (line,) = labelled(ax, "_best")
    assert list(line.get_ydata()) == [best, best]
    bars = sorted((bar.get_y(), bar.get_y() + bar.get_height()) for group in ax.containers for bar in group)
    differences = [each.difference for each in facts.settings if each.difference]
    assert np.allclose(bars, sorted((best + one.low, best + one.high) for one in differences if one.low and one.high))
    assert [text for text in key_of(ax) if "differ" in text] == ["surely differs by (95 %)"]


def test_a_bar_is_empty_where_the_setting_may_be_as_good() -> None:
    ax, facts = drawn("sweep", "not sure"), sweep_facts(SWEEPS["not sure"])
    white = [bar for group in ax.containers for bar in group if bar.get_facecolor()[:3] == (1.0, 1.0, 1.0)]
    assert len(white) == len(facts.open) == 10
    assert "may not differ (95 %)" in key_of(ax)


def test_of_few_rounds_there_is_no_bar() -> None:
    assert drawn("sweep", "one round").containers == []


def test_failed_trials_are_crosses_and_the_note_says_why() -> None:
    ax = drawn("sweep", "some failed")
    assert sum(len(line.get_xdata()) for line in labelled(ax, "_failed")) == 2
    assert note_of(ax) == "24 trials in 3 rounds, shuffled; 6 failed: ConnectionError: nobody there"


def test_trials_that_are_not_to_be_quoted_are_counted_in_the_note() -> None:
    def loaded(chance: random.Random, *_: object, rate: int) -> dict[str, object]:
        return {"ttft_ms": chance.random(), "verdict": "do not quote: too slow" if rate > 10 else "may be quoted"}

    ax = plots.sweep(swept(loaded, {"rate": [10, 100]}, 3), empty_axes())
    assert note_of(ax) == "6 trials in 3 rounds, shuffled; 3 not to be quoted"


def test_many_settings_have_ranges_and_medians_alone() -> None:
    ax = plots.sweep(SWEEPS["a large map"], empty_axes(4, 4))
    assert labelled(ax, "_trials") == []
    assert sum(len(line.get_xdata()) for line in labelled(ax, "_median")) == 64
    assert not any("differ" in text for text in key_of(ax))


def test_the_scale_is_one_of_ratios_where_values_differ_much() -> None:
    assert drawn("sweep", "ratios").get_yscale() == "log"
    assert drawn("sweep", "sure").get_yscale() == "linear"
    assert drawn("sweep", "sure").get_ylim()[0] == 0

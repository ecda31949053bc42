"""What a sweep came to: rows, tidy columns, parts of it."""

from __future__ import annotations

import pytest

from streamkit.lab.sweep import Sweep
from tests.lab.sweep.examples import BUFFERS, POLICIES, SWEEPS, held, swept


def test_it_says_what_it_is_of_and_how_much_of_it_there_is() -> None:
    assert repr(SWEEPS["sure"]) == "<Sweep of lab.trial: 24 trials, 4 settings in 6 rounds>"
    assert repr(SWEEPS["some failed"]).endswith("3 rounds, 6 failed: ConnectionError: nobody there>")
    part = SWEEPS["one round"]
    half = Sweep(trial="t", settings=part.settings, repeats=1, seed=0, rows=part.rows[:4])
    assert repr(half) == "<Sweep of t: 4 of 8 trials, 8 settings in 1 round>"


def test_a_row_a_trial_with_a_column_for_each_parameter_and_each_number() -> None:
    frame = SWEEPS["some failed"].to_pandas()
    assert list(frame) == ["buffer", "policy", "repeat", "order", "seed", "held_ms", "error", "when", "duration_s"]
    assert list(frame.order) == list(range(24))
    assert frame.held_ms.isna().sum() == frame.error.notna().sum() == 6
    assert str(frame.when.dtype).startswith("datetime64[")
    assert frame.groupby(["buffer", "policy"]).size().eq(3).all()


def test_of_settings_with_other_names_what_is_missing_is_none() -> None:
    frame = swept(held, [{"buffer": 1}, {"buffer": 2, "policy": "coalesce"}], 1).to_pandas()
    assert set(frame.policy.dropna()) == {"coalesce"}


def test_a_part_of_it_is_a_sweep_with_the_same_rows() -> None:
    part = SWEEPS["sure"].where(policy="pause")
    assert part.settings == ({"buffer": BUFFERS[0], "policy": "pause"}, {"buffer": BUFFERS[1], "policy": "pause"})
    assert part.rows == tuple(row for row in SWEEPS["sure"].rows if row.parameters["policy"] == "pause")
    with pytest.raises(ValueError, match=r"expected values out of the grid \(buffer, policy\), got {'policy': 'x'}"):
        SWEEPS["sure"].where(policy="x")


def test_it_knows_its_parameters_and_its_numbers() -> None:
    assert SWEEPS["sure"].parameters == ("buffer", "policy")
    assert SWEEPS["sure"].metrics == ("held_ms",)
    texts = swept(lambda *_, **__: {"outcome": "complete", "ms": 1.5}, {"policy": POLICIES})
    assert texts.metrics == ("ms",)

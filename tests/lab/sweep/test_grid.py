"""From a grid to settings: every combination once, of values that fit into a table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from streamkit.lab.sweep.grid import settings_of


def test_every_combination_is_a_setting_in_the_order_in_which_it_is_written() -> None:
    assert settings_of({"a": [1, 2], "b": ["x", "y"]}) == (
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    )


def test_several_grids_follow_each_other_and_need_not_have_the_same_names() -> None:
    assert settings_of([{"policy": "pause"}, {"policy": "buffer", "kB": range(1, 3)}]) == (
        {"policy": "pause"},
        {"policy": "buffer", "kB": 1},
        {"policy": "buffer", "kB": 2},
    )


def test_numbers_of_numpy_become_those_of_python() -> None:
    (setting, *_) = settings_of({"a": np.arange(3), "b": np.float64(0.5), "c": np.bool_(True), "d": np.array(7)})
    assert [type(value) for value in setting.values()] == [int, float, bool, int]


@pytest.mark.parametrize("grid", [{}, {"a": []}, [], [{"a": []}]])
def test_a_grid_without_a_setting_is_none(grid: Any) -> None:
    if grid == {}:  # one setting, of nothing: a trial without parameters, tried again and again
        assert settings_of(grid) == ({},)
    else:
        with pytest.raises(ValueError, match="expected a grid with at least one setting"):
            settings_of(grid)


@pytest.mark.parametrize("grid", ["abc", 7, None, [["a", 1]], [7]])
def test_what_is_no_mapping_is_no_grid(grid: Any) -> None:
    with pytest.raises(TypeError, match="mapping of names to values"):
        settings_of(grid)


@pytest.mark.parametrize("value", [math.inf, math.nan, object(), b"bytes", {"x": 1}, np.float64("nan")])
def test_what_does_not_fit_into_a_table_is_no_value(value: Any) -> None:
    with pytest.raises(TypeError, match="give it a name, by which the trial finds it"):
        settings_of({"a": [value]})


def test_a_setting_is_there_once_and_true_is_not_one() -> None:
    assert len(settings_of({"a": [1, True]})) == 2
    with pytest.raises(ValueError, match=r"each setting once, got {'a': 1} twice"):
        settings_of({"a": [1, 2, 1]})


def test_no_parameter_is_called_as_a_column_that_every_row_has() -> None:
    with pytest.raises(ValueError, match="expected another name for a parameter than repeat, order, seed"):
        settings_of({"seed": [1, 2]})
    with pytest.raises(TypeError, match="the name of a parameter as text, got 1"):
        settings_of({1: [1]})  # type: ignore[arg-type]  # the claim

"""Percentiles by nearest rank: always a value that occurred."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab import metrics


@pytest.mark.parametrize(
    ("q", "expected"), [(1, 10), (50, 20), (51, 30), (75, 30), (76, 40), (95, 40), (99, 40), (100, 40)]
)
def test_percentiles_are_nearest_rank(q: int, expected: int) -> None:
    assert metrics.percentile_ns([40, 10, 30, 20], q) == expected


def test_the_99th_of_a_hundred_values_is_the_99th() -> None:
    assert metrics.percentile_ns(range(1, 101), 99) == 99


def test_no_values_have_no_percentile() -> None:
    assert metrics.percentile_ns([], 50) is None
    assert metrics.percentiles_ns([], (50, 99)) == [None, None]


@given(st.lists(st.integers(0, 2**62)), st.lists(st.integers(1, 100)))
def test_several_percentiles_at_once_are_those_one_by_one(values: list[int], qs: list[int]) -> None:
    assert metrics.percentiles_ns(values, qs) == [metrics.percentile_ns(values, q) for q in qs]


@pytest.mark.parametrize("q", [0, -1, 101])
def test_a_percentile_out_of_range_is_a_programmers_error(q: int) -> None:
    with pytest.raises(ValueError, match="above 0 and up to 100"):
        metrics.percentile_ns([1], q)


@given(st.lists(st.integers(0, 2**62), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_occurred_with_enough_values_up_to_it(
    values: list[int], q: int
) -> None:
    found = metrics.percentile_ns(values, q)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= q * len(values)
    assert sum(value < found for value in values) * 100 < q * len(values)


@given(st.lists(st.integers(0, 2**62), min_size=1), st.integers(1, 100))
def test_percentiles_are_those_numpy_calls_inverted_cdf(values: list[int], q: int) -> None:
    expected = np.percentile(np.asarray(values, dtype=np.int64), q, method="inverted_cdf")
    found = metrics.percentile_ns(values, q)
    # numpy's ranks are floating point, and may be one too high where q * n is a whole number of hundreds
    assert found == expected or q * len(values) % 100 == 0


@pytest.mark.parametrize(("q", "n"), [(28, 25), (55, 100), (7, 100)])
def test_ranks_are_whole_numbers_also_where_numpys_are_one_too_high(q: int, n: int) -> None:
    assert metrics.percentile_ns(range(1, n + 1), q) == q * n // 100

"""Running statistics beside numpy's, however the values come together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.processors.statistics import Statistics

FLOATS = st.floats(-1e6, 1e6)
PARTS = st.lists(st.lists(FLOATS, max_size=20), min_size=1, max_size=8)


def close(got: float, expected: float) -> bool:
    return got == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(PARTS)
def test_added_in_parts_they_are_those_of_all_values(parts: list[list[float]]) -> None:
    whole = Statistics()
    for part in parts:
        whole.add(part)
    values = np.array([value for part in parts for value in part])
    assert whole.count == values.size
    if values.size:
        assert (whole.min, whole.max) == (values.min(), values.max())
        assert close(whole.mean, values.mean())
    if values.size > 1:
        assert whole.variance == pytest.approx(values.var(ddof=1), rel=1e-6, abs=1e-3)


def test_a_small_spread_around_a_large_mean_keeps_its_digits() -> None:
    statistics = Statistics()
    for _ in range(1000):
        statistics.add([1e9 + 1, 1e9 + 2, 1e9 + 3])
    assert statistics.variance == pytest.approx(2 / 3 * 3000 / 2999, rel=1e-9)


@pytest.mark.parametrize("centroids", [500, 1_000])
def test_quantiles_are_within_a_thousandth_of_the_rank_and_what_lies_below_too(centroids: int) -> None:
    values = np.random.default_rng(7).lognormal(size=60_000)
    statistics = Statistics(centroids)
    for part in np.split(values, 30):
        statistics.add(part)
    ordered = np.sort(values)
    for rank in (0.01, 0.5, 0.95, 0.99, 0.999):
        found = np.searchsorted(ordered, statistics.quantiles([rank])[0]) / values.size
        assert abs(found - rank) < 0.001
        assert abs(statistics.below(np.quantile(values, [[rank]]))[0, 0] - rank) < 0.001
    assert statistics.quantiles([0.0, 1.0]) == [ordered[0], ordered[-1]]


def test_of_nothing_and_of_one_value_what_makes_no_sense_is_nan() -> None:
    statistics = Statistics()
    statistics.add([])
    assert all(map(math.isnan, [statistics.mean, statistics.min, statistics.variance, *statistics.quantiles([0.5])]))
    statistics.add([3.0])
    assert math.isnan(statistics.variance)
    assert statistics.quantiles([0.5]) == [3.0]
    assert repr(statistics) == "<Statistics: 1 values, mean 3>"

"""Arrivals: exact times, the same for the same seed, bounded, and refused in words."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.load.arrivals import (
    MAX_STREAMS,
    Arrivals,
    At,
    AtOnce,
    Bursts,
    Closed,
    Constant,
    Gamma,
    Poisson,
    Ramp,
    arrivals_of,
)

SPREADS: list[tuple[Arrivals, float | None]] = [
    (Constant(), 7.0),
    (Poisson(), 7.0),
    (Gamma(0.3), 7.0),
    (Ramp(1, 20), None),
    (Ramp(20, 0), None),
    (Bursts(5, 0.5), None),
    (At([0, 0.1, 0.1, 2.5]), None),
]


def gaps(times_s: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times_s)]


def test_constant_ones_are_all_as_far_apart() -> None:
    assert Constant().due_s(rate=4, duration_s=1.1) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_duration_is_over_when_it_is_over() -> None:
    assert Constant().due_s(rate=4, duration_s=1) == [0.0, 0.25, 0.5, 0.75]


def test_poisson_gaps_are_one_over_the_rate_in_the_mean_and_deviate_by_as_much() -> None:
    found = gaps(Poisson().due_s(rate=20, streams=4000, seed=3))
    assert statistics.mean(found) == pytest.approx(1 / 20, rel=0.05)
    assert statistics.stdev(found) == pytest.approx(1 / 20, rel=0.08)


@pytest.mark.parametrize("burstiness", [0.25, 4.0])
def test_burstiness_is_the_shape_of_the_gaps(burstiness: float) -> None:
    found = gaps(Gamma(burstiness).due_s(rate=20, streams=4000, seed=3))
    assert statistics.mean(found) == pytest.approx(1 / 20, rel=0.1)
    assert statistics.stdev(found) == pytest.approx(1 / 20 / math.sqrt(burstiness), rel=0.1)


def test_a_burstiness_of_one_is_poisson() -> None:
    assert Gamma(1).due_s(rate=20, streams=50, seed=8) == Poisson().due_s(rate=20, streams=50, seed=8)


def test_a_ramp_brings_as_many_as_its_rates_sum_up_to() -> None:
    found = Ramp(0, 10).due_s(duration_s=10)  # 5 a second in the mean
    assert len(found) == 50
    assert len([time_s for time_s in found if time_s < 5]) == 13  # 12.5: a quarter of them in its first half


def test_a_ramp_without_a_duration_lasts_as_long_as_its_streams_take() -> None:
    assert Ramp(10, 30).due_s(streams=40)[-1] == pytest.approx(2, abs=0.05)


def test_a_flat_ramp_is_constant() -> None:
    assert Ramp(4, 4).due_s(duration_s=2) == Constant().due_s(rate=4, duration_s=2)


def test_bursts_come_at_once_and_again() -> None:
    assert Bursts(2, 5).due_s(duration_s=10.5) == [0.0, 0.0, 5.0, 5.0, 10.0, 10.0]


def test_a_list_is_put_in_order() -> None:
    assert At([3, 0.5, 0]).due_s() == [0.0, 0.5, 3.0]


def test_all_at_once_are_due_at_the_beginning() -> None:
    assert AtOnce().due_s(streams=3) == [0.0, 0.0, 0.0]


@given(
    spread_rate=st.sampled_from(SPREADS),
    seed=st.integers(0, 1 << 40),
    duration_s=st.floats(0.01, 6),
    streams=st.integers(1, 60),
)
def test_times_ascend_within_their_bounds_and_are_the_same_again(
    spread_rate: tuple[Arrivals, float | None], seed: int, duration_s: float, streams: int
) -> None:
    spread, rate = spread_rate
    found = spread.due_s(rate=rate, duration_s=duration_s, streams=streams, seed=seed)
    assert found == sorted(found)
    assert len(found) <= streams
    assert all(0 <= time_s < duration_s for time_s in found)
    assert found == spread.due_s(rate=rate, duration_s=duration_s, streams=streams, seed=seed)


@pytest.mark.parametrize(("spread", "rate"), SPREADS[:3], ids=lambda each: str(each))
def test_a_longer_load_begins_as_a_shorter_one(spread: Arrivals, rate: float | None) -> None:
    longer = spread.due_s(rate=rate, streams=2000, seed=5)
    assert longer[:300] == spread.due_s(rate=rate, streams=300, seed=5)


@pytest.mark.parametrize("spread", [*(spread for spread, _ in SPREADS), AtOnce(), Closed(3, 0.5), Closed(3, (0.5, 2))])
def test_its_word_makes_the_same_of_it_again(spread: Arrivals | Closed) -> None:
    assert arrivals_of(str(spread)) == spread


def test_times_are_arrivals_too() -> None:
    assert arrivals_of([1, 0]) == At([0, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: arrivals_of("poison"), "expected arrivals as one of constant, poisson, .*, got 'poison'"),
        (lambda: arrivals_of("ramp(1)"), r"expected arrivals as one of .*ramp\(FROM, TO\).*, got 'ramp\(1\)'"),
        (lambda: arrivals_of("burst(1.5, 2)"), "expected streams as an integer >= 1, got 1.5"),
        (lambda: arrivals_of("gamma(0)"), r"expected burstiness as a number > 0, got 0.0; Constant\(\) has gaps"),
        (lambda: Poisson().due_s(streams=3), r"expected rate= \(requests a second\) with arrivals 'poisson', got none"),
        (lambda: Bursts(1, 1).due_s(streams=3, rate=2), "expected no rate= with arrivals"),
        (lambda: Constant().due_s(rate=1), "expected streams= .* or duration_s= .*, got neither: a load has an end"),
        (lambda: Constant().due_s(rate=1e6, duration_s=60), f"expected a load of at most {MAX_STREAMS:,} streams"),
        (lambda: AtOnce().due_s(duration_s=60), "expected streams= with arrivals 'at once'"),
        (lambda: Ramp(0, 0), "expected a ramp from or to a rate above 0"),
        (lambda: At([]), "expected the times of At as seconds"),
        (lambda: Closed(0), "expected users as an integer >= 1, got 0"),
        (lambda: Closed(1, (2, 1)), r"expected think_s as a pair \(from, to\) with from <= to"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()

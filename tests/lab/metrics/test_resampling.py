"""What chance alone does to a difference: the test, the interval, the least difference, on lists of numbers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.lab.metrics.resampling import (
    At,
    Groups,
    Pairs,
    Rounds,
    bootstrap,
    design_of,
    enough_for,
    expanded,
    holm,
    interval,
    least_difference,
    located,
    null,
    p_value,
    student,
    weights,
)

NUMBERS = st.lists(st.floats(1, 1000), min_size=6, max_size=12)
PAIRS = st.lists(st.tuples(st.floats(1, 1000), st.floats(1, 1000)), min_size=6, max_size=12)
DESIGNS: list[tuple[At, bool]] = [(50, True), (50, False), ("mean", True), ("mean", False), (80, True), (80, False)]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def judged(a: Any, b: Any, at: At = 50, *, rounds: bool = True) -> tuple[float, float, float, float]:
    """Estimate, p, and the interval."""
    design = design_of(a, b, at, rounds=rounds)
    return design.estimate, p_value(design, null(design, rng())), *interval(design, bootstrap(design, rng()))


# --- The estimate ---------------------------------------------------------------------------------------------------


def test_which_design_it_is_follows_from_what_is_asked() -> None:
    assert isinstance(design_of([1], [2], 50, rounds=True), Pairs)
    assert isinstance(design_of([1], [2], "mean", rounds=True), Pairs)
    assert isinstance(design_of([1], [2], 95, rounds=True), Rounds)
    assert isinstance(design_of([1], [2], 50, rounds=False), Groups)


@pytest.mark.parametrize(("at", "rounds"), DESIGNS)
@given(pairs=PAIRS, shift=st.floats(-100, 100))
def test_what_is_added_to_one_is_added_to_the_difference_and_who_is_first_is_only_a_sign(
    at: At, rounds: bool, pairs: list[tuple[float, float]], shift: float
) -> None:
    a, b = map(np.array, zip(*pairs, strict=True))
    estimate = design_of(a, b, at, rounds=rounds).estimate
    assert design_of(a, b + shift, at, rounds=rounds).estimate == pytest.approx(estimate + shift, abs=1e-6)
    assert design_of(b, a, at, rounds=rounds).estimate == pytest.approx(-estimate, abs=1e-6)


def test_what_a_round_did_to_both_cancels() -> None:
    """Rounds of which each is 100 ms slower: within each b is 3 ms later, and that is all that is seen."""
    a = np.arange(8) * 100.0
    assert judged(a, a + 3)[0] == pytest.approx(3)
    assert judged(a, a + 3)[1] == pytest.approx(2 / 2**8)
    assert judged(a, a + 3, rounds=False)[1] > 0.5


@given(NUMBERS, st.integers(1, 99))
def test_a_quantile_lies_between_the_numbers_and_does_not_know_their_order(values: list[float], at: int) -> None:
    found = float(located(np.array(values), at))
    assert min(values) - 1e-9 <= found <= max(values) + 1e-9
    assert float(located(np.array(values[::-1]), at)) == pytest.approx(found)


@pytest.mark.parametrize(("n", "at"), [(6, 50), (40, 50), (40, 90), (200, 95), (7, 20)])
def test_the_weights_are_those_of_the_beta_distribution(n: int, at: int) -> None:
    """Each is the chance that a number drawn from it lies in that part; by drawing many."""
    q = at / 100
    drawn = rng().beta((n + 1) * q, (n + 1) * (1 - q), size=400_000)
    seen, _ = np.histogram(drawn, bins=n, range=(0, 1))
    assert weights(n, at) == pytest.approx(seen / drawn.size, abs=4e-3)
    assert weights(n, at).sum() == pytest.approx(1)


def test_of_many_numbers_it_is_the_quantile() -> None:
    values = rng().exponential(size=20_000)
    for at in (50, 95):
        assert float(located(values, at)) == pytest.approx(-math.log(1 - at / 100), rel=0.03)


# --- The test -------------------------------------------------------------------------------------------------------


def test_p_of_few_rounds_is_counted_by_hand() -> None:
    differences = np.array([3.0, 1.0, 4.0, 1.5, 5.0, -2.0, 6.0])
    seen = abs(differences.mean())
    ways = [abs(np.mean(differences * np.array(coins))) for coins in itertools.product((1, -1), repeat=7)]
    design = Pairs(differences=differences, at="mean")
    assert p_value(design, null(design, rng())) == sum(way >= seen - 1e-9 for way in ways) / 2**7


def test_six_rounds_that_agree_are_the_first_that_can_be_sure() -> None:
    assert judged(np.zeros(5), np.arange(1.0, 6))[1] == pytest.approx(2 / 2**5)
    assert judged(np.zeros(6), np.arange(1.0, 7))[1] == pytest.approx(2 / 2**6)


def test_p_is_never_zero() -> None:
    p = judged(rng().normal(size=40), rng(1).normal(1000, size=40))[1]
    assert p == 1 / 10_000


def test_where_all_are_alike_there_is_no_difference() -> None:
    assert judged([7.0] * 20, [7.0] * 20) == (0, 1, 0, 0)
    assert judged([7.0] * 20, [7.0] * 20, rounds=False) == (0, 1, 0, 0)


@pytest.mark.parametrize(("at", "rounds"), DESIGNS)
def test_of_numbers_without_a_difference_few_are_taken_for_one(at: At, rounds: bool) -> None:
    """200 comparisons, of which 5 % are ten: more than 21 would be a chance of one in 2,000. Campaigns do thousands."""
    drawn, wrong = rng(7), 0
    for _ in range(200):
        design = design_of(drawn.gamma(2, 20, 24), drawn.gamma(2, 20, 24), at, rounds=rounds)
        wrong += p_value(design, design.swapped(drawn, 399)) <= 0.05
    assert wrong <= 21


def test_a_difference_that_is_there_is_seen() -> None:
    a = rng().gamma(2, 8, 40)
    estimate, p, low, high = judged(a, rng(1).gamma(2, 8, 40) + 31, rounds=False)
    assert p < 0.001
    assert low < 31 < high
    assert low < estimate < high


def test_the_same_seed_gives_the_same_answer() -> None:
    a, b = rng(1).normal(size=30), rng(2).normal(size=30)
    assert judged(a, b, 80) == judged(a, b, 80)


# --- The interval ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("degrees", "expected"), [(1, 12.706), (2, 4.303), (5, 2.571), (9, 2.262), (19, 2.093), (120, 1.980)]
)
def test_students_quantiles_are_those_of_the_tables(degrees: int, expected: float) -> None:
    assert student(0.975, degrees) == pytest.approx(expected, abs=2e-3)


def test_of_fewer_numbers_the_interval_reaches_further_out() -> None:
    assert expanded(0.025, 6) < expanded(0.025, 40) < 0.025
    assert expanded(0.025, 100_000) == pytest.approx(0.025, abs=1e-4)


def test_a_surer_interval_is_wider() -> None:
    design = design_of(rng(1).normal(size=30), rng(2).normal(size=30), 50, rounds=True)
    drawn = bootstrap(design, rng())
    (low, high), (lower, higher) = interval(design, drawn), interval(design, drawn, 0.99)
    assert lower < low < high < higher


def test_the_difference_lies_in_it_nineteen_times_of_twenty() -> None:
    """200 intervals: below 181 that hold would be a chance of one in 200 or so; thousands are in campaigns.compare."""
    drawn, held = rng(3), 0
    for _ in range(200):
        design = design_of(drawn.gamma(2, 20, 20), drawn.gamma(2, 20, 20) + 5, 50, rounds=True)
        low, high = interval(design, design.drawn_again(drawn, 499))
        held += low <= 5 <= high
    assert held >= 181


# --- What could have been seen --------------------------------------------------------------------------------------


def test_four_times_the_runs_see_half_the_difference() -> None:
    def least(n: int) -> float:
        design = design_of(rng(1).gamma(2, 8, n), rng(2).gamma(2, 8, n), 50, rounds=True)
        low, high = interval(design, bootstrap(design, rng()))
        return least_difference(design, rng(), high - low)

    assert least(40) / least(160) == pytest.approx(2, rel=0.35)


def test_the_least_difference_does_not_grow_with_the_difference_that_is_there() -> None:
    def least(shift: float) -> float:
        design = design_of(rng(1).gamma(2, 8, 30), rng(2).gamma(2, 8, 30) + shift, 50, rounds=True)
        return least_difference(design, rng(), 10.0)

    assert least(0) == pytest.approx(least(500))


def test_a_tail_takes_more_runs_than_the_middle() -> None:
    assert [enough_for(at) for at in (50, "mean", 75, 90, 95, 99, 5)] == [6, 6, 32, 80, 160, 800, 160]


# --- Several --------------------------------------------------------------------------------------------------------


def test_holm_divides_by_those_that_are_left() -> None:
    assert holm([0.01, 0.04, 0.03]) == [(0.03, 3), (0.06, 1), (0.06, 2)]
    assert holm([0.5, 0.9]) == [(1.0, 2), (1.0, 1)]
    assert holm([0.01, 0.02], of=6) == [(0.06, 6), (0.12, 6)]


def test_what_could_not_be_compared_takes_no_part_in_it() -> None:
    (first, times), (second, _) = holm([math.nan, 0.02])
    assert (math.isnan(first), times) == (True, 2)
    assert second == 0.04


# --- What makes no sense --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b", "rounds"), [([], [1.0], False), ([1.0], [], True), ([1.0, 2.0], [1.0], True)])
def test_there_have_to_be_numbers_and_of_rounds_as_many_of_each(a: Any, b: Any, rounds: bool) -> None:
    with pytest.raises(ValueError, match="expected numbers of both"):
        design_of(a, b, 50, rounds=rounds)


@settings(max_examples=30)
@given(st.integers(1, 500), st.integers(1, 400))
def test_groups_need_not_be_equally_many(n: int, m: int) -> None:
    design = design_of(rng(1).normal(size=n), rng(2).normal(size=m), 50, rounds=False)
    assert design.size == min(n, m)
    assert len(design.swapped(rng(), 7)) == len(design.drawn_again(rng(), 7)) == 7

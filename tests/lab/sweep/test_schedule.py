"""Rounds: each tries every setting once, in an order of its own, which the seed alone decides."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.sweep.schedule import planned, seed_of


@given(st.integers(1, 20), st.integers(1, 8), st.integers())
def test_each_round_has_every_setting_once_and_one_seed(settings: int, repeats: int, seed: int) -> None:
    trials = list(planned(settings, repeats, seed))
    assert [trial.order for trial in trials] == list(range(settings * repeats))
    for repeat, of_round in groupby(trials, key=lambda trial: trial.repeat):
        found = list(of_round)
        assert sorted(trial.setting for trial in found) == list(range(settings))
        assert {trial.seed for trial in found} == {seed_of(seed, repeat)}


def test_rounds_differ_in_their_order_and_their_seeds() -> None:
    trials = list(planned(8, 10, 0))
    orders = {tuple(trial.setting for trial in trials if trial.repeat == repeat) for repeat in range(10)}
    assert len(orders) == 10
    assert len({trial.seed for trial in trials}) == 10


def test_more_rounds_leave_the_earlier_ones_as_they_were() -> None:
    assert list(planned(5, 7, 3))[:20] == list(planned(5, 4, 3))


def test_another_seed_is_another_order() -> None:
    assert [trial.setting for trial in planned(8, 2, 0)] != [trial.setting for trial in planned(8, 2, 1)]


def test_every_setting_is_early_as_often_as_late_in_the_long_run() -> None:
    """… so that what grows or fades along a round is nobody's."""
    places = [trial.order % 4 for trial in planned(4, 400, 0) if trial.setting == 0]
    assert all(60 < places.count(place) < 140 for place in range(4))


def test_the_seeds_are_the_same_on_every_machine() -> None:
    assert [seed_of(0, repeat) for repeat in range(2)] == [2737361512, 1128395210]

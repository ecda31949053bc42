"""Schedule: all of a load that is known before its first stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streamkit.lab.load.arrivals import AtOnce, Poisson
from streamkit.lab.load.mix import Mix
from streamkit.lab.load.schedule import Schedule


def schedule(arrivals: Any = None, **given: Any) -> Schedule:
    return Schedule.of(arrivals, Mix(), **given)


def test_with_a_rate_they_come_as_people_come_and_without_one_at_once() -> None:
    assert schedule(streams=3, rate=2).arrivals == Poisson()
    assert schedule(streams=3).arrivals == AtOnce()


def test_each_is_due_by_the_clock_on_which_the_load_began() -> None:
    visits = list(schedule("constant", streams=3, rate=4).visits(begun_ns=1_000_000_000))
    assert [(visit.n, visit.due_ns) for visit in visits] == [(0, 1_000_000_000), (1, 1_250_000_000), (2, 1_500_000_000)]


def test_several_clients_have_one_load_between_them() -> None:
    whole = schedule("gamma(0.5)", streams=10, rate=4)
    shares = [replace(whole, share=(k, 3)) for k in range(3)]
    visits = [visit for share in shares for visit in share.visits(7)]
    assert sorted(visits, key=lambda visit: visit.n) == list(whole.visits(7))
    assert [share.total for share in shares] == [4, 3, 3]


def test_how_many_are_open_at_once_for_certain() -> None:
    assert schedule("burst(7, 1)", streams=20).at_once == 7
    assert schedule("constant", streams=20, rate=5).at_once == 1
    assert schedule("closed(9)", streams=20).at_once == 9
    assert schedule("closed(9)", streams=5).at_once == 5


def test_a_closed_loop_has_numbers_and_nothing_is_due() -> None:
    closed = schedule("closed(2)", streams=3)
    assert (closed.due_s, list(closed.numbers()), closed.until_ns(5)) == ([], [0, 1, 2], None)
    assert schedule("closed(2)", duration_s=2).until_ns(5) == 2_000_000_005


def test_the_set_of_a_closed_loop_says_that_it_hides_waiting() -> None:
    assert "coordinated omission" in schedule("closed(2)", streams=3).as_meta()["notes"][0]
    assert schedule(streams=3).as_meta()["notes"] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"expected rate= .*, arrivals= or streams= \(all of them at once\), got none"),
        ({"rate": 3}, "expected streams= .* or duration_s="),
        ({"arrivals": "closed(2)"}, "expected streams= .* or duration_s="),
        ({"arrivals": "closed(2)", "streams": 3, "rate": 2}, "expected no rate= in a closed loop"),
        ({"streams": 0}, "expected streams as an integer >= 1"),
        ({"arrivals": 3, "streams": 1}, "expected arrivals as a word such as 'poisson'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(given: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        schedule(**given)

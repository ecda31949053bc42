"""Which setting is best, and is that sure? By differences within rounds, and by nothing but their order."""

from __future__ import annotations

import random
from typing import Any

import pytest

from streamkit.lab.findings.sweep import median_interval, quantity, sweep_facts, sweep_finding
from tests.lab.sweep.examples import BUFFERS, POLICIES, SWEEPS, alike, held, swept

SURELY = (
    "held_ms is lowest with buffer=16,384, policy=coalesce (410 ms), surely: the next, buffer=16,384, policy=pause, "
    "is 122 ms more (114 to 128 ms)"
)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("sure", SURELY),
        ("five trials", "held_ms is 828 ms with buffer=4,096, policy=pause (5 trials)"),
        ("all failed", "No trial gave a number: ConnectionError: nobody there"),
        ("all the same", "held_ms is 7.0 ms with each of 4 settings"),
    ],
)
def test_the_sentence_says_how_sure_it_is(case: str, said: str) -> None:
    assert sweep_finding(SWEEPS[case]) == said


def test_what_is_not_shown_is_not_said() -> None:
    said = sweep_finding(SWEEPS["not sure"])
    assert "but 8 pairs do not tell it from" in said
    assert said.endswith("and 9 others")
    assert "Of 3 pairs nothing is sure: 6 that agree would be" in sweep_finding(SWEEPS["some failed"])
    assert "Of 1 pair nothing is sure" in sweep_finding(SWEEPS["one round"])


def test_the_interval_lies_between_differences_and_needs_six_of_them() -> None:
    """Its ends are those of the sign test: Conover's table for n = 6, 9, 12, 20."""
    assert median_interval([]) is None
    assert median_interval(range(5)) is None
    assert [median_interval(range(n)) for n in (6, 8, 9, 12, 20)] == [(0, 5), (0, 7), (1, 7), (2, 9), (5, 14)]


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    """… whatever the distribution: here one of which no mean is known."""
    seeded, inside = random.Random(3), 0
    for _ in range(500):
        low, high = median_interval([seeded.gauss(0, 1) / seeded.gauss(0, 1) for _ in range(12)]) or (1, 0)
        inside += low <= 0 <= high
    assert 475 <= inside <= 498


def test_settings_that_are_alike_are_seldom_told_apart() -> None:
    wrong = sum(
        not sweep_facts(swept(lambda chance, *_, n=n, **__: chance.random() + n * 0, {"a": [n, n + 1]}, 10)).open
        for n in range(100)
    )
    assert wrong <= 10


def test_what_an_hour_does_to_all_of_a_round_cancels() -> None:
    """Ten times the difference, and it is found all the same."""

    def trial(chance: random.Random, hour: float, a: int) -> float:
        return 100 * hour + 10 * a + 3 * chance.random()

    facts = sweep_facts(swept(trial, {"a": [0, 1]}, 8))
    spread = max(facts.settings[0].values) - min(facts.settings[0].values)
    assert spread > 40
    assert (facts.best, facts.open) == (0, ())
    difference = facts.settings[1].difference
    assert difference is not None
    assert 7 < difference.median < 13


def test_what_is_not_compared_is_paired_with_its_like() -> None:
    """The policy makes 120 ms; pooled over it, buffers are compared within each policy."""
    facts = sweep_facts(SWEEPS["sure"], x="buffer")
    assert (facts.by, facts.pooled) == (None, ("policy",))
    difference = facts.settings[0].difference
    assert difference is not None
    assert difference.pairs == 12
    assert difference.low is not None
    assert difference.low > 250


def test_higher_values_can_be_the_better_ones() -> None:
    facts = sweep_facts(SWEEPS["sure"], better="higher")
    assert facts.best is not None
    assert facts.settings[facts.best].name == "buffer=4,096, policy=pause"
    assert "is highest with" in sweep_finding(SWEEPS["sure"], better="higher")
    assert " less (" in sweep_finding(SWEEPS["sure"], better="higher")


def test_failed_trials_are_counted_and_compared_with_nobody() -> None:
    facts = sweep_facts(SWEEPS["some failed"])
    assert (facts.failed, facts.reasons) == (6, ("ConnectionError: nobody there",))
    assert [each.failed for each in facts.settings] == [0] * 6 + [3] * 2
    assert facts.settings[-1].difference is None


def test_settings_stand_in_order_numbers_by_size() -> None:
    facts = sweep_facts(swept(alike, {"a": [10, 2], "b": ["z", "a"]}, 1))
    assert [each.name for each in facts.settings] == ["a=2, b=z", "a=2, b=a", "a=10, b=z", "a=10, b=a"]


def test_settings_without_a_round_in_common_cannot_be_compared() -> None:
    both = SWEEPS["one round"]
    rows = tuple(row for row in SWEEPS["sure"].rows if (row.parameters["buffer"] == BUFFERS[0]) == (row.repeat < 3))
    apart = type(both)(trial="t", settings=SWEEPS["sure"].settings, repeats=6, seed=0, rows=rows)
    assert sweep_finding(apart, x="buffer").endswith("but no two trials can be compared: each is alone in its round")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"x": "pace"}, r"expected x as a parameter of the grid \(buffer, policy\), got 'pace'"),
        ({"by": "pace"}, "expected by as a parameter"),
        ({"x": "buffer", "by": "buffer"}, "expected x and by as two parameters"),
        ({"y": "ttft_ms"}, r"expected a number that the trials returned \(held_ms\), got 'ttft_ms'"),
        ({"better": "more"}, "expected better as 'lower' or 'higher'"),
    ],
)
def test_a_name_that_is_not_there_is_refused(options: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        sweep_facts(SWEEPS["sure"], **options)


def test_what_is_no_sweep_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected what sk.sweep\(\) returned, got \[\]"):
        sweep_facts([])  # type: ignore[arg-type]  # the claim


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("held_ms", 12.34, "12 ms"),
        ("at_ns", 5e6, "5.0 ms"),
        ("took_s", 2.5, "2.5 s"),
        ("peak_bytes", 3_800, "3.8 kB"),
        ("peak_bytes", -700, "-700 B"),
        ("coalesced_share", 0.125, "12.5%"),
        ("events_per_s", 1234.5, "1,234"),
        ("events", 7, "7"),
    ],
)
def test_a_number_is_said_by_the_unit_in_its_name(name: str, value: float, said: str) -> None:
    assert quantity(name, value) == said


def test_policies_are_named_as_they_are() -> None:
    assert {each.setting[1][1] for each in sweep_facts(SWEEPS["sure"]).settings} == set(POLICIES)
    assert held(random.Random(0), 0, 0) > 800

"""The campaign of comparisons: it counts what it says it counts, and would see a comparison that is wrong."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from campaigns import compare as campaign
from campaigns.compare import (
    DISTRIBUTIONS,
    DRIFT,
    SETTINGS,
    Setting,
    Tally,
    known_difference,
    main,
    on_sockets,
    several,
    simulated,
)

FEW = Setting(10, rounds=True, at=50)


def test_every_setting_and_every_distribution_goes_through_what_a_comparison_goes_through() -> None:
    for setting in SETTINGS:
        for name in [*DISTRIBUTIONS, *([DRIFT] if setting.rounds else [])]:
            tally = simulated(setting, name, 1, seed=0)
            assert tally.times == 1
            assert tally.tried == (name not in campaign.DISCRETE)


def test_the_same_seed_gives_the_same_tally() -> None:
    assert simulated(FEW, "normal", 8, seed=3) == simulated(FEW, "normal", 8, seed=3)


def test_shares_are_of_what_was_done() -> None:
    tally = Tally(4, 1, 3, 2, 1) + Tally(4, 1, 4, 0, 0)
    assert (tally.wrong_share, tally.covered_share, tally.seen_share) == (0.25, 0.875, 0.5)
    assert Tally().wrong_share == 0


def test_two_that_are_not_alike_would_be_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a pair of which the second is always larger, which is no A/A any more, the campaign says that it is broken."""

    def apart(_name: str, setting: Setting, rng: np.random.Generator) -> tuple[campaign.Floats, campaign.Floats]:
        a = rng.normal(100, 1, setting.runs)
        return a, a + 50

    monkeypatch.setattr(campaign, "_drawn", apart)
    monkeypatch.setattr(campaign, "SETTINGS", (FEW,))
    assert main(["--times", "5", "--on-sockets", "0"]) == 1
    told = capsys.readouterr().out
    assert "BROKEN: p50, 10 rounds, normal: 100.0% of 5 A/A called different" in told
    assert "BROKEN: p50, 10 rounds: an interval of 95 % holds 0.0%" in told


def test_of_several_that_are_alike_few_are_called_different() -> None:
    assert several(10, 1, best=False) <= 0.3
    assert several(10, 1, best=True) <= 0.3


def test_on_sockets_each_number_is_compared() -> None:
    assert set(asyncio.run(on_sockets(1, 6))) == {"ttft", "gap_p50", "gap_p99", "duration"}


def test_a_known_difference_is_seen() -> None:
    """Whether it lies in one interval of 95 %, no single one has to say."""
    seen, held = asyncio.run(known_difference(1, 8, ms=400.0))
    assert (seen, held) in [(1, 0), (1, 1)]

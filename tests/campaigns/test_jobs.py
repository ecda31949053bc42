"""A few of the jobs of the large campaign (`python -m campaigns.jobs`), and what it would find."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from campaigns import jobs as campaign
from streamkit.extractor.pieces import Piece
from streamkit.jobs.messages import Message
from streamkit.relay.sources import job as source

FEW = campaign.Sizes(jobs=24, left=10, at_once=6, warm_up=2, reports=20_000)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy; and what must not happen is not waited for for long."""
    monkeypatch.setattr(campaign, "GONE_S", 10.0)
    monkeypatch.setattr(campaign, "STAYS_AWAY_S", 0.1)
    monkeypatch.setattr(campaign, "AT_REST_S", 0.1)


def found(sizes: campaign.Sizes, *cases: campaign.Case) -> campaign.Found:
    return asyncio.run(campaign.run(sizes, cases or None))


def test_those_that_are_left_stop_and_nothing_of_the_others_is_lost() -> None:
    """Memory is judged by the full one: here it only has to be measured."""
    came = found(FEW)
    assert came.wrong == []
    assert came.whole == FEW.jobs - FEW.left
    assert came.left.total() == FEW.left
    assert {"queued", "working"} <= set(came.left)
    assert came.pool.endswith("2 at once")
    assert came.noisy is not None
    assert came.noisy.lost == 0


def test_each_case_is_the_same_for_the_same_seed() -> None:
    assert campaign.case_of(3, 1, left=True) == campaign.case_of(3, 1, left=True) != campaign.case_of(3, 2, left=True)


@pytest.mark.parametrize(("wrong", "status"), [([], 0), (["one"], 1)])
def test_a_broken_claim_is_printed_and_ends_with_status_1(
    wrong: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(sizes: campaign.Sizes) -> campaign.Found:
        assert sizes == replace(campaign.QUICK, jobs=5, left=2)
        return campaign.Found(5, 3, wrong=wrong, pool="as it was", noisy=campaign.Noisy(1.0, 0, 0, 0))

    assert campaign.main(["--quick", "--jobs", "5", "--left", "2"], run) == status
    assert ("BROKEN" in capsys.readouterr().out) == bool(status)


def work_that_is_not_stopped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(source._Working, "stop", lambda _: None)


def a_result_that_is_lost(patch: pytest.MonkeyPatch) -> None:
    pieces = source._pieces

    def some(messages: list[Message]) -> Iterator[list[Piece]]:
        return pieces([each for each in messages if each.data.get("result") != 1])

    patch.setattr(source, "_pieces", some)


def a_place_that_stays_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(source._Place, "_free", lambda place: place._jobs.turns.release())


SHORT = campaign.Case(1, 3, 1000)
ENDLESS = campaign.Case(1, 1, 1000, endless=True, leaves_behind=3)


@pytest.mark.parametrize(
    ("fault", "case", "said"),
    [
        (work_that_is_not_stopped, ENDLESS, "its process works on for nobody"),
        (a_result_that_is_lost, SHORT, "it came as [0, 2, None]"),
        (a_place_that_stays_taken, SHORT, "1 places are taken for nobody"),
    ],
)
def test_it_finds(
    fault: Callable[[pytest.MonkeyPatch], None], case: campaign.Case, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "GONE_S", 0.2)
    fault(monkeypatch)
    came = found(replace(FEW, warm_up=0, at_once=1, reports=2000), case)
    assert any(said in each for each in came.wrong), came.wrong

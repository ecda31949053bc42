"""What is tried again, and what becomes of what was seen once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streamkit.lab.audit.auditing import (
    PACE_TRIES,
    _accidents,
    _Auditing,
    _awaited,
    _counted,
    _discreet,
    _Plan,
    _second,
)
from streamkit.lab.audit.scenarios import Scenario
from streamkit.lab.audit.witness import AuditFinding, FindingCode, Judgement, Witness
from tests.lab.audit.witnesses import paced

GOOD, HELD = (1, 1, 1, 1), (31, 21, 11, 1)


def judged(name: str, *codes: FindingCode, unjudged: str = "") -> Judgement:
    found = tuple(AuditFinding(code, name, "seen") for code in codes)
    return Judgement(name, "endings", None, found, (), unjudged)


def test_what_a_busy_machine_could_have_caused_is_tried_again() -> None:
    several = [judged("a", "never_told"), judged("b", "false_success"), judged("c"), judged("d", unjudged="not asked")]
    assert _accidents(several) == {"a", "d"}


def test_but_what_happened_often_was_no_accident() -> None:
    assert _accidents([judged(name, "never_told") for name in "abcd"]) == set()


def test_what_was_seen_once_and_not_again_is_told_as_that() -> None:
    second = _second(judged("a", "never_told", "false_success"), judged("a", "false_success"))
    assert [finding.code for finding in second.found] == ["false_success"]
    assert [fact.value for fact in second.facts] == ["once, and not again alone: never_told, seen"]


def test_a_client_that_may_come_back_is_worked_for_and_of_others_nothing_changes() -> None:
    left = Judgement("leaves", "leaving", None, (AuditFinding("not_cancelled", "leaves", "20 pieces for nobody"),))
    awaited = _awaited(left)
    assert awaited.found == ()
    assert [fact.value for fact in awaited.facts] == ["20 pieces for nobody (who is cut off may come back)"]
    assert _awaited(judged("a", "never_told")) == judged("a", "never_told")


def test_what_was_sent_is_not_shown() -> None:
    told = Judgement("a", "endings", None, (AuditFinding("error_in_text", "a", "'wrong key hunter2'"),))
    assert _discreet(told, ["hunter2"]).found[0].seen == "'wrong key …'"


def test_beside_the_bar_stands_what_is_tried() -> None:
    shown: list[tuple[int, str]] = []
    _counted(lambda count, what: shown.append((count, what)))("3: a reset in the middle: of an event")
    assert shown == [(3, "a reset in the middle: of an event")]


# --- The pace ---------------------------------------------------------------------------------------------------------


class Paces:
    """A bench on which each stream has a pace: those through the gateway, and those without it."""

    def __init__(self, through: list[tuple[float, ...]], bare: list[tuple[float, ...]]) -> None:
        self._through, self._bare = iter(through), iter(bare)
        self.asked: list[str] = []

    async def ask(self, scenario: Scenario, *, bare: bool = False) -> Witness:
        if not bare:
            self.asked.append(scenario.name)
        return paced(*next(self._bare if bare else self._through))

    def judged(self) -> list[Judgement]:
        bench: Any = self
        auditing = _Auditing(bench, _Plan("openai", 1.0, True, frozenset(), 0), lambda _: None)
        return asyncio.run(auditing._paces())


ALL, BROWSERS = "a steady pace", "a steady pace, like a browser"


def test_pieces_that_came_late_once_were_an_accident() -> None:
    bench = Paces([HELD, GOOD, HELD, GOOD], [GOOD] * 4)
    assert [each.found for each in bench.judged()] == [(), ()]
    assert bench.asked == [ALL, ALL, BROWSERS, BROWSERS]


@pytest.mark.parametrize(
    ("through", "code", "asked"),
    [
        ([HELD] * PACE_TRIES, "held_back", [ALL] * PACE_TRIES),
        ([GOOD] + [HELD] * PACE_TRIES, "held_from_browsers", [ALL] + [BROWSERS] * PACE_TRIES),
    ],
)
def test_what_is_held_back_from_all_is_not_said_of_browsers(
    through: list[tuple[float, ...]], code: str, asked: list[str]
) -> None:
    bench = Paces(through, [GOOD] * 9)
    assert [finding.code for each in bench.judged() for finding in each.found] == [code]
    assert bench.asked == asked


def test_a_busy_machine_is_asked_again_and_browsers_are_not_judged_alone() -> None:
    at_last = Paces([HELD] * 9, [HELD, GOOD, GOOD, GOOD])
    assert [finding.code for each in at_last.judged() for finding in each.found] == ["held_back"]
    never = Paces([HELD] * 9, [HELD] * 9)
    (only,) = never.judged()
    assert (only.scenario, only.found) == (ALL, ())
    assert "this machine is busy" in only.unjudged
    assert never.asked == [ALL] * PACE_TRIES

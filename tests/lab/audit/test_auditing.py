"""What is tried again, and what becomes of what was seen once."""

from __future__ import annotations

from streamkit.lab.audit.auditing import _accidents, _awaited, _counted, _discreet, _second
from streamkit.lab.audit.witness import AuditFinding, FindingCode, Judgement


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

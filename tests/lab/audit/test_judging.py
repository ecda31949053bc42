"""Did a gateway do right by a stream? Recordings and upstreams made by hand, no server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streamkit.lab.audit.judging import judge, without
from streamkit.lab.audit.judging_alone import delays_ns, judge_crowd, judge_flood, judge_pace
from streamkit.lab.audit.resuming import Came, judge_resuming, offers, resuming
from streamkit.lab.audit.scenarios import Client, Scenario, catalogue, crowd, flood, pace
from streamkit.lab.audit.witness import Judgement, UpstreamSide, Witness
from streamkit.lab.recording.recorded import Events
from streamkit.lab.recording.recording import Recording
from streamkit.lab.upstream import Script, faults
from streamkit.outcome import Outcome
from tests.lab.audit.witnesses import MS, PIECES, paced, side

S = 1_000 * MS
TEXT = "".join(PIECES)
CUT = Outcome("truncated")


def script(*wrong: Any) -> Script:
    return Script(PIECES, 10, 10, preset="openai", faults=wrong)


BROKEN = Scenario(name="broken", aspect="endings", script=script(faults.Cut(3)), spare_s=2)
WHOLE = Scenario(name="whole", aspect="text", script=script())
SILENT = Scenario(name="silent", aspect="timers", script=script(faults.Stall(3, ms=1_000)), silence_s=1)
LEAVES = Scenario(name="leaves", aspect="leaving", script=script(), client=Client(leaves_behind=2))


def came(text: str, outcome: Outcome | None = None, **more: Any) -> Recording:
    fields = {"started_ns": 0, "ended_ns": 50 * MS, "status": 200, "outcome": outcome or Outcome("complete")}
    return Recording.from_pieces([(20 * MS, text)] if text else [], **(fields | more))


def codes(judged: Judgement) -> list[str]:
    return [finding.code for finding in judged.found]


def judged(scenario: Scenario, recording: Recording, *sides: UpstreamSide) -> Judgement:
    return judge(scenario, Witness(recording, sides or (side(),)), "127.0.0.1:999")


# --- Endings --------------------------------------------------------------------------------------------------------


def test_a_broken_answer_that_looks_broken_is_right() -> None:
    found = judged(BROKEN, came("床前明月光", CUT))
    assert (found.found, found.unjudged) == ((), "")
    assert found.ending is not None
    assert found.ending.kind == "cut"


@pytest.mark.parametrize("text", ["床前明月光", ""])
def test_one_that_looks_complete_is_a_false_success_whatever_came(text: str) -> None:
    (finding,) = judged(BROKEN, came(text)).found
    assert (finding.code, finding.seen) == ("false_success", f"{len(text)} of 14 characters")


def test_words_of_an_error_in_the_text_are_found_also_where_the_end_is_true() -> None:
    (finding,) = judged(BROKEN, came("床前明月光Error: lost", CUT)).found
    assert finding.code == "error_in_text"
    assert "Error: lost" in finding.seen


def test_a_key_in_them_is_not_repeated() -> None:
    (finding,) = judged(BROKEN, came("床前明月光Error: wrong key sk-abc123def456", CUT)).found
    assert "wrong key …" in finding.seen
    assert without("hunter2 is\nwrong", ["hunter2"]) == "… is wrong"
    assert without("one\ntwo", ["hunter2"]) == "one\ntwo"


def test_what_the_model_said_behind_its_failure_is_not() -> None:
    assert codes(judged(BROKEN, came(TEXT, CUT))) == []


def test_a_client_that_is_not_told_waits_in_vain() -> None:
    endless = came("床前", Outcome("timeout", "total"))
    (finding,) = judged(BROKEN, endless).found
    assert (finding.code, finding.seen) == ("never_told", "nothing within 2 s")


def test_unless_the_upstream_is_still_asked_again() -> None:
    found = judged(BROKEN, came("", Outcome("timeout", "total")), side(), side())
    assert found.found == ()
    assert [fact.value for fact in found.facts] == ["the upstream was asked 2 times, and no end within 2 s"]


def test_where_the_upstream_was_not_asked_nothing_can_be_said() -> None:
    found = judge(BROKEN, Witness(came("", Outcome("refused", 429), status=429), ()))
    assert found.unjudged == "the gateway answered without asking its upstream (refused(429))"


def test_the_upstreams_address_is_nobodys_business() -> None:
    told = came("床前明月光", CUT, headers={"x-backend": "http://127.0.0.1:999/v1"})
    (finding,) = judged(BROKEN, told).found
    assert (finding.code, finding.seen) == ("tells_upstream", "in the field x-backend of the head")


def test_what_becomes_of_a_status_is_a_fact() -> None:
    scenario = replace(BROKEN, script=Script(PIECES, preset="openai", faults=[faults.Status(429, retry_after=2)]))
    refused = came("", Outcome("refused", 429), status=429, headers={"retry-after": "2"})
    assert [fact.value for fact in judged(scenario, refused).facts] == ["the client sees status 429, Retry-After: 2"]


# --- Text -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recording", "code"),
    [
        (came(TEXT), None),
        (came(TEXT, CUT), "false_failure"),
        (came("", Outcome("refused", 502), status=502), "false_failure"),
        (came("床前 The moon"), "text_dropped"),
        (came("床前明月光"), "text_dropped"),
        (came("床前床前明月光 The moon"), "text_doubled"),
        (came("床\ufffd明月光 The moon"), "text_undecodable"),
        (came("床前明月光error: 'data'"), "error_in_text"),
        (came("床后明月光 The moon"), "text_changed"),
    ],
)
def test_a_whole_answer_has_to_arrive_whole(recording: Recording, code: str | None) -> None:
    assert codes(judged(WHOLE, recording)) == ([code] if code else [])


# --- Leaving --------------------------------------------------------------------------------------------------------

LEFT = came("床前", Outcome("cancelled", "max_events"))


def test_an_upstream_that_is_let_go_at_once_is_a_fact() -> None:
    found = judged(LEAVES, LEFT, side(how="left", ended_ns=52 * MS))
    assert [fact.value for fact in found.facts] == ["closed 2.0 ms later, 0 pieces for nobody"]
    assert found.found == ()


def test_one_that_is_let_go_late_is_found_and_what_it_said_for_nobody_counted() -> None:
    late = side(gap_ms=40, how="left", ended_ns=1_600 * MS)
    (finding,) = judged(LEAVES, LEFT, late).found
    assert (finding.code, finding.seen) == ("cancelled_late", "closed 1.6 s later, 3 pieces for nobody")


@pytest.mark.parametrize("how", ["finished", "running"])
def test_one_that_works_to_its_end_is_not_let_go(how: str) -> None:
    ended_ns = 90 * MS if how == "finished" else None
    assert codes(judged(LEAVES, LEFT, side(how=how, ended_ns=ended_ns))) == ["not_cancelled"]


def test_who_could_not_leave_says_nothing_about_leaving() -> None:
    assert judged(LEAVES, came(TEXT)).unjudged == "it was over before the client could leave (complete)"


# --- Timers ---------------------------------------------------------------------------------------------------------


def test_a_silence_that_is_borne_is_a_fact() -> None:
    found = judged(SILENT, came(TEXT), side())
    assert [fact.value for fact in found.facts] == ["none within 1 s"]


def test_one_that_is_cut_off_is_found_with_when_and_how_it_looks() -> None:
    (finding,) = judged(SILENT, came("床前明月光", CUT), side(2, how="left", ended_ns=520 * MS)).found
    assert (finding.code, finding.seen) == ("own_timer", "after 500 ms; the client sees a cut")


def test_one_that_is_cut_off_and_looks_complete_is_both() -> None:
    found = judged(SILENT, came("床前明月光"), side(2, how="left", ended_ns=520 * MS))
    assert codes(found) == ["own_timer", "false_success"]


def test_before_anything_was_said_it_counts_from_the_request() -> None:
    refused = came("", Outcome("refused", 504), status=504)
    (finding,) = judged(SILENT, refused, side(0, how="left", ended_ns=500 * MS)).found
    assert finding.seen == "after 500 ms; the client sees 504"


# --- What is measured alone -----------------------------------------------------------------------------------------


def test_a_pieces_way_is_from_its_sending_to_the_read_that_completed_it() -> None:
    assert delays_ns(paced(1, 2, 3, 4)) == [1 * MS, 2 * MS, 3 * MS, 4 * MS]


def test_however_the_gateway_puts_pieces_together() -> None:
    joined = Recording.from_pieces([(25 * MS, "床"), (35 * MS, "前明月光"), (45 * MS, " The moon")])
    assert delays_ns(Witness(joined, (side(),))) == [25 * MS, 15 * MS, 15 * MS, 5 * MS]


def test_of_another_text_no_way_is_known() -> None:
    assert delays_ns(Witness(came("else"), (side(),))) is None
    assert judge_pace(pace("openai"), Witness(came("else"), (side(),))).unjudged


def test_pieces_that_come_before_the_next_is_sent_are_passed_on() -> None:
    found = judge_pace(pace("openai"), paced(1, 1, 9, 1), paced(1, 1, 1, 1))
    told = {fact.what: fact.value for fact in found.facts}
    assert told["a steady pace"] == "3 of 3 pieces passed on before the next was sent"
    assert told["a piece's way"] == "p50 1.0 ms, p95 9.0 ms"
    assert told["… without the gateway"] == "p50 1.0 ms, p95 1.0 ms"


@pytest.mark.parametrize(("browser", "code"), [(False, "held_back"), (True, "held_from_browsers")])
def test_those_that_wait_for_the_next_are_held(browser: bool, code: str) -> None:
    (finding,) = judge_pace(pace("openai", like_browser=browser), paced(31, 21, 11, 1)).found
    assert (finding.code, finding.seen[:7]) == (code, "3 of 3 ")


def test_where_they_come_late_without_the_gateway_too_nothing_is_judged() -> None:
    assert judge_pace(pace("openai"), paced(31, 21, 11, 1), paced(31, 21, 11, 1)).unjudged


@pytest.mark.parametrize(("firsts_ms", "found"), [((40, 41, 44, 90), False), ((40, 400, 760, 1120), True)])
def test_streams_that_wait_for_each_other_are_found(firsts_ms: tuple[int, ...], found: bool) -> None:
    recordings = [Recording.from_pieces([(first * MS, "a")]) for first in firsts_ms]
    assert codes(judge_crowd(crowd("openai"), recordings)) == (["one_at_a_time"] if found else [])


def test_an_upstream_that_is_held_by_a_client_that_does_not_read_is_right() -> None:
    scenario = flood("openai", 1_000_000)
    held = judge_flood(scenario, Witness(came(""), (side(how="running", wrote_bytes=400_000),), 3_000_000))
    assert [fact.value for fact in held.facts] == [
        "the upstream was held when 400 kB were sent, kernels' buffers included; its memory grew by 3.0 MB"
    ]
    all_taken = judge_flood(scenario, Witness(came(""), (side(wrote_bytes=1_200_000),), None))
    assert [finding.seen for finding in all_taken.found] == ["all of 1.0 MB was taken from the upstream"]


# --- Resuming -------------------------------------------------------------------------------------------------------

RESUMED = resuming("openai")
SAID = RESUMED.script.text


def test_streams_that_all_go_on_to_the_whole_text_are_right() -> None:
    found = judge_resuming(RESUMED, [Came(1, 0, SAID, True), Came(300, 2, SAID, True)], asked=3)
    assert [fact.value for fact in found.facts] == [
        "2 cuts, each went on to the whole text; the upstream was asked 1 times more than that"
    ]


@pytest.mark.parametrize("wrong", [Came(300, 2, SAID[1:], True), Came(300, 2, SAID[:4], False)])
def test_where_one_goes_on_all_have_to(wrong: Came) -> None:
    found = judge_resuming(RESUMED, [Came(200, 1, SAID, True), wrong])
    assert codes(found) == ["resumed_wrongly"]
    assert "1 of 2 cuts: after byte 300" in found.found[0].seen


def test_a_stream_that_goes_nowhere_and_says_so_is_not_offered_to_go_on() -> None:
    assert judge_resuming(RESUMED, [Came(1, 0, SAID, True), Came(300, 2, SAID[:4], False)]).unjudged == "not offered"
    assert judge_resuming(RESUMED, []).unjudged == "not offered"


def test_ids_or_a_location_with_ranges_offer_it() -> None:
    assert not offers(came(TEXT))
    assert offers(replace(came(TEXT), events=Events([20 * MS], text=[TEXT], id=["1"])))
    assert offers(came(TEXT, headers={"location": "/streams/1", "accept-ranges": "bytes"}))


# --- What is tried --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["openai", "seed", "anthropic", "ollama"])
def test_what_is_tried_is_what_it_says_it_is(preset: str) -> None:
    tried = catalogue(preset, silence_s=2)
    assert len({scenario.name for scenario in tried}) == len(tried)
    assert all(not scenario.truth.whole for scenario in tried if scenario.aspect == "endings")
    assert all(scenario.truth.whole for scenario in tried if scenario.aspect in ("text", "timers"))
    assert {scenario.silence_s for scenario in tried if scenario.aspect == "timers"} == {2}

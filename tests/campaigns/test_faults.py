"""Some hundred random faults through the relay, a few heavy ones, and the judge of the ten thousand
(`python -m campaigns.faults`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from campaigns import faults, heavy
from campaigns.canary import CANARY
from campaigns.speaker import Spoken
from campaigns.visitor import NDJSON, SSE, TEXT, Leave, Seen
from streamkit.lab.upstream import Script
from streamkit.lab.upstream.faults import Cut, ErrorEvent, HugeEvent, NoEnd, Stall
from tests.rawsockets import LAST_CHUNK, chunk

COUNT = 250
WHOLE = Script(["h", "i"], preset="openai")
BROKEN = Script(["h", "i"], preset="openai", faults=[Cut(2)])
HEAVY = ("100 MB event", "gzip bomb", "deep JSON", "form: punycode")


# --- The faults -----------------------------------------------------------------------------------------------------


def test_random_faults_are_told_as_what_they_are_to_the_client_and_in_the_log() -> None:
    """No broken stream is complete, no whole one broken, every text is the script's, and the log agrees."""
    report = faults.run(range(COUNT), concurrency=16)
    assert report.violations == {}
    assert report.alarms == []
    assert report.leaked == 0
    assert report.kinds.total() == COUNT
    assert min(report.kinds["whole"], report.kinds["broken"], report.kinds["left"]) > 0
    assert {"complete", "truncated", "error_event", "timeout"} <= set(report.outcomes)


def test_a_heavy_request_or_answer_takes_little_memory_and_the_next_one_works() -> None:
    """How long the loop was held up is judged by the full run: it depends on the machine."""
    found = list(heavy.heavy(case for case in heavy.CASES if case.name in HEAVY))
    assert [hurt.case.name for hurt in found] == sorted(HEAVY, key=[case.name for case in heavy.CASES].index)
    for hurt in found:
        assert hurt.grew_bytes < faults.MAX_GROWTH_BYTES, hurt
        assert hurt.works_on, hurt
        assert not hurt.leaked, hurt
        assert "complete" not in hurt.told, hurt


def test_every_heavy_case_has_a_name_of_its_own_in_a_question() -> None:
    words = [case.word for case in heavy.CASES]
    assert len(set(words)) == len(words)
    assert all(heavy.QUESTION.fullmatch(f"heavy-{word}".encode()) for word in words)


# --- The judge ------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b; charset=utf-8\r\nX-Stream-Id: 5f\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = b'event: done\ndata: {"outcome":"complete","pieces":2}\n\n'
ERROR = b'event: error\ndata: {"code":"upstream_truncated","outcome":"truncated"}\n\n'
TIMEOUT = b'event: error\ndata: {"code":"timeout_idle","outcome":"timeout(idle)"}\n\n'
SAYS_H, SAYS_I = (b'data: {"text":"%b"}\n\n' % letter for letter in (b"h", b"i"))
COMPLETE = {"outcome": "complete", "code": "", "status": 200, "pieces": 2}
TRUNCATED = {"outcome": "truncated", "code": "upstream_truncated", "status": 200, "pieces": 1}
CANCELLED = {**TRUNCATED, "outcome": "cancelled", "code": ""}
IDLE = {"outcome": "timeout(idle)", "code": "timeout_idle", "status": 200, "pieces": 1}


def said(*chunks: bytes, accept: str = SSE, end: bytes = LAST_CHUNK) -> bytes:
    return HEAD % accept.encode() + b"".join(map(chunk, chunks)) + end


def judged(
    script: Script,
    data: bytes,
    line: Mapping[str, Any] | None,
    *,
    accept: str = SSE,
    leave: Leave | None = None,
    silent_s: float = 0.0,
    ended: str = "",
) -> faults.Judged:
    case = faults.Case(0, script, accept, leave)
    spoken = Spoken(0, 9, 9, silent_s)
    return faults.judge(faults.History(case, Seen(data, ended), spoken, None if line is None else dict(line)))


def test_a_faithful_relay_is_not_blamed() -> None:
    assert judged(WHOLE, said(SAYS_H, SAYS_I, DONE), COMPLETE) == faults.Judged("whole")
    assert judged(WHOLE, said(b"hi", accept=TEXT), COMPLETE, accept=TEXT) == faults.Judged("whole")
    assert judged(BROKEN, said(SAYS_H, ERROR), TRUNCATED) == faults.Judged("broken")
    assert judged(BROKEN, said(b"h", accept=TEXT, end=b""), TRUNCATED, accept=TEXT) == faults.Judged("broken")


@pytest.mark.parametrize(
    ("script", "data", "line", "problem"),
    [
        (BROKEN, said(SAYS_H, DONE), TRUNCATED, "a broken stream was reported complete"),
        (BROKEN, said(SAYS_H, ERROR), COMPLETE, "a broken stream is complete in the log"),
        (WHOLE, said(SAYS_H, ERROR), TRUNCATED, "a whole stream was reported broken"),
        (WHOLE, said(SAYS_H, DONE), COMPLETE, "complete, with 1 bytes of text instead of 2"),
        (BROKEN, said(SAYS_I, ERROR), TRUNCATED, "the text is not the beginning of the script's"),
        (BROKEN, said(SAYS_H, SAYS_I, SAYS_I, ERROR), TRUNCATED, "the text is not the beginning of the script's"),
        (BROKEN, said(SAYS_H, ERROR), None, "the relay has not logged the stream"),
        (BROKEN, said(SAYS_H, ERROR), IDLE, "the log says code 'timeout_idle', the client saw 'upstream_truncated'"),
        (WHOLE, said(SAYS_H, SAYS_I, DONE), {**COMPLETE, "pieces": 3}, "the log says 3 pieces, the client saw 2"),
        (WHOLE, said(SAYS_H, SAYS_I, DONE), {**COMPLETE, "status": 502}, "the log says status 502, the client saw 200"),
        (WHOLE, said(SAYS_H, SAYS_I, DONE), TRUNCATED, "the log says truncated, the client saw completion"),
        (WHOLE, said(SAYS_H, SAYS_I, DONE) + b"x", COMPLETE, "Unreadable: 1 bytes behind the end of the answer"),
        (BROKEN, said(SAYS_H, ERROR.replace(b"upstream", CANARY.encode())), TRUNCATED, "the key is in the answer"),
    ],
)
def test_a_lie_is_seen(script: Script, data: bytes, line: Mapping[str, Any] | None, problem: str) -> None:
    found = judged(script, data, line)
    assert problem in found.problems
    assert not found.late, "it would be forgiven"


def test_a_text_without_its_last_chunk_and_one_with_it_are_told_apart() -> None:
    lie = judged(BROKEN, said(b"h", accept=TEXT), TRUNCATED, accept=TEXT)
    assert "a broken stream was reported complete" in lie.problems
    cut = judged(WHOLE, said(b"h", accept=TEXT, end=b""), TRUNCATED, accept=TEXT)
    assert "a whole stream was reported broken" in cut.problems


def test_a_deadline_may_pass_if_the_upstream_was_silent_and_is_tried_again_if_it_was_not() -> None:
    assert judged(WHOLE, said(SAYS_H, TIMEOUT), IDLE, silent_s=2 * faults.DEADLINE_S) == faults.Judged("late")
    found = judged(WHOLE, said(SAYS_H, TIMEOUT), IDLE)
    assert found.problems == ["a whole stream was reported broken"]
    assert found.late
    assert judged(WHOLE, said(SAYS_H), IDLE, ended="late").late


def test_a_client_that_left_is_asked_for_nothing_but_a_true_text() -> None:
    leave = Leave("streaming", "FIN", 1)
    assert judged(WHOLE, said(SAYS_H, end=b""), None, leave=leave) == faults.Judged("left")
    assert judged(WHOLE, said(SAYS_H, end=b""), {**TRUNCATED, "outcome": "cancelled"}, leave=leave) == faults.Judged(
        "left"
    )
    assert judged(WHOLE, said(SAYS_I, end=b""), None, leave=leave).problems
    lie = judged(BROKEN, said(SAYS_H, end=b""), COMPLETE, leave=leave)
    assert lie.problems == ["a broken stream is complete in the log"]


@pytest.mark.parametrize(
    ("script", "whole"),
    [
        (WHOLE, True),
        (replace(WHOLE, faults=[Stall(2, 10)]), True),
        (replace(WHOLE, faults=[Stall(2, 1e4)]), False),
        (replace(WHOLE, faults=[Stall(3, 1e4)]), False),
        (replace(WHOLE, faults=[Stall(4, 1e4)]), True),  # behind the end marker
        (replace(WHOLE, preset="gemini", faults=[Stall(4, 1e4)]), True),  # behind a finish reason
        (replace(WHOLE, preset="seed", faults=[Stall(4, 1e4)]), False),  # which this one has not
        (replace(WHOLE, faults=[faults.Bare()]), True),
        (replace(WHOLE, preset="gemini", faults=[faults.Bare()]), False),
        (replace(WHOLE, faults=[NoEnd()]), False),
        (replace(WHOLE, faults=[HugeEvent(1, 2 << 20)]), False),  # beyond the relay's bound
        (replace(WHOLE, faults=[ErrorEvent(2)]), False),
    ],
)
def test_what_is_whole_follows_from_the_script_and_from_the_patience_of_its_reader(script: Script, whole: bool) -> None:
    assert faults.Case(0, script, NDJSON, None).truth.whole == whole


def test_a_seed_stands_for_the_same_case_each_time_and_a_question_leads_to_its_script() -> None:
    for seed in range(50):
        assert faults.case_of(seed) == faults.case_of(seed)
        assert faults.script_of(b'{"prompt":"fault-%d"}' % seed) == faults.case_of(seed).script


def test_one_seed_can_be_done_again_in_detail(capsys: pytest.CaptureFixture[str]) -> None:
    assert faults.main(["--only", "3"]) == 0
    printed = capsys.readouterr().out
    assert "expected: Truth(" in printed
    assert "upstream: Spoken(seed=3" in printed


def test_a_violation_is_printed_with_the_way_to_do_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    report = faults.Report(1, seconds=1.0)
    assert faults.show_random(report)
    report.violations[7] = ["a broken stream was reported complete"]
    assert not faults.show_random(report)
    assert "python -m campaigns.faults --only 7" in capsys.readouterr().out

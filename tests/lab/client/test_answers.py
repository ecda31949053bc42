"""Of the answers one stream came in: which head counts for what, what ends the body, and what a cut tells."""

from __future__ import annotations

import pytest

from streamkit.lab.client.answers import AnswerHead, Answers
from streamkit.lab.client.splice import Splice
from streamkit.lab.recording.recorded import Events
from streamkit.outcome import Outcome

CHUNKED = {"transfer-encoding": "chunked"}
SIZED = {"content-length": "9"}
FIRST, SECOND = AnswerHead(200, CHUNKED, "HTTP/1.1"), AnswerHead(206, SIZED, "HTTP/1.1")
TRUNCATED = Outcome("truncated")
MS = 1_000_000


def cut_once(first: AnswerHead | None = FIRST, event: int = 3) -> Answers:
    """Answers that were cut at 10 ns behind `event` events, and asked for again at 20."""
    answers = Answers("POST")
    if first is not None:
        answers.head(first)
    answers.cut(10, TRUNCATED, event=event, read=2)
    answers.asked(20)
    return answers


class TestWhatEndsTheBody:
    @pytest.mark.parametrize(
        ("head", "method", "ends"),
        [
            (FIRST, "POST", "chunked"),
            (AnswerHead(200, SIZED, "HTTP/1.1"), "POST", "length"),
            (AnswerHead(200, {}, "HTTP/1.1"), "POST", "close"),
            (AnswerHead(200, {}, "HTTP/2"), "POST", "transport"),
            (AnswerHead(200, {}, None), "POST", "transport"),
            (AnswerHead(204, {}, "HTTP/1.1"), "POST", "no body"),
            (AnswerHead(304, SIZED, "HTTP/1.1"), "GET", "no body"),
            (AnswerHead(200, SIZED, "HTTP/1.1"), "head", "no body"),
        ],
    )
    def test_its_head_and_its_method_say(self, head: AnswerHead, method: str, ends: str) -> None:
        answers = Answers(method)
        answers.head(head)
        assert answers.framing == ends

    def test_no_answer_no_body(self) -> None:
        assert Answers("POST").framing == "none"


class TestWhichHeadCounts:
    """Of a stream that was cut: the one that is shown, and the one by which the end is judged."""

    def test_one_with_which_it_goes_on_is_the_last_and_the_first_is_shown(self) -> None:
        answers = cut_once()
        answers.back(SECOND, 30)
        assert (answers.shown, answers.last) == (FIRST, AnswerHead(200, SIZED, "HTTP/1.1"))

    def test_one_that_began_it_anew_is_both(self) -> None:
        answers = cut_once(event=0)
        answers.anew(SECOND, 30)
        assert (answers.shown, answers.last) == (SECOND, SECOND)

    def test_a_refusal_is_the_last_until_it_is_asked_for_again(self) -> None:
        answers, refusal = cut_once(), AnswerHead(503, SIZED, "HTTP/1.1")
        answers.refused(refusal)
        assert (answers.shown, answers.last) == (FIRST, refusal)
        answers.asked(40)
        assert answers.last == FIRST

    def test_a_refusal_of_what_never_had_an_answer_shows_its_status(self) -> None:
        answers = cut_once(None, event=0)
        answers.refused(AnswerHead(503, SIZED, "HTTP/1.1"))
        assert (answers.shown.status, answers.shown.headers) == (503, {})

    def test_an_answer_of_another_stream_is_neither(self) -> None:
        answers = cut_once()
        answers.not_joined(204)
        assert (answers.shown, answers.last) == (FIRST, FIRST)


class TestCuts:
    def test_a_cut_tells_when_it_was_asked_for_and_came_back(self) -> None:
        answers = cut_once()
        answers.back(SECOND, 30)
        (cut,) = answers.cuts
        assert (cut.at_ns, cut.asked_ns, cut.back_ns, cut.status, cut.attempts) == (10, 20, 30, 206, 1)
        assert (cut.outcome, cut.event, cut.read) == (TRUNCATED, 3, 2)

    def test_one_it_is_until_events_come_again(self) -> None:
        answers = cut_once()
        answers.cut(30, TRUNCATED, event=3, read=4)
        answers.asked(40)
        assert [(cut.at_ns, cut.asked_ns, cut.attempts) for cut in answers.cuts] == [(10, 40, 2)]
        answers.cut(50, TRUNCATED, event=4, read=5)
        assert [(cut.at_ns, cut.event) for cut in answers.cuts] == [(10, 3), (50, 4)]

    def test_what_came_of_an_attempt_is_forgotten_with_the_next(self) -> None:
        answers = cut_once()
        answers.back(SECOND, 30)
        answers.asked(40)
        assert (answers.cuts[-1].back_ns, answers.cuts[-1].status, answers.cuts[-1].resumed) == (None, None, False)

    def test_the_status_of_an_answer_that_was_not_joined_is_told(self) -> None:
        answers = cut_once()
        answers.not_joined(204)
        assert (answers.cuts[-1].status, answers.cuts[-1].resumed) == (204, False)


class TestReplayed:
    EVENTS = Events([0, 20 * MS, 40 * MS, 500 * MS, 501 * MS, 540 * MS])

    def test_the_servers_word_counts(self) -> None:
        answers, splice = cut_once(), Splice(self.EVENTS)
        answers.back(SECOND, 30)
        splice.head("s", live="5")
        splice.replayed = 1
        answers.count_replayed(self.EVENTS, splice)
        assert (answers.cuts[-1].replayed, answers.cuts[-1].told) == (1, True)

    def test_without_it_what_came_in_one_go_does(self) -> None:
        answers = cut_once()
        answers.back(SECOND, 30)
        answers.count_replayed(self.EVENTS, Splice(self.EVENTS))
        assert (answers.cuts[-1].replayed, answers.cuts[-1].told) == (2, False)

    def test_nothing_is_replayed_where_nothing_came_back(self) -> None:
        answers = cut_once()
        answers.count_replayed(self.EVENTS, Splice(self.EVENTS))
        assert answers.cuts[-1].replayed == 0
        never = Answers("POST")
        never.count_replayed(self.EVENTS, Splice(self.EVENTS))
        assert never.cuts == []


def test_no_header_is_kept_that_may_hold_a_secret() -> None:
    head = AnswerHead(200, {"set-cookie": "key=1", "location": "/?token=2", "server": "x"}, "HTTP/1.1")
    assert head.harmless_headers == {"server": "x"}

"""What a server says itself of the end: of several that speak the nearest to the stream, and nothing that may harm."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.client.answers import AnswerHead
from streamkit.lab.client.told import ToldEnd, told_by

NONE, GOOD = AnswerHead(None, {}, None), AnswerHead(200, {}, "HTTP/1.1")
PROXY = AnswerHead(501, {"proxy-status": "cdn; error=incremental_refused"}, "HTTP/1.1")
PROBLEM = b'{"code": "busy", "detail": "later"}'


def test_nobody_says_anything() -> None:
    assert told_by(NONE, b"", None, "", ()) == told_by(GOOD, b"", None, "", ()) == ToldEnd(None, "", {})


class TestWhoIsHeard:
    def test_the_problem_before_the_event_before_the_proxy(self) -> None:
        assert told_by(PROXY, PROBLEM, "overloaded", "{}", ()).code == "busy"
        assert told_by(PROXY, b"", "overloaded", "{}", ()).code == "overloaded"
        assert told_by(PROXY, b"", None, "", ()).code == "incremental_refused"

    def test_a_proxy_only_where_the_status_is_no_answers(self) -> None:
        assert told_by(GOOD._replace(headers=PROXY.headers), b"", None, "", ()).code is None

    def test_what_not_incremental_means_is_noted_where_a_proxy_said_it(self) -> None:
        (note,) = told_by(PROXY, b"", None, "", ()).notes
        assert note.startswith("a proxy does not pass answers on")
        assert told_by(PROXY, b'{"code": "incremental_refused"}', None, "", ()).notes == ()
        assert told_by(PROXY._replace(headers={"proxy-status": "a; error=dns_error"}), b"", None, "", ()).notes == ()


class TestWords:
    def test_they_are_those_of_the_problem_or_else_of_the_event(self) -> None:
        said = json.dumps({"error": {"message": "too much"}})
        assert told_by(GOOD, PROBLEM, "overloaded", said, ()).words == "later"
        assert told_by(GOOD, b"", "overloaded", said, ()).words == "too much"

    def test_a_secret_that_the_server_repeats_is_masked(self) -> None:
        words = told_by(GOOD, b'{"detail": "no key hunter22222"}', None, "", ("hunter22222",)).words
        assert words.startswith("no key")
        assert "hunter" not in words


class TestMeta:
    def test_a_relays_outcome_is_kept_from_a_problem_and_from_an_event(self) -> None:
        said = '{"error": {"code": "timeout_idle", "outcome": "timeout(idle)"}}'
        assert told_by(GOOD, b"", "timeout_idle", said, ()).meta == {"server_outcome": "timeout(idle)"}
        problem = b'{"code": "timeout_idle", "outcome": "timeout(idle)"}'
        meta = told_by(AnswerHead(504, {}, "HTTP/1.1"), problem, None, "", ()).meta
        assert meta == {"server_outcome": "timeout(idle)", "problem_code": "timeout_idle"}

    @pytest.mark.parametrize("code", ["no such <b>", "x" * 65, "", 7, None, ["busy"]])
    def test_a_code_that_is_no_word_is_not_shown(self, code: object) -> None:
        told = told_by(AnswerHead(500, {}, "HTTP/1.1"), json.dumps({"code": code}).encode(), None, "", ())
        assert (told.code, told.meta) == (None, {})

    @given(st.binary(max_size=60), st.text(max_size=60))
    def test_no_bytes_are_too_strange_to_be_looked_at(self, problem: bytes, data: str) -> None:
        assert told_by(AnswerHead(500, {}, "HTTP/1.1"), problem, "code", data, ()).notes == ()

"""How a stream ended for its client: each rule by itself, then through a recorder."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.client.ending import outcome_of
from streamkit.lab.client.recorder import Recorder
from streamkit.lab.client.wire_failure import WireFailure
from streamkit.outcome import Outcome
from streamkit.presets.answer import EMPTY, TRUNCATED
from tests.lab.client.answers import (
    CHAT,
    CHAT_DONE,
    CHAT_STOP,
    CUT,
    DONE,
    HELLO,
    NDJSON,
    SEED,
    TEXT,
    Clock,
    ended,
    taken,
)

FAILED = WireFailure(Outcome("timeout", "idle"), "nothing came")
REFUSED = WireFailure(Outcome("refused", "connect"), "nobody there")


@pytest.mark.parametrize(
    ("seen", "outcome", "error"),
    [
        ({"status": None, "framing": "none", "failure": REFUSED}, "refused(connect)", "nobody there"),  # rule 1
        ({"status": 503}, "refused(503)", "the server answered with status 503"),  # rule 2
        ({"status": 413, "error": "too_big"}, "refused(413)", "the server answered with status 413: too_big"),
        ({"status": 401, "said": "no key"}, "refused(401)", "the server answered with status 401: no key"),
        ({"status": 401, "error": "x", "said": "no"}, "refused(401)", "the server answered with status 401: x: no"),
        ({"status": 401, "error": "x", "said": "x"}, "refused(401)", "the server answered with status 401: x"),
        ({"final": True, "lost": 1}, "error_event(lost_over_cut)", "1 piece lost at a cut"),
        ({"final": True, "lost": 2}, "error_event(lost_over_cut)", "2 pieces lost at a cut"),
        ({"error": "x", "lost": 2}, "error_event(x)", "the stream reported an error"),
        ({"error": "x", "said": "busy"}, "error_event(x)", "the stream reported an error: busy"),
        ({"status": 503, "failure": FAILED}, "refused(503)", "the server answered with status 503"),
        ({"error": "gone", "final": True, "bound": "max_events"}, "error_event(gone)", "the stream reported an error"),
        ({"final": True, "failure": FAILED, "framing": "close"}, "complete", None),  # rule 4
        ({"final": True, "bound": "max_bytes", "problem": TRUNCATED}, "complete", None),
        (
            {"bound": "max_bytes", "failure": FAILED},  # rule 5
            "cancelled(max_bytes)",
            "the recorder hung up: its bound max_bytes was reached",
        ),
        ({"failure": FAILED, "framing": "close"}, "timeout(idle)", "nothing came"),  # rule 6
        (
            {"framing": "close", "problem": TRUNCATED},  # rule 7
            "truncated",
            "the body ended with the connection, which does not prove that it was whole",
        ),
        (
            {"problem": TRUNCATED, "preset": "openai"},  # rule 8
            "truncated",
            "the end marker of preset 'openai' did not come",
        ),
        (
            {"problem": EMPTY, "preset": "seed"},
            "error_event(upstream_empty)",
            "the answer held not one event of preset 'seed'",
        ),
        (
            {"final": True, "problem": EMPTY, "preset": "openai"},
            "error_event(upstream_empty)",
            "the answer held not one event of preset 'openai'",
        ),
        ({"signed": True, "failure": FAILED}, "complete", None),
        ({"signed": True, "failure": REFUSED}, "refused(connect)", "nobody there"),
        ({}, "complete", None),  # rule 9
        ({"final": True, "failure": FAILED, "unhanded": True}, "timeout(idle)", "nothing came"),
        ({"final": True, "unhanded": True}, "complete", None),
        ({"unread": "malformed_json"}, "error_event(malformed_json)", "an event could not be read, so text is missing"),
        (
            {"final": True, "unread": "malformed_json"},
            "error_event(malformed_json)",
            "an event could not be read, so text is missing",
        ),
        ({"unread": "malformed_json", "failure": FAILED}, "timeout(idle)", "nothing came"),
    ],
)
def test_the_first_line_that_is_true_counts(seen: dict[str, Any], outcome: str, error: str | None) -> None:
    found, why = outcome_of(**{"status": 200, "framing": "chunked", **seen})
    assert (str(found), why) == (outcome, error)


@given(
    status=st.none() | st.sampled_from([200, 204, 302, 503]),
    framing=st.sampled_from(["none", "no body", "chunked", "content-length", "close"]),
    final=st.booleans(),
    error=st.none() | st.just("gone"),
    bound=st.none() | st.just("max_bytes"),
    failure=st.none() | st.sampled_from([FAILED, REFUSED]),
    problem=st.none() | st.just(TRUNCATED),
    signed=st.booleans(),
    unread=st.none() | st.just("malformed_json"),
    unhanded=st.booleans(),
)
def test_complete_is_only_what_is_proved(**seen: Any) -> None:
    outcome, error = outcome_of(**seen)
    assert outcome.ok == (error is None)
    if outcome.ok:
        assert seen["status"] in (None, 200, 204)
        assert seen["error"] is seen["unread"] is None
        left_open = seen["signed"] and seen["failure"] is FAILED
        unproved = seen["failure"] or seen["problem"] or seen["framing"] == "close"
        assert seen["final"] or not (seen["bound"] or (unproved and not left_open))


class TestOutcomes:
    def test_an_end_marker_is_complete(self) -> None:
        assert ended([HELLO, DONE]) == "complete"

    def test_after_the_end_marker_nothing_the_connection_does_matters(self) -> None:
        assert ended([HELLO, DONE], failure=CUT) == "complete"
        assert ended([HELLO, DONE], {"content-type": "text/event-stream", "x-stream-id": "s1"}) == "complete"

    def test_a_missing_end_marker_is_truncated_although_the_framing_is_clean(self) -> None:
        recording = taken([HELLO])
        assert str(recording.outcome) == "truncated"
        assert recording.error == "the end marker of preset 'streamkit' did not come"

    def test_a_finish_reason_needs_clean_framing(self) -> None:
        assert ended([CHAT, CHAT_STOP]) == "complete"
        assert ended([CHAT, CHAT_STOP], failure=CUT) == "truncated"
        assert ended([CHAT, CHAT_STOP], {"content-type": "text/event-stream"}) == "truncated"

    def test_a_provider_without_an_end_marker_needs_clean_framing(self) -> None:
        assert ended([SEED]) == "complete"
        assert ended([SEED], failure=CUT) == "truncated"

    @pytest.mark.parametrize(
        ("headers", "http", "outcome"),
        [
            ({"transfer-encoding": "chunked"}, "HTTP/1.1", "complete"),
            ({"transfer-encoding": "gzip, Chunked"}, "HTTP/1.1", "complete"),
            ({"content-length": "2"}, "HTTP/1.1", "complete"),
            ({}, "HTTP/1.1", "truncated"),
            ({"transfer-encoding": "gzip", "content-length": "2"}, "HTTP/1.1", "truncated"),
            ({}, "HTTP/1.0", "truncated"),
            ({}, "HTTP/2", "complete"),
            ({}, None, "complete"),
        ],
    )
    def test_plain_text_is_complete_if_its_framing_proves_it(
        self, headers: dict[str, str], http: str | None, outcome: str
    ) -> None:
        assert ended([b"hi"], {"content-type": "text/plain", **headers}, http=http) == outcome

    def test_an_answer_without_a_body_is_complete(self) -> None:
        assert ended([], {}, status=204) == "complete"
        assert ended([], {}, method="head") == "complete"

    def test_an_error_event_is_an_error_whatever_follows(self) -> None:
        error = b'event: error\ndata: {"code":"upstream_idle","outcome":"timeout(idle)"}\n\n'
        assert ended([HELLO, error]) == "error_event(upstream_idle)"
        assert ended([HELLO, error, DONE]) == "error_event(upstream_idle)"
        assert ended([HELLO, error], failure=CUT) == "error_event(upstream_idle)"

    def test_what_the_relay_says_of_the_end_is_kept_beside_what_its_client_saw(self) -> None:
        told = {"code": "timeout_idle", "outcome": "timeout(idle)"}
        event = taken([HELLO, b"event: error\ndata: %b\n\n" % json.dumps(told).encode()])
        line = taken([b'{"text":"a"}\n', json.dumps({"error": told}).encode() + b"\n"], NDJSON)
        problem = taken([json.dumps(told).encode()], TEXT, status=504)
        for recording, seen in (
            (event, "error_event(timeout_idle)"),
            (line, "error_event(timeout_idle)"),
            (problem, "refused(504)"),
        ):
            assert (str(recording.outcome), recording.meta["server_outcome"]) == (seen, "timeout(idle)")

    @pytest.mark.parametrize(
        "said", [b"{}", b"[]", b'{"outcome":"lost"}', b'{"outcome":7}', b'{"outcome":"timeout(<b>)"}']
    )
    def test_words_that_are_no_outcome_are_not_kept(self, said: bytes) -> None:
        assert "server_outcome" not in taken([said], TEXT, status=502).meta

    def test_an_error_behind_the_end_marker_is_not_the_streams(self) -> None:
        assert ended([CHAT, CHAT_DONE, b'data: {"error":{"code":"late"}}\n\n']) == "complete"

    def test_a_status_other_than_2xx_is_refused(self) -> None:
        assert ended([b"no"], TEXT, status=503) == "refused(503)"
        assert ended([], {"location": "http://elsewhere/?key=1"}, status=302) == "refused(302)"

    def test_a_refusal_keeps_the_stable_code_of_its_problem_and_what_the_server_said(self) -> None:
        problem = {"content-type": "application/problem+json", "content-length": "9"}
        recording = taken([b'{"code":"body_too_large",', b'"detail":"too long"}'], problem, status=413)
        assert recording.error == "the server answered with status 413: body_too_large: too long"
        assert recording.meta["problem_code"] == "body_too_large"
        assert recording.body == b'{"code":"body_too_large","detail":"too long"}'
        assert len(recording.events) == 0

    @pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'{"code": 3}', b'{"code": "a b"}', b"[" * 60_000])
    def test_a_refusal_without_a_decent_code_is_one_all_the_same(self, body: bytes) -> None:
        recording = taken([body], TEXT, status=500)
        assert (str(recording.outcome), recording.error) == ("refused(500)", "the server answered with status 500")

    def test_the_servers_message_is_told_without_the_secrets_that_were_sent(self) -> None:
        body = b'{"error": {"message": "wrong key hunter2, not like sk-abcdef"}}'
        recording = taken([body], TEXT, status=401, secrets=["hunter2"])
        assert recording.error == "the server answered with status 401: wrong key …, not like …"

    def test_the_message_of_an_error_event_is_told(self) -> None:
        recording = taken([CHAT, b'data: {"error": {"code": "busy", "message": "Try again"}}\n\n'])
        assert recording.error == "the stream reported an error: Try again"

    def test_a_refusal_stays_one_if_its_body_is_cut(self) -> None:
        assert ended([b"{"], TEXT, status=429, failure=CUT) == "refused(429)"

    def test_a_failure_before_any_answer_is_the_outcome(self) -> None:
        recording = Recorder(clock=Clock()).finish(WireFailure(Outcome("refused", "connect"), "nobody there"))
        assert (str(recording.outcome), recording.error, recording.status) == ("refused(connect)", "nobody there", None)

    def test_an_unfinished_event_is_noted(self) -> None:
        recording = taken([HELLO, HELLO[:9]])
        assert len(recording.events) == 1
        assert "ended inside an event" in recording.meta["notes"][0]

"""What is done after which ending, with which headers, after how long: on lists, with no clock and no sleeping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import streamkit as sk
from streamkit.lab.client.resume import Ask, Place, Recovery, Resume
from streamkit.outcome import Outcome

URL = "http://relay.test:8000/ans?key=1"
CUT = Outcome("truncated")
SSE = {"content-type": "text/event-stream"}
TEXT = {"content-type": "text/plain; charset=utf-8", "accept-ranges": "bytes", "location": "/streams/s1"}
AT_7 = Place(came=7, size=90, last_id="7")


def begun(
    head: Mapping[str, str] = SSE, *, draw: float = 1.0, url: str = URL, method: str = "POST", **options: Any
) -> Recovery:
    """One request, answered; random is `draw`."""
    recovery = Recovery(Resume(**options), url, method, draw=lambda: draw)
    recovery.ask()
    assert recovery.answered(200, head) == "start"
    return recovery


def cut_once(place: Place = AT_7, head: Mapping[str, str] = SSE, **options: Any) -> tuple[Recovery, Ask]:
    recovery = begun(head, **options)
    assert recovery.cut(CUT, place) is not None, recovery.why
    return recovery, recovery.ask()


class TestWhatIsAsked:
    def test_events_with_ids_the_same_request_with_the_last_one(self) -> None:
        _, ask = cut_once()
        assert (ask.method, ask.url, ask.body, ask.headers["last-event-id"]) == ("POST", URL, True, "7")

    def test_an_idempotency_key_goes_with_every_post_and_stays_the_same(self) -> None:
        recovery = Recovery(Resume(), URL, "POST")
        first = recovery.ask().headers["idempotency-key"]
        recovery.answered(200, SSE)
        recovery.cut(CUT, AT_7)
        assert recovery.ask().headers["idempotency-key"] == first
        assert first == f'"{recovery.key}"'
        assert len(recovery.key) >= 22
        assert Recovery(Resume(), URL, "POST").key != recovery.key

    @pytest.mark.parametrize(("method", "has_key"), [("GET", False), ("POST", True)])
    def test_there_is_none_with_a_get_and_none_beside_the_callers_own(self, method: str, has_key: bool) -> None:
        assert Recovery(Resume(), URL, method, has_key=has_key).ask().headers == {}

    def test_before_anything_came_the_same_request_whose_answer_counts(self) -> None:
        recovery, ask = cut_once(Place(grammar=None))
        assert "last-event-id" not in ask.headers
        assert recovery.answered(200, {"content-type": "text/html"}) == "anew"

    def test_text_by_range_on_the_location_of_its_head_without_a_body(self) -> None:
        _, ask = cut_once(Place(3, 17, "text"), TEXT)
        assert ask == Ask("GET", "http://relay.test:8000/streams/s1", {"range": "bytes=17-"}, body=False)

    @pytest.mark.parametrize(
        ("url", "location", "asked"),
        [
            ("http://h/a/ans", "s/1", "http://h/a/s/1"),
            ("http://h:80/ans", "http://H/s", "http://h:80/s"),
            ("http://me:pw@h/ans", "http://h/s", "http://me:pw@h/s"),
            ("http+unix://%2Ftmp%2Fs.sock/ans", "/s/1", "http+unix://%2Ftmp%2Fs.sock/s/1"),
            ("http://h/ans", "https://h/s", None),
            ("http://h/ans", "//evil/s", None),
            ("http://h/ans", "http://evil/s", None),
            ("http://h/ans", "http://h:81/s", None),
            ("http://h/ans", "http://h:x/s", None),
            ("http://h/ans", "/s\r\nx: y", None),
        ],
    )
    def test_the_location_may_only_lead_to_the_same_origin(self, url: str, location: str, asked: str | None) -> None:
        recovery = begun({**TEXT, "location": location}, url=url)
        assert (recovery.cut(CUT, Place(3, 17, "text")) is not None) == (asked is not None)
        if asked:
            assert recovery.ask().url == asked
        else:
            assert "no Location" in recovery.why

    @pytest.mark.parametrize(
        ("place", "head", "why"),
        [
            (Place(came=2), SSE, "have no ids"),
            (Place(came=2, grammar="json"), SSE, "have no ids"),
            (Place(came=2, last_id="7", stuck="the last pieces have no id"), SSE, "the last pieces have no id"),
            (Place(came=2, last_id="7\r\nx: y"), SSE, "cannot stand in a header"),
            (Place(came=2, last_id="x" * 1025), SSE, "cannot stand in a header"),
            (Place(came=2, grammar="text"), {"content-type": "text/plain"}, "no Location"),
            (Place(came=2, grammar="text"), {**TEXT, "accept-ranges": "none"}, "no Location"),
            (Place(came=2, grammar="text"), {**TEXT, "content-encoding": "gzip"}, "compressed"),
        ],
    )
    def test_where_nothing_says_how_far_it_had_come_the_cut_is_the_end_and_it_says_why(
        self, place: Place, head: Mapping[str, str], why: str
    ) -> None:
        recovery = begun(head)
        assert recovery.cut(CUT, place) is None
        assert why in recovery.why


class TestWhatIsACut:
    @pytest.mark.parametrize("outcome", ["truncated", "timeout(idle)", "timeout(first_piece)"])
    def test_the_wire_that_fails_or_a_timer(self, outcome: str) -> None:
        assert begun().cut(Outcome.parse(outcome), AT_7) is not None

    @pytest.mark.parametrize(
        "outcome",
        [
            "complete",
            "error_event(upstream)",
            "timeout(total)",
            "cancelled(max_events)",
            "refused(503)",
            "refused(404)",
        ],
    )
    def test_no_end_of_the_streams_own_and_nothing_that_we_wanted(self, outcome: str) -> None:
        recovery = begun()
        assert recovery.cut(Outcome.parse(outcome), AT_7) is None
        assert recovery.why == ""

    @pytest.mark.parametrize("outcome", ["refused(connect)", "timeout(connect)"])
    def test_nobody_there_is_one_only_when_somebody_was(self, outcome: str) -> None:
        never = Recovery(Resume(), URL, "POST")
        never.ask()
        assert never.cut(Outcome.parse(outcome), Place()) is None
        recovery, _ = cut_once()
        assert recovery.cut(Outcome.parse(outcome), AT_7) is not None


class TestWhatTheAnswerIs:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_a_status_that_may_change_is_a_failed_attempt(self, status: int) -> None:
        recovery, _ = cut_once()
        assert recovery.answered(status, {}) == "refused"
        assert recovery.cut(Outcome("refused", status), AT_7) is not None

    @pytest.mark.parametrize("status", [400, 404, 410, 500, 307, 206, 416])
    def test_every_other_status_is_the_end(self, status: int) -> None:
        recovery, _ = cut_once()
        assert recovery.answered(status, {}) == "refused"
        assert recovery.cut(Outcome("refused", status), AT_7) is None

    @pytest.mark.parametrize(
        ("status", "head", "why"),
        [
            (204, {}, "answered 204"),
            (200, {"content-type": "text/html"}, "text/html instead of text/event-stream"),
            (200, {}, "no media type instead of"),
            (200, {**SSE, "x-stream-id": "s2"}, "another stream"),
        ],
    )
    def test_what_is_not_this_stream_is_the_end_and_it_is_named(
        self, status: int, head: Mapping[str, str], why: str
    ) -> None:
        recovery, _ = cut_once(head={**SSE, "x-stream-id": "s1"})
        assert recovery.answered(status, head) == "over"
        assert why in recovery.why
        assert recovery.cut(CUT, AT_7) is None

    @pytest.mark.parametrize(
        ("status", "told", "verdict"),
        [
            (206, "bytes 17-9007199254740991/*", "on"),
            (206, "bytes 17-20/21", "on"),
            (206, "bytes 16-20/21", "over"),
            (206, "", "over"),
            (200, "", "over"),
            (416, "bytes */17", "whole"),
            (416, "bytes */16", "refused"),
            (416, "", "refused"),
        ],
    )
    def test_text_goes_on_only_at_the_very_byte(self, status: int, told: str, verdict: str) -> None:
        recovery, _ = cut_once(Place(3, 17, "text"), TEXT)
        assert recovery.answered(status, {"content-type": "text/plain", "content-range": told}) == verdict


class TestHowLong:
    def test_the_servers_word_and_a_random_time_that_doubles(self) -> None:
        recovery = begun(backoff_ms=100, draw=0.5)
        waits = [recovery.cut(CUT, AT_7._replace(retry_ms=1000)) for _ in range(4)]
        assert waits == [1.05, 1.1, 1.2, 1.4]

    def test_without_any_backoff_it_is_the_servers_word_alone(self) -> None:
        assert begun(backoff_ms=0).cut(CUT, AT_7._replace(retry_ms=1500)) == 1.5

    def test_no_wait_is_longer_than_the_bound(self) -> None:
        assert begun().cut(CUT, AT_7._replace(retry_ms=2**63 - 1)) == 30
        recovery = begun(attempts=2000, backoff_ms=1)
        assert max(recovery.cut(CUT, AT_7) or 0 for _ in range(1500)) == 30

    @pytest.mark.parametrize(
        ("head", "seconds"),
        [
            ({"retry-after": "7"}, 7.0),
            ({"retry-after": "99999"}, 30.0),
            ({"retry-after": "soon"}, 0.0),
            ({"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT", "date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 10.0),
            ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT", "date": "Sun, 06 Nov 1994 08:49:47 GMT"}, 0.0),
            ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0),
        ],
    )
    def test_retry_after_is_honoured_as_far_as_it_is_bounded(self, head: Mapping[str, str], seconds: float) -> None:
        recovery, _ = cut_once(backoff_ms=0)
        recovery.answered(503, head)
        assert recovery.cut(Outcome("refused", 503), AT_7) == seconds


class TestAttempts:
    def test_they_are_counted_in_a_row_without_a_new_event(self) -> None:
        recovery = begun(attempts=2)
        waits = [recovery.cut(CUT, AT_7._replace(came=came)) for came in (7, 7, 8, 8, 8)]
        assert [wait is not None for wait in waits] == [True, True, True, True, False]
        assert recovery.why == "given up: 2 attempts in a row brought nothing new"

    def test_none_is_as_if_there_were_no_resume(self) -> None:
        recovery = begun(attempts=0)
        assert (recovery.cut(CUT, AT_7), recovery.why) == (None, "")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"attempts": -1}, ValueError),
        ({"attempts": 1.5}, TypeError),
        ({"backoff_ms": "3"}, TypeError),
        ({"backoff_ms": -1}, ValueError),
        ({"max_wait_ms": float("inf")}, ValueError),
    ],
)
def test_numbers_that_make_no_sense_are_refused_at_once(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        sk.Resume(**options)

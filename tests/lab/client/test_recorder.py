"""The recorder: exact bytes and made-up times in, a Recording out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from streamkit.errors import UnknownPreset
from streamkit.lab.client.recorder import Recorder
from streamkit.lab.client.wire_failure import WireFailure
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from streamkit.presets import preset
from streamkit.transport.wire import Timings

SSE = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
NDJSON = {"content-type": "application/x-ndjson; charset=utf-8", "transfer-encoding": "chunked"}
TEXT = {"content-type": "text/plain; charset=utf-8", "transfer-encoding": "chunked"}
CUT = WireFailure(Outcome("truncated"), "the connection ended inside the body")

HELLO = b'data: {"text":"hello"}\n\n'
DONE = b"event: done\ndata: {}\n\n"
CHAT = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
CHAT_STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
CHAT_DONE = b"data: [DONE]\n\n"
SEED = (
    b'data: {"data":[{"value":"{\\"MessageBody\\":{\\"DirectMessageBody\\":'
    b'{\\"SentenceList\\":[{\\"Content\\":\\"hi\\"}]}}}"}]}\n\n'
)


class Clock:
    """Stands still until it is told the time (ns)."""

    def __init__(self, now: int = 1_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def taken(
    reads: Iterable[bytes],
    headers: dict[str, str] = SSE,
    *,
    status: int = 200,
    http: str | None = "HTTP/1.1",
    failure: WireFailure | None = None,
    **options: Any,
) -> Recording:
    """One read every 10 ns from 1,010 on, the recording having started at 1,000."""
    clock = Clock()
    recorder = Recorder(clock=clock, **options)
    clock.now = 1_005
    recorder.head(status, headers, http)
    for number, data in enumerate(reads):
        clock.now = 1_010 + 10 * number
        if not recorder.feed(number, clock.now, data):
            break
    return recorder.finish(failure)


def ended(reads: Iterable[bytes], headers: dict[str, str] = SSE, **options: Any) -> str:
    return str(taken(reads, headers, **options).outcome)


class TestReadsAndEvents:
    def test_an_event_has_the_number_and_the_time_of_the_read_that_completed_it(self) -> None:
        recording = taken([HELLO[:7], HELLO[7:] + HELLO, b": ping\n\n", HELLO])
        assert recording.reads.at_ns.tolist() == [10, 20, 30, 40]
        assert recording.events.read.tolist() == [1, 1, 3]
        assert recording.events.at_ns.tolist() == [20, 20, 40]
        assert recording.text == "hellohellohello"

    def test_times_count_from_the_start_of_the_recording(self) -> None:
        recording = taken([HELLO])
        assert (recording.started_ns, recording.head_ns, recording.ended_ns) == (1_000, 5, 10)

    def test_chunks_of_one_read_share_its_number_and_add_to_its_size(self) -> None:
        clock = Clock()
        recorder = Recorder(clock=clock, on_piece=len)
        recorder.head(200, SSE)
        for data in (HELLO, b"", HELLO[:5], HELLO[5:]):
            clock.now += 3
            recorder.feed(7, 1_001, data)
        recording = recorder.finish()
        assert recording.reads.size.tolist() == [2 * len(HELLO)]
        assert recording.reads[0].data == HELLO * 2
        assert recording.events.at_ns.tolist() == [1, 1]
        assert recording.events.handed_ns.tolist() == [3, 12]

    def test_the_size_of_an_event_is_its_data_in_utf8(self) -> None:
        assert taken(['data: {"text":"你"}\n\n'.encode()]).events.size.tolist() == [len('{"text":"你"}'.encode())]

    def test_event_type_data_and_id_are_kept(self) -> None:
        event = taken([b"id: 7\nevent: done\ndata: {}\n\n"]).events[0]
        assert (event.event, event.data, event.id) == ("done", "{}", "7")

    def test_an_event_stream_is_utf8_whatever_its_charset_says(self) -> None:
        headers = {**SSE, "content-type": "Text/Event-Stream; charset=gbk"}
        assert taken(['data: {"text":"你好"}\n\n'.encode()], headers).text == "你好"

    @pytest.mark.parametrize("name", ["application/x-ndjson", "application/jsonl", "application/stream+json"])
    def test_ndjson_goes_by_several_names(self, name: str) -> None:
        recording = taken([b'{"text":"a"}\n{"text":"b"}\n{"done":{}}\n'], {**NDJSON, "content-type": name})
        assert (recording.text, len(recording.events)) == ("ab", 3)

    def test_a_last_ndjson_line_without_its_newline_is_an_event_of_the_last_read(self) -> None:
        recording = taken([b'{"text":"a"}\n', b'{"done":{}}'], NDJSON)
        assert recording.events.read.tolist() == [0, 1]
        assert recording.outcome.ok

    def test_each_piece_is_told_as_it_is_decoded(self) -> None:
        told: list[str] = []
        taken([HELLO + DONE, HELLO], on_piece=told.append)
        assert told == ["hello", "hello"]

    def test_what_on_piece_raises_comes_out(self) -> None:
        def fail(_text: str) -> None:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            taken([HELLO], on_piece=fail)


class TestPlainText:
    def test_each_read_is_one_event_of_its_size(self) -> None:
        recording = taken([b"ab", b"c"], TEXT)
        assert recording.events.text == ["ab", "c"]
        assert recording.events.size.tolist() == [2, 1]
        assert "no event borders" in recording.meta["notes"][0]

    def test_chunks_of_one_read_make_one_event(self) -> None:
        recorder = Recorder(clock=Clock())
        recorder.head(200, TEXT)
        for data in (b"ab", b"c"):
            recorder.feed(0, 1_000, data)
        recording = recorder.finish()
        assert recording.events.text == ["abc"]
        assert recording.events.size.tolist() == [3]

    def test_a_character_split_over_reads_belongs_to_the_read_that_completes_it(self) -> None:
        body = "你好".encode()
        assert taken([body[:1], body[1:4], body[4:]], TEXT).events.text == ["", "你", "好"]

    def test_a_text_that_ends_inside_a_character_says_so(self) -> None:
        recording = taken([b"a\xe4"], TEXT)
        assert recording.text == "a\ufffd"
        assert "the text ended inside a character" in recording.meta["notes"]

    def test_other_types_are_text_too(self) -> None:
        assert taken([b"{}"], {"content-type": "application/json", "content-length": "2"}).text == "{}"
        assert taken([b"x"], {"content-length": "1"}).text == "x"

    def test_a_preset_has_no_say_in_plain_text(self) -> None:
        recording = taken([b"hi"], TEXT, preset="openai")
        assert (str(recording.outcome), recording.preset) == ("complete", None)


class TestPresets:
    def test_a_preset_is_guessed_from_the_events(self) -> None:
        recording = taken([CHAT, CHAT_DONE])
        assert (recording.preset, recording.text) == ("openai", "hi")

    def test_events_from_before_the_guess_are_read_again(self) -> None:
        told: list[str] = []
        recording = taken([b"data: {}\n\n", b'data: {"a":1}\n\n', CHAT + CHAT], on_piece=told.append)
        assert recording.events.text == ["", "", "hi", "hi"]
        assert told == ["hi", "hi"]

    def test_where_none_fits_the_data_is_kept_and_the_notes_say_so(self) -> None:
        recording = taken([b'data: {"unheard":"of"}\n\n'])
        assert (recording.preset, recording.text, str(recording.outcome)) == (None, "", "complete")
        assert recording.events.data == ['{"unheard":"of"}']
        assert "no preset fits the events" in recording.meta["notes"][0]

    def test_guessing_ends_after_the_first_events(self) -> None:
        recording = taken([b"data: {}\n\n" * 40, CHAT])
        assert recording.preset is None

    def test_a_preset_can_be_named_or_given(self) -> None:
        assert taken([SEED], preset="seed").text == "hi"
        assert taken([SEED], preset=preset("seed")).text == "hi"

    def test_an_unknown_name_raises_before_anything_is_sent(self) -> None:
        with pytest.raises(UnknownPreset):
            Recorder(preset="nobody")

    def test_reasoning_is_kept_apart_and_only_if_asked_for(self) -> None:
        thought = b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}\n\n'
        asked = taken([thought, CHAT, CHAT_DONE], reasoning=True)
        assert (asked.reasoning, asked.text) == ("hm", "hi")
        assert taken([thought, CHAT, CHAT_DONE]).reasoning == ""

    def test_events_that_cannot_be_read_are_counted_and_named(self) -> None:
        recording = taken([HELLO, b"data: {broken\n\n", b"data: {again\n\n", DONE])
        assert recording.text == "hello"
        assert recording.meta["notes"] == ["events that could not be read (malformed_json): 2"]
        assert str(recording.outcome) == "error_event(malformed_json)", "text is missing: that is not complete"


class TestOutcomes:
    def test_an_end_marker_is_complete(self) -> None:
        assert ended([HELLO, DONE]) == "complete"

    def test_after_the_end_marker_nothing_the_connection_does_matters(self) -> None:
        assert ended([HELLO, DONE], failure=CUT) == "complete"
        assert ended([HELLO, DONE], {"content-type": "text/event-stream"}) == "complete"

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

    def test_a_refusal_keeps_the_stable_code_of_its_problem(self) -> None:
        problem = {"content-type": "application/problem+json", "content-length": "9"}
        recording = taken([b'{"code":"body_too_large",', b'"detail":"secret"}'], problem, status=413)
        assert recording.error == "the server answered with status 413: body_too_large"
        assert recording.meta["problem_code"] == "body_too_large"
        assert recording.body == b'{"code":"body_too_large","detail":"secret"}'
        assert len(recording.events) == 0

    @pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'{"code": 3}', b'{"code": "a b"}', b"[" * 60_000])
    def test_a_refusal_without_a_decent_code_is_one_all_the_same(self, body: bytes) -> None:
        recording = taken([body], TEXT, status=500)
        assert (str(recording.outcome), recording.error) == ("refused(500)", "the server answered with status 500")

    def test_a_refusal_stays_one_if_its_body_is_cut(self) -> None:
        assert ended([b"{"], TEXT, status=429, failure=CUT) == "refused(429)"

    def test_a_failure_before_any_answer_is_the_outcome(self) -> None:
        recording = Recorder(clock=Clock()).finish(WireFailure(Outcome("refused", "connect"), "nobody there"))
        assert (str(recording.outcome), recording.error, recording.status) == ("refused(connect)", "nobody there", None)

    def test_an_unfinished_event_is_noted(self) -> None:
        recording = taken([HELLO, HELLO[:9]])
        assert len(recording.events) == 1
        assert "ended inside an event" in recording.meta["notes"][0]

    def test_a_compressed_body_is_kept_undecoded(self) -> None:
        recording = taken([b"\x1f\x8b"], {**SSE, "content-encoding": "gzip"})
        assert (len(recording.events), recording.body) == (0, b"\x1f\x8b")
        assert "compressed" in recording.meta["notes"][0]


class TestBounds:
    def test_beyond_max_events_the_recorder_hangs_up(self) -> None:
        recording = taken([HELLO * 3, HELLO], max_events=2)
        assert (str(recording.outcome), len(recording.events)) == ("cancelled(max_events)", 2)

    def test_as_many_events_as_allowed_are_no_reason_to_hang_up(self) -> None:
        assert ended([HELLO, DONE], max_events=2) == "complete"

    def test_reads_of_plain_text_count_as_events(self) -> None:
        recording = taken([b"a", b"b", b"c"], TEXT, max_events=2)
        assert (str(recording.outcome), recording.text) == ("cancelled(max_events)", "ab")

    def test_beyond_max_bytes_the_recorder_hangs_up(self) -> None:
        recording = taken([b"abc", b"def", b"g"], TEXT, max_bytes=4)
        assert (str(recording.outcome), recording.text) == ("cancelled(max_bytes)", "abcd")
        assert recording.reads.size.tolist() == [3, 1]

    def test_as_many_bytes_as_allowed_are_no_reason_to_hang_up(self) -> None:
        assert ended([b"abc", b"d"], TEXT, max_bytes=4) == "complete"

    def test_an_event_beyond_the_parsers_bound_ends_the_recording(self) -> None:
        recording = taken([HELLO + b"data: " + b"x" * (1 << 20), b"\n\n"])
        assert (str(recording.outcome), recording.text) == ("cancelled(max_line_bytes)", "hello")

    @pytest.mark.parametrize("keep_bytes", [3, 4])
    def test_bytes_are_kept_up_to_a_bound_and_counted_beyond_it(self, keep_bytes: int) -> None:
        recording = taken([b"abc", b"de", b"f"], TEXT, keep_bytes=keep_bytes)
        assert recording.reads.data == [b"abc", None, None]
        assert recording.reads.size.tolist() == [3, 2, 1]
        assert recording.meta["notes"][1] == "the bytes of read 1 and of those after it were not kept"

    def test_no_bytes_are_kept_if_none_are_wanted(self) -> None:
        recording = taken([b"abc"], TEXT, keep_bytes=0)
        assert recording.body is None
        assert len(recording.meta["notes"]) == 1


class TestMetadata:
    def test_headers_that_carry_secrets_are_left_out(self) -> None:
        headers = {**SSE, "Set-Cookie": "session=1", "Location": "http://x/?key=1", "X-Request-Id": "7"}
        assert taken([DONE], headers).headers == {**SSE, "x-request-id": "7"}

    def test_the_origin_of_the_clock_is_stored(self) -> None:
        meta = taken([]).meta
        assert meta["clock"] == "time.monotonic_ns"
        assert meta["origin"] == taken([]).meta["origin"]
        assert meta["framing"] == "chunked"


def test_the_head_has_a_time_although_the_client_tells_none() -> None:
    clock = Clock()
    recorder = Recorder(clock=clock)
    recorder.timed(Timings())
    clock.now = 1_005
    recorder.head(200, SSE)
    recorder.timed(Timings())
    assert recorder.finish().head_ns == 5


def test_where_nobody_waits_for_the_text_an_event_was_handed_over_when_its_read_returned() -> None:
    clock = Clock()
    recorder = Recorder(clock=clock)
    recorder.head(200, SSE)
    clock.now = 5_000
    recorder.feed(1, 1_010, HELLO, "kernel", 1, late_ns=7)
    assert recorder.finish().events.handed_ns.tolist() == [17]

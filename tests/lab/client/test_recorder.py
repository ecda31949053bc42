"""The recorder: exact bytes and made-up times in, a Recording out."""

from __future__ import annotations

import asyncio

import pytest

from streamkit.lab.client.looplag import LoopLag
from streamkit.lab.client.recorder import Recorder
from streamkit.lab.client.wire_failure import interrupted_by
from streamkit.transport import Timings
from tests.lab.client.answers import (
    CHAT,
    CHAT_DONE,
    CHAT_STOP,
    DONE,
    HELLO,
    NDJSON,
    SSE,
    TEXT,
    Clock,
    ended,
    taken,
)


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

    def test_each_piece_is_told_as_it_is_decoded(self) -> None:
        told: list[str] = []
        recording = taken([HELLO, HELLO + DONE, HELLO], on_piece=told.append)
        assert told == ["hello", "hello"]
        assert recording.meta["notes"] == ["pieces after the end, which are no part of the answer: 1"]

    def test_what_on_piece_raises_comes_out(self) -> None:
        def fail(_text: str) -> None:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            taken([HELLO], on_piece=fail)


class TestInterruptions:
    """Who records stops it: not the wire, and not the stream."""

    STOPPED = interrupted_by(asyncio.CancelledError())

    def test_what_had_come_is_a_recording_that_was_cancelled_by_us(self) -> None:
        recording = taken([HELLO], failure=self.STOPPED)
        assert (str(recording.outcome), recording.error) == ("cancelled(by us)", "the recording was interrupted")
        assert (recording.text, recording.ended_ns) == ("hello", 10)

    def test_before_any_answer_too(self) -> None:
        assert str(Recorder().finish(self.STOPPED).outcome) == "cancelled(by us)"

    def test_what_the_stream_had_said_of_its_end_stands(self) -> None:
        failed = b'event: error\ndata: {"error": {"code": "busy"}}\n\n'
        assert ended([HELLO + DONE], failure=self.STOPPED) == "complete"
        assert ended([HELLO + failed], failure=self.STOPPED) == "error_event(busy)"
        assert ended([b"{}"], status=503, failure=self.STOPPED) == "refused(503)"

    def test_a_line_in_the_middle_of_which_it_was_stopped_is_dropped_and_not_taken_for_malformed(self) -> None:
        recording = taken([b'{"text":"a"}\n{"te'], NDJSON, failure=self.STOPPED)
        assert (str(recording.outcome), recording.text) == ("cancelled(by us)", "a")
        assert recording.body == b'{"text":"a"}\n{"te'

    def test_how_late_its_loop_was_is_told_in_the_recordings_own_time(self) -> None:
        recorder, lag = Recorder(clock=Clock(5_000)), LoopLag()
        lag.note(100, 400, 50_000_000)
        lag.note(400, 500, 2)
        recorder.loop = lag, 4_950  # the loop's clock is behind the recorder's by so much
        meta = recorder.finish().meta
        assert (meta["loop_lag_ns"], meta["loop_calm_ns"], meta["loop_busy_ns"]) == (50_000_000, 2, [[50, 350]])


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
        recording = taken([HELLO + b"data: " + b"x" * 100, b"\n\n"], max_event_bytes=100)
        assert (str(recording.outcome), recording.text) == ("cancelled(max_line_bytes)", "hello")

    def test_an_event_of_megabytes_is_taken_as_it_carries_no_text(self) -> None:
        picture = b'data: {"picture":"' + b"x" * (3 << 20) + b'"}\n\n'
        recording = taken([HELLO, picture, HELLO, DONE])
        assert (str(recording.outcome), recording.text) == ("complete", "hellohello")

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


class TestWhyItEnded:
    """The provider's own word, wherever in the stream it stands."""

    def test_a_providers_finish_reason_is_kept_although_its_end_mark_gives_none(self) -> None:
        length = CHAT_STOP.replace(b"stop", b"length")
        assert taken([CHAT, length, CHAT_DONE], preset="openai").finish_reason == "length"

    def test_our_relay_passes_it_on(self) -> None:
        done = b'event: done\ndata: {"outcome":"complete","pieces":1,"finish_reason":"refusal"}\n\n'
        assert taken([HELLO, done]).finish_reason == "refusal"

    def test_in_ndjson_too(self) -> None:
        done = b'{"done":{"outcome":"complete","pieces":1,"finish_reason":"SAFETY"}}\n'
        assert taken([b'{"text":"a"}\n', done], NDJSON, preset="streamkit-ndjson").finish_reason == "SAFETY"

    def test_where_none_is_given_or_none_that_can_be_shown_there_is_none(self) -> None:
        assert taken([HELLO, DONE]).finish_reason is None
        shouted = b'event: done\ndata: {"finish_reason":"two words"}\n\n'
        assert taken([HELLO, shouted]).finish_reason is None


class TestProxies:
    """Who answers in the server's place, and says why."""

    def test_one_that_passes_no_stream_on_is_named(self) -> None:
        recording = taken([], {**TEXT, "proxy-status": "cdn.example; error=incremental_refused"}, status=501)
        assert str(recording.outcome) == "refused(501)"
        assert recording.error == "the server answered with status 501: incremental_refused"
        assert any("RFC 10036" in note for note in recording.meta["notes"])

    def test_any_other_error_of_its_own_too(self) -> None:
        recording = taken([], {**TEXT, "proxy-status": "cdn.example; error=dns_timeout"}, status=504)
        assert recording.error == "the server answered with status 504: dns_timeout"

    def test_under_a_status_that_says_yes_it_is_no_failure(self) -> None:
        assert ended([HELLO, DONE], {**SSE, "proxy-status": "cdn.example; error=proxy_loop"}) == "complete"


class TestAStreamAmongMany:
    def test_its_labels_are_kept_and_when_it_was_due_from_its_call_on(self) -> None:
        recorder = Recorder(labels={"prompt": "long"}, due_ns=40, clock=lambda: 100)
        recorder.start()
        recording = recorder.finish()
        assert (dict(recording.labels), recording.due_ns) == ({"prompt": "long"}, -60)

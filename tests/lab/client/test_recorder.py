"""The recorder: exact bytes and made-up times in, a Recording out."""

from __future__ import annotations

import pytest

from streamkit.lab.client.recorder import Recorder
from streamkit.transport import Timings
from tests.lab.client.answers import (
    DONE,
    HELLO,
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
        assert recording.meta["notes"] == ["pieces behind the end, which are no part of the answer: 1"]

    def test_what_on_piece_raises_comes_out(self) -> None:
        def fail(_text: str) -> None:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            taken([HELLO], on_piece=fail)


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

"""Encoded bodies: reads are the wire's, text is what was under the coding, and the recording says how it came."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest

from streamkit.lab.client.coded import coding_notes
from streamkit.lab.recording.recorded import Events
from tests.lab.client.answers import CHAT, CHAT_DONE, CHAT_STOP, CUT, DONE, HELLO, SSE, taken

GZIP = {**SSE, "content-encoding": "gzip"}
BODY = HELLO * 3 + DONE


def flushed(*texts: bytes) -> list[bytes]:
    """gzip, flushed behind each text."""
    packer = zlib.compressobj(wbits=31)
    return [*(packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH) for text in texts), packer.flush()]


class TestDecoded:
    def test_events_come_of_what_was_under_the_coding_and_reads_stay_those_of_the_wire(self) -> None:
        parts = flushed(HELLO, HELLO, DONE)
        recording = taken(parts, GZIP)
        assert (str(recording.outcome), recording.text) == ("complete", "hellohello")
        assert recording.events.read.tolist() == [0, 1, 2]
        assert recording.events.at_ns.tolist() == recording.reads.at_ns.tolist()[:3]
        assert (recording.reads.data, recording.body) == (parts, b"".join(parts))
        assert recording.reads.size.tolist() == [len(part) for part in parts]

    def test_without_a_flush_all_events_are_those_of_the_last_read(self) -> None:
        coded = gzip.compress(BODY)
        recording = taken([coded[:10], coded[10:-1], coded[-1:]], GZIP)
        assert set(recording.events.read) <= {1, 2}

    def test_an_event_belongs_to_the_read_that_completed_it(self) -> None:
        recording = taken(flushed(HELLO[:9], HELLO[9:], DONE), GZIP)
        assert recording.events.read.tolist() == [1, 2]

    def test_several_codings_are_undone(self) -> None:
        coded = brotli.compress(gzip.compress(BODY))
        assert taken([coded], {**SSE, "content-encoding": "x-gzip, br"}).text == "hello" * 3

    def test_text_without_borders_has_one_event_a_read(self) -> None:
        headers = {**GZIP, "content-type": "text/plain"}
        recording = taken(flushed("你好".encode(), b" you"), headers)
        assert recording.events.text[:2] == ["你好", " you"]

    @pytest.mark.parametrize("name", ["none", "identity", "UTF-8", ""])
    def test_what_is_no_coding_changes_nothing(self, name: str) -> None:
        recording = taken([BODY], {**SSE, "content-encoding": name})
        assert (recording.text, recording.meta["notes"]) == ("hello" * 3, [])

    def test_the_code_of_an_encoded_problem_is_read(self) -> None:
        recording = taken(
            [gzip.compress(b'{"code": "busy"}')], {**GZIP, "content-type": "application/problem+json"}, status=503
        )
        assert (str(recording.outcome), recording.meta["problem_code"]) == ("refused(503)", "busy")


class TestItsEnd:
    def test_an_end_mark_is_enough_though_the_coding_never_ends(self) -> None:
        parts = flushed(CHAT, CHAT_STOP, CHAT_DONE)[:-1]
        assert str(taken(parts, GZIP, preset="openai").outcome) == "complete"

    def test_a_coding_that_breaks_off_is_truncated_however_clean_the_framing_is(self) -> None:
        recording = taken(flushed(HELLO)[:-1], {**GZIP, "content-type": "text/plain"})
        assert (str(recording.outcome), recording.error) == ("truncated", "the body ended inside its coding (gzip)")

    def test_the_wire_has_the_first_word_on_what_it_cut(self) -> None:
        assert taken(flushed(HELLO)[:-1], GZIP, failure=CUT).error == CUT.error

    def test_what_is_not_what_it_says_is_an_error_of_its_own_and_kept(self) -> None:
        parts = [*flushed(HELLO)[:-1], b"garbage, garbage, garbage", b"more"]
        recording = taken(parts, GZIP)
        assert (str(recording.outcome), recording.text) == ("error_event(malformed_coding)", "hello")
        assert recording.body == b"".join(parts)
        assert "from read 1 on, the body is not the gzip that its head promises" in recording.meta["notes"][0]

    def test_an_unknown_coding_is_an_error_of_its_own_and_kept(self) -> None:
        recording = taken([b"abc"], {**SSE, "content-encoding": "compress"})
        assert (str(recording.outcome), recording.body) == ("error_event(unknown_coding)", b"abc")
        assert "what can be decoded is gzip, deflate, br, zstd" in recording.meta["notes"][0]

    def test_what_it_grows_to_counts_against_the_bound_on_bytes(self) -> None:
        bomb = gzip.compress(bytes(10 << 20))
        recording = taken([bomb], {**GZIP, "content-type": "text/plain"}, max_bytes=100_000)
        assert (str(recording.outcome), len(recording.text)) == ("cancelled(max_bytes)", 100_000)

    def test_a_bound_on_one_event_holds_under_the_coding_too(self) -> None:
        recording = taken([gzip.compress(b"data: " + bytes(10 << 20))], GZIP, max_event_bytes=100_000)
        assert str(recording.outcome) == "cancelled(max_line_bytes)"


class TestNotes:
    def test_lumps_are_named_with_the_time_of_the_first_text(self) -> None:
        events = Events([3_402_000_000] * 4, text=["", "a", "b", ""], read=[1] * 4)
        (note,) = coding_notes("gzip", "gzip, br", events, 2, 2_000_000)
        came, kept = note.split("; ")
        assert came == "the body is gzip: 4 events came out of 1 of 2 reads, the first text 3,400 ms after the request"
        assert kept == "a compressor keeps text back until it is flushed"

    def test_a_compressor_that_is_flushed_is_not_blamed(self) -> None:
        events = Events([10_000_000, 20_000_000], text=["a", "b"], read=[0, 1])
        assert coding_notes("br", "*", events, 2, 0) == [
            "the body is br: 2 events came out of 2 of 2 reads, the first text 10 ms after the request"
        ]

    @pytest.mark.parametrize(
        ("asked", "noted"), [("identity", True), (None, True), ("br", True), ("br, gzip", False), ("gzip;q=0", True)]
    )
    def test_what_was_not_asked_for_is_compared_with_what_was(self, asked: str | None, noted: bool) -> None:
        notes = coding_notes("gzip", asked, Events(), 0, 0)
        assert notes == ["the body is compressed (gzip) although that was not asked for"] * noted

    def test_a_body_under_no_coding_has_none(self) -> None:
        assert coding_notes(None, "gzip", Events(), 0, 0) == []

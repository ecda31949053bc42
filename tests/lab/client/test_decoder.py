"""Bytes in, rows of events out, whatever the head says they are."""

from __future__ import annotations

import pytest

from streamkit.extractor import Extractor
from streamkit.lab.client.recorder import Recorder
from streamkit.presets import unreadable
from tests.lab.client.answers import (
    NDJSON,
    SSE,
    TEXT,
    Clock,
    taken,
)


class TestEvents:
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


class TestPlainText:
    def test_each_read_is_one_event_of_its_size(self) -> None:
        recording = taken([b"ab", b"c"], TEXT)
        assert recording.events.text == ["ab", "c"]
        assert recording.events.size.tolist() == [2, 1]
        assert "no event borders" in recording.meta["notes"][0]

    def test_a_web_page_is_recorded_as_text_and_the_notes_say_what_it_is(self) -> None:
        page = taken([b"<html>Welcome</html>"], {"content-type": "text/html; charset=utf-8", "content-length": "20"})
        assert page.text == "<html>Welcome</html>"
        assert page.meta["notes"][0] == "the answer calls itself text/html: perhaps a web page, and no stream"
        assert "text/html" not in str(taken([b"ab"], TEXT).meta["notes"])

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

    def test_a_preset_that_is_given_decides_so_text_is_not_taken_for_its_answer(self) -> None:
        recording = taken([b"the model is overloaded"], TEXT, preset="openai")
        assert not recording.outcome.ok
        assert "without preset= it is recorded as plain text" in recording.meta["notes"][0]


FOREIGN = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
SAY = b'data: {"body":{"say":"hi"}}\n\n'


class TestPresets:
    def test_an_extractor_says_where_the_text_stands_and_done_may_end_it(self) -> None:
        for last in (b"", b"data: [DONE]\n\n"):
            recording = taken([SAY, SAY + last], FOREIGN, preset=Extractor("body.say"))
            assert (recording.text, str(recording.outcome), recording.preset) == ("hihi", "complete", "extractor")

    def test_an_extractor_knows_the_errors_that_many_share(self) -> None:
        recording = taken([SAY, b'data: {"error":{"code":"busy"}}\n\n'], FOREIGN, preset=Extractor("body.say"))
        assert (recording.text, str(recording.outcome)) == ("hi", "error_event(busy)")

    def test_of_an_extractor_for_the_data_itself_the_end_mark_is_no_text(self) -> None:
        recording = taken([b"data: hi\n\ndata: [DONE]\n\n"], FOREIGN, preset=Extractor(None))
        assert (recording.text, str(recording.outcome)) == ("hi", "complete")

    def test_where_no_preset_fits_a_note_says_what_to_give(self) -> None:
        (note,) = taken([SAY], FOREIGN).meta["notes"]
        assert note.startswith("no preset fits the events, so there is no text: ")
        assert "preset=sk.Extractor('path')" in note
        assert "--text PATH" in note

    def test_a_foreign_server_that_says_text_is_not_taken_for_our_relay(self) -> None:
        foreign = taken([b'event: message\ndata: {"text":"hi"}\n\n'], FOREIGN)
        assert (foreign.preset, foreign.text, str(foreign.outcome)) == (None, "", "complete")
        ours = taken([b'id: 1\ndata: {"text":"hi"}\n\n'], FOREIGN | {"x-stream-id": "s1"})
        assert (ours.preset, ours.text, str(ours.outcome)) == ("streamkit", "hi", "truncated")

    def test_the_head_tells_what_the_events_do_not(self) -> None:
        headers = FOREIGN | {"x-vercel-ai-ui-message-stream": "v1"}
        body = b'data: {"type":"text-delta","id":"0","delta":"hi"}\n\ndata: {"type":"finish"}\n\ndata: [DONE]\n\n'
        recording = taken([body], headers)
        assert (recording.preset, recording.text, str(recording.outcome)) == ("ai-sdk", "hi", "complete")

    @pytest.mark.parametrize("preset", [None, "anthropic"])
    def test_a_binary_event_stream_is_called_what_it_is(self, preset: str | None) -> None:
        headers = {"content-type": "application/vnd.amazon.eventstream", "transfer-encoding": "chunked"}
        recording = taken([b"\x00\x00\x00\xe0\x00\x00\x00K\xac\xf8"], headers, preset=preset)
        assert str(recording.outcome) == "error_event(binary_stream)"
        assert (recording.text, len(recording.events)) == ("", 0)
        assert recording.meta["notes"] == [unreadable("application/vnd.amazon.eventstream")]

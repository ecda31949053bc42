"""Bytes in, rows of events out, whatever the head says they are."""

from __future__ import annotations

import pytest

from streamkit.lab.client.recorder import Recorder
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
        assert "without preset= it is recorded as the text" in recording.meta["notes"][0]

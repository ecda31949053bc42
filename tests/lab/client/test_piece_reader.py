"""Text out of events: by the preset named, or by the one that they show."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import UnknownPreset
from streamkit.lab.client.recorder import Recorder
from streamkit.parser import encode_event
from streamkit.presets import preset
from tests.lab.client.answers import (
    CHAT,
    CHAT_DONE,
    CUT,
    DONE,
    HELLO,
    SEED,
    taken,
)


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

    @pytest.mark.parametrize(
        ("given", "events"), [("gemini", [CHAT, CHAT_DONE]), ("seed", [b"data: {}\n\n" * 3, CHAT])]
    )
    def test_a_preset_that_finds_nothing_where_another_would_is_noted(self, given: str, events: list[bytes]) -> None:
        notes = taken(events, preset=given).meta["notes"]
        assert f"these events look like openai's, not {given}'s: give preset='openai' (--preset openai)" in notes

    def test_where_the_preset_given_finds_something_no_other_is_named(self) -> None:
        for events in ([SEED, CHAT], [SEED]):
            assert not any("look like" in note for note in taken(events, preset="seed").meta["notes"])

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


PLAIN = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
NDJSON_PLAIN = {**PLAIN, "content-type": "application/x-ndjson"}
WORDS = [b"data: word%d \n\n" % number for number in range(4)]


class TestDataThatIsTheText:
    def test_it_is_guessed_after_a_few_words_and_nothing_is_lost(self) -> None:
        told: list[str] = []
        recording = taken([*WORDS, CHAT_DONE], PLAIN, on_piece=told.append)
        assert (recording.preset, str(recording.outcome)) == ("sse-text", "complete")
        assert recording.events.text == [*told, ""] == ["word0 ", "word1 ", "word2 ", "word3 ", ""]
        assert recording.summary().ttft_ms == (1_010 - 1_000) / 1e6

    @pytest.mark.parametrize("last", [CHAT_DONE, b"", b"event: status\ndata: over\n\n"])
    def test_of_fewer_words_the_end_tells(self, last: bytes) -> None:
        recording = taken([WORDS[0], last] if last else [WORDS[0]], PLAIN)
        assert (recording.preset, recording.text, str(recording.outcome)) == ("sse-text", "word0 ", "complete")

    def test_a_failure_behind_one_word_is_told_in_the_providers_words(self) -> None:
        recording = taken([WORDS[0], b"event: error\ndata: the GPU is gone\n\n"], PLAIN)
        assert "the GPU is gone" in str(recording.error)
        assert (recording.text, str(recording.outcome)) == ("word0 ", "error_event(error)")

    def test_what_is_cut_is_truncated(self) -> None:
        recording = taken(WORDS, PLAIN, failure=CUT)
        assert (recording.preset, recording.text) == ("sse-text", "word0 word1 word2 word3 ")
        assert str(recording.outcome) == "truncated"

    def test_numbers_quotations_and_json_among_the_words_are_text(self) -> None:
        recording = taken([b"data: 1\n\n", *WORDS[:3], b'data: "x"\n\n', b'data: {"choices": []}\n\n'], PLAIN)
        assert recording.text == '1word0 word1 word2 "x"{"choices": []}', "a guess does not change"

    def test_a_greeting_in_front_of_a_known_providers_events_is_no_text(self) -> None:
        recording = taken([b"data: connected\n\n", CHAT, CHAT_DONE], PLAIN)
        assert (recording.preset, recording.text) == ("openai", "hi")

    @pytest.mark.parametrize("reads", [[*WORDS[:2], b'data: {"say": "x"}\n\n', *WORDS], [b"data: 1\n\n"] * 9])
    def test_where_it_is_not_certain_nothing_is_guessed(self, reads: list[bytes]) -> None:
        recording = taken([*reads, CHAT_DONE], PLAIN)
        assert (recording.preset, recording.text) == (None, "")
        assert "sse-text, if the data itself is the text" in recording.meta["notes"][0]

    def test_lines_are_no_server_sent_events(self) -> None:
        recording = taken([b"some\n", b"words\n", b"more\n", b"and more\n"], NDJSON_PLAIN)
        assert (recording.preset, recording.text) == (None, "")

    @given(words=st.lists(st.text('a 1[{"\n', min_size=1, max_size=3), max_size=6), data=st.data())
    def test_any_cuts_give_the_same(self, words: list[str], data: st.DataObject) -> None:
        body = b"".join([*(encode_event(word) for word in words), CHAT_DONE])
        cuts = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=6)))
        reads = [body[start:stop] for start, stop in pairwise([0, *cuts, len(body)])]
        whole, cut = taken([body], PLAIN), taken(reads, PLAIN)
        assert (whole.preset, whole.events.text, whole.outcome) == (cut.preset, cut.events.text, cut.outcome)
        assert whole.text in ("", "".join(words))

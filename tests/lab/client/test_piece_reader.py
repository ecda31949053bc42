"""Text out of events: by the preset named, or by the one that they show."""

from __future__ import annotations

import pytest

from streamkit.errors import UnknownPreset
from streamkit.lab.client.recorder import Recorder
from streamkit.presets import preset
from tests.lab.client.answers import (
    CHAT,
    CHAT_DONE,
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

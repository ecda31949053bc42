"""A preset that was forgotten is recognised by what came."""

from __future__ import annotations

import pytest

from streamkit.parser import NDJSONParser, SSEParser
from streamkit.presets import misread, preset, writer

OPENAI = b"".join([*writer("openai").open(), writer("openai").piece("hi", 0)])


def test_whose_the_events_look_like_is_said_with_what_to_do() -> None:
    told = "these events look like openai's, not seed's: give preset='openai' (--preset openai)"
    assert misread(OPENAI, preset("seed")) == told
    assert misread(SSEParser().feed(OPENAI), preset("seed")) == told


def test_text_where_json_was_expected_is_recognised_unless_it_stands_in_lines() -> None:
    words = b"data: Tea\n\ndata: [DONE]\n\n"
    assert "look like sse-text's, not openai's" in str(misread(words, preset("openai")))
    assert misread(NDJSONParser().feed(b"Tea\n"), preset("ollama")) is None


def test_lines_of_json_are_recognised_where_events_were_expected() -> None:
    assert "look like ollama's" in str(misread(writer("ollama").piece("hi", 0), preset("seed")))


@pytest.mark.parametrize("seen", [OPENAI, b"", b"data: {}\n\n", b"<html>"])
def test_what_looks_like_the_one_given_or_like_nobody_is_not_told(seen: bytes) -> None:
    assert misread(seen, preset("groq")) is None

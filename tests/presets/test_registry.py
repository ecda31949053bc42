"""The presets by name, and guessed from a stream."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import ConfigError, UnknownPreset
from streamkit.extractor import Extractor
from streamkit.parser import ServerSentEvent, SSEParser
from streamkit.presets import (
    ALIASES,
    PRESETS,
    End,
    Piece,
    Preset,
    ProviderError,
    detect,
    preset,
    presets,
    writer,
)
from tests.presets.providers import COHERE, KINDS, VALUES, event

# --- names


def test_an_unknown_name_raises_and_lists_the_known_ones_closest_first() -> None:
    with pytest.raises(UnknownPreset, match=r"got 'opneai'; there are openai, (?=.*\bseed\b)(?=.*\bgroq\b)"):
        preset("opneai")
    nothing: Any = None
    with pytest.raises(UnknownPreset):
        preset(nothing)


def test_aliases_lead_to_the_preset_whose_language_they_speak() -> None:
    for alias, name in ALIASES.items():
        assert replace(preset(alias), name=name, ask=PRESETS[name].ask) == PRESETS[name]
        assert preset(alias).name == alias
    assert {"openrouter", "groq", "deepseek", "seed", "azure"} <= set(presets())
    assert {"zhipu", "zai", "moonshot", "minimax", "siliconflow", "volcengine", "qwen"} <= set(ALIASES)
    assert {"lmstudio", "llamacpp", "sglang", "litellm", "vllm"} <= set(ALIASES)


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_an_alias_has_no_default_model_and_says_at_once_that_it_needs_one(alias: str) -> None:
    with pytest.raises(ConfigError, match=f"a model that {alias} serves, got none: pass model="):
        preset(alias).request("hi")
    for asked in (preset(alias).request("hi", model="m"), preset(alias).request("hi", extra={"model": "m"})):
        assert json.loads(asked.content)["model"] == "m"


def test_of_an_extractor_a_preset_is_made_that_reads_only_text() -> None:
    made = preset(Extractor("body.say"))
    assert (made.name, made.has_end_marker) == ("extractor", False)
    assert made.read(event({"body": {"say": "hi"}})) == Piece("hi")
    assert made.read(event("[DONE]")) == End()
    assert made.read(event({"error": "busy"})) == ProviderError("busy", "busy")
    assert made == preset(Extractor("body.say"))
    with pytest.raises(ConfigError, match="write="):
        writer(Extractor("body.say"))


@pytest.mark.parametrize("path", ["choices[0].text", "body.say", "@data"])
def test_a_path_in_place_of_a_name_is_told_how_it_is_given(path: str) -> None:
    with pytest.raises(UnknownPreset, match=re.escape(f"give sk.Extractor({path!r})")):
        preset(path)


def test_a_writer_is_found_by_any_name_and_by_its_preset() -> None:
    for name in presets():
        assert writer(name) is writer(preset(name)) is writer(preset(name, reasoning=True)) is preset(name).write
    with pytest.raises(UnknownPreset):
        writer("nobody")
    with pytest.raises(ConfigError, match=r"write=Writer\(…\)\), got <Preset mine, sse>"):
        writer(Preset(name="mine", text="say"))


# --- detect


def test_detect_takes_events_bytes_and_chunks_of_bytes() -> None:
    body = COHERE.encode()
    assert detect(SSEParser().feed(body)) == "cohere"
    assert detect([body[:50], body[50:200], body[200:]]) == "cohere"
    assert detect(body[:150]) == "cohere"


@pytest.mark.parametrize(
    "unsure",
    [
        b"",
        b"data: 1\n\n",
        b'data: "hello"\n\n',
        b"hello\n",
        b"data: {}\n\n",
        b'{"a": 1}\n',
        b"\xff\x00",
        b"<html>",
        b"data: [DONE]\n\n",
        [],
    ],
)
def test_detect_says_none_when_nothing_tells(unsure: Any) -> None:
    assert detect(unsure) is None


def test_detect_looks_at_the_beginning_only() -> None:
    assert detect([event("{}")] * 40 + [event({"candidates": []})]) is None
    assert detect(b"data: " + b"x" * (1 << 21)) is None


@given(st.lists(st.builds(ServerSentEvent, KINDS, VALUES.map(json.dumps) | st.text()), max_size=4) | st.binary())
def test_detect_never_raises(events: Any) -> None:
    assert detect(events) in {None, *PRESETS}

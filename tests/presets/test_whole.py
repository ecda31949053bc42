"""Whole answers: what providers say where no stream is asked for, read as one piece with its finish reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamkit.extractor import Piece
from streamkit.extractor.pieces import End, ProviderError
from streamkit.parser import ServerSentEvent
from streamkit.presets import detect, preset
from streamkit.presets.whole import detect_whole, whole_of

ANSWERS: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "chat completion": (
        "openai",
        {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "length"}],
        },
        "length",
    ),
    "completion": ("openai", {"choices": [{"index": 0, "text": "hi", "finish_reason": "stop"}]}, "stop"),
    "response": (
        "openai-responses",
        {
            "object": "response",
            "status": "completed",
            "output": [{"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
        },
        "completed",
    ),
    "message": (
        "anthropic",
        {
            "type": "message",
            "content": [{"type": "text", "text": "hi"}, {"type": "tool_use"}],
            "stop_reason": "max_tokens",
        },
        "max_tokens",
    ),
    "gemini": ("gemini", {"candidates": [{"content": {"parts": [{"text": "hi"}]}}], "modelVersion": "g"}, None),
    "ollama": ("ollama", {"model": "m", "message": {"content": "hi"}, "done": True, "done_reason": "stop"}, "stop"),
    "cohere": (
        "cohere",
        {"message": {"content": [{"type": "text", "text": "hi"}]}, "finish_reason": "COMPLETE"},
        "COMPLETE",
    ),
    "dashscope": ("dashscope", {"output": {"text": "hi", "finish_reason": "stop"}, "request_id": "1"}, "stop"),
    "text generation inference": (
        "huggingface",
        {"generated_text": "hi", "details": {"finish_reason": "length"}},
        "length",
    ),
}


@pytest.mark.parametrize(("name", "answer", "reason"), ANSWERS.values(), ids=ANSWERS)
def test_a_whole_answer_is_one_piece_with_its_reason(name: str, answer: dict[str, Any], reason: str | None) -> None:
    result = whole_of(preset(name)).read(ServerSentEvent(data=json.dumps(answer)))
    assert isinstance(result, Piece)
    assert (result.text, None if result.end is None else result.end.reason) == ("hi", reason)


@pytest.mark.parametrize("which", ANSWERS)
def test_whose_it_is_shows_in_its_shape(which: str) -> None:
    name, answer, _ = ANSWERS[which]
    event = ServerSentEvent(data=json.dumps(answer))
    assert (detect([event]) or detect_whole(event)) == name.removesuffix("-responses")


def test_those_who_speak_another_ones_language_are_read() -> None:
    mine = whole_of(preset("mistral"))
    assert mine.read(ServerSentEvent(data=json.dumps(ANSWERS["message"][1]))) == Piece("hi", "", End("max_tokens"))


def test_thinking_is_reasoning_and_shown_where_it_is_asked_for() -> None:
    answer = {"choices": [{"message": {"reasoning_content": "hm", "content": "hi"}, "finish_reason": "stop"}]}
    event = ServerSentEvent(data=json.dumps(answer))
    assert whole_of(preset("deepseek", reasoning=True)).read(event) == Piece("hi", "hm", End("stop", conclusive=False))
    assert whole_of(preset("deepseek")).read(event) == Piece("hi", "", End("stop", conclusive=False))


def test_an_error_is_one_by_its_code() -> None:
    event = ServerSentEvent(data='{"error": {"code": "busy"}}')
    assert whole_of(preset("anthropic")).read(event) == ProviderError("busy", event.data)
    assert detect_whole(event) == "openai"


@pytest.mark.parametrize("data", ['{"result": 5, "error": null}', "{}", "[1]", "no JSON", '{"text": "hi"}'])
def test_other_documents_are_nobodys(data: str) -> None:
    assert detect_whole(ServerSentEvent(data=data)) is None

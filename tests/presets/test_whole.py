"""Whole answers: what providers say where no stream is asked for, read as one piece with its finish reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamkit.extractor.pieces import ProviderError
from streamkit.parser import ServerSentEvent
from streamkit.presets import Answer, detect, preset

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
    "gemini": (
        "gemini",
        {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}], "modelVersion": "g"},
        "STOP",
    ),
    "ollama": ("ollama", {"model": "m", "message": {"content": "hi"}, "done": True, "done_reason": "stop"}, "stop"),
    "dashscope": ("dashscope", {"output": {"text": "hi", "finish_reason": "stop"}, "request_id": "1"}, "stop"),
    "text generation inference": (
        "huggingface",
        {"generated_text": "hi", "details": {"finish_reason": "length"}},
        "length",
    ),
}


@pytest.mark.parametrize(("name", "answer", "reason"), ANSWERS.values(), ids=ANSWERS)
def test_a_whole_answer_is_one_piece_with_its_reason(name: str, answer: dict[str, Any], reason: str | None) -> None:
    read = Answer(preset(name))
    (piece,) = read.read([ServerSentEvent(data=json.dumps(answer))])
    assert (piece.text, read.finish_reason, read.problem_at_end(clean=True)) == ("hi", reason, None)


@pytest.mark.parametrize("which", ANSWERS)
def test_whose_it_is_shows_in_its_shape(which: str) -> None:
    name, answer, _ = ANSWERS[which]
    assert detect([ServerSentEvent(data=json.dumps(answer))]) == name.removesuffix("-responses")


@pytest.mark.parametrize("error", ['{"code": "busy"}', '"busy"'])
def test_an_error_alone_is_in_openais_shape_as_everybodys_is(error: str) -> None:
    event = ServerSentEvent(data=f'{{"error": {error}}}')
    assert detect([event]) == "openai"
    result = preset("openai").read(event)
    assert isinstance(result, ProviderError)
    assert result.code == "busy"


@pytest.mark.parametrize(
    "data", ['{"result": 5, "error": null}', '{"error": false}', '{"error": ""}', "{}", "[1]", "7", '{"a": "hi"}']
)
def test_other_documents_are_nobodys(data: str) -> None:
    assert detect([ServerSentEvent(data=data)]) is None

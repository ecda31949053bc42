"""What a tool call looks like, in the events of each provider; and what does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamkit.parser import ServerSentEvent
from streamkit.presets.tools import carries_tool_call

CALL = {"index": 0, "function": {"name": "f", "arguments": "{"}}


@pytest.mark.parametrize(
    "data",
    [
        {"choices": [{"index": 0, "delta": {"tool_calls": [CALL]}}]},
        {"choices": [{"index": 0, "delta": {"content": None, "tool_calls": [CALL]}}]},
        {"choices": [{"index": 0, "delta": {"function_call": {"arguments": "{"}}}]},
        {"message": {"role": "assistant", "content": "", "tool_calls": [CALL]}, "done": False},
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]}}]},
        {"output": {"choices": [{"message": {"content": "", "tool_calls": [CALL]}}]}},
        {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "f"}},
        {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{"}},
        {"type": "response.function_call_arguments.delta", "delta": "{"},
        {"type": "response.output_item.added", "item": {"type": "function_call"}},
        {"type": "tool-call-delta", "delta": {"message": {"tool_calls": {"function": {"arguments": "{"}}}}},
        {"type": "tool-input-delta", "inputTextDelta": "{"},
        {"type": "TOOL_CALL_ARGS", "delta": "{"},
    ],
    ids=json.dumps,
)
def test_a_part_of_a_tool_call_is_one(data: dict[str, Any]) -> None:
    assert carries_tool_call(ServerSentEvent(data=json.dumps(data)))


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"choices": [{"index": 0, "delta": {"role": "assistant", "tool_calls": None}}]}),
        json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": []}}]}),
        json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
        json.dumps({"type": "tool", "note": "a tool"}),
        "tool_calls, and no JSON",
        "[DONE]",
        "",
    ],
)
def test_an_empty_one_and_other_events_are_none(data: str) -> None:
    assert not carries_tool_call(ServerSentEvent(data=data))

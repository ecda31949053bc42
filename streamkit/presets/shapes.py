"""The JSON objects of OpenAI's and Anthropic's APIs, whole: each field that their own SDKs count on.

    chat_completion("hi", 1)["choices"][0]["message"]["content"]       # 'hi'

Their helpers (`messages.stream()`, `responses.stream()`, `chat.completions.stream()`) put an answer together out of
events, and trip over one that lacks an id, a number or its usage. References: the types in the packages `openai` and
`anthropic`. Everything is deterministic, times and ids included; a piece of text counts as one token.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

__all__ = [
    "Shape",
    "anthropic_models",
    "chat_chunk",
    "chat_completion",
    "chat_usage",
    "chat_usage_chunk",
    "message",
    "openai_models",
    "output_message",
    "output_text",
    "response",
]

Shape: TypeAlias = dict[str, Any]

MODEL: Final = "script"
CREATED: Final = 1_700_000_000
CREATED_AT: Final = "2023-11-14T22:13:20Z"  # the same moment, as Anthropic says it
ASKED_TOKENS: Final = 9


# --- Chat completions: https://platform.openai.com/docs/api-reference/chat


def _chat(kind: str, choices: list[Shape]) -> Shape:
    return {"id": "chatcmpl-script", "object": kind, "created": CREATED, "model": MODEL, "choices": choices}


def chat_chunk(delta: Shape, finish_reason: str | None = None) -> Shape:
    """One event of a stream: the `chat.completion.chunk` object."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _chat("chat.completion.chunk", [choice])


def chat_usage(pieces: int) -> Shape:
    """What an answer of so many pieces cost: the `usage` of a completion."""
    return {"prompt_tokens": ASKED_TOKENS, "completion_tokens": pieces, "total_tokens": ASKED_TOKENS + pieces}


def chat_usage_chunk(pieces: int) -> Shape:
    """The event without choices that tells the usage, where `stream_options` asks for it."""
    return _chat("chat.completion.chunk", []) | {"usage": chat_usage(pieces)}


def chat_completion(text: str, pieces: int) -> Shape:
    """The whole answer in one: the `chat.completion` object."""
    said: Shape = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": "stop"}
    return _chat("chat.completion", [choice]) | {"usage": chat_usage(pieces)}


# --- Responses: https://platform.openai.com/docs/api-reference/responses


def output_text(text: str) -> Shape:
    """The part of an output message that is text."""
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def output_message(status: str, content: list[Shape]) -> Shape:
    """The one output item of a scripted response."""
    return {"id": "msg_script", "type": "message", "status": status, "role": "assistant", "content": content}


def response(status: str, output: list[Shape], *, pieces: int | None = None, error: Shape | None = None) -> Shape:
    """The `response` object; with its usage when it is complete, of so many pieces."""
    usage = None if pieces is None else _response_usage(pieces)
    return {
        "id": "resp_script",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": error,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": MODEL,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": None,
    }


def _response_usage(pieces: int) -> Shape:
    return {
        "input_tokens": ASKED_TOKENS,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": pieces,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": ASKED_TOKENS + pieces,
    }


# --- Messages: https://docs.anthropic.com/en/api/messages


def message(content: list[Shape], stop_reason: str | None, pieces: int) -> Shape:
    """The `message` object: as it starts (no content, no reason), or whole."""
    return {
        "id": "msg_script",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": ASKED_TOKENS,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": pieces,
        },
    }


# --- The lists of models: GET /v1/models


def openai_models() -> Shape:
    """The list of models in the shape that OpenAI and most others have."""
    return {
        "object": "list",
        "data": [{"id": MODEL, "object": "model", "created": CREATED, "owned_by": "streamkit"}],
    }


def anthropic_models() -> Shape:
    """The list of models as Anthropic has it: a page, with where it begins and ends."""
    one = {"type": "model", "id": MODEL, "display_name": "Script", "created_at": CREATED_AT, "lifecycle": "active"}
    return {"data": [one], "has_more": False, "first_id": MODEL, "last_id": MODEL}

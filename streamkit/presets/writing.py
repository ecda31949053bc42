"""How each provider writes its stream: the inverse of reading it, for upstreams that follow a script.

    form = preset("openai").write             # or writer("openai")
    [*form.open(), form.piece("你", 0), form.piece("好", 1), *form.close(2, "你好")]     # one event per item
    form.one("你好", 2)                       # the same where no stream is asked for: one JSON object

The quirks are the providers' own: Gemini's CRLF, DashScope's and Coze's missing space, Replicate's text on several
data lines, OpenRouter's comments. Everything is deterministic, times and ids included. What OpenAI's and Anthropic's
own SDKs count on is whole (`shapes`): their helpers put the answer together again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from streamkit.errors import EncodeError
from streamkit.presets import shapes
from streamkit.presets.asked import if_wanted, unless_declined
from streamkit.presets.shapes import Shape
from streamkit.presets.writer import DONE_EVENT, NDJSON_TYPE, Writer, json_line, json_text, sse_event

__all__ = [
    "ANTHROPIC",
    "AZURE",
    "COHERE",
    "COZE",
    "DASHSCOPE",
    "GEMINI",
    "HUGGINGFACE",
    "MISTRAL",
    "OLLAMA",
    "OPENAI",
    "OPENAI_RESPONSES",
    "REPLICATE",
    "SEED",
    "SSE_TEXT",
    "STREAMKIT",
    "STREAMKIT_NDJSON",
    "WATSONX",
]


def _typed(kind: str, **fields: Any) -> bytes:
    """An event whose data repeat its type."""
    return sse_event({"type": kind, **fields}, event=kind)


# --- the source article: a chat message's JSON, as a string inside of JSON; no end marker


def _seed_piece(text: str, _: int) -> bytes:
    message = {"MessageBody": {"DirectMessageBody": {"SentenceList": [{"Content": text}]}}}
    return sse_event({"data": [{"value": json_text(message)}]})


SEED = Writer(name="seed", piece_event=_seed_piece)


# --- OpenAI's two, and those who speak the first


def _chunk(delta: Shape, finish_reason: str | None = None, **fields: Any) -> bytes:
    return sse_event({**shapes.chat_chunk(delta, finish_reason), **fields})


def _openai_error(code: str) -> bytes:
    return sse_event({"error": {"message": "scripted error", "type": "server_error", "param": None, "code": code}})


OPENAI = Writer(
    name="openai",
    opening=(_chunk({"role": "assistant", "content": "", "refusal": None}),),
    piece_event=lambda text, _: _chunk({"content": text}),
    closing=lambda _: [_chunk({}, "stop"), DONE_EVENT],
    usage_event=lambda index: sse_event(shapes.chat_usage_chunk(index)),
    error_event=_openai_error,
    unstreamed=shapes.chat_completion,
    streams_where=if_wanted,
)

_FILTERED = {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
AZURE = replace(
    OPENAI,
    name="azure",
    opening=(sse_event({"choices": [], "id": "", "object": "", "prompt_filter_results": [_FILTERED]}), *OPENAI.open()),
)


_RESPONSES_OPENING = 4


def _responses(number: int, kind: str, **fields: Any) -> bytes:
    """Event `number` of the stream."""
    return _typed(kind, **fields, sequence_number=number)


def _output(number: int, kind: str, **fields: Any) -> bytes:
    """Event `number`, about the one text that there is."""
    return _responses(number, kind, item_id="msg_script", output_index=0, content_index=0, **fields)


def _responses_recap(text: str, index: int) -> list[bytes]:
    number = _RESPONSES_OPENING + index
    part = shapes.output_text(text)
    item = shapes.output_message("completed", [part])
    done = shapes.response("completed", [item], pieces=index)
    return [
        _output(number, "response.output_text.done", text=text, logprobs=[]),
        _output(number + 1, "response.content_part.done", part=part),
        _responses(number + 2, "response.output_item.done", output_index=0, item=item),
        _responses(number + 3, "response.completed", response=done),
    ]


OPENAI_RESPONSES = Writer(
    name="openai-responses",
    opening=(
        _responses(0, "response.created", response=shapes.response("in_progress", [])),
        _responses(1, "response.in_progress", response=shapes.response("in_progress", [])),
        _responses(2, "response.output_item.added", output_index=0, item=shapes.output_message("in_progress", [])),
        _output(3, "response.content_part.added", part=shapes.output_text("")),
    ),
    piece_event=lambda text, index: _output(
        _RESPONSES_OPENING + index, "response.output_text.delta", delta=text, logprobs=[]
    ),
    recap=_responses_recap,
    error_event=lambda code: _responses(
        _RESPONSES_OPENING,  # as before the first piece: how many have come is not said
        "response.failed",
        response=shapes.response("failed", [], error={"code": code, "message": "scripted error"}),
    ),
    unstreamed=lambda text, index: shapes.response(
        "completed", [shapes.output_message("completed", [shapes.output_text(text)])], pieces=index
    ),
    streams_where=if_wanted,
)

MISTRAL = Writer(
    name="mistral",
    opening=(_chunk({"role": "assistant", "content": ""}, p="abcdefgh"),),
    piece_event=lambda text, index: _chunk({"content": text}, p="abcdefghijklmnopqrstuvwxyz"[: 1 + index % 26]),
    closing=lambda index: [_chunk({"content": ""}, "stop", usage=shapes.chat_usage(index), p="abcd"), DONE_EVENT],
    error_event=lambda code: sse_event(
        {"object": "error", "message": "scripted error", "error": {"type": "error", "code": code}}
    ),
    unstreamed=shapes.chat_completion,
    streams_where=if_wanted,
)


# --- Anthropic


ANTHROPIC = Writer(
    name="anthropic",
    opening=(
        _typed("message_start", message=shapes.message([], None, 1)),
        _typed("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        _typed("ping"),
    ),
    piece_event=lambda text, _: _typed("content_block_delta", index=0, delta={"type": "text_delta", "text": text}),
    closing=lambda index: [
        _typed("content_block_stop", index=0),
        _typed(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": index},
        ),
        _typed("message_stop"),
    ],
    error_event=lambda code: _typed("error", error={"type": code, "message": "scripted error"}),
    unstreamed=lambda text, index: shapes.message([{"type": "text", "text": text}], "end_turn", index),
    streams_where=if_wanted,
    models=shapes.anthropic_models,
)


# --- Gemini: CRLF, spaces in its JSON, no end marker


def _gemini(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ": "))
    return sse_event(text, end="\r\n")


def _candidate(text: str, **fields: Any) -> dict[str, Any]:
    content = {"parts": [{"text": text}], "role": "model"}
    return {"candidates": [{"content": content, "index": 0, **fields}], "modelVersion": "script"}


GEMINI = Writer(
    name="gemini",
    content_type="text/event-stream",
    piece_event=lambda text, _: _gemini(_candidate(text)),
    closing=lambda _: [_gemini(_candidate("", finishReason="STOP"))],
    error_event=lambda code: _gemini({"error": {"code": 503, "message": "scripted error", "status": code}}),
    unstreamed=lambda text, _: _candidate(text, finishReason="STOP"),
    streams_where=lambda asked: not asked.path.endswith(":generateContent"),
)


# --- Ollama: one JSON value per line


def _ollama(text: str, **fields: Any) -> Shape:
    head = {"model": "script", "created_at": "2024-01-01T00:00:00Z"}
    return {**head, "message": {"role": "assistant", "content": text}, **({"done": False} | fields)}


def _ollama_last(text: str, index: int) -> Shape:
    return _ollama(text, done=True, done_reason="stop", total_duration=1, eval_count=index)


OLLAMA = Writer(
    name="ollama",
    content_type=NDJSON_TYPE,
    piece_event=lambda text, _: json_line(_ollama(text)),
    closing=lambda index: [json_line(_ollama_last("", index))],
    error_event=lambda code: json_line({"error": code}),
    unstreamed=_ollama_last,
)


# --- Cohere: two end markers


COHERE = Writer(
    name="cohere",
    opening=(
        _typed("message-start", id="script", delta={"message": {"role": "assistant", "content": []}}),
        _typed("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}}),
    ),
    piece_event=lambda text, _: _typed("content-delta", index=0, delta={"message": {"content": {"text": text}}}),
    closing=lambda _: [
        _typed("content-end", index=0),
        _typed("message-end", delta={"finish_reason": "COMPLETE"}),
        DONE_EVENT,
    ],
    unstreamed=lambda text, _: {
        "id": "script",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
    },
    streams_where=if_wanted,
)


# --- DashScope: no space after the colon, a comment with the status, the end within the last event


def _dashscope(value: Mapping[str, Any], index: int, event: str = "result", status: int = 200) -> bytes:
    data = json_text({**value, "request_id": "script"})
    return f"id:{index + 1}\nevent:{event}\n:HTTP_STATUS/{status}\ndata:{data}\n\n".encode()


DASHSCOPE = Writer(
    name="dashscope",
    content_type="text/event-stream;charset=UTF-8",
    piece_event=lambda text, index: _dashscope({"output": {"finish_reason": "null", "text": text}}, index),
    closing=lambda index: [_dashscope({"output": {"finish_reason": "stop", "text": ""}}, index)],
    error_event=lambda code: _dashscope({"code": code, "message": "scripted error"}, 0, "error", 400),
    unstreamed=lambda text, _: {"output": {"finish_reason": "stop", "text": text}, "request_id": "script"},
    streams_where=lambda asked: "model" not in asked.body or asked.headers.get("x-dashscope-sse") == "enable",
)


# --- Replicate: the data is the text itself


def _replicate_piece(text: str, index: int) -> bytes:
    if "\r" in text:
        raise EncodeError(f"expected text without CR, which event data cannot carry, got {text[:40]!r}")
    return sse_event(text, event="output", id=f"1700000000:{index}")


REPLICATE = Writer(
    name="replicate",
    content_type="text/event-stream",
    opening=(b": hi\n\n",),
    piece_event=_replicate_piece,
    closing=lambda index: [sse_event("{}", event="done", id=f"1700000000:{index}")],
    error_event=lambda code: sse_event({"code": code, "detail": "scripted error"}, event="error"),
)


# --- nobody's in particular: the data is the text itself, and `[DONE]` may end it


def _sse_text_piece(text: str, _: int) -> bytes:
    if "\r" in text or text == "[DONE]":
        raise EncodeError(f"expected text without CR, and other than [DONE], which is the end, got {text[:40]!r}")
    return sse_event(text)


SSE_TEXT = Writer(
    name="sse-text",
    piece_event=_sse_text_piece,
    closing=lambda _: [DONE_EVENT],
    error_event=lambda code: sse_event({"code": code, "message": "scripted error"}, event="error"),
)


# --- Coze: no space after the colon, and a last block that no blank line ends, so that the grammar drops it


def _coze(kind: str, value: Mapping[str, Any]) -> bytes:
    return sse_event({"id": "1", "conversation_id": "2", **value}, event=kind, colon=":")


def _coze_chat(kind: str, code: int | str = 0) -> bytes:
    state = kind.rpartition(".")[2]
    return _coze(kind, {"status": state, "last_error": {"code": code, "msg": "scripted error" if code else ""}})


def _coze_message(kind: str, text: str) -> bytes:
    return _coze(kind, {"role": "assistant", "type": "answer", "content": text, "content_type": "text"})


COZE = Writer(
    name="coze",
    content_type="text/event-stream",
    opening=(_coze_chat("conversation.chat.created"), _coze_chat("conversation.chat.in_progress")),
    piece_event=lambda text, _: _coze_message("conversation.message.delta", text),
    recap=lambda text, _: [_coze_message("conversation.message.completed", text)],
    closing=lambda _: [
        _coze_chat("conversation.chat.completed"),
        b'event:done\ndata:"[DONE]"',
    ],
    error_event=lambda code: _coze_chat("conversation.chat.failed", int(code) if code.isdecimal() else code),
)


# --- watsonx: no end marker


def _watsonx_results(text: str, index: int, stop_reason: str) -> Shape:
    result = {"generated_text": text, "generated_token_count": index + 1, "stop_reason": stop_reason}
    return {"model_id": "script", "results": [result]}


def _watsonx(text: str, index: int, stop_reason: str) -> bytes:
    return sse_event(_watsonx_results(text, index, stop_reason), event="message", id=str(index + 1))


WATSONX = Writer(
    name="watsonx",
    opening=(b"id: 0\nevent: message\n\n",),
    piece_event=lambda text, index: _watsonx(text, index, "not_finished"),
    closing=lambda index: [_watsonx("", index, "eos_token")],
    error_event=lambda code: sse_event(
        {"errors": [{"code": code, "message": "scripted error"}], "trace": "script"}, event="error"
    ),
    unstreamed=lambda text, index: _watsonx_results(text, index, "eos_token"),
    streams_where=lambda asked: not asked.path.endswith("/generation"),
)


# --- Text Generation Inference: the last token, a special one, brings the whole text again


def _huggingface(text: str, index: int, whole: str | None = None) -> bytes:
    token = {"id": index, "text": text, "logprob": -0.1, "special": whole is not None}
    details = None if whole is None else {"finish_reason": "eos_token", "generated_tokens": index}
    return sse_event({"index": index, "token": token, "generated_text": whole, "details": details}, colon=":")


HUGGINGFACE = Writer(
    name="huggingface",
    content_type="text/event-stream",
    piece_event=_huggingface,
    recap=lambda text, index: [_huggingface("</s>", index, text)],
    error_event=lambda code: sse_event({"error": "scripted error", "error_type": code}, colon=":"),
    unstreamed=lambda text, _: {"generated_text": text},
    streams_where=lambda asked: unless_declined(asked) and not asked.path.endswith("/generate"),
)


# --- our own relay, in both of its grammars

STREAMKIT = Writer(
    name="streamkit",
    piece_event=lambda text, index: sse_event({"text": text}, id=str(index + 1)),
    closing=lambda index: [sse_event({"outcome": "complete", "pieces": index}, event="done")],
    error_event=lambda code: sse_event({"code": code, "outcome": f"error_event({code})"}, event="error"),
)
STREAMKIT_NDJSON = Writer(
    name="streamkit-ndjson",
    content_type=NDJSON_TYPE,
    piece_event=lambda text, _: json_line({"text": text}),
    closing=lambda index: [json_line({"done": {"outcome": "complete", "pieces": index}})],
    error_event=lambda code: json_line({"error": {"code": code, "outcome": f"error_event({code})"}}),
)

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import orjson

from streamkit.errors import EncodeError
from streamkit.presets import shapes
from streamkit.presets.asked import Asked, if_wanted, unless_declined
from streamkit.presets.shapes import Shape

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
    "STREAMKIT",
    "STREAMKIT_NDJSON",
    "WATSONX",
    "Writer",
    "json_event",
    "remember",
]

SSE_TYPE = "text/event-stream; charset=utf-8"
NDJSON_TYPE = "application/x-ndjson"

Build: TypeAlias = Callable[[str, int], bytes]
Close: TypeAlias = Callable[[int], list[bytes]]


@dataclass(frozen=True, kw_only=True, repr=False)
class Writer:
    """How a provider writes. Every bytes object is one whole event (or one comment).

        >>> sk.preset("anthropic").write.close()[-1]
        b'event: message_stop\\ndata: {"type":"message_stop"}\\n\\n'

    - `piece_event` makes the event that carries a text, given that and its number (from 0).
    - `opening` stands before the first piece, `closing` makes what stands behind the last, given their number.
    - `recap` makes what stands between these and tells the whole text again, given it and the number of pieces.
    - `usage_event` stands before the last of `closing` where the request asks for usage, given the number of pieces.
    - `error_event` makes the event that reports an error, given its code.
    - `content_type` is the media type of the answer.
    - `unstreamed` makes the JSON object that answers where no stream is asked for, given the whole text and the number
      of pieces; `streams_where` says whether one is. Without an `unstreamed` there is always a stream.
    - `models` makes the answer to `GET /v1/models`.
    - `cumulative`: each event repeats all the text before it, so that this is what `piece_event` is given.

    With it, a provider of one's own can be scripted:

        >>> from streamkit.presets import Writer
        >>> write = Writer(name="mine", piece_event=lambda text, number: sk.encode_event(text))
        >>> sk.Script(["hi"], preset=sk.Preset(name="mine", text="@data", write=write)).expected_text
        'hi'
    """

    name: str
    piece_event: Build
    opening: tuple[bytes, ...] = ()
    closing: Close = lambda _: []
    recap: Callable[[str, int], list[bytes]] | None = None
    usage_event: Callable[[int], bytes] | None = None
    error_event: Callable[[str], bytes] | None = None
    content_type: str = SSE_TYPE
    unstreamed: Callable[[str, int], Shape] | None = None
    streams_where: Callable[[Asked], bool] = unless_declined
    models: Callable[[], Shape] = shapes.openai_models
    cumulative: bool = False

    def open(self) -> list[bytes]:
        """What stands before the first piece: role chunks, `message_start`, comments; none of it carries text."""
        return list(self.opening)

    def piece(self, text: str, index: int) -> bytes:
        """The event that carries `text` as piece number `index` (from 0).

        Raises EncodeError for what this format cannot carry: half a surrogate pair anywhere, a CR in Replicate's
        plain-text data (the grammar reads it as a line end), an empty text (no provider sends one as a piece).
        """
        if not text:
            raise EncodeError("expected text in a piece, got ''")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise EncodeError(f"expected text that UTF-8 can carry, got {text[:40]!r}") from None
        return self.piece_event(text, index)

    def close(self, index: int = 0, text: str = "", *, usage: bool = False) -> list[bytes]:
        """The finish events and the end marker, behind `index` pieces that make `text` (of which only a `recap` makes
        use); with `usage` what it cost, where this provider tells that on request.
        """
        events = [*(self.recap(text, index) if self.recap else ()), *self.closing(index)]
        if usage and self.usage_event is not None:
            events.insert(-1, self.usage_event(index))
        return events

    def streams(self, asked: Asked) -> bool:
        """Whether it answers this request with a stream, or `one` JSON object."""
        return self.unstreamed is None or self.streams_where(asked)

    def one(self, text: str, index: int) -> bytes:
        """The answer without a stream: the JSON object that says all `text`, of `index` pieces, at once.

            >>> sk.preset("ollama").write.one("hi", 1)[:59]
            b'{"model":"script","created_at":"2024-01-01T00:00:00Z","mess'

        Raises EncodeError where this provider has none.
        """
        if self.unstreamed is None:
            raise EncodeError(f"expected a provider that answers without a stream, got {self.name!r}")
        return orjson.dumps(self.unstreamed(text, index))

    def error(self, code: str) -> bytes:
        """The event by which this provider reports an error in mid-stream; `code` is a word of its own, or a number.

        Without an `error_event`, one that any preset understands that knows `COMMON_ERRORS`.
        """
        if self.error_event is not None:
            return self.error_event(code)
        error = {"error": {"code": code, "message": "scripted error"}}
        return _line(error) if self.is_ndjson else _sse(error, event="error")

    @property
    def is_ndjson(self) -> bool:
        """Its events are lines of JSON, and not Server-Sent Events."""
        return self.content_type == NDJSON_TYPE

    def heartbeat(self, *, as_event: bool = False) -> bytes:
        """What says that the provider lives and nothing else: a comment, or a `ping` event; in NDJSON a blank line."""
        if self.is_ndjson:
            return b"\n"
        return _sse({"type": "ping"}, event="ping") if as_event else b": ping\n\n"

    def __repr__(self) -> str:
        return f"<Writer {self.name}, {self.content_type}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        # Those of the known providers are made of lambdas, which pickle cannot carry: they go by name.
        return (_known, (self.name,)) if _KNOWN.get(self.name) is self else super().__reduce__()


_KNOWN: dict[str, Writer] = {}


def _known(name: str) -> Writer:
    return _KNOWN[name]


def remember(*writers: Writer) -> None:
    """These go by their names into other processes, which remember the same ones."""
    _KNOWN.update({one.name: one for one in writers})


def _dumps(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


def _sse(data: str | Mapping[str, Any], *, event: str = "", id: str = "", colon: str = ": ", end: str = "\n") -> bytes:  # noqa: A002  # the field's name
    """One event, its fields in the order in which most providers send them."""
    text = data if isinstance(data, str) else _dumps(data)
    fields = [f"event{colon}{event}"] if event else []
    fields += [f"id{colon}{id}"] if id else []
    fields += [f"data{colon}{line}" for line in text.split("\n")]
    return (end.join(fields) + end * 2).encode()


def json_event(value: Any, *, event: str = "", end: str = "\n") -> bytes:
    """One Server-Sent Event whose data is this JSON value; `end` ends its lines."""
    return _sse(orjson.dumps(value).decode(), event=event, end=end)


def _line(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value) + b"\n"


def _typed(kind: str, **fields: Any) -> bytes:
    """An event whose data repeat its type."""
    return _sse({"type": kind, **fields}, event=kind)


_DONE = _sse("[DONE]")


# --- the source article: a chat message's JSON, as a string inside of JSON; no end marker


def _seed_piece(text: str, _: int) -> bytes:
    message = {"MessageBody": {"DirectMessageBody": {"SentenceList": [{"Content": text}]}}}
    return _sse({"data": [{"value": _dumps(message)}]})


SEED = Writer(name="seed", piece_event=_seed_piece)


# --- OpenAI's two, and those who speak the first


def _chunk(delta: Shape, finish_reason: str | None = None, **fields: Any) -> bytes:
    return _sse({**shapes.chat_chunk(delta, finish_reason), **fields})


def _openai_error(code: str) -> bytes:
    return _sse({"error": {"message": "scripted error", "type": "server_error", "param": None, "code": code}})


OPENAI = Writer(
    name="openai",
    opening=(_chunk({"role": "assistant", "content": "", "refusal": None}),),
    piece_event=lambda text, _: _chunk({"content": text}),
    closing=lambda _: [_chunk({}, "stop"), _DONE],
    usage_event=lambda index: _sse(shapes.chat_usage_chunk(index)),
    error_event=_openai_error,
    unstreamed=shapes.chat_completion,
    streams_where=if_wanted,
)

_FILTERED = {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
AZURE = replace(
    OPENAI,
    name="azure",
    opening=(_sse({"choices": [], "id": "", "object": "", "prompt_filter_results": [_FILTERED]}), *OPENAI.open()),
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
    closing=lambda index: [_chunk({"content": ""}, "stop", usage=shapes.chat_usage(index), p="abcd"), _DONE],
    error_event=lambda code: _sse(
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
    return _sse(text, end="\r\n")


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
    piece_event=lambda text, _: _line(_ollama(text)),
    closing=lambda index: [_line(_ollama_last("", index))],
    error_event=lambda code: _line({"error": code}),
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
        _DONE,
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
    data = _dumps({**value, "request_id": "script"})
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
    return _sse(text, event="output", id=f"1700000000:{index}")


REPLICATE = Writer(
    name="replicate",
    content_type="text/event-stream",
    opening=(b": hi\n\n",),
    piece_event=_replicate_piece,
    closing=lambda index: [_sse("{}", event="done", id=f"1700000000:{index}")],
    error_event=lambda code: _sse({"code": code, "detail": "scripted error"}, event="error"),
)


# --- Coze: no space after the colon, and a last block that no blank line ends, so that the grammar drops it


def _coze(kind: str, value: Mapping[str, Any]) -> bytes:
    return _sse({"id": "1", "conversation_id": "2", **value}, event=kind, colon=":")


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
    return _sse(_watsonx_results(text, index, stop_reason), event="message", id=str(index + 1))


WATSONX = Writer(
    name="watsonx",
    opening=(b"id: 0\nevent: message\n\n",),
    piece_event=lambda text, index: _watsonx(text, index, "not_finished"),
    closing=lambda index: [_watsonx("", index, "eos_token")],
    error_event=lambda code: _sse(
        {"errors": [{"code": code, "message": "scripted error"}], "trace": "script"}, event="error"
    ),
    unstreamed=lambda text, index: _watsonx_results(text, index, "eos_token"),
    streams_where=lambda asked: not asked.path.endswith("/generation"),
)


# --- Text Generation Inference: the last token, a special one, brings the whole text again


def _huggingface(text: str, index: int, whole: str | None = None) -> bytes:
    token = {"id": index, "text": text, "logprob": -0.1, "special": whole is not None}
    details = None if whole is None else {"finish_reason": "eos_token", "generated_tokens": index}
    return _sse({"index": index, "token": token, "generated_text": whole, "details": details}, colon=":")


HUGGINGFACE = Writer(
    name="huggingface",
    content_type="text/event-stream",
    piece_event=_huggingface,
    recap=lambda text, index: [_huggingface("</s>", index, text)],
    error_event=lambda code: _sse({"error": "scripted error", "error_type": code}, colon=":"),
    unstreamed=lambda text, _: {"generated_text": text},
    streams_where=lambda asked: unless_declined(asked) and not asked.path.endswith("/generate"),
)


# --- our own relay, in both of its grammars

STREAMKIT = Writer(
    name="streamkit",
    piece_event=lambda text, index: _sse({"text": text}, id=str(index + 1)),
    closing=lambda index: [_sse({"outcome": "complete", "pieces": index}, event="done")],
    error_event=lambda code: _sse({"code": code, "outcome": f"error_event({code})"}, event="error"),
)
STREAMKIT_NDJSON = Writer(
    name="streamkit-ndjson",
    content_type=NDJSON_TYPE,
    piece_event=lambda text, _: _line({"text": text}),
    closing=lambda index: [_line({"done": {"outcome": "complete", "pieces": index}})],
    error_event=lambda code: _line({"error": {"code": code, "outcome": f"error_event({code})"}}),
)

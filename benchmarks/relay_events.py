"""What the upstream of the relay benchmark says: the same words in the events of one provider or another.

    EVENTS["openai"].pieces[3]     # b'data: {"id":"chatcmpl-…","choices":[…],…,"obfuscation":"pX3w"}\n\n'

Providers do not say the same thing again and again with another word in it: what a relay could remember of one event
does not help it with the next. So all but `plain` vary from event to event:

    openai      as its API does today: padding of another length in each event (`obfuscation`)
    logprobs    the same, with the probabilities of the token
    ids         as gateways do: an id and a time of its own in each event
    nested      JSON in a string of JSON, with numbers that count up (the preset `seed`)
    gemini      CRLF, parts, and token counts that count up
    plain       nothing varies but the word
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["BLOCK_EVENTS", "DEFAULT", "EVENTS", "WORDS", "Events"]

WORDS: Final = (
    " who",
    " is",
    " slow",
    ",",
    " you",
    " or",
    " it",
    "? This",
    " story",
    " shows",
    " it",
    ".",
    " 你好",
    "…",
)
"""No word holds a hexadecimal digit, CR or LF: see `relay_upstream.FRAMING_BYTES`."""
BLOCK_EVENTS: Final = 18 * len(WORDS)
DEFAULT: Final = "openai"
PADDING: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

Json = dict[str, Any]
Loads = Callable[[Any], Any]


@dataclass(frozen=True)
class Events:
    """The events of one provider: what comes before the pieces, a block of them to be repeated, and what ends them.

    `blank` stands behind each event. `preset` is how ours reads them, and `text` how its peers do: the text of decoded
    JSON; it is given `loads` too, for those that hold more JSON in a string.
    """

    preset: str
    pieces: tuple[bytes, ...]
    text: Callable[[Json, Loads], str | None]
    opening: tuple[bytes, ...] = ()
    closing: tuple[bytes, ...] = ()
    blank: bytes = b"\n\n"


def _data(value: Json, blank: bytes = b"\n\n") -> bytes:
    return b"data: %b%b" % (json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), blank)


def _block(make: Callable[[str, int, random.Random], Json], blank: bytes = b"\n\n") -> tuple[bytes, ...]:
    draw = random.Random(7)  # the same in every run
    return tuple(_data(make(WORDS[number % len(WORDS)], number, draw), blank) for number in range(BLOCK_EVENTS))


# -- as OpenAI ---------------------------------------------------------------------------------------------------------


def _chat(delta: Json, finish_reason: str | None = None, logprobs: Json | None = None) -> Json:
    return {
        "id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "some-model-2026-01-01",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "choices": [{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}],
        "usage": None,
    }


def _padded(chunk: Json, draw: random.Random) -> Json:
    return {**chunk, "obfuscation": "".join(draw.choices(PADDING, k=draw.randint(1, 16)))}


def _openai(word: str, _: int, draw: random.Random) -> Json:
    return _padded(_chat({"content": word}), draw)


def _with_logprobs(word: str, _: int, draw: random.Random) -> Json:
    token = {"token": word, "logprob": -draw.random(), "bytes": list(word.encode()), "top_logprobs": []}
    return _padded(_chat({"content": word}, logprobs={"content": [token], "refusal": None}), draw)


def _with_ids(word: str, number: int, draw: random.Random) -> Json:
    name = "chatcmpl-" + "".join(draw.choices(PADDING, k=29))
    return {**_chat({"content": word}), "id": name, "created": 1760000000 + number}


def _of_chat(chunk: Json, _: Loads) -> str | None:
    return chunk["choices"][0]["delta"].get("content")  # type: ignore[no-any-return]  # a peer's plain code


OPENING: Final = (_data(_chat({"role": "assistant", "content": ""})),)
CLOSING: Final = (_data(_chat({}, "stop")), b"data: [DONE]\n\n")

# -- others ------------------------------------------------------------------------------------------------------------


def _nested(word: str, number: int, draw: random.Random) -> Json:
    sentence = {"Content": word, "SentenceId": number, "Index": 0, "Final": False}
    body = {"SentenceList": [sentence], "RoundId": 1, "Delay": draw.randint(10, 900)}
    message = {"MessageId": f"m-{number}", "MessageBody": {"DirectMessageBody": body, "Type": 1}, "Sender": "助手"}
    value = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return {"code": 0, "message": "成功", "data": [{"type": "answer", "value": value}]}


def _of_nested(chunk: Json, loads: Loads) -> str | None:
    message = loads(chunk["data"][0]["value"])
    return message["MessageBody"]["DirectMessageBody"]["SentenceList"][0]["Content"]  # type: ignore[no-any-return]  # ditto


def _gemini(word: str, number: int, _: random.Random, *finish_reason: str) -> Json:
    candidate = {"content": {"parts": [{"text": word}], "role": "model"}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason[0]
    counts = {"promptTokenCount": 12, "candidatesTokenCount": number, "totalTokenCount": 12 + number}
    return {
        "candidates": [candidate],
        "usageMetadata": {**counts, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}]},
        "modelVersion": "some-model-2026-01-01",
        "responseId": "AbCdEfGhIjKlMnOpQrStUvWxYz012",
    }


def _of_gemini(chunk: Json, _: Loads) -> str | None:
    return chunk["candidates"][0]["content"]["parts"][0].get("text")  # type: ignore[no-any-return]  # ditto


GEMINI_END: Final = _data(_gemini("", BLOCK_EVENTS, random.Random(7), "STOP"), b"\r\n\r\n")  # not drawn from


def _of_openai(make: Callable[[str, int, random.Random], Json]) -> Events:
    return Events("openai", _block(make), _of_chat, OPENING, CLOSING)


EVENTS: Final = {
    "plain": _of_openai(lambda word, _, __: _chat({"content": word})),
    "openai": _of_openai(_openai),
    "logprobs": _of_openai(_with_logprobs),
    "ids": _of_openai(_with_ids),
    "nested": Events("seed", _block(_nested), _of_nested),
    "gemini": Events("gemini", _block(_gemini, b"\r\n\r\n"), _of_gemini, closing=(GEMINI_END,), blank=b"\r\n\r\n"),
}
"""By the name that the benchmark's `--events` has."""

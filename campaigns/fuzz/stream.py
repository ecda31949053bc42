"""Target `stream`: a whole answer, read as the relay reads it; what it says of the end needs proof found elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from campaigns.fuzz import reference
from campaigns.fuzz.hostile import damaged, dumped, some_text
from campaigns.fuzz.source import ByteSource, expect
from streamkit.errors import EncodeError
from streamkit.extractor import Piece
from streamkit.presets import PRESETS, Preset, writer
from streamkit.presets.writer import Writer
from streamkit.relay.failure import Failed
from streamkit.relay.settings import Limits
from streamkit.relay.sources.reading import Reading

Event = tuple[str, str, Any]
"""Type, data, and the JSON in it (None where there is none)."""
BOUNDS = ((1 << 20, 1 << 20), (1 << 20, 1 << 20), (400, 600), (150, 150))


@dataclass(frozen=True)
class Read:
    """What the relay knows of an answer; the same for every split of its bytes. `failure` is its code."""

    texts: list[str]
    complete: bool
    failure: str | None


def read_all(reading: Reading, reads: Sequence[bytes]) -> list[Piece]:
    """All pieces, up to the end of the answer or of its body."""
    pieces: list[Piece] = []
    for data in reads:
        pieces += reading.feed(data, 1)
        if reading.over:
            return pieces
    return [*pieces, *reading.close()]


def read(known: Preset, reads: Sequence[bytes], limits: Limits, *, clean: bool) -> Read:
    """As `sources.llm` does it, without the network."""
    reading = Reading(known, limits, None)
    pieces = read_all(reading, reads)
    try:
        reading.check_end(clean=clean)
    except Failed as failed:
        return Read([piece.text for piece in pieces], False, failed.failure.code)
    return Read([piece.text for piece in pieces], True, None)


def check_stream(data: bytes) -> None:
    source = ByteSource(data)
    known = PRESETS[source.pick([*PRESETS])]
    form, clean = writer(known.name), not source.chance(3)
    texts = some_texts(form, source)
    said = accumulate(texts) if form.cumulative else texts
    pieces = [form.piece(text, number) for number, text in enumerate(said)]
    kind = source.number(3)
    closing = form.close(len(texts)) if kind < 2 else [form.error("overloaded")]
    if kind == 1:
        body = b"".join(mutated([*form.open(), *pieces, *closing], known.grammar, source))
        max_line, max_event = source.pick(BOUNDS)
        limits = Limits(max_line_bytes=max_line, max_event_bytes=max_event)
        check_end(known, body, limits, source, clean=clean)
        return
    check_whole(known, form, pieces, closing, texts, source, clean=clean)


def some_texts(form: Writer, source: ByteSource) -> list[str]:
    """Texts that the provider's format can carry."""
    texts = []
    for _ in range(source.number(24)):
        text = some_text(source)
        try:
            form.piece(text, 0)
        except EncodeError:
            text = "x"
        texts.append(text)
    return texts


# --- intact, or cut at some byte


def check_whole(
    known: Preset,
    form: Writer,
    pieces: list[bytes],
    closing: list[bytes],
    texts: list[str],
    source: ByteSource,
    *,
    clean: bool,
) -> None:
    """All texts and the right end; or, cut short, the texts of the whole events in front of the cut, and no end."""
    opening = b"".join(form.open())
    body = opening + b"".join(pieces + closing)
    stop = source.number(len(body) + 1) if source.chance(2) else len(body)
    seen = check_end(known, body[:stop], Limits(), source, clean=clean)
    borders, at = [], len(opening)
    for piece in pieces:
        at += len(piece)
        borders.append(at - piece.endswith(b"\r\n"))  # a CR is a line end, whether an LF follows or not
    arrived = sum(border <= stop for border in borders)
    # Without its last line end the last event may be whole all the same (NDJSON), or its text doubtful.
    got = [text for text in seen.texts if text]
    near = [texts[:arrived], texts[: arrived + 1]] if known.grammar == "ndjson" else [texts[:arrived]]
    expect(got in near, "the texts in front of the cut, in order", got=got, want=texts, arrived=arrived)
    if stop == len(body):
        failing = closing == [form.error("overloaded")]
        ends = clean or proof(known.name, events(known, body, Limits())) == "conclusive"
        failing = failing or (
            not texts and known.name in ("seed", "langserve", "sse-text")
        )  # that say nothing else: no answer
        expect(seen.complete is (ends and not failing), "an intact answer is judged rightly", body=body, seen=seen)


# --- mutated


def mutated(blocks: list[bytes], framing: str, source: ByteSource) -> list[bytes]:
    """Events dropped, doubled, moved, damaged in their JSON or their bytes; foreign ones put in; a cut at the end."""
    for _ in range(1 + source.number(5)):
        if not blocks:
            break
        at = source.number(len(blocks))
        change = source.pick(CHANGES)
        blocks = [*blocks[:at], *change(blocks[at], framing, source), *blocks[at + 1 :]]
        if source.chance(4):
            blocks = [*blocks[at:], *blocks[:at]]
    if source.chance(4) and blocks:
        last = blocks[-1]
        blocks = [*blocks[:-1], last[: source.number(len(last) + 1)]]
    return blocks


def _drop(_: bytes, __: str, ___: ByteSource) -> list[bytes]:
    return []


def _double(block: bytes, _: str, __: ByteSource) -> list[bytes]:
    return [block, block]


def _without_end(block: bytes, _: str, __: ByteSource) -> list[bytes]:
    return [block.rstrip(b"\r\n") + b"\n"]


def _other_line_ends(block: bytes, _: str, source: ByteSource) -> list[bytes]:
    return [block.replace(b"\r\n", b"\n").replace(b"\n", source.pick([b"\r\n", b"\r", b"\n\n"]))]


def _bytes(block: bytes, _: str, source: ByteSource) -> list[bytes]:
    at = source.number(len(block) + 1)
    return [block[:at] + source.pick(JUNK) + block[at + source.number(4) :]]


def _foreign(block: bytes, _: str, source: ByteSource) -> list[bytes]:
    form = writer(source.pick([*PRESETS]))
    other = [form.piece("?", 1), form.error("overloaded"), *form.close(1)]
    return [block, source.pick([*other, *NOTES])]


def _json(block: bytes, framing: str, source: ByteSource) -> list[bytes]:
    """The JSON of the event damaged; the rest of it, and its line ends, as they were."""
    for line in block.splitlines():
        text = line if framing == "ndjson" else line.removeprefix(b"data:").strip()
        try:
            value = json.loads(text)
            for _ in range(1 + source.number(3)):
                value = damaged(value, source)
            return [block.replace(text, dumped(value, source).encode("utf-8", "replace"))]
        except (ValueError, RecursionError):  # no JSON; or too deep for Python, by a change before this one
            continue
    return [block]


CHANGES: tuple[Callable[[bytes, str, ByteSource], list[bytes]], ...] = (
    *(_json, _json, _json, _bytes, _bytes, _drop, _double, _foreign, _foreign, _without_end, _other_line_ends),
)
JUNK = (b"", b"\n", b"\r", b"\n\n", b" ", b"\0", b"\xff", b"\xe4", b'"', b"}", b":", b"x" * 700, b"data: [DONE]\n\n")
NOTES = (
    *(b"\n", b": ping\n\n", b"event: ping\ndata: {}\n\n", b"event: done\n\n", b"data:[DONE]\n\n", b"data: [DONE] \n\n"),
    *(b"event: message_stop\n\n", b"\xef\xbb\xbf", b"data: \n\n", b"id: 1\n\n", b"event: error\ndata: x\n\n", b"{}\n"),
)


# --- what proves an end, and what is an error: each provider's own words, in plain Python


def check_end(known: Preset, body: bytes, limits: Limits, source: ByteSource, *, clean: bool) -> Read:
    first = None
    for reads in source.ways(body):
        seen = read(known, reads, limits, clean=clean)
        expect(first in (None, seen), "the split does not matter", body=body, reads=reads, whole=first, split=seen)
        first = seen
    assert first is not None
    if first.complete:
        found = proof(known.name, events(known, body, limits))
        silent = found == "" and not known.has_end_marker and bool("".join(first.texts) or known.name == "watsonx")
        proved = found == "conclusive" or (clean and (found == "finish" or silent))
        expect(proved, "complete only with proof", preset=known, body=body, clean=clean, found=found)
    return first


def events(known: Preset, body: bytes, limits: Limits) -> list[Event]:
    """The whole events in the body, by the reference; one that is too large is an error."""
    if known.grammar == "ndjson":
        lines, oversized, tail = reference.ndjson(body, limits.max_line_bytes)
        found = [("message", line) for line in [*lines, tail.decode("utf-8", "replace")]]
    else:
        stream = reference.sse(body, limits.max_line_bytes, limits.max_event_bytes)
        found, oversized = [(kind, data) for kind, data, _ in stream.events], stream.oversized
    whole = [(kind, data, decoded(data)) for kind, data in found]
    return [*whole, ("too large", "", None)] if oversized else whole


def decoded(data: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def proof(name: str, whole: Sequence[Event]) -> str:
    """The best sign of the end that comes before any error: "conclusive", "finish", "" for none, or "error"."""
    best = ""
    for event in whole:
        if is_error(name, event):
            return "error"
        if CONCLUSIVE.get(name, _never)(event) or (name not in PLAIN and _chat_done(event)):
            return "conclusive"
        if FINISH.get(name, _never)(event):
            best = "finish"
    return best


def is_error(name: str, event: Event) -> bool:
    kind, _, value = event
    in_json = name not in PLAIN and isinstance(value, dict) and bool(value.get("error"))
    return kind == "too large" or in_json or kind == "error"


PLAIN = ("replicate", "sse-text")
"""Whose data are the text itself."""


def _never(_: Event) -> bool:
    return False


def at(value: Any, *steps: Any) -> Any:
    """What stands there, or None."""
    for step in steps:
        try:
            value = value[step] if isinstance(value, dict if isinstance(step, str) else list) else None
        except LookupError:
            return None
    return value


def word(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _chat_done(event: Event) -> bool:
    return event[1].strip().strip('"') == "[DONE]"


def _openai_done(event: Event) -> bool:
    return _chat_done(event) or at(event[2], "type") in ("response.completed", "response.incomplete")


def _finish_reason(event: Event) -> bool:
    choices = at(event[2], "choices")
    own = [item for item in choices if at(item, "index") in (None, 0)] if isinstance(choices, list) else []
    return any(word(at(item, "finish_reason")) and item["finish_reason"] != "error" for item in own)


def _stop_reason(event: Event) -> bool:
    return at(event[2], "type") == "message_delta" and word(at(event[2], "delta", "stop_reason"))


def _dashscope_done(event: Event) -> bool:
    output = at(event[2], "output")
    reasons = at(output, "finish_reason"), at(output, "choices", 0, "finish_reason")
    return any(word(reason) and reason != "null" for reason in reasons)


def _cohere_done(event: Event) -> bool:
    return at(event[2], "type") == "message-end" and at(event[2], "delta", "finish_reason") not in ("ERROR", "TIMEOUT")


def _replicate_done(event: Event) -> bool:
    return event[0] == "done" and at(event[2], "reason") not in ("error", "canceled")


def _streamkit_done(event: Event) -> bool:
    return event[0] == "done" or (isinstance(event[2], dict) and "done" in event[2])


CONCLUSIVE: dict[str, Callable[[Event], bool]] = {
    "openai": _openai_done,
    "openai-responses": _openai_done,
    "azure": _openai_done,
    "mistral": _chat_done,
    "anthropic": lambda event: bool(at(event[2], "type") == "message_stop"),
    "ollama": lambda event: at(event[2], "done") is True,
    "cohere": _cohere_done,
    "dashscope": _dashscope_done,
    "replicate": _replicate_done,
    "sse-text": lambda event: event[1] == "[DONE]",
    "coze": lambda event: event[0] == "conversation.chat.completed",
    "huggingface": lambda event: at(event[2], "generated_text") is not None,
    "dify": lambda event: at(event[2], "event") in ("message_end", "workflow_finished"),
    "ai-sdk": _chat_done,
    "ag-ui": lambda event: bool(at(event[2], "type") == "RUN_FINISHED"),
    "llamacpp-completion": lambda event: at(event[2], "stop") is True,
    "sglang-generate": _chat_done,
    "hunyuan": lambda event: word(at(event[2], "Choices", 0, "FinishReason")),
    "qianfan": lambda event: at(event[2], "is_end") is True,
    "openai-assistants": _chat_done,
    "gemini-interactions": lambda event: (
        at(event[2], "event_type") in ("interaction.completed", "interaction.complete")
    ),
    "streamkit": _streamkit_done,
    "streamkit-ndjson": _streamkit_done,
}
FINISH: dict[str, Callable[[Event], bool]] = {
    **dict.fromkeys(("openai", "openai-responses", "azure", "mistral"), _finish_reason),
    "anthropic": _stop_reason,
    "ollama": lambda event: word(at(event[2], "done_reason")),
    "gemini": lambda event: word(at(event[2], "candidates", 0, "finishReason")),
    "watsonx": lambda event: word(at(event[2], "results", 0, "stop_reason")),
    "cohere": _chat_done,
    "coze": lambda event: event[0] == "done",
    "dify": lambda event: bool(at(event[2], "event") == "workflow_paused"),
    "ai-sdk": lambda event: bool(at(event[2], "type") == "finish"),
    "langgraph": lambda event: event[0] == "end" or word(at(event[2], 0, "response_metadata", "finish_reason")),
    "langserve": lambda event: event[0] == "end" or word(at(event[2], "response_metadata", "finish_reason")),
    "sglang-generate": lambda event: word(at(event[2], "meta_info", "finish_reason", "type")),
    "openai-assistants": lambda event: event[0].startswith("thread.run."),
}

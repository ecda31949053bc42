"""Text and JSON that are easily mistaken for something else, made from the bytes of a source."""

from __future__ import annotations

import json
from typing import Any

from campaigns.fuzz.source import ByteSource

__all__ = ["BROKEN", "KEYS", "damaged", "dumped", "some_json", "some_text"]

WORDS = (
    *("a", " b", "你好", "🎉", "\n", "\n\n", "\t", "data: [DONE]", "[DONE]", '"', "\\", '\\"', '"}', "\\u0041", "{}"),
    *("\u2028", "\x85", "\x0b", "\0", "\ufeff", "event: done\n\n", '{"error": 1}', "error", "null", "0", " ", "\x7f"),
    *("é", "ÿ", "x" * 60, "stop", "message_stop", '"done":true', "\\\\", "/", "</s>", "\r", "\r\n\r\n", "done"),
)
KEYS = ("a", "b", "text", "content", "choices", "0", "*", "json", "odd key", "键", "$", '"', "a.b", "@data", "\n", "|")
SCALARS = (None, True, False, 0, 1, -1, 0.0, 1.5, 2**53, 2**64, 10**30, "", "0", "null", "stop", "[DONE]", "error")
BROKEN = (  # JSON texts that stand where a value stood
    *("", "nul", "NaN", "Infinity", "1e999", "-", "01", "'a'", '"\\ud800"', '"\\udc00\\ud800"', '"\t"', "[1,]", "{,}"),
    *('{"a":1,"a":2}', "\ufeff1", '"a', "[[", "}" * 9, "[" * 2000, "[" * 1500 + "]" * 1500, '{"a":' * 1030 + "1"),
    *("[" * 1000 + "]" * 1000, '"' + "x" * 3000 + '"', "1" * 5000, '{"a": 1} 2', "\0", "tru\u0435"),
)


def some_text(source: ByteSource) -> str:
    """A word or two; never empty."""
    return source.pick(WORDS) + (source.pick(WORDS) if source.chance(3) else "")


def some_json(source: ByteSource, depth: int = 4) -> Any:
    """A small value; now and then a string that holds JSON itself."""
    kind = source.number(8) if depth else source.number(4)
    if kind < 2:
        return source.pick(SCALARS)
    if kind < 4:
        return some_text(source)
    if kind == 4:
        return json.dumps(some_json(source, depth - 1))
    if kind == 5:
        return [some_json(source, depth - 1) for _ in range(source.number(4))]
    return {source.pick(KEYS): some_json(source, depth - 1) for _ in range(source.number(4))}


def damaged(value: Any, source: ByteSource) -> Any:
    """The value with one node, found by a walk that may end anywhere, in another type, gone, doubled or renamed."""
    if isinstance(value, dict) and value and not source.chance(6):
        key = source.pick(list(value))
        match source.number(6):
            case 0:
                return {name: item for name, item in value.items() if name != key}
            case 1:
                return {(source.pick(KEYS) if name == key else name): item for name, item in value.items()}
        return {**value, key: damaged(value[key], source)}
    if isinstance(value, list) and value and not source.chance(6):
        at = source.number(len(value))
        match source.number(6):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value[: at + 1] + value[at:]
        return [*value[:at], damaged(value[at], source), *value[at + 1 :]]
    match source.number(4):
        case 0:
            return [value]
        case 1:
            return json.dumps(value)
    return some_json(source, 2)


def dumped(value: Any, source: ByteSource) -> str:
    """As JSON text, in some spelling; now and then with something broken in place of a part."""
    text = json.dumps(value, ensure_ascii=source.chance(2), separators=source.pick([(",", ":"), (", ", ": ")]))
    if source.chance(12):
        at = source.number(len(text) + 1)
        text = text[:at] + source.pick(BROKEN) + text[at + source.number(4) :]
    return text

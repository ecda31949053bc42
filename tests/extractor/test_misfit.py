"""What stands where text belongs and is none is told by its place and its kind; null and what is absent are nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamkit.extractor import ExtractionError, Extractor, Piece

CHAT = Extractor("choices[*].delta.content", "choices[*].delta.content[*].text", "choices[*].text")


def told(extractor: Extractor, value: object) -> str | None:
    """The message of the error, or None where there is none."""
    found = extractor.read(json.dumps(value))
    if not isinstance(found, ExtractionError):
        return None
    assert found.code == "wrong_type"
    return found.message


def content(value: object) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": value}}]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (content(7), "expected text at choices[*].delta.content, got a number"),
        (content(True), "expected text at choices[*].delta.content, got a boolean"),
        (content({"text": "a"}), "expected text at choices[*].delta.content, got an object"),
        (content(["a"]), "expected an object at choices[*].delta.content[*], got a string"),
        (content([{"text": 7}]), "expected text at choices[*].delta.content[*].text, got a number"),
        ({"choices": [{"delta": "a"}]}, "expected an object at choices[*].delta, got a string"),
        ({"choices": {"0": {}}}, "expected a list at choices, got an object"),
        ("a", "expected an object as the whole payload, got a string"),
        ([content("a")], "expected an object as the whole payload, got a list"),
    ],
)
def test_the_error_names_the_place_and_what_stands_there(value: object, message: str) -> None:
    assert told(CHAT, value) == message


@pytest.mark.parametrize(
    "value",
    [
        content(None),
        content(""),
        content([]),
        content([{"type": "image"}]),
        {"choices": None},
        {"choices": {}},
        {"choices": [{"delta": []}]},
        {"id": 1},
        None,
    ],
)
def test_null_and_what_is_absent_and_what_another_path_goes_into_are_nothing(value: object) -> None:
    assert CHAT.read(json.dumps(value)) is None


def test_a_misfit_beside_texts_that_are_joined_is_told_too() -> None:
    assert told(CHAT, content([{"text": "a"}, {"text": 7}])) == (
        "expected text at choices[*].delta.content[*].text, got a number"
    )
    assert CHAT.read(json.dumps(content([{"text": "a"}, {"text": None}]))) == Piece("a")


def test_only_where_the_conditions_hold() -> None:
    guarded = Extractor("delta", where="type == 'text'")
    assert told(guarded, {"type": "text", "delta": 7}) == "expected text at delta, got a number"
    assert guarded.read('{"type": "other", "delta": 7}') is None
    each = Extractor("a[*].b", where="a[*].kind == 'x'")
    assert each.read('{"a": [{"kind": "y", "b": 7}, {"kind": "x", "b": "c"}]}') == Piece("c")
    assert told(each, {"a": [{"kind": "x", "b": 7}]}) == "expected text at a[*].b, got a number"


def test_a_step_into_json_wants_text_and_looks_inside() -> None:
    inner = Extractor("a | json | b")
    assert told(inner, {"a": {"b": "c"}}) == "expected text at a, got an object"
    assert told(inner, {"a": '{"b": 7}'}) == "expected text at a | json | b, got a number"


def test_calling_an_extractor_gives_none_as_ever() -> None:
    assert CHAT(json.dumps(content(7))) is None

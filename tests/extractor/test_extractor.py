"""What an Extractor makes of an event: text, nothing, or a named error; and the object itself."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.extractor import JSON, ExtractionError, Extractor, Piece
from streamkit.parser import ServerSentEvent
from tests.extractor.paths import VALUES


def test_the_first_alternative_with_text_wins() -> None:
    extractor = Extractor("a", "b[*].c", "d")
    assert extractor('{"a": "1", "b": [{"c": "2"}]}') == "1"
    assert extractor('{"a": [], "b": [{"c": "2"}], "d": "3"}') == "2"
    assert extractor('{"a": "", "b": [], "d": "3"}') == "3"


@pytest.mark.parametrize("path", [None, "@data"])
def test_the_data_itself_can_be_the_text(path: str | None) -> None:
    extractor = Extractor(path)
    assert extractor(" not JSON ") == " not JSON "
    assert extractor("é".encode()) == "é"
    assert extractor(ServerSentEvent(data="[DONE]")) == "[DONE]"


def test_an_event_gives_the_same_as_its_data() -> None:
    data = '{"a": "é"}'
    for given_as in (data, data.encode(), ServerSentEvent(data=data)):
        assert Extractor("a")(given_as) == "é"
        assert Extractor("a").read(given_as) == Piece("é")


@pytest.mark.parametrize("value", [None, 0, 1.5, True, [], ["x"], {}, {"x": "y"}, ""])
def test_only_strings_that_are_not_empty_are_text_and_what_is_neither_null_nor_a_string_is_told(value: object) -> None:
    for extractor in (Extractor("a"), Extractor("a", "b"), Extractor("a", where="c absent")):
        assert extractor(json.dumps({"a": value})) is None
        told = extractor.read(json.dumps({"a": value}))
        assert getattr(told, "code", None) == (None if value in (None, "") else "wrong_type")


def test_a_condition_on_a_field() -> None:
    extractor = Extractor("delta.text", where="type == 'delta'")
    assert extractor('{"type": "delta", "delta": {"text": "x"}}') == "x"
    assert extractor('{"type": "other", "delta": {"text": "x"}}') is None
    assert extractor('{"delta": {"text": "x"}}') is None


# --- the object


def test_the_repr_is_an_expression_that_gives_an_equal_extractor() -> None:
    extractor = Extractor(["a b", 0, "*", JSON, "c"], None, where=("@event == 'x'", "n[*] == 0 or absent", "k exists"))
    shown = repr(extractor)
    assert shown.startswith("""Extractor('["a b"][0][*] | json | c', '@data', where=""")
    assert eval(shown, {"Extractor": Extractor}) == extractor  # noqa: S307  # our own repr


def test_extractors_compare_hash_and_pickle() -> None:
    extractor = Extractor("a[0].b", where="c == 1")
    assert extractor == Extractor(["a", 0, "b"], where=[("c", "==", 1)])
    assert hash(extractor) == hash(Extractor("a[0].b", where="c == 1"))
    assert extractor != Extractor("a[0].b")
    other: Any = "a[0].b"
    assert extractor != other
    with pytest.raises(FrozenInstanceError):
        extractor.where = ()  # type: ignore[misc]  # that is the claim
    assert extractor(event := '{"c": 1, "a": [{"b": "x"}]}') == "x"
    assert pickle.loads(pickle.dumps(extractor))(event) == "x"  # noqa: S301  # our own bytes


# --- data from the wire


def test_text_from_elsewhere_wins_over_malformed_inner_json() -> None:
    assert Extractor("a | json | b", "c").read('{"a": "{", "c": "x"}') == Piece("x")
    assert Extractor("a[*] | json | b").read(json.dumps({"a": ["{", '{"b": "x"}']})) == Piece("x")


def test_a_huge_text_passes() -> None:
    text = "你" * 1_000_000
    assert Extractor("a")(json.dumps({"a": text})) == text


@pytest.mark.parametrize("wrong", [5, None, ["a"], object()])
def test_data_of_a_wrong_python_type_is_a_programmers_error(wrong: Any) -> None:
    for extractor in (Extractor("a"), Extractor("a", "b")):
        with pytest.raises(TypeError, match="str or bytes"):
            extractor(wrong)


NASTY = [
    Extractor("a"),
    Extractor("a[0]"),
    Extractor("a.b[-1].c"),
    Extractor("a[*].b", "a[*][*]", "[*]", "b | json | a", "[*] | json | [0]", where="a[*].c != 0"),
    Extractor("@data", "a", where=("b == 0 or absent", "c[*] exists", "@event != 'x'")),
]


@given(VALUES)
def test_no_json_value_makes_it_raise(value: object) -> None:
    data = json.dumps(value)
    for extractor in NASTY:
        piece = extractor.read(data)
        assert piece is None or isinstance(piece, (Piece, ExtractionError))
        assert isinstance(piece, ExtractionError) or extractor(data) == (piece.text if piece else None)


@given(st.text() | st.binary())
def test_no_data_at_all_makes_it_raise(data: str | bytes) -> None:
    for extractor in NASTY:
        piece = extractor.read(data)
        assert extractor(data) == (piece.text if isinstance(piece, Piece) else None)

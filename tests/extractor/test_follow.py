"""Paths and conditions, followed through JSON: what stands there, what equals what, what is malformed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from streamkit.extractor import JSON, ExtractionError, Extractor
from tests.extractor.paths import STEPS, VALUES, text_at

# --- paths


def test_every_element_of_a_list_gives_its_text_in_order() -> None:
    parts = [{"text": "a"}, {}, {"text": None}, {"text": 1}, "x", {"text": "b"}]
    assert text_at("parts[*].text", {"parts": parts}) == "ab"
    assert text_at("a[*][*]", {"a": [["1", "2"], [], ["3"]]}) == "123"
    assert text_at("a[*] | json | b", {"a": ['{"b": "1"}', '{"b": "2"}']}) == "12"


def test_every_element_means_lists_only() -> None:
    assert text_at("a[*]", {"a": {"b": "no"}}) is None
    assert text_at("a[*]", {"a": "no"}) is None


def test_an_index_means_lists_only() -> None:
    assert text_at("a[0]", {"a": "no"}) is None
    assert text_at("a[0][0]", {"a": ["no"]}) is None
    assert text_at("a[0]", {"a": {"0": "no"}}) is None


def test_a_step_into_json_that_is_no_string_gives_nothing() -> None:
    values: list[Any] = [None, 1, True, [], {"b": "no"}]
    for value in values:
        assert Extractor("a | json | b")(json.dumps({"a": value})) is None


@given(VALUES, STEPS)
def test_a_plain_path_finds_what_indexing_finds(value: Any, steps: list[Any]) -> None:
    """Compared with Python's own indexing, step by step."""
    plain = [step for step in steps if step not in ("*", JSON)] or ["a"]
    found = value
    for step in plain:
        try:
            usable = isinstance(found, dict if isinstance(step, str) else list)
            found = found[step] if usable else None
        except LookupError:
            found = None
    expected = found if isinstance(found, str) and found else None
    if expected is None or not any("\ud800" <= sign <= "\udfff" for sign in expected):
        assert Extractor(plain)(json.dumps(value)) == expected


# --- conditions


@pytest.mark.parametrize(
    ("literal", "equal", "different"),
    [
        ("0", [0, 0.0, -0.0], [False, "0", None, [], "", 1]),
        ("1", [1, 1.0], [True, "1", 2]),
        ("1.5", [1.5], ["1.5", 1]),
        ("-2e1", [-20], [20]),
        ("true", [True], [1, "true", False]),
        ("false", [False], [0, "", None]),
        ("null", [None], [0, False, "", "null"]),
        ("'x'", ["x"], ["X", ["x"], {"x": 1}, None]),
        ('"it\'s"', ["it's"], ["its"]),
        ("''", [""], [None, False, 0]),
        ("'你'", ["你"], ["好"]),
    ],
)
def test_equality_is_jsons_own(literal: str, equal: list[object], different: list[object]) -> None:
    for where, hit, miss in ((f"a == {literal}", "t", None), (f"a != {literal}", None, "t")):
        for shape in ("a", "b.a"):  # one key has a faster way than the rest
            extractor = Extractor("t", where=where.replace("a", shape, 1))
            for values, expected in ((equal, hit), (different, miss)):
                for value in values:
                    data = json.dumps({"t": "t", "a": value, "b": {"a": value}})
                    assert extractor(data) == expected, (where, data)


def test_an_absent_value_equals_nothing() -> None:
    for literal in ("null", "false", "0", "''"):
        assert Extractor("t", where=f"a.b == {literal}")('{"t": "x"}') is None
        assert Extractor("t", where=f"a == {literal}")('{"t": "x"}') is None
        assert Extractor("t", where=f"a != {literal}")('{"t": "x"}') == "x"


def test_presence_and_absence() -> None:
    assert Extractor("t", where="a exists")('{"t": "x", "a": null}') == "x"
    assert Extractor("t", where="a exists")('{"t": "x"}') is None
    assert Extractor("t", where="a[0].b absent")('{"t": "x", "a": []}') == "x"
    assert Extractor("t", where="a absent")('{"t": "x", "a": 0}') is None


@pytest.mark.parametrize("literal", ["0", "'x'", "null", "true"])
def test_equal_or_absent(literal: str) -> None:
    value = json.loads(literal.replace("'", '"'))
    for path, shape in (("a", '"V"'), ("a.b", '{"b": "V"}'), ("a[*]", '["V"]')):
        extractor = Extractor("t", where=f"{path} == {literal} or absent")
        assert extractor(json.dumps({"t": "x", "a": json.loads(shape.replace('"V"', json.dumps(value)))})) == "x"
        assert extractor('{"t": "x"}') == "x"
        assert extractor(json.dumps({"t": "x", "a": json.loads(shape)})) is None


def test_a_condition_that_shares_every_element_is_tested_on_that_element() -> None:
    parts = [{"text": "think ", "thought": True}, {"text": "say"}, {"text": "!", "thought": False}]
    data = {"answers": [{"parts": parts}]}
    path = "answers[0].parts[*].text"
    assert text_at(path, data, where="answers[0].parts[*].thought != true") == "say!"
    assert text_at(path, data, where="answers[0].parts[*].thought == true") == "think "
    assert text_at(path, data, where=("answers[0].parts[*].thought exists", "answers exists")) == "think !"


def test_an_element_condition_binds_at_the_innermost_shared_list() -> None:
    data = {"a": [{"k": 1, "b": [{"t": "x", "s": 1}, {"t": "y"}]}, {"k": 2, "b": [{"t": "z", "s": 1}]}]}
    assert text_at("a[*].b[*].t", data, where="a[*].k == 1") == "xy"
    assert text_at("a[*].b[*].t", data, where="a[*].b[*].s == 1") == "xz"
    assert text_at("a[*].b[*].t", data, where=("a[*].k == 1", "a[*].b[*].s == 1")) == "x"


def test_an_element_condition_is_followed_through_a_json_string() -> None:
    inner = json.dumps({"list": [{"t": "a", "ok": True}, {"t": "b", "ok": False}]})
    assert text_at("v | json | list[*].t", {"v": inner}, where="v | json | list[*].ok == true") == "a"
    assert text_at("v | json | list[0].t", {"v": inner}, where="v | json | list[-1].ok == true") is None


def test_every_element_elsewhere_means_some_element() -> None:
    assert text_at("t", {"t": "x", "tags": ["a", "b"]}, where="tags[*] == 'b'") == "x"
    assert text_at("t", {"t": "x", "tags": ["a", "b"]}, where="tags[*] != 'b'") is None
    assert text_at("t", {"t": "x", "tags": []}, where="tags[*] == 'b'") is None
    assert text_at("t", {"t": "x", "tags": []}, where="tags[*] absent") == "x"


def test_an_element_condition_holds_for_each_alternative_on_its_own() -> None:
    where = "choices[*].index == 0"
    extractor = Extractor("choices[*].text", "choices[0].old", where=where)
    assert extractor('{"choices": [{"index": 1, "text": "no"}, {"index": 0, "text": "yes"}]}') == "yes"
    assert extractor('{"choices": [{"index": 0, "old": "yes"}]}') == "yes"


# --- data from the wire


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("{", "malformed_json"),
        ("[DONE]", "malformed_json"),
        ("oops", "malformed_json"),
        ('{"a": "x",}', "malformed_json"),
        ('{"a": NaN}', "malformed_json"),
        ('{"a": "x\ny"}', "malformed_json"),
        ("[" * 100_000, "too_deep"),
        ('{"a":' * 100_000, "too_deep"),
        ("[" * 100_000 + "]" * 100_000, "too_deep"),
        ('{"a": "x", "n": ' + "9" * 5_000 + "}", "number_too_large"),
        ('{"a": "x", "n": 1e999}', "number_too_large"),
        ('{"a": "x", "n": -1e999}', "number_too_large"),
        (r'{"a": "\ud83d"}', "lone_surrogate"),
        (r'{"a": "\ude00"}', "lone_surrogate"),
        ('{"a": "\ud83d"}', "lone_surrogate"),
        (b'{"a": "\xff"}', "invalid_utf8"),
    ],
)
def test_malformed_data_is_a_named_error_and_never_raises(data: str | bytes, code: str) -> None:
    for extractor in (Extractor("a"), Extractor("b", "a"), Extractor("a", where="b != 1")):
        error = extractor.read(data)
        assert isinstance(error, ExtractionError)
        assert error.code == code
        assert extractor(data) is None


@pytest.mark.parametrize("inner", ["{", "[" * 100_000, "9" * 5_000, r'"\ud83d"', "oops"])
def test_malformed_json_inside_a_string_is_a_named_error_too(inner: str) -> None:
    data = json.dumps({"a": inner})
    outer_code = Extractor("b").read(inner)
    assert isinstance(outer_code, ExtractionError)
    error = Extractor("a | json | b").read(data)
    assert isinstance(error, ExtractionError)
    assert error.code == outer_code.code
    assert Extractor("a | json | b")(data) is None


def test_an_error_message_quotes_nothing_of_the_payload() -> None:
    error = Extractor("a").read('{"password": "hunter2"')
    assert isinstance(error, ExtractionError)
    assert "hunter2" not in error.message
    assert "password" not in error.message


@pytest.mark.parametrize("data", ["", " ", "\n", b"", b"  "])
def test_blank_data_is_a_keep_alive_and_no_error(data: str | bytes) -> None:
    assert Extractor("a").read(data) is None
    assert Extractor("a")(data) is None


def test_whole_surrogate_pairs_and_duplicate_keys_are_fine() -> None:
    assert Extractor("a")(r'{"a": "\ud83d\ude00"}') == "😀"
    assert Extractor("a")('{"a": 1, "a": "last"}') == "last"

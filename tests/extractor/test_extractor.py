"""The path language, its conditions, and what an Extractor makes of hostile data."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import PathSyntaxError
from streamkit.extractor import JSON, ExtractionError, Extractor, Piece
from streamkit.extractor.path import Path
from streamkit.parser import ServerSentEvent

ARTICLE = "data[0].value | json | MessageBody.DirectMessageBody.SentenceList[0].Content"


def article_event(text: str) -> str:
    message = {"MessageBody": {"DirectMessageBody": {"SentenceList": [{"Content": text}, {"Content": "二"}]}}}
    return json.dumps({"data": [{"value": json.dumps(message)}]})


def text_at(path: Any, value: object, **where: Any) -> str | None:
    return Extractor(path, **where)(json.dumps(value))


# --- paths


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", {"a": "yes"}),
        ("a.b.c", {"a": {"b": {"c": "yes"}}}),
        ("a[0].b", {"a": [{"b": "yes"}]}),
        ("a[-1]", {"a": ["no", "yes"]}),
        ("a[0][1]", {"a": [["no", "yes"]]}),
        ("[1]", ["no", "yes"]),
        ('["odd key"].b', {"odd key": {"b": "yes"}}),
        ("a['x.y'][\"[z]\"]", {"a": {"x.y": {"[z]": "yes"}}}),
        (r'["\"\\\u0041\n"]', {'"\\A\n': "yes"}),
        ("消息[0].内容", {"消息": [{"内容": "yes"}]}),
        ("finish-reason.$ref.a:b", {"finish-reason": {"$ref": {"a:b": "yes"}}}),
        ("  a.b  ", {"a": {"b": "yes"}}),
        ('["0"]', {"0": "yes"}),
        ('["*"]', {"*": "yes"}),
        ("a | json | b", {"a": '{"b": "yes"}'}),
        ("a|json|b[0]", {"a": '{"b": ["yes"]}'}),
        ("a | json", {"a": '"yes"'}),
        ("a | json | json | b", {"a": json.dumps('{"b": "yes"}')}),
        ("a | json | b | json | c", {"a": json.dumps({"b": '{"c": "yes"}'})}),
        ('a | json | ["json"]', {"a": '{"json": "yes"}'}),
        ("json.json", {"json": {"json": "yes"}}),
        ("@data | json | a", {"a": "yes"}),
        ("@data | json", "yes"),
        (["a", 0, "b"], {"a": [{"b": "yes"}]}),
        (("a", -1, "b.c"), {"a": [{"b.c": "yes"}]}),
        (["a", JSON, "b"], {"a": '{"b": "yes"}'}),
        (["a", "*", "b"], {"a": [{"b": "y"}, {"b": "es"}]}),
        (["@data"], {"@data": "yes"}),
    ],
)
def test_a_path_leads_to_the_text(path: Any, value: object) -> None:
    assert text_at(path, value) == "yes"


def test_the_articles_json_in_json_is_one_readable_expression() -> None:
    assert Extractor(ARTICLE)(article_event("你好")) == "你好"


def test_the_same_path_as_a_sequence() -> None:
    path = ("data", 0, "value", JSON, "MessageBody", "DirectMessageBody", "SentenceList", 0, "Content")
    assert Extractor(path)(article_event("你好")) == "你好"
    assert Extractor(path) == Extractor(ARTICLE)


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
def test_only_strings_that_are_not_empty_are_text(value: object) -> None:
    for extractor in (Extractor("a"), Extractor("a", "b"), Extractor("a", where="c absent")):
        assert extractor(json.dumps({"a": value})) is None
        assert extractor.read(json.dumps({"a": value})) is None


def test_a_hop_into_something_that_is_no_string_gives_nothing() -> None:
    values: list[Any] = [None, 1, True, [], {"b": "no"}]
    for value in values:
        assert Extractor("a | json | b").read(json.dumps({"a": value})) is None


# --- paths that do not compile


@pytest.mark.parametrize(
    ("path", "position"),
    [
        ("", 0),
        (" ", 1),
        (".a", 0),
        ("a.", 2),
        ("a..b", 2),
        ("a.[0]", 2),
        ("a[0]b", 4),
        ("a[", 2),
        ("a[0", 1),
        ("a[]", 2),
        ("a[x]", 2),
        ("a[1.5]", 3),
        ("a[ 0]", 2),
        ("a[01]", 3),
        ("a[+1]", 2),
        ("a[-0]", 2),
        ("a[1234567890]", 11),
        ("a]", 1),
        ("a['x]", 2),
        ("a['x'", 1),
        ("a['']", 2),
        (r"a['\x']", 3),
        (r"a['\ud83d']", 3),
        ("a b", 2),
        ("a.0.b", 2),
        ("$.a", 0),
        ("a | b", 4),
        ("a |", 3),
        ("a | json | b | c", 15),
        ("a | json.b", 4),
        ("| json", 0),
        ("@unknown", 0),
        ("@event.x", 6),
        ("@event | json", 7),
        ("a == 1", 2),
        ("a*", 1),
    ],
)
def test_a_bad_path_raises_and_shows_where(path: str, position: int) -> None:
    with pytest.raises(PathSyntaxError) as caught:
        Extractor(path)
    assert (caught.value.source, caught.value.position) == (path, position)
    assert str(caught.value).endswith(f"\n  {path}\n  {' ' * position}^")


@pytest.mark.parametrize(
    "path", [(), ("a", ""), ("a", 1.5), ("a", True), ("a", None), ("a", ["b"]), b"a", 5, {"a": "b"}, ["a"] * 101]
)
def test_a_bad_sequence_raises(path: Any) -> None:
    with pytest.raises(PathSyntaxError, match="expected"):
        Extractor(path)


def test_a_bad_step_of_a_sequence_is_pointed_at() -> None:
    path: Any = ["data", 0, 1.5]
    with pytest.raises(PathSyntaxError) as caught:
        Extractor(path)
    assert caught.value.source[caught.value.position :] == "1.5]"


def test_a_path_too_long_and_no_path_raise() -> None:
    with pytest.raises(PathSyntaxError, match="at most 100 steps"):
        Extractor("a" + "[*]" * 100)
    with pytest.raises(PathSyntaxError, match="at least one path"):
        Extractor()


# --- conditions


def test_a_condition_on_a_field() -> None:
    extractor = Extractor("delta.text", where="type == 'delta'")
    assert extractor('{"type": "delta", "delta": {"text": "x"}}') == "x"
    assert extractor('{"type": "other", "delta": {"text": "x"}}') is None
    assert extractor('{"delta": {"text": "x"}}') is None


def test_all_of_several_conditions_must_hold() -> None:
    extractor = Extractor("t", where=("a == 1", "@event == 'x'", "b != 2"))
    held = ServerSentEvent("x", '{"t": "yes", "a": 1}')
    assert extractor(held) == "yes"
    assert extractor(held._replace(event="y")) is None
    assert extractor(held._replace(data='{"t": "yes", "a": 1, "b": 2}')) is None
    assert extractor(held._replace(data='{"t": "yes", "a": 3}')) is None


def test_conditions_on_the_events_own_fields() -> None:
    event = ServerSentEvent("output", "text", "7")
    assert Extractor(None, where="@event == 'output'")(event) == "text"
    assert Extractor(None, where="@id != '7'")(event) is None
    assert Extractor(None, where="@data == 'text'")(event) == "text"
    assert Extractor(None, where="@event == 'message'")("bare data is a message") is not None


def test_an_event_type_that_does_not_match_spares_the_json() -> None:
    assert Extractor("a", where=("b == 1", "@event == 'x'")).read(ServerSentEvent("log", "no JSON")) is None


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


def test_conditions_as_tuples_say_the_same() -> None:
    extractor = Extractor(
        ["a", "*", "t"], where=[("@event", "==", "e"), (["a", "*", "k"], "!=", 1), ("b.c", "==", None)]
    )
    assert extractor == Extractor("a[*].t", where=("@event == 'e'", "a[*].k != 1", "b.c == null"))
    assert Extractor("t", where=("a", "==", "b")) == Extractor("t", where="a == 'b'")
    assert Extractor("t", where=(None, "!=", "[DONE]")) == Extractor("t", where="@data != '[DONE]'")


@pytest.mark.parametrize(
    ("where", "position"),
    [
        ("a", 1),
        ("a =", 2),
        ("a = 1", 2),
        ("a ==", 4),
        ("a == x", 5),
        ("a == 'x", 5),
        ("a == 01", 6),
        ("a == 1e999", 5),
        ("a == 1 2", 7),
        ("a == 1 or b", 7),
        ("a != 1 or absent", 7),
        ("a > 1", 2),
        ("a..b == 1", 2),
        ("a exists 1", 9),
        ("== 1", 0),
        ("", 0),
    ],
)
def test_a_bad_condition_raises_and_shows_where(where: str, position: int) -> None:
    with pytest.raises(PathSyntaxError) as caught:
        Extractor("t", where=where)
    assert caught.value.position == position


@pytest.mark.parametrize("where", [5, None, [5], ("a", "==", [1]), [("a", "<", 1)], [("a", 1)], {"event": "x"}])
def test_a_condition_of_another_kind_raises(where: Any) -> None:
    with pytest.raises(PathSyntaxError, match="expected"):
        Extractor("t", where=where)


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
    assert extractor != "a[0].b"
    assert pickle.loads(pickle.dumps(extractor))('{"c": 1, "a": [{"b": "x"}]}') == "x"  # noqa: S301  # our own bytes


KEYS = st.text(min_size=1).filter(lambda key: key != "*" and not any("\ud800" <= sign <= "\udfff" for sign in key))
STEPS = st.lists(KEYS | st.integers(-(10**9) + 1, 10**9 - 1) | st.sampled_from(["*", JSON]), min_size=1, max_size=8)


@given(STEPS)
def test_any_path_survives_being_written_out(steps: list[Any]) -> None:
    path = Path.of(steps)
    assert Path.of(str(path)) == path


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


def test_text_from_elsewhere_wins_over_malformed_inner_json() -> None:
    assert Extractor("a | json | b", "c").read('{"a": "{", "c": "x"}') == Piece("x")
    assert Extractor("a[*] | json | b").read(json.dumps({"a": ["{", '{"b": "x"}']})) == Piece("x")


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


def test_a_huge_text_passes() -> None:
    text = "你" * 1_000_000
    assert Extractor("a")(json.dumps({"a": text})) == text


@pytest.mark.parametrize("wrong", [5, None, ["a"], object()])
def test_data_of_a_wrong_python_type_is_a_programmers_error(wrong: Any) -> None:
    for extractor in (Extractor("a"), Extractor("a", "b")):
        with pytest.raises(TypeError, match="str or bytes"):
            extractor(wrong)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc") | st.text(), inner, max_size=4),
    max_leaves=20,
)
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
        assert extractor(data) == (piece.text if isinstance(piece, Piece) else None)


@given(st.text() | st.binary())
def test_no_data_at_all_makes_it_raise(data: str | bytes) -> None:
    for extractor in NASTY:
        piece = extractor.read(data)
        assert extractor(data) == (piece.text if isinstance(piece, Piece) else None)


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

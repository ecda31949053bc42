"""The path language: what compiles, what does not and where it says so, and how it is written out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from streamkit.errors import PathSyntaxError
from streamkit.extractor import JSON, Extractor
from streamkit.extractor.path import Path
from tests.extractor.paths import STEPS, text_at

ARTICLE = "data[0].value | json | MessageBody.DirectMessageBody.SentenceList[0].Content"


def article_event(text: str) -> str:
    message = {"MessageBody": {"DirectMessageBody": {"SentenceList": [{"Content": text}, {"Content": "二"}]}}}
    return json.dumps({"data": [{"value": json.dumps(message)}]})


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


@given(STEPS)
def test_any_path_survives_being_written_out(steps: list[Any]) -> None:
    path = Path.of(steps)
    assert Path.of(str(path)) == path


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

"""A cell's text is a request: its lines, its body by its look, and the notebook's values in it."""

from __future__ import annotations

from typing import Any

import pytest

from streamkit.lab.live.request_text import request_of

VALUES = {"url": "http://127.0.0.1:8000", "key": "k1", "text": 'say "hi"\n你好', "history": [{"role": "user"}], "n": 3}


def read(text: str) -> dict[str, Any]:
    return request_of(text, VALUES.__getitem__)


def test_the_first_line_is_method_and_url_then_come_headers() -> None:
    assert read("\n# a comment\nget http://a/b?c=1 HTTP/1.1\n// another\nAccept:  text/event-stream\nX: a: b\n") == {
        "method": "GET",
        "url": "http://a/b?c=1",
        "headers": [("Accept", "text/event-stream"), ("X", "a: b")],
    }


@pytest.mark.parametrize(
    ("body", "data"),
    [
        ("chat_history=你好 = &c.", {"chat_history": ["你好 = &c."]}),
        ("a=1&b=2", {"a": ["1"], "b": ["2"]}),
        ("a=AT&T", {"a": ["AT&T"]}),
        ("a=1\nb=two words\na=3\na=", {"a": ["1", "3", ""], "b": ["two words"]}),
        ("a={{text}}", {"a": ['say "hi"\n你好']}),
    ],
)
def test_names_and_values_are_a_form_as_they_stand(body: str, data: dict[str, Any]) -> None:
    assert read(f"POST http://a/b\n\n{body}\n") == {"method": "POST", "url": "http://a/b", "headers": [], "data": data}


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ('{"a": {"b": {}}}', '{"a": {"b": {}}}'),
        (
            '{"q": "{{text}}", "h": {{history}}, "n": {{n}}}',
            '{"q": "say \\"hi\\"\\n你好", "h": [{"role": "user"}], "n": 3}',
        ),
        ("[1,\n\n 2]", "[1,\n\n 2]"),
        ("{{history}}", '[{"role": "user"}]'),
    ],
)
def test_json_is_sent_as_json_and_values_do_not_break_it(body: str, content: str) -> None:
    told = read(f"POST http://a/b\n\n{body}")
    assert told["content"] == content
    assert told["headers"] == [("Content-Type", "application/json")]


def test_anything_else_is_text() -> None:
    told = read("POST http://a/b\n\nHello, {name} and you.\n")
    assert (told["content"], told["headers"]) == (
        "Hello, {name} and you.",
        [("Content-Type", "text/plain; charset=utf-8")],
    )


def test_with_a_content_type_a_body_is_sent_as_it_is() -> None:
    told = read("POST http://a/b\ncontent-type: text/csv\n\na=1\n{")
    assert (told["content"], told["headers"]) == ("a=1\n{", [("content-type", "text/csv")])


def test_before_the_body_a_single_brace_is_enough() -> None:
    told = read("POST {url}/ans\nAuthorization: Bearer {{ key }}\n\n")
    assert (told["url"], told["headers"]) == ("http://127.0.0.1:8000/ans", [("Authorization", "Bearer k1")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"^expected a method and a URL in the first line, as in .*, got ''$"),
        ("http://a/b", r"^expected a method and a URL in the first line, .*, got 'http://a/b'$"),
        ("POST /ans", r"^expected a whole URL in the first line, .*, got '/ans'$"),
        (
            "POST http://a/b\nchat_history=hi",
            r"^expected a header, NAME: VALUE, or an empty line before the body, got ",
        ),
        ('POST http://a/b\n\n{"a": }', r"^expected a JSON body, since it begins with \{, got none: .* sent as it is$"),
    ],
)
def test_what_is_no_request_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(text)

"""The look at the first bytes: it goes by them, loses nothing, and does not depend on how they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.content.head import Grammar
from streamkit.content.looking import LOOK_BYTES, AnswerParser, look
from streamkit.parser import ServerSentEvent

GRAMMARS: tuple[Grammar, ...] = ("sse", "ndjson", "json", "text")
BODIES = (
    b'data: {"a":1}\n\ndata: [DONE]\n\n', b": hello\r\n\r\ndata: 1\r\n\r\n", b"event: x\ndata: 1\n\n",
    b"id: 1\ndata\n\n", b"\xef\xbb\xbfdata: 1\n\n", b"retry: 10\n\ndata: 2\n\n",
    b'{"a":1}\n{"b":2}\n', b'{"a":1}', b'\n\n  {"a":1}\n\n{"b":2}', b'{\n "error": {\n  "code": 1}}\n', b"{\r",
    b'[{"a":1}\n,{"b":[1,"]"]}]', b'{"a":1}\n\ndata: [DONE]\n\n', b"[DONE]\n", b"[]", b"[ ",
    b'\x1e{"a":1}\n\x1e{"b":2}\n', b'{"a":1}{"b":"\\"}"} {', b"hello\n\nyou", b"dat", b"\xef\xbb", b"", b" ",
)  # fmt: skip


def read(body: bytes, expected: Grammar, cuts: list[int]) -> tuple[list[ServerSentEvent], object, object]:
    parser, events = AnswerParser(expected), []
    for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        events += parser.feed(body[begin:end])
    events += parser.close()
    return events, parser.unfinished, parser.grammar


@given(
    data=st.data(),
    body=st.sampled_from(BODIES)
    | st.binary(max_size=20)
    | st.text('{}[]",:\\ \r\n\ufeffdat1D', max_size=30).map(str.encode),
    expected=st.sampled_from(GRAMMARS),
)
def test_any_cuts_give_the_same_events_and_the_same_end(data: st.DataObject, body: bytes, expected: Grammar) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=len(body))))
    assert read(body, expected, cuts) == read(body, expected, [])
    assert read(body, expected, list(range(len(body)))) == read(body, expected, [])


@pytest.mark.parametrize("expected", GRAMMARS)
@pytest.mark.parametrize("body", BODIES[:6])
def test_a_field_is_an_event_stream_whatever_was_expected(body: bytes, expected: Grammar) -> None:
    assert read(body, expected, [])[2] == "sse"


@pytest.mark.parametrize("expected", GRAMMARS)
def test_an_array_a_sequence_and_an_object_over_several_lines_are_json(expected: Grammar) -> None:
    for body in (b'[{"a":1}]', b'\x1e{"a":1}\n', b'{\n "a": 1}'):
        events, unfinished, grammar = read(body, expected, [])
        assert (len(events), unfinished, grammar) == (1, None, "json")


def test_objects_in_lines_stay_lines_where_lines_are_expected() -> None:
    assert read(b'{"a":1}\nbroken\n', "ndjson", [])[2] == "ndjson"
    assert read(b'{"a":1}\n{"b":1}\n', "sse", [])[2] == "json"


def test_what_shows_nothing_is_what_was_expected() -> None:
    assert [look(b"hello", expected) for expected in GRAMMARS] == list(GRAMMARS)
    assert look(b"[DONE]", "sse") == "sse"


def test_white_space_in_front_is_looked_through_up_to_a_bound() -> None:
    assert look(b"\n" * (LOOK_BYTES - 1), "sse") is None
    assert look(b"\n" * (LOOK_BYTES - 1) + b"{", "sse") == "json"
    assert look(b"\n" * LOOK_BYTES + b"{", "sse") == "sse"


def test_an_event_stream_is_not_waited_for() -> None:
    """Its first byte tells, or the first behind a BOM."""
    assert [look(first, "sse") for first in (b"d", b":", b"x", b"\n: ")] == ["sse"] * 4


def test_text_has_no_events() -> None:
    assert read(b"hello\n\ndata: 1\n\n", "text", []) == ([], None, "text")

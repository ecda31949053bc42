"""JSONParser: values one behind the other, whatever stands between them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import EventTooLarge
from streamkit.parser import JSONParser, ServerSentEvent

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)


def read(body: bytes, parser: JSONParser | None = None) -> tuple[list[str], ServerSentEvent | None]:
    parser = parser or JSONParser()
    events = [*parser.feed(body), *parser.close()]
    return [event.data for event in events], parser.unfinished


@given(
    st.lists(OBJECTS, max_size=5),
    st.sampled_from(["", "\n", "\r\n", ",", " ,\n", "\n\x1e"]),
    st.sampled_from([None, 1]),
)
def test_each_object_is_an_event_however_they_are_written(
    values: list[object], between: str, indent: int | None
) -> None:
    texts = [json.dumps(value, indent=indent, ensure_ascii=False) for value in values]
    assert read(between.join(texts).encode()) == (texts, None)


@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 2]))
def test_each_element_of_an_array_is_an_event(values: list[object], indent: int | None) -> None:
    found, unfinished = read(json.dumps(values, indent=indent).encode())
    assert ([json.loads(text) for text in found], unfinished) == (values, None)


def test_an_element_is_out_with_its_last_byte() -> None:
    parser = JSONParser()
    sizes = [len(parser.feed(bytes([byte]))) for byte in b'[{"a":1}\n,{"b":2}]']
    assert [at for at, size in enumerate(sizes) if size] == [7, 16]


def test_a_value_or_an_array_that_is_cut_is_unfinished() -> None:
    assert read(b'{"a":1}\n{"b":') == (['{"a":1}'], ServerSentEvent(data='{"b":'))
    assert read(b'[{"a":1},') == (['{"a":1}'], ServerSentEvent(data=""))


def test_behind_values_an_event_stream_may_go_on() -> None:
    assert read(b'{"a":1}\n\nevent: x\ndata: [DONE]\n\n') == (['{"a":1}', "[DONE]"], None)
    assert read(b'{"a":1}\n\ndata: [DO') == (['{"a":1}'], ServerSentEvent(data="[DO"))


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_bare_done_is_an_event(end: str) -> None:
    assert read(b'{"a":1}\n[DONE]' + end.encode()) == (['{"a":1}', "[DONE]"], None)


def test_a_line_that_is_none_of_that_is_an_event_and_nothing_is_lost() -> None:
    assert read(b'{"a":1}\nhello there\n{"b":2}') == (['{"a":1}', "hello there", '{"b":2}'], None)


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_what_is_too_large_is_dropped_and_what_stands_behind_it_comes(step: int) -> None:
    parser, found, raised = JSONParser(max_event_bytes=10), [], 0
    body = b'{"a":1}\n{"b":"' + b"}" * 20 + b'"}\n{"c":1}\n'
    for at in range(0, len(body), step):
        data = body[at : at + step]
        while True:
            try:
                found += [event.data for event in parser.feed(data)]
                break
            except EventTooLarge as error:
                found += [event.data for event in error.events]
                raised, data = raised + 1, b""
    assert (found, raised) == (['{"a":1}', '{"c":1}'], 1)


def test_wrong_calls_say_what_was_expected() -> None:
    parser = JSONParser()
    with pytest.raises(TypeError, match="encode it as UTF-8 first"):
        parser.feed("{}")  # type: ignore[arg-type]
    parser.close()
    assert parser.close() == []
    with pytest.raises(RuntimeError, match="the stream has ended"):
        parser.feed(b"{}")
    with pytest.raises(ValueError, match="at least 1 byte"):
        JSONParser(max_event_bytes=0)
    assert repr(parser) == "<JSONParser closed>"


def test_a_long_line_that_comes_byte_by_byte_costs_what_it_costs_at_once() -> None:
    """Nothing that came before is looked at again: a quarter of a megabyte in single bytes is read in a moment."""
    parser = JSONParser(max_event_bytes=1 << 20)
    for _ in range(1 << 18):
        parser.feed(b"x")
    assert [len(event.data) for event in parser.feed(b"\n")] == [1 << 18]

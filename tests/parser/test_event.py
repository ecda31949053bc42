"""The event, and the encoder: what it writes, the parser reads back; what the grammar cannot carry it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import EncodeError
from streamkit.parser import MAX_RETRY_MS, ServerSentEvent, SSEParser, encode_event
from tests.parser.feeding import bodies, message


def test_an_event_is_a_tuple_with_defaults() -> None:
    """Made by keyword or by position, unpacked like a tuple, equal by value."""
    assert ServerSentEvent() == ServerSentEvent("message", "", "") == ("message", "", "")
    [event] = SSEParser().feed(b"data: a\n\n")
    assert type(event) is ServerSentEvent
    assert repr(event) == "ServerSentEvent(event='message', data='a', id='')"


# --- encoding


def parse_all(body: bytes, last_event_id: str = "") -> list[ServerSentEvent]:
    parser = SSEParser(last_event_id=last_event_id)
    events = parser.feed(body)
    parser.close()
    assert parser.unfinished is None
    return events


@pytest.mark.parametrize(
    ("event", "options", "encoded"),
    [
        ("hi", {}, b"data: hi\n\n"),
        ("", {}, b"data: \n\n"),
        ("a\nb", {}, b"data: a\ndata: b\n\n"),
        ("hi", {"retry_ms": 3000}, b"retry: 3000\ndata: hi\n\n"),
        (message("hi"), {}, b"id:\ndata: hi\n\n"),
        (message("hi", "7"), {}, b"id: 7\ndata: hi\n\n"),
        (ServerSentEvent("done", "[DONE]", "7"), {"last_event_id": "6"}, b"event: done\nid: 7\ndata: [DONE]\n\n"),
        (message("hi", "7"), {"last_event_id": "7"}, b"data: hi\n\n"),
        (message("hi"), {"last_event_id": ""}, b"data: hi\n\n"),
        (message("hi"), {"last_event_id": "7"}, b"id:\ndata: hi\n\n"),
        ("你好", {}, "data: 你好\n\n".encode()),
    ],
)
def test_encode_writes(event: ServerSentEvent | str, options: dict[str, Any], encoded: bytes) -> None:
    """The bytes, exactly: LF only, one space, no line that says nothing new."""
    assert encode_event(event, **options) == encoded


def text(without: str) -> st.SearchStrategy[str]:
    """Any text that UTF-8 can carry, rich in what might be mistaken for grammar."""
    odd = st.sampled_from([c for c in "\n \ufeff:\0\x85\u2028\x0bdataid你🎉" if c not in without])
    return st.text(odd | st.characters(exclude_categories=["Cs"], exclude_characters=without), max_size=12)


events_that_exist = st.builds(
    ServerSentEvent,
    event=st.just("message") | text("\r\n").filter(bool),
    data=text("\r"),
    id=st.just("") | text("\r\n\0"),
)


@given(event=events_that_exist)
def test_parse_undoes_encode(event: ServerSentEvent) -> None:
    """`parse(encode(e)) == e` for every event that can exist, whatever id was in force before."""
    assert parse_all(encode_event(event)) == [event]
    assert parse_all(encode_event(event), last_event_id="before") == [event]


@given(events=st.lists(events_that_exist, max_size=6))
def test_parse_undoes_encode_for_streams(events: list[ServerSentEvent]) -> None:
    """Encoded one by one, or by a writer that keeps account of the id, a list comes back as it was."""
    assert parse_all(b"".join(map(encode_event, events))) == events
    befores = ["", *(event.id for event in events)]
    tracked = [encode_event(event, last_event_id=before) for before, event in zip(befores, events, strict=False)]
    assert parse_all(b"".join(tracked)) == events


@given(data=text("\r"))
def test_a_plain_string_leaves_the_id_in_force(data: str) -> None:
    """A string is a message event; it neither sets nor resets an id."""
    assert parse_all(encode_event(data), last_event_id="7") == [message(data, "7")]


@given(body=bodies)
def test_whatever_was_parsed_can_be_encoded(body: bytes) -> None:
    """Every event that comes off a wire is one that the encoder can write again."""
    events = SSEParser().feed(body)
    assert parse_all(b"".join(map(encode_event, events))) == events


@pytest.mark.parametrize("retry_ms", [0, 1, MAX_RETRY_MS])
def test_retry_is_read_back(retry_ms: int) -> None:
    """The reconnection time arrives as it was given."""
    parser = SSEParser()
    assert parser.feed(encode_event("a", retry_ms=retry_ms)) == [message("a")]
    assert parser.retry_ms == retry_ms


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (ServerSentEvent("", "a"), "event type"),
        (ServerSentEvent("a\nb", "a"), r"event without '\\n'"),
        (ServerSentEvent("a\r", "a"), r"event without '\\r'"),
        (ServerSentEvent("a", "a\rb"), r"data without '\\r'"),
        ("a\r\nb", r"data without '\\r'"),
        (message("a", "1\n"), r"id without '\\n'"),
        (message("a", "1\r"), r"id without '\\r'"),
        (message("a", "1\0"), r"id without '\\x00'"),
        (message("a\ud800"), "lone surrogate"),
        (ServerSentEvent("\udfff", "a"), "lone surrogate"),
        (message("a", "\udc00"), "lone surrogate"),
    ],
    ids=repr,
)
def test_encode_refuses_what_the_grammar_cannot_carry(event: ServerSentEvent | str, named: str) -> None:
    """It would come back as something else, so it is an error that says which field and why."""
    with pytest.raises(EncodeError, match=named):
        encode_event(event)


@pytest.mark.parametrize("retry_ms", [-1, MAX_RETRY_MS + 1, 10**5000], ids=["negative", "above", "5001 digits"])
def test_encode_refuses_a_retry_that_would_not_come_back(retry_ms: int) -> None:
    """Below 0, or more than a parser reports."""
    with pytest.raises(EncodeError, match="retry_ms"):
        encode_event("a", retry_ms=retry_ms)


@pytest.mark.parametrize("event", [b"a", None, ("message", "a", ""), ServerSentEvent(data=1)], ids=repr)  # type: ignore[arg-type]  # the mistake under test
def test_encode_refuses_other_types(event: Any) -> None:
    """Only an event of strings, or a string."""
    with pytest.raises(TypeError, match="expected a"):
        encode_event(event)


def test_encode_refuses_a_retry_that_is_no_int() -> None:
    """True is no number of milliseconds, and neither is 1.5."""
    for retry_ms in (True, 1.5, "3"):
        with pytest.raises(TypeError, match="retry_ms"):
            encode_event("a", retry_ms=retry_ms)  # type: ignore[arg-type]  # the mistake under test

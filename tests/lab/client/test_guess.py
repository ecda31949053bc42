"""What a body is that nobody names: events are believed when one was seen, and nothing is lost while it is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.client.answers import CHAT, CHAT_DONE, CHAT_STOP, taken

STREAM = CHAT + CHAT_STOP + CHAT_DONE
LINES = b'{"model":"q","message":{"content":"hi"},"done":false}\n{"model":"q","message":{"content":""},"done":true}\n'
WHOLE = b'{"id":"c","object":"chat.completion","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}'
TYPES = [
    "text/plain",
    "application/octet-stream",
    "application/json",
    "text/html",
    None,
    "text/plain, text/event-stream",
]


def headers(content_type: str | None, **more: str) -> dict[str, str]:
    named = {} if content_type is None else {"content-type": content_type}
    return {"transfer-encoding": "chunked", **named, **more}


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("preset", [None, "openai"])
@pytest.mark.parametrize("body", [STREAM, b": ping\n\n" + STREAM, WHOLE, WHOLE + b"\n\n" + CHAT_DONE])
def test_an_answer_is_read_whatever_its_type_says(content_type: str | None, preset: str | None, body: bytes) -> None:
    for cut in (1, 7, 1000):
        reads = [body[at : at + cut] for at in range(0, len(body), cut)]
        recording = taken(reads, headers(content_type), preset=preset)
        assert (recording.text, recording.preset, str(recording.outcome)) == ("hi", "openai", "complete")


@pytest.mark.parametrize("content_type", [*TYPES, "text/x-ndjson", "text/event-stream"])
@pytest.mark.parametrize("preset", [None, "ollama"])
def test_lines_are_read_whatever_their_type_says(content_type: str | None, preset: str | None) -> None:
    recording = taken([LINES[:9], LINES[9:]], headers(content_type), preset=preset)
    assert (recording.text, recording.preset, str(recording.outcome)) == ("hi", "ollama", "complete")


def test_what_was_kept_while_it_was_guessed_comes_as_it_came() -> None:
    recording = taken([b"d", b"at", b"es are", b" sweet"], headers("text/plain"))
    assert recording.events.text == ["d", "at", "es are", " sweet"]
    assert recording.events.read.tolist() == [0, 1, 2, 3]
    assert recording.events.at_ns.tolist() == recording.reads.at_ns.tolist()


@given(st.text('dat:{}[]" \n1\r', max_size=40), st.data())
def test_of_text_nothing_is_lost_nor_changed_by_how_it_is_cut(text: str, data: st.DataObject) -> None:
    body = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    reads = [part for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True) if (part := body[a:b])]
    one, many = taken([body] if body else [], headers("text/plain")), taken(reads, headers("text/plain"))
    borders = "no event borders" in str(one.meta["notes"])
    assert ("no event borders" in str(many.meta["notes"])) is borders
    if borders:
        assert one.text == many.text == text
    else:
        assert one.events.data == many.events.data


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Ada", "born": 1815}', '{"name": "Ada"}\n{"name": "Bo"}\n', "[1, 2, 3]", "data: the set\nwas small",
        "{ not JSON at all", "[DONE]", "event", ":) hello", '{"result": 5, "error": null}', "",
    ],
)  # fmt: skip
@pytest.mark.parametrize("content_type", ["text/plain", "application/json"])
def test_text_that_begins_like_something_else_stays_text(text: str, content_type: str) -> None:
    recording = taken([text.encode()] if text else [], headers(content_type))
    assert (recording.text, str(recording.outcome), recording.preset) == (text, "complete", None)


def test_text_of_which_its_sender_says_that_it_is_text_is_not_looked_at() -> None:
    recording = taken([b"data: a\n\n"], headers("text/plain", **{"x-content-type-options": "nosniff"}))
    assert recording.text == "data: a\n\n"


def test_a_preset_looks_all_the_same() -> None:
    recording = taken([STREAM], headers("text/plain", **{"x-content-type-options": "nosniff"}), preset="openai")
    assert recording.text == "hi"


@pytest.mark.parametrize(
    "body", [b'{"error":{"code":"busy"}}', b'[{"error":{"code":"busy"}}]', b'{\n "error": {"code": "busy"}\n}']
)
@pytest.mark.parametrize("preset", [None, "openai", "gemini", "ollama"])
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", None])
def test_an_error_that_is_a_document_is_one_by_its_code(
    body: bytes, preset: str | None, content_type: str | None
) -> None:
    assert str(taken([body], headers(content_type), preset=preset).outcome) == "error_event(busy)"


def test_a_document_that_is_cut_is_truncated() -> None:
    assert str(taken([WHOLE[:-3]], headers("application/json"), preset="openai").outcome) == "truncated"


def test_large_json_that_may_be_an_answer_is_waited_for_under_its_own_type_only() -> None:
    whole = WHOLE.replace(b'"hi"', b'"' + b"hi" * 5000 + b'"')
    reads = [whole[at : at + 1000] for at in range(0, len(whole), 1000)]
    assert taken(reads, headers("application/json")).preset == "openai"
    assert taken(reads, headers("text/plain")).text == whole.decode()

"""What the head says of the body."""

from __future__ import annotations

import pytest

from streamkit.content.head import accepted, grammar_of, media_types


@pytest.mark.parametrize(
    "name",
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "text/x-ndjson",
     "application/stream+json", "application/x-json-stream", "text/jsonl", "application/x-ldjson"],
)  # fmt: skip
def test_lines_of_json_go_by_many_names(name: str) -> None:
    assert grammar_of(f"{name.upper()}; charset=utf-8") == "ndjson"


def test_sequences_of_json_have_a_grammar_of_their_own() -> None:
    assert (grammar_of("application/json-seq"), grammar_of("application/geo+json-seq")) == ("json", "json")


@pytest.mark.parametrize(
    "content_type",
    [None, "", ";;=,/", "text/plain", "application/json", "application/octet-stream", "text/html",
     "text/event-stream, application/json"],
)  # fmt: skip
def test_other_types_and_two_of_them_say_nothing(content_type: str | None) -> None:
    assert grammar_of(content_type) is None


def test_one_type_written_twice_is_one() -> None:
    assert grammar_of("text/event-stream, text/event-stream;charset=utf-8") == "sse"
    assert media_types("text/plain,a/b") == {"text/plain", "a/b"}


def test_an_answer_has_any_2xx_but_that_of_a_part() -> None:
    assert {status for status in range(100, 600) if accepted(status)} == set(range(200, 300)) - {206}

"""What came beside the text: which of it is recorded, and what a reader of the recording is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamkit.presets import preset
from tests.lab.client.answers import taken

END = b"data: [DONE]\n\n"


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


ROLE, THOUGHT, WORD = chunk(role="assistant", content=""), chunk(reasoning_content="hm"), chunk(content="42")
TOOL, LENGTH = chunk(tool_calls=[{"index": 0, "function": {"arguments": "{"}}]), chunk("length")


def notes(*events: bytes, **options: Any) -> list[str]:
    told: list[str] = taken([*events, END], preset="openai", **options).meta["notes"]
    return told


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([ROLE, WORD], []),
        (
            [ROLE, THOUGHT, THOUGHT, WORD],
            [("reasoning came first, in 2 events; it was not recorded, and the first piece is that of the text "
              "(reasoning=True records it)")],
        ),
        ([WORD, THOUGHT, WORD], []),
        (
            [ROLE, THOUGHT, LENGTH],
            ["reasoning came first, in 1 event; it was not recorded (reasoning=True records it)",
             "there is no text: the answer holds reasoning alone"],
        ),
        ([ROLE, TOOL, TOOL, chunk("tool_calls")], ["2 events without text carry tool calls: there is no text"]),
        ([WORD, TOOL], ["1 event without text carries a tool call"]),
    ],
)  # fmt: skip
def test_what_is_not_in_the_text_is_told(events: list[bytes], said: list[str]) -> None:
    assert notes(*events) == said


def test_reasoning_that_is_recorded_is_there_and_needs_no_note() -> None:
    assert notes(ROLE, THOUGHT, WORD, reasoning=True) == []
    assert notes(ROLE, THOUGHT, LENGTH, reasoning=True) == ["there is no text: the answer holds reasoning alone"]


def test_a_preset_of_ones_own_that_shows_reasoning_has_it_recorded() -> None:
    assert taken([THOUGHT, WORD, END], preset=preset("openai", reasoning=True)).reasoning == "hm"
    assert taken([THOUGHT, WORD, END], preset=preset("openai")).reasoning == ""


def test_where_the_preset_is_guessed_what_came_before_the_guess_counts_too() -> None:
    (note,) = taken([b"data: {}\n\n", THOUGHT, WORD, END]).meta["notes"]
    assert "reasoning came first, in 1 event" in note


def test_the_first_piece_of_an_answer_that_thinks_is_its_reasoning_where_that_is_recorded() -> None:
    both = taken([ROLE, THOUGHT, WORD, END], preset="openai", reasoning=True)
    text = taken([ROLE, THOUGHT, WORD, END], preset="openai")
    assert both.counted.which.tolist() == [False, True, True, False]
    assert text.counted.which.tolist() == [False, False, True, False]

"""What can go wrong with what a provider says: each fault changes what it names, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.faults import BareError, Choice, Cut, DoneMark, Empty, Finish, NoBlankLine, NoEnd, WrongType
from streamkit.lab.upstream.script import Script
from streamkit.presets import PRESETS, writer


def of(*faults: Fault, preset: str = "openai", pieces: tuple[str, ...] = ("Wh", "is", "per")) -> Script:
    return Script(pieces, 0, 0, preset=preset, faults=faults)


def sent(given: Script) -> str:
    return b"".join(step.data for step in given.steps()[1:-1]).decode()


def chunks(given: Script) -> list[Any]:
    return [json.loads(line[6:]) for line in sent(given).splitlines() if line.startswith("data: {")]


def test_a_finish_reason_takes_the_place_of_the_usual_one_and_of_nothing_else() -> None:
    usual, other = sent(of(NoBlankLine())), sent(of(Finish("length"), NoBlankLine()))
    assert usual.replace('"finish_reason":"stop"', '"finish_reason":"length"') == other != usual


@pytest.mark.parametrize(("failed", "whole"), [(False, True), (True, False)])
def test_a_finish_reason_ends_the_answer_well_or_as_the_failure_that_it_is_said_to_be(
    failed: bool, whole: bool
) -> None:
    given = of(Finish("network_error", failed))
    assert (given.whole, given.expected_text) == (whole, "Whisper")


def test_a_format_without_a_reason_stays_as_it_is() -> None:
    assert sent(of(Finish("length"), preset="seed")) == sent(of(NoEnd(), preset="seed"))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_done_mark_stands_behind_the_last_event_of_json_alone(name: str) -> None:
    marked = sent(of(DoneMark(), preset=name)).endswith("data: [DONE]\n\n")
    form = writer(name)
    is_text = b"{" not in form.piece("a", 0).partition(b"data:")[2]
    without = form.is_ndjson or is_text or name == "coze"  # which has a `[DONE]` of its own, in quotes
    assert marked is (name == "sse-text" or not without)  # whose own it is


def test_a_done_mark_stands_only_behind_something_that_was_said() -> None:
    assert "[DONE]" not in sent(of(DoneMark(), preset="seed", pieces=()))
    assert of(DoneMark(), preset="seed").whole


def test_a_last_event_without_its_blank_line_is_lost_and_missed_only_where_it_was_text() -> None:
    assert of(NoBlankLine()).whole
    assert sent(of(NoBlankLine())).endswith("data: [DONE]\n")
    given = of(NoBlankLine(), preset="seed")
    assert (given.whole, given.expected_text) == (False, "Whis")
    assert sent(of(NoBlankLine(), preset="ollama")) == sent(of(Choice(), preset="ollama"))  # a line needs none


@pytest.mark.parametrize("how", Empty.choices["how"])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_an_answer_without_a_single_event_of_its_own_is_never_whole(name: str, how: Any) -> None:
    given = of(Empty(how), preset=name)
    assert (given.whole, given.expected_text) == (False, "")


@pytest.mark.parametrize("shape", BareError.choices["shape"])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_an_error_in_anybodys_shape_ends_the_text(name: str, shape: Any) -> None:
    given = of(BareError(2, shape), preset=name)
    assert (given.whole, given.expected_text) == (False, "Wh")


@pytest.mark.parametrize("value", WrongType.choices["value"])
def test_a_wrong_type_stands_where_the_text_stood(value: Any) -> None:
    found = chunks(of(WrongType(2, value)))[2]["choices"][0]["delta"]["content"]
    assert found == json.loads(value)
    inner = json.loads(chunks(of(WrongType(2, value), preset="seed"))[1]["data"][0]["value"])
    assert inner["MessageBody"]["DirectMessageBody"]["SentenceList"][0]["Content"] == json.loads(value)


def test_a_wrong_type_ends_the_text_and_where_the_data_are_the_text_there_is_none() -> None:
    assert of(WrongType(2)).expected_text == "Wh"
    assert of(WrongType(2), preset="replicate").expected_text == "Whisper"


@pytest.mark.parametrize(("how", "numbers"), [("one", [1, 1, 1, 1, 1]), ("counting", [0, 1, 2, 3, 4])])
def test_the_choice_is_numbered_as_it_says_and_the_text_is_the_same(how: Any, numbers: list[int]) -> None:
    given = of(Choice(how))
    found = [chunk["choices"][0]["index"] for chunk in chunks(given) if chunk["choices"]]
    assert found == numbers
    assert (given.whole, given.expected_text) == (True, "Whisper")


def test_they_stand_beside_those_of_the_connection() -> None:
    given = of(Finish("length"), Cut(2))
    assert (given.whole, given.expected_text) == (False, "Wh")

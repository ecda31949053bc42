"""Script: what a scripted upstream says and when is fixed by the script alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import EncodeError, UnknownPreset
from streamkit.lab.upstream.faults import (
    BadChunk,
    Cut,
    ErrorEvent,
    Merge,
    NoAnswer,
    Split,
    Stall,
    Status,
    WrongLength,
)
from streamkit.lab.upstream.script import POEM, Script, split_text
from tests.memory import peak_bytes

PIECES = ("你", "好", "ab")


@given(st.text(max_size=200), st.integers())
def test_pieces_join_to_the_text_for_any_seed(text: str, seed: int) -> None:
    pieces = split_text(text, seed)
    assert "".join(pieces) == text
    assert all(1 <= len(piece) <= 6 for piece in pieces)


def test_the_same_seed_cuts_alike_and_another_does_not() -> None:
    assert split_text(POEM, 1) == split_text(POEM, 1) != split_text(POEM, 2)


def test_without_jitter_the_pieces_are_due_on_an_even_grid() -> None:
    assert Script(["a", "b", "c"], first_piece_ms=300, gap_ms=50).due_ns() == [300_000_000, 350_000_000, 400_000_000]


@given(st.integers(), st.floats(0, 1000), st.floats(0, 100), st.floats(0, 500))
def test_jitter_moves_pieces_but_never_before_their_predecessor(
    seed: int, first_ms: float, gap_ms: float, jitter_ms: float
) -> None:
    script = Script(["x"] * 20, first_piece_ms=first_ms, gap_ms=gap_ms, jitter_ms=jitter_ms, seed=seed)
    due = script.due_ns()
    assert due == sorted(due)
    assert due[0] >= 0
    assert due == Script(["x"] * 20, first_piece_ms=first_ms, gap_ms=gap_ms, jitter_ms=jitter_ms, seed=seed).due_ns()


def test_its_steps_are_the_providers_stream_event_by_event() -> None:
    steps = Script(["你", "好"], first_piece_ms=10, gap_ms=5, preset="openai").steps()
    assert [step.kind for step in steps].count("piece") == 2
    assert [step.due_ns for step in steps if step.kind == "piece"] == [10_000_000, 15_000_000]
    assert steps[-1].data == b"data: [DONE]\n\n"
    assert steps[-1].due_ns == 15_000_000


def test_a_script_without_pieces_still_opens_and_ends() -> None:
    assert {step.kind for step in Script([], preset="openai").steps()} == {"open", "close"}


@pytest.mark.parametrize("field", ["first_piece_ms", "gap_ms", "jitter_ms"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_times_that_make_no_sense_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"expected {field} as milliseconds"):
        Script(**{field: value})  # type: ignore[arg-type]  # mypy cannot see which field


@pytest.mark.parametrize("field", ["first_piece_ms", "gap_ms", "jitter_ms", "seed"])
@pytest.mark.parametrize("value", ["50", True, None])
def test_what_is_no_number_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"expected {field} as "):
        Script(**{field: value})  # type: ignore[arg-type]  # mypy cannot see which field


def test_the_bounds_of_a_truth_are_numbers() -> None:
    with pytest.raises(TypeError, match="expected max_event_bytes as a number"):
        Script().truth(max_event_bytes="64k")  # type: ignore[arg-type]  # the claim
    with pytest.raises(ValueError, match="expected max_interim as a number"):
        Script().truth(max_interim=-1)


def test_pieces_that_are_none_are_refused() -> None:
    with pytest.raises(TypeError, match="expected pieces as a text or a sequence of its pieces, got 5"):
        Script(5)  # type: ignore[arg-type]  # the claim


def test_an_empty_piece_is_refused() -> None:
    with pytest.raises(ValueError, match="non-empty strings"):
        Script(["a", ""])


def test_an_unknown_wire_format_is_refused_when_the_script_is_written() -> None:
    with pytest.raises(UnknownPreset, match="openai"):
        Script(preset="opnai")


def test_the_bytes_of_a_long_script_are_never_in_memory_as_a_whole() -> None:
    pieces = [f"{number:05} {'x' * 10_000}" for number in range(1000)]
    script = Script(pieces, preset="openai")

    def write() -> None:
        assert sum(len(step.data) for step in script.steps()) > 10_000_000

    assert peak_bytes(write) < 2_000_000


def test_usage_is_one_step_more_before_the_last_for_those_who_ask_for_it() -> None:
    script = Script(PIECES, preset="openai")
    plain, told = script.steps(), script.steps(usage=True)
    assert [step.data for step in plain] == [step.data for step in [*told[:-2], told[-1]]]
    assert (told[-2].kind, b'"completion_tokens":3' in told[-2].data) == ("close", True)
    assert (
        Script(PIECES, preset="gemini").steps(usage=True)[-1].data == Script(PIECES, preset="gemini").steps()[-1].data
    )


def test_without_a_stream_all_is_one_step_that_is_due_with_the_last_piece() -> None:
    script = Script(PIECES, 300, 50, preset="openai")
    step = script.one_step()
    assert (step.due_ns, step.kind, step.text_bytes) == (script.due_ns()[-1], "piece", len(script.text.encode()))
    assert step.text() == script.text
    assert script.text.encode() in step.data
    assert Script([], 300, preset="openai").one_step().due_ns == 300_000_000


def test_a_provider_that_only_streams_has_no_such_step() -> None:
    with pytest.raises(EncodeError, match="without a stream, got 'seed'"):
        Script(PIECES).one_step()


@pytest.mark.parametrize("made", [Script.steps, Script.one_step])
def test_text_that_cannot_be_carried_is_refused_either_way(made: Callable[[Script], object]) -> None:
    with pytest.raises(EncodeError, match="expected text that UTF-8 can carry"):
        made(Script(["a", "\ud83d"], preset="openai"))


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ((Stall(6, 1),), "expected at from 0 to 5"),
        ((Split(4),), "expected at from 1 to 3"),
        ((ErrorEvent(5),), "expected at from 1 to 4"),
        ((Merge(2, 3),), "expected events out of 1 to 3"),
        ((NoAnswer(), Stall(2, 1)), "no stream"),
        ((Status(500), NoAnswer()), "no stream"),
        ((Cut(1), Cut(2)), "once"),
        ((WrongLength(1), BadChunk(1)), "no chunks"),
        (("stall",), "expected faults such as"),
        (Stall(1, 1), "as a sequence"),
    ],
)
def test_faults_that_this_script_cannot_have_are_refused_with_the_reason(faults: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Script(PIECES, faults=faults)

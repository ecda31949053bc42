"""The scripted upstream: what it says and when is fixed by the script alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import UnknownPreset
from streamkit.lab.upstream import POEM, Script, SentLog, plan, split_text


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


def test_the_plan_is_the_providers_stream_event_by_event() -> None:
    steps = plan(Script(["你", "好"], first_piece_ms=10, gap_ms=5, preset="openai"))
    assert [step.kind for step in steps].count("piece") == 2
    assert [step.due_ns for step in steps if step.kind == "piece"] == [10_000_000, 15_000_000]
    assert steps[-1].data == b"data: [DONE]\n\n"
    assert steps[-1].due_ns == 15_000_000


def test_a_script_without_pieces_still_opens_and_ends() -> None:
    assert {step.kind for step in plan(Script([], preset="openai"))} == {"open", "close"}


@pytest.mark.parametrize("field", ["first_piece_ms", "gap_ms", "jitter_ms"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_times_that_make_no_sense_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"expected {field} as milliseconds"):
        Script(**{field: value})  # type: ignore[arg-type]  # mypy cannot see which field


def test_an_empty_piece_is_refused() -> None:
    with pytest.raises(ValueError, match="non-empty strings"):
        Script(["a", ""])


def test_an_unknown_wire_format_is_refused_when_the_script_is_written() -> None:
    with pytest.raises(UnknownPreset, match="openai"):
        Script(preset="opnai")


def test_lateness_is_sent_minus_due() -> None:
    log = SentLog(started_ns=0, asked=b"")
    log.due_ns.extend([1_000_000, 2_000_000])
    log.sent_ns.extend([1_500_000, 83_000_000])
    assert log.lateness_ms() == [0.5, 81.0]
    assert repr(log) == "<SentLog unfinished: 2 events, at most 81.0 ms late>"

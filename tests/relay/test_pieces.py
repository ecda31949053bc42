"""JSON values, states and progress: what they hold, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.extractor.pieces import Piece
from streamkit.relay.pieces import KINDS, Progress, Snapshot, Value, are_states, as_piece, kind_of, piece_of_kind

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@given(JSON)
def test_a_value_is_a_line_of_json_and_gives_itself_back(data: Any) -> None:
    value = Value(data)
    assert value.data == data
    assert value.text.endswith("\n")
    assert value.text.count("\n") == 1


def test_what_is_no_number_in_json_is_null() -> None:
    assert Value({"mean": math.nan, "max": math.inf}).data == {"mean": None, "max": None}


def test_a_value_of_something_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match="expected what JSON can say, got set"):
        Value({1, 2})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((-1,), "expected progress as a finite number >= 0, got -1"),
        ((math.nan,), "expected progress as a finite number >= 0"),
        ((1, math.inf), "expected total as a finite number >= 0"),
        ((True,), "expected progress as a finite number >= 0, got True"),
        ((3, 2), "expected progress up to its total, got 3 of 2"),
    ],
)
def test_progress_that_makes_no_sense_is_refused(given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Progress(*given)


def test_progress_tells_how_far_of_what_and_in_words() -> None:
    assert Progress(2, total=8, message="reading").data == {"progress": 2, "total": 8, "message": "reading"}
    assert Progress(0.5).data == {"progress": 0.5, "total": None, "message": ""}
    assert Progress(3).text == "", "it is no text"


def test_a_snapshot_says_how_many_were_left_out_for_it_if_some_were() -> None:
    assert Snapshot({"mean": 2, "skipped": 0}).skipping(3).data == {"mean": 2, "skipped": 3}
    assert Snapshot({"mean": 2}).skipping(0).data == {"mean": 2}
    assert Snapshot([2]).skipping(3).data == [2], "there is no room for it"


@given(JSON, st.text(st.characters(codec="utf-8")), st.integers(0, 100))
def test_each_kind_comes_back_from_its_number_and_its_texts(data: Any, text: str, far: int) -> None:
    for piece in (Piece(text, "because"), Value(data), Snapshot(data), Progress(far, message=text)):
        again = piece_of_kind(kind_of(piece), piece.text, piece.reasoning)
        assert (type(again), again) == (type(piece), piece)


def test_the_numbers_of_kinds_stay_as_they_are() -> None:
    assert (Piece, Value, Snapshot, Progress) == KINDS


def test_states_are_snapshots_and_progress_and_nothing_else() -> None:
    assert are_states([Snapshot({}), Progress(1)])
    assert not are_states([Progress(1), Value({})])
    assert not are_states([Piece("a")])


def test_text_objects_and_lists_become_pieces_and_pieces_stay_as_they_are() -> None:
    progress = Progress(1)
    assert as_piece("a") == Piece("a")
    assert type(as_piece({"a": 1})) is type(as_piece([1])) is Value
    assert as_piece(progress) is progress


@pytest.mark.parametrize("other", [3, None, b"bytes"])
def test_anything_else_is_refused_with_what_to_do(other: Any) -> None:
    with pytest.raises(TypeError, match=f"got {type(other).__name__}; wrap other JSON values"):
        as_piece(other)

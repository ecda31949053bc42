"""Columns: whole ones at a time."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.metrics.columns import characters, check_ascending, int_column, numbered, pieces, utf8_sizes


def test_a_column_is_a_copy_whatever_it_was_made_of() -> None:
    given = np.array([3, 9], dtype=np.int32)
    column = int_column(given)
    given[0] = 7
    assert column == int_column(iter([3, 9])) == array("q", [3, 9])


@given(st.lists(st.integers(0, 5)).map(sorted))
def test_equal_times_in_a_row_share_a_number(at_ns: list[int]) -> None:
    assert numbered(at_ns).tolist() == [sorted(set(at_ns)).index(at) for at in at_ns]


def test_the_first_place_where_a_column_falls_is_named() -> None:
    with pytest.raises(ValueError, match="at_ns in ascending order, got 5 before 4 at index 2"):
        check_ascending("at_ns", [1, 5, 4, 3])


@pytest.mark.parametrize(("lengths", "counted"), [([0, 2, 0], [False, True, False]), ([0, 0], [True, True]), ([], [])])
def test_pieces_are_the_events_with_text_or_all_where_none_has_any(lengths: list[int], counted: list[bool]) -> None:
    assert pieces(lengths).tolist() == counted


@given(st.lists(st.text(max_size=5) | st.just("\ud800")))
def test_sizes_are_those_of_utf8(texts: list[str]) -> None:
    assert utf8_sizes(texts).tolist() == [len(text.encode("utf-8", "replace")) for text in texts]
    assert characters(texts).tolist() == list(map(len, texts))

"""Columns in few bytes: they read as lists of what was put in."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.metrics.columns import characters, utf8_sizes
from streamkit.lab.metrics.compact import MAX_WORDS, Narrow, PerRead, Unkept, Words

INTS = st.one_of(st.integers(-2, 2), st.integers(-(2**63), 2**63 - 1))


@given(st.lists(st.lists(INTS, max_size=4), max_size=6))
def test_numbers_are_those_that_were_put_in(several: list[list[int]]) -> None:
    column, expected = Narrow(), []
    for values in several:
        column.extend(values)
        expected += values
    assert column.tolist() == expected == np.asarray(column).tolist()
    assert np.asarray(column).dtype == np.int64
    assert (len(column), column == expected, column[1:]) == (len(expected), True, expected[1:])
    assert column.lowest == min(expected, default=0)
    assert copy.deepcopy(column) == expected


@given(st.lists(INTS, min_size=1, max_size=6), INTS, st.data())
def test_a_number_can_be_changed(values: list[int], value: int, data: st.DataObject) -> None:
    column, place = Narrow(values), data.draw(st.integers(0, len(values) - 1))
    column[place] = values[place] = value
    assert column.tolist() == values


def test_equal_numbers_take_nothing_and_small_ones_a_byte() -> None:
    column = Narrow([7] * 1000)
    assert column.bytes == 0
    column.append(8)
    assert column.bytes == 1001
    column.append(300)
    assert column.bytes == 2 * 1002


@given(st.lists(st.tuples(INTS, st.integers(1, 4)), max_size=6))
def test_what_a_read_has_is_that_of_each_of_its_events(reads: list[tuple[int, int]]) -> None:
    column = PerRead()
    for value, events in reads:
        column.append(value, events)
    expected = [value for value, events in reads for _ in range(events)]
    assert column.tolist() == expected == np.asarray(column).tolist()
    assert [column[place] for place in range(-len(expected), 0)] == expected


@given(st.lists(st.text(max_size=3), max_size=6))
def test_of_texts_that_are_not_kept_the_lengths_are_known(texts: list[str]) -> None:
    column = Unkept()
    column.extend(texts)
    assert list(column) == [""] * len(texts)
    assert characters(column).tolist() == characters(texts).tolist()
    assert utf8_sizes(column).tolist() == utf8_sizes(texts).tolist()


def test_words_are_those_that_were_put_in_and_bounded() -> None:
    words = Words(["message", "ping", "message"])
    words.same("message", 2)
    assert (list(words), words[-1], words[:2]) == (
        ["message", "ping", *["message"] * 3],
        "message",
        ["message", "ping"],
    )
    many = Words([str(number) for number in range(2 * MAX_WORDS)])
    assert many[MAX_WORDS - 1 : MAX_WORDS + 2] == [str(MAX_WORDS - 1), "…", "…"]


def test_a_place_that_is_not_there_is_an_index_error() -> None:
    for column in (Narrow([1]), PerRead(), Words(["a"]), Unkept()):
        with pytest.raises(IndexError):
            _ = column[1]

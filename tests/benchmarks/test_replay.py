"""The arithmetic of `benchmarks.replay`, on recordings made by hand."""

from __future__ import annotations

import pytest

from benchmarks.replay import gap_errors_ns, times_of
from streamkit.lab.recording.recording import Recording


def test_the_error_of_a_gap_is_what_it_differs_by() -> None:
    first = Recording.from_pieces([(0, "ab"), (50, "c"), (90, "d")])
    again = Recording.from_pieces([(7, "ab"), (60, "c"), (97, "d")])
    assert gap_errors_ns(first, again).tolist() == [3, 3]


def test_what_came_in_one_read_has_one_time_however_it_was_cut_before() -> None:
    first = Recording.from_pieces([(0, "ab"), (50, "c"), (90, "d")])
    again = Recording.from_pieces([(7, "a"), (8, "b"), (97, "cd")])
    assert times_of([2, 3, 4], again).tolist() == [8, 97, 97]
    assert gap_errors_ns(first, again).tolist() == [39, 40]


def test_other_bodies_are_not_compared() -> None:
    with pytest.raises(ValueError, match="expected two recordings of one body"):
        gap_errors_ns(Recording.from_pieces([(0, "a")]), Recording.from_pieces([(0, "b")]))

"""Names beside their places: as few rows as can be, and no line through another name."""

from __future__ import annotations

import pytest

from streamkit.lab.plots.names import rows_of


def test_names_that_have_room_stand_in_one_row_at_their_places() -> None:
    assert rows_of([(20, 30), (80, 30)], 0, 100) == [(0, 5), (0, 65)]


def test_they_make_way_for_each_other_and_for_the_edges() -> None:
    (row, first), (other, second) = rows_of([(5, 30), (40, 30)], 0, 100)
    assert (row, other) == (0, 0)
    assert first == 0
    assert second >= first + 30 + 5


def test_names_that_are_too_wide_for_one_row_get_two_and_no_line_meets_the_other_name() -> None:
    labels = [(10, 60), (30, 60)]
    (far, left), (near, other) = rows_of(labels, 0, 100)
    assert (far, near) == (1, 0)
    assert other > 10 + 2, "the line of the far one passes"
    assert left <= 10 <= left + 60


@pytest.mark.parametrize("count", [6, 9])
def test_of_many_the_rows_take_turns(count: int) -> None:
    labels = [(25 + 50 * index, 70) for index in range(count)]
    rows = [row for row, _ in rows_of(labels, 0, 50 * count)]
    assert len(rows) == count
    assert max(rows) < count


def test_what_does_not_go_in_at_all_is_told_by_none() -> None:
    assert rows_of([(10, 60)], 0, 50) == []
    assert rows_of([], 0, 50) == []

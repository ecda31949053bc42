"""Where things go in a figure of staircases."""

from __future__ import annotations

import numpy as np
import pytest

from streamkit.lab.metrics.curves import Curve, count_at
from streamkit.lab.plots.page import COLUMNS_PER_PT, Box, Page, stairs
from tests.figures import empty_axes


def test_thinned_stairs_leave_no_seen_step_out() -> None:
    """In every column of a quarter point they begin and end where all steps do."""
    at_ns = np.sort(np.random.default_rng(1).integers(0, 10**9, 50_000))
    curve = Curve(at_ns, np.arange(1, at_ns.size + 1))
    thin = stairs(curve, ns_per_pt=2e6)
    assert thin.at_ns.size <= 2 * 500 * COLUMNS_PER_PT
    edges = np.arange(0, 10**9, int(2e6 / COLUMNS_PER_PT))
    assert np.array_equal(count_at(thin, edges - 1), count_at(curve, edges - 1))
    few = Curve(at_ns[:3], curve.count[:3])
    assert np.array_equal(stairs(few, ns_per_pt=1).at_ns, few.at_ns)


def page() -> Page:
    """200 × 100 points, one event a point; a staircase steps from 0 to 50 in the middle."""
    ax = empty_axes(layout=None)
    ax.set_xlim(0, 200)
    ax.set_ylim(0, 100)
    step = Curve(np.array([100, 200]), np.array([50, 50]))
    return Page(
        ax=ax,
        unit_ns=1,
        left_ns=0,
        ns_per_pt=1,
        count_per_pt=1,
        width=200,
        low=0,
        high=100,
        head_pt=20,
        drawn=[step],
    )


def test_boxes_meet_where_they_share_more_than_an_edge() -> None:
    box = Box(0, 0, 10, 10)
    assert box.meets(Box(9, 9, 20, 20))
    assert not box.meets(Box(10, 0, 20, 10))
    assert not box.meets(Box(0, 10, 10, 20))


@pytest.mark.parametrize(
    ("box", "free"),
    [
        (Box(10, 10, 40, 20), True),  # above the floor, before the step
        (Box(120, 60, 160, 75), True),  # above the tread
        (Box(80, 20, 120, 30), False),  # the riser is in it
        (Box(120, 45, 160, 55), False),  # the tread is in it
        (Box(-1, 60, 20, 70), False),  # out of the frame
        (Box(120, 70, 160, 90), False),  # where the legend is
    ],
)
def test_a_place_is_free_where_no_staircase_runs_and_nothing_else_is(box: Box, free: bool) -> None:
    assert page().free(box) is free


def test_a_word_goes_where_no_other_is_or_nowhere() -> None:
    paper = page()
    assert paper.write("first", 10, 30)
    assert not paper.write("second", 12, 32)
    assert paper.write("second", 10, 60)
    assert len(paper.boxes) == len(paper.todo) == 2
    assert not paper.ax.texts  # nothing is drawn before everything has its place
    for draw in paper.todo:
        draw()
    assert [text.get_text() for text in paper.ax.texts] == ["first", "second"]

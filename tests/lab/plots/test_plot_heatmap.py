"""plots.heatmap: a field for each setting, the best one framed, and none where there is nothing."""

from __future__ import annotations

import pytest

from streamkit.lab import plots
from streamkit.lab.findings.sweep import sweep_facts
from streamkit.lab.plots import palette
from tests.figures import empty_axes, inside, labelled, note_of
from tests.lab.plots.cases import drawn
from tests.lab.sweep.examples import BUFFERS, SWEEPS, held, swept


def luminance(colour: tuple[float, ...]) -> float:
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]


def test_each_field_has_its_median_and_the_best_is_the_lightest_and_framed() -> None:
    ax = drawn("heatmap", "sure")
    assert sorted(inside(ax)) == ["410 ms", "530 ms", "705 ms", "834 ms"]
    fields = sorted(labelled(ax, "_field"), key=lambda field: luminance(field.get_facecolor()))
    (best,) = labelled(ax, "_best")
    assert (fields[-1].get_x(), fields[-1].get_y()) == pytest.approx((best.get_x() - 0.03, best.get_y() - 0.05))
    assert labelled(ax, "_open") == []


def test_of_higher_values_the_best_is_the_lightest_too() -> None:
    ax = plots.heatmap(SWEEPS["sure"], empty_axes(), better="higher")
    lightest = max(labelled(ax, "_field"), key=lambda field: luminance(field.get_facecolor()))
    assert (lightest.get_x(), lightest.get_y()) == (-0.5, -0.5)


def test_those_that_may_be_as_good_have_a_dashed_frame() -> None:
    ax = drawn("heatmap", "not sure")
    assert len(labelled(ax, "_open")) == len(sweep_facts(SWEEPS["not sure"]).open) == 10


def test_what_failed_and_what_was_never_tried_are_hatched() -> None:
    assert inside(drawn("heatmap", "some failed")).count("failed") == 2
    assert len(labelled(drawn("heatmap", "with holes"), "_none")) == 3


def test_numbers_are_left_out_where_they_do_not_fit_and_the_note_gives_the_scale() -> None:
    ax = plots.heatmap(SWEEPS["a large map"], empty_axes(3, 2.5))
    assert inside(ax) == []
    assert note_of(ax).startswith("median held_ms: light ")


def test_a_grid_of_one_parameter_is_no_map() -> None:
    with pytest.raises(ValueError, match="expected a grid of two parameters or more, got one of buffer"):
        plots.heatmap(swept(held, {"buffer": BUFFERS}))


def test_ink_is_read_on_every_shade() -> None:
    """More than 3.9 : 1 by WCAG 2, from the darkest to the lightest: no grey has more for both inks."""

    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    def bright(colour: str) -> float:
        return luminance(tuple(linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5)))

    for step in range(101):
        fill, ink = palette.heat(step / 100)
        low, high = sorted((bright(fill), bright(ink)))
        assert (high + 0.05) / (low + 0.05) >= 3.9, step

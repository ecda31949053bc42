"""What holds for every figure: words have their place, the title is the finding, nothing else is touched."""

from __future__ import annotations

import asyncio
import copy
import functools
import io
import subprocess
import sys
from array import array
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color, to_rgb

from streamkit.lab import findings, plots
from streamkit.lab.plots import palette
from streamkit.lab.plots.paper import Paper
from streamkit.lab.recording.recording import Recording
from tests.figures import are_apart, are_readable, boxes, empty_axes, inside, key_of, labelled, note_of, title_of, words
from tests.lab.plots.cases import FIGURES, OF_SWEEPS, as_drawn, drawn, made
from tests.ways import DUE, later, way

EVERY_CASE = [(figure, case) for figure, known in FIGURES.items() for case in known.cases]
IN_OTHER_SIZES = [
    *((figure, known.worst[0], size) for figure, known in FIGURES.items() for size in known.sizes),
    *((figure, case, known.sizes[0]) for figure, known in FIGURES.items() for case in known.worst[1:]),
    *((figure, case, known.sizes[0]) for figure, known in FIGURES.items() for case in known.others[::3]),
]
OF_SEVERAL = ["timeline", "gaps", "hops", "policies", "leaving", "results", "load", "ecdf"]
WITH_A_NOTE_OF_ITS_OWN = {"outcomes", "load", "ecdf", *OF_SWEEPS}
"""A grid of endings, a sweep and a comparison say what they are of; many streams have a verdict of their own."""
OF_NOTHING = {"way"}
"""Drawn of no recording, so that none of this is about it: see `test_plot_way`."""

ON_THEIR_OWN_FIELD: Final = {"_cell"}
"""Words in a map's dark fields are white."""
SVG: Final = "{http://www.w3.org/2000/svg}"

every_figure = pytest.mark.parametrize("figure", FIGURES)
every_figure_of_recordings = pytest.mark.parametrize("figure", [one for one in FIGURES if one not in OF_SWEEPS])
every_case = pytest.mark.parametrize(("figure", "case"), EVERY_CASE, scope="module")
"""Of this scope, all that look at one drawing come one after the other, and so on the same worker."""


def recordings_of(shown: Any) -> list[Recording]:
    if isinstance(shown, Recording):
        return [shown]
    return list(shown.values() if isinstance(shown, Mapping) else shown)


def bare_axes() -> Axes:
    """For what does not depend on the layout, which takes most of the time."""
    return empty_axes(8, 5, layout=None)


def test_every_figure_of_the_room_is_held_to_this() -> None:
    assert sorted([*FIGURES, *OF_NOTHING]) == plots.__all__
    assert all(known.draw is getattr(plots, figure) for figure, known in FIGURES.items())


@every_case
def test_no_word_runs_into_another_or_out_of_the_figure_or_is_smaller_than_eight_points(figure: str, case: str) -> None:
    """… and nothing warns: not of missing glyphs, not of a layout that does not fit."""
    are_readable(drawn(figure, case))
    assert all(float(text.get_fontsize()) >= 8 for text in words(drawn(figure, case)))


@pytest.mark.parametrize(("figure", "case", "size"), IN_OTHER_SIZES)
def test_in_other_sizes_words_keep_apart_too(figure: str, case: str, size: tuple[float, float]) -> None:
    known, ax = FIGURES[figure], empty_axes(*size)
    assert known.draw(known.case(case), ax=ax) is ax
    assert ax.figure.axes == [ax]
    assert plt.get_fignums() == []
    seen = {text for text, _ in boxes(ax)} if known.all_words else {*inside(ax), *key_of(ax)}
    are_apart((text, box) for text, box in boxes(ax) if text in seen)


@every_case
def test_the_title_is_the_finding(figure: str, case: str) -> None:
    """Broken into lines where it is long; signs without a glyph and line ends are escaped."""
    finding = FIGURES[figure].finding(FIGURES[figure].case(case))
    assert title_of(drawn(figure, case)) == palette.legible(finding, 240)[0]


@every_figure
def test_the_title_can_be_given_or_left_out(figure: str) -> None:
    known = FIGURES[figure]
    assert title_of(known.draw(known.case(known.cases[0]), ax=bare_axes(), title="Mine")) == "Mine"
    assert title_of(known.draw(known.case(known.cases[0]), ax=bare_axes(), title="")) == ""


@pytest.mark.parametrize(
    ("figure", "case"),
    [(figure, case) for figure, case in EVERY_CASE if figure not in WITH_A_NOTE_OF_ITS_OWN | {*OF_SWEEPS}],
    scope="module",
)
def test_the_verdict_of_trust_stands_small_below_the_axis(figure: str, case: str) -> None:
    """… as full as there is room for; of several it is the worst."""
    ax = drawn(figure, case)
    verdicts = [recording.trust for recording in recordings_of(FIGURES[figure].case(case))]
    about, worst = "trust" if len(verdicts) == 1 else f"trust, the worst of {len(verdicts)}", min(verdicts)
    brief = f"{worst.level}: {worst.reasons[0]}; and {len(worst.reasons) - 1} more" if len(worst.reasons) > 1 else ""
    said = note_of(ax).removesuffix("…").rstrip()
    assert said.startswith(f"{about}: {worst.level}")
    assert f"{about}: {worst}".startswith(said) or f"{about}: {brief}".startswith(said)
    (note,) = labelled(ax, "_note")
    assert note.get_window_extent().y1 < ax.get_window_extent().y0
    assert note.get_fontsize() == palette.NOTE_PT


@every_figure
def test_there_is_no_frame_around_the_figure(figure: str) -> None:
    spines = drawn(figure, FIGURES[figure].cases[0]).spines
    assert not spines["top"].get_visible()
    assert not spines["right"].get_visible()


@every_figure
def test_without_axes_one_pyplot_figure_is_made_and_no_setting_is_changed(figure: str) -> None:
    ax, made, changed = as_drawn(figure, FIGURES[figure].cases[0])
    assert made == (ax.figure,)
    assert not changed


# --- On the screen and on paper ---------------------------------------------------------------------------------------


@every_figure
def test_it_is_saved_as_png_and_svg_of_the_same_size_and_the_svg_keeps_all_words(figure: str) -> None:
    """… and nothing warns."""
    ax = drawn(figure, FIGURES[figure].cases[0])
    width, height = ax.figure.figure.get_size_inches()
    pixels, vectors = io.BytesIO(), io.StringIO()
    ax.figure.figure.savefig(pixels, format="png", dpi=20)
    with mpl.rc_context({"svg.fonttype": "none"}):
        ax.figure.figure.savefig(vectors, format="svg")
    size = [int.from_bytes(pixels.getvalue()[at : at + 4]) for at in (16, 20)]  # of a PNG's IHDR
    assert size == [int(width * 20), int(height * 20)]
    root = ElementTree.fromstring(vectors.getvalue())  # noqa: S314  # we wrote it
    assert [root.get("width"), root.get("height")] == [f"{width * 72:g}pt", f"{height * 72:g}pt"]
    kept = {" ".join("".join(text.itertext()).split()) for text in root.iter(f"{SVG}text")}
    lines = [line for text in words(ax) for line in text.get_text().split("\n")]
    assert {" ".join(line.split()) for line in lines} <= kept


class Given(NamedTuple):
    """Somebody's own figure in a dark style, with two Axes: `ax` was drawn on, the other should not have been."""

    ax: Axes
    other: Axes
    returned: Axes
    changed: bool


@functools.cache
def given(figure: str) -> Given:
    known = FIGURES[figure]
    with plt.style.context("dark_background"):
        ax = bare_axes()
        other, settings = ax.figure.add_axes((0.9, 0.9, 0.05, 0.05)), dict(mpl.rcParams)
        returned = known.draw(known.case(known.cases[0]), ax=ax)
        changed = dict(mpl.rcParams) != settings
        ax.figure.figure.draw_without_rendering()
    return Given(ax, other, returned, changed)


@every_figure
def test_an_axes_that_is_given_is_drawn_on_and_returned_and_nothing_else_is_touched(figure: str) -> None:
    """It needs no layout engine; with one they are drawn on above, in other sizes."""
    ax, other, returned, changed = given(figure)
    assert returned is ax
    assert ax.figure.axes == [ax, other]
    assert len(other.get_children()) == len(bare_axes().get_children())
    assert plt.get_fignums() == []
    assert not changed


@every_figure
def test_in_a_dark_style_words_stand_on_white_and_can_be_read(figure: str) -> None:
    """On somebody's Axes a white sheet is laid behind all words."""
    ax = given(figure).ax
    assert not same_color(ax.figure.get_facecolor(), "white")
    sheet = next(artist for artist in ax.patches if isinstance(artist, Paper)).get_window_extent()
    for text in words(ax):
        x, y = text.get_window_extent().get_points().mean(axis=0)
        assert sheet.contains(x, y), text
        if text.get_label() not in ON_THEIR_OWN_FIELD:
            assert luminance(text.get_color()) < 0.18, f"{text} has less than 4.5 : 1 on white"


def test_a_figure_of_our_own_is_white_in_a_dark_style_too() -> None:
    with plt.style.context("dark_background"):
        ax = palette.new_axes(1, 1)
        pixels = io.BytesIO()
        ax.figure.figure.savefig(pixels, format="raw", dpi=20)
    assert same_color(ax.figure.get_facecolor(), "white")
    assert set(pixels.getvalue()[:4]) == {255}, "the upper left corner; the style says black for what is saved"


def luminance(colour: Any) -> float:
    """WCAG 2.2: of a colour on white, below 0.18 is a contrast of 4.5 : 1."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


# --- What it is given -------------------------------------------------------------------------------------------------


@every_figure_of_recordings
def test_recordings_are_not_changed(figure: str) -> None:
    known = FIGURES[figure]
    shown = known.case(known.cases[0])
    before = copy.deepcopy(shown)
    known.draw(shown, ax=bare_axes())
    assert shown == before
    for recording in recordings_of(shown) if figure != "outcomes" else []:
        column = recording.events.at_ns
        column.append(0)  # no view of a column is left behind: a held buffer could not grow
        assert isinstance(column, array)
        column.pop()


def test_the_worst_verdict_is_that_of_the_recording_to_be_trusted_least() -> None:
    recording, joined = made(), made(8, per_read=4)
    assert joined.trust < recording.trust
    worst = f"trust, the worst of 2: {joined.trust}"
    note = note_of(plots.timeline([recording, joined], bare_axes()))
    assert note.partition("; and ")[0].removesuffix("…").rstrip() in worst


@pytest.mark.parametrize("figure", OF_SEVERAL)
def test_one_several_or_named_recordings_are_taken(figure: str) -> None:
    draw = FIGURES[figure].draw
    marks = {"upstream.asked": 0}
    one, two = (way({"relay.sent": DUE}, later(DUE, 1), label=label, marks=marks) for label in ("one", "two"))
    assert title_of(draw(one, ax=bare_axes())) == title_of(draw([one], ax=bare_axes()))
    named = draw({"one": one, "two": two}, ax=bare_axes())
    listed = draw((recording for recording in (one, two)), ax=bare_axes())
    assert [text.get_text() for text in words(named)] == [text.get_text() for text in words(listed)]


@every_figure_of_recordings
@pytest.mark.parametrize("given", [[], ["x"], {"a": None}, 7])
def test_what_is_no_recording_is_refused_before_a_figure_is_made(figure: str, given: Any) -> None:
    none_of_several = given == [] and figure in (*OF_SEVERAL, "outcomes")
    with pytest.raises(ValueError if none_of_several else TypeError, match=r"not iterable|expected a Recording"):
        FIGURES[figure].draw(given)
    assert plt.get_fignums() == []


async def asked() -> Recording:
    return made()


@every_figure_of_recordings
def test_of_a_coroutine_it_is_said_to_await_it_and_it_is_closed(figure: str) -> None:
    """Else Python warned, too, that it was never awaited; here a warning is an error."""
    with pytest.raises(TypeError, match="got a coroutine that is still to be one: await it"):
        FIGURES[figure].draw(asked())
    assert plt.get_fignums() == []


@pytest.mark.parametrize("figure", [*OF_SEVERAL, "outcomes"])
def test_coroutines_among_several_are_found_and_closed_too(figure: str) -> None:
    for several in ([made(), asked(), asked()], {"a": asked(), "b": asked()}, (each() for each in (made, asked))):
        with pytest.raises(TypeError, match="got a coroutine that is still to be one: await it"):
            FIGURES[figure].draw(several)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    "draw",
    [plots.journey, plots.timeline, plots.outcomes, findings.held, findings.after_leaving, findings.policy_facts],
)
def test_a_task_is_told_to_be_awaited_and_goes_on(draw: Callable[[Any], Any]) -> None:
    async def main() -> Recording:
        task = asyncio.create_task(asked())
        with pytest.raises(TypeError, match=r"got a .*Task that is still to be one: await it"):
            draw(task)
        return await task

    assert asyncio.run(main()).outcome == "complete"


def test_importing_the_figures_chooses_no_backend_and_loads_no_pyplot() -> None:
    code = "import sys, streamkit.lab.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Somebody's own words, with signs that our font does not have: by another font, or written as their escapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from matplotlib.font_manager import fontManager

from streamkit.lab import plots
from streamkit.lab.findings.comparing import compare
from streamkit.lab.findings.endings import end_grid
from streamkit.lab.plots import lettering
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet, Resources
from streamkit.outcome import Outcome
from tests.figures import empty_axes
from tests.lab.compare.examples import runs
from tests.lab.plots.cases import USED, WAYS, left, made
from tests.lab.results import results_of
from tests.lab.sets.streams import load, stream
from tests.lab.sweep.examples import swept
from tests.policy_model import under
from tests.ways import DUE

NAME = "հայ 你 $x$\n"
"""Armenian is in DejaVu Sans, but not in STIXGeneral; matplotlib brings both. The next sign is in neither of them."""
BROKEN = replace(made(3), outcome=Outcome("error_event", NAME), label=NAME)
NOTHING = Recording(outcome=Outcome("error_event", NAME), sent_ns=0, ended_ns=20_000_000, label=NAME)

DRAWN: dict[str, Callable[[Axes], Axes]] = {
    "timeline": lambda ax: plots.timeline([BROKEN, NOTHING], ax),
    "timeline of groups": lambda ax: plots.timeline([BROKEN] * 9, ax),
    "gaps": lambda ax: plots.gaps([BROKEN, NOTHING], ax),
    "no gap": lambda ax: plots.gaps(NOTHING, ax),
    "journey": lambda ax: plots.journey(replace(WAYS["fine"], outcome=BROKEN.outcome), ax, title=NAME),
    "backlog": lambda ax: plots.backlog(NOTHING, ax),
    "hops": lambda ax: plots.hops({NAME: WAYS["fine"], "far": WAYS["far"], f"none {NAME}": NOTHING}, ax),
    "no hop": lambda ax: plots.hops(NOTHING, ax),
    "policies": lambda ax: plots.policies([replace(under("pause", 60, (200, 400)), label=NAME), NOTHING], ax),
    "outcomes": lambda ax: plots.outcomes([BROKEN, NOTHING], ax),
    "a grid of outcomes": lambda ax: plots.outcomes(end_grid({NAME: {NAME: BROKEN}}, "x", x_label=NAME), ax),
    "results": lambda ax: plots.results({NAME: results_of([{NAME: 1}]), "none": NOTHING}, ax, number=NAME),
    "leaving": lambda ax: plots.leaving({NAME: left(DUE, 500, None), "b": left(DUE, 500, 700)}, ax=ax),
    "load": lambda ax: plots.load(
        RecordingSet(
            [*load(3, pieces=2), stream(50, pieces=0, outcome=f"refused({NAME})")],
            resources=[Resources.of(NAME, USED)],
        ),
        ax,
    ),
    "ecdf": lambda ax: plots.ecdf([replace(BROKEN, labels={NAME: value}) for value in (NAME, "b")], ax, by=NAME),
    "sweep": lambda ax: plots.sweep(of_names(), ax),
    "heatmap": lambda ax: plots.heatmap(of_names(), ax),
    "compare": lambda ax: plots.compare(compare({NAME: runs("a", count=6), f"b {NAME}": runs("b", 131, count=6)}), ax),
}


def of_names() -> Any:
    return swept(lambda *_, **__: {NAME: 7.0}, {NAME: [NAME, "b"], f"b {NAME}": ["b", NAME]}, 2)


@pytest.fixture(autouse=True)
def no_font_but_matplotlibs_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    own = [font for font in fontManager.ttflist if font.fname.startswith(mpl.get_data_path())]
    monkeypatch.setattr(fontManager, "ttflist", own)
    lettering._helpers.cache_clear()
    with mpl.rc_context({"font.family": ["STIXGeneral"]}):
        yield
    lettering._helpers.cache_clear()


@pytest.mark.parametrize("what", DRAWN)
def test_whatever_somebody_calls_things_a_figure_draws_it_with_a_font_that_has_its_signs(what: str) -> None:
    """Else matplotlib would warn of missing glyphs, and here a warning is an error."""
    DRAWN[what](empty_axes(8, 5, layout=None)).figure.figure.draw_without_rendering()


def test_any_installed_font_is_used_that_has_the_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lettering.legible("հայ") == ("հայ", ["STIXGeneral", "DejaVu Sans"])
    assert lettering.legible("x → y") == ("x → y", ["STIXGeneral"])
    monkeypatch.setattr(lettering, "_PREFERRED", ("No Such Font", "DejaVu Serif"))
    lettering._helpers.cache_clear()
    assert lettering.legible("հայ")[1] == ["STIXGeneral", "DejaVu Serif"]


def test_signs_that_no_font_has_are_escaped_each_by_itself_and_never_cut_in_the_middle() -> None:
    assert lettering.legible("հ 你好\n") == (r"հ \u4f60\u597d\n", ["STIXGeneral", "DejaVu Sans"])
    assert lettering.legible("你好 relay", limit=10)[0] == r"\u4f60…"


def test_a_font_with_a_box_for_every_sign_is_none() -> None:
    assert lettering._drawn_by("Last Resort High-Efficiency", "a你") == set()
    assert lettering._drawn_by("DejaVu Sans", "a你\u2003") == {"a", "\u2003"}, "a space may be blank"


def test_a_family_that_stands_for_others_is_asked_each_time_which() -> None:
    for font, helpers in (("STIXGeneral", ["DejaVu Sans"]), ("DejaVu Sans", []), ("STIXGeneral", ["DejaVu Sans"])):
        with mpl.rc_context({"font.family": ["sans-serif"], "font.sans-serif": [font]}):
            assert lettering.legible("հայ")[1] == ["sans-serif", *helpers]


def test_a_text_is_as_wide_as_it_is_drawn_with_its_escapes() -> None:
    assert lettering.width_pt("你好") == lettering.width_pt(r"\u4f60\u597d")

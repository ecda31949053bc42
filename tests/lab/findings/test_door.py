"""The door of the findings: names that a user calls, and nothing that draws."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

from streamkit.lab import findings, plots

SAID_IN = {"compare": "comparison"}
"""`findings.compare` is a function, and so no file."""
ROOMS = {"findings": findings, "plots": plots}


@pytest.mark.parametrize("room", ROOMS)
def test_it_shows_its_names_and_nothing_else(room: str) -> None:
    assert dir(ROOMS[room]) == sorted(ROOMS[room].__all__)


@pytest.mark.parametrize("room", ROOMS)
def test_no_name_is_that_of_a_file(room: str) -> None:
    """Whichever is imported last would stand for both."""
    files = {module.name for module in pkgutil.iter_modules(ROOMS[room].__path__)}
    assert files.isdisjoint(ROOMS[room].__all__)
    assert not any(isinstance(getattr(ROOMS[room], name), ModuleType) for name in ROOMS[room].__all__)


def test_every_figure_has_its_sentence() -> None:
    """… but outcomes: the title of a grid of endings is in the grid; a map of a sweep has the sweep's; and the way is
    of no recording.
    """
    sentences = {name.removesuffix("_finding") for name in findings.__all__ if name.endswith("_finding")}
    assert sentences | {"timeline", "outcomes", "heatmap", "way"} == set(plots.__all__)


@pytest.mark.parametrize("figure", sorted(set(plots.__all__) - {"outcomes", "heatmap", "way"}))
def test_a_figure_draws_what_the_file_of_its_name_says(figure: str) -> None:
    drawn = importlib.import_module(f"streamkit.lab.plots.plot_{figure}")
    said = importlib.import_module(f"streamkit.lab.findings.{SAID_IN.get(figure, figure)}")
    describe = f"describe_{figure}"
    assert getattr(drawn, describe) is getattr(said, describe)


def test_neither_the_findings_nor_the_map_of_timeouts_load_matplotlib() -> None:
    modules = ["streamkit.lab.experiments.timeouts"]
    modules += [f"streamkit.lab.findings.{module.name}" for module in pkgutil.iter_modules(findings.__path__)]
    code = f"import sys, {', '.join(modules)}; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

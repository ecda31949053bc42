"""What holds for every notebook, and one of them as its readers run it.

Each opens with the way of a chunk and "you are here", asks for a prediction before it runs anything, has three
exercises whose solutions are folded (`front/` runs them), and ends with its checks, folded, too.

`dev.py test` runs them all with nbval, which sends a cell when the one before has ended. JupyterLab's "Run All Cells"
queues every cell at once, which makes a difference where a cell lets the kernel's loop go on: that loop must not begin
the next cell. One notebook is run that way as well.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
import time
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT, PyCF_ONLY_AST
from pathlib import Path
from typing import Any

import pytest

from tests.notebooks import FOLDER, NOTEBOOKS, WAIT_S, cells, code_cells, kernel

QUEUED = FOLDER / "01_first_stream.ipynb"
"""The one with `run()`, which goes back into the kernel's loop in the middle of a cell; besides that it has what the
others have: servers, top-level awaits, pictures.
"""
LIVE = "nbval-ignore-output"
LONGEST_CELL = 8
PATH = FOLDER / "README.md"
ROW = re.compile(r"^\|([^|]*)\| \*\*(\d\d)\*\* \[(.+)\]\((\S+)\)[^|]*\| (\d+) \|$", re.MULTILINE)
SOLUTION = re.compile(r"<details>.*?</details>", re.DOTALL)
WORDS_A_MINUTE = 200
RUNNING_MINUTES = 1
"""All cells of each take less; that they do is nothing to assert on any machine."""

EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter_client's own
def test_all_cells_queued_at_once_run_to_the_end() -> None:
    queued = code_cells(QUEUED)
    assert any("sk.run(" in cell["source"] for cell in queued)
    with kernel(QUEUED) as client:
        sent = {client.execute(cell["source"]): cell for cell in queued}
        deadline = time.monotonic() + WAIT_S
        while sent:
            reply = client.get_shell_msg(timeout=deadline - time.monotonic())
            cell = sent.pop(reply["parent_header"]["msg_id"], None)
            if cell is not None:
                assert reply["content"]["status"] == "ok", f"{cell['source']}\n{reply['content']}"


@EACH
def test_it_opens_with_the_way_of_a_chunk_and_where_on_it_the_reader_is(path: Path) -> None:
    first, second = code_cells(path)[:2]
    assert first["source"].startswith("%load_ext streamkit\n")
    assert second["source"].startswith("sk.plots.way(")


@EACH
def test_it_asks_for_a_prediction_before_a_stream_runs(path: Path) -> None:
    before = itertools.takewhile(lambda cell: "await" not in cell["source"], cells(path))
    assert any("**Predict" in cell["source"] for cell in before)


@EACH
def test_it_has_three_exercises_whose_solutions_are_folded(path: Path) -> None:
    text = "\n".join(cell["source"] for cell in cells(path) if cell["cell_type"] == "markdown")
    assert "\n## Exercises" in f"\n{text}"
    solutions = re.findall(r"<details>\s*<summary>[^<]*Solution[^<]*</summary>\n\n.+?\n\n</details>", text, re.DOTALL)
    assert len(solutions) == 3
    assert text.count("<details>") == text.count("</details>") == 3


@EACH
def test_its_checks_are_folded_and_stand_at_its_end(path: Path) -> None:
    folded = [cell["metadata"].get("jupyter", {}).get("source_hidden", False) for cell in code_cells(path)]
    assert any(folded)
    first = folded.index(True)
    assert all(folded[first:-1]), "behind the first check comes the cell that leaves nothing running, and no other"
    for cell in code_cells(path)[first:-1]:
        assert "checks" in cell["metadata"]["tags"]
        assert "assert" in cell["source"], cell["source"]


@EACH
def test_it_is_an_explanation_first_and_a_test_last(path: Path) -> None:
    """The whole example is read by somebody who has never seen this: an assert there explains nothing."""
    ahead = itertools.takewhile(lambda cell: "## Step" not in cell["source"], cells(path))
    assert not any("assert" in cell["source"] for cell in ahead if cell["cell_type"] == "code")


@EACH
def test_every_figure_says_in_words_what_it_shows(path: Path) -> None:
    """For who cannot see it; the pages take it as the picture's alternative text."""
    for cell in code_cells(path):
        if any("image/png" in output.get("data", ()) for output in cell["outputs"]):
            alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
            assert 30 <= len(alt) <= 400, (cell["source"], alt)


@EACH
def test_cells_are_short_and_their_outputs_are_committed(path: Path) -> None:
    assert any(cell["outputs"] for cell in code_cells(path))
    for cell in code_cells(path):
        assert len(cell["source"].splitlines()) <= LONGEST_CELL, cell["source"]
        assert not any(output["output_type"] == "error" for output in cell["outputs"]), cell["source"]
        assert "<Axes" not in json.dumps(cell["outputs"]), cell["source"]


@EACH
def test_what_a_cell_shows_and_nbval_does_not_compare_is_asserted_there_or_in_the_checks(path: Path) -> None:
    checked = set[str]().union(*(names(cell) for cell in code_cells(path) if "assert" in cell["source"]))
    for cell in code_cells(path):
        if LIVE in cell["metadata"].get("tags", ()) and not cell["source"].startswith("sk.plots.way("):
            assert "assert" in cell["source"] or names(cell) & checked, cell["source"]


def test_the_path_has_a_row_for_each_notebook_with_its_question() -> None:
    rows = [(number, question, file) for _, number, question, file, _ in ROW.findall(PATH.read_text("utf-8"))]
    assert rows == [(path.stem[:2], question(path), path.name) for path in NOTEBOOKS]


def test_its_minutes_are_those_that_reading_and_running_take() -> None:
    """To a minute: a sentence more changes nothing."""
    told = {file: int(minutes) for *_, file, minutes in ROW.findall(PATH.read_text("utf-8"))}
    counted = {path.name: minutes(path) for path in NOTEBOOKS}
    assert all(abs(told[file] - counted[file]) <= 1 for file in counted), counted


def test_what_the_path_links_to_is_there_under_the_number_that_it_says() -> None:
    text = PATH.read_text("utf-8")
    links = re.findall(r"\[(\d\d)\]\((\S+?)\)", text)
    assert links
    assert all(file.startswith(f"{number}_") for number, file in links)
    pictures = re.findall(r'<img src="([^"]+)"', text)
    for target in [*(file for _, file in links), *pictures]:
        assert (FOLDER / target).is_file(), target
    for picture, _, _, file, _ in ROW.findall(text):
        assert not picture.strip() or f"/{Path(file).stem}.png" in picture


def question(path: Path) -> str:
    """What its title asks, in English."""
    title: str = cells(path)[0]["source"].splitlines()[0]
    return title.removeprefix(f"# {int(path.stem[:2])}. ").partition(" · ")[0]


def minutes(path: Path) -> int:
    shown = [cell["source"] for cell in cells(path) if "checks" not in cell["metadata"].get("tags", ())]
    words = SOLUTION.sub("", "\n".join(shown)).split()
    return math.ceil(len(words) / WORDS_A_MINUTE) + RUNNING_MINUTES


def names(cell: dict[str, Any]) -> set[str]:
    """The variables that a cell uses or sets."""
    if cell["source"].startswith("%%"):  # in another language; its recording has a name all the same
        return set(re.findall(r"--out (\w+)", cell["source"].splitlines()[0]))
    lines = [line for line in cell["source"].splitlines() if not line.startswith(("%", "!"))]
    tree = compile("\n".join(lines), "cell", "exec", PyCF_ONLY_AST | PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - {"sk", "print"}

"""Each exercise has a solution, and each solution runs in the kernel that its reader has after Run All."""

from __future__ import annotations

from pathlib import Path

import pytest

from front.notebooks import solutions
from tests.notebooks import NOTEBOOKS, code_cells, kernel

CELL_S = 180.0


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter_client's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_solution_runs_behind_its_notebook_and_leaves_nothing_running(path: Path) -> None:
    folded = solutions(path)
    assert len(folded) == 3
    assert all(folded), "a solution is something to run"
    with kernel(path) as client:
        for cell in [
            *(cell["source"] for cell in code_cells(path)),
            *folded,
            "import streamkit\nassert streamkit.servers() == []",
        ]:
            reply = client.execute_interactive(cell, output_hook=lambda _: None, timeout=CELL_S)
            assert reply["content"]["status"] == "ok", f"{cell}\n{reply['content']}"

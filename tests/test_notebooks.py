"""What holds for every notebook, and one of them as its readers run it.

`dev.py test` runs them all with nbval, which sends a cell when the one before has ended. JupyterLab's "Run All Cells"
queues every cell at once, which makes a difference where a cell lets the kernel's loop go on: that loop must not begin
the next cell. One notebook is run that way as well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
QUEUED = FOLDER / "01_first_stream.ipynb"
"""The one with `run()`, which goes back into the kernel's loop in the middle of a cell; besides that it has what the
others have: servers, top-level awaits, pictures.
"""
LIVE = "nbval-ignore-output"
WAIT_S = 120.0
LONGEST_CELL = 8

EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[dict[str, Any]]:
    """Read as the JSON that they are: nbformat, by which nbval reads them, takes a second and a half to import."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells if cell["cell_type"] == "code"]


@contextmanager
def kernel(path: Path) -> Iterator[BlockingKernelClient]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(path.parent))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=WAIT_S)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter_client's own
def test_all_cells_queued_at_once_run_to_the_end() -> None:
    cells = code_cells(QUEUED)
    assert any("sk.run(" in cell["source"] for cell in cells)
    with kernel(QUEUED) as client:
        sent = {client.execute(cell["source"]): cell for cell in cells}
        deadline = time.monotonic() + WAIT_S
        while sent:
            reply = client.get_shell_msg(timeout=deadline - time.monotonic())
            cell = sent.pop(reply["parent_header"]["msg_id"], None)
            if cell is not None:
                assert reply["content"]["status"] == "ok", f"{cell['source']}\n{reply['content']}"


@EACH
def test_cells_are_short_and_their_outputs_are_committed(path: Path) -> None:
    cells = code_cells(path)
    assert cells[0]["source"].startswith("%matplotlib inline")
    assert any(cell["outputs"] for cell in cells)
    for cell in cells:
        assert len(cell["source"].splitlines()) <= LONGEST_CELL, cell["source"]
        assert not any(output["output_type"] == "error" for output in cell["outputs"]), cell["source"]


@EACH
def test_a_cell_whose_output_is_not_compared_asserts_something(path: Path) -> None:
    for cell in code_cells(path):
        assert LIVE not in cell["metadata"].get("tags", ()) or "assert" in cell["source"], cell["source"]

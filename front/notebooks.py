"""The notebooks as their readers get them: figures, solutions, and a copy in a folder of one's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from tests.notebooks import cells

SOLUTION: Final = re.compile(r"<details>\s*<summary>[^<]*</summary>(.*?)</details>", re.DOTALL)
PYTHON: Final = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def figures(path: Path) -> int:
    """How many pictures its committed outputs have."""
    outputs = [output for cell in cells(path) for output in cell.get("outputs", ())]
    return sum("image/png" in output.get("data", ()) for output in outputs)


def solutions(path: Path) -> list[str]:
    """The code of each folded solution, one string each."""
    text = "\n".join(cell["source"] for cell in cells(path) if cell["cell_type"] == "markdown")
    return ["\n".join(PYTHON.findall(folded)) for folded in SOLUTION.findall(text)]


def copy_without_outputs(path: Path, folder: Path) -> None:
    """So that whatever is seen there was made there."""
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    (folder / path.name).write_text(json.dumps(notebook), "utf-8")

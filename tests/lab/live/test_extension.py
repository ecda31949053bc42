"""`%load_ext streamkit`: what a notebook has behind it, told by a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks import FOLDER, kernel

ASKED = """
%load_ext streamkit
import matplotlib
from matplotlib_inline.config import InlineBackend
print(matplotlib.get_backend().lower(), *InlineBackend.instance().figure_formats)
"""
FROZEN = """
import gc
print(gc.get_freeze_count() > 100_000)
%unload_ext streamkit
print(gc.get_freeze_count())
"""


def told(code: str, path: Path = FOLDER / "any.ipynb") -> str:
    """What a kernel prints for a cell."""
    said: list[str] = []

    def hook(message: dict[str, dict[str, str]]) -> None:
        said.append(message["content"].get("text", ""))

    with kernel(path) as client:
        reply = client.execute_interactive(code, output_hook=hook, timeout=120)
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(said)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter_client's own
@pytest.mark.parametrize(
    ("before", "formats"), [("", "retina"), ("%config InlineBackend.figure_formats = ['svg']", "svg")]
)
def test_figures_are_inline_and_sharp_and_who_has_chosen_a_format_keeps_it(before: str, formats: str) -> None:
    assert told(f"{before}{ASKED}") == f"inline {formats}\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter_client's own
def test_what_is_imported_is_left_out_of_garbage_collections_until_it_is_unloaded() -> None:
    """A full one takes a tenth of a second, and would fall into a stream."""
    assert told(f"%load_ext streamkit{FROZEN}").splitlines()[-2:] == ["True", "0"]

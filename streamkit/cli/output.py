"""What the commands show, and the pictures that they leave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["KINDS", "OF_ONE", "draw", "show"]

SIDE_BY_SIDE = ("timeline", "gaps", "hops", "policies")
OF_ONE = ("journey", "backlog", "queues")
"""The figures, by whether they take several recordings."""
KINDS = (*SIDE_BY_SIDE, *OF_ONE)


def show(text: str) -> None:
    print(text, end="", flush=True)


def draw(recordings: list[Recording], kind: str, path: Path) -> None:
    """Draw without a display, whatever backend the environment names."""
    import matplotlib as mpl

    mpl.use("agg")
    from streamkit.lab import plots

    axes = getattr(plots, kind)(recordings[0] if kind in OF_ONE else recordings)
    axes.figure.savefig(path, dpi=150)
    print(f"picture: {path.resolve()}")

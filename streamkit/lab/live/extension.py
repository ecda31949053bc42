"""What `%load_ext streamkit` does: figures in the notebook, sharp on every screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load"]

PLAIN = {"png"}  # the backend's own choice: whoever made another keeps it


def load(shell: InteractiveShell) -> None:
    """Make the shell ready: see `streamkit.load_ipython_extension`. To load it twice is to load it once."""
    if shell.has_trait("kernel"):  # a notebook's; a terminal has windows, or none
        _show_figures_inline(shell)


def _show_figures_inline(shell: InteractiveShell) -> None:
    from matplotlib_inline.config import InlineBackend

    shell.enable_matplotlib("inline")  # type: ignore[no-untyped-call]  # IPython's own, without types
    shown = InlineBackend.instance(parent=shell)
    if shown.figure_formats == PLAIN:
        shown.figure_formats = {"retina"}  # twice the pixels: a line is as sharp as the text beside it

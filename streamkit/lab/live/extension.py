"""What `%load_ext streamkit` does: figures in the notebook, sharp on every screen; the cell magic `%%stream`; and no
full garbage collection within a stream.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from streamkit.lab.live.stream_magic import NAME, StreamMagics

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load", "unload"]

PLAIN = {"png"}  # the backend's own choice: whoever made another keeps it


def load(shell: InteractiveShell) -> None:
    """Make the shell ready: see `streamkit.load_ipython_extension`. To load it twice is to load it once."""
    if shell.has_trait("kernel"):  # a notebook's; a terminal has windows, or none
        _show_figures_inline(shell)
    shell.register_magics(StreamMagics)
    _collect_garbage_now()


def unload(shell: InteractiveShell) -> None:
    """What `%unload_ext streamkit` does: `%%stream` is gone. Figures stay inline, as somebody may rely on it by now."""
    shell.magics_manager.magics["cell"].pop(NAME, None)
    gc.unfreeze()


def _show_figures_inline(shell: InteractiveShell) -> None:
    from matplotlib_inline.config import InlineBackend

    shell.enable_matplotlib("inline")  # type: ignore[no-untyped-call]  # IPython's own, without types
    shown = InlineBackend.instance(parent=shell)
    if shown.figure_formats == PLAIN:
        shown.figure_formats = {"retina"}  # twice the pixels: a line is as sharp as the text beside it


def _collect_garbage_now() -> None:
    """What has been imported stays for good, and is left out of collections from here on: to look through all of it
    takes a tenth of a second, in which no stream of this process moves.
    """
    from streamkit.lab import lab, plots  # noqa: F401  # what every notebook imports sooner or later

    gc.collect()
    gc.freeze()

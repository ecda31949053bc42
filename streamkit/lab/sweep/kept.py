"""The last sweep of this process; see `lab/kept.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamkit.lab.kept import Last

if TYPE_CHECKING:
    from streamkit.lab.sweep.rows import Sweep

__all__ = ["LAST", "last_sweep"]

LAST: Final = Last["Sweep"]("sweep")


def last_sweep() -> Sweep | None:
    """The last sweep of this process, finished or interrupted; None if there was none.

        swept = sk.sweep(trial, grid, repeats=6)     # interrupted after a minute, by Ctrl-C
        sk.last_sweep().rows                         # the trials that were done by then

    The exception that interrupts a sweep carries it as its attribute `sweep`.
    """
    return LAST.value

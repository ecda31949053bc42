"""The last sweep, and what an interruption of one carries: no row is lost because somebody stopped the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamkit.lab.sweep.rows import Sweep

__all__ = ["carry", "keep", "last_sweep"]

_last: Sweep | None = None


def last_sweep() -> Sweep | None:
    """The last sweep of this process, finished or interrupted; None where there was none.

        swept = sk.sweep(trial, grid, repeats=6)     # interrupted after a minute, by Ctrl-C
        sk.last_sweep().rows                         # of the trials that were done by then

    The exception that interrupts a sweep has it as its attribute `sweep`.
    """
    return _last


def keep(swept: Sweep) -> Sweep:
    """It is the last one now."""
    global _last
    _last = swept
    return swept


def carry(swept: Sweep, error: BaseException) -> None:
    """The same, and `error`, which interrupted it, has it as its attribute `sweep`."""
    vars(error)["sweep"] = keep(swept)

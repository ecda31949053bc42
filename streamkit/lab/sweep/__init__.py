"""Sweeps: one function, called with every setting of a grid, in an order that favours none of them.

    grid ──▶ settings ──▶ schedule: rounds, each in an order of its own ──▶ an executor ──▶ rows ──▶ Sweep
                                                                              │
                                                            trial.py: a call, there  └─▶ its file, row by row

`sweep()` is `sk.sweep`. All it needs of the executor is `submit`, and of the trial what it returns: numbers, or
recordings, whose numbers it takes. `findings/sweep.py` says what a sweep shows.
"""

from __future__ import annotations

from streamkit.lab.sweep.kept import last_sweep
from streamkit.lab.sweep.rows import Sweep, TrialRow
from streamkit.lab.sweep.sweeping import sweep

__all__ = ["Sweep", "TrialRow", "last_sweep", "sweep"]

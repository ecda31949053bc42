"""Sweeps: one function, called with every setting of a grid, so that chance and the hour of the day favour none.

    grid ──▶ settings ──▶ schedule: rounds, each in an order of its own ──▶ an executor ──▶ rows ──▶ Sweep
                                                                              │
                                                            trial.py: a call, there  └─▶ its file, row by row

`sweep()` is called `sk.sweep`. It knows nothing of the executor but `submit`, and nothing of the trial but what it
returns: numbers, or recordings, of which it takes the numbers. What a sweep shows says `findings/sweep.py`.
"""

from __future__ import annotations

from streamkit.lab.sweep.kept import last_sweep
from streamkit.lab.sweep.rows import Sweep, TrialRow
from streamkit.lab.sweep.sweeping import sweep

__all__ = ["Sweep", "TrialRow", "last_sweep", "sweep"]

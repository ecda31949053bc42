"""How much memory Python takes for something: at most, and still when it is done.

Tracing counts the whole process, in which a worker's servers and pytest-xdist allocate beside what is measured. They
only add, so it is measured several times, and the least is what is meant.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

TRIES = 3


def peak_bytes(run: Callable[[], object]) -> int:
    """The most that is taken at once while it runs; `run` is called `TRIES` times, and has to do the same each time."""
    return min(_traced(run, what_is_kept=False) for _ in range(TRIES))


def kept_bytes(run: Callable[[], object]) -> int:
    """What its result takes; `run` is called `TRIES` times, and has to do the same each time."""
    return min(_traced(run, what_is_kept=True) for _ in range(TRIES))


def _traced(run: Callable[[], object], what_is_kept: bool) -> int:
    tracemalloc.start()
    try:
        result = run()  # held while it is measured
        if what_is_kept:
            gc.collect()
        kept, peak = tracemalloc.get_traced_memory()
        del result
        return kept if what_is_kept else peak
    finally:
        tracemalloc.stop()

"""What the benchmarks share: interleaved medians, and a table.

    seconds = compare({"ours": lambda: ..., "peer": lambda: ...})   # median seconds of one call, per case
    print(table([["scenario", "ours"], ["batch", "1.2 ms"]]))       # the first row is the head

CPU time is what is taken, so that waiting for a busy machine does not count; and rounds are interleaved (every case
once, then every case once again), so that what a neighbour does to the caches slows all cases alike. Only ratios within
one `compare` mean anything.
"""

from __future__ import annotations

import gc
import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["compare", "show_seconds", "table"]


def compare(cases: Mapping[str, Callable[[], object]], *, rounds: int = 15, min_s: float = 0.01) -> dict[str, float]:
    """Median CPU seconds of one call of each case; `rounds` measurements each, interleaved between the cases.

    One measurement repeats the call until about `min_s` seconds have passed, so that a call of a few
    microseconds is not lost in the clock. The garbage collector stays on: it is part of what objects cost; only
    what was imported before is kept out of its rounds, or the size of one peer's package would slow all others.
    """
    gc.collect()
    gc.freeze()
    try:
        return _compare(cases, rounds, min_s)
    finally:
        gc.unfreeze()


def _compare(cases: Mapping[str, Callable[[], object]], rounds: int, min_s: float) -> dict[str, float]:
    repeats = {name: _repeats(case, min_s) for name, case in cases.items()}
    measured: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    for turn in range(rounds):
        first = turn % len(names)  # a new one begins each round, so that nobody always follows the same neighbour
        for name in names[first:] + names[:first]:
            measured[name].append(_measure(cases[name], repeats[name]))
    return {name: statistics.median(values) for name, values in measured.items()}


def _measure(case: Callable[[], object], repeats: int) -> float:
    gc.collect()
    begin = time.process_time()
    for _ in range(repeats):
        case()
    return (time.process_time() - begin) / repeats


def _repeats(case: Callable[[], object], min_s: float) -> int:
    case()  # warm: imports, caches, the specialising interpreter
    return max(1, round(min_s / max(_measure(case, 1), 1e-9)))


def show_seconds(seconds: float) -> str:
    """`0.00123` as `1.23 ms`: three digits, in the unit that fits."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table(rows: Sequence[Sequence[object]]) -> str:
    """The rows as aligned text, the first one as the head; the first column to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{c:{'<' if i == 0 else '>'}{widths[i]}}" for i, c in enumerate(row)) for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])

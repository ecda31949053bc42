"""Trials for tests of sweeps: any process can import them."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path


def noisy(a: int, b: str, seed: int) -> dict[str, float]:
    """The same for the same parameters and seed."""
    return {"cost_ms": a * 10 + random.Random(f"{a} {b} {seed}").random(), "length": len(b)}


def fails_on_two(a: int) -> float:
    if a == 2:
        raise ValueError("no luck with sk-abc123456 today")
    return a / 2


def dies_on_two(a: int) -> float:
    if a == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return a / 2


def process(a: int) -> int:
    """Who runs it; for long enough that nobody else has time for all."""
    time.sleep(0.01 * (a >= 0))
    return os.getpid()


def halts_on_three(a: int) -> int:
    time.sleep(600 if a == 3 else 0)
    return a


STOP = "STREAMKIT_TEST_HALTS_AT"
"""The environment's variable with the name of a file that says how many trials may be done."""

_done = 0


def halts_at(a: int, b: str, seed: int) -> dict[str, float]:
    """As `noisy`, but where that file is, the process waits for its end once it has done so many."""
    global _done
    if STOP in os.environ and _done == int(Path(os.environ[STOP]).read_text()):
        time.sleep(600)
    _done += 1
    return noisy(a, b, seed)

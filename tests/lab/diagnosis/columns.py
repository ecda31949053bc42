"""Streams as columns, made by hand: what a diagnosis sees."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from streamkit.lab.diagnosis.seen import Seen

MS = 1_000_000


def seen(at_ms: Sequence[float], handed_ms: Sequence[float] | None = None, **fields: Any) -> Seen:
    """Events that came at these times, each in a read of its own unless their times are equal."""
    at_ns = np.array([round(each * MS) for each in at_ms], dtype=np.int64)
    handed_ns = at_ns if handed_ms is None else np.array([round(each * MS) for each in handed_ms], dtype=np.int64)
    follows = np.arange(at_ns.size) > 0
    told: dict[str, Any] = {
        "read": np.unique(at_ns, return_inverse=True)[1],
        "weight": np.ones(at_ns.size),
        "follows": follows,
    }
    return Seen(at_ns=at_ns, handed_ns=handed_ns, **{**told, **fields})


def gaps(*gaps_ms: float) -> list[float]:
    """The times of events that are so far apart; the first comes at 100 ms."""
    return [*accumulate(gaps_ms, initial=100.0)]


def steady(events: int, gap_ms: float = 30.0) -> list[float]:
    """`events` at one pace."""
    return gaps(*[gap_ms] * (events - 1))


def paused(after: int = 20, ms: float = 700.0, events: int = 60, gap_ms: float = 30.0) -> list[float]:
    """A silence of `ms` after so many events, and then the pace as before."""
    return gaps(*[gap_ms] * (after - 1), ms, *[gap_ms] * (events - after - 1))


def held(after: int = 20, due: int = 24, events: int = 60, gap_ms: float = 30.0) -> list[float]:
    """After so many events nothing, until so many more are due; then these at once, and on as if nothing had been."""
    times = steady(events, gap_ms)
    return [max(at, times[after + due - 1]) if index >= after else at for index, at in enumerate(times)]

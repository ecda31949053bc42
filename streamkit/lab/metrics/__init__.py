"""Numbers from columns: pure functions of integer nanoseconds. Nothing here reads a clock or a recording.

The way of the data: a recording's columns (`columns`) → waits, gaps, stalls (`gaps`) or staircases (`curves`) → what
can be said about them: percentiles, an event's way part by part (`budgets`), which events kept an objective (`slo`).
All names are doors: `sk.metrics.gaps_ns`, `sk.metrics.curve`, `sk.metrics.SLO`, …. Times are in ns, and a number that
is not defined is None, never 0 or NaN.
"""

from __future__ import annotations

from streamkit.lab.metrics.budgets import Budget, Part, budget
from streamkit.lab.metrics.columns import pieces
from streamkit.lab.metrics.curves import (
    Backlog,
    Curve,
    Hop,
    Unit,
    backlog,
    count_at,
    curve,
    curve_of,
    delay_ns,
    hops,
    max_backlog,
    mean_backlog,
    time_of,
    times,
)
from streamkit.lab.metrics.gaps import (
    MIN_STALL_NS,
    STALL_FACTOR,
    Losses,
    Rule,
    coalesced_share,
    end_silence,
    gaps_ns,
    loss_and_duplication,
    stall_places,
    stall_threshold_ns,
    stalls_ns,
    throughput_per_s,
    ttft_ns,
)
from streamkit.lab.metrics.percentile import percentile_ns, percentiles_ns
from streamkit.lab.metrics.slo import SLO, Goodput, on_time, slo_failures

__all__ = [
    "MIN_STALL_NS",
    "SLO",
    "STALL_FACTOR",
    "Backlog",
    "Budget",
    "Curve",
    "Goodput",
    "Hop",
    "Losses",
    "Part",
    "Rule",
    "Unit",
    "backlog",
    "budget",
    "coalesced_share",
    "count_at",
    "curve",
    "curve_of",
    "delay_ns",
    "end_silence",
    "gaps_ns",
    "hops",
    "loss_and_duplication",
    "max_backlog",
    "mean_backlog",
    "on_time",
    "percentile_ns",
    "percentiles_ns",
    "pieces",
    "slo_failures",
    "stall_places",
    "stall_threshold_ns",
    "stalls_ns",
    "throughput_per_s",
    "time_of",
    "times",
    "ttft_ns",
]


def __dir__() -> list[str]:
    return sorted(__all__)

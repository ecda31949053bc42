"""Streams of a load, made by hand, for all tests of this room and of what is said and drawn of it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome

MS = 1_000_000
ZERO_NS = 10**12


def stream(
    due: float | None = 0,
    late: float = 0,
    *,
    ttft: float = 100,
    gap: float = 20,
    pieces: int = 5,
    leaving: float = 2,
    outcome: str = "complete",
    busy: tuple[tuple[int, int], ...] = (),
    **fields: Any,
) -> Recording:
    """Due so many ms after zero (None: no schedule), begun so much later, with `pieces` read one by one; in ms."""
    at = [round((leaving + ttft + gap * n) * MS) for n in range(pieces)]
    end = (at[-1] if at else round((leaving + ttft) * MS)) + MS
    told: dict[str, Any] = {
        "reads": Reads(at, size=[9] * pieces, error_ns=[1000] * pieces),
        "events": Events(at, text=["word "] * pieces, data=["{}"] * pieces),
        "outcome": Outcome.parse(outcome),
        "started_ns": ZERO_NS + round(((due or 0) + late) * MS),
        "due_ns": None if due is None else -round(late * MS),
        "acquired_ns": 0,
        "sent_ns": round(leaving * MS),
        "ended_ns": end,
        "stamps": "kernel",
        "meta": {"loop_lag_ns": MS, "loop_busy_ns": [[a * MS, b * MS] for a, b in busy], "sent_error_ns": 10_000},
    }
    return Recording(**{**told, **fields})


def wordless(one: Recording, preset: str | None = None) -> Recording:
    """The same, in whose events no text was found."""
    number = len(one.events)
    return replace(one, events=Events([*one.events.at_ns], text=[""] * number, data=["{}"] * number), preset=preset)


def load(count: int, rate: float = 50, *, seed: int = 1, late: float = 0, **given: Any) -> list[Recording]:
    """So many streams, due as a Poisson process of so many a second."""
    drawn, due = random.Random(seed), 0.0
    made = []
    for n in range(count):
        made.append(
            stream(
                due,
                drawn.expovariate(1 / late) if late else 0.05,
                ttft=80 + drawn.gammavariate(2, 20),
                labels={"prompt": ("short", "long")[n % 2]},
                **given,
            )
        )
        due += drawn.expovariate(rate / 1000)
    return made

"""Sweeps that nobody ran: rows by a formula."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from streamkit.lab.sweep import Sweep, TrialRow
from streamkit.lab.sweep.grid import Grid, Value, settings_of
from streamkit.lab.sweep.schedule import planned

BUFFERS = [4_096, 16_384, 32_768, 65_536]
POLICIES = ["pause", "coalesce"]


def swept(
    trial: Callable[..., Any],
    grid: Grid,
    repeats: int = 6,
    fails: Callable[..., bool] = lambda **_: False,
    error: str = "ConnectionError: nobody there",
) -> Sweep:
    """`trial` of a random generator, of what the hour did to the round (0 to 1), and of the parameters: one number,
    `held_ms`, or several by name.
    """
    settings, rows = settings_of(grid), []
    for due in planned(len(settings), repeats, seed=0):
        parameters = settings[due.setting]
        failed = fails(**parameters)
        chance = random.Random(f"{parameters} {due.seed}")
        found = {} if failed else trial(chance, random.Random(due.seed).random(), **parameters)
        metrics: dict[str, Value] = found if isinstance(found, dict) else {"held_ms": found}
        rows.append(
            TrialRow(
                parameters=parameters,
                repeat=due.repeat,
                order=due.order,
                seed=due.seed,
                metrics=metrics,
                error=error if failed else None,
                when="2026-01-01T12:00:00.000+00:00",
                duration_s=0.25,
            )
        )
    return Sweep(trial="lab.trial", settings=settings, repeats=repeats, seed=0, rows=tuple(rows))


def held(chance: random.Random, hour: float, buffer: int, policy: str = "pause") -> float:
    """Less with a larger buffer, and with coalesce; an hour does 60 ms to all alike, chance 20 to each."""
    return max(3, 900 - buffer / 40 - 120 * (policy == "coalesce") + 60 * hour + 20 * chance.random())


def alike(chance: random.Random, hour: float, **_: object) -> float:
    """Whatever the setting."""
    return 100 + 20 * hour + 30 * chance.random()


def map_of(chance: random.Random, hour: float, a: int, b: int) -> float:
    return 10 * a + 3 * abs(b - a) + 20 * chance.random() + hour


SWEEPS: dict[str, Sweep] = {
    "sure": swept(held, {"buffer": BUFFERS[:2], "policy": POLICIES}),
    "not sure": swept(alike, {"buffer": BUFFERS, "policy": [*POLICIES, "latest"]}, 8),
    "five trials": swept(held, {"buffer": BUFFERS[:1], "policy": POLICIES[:1]}, 5),
    "one round": swept(held, {"buffer": BUFFERS, "policy": POLICIES}, 1),
    "some failed": swept(held, {"buffer": BUFFERS, "policy": POLICIES}, 3, lambda buffer, **_: buffer == BUFFERS[-1]),
    "all failed": swept(held, {"buffer": BUFFERS, "policy": POLICIES}, 2, lambda **_: True),
    "a thousand": swept(
        held, {"buffer": [2**i for i in range(6, 16)], "policy": ["pause", "a", "b", "c", "coalesce"]}, 20
    ),
    "a large map": swept(map_of, {"a": list(range(8)), "b": list(range(8))}),
    "ratios": swept(
        lambda chance, hour, a, b: 10**a * (1 + b + chance.random() * hour), {"a": [*range(5)], "b": [0, 1]}
    ),
    "below zero": swept(lambda chance, hour, **_: chance.random() - 0.5 + hour / 9, {"a": [True, None], "b": ["x", 2]}),
    "all the same": swept(lambda *_, **__: 7, {"a": [1, 2], "b": [1, 2]}),
    "with holes": swept(held, [{"policy": "pause", "buffer": 4_096}, {"policy": "coalesce", "buffer": BUFFERS}]),
    "long names": swept(
        alike,
        {
            "a_parameter_of_some_length": ["你好 a value with a very long name, and more", "$x$ or\nmore of it"],
            "p": ["another value that goes on and on for ever, and ever", "b"],
        },
        7,
        error="x" * 300,
    ),
}

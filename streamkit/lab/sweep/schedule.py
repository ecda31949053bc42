"""Which setting is tried when: in rounds, each of which tries all of them once, in an order of its own.

What else a machine is doing comes and goes: a neighbour's build, a hotter processor, a full cache. If one setting were
tried ten times and then the next, such a minute would hit a single setting. In rounds it hits all of them; they can be
compared within a round, by differences, in which it cancels.

All trials of a round also share one seed: if chance is part of a trial, it does the same to each setting (common random
numbers: Law, "Simulation Modeling and Analysis", chapter 11).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Planned", "planned", "seed_of"]


class Planned(NamedTuple):
    """One trial that is to be: at which place in the whole, in which round, of which setting, with which seed."""

    order: int
    repeat: int
    setting: int
    seed: int


def planned(settings: int, repeats: int, seed: int) -> Iterator[Planned]:
    """All trials, in the order in which they are begun. More rounds only add to the end.

    >>> from streamkit.lab.sweep.schedule import planned
    >>> [trial.setting for trial in planned(settings=4, repeats=2, seed=1)]
    [2, 3, 1, 0, 1, 0, 2, 3]
    """
    for repeat in range(repeats):
        order = list(range(settings))
        random.Random(f"order {seed} {repeat}").shuffle(order)  # noqa: S311  # no secret
        for place, setting in enumerate(order):
            yield Planned(repeat * settings + place, repeat, setting, seed_of(seed, repeat))


def seed_of(seed: int, repeat: int) -> int:
    """The seed of a round: 32 bits, the same on every machine."""
    return random.Random(f"seed {seed} {repeat}").getrandbits(32)  # noqa: S311  # no secret

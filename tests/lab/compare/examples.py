"""Runs of several targets, made by hand: what comparisons are made of in tests, and drawn of."""

from __future__ import annotations

import random
from typing import Any

from streamkit.lab.findings.comparing import compare
from streamkit.lab.recording.recording import Recording
from tests.lab.sets.streams import stream


def runs(
    name: str,
    mean: float = 100,
    count: int = 40,
    *,
    spread: float = 8,
    failed: int = 0,
    rounds: bool = True,
    drift: float = 0,
    begun: float = 0,
    seed: int = 0,
    **given: Any,
) -> list[Recording]:
    """So many runs of a target: the first piece after `mean` ms and some chance; the first `failed` of them broke off.

    `drift`: each round is so much slower than the one before, whatever is asked. `begun`: when the first was, in ms.
    """
    chance = random.Random(f"{name} {seed}")
    return [
        stream(
            begun + 1000 * n + chance.uniform(0, 100),
            ttft=mean + drift * n + chance.gammavariate(2, spread),
            outcome="truncated" if n < failed else "complete",
            label=name,
            labels={"round": n} if rounds else {},
            **given,
        )
        for n in range(count)
    ]


COMPARISONS: dict[str, Any] = {
    "slower": compare({"a": runs("a"), "b": runs("b", 131)}),
    "not shown": compare({"a": runs("a"), "b": runs("b")}),
    "five": compare(
        {
            "a": runs("a"),
            "a very long name that goes on for ever, and ever": runs("b", 115),
            "你好 $x$\n": runs("c", 90, spread=40),
            "d": runs("d", failed=30),
            "e": runs("e", 400, spread=200),
        }
    ),
    "a share": compare({"a": runs("a", pieces=1), "b": runs("b")}, metric="gaps"),
    "nothing": compare({"a": runs("a", count=2), "b": runs("b", failed=40)}),
    "far apart": compare({"a": runs("a", 1, spread=0.2), "b": runs("b", 4000, spread=1000)}),
}

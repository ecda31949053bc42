"""How near a replayed recording comes to the recording: `python -m benchmarks.replay [--rounds 3] [--quick]`.

Record, replay, record again. The scripted upstream runs in a process of its own, `record()` in this one, with the
kernel's stamps; each round records a stream whose gaps vary, replays it, and compares the two recordings.

gap error   |gap in the replay - gap in the recording|, between neighbouring reads of the recording; where the replay
            brought two of them in one read, they have one time
late        how late the upstream was at each send, by its own log: what the machine's timers and its scheduler took
floor       how late a bare `time.sleep` of 5 ms returned in this process, in the same round: nobody gets better here

Goal: a gap error of less than 1 ms at p99. On a machine that is busy with others the scheduler alone takes more: where
the floor's own p99 is above half of the goal, a miss says nothing of the replay, and that is said.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

import streamkit as sk
from benchmarks.harness import table

__all__ = ["gap_errors_ns", "times_of"]

GOAL_MS: Final = 1.0
PERCENTILES: Final = (50, 95, 99)
SLEEPS: Final = 100
FORMATS: Final = ("seed", "openai", "anthropic")


def times_of(ends: npt.ArrayLike, recording: sk.Recording) -> npt.NDArray[np.int64]:
    """When so many bytes of its body had come: `ends` are cumulative bytes of another recording of the same body."""
    own = np.cumsum(recording.reads.size)
    return np.asarray(recording.reads.at_ns, dtype=np.int64)[np.searchsorted(own, ends)]


def gap_errors_ns(first: sk.Recording, again: sk.Recording) -> npt.NDArray[np.int64]:
    """Of each gap between two reads of the first how far the same bytes came from it. Raises ValueError for different
    bodies.
    """
    if first.body != again.body:
        raise ValueError("expected two recordings of one body")
    gaps = np.diff(np.asarray(first.reads.at_ns, dtype=np.int64))
    return np.abs(np.diff(times_of(np.cumsum(first.reads.size), again)) - gaps)


def _floor_ns() -> list[int]:
    late = []
    for _ in range(SLEEPS):
        begin_ns = time.monotonic_ns()
        time.sleep(0.005)
        late.append(time.monotonic_ns() - begin_ns - 5_000_000)
    return late


async def _recorded(script: sk.Script) -> tuple[sk.Recording, list[int]]:
    """What came of it, and how late each send was."""
    with sk.serve(partial(sk.create_upstream, script), process=True) as server:
        recording = await sk.record(server.url, data={"question": "hi"})
        told = await sk.record(f"{server.url}/sent", method="GET")
    log: dict[str, Any] = json.loads(told.body or b"[]")[-1]
    return recording, [sent - due for sent, due in zip(log["sent_ns"], log["due_ns"], strict=True)]


async def _round(number: int, pieces: int) -> dict[str, Any]:
    form = FORMATS[number % len(FORMATS)]
    script = sk.Script(["ab"] * pieces, 20, 12, jitter_ms=6, seed=number, preset=form)
    first, _ = await _recorded(script)
    again, late = await _recorded(sk.Script.from_recording(first))
    agree = (again.text, again.outcome, again.body) == (first.text, first.outcome, first.body)
    ends = [set(np.cumsum(one.reads.size).tolist()) for one in (first, again)]
    return {
        "errors": gap_errors_ns(first, again),
        "late": late,
        "floor": _floor_ns(),
        "agree": agree,
        "same": len(ends[0] & ends[1]) / len(ends[0]),
    }


def _row(name: str, values: list[Any]) -> list[str]:
    ns = np.concatenate([np.asarray(each, dtype=np.int64) for each in values])
    spread = " / ".join(f"{value:.2f}" for value in np.percentile(ns, PERCENTILES) / 1e6)
    return [name, f"{ns.size:,}", spread]


def main() -> int:
    """Measure and print the table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.replay", description="How true a replay is")
    options.add_argument("--rounds", type=int, help="streams recorded and replayed (default: 5; --quick: 1)")
    options.add_argument("--quick", action="store_true", help="one short round: a first look")
    given = options.parse_args()
    rounds, pieces = given.rounds or (1 if given.quick else 5), 60 if given.quick else 150
    done = [asyncio.run(_round(number, pieces)) for number in range(rounds)]
    errors = [each["errors"] for each in done]
    rows = [["", "values", "p50 / p95 / p99, ms"], _row("gap error of the replay", errors)]
    rows += [_row("upstream late", [each["late"] for each in done]), _row("floor", [each["floor"] for each in done])]
    print(table(rows))
    p99_ms = float(np.percentile(np.concatenate(errors), 99)) / 1e6
    kept = sum(each["same"] for each in done) / rounds
    print(f"text, bytes and outcome agree in {sum(each['agree'] for each in done)} of {rounds}; ", end="")
    print(f"{kept:.1%} of the reads end at the same byte")
    floor_ms = float(np.percentile(np.concatenate([each["floor"] for each in done]), 99)) / 1e6
    busy = f" (this machine was busy: a bare sleep is {floor_ms:.1f} ms late)" if floor_ms > GOAL_MS / 2 else ""
    print(f"gap error p99 {p99_ms:.2f} ms, goal < {GOAL_MS:g} ms: {'ok' if p99_ms < GOAL_MS else f'MISSED{busy}'}")
    return 0 if all(each["agree"] for each in done) else 1


if __name__ == "__main__":
    sys.exit(main())

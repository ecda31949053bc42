"""What drives a target: hypothesis, round after round with new seeds; or atheris, guided by coverage, if installed."""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis import strategies as st

from campaigns.fuzz.source import KNOBS

if TYPE_CHECKING:
    from campaigns.fuzz.targets import Target

__all__ = ["NotInstalled", "Run", "atheris_for", "hypothesis_for", "hypothesis_round", "inputs"]

ROUND_EXAMPLES = 200
MAX_BYTES = 600
Clock = Callable[[], float]


class NotInstalled(Exception):
    """The engine is not there; the text says how to get it."""


@dataclass
class Run:
    """What a run has seen. `finding` is the smallest input found that breaks a promise, `why` its exception."""

    examples: int = 0
    finding: bytes | None = None
    why: BaseException | None = field(default=None, repr=False)


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Bytes for a target: decisions; and, for one that has seeds, knobs and then noise, tokens or a damaged seed."""
    noise = st.integers(0, MAX_BYTES).flatmap(lambda size: st.binary(min_size=size, max_size=size))
    if not target.seeds:
        return noise
    tokens = st.sampled_from(target.tokens)
    sentences = st.lists(tokens | st.binary(max_size=3), max_size=30).map(b"".join)
    wires = st.one_of(sentences, damaged_seeds(target.seeds, tokens), noise)
    return st.builds(bytes.__add__, st.binary(min_size=KNOBS, max_size=KNOBS), wires)


@st.composite
def damaged_seeds(draw: st.DrawFn, seeds: tuple[bytes, ...], tokens: st.SearchStrategy[bytes]) -> bytes:
    wire = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        lines = [0, *(end.end() for end in re.finditer(b"\n", wire))]
        start = draw(st.sampled_from(lines) | st.integers(0, len(wire)))
        stop = draw(st.just(start) | st.integers(start, start + 8) | st.just(wire.find(b"\n", start) + 1 or len(wire)))
        wire = wire[:start] + draw(st.one_of(tokens, st.just(b""), st.just(wire[start:stop] * 2))) + wire[stop:]
    return wire[: draw(st.integers(0, len(wire)))] if draw(st.integers(0, 3)) == 3 else wire


def hypothesis_round(
    target: Target, run: Run, seed: int, examples: int = ROUND_EXAMPLES, *, shrink: bool = True
) -> None:
    """One round, the same for the same seed; a finding is made small before it is noted, unless not `shrink`."""
    failed: list[tuple[bytes, BaseException]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,  # a run depends on its seed alone
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @hypothesis.given(inputs(target))
    def once(data: bytes) -> None:
        run.examples += 1
        try:
            target.check(data)
        except Exception as error:
            failed.append((data, error))
            raise

    try:
        once()
    except Exception as error:
        if not failed:
            raise
        run.finding, run.why = failed[-1] if failed[-1][1] is error else min(failed, key=lambda one: len(one[0]))


def hypothesis_for(target: Target, run: Run, seconds: float, seed: int, clock: Clock = time.monotonic) -> None:
    """Seeds first, then rounds until the time is over or something is found."""
    until = clock() + seconds
    for data in target.corpus:
        run.examples += 1
        try:
            target.check(data)
        except Exception as error:  # noqa: BLE001  # whatever the subject raises is the finding
            run.finding, run.why = data, error
            return
    while run.finding is None and clock() < until:
        hypothesis_round(target, run, seed)
        seed += 1


def atheris_for(
    name: str, run: Run, seconds: float, seed: int, done: Callable[[], int], clock: Clock = time.monotonic
) -> None:
    """Let libFuzzer mutate what reaches new code. It does not return: `done` is called at the end, for the exit code.

    To be called before the target's modules are imported, which are instrumented on their way in.
    """
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        raise NotInstalled(
            "the engine atheris is not installed: pip install atheris, or use --engine hypothesis"
        ) from None
    with atheris.instrument_imports(include=["streamkit"]):
        target: Target = importlib.import_module("campaigns.fuzz.targets").TARGETS[name]
    until = clock() + seconds
    folder = tempfile.TemporaryDirectory()  # libFuzzer adds to its corpus

    def end(code_if_nothing_is_found: int) -> None:
        folder.cleanup()
        leave(done() or code_if_nothing_is_found)

    def once(data: bytes) -> None:
        run.examples += 1
        try:
            target.check(data)
        except Exception as error:  # noqa: BLE001  # as above
            run.finding, run.why = smallest(target, data), error
        if run.finding is not None or clock() > until:
            end(0)

    signal.signal(signal.SIGINT, lambda *_: end(128 + signal.SIGINT))
    for number, data in enumerate(target.corpus):
        Path(folder.name, str(number)).write_bytes(data)
    atheris.Setup([sys.argv[0], f"-seed={seed}", "-handle_int=0", folder.name], once)
    atheris.Fuzz()


def leave(code: int) -> None:
    """libFuzzer has no other way out, and would write its own report on the way."""
    sys.stdout.flush()
    os._exit(code)


def smallest(target: Target, data: bytes) -> bytes:
    """Take parts out as long as it fails, halves first, then quarters …"""
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size :]
            if fails(target, shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def fails(target: Target, data: bytes) -> bool:
    try:
        target.check(data)
    except Exception:  # noqa: BLE001  # as above
        return True
    return False

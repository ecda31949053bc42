"""A soak: `python -m campaigns.soak [--streams 10000] [--seed 1] [--concurrency 200] [--quick]`.

    visitors  --POST /PRESET/ans-->  relay  --POST-->  scripted upstream        (a process each)

Half of the streams, chosen by the seed, are left before their end: by FIN, RST or half-close; in the request's head, in
its body, before the first piece, in mid-stream, or under pressure (nothing was read). The others are read to the end,
and their text is compared. What is claimed of the relay's process:

- streams: each one read to its end is complete and has its script's text, and no more; a half-closed connection is
  closed by the relay.
- leaks: tasks, descriptors, streams and connections are back to what they were after the warm-up within 5 s;
  connections to the upstream that wait for another request are counted apart, as they are kept on purpose.
- drift: resident memory at the end is less than 10 MB above what it was after the warm-up.
- stall: the loop had no time for anybody for at most 250 ms, not counting the time for which its thread was ready and
  the machine gave it no CPU. The worst with that time, and that of an idle process, stand beside it.
- memory: 500 streams that are live at once take less than 256 kB each.
- canary: the upstream's key is in no answer and in no log record of any logger.

A claim that is broken is printed as BROKEN, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

from benchmarks.harness import started, table
from campaigns.canary import leaks
from campaigns.speaker import command
from campaigns.visitor import HOWS, NDJSON, PHASES, SSE, TEXT, Leave, Phase, Unreadable, post, read, visit
from campaigns.watched import Census, Watched, idle_process, watched
from streamkit.lab.upstream import Script
from streamkit.serving.running import new_loop

__all__ = ["FULL", "QUICK", "Report", "Sizes", "Visit", "main", "script_of", "soak", "visits"]

PRESETS: Final = ("openai", "seed", "anthropic", "ollama", "gemini")
ACCEPTS: Final = (TEXT, SSE, NDJSON)
BACK_S: Final = 5.0
MAX_DRIFT_BYTES: Final = 10 * 2**20
MAX_STALL_S: Final = 0.25
MAX_STREAM_BYTES: Final = 256 * 1024
MEBI: Final = 2**20
T = TypeVar("T")
SMALL_BUFFERS: Final = {"send_buffer_bytes": 8192, "write_buffer_bytes": 16_384}
"""Of the relay: so that a client that does not read is felt after tens of kilobytes, and not of megabytes."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    streams: int = 10_000
    concurrency: int = 200
    warm_up: int = 2_000
    held: int = 500
    seed: int = 1


FULL: Final = Sizes()
QUICK: Final = Sizes(streams=300, concurrency=50, warm_up=200, held=50)


# -- what is said ----------------------------------------------------------------------------------------------------

KINDS: Final = ("short", "paced", "patient", "large", "held")
VARIANTS: Final = 4
QUESTION: Final = re.compile(rb"soak-([a-z]+)-([a-z]+)-(\d+)")


@lru_cache(maxsize=256)
def script(kind: str, preset: str, variant: int) -> Script:
    """What the upstream says to `soak-KIND-PRESET-VARIANT`."""
    chance = random.Random(f"{kind} {variant}")
    words = [chance.choice(("你好", " word", "…", "\n", " longer words", "🙂", '"quoted\\"')) for _ in range(20)]
    if kind == "large":  # far more than the buffers on its way hold
        return Script([chance.choice("xyzäö") * 8000 for _ in range(40)], first_piece_ms=5, gap_ms=0, preset=preset)
    if kind == "held":
        return Script(words, first_piece_ms=5, gap_ms=1000, preset=preset)
    first_ms, gap_ms = {"short": (2, 0), "paced": (10, 3), "patient": (100, 2)}[kind]
    return Script(words, first_piece_ms=first_ms, gap_ms=gap_ms, jitter_ms=1, preset=preset, seed=variant)


def script_of(question: bytes) -> Script:
    """The script that a request of the relay asks for, whatever the provider's shape of it."""
    found = QUESTION.search(question)
    assert found is not None, "the question did not come through the relay"
    kind, preset, variant = found.groups()
    return script(kind.decode(), preset.decode(), int(variant))


# -- who comes, and how they leave -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Visit:
    """One stream of the soak."""

    number: int
    kind: str
    preset: str
    variant: int
    accept: str
    leave: Leave | None

    @property
    def question(self) -> str:
        return f"soak-{self.kind}-{self.preset}-{self.variant}"

    @property
    def text(self) -> bytes:
        return script(self.kind, self.preset, self.variant).text.encode()


def visits(count: int, seed: int) -> list[Visit]:
    """The same for the same seed; half of them leave early."""
    chance = random.Random(seed)
    leaving = [index % 2 == 0 for index in range(count)]
    chance.shuffle(leaving)
    return [_visit(number, early, chance) for number, early in enumerate(leaving)]


def _visit(number: int, early: bool, chance: random.Random) -> Visit:
    leave = None
    kind = chance.choices(("short", "paced", "patient", "large"), (5, 5, 2, 1))[0]
    if early:
        phase = chance.choice(PHASES)
        after = {
            "head": chance.random(),
            "body": chance.random(),
            "waiting": chance.uniform(0, 0.08),
            "streaming": chance.randint(1, 4),
            "pressure": chance.uniform(0.05, 0.2),
        }[phase]
        leave = Leave(phase, chance.choice(HOWS), after)
        kind = {"waiting": "patient", "streaming": "paced", "pressure": "large"}.get(phase, kind)
    return Visit(number, kind, chance.choice(PRESETS), chance.randrange(VARIANTS), chance.choice(ACCEPTS), leave)


@dataclass
class Report:
    """What became of the visits."""

    complete: int = 0
    left: Counter[tuple[Phase, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    leaked: int = 0
    seconds: float = 0.0

    @property
    def streams(self) -> int:
        return self.complete + self.left.total() + len(self.wrong)


async def _come(relay: Watched, each: Visit, report: Report) -> None:
    request = post(f"/{each.preset}/ans", each.question, each.accept)
    try:
        seen = await visit(relay.address, request, leave=each.leave)
        report.leaked += leaks(seen.data)
        problem = _problem(each, seen.data, seen.ended)
    except (OSError, Unreadable, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        report.wrong.append(f"stream {each.number} ({each}): {problem}")
    elif each.leave is None:
        report.complete += 1
    else:
        report.left[each.leave.phase, each.leave.how] += 1


def _problem(each: Visit, data: bytes, ended: str) -> str:
    """What was wrong with an answer; "" for nothing."""
    if ended == "late":
        return "the relay kept a connection open whose client had left, or did not end an answer"
    found = read(data, each.accept)
    if each.leave is None and not found.complete:
        return f"it should have been complete: status {found.status}, code {found.code!r}, ended {ended!r}"
    if each.leave is None and found.text != each.text:
        return f"{len(found.text)} bytes of text, expected {len(each.text)}"
    return "" if each.text.startswith(found.text) else "its text is not the beginning of the script's"


async def _all(relay: Watched, wanted: Sequence[Visit], concurrency: int, progress: Callable[[Report], None]) -> Report:
    report = Report()
    began = time.monotonic()
    waiting = iter(wanted)

    async def work() -> None:
        for each in waiting:
            await _come(relay, each, report)
            report.seconds = time.monotonic() - began
            progress(report)

    async with asyncio.TaskGroup() as workers:
        for _ in range(concurrency):
            workers.create_task(work())
    return report


# -- memory of streams that are live ---------------------------------------------------------------------------------


async def _hold(relay: Watched, count: int) -> float:
    """Bytes per stream of `count` that have begun and go on."""
    before = relay.census()
    begun, over = asyncio.Semaphore(0), asyncio.Event()

    async def stay(number: int) -> None:
        preset = PRESETS[number % len(PRESETS)]
        reader, writer = await asyncio.open_connection(*relay.address)
        writer.write(post(f"/{preset}/ans", f"soak-held-{preset}-0", SSE))
        await reader.readuntil(b"data: ")
        begun.release()
        await over.wait()
        writer.close()
        await writer.wait_closed()

    async with asyncio.TaskGroup() as streams:
        for number in range(count):
            streams.create_task(stay(number))
        for _ in range(count):
            await begun.acquire()
        during = await asyncio.to_thread(relay.census)
        over.set()
    assert during.live == count, f"expected {count} live streams, got {during.live}"
    return (during.resident_bytes - before.resident_bytes) / count


# -- the soak --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """All that was measured."""

    stream_bytes: float
    report: Report
    start: Census
    end: Census
    back_s: float | None  # None: it never was
    emptied_s: float | None  # until no upstream connection was kept any more
    idle: Census

    def claims(self) -> list[tuple[str, str, str, bool]]:
        """Name, what was found, what was asked, whether it holds."""
        drift = self.end.resident_bytes - self.start.resident_bytes
        own_s = self.end.own_stall_s
        counts = f"{_counts(self.start)} → {_counts(self.end)} {_after(self.back_s)}"
        waiting = f"{self.end.stall_s * 1e3:.0f} with the wait for a CPU, {self.idle.stall_s * 1e3:.0f} idle"
        stall = f"{own_s * 1e3:.0f} ms ({waiting})"
        leaked = self.report.leaked + len(self.end.leaked)
        alarms = self.end.alarms
        return [
            ("streams wrong", str(len(self.report.wrong)), "0", not self.report.wrong),
            ("tasks, descriptors, streams, connections", counts, f"back in {BACK_S:g} s", self.back_s is not None),
            ("idle connections to the upstream", f"0 {_after(self.emptied_s)}", "none", self.emptied_s is not None),
            ("drift of memory", f"{drift / MEBI:+.2f} MiB", f"< {MAX_DRIFT_BYTES / MEBI:g}", drift < MAX_DRIFT_BYTES),
            ("worst stall", stall, f"≤ {MAX_STALL_S * 1e3:g} ms", own_s <= MAX_STALL_S),
            (
                "memory per live stream",
                f"{self.stream_bytes / 1024:.1f} KiB",
                f"< {MAX_STREAM_BYTES / 1024:g}",
                self.stream_bytes < MAX_STREAM_BYTES,
            ),
            ("canary seen", str(leaked), "0", not leaked),
            ("errors logged", str(len(alarms)), "0", not alarms),
        ]


def _counts(census: Census) -> str:
    return "/".join(map(str, census.counts))


def _after(seconds: float | None) -> str:
    return "never" if seconds is None else f"after {seconds:.2f} s"


def soak(sizes: Sizes, progress: Callable[[Report], None] = lambda _: None) -> Outcome:
    """Run it all."""
    with (
        started(command("campaigns.soak:script_of")) as upstream,
        watched(upstream.url, PRESETS, **SMALL_BUFFERS) as relay,
        idle_process() as idle,
    ):
        _run(_hold(relay, len(PRESETS)))  # what each preset loads when it is first asked is no stream's
        stream_bytes = _run(_hold(relay, sizes.held))  # first of all: later ones live in memory that others have left
        _run(_all(relay, visits(sizes.warm_up, sizes.seed + 1), sizes.concurrency, lambda _: None))
        start = _at_rest(relay)
        relay.census(forget=True)
        idle.census(forget=True)
        report = _run(_all(relay, visits(sizes.streams, sizes.seed), sizes.concurrency, progress))
        idle_then = idle.census()
        end, back_s = relay.until(lambda census: census.is_back_to(start), BACK_S)
        _, emptied_s = relay.until(lambda census: not census.connections, 2 * BACK_S)
        return Outcome(stream_bytes, report, start, end, back_s, emptied_s, idle_then)


def _at_rest(relay: Watched) -> Census:
    """When no stream is left, and no connection in use."""
    census, after_s = relay.until(
        lambda census: not census.live and census.connections == census.idle_connections, BACK_S
    )
    assert after_s is not None, f"the relay did not come to rest: {census}"
    return census


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=partial(new_loop, "auto")) as runner:
        return runner.run(work)


# -- the command line ------------------------------------------------------------------------------------------------


class Progress:
    """A line on stderr, about once a second."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._told = 0.0

    def __call__(self, report: Report) -> None:
        if report.seconds - self._told >= 1 or report.streams == self._total:
            self._told = report.seconds
            done = f"{report.streams:,} of {self._total:,} streams, {report.streams / report.seconds:.0f}/s"
            print(f"\r{done}, {len(report.wrong)} wrong ", end="", file=sys.stderr, flush=True)


def show(outcome: Outcome) -> bool:
    """Print the tables; whether every claim holds."""
    report = outcome.report
    print(
        f"\n{report.streams:,} streams in {report.seconds:.1f} s; {report.complete:,} read to the end, the rest left:"
    )
    print()
    rows = [["left", *HOWS], *([phase, *(f"{report.left[phase, how]:,}" for how in HOWS)] for phase in PHASES)]
    print(table(rows))
    claims = outcome.claims()
    print()
    print(table([["claim", "found", "asked", ""], *([*row, "ok" if holds else "BROKEN"] for *row, holds in claims)]))
    for line in [*report.wrong[:10], *outcome.end.alarms]:
        print(f"  {line}")
    return all(holds for *_, holds in claims)


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print the tables; 1 if a claim is broken."""
    options = argparse.ArgumentParser(
        prog="python -m campaigns.soak", description="Many streams through one relay, half of them left early"
    )
    options.add_argument("--streams", type=int, help=f"default: {FULL.streams:,}")
    options.add_argument("--concurrency", type=int, help=f"streams at once (default: {FULL.concurrency})")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--quick", action="store_true", help=f"{QUICK.streams} streams: a first look")
    given = options.parse_args(arguments)
    chosen = {"streams": given.streams, "concurrency": given.concurrency, "seed": given.seed}
    sizes = replace(
        QUICK if given.quick else FULL, **{name: value for name, value in chosen.items() if value is not None}
    )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the relay inherits it
    print(f"CPython {sys.version.split()[0]}, seed {sizes.seed}, {sizes.concurrency} at once")
    try:
        return 0 if show(soak(sizes, Progress(sizes.streams))) else 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

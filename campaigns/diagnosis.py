"""Is the cause that `diagnose()` names the true one: `python -m campaigns.diagnosis [--seeds 200] [--causes held,…]`.

    record()  ──▶  an upstream that follows a script (a process of its own), in one half of two causes through a Link

Each cause is made for real, over sockets of this machine, with a script, a place, a length and a pace drawn by the
seed, many streams side by side, so that the machine is as noisy as it gets. `diagnose()` sees the recording alone. What
cannot be made without root are lost packets: there the silence and the burst are real, and the columns that TCP would
have told are written by the seed. And where there is nothing to find, or where it cannot be known, that is the truth:

    nothing     a stream with jitter, and four streams at once of a server that serves them side by side
    dead end    silence, and then a cut: who was silent cannot be known

Printed is the confusion matrix. A name can only be right if the machine adds no stall of its own, so a wrong one is
tried again with few beside it, and counts if it is wrong again; how many were is said. Exit status 1 if more than 1 %
of all are wrong; "cannot tell" (`unknown`) is not wrong, it is counted beside. `--only CAUSE:SEED` does one again and
shows what was seen.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

from sanic import Request, Sanic

import streamkit as sk
from benchmarks.harness import started, table
from campaigns.speaker import command
from streamkit.inside_sanic import keep_plain
from streamkit.lab.diagnosis.result import CauseName, Diagnosis
from streamkit.lab.recording.recording import Recording
from streamkit.lab.upstream import Script
from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.faults import Cut, Heartbeats, Merge, Stall

__all__ = ["CAUSES", "MOST_WRONG", "Judged", "main", "run", "script_of", "with_losses"]

MOST_WRONG: Final = 0.01
AT_ONCE: Final = 32
GROUP: Final = 8
"""Streams that share a link, or a loop that is made late."""
BUNCH_MS: Final = 60.0
"""Bunches that follow each other faster are no stutter for anybody, and 40 ms is where `diagnose()` draws the line."""
SIDE_BY_SIDE: Final = 16
LOOPS: Final = 4
"""Loops that are made late side by side."""
TOGETHER: Final = 4
"""Streams at once, of a server that serves one by one."""
LIMIT_S: Final = 60.0
PRESETS: Final = ("seed", "openai", "anthropic")
WORDS: Final = ("the ", "moon ", "shines ", "on ", "my ", "bed ", "frost ", "home ")


# -- what happens ----------------------------------------------------------------------------------------------------


class _Draw:
    """What a seed stands for: a stream, and where it is to stop."""

    def __init__(self, cause: str, seed: int) -> None:
        self.chance = chance = random.Random(f"{cause} {seed}")
        self.gap_ms = 12 * 6 ** chance.random()  # 12 to 72 ms
        self.silence_ms = max(8 * self.gap_ms, chance.uniform(400, 1200))
        due = int(self.silence_ms / self.gap_ms) + 1
        self.at = chance.randint(15, 25)
        self.pieces = self.at + due + chance.randint(15, 30)
        self.due = due
        self.fields: dict[str, Any] = {
            "first_piece_ms": chance.uniform(20, 200),
            "gap_ms": self.gap_ms,
            "jitter_ms": chance.choice([0.0, 0.2, 0.4]) * self.gap_ms,
            "preset": chance.choice(PRESETS),
            "seed": seed,
        }

    def script(self, faults: Sequence[Fault] = (), pieces: int | None = None) -> Script:
        words = [self.chance.choice(WORDS) for _ in range(pieces or self.pieces)]
        return Script(words, faults=faults, **self.fields)


def _plain(draw: _Draw) -> Script:
    return draw.script()


def _paused(draw: _Draw) -> Script:
    return draw.script([Stall(draw.at, draw.silence_ms)])


def _model(draw: _Draw) -> Script:
    every_ms = draw.silence_ms / draw.chance.randint(2, 6)
    as_event = draw.chance.random() < 0.5
    return draw.script([Heartbeats(draw.at, every_ms, draw.silence_ms, how="event" if as_event else "comment")])


def _flushed(draw: _Draw) -> Script:
    return draw.script([Merge(draw.at, draw.due)])


def _periodic(draw: _Draw) -> Script:
    every, times = draw.chance.randint(8, 20), draw.chance.randint(4, 6)
    silence_ms = draw.chance.uniform(350, 600)
    faults = [Stall(1 + every * number, silence_ms) for number in range(1, times + 1)]
    return draw.script(faults, pieces=every * times + draw.chance.randint(10, 20))


def _batched(draw: _Draw) -> Script:
    size = max(draw.chance.randint(3, 8), int(BUNCH_MS / draw.gap_ms) + 1)
    pieces = size * draw.chance.randint(8, 12)
    return draw.script([Merge(at, size) for at in range(1, pieces, size)], pieces=pieces)


def _dead(draw: _Draw) -> Script:
    last = draw.at + 10
    return draw.script([Stall(last, draw.silence_ms), Cut(last)], pieces=last + 5)


SCRIPTS: Final[dict[str, Callable[[_Draw], Script]]] = {
    "source_paused": _paused,
    "model_paused": _model,
    "held": _flushed,
    "periodic": _periodic,
    "batched": _batched,
    "dead end": _dead,
}


@lru_cache(maxsize=4096)
def script_for(cause: str, seed: int) -> Script:
    """Of this cause and seed; where the stream itself is well, one without a fault."""
    return SCRIPTS.get(cause, _plain)(_Draw(cause, seed))


def script_of(body: bytes) -> Script:
    """The one that a question asks for."""
    cause, _, seed = body.decode().rpartition(":")
    return script_for(cause, int(seed))


def with_losses(recording: Recording, seed: int) -> Recording:
    """The same with what TCP would have told had the network lost a few packets in its longest silence."""
    chance = random.Random(f"losses {seed}")
    at_ns = recording.counted.at_ns
    index = max(range(1, len(at_ns)), key=lambda index: at_ns[index] - at_ns[index - 1])
    since_ns, until_ns, end_ns = int(at_ns[index - 1]), int(at_ns[index]), int(at_ns[-1])
    looks = [0, since_ns - 1_000_000, until_ns + 1_000_000, end_ns]
    lost, rtt_us = chance.randint(1, 30), chance.randint(5_000, 80_000)
    tcp = {
        "at_ns": looks,
        "rtt_us": [rtt_us, rtt_us, rtt_us, rtt_us],
        "min_rtt_us": [rtt_us // 2] * 4,
        "retransmits": [0, 0, 0, 0],
        "lost": [0, 0, 0, 0],
        "out_of_order": [0, 0, lost, lost],
        "segments": [1, index, len(at_ns), len(at_ns)],
    }
    return replace(recording, meta={**recording.meta, "tcp": tcp})


# -- who asks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Servers:
    """The upstream that follows scripts, and one that answers the streams of a set one by one, or side by side."""

    upstream: str
    sets: str


Seen: TypeAlias = dict[int, Diagnosis]


async def _ask(url: str, cause: str, seed: int, **options: Any) -> Recording:
    script = script_for(cause, seed)
    return await sk.record(
        url, content=f"{cause}:{seed}".encode(), preset=script.preset, total_s=LIMIT_S, keep_bytes=True, **options
    )


async def _each(seeds: Sequence[int], one: Callable[[int], Awaitable[Diagnosis]]) -> Seen:
    """Many side by side, begun one after the other."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def slotted(seed: int) -> Diagnosis:
        async with slots:
            await asyncio.sleep(random.Random(seed).uniform(0, 0.2))
            return await one(seed)

    return dict(zip(seeds, await asyncio.gather(*map(slotted, seeds)), strict=True))


async def _scripted(servers: Servers, cause: str, seeds: Sequence[int]) -> Seen:
    """What the script does is all there is."""

    async def one(seed: int) -> Diagnosis:
        return (await _ask(servers.upstream, cause, seed)).diagnose()

    return await _each(seeds, one)


async def _paced(servers: Servers, cause: str, seeds: Sequence[int]) -> Seen:
    """A reader that pauses, or is slower than its stream; every fifth one computes for long at one piece."""

    async def one(seed: int) -> Diagnosis:
        draw = _Draw(cause, seed)
        kind = seed % 5
        if kind == 0:
            return await asyncio.to_thread(_alone, servers.upstream, cause, seed)
        if kind == 1:
            reader = sk.Reader(events_per_s=draw.chance.uniform(0.25, 0.5) * 1e3 / draw.gap_ms)
        else:
            reader = sk.Reader(pauses_s={draw.at: draw.silence_ms / 1e3})
        return (await _ask(servers.upstream, cause, seed, reader=reader)).diagnose()

    return await _each(seeds, one)


def _alone(url: str, cause: str, seed: int) -> Diagnosis:
    """On a loop of its own, which the listener keeps busy."""
    draw, heard = _Draw(cause, seed), itertools.count(1)

    def listen(_: str) -> None:
        if next(heard) == draw.at:
            time.sleep(draw.silence_ms / 1e3)

    return asyncio.run(_ask(url, cause, seed, on_piece=listen)).diagnose()


async def _late(servers: Servers, cause: str, seeds: Sequence[int]) -> Seen:
    """Groups of streams, each on a loop that something else keeps busy for a while."""
    slots = asyncio.Semaphore(LOOPS)

    async def group(several: Sequence[int]) -> Seen:
        async with slots:
            return await asyncio.to_thread(lambda: asyncio.run(_on_late_loop(servers.upstream, cause, several)))

    groups = [group(seeds[start : start + GROUP]) for start in range(0, len(seeds), GROUP)]
    return {seed: found for each in await asyncio.gather(*groups) for seed, found in each.items()}


async def _on_late_loop(url: str, cause: str, seeds: Sequence[int]) -> Seen:
    """When the first of them has had some events the loop is kept busy, by nobody who reads."""
    draw, loop, heard = _Draw(cause, seeds[0]), asyncio.get_running_loop(), itertools.count(1)

    def listen(_: str) -> None:
        if next(heard) == draw.at:
            loop.call_soon(time.sleep, draw.silence_ms / 1e3)

    first, *others = seeds
    asked = [_ask(url, cause, first, on_piece=listen), *(_ask(url, cause, seed) for seed in others)]
    recordings = await asyncio.gather(*asked)
    return {seed: each.diagnose() for seed, each in zip(seeds, recordings, strict=True)}


async def _linked(servers: Servers, cause: str, seeds: Sequence[int], losses: bool) -> Seen:
    """Half of them through a network that is gone for a while; the others by a server that flushes late."""
    found: Seen = {}
    halves = {"held": [seed for seed in seeds if seed % 2], "link": [seed for seed in seeds if not seed % 2]}

    def judged(recording: Recording, seed: int) -> Diagnosis:
        return (with_losses(recording, seed) if losses else recording).diagnose()

    async def one(seed: int) -> Diagnosis:
        return judged(await _ask(servers.upstream, "held", seed), seed)

    async def group(several: Sequence[int]) -> Seen:
        draw = _Draw(cause, several[0])
        link = await asyncio.to_thread(sk.net.Link, servers.upstream)  # or this loop would be late
        try:
            asking = [asyncio.create_task(_ask(link.url, "nothing", seed)) for seed in several]
            await asyncio.sleep(draw.chance.uniform(0.6, 0.8))
            await asyncio.to_thread(setattr, link, "down", [sk.net.Blackhole()])
            await asyncio.sleep(draw.silence_ms / 1e3)
            await asyncio.to_thread(setattr, link, "down", [])
            recordings = await asyncio.gather(*asking)
        finally:
            await asyncio.to_thread(link.stop)
        return {seed: judged(each, seed) for seed, each in zip(several, recordings, strict=True)}

    found |= await _each(halves["held"], one)
    slots = asyncio.Semaphore(LOOPS)

    async def slotted(several: Sequence[int]) -> Seen:
        async with slots:
            return await group(several)

    through = halves["link"]
    for each in await asyncio.gather(*[slotted(through[at : at + GROUP]) for at in range(0, len(through), GROUP)]):
        found |= each
    return found


async def _sets(servers: Servers, cause: str, seeds: Sequence[int]) -> Seen:
    """Sets of streams, all asked for at once."""

    async def one(seed: int) -> Diagnosis:
        asked = {"set": f"{cause}:{seed}", "pieces": str(random.Random(seed).randint(8, 20))}
        many = [sk.record(servers.sets, data=asked, total_s=LIMIT_S) for _ in range(TOGETHER)]
        return sk.findings.diagnose(await asyncio.gather(*many))

    return await _each(seeds, one)


async def _well(servers: Servers, cause: str, seeds: Sequence[int]) -> Seen:
    """Streams and sets to which nothing happens."""
    alone, sets = [seed for seed in seeds if seed % 2], [seed for seed in seeds if not seed % 2]
    return await _scripted(servers, cause, alone) | await _sets(servers, cause, sets)


@dataclass(frozen=True)
class _Scripted:
    """A cause: what is right, how it is made, and what of it is not real."""

    right: CauseName
    make: Callable[[Servers, str, Sequence[int]], Awaitable[Seen]]
    note: str = ""


CAUSES: Final[dict[str, _Scripted]] = {
    "late_loop": _Scripted("late_loop", _late, "the client's loop sleeps"),
    "slow_reader": _Scripted("slow_reader", _paced, "pauses, a slow pace, a listener that computes"),
    "held": _Scripted("held", partial(_linked, losses=False), "a link that is gone, a server that flushes late"),
    "network": _Scripted("network", partial(_linked, losses=True), "the same; what TCP tells is written, not lost"),
    "source_paused": _Scripted("source_paused", _scripted, "a silence"),
    "model_paused": _Scripted("model_paused", _scripted, "a silence with comments, or pings"),
    "periodic": _Scripted("periodic", _scripted, "a silence every so many events"),
    "batched": _Scripted("batched", _scripted, "always so many in one write"),
    "serial_server": _Scripted("serial_server", _sets, "a lock around each answer, four at once"),
    "dead end": _Scripted("unknown", _scripted, "a silence, then a cut"),
    "nothing": _Scripted("none", _well, "jitter; four at once, side by side"),
}


# -- a server that serves one by one ---------------------------------------------------------------------------------


def create_sets() -> Sanic[Any, Any]:
    """Answers the streams of a set one by one where the set is called so, side by side for all others."""
    app: Sanic[Any, Any] = Sanic("campaign_sets", configure_logging=False)
    keep_plain(app)
    app.ctx.locks = {}

    @asynccontextmanager
    async def turn(name: str) -> AsyncIterator[None]:
        if not name.startswith("serial_server"):
            yield
            return
        async with app.ctx.locks.setdefault(name, asyncio.Lock()):
            yield

    @app.post("/")
    async def answer(request: Request) -> None:
        form: Any = request.form or {}
        async with turn(str(form.get("set"))):
            await asyncio.sleep(0.05)
            response = await request.respond(content_type="text/event-stream")
            for number in range(int(str(form.get("pieces")))):
                await response.send(f"data: word {number} \n\n")
                await asyncio.sleep(0.03)
            await response.eof()

    return app


# -- what is said ----------------------------------------------------------------------------------------------------


@dataclass
class Judged:
    """What was named, by what was true."""

    named: dict[str, Counter[CauseName]] = field(default_factory=dict)
    found: dict[tuple[str, int], Diagnosis] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, cause: str, seed: int, found: Diagnosis) -> None:
        if (cause, seed) in self.found:
            self.named[cause][self.found[cause, seed].cause] -= 1
        self.named.setdefault(cause, Counter())[found.cause] += 1
        self.found[cause, seed] = found

    @property
    def wrong(self) -> list[tuple[str, int, Diagnosis]]:
        """What was named, and is not so."""
        return [
            (cause, seed, found)
            for (cause, seed), found in self.found.items()
            if found.cause not in (CAUSES[cause].right, "unknown")
        ]

    @property
    def total(self) -> int:
        return sum(counts.total() for counts in self.named.values())

    @property
    def untold(self) -> int:
        """How often it said that it cannot tell, where there is something to tell."""
        return sum(counts["unknown"] for cause, counts in self.named.items() if CAUSES[cause].right != "unknown")

    @property
    def holds(self) -> bool:
        return len(self.wrong) <= MOST_WRONG * self.total


async def _run(causes: Sequence[str], seeds: Sequence[int], servers: Servers, judged: Judged, told: bool) -> None:
    """Cause by cause; a few at a time where there are few seeds."""
    beside = max(1, SIDE_BY_SIDE // len(seeds))
    for start in range(0, len(causes), beside):
        several = causes[start : start + beside]
        await asyncio.gather(*[_judge(cause, seeds, servers, judged, told) for cause in several])


async def _judge(cause: str, seeds: Sequence[int], servers: Servers, judged: Judged, told: bool) -> None:
    since_s = time.monotonic()
    found = await CAUSES[cause].make(servers, cause, seeds)
    for seed, diagnosis in found.items():
        judged.note(cause, seed, diagnosis)
    wrong = [seed for name, seed, _ in judged.wrong if name == cause]
    for few in (wrong[at : at + GROUP] for at in range(0, len(wrong), GROUP)):
        judged.again += [f"{cause}:{seed} ({judged.found[cause, seed].cause})" for seed in few]
        for seed, diagnosis in (await CAUSES[cause].make(servers, cause, few)).items():
            judged.note(cause, seed, diagnosis)
    if told:
        print(f"{cause}: {len(found)} in {time.monotonic() - since_s:.0f} s", file=sys.stderr, flush=True)


def run(causes: Sequence[str] = tuple(CAUSES), seeds: Sequence[int] = range(200), *, told: bool = False) -> Judged:
    """Make each cause with each seed, and judge what `diagnose()` says."""
    judged, since_s = Judged(), time.monotonic()
    with (
        started(command("campaigns.diagnosis:script_of")) as upstream,
        sk.serve("campaigns.diagnosis:create_sets", process=True) as sets,
    ):
        asyncio.run(_run(causes, list(seeds), Servers(upstream.url, f"{sets.url}/"), judged, told))
    judged.seconds = time.monotonic() - since_s
    return judged


def matrix(judged: Judged) -> str:
    """Rows are what was true, columns what was named."""
    columns: list[CauseName] = [*dict.fromkeys(case.right for case in CAUSES.values())]
    columns += sorted({name for counts in judged.named.values() for name in counts} - set(columns))
    columns = [name for name in columns if any(counts[name] for counts in judged.named.values())]
    rows = [["true", *columns, "wrong", "how it was made"]]
    for cause, counts in judged.named.items():
        bad = sum(1 for name, *_ in judged.wrong if name == cause)
        cells = [str(counts[name] or "·") for name in columns]
        rows.append([cause, *cells, f"{bad / counts.total():.1%}", CAUSES[cause].note])
    return table(rows)


def show(judged: Judged) -> bool:
    """Print the matrix; whether the claim holds."""
    print(f"\n{judged.total:,} diagnoses in {judged.seconds:.0f} s\n\n{matrix(judged)}\n")
    for cause, seed, found in judged.wrong[:20]:
        print(f"WRONG {cause}:{seed}: {found!r}\n  python -m campaigns.diagnosis --only '{cause}:{seed}'")
    print(f"tried again, for they were wrong at first: {', '.join(judged.again) or 'none'}")
    share = len(judged.wrong) / max(1, judged.total)
    print(f"{len(judged.wrong)} wrong ({share:.2%}; at most {MOST_WRONG:.0%}), {judged.untold} times it cannot tell")
    return judged.holds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 if too many are wrong."""
    options = argparse.ArgumentParser(
        prog="python -m campaigns.diagnosis", description="Is the named cause the true one"
    )
    options.add_argument("--seeds", type=int, default=200, help="of each cause (default: 200)")
    options.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    options.add_argument("--causes", default=",".join(CAUSES), help="some of them, with commas (default: all)")
    options.add_argument("--only", metavar="CAUSE:SEED", help="this one alone, in detail")
    given = options.parse_args(arguments)
    causes, seeds = given.causes.split(","), range(given.first, given.first + given.seeds)
    if given.only is not None:
        cause, _, seed = given.only.rpartition(":")
        causes, seeds = [cause], range(int(seed), int(seed) + 1)
    if unknown := set(causes) - CAUSES.keys():
        options.error(f"expected causes out of {', '.join(CAUSES)}, got {', '.join(sorted(unknown))}")
    try:
        judged = run(causes, seeds, told=True)
        if given.only is not None:
            print(*judged.found.values(), sep="\n")
        return 0 if show(judged) else 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""Jobs that are left: `python -m campaigns.jobs [--jobs 1000] [--left 200] [--seed 1] [--processes 2] [--quick]`.

    clients  --job(…), as a source-->  queue  -->  processes

Short jobs, each in one of a few processes; some of their clients leave at random moments, chosen by the seed: while the
job waits for its turn, while it starts, and behind its first results. Half of the jobs that are left would never end:
they sit in a loop in C, which looks at nothing. What is claimed:

- results: each job that is not left has all its results, in order, and its last one.
- leaving: a process that worked for a client that left has ended, or is done with that, within 1 s.
- queue: what was left while it waited never starts.
- pool: behind all that no place is taken, at most so many processes are there, none of them works, and they take as
  many jobs at once as before.
- memory: this process's, behind a warm-up, grows by less than 10 MiB; so does that of one process that reports as fast
  as it can, and ours, which reads it, slowly.

A claim that is broken is printed as BROKEN, and the exit status is 1. Linux only: it looks into /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.harness import table
from streamkit.extractor.pieces import Piece
from streamkit.jobs import Report
from streamkit.relay.failure import Failed
from streamkit.relay.pieces import Progress, Value
from streamkit.relay.settings import Shipped
from streamkit.relay.sources.job import Jobs, job
from streamkit.relay.sources.source import Into
from streamkit.serving.running import new_loop

__all__ = ["FULL", "QUICK", "Case", "Found", "Sizes", "case_of", "cases_of", "main", "run"]

GONE_S: Final = 1.0
STAYS_AWAY_S: Final = 0.5
"""How long what must not begin is looked for."""
AT_REST_S: Final = 0.5
"""How long the processes are looked at, whether they work for nobody."""
LIMIT_S: Final = 60.0
"""How long one job may take, its wait among them, before it hangs."""
MEBI: Final = 2**20
MAX_GROWTH_BYTES: Final = 10 * MEBI


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    jobs: int = 1000
    left: int = 200
    processes: int = 2
    at_once: int = 20
    warm_up: int = 100
    reports: int = 3_000_000
    seed: int = 1


FULL: Final = Sizes()
QUICK: Final = Sizes(jobs=60, left=15, at_once=8, warm_up=10, reports=100_000)


# -- the jobs ----------------------------------------------------------------------------------------------------------


def short(report: Report, folder: str, number: int, results: int, steps: int, endless: bool) -> dict[str, Any]:
    """Says which process it is in, in a file; tells its results; is within C for a while, or for ever."""
    part = Path(folder, f"{number}.part")
    part.write_text(str(os.getpid()))
    part.rename(part.with_suffix(""))
    for each in range(results):
        report.progress(each, results)
        report.result({"number": number, "result": each})
        sum(range(steps))
    if endless:
        sum(range(10**13))
    return {"number": number, "results": results}


def which(_: Report) -> dict[str, Any]:
    """In which process it is, for so long that each of them gets one."""
    time.sleep(0.2)
    return {"pid": os.getpid()}


# -- what each client does ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One job, and when its client leaves: behind so many pieces, and then a moment; None: never."""

    number: int
    results: int
    steps: int
    endless: bool = False
    leaves_behind: int | None = None
    waits_s: float = 0.0


def case_of(number: int, seed: int, *, left: bool) -> Case:
    """By the seed alone."""
    chance = random.Random(f"{seed} {number}")
    case = Case(number, chance.randrange(1, 20), chance.randrange(1000, 60_000))
    if not left:
        return case
    behind = chance.choice((1, 1, 2, 3, chance.randrange(1, case.results + 1)))
    return replace(case, endless=chance.random() < 0.5, leaves_behind=behind, waits_s=chance.uniform(0, 0.05))


@dataclass
class Found:
    """What came of it."""

    jobs: int = 0
    whole: int = 0
    left: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    gone_s: list[float] = field(default_factory=list)
    pool: str = ""
    seconds: float = 0.0
    growth_bytes: int = 0
    noisy: Noisy | None = None


class Noisy(NamedTuple):
    """A job that reports as fast as it can, and its reader, who is slow: how much both of them grew."""

    reports_per_s: float
    theirs_bytes: int
    ours_bytes: int
    lost: int


async def _client(jobs: Jobs, case: Case, folder: Path, found: Found) -> None:
    pieces: list[Piece] = []

    def offer(offered: list[Piece]) -> bool:
        pieces.extend(offered)
        return True

    arguments = {
        "folder": str(folder),
        "number": case.number,
        "results": case.results,
        "steps": case.steps,
        "endless": case.endless,
    }
    try:
        async with asyncio.timeout(LIMIT_S), aclosing(job(jobs, "short", arguments, Into(offer))) as batches:
            if case.leaves_behind is None:
                async for batch in batches:
                    pieces += batch
            else:
                await _read_until_it_leaves(batches, case, pieces)
    except Failed as error:
        found.wrong.append(f"{case}: {error} {error.failure.why}")
        return
    except TimeoutError:
        found.wrong.append(f"{case}: it hangs")
        return
    found.jobs += 1
    if case.leaves_behind is not None:
        await _is_left(case, pieces, folder, found)
    elif _numbers(pieces) == [*range(case.results), None]:
        found.whole += 1
    else:
        found.wrong.append(f"{case}: it came as {_numbers(pieces)}")


async def _read_until_it_leaves(batches: AsyncIterator[list[Piece]], case: Case, pieces: list[Piece]) -> None:
    """What is offered comes while it waits for what is yielded; so it is a task that is cancelled."""

    async def read() -> None:
        async for batch in batches:
            pieces.extend(batch)

    reading = asyncio.ensure_future(read())
    assert case.leaves_behind is not None
    try:
        while len(pieces) < case.leaves_behind and not reading.done():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.001)
        await asyncio.wait([reading], timeout=case.waits_s)
    finally:
        reading.cancel()
        await asyncio.wait([reading])
    if not reading.cancelled() and (error := reading.exception()) is not None:
        raise error


def _numbers(pieces: list[Piece]) -> list[int | None]:
    """Of the results; None for the last one of all."""
    return [None if piece.data.get("final") else piece.data["result"] for piece in pieces if isinstance(piece, Value)]


async def _is_left(case: Case, pieces: list[Piece], folder: Path, found: Found) -> None:
    """Whoever works on it ends that soon; what was never begun is never begun."""
    told = [piece.data["message"] for piece in pieces if isinstance(piece, Progress)]
    waited = told == ["queued"]
    found.left["queued" if waited else "ended" if None in _numbers(pieces) else "working"] += 1
    since, file = time.monotonic(), folder / str(case.number)
    while file.exists() and case.endless and _works(int(file.read_text())):
        if time.monotonic() - since > GONE_S:
            found.wrong.append(f"{case}: its process works on for nobody")
            return
        await asyncio.sleep(0.002)
    found.gone_s.append(time.monotonic() - since)
    if waited:
        await asyncio.sleep(STAYS_AWAY_S)
        if file.exists():
            found.wrong.append(f"{case}: it began when its client had left")


# -- what the processes do ---------------------------------------------------------------------------------------------


def _works(pid: int) -> bool:
    """It is there, and no zombie. A process that was killed is nobody else's number so soon."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children() -> list[int]:
    """The processes that work for us."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"streamkit.jobs.child" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _cpu_ticks(pid: int) -> int:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _judge_the_pool(jobs: Jobs, sizes: Sizes, found: Found) -> None:
    """Nothing works, and all of it can."""
    until = time.monotonic() + GONE_S
    while jobs.places and time.monotonic() < until:  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.01)
    if jobs.places:
        found.wrong.append(f"{len(jobs.places)} places are taken for nobody")
        return
    there = _children()
    if len(there) > sizes.processes:
        found.wrong.append(f"{len(there)} processes are there")
    before = {pid: _cpu_ticks(pid) for pid in there}
    await asyncio.sleep(AT_REST_S)
    if busy := [pid for pid in there if _cpu_ticks(pid) > before[pid] + 1]:
        found.wrong.append(f"{len(busy)} processes work for nobody")
    last = await asyncio.gather(*(_last(jobs, "which", {}) for _ in range(sizes.processes)))
    pids = {each["pid"] for each in last}
    if len(pids) != sizes.processes:
        found.wrong.append(f"{len(pids)} of {sizes.processes} processes work at once")
    found.pool = f"{len(there)} idle, {len(pids)} at once"


async def _last(jobs: Jobs, name: str, arguments: dict[str, Any]) -> Any:
    pieces: list[Piece] = []
    async with aclosing(job(jobs, name, arguments, Into())) as batches:
        async for batch in batches:
            pieces += batch
    return pieces[-1].data if isinstance(pieces[-1], Value) else None


async def _noise(jobs: Jobs, sizes: Sizes) -> Noisy:
    """One job that reports as fast as it can, to a reader who takes his time with each list."""
    theirs: list[int] = []
    ours: list[int] = []
    batches, results, began = 0, 0, time.monotonic()
    async with aclosing(
        job(jobs, "noisy", {"reports": sizes.reports}, Into(lambda pieces: not _has_values(pieces)))
    ) as it:
        async for batch in it:
            results += len(batch)
            batches += 1
            if batches % 10 == 1:
                theirs.append(max(map(_memory, _children())))
                ours.append(_memory(os.getpid()))
            await asyncio.sleep(0.001)
    lost = sizes.reports // 1000 + 2 - results  # the first progress, and the last result
    rate = sizes.reports / (time.monotonic() - began)
    return Noisy(rate, _grown(theirs), _grown(ours), lost)


def _has_values(pieces: list[Piece]) -> bool:
    return any(isinstance(piece, Value) for piece in pieces)


def _grown(sizes: list[int]) -> int:
    """From the end of the first tenth on."""
    return max(sizes) - sizes[len(sizes) // 10]


# -- all of it ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _opened(sizes: Sizes) -> AsyncIterator[Jobs]:
    jobs = Jobs(Shipped(max_jobs=sizes.processes, job_queue=sizes.at_once), {"short": short, "which": which})
    await jobs.open()
    try:
        yield jobs
    finally:
        await jobs.close()


async def _all(jobs: Jobs, cases: Sequence[Case], at_once: int, folder: Path, found: Found) -> None:
    waiting = iter(cases)

    async def work() -> None:
        for case in waiting:
            await _client(jobs, case, folder, found)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())


def cases_of(sizes: Sizes) -> list[Case]:
    """By the seed alone."""
    left = set(random.Random(sizes.seed).sample(range(sizes.jobs), sizes.left))
    return [case_of(number, sizes.seed, left=number in left) for number in range(sizes.jobs)]


async def run(sizes: Sizes, cases: Sequence[Case] | None = None) -> Found:
    """Run it all, or these cases; what was found."""
    found = Found()
    with tempfile.TemporaryDirectory() as name:
        async with _opened(sizes) as jobs:
            warm_up = [case_of(-1 - number, sizes.seed, left=number % 5 == 0) for number in range(sizes.warm_up)]
            await _all(jobs, warm_up, sizes.at_once, Path(name), Found())
            before, began = _memory(os.getpid()), time.monotonic()
            await _all(jobs, cases_of(sizes) if cases is None else cases, sizes.at_once, Path(name), found)
            found.seconds = time.monotonic() - began
            found.growth_bytes = _memory(os.getpid()) - before
            await _judge_the_pool(jobs, sizes, found)
            if found.pool:
                found.noisy = await _noise(jobs, sizes)
    if there := _children():
        found.wrong.append(f"{len(there)} processes are there behind the end")
    return found


def claims(found: Found, sizes: Sizes) -> list[tuple[str, str, str, bool]]:
    """Claim, found, asked, whether it holds."""
    asked, kept, slowest_s = f"< {MAX_GROWTH_BYTES / MEBI:g} MiB", sizes.jobs - sizes.left, max(found.gone_s, default=0)
    judged = [
        ("jobs that were not left, whole", str(found.whole), str(kept), found.whole == kept),
        ("wrong", str(len(found.wrong)), "0", not found.wrong),
        ("working on for a client that left", f"{slowest_s * 1e3:.0f} ms at most", "≤ 1 s", slowest_s <= GONE_S),
        ("the pool", found.pool or "is not at rest", f"{sizes.processes} at once", bool(found.pool)),
        _grows("memory, all these jobs", found.growth_bytes, asked),
    ]
    if found.noisy is not None:
        judged += [
            _grows("memory, a noisy job", found.noisy.theirs_bytes, asked),
            _grows("memory, its slow reader", found.noisy.ours_bytes, asked),
            ("results of the noisy job lost", str(found.noisy.lost), "0", found.noisy.lost == 0),
        ]
    return judged


def _grows(what: str, grown: int, asked: str) -> tuple[str, str, str, bool]:
    return what, f"{grown / MEBI:+.2f} MiB", asked, grown < MAX_GROWTH_BYTES


def show(found: Found, sizes: Sizes) -> bool:
    """Print it; whether all claims hold."""
    told = ", ".join(f"{count} {when}" for when, count in sorted(found.left.items()))
    print(f"{found.jobs:,} jobs in {found.seconds:.1f} s; left: {told}")
    if found.noisy is not None:
        print(f"the noisy job made {found.noisy.reports_per_s:,.0f} reports a second")
    judged = claims(found, sizes)
    print()
    print(table([["claim", "found", "asked", ""], *([*row, "ok" if holds else "BROKEN"] for *row, holds in judged)]))
    for line in found.wrong[:20]:
        print(f"WRONG {line}")
    return all(holds for *_, holds in judged)


def main(arguments: Sequence[str] | None = None, campaign: Callable[[Sizes], Any] = run) -> int:
    """Run, print; 1 if a claim is broken."""
    options = argparse.ArgumentParser(prog="python -m campaigns.jobs", description="Short jobs, many of them left")
    options.add_argument("--jobs", type=int, help=f"default: {FULL.jobs:,}")
    options.add_argument("--left", type=int, help=f"so many of them are left (default: {FULL.left})")
    options.add_argument("--processes", type=int, help=f"default: {FULL.processes}")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--quick", action="store_true", help=f"{QUICK.jobs} jobs: a first look")
    given = options.parse_args(arguments)
    chosen = {"jobs": given.jobs, "left": given.left, "processes": given.processes, "seed": given.seed}
    base = QUICK if given.quick else FULL
    sizes = replace(base, **{name: value for name, value in chosen.items() if value is not None})
    print(f"CPython {sys.version.split()[0]}, seed {sizes.seed}, {sizes.processes} processes")
    try:
        with asyncio.Runner(loop_factory=partial(new_loop, "auto")) as runner:
            return 0 if show(runner.run(campaign(sizes)), sizes) else 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""Random faults, thousands: `python -m campaigns.faults [--count 10000] [--seed 1] [--only SEED] [--scenario …]`.

    visitors  --POST /PRESET/ans-->  relay  --POST-->  an upstream that follows random_script(seed)  (a process each)

Scenario "random": each seed is a script with none to three faults, an Accept, sometimes a silence that is longer than
the relay's deadline, and sometimes a client that leaves. What became of it is judged by a history that knows nothing of
the relay: the script's plan, the upstream's log of what it has written, and the client's bytes, read by `visitor`.

1. No broken stream is reported complete: not to the client, and not in the relay's log.
2. No whole stream is reported broken, unless the client left, or a deadline passed that should have.
3. The text that a client has is the beginning of the script's text, and all of it where the stream is complete.
4. The relay's log line of a stream says what its client saw: status, code, outcome, number of pieces.

A violation that a slow machine could cause (a deadline) is tried again alone, and counts if it happens again.
`--only SEED` does one again and shows all of it.

Scenario "heavy": single requests and answers that are meant to hurt (`heavy`), each to a relay of its own. Memory
grows by less than 32 MB, the loop is held up for at most 250 ms, and the next good request works.

In both, the upstream's key is a canary: it is in no answer, and in no log record. Exit status 1 if a claim is broken.
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
from functools import cached_property, lru_cache, partial
from itertools import pairwise
from typing import Any, ClassVar, Final, TypeVar

from benchmarks.harness import started, table
from campaigns import heavy
from campaigns.canary import leaks
from campaigns.speaker import Spoken, command, spoken
from campaigns.visitor import HOWS, NDJSON, PHASES, SSE, TEXT, Leave, Reading, Seen, Unreadable, post, read, visit
from campaigns.watched import Watched, watched
from streamkit.lab.upstream import Script
from streamkit.lab.upstream.fault_base import FRAMING, Fault
from streamkit.lab.upstream.faults import Stall
from streamkit.lab.upstream.random_scripts import random_script
from streamkit.lab.upstream.steps import ScriptedAnswer, Step, Truth, raw, truth_of
from streamkit.presets import PRESETS, preset
from streamkit.serving.running import new_loop

__all__ = ["Bare", "Case", "History", "Judged", "case_of", "judge", "main", "run", "script_of"]

ACCEPTS: Final = (TEXT, SSE, NDJSON)
DEADLINE_S: Final = 1.0
LONG_S: Final = 2.5
SHORT_MS: Final = 20.0
SLACK: Final = 0.8
"""A silence of this share of the deadline, as the upstream saw it, may have been longer for the relay."""
DEADLINES: Final = {"first_piece_s": DEADLINE_S, "idle_s": DEADLINE_S}
BOUNDS: Final = {"max_event_bytes": float(1 << 20), "max_head_bytes": 65_536.0, "max_interim": 16.0}
"""The relay's."""
QUESTION: Final = re.compile(rb"fault-(\d+)")
STREAM_ID: Final = re.compile(rb"\r\nx-stream-id: *([0-9a-f]+)", re.IGNORECASE)
LIMIT_S: Final = 20.0
BATCH: Final = 500
T = TypeVar("T")


# -- what happens ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """All that a seed stands for."""

    seed: int
    script: Script
    accept: str
    leave: Leave | None

    @cached_property
    def truth(self) -> Truth:
        """What a reader with the relay's bounds, and its patience, can know of the answer."""
        steps = self.script.steps()
        if not self.script.faults:
            return Truth(self.script.whole, self.script.text)
        heard = steps[: _silence(steps)]
        if len(heard) < len(steps):
            heard.append(raw(steps[len(heard)].due_ns, "silence", b""))
        return truth_of(heard, marked=preset(self.script.preset).has_end_marker, **BOUNDS)


def _silence(steps: Sequence[Step]) -> int:
    """The index of the first step that comes after a silence beyond the deadline; how many there are if none does."""
    due_ns = [0, *(step.due_ns for step in steps)]
    gaps_s = [(after - before) / 1e9 for before, after in pairwise(due_ns)]
    return next((index for index, gap_s in enumerate(gaps_s) if gap_s > DEADLINE_S), len(steps))


@dataclass(frozen=True)
class Bare(Fault):
    """The answer has neither chunks nor a length: it ends with the connection, which proves nothing."""

    stage: ClassVar[int] = FRAMING

    def apply(self, answer: ScriptedAnswer) -> list[Step]:
        head, *events, end = answer.steps
        told = head.data.replace(b"Transfer-Encoding: chunked\r\n", b"")
        body = [replace(step, frame=bytes) for step in events]
        return [replace(head, encode=partial(bytes, told)), *body, raw(end.due_ns, "fin", b"")]


@lru_cache(maxsize=4096)
def script_of_seed(seed: int) -> Script:
    """`random_script(seed)`; a third of those without faults end bare, every tenth is silent for too long somewhere."""
    script = random_script(seed, stall_ms=SHORT_MS)
    chance = random.Random(f"silence {seed}")
    if not script.faults and chance.random() < 0.3:
        return replace(script, faults=[Bare()])
    if chance.random() < 0.1:
        at = chance.randint(0, len(script.pieces) + 2)
        try:
            return replace(script, faults=(*script.faults, Stall(at, LONG_S * 1e3)))
        except ValueError:  # there is no stream
            return script
    return script


def case_of(seed: int) -> Case:
    """The same for the same seed; every tenth client leaves."""
    chance = random.Random(f"client {seed}")
    leave = None
    if chance.random() < 0.1:
        phase = chance.choice(PHASES)
        after = {"streaming": chance.randint(1, 3), "waiting": chance.uniform(0, 0.02)}.get(phase, chance.random() / 10)
        leave = Leave(phase, chance.choice(HOWS), after)
    return Case(seed, script_of_seed(seed), chance.choice(ACCEPTS), leave)


def script_of(question: bytes) -> Script:
    """The script that a request of the relay asks for, in whatever shape it asks."""
    found = QUESTION.search(question)
    assert found is not None, "the question did not come through the relay"
    return script_of_seed(int(found[1]))


# -- how it is judged ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class History:
    """What the parties saw of one stream."""

    case: Case
    seen: Seen
    spoken: Spoken | None
    line: dict[str, Any] | None
    """The relay's log; None if there is no line, or if the client has left before it knew the stream's id."""


@dataclass(frozen=True)
class Judged:
    """`problems` are the violations; `late` if they may come of a slow machine. Kinds: "whole", "broken", "left" by the
    client, "late" (a whole one that was slower than the relay's deadline), "wrong".
    """

    kind: str
    problems: list[str] = field(default_factory=list)
    late: bool = False


def judge(history: History) -> Judged:
    """Whether the claims hold for one stream."""
    case, seen = history.case, history.seen
    if leaks(seen.data):
        return Judged("wrong", ["the key is in the answer"])
    if seen.ended == "late":
        return Judged("wrong", ["the answer has no end, or the connection of a client that left stays open"], late=True)
    try:
        found = read(seen.data, case.accept)
    except (Unreadable, ValueError) as error:
        return Judged("wrong", [f"{type(error).__name__}: {error}"])
    truth = case.truth
    problems = [*_of_text(found, truth), *_of_log(history, found)]
    if case.leave is not None:
        return Judged("left", problems)
    if found.complete and not truth.whole:
        problems.append("a broken stream was reported complete")
    if truth.whole and not found.complete:
        timed_out = (history.line or {"code": ""})["code"].startswith("timeout_")
        waited = history.spoken is not None and history.spoken.silent_s > SLACK * DEADLINE_S
        if not (timed_out and waited):
            kind = "late" if timed_out else "wrong"
            return Judged(kind, [*problems, "a whole stream was reported broken"], late=timed_out)
        return Judged("late", problems)
    return Judged("whole" if truth.whole else "broken", problems)


def _of_text(found: Reading, truth: Truth) -> list[str]:
    whole = truth.text.encode()
    if found.complete and found.text != whole:
        return [f"complete, with {len(found.text)} bytes of text instead of {len(whole)}"]
    return [] if whole.startswith(found.text) else ["the text is not the beginning of the script's"]


def _of_log(history: History, found: Reading) -> list[str]:
    line, left = history.line, history.case.leave is not None
    if line is None:
        return [] if left else ["the relay has not logged the stream"]
    problems = []
    complete = line["outcome"] == "complete"
    if complete and not history.case.truth.whole:
        problems.append("a broken stream is complete in the log")
    if left:
        return problems
    if complete != found.complete:
        problems.append(f"the log says {line['outcome']}, the client saw {'' if found.complete else 'no '}completion")
    if line["status"] != found.status:
        problems.append(f"the log says status {line['status']}, the client saw {found.status}")
    if found.code and line["code"] != found.code:
        problems.append(f"the log says code {line['code']!r}, the client saw {found.code!r}")
    if found.outcome and line["outcome"] != found.outcome:
        problems.append(f"the log says {line['outcome']!r}, the client saw {found.outcome!r}")
    if found.pieces is not None and line["pieces"] != found.pieces:
        problems.append(f"the log says {line['pieces']} pieces, the client saw {found.pieces}")
    return problems


# -- the run ---------------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What came of all seeds."""

    total: int
    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: dict[int, list[str]] = field(default_factory=dict)
    again: list[int] = field(default_factory=list)
    leaked: int = 0
    alarms: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return not (self.violations or self.leaked or self.alarms)


def run(seeds: Sequence[int], concurrency: int, progress: Callable[[Report], None] = lambda _: None) -> Report:
    """Run and judge each of the seeds."""
    report = Report(len(seeds))
    began = time.monotonic()
    with (
        started(command("campaigns.faults:script_of")) as upstream,
        watched(upstream.url, tuple(PRESETS), **DEADLINES) as relay,
    ):
        relay.census(keep=True)
        for first in range(0, len(seeds), BATCH):
            for history in _histories(relay, upstream.url, seeds[first : first + BATCH], concurrency):
                _note(report, history, judge(history))
            report.seconds = time.monotonic() - began
            progress(report)
        for seed in report.again:
            (history,) = _histories(relay, upstream.url, [seed], 1)
            _note(report, history, replace(judge(history), late=False), count=False)
        end = relay.census()
        report.leaked, report.alarms = len(end.leaked), end.alarms
    return report


def _note(report: Report, history: History, judged: Judged, *, count: bool = True) -> None:
    if judged.problems and judged.late:
        report.again.append(history.case.seed)
    elif judged.problems:
        report.violations[history.case.seed] = judged.problems
    if count:
        report.kinds[judged.kind] += 1
        outcome = "(left, unknown)" if history.line is None else history.line["outcome"]
        report.outcomes[outcome.partition("(")[0] or outcome] += 1


def _histories(relay: Watched, upstream: str, seeds: Sequence[int], concurrency: int) -> list[History]:
    cases = [case_of(seed) for seed in seeds]
    seen = _run(_visit_all(relay, cases, concurrency))
    _, over_s = relay.until(lambda census: not census.live, LIMIT_S)
    assert over_s is not None, "streams are live although all clients have left"
    lines = {line["stream_id"]: line for line in relay.lines()}
    said = {each.seed: each for each in spoken(upstream)}
    return [
        History(case, seen[case.seed], said.get(case.seed), lines.get(_stream_id(seen[case.seed]))) for case in cases
    ]


def _stream_id(seen: Seen) -> str:
    found = STREAM_ID.search(seen.data[:2000])
    return found[1].decode() if found else ""


async def _visit_all(relay: Watched, cases: Sequence[Case], concurrency: int) -> dict[int, Seen]:
    seen: dict[int, Seen] = {}
    waiting = iter(cases)

    async def work() -> None:
        for case in waiting:
            request = post(f"/{case.script.preset}/ans", f"fault-{case.seed}", case.accept)
            try:
                seen[case.seed] = await visit(relay.address, request, leave=case.leave, limit_s=LIMIT_S)
            except OSError as error:
                seen[case.seed] = Seen(type(error).__name__.encode(), "RST")

    async with asyncio.TaskGroup() as workers:
        for _ in range(concurrency):
            workers.create_task(work())
    return seen


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=partial(new_loop, "auto")) as runner:
        return runner.run(work)


# -- what is shown ---------------------------------------------------------------------------------------------------


def progress(report: Report) -> None:
    """A line on stderr."""
    done = report.kinds.total()
    told = f"{done:,} of {report.total:,} seeds, {done / report.seconds:.0f}/s, {len(report.violations)} violations"
    print(f"\r{told} ", end="", file=sys.stderr, flush=True)


def show_random(report: Report) -> bool:
    """Print the tables; whether the claims hold."""
    print(f"\n## random: {report.total:,} seeds in {report.seconds:.0f} s\n")
    print(table([["streams", ""], *([kind, f"{count:,}"] for kind, count in sorted(report.kinds.items()))]))
    print()
    print(table([["in the relay's log", ""], *([name, f"{n:,}"] for name, n in sorted(report.outcomes.items()))]))
    print(f"\ntried again alone, for a deadline: {len(report.again)}")
    for seed, problems in list(report.violations.items())[:20]:
        print(f"VIOLATION, seed {seed}: {'; '.join(problems)}\n  python -m campaigns.faults --only {seed}")
    for alarm in report.alarms:
        print(f"  {alarm}")
    print(f"{len(report.violations)} violations, {len(report.alarms)} errors logged, canary seen {report.leaked} times")
    return report.holds


def show_one(seed: int) -> bool:
    """Do one seed again and print all that is known of it."""
    case = case_of(seed)
    print(f"{case}\nexpected: {case.truth}")
    for step in case.script.steps():
        print(f"  {step.due_ns / 1e6:8.1f} ms  {step.kind:8} {step.proof:6}{step.breaks:7} {step.framed[:100]!r}")
    with (
        started(command("campaigns.faults:script_of")) as upstream,
        watched(upstream.url, tuple(PRESETS), **DEADLINES) as relay,
    ):
        relay.census(keep=True)
        (history,) = _histories(relay, upstream.url, [seed], 1)
    judged = judge(history)
    print(f"upstream: {history.spoken}\nlog:      {history.line}\nclient:   {history.seen.ended or 'open'}")
    print(f"{history.seen.data[-2000:].decode(errors='replace')}\n{judged}")
    return not judged.problems


MAX_GROWTH_BYTES: Final = 32 * 2**20
MAX_STALL_S: Final = 0.25


def show_heavy(cases: Sequence[heavy.Case]) -> bool:
    """The other scenario; a row as soon as it is known."""
    print("\n## heavy: one request or answer, each to a relay of its own\n")
    rows = [["what", "the client was told", "memory", "stall", "with the wait for a CPU", "idle", "took", ""]]
    holds = True
    for number, hurt in enumerate(heavy.heavy(cases), 1):
        print(f"\r{number} of {len(cases)}: {hurt.case.name:40}", end="", file=sys.stderr, flush=True)
        broken = _broken(hurt)
        holds = holds and not broken
        times = (hurt.own_stall_s, hurt.stall_s, hurt.idle_stall_s)
        rows.append(
            [
                hurt.case.name,
                hurt.told,
                f"{hurt.grew_bytes / 2**20:+.1f} MiB",
                *(f"{seconds * 1e3:.0f} ms" for seconds in times),
                f"{hurt.seconds:.2f} s",
                broken,
            ]
        )
    print(table(rows))
    return holds


def _broken(hurt: heavy.Hurt) -> str:
    found = {
        "MEMORY": hurt.grew_bytes > MAX_GROWTH_BYTES,
        "STALL": hurt.own_stall_s > MAX_STALL_S,
        "STUCK": not hurt.works_on,
        "LEAKED": hurt.leaked,
    }
    return ", ".join(name for name, true in found.items() if true)


# -- the command line ------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 if a claim is broken."""
    options = argparse.ArgumentParser(prog="python -m campaigns.faults", description="Random faults, and heavy ones")
    options.add_argument("--count", type=int, help="random scripts (default: 10,000; --quick: 400)")
    options.add_argument("--seed", type=int, default=1, help="the first of them")
    options.add_argument("--only", type=int, metavar="SEED", help="this one alone, in detail")
    options.add_argument("--concurrency", type=int, default=48, help="streams at once (default: 48)")
    options.add_argument("--scenario", choices=("random", "heavy"), help="default: both")
    options.add_argument("--heavy", metavar="WORDS", default="", help="heavy ones whose name has this in it")
    options.add_argument("--quick", action="store_true", help="a first look")
    given = options.parse_args(arguments)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the relay inherits it
    try:
        return 0 if _main(given) else 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def _main(given: argparse.Namespace) -> bool:
    if given.only is not None:
        return show_one(given.only)
    holds = True
    if given.scenario in (None, "random"):
        count = given.count or (400 if given.quick else 10_000)
        holds = show_random(run(range(given.seed, given.seed + count), given.concurrency, progress))
    if given.scenario in (None, "heavy"):
        cases = [case for case in heavy.CASES if given.heavy in case.name]
        holds = show_heavy(cases[:: 8 if given.quick else 1]) and holds
    return holds


if __name__ == "__main__":
    sys.exit(main())

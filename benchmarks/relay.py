"""The relay beside its peers: `python -m benchmarks.relay [--scenario …] [--events …] [--rounds N] [--peers …]`.

    load client  --POST /ans-->  relay under test  --POST-->  scripted upstream
     (process)   <-text/plain--      (process)     <--SSE---      (process)

What is measured is the **CPU time of the relay's process per event**: user and system time (`/proc/PID/stat`) from just
before a load to just after it, divided by the events. Waiting for a busy machine does not count; what the kernel does
on behalf of the relay's sockets does. Every relay takes the same events (`--events`: by default OpenAI's as its API
sends them today, see `relay_events`), takes the text out of them and answers text/plain; the text of every answer is
compared. Relays take turns, round by round; the tables show medians over the rounds, and ratios to ours. Only ratios
within one run mean anything.

Why upstream and client are no bottleneck: both are one thread on epoll that encodes, parses and allocates next to
nothing (see `relay_upstream` and `relay_load`). The table shows how much of one CPU each of the three processes used
over the load: while the relay's share is near 100 % and the others' are not, the relay is the limit.

Scenarios:
- saturated: 50 streams, events as fast as they are taken, one HTTP chunk an event. Each relay gets as many as keep it
  busy for about `BUSY_S` seconds (a slow relay would take a minute for what a quick one does in four seconds).
- paced: 50 streams × 100 events/s, the streams shifted against each other, so that each event is sent, and as long as
  the relay keeps up read, alone. A relay that falls behind reads several at once, which makes it cheaper: the column
  `achieved` says so (100 % kept up).
- slow: 5,000 streams × 1 event/s, begun at even intervals over 10 s (`--ramp-s`): 500 new streams a second on top of
  those that run, so a relay that needs more than about 1 ms of CPU to begin a stream falls behind, and its TTFT shows
  it. All have to end complete with the right text;
  memory is the relay's PSS while all are open, less its PSS before, per stream (kernel buffers are not in it); TTFT is
  counted by the client from the last byte of its request to the first of the answer's body; the upstream sends the
  first piece at once.
- tracing: ours with and without `--trace`, saturated.

A goal that is missed is printed as MISSED and changes nothing else; wrong work ends the run with an assertion.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.harness import ROOT, Started, cpu_s, memory_bytes, started, table
from benchmarks.relay_events import DEFAULT, EVENTS
from benchmarks.relay_load import ALL_OPEN, Load
from benchmarks.relay_peers import PEERS, command

__all__ = ["OURS", "Run", "Traffic", "load", "our_command", "relays"]

OURS: Final = "streamkit"
TRACED: Final = "streamkit --trace"
NAIVE, FASTAPI, BARE = "Sanic + httpx (naive)", "FastAPI + httpx-sse", "bare uvloop"
ENDPOINT: Final = "/v1/chat/completions"
BUSY_S: Final = 4.0
STREAMS: Final = 50
MAX_EVENTS: Final = 100_000  # per stream
WARM_UP_STREAMS: Final = 50


@dataclass(frozen=True)
class Goal:
    """What is asked of ours beside a peer: a peer's CPU over ours at least, or ours over the peer's at most."""

    at_least: float | None = None
    at_most: float | None = None

    def judged(self, peer: float, ours: float) -> str:
        """The goal and whether it is met, for the CPU of a peer and of ours."""
        if self.at_least is not None:
            return f"peer / ours ≥ {self.at_least:g}: {peer / ours:.2f} {_met(peer / ours >= self.at_least)}"
        assert self.at_most is not None
        return f"ours / peer ≤ {self.at_most:g}: {ours / peer:.2f} {_met(ours / peer <= self.at_most)}"


SATURATED_GOALS: Final = {NAIVE: Goal(at_least=9), FASTAPI: Goal(at_least=10), BARE: Goal(at_most=1.4)}
PACED_GOALS: Final = {NAIVE: Goal(at_least=2.3), BARE: Goal(at_most=1.2)}
MAX_STREAM_BYTES: Final = 30_000
MAX_TTFT_MS: Final = 100.0
MAX_TRACING_COST: Final = 0.10


@dataclass(frozen=True)
class Traffic:
    """What the client asks for. `events` are per stream; a gap of 0 is saturated."""

    streams: int
    events: int
    gap_us: int = 0
    ramp_s: float = 0.0
    limit_s: float = 120.0

    @property
    def total(self) -> int:
        return self.streams * self.events

    @property
    def least_s(self) -> float:
        """How long it takes if nobody is late."""
        return self.ramp_s + max(0, self.events - 1) * self.gap_us / 1e6


@dataclass(frozen=True)
class Run:
    """One load through one relay: what the client saw, and the CPU seconds of the three processes."""

    traffic: Traffic
    load: Load
    relay_s: float
    upstream_s: float
    stream_bytes: float | None = None  # PSS per open stream; None where not all were open at once, or not asked

    @property
    def per_event_us(self) -> float:
        return self.relay_s / self.traffic.total * 1e6

    @property
    def per_second(self) -> float:
        return self.traffic.total / self.load.duration_s

    @property
    def events_per_chunk(self) -> float:
        return self.traffic.total / max(1, self.load.chunks)

    def share(self, seconds: float) -> float:
        """Of one CPU, in per cent."""
        return seconds / self.load.duration_s * 100


# -- one load --------------------------------------------------------------------------------------------------------


def load(relay: Started, upstream: Started, traffic: Traffic, *, answer: str = "text", weigh: bool = False) -> Run:
    """Send `traffic` through a relay, whose answers have to be as `relay_load.ANSWERS` says.

    With `weigh`, its memory is taken while all streams are open.
    """
    before_bytes = memory_bytes(relay.pid) if weigh else 0
    relay_s, upstream_s = cpu_s(relay.pid), cpu_s(upstream.pid)
    options = {
        "--streams": traffic.streams,
        "--events": traffic.events,
        "--gap-us": traffic.gap_us,
        "--ramp-s": traffic.ramp_s,
        "--limit-s": traffic.limit_s,
        "--answer": answer,
    }
    words = [str(word) for option in options.items() for word in option]
    stream_bytes = None
    with subprocess.Popen(  # noqa: S603  # a command of ours
        [sys.executable, "-m", "benchmarks.relay_load", relay.url, *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as client:
        assert client.stdout is not None
        line = client.stdout.readline()
        if line.strip() == ALL_OPEN:
            if weigh:
                stream_bytes = (memory_bytes(relay.pid) - before_bytes) / traffic.streams
            line = client.stdout.readline()
    assert line, "the load client failed; its traceback stands above"
    used = cpu_s(relay.pid) - relay_s, cpu_s(upstream.pid) - upstream_s
    return Run(traffic, Load(**json.loads(line)), *used, stream_bytes)


def checked(run: Run, name: str) -> Run:
    """The run, if every stream was complete and right."""
    seen = run.load
    assert seen.complete == seen.streams, f"{name}: {seen.complete} of {seen.streams} streams complete; {seen.errors}"
    assert seen.right == seen.streams, (
        f"{name}: {seen.streams - seen.right} of {seen.streams} streams have another text"
    )
    return run


# -- the relays ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Relay:
    """A relay under test, running."""

    name: str
    process: Started
    upstream: Started
    answer: str = "text"

    def load(self, traffic: Traffic, *, weigh: bool = False) -> Run:
        return load(self.process, self.upstream, traffic, answer=self.answer, weigh=weigh)

    def warm(self) -> Run:
        """Imports, pools, caches, the specialising interpreter; the second load is returned."""
        traffic = Traffic(WARM_UP_STREAMS, 400)
        checked(self.load(traffic), self.name)
        return checked(self.load(traffic), self.name)


def our_command(upstream: str, *options: str, said: str = DEFAULT) -> list[str]:
    """Ours, as users run it."""
    fixed = ["--port", "0", "--preset", EVENTS[said].preset, "--model", "some-model"]
    return [sys.executable, "-m", "streamkit", "serve", "--upstream", upstream, *fixed, *options]


@contextmanager
def relays(names: Sequence[str], said: str = DEFAULT) -> Iterator[list[Relay]]:
    """The named relays, each running, in front of one upstream that says such events; a missing peer is left out and
    named.
    """
    with ExitStack() as stack:
        upstream = stack.enter_context(started([sys.executable, "-m", "benchmarks.relay_upstream", "--events", said]))
        url = upstream.url + ENDPOINT
        running = []
        for name in names:
            if name in PEERS and (missing := PEERS[name].missing):
                print(f"left out: {name}: {missing}")
                continue
            if name in PEERS:
                words = command(PEERS[name], url, said)
            else:
                words = our_command(url, *(["--trace"] if name == TRACED else []), said=said)
            process = stack.enter_context(started(words))
            passes = name in PEERS and not PEERS[name].extracts
            running.append(Relay(name, process, upstream, f"passed-{said}" if passes else "text"))
        yield running


Measured = dict[str, list[Run]]


def in_turns(running: Sequence[Relay], rounds: int, traffic: Callable[[Relay], Traffic]) -> Measured:
    """`rounds` loads through each relay, in turns; another one begins each round."""
    runs: Measured = {relay.name: [] for relay in running}
    each = {relay.name: traffic(relay) for relay in running}
    for turn in range(rounds):
        first = turn % len(running)
        for relay in [*running[first:], *running[:first]]:
            runs[relay.name].append(checked(relay.load(each[relay.name]), relay.name))
    return runs


def median(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    return statistics.median(map(figure, runs))


# -- saturated, paced ------------------------------------------------------------------------------------------------


def saturated(names: Sequence[str], rounds: int, busy_s: float, said: str) -> None:
    """Scenario A."""
    print(f"\n## saturated: {STREAMS} streams, as fast as they are taken; events: {said}\n")
    with relays(names, said) as running:
        runs = in_turns(running, rounds, lambda relay: _enough(relay, busy_s))
    _show(runs, SATURATED_GOALS)


def _enough(relay: Relay, busy_s: float) -> Traffic:
    """As many events as keep this relay busy for about `busy_s` seconds; a first, short load is where one guesses."""
    rate = relay.warm().per_second
    for part in (0.2, 1.0):
        events = min(MAX_EVENTS, max(200, round(part * busy_s * rate / STREAMS)))
        if part < 1:
            rate = checked(relay.load(Traffic(STREAMS, events)), relay.name).per_second
    return Traffic(STREAMS, events)


def paced(names: Sequence[str], rounds: int, seconds: float, said: str) -> None:
    """Scenario B."""
    print(f"\n## paced: {STREAMS} streams × 100 events/s, one event a read; events: {said}\n")
    traffic = Traffic(STREAMS, round(seconds * 100), gap_us=10_000)

    def warmed(relay: Relay) -> Traffic:
        relay.warm()
        return traffic

    with relays(names, said) as running:
        runs = in_turns(running, rounds, warmed)
    _show(runs, PACED_GOALS)


def _show(runs: Measured, goals: dict[str, Goal]) -> None:
    ours = median(runs[OURS], lambda run: run.per_event_us) if OURS in runs else None
    rows = [
        [
            *("relay", "CPU per event", "(least – most)", "peer / ours", "events/s", "achieved", "events per chunk"),
            *("CPU of relay", "of upstream", "of client", "goal"),
        ]
    ]
    for name, measured in runs.items():
        us = median(measured, lambda run: run.per_event_us)
        spread = [run.per_event_us for run in measured]
        paced_s = measured[0].traffic.least_s
        rows.append(
            [
                name,
                f"{us:.2f} µs",
                f"({min(spread):.2f} – {max(spread):.2f} µs)",
                f"{us / ours:.2f}" if ours else "–",
                f"{median(measured, lambda run: run.per_second):,.0f}",
                f"{median(measured, lambda run: run.traffic.least_s / run.load.duration_s):.0%}" if paced_s else "–",
                f"{median(measured, lambda run: run.events_per_chunk):.1f}",
                f"{median(measured, lambda run: run.share(run.relay_s)):.0f} %",
                f"{median(measured, lambda run: run.share(run.upstream_s)):.0f} %",
                f"{median(measured, lambda run: run.share(run.load.cpu_s)):.0f} %",
                goals[name].judged(us, ours) if ours and name in goals else "",
            ]
        )
    print(table(rows))


# -- slow ------------------------------------------------------------------------------------------------------------


def slow(names: Sequence[str], rounds: int, *, streams: int, ramp_s: float) -> None:
    """Scenario C. The streams last 4 s longer than their beginnings take, so that all are open at once."""
    events = 5 + math.ceil(ramp_s)
    print(f"\n## slow: {streams:,} streams × 1 event/s, {events} events each, begun over {ramp_s:g} s\n")
    traffic = Traffic(streams, events, gap_us=1_000_000, ramp_s=ramp_s, limit_s=ramp_s + 2 * events + 20)
    rows = [
        [
            *("relay", "complete, right", "memory per stream", "TTFT p50", "p95", "max", "CPU per event"),
            *("CPU of relay", "of upstream", "of client"),
            *("all complete", f"≤ {MAX_STREAM_BYTES / 1000:g} kB", f"p50 < {MAX_TTFT_MS:g} ms"),
        ]
    ]
    for _ in range(rounds):
        for name in names:  # one relay after the other: each is new, so that what an earlier load left is not its base
            with relays([name]) as running:
                for relay in running:
                    relay.warm()
                    rows.append(_slow_row(name, relay.load(traffic, weigh=True)))
    print(table(rows))


def _slow_row(name: str, run: Run) -> list[str]:
    seen = run.load
    # Only ours is asked to complete them all; but text that arrives complete is right, whoever relays it.
    assert seen.right == seen.complete, f"{name}: {seen.complete - seen.right} complete streams have another text"
    ttft_ms = seen.ttft_ms or [float("inf")] * 3
    weight = run.stream_bytes
    return [
        name,
        f"{seen.right:,} of {seen.streams:,}",
        "never all open" if weight is None else f"{weight / 1000:.1f} kB",
        *(f"{ms:.1f} ms" for ms in ttft_ms),
        f"{run.per_event_us:.0f} µs",
        f"{run.share(run.relay_s):.0f} %",
        f"{run.share(run.upstream_s):.0f} %",
        f"{run.share(seen.cpu_s):.0f} %",
        _met(seen.right == seen.streams),
        _met(weight is not None and weight <= MAX_STREAM_BYTES),
        _met(ttft_ms[0] < MAX_TTFT_MS),
    ]


# -- tracing ---------------------------------------------------------------------------------------------------------


def tracing(rounds: int, busy_s: float) -> None:
    """Scenario D."""
    print(f"\n## tracing: ours with and without --trace, {STREAMS} saturated streams\n")
    told = subprocess.run(
        [sys.executable, "-m", "streamkit", "serve", "--help"], capture_output=True, text=True, check=True
    ).stdout
    if "--trace" not in told:
        print("missing: `streamkit serve` has no option --trace")
        return
    with relays([OURS, TRACED]) as running:
        # Both get the same number of events: that of the untraced one.
        amounts = [_enough(relay, busy_s) for relay in running]
        runs = in_turns(running, rounds, lambda _: amounts[0])
    _show(runs, {})
    off, on = runs[OURS], runs[TRACED]
    fewer = 1 - median(on, lambda run: run.per_second) / median(off, lambda run: run.per_second)
    dearer = median(on, lambda run: run.per_event_us) / median(off, lambda run: run.per_event_us) - 1
    print(f"\nfewer events/s ≤ {MAX_TRACING_COST:.0%}: {fewer:.1%} {_met(fewer <= MAX_TRACING_COST)}")
    print(f"more CPU per event ≤ {MAX_TRACING_COST:.0%}: {dearer:.1%} {_met(dearer <= MAX_TRACING_COST)}")


def _met(met: bool) -> str:
    return "ok" if met else "MISSED"


# -- the command line ------------------------------------------------------------------------------------------------


def _names(given: str | None, *, default: Sequence[str]) -> list[str]:
    """The relays meant by a comma-separated list of (the beginnings of) names; ours is always among them."""
    if given is None:
        return list(default)
    known = [OURS, *PEERS]
    chosen = [OURS]
    for part in filter(None, (part.strip().lower() for part in given.split(","))):
        found = [name for name in known if part in name.lower()]
        if not found:
            raise SystemExit(f"no relay named {part!r}: there are {', '.join(known)}")
        chosen += [name for name in found if name not in chosen]
    return chosen


def main() -> int:
    """Measure what is asked for and print the tables."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.relay", description="The relay beside its peers")
    options.add_argument("--scenario", choices=("saturated", "paced", "slow", "tracing"), help="default: all of them")
    options.add_argument(
        "--events", choices=tuple(EVENTS), default=DEFAULT, help="of saturated and paced (default: %(default)s)"
    )
    options.add_argument("--rounds", type=int, help="loads per relay (default: 5; slow: 1; --quick: 1)")
    options.add_argument("--peers", metavar="NAMES", help=f"beside ours, parts of: {', '.join(PEERS)} (default: all)")
    options.add_argument("--all", action="store_true", help="all peers in the slow scenario too (default: ours alone)")
    options.add_argument("--ramp-s", type=float, default=10.0, help="over which slow streams begin (default: 10)")
    options.add_argument("--quick", action="store_true", help="one short round: a first look")
    given = options.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the relays inherit it
    every = [OURS, *PEERS]
    names = _names(given.peers, default=every)
    rounds = given.rounds or (1 if given.quick else 5)
    busy_s = 1.0 if given.quick else BUSY_S
    began = time.monotonic()
    print(f"CPython {sys.version.split()[0]}, rounds: {rounds} (slow: {given.rounds or 1}); CPU of the relay's process")
    scenarios: dict[str, Callable[[], None]] = {
        "saturated": lambda: saturated(names, rounds, busy_s, given.events),
        "paced": lambda: paced(names, rounds, 1.5 if given.quick else 4.0, given.events),
        "slow": lambda: slow(
            _names(given.peers, default=every if given.all else [OURS]),
            given.rounds or 1,
            streams=500 if given.quick else 5000,
            ramp_s=given.ramp_s / 10 if given.quick else given.ramp_s,
        ),
        "tracing": lambda: tracing(rounds, busy_s),
    }
    for name, measure in scenarios.items():
        if given.scenario in (None, name):
            measure()
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a stream costs to begin and to hold, beside peers: `python -m benchmarks.streams [--scenario …] [--peers …]`.

Load client, relays and upstream are those of `benchmarks.relay`; what is measured here is not the way of an event but
what stands around it.

Scenarios:
- start: short answers (`EVENTS` events, sent at once): `AT_ONCE` streams at once, again and again, and new ones at a
  steady rate (`--rate`). CPU of the relay's process for each stream, to the nanosecond (`/proc/PID/task/*/schedstat`),
  and the time to first piece as the client sees it. Each client opens a connection of its own, as browsers behind no
  proxy do. Relays take turns, round by round; medians over the rounds.
- hold: 5,000 streams of one event a second, `BEGUN_PER_S` new ones a second: the relay's PSS while all are open, less
  its PSS before, per stream (kernel buffers are not in it), and the time to first piece. Ours alone, unless `--peers`
  names others: each takes about a minute.
- many: 10,000 streams (`--streams`) of one event each two seconds, all of which have to end complete with the right
  text. Beside the memory: its RSS, and CPU for each event. Ours alone likewise.

A process needs two descriptors for each stream that it relays: where the limit is lower and may not be raised, it is as
many streams as it allows, and that is said, with how to set it. As `benchmarks.relay`, a goal that is missed is printed
as MISSED and changes nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.harness import table
from benchmarks.relay import OURS, Relay, Traffic, checked, relays
from benchmarks.relay_load import Load, drive
from benchmarks.relay_peers import PEERS
from benchmarks.relay_upstream import Question

__all__ = ["Start", "cpu_ns", "descriptors_missing", "peak_rss_bytes", "raised_limit", "start_once"]

EVENTS: Final = 3
AT_ONCE: Final = 50
LOADS: Final = 10
"""Of `AT_ONCE` streams, one after the other, in one measurement."""
WARM_UP_LOADS: Final = 6
HOLD_STREAMS: Final = 5_000
MANY_STREAMS: Final = 10_000
MANY_GAP_US: Final = 2_000_000
BEGUN_PER_S: Final = 250
"""Held streams: what a relay that shares two cores with upstream and client keeps up with."""
BEYOND_S: Final = 8.0
"""How much longer streams last than all of them take to begin, where nobody is late."""
AIOHTTP, NAIVE, BARE = "aiohttp + aiohttp", "Sanic + httpx (naive)", "bare uvloop"
DEFAULT_PEERS: Final[dict[str, tuple[str, ...]]] = {"start": (AIOHTTP, NAIVE, BARE), "hold": (), "many": ()}
MAX_START_US: Final = 400.0
MAX_STREAM_BYTES: Final = 16_000
DESCRIPTORS_BESIDE: Final = 200
"""That a relay has open beside its streams."""


def cpu_ns(pid: int) -> int:
    """CPU time that the living threads of a process have used, in nanoseconds (Linux)."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def peak_rss_bytes(pid: int) -> int:
    """The most memory of a process that was ever resident, shared pages included (proc_pid_status(5), Linux)."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None, "expected a line VmHWM: in status"
    return int(found[1]) * 1024


def descriptors_missing(streams: int, limit: int) -> str:
    """What to set so that a relay can hold `streams`; empty where the limit suffices."""
    needed = descriptors_of(streams)
    if needed <= limit:
        return ""
    return (
        f"{streams:,} streams need {needed:,} descriptors in the relay's process (two a stream), the limit is "
        f"{limit:,}: set `ulimit -n {needed}` (systemd: LimitNOFILE={needed}; docker: --ulimit nofile={needed})"
    )


def descriptors_of(streams: int) -> int:
    """As many as a relay of so many streams opens."""
    return 2 * streams + DESCRIPTORS_BESIDE


def raised_limit(needed: int) -> int:
    """The limit of descriptors, which relays inherit, raised as far as we may: root may beyond the hard one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, needed), max(hard, needed)))
        return max(hard, needed)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


# -- start ---------------------------------------------------------------------------------------------------------


@dataclass
class Start:
    """What one relay used for the streams that it began, and what their clients saw. A list has a round each."""

    cpu_us: list[float] = field(default_factory=list)
    ttft_p50_ms: list[float] = field(default_factory=list)
    ttft_p95_ms: list[float] = field(default_factory=list)

    def add(self, cpu_us: float, loads: Sequence[Load]) -> None:
        """One round: the median of its loads."""
        self.cpu_us.append(cpu_us)
        self.ttft_p50_ms.append(statistics.median(load.ttft_ms[0] for load in loads))
        self.ttft_p95_ms.append(statistics.median(load.ttft_ms[1] for load in loads))


def start_once(relay: Relay, streams: int, *, loads: int = 1, ramp_s: float = 0.0) -> tuple[float, list[Load]]:
    """CPU of the relay's process for each stream, in microseconds, and what the loads saw. All have to be right."""
    before_ns = cpu_ns(relay.process.pid)
    seen = []
    for _ in range(loads):
        with contextlib.redirect_stdout(io.StringIO()):  # it says when all are open
            load = drive(
                relay.process.url + ("" if relay.process.url.endswith("/ans") else ENDPOINT),
                Question(EVENTS),
                streams=streams,
                ramp_s=ramp_s,
                limit_s=60 + ramp_s,
                answer=relay.answer,
            )
        assert load.right == streams, f"{relay.name}: {load.right} of {streams} streams right; {load.errors}"
        seen.append(load)
    return (cpu_ns(relay.process.pid) - before_ns) / 1000 / (streams * loads), seen


ENDPOINT: Final = "/ans"


def start(names: Sequence[str], rounds: int, *, rate: int, seconds: float) -> None:
    """Scenario A."""
    at_once: dict[str, Start] = {name: Start() for name in names}
    steady: dict[str, Start] = {name: Start() for name in names}
    with relays(names) as running:
        for relay in running:
            start_once(relay, AT_ONCE, loads=WARM_UP_LOADS)
        for turn in range(rounds):
            first = turn % len(running)
            for relay in [*running[first:], *running[:first]]:
                at_once[relay.name].add(*start_once(relay, AT_ONCE, loads=LOADS))
                steady[relay.name].add(*start_once(relay, round(rate * seconds), ramp_s=seconds))
    print(f"\n## start: {AT_ONCE} streams of {EVENTS} events at once, {LOADS} times a round\n")
    _show_start(at_once)
    print(f"\n## start: {rate} new streams of {EVENTS} events a second, for {seconds:g} s a round\n")
    _show_start(steady)


def _show_start(measured: dict[str, Start]) -> None:
    ours = statistics.median(measured[OURS].cpu_us) if measured[OURS].cpu_us else None
    rows = [["relay", "CPU per stream", "(least - most)", "peer / ours", "TTFT p50", "p95", "goal"]]
    for name, seen in measured.items():
        if not seen.cpu_us:
            continue
        us = statistics.median(seen.cpu_us)
        rows.append(
            [
                name,
                f"{us:.0f} µs",
                f"({min(seen.cpu_us):.0f} - {max(seen.cpu_us):.0f} µs)",
                f"{us / ours:.2f}" if ours else "-",
                f"{statistics.median(seen.ttft_p50_ms):.1f} ms",
                f"{statistics.median(seen.ttft_p95_ms):.1f} ms",
                f"≤ {MAX_START_US:g} µs: {_met(us <= MAX_START_US)}" if name == OURS else "",
            ]
        )
    print(table(rows))


# -- hold, many ----------------------------------------------------------------------------------------------------


def held(names: Sequence[str], traffic: Traffic) -> None:
    """Scenarios B and C: each relay is new, so that what an earlier load left is not its base."""
    rows = [
        [
            *("relay", "complete, right", "memory per stream", "peak RSS", "TTFT p50", "p95", "max", "CPU per event"),
            *("CPU of relay", "of upstream", "of client", f"≤ {MAX_STREAM_BYTES / 1000:g} kB"),
        ]
    ]
    for name in names:
        with relays([name]) as running:
            for relay in running:
                relay.warm()
                rows.append(_held_row(relay, traffic))
    print(table(rows))


def _held_row(relay: Relay, traffic: Traffic) -> list[str]:
    run = relay.load(traffic, weigh=True)
    if relay.name == OURS:
        checked(run, relay.name)
    seen, weight = run.load, run.stream_bytes
    assert seen.right == seen.complete, f"{relay.name}: {seen.complete - seen.right} complete streams have another text"
    return [
        relay.name,
        f"{seen.right:,} of {seen.streams:,}",
        "never all open" if weight is None else f"{weight / 1000:.1f} kB",
        f"{peak_rss_bytes(relay.process.pid) / 1e6:.0f} MB",
        *(f"{ms:.1f} ms" for ms in seen.ttft_ms or [math.inf] * 3),
        f"{run.per_event_us:.0f} µs",
        f"{run.share(run.relay_s):.0f} %",
        f"{run.share(run.upstream_s):.0f} %",
        f"{run.share(seen.cpu_s):.0f} %",
        _met(weight is not None and weight <= MAX_STREAM_BYTES) if relay.name == OURS else "",
    ]


def hold(names: Sequence[str], streams: int) -> None:
    """Scenario B."""
    _hold("hold", names, streams, gap_us=1_000_000)


def many(names: Sequence[str], streams: int) -> None:
    """Scenario C, likewise."""
    _hold("many", names, streams, gap_us=MANY_GAP_US)


def _hold(scenario: str, names: Sequence[str], wanted: int, *, gap_us: int) -> None:
    """The streams last longer than their beginnings take, so that all are open at once."""
    limit = raised_limit(descriptors_of(wanted))
    streams = min(wanted, (limit - DESCRIPTORS_BESIDE) // 2)
    ramp_s = streams / BEGUN_PER_S
    events = 1 + math.ceil((ramp_s + BEYOND_S) * 1e6 / gap_us)
    each = f"1 event each {gap_us / 1e6:g} s, {events} events each"
    print(f"\n## {scenario}: {streams:,} streams × {each}, begun over {ramp_s:g} s\n")
    if streams < wanted:
        print(f"fewer: {descriptors_missing(wanted, limit)}\n")
    limit_s = ramp_s + 2 * events * gap_us / 1e6 + 20
    held(names, Traffic(streams, events, gap_us=gap_us, ramp_s=ramp_s, limit_s=limit_s))


def _met(met: bool) -> str:
    return "ok" if met else "MISSED"


# -- the command line ------------------------------------------------------------------------------------------------


def _names(given: str | None, scenario: str) -> list[str]:
    """Ours, and the peers meant by a comma-separated list of parts of their names."""
    if given is None:
        return [OURS, *DEFAULT_PEERS[scenario]]
    parts = [part.strip().lower() for part in given.split(",") if part.strip()]
    return [OURS, *(name for name in PEERS if any(part in name.lower() for part in parts))]


def main() -> int:
    """Measure what is asked for and print the tables."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.streams", description="What a stream costs")
    options.add_argument("--scenario", choices=("start", "hold", "many"), help="default: all of them")
    options.add_argument("--rounds", type=int, default=5, help="of start (default: 5)")
    options.add_argument("--rate", type=int, default=500, help="of start: new streams a second (default: 500)")
    options.add_argument("--streams", type=int, help=f"held ones (default: {HOLD_STREAMS:,}, many: {MANY_STREAMS:,})")
    options.add_argument("--peers", metavar="NAMES", help=f"parts of: {', '.join(PEERS)} ('': ours alone)")
    given = options.parse_args()
    began = time.monotonic()
    print(f"CPython {sys.version.split()[0]}; CPU and memory of the relay's process")
    scenarios: dict[str, Callable[[list[str]], None]] = {
        "start": lambda names: start(names, given.rounds, rate=given.rate, seconds=2.0),
        "hold": lambda names: hold(names, given.streams or HOLD_STREAMS),
        "many": lambda names: many(names, given.streams or MANY_STREAMS),
    }
    for name, measure in scenarios.items():
        if given.scenario in (None, name):
            measure(_names(given.peers, name))
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What recording costs: `python -m benchmarks.recorder [--scenario …] [--rounds N] [--before FOLDER] [--quick]`.

Each client is a process of its own and takes all streams of a scenario at once; the server is another. Beside
`record()` stand aiohttp's bare loop with orjson, and a bare recvmsg loop that finds no event at all: the floor.
Clients take turns, round by round; the tables show medians of **CPU time** of the client's process, and ratios to ours.
`--before` adds a row for another checkout of streamkit.

Scenarios:
- paced: 50 streams × 100 events/s, each event a write.
- many: 1,000 streams × 5 events/s; connecting, which is in it, counts as much as the events.
- start: 1,000 calls at once, and one event: CPU of a call until its request has left, CPU of all of it, and after how
  long the last request had left (which the server's share of the machine bounds too).
- large: one stream of 1 GB without its text (`keep_text=False`), alike and padded (see `recorder_upstream`): bytes per
  second of CPU, and the most memory the process had.

A goal that is missed is printed as MISSED and changes nothing else; a wrong number of characters ends the run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

from benchmarks.golden import Plan
from benchmarks.harness import ROOT, table

__all__: list[str] = []

OURS, BEFORE, AIOHTTP, BARE = "streamkit", "streamkit, before", "aiohttp", "recvmsg"
SCENARIOS: Final = ("paced", "many", "start", "large", "padded")
MAX_OF_AIOHTTP: Final = 0.8
MAX_OF_BARE: Final = 1.8
MAX_LAST_SENT_S: Final = 0.2
MAX_LARGE_BYTES: Final = 100e6
LIMIT_S: Final = 300.0


def plan_of(scenario: str, seconds: float) -> Plan:
    """What the golden server sends."""
    if scenario == "paced":
        return Plan(streams=50, events=round(100 * seconds), interval_ns=10_000_000, limit_s=LIMIT_S)
    if scenario == "many":
        return Plan(streams=1000, events=round(5 * seconds), interval_ns=200_000_000, limit_s=LIMIT_S)
    return Plan(streams=1000, events=1, interval_ns=1_000_000, first_ns=8_000_000_000, limit_s=LIMIT_S)


@contextmanager
def server(scenario: str, seconds: float, size: int) -> Iterator[tuple[str, Plan | None]]:
    """Its URL, and its plan if it has one."""
    plan = None if scenario in ("large", "padded") else plan_of(scenario, seconds)
    if plan is None:
        command = ["benchmarks.recorder_upstream", str(size), "padded" if scenario == "padded" else "alike"]
    else:
        command = ["benchmarks.golden", json.dumps(asdict(plan))]
    process = subprocess.Popen(  # noqa: S603  # our own modules
        [sys.executable, "-m", *command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1/chat/completions", plan
    finally:
        process.kill()
        process.communicate()


def run_once(name: str, scenario: str, seconds: float, size: int, before: str | None) -> dict[str, Any]:
    """What one client used."""
    with server(scenario, seconds, size) as (url, plan):
        job = {"url": url, "streams": plan.streams if plan else 1, "keep": plan is not None}
        job["first_s"] = plan.first_ns / 1e9 if plan else 0
        folder = str(before) if name == BEFORE else str(ROOT)
        client = [sys.executable, str(ROOT / "benchmarks" / "recorder_clients.py"), name.split(",")[0], json.dumps(job)]
        environment = os.environ | {"PYTHONPATH": folder}
        done = subprocess.run(client, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)  # noqa: S603  # our own script
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-2000:].strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(
    scenario: str, clients: list[str], rounds: int, seconds: float, size: int, before: str | None
) -> dict[str, dict[str, float]]:
    """Medians by client."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in clients}
    for turn in range(rounds):
        first = turn % len(clients)
        for name in (*clients[first:], *clients[:first]):
            found[name].append(run_once(name, scenario, seconds, size, before))
    counts = {name: {one["characters"] for one in several} for name, several in found.items()}
    assert len(set().union(*counts.values())) == 1, counts
    return {
        name: {what: statistics.median(one[what] for one in several) for what in several[0]}
        for name, several in found.items()
    }


def _met(met: bool) -> str:
    return "ok" if met else "MISSED"


def report(scenario: str, found: dict[str, dict[str, float]], events: int, size: int) -> str:
    """The table, and the goals."""
    ours = found[OURS]
    if scenario in ("large", "padded"):
        rows = [["client", "MB per s of CPU", "most memory, MB", "of that the run's", "CPU / ours"]]
        for name, one in found.items():
            speed, most, grown = (size / one["cpu_s"], one["peak_bytes"], one["grown_bytes"])
            numbers = [f"{number / 1e6:.0f}" for number in (speed, most, grown)]
            rows.append([name, *numbers, f"{one['cpu_s'] / ours['cpu_s']:.2f}"])
        speed, most = found[AIOHTTP]["cpu_s"] / ours["cpu_s"], ours["peak_bytes"]
        goals = [
            f"as fast as aiohttp with orjson: {speed:.2f} × {_met(speed >= 1)}",
            f"most memory under {MAX_LARGE_BYTES / 1e6:.0f} MB: {most / 1e6:.0f} MB {_met(most < MAX_LARGE_BYTES)}",
        ]
        return "\n".join([f"{scenario}: one stream of {size / 1e6:,.0f} MB", table(rows), *goals, ""])
    rows = [["client", "CPU µs/event", "CPU µs/call until sent", "CPU µs/call", "last sent, ms", "CPU / ours"]]
    calls = plan_of(scenario, 1).streams
    for name, one in found.items():
        until = f"{one['sent_cpu_s'] / calls * 1e6:.0f}" if scenario == "start" else "–"
        per_event, per_call = f"{one['cpu_s'] / events * 1e6:.1f}", f"{one['cpu_s'] / calls * 1e6:.0f}"
        ratio = f"{one['cpu_s'] / ours['cpu_s']:.2f}"
        rows.append([name, per_event, until, per_call, f"{one['last_sent_s'] * 1e3:.0f}", ratio])
    if scenario == "start":
        last_s = ours["last_sent_s"]
        goals = [f"the last request left within {MAX_LAST_SENT_S} s: {last_s:.3f} s {_met(last_s <= MAX_LAST_SENT_S)}"]
    else:
        of_aiohttp, of_bare = (ours["cpu_s"] / found[name]["cpu_s"] for name in (AIOHTTP, BARE))
        goals = [
            f"ours / aiohttp ≤ {MAX_OF_AIOHTTP}: {of_aiohttp:.2f} {_met(of_aiohttp <= MAX_OF_AIOHTTP)}",
            f"ours / recvmsg ≤ {MAX_OF_BARE}: {of_bare:.2f} {_met(of_bare <= MAX_OF_BARE)}",
        ]
    return "\n".join([f"{scenario}: {calls:,} streams, {events:,} events", table(rows), *goals, ""])


def main() -> None:
    """One table a scenario."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorder", description="What recording costs.")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="may be repeated (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=6.0, help="that paced streams last (default: %(default)s)")
    parser.add_argument("--size-mb", type=int, default=1000, help="of a large stream (default: %(default)s)")
    parser.add_argument("--before", help="the folder of another checkout of streamkit, as one more row")
    parser.add_argument("--quick", action="store_true", help="one short round: a look, no measurement")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.size_mb = 1, 2.0, 100
    for scenario in arguments.scenario or SCENARIOS:
        size = arguments.size_mb * 1_000_000
        clients = [OURS, *([BEFORE] if arguments.before else []), AIOHTTP]
        clients += [BARE] if scenario not in ("large", "padded") else []
        found = measure(scenario, clients, arguments.rounds, arguments.seconds, size, arguments.before)
        plan = plan_of(scenario, arguments.seconds)
        print(report(scenario, found, plan.streams * plan.events, size), flush=True)


if __name__ == "__main__":
    main()

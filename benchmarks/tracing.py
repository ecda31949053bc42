"""What it costs to trace streams that are paced: `python -m benchmarks.tracing [--quick]`.

Ours in front of the scripted upstream: untraced, with `--trace`, and with `--trace --gauge-ms 20`, which looks at each
stream's queues as often. 50 streams × 100 events/s, one event a read; the CPU time of the relay's process per event
(see `benchmarks.relay`, whose scenario "tracing" is the same of streams that are saturated).
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from typing import Final

from benchmarks.harness import started, table
from benchmarks.relay import OURS, Traffic, our_command
from benchmarks.tls import ENDPOINT, STREAMS, WARM_UP, Relay, in_turns

OPTIONS: Final = {
    OURS: (),
    "streamkit --trace": ("--trace",),
    "streamkit --trace --gauge-ms 20": ("--trace", "--gauge-ms", "20"),
}
GOAL: Final = 0.10


def main() -> int:
    """Measure and print the table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.tracing", description="What tracing costs, paced")
    options.add_argument("--rounds", type=int, help="loads each (default: 5; --quick: 1)")
    options.add_argument("--quick", action="store_true", help="one short round: a first look")
    given = options.parse_args()
    traffic = Traffic(STREAMS, 150 if given.quick else 400, gap_us=10_000)
    with ExitStack() as stack:
        upstream = stack.enter_context(started([sys.executable, "-m", "benchmarks.relay_upstream"]))
        running = []
        for name, words in OPTIONS.items():
            process = stack.enter_context(started(our_command(upstream.url + ENDPOINT, *words)))
            running.append(Relay(name, process, upstream))
            running[-1].load(WARM_UP)
        runs = in_turns(running, given.rounds or (1 if given.quick else 5), dict.fromkeys(OPTIONS, traffic))
    rows = [["relay", "CPU per event", "(least – most)", "dearer", "goal"]]
    untraced = statistics.median(run.per_event_us for run in runs[OURS])
    for name, measured in runs.items():
        each = [run.per_event_us for run in measured]
        dearer = statistics.median(each) / untraced - 1
        goal = "" if name == OURS else f"≤ {GOAL:.0%}: {'ok' if dearer <= GOAL else 'MISSED'}"
        spread = f"({min(each):.2f} – {max(each):.2f} µs)"
        rows.append([name, f"{statistics.median(each):.2f} µs", spread, f"{dearer:.1%}", goal])
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())

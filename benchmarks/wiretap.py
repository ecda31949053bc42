"""What it costs to see what passes: `python -m benchmarks.wiretap [--quick]`.

Between a plain client and the scripted upstream: a link, which carries the same bytes and looks at none of them; a tap;
and a tap that keeps no texts. Two ways: 50 streams × 100 events/s, one event a read, and streams that are saturated.
The CPU time of the process between them per event, and of saturated streams how many events a second pass; rounds are
interleaved, and only ratios within one run mean anything.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import statistics
import sys
import time
from contextlib import ExitStack
from typing import Final
from urllib.parse import urlsplit

from benchmarks.harness import Started, cpu_s, started, table
from benchmarks.relay_upstream import Question

ENDPOINT: Final = "/v1/chat/completions"
END: Final = b"0\r\n\r\n"
LIMIT_S: Final = 120.0
WAYS: Final = ("link", "tap", "tap, no texts")
PACED_US: Final = 10_000


def main() -> int:
    """Measure and print the tables, or be what is measured."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.wiretap", description="What it costs to look")
    options.add_argument("--rounds", type=int, help="loads each (default: 5; --quick: 1)")
    options.add_argument("--quick", action="store_true", help="one short round: a first look")
    options.add_argument("--carry", nargs=2, metavar=("WAY", "URL"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.carry:
        carry(*given.carry)
        return 0
    rounds = given.rounds or (1 if given.quick else 5)
    short = 4 if given.quick else 1
    with ExitStack() as stack:
        upstream = stack.enter_context(started([sys.executable, "-m", "benchmarks.relay_upstream"]))
        running = {way: stack.enter_context(started(command(way, upstream.url))) for way in WAYS}
        for process in running.values():
            load(process, 2, 100, 0)
        print(f"## paced: 50 streams × {400 // short} events, 100 events/s\n")
        show(measure(running, rounds, 50, 400 // short, PACED_US), saturated=False)
        print(f"\n## saturated: 4 streams × {40_000 // short:,} events\n")
        show(measure(running, rounds, 4, 40_000 // short, 0), saturated=True)
    return 0


def command(way: str, url: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.wiretap", "--carry", way, url]


def carry(way: str, url: str) -> None:
    """Stand between, until killed."""
    from streamkit.lab.net import Link
    from streamkit.lab.wiretap.wiretap import Wiretap

    between = Link(url) if way == "link" else Wiretap(url, keep_text=way == "tap", max_streams=200)
    print(f"ready {between.url}", flush=True)
    while True:
        time.sleep(1)


def load(between: Started, streams: int, events: int, gap_us: int) -> float:
    """So many streams at once, each whole; seconds."""
    body = str(Question(events, gap_us)).encode()
    asked = b"POST %b HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%b" % (ENDPOINT.encode(), len(body), body)
    parts = urlsplit(between.url)
    begin = time.monotonic()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(streams):
            connection = stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 80)))
            connection.sendall(asked)
            selector.register(connection, selectors.EVENT_READ, bytearray())
        while selector.get_map():
            assert time.monotonic() - begin < LIMIT_S, "it took too long"
            for key, _ in selector.select(1.0):
                last: bytearray = key.data
                data = key.fileobj.recv(262_144)  # type: ignore[union-attr]  # they are sockets
                assert data, "a stream was cut"
                last[:] = (last + data)[-len(END) :]
                if last == END:
                    selector.unregister(key.fileobj)
    return time.monotonic() - begin


def measure(
    running: dict[str, Started], rounds: int, streams: int, events: int, gap_us: int
) -> dict[str, list[tuple[float, float]]]:
    """Of each way, by round: CPU µs an event, and events a second."""
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in running}
    ways = list(running)
    for turn in range(rounds):
        first = turn % len(ways)
        for way in ways[first:] + ways[:first]:
            before = cpu_s(running[way].pid)
            took_s = load(running[way], streams, events, gap_us)
            cpu_us = (cpu_s(running[way].pid) - before) * 1e6
            found[way].append((cpu_us / (streams * events), streams * events / took_s))
    return found


def show(found: dict[str, list[tuple[float, float]]], *, saturated: bool) -> None:
    """The medians, and how they compare to those of the link."""
    medians = {way: tuple(map(statistics.median, zip(*runs, strict=True))) for way, runs in found.items()}
    rows = [["between", "CPU per event", "of a link's", *(["events/s"] if saturated else [])]]
    for way, (cpu_us, rate) in medians.items():
        ratio = f"{cpu_us / medians['link'][0]:.1f} ×"
        rows.append([way, f"{cpu_us:.1f} µs", ratio, *([f"{rate:,.0f}"] if saturated else [])])
    print(table(rows))


if __name__ == "__main__":
    sys.exit(main())

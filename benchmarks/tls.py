"""The relay in front of an upstream that speaks TLS, beside its peers: `python -m benchmarks.tls [--quick]`.

    load client  --POST /ans-->  relay under test  --POST, TLS-->  scripted upstream
     (process)   <-text/plain--      (process)     <---SSE, TLS---      (process)

What is measured, how, and by which client, is said in `benchmarks.relay`: the CPU time of the relay's process per
event. Here the upstream's certificate is one of a CA made for the run, which all relays are told to trust. Events are
one TLS record each where they are paced, records of 16 KiB where they are saturated.

`plain` is ours in front of the same upstream without TLS: how much of the rest is TLS.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

from benchmarks.harness import Started, started, table
from benchmarks.relay import OURS, Run, Traffic, load, our_command
from benchmarks.relay_peers import PEERS, command

__all__ = ["certificates", "upstreams"]

PLAIN: Final = "streamkit, plain"
BESIDE: Final = ("aiohttp + aiohttp", "Sanic + httpx (naive)", "bare uvloop")
ENDPOINT: Final = "/v1/chat/completions"
STREAMS: Final = 50
WARM_UP: Final = Traffic(STREAMS, 400)
BUSY_S: Final = 3.0
GOAL_BESIDE: Final = "aiohttp + aiohttp"
MOST_OF_AIOHTTP: Final = 0.9


@contextmanager
def certificates() -> Iterator[tuple[str, str]]:
    """A CA's file, and that of a server's key and chain for 127.0.0.1; gone behind the block."""
    with tempfile.TemporaryDirectory(prefix="streamkit-tls-") as folder:
        ca = trustme.CA()
        ca_file, server_file = Path(folder, "ca.pem"), Path(folder, "server.pem")
        ca.cert_pem.write_to_path(ca_file)
        ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(server_file)
        yield str(ca_file), str(server_file)


@dataclass(frozen=True)
class Relay:
    """A relay under test, and whom it asks."""

    name: str
    process: Started
    upstream: Started

    def load(self, traffic: Traffic) -> Run:
        """One load, complete and right."""
        run = load(self.process, self.upstream, traffic)
        seen = run.load
        assert seen.right == seen.streams, f"{self.name}: {seen.right} of {seen.streams} streams right; {seen.errors}"
        return run


@contextmanager
def upstreams(server_file: str) -> Iterator[tuple[Started, Started]]:
    """One with TLS, one without."""
    with (
        started([sys.executable, "-m", "benchmarks.tls_upstream", server_file]) as secure,
        started([sys.executable, "-m", "benchmarks.relay_upstream"]) as plain,
    ):
        yield secure, plain


@contextmanager
def relays(names: Sequence[str], warm_up: Traffic = WARM_UP) -> Iterator[list[Relay]]:
    """The named relays, each running and warm; a missing peer is left out and named."""
    with ExitStack() as stack:
        ca_file, server_file = stack.enter_context(certificates())
        os.environ["SSL_CERT_FILE"] = ca_file  # the peers' way to be told
        secure, plain = stack.enter_context(upstreams(server_file))
        running = []
        for name in names:
            if name in PEERS and (missing := PEERS[name].missing):
                print(f"left out: {name}: {missing}")
                continue
            upstream = plain if name == PLAIN else secure
            url = upstream.url + ENDPOINT
            words = command(PEERS[name], url) if name in PEERS else our_command(url, "--cacert", ca_file)
            relay = Relay(name, stack.enter_context(started(words)), upstream)
            relay.load(warm_up)
            running.append(relay)
        yield running


def in_turns(running: Sequence[Relay], rounds: int, traffic: dict[str, Traffic]) -> dict[str, list[Run]]:
    """`rounds` loads through each, in turns; another one begins each round."""
    runs: dict[str, list[Run]] = {relay.name: [] for relay in running}
    for turn in range(rounds):
        first = turn % len(running)
        for relay in [*running[first:], *running[:first]]:
            runs[relay.name].append(relay.load(traffic[relay.name]))
    return runs


def paced(running: Sequence[Relay], rounds: int, seconds: float) -> None:
    """One event a read."""
    print(f"\n## paced: {STREAMS} streams × 100 events/s, a TLS record an event\n")
    traffic = Traffic(STREAMS, round(seconds * 100), gap_us=10_000)
    show(in_turns(running, rounds, {relay.name: traffic for relay in running}))


def saturated(running: Sequence[Relay], rounds: int, busy_s: float) -> None:
    """As fast as they are taken; each relay gets as many as keep it busy for about `busy_s`."""
    print(f"\n## saturated: {STREAMS} streams, as fast as they are taken, records of 16 KiB\n")
    show(in_turns(running, rounds, {relay.name: _enough(relay, busy_s) for relay in running}))


def _enough(relay: Relay, busy_s: float) -> Traffic:
    rate = relay.load(WARM_UP).per_second
    rate = relay.load(Traffic(STREAMS, max(200, round(0.2 * busy_s * rate / STREAMS)))).per_second
    return Traffic(STREAMS, max(200, round(busy_s * rate / STREAMS)))


def show(runs: dict[str, list[Run]]) -> None:
    """Medians, and ratios to ours."""
    ours = _median(runs[OURS], lambda run: run.per_event_us)
    rows = [["relay", "CPU per event", "(least – most)", "ours / peer", "events/s", "events per chunk", "goal"]]
    for name, measured in runs.items():
        us = _median(measured, lambda run: run.per_event_us)
        spread = [run.per_event_us for run in measured]
        met = "ok" if ours / us <= MOST_OF_AIOHTTP else "MISSED"
        rows.append(
            [
                name,
                f"{us:.2f} µs",
                f"({min(spread):.2f} – {max(spread):.2f} µs)",
                f"{ours / us:.2f}",
                f"{_median(measured, lambda run: run.per_second):,.0f}",
                f"{_median(measured, lambda run: run.events_per_chunk):.1f}",
                f"≤ {MOST_OF_AIOHTTP:g}: {met}" if name == GOAL_BESIDE else "",
            ]
        )
    print(table(rows))


def _median(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    return statistics.median(map(figure, runs))


def main() -> int:
    """Measure what is asked for and print the tables."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.tls", description="The relay before a TLS upstream")
    options.add_argument("--scenario", choices=("paced", "saturated"), help="default: both")
    options.add_argument("--rounds", type=int, help="loads per relay (default: 5; --quick: 1)")
    options.add_argument("--peers", metavar="NAMES", help=f"parts of: {', '.join(BESIDE)} (default: all)")
    options.add_argument("--quick", action="store_true", help="one short round: a first look")
    given = options.parse_args()
    parts = None if given.peers is None else [part.strip().lower() for part in given.peers.split(",") if part.strip()]
    beside = [name for name in BESIDE if parts is None or any(part in name.lower() for part in parts)]
    rounds = given.rounds or (1 if given.quick else 5)
    began = time.monotonic()
    print(f"CPython {sys.version.split()[0]}, rounds: {rounds}; CPU of the relay's process")
    with relays([OURS, *beside, PLAIN]) as running:
        if given.scenario in (None, "paced"):
            paced(running, rounds, 1.5 if given.quick else 4.0)
        if given.scenario in (None, "saturated"):
            saturated(running, rounds, 1.0 if given.quick else BUSY_S)
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

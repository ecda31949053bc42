"""A client slower than the server: `python -m benchmarks.backpressure [--scenario …] [--quick]`.

    client  --POST /ans-->  relay under test  --POST-->  scripted upstream        (a process each)
            <-- slowly --                     <-- held --

Scenarios; `loopback-tcp` and `small-buffers` are the networks of `streamkit.lab.net.buffers`:
- absorbed: how many bytes a writer hands over to a connection that nobody reads before it is held, ten runs each.
- slow: a reader of 10 kB/s for ten seconds, while 200 MB are on offer. How far the resident memory of the relay's
  process rises above what it was before (after a stream that warms it up), looked at 20 times a second, and how many
  pieces the upstream could send. Beside ours a naive relay, on TCP: it awaits its `send()`, so it is held as well.
- stalled: the gaps of 200 readers of 10 events/s each, beside nobody, and beside a reader that takes nothing of an
  endless answer. Both in turns (A B A B), the healthy streams shifted against each other, their client in a process
  of its own. Load begins when the stalled stream has come to rest, so what is measured is not its beginning.
- policies: one slow reader that also stops for a while, under each policy, in small-buffers.

A goal that is missed is printed as MISSED and changes nothing else; wrong work ends the run with an assertion.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from benchmarks.harness import cpu_s, started, table
from benchmarks.relay_peers import PEERS, command
from benchmarks.relay_upstream import Question, text_of
from streamkit.lab.client.pace import Reader
from streamkit.lab.client.record import record
from streamkit.lab.findings import PolicyFacts, policy_facts
from streamkit.lab.lab import Lab
from streamkit.lab.metrics.percentile import percentiles_ns
from streamkit.lab.net.buffers import NETWORKS, absorbed_bytes
from streamkit.lab.upstream import Script, create_upstream
from streamkit.serving.server import Server, serve
from streamkit.sockets import unix_path

__all__ = ["FULL", "QUICK", "Absorption", "Gaps", "Sizes", "Starved", "absorb", "beside_stalled", "policies", "starve"]

OURS: Final = "streamkit"
NAIVE: Final = "Sanic + httpx (naive)"
ENDPOINT: Final = "/v1/chat/completions"
TCP, SMALL = NETWORKS
MB: Final = 1_000_000
WAIT_S: Final = 20.0
MAX_GROWTH_BYTES: Final = {TCP: 10 * MB, SMALL: MB}


@dataclass(frozen=True)
class Sizes:
    """How much of everything. `policy_pieces` come `policy_gap_ms` apart to a reader of `policy_bytes_per_s`."""

    absorb_runs: int = 10
    slow_s: float = 10.0
    readers: int = 200
    events: int = 50
    gap_us: int = 100_000
    rounds: int = 3
    policy_pieces: int = 300
    policy_gap_ms: float = 5.0
    policy_bytes_per_s: float = 8000.0
    policy_pause_s: float = 2.0
    policies_at_once: bool = False  # what came of them is the same; a quick run has no time for one after the other


FULL: Final = Sizes()
QUICK: Final = Sizes(
    absorb_runs=3,
    slow_s=0.6,
    readers=20,
    events=8,
    gap_us=50_000,
    rounds=1,
    policy_pieces=150,
    policy_gap_ms=2.0,
    policy_bytes_per_s=20_000.0,
    policy_pause_s=1.5,
    policies_at_once=True,
)


# -- absorbed --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Absorption:
    """What connections of one network took of writes of one size, run by run."""

    network: str
    write_bytes: int
    totals: list[int]


def absorb(sizes: Sizes) -> list[Absorption]:
    """Both networks, small writes and larger ones."""
    return [
        Absorption(
            name, write_bytes, [absorbed_bytes(name, write_bytes=write_bytes).total for _ in range(sizes.absorb_runs)]
        )
        for name in NETWORKS
        for write_bytes in (100, 1024)
    ]


def show_absorbed(sizes: Sizes) -> None:
    """The first scenario."""
    print(f"\n## absorbed: bytes taken before the writer is held, {sizes.absorb_runs} runs\n")
    rows = [["network", "bytes a write", "least", "median", "most", "all equal"]]
    for one in absorb(sizes):
        least, middle, most = min(one.totals), statistics.median(one.totals), max(one.totals)
        equal = _met(least == most) if one.network == SMALL else ("yes" if least == most else "no")
        rows.append([one.network, str(one.write_bytes), f"{least:,}", f"{middle:,.0f}", f"{most:,}", equal])
    print(table(rows))


# -- slow ------------------------------------------------------------------------------------------------------------

PIECE_BYTES: Final = 10_000
PIECES: Final = 20_000
RATE_BYTES_PER_S: Final = 10_000
OFFER: Final = Script(["x" * (PIECE_BYTES - 1) + "\n"] * PIECES, first_piece_ms=0, gap_ms=0, preset="openai")


@dataclass(frozen=True)
class Starved:
    """What became of a relay whose client reads next to nothing of 200 MB."""

    relay: str
    network: str
    growth_bytes: int  # of its resident memory: the most, less what it was before
    since_start_bytes: int  # the same, less what it was when it had started, before it was warm
    sent: int  # pieces that the upstream sent
    read_bytes: int  # by the client


def starve(sizes: Sizes) -> Iterator[Starved]:
    """Ours on both networks, and the naive relay on TCP."""
    for network in NETWORKS:
        with Lab(OFFER, network=network, roles="processes", gauge_ms=0, trace=False) as lab:
            assert lab.relay is not None
            assert lab.upstream is not None
            yield _starve(OURS, network, f"{lab.relay.url}/ans", _pid(lab.relay), lab.upstream, sizes.slow_s)
    if missing := PEERS[NAIVE].missing:
        print(f"left out: {NAIVE}: {missing}")
        return
    with (
        serve(partial(create_upstream, OFFER), process=True) as upstream,
        started(command(PEERS[NAIVE], upstream.url + ENDPOINT)) as relay,
    ):
        yield _starve(NAIVE, TCP, relay.url, relay.pid, upstream, sizes.slow_s)


def _starve(name: str, network: str, url: str, pid: int, upstream: Server, seconds: float) -> Starved:
    fresh = resident_bytes(pid)
    with closing(_ask(url, "hi")) as warm_up:
        warm_up.recv(64)
        time.sleep(0.5)
    before = most = resident_bytes(pid)
    with closing(_ask(url, "hi")) as client:
        read, began = 0, time.monotonic()
        while (passed_s := time.monotonic() - began) < seconds:
            if due := int(passed_s * RATE_BYTES_PER_S) - read:
                read += len(client.recv(due))
            time.sleep(0.05)
            most = max(most, resident_bytes(pid))
        sent = asyncio.run(_pieces_sent(upstream))
    return Starved(name, network, most - before, most - fresh, sent, read)


async def _pieces_sent(upstream: Server) -> int:
    told = await record(f"{upstream.url}/sent", method="GET", total_s=WAIT_S)
    return len(json.loads(told.body or b"[]")[-1]["sent_ns"])


def show_slow(sizes: Sizes) -> None:
    """The second scenario."""
    offered = f"{PIECES * PIECE_BYTES / MB:g} MB on offer"
    print(f"\n## slow: {RATE_BYTES_PER_S / 1000:g} kB/s for {sizes.slow_s:g} s, {offered}\n")
    rows = [
        [
            *("relay", "network", "memory grew by", "since its start"),
            *(f"pieces sent of {PIECES:,}", "client read", "between them", "goal"),
        ]
    ]
    for one in starve(sizes):
        most = MAX_GROWTH_BYTES[one.network]
        goal = f"< {most / MB:g} MB: {_met(one.growth_bytes < most)}" if one.relay == OURS else ""
        between = one.sent * PIECE_BYTES - one.read_bytes
        memory = [f"{size / MB:.2f} MB" for size in (one.growth_bytes, one.since_start_bytes)]
        rows.append(
            [
                one.relay,
                one.network,
                *memory,
                f"{one.sent:,}",
                f"{one.read_bytes / 1000:.0f} kB",
                f"{between / MB:.2f} MB",
                goal,
            ]
        )
    print(table(rows))


# -- stalled ---------------------------------------------------------------------------------------------------------

ENDLESS: Final = Question(50_000_000)
STILL_S: Final = 0.5


@dataclass(frozen=True)
class Gaps:
    """The gaps' p99 of the healthy readers of one network in ms, round by round."""

    network: str
    alone_ms: list[float]
    beside_ms: list[float]

    @property
    def ratio(self) -> float:
        """Of the medians: beside a stalled reader over alone."""
        return statistics.median(self.beside_ms) / statistics.median(self.alone_ms)


def beside_stalled(network: str, sizes: Sizes) -> Gaps:
    """The healthy readers alone and beside a stalled one, in turns."""
    gaps = Gaps(network, [], [])
    apart = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    with (
        apart,
        started([sys.executable, "-m", "benchmarks.relay_upstream"]) as upstream,
        Lab(
            upstream=upstream.url + ENDPOINT,
            preset="openai",
            model="some-model",
            network=network,
            roles="processes",
            trace=False,
            write_stall_s=600,  # longer than the measurement: the stalled reader is not cut
        ) as lab,
    ):
        assert lab.relay is not None
        url = f"{lab.relay.url}/ans"
        apart.submit(healthy_gaps_ns, url, sizes.readers, min(10, sizes.events), sizes.gap_us).result()  # warm

        def p99_ms() -> float:
            found = apart.submit(healthy_gaps_ns, url, sizes.readers, sizes.events, sizes.gap_us).result()
            (p99_ns,) = percentiles_ns(found, [99])
            assert p99_ns is not None
            return p99_ns / 1e6

        for _ in range(sizes.rounds):
            gaps.alone_ms.append(p99_ms())
            with _stalled(lab.relay.url, _pid(lab.relay)):
                gaps.beside_ms.append(p99_ms())
    return gaps


@contextmanager
def _stalled(url: str, pid: int) -> Iterator[None]:
    """A reader that takes the beginning of an endless answer and then nothing; from when the relay is at rest."""
    with closing(_ask(f"{url}/ans", str(ENDLESS))) as client:
        assert client.recv(64), "the relay closed the connection of the stalled reader"
        deadline = time.monotonic() + WAIT_S
        used_s = -1.0
        while (now_s := cpu_s(pid)) - used_s > 0.02:
            assert time.monotonic() < deadline, "the relay still works for a reader that takes nothing"
            used_s = now_s
            time.sleep(STILL_S)
        yield
        time.sleep(STILL_S)  # the healthy ones have left
        told = asyncio.run(record(f"{url}/health", method="GET", total_s=WAIT_S))
        live = json.loads(told.body or b"{}")["live"]
        assert live == 1, f"expected the stalled stream to live until the end of the measurement, got {live} streams"


def healthy_gaps_ns(url: str, readers: int, events: int, gap_us: int) -> list[int]:
    """The gaps between the events of all streams, read in this process. Each stream has to have the whole text."""
    return asyncio.run(_healthy_gaps_ns(url, readers, events, gap_us))


async def _healthy_gaps_ns(url: str, readers: int, events: int, gap_us: int) -> list[int]:
    form, accept = {"chat_history": str(Question(events, gap_us))}, {"accept": "text/event-stream"}
    text = b"".join(text_of(events)).decode()

    async def one(number: int) -> list[int]:
        await asyncio.sleep(number * gap_us / readers / 1e6)  # shifted, so that each event is read alone
        recording = await record(url, data=form, headers=accept, keep_bytes=False)
        assert recording.outcome.ok, recording.outcome
        assert recording.text == text, "another text than the upstream's"
        pieces = [at for at, text in zip(recording.events.at_ns, recording.events.text, strict=True) if text]
        return [int(gap) for gap in np.diff(pieces)]

    return [gap for gaps in await asyncio.gather(*map(one, range(readers))) for gap in gaps]


def show_stalled(sizes: Sizes) -> None:
    """The third scenario."""
    gap_ms = sizes.gap_us / 1000
    print(
        f"\n## stalled: {sizes.readers} readers, an event every {gap_ms:g} ms, {sizes.events} events each; "
        f"gap p99, median of {sizes.rounds} (least – most)\n"
    )
    rows = [["network", "alone", "beside a stalled one", "beside / alone", f"beyond {gap_ms:g} ms: alone", "beside"]]
    for network in NETWORKS:
        gaps = beside_stalled(network, sizes)
        cells = [
            f"{statistics.median(each):.2f} ms ({min(each):.2f} – {max(each):.2f})"
            for each in (gaps.alone_ms, gaps.beside_ms)
        ]
        beyond = [f"{statistics.median(each) - gap_ms:.2f} ms" for each in (gaps.alone_ms, gaps.beside_ms)]
        rows.append([network, *cells, f"{gaps.ratio:.3f}", *beyond])
    print(table(rows))


# -- policies --------------------------------------------------------------------------------------------------------

KEEP_BYTES: Final = 16_384
POLICIES: Final = ("pause", f"buffer({KEEP_BYTES})", f"coalesce({KEEP_BYTES})", "latest", "disconnect(1)")


@dataclass(frozen=True)
class Delivered:
    """What one policy made of the slow reader's answer."""

    policy: str
    facts: PolicyFacts
    peak_pending_bytes: int  # by the relay's own count
    same_text: bool


def policies(sizes: Sizes) -> list[Delivered]:
    """The same script and the same slow reader under each policy."""
    count = sizes.policy_pieces
    pieces = [f"state {number:04} of {count:04}, and some words besides\n" for number in range(1, count + 1)]
    script = Script(pieces, first_piece_ms=20, gap_ms=sizes.policy_gap_ms)
    reader = Reader(bytes_per_s=sizes.policy_bytes_per_s, pauses_s={count // 10: sizes.policy_pause_s})
    with Lab(script, network=SMALL, roles="processes") as lab:
        return asyncio.run(_deliver_all(lab, reader, script.text, at_once=sizes.policies_at_once))


async def _deliver_all(lab: Lab, reader: Reader, text: str, *, at_once: bool) -> list[Delivered]:
    each = [_deliver(lab, policy, reader, text) for policy in POLICIES]
    return list(await asyncio.gather(*each)) if at_once else [await one for one in each]


async def _deliver(lab: Lab, policy: str, reader: Reader, text: str) -> Delivered:
    recording = await lab.post(chat_history="hi", accept="sse", policy=policy, reader=reader, total_s=120)
    pending = recording.counts["relay.peak_pending_bytes"]
    return Delivered(policy, policy_facts(recording), pending, recording.text == text)


def show_policies(sizes: Sizes) -> None:
    """The fourth scenario."""
    offered = f"{sizes.policy_pieces} pieces, one every {sizes.policy_gap_ms:g} ms, in {SMALL}"
    pace = f"{sizes.policy_bytes_per_s / 1000:g} kB/s, and stops once for {sizes.policy_pause_s:g} s"
    print(f"\n## policies: {offered}; the reader takes {pace}\n")
    rows = [
        ["policy", "outcome", "received", "dropped", "peak pending", "finished after", "upstream held", "oldest piece"]
    ]
    for one in policies(sizes):
        seen = one.facts
        row = [one.policy, str(seen.outcome), f"{seen.received:,} of {seen.total:,}", f"{seen.dropped or 0:,}"]
        times = (seen.finished_ns, seen.upstream_held_ns, seen.age_max_ns)
        rows.append([*row, f"{one.peak_pending_bytes:,} B", *(_seconds(ns) for ns in times)])
    print(table(rows))


def _seconds(ns: int | None) -> str:
    return "–" if ns is None else f"{ns / 1e9:.2f} s"


# -- connections, processes ------------------------------------------------------------------------------------------


def _ask(url: str, chat_history: str) -> socket.socket:
    """A connection on which the question has been asked; nothing of the answer has been read."""
    parts = urlsplit(url)
    if (unix := unix_path(parts)) is not None:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(WAIT_S)
        client.connect(unix)
    else:
        client = socket.create_connection((parts.hostname or "", parts.port or 80), WAIT_S)
    body = f"chat_history={chat_history}"
    head = f"POST {parts.path} HTTP/1.1\r\nhost: relay\r\naccept: text/event-stream\r\ncontent-length: {len(body)}\r\n"
    client.sendall(f"{head}content-type: application/x-www-form-urlencoded\r\n\r\n{body}".encode())
    return client


def _pid(server: Server) -> int:
    assert server.process is not None
    return server.process.pid


def resident_bytes(pid: int) -> int:
    """The memory that a process has resident (proc(5), statm, Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _met(met: bool) -> str:
    return "ok" if met else "MISSED"


# -- the command line ------------------------------------------------------------------------------------------------

SCENARIOS: Final[dict[str, Callable[[Sizes], None]]] = {
    "absorbed": show_absorbed,
    "slow": show_slow,
    "stalled": show_stalled,
    "policies": show_policies,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and print the tables."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.backpressure", description="A client slower than the server"
    )
    options.add_argument("--scenario", choices=tuple(SCENARIOS), help="default: all of them")
    options.add_argument("--quick", action="store_true", help="a few seconds: a first look")
    given = options.parse_args(arguments)
    began = time.monotonic()
    print(f"CPython {sys.version.split()[0]}")
    for name, show in SCENARIOS.items():
        if given.scenario in (None, name):
            show(QUICK if given.quick else FULL)
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

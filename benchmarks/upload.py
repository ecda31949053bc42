"""Uploads: how fast, in how much memory, and how fairly: `python -m benchmarks.upload [--scenario …] [--quick]`.

- digest: 1 GB (`--mb`) to streamkit (`POST /upload?process=digest`), a bare Sanic handler and an aiohttp handler that
  make the same SHA-256, each in a process of its own, in turns. MB/s by the client's clock, CPU of the server, of which
  it takes all while it reads, and the most memory that it had during its uploads over what it had before the first.
- processors: MB/s of CPU time of the CSV processor, in slices as an upload feeds it, beside pandas' C parser in chunks
  with the same statistics (`read_csv(chunksize=…)`, with our `Statistics` for the numbers), and beside its parsing
  alone; and of lines. pandas guesses from each chunk what a column is, and raises at the first bad row.
- together: 200 uploads at once through the source, on one loop, of bodies that are always there: how far they are when
  the first one ends, and how late a timer of 1 ms was meanwhile.

A goal that is missed is printed as MISSED and changes nothing else; wrong work ends the run with an assertion.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import re
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np

from benchmarks.harness import Started, compare, cpu_s, started, table
from streamkit.processors.lines import LineCounts
from streamkit.processors.processor import Processor
from streamkit.processors.statistics import Statistics
from streamkit.processors.table import Csv
from streamkit.relay.sources.source import Into
from streamkit.relay.sources.upload import SLICE_BYTES, upload

__all__ = ["OURS", "SERVERS", "Sent", "Served", "main", "rows", "send", "share"]

OURS: Final = "streamkit"
BARE: Final = "bare Sanic"
SERVERS: Final = {
    OURS: ["streamkit", "serve", "--with", "upload", "--port", "0"],
    BARE: ["benchmarks.upload_peers.bare_sanic"],
    "aiohttp": ["benchmarks.upload_peers.bare_aiohttp"],
}
BLOCK: Final = bytes(range(256)) * 4_096
LEAST_SPEED: Final = 0.8  # of bare Sanic
MAX_GROWN_MB: Final = 64
CHUNK_ROWS: Final = 10_000
AT_ONCE: Final = 200
PART_BYTES: Final = 1 << 17


# -- digest ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """One upload."""

    seconds: float
    cpu_s: float
    answer: bytes


@dataclass
class Served:
    """One server, and what was sent to it."""

    name: str
    process: Started
    before_mb: float
    sent: list[Sent] = field(default_factory=list)

    def grown_mb(self) -> float:
        """The most memory it has had, over what it had before."""
        return status_mb(self.process.pid, "VmHWM") - self.before_mb


def status_mb(pid: int, name: str) -> float:
    """VmRSS (resident now) or VmHWM (at the most), proc_pid_status(5), Linux."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None, f"expected a line {name}: in /proc/{pid}/status"
    return int(found[1]) / 1_000


def send(process: Started, blocks: int) -> Sent:
    """POST so many BLOCKs; the answer is read when all is sent, as most clients do."""
    parts = urlsplit(process.url)
    head = (
        f"POST /upload?process=digest HTTP/1.1\r\nhost: {parts.netloc}\r\naccept: application/x-ndjson\r\n"
        f"content-type: application/octet-stream\r\ncontent-length: {blocks * len(BLOCK)}\r\nconnection: close\r\n\r\n"
    )
    used_s, began_s = cpu_s(process.pid), time.perf_counter()
    answer = b""
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as sock:
        sock.sendall(head.encode())
        for _ in range(blocks):
            sock.sendall(BLOCK)
        while data := sock.recv(65_536):
            answer += data
    return Sent(time.perf_counter() - began_s, cpu_s(process.pid) - used_s, answer)


def digest(mb: int, rounds: int) -> None:
    """Ours beside the peers."""
    blocks = max(1, mb * 1_000_000 // len(BLOCK))
    expected = hashlib.sha256()
    for _ in range(blocks):
        expected.update(BLOCK)
    with ExitStack() as stack:
        served = []
        for name, words in SERVERS.items():
            if name == "aiohttp" and not find_spec("aiohttp"):
                print("left out: aiohttp is not installed")
                continue
            process = stack.enter_context(started([sys.executable, "-m", *words]))
            served.append(Served(name, process, status_mb(process.pid, "VmRSS")))
        for each in served:
            send(each.process, 16)  # warm
        for turn in range(rounds):
            first = turn % len(served)
            for each in [*served[first:], *served[:first]]:
                sent = send(each.process, blocks)
                assert expected.hexdigest().encode() in sent.answer, f"{each.name}: {sent.answer[-500:]!r}"
                each.sent.append(sent)
        print(table(_digest_rows(served, blocks * len(BLOCK) / 1e6)))


def _digest_rows(served: Sequence[Served], mb: float) -> list[list[str]]:
    cpu = {each.name: statistics.median(sent.cpu_s for sent in each.sent) / mb * 1e3 for each in served}
    shown = [["server", "MB/s", "CPU a GB", "speed by CPU, of bare Sanic", "grown by", "goal"]]
    for each in served:
        speed = statistics.median(mb / sent.seconds for sent in each.sent)
        share, grown_mb = cpu[BARE] / cpu[each.name], each.grown_mb()
        goal = "–"
        if each.name == OURS:
            goal = (
                f"≥ {LEAST_SPEED:g}: {_met(share >= LEAST_SPEED)}; < {MAX_GROWN_MB} MB: {_met(grown_mb < MAX_GROWN_MB)}"
            )
        shown.append(
            [each.name, f"{speed:,.0f}", f"{cpu[each.name]:.2f} s", f"{share:.2f}", f"{grown_mb:.1f} MB", goal]
        )
    return shown


# -- processors --------------------------------------------------------------------------------------------------------


def rows(mb: float, *, quoted: bool = False) -> bytes:
    """CSV: a serial number, three measured values and a name; or the same with quotes around each cell."""
    random = np.random.default_rng(14)
    count = round(mb * 1e6 / (42 if quoted else 32))
    values = random.normal(100, 15, (count, 3))
    form = '"%d","%.3f","%.2f","%d","name %d"' if quoted else "%d,%.3f,%.2f,%d,name %d"
    lines = [form % (n, *values[n], n % 100) for n in range(count)]
    return "\n".join(["id,a,b,c,name", *lines, ""]).encode()


def processed(make: Callable[[], Processor], data: bytes) -> dict[str, Any]:
    """In slices, as an upload."""
    processor = make()
    for start in range(0, len(data), SLICE_BYTES):
        processor.feed(data[start : start + SLICE_BYTES])
    return processor.final()


def by_pandas(data: bytes, *, statistics_too: bool) -> dict[str, Statistics]:
    import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types

    found: dict[str, Statistics] = {}
    for chunk in pd.read_csv(io.BytesIO(data), chunksize=CHUNK_ROWS):
        for name, column in chunk.items() if statistics_too else ():
            if column.dtype.kind in "if":
                found.setdefault(str(name), Statistics()).add(column.dropna().to_numpy(float))
    return found


def processors(mb: float, rounds: int) -> None:
    """CSV beside pandas, and lines."""
    shown = [["bytes", "CSV", "pandas, statistics too", "CSV / pandas", "pandas, parsing only", "lines"]]
    for name, quoted in (("plain CSV", False), ("quoted CSV", True)):
        data = rows(mb, quoted=quoted)
        cases: dict[str, Callable[[], object]] = {
            "csv": lambda data=data: processed(Csv, data),  # type: ignore[misc]
            "lines": lambda data=data: processed(LineCounts, data),  # type: ignore[misc]
        }
        if find_spec("pandas"):
            _same(processed(Csv, data), by_pandas(data, statistics_too=True))
            cases["pandas"] = lambda data=data: by_pandas(data, statistics_too=True)  # type: ignore[misc]
            cases["parsing"] = lambda data=data: by_pandas(data, statistics_too=False)  # type: ignore[misc]
        seconds = compare(cases, rounds=rounds)
        speeds = {case: len(data) / 1e6 / each for case, each in seconds.items()}
        peers = [f"{speeds[case]:,.0f} MB/s" if case in speeds else "–" for case in ("pandas", "parsing")]
        ratio = f"{speeds['csv'] / speeds['pandas']:.2f}" if "pandas" in speeds else "–"
        shown.append([name, f"{speeds['csv']:,.0f} MB/s", peers[0], ratio, peers[1], f"{speeds['lines']:,.0f} MB/s"])
    print(table(shown))


def _same(ours: dict[str, Any], theirs: dict[str, Statistics]) -> None:
    for name, each in theirs.items():
        column = ours["columns"][name]
        assert (column["count"], column["min"], column["max"]) == (each.count, each.min, each.max), name
        assert abs(column["mean"] / each.mean - 1) < 1e-12, name


# -- together ----------------------------------------------------------------------------------------------------------


class Ready:
    """A body that is there, given in parts; what of it was taken is `received`."""

    content_type = "text/csv"
    whole = False

    def __init__(self, data: bytes) -> None:
        self.length: int | None = len(data)
        self.received = 0
        self._data = data

    def cut(self) -> None:
        """Nobody leaves."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.received < len(self._data):
            part = self._data[self.received : self.received + PART_BYTES]
            self.received += len(part)
            yield part


@dataclass(frozen=True)
class Shared:
    """How far each upload was when the first one ended, as a part of all, and how late the loop was."""

    least: float
    late_p50_s: float
    late_max_s: float
    seconds: float


async def share(process: str, data: bytes, at_once: int) -> Shared:
    """So many of the same, at once."""
    bodies = [Ready(data) for _ in range(at_once)]
    late_s: list[float] = []

    async def tick() -> None:
        while True:
            due_s = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            late_s.append(time.perf_counter() - due_s)

    async def run(body: Ready) -> None:
        last = [pieces async for pieces in upload(body, process, Into(lambda _: True))][-1]
        assert b'"final":true' in last[0].text.encode()

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    began_s = time.perf_counter()
    running = [asyncio.create_task(run(body)) for body in bodies]
    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    least = min(body.received for body in bodies) / len(data)
    await asyncio.gather(*running)
    seconds = time.perf_counter() - began_s
    ticking.cancel()
    return Shared(least, statistics.median(late_s), max(late_s), seconds)


def together(mb: float) -> None:
    """Each processor."""
    shown = [
        [f"{AT_ONCE} at once", "of each", "the last one, when the first ends", "loop late p50", "at most", "in all"]
    ]
    data = rows(mb)
    for process in ("csv", "digest", "lines"):
        it = asyncio.run(share(process, data, AT_ONCE))
        shown.append(
            [
                *(process, f"{len(data) / 1e6:.1f} MB", f"{it.least:.0%}", f"{it.late_p50_s * 1e3:.1f} ms"),
                *(f"{it.late_max_s * 1e3:.1f} ms", f"{AT_ONCE * len(data) / 1e6 / it.seconds:,.0f} MB/s"),
            ]
        )
    print(table(shown))


# -- the command line --------------------------------------------------------------------------------------------------


def _met(met: bool) -> str:
    return "ok" if met else "MISSED"


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is asked for and print the tables."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.upload", description="Uploads")
    options.add_argument("--scenario", choices=("digest", "processors", "together"), help="default: all of them")
    options.add_argument("--mb", type=int, help="digest: of each upload (default: 1000; --quick: 100)")
    options.add_argument("--rounds", type=int, help="uploads to each server (default: 5; --quick: 2)")
    options.add_argument("--quick", action="store_true", help="a first look")
    given = options.parse_args(words)
    rounds = given.rounds or (2 if given.quick else 5)
    scenarios: dict[str, Callable[[], None]] = {
        "digest": lambda: digest(given.mb or (100 if given.quick else 1_000), rounds),
        "processors": lambda: processors(2 if given.quick else 20, rounds),
        "together": lambda: together(0.3 if given.quick else 2),
    }
    print(f"CPython {sys.version.split()[0]}, rounds: {rounds}")
    for name, measure in scenarios.items():
        if given.scenario in (None, name):
            print(f"\n## {name}\n")
            measure()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

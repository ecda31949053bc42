"""What the benchmarks share: interleaved medians, processes and what they use, and a table.

    seconds = compare({"ours": lambda: ..., "peer": lambda: ...})   # median seconds of one call, per case
    with started([sys.executable, "-m", "server"]) as it:  # a server of its own process
        cpu_s(it.pid), memory_bytes(it.pid)
    print(table([["scenario", "ours"], ["batch", "1.2 ms"]]))       # the first row is the head

CPU time is what is taken, so that waiting for a busy machine does not count; and rounds are interleaved (every case
once, then every case once again), so that what a neighbour does to the caches slows all cases alike. Only ratios within
one `compare` mean anything.
"""

from __future__ import annotations

import gc
import os
import re
import select
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["ROOT", "Started", "compare", "cpu_s", "memory_bytes", "show_seconds", "started", "table"]

ROOT = Path(__file__).parent.parent
START_S = 20.0
STOP_S = 5.0


def compare(cases: Mapping[str, Callable[[], object]], *, rounds: int = 15, min_s: float = 0.01) -> dict[str, float]:
    """Median CPU seconds of one call of each case; `rounds` measurements each, interleaved between the cases.

    One measurement repeats the call until about `min_s` seconds have passed, so that a call of a few
    microseconds is not lost in the clock. The garbage collector stays on: it is part of what objects cost; only
    what was imported before is kept out of its rounds, or the size of one peer's package would slow all others.
    """
    gc.collect()
    gc.freeze()
    try:
        return _compare(cases, rounds, min_s)
    finally:
        gc.unfreeze()


def _compare(cases: Mapping[str, Callable[[], object]], rounds: int, min_s: float) -> dict[str, float]:
    repeats = {name: _repeats(case, min_s) for name, case in cases.items()}
    measured: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    for turn in range(rounds):
        first = turn % len(names)  # a new one begins each round, so that nobody always follows the same neighbour
        for name in names[first:] + names[:first]:
            measured[name].append(_measure(cases[name], repeats[name]))
    return {name: statistics.median(values) for name, values in measured.items()}


def _measure(case: Callable[[], object], repeats: int) -> float:
    gc.collect()
    begin = time.process_time()
    for _ in range(repeats):
        case()
    return (time.process_time() - begin) / repeats


def _repeats(case: Callable[[], object], min_s: float) -> int:
    case()  # warm: imports, caches, the specialising interpreter
    return max(1, round(min_s / max(_measure(case, 1), 1e-9)))


@dataclass(frozen=True)
class Started:
    """A server in a process of its own."""

    pid: int
    url: str


@contextmanager
def started(command: Sequence[str]) -> Iterator[Started]:
    """Run a server until the block ends: `command` prints its URL on a line with the word "ready" and then serves.

    What it writes into its temporary folder goes with it. Raises RuntimeError, with the end of what it said on stderr,
    when it does not accept connections within `START_S` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="streamkit-benchmark-") as folder, tempfile.TemporaryFile() as said:
        environment = os.environ | {"TMPDIR": folder}
        with subprocess.Popen(  # noqa: S603  # commands of ours
            command, stdout=subprocess.PIPE, stderr=said, env=environment, cwd=ROOT
        ) as process:
            try:
                yield Started(process.pid, _ready(process))
            except _NotReady as error:
                said.seek(0)
                told = said.read().decode(errors="replace")[-2000:]
                raise RuntimeError(f"{' '.join(command)} did not start: {error}\n{told}") from None
            finally:
                _end(process)


class _NotReady(Exception):
    pass


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ready(process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_S
    out: IO[bytes] | None = process.stdout
    assert out is not None
    line = b""
    while b"ready" not in line:
        if not select.select([out], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise _NotReady("it was not ready in time")
        line = out.readline()
        if not line:
            raise _NotReady("it ended")
    found = re.search(rb"https?://[^ \n]+", line)
    if found is None:
        raise _NotReady(f"expected a URL, got {line!r}")
    url = found[0].decode()
    parts = urlsplit(url)
    while True:
        try:
            socket.create_connection((parts.hostname or "", parts.port or 80), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise _NotReady("it accepts no connection") from None
            time.sleep(0.02)
        else:
            return url


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used until now, user and system, all its threads (proc_pid_stat(5), Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int:
    """Memory of a process: PSS, pages it shares counted in proportion (proc_pid_smaps(5), Linux)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss: +(\d+) kB$", rollup, re.MULTILINE)
    assert found is not None, "expected a line Pss: in smaps_rollup"
    return int(found[1]) * 1024


def show_seconds(seconds: float) -> str:
    """`0.00123` as `1.23 ms`: three digits, in the unit that fits."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table(rows: Sequence[Sequence[object]]) -> str:
    """The rows as aligned text, the first one as the head; the first column to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{c:{'<' if i == 0 else '>'}{widths[i]}}" for i, c in enumerate(row)) for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])

"""How far a client's timestamps can be trusted, judged against the golden server's log of its actual sends.

    python -m benchmarks.truth [--scenario 20x50 ...] [--clients streamkit,aiohttp] [--seconds 4] [--rounds 3] [--quick]

Each client runs in a process of its own with all streams of a scenario at once, as its users would run it; the golden
server (benchmarks.golden) runs in another, on the same machine and therefore the same monotonic clock. Rounds are
interleaved between the clients; errors are pooled over rounds and streams, CPU times are medians of rounds.

Reference: a write's true time is taken as the clock read immediately *before* send(). On loopback the kernel queues the
segment at the receiver within that call, a few µs after its start; the receiver it wakes may then take the CPU, so that
the time *after* send() tells more about the scheduler than about the wire. A constant offset drops out of gaps.
The instrument's own error is the row `recvmsg`, a bare loop with the kernel's receive stamps: what it shows is
what send() itself varies by. The width of the bracket (before to after) is printed above each table.

gap error      |measured gap - sent gap|, between neighbouring events of different writes
in one write   the gap measured between events that left in one write, truly 0; the tools' artefact
TTFT error     |client's TTFT - true TTFT|. True: first event's send - kernel's receive time of the request's last
               segment. The client's: from when it knows its request to have left, by its own hook where it has one,
               else from the call; the column "from call" counts from the call for all, connecting and waiting included
stated error   what the client says of each event's time, where it does: how wrong it may be
covered        share of events whose stated error is at least the distance from the stamp to the bracket of its send();
               statements that are finer than the bracket is wide cannot be refuted in this way
same read      found: pairs of neighbours of one write that carry one read number; false: pairs of different writes
               that do. The latter is an upper bound: a process that was late really read two writes at once
stall          |measured - true| of the gap with the stall, and in how many streams the client's own default summary
               counts just this one, at its place
CPU            user + system time of the client's process over all events of the scenario, connecting included

`--scenario taps` is another question: what the relay's tracing changes. The same streams through `streamkit serve` with
and without `--trace`, judged by the recvmsg client: delay from the golden send, gap error, CPU of the relay.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.golden import Plan
from benchmarks.harness import table
from benchmarks.truth_clients import CLIENTS, Job

Ints: TypeAlias = npt.NDArray[np.int64]

__all__ = ["Tally", "gap_errors_ns", "outside_ns", "same_read", "stall_error_ns", "within_write_ns"]

ROOT: Final = Path(__file__).parent.parent
DEFAULT_CLIENTS: Final = (
    *("recvmsg", "data_received", "streamkit", "streamkit@uvloop", "aiohttp", "aiohttp@uvloop"),
    *("httpx2-raw", "httpx2-lines", "openai"),
)
GAP_GOALS_US: Final = {"20x50": (10.0, 30.0, 60.0), "50x100": (20.0, 60.0, 120.0)}
"""p50, p95, p99. "No collapse" at 50 x 100 is read as: at most twice what is asked for at 20 x 50."""
TTFT_GOALS_MS: Final = (0.2, 0.4)
COVERED_GOAL: Final = 0.99
FALSE_LABELS_GOAL: Final = 0.01


# -- the arithmetic: columns of ns, one item per event --------------------------------------------------------------


def gap_errors_ns(at_ns: npt.ArrayLike, sent_ns: npt.ArrayLike, write: npt.ArrayLike) -> Ints:
    """`|diff(at) - diff(sent)|` for neighbours of different writes."""
    apart = np.diff(_ints(write)) != 0
    return _ints(np.abs(np.diff(_ints(at_ns)) - np.diff(_ints(sent_ns)))[apart])


def within_write_ns(at_ns: npt.ArrayLike, write: npt.ArrayLike) -> Ints:
    """`diff(at)` for neighbours of one write, whose true gap is 0."""
    return _ints(np.diff(_ints(at_ns))[np.diff(_ints(write)) == 0])


def outside_ns(at_ns: npt.ArrayLike, before_ns: npt.ArrayLike, after_ns: npt.ArrayLike) -> Ints:
    """How far each stamp lies outside of the bracket of its send(): 0 inside. The least that its error can be."""
    at = _ints(at_ns)
    return _ints(np.maximum(0, np.maximum(_ints(before_ns) - at, at - _ints(after_ns))))


def same_read(read: npt.ArrayLike, write: npt.ArrayLike) -> tuple[int, int, int, int]:
    """Pairs of neighbours: `(of one write, labelled of these, of different writes, labelled of these)`."""
    together = np.diff(_ints(write)) == 0
    labelled = np.diff(_ints(read)) == 0
    counts = (together, together & labelled, ~together, ~together & labelled)
    one, found, apart, false = (int(np.count_nonzero(which)) for which in counts)
    return one, found, apart, false


def stall_error_ns(at_ns: npt.ArrayLike, sent_ns: npt.ArrayLike) -> int:
    """`|measured - sent|` of the longest gap that was sent. Raises ValueError for fewer than two events."""
    sent = np.diff(_ints(sent_ns))
    place = int(np.argmax(sent))
    return int(abs(np.diff(_ints(at_ns))[place] - sent[place]))


def _ints(values: npt.ArrayLike) -> Ints:
    return np.asarray(values, dtype=np.int64)


@dataclass
class Tally:
    """What one client showed in one scenario, over all streams and rounds. Lists hold ns unless the name says else."""

    gap_errors: list[Ints] = field(default_factory=list)
    within_write: list[Ints] = field(default_factory=list)
    delays: list[Ints] = field(default_factory=list)
    widths: list[Ints] = field(default_factory=list)
    ttft_errors: list[int] = field(default_factory=list)
    call_errors: list[int] = field(default_factory=list)
    stall_errors: list[int] = field(default_factory=list)
    pairs: Ints = field(default_factory=lambda: np.zeros(4, dtype=np.int64))
    covered: int = 0
    stated: list[Ints] = field(default_factory=list)
    streams: int = 0
    stalls_in_summary: int = 0
    says_stalls: bool = False
    tells_sent: bool = True
    missing: int = 0
    cpu_us: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    remarks: Counter[str] = field(default_factory=Counter)

    def add(self, plan: Plan, sent: Mapping[str, Any], seen: Mapping[str, Any]) -> None:
        """One stream: the server's log of it, and what the client saw."""
        count = min(plan.events, len(seen["at_ns"]), len(sent["before_ns"]) * plan.per_write)
        self.streams += 1
        self.missing += plan.events - count
        if count < 2:
            return
        write = np.arange(count) // plan.per_write
        at, before, after = (
            _ints(seen["at_ns"])[:count],
            _ints(sent["before_ns"])[write],
            _ints(sent["after_ns"])[write],
        )
        self.gap_errors.append(gap_errors_ns(at, before, write))
        self.within_write.append(within_write_ns(at, write))
        self.delays.append(at - before)
        self.widths.append(after - before)
        true_ttft = int(before[0]) - sent["received_ns"]
        self.tells_sent &= seen["sent_ns"] is not None
        left = seen["called_ns"] if seen["sent_ns"] is None else seen["sent_ns"]
        self.ttft_errors.append(abs(int(at[0]) - left - true_ttft))
        self.call_errors.append(abs(int(at[0]) - seen["called_ns"] - true_ttft))
        if plan.stall_ns:
            self.stall_errors.append(stall_error_ns(at, before))
        if seen["read"] is not None:
            self.pairs += same_read(seen["read"][:count], write)
        if seen["error_ns"] is not None:
            stated = _ints(seen["error_ns"])[:count]
            self.stated.append(stated)
            self.covered += int(np.count_nonzero(outside_ns(at, before, after) <= stated))
        self.says_stalls |= bool(seen["summary"])
        place = (plan.stall_after(seen["stream"]) + 1) * plan.per_write
        self.stalls_in_summary += seen["summary"] == {"stalls": 1, "stall_after": place}
        self.remarks.update(seen["remarks"])


# -- running: a golden server and a client, each a process ----------------------------------------------------------


def run_once(plan: Plan, client: str, through: Callable[[int], Any] | None = None) -> tuple[Any, Any]:
    """The golden server's log, and what the client saw. `through` opens something between them: port in, port out.

    Raises RuntimeError with the client's last words if it fails.
    """
    golden = _python("benchmarks.golden", json.dumps(asdict(plan)))
    try:
        assert golden.stdout is not None
        port = int(golden.stdout.readline())
        if through is None:
            seen = _client(client, Job(port, plan.streams, plan.events), plan.limit_s)
        else:
            with through(port) as inner:
                job = Job(inner, plan.streams, plan.events, path="/ans", relay=True)
                seen = _client(client, job, plan.limit_s)
        return json.loads(golden.communicate(timeout=plan.limit_s)[0]), seen
    finally:
        golden.kill()
        golden.communicate()


def _client(name: str, job: Job, limit_s: float) -> Any:
    process = _python("benchmarks.truth_clients", name, json.dumps(asdict(job)))
    try:
        output, words = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"did not end within {limit_s:.0f} s") from None
    finally:
        process.kill()
        process.communicate()
    if process.returncode:
        raise RuntimeError(f"ended with {process.returncode}: {words[-2000:].strip()}")
    return json.loads(output)


def _python(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  # our own modules
        [sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def tally_run(tally: Tally, plan: Plan, log: Any, seen: Any) -> None:
    """Add a whole run."""
    for stream in seen["streams"]:
        sent = log["streams"].get(str(stream["stream"]))
        if sent is not None:
            tally.add(plan, sent, stream)
    tally.cpu_us.append(seen["cpu_s"] * 1e6 / (plan.streams * plan.events))


def scenarios(seconds: float) -> dict[str, Plan]:
    """The plans by name; each sends for about `seconds`, a stall not counted."""

    def plan(streams: int, per_s: int, per_write: int = 1, stall_ms: int = 0) -> Plan:
        return Plan(
            streams=streams,
            events=max(6, round(per_s * seconds)) * per_write,
            interval_ns=1_000_000_000 // per_s,
            per_write=per_write,
            stall_ns=stall_ms * 1_000_000,
            limit_s=seconds + 30,
        )

    return {"20x50": plan(20, 50), "50x100": plan(50, 100), "five": plan(20, 20, 5), "stall": plan(20, 50, 1, 500)}


TITLES: Final = {
    "20x50": "20 streams x 50 events/s",
    "50x100": "50 streams x 100 events/s",
    "five": "20 streams, five events in each write, a write every 50 ms",
    "stall": "20 streams x 50 events/s, one stall of 500 ms in each",
    "taps": "What tracing changes: 20 streams x 50 events/s through the relay, read by the recvmsg client",
}


def measure(plan: Plan, clients: Sequence[str], rounds: int) -> dict[str, Tally]:
    """Interleaved rounds; a new client begins each round, so that nobody always follows the same neighbour."""
    tallies = {name: Tally() for name in clients}
    for turn in range(rounds):
        first = turn % len(clients)
        for name in (*clients[first:], *clients[:first]):
            try:
                tally_run(tallies[name], plan, *run_once(plan, name))
            except RuntimeError as error:  # one broken client shall not cost the others' rows
                tallies[name].failures.append(str(error))
    return tallies


# -- the tables -----------------------------------------------------------------------------------------------------


def _p(values: Sequence[npt.ArrayLike] | npt.ArrayLike, q: int, unit_ns: float) -> float | None:
    """The q-th percentile (one that occurred) of pooled values, in units of `unit_ns`; None for none."""
    pooled = np.concatenate([np.atleast_1d(_ints(part)) for part in values]) if len(values) else _ints([])  # type: ignore[arg-type, union-attr]  # lists of arrays and of ints alike
    return float(np.percentile(pooled, q, method="inverted_cdf")) / unit_ns if pooled.size else None


def _show(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.2%}" if whole else "–"


def report(scenario: str, tallies: Mapping[str, Tally]) -> str:
    """Title, width of the brackets, table, goals, remarks."""
    heads = [
        "client",
        "gap error µs p50",
        "p95",
        "p99",
        "TTFT error ms p50",
        "p95",
        "from call p50",
        "stated error µs p50",
        "p99",
    ]
    heads += ["covered"]
    heads += ["same read: found", "false", "in one write µs p50"] if scenario == "five" else ["false same read"]
    heads += ["stall error ms p50", "max", "in summary"] if scenario == "stall" else []
    rows = [[*heads, "CPU µs/event"], *(_row(scenario, name, tally) for name, tally in tallies.items())]
    widths = [width for tally in tallies.values() for width in tally.widths]
    bracket = "/".join(_show(_p(widths, q, 1e3)) for q in (50, 95, 99))
    head = f"{TITLES[scenario]}\nbracket of the true send (before to after), p50/p95/p99: {bracket} µs\n"
    return "\n".join([head, table(rows), "", *_goals(scenario, tallies), *_remarks(tallies), ""])


def _row(scenario: str, name: str, tally: Tally) -> list[str]:
    one, found, apart, false = (int(count) for count in tally.pairs)
    told = "" if tally.tells_sent else " (from call)"
    row = [name, *(_show(_p(tally.gap_errors, q, 1e3)) for q in (50, 95, 99))]
    row += [_show(_p(tally.ttft_errors, 50, 1e6), 2) + told, _show(_p(tally.ttft_errors, 95, 1e6), 2)]
    row += [_show(_p(tally.call_errors, 50, 1e6), 2), *(_show(_p(tally.stated, q, 1e3)) for q in (50, 99))]
    row.append(_share(tally.covered, sum(map(len, tally.stated))))
    if scenario == "five":
        row.append(_share(found, one if one + apart else 0))
    row.append(_share(false, apart))
    if scenario == "five":
        row.append(_show(_p(tally.within_write, 50, 1e3)))
    if scenario == "stall":
        row += [_show(_p(tally.stall_errors, q, 1e6), 3) for q in (50, 100)]
        row.append(f"{tally.stalls_in_summary} of {tally.streams}" if tally.says_stalls else "–")
    return [*row, _show(statistics.median(tally.cpu_us)) if tally.cpu_us else "–"]


def _goals(scenario: str, tallies: Mapping[str, Tally]) -> list[str]:
    """What is asked of our own client, and whether it is met."""
    lines = []
    for name, ours in tallies.items():
        if name.partition("@")[0] != "streamkit" or not ours.cpu_us:
            continue
        goals = [_goal("TTFT error p50/p95, ms", [_p(ours.ttft_errors, q, 1e6) for q in (50, 95)], TTFT_GOALS_MS)]
        if scenario in GAP_GOALS_US:
            gaps = [_p(ours.gap_errors, q, 1e3) for q in (50, 95, 99)]
            goals.insert(0, _goal("gap error p50/p95/p99, µs", gaps, GAP_GOALS_US[scenario]))
        one, found, apart, false = (int(count) for count in ours.pairs)
        stated = sum(map(len, ours.stated))
        uncovered = 100 * (stated - ours.covered) / stated if stated else None
        goals.append(_goal("events not covered, %", [uncovered], [100 * (1 - COVERED_GOAL)]))
        if apart:
            goals.append(_goal("false labels, %", [100 * false / apart], [100 * FALSE_LABELS_GOAL]))
        if one:
            goals.append(_goal("labels missed, %", [100 * (one - found) / one], [0.0]))
        if scenario == "stall":
            goals.append(_goal("stalls not in the summary", [ours.streams - ours.stalls_in_summary], [0]))
        peer = tallies.get(name.replace("streamkit", "aiohttp"))
        if peer is not None and peer.cpu_us:
            cpu, most = statistics.median(ours.cpu_us), statistics.median(peer.cpu_us)
            goals.append(_goal("CPU µs/event, aiohttp's on the same loop", [cpu], [most]))
        lines += [f"  {name}: {goal}" for goal in goals]
    return ["goals", *lines] if lines else []


def _goal(what: str, values: Sequence[float | None], most: Sequence[float]) -> str:
    known = [value for value in values if value is not None]
    judged = "not stated" if not known else "ok" if all(v <= m for v, m in zip(known, most, strict=True)) else "MISSED"
    return f"{what}: {'/'.join(_show(v, 2) for v in values)} (at most {'/'.join(_show(m, 2) for m in most)}) {judged}"


def _remarks(tallies: Mapping[str, Tally]) -> Iterator[str]:
    for name, tally in tallies.items():
        for failure in tally.failures:
            yield f"! a run of {name} failed: {failure}"
        if tally.missing:
            yield f"! {name} did not show {tally.missing} events"
        if tally.remarks:
            yield f"  {name} says: {', '.join(f'{what} ({count})' for what, count in sorted(tally.remarks.items()))}"


# -- what tracing changes -------------------------------------------------------------------------------------------


class _Relay:
    """`streamkit serve` in front of a golden server, for one run at a time; counts its CPU time while it is read."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.cpu_s = 0.0

    @contextmanager
    def __call__(self, golden: int) -> Iterator[int]:
        url = f"http://127.0.0.1:{golden}/v1/chat/completions"
        command = ("streamkit", "serve", "--port", "0", "--upstream", url, "--preset", "openai", *self._options)
        process = _python(*command)
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()  # "... ready: POST http://127.0.0.1:PORT/ans ..."
            port = int(ready.partition("/ans")[0].rpartition(":")[2])
            before = _cpu_s(process.pid)
            yield port
            self.cpu_s = _cpu_s(process.pid) - before
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _cpu_s(pid: int) -> float:
    """What all threads of a process have run, in seconds: the first number of schedstat, which counts ns (proc(5))."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def taps(plan: Plan, rounds: int) -> str:
    """The table of tracing off and on; "missing" where the relay has no `--trace`."""
    usage = _python("streamkit", "serve", "--help").communicate()[0]
    cases: dict[str, tuple[str, ...]] = {"off": ()}
    if "--trace" in usage:
        cases["on"] = ("--trace",)
    tallies = {name: Tally() for name in cases}
    relay_us: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(rounds):
        for name, options in list(cases.items())[:: 1 if turn % 2 else -1]:
            relay = _Relay(*options)
            tally_run(tallies[name], plan, *run_once(plan, "recvmsg", relay))
            relay_us[name].append(relay.cpu_s * 1e6 / (plan.streams * plan.events))
    rows = [["tracing", "delay µs p50", "p95", "p99", "gap error µs p50", "p95", "p99", "relay's CPU µs/event", "lost"]]
    for name, tally in tallies.items():
        delays, gaps = ([_show(_p(part, q, 1e3)) for q in (50, 95, 99)] for part in (tally.delays, tally.gap_errors))
        rows.append([name, *delays, *gaps, _show(statistics.median(relay_us[name])), str(tally.missing)])
    missing = [] if "on" in cases else ["tracing on: missing, `streamkit serve` has no option --trace"]
    return "\n".join([TITLES["taps"], "", table(rows), *missing, ""])


# -- the command line -----------------------------------------------------------------------------------------------


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.truth", description="How far timestamps can be trusted."
    )
    parser.add_argument("--scenario", action="append", choices=list(TITLES), help="may be repeated (default: all)")
    parser.add_argument("--clients", default=",".join(DEFAULT_CLIENTS), help="by commas (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="that each stream lasts (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="one round of one second: a look, no measurement")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.rounds = 1.0, 1
    arguments.clients = arguments.clients.split(",")
    unknown = [name for name in arguments.clients if name.partition("@")[0] not in CLIENTS]
    if unknown:
        parser.error(
            f"expected clients out of {', '.join(CLIENTS)} (each also as NAME@uvloop), got {', '.join(unknown)}"
        )
    return arguments


def main() -> None:
    """One table per scenario."""
    arguments = _arguments()
    has_aiperf = importlib.util.find_spec("aiperf") is not None
    print(f"aiperf is {'installed, but has no adapter here' if has_aiperf else 'not installed'}: no row for it\n")
    plans = scenarios(arguments.seconds)
    for name in arguments.scenario or TITLES:
        if name == "taps":
            print(taps(plans["20x50"], arguments.rounds), flush=True)
        else:
            print(report(name, measure(plans[name], arguments.clients, arguments.rounds)), flush=True)


if __name__ == "__main__":
    main()

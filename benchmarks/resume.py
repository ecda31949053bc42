"""Streams that can be resumed: what that costs, and whether it holds, beside others:
`python -m benchmarks.resume [--scenario …] [--rounds N] [--quick]`.

- cost: CPU of the relay's process per event, as in `benchmarks.relay`: resume off, with the memory store (`--resume`),
  and with Redis (`--replay`; a redis-server of the benchmark's own, whose CPU is not counted). Saturated (50 streams as
  fast as they are taken, some hundred events a read) and paced (50 streams × 100 events/s, one a read), text/plain and
  SSE: an event that can be resumed has an id of 33 characters more, which are bytes to be written. Interleaved,
  medians, ratios within the run.
- readers: 1,000 of one stream; all have to get all of it. CPU per event and reader; connections to Redis with one
  reader and with all.
- store: memory of what is kept of many streams, per byte that `Kept` states: their text, at least 4 bytes a piece, and
  4 bytes a piece for where it ends.
- cuts: streams that are cut and resumed at full speed, ours beside two packages of PyPI (see `benchmarks.resume_cuts`).

A goal that is missed is printed as MISSED and changes nothing else; wrong work ends the run with an assertion.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from benchmarks.harness import ROOT, Started, cpu_s, memory_bytes, started, table
from benchmarks.relay import ENDPOINT, Relay, Traffic, in_turns, median, our_command
from benchmarks.relay_load import ALL_OPEN, Load
from benchmarks.relay_upstream import Question, text_of
from benchmarks.resume_cuts import contest
from streamkit.serving.listener import free_port

__all__ = ["redis_server", "stores"]

STREAMS: Final = 50
READERS: Final = 1_000
MAX_MEMORY_COST: Final = 1.10  # of resume off
MAX_REDIS_COST: Final = 2.0  # of the memory store
MAX_STATED: Final = 1.25  # a block's room to grow is an eighth; the rest is what its objects take
END_BYTES: Final = 4
OFF, MEMORY, REDIS = "off", "memory", "Redis"
SERVER: Final = shutil.which("redis-server", path="/usr/bin:/usr/local/bin:/usr/sbin:/opt/homebrew/bin")


@contextmanager
def redis_server() -> Iterator[str | None]:
    """The URL of a redis-server that ends with the block; None where none is installed."""
    if SERVER is None:
        yield None
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="streamkit-benchmark-") as folder:
        words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        with subprocess.Popen([SERVER, *words], stdout=subprocess.DEVNULL) as process:  # noqa: S603  # of ours
            try:
                _listens(port, process)
                yield f"redis://127.0.0.1:{port}/0"
            finally:
                process.terminate()


def _listens(port: int, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, "redis-server ended"
            assert time.monotonic() < until_s, "redis-server does not listen"
            time.sleep(0.02)
        else:
            return


def stores(redis_url: str | None) -> dict[str, list[str]]:
    """The options of `streamkit serve` for each store there is; says which is left out."""
    found = {MEMORY: ["--resume"]}
    if redis_url is None:
        print("left out: Redis: there is no redis-server (Debian: apt-get install redis-server)")
    elif find_spec("streamkit.relay.replay.redis") is None:
        print("left out: Redis: this streamkit has no store in Redis")
    else:
        found[REDIS] = ["--replay", redis_url]
    return found


# -- cost ------------------------------------------------------------------------------------------------------------


def cost(redis_url: str | None, rounds: int, *, quick: bool) -> None:
    """Off, memory, Redis; saturated and paced; text/plain and SSE."""
    kinds = {OFF: [], **stores(redis_url)}
    traffics = {
        "saturated": Traffic(STREAMS, 2_000 if quick else 10_000),
        "paced": Traffic(STREAMS, 100 if quick else 500, gap_us=10_000),
    }
    rows = [
        ["answer, load", *kinds, "memory / off", f"≤ {MAX_MEMORY_COST:g}", "Redis / memory", f"≤ {MAX_REDIS_COST:g}"]
    ]
    with ExitStack() as stack:
        upstream = stack.enter_context(started([sys.executable, "-m", "benchmarks.relay_upstream"]))
        url = upstream.url + ENDPOINT
        processes = {name: stack.enter_context(started(our_command(url, *words))) for name, words in kinds.items()}
        for answer in ("text/plain", "SSE"):
            running = [Relay(name, it, upstream, _shown(answer, name)) for name, it in processes.items()]
            for relay in running:
                relay.warm()
            for load, traffic in traffics.items():
                runs = in_turns(running, rounds, lambda _, given=traffic: given)  # type: ignore[misc]
                rows.append(
                    _cost_row(
                        f"{answer}, {load}", {name: median(it, lambda r: r.per_event_us) for name, it in runs.items()}
                    )
                )
    if REDIS not in kinds:
        rows = [row[:-2] for row in rows]
    print(table(rows))


def _shown(answer: str, name: str) -> str:
    if answer == "text/plain":
        return "text"
    return "events" if name == OFF else "cursors"


def _cost_row(what: str, us: dict[str, float]) -> list[str]:
    dearer, shared = us[MEMORY] / us[OFF], us.get(REDIS, 0.0) / us[MEMORY]
    return [
        what,
        *(f"{each:.2f} µs" for each in us.values()),
        *(f"{dearer:.2f}", _met(dearer <= MAX_MEMORY_COST), f"{shared:.2f}", _met(shared <= MAX_REDIS_COST)),
    ]


# -- readers ---------------------------------------------------------------------------------------------------------


def readers(redis_url: str | None, *, quick: bool) -> None:
    """Many of one stream."""
    many, question = (100, Question(60, 50_000)) if quick else (READERS, Question(240, 50_000))
    rows = [
        [
            "store",
            "readers",
            "got all",
            "CPU per event and reader",
            "share of a CPU",
            "connections to Redis: 1 reader",
            "all",
        ]
    ]
    for name, words in stores(redis_url).items():
        with ExitStack() as stack:
            upstream = stack.enter_context(started([sys.executable, "-m", "benchmarks.relay_upstream"]))
            relay = stack.enter_context(started(our_command(upstream.url + ENDPOINT, *words)))
            before = after = 0
            with _one_stream(relay, question) as location:
                if name == REDIS:
                    before = _connections(redis_url)
                since_s, used_s = time.monotonic(), cpu_s(relay.pid)
                options = ["--streams", str(many), "--events", str(question.events), "--get", "--limit-s", "120"]
                with subprocess.Popen(  # noqa: S603  # a command of ours
                    [sys.executable, "-m", "benchmarks.relay_load", location, *options],
                    stdout=subprocess.PIPE, text=True, cwd=ROOT,
                ) as client:  # fmt: skip
                    assert client.stdout is not None
                    line = client.stdout.readline()
                    assert line.strip() == ALL_OPEN, f"expected all {many} readers at once"
                    after = _connections(redis_url) if name == REDIS else 0
                    seen = Load(**json.loads(client.stdout.readline()))
            used_s = cpu_s(relay.pid) - used_s
            assert seen.right == many, f"{many - seen.right} of {many} readers have another text: {seen.errors}"
            us = used_s / (many * question.events) * 1e6
            share = used_s / (time.monotonic() - since_s)
            shown = [str(before), str(after)] if name == REDIS else ["–", "–"]
            rows.append([name, f"{many:,}", f"{seen.right:,}", f"{us:.1f} µs", f"{share:.0%}", *shown])
            if name == REDIS:
                print(f"connections to Redis do not grow with readers: {_met(after <= before)}")
    print(table(rows))


@contextmanager
def _one_stream(relay: Started, question: Question) -> Iterator[str]:
    """A stream with one reader, who takes all that comes; its URL."""
    parts = urlsplit(relay.url)
    body = f"chat_history={question}".encode()
    head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as sock:
        sock.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        answered = b""
        while b"\r\n\r\n" not in answered:
            answered += sock.recv(65536)
        location = answered.lower().partition(b"\r\nlocation: ")[2].partition(b"\r\n")[0].decode()
        assert location, f"expected a Location, got {answered[:300]!r}"
        taken = threading.Thread(target=_take, args=(sock,))
        taken.start()
        yield f"http://{parts.netloc}{location}"
        taken.join()


def _take(sock: socket.socket) -> None:
    tail = b""
    while not tail.endswith(b"\r\n0\r\n\r\n"):
        data = sock.recv(65536)
        if not data:
            return
        tail = (tail + data)[-16:]


def _connections(redis_url: str | None) -> int:
    """To that server, but for this one."""
    import redis

    with redis.Redis.from_url(redis_url or "") as client:
        return len(client.client_list()) - 1


# -- what the store holds --------------------------------------------------------------------------------------------


def store(*, quick: bool) -> None:
    """Memory of the relay before and after many streams that it keeps."""
    traffic = Traffic(STREAMS, 8_000)
    loads = 2 if quick else 10
    with ExitStack() as stack:
        upstream = stack.enter_context(started([sys.executable, "-m", "benchmarks.relay_upstream"]))
        process = stack.enter_context(started(our_command(upstream.url + ENDPOINT, "--resume")))
        relay = Relay(MEMORY, process, upstream)
        for _ in range(3):  # its first loads leave the buffers that later ones use again
            in_turns([relay], 1, lambda _: traffic)
        before = memory_bytes(process.pid)
        in_turns([relay], loads, lambda _: traffic)
        grown = memory_bytes(process.pid) - before
    text = sum(map(len, text_of(traffic.events))) * STREAMS * loads
    pieces = traffic.total * loads
    stated = max(text, 4 * pieces) + END_BYTES * pieces
    rows = [
        ["streams", "pieces", "text", "grown by", "per byte of text", "stated", "grown / stated", f"≤ {MAX_STATED:g}"],
        [
            *(f"{STREAMS * loads:,}", f"{pieces:,}", f"{text / 1e6:.1f} MB", f"{grown / 1e6:.1f} MB"),
            *(
                f"{grown / text:.2f}",
                f"{stated / 1e6:.1f} MB",
                f"{grown / stated:.2f}",
                _met(grown / stated <= MAX_STATED),
            ),
        ],
    ]
    print(table(rows))


# -- cuts ------------------------------------------------------------------------------------------------------------


def cuts(redis_url: str | None, resumes: int, seed: int, *, quick: bool) -> None:
    """Ours and the packages."""
    failing, pieces = (3, 200) if quick else (20, 1_000)
    kept = {f"streamkit, {name}": words for name, words in stores(redis_url).items()}
    tallies = asyncio.run(contest(redis_url, kept, resumes=resumes, failing=failing, pieces=pieces, seed=seed))
    print(f"{resumes} streams of {pieces:,} pieces without pauses, each cut once and resumed; seed {seed}\n")
    rows: list[list[object]] = [["", "exact", "lost", "duplicated", "refused", "hung"]]
    rows += [[name, it.exact, it.lost, it.duplicated, it.refused, it.hung] for name, it in tallies.items()]
    print(table(rows))
    print(f"\n{failing} streams whose producer fails: what its reader is told, and who comes back behind all pieces\n")
    rows = [["", "told", "looks complete", "told who came back", "looks complete", "hung"]]
    for name, it in tallies.items():
        first, later = it.looks_complete, it.looks_complete_resumed
        rows.append([name, failing - first, first, failing - later - it.hung_resumed, later, it.hung_resumed])
    print(table(rows))
    print()
    for name in kept:
        it = tallies[name]
        unheard = it.looks_complete + it.looks_complete_resumed + it.hung_resumed
        print(f"{name}: all exact: {_met(it.exact == resumes)}; every failure told: {_met(unheard == 0)}")


# -- the command line ------------------------------------------------------------------------------------------------


def _met(met: bool) -> str:
    return "ok" if met else "MISSED"


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is asked for and print the tables."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.resume", description="Streams that can be resumed")
    options.add_argument("--scenario", choices=("cost", "readers", "store", "cuts"), help="default: all of them")
    options.add_argument("--rounds", type=int, help="cost: loads per relay (default: 5; --quick: 1)")
    options.add_argument(
        "--resumes", type=int, help="cuts: streams that are cut and resumed (default: 100; --quick: 10)"
    )
    options.add_argument("--seed", type=int, default=13, help="cuts: of the places (default: 13)")
    options.add_argument("--quick", action="store_true", help="one short round: a first look")
    given = options.parse_args(words)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the relays inherit it
    rounds = given.rounds or (1 if given.quick else 5)
    resumes = given.resumes or (10 if given.quick else 100)
    began_s = time.monotonic()
    print(f"CPython {sys.version.split()[0]}, rounds: {rounds}; CPU of the relay's process")
    with redis_server() as redis_url:
        scenarios: dict[str, Callable[[], None]] = {
            "cost": lambda: cost(redis_url, rounds, quick=given.quick),
            "readers": lambda: readers(redis_url, quick=given.quick),
            "store": lambda: store(quick=given.quick),
            "cuts": lambda: cuts(redis_url, resumes, given.seed, quick=given.quick),
        }
        for name, measure in scenarios.items():
            if given.scenario in (None, name):
                print(f"\n## {name}\n")
                measure()
    print(f"\n{time.monotonic() - began_s:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a second worker brings: `python -m benchmarks.workers [--workers N] [--rounds N] [--streams N] [--quick]`.

    this process          ──POST /ans──▶  streamkit serve --workers 1, or N  ──POST──▶  nginx: one recorded answer
    (epoll, bytes counted)  ◀─text/plain─       (processes)                  ◀──SSE──   (sendfile; a process)

A saturated load: every stream as fast as it is taken, so that the workers' CPU is the limit. On a machine of few cores
the others need some of them too; so nginx sends a file, this client counts bytes and sums them up (CRC-32), and both
are shown as what they take of a core for each second that the workers take. The table has

- events/s by the wall clock, and the same over those of one worker: the speed-up;
- how many cores the workers had, in the mean: on a machine that does other things too, two do not have two;
- the workers' CPU per event: more workers should not make an event dearer. Where they do not, the speed-up is what they
  had of cores, and nothing of it is lost between them;
- what the machine could do if it did nothing else, by the CPU that all take for an event: the workers as many events
  as fill a core each, or all of them together as many as fill all cores;
- how the streams were shared: the busiest worker's part of the workers' CPU. Half of it each is 50 % of two.

Runs take turns, the medians count. Every answer has to be whole and right, or the run ends.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import socket
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.harness import Started, cpu_s, started, table
from streamkit.serving.listener import free_port

__all__ = ["Run", "main", "measure"]

EVENTS: Final = 2_000
"""Of one answer."""
WORDS: Final = ("my ", "town ", "lingo ", "quits ", "only ", "join ")
"""Of letters that are no hexadecimal digits: what is framing can be told from text by that."""
FRAMING: Final = b"0123456789abcdef\r\n"
END: Final = b"\r\n0\r\n\r\n"
READ_BYTES: Final = 1 << 18
LIMIT_S: Final = 60.0
GOAL: Final = 1.7

NGINX: Final = """
daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    sendfile on; tcp_nopush off; keepalive_requests 1000000; types {{ }} default_type text/event-stream;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; error_page 405 =200 /answer; }}
}}
"""
"""A POST for a file is refused with 405, and answered with the file all the same."""


def text() -> bytes:
    """What an answer says."""
    return "".join(WORDS[number % len(WORDS)] for number in range(EVENTS)).encode()


def answer() -> bytes:
    """The same as a provider streams it."""
    head = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    part = head + b'"delta":{"content":"%b"},"finish_reason":null}]}\n\n'
    return b"".join(part % WORDS[number % len(WORDS)].encode() for number in range(EVENTS)) + b"data: [DONE]\n\n"


# -- who is run ------------------------------------------------------------------------------------------------------


@contextmanager
def upstream() -> Iterator[Started]:
    """nginx, which sends `answer` to every POST."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise SystemExit("nginx is not installed: it is the upstream that takes next to no CPU (apt-get install nginx)")
    with tempfile.TemporaryDirectory(prefix="streamkit-workers-") as folder:
        port = free_port()
        Path(folder, "answer").write_bytes(answer())
        Path(folder, "conf").write_text(NGINX.format(folder=folder, port=port))
        says = f'echo "ready http://127.0.0.1:{port}"; exec "$0" "$@"'
        with started(["sh", "-c", says, program, "-e", "stderr", "-p", folder, "-c", f"{folder}/conf"]) as it:
            yield it


@contextmanager
def relay(url: str, workers: int) -> Iterator[Started]:
    """Ours, as users run it."""
    options = ["--port", "0", "--preset", "openai", "--model", "some-model", "--workers", str(workers)]
    with started([sys.executable, "-m", "streamkit", "serve", "--upstream", f"{url}/answer", *options]) as it:
        yield it


def workers_of(pid: int) -> list[int]:
    """The processes that serve: those that a manager has started, or itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in map(int, children) if b"spawn_main" in _command_line(child)] or [pid]


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


# -- one load --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One load: how long it took, and the CPU seconds of each worker, and of upstream and client together."""

    events: int
    wall_s: float
    workers_s: tuple[float, ...]
    others_s: float

    @property
    def per_second(self) -> float:
        return self.events / self.wall_s

    @property
    def per_event_us(self) -> float:
        """Of the workers."""
        return sum(self.workers_s) / self.events * 1e6

    @property
    def cores_had(self) -> float:
        """By the workers, in the mean."""
        return sum(self.workers_s) / self.wall_s

    @property
    def others_share(self) -> float:
        return self.others_s / sum(self.workers_s)

    @property
    def busiest_share(self) -> float:
        return max(self.workers_s) / sum(self.workers_s)

    def at_best(self, cores: int) -> float:
        """Events a second where the machine does nothing else: the workers fill a core each, or all fill all cores."""
        workers_s = sum(self.workers_s)
        return self.events / max(workers_s / len(self.workers_s), (workers_s + self.others_s) / cores)


def measure(server: Started, source: Started, streams: int, at_once: int) -> Run:
    """Ask for so many answers, so many of them at a time."""
    pids = workers_of(server.pid)
    before = [cpu_s(pid) for pid in pids]
    others = cpu_s(source.pid) + time.process_time()
    began = time.monotonic()
    _drive(server.url, streams, at_once)
    wall_s = time.monotonic() - began
    used = tuple(cpu_s(pid) - at for pid, at in zip(pids, before, strict=True))
    return Run(streams * EVENTS, wall_s, used, cpu_s(source.pid) + time.process_time() - others)


@dataclass
class _Answer:
    sock: socket.socket
    size: int = 0
    sum: int = 0
    tail: bytes = b""
    in_body: bool = False


def _drive(url: str, streams: int, at_once: int) -> None:
    """All answers, each of which has to be right."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    body = b"chat_history=hi"
    head = f"POST /ans HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len(body)}\r\n"
    asked = head.encode() + b"content-type: application/x-www-form-urlencoded\r\n\r\n" + body
    right = len(text()), zlib.crc32(text())
    epoll, live, begun, over = select.epoll(), dict[int, _Answer](), 0, 0
    buffer = bytearray(READ_BYTES)
    until = time.monotonic() + LIMIT_S
    with epoll:
        while over < streams:
            while begun < streams and len(live) < at_once:
                sock = socket.create_connection(address)
                sock.sendall(asked)
                live[sock.fileno()] = _Answer(sock)
                epoll.register(sock, select.EPOLLIN)
                begun += 1
            assert time.monotonic() < until, f"{over} of {streams} answers within {LIMIT_S:g} s"
            for number, _ in epoll.poll(1):
                if not _read(live[number], buffer):
                    done = live.pop(number)
                    done.sock.close()
                    assert (done.size, done.sum, done.tail) == (*right, END), "an answer is not right"
                    over += 1


def _read(answer: _Answer, buffer: bytearray) -> bool:
    size = answer.sock.recv_into(buffer)
    data = bytes(memoryview(buffer)[:size])
    if not answer.in_body and data:
        head, _, data = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        answer.in_body = True
    words = data.translate(None, FRAMING)
    answer.size += len(words)
    answer.sum = zlib.crc32(words, answer.sum)
    answer.tail = (answer.tail + data)[-len(END) :]
    return bool(size)


# -- what is shown ---------------------------------------------------------------------------------------------------


def compare(many: int, rounds: int, streams: int, at_once: int) -> tuple[float, float]:
    """Print the table; the speed-up by the clock, and that of a machine that does nothing else, by CPU."""
    cores = len(os.sched_getaffinity(0))
    runs: dict[int, list[Run]] = {1: [], many: []}
    with ExitStack() as stack:
        source = stack.enter_context(upstream())
        servers = {number: stack.enter_context(relay(source.url, number)) for number in runs}
        for server in servers.values():
            measure(server, source, at_once, at_once)  # warm
        for turn in range(rounds):
            for number in sorted(runs, reverse=bool(turn % 2)):
                runs[number].append(measure(servers[number], source, streams, at_once))
                print(f"\r{turn + 1} of {rounds}", end="\r", file=sys.stderr, flush=True)
    rows: list[list[str]] = [
        ["workers", "events/s", "speed-up", "cores had", "CPU per event", "others' CPU", "at best", "busiest"],
    ]
    one = statistics.median(run.per_second for run in runs[1])
    for number, measured in runs.items():
        rows.append([str(number), *_row(measured, one, cores)])
    print(f"\n## {at_once} streams at a time, {cores} cores\n\n{table(rows)}\n")
    at_best = {number: statistics.median(run.at_best(cores) for run in measured) for number, measured in runs.items()}
    return statistics.median(run.per_second for run in runs[many]) / one, at_best[many] / at_best[1]


def _row(measured: Sequence[Run], one: float, cores: int) -> list[str]:
    rate = statistics.median(run.per_second for run in measured)
    return [
        f"{rate:,.0f}",
        f"{rate / one:.2f}",
        f"{statistics.median(run.cores_had for run in measured):.2f}",
        f"{statistics.median(run.per_event_us for run in measured):.2f} µs",
        f"{statistics.median(run.others_share for run in measured):.0%}",
        f"{statistics.median(run.at_best(cores) for run in measured):,.0f}/s",
        f"{statistics.median(run.busiest_share for run in measured):.0%}",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; a goal that is missed is said, and changes nothing else."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.workers", description="What a second worker brings")
    options.add_argument("--workers", type=int, default=2, metavar="N", help="beside one (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=9, metavar="N", help="of each (default: %(default)s)")
    options.add_argument("--streams", type=int, default=200, metavar="N", help="a round (default: %(default)s)")
    options.add_argument("--at-once", type=int, default=32, metavar="N", help="of them (default: %(default)s)")
    options.add_argument("--quick", action="store_true", help="three rounds of fewer streams")
    given = options.parse_args(arguments)
    rounds, streams = (3, 2 * given.at_once) if given.quick else (given.rounds, given.streams)
    for by, gained in zip(("clock", "CPU"), compare(given.workers, rounds, streams, given.at_once), strict=True):
        met = "met" if gained >= GOAL else "MISSED"
        print(f"{given.workers} workers over one ≥ {GOAL:g}, by the {by}: {gained:.2f} {met}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The load client of the relay benchmark: many POSTs at once, every byte counted, the text of every answer compared.

    python -m benchmarks.relay_load URL --streams 50 --events 1000      # prints one line of JSON, a `Load`

It must never be the bottleneck: one thread, epoll, and no parsing. The text is told from HTTP's chunked framing by its
alphabet (`relay_upstream.FRAMING_BYTES`), the end by the final chunk, the number of chunks by counting CRLFs.

`--answer` says what is expected: the `text`; the upstream's own bytes (`passed-openai` …), of a proxy that extracts
nothing; or an event stream, whose ids are numbers (`events`) or, where it can be resumed, cursors (`cursors`): those
are told from the rest as framing is, since all of their bytes but one are hexadecimal digits. With `--get` the streams
are not asked for: all read what stands at URL.
"""

from __future__ import annotations

import argparse
import json
import resource
import select
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from benchmarks.relay_events import EVENTS
from benchmarks.relay_upstream import Question, Sum, events_of, pieces_of, text_of

__all__ = ["ALL_OPEN", "ANSWERS", "Load", "drive"]

ALL_OPEN = "all open"
READ_BYTES = 256 * 1024
END = b"\r\n0\r\n\r\n"


def _shown(events: int, *, cursors: bool) -> Iterator[bytes]:
    """Our relay's event stream, without the digits of its ids."""
    if cursors:
        yield b"retry: "
    event = b"id: .data: %b" if cursors else b"id: data: %b"
    for part in pieces_of(events):
        yield b"".join([event % b'{"text":"%b"}' % word for word in part])
    yield b'event: donedata: {"outcome":"complete","pieces":,"finish_reason":"stop"}'


ANSWERS: Final[dict[str, Callable[[int], Iterable[bytes]]]] = {
    "text": text_of,
    **{f"passed-{said}": partial(events_of, said=said) for said in EVENTS},
    "events": lambda events: _shown(events, cursors=False),
    "cursors": lambda events: _shown(events, cursors=True),
}
"""What an answer of so many events has to be."""


@dataclass
class Load:
    """What one load was and how it went."""

    streams: int
    events: int  # per stream
    complete: int = 0  # streams whose final chunk came
    right: int = 0  # of these, with the whole text and nothing else
    duration_s: float = 0.0  # from the first connect to the last byte
    cpu_s: float = 0.0  # of this client, during the load
    chunks: int = 0  # HTTP chunks that came, final ones not counted
    ttft_ms: list[float] = field(default_factory=list)  # median, 95 %, maximum
    errors: list[str] = field(default_factory=list)  # the first few


class _Stream:
    """One POST. Times are monotonic nanoseconds."""

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.sock.setblocking(False)
        self.sock.connect_ex(address)
        self._request = request
        self.sent_ns = 0
        self.first_ns = 0
        self.got = Sum()
        self.crlfs = 0
        self.complete = False
        self.error = ""
        self._head = b""
        self._in_body = False
        self._tail = b""

    def send(self) -> None:
        """Connected: send the request, which fits into an empty socket buffer."""
        assert self.sock.send(self._request) == len(self._request)
        self.sent_ns = time.monotonic_ns()

    def read(self, buffer: bytearray) -> bool:
        """Count one read; False when the stream is over, for good or ill."""
        try:
            size = self.sock.recv_into(buffer)
        except ConnectionError as error:
            size = 0
            self.error = type(error).__name__
        if not size:
            self.error = self.error or "closed before the final chunk"
            return False
        data = bytes(memoryview(buffer)[:size])
        if not self._in_body:
            data = self._body(data)
            if self.error:
                return False
        if not data:
            return True
        if not self.first_ns:
            self.first_ns = time.monotonic_ns()
        self.got.add(data)
        self._tail = (self._tail + data)[-len(END) :]
        self.crlfs += data.count(b"\r\n")
        self.complete = self._tail == END
        return not self.complete

    def _body(self, data: bytes) -> bytes:
        """What of `data` lies behind the head; reads its status."""
        self._head += data
        head, end, body = self._head.partition(b"\r\n\r\n")
        if not end:
            return b""
        self._in_body = True
        if not head.startswith(b"HTTP/1.1 200 ") or b"transfer-encoding: chunked" not in head.lower():
            self.error = f"expected 200 and chunks, got {head[:200]!r}"
        return body

    @property
    def chunks(self) -> int:
        """Two CRLFs a chunk, the final one included; a CRLF cut in two by a read is not seen, and not missed."""
        return max(0, round(self.crlfs / 2) - 1)


def drive(
    url: str,
    question: Question,
    *,
    streams: int,
    ramp_s: float,
    limit_s: float,
    answer: str = "text",
    get: bool = False,
) -> Load:
    """Run the load: stream i begins at i/streams of `ramp_s`; what is not over after `limit_s` counts as incomplete.

    Paced streams are shifted against each other by equal parts of the gap, unless the ramp does that.
    """
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    expected = Sum(ANSWERS[answer](question.events))
    accept = "text/event-stream" if answer in {"events", "cursors"} else "*/*"
    epoll, live, over = select.epoll(), dict[int, _Stream](), list[_Stream]()
    buffer = bytearray(READ_BYTES)
    waiting_for_first = streams
    started, begin_s, begin_cpu_s = 0, time.monotonic(), time.process_time()
    while len(over) < streams and (passed_s := time.monotonic() - begin_s) < limit_s:
        while started < streams and started * ramp_s / streams <= passed_s:
            delay_us = 0 if ramp_s else question.gap_us * started // streams
            asked = None if get else Question(question.events, question.gap_us, delay_us)
            stream = _Stream(address, _request(parts.path, parts.netloc, accept, asked))
            live[stream.sock.fileno()] = stream
            epoll.register(stream.sock, select.EPOLLOUT)
            started += 1
        next_s = started * ramp_s / streams - passed_s if started < streams else limit_s - passed_s
        for number, _ in epoll.poll(max(0.0, next_s)):
            stream = live[number]
            unseen = not stream.first_ns
            try:
                if not stream.sent_ns:
                    stream.send()
                    epoll.modify(number, select.EPOLLIN)
                    continue
                goes_on = stream.read(buffer)
            except OSError as error:
                stream.error, goes_on = type(error).__name__, False
            if unseen and stream.first_ns:
                waiting_for_first -= 1
                if not waiting_for_first and len(live) == streams:
                    print(ALL_OPEN, flush=True)
            if not goes_on:
                over.append(live.pop(number))
                stream.sock.close()
    load = Load(streams, question.events)
    load.duration_s = time.monotonic() - begin_s
    load.cpu_s = time.process_time() - begin_cpu_s
    _sum_up(load, [*over, *live.values()], expected)
    return load


def _request(path: str, host: str, accept: str, question: Question | None) -> bytes:
    """A question, or a GET."""
    head = [f"host: {host}", f"accept: {accept}"]
    if question is None:
        return "\r\n".join([f"GET {path} HTTP/1.1", *head, "", ""]).encode()
    body = f"chat_history={question}".encode()
    form = ["content-type: application/x-www-form-urlencoded", f"content-length: {len(body)}"]
    return "\r\n".join([f"POST {path} HTTP/1.1", *head, *form, "", ""]).encode() + body


def _sum_up(load: Load, streams: list[_Stream], expected: Sum) -> None:
    load.complete = sum(stream.complete for stream in streams)
    load.right = sum(stream.complete and stream.got == expected for stream in streams)
    load.chunks = sum(stream.chunks for stream in streams)
    load.errors = [stream.error or "not over in time" for stream in streams if not stream.complete][:3]
    ttft_ms = sorted((stream.first_ns - stream.sent_ns) / 1e6 for stream in streams if stream.first_ns)
    if ttft_ms:
        load.ttft_ms = [statistics.median(ttft_ms), ttft_ms[int(0.95 * (len(ttft_ms) - 1))], ttft_ms[-1]]


def main() -> None:
    """Drive one load and print it."""
    options = argparse.ArgumentParser(description="The load client of the relay benchmark")
    options.add_argument("url")
    options.add_argument("--streams", type=int, default=50)
    options.add_argument("--events", type=int, default=1000, help="per stream")
    options.add_argument("--gap-us", type=int, default=0, help="between two events of a stream; 0: saturated")
    options.add_argument("--ramp-s", type=float, default=0.0, help="over which the streams begin")
    options.add_argument("--limit-s", type=float, default=60.0, help="after which the load ends in any case")
    options.add_argument("--answer", choices=tuple(ANSWERS), default="text", help="what is expected")
    options.add_argument("--get", action="store_true", help="read what there is at URL")
    given = options.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load = drive(
        given.url,
        Question(given.events, given.gap_us),
        streams=given.streams,
        ramp_s=given.ramp_s,
        limit_s=given.limit_s,
        answer=given.answer,
        get=given.get,
    )
    json.dump(asdict(load), sys.stdout)
    print()


if __name__ == "__main__":
    main()

"""The clients that benchmarks.truth judges, one small module each.

A module has `run(job)`, synchronous or not, which opens all streams at once and returns one `Seen` per stream. It
stamps in the way its users would, and keeps everything else (finding events in the bytes) for after the run.

    called_ns   when the call that makes the request was entered, connecting included
    sent_ns     when the client knows its request to have left; None where the library does not tell
    at_ns       the time of each event, in order
    read        the number of the read or piece that brought it, for clients that show this; else None
    error_ns    how wrong each time may be, for clients that say so; else None
    summary     what the client's own default summary says of stalls: `stalls` (how many), `stall_after` (after how
                many events), for clients that have one
    remarks     what else the client says of the stream; counted and printed

All times are those of the monotonic clock, which processes share.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

__all__ = ["CLIENTS", "Job", "Seen", "chat", "events_of_pieces", "raw_request"]

CLIENTS: Final = {
    "recvmsg": "recvmsg_loop",
    "data_received": "data_received",
    "streamkit": "streamkit_record",
    "aiohttp": "aiohttp_pieces",
    "httpx2-raw": "httpx2_raw",
    "httpx2-lines": "httpx2_lines",
    "openai": "openai_sdk",
}
"""Names and modules. `name@uvloop` runs it on uvloop instead of asyncio's own loop."""


@dataclass(frozen=True)
class Job:
    """POST to `http://127.0.0.1:port` + `path`, `streams` times at once; `events` are expected in each answer."""

    port: int
    streams: int
    events: int
    path: str = "/v1/chat/completions"
    relay: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"


@dataclass
class Seen:
    """One stream as a client saw it."""

    stream: int
    called_ns: int
    sent_ns: int | None = None
    at_ns: Sequence[int] = ()
    read: Sequence[int] | None = None
    error_ns: Sequence[int] | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def chat(stream: int | None) -> dict[str, Any]:
    """The request's JSON; None: a warm-up."""
    content = "warm-up" if stream is None else f"stream-{stream}"
    return {"model": "golden", "messages": [{"role": "user", "content": content}], "stream": True}


def raw_request(job: Job, stream: int | None) -> bytes:
    """The same as bytes, for clients without an HTTP library; a relay is asked for an event stream."""
    body = json.dumps({"chat_history": f"stream-{stream}"} if job.relay else chat(stream)).encode()
    head = (
        f"POST {job.path} HTTP/1.1\r\nHost: 127.0.0.1:{job.port}\r\nContent-Type: application/json\r\n"
        f"Accept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def events_of_pieces(pieces: Sequence[tuple[int, bytes]], events: int) -> tuple[list[int], list[int]]:
    """`(at_ns, read)` of the first `events` events: the time and number of the piece that held their last byte.

    The pieces are of a body or of a whole answer: an event ends with LF LF, which neither a response head nor the
    framing of chunks contains.
    """
    body = b"".join(data for _, data in pieces)
    ends = list(accumulate(len(data) for _, data in pieces))
    at_ns: list[int] = []
    read: list[int] = []
    position = piece = 0
    while len(at_ns) < events and (found := body.find(b"\n\n", position)) >= 0:
        position = found + 2
        while ends[piece] < position:
            piece += 1
        at_ns.append(pieces[piece][0])
        read.append(piece)
    return at_ns, read

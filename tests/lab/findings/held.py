"""A made-up source and made-up layers: what a client would record of them. No clock runs, and nothing is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.taps import Tap

MS = 1_000_000
Sent: TypeAlias = Sequence[tuple[float, bytes]]
"""What leaves when: milliseconds, bytes."""
Layer: TypeAlias = Callable[[Sent], Sent]

EVENT = b"data: %b\n\n" % (b"x" * 392)  # 400 bytes


def steady(count: int = 120, gap_ms: float = 8.0, event: bytes = EVENT) -> Sent:
    """An event every so often."""
    return [(10 + number * gap_ms, event) for number in range(count)]


def in_bursts(count: int = 120, together: int = 15, pause_ms: float = 200.0) -> Sent:
    """A source that pauses, and then says several at once."""
    return [(10 + number // together * pause_ms, EVENT) for number in range(count)]


def portions(size: int, first: int | None = None) -> Layer:
    """A buffer of so many bytes; `first` is what is left of the first one behind a head."""

    def layer(sent: Sent) -> Iterator[tuple[float, bytes]]:
        held, room = b"", first or size
        for at, data in sent:
            held += data
            while len(held) >= room:
                yield at, held[:room]
                held, room = held[room:], size
        if held:
            yield sent[-1][0] + 1, held

    return lambda sent: list(layer(sent))


def every(period_ms: float) -> Layer:
    """Whatever has come is let go so often."""

    def layer(sent: Sent) -> Iterator[tuple[float, bytes]]:
        held, due = b"", sent[0][0] + period_ms
        for at, data in sent:
            while at >= due:
                if held:
                    yield due, held
                held, due = b"", due + period_ms
            held += data
        yield sent[-1][0] + 1, held

    return lambda sent: list(layer(sent))


def head_start(size: int) -> Layer:
    """So many bytes are waited for; then all goes through."""

    def layer(sent: Sent) -> Iterator[tuple[float, bytes]]:
        held: bytes | None = b""
        for at, data in sent:
            if held is None:
                yield at, data
                continue
            held += data
            if len(held) >= size:
                yield at, held
                held = None

    return lambda sent: list(layer(sent))


def whole(sent: Sent) -> Sent:
    """All of it, at the end."""
    return [(sent[-1][0] + 1, b"".join(data for _, data in sent))]


def late(by_ms: float) -> Layer:
    """A long way."""
    return lambda sent: [(at + by_ms, data) for at, data in sent]


def recorded(
    sent: Sent,
    *layers: Layer,
    told: bool = True,
    lag_ms: float = 0.0,
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> Recording:
    """What a client records behind the layers, nearest to the source first; `told`: its server told its taps."""
    came = sent
    for layer in layers:
        came = layer(came)
    return recording_of(sent, came, told=told, lag_ms=lag_ms, headers=headers or {}, **fields)


def as_text(sent: Sent, *layers: Layer, told: bool = True, headers: dict[str, str] | None = None) -> Recording:
    """The same as text/plain: nothing tells where one event ends and the next one begins."""
    came = sent
    for layer in layers:
        came = layer(came)
    at_ns = [round(at * MS) for at, _ in came]
    sizes = list(accumulate(len(data) for _, data in sent))
    tap = Tap([round(at * MS) for at, _ in sent], list(range(1, len(sent) + 1)), sizes)
    return Recording(
        reads=Reads(at_ns, data=[data for _, data in came]),
        events=Events(at_ns, text=[data.decode() for _, data in came], event=[""] * len(came)),
        taps={"relay.sent": tap} if told else {},
        headers={"content-type": "text/plain", **(headers or {})},
        sent_ns=0,
        ended_ns=at_ns[-1],
    )


def packed(sent: Sent, came: Sequence[float], coding: str = "gzip", body: bytes = b"", **more: Any) -> Recording:
    """The same behind a compressor that lets go at these moments: a few bytes that nobody unpacks."""
    ends = list(accumulate(1 for _ in sent))
    at_ns = [round(at * MS) for at in came]
    number = [min(sum(moment < at for moment in came), len(came) - 1) for at, _ in sent]
    headers = {"content-type": "text/event-stream", "content-encoding": coding, **more.pop("headers", {})}
    tap = Tap([round(at * MS) for at, _ in sent], ends, ends)
    return Recording(
        reads=Reads(at_ns, data=[body or b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03x"] * len(came)),
        events=Events(
            [at_ns[each] for each in number], read=number, event=["message"] * len(sent), text=["x"] * len(sent)
        ),
        taps={"upstream.sent": tap} if more.pop("told", True) else {},
        headers=headers,
        sent_ns=0,
        ended_ns=at_ns[-1],
        **more,
    )


def recording_of(
    sent: Sent, came: Sent, *, told: bool, lag_ms: float, headers: dict[str, str], **fields: Any
) -> Recording:
    """Events are complete with the read that brings their last byte."""
    reached = list(accumulate(len(data) for _, data in came))
    ends = list(accumulate(len(data) for _, data in sent))
    read = [next(number for number, size in enumerate(reached) if size >= end) for end in ends]
    at_ns = [round(at * MS) for at, _ in came]
    counts = list(range(1, len(sent) + 1))
    return Recording(
        reads=Reads(at_ns, data=[data for _, data in came]),
        events=Events([at_ns[each] for each in read], read=read, event=["message"] * len(sent), text=["x"] * len(sent)),
        taps={"upstream.sent": Tap([round(at * MS) for at, _ in sent], counts, counts)} if told else {},
        headers={"content-type": "text/event-stream", **headers},
        sent_ns=0,
        ended_ns=at_ns[-1],
        meta={"loop_lag_ns": round(lag_ms * MS), **fields.pop("meta", {})},
        **fields,
    )

"""The way of a stream, made up: which event passed which tap when, in ms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from streamkit.taps import Tap

MS = 1_000_000
DUE = [300 + 50 * i for i in range(40)]
HALTED = [1800 if 900 < at < 1800 else at for at in DUE]
FIVES = [DUE[5 * (i // 5) + 4] + 1.0 for i in range(40)]


def way(
    taps: Mapping[str, Sequence[float]],
    client: Sequence[float],
    outcome: str = "complete",
    ended_ms: float = 0,
    handed: Sequence[float] | None = None,
    event: Sequence[str] | None = None,
    **fields: Any,
) -> Recording:
    """One event of seven bytes at each of these times, tap by tap, in ms; the client's equal times share a read."""
    at_ns = [round(at * MS) for at in client]
    reads = sorted(set(at_ns))
    handed_ns = None if handed is None else [round(at * MS) for at in handed]
    return Recording(
        reads=Reads(reads, size=[99] * len(reads)),
        events=Events(at_ns, text=["seven b"] * len(at_ns), event=event, handed_ns=handed_ns),
        taps={name: _tap(times) for name, times in taps.items()},
        outcome=Outcome.parse(outcome),
        ended_ns=round(max([ended_ms, *client]) * MS),
        **{"sent_ns": 0, **fields},
    )


def _tap(at_ms: Sequence[float]) -> Tap:
    return Tap([round(at * MS) for at in at_ms], range(1, len(at_ms) + 1), range(7, 7 * len(at_ms) + 1, 7))


def later(times: Sequence[float], by_ms: float) -> list[float]:
    return [at + by_ms for at in times]


def slow_reader(relay_room: int = 12, count: int = 120) -> Recording:
    """From event 30 on the reader takes 42 ms an event, the upstream goes on sending one every 20 ms. The socket holds
    15 events, then the relay's send waits; the relay holds `relay_room`, then it reads no more."""
    due = [200 + 20 * i for i in range(count)]
    read, sent, client = [0.0] * count, [0.0] * count, [0.0] * count
    for i in range(count):
        read[i] = max(due[i] + 0.2, sent[i - relay_room] if i >= relay_room else 0)
        sent[i] = max(read[i] + 0.2, client[i - 15] if i >= 15 else 0)
        client[i] = max(sent[i] + 0.2, client[i - 1] + 42 if i >= 30 else 0)
    return way({"upstream.due": due, "upstream.sent": due, "relay.read": read, "relay.sent": sent}, client)


def quick(times: Sequence[float], **changes: Sequence[float]) -> Recording:
    """Each hop takes 0.2 ms, from the upstream on, except where told otherwise."""
    names = ("upstream.due", "upstream.sent", "relay.read", "relay.event", "relay.send", "relay.sent", "client_read")
    stamps = {name: changes.get(name.replace(".", "_"), later(times, 0.2 * i)) for i, name in enumerate(names)}
    return way(stamps, stamps.pop("client_read"))


FINE = quick(DUE)
RELAY_STALL = quick(DUE, relay_send=later(HALTED, 0.8), relay_sent=later(HALTED, 1.0), client_read=later(HALTED, 1.2))
DISTANT = quick(DUE, client_read=later(DUE, 151))

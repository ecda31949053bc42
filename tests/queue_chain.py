"""A chain of queues that fills from its end: what a slow reader makes of them, computed, not measured."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from streamkit.taps import Tap
from streamkit.taps.gauges import GAUGES, NOT_KNOWN, Gauge

MS = 1_000_000
FRAMING = 20
"""Bytes on the wire beside each piece."""
LEAVES = {"relay.unread": "relay.read", "relay.pending": "relay.sent", "client.unread": "client.read"}
"""What leaves this queue passes that tap."""
TCP = {
    "upstream.buffer": 65_536,
    "upstream.unsent": 2_600_000,
    "relay.unread": 1_400_000,
    "relay.inbox": 65_536,
    "relay.pending": 1,
    "relay.buffer": 65_536,
    "relay.unsent": 2_600_000,
    "client.unread": 1_400_000,
    "client.backlog": 4_000,
}
SMALL = dict.fromkeys(GAUGES, 1300) | {"relay.pending": 1, "client.backlog": 200}


def chain(
    room: Mapping[str, int],
    pieces: int,
    *,
    read: Callable[[int], int],
    piece: int = 980,
    at_once: int = 1,
    gap_ms: int = 1,
    step_ms: int = 1,
    every_ms: int = 20,
    unknown: Collection[str] = (),
    until_ms: int | None = None,
    **fields: Any,
) -> Recording:
    """`at_once` pieces of text are offered every `gap_ms`, up to `pieces`; the reader takes `read(ms)` bytes per step.

    The queues hold up to `room` bytes; each moves what the next has room for, once per step. `until_ms` cuts it off.
    """
    wire = piece + FRAMING
    held, passed = dict.fromkeys(GAUGES, 0), dict.fromkeys((*LEAVES.values(), "upstream.sent", "client.event"), 0)
    steps: dict[str, list[tuple[int, int]]] = {tap: [] for tap in passed}
    gauges: dict[str, Gauge] = {name: Gauge() for name in (*GAUGES, "upstream.wrote", "relay.wrote")}
    marks: dict[str, int] = {}
    counts: dict[str, int] = {"relay.dropped_pieces": 0}
    ms = 0

    def pass_by(tap: str, size: int) -> None:
        if (passed[tap] + size) // wire > passed[tap] // wire:
            steps[tap].append((ms, (passed[tap] + size) // wire))
        passed[tap] += size

    while passed["client.event"] < pieces * wire and (until_ms is None or ms <= until_ms):
        size = min(held["client.backlog"], read(ms))
        held["client.backlog"] -= size
        pass_by("client.event", size)
        for name, following in reversed(list(pairwise(GAUGES))):
            size = min(held[name], max(0, room[following] - held[following]))
            if following == "relay.pending":  # passes through it within the step
                size = min(held[name], max(0, room["relay.buffer"] - held["relay.buffer"]))
                if size < held[name] and "relay.blocked" not in marks:
                    marks["relay.blocked"], counts["relay.blocked_bytes"] = ms * MS, passed["relay.sent"]
                held["relay.buffer"] += size
                pass_by("relay.sent", size)
            elif name != "relay.pending":
                held[following] += size
            else:
                continue
            held[name] -= size
            if name in LEAVES:
                pass_by(LEAVES[name], size)
        offered = min(pieces, (ms // gap_ms + 1) * at_once) * wire
        while passed["upstream.sent"] < offered and held["upstream.buffer"] < room["upstream.buffer"]:
            held["upstream.buffer"] += wire
            pass_by("upstream.sent", wire)
        if ms % every_ms == 0:
            wrote = {"upstream.wrote": passed["upstream.sent"], "relay.wrote": passed["relay.sent"]}
            for name, value in (held | wrote).items():
                gauges[name].at_ns.append(ms * MS)
                gauges[name].value.append(NOT_KNOWN if name in unknown else value)
        ms += step_ms
    at_ns, handed_at = ([at * MS for at in _each(steps[tap])] for tap in ("client.read", "client.event"))
    whole, count = len(handed_at) == pieces, len(at_ns)
    handed_at += [ms * MS] * (count - len(handed_at))
    reads = sorted(set(at_ns))
    return Recording(
        reads=Reads(reads, size=[wire * at_ns.count(at) for at in reads]),
        events=Events(at_ns, text=["x" * piece] * count, handed_ns=handed_at),
        taps={tap: _tap(steps[tap], piece) for tap in ("upstream.sent", "relay.read", "relay.sent")},
        gauges=gauges,
        marks=marks,
        counts=counts,
        sent_ns=0,
        ended_ns=ms * MS,
        outcome=Outcome("complete") if whole else Outcome("cancelled"),
        **fields,
    )


def _each(steps: list[tuple[int, int]]) -> list[int]:
    """When each piece passed."""
    times: list[int] = []
    for ms, count in steps:
        times.extend([ms] * (count - len(times)))
    return times


def _tap(steps: list[tuple[int, int]], piece: int) -> Tap:
    return Tap([ms * MS for ms, _ in steps], [count for _, count in steps], [count * piece for _, count in steps])


@functools.cache
def tcp(**fields: Any) -> Recording:
    return chain(TCP, 12_000, read=lambda _: 10, at_once=4, until_ms=2500, **fields)


@functools.cache
def small(**fields: Any) -> Recording:
    return chain(SMALL, 200, read=lambda _: 2, piece=100, gap_ms=10, until_ms=3000, **fields)


def only(recording: Recording, place: str) -> Recording:
    """As one place alone saw it."""
    gauges = {name: gauge for name, gauge in recording.gauges.items() if name.startswith(place)}
    return replace(recording, taps={}, marks={}, counts={}, gauges=gauges)


UNSEEN = ("upstream.buffer", "upstream.unsent", "relay.unread", "relay.unsent", "client.backlog")
QUEUES: dict[str, Callable[[], Recording]] = {
    "tcp": tcp,
    "small": small,
    "easy": lambda: chain(TCP, 100, read=lambda _: 9000, piece=300, gap_ms=10),
    "fits": lambda: chain(TCP, 3000, read=lambda ms: 10 if ms < 2000 else 20_000, at_once=4),
    "unknown": lambda: tcp(unknown=UNSEEN),
    "all unknown": lambda: tcp(unknown=GAUGES),
    "long": lambda: chain(
        TCP, 2000, read=lambda _: 40_000, gap_ms=1000, step_ms=500, at_once=50, every_ms=500, until_ms=200_000
    ),
    "dropping": lambda: replace(small(), counts={"relay.dropped_pieces": 12}),
    "client alone": lambda: only(small(), "client."),
    "empty queues": lambda: replace(only(small(), "client."), gauges={"client.unread": Gauge([0, MS], [0, 0])}),
    "blocked late": lambda: replace(small(), marks={"relay.blocked": 2990 * MS}),
    "made": lambda: replace(small(), sent_ns=None),
    "nothing": Recording,
}


@functools.cache
def queue_case(name: str) -> Recording:
    return QUEUES[name]()

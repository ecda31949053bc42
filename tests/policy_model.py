"""One slow reader under several policies, computed, not measured."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from streamkit.taps import Tap
from streamkit.taps.gauges import Gauge

MS = 1_000_000
SIZE = 500
IN_KERNEL = 40


class Model:
    """An upstream of 100 pieces/s, a relay, a kernel with room for 40, and a reader of 30 pieces/s that pauses."""

    def __init__(self, pieces: int, pause_ms: tuple[int, int]) -> None:
        self.due = [100 + 10 * n for n in range(pieces)]
        self.pause_ms = pause_ms
        self.times: dict[str, list[int]] = {
            name: [] for name in ("upstream.sent", "relay.read", "relay.sent", "client.event")
        }
        self.on_the_way: list[int] = []
        self.waiting: list[int] = []
        self.kernel: list[int] = []
        self.numbers: list[int] = []
        self.dropped = 0
        self.gauges: dict[str, list[int]] = {"relay.inbox": [], "relay.pending": [], "relay.unsent": []}

    def send(self, now: int) -> None:
        sent = self.times["upstream.sent"]
        while len(sent) < len(self.due) and self.due[len(sent)] <= now and len(self.on_the_way) < 20:
            sent.append(now)
            self.on_the_way.append(len(sent))

    def relay(self, now: int, keep: int, newest: bool) -> None:
        while self.on_the_way and (newest or len(self.waiting) < max(keep, 1)):
            if newest and self.waiting:
                self.waiting.pop()
                self.dropped += 1
            self.waiting.append(self.on_the_way.pop(0))
            self.times["relay.read"].append(now)
            self.flush(now)

    def flush(self, now: int) -> None:
        while self.waiting and len(self.kernel) < IN_KERNEL:
            self.kernel.append(self.waiting.pop(0))
            self.times["relay.sent"].append(now)

    def read(self, now: int) -> None:
        came = self.times["client.event"]
        if self.kernel and not self.pause_ms[0] <= now < self.pause_ms[1] and (not came or now - came[-1] >= 33):
            came.append(now)
            self.numbers.append(self.kernel.pop(0))

    def sample(self) -> None:
        queues = (self.on_the_way, self.waiting, self.kernel)
        for column, queue in zip(self.gauges.values(), queues, strict=True):
            column.append(SIZE * len(queue))

    def recording(self, outcome: str, ended_ms: int) -> Recording:
        at_ns = [at * MS for at in self.times["client.event"]]
        left_out = np.diff(self.numbers, prepend=0) - 1
        taps = {
            name: Tap([at * MS for at in times], range(1, len(times) + 1), range(SIZE, SIZE * len(times) + 1, SIZE))
            for name, times in {"upstream.due": self.due, **self.times}.items()
            if name not in ("relay.sent", "client.event")
        }
        sent = [*self.numbers, *self.kernel]
        taps["relay.sent"] = Tap([at * MS for at in self.times["relay.sent"]], sent, [SIZE * n for n in sent])
        return Recording(
            reads=Reads(at_ns, size=[SIZE] * len(at_ns)),
            events=Events(
                at_ns, text=["x" * SIZE] * len(at_ns), data=[f'{{"text":"x","dropped":{n}}}' for n in left_out]
            ),
            taps=taps,
            counts={"relay.dropped_pieces": self.dropped},
            gauges={name: Gauge([10 * MS * i for i in range(len(c))], c) for name, c in self.gauges.items()},
            outcome=Outcome.parse(outcome),
            sent_ns=0,
            ended_ns=ended_ms * MS,
        )


@functools.cache
def under(policy: str, pieces: int = 300, pause_ms: tuple[int, int] = (800, 2400)) -> Recording:
    """`pause`, `buffer` (as much as there is), `latest`, `disconnect` (after a second)."""
    model = Model(pieces, pause_ms)
    for now in range(0, 60_000, 10):
        model.send(now)
        model.flush(now)
        model.relay(now, keep=pieces if policy == "buffer" else 0, newest=policy == "latest")
        model.read(now)
        model.sample()
        if policy == "disconnect" and now > pause_ms[0] + 1000:
            return model.recording("truncated", now)
        if len(model.numbers) + model.dropped == pieces:
            return model.recording("complete", now + 3)
    raise AssertionError("the model never ends")


REFUSED = Recording(outcome=Outcome("refused", 415), sent_ns=0, ended_ns=12 * MS)
FOUR = {name: under(name) for name in ("pause", "buffer", "latest", "disconnect")}


def without_taps(recording: Recording, **fields: Any) -> Recording:
    return Recording(
        **{
            "reads": recording.reads,
            "events": recording.events,
            "sent_ns": 0,
            "ended_ns": recording.ended_ns,
            **fields,
        }
    )


def untold(recording: Recording) -> Recording:
    events = Events(recording.events.at_ns, text=recording.events.text)
    return without_taps(recording, events=events, taps=recording.taps, counts=recording.counts)

"""What waits where of one stream, as seen from the relay; by the names of `streamkit.taps.gauges`."""

from __future__ import annotations

import time
from typing import Final

from streamkit.relay.delivery.answer import Answer
from streamkit.relay.delivery.outlet import Outlet
from streamkit.relay.sources.source import Waiting
from streamkit.sockets import resident_bytes
from streamkit.taps.gauges import Values

__all__ = ["Queues"]


FRESH_NS: Final = 5_000_000


class _Memory:
    """What this process has resident. All its streams share that, and to ask costs as much as the rest of a sample: so
    it is asked once for all streams that are sampled together.
    """

    def __init__(self) -> None:
        self._bytes: int | None = None
        self._until_ns = 0

    def bytes(self) -> int | None:
        """As of 5 ms ago at the most."""
        now_ns = time.monotonic_ns()
        if now_ns > self._until_ns:
            self._bytes, self._until_ns = resident_bytes(), now_ns + FRESH_NS
        return self._bytes


_memory = _Memory()


class Queues:
    """The queues between a source's connection and the client's; those before the source once it is `opened`."""

    __slots__ = ("_answer", "_outlet", "_waiting")

    def __init__(self, answer: Answer, outlet: Outlet) -> None:
        self._answer = answer
        self._outlet = outlet
        self._waiting: Waiting | None = None

    def opened(self, waiting: Waiting) -> None:
        """There is something to be read, and this can tell how much of it waits."""
        self._waiting = waiting

    def busy(self) -> bool:
        """Some of what was written has not left yet."""
        buffer, unsent = self._answer.send_queue()
        return bool(buffer or unsent)

    def read(self) -> Values:
        """How much there is now."""
        waiting, (buffer, unsent) = self._waiting, self._answer.send_queue()
        return {
            "relay.unread": None if waiting is None else waiting.unread_bytes(),
            "relay.inbox": None if waiting is None else waiting.waiting_bytes,
            "relay.pending": self._outlet.pending_bytes,
            "relay.buffer": buffer,
            "relay.unsent": unsent,
            "relay.wrote": self._answer.wrote,
            "relay.rss": _memory.bytes(),
        }

"""The way of a chunk, place by place: who stands on it, and in which order its taps and queues lie there."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["WAY", "Section"]


class Section(NamedTuple):
    """A party, or the two kernels between two parties, and its taps and queues in the order of the way."""

    name: str
    places: tuple[str, ...]


WAY: Final = (
    Section("upstream", ("upstream.due", "upstream.sent", "upstream.buffer")),
    Section("kernels", ("upstream.unsent", "relay.unread")),
    Section(
        "relay",
        (
            "relay.read",
            "relay.inbox",
            "relay.event",
            "relay.pending",
            "relay.send",
            "relay.sent",
            "relay.buffer",
        ),
    ),
    Section("kernels", ("relay.unsent", "client.unread")),
    Section("client", ("client.read", "client.backlog", "client.event")),
)
"""Its taps alone are `TAPS`, its queues alone `gauges.GAUGES`."""

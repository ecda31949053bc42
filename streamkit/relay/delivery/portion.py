"""Which part of a stream an answer is, where streams can be resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["WHOLE", "Portion"]


@dataclass(frozen=True, slots=True)
class Portion:
    """All of a stream, and nobody comes back for it: `Portion()`. Otherwise

    name        its events are called `<name>.<number>`, so that a client can say where it was cut. What ends the answer
                and not the stream (its reader takes nothing, its own time is over, this server stops) then ends it by a
                cut, without an event: that would say that the stream has ended
    after       so many pieces of the stream stand before it
    skip_bytes  and so many bytes of its first piece (text/plain)
    begun       the stream's first piece has come: the head need not wait for one
    status, headers   of the head, beside what every answer has
    """

    name: str = ""
    after: int = 0
    skip_bytes: int = 0
    begun: bool = False
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


WHOLE: Final = Portion()

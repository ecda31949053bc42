"""The one line that the relay logs of each stream: JSON, whatever became of it, and nothing that a client or an
upstream said.

    {"stream_id":"5f…","outcome":"timeout(idle)","code":"timeout_idle","status":200,"format":"text/event-stream",
     "policy":"pause","duration_ms":2041.3,"first_piece_ms":312.0,"pieces":17,"dropped":0,"wrote_bytes":912,"held_ms":0.0}
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from streamkit.outcome import Outcome

if TYPE_CHECKING:
    from streamkit.relay.delivery.answer import Answer
    from streamkit.relay.delivery.format import Format
    from streamkit.relay.delivery.outlet import Outlet
    from streamkit.relay.delivery.policy import Policy

__all__ = ["StreamRecord"]

log = logging.getLogger("streamkit.relay")
CLIENT_LEFT: Final = Outcome("cancelled")


@dataclass(slots=True)
class StreamRecord:
    """What is known of one stream.

    `code` is the failure's stable code, "" for none; `status` what the client was told, None if it was told nothing.
    The times count from the request's head; `first_piece_ms` is None where no piece has left.
    """

    stream_id: str
    outcome: Outcome = CLIENT_LEFT
    code: str = ""
    status: int | None = None
    format: str | None = None
    policy: str | None = None
    first_piece_ms: float | None = None
    pieces: int = 0
    dropped: int = 0
    wrote_bytes: int = 0
    held_ms: float = 0.0
    started_ns: int = field(default_factory=time.monotonic_ns)

    def ended(self, outcome: Outcome, code: str, status: int | None) -> None:
        """How it ended; `status` is that of a whole answer, if there was one."""
        self.outcome = outcome
        self.code = code
        self.status = status if self.status is None else self.status

    def delivered(self, form: Format, policy: Policy, answer: Answer, outlet: Outlet) -> None:
        """What has left by then, in which form."""
        self.format = form.content_type.partition(";")[0]
        self.policy = str(policy)
        self.pieces = outlet.sent
        self.dropped = outlet.dropped
        self.held_ms = round(outlet.held_ns / 1e6, 3)
        self.wrote_bytes = answer.wrote
        if answer.started_ns:
            self.status = 200
            self.first_piece_ms = self._after_ms(answer.started_ns)

    def write(self) -> dict[str, Any]:
        """Log it; the stream is over."""
        line = {
            "stream_id": self.stream_id,
            "outcome": str(self.outcome),
            "code": self.code,
            "status": self.status,
            "format": self.format,
            "policy": self.policy,
            "duration_ms": self._after_ms(time.monotonic_ns()),
            "first_piece_ms": self.first_piece_ms,
            "pieces": self.pieces,
            "dropped": self.dropped,
            "wrote_bytes": self.wrote_bytes,
            "held_ms": self.held_ms,
        }
        log.info("%s", orjson.dumps(line).decode())
        return line

    def _after_ms(self, at_ns: int) -> float:
        return round((at_ns - self.started_ns) / 1e6, 3)

"""An answer of which it is counted when its pieces leave. Where nothing is counted there is none, and no cost of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streamkit.relay.counting.counts import Counts
from streamkit.relay.delivery.answer import Answer

if TYPE_CHECKING:
    from sanic import Request

    from streamkit.relay.delivery.policy import Policy
    from streamkit.relay.delivery.portion import Portion

__all__ = ["CountedAnswer"]


class CountedAnswer(Answer):
    """Tells `counts` of its first piece, `since_ns` its request's head, and of the gaps between its writes."""

    __slots__ = ("_counts", "_gap", "_heartbeat", "_last_ns", "_since_ns")

    def __init__(
        self,
        counts: Counts,
        since_ns: int,
        heartbeat: bytes,
        request: Request,
        content_type: str,
        stream_id: str,
        applied: Policy | None,
        portion: Portion,
    ) -> None:
        super().__init__(request, content_type, stream_id, applied, portion)
        self._counts = counts
        self._gap = counts.gaps.add
        self._since_ns = since_ns
        self._heartbeat = heartbeat
        self._last_ns = 0  # nothing has left

    def offer(self, data: bytes) -> bool:
        """As `Answer.offer`; a heartbeat is no piece."""
        if not Answer.offer(self, data):
            return False
        if data is not self._heartbeat:
            now_ns = time.monotonic_ns()
            if self._last_ns:
                self._gap(now_ns - self._last_ns)
            self._last_ns = now_ns
        return True

    async def send(self, data: bytes) -> None:
        """As `Answer.send`; it counts when the client's connection had room for it."""
        first = not self.started
        await super().send(data)
        now_ns = time.monotonic_ns()
        if first:
            self._counts.first_piece.add(self.started_ns - self._since_ns)
        elif self._last_ns:
            self._gap(now_ns - self._last_ns)
        self._last_ns = now_ns

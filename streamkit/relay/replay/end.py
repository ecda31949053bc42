"""How a stream ended, as its log keeps it: whoever reads it later is told the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

import orjson

from streamkit.outcome import Outcome
from streamkit.relay.failure import Failure

__all__ = ["ABANDONED", "COMPLETE", "PRODUCER_LOST", "STOPPED", "STORE_LOST", "StreamEnd"]


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The last record of a log: how the stream `failed` (None: it is complete), and the provider's word for why it
    ended, where there is one.
    """

    failed: Failure | None = None
    finish_reason: str | None = None

    @property
    def outcome(self) -> Outcome:
        return COMPLETE if self.failed is None else self.failed.outcome

    @property
    def code(self) -> str:
        """The failure's stable code, "" for none."""
        return "" if self.failed is None else self.failed.code

    def dumped(self) -> bytes:
        """For `loaded`: as JSON. Not the failure's `why`, which is for the log of the relay that saw it."""
        failed = self.failed
        told = {} if failed is None else {
            "outcome": str(failed.outcome),
            "code": failed.code,
            "status": failed.status,
            "detail": failed.detail,
            "retry_after_s": failed.retry_after_s,
        }  # fmt: skip
        return orjson.dumps({**told, "finish_reason": self.finish_reason})

    @classmethod
    def loaded(cls, data: bytes) -> Self:
        """The opposite. Raises ValueError and KeyError for what `dumped` has not written."""
        told = orjson.loads(data)
        reason = told.pop("finish_reason")
        if not told:
            return cls(None, reason)
        return cls(Failure(**{**told, "outcome": Outcome.parse(told["outcome"])}), reason)

    def without_why(self) -> StreamEnd:
        """As everybody else may see it."""
        return self if self.failed is None else replace(self, failed=replace(self.failed, why=""))


COMPLETE: Final = Outcome("complete")

STOPPED: Final = Failure(Outcome("cancelled"), "stopped", 410, "the stream was stopped by its owner")
ABANDONED: Final = Failure(Outcome("cancelled"), "abandoned", 410, "the stream had no reader for too long")
PRODUCER_LOST: Final = Failure(
    Outcome("error_event", "producer_lost"), "producer_lost", 502, "the worker that asked the upstream is gone"
)
STORE_LOST: Final = Failure(
    Outcome("error_event", "store_lost"),
    "store_lost",
    503,
    "the store of resumable streams cannot be reached",
    retry_after_s=1,
)

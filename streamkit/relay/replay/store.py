"""What a store of logs is: who has which streams, for how long, and who may ask for them.

state of a stream   by                                              asked for
running             `create`                                        its log
ended               its log was finished                            its log, for `resume_keep_s`
forgotten           that time is over, or `forget`                  Failed(EXPIRED), for another `resume_keep_s`
unknown             that is over too; or it never was; or it is     Failed(UNKNOWN): the same in every case
                    someone else's

A stream belongs to its `owner`, a digest of what the request that made it said of itself. A `Claim` (Idempotency-Key)
belongs to an owner as well, and leads to the stream that was made under it, for as long as that is running or ended.
A stream that failed before its first piece leaves no claim: nothing came of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from streamkit.outcome import Outcome
from streamkit.relay.failure import Failure
from streamkit.relay.replay.log import Log

__all__ = ["EXPIRED", "FULL", "KEY_REUSED", "UNKNOWN", "Claim", "Created", "Store"]

UNKNOWN: Final = replace(
    Failure.of_request(404, "stream_unknown", "there is no stream of this id, or it is someone else's"), unnamed=True
)
EXPIRED: Final = Failure.of_request(410, "stream_expired", "the stream has ended, and is no longer kept")
KEY_REUSED: Final = Failure.of_request(
    422, "idempotency_key_reused", "this Idempotency-Key was sent with another body; use a fresh one"
)
FULL: Final = Failure(
    Outcome("refused", 503), "resume_full", 503, "resumable streams fill all the room they may take", retry_after_s=5
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A request under a key: `key` is a digest of its owner and its Idempotency-Key, `body` one of what it asks."""

    key: str
    body: str


class Created(NamedTuple):
    """The log of a request, and whether it is a new one, for which a producer is needed."""

    log: Log
    fresh: bool


class Store(Protocol):
    """Where logs are kept. All of its methods may raise Failed, with `STORE_LOST` if it cannot be reached.

    Opened and closed in the loop that it is used in. `shared`: other processes find the same logs. `reachable`: as far
    as is known, logs can be made and found now.
    """

    shared: bool

    @property
    def reachable(self) -> bool: ...

    async def open(self, stop: Callable[[str], object]) -> None:
        """`stop(stream_id)` is called for a stream that is produced here and that somebody elsewhere asks to end."""

    async def close(self) -> None:
        """Let go of all; what is produced here has been stopped."""

    async def create(self, stream_id: str, owner: str, claim: Claim | None) -> Created:
        """A new log, to be filled here; or the one that has the same claim. Raises Failed: FULL, KEY_REUSED."""

    async def find(self, stream_id: str, owner: str) -> Log:
        """The log of a stream that runs or has ended. Raises Failed: UNKNOWN, EXPIRED."""

    async def ask_to_stop(self, log: Log) -> None:
        """End a stream that runs and is produced elsewhere; returns when it has ended, or after half a second."""

    async def forget(self, log: Log) -> None:
        """What has ended is no longer kept."""

    def expires_in_s(self, log: Log) -> float | None:
        """How long what has ended is still kept; None while it runs."""

"""MemoryStore: the logs of one process, in its memory. With it they end."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from streamkit.relay.failure import Failed
from streamkit.relay.replay.end import StreamEnd
from streamkit.relay.replay.log import Log, Quota
from streamkit.relay.replay.store import EXPIRED, FULL, KEY_REUSED, UNKNOWN, Claim, Created
from streamkit.relay.settings import Resuming

__all__ = ["MemoryStore"]

SWEEP_S: Final = 1.0


@dataclass(slots=True)
class _Stream:
    owner: str
    log: Log | None
    """None: forgotten."""
    claim: Claim | None
    until_s: float | None = None
    """When the next thing becomes of it, by the loop's clock; None while it runs."""


class _MemoryLog(Log):
    """Tells its store that it has ended."""

    ended: Callable[[str], object]

    def close(self, end: StreamEnd) -> None:
        super().close(end)
        self.ended(self.id)


class MemoryStore:
    """See `streamkit.relay.replay.store.Store`."""

    shared = False
    reachable = True

    def __init__(self, settings: Resuming) -> None:
        self._settings = settings
        self._streams: dict[str, _Stream] = {}
        self._claimed: dict[str, str] = {}  # key → stream id
        self._quota = Quota(settings.resume_max_total_bytes)
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def bytes(self) -> int:
        """What all logs hold, as `Kept.bytes` counts it."""
        return self._quota.used

    async def open(self, stop: Callable[[str], object]) -> None:
        del stop  # nobody is elsewhere
        self._sweep()

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._streams.clear()
        self._claimed.clear()

    async def create(self, stream_id: str, owner: str, claim: Claim | None) -> Created:
        if claim is not None and (found := self._claimed.get(claim.key)) is not None:
            stream = self._looked_at(found)
            if stream is not None and stream.log is not None:
                if stream.claim != claim:
                    raise Failed(KEY_REUSED)
                return Created(stream.log, fresh=False)
        if not self._quota.left:
            raise Failed(FULL)
        log = _MemoryLog(stream_id, self._settings.resume_max_bytes, self._quota)
        log.ended = self._ended
        self._streams[stream_id] = _Stream(owner, log, claim)
        if claim is not None:
            self._claimed[claim.key] = stream_id
        return Created(log, fresh=True)

    async def find(self, stream_id: str, owner: str) -> Log:
        stream = self._looked_at(stream_id)
        if stream is None or not hmac.compare_digest(stream.owner, owner):
            raise Failed(UNKNOWN)
        if stream.log is None:
            raise Failed(EXPIRED)
        return stream.log

    async def ask_to_stop(self, log: Log) -> None:
        """All are produced here."""

    async def forget(self, log: Log) -> None:
        self._forget(self._streams[log.id])

    def expires_in_s(self, log: Log) -> float | None:
        until_s = self._streams[log.id].until_s
        return None if until_s is None else max(0.0, until_s - _now())

    def _ended(self, stream_id: str) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:  # the store was closed: its upstream took long to end
            return
        stream.until_s = _now() + self._settings.resume_keep_s
        log = stream.log
        if log is not None and not log.last and log.end is not None and log.end.failed is not None:
            self._give_back(stream)

    def _forget(self, stream: _Stream) -> None:
        if stream.log is not None:
            stream.log.release()
            stream.log = None
        stream.until_s = _now() + self._settings.resume_keep_s
        self._give_back(stream)

    def _give_back(self, stream: _Stream) -> None:
        if stream.claim is not None:
            self._claimed.pop(stream.claim.key, None)
            stream.claim = None

    def _looked_at(self, stream_id: str) -> _Stream | None:
        """It, after what its time has made of it."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.until_s is None or stream.until_s > _now():
            return stream
        if stream.log is None:
            del self._streams[stream_id]
            return None
        self._forget(stream)
        return stream

    def _sweep(self) -> None:
        for stream_id in tuple(self._streams):
            self._looked_at(stream_id)
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def __repr__(self) -> str:
        return f"<MemoryStore: {len(self._streams)} streams, {self.bytes} bytes>"


def _now() -> float:
    return asyncio.get_running_loop().time()

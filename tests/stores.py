"""What tests of stores share: workers that have one, a producer, readers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from streamkit.extractor.pieces import Piece
from streamkit.relay.replay.end import StreamEnd
from streamkit.relay.replay.log import Log
from streamkit.relay.replay.memory import MemoryStore
from streamkit.relay.replay.redis import RedisStore
from streamkit.relay.replay.store import Claim, Store
from streamkit.relay.settings import Resuming

OWNER = "one owner"
SOON_S = 5.0
"""For what should take milliseconds; a test fails that waits longer."""


@dataclass
class Workers:
    """Two workers of one relay: with a store in Redis two stores, with one in memory the same one twice. `stopped` are
    the streams that they were asked to stop.
    """

    here: Store
    there: Store
    stopped: list[str] = field(default_factory=list)

    @property
    def both(self) -> tuple[Store, Store]:
        return self.here, self.there


@asynccontextmanager
async def workers(url: str | None, settings: Resuming | None = None) -> AsyncIterator[Workers]:
    """With the Redis at `url`; None: in memory."""
    settings = settings or Resuming()
    here: Store = MemoryStore(settings) if url is None else RedisStore(url, settings)
    there: Store = here if url is None else RedisStore(url, settings)
    two = Workers(here, there)
    for store in {here, there}:
        await store.open(two.stopped.append)
    try:
        yield two
    finally:
        for store in {here, there}:
            await store.close()


def fresh_id() -> str:
    return secrets.token_hex(16)


async def made(store: Store, claim: Claim | None = None) -> Log:
    log, fresh = await store.create(fresh_id(), OWNER, claim)
    assert fresh
    return log


async def fill(log: Log, pieces: Sequence[Piece], end: StreamEnd | None = None, *, many: int = 3) -> None:
    """As a producer does: as fast as it can, some pieces at once."""
    for start in range(0, len(pieces), many):
        batch = list(pieces[start : start + many])
        if not log.offer(batch):
            await log.put(batch)
        if start % (50 * many) == 0:
            await asyncio.sleep(0)
    await log.finish(end or StreamEnd())


@dataclass
class Reading:
    """What one reader got, behind piece `position` of `log`."""

    log: Log
    position: int = 0
    in_flight: Callable[[], int | None] = lambda: 0
    got: list[Piece] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = self.log.attach(self.position, self.in_flight)

    async def run(self, upto: int | None = None) -> StreamEnd | None:
        """To the end, or until it has `upto` pieces."""
        reader = self.reader
        with reader:
            while not reader.at_end:
                if upto is not None and len(self.got) >= upto:
                    return None
                if reader.behind:
                    pieces = await reader.page()
                    self.got += pieces
                else:
                    pieces = await reader.pour(self._offer)
                    self.got += pieces
                reader.took(pieces)
            return self.log.end

    def _offer(self, pieces: list[Piece]) -> bool:
        self.got += pieces
        return True


async def read(log: Log, position: int = 0) -> tuple[list[Piece], StreamEnd | None]:
    """All that stands behind that piece, to the end."""
    reading = Reading(log, position)
    end = await asyncio.wait_for(reading.run(), 4 * SOON_S)
    return reading.got, end


async def until(there: Callable[[], object], within_s: float = SOON_S) -> None:
    """Until it is so; fails where it does not come to that."""
    async with asyncio.timeout(within_s):
        while not there():  # noqa: ASYNC110  # it is Redis, and another worker, that are waited for
            await asyncio.sleep(0.005)


def words(many: int, size: int = 0) -> list[Piece]:
    """Pieces that are all different, some beyond ASCII, some with reasoning; `size`: with so many bytes more."""
    return [
        Piece(f"{'é' if n % 3 else 'e'}{n} {'.' * size}", f"why {n}" if n % 7 == 0 else "") for n in range(1, many + 1)
    ]

"""Replay: the streams of one relay that can be resumed: its store, and what is produced in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from streamkit.relay.failure import SHUT_DOWN, Failed, Failure
from streamkit.relay.log import StreamRecord
from streamkit.relay.replay.end import STOPPED, STORE_LOST
from streamkit.relay.replay.log import Log
from streamkit.relay.replay.produce import Producer
from streamkit.relay.replay.store import Claim, Created, Store
from streamkit.relay.settings import Settings
from streamkit.relay.sources.source import Into, Pieces

__all__ = ["AHEAD", "Replay", "check_cursor"]

STOP_S: Final = 0.5
"""How long a stop waits for an upstream to be closed."""

AHEAD: Final = Failure.of_request(400, "cursor_ahead", "this cursor is beyond the last piece of the stream")


def check_cursor(log: Log, number: int) -> None:
    """Raise Failed unless what stands behind piece `number` can be had."""
    if number > log.last:
        raise Failed(AHEAD)
    log.check_kept(number)


class Replay:
    """`store` keeps the logs. Opened and closed in the loop of the relay that it belongs to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._producers: dict[str, Producer] = {}

    @property
    def producing(self) -> int:
        """How many streams are produced here."""
        return len(self._producers)

    @property
    def unready(self) -> Failure | None:
        """Why nothing can be begun or gone on with now; None where it can."""
        return None if self.store.reachable else STORE_LOST

    async def open(self) -> None:
        await self.store.open(self._stop_here)

    async def close(self) -> None:
        """End what is produced here, and let go of the store."""
        await self.end_all()
        await self.store.close()

    async def begin(self, stream_id: str, owner: str, claim: Claim | None, produce: Callable[[Log], object]) -> Created:
        """The log of a request; for a new one `produce` is called, which has to see that it is filled: also if the one
        who asks has left meanwhile, or others who ask the same would wait for nothing. Raises Failed.
        """

        async def created() -> Created:
            found = await self.store.create(stream_id, owner, claim)
            if found.fresh:
                produce(found.log)
            return found

        return await asyncio.shield(created())

    def produce(
        self,
        log: Log,
        source: Callable[[Into], Pieces],
        record: StreamRecord,
        settings: Settings,
        beside: Into,
        ended: Callable[[], object],
        grace_s: float | None = None,
    ) -> None:
        """Run `source` into `log`, in a task of its own, under its route's `settings`. `record` is told what became of
        it, before `ended` is called; `beside` is of those who watch the source by other ways, and `grace_s` is another
        one than the settings' (see `Producer`).
        """
        producer = Producer(log, record, settings, beside, grace_s)
        self._producers[log.id] = producer

        def over() -> None:
            del self._producers[log.id]
            ended()

        producer.start(source(producer.into), over)

    async def stop(self, log: Log) -> None:
        """End it, if it runs, and close its upstream; forget it, if it has ended. Raises Failed."""
        if log.end is not None:
            await self.store.forget(log)
        elif log.id in self._producers:
            producer = self._producers[log.id]
            producer.stop(STOPPED)
            await producer.stopped(STOP_S)
        else:
            await self.store.ask_to_stop(log)

    async def end_all(self) -> None:
        """The server stops: all that is produced here ends as that."""
        producers = tuple(self._producers.values())
        for producer in producers:
            producer.stop(SHUT_DOWN)
        for producer in producers:
            await producer.stopped(STOP_S)

    def status(self, log: Log) -> dict[str, Any]:
        """How a stream is, as JSON values; `first` and `last` are cursors of what is kept, null where nothing is."""
        end, expires_in_s = log.end, self.store.expires_in_s(log)
        kept = log.first <= log.last
        return {
            "id": log.id,
            "state": "running" if end is None else "ended",
            "outcome": None if end is None else str(end.outcome),
            "code": "" if end is None else end.code,
            "pieces": log.last,
            "bytes": log.text_bytes,
            "readers": log.readers,
            "first": f"{log.id}.{log.first}" if kept else None,
            "last": f"{log.id}.{log.last}" if kept else None,
            "expires_in_s": None if expires_in_s is None else round(expires_in_s, 3),
        }

    def _stop_here(self, stream_id: str) -> None:
        if (producer := self._producers.get(stream_id)) is not None:
            producer.stop(STOPPED)

    def __repr__(self) -> str:
        return f"<Replay: {self.producing} producing, {self.store!r}>"

"""Producer: runs one source into one log, under the deadlines of the upstream, whoever reads it, or nobody.

state        begins                                      ends
attended     a reader is attached                        the last reader leaves → unattended
unattended   no reader; `grace_s` begins                 a reader comes → attended; the grace is over → the end
                                                         `abandoned`: cancelled, and so is the upstream
ended        the source has ended, or was stopped        –
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from streamkit.extractor.pieces import Piece
from streamkit.relay.deadline import Watch
from streamkit.relay.failure import Failed, Failure, internal, timed_out
from streamkit.relay.log import StreamRecord
from streamkit.relay.replay.end import ABANDONED, StreamEnd
from streamkit.relay.replay.log import Log, unheeded
from streamkit.relay.settings import Settings
from streamkit.relay.sources.source import Into, Pieces

__all__ = ["Producer"]

FIRST_READER_S: Final = 1.0
"""Who asked for the stream is just about to read it."""


class Producer:
    """To be made, and run, in a loop; `run` is the task of its own that it needs. `grace_s` is how long it goes on with
    nobody there; math.inf: for as long as it takes.

    `record` is told what becomes of the stream. `into` is what a source is given to fill; others may be told of more by
    way of `beside` (taps, queues).
    """

    def __init__(
        self,
        log: Log,
        record: StreamRecord,
        settings: Settings,
        beside: Into | None = None,
        grace_s: float | None = None,
    ) -> None:
        self._log = log
        self._record = record
        self._grace_s = settings.resuming.resume_grace_s if grace_s is None else grace_s
        self._watch = Watch(replace(settings.deadlines, write_stall_s=0, heartbeat_s=0))
        self._finish_reason: str | None = None
        self._why: Failure | None = None  # it was told to end
        self._task: asyncio.Task[None] | None = None
        self._begun = False
        self._grace: asyncio.TimerHandle | None = None
        self.into = replace(
            beside or Into(),
            offer=self._offer,
            thinking=self._thinking,
            finished=self._finished,
            noted=record.notes.extend,
            offer_texts=Into().offer_texts,  # a log keeps pieces
        )

    def start(self, pieces: Pieces, ended: Callable[[], object]) -> None:
        """Run it, in a task of its own; `ended` is called when all of it is over."""
        self._log.attended = self._attended
        if not self._log.readers:
            self._end_after(max(self._grace_s, FIRST_READER_S))
        self._task = asyncio.get_running_loop().create_task(self._run(pieces))
        self._task.add_done_callback(lambda _: ended())

    def stop(self, why: Failure) -> None:
        """End it as that failure. Of several reasons the first counts."""
        if self._why is None and self._task is not None and not self._task.done():
            self._why = why
            if self._begun:  # a task that is cancelled before it begins runs nothing: there would be no end
                self._task.cancel()

    async def stopped(self, within_s: float) -> None:
        """Until all of it is over, its upstream's connection too."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=within_s)

    async def _run(self, pieces: Pieces) -> None:
        self._begun = True
        try:
            failed = self._why or await self._produced(pieces)
        finally:
            self._leave_alone()
            self._log.attended = unheeded  # a log that is kept for long holds nothing of who filled it
        record, log = self._record, self._log
        end = StreamEnd(failed, self._finish_reason)
        record.why = "" if failed is None else failed.why
        await log.finish(end.without_why())
        end = log.end or end  # the store may have known better
        record.finish_reason, record.pieces = self._finish_reason, log.last
        record.ended(end.outcome, end.code, None)

    async def _produced(self, pieces: Pieces) -> Failure | None:
        watch = self._watch
        try:
            async with watch, aclosing(pieces) as batches:
                async for batch in batches:
                    if not self._offer(batch):
                        watch.enter("held")
                        await self._log.put(batch)
                        watch.enter("idle")
        except Failed as error:
            return error.failure
        except TimeoutError as error:
            return timed_out(watch.fired) if watch.fired else internal(error)
        except asyncio.CancelledError:
            if self._why is None:
                raise
            return self._why
        except Exception as error:  # noqa: BLE001  # a bug, of ours or of the source: readers are told that it failed
            return internal(error)
        return None

    def _offer(self, pieces: list[Piece]) -> bool:
        if not pieces:
            if self._watch.phase != "first_piece":
                self._watch.enter("idle")
            return True
        if not self._log.offer(pieces):
            return False
        self._watch.enter("idle")
        return True

    def _thinking(self) -> None:
        if self._watch.phase == "first_piece":
            self._watch.enter("first_piece")

    def _finished(self, reason: str) -> None:
        self._finish_reason = reason

    # --- Whether anybody reads it -------------------------------------------------------------------------------------

    def _attended(self, readers: int) -> None:
        self._leave_alone()
        if not readers:
            self._end_after(self._grace_s)

    def _end_after(self, grace_s: float) -> None:
        if grace_s < math.inf:
            self._grace = asyncio.get_running_loop().call_later(grace_s, self.stop, ABANDONED)

    def _leave_alone(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

"""An upload, processed while it arrives, as a source (see `streamkit.relay.sources.source`).

body ──by_type──▶ the file in it ──feed, a slice at a time──▶ processor ──snapshot, now and then──▶ into.offer
                                                                        ──final──▶ yielded

Most clients read nothing before they have sent all. So nothing here waits for a client that does not read: results are
states, of which it gets the newest when it does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final
from weakref import WeakKeyDictionary

from streamkit.processors.form import by_type
from streamkit.processors.processor import Processor, Unprocessable
from streamkit.processors.registry import PROCESSORS, Processors, processor_named
from streamkit.relay.failure import Failed
from streamkit.relay.pieces import Snapshot
from streamkit.relay.sources.source import Arriving, Into, Pieces

__all__ = ["EVERY_S", "processor", "upload"]

EVERY_S: Final = 0.25
SLICE_BYTES: Final = 1 << 15
TURN_S: Final = 0.002
"""How long all uploads together keep the loop from everything else: so long, and then the slice that was begun."""
SNAPSHOT_SHARE: Final = 0.1
"""Of the time, at most, is spent on results that are not the last: those of a thousand columns take their time."""
STATUS: Final = {"bad_form": 400, "unsupported_charset": 415}
"""Of others it is 422."""


def processor(name: str, processors: Processors = PROCESSORS) -> Processor:
    """A new one of that name; `processors` maps names to what makes one: `{**PROCESSORS, "mine": Mine}`.

    Raises Failed with status 422, `unknown_process`, which says what there is.
    """
    try:
        return processor_named(name, processors)
    except Unprocessable as error:
        raise _failed(error) from None


async def upload(
    body: Arriving,
    process: str,
    into: Into,
    *,
    processors: Processors = PROCESSORS,
    every_s: float = EVERY_S,
    clock: Callable[[], float] = time.monotonic,
) -> Pieces:
    """What the processor called `process` makes of `body`: a `Snapshot` of its result every `every_s` seconds, if
    something came meanwhile, and the final one behind the last byte.

    The first one comes with the first bytes, unless these are all there is: then there is but the final one. Results
    that nobody takes are made anew, later: only the first and the final one are owed. A form has one file in it, unless
    the processor wants every part; any other body is processed as it is (see `streamkit.processors.form`).

    Raises Failed: what iterating `body` raises, 422 `unknown_process`, 400 `bad_form`, 415 `unsupported_charset`, and
    422 with the code of what the processor calls `Unprocessable`.
    """
    worker = processor(process, processors)
    try:
        worker = by_type(body.content_type, worker)
        turns = _turns()
        with closing(_Results(worker, into, every_s)) as results:
            begun = False
            async for data in body:
                for start in range(0, len(data), SLICE_BYTES):
                    await turns.feed(worker, data[start : start + SLICE_BYTES], clock)
                if begun:
                    results.changed()
                elif body.length is None or body.received < body.length:
                    begun = True
                    yield [results.now()]
            results.check()
        yield [Snapshot(worker.final())]
    except Unprocessable as error:
        raise _failed(error) from None


def _failed(error: Unprocessable) -> Failed:
    return Failed.of_request(STATUS.get(error.code, 422), error.code, error.detail)


class _Turns:
    """Of all uploads of one loop: one works at a time, and when that has been for long enough, nobody does until the
    loop has looked after everything else. Who waits for its turn has it in the order of waiting.
    """

    def __init__(self) -> None:
        self._working = asyncio.Lock()
        self._since_s = 0.0

    async def feed(self, worker: Processor, data: bytes, clock: Callable[[], float]) -> None:
        """In its turn."""
        async with self._working:
            worker.feed(data)
            if clock() - self._since_s >= TURN_S:
                await asyncio.sleep(0)  # with the lock: else each of the others would first do as much
                self._since_s = clock()


_turns_of: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns]] = WeakKeyDictionary()


def _turns() -> _Turns:
    return _turns_of.setdefault(asyncio.get_running_loop(), _Turns())


class _Results:
    """Offers how a processor stands, some time after something has changed; whether anything more comes or not."""

    def __init__(self, processor: Processor, into: Into, every_s: float) -> None:
        self._processor = processor
        self._into = into
        self._every_s = every_s
        self._next_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._failed: Exception | None = None

    def now(self) -> Snapshot:
        """How it stands."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        snapshot = Snapshot(self._processor.snapshot())
        took_s = loop.time() - began_s
        self._next_s = began_s + max(self._every_s, took_s / SNAPSHOT_SHARE)
        return snapshot

    def changed(self) -> None:
        """Something came. Raises as `check` does."""
        self.check()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(self._next_s, self._offer)

    def check(self) -> None:
        """Raises what went wrong when something was offered: nobody could hear of it then."""
        if self._failed is not None:
            raise self._failed

    def _offer(self) -> None:
        self._timer = None
        try:
            self._into.offer([self.now()])  # refused: it is old soon, and there will be another one
        except Exception as error:  # noqa: BLE001  # it is raised where it is heard
            self._failed = error

    def close(self) -> None:
        """Nothing is offered any more."""
        if self._timer is not None:
            self._timer.cancel()

"""A paced reading: a reader's decisions carried out on a body, its recorder, and the loop's timers.

Body ──take()──▶ Recorder (read, decoded, waiting) ──advance()──▶ handed over
  ▲                                                      │
  └──────────────── pause(), resume() ───────────────────┘

It reads only what the reader wants next, so what else there is waits in the kernel, as with a client that is slow.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

from streamkit.lab.readers import Pace, Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamkit.exchange import Entry
    from streamkit.lab.recorder import Recorder
    from streamkit.transport import Body

__all__ = ["read_at_pace"]


async def read_at_pace(body: Body, recorder: Recorder, reader: Reader, at_end: Callable[[], None]) -> None:
    """Read `body` into `recorder`, which has to be a `paced` one, until both its end and its last event are reached.

    `at_end` is called when the stream's own end has been handed over: not much more will come.
    Raises what `Body.pour` raises, when all that came before has been handed over.
    """
    paced = _Paced(body, recorder, reader, at_end)
    try:
        try:
            await body.pour(paced.take)
        finally:
            recorder.ended_ns = recorder.now()
            paced.body_ended()
        await paced.all_handed()
    except asyncio.CancelledError:
        raise
    except Exception:
        await paced.all_handed()
        raise
    finally:
        paced.stop()


class _Paced:
    def __init__(self, body: Body, recorder: Recorder, reader: Reader, at_end: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._body = body
        self._recorder = recorder
        self._work_ns = int(reader.work_ms * 1e6)
        self._at_end = at_end
        self._pace = Pace(reader, self._loop.time())
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._told_end = False
        self._done = self._loop.create_future()
        self._advance()

    def take(self, entry: Entry) -> bool:
        data, read, at_ns, kind, error_ns, read_ns = entry
        more = self._recorder.feed(read, at_ns, data, kind, error_ns, read_ns - at_ns)
        self._pace.took(len(data), self._loop.time())
        self._advance()
        return more

    def body_ended(self) -> None:
        self._reading = False
        self._advance()

    async def all_handed(self) -> None:
        await self._done

    def stop(self) -> None:
        self._reading = False
        if self._timer is not None:
            self._timer.cancel()

    def _advance(self) -> None:
        """Hand over what is due, then read, or wait for whichever comes next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._recorder.unhanded:
            if wait_s := self._pace.event_wait_s(self._loop.time()):
                self._wait(wait_s)
                return
            self._recorder.hand_over()
            _compute(self._work_ns)
            self._pace.handed(self._loop.time())
        if self._recorder.final and not self._told_end:
            self._told_end = True
            self._at_end()
        if not self._reading:
            if not self._done.done():
                self._done.set_result(None)
        elif wait_s := self._pace.read_wait_s(self._loop.time()):
            self._wait(wait_s)
        else:
            self._body.resume()

    def _wait(self, seconds: float) -> None:
        if self._reading:
            self._body.pause()
        if seconds < math.inf:
            self._timer = self._loop.call_later(seconds, self._advance)


def _compute(work_ns: int) -> None:
    """Take so much processor time: of this thread, since a busy machine must not make it less."""
    until_ns = time.thread_time_ns() + work_ns
    while time.thread_time_ns() < until_ns:
        pass

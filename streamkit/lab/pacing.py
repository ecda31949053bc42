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
    Raises what `Body.pour` raises, when all that came before has been handed over, and at once what a listener raises.
    """
    paced = _Paced(body, recorder, reader, at_end)
    try:
        async with asyncio.timeout(None) as paced.scope:
            paced.advance()
            try:
                await body.pour(paced.take)
            except Exception:
                paced.body_ended()
                await paced.all_handed
                raise
            paced.body_ended()
            await paced.all_handed
    except TimeoutError:
        if paced.error is None:
            raise
        raise paced.error from None
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
        self._size = body.received_bytes
        self.all_handed = self._loop.create_future()
        self.scope: asyncio.Timeout
        self.error: Exception | None = None

    def take(self, entry: Entry) -> bool:
        data, read, at_ns, kind, error_ns, read_ns = entry
        idle, now = not self._recorder.unhanded, self._loop.time()
        more = self._recorder.feed(read, at_ns, data, kind, error_ns, read_ns - at_ns)
        size, self._size = self._size, self._body.received_bytes
        self._pace.took(self._size - size, now)
        if idle:
            self._pace.found(now)
        self.advance()
        return more

    def body_ended(self) -> None:
        self._reading = False
        self._recorder.ended_ns = self._recorder.now()
        self.advance()

    def stop(self) -> None:
        self._reading = False
        if self._timer is not None:
            self._timer.cancel()

    def advance(self) -> None:
        """Hand over what is due, then read, or wait for whichever comes next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            self._go_on()
        except Exception as error:  # noqa: BLE001  # of whoever listens; a timer has nobody to tell, but `record` waits
            self.error = error
            self.scope.reschedule(self._loop.time())

    def _go_on(self) -> None:
        while self._recorder.unhanded:
            if wait_s := self._pace.event_wait_s(self._loop.time()):
                self._wait(wait_s)
                return
            self._recorder.hand_over()
            self._pace.handed(self._loop.time())
            if self._work_ns:
                _compute(self._work_ns)
                self._wait(0)  # other timers want to ring too, those that end it among them
                return
        if self._recorder.final and not self._told_end:
            self._told_end = True
            self._at_end()
        if not self._reading:
            if not self.all_handed.done():
                self.all_handed.set_result(None)
        elif wait_s := self._pace.read_wait_s(self._loop.time()):
            self._wait(wait_s)
        else:
            self._pace.reads(self._loop.time())
            self._body.resume()

    def _wait(self, seconds: float) -> None:
        if self._reading:
            self._body.pause()
        if seconds < math.inf:
            self._timer = self._loop.call_later(seconds, self.advance)


def _compute(work_ns: int) -> None:
    """Take so much processor time: of this thread, since a busy machine must not make it less."""
    until_ns = time.thread_time_ns() + work_ns
    while time.thread_time_ns() < until_ns:
        pass

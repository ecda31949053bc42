"""Crowd: streams that are begun when they are due, live side by side, and are all over in the end.

    schedule (open loop)        one task begins each stream when it is due, whatever those before it do
    users (closed loop)         each begins its next one when the last has ended, and some time after

A stream is a task of its own. One that leaves is cancelled at its time, one that runs when the load is interrupted
likewise: what had come of it is kept as `cancelled(by us)`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from streamkit.errors import ConfigError
from streamkit.lab.client.kept import last_recording
from streamkit.lab.load.arrivals import Closed
from streamkit.lab.load.room import too_many

if TYPE_CHECKING:
    from streamkit.lab.load.mix import Visit
    from streamkit.lab.load.schedule import Schedule
    from streamkit.lab.load.targets import Target
    from streamkit.lab.recording.recording import Recording

__all__ = ["Crowd"]

AT_A_TIME = 64
"""So many that are due are begun before the loop has its turn again: else the first would wait for the last."""


class Crowd:
    """The streams of one load; `ended` are those that are over, in the order of their ends.

    most        how many may be open at a time; one more is a ConfigError
    on_done     told of each recording
    """

    def __init__(self, target: Target, most: int, on_done: Callable[[Recording], object] | None = None) -> None:
        self.ended: list[Recording] = []
        self.live = 0
        self.late_ns = 0
        """By how much the last stream was begun too late, by this process itself."""
        self._target = target
        self._most = most
        self._on_done = on_done

    async def open_loop(self, schedule: Schedule, begun_ns: int) -> None:
        """Begin each when it is due; returns when all are over. Raises what a stream raises, when none runs."""
        with _unwrapped():
            async with asyncio.TaskGroup() as group:
                for begun, visit in enumerate(schedule.visits(begun_ns), start=1):
                    await _until(visit.due_ns, often=not begun % AT_A_TIME)
                    group.create_task(self._stream(visit))

    async def closed_loop(self, schedule: Schedule, begun_ns: int) -> None:
        """Each user's streams, one behind the other, for as long as there are numbers, and time; likewise."""
        numbers, until_ns = schedule.numbers(), schedule.until_ns(begun_ns)
        with _unwrapped():
            async with asyncio.TaskGroup() as group:
                for user in range(schedule.at_once):
                    group.create_task(self._user(user, schedule, numbers, until_ns))

    async def _user(self, user: int, schedule: Schedule, numbers: Iterator[int], until_ns: int | None) -> None:
        assert isinstance(schedule.arrivals, Closed)  # noqa: S101  # for the type checker: there are no users elsewhere
        async with asyncio.TaskGroup() as group:
            for n in numbers:  # shared: whoever is free takes the next one
                visit = schedule.mix.visit(n, None)
                visit.labels["user"] = user
                await group.create_task(self._stream(visit))
                think_s = schedule.mix.think_s(n, schedule.arrivals.think_span_s)
                if until_ns is not None and time.monotonic_ns() + think_s * 1e9 >= until_ns:
                    return
                await asyncio.sleep(think_s)

    async def _stream(self, visit: Visit) -> None:
        """One stream, to its end. It is over when its task is cancelled, and so are those who cancelled it."""
        self._enter(visit)
        leaving = None if visit.leave_s is None else _leave_after(visit.leave_s)
        try:
            recording = await self._target.ask(visit)
        except asyncio.CancelledError as error:
            kept = last_recording(of=error)
            if kept is None:  # it had not even begun
                raise
            recording = kept
        finally:
            self.live -= 1
            if leaving is not None:
                leaving.cancel()
        self.ended.append(recording)
        if self._on_done is not None:
            self._on_done(recording)

    def _enter(self, visit: Visit) -> None:
        if self.live >= self._most:
            raise ConfigError(too_many(self._most, self._target.descriptors, self._most + 1))
        self.live += 1
        if visit.due_ns is not None:
            self.late_ns = time.monotonic_ns() - visit.due_ns


@contextlib.contextmanager
def _unwrapped() -> Iterator[None]:
    """A group of errors is the first of them: what one stream raises, the others have nothing to add to."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _until(due_ns: int | None, *, often: bool) -> None:
    """Return when it is due; `often`: let the loop have its turn even if it is late."""
    wait_ns = 0 if due_ns is None else due_ns - time.monotonic_ns()
    if wait_ns > 0 or often:
        await asyncio.sleep(max(0, wait_ns) / 1e9)


def _leave_after(seconds: float) -> asyncio.TimerHandle:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # for the type checker: a coroutine runs in one
    return asyncio.get_running_loop().call_later(seconds, task.cancel)

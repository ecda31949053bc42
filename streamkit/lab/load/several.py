"""A load by several client processes: one Python that is busy cannot begin requests in time, several can.

    parent ── order: target, schedule, share k of n ──▶ child     (`child.py`, one for each)
           ◀── READY, when it has all that it needs ───
           ── when the load begins ───────────────────▶
           ◀── how far it is, ten times a second ──────
           ◀── its RecordingSet ───────────────────────

All have one clock (`time.monotonic_ns()` is that of the machine) and one schedule, of which each takes every n-th
stream: together they send what one would have sent. Children have a session of their own, so that Ctrl-C reaches them
once, by us, and they end when their parent does.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import signal
import struct
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from streamkit.errors import ServerError
from streamkit.lab.sets import RecordingSet

if TYPE_CHECKING:
    from streamkit.lab.load.bar import ShowProgress
    from streamkit.lab.load.schedule import Schedule

__all__ = ["LENGTH", "READY", "LoadOrder", "Several", "packed"]

LENGTH: Final = struct.Struct("!Q")
READY: Final = "ready"
LEAD_NS: Final = 50_000_000
"""From the word to the load's beginning: by then all children have heard it."""
LAST_WORDS_S: Final = 10.0
"""How long an interrupted child may take to tell what it has."""


@dataclass(frozen=True)
class LoadOrder:
    """What a child is to do."""

    url: str
    options: dict[str, Any]
    schedule: Schedule
    most: int


def packed(value: object) -> bytes:
    """A message between parent and child: its length, then itself."""
    data = pickle.dumps(value)
    return LENGTH.pack(len(data)) + data


class Several:
    """The children of one load: `await Several(orders).run(show)`; `sets` has what they have told by now.

    Raises what a child raises, and ServerError where one has ended without a word.
    """

    def __init__(self, orders: list[LoadOrder]) -> None:
        self._told_by: dict[int, RecordingSet] = {}
        self.begun_ns: int | None = None
        self._orders = orders
        self._far = [(0, 0, 0)] * len(orders)

    @property
    def sets(self) -> list[RecordingSet]:
        """In the order of the children."""
        return [streams for _, streams in sorted(self._told_by.items())]

    async def run(self, show: ShowProgress) -> None:
        """Until all are over. Cancelled, it interrupts them and takes what they have."""
        async with contextlib.AsyncExitStack() as stack:
            children = [await stack.enter_async_context(_child(order)) for order in self._orders]
            for k, child in enumerate(children):
                await _message(child, k)
            self.begun_ns = time.monotonic_ns() + LEAD_NS
            for child in children:
                _writer(child).write(packed(self.begun_ns))
            telling = [asyncio.ensure_future(self._told(k, child, show)) for k, child in enumerate(children)]
            try:
                done, _ = await asyncio.wait(telling, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
            except BaseException:
                await _interrupt(children, telling)
                raise

    async def _told(self, k: int, child: asyncio.subprocess.Process, show: ShowProgress) -> None:
        while not isinstance(told := await _message(child, k), RecordingSet):
            self._far[k] = told
            ended, live, late_ns = zip(*self._far, strict=True)
            show(sum(ended), sum(live), max(late_ns))
        self._told_by[k] = _named(told, k)


async def _interrupt(children: list[asyncio.subprocess.Process], telling: list[asyncio.Task[None]]) -> None:
    """As Ctrl-C does; and wait for what they have."""
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGINT)
    over, late = await asyncio.wait(telling, timeout=LAST_WORDS_S)
    for task in late:
        task.cancel()
    for task in over:
        task.exception()  # looked at: one error is told, and it is another one


async def _message(child: asyncio.subprocess.Process, k: int) -> Any:
    """The next one of child `k`; what went wrong there is raised here."""
    assert child.stdout is not None  # noqa: S101  # for the type checker: it has a pipe
    try:
        size = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))[0]
        told = pickle.loads(await child.stdout.readexactly(size))  # noqa: S301  # from our child
    except asyncio.IncompleteReadError:
        raise ServerError(f"client {k + 1} of the load ended before it had told what it recorded") from None
    if isinstance(told, BaseException):
        raise told
    return told


def _writer(child: asyncio.subprocess.Process) -> asyncio.StreamWriter:
    assert child.stdin is not None  # noqa: S101  # for the type checker: it has a pipe
    return child.stdin


def _named(streams: RecordingSet, k: int) -> RecordingSet:
    resources = [replace(used, name=f"client {k + 1}") for used in streams.resources if used.name == "client"]
    return RecordingSet(streams.recordings, meta=streams.meta, resources=resources)


@contextlib.asynccontextmanager
async def _child(order: LoadOrder) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child at work; none is left behind."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streamkit.lab.load.child"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _writer(child).write(packed(sys.path) + packed(order))
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()

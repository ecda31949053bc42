"""A load while it runs, from its beginning to its set of recordings, however it ends; by one process, or several."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streamkit.lab.load.arrivals import Closed
from streamkit.lab.load.crowd import Crowd
from streamkit.lab.load.kept import LAST
from streamkit.lab.load.several import LoadOrder, Several
from streamkit.lab.load.targets import UrlTarget
from streamkit.lab.load.watching import Watching
from streamkit.lab.sets import RecordingSet
from streamkit.lab.under_way import under_way, watched_by

if TYPE_CHECKING:
    from streamkit.lab.load.bar import ShowProgress
    from streamkit.lab.load.schedule import Schedule
    from streamkit.lab.load.targets import Target
    from streamkit.lab.recording.recording import Recording

__all__ = ["ByClients", "ByOne", "run_share"]


class ByOne:
    """A load that this process sends: `await ByOne(schedule, target, crowd, meta).run(show)`."""

    def __init__(self, schedule: Schedule, asked: Target, crowd: Crowd, meta: dict[str, Any]) -> None:
        self._schedule = schedule
        self._asked = asked
        self._crowd = crowd
        self._meta = meta
        self._watching: Watching | None = None

    async def run(self, show: ShowProgress, begun_ns: int | None = None) -> RecordingSet:
        """Its recordings. It begins at once, unless `begun_ns` says when."""
        try:
            async with self._asked.opened():
                # Its streams are told as one: of each by itself nobody asks.
                with under_way(lambda: self._set(self._crowd.ended)), watched_by(None):
                    await self._watched(show, begun_ns)
                found = await self._asked.joined(self._crowd.ended)
        except BaseException as error:
            LAST.carry(self._set(self._crowd.ended), error)
            raise
        return LAST.keep(self._set(found))

    async def _watched(self, show: ShowProgress, begun_ns: int | None) -> None:
        crowd = self._crowd
        self._watching = Watching(self._asked.watched(), lambda: show(len(crowd.ended), crowd.live, crowd.late_ns))
        with self._watching:
            begun_ns = self._meta["begun_ns"] = time.monotonic_ns() if begun_ns is None else begun_ns
            if isinstance(self._schedule.arrivals, Closed):
                await crowd.closed_loop(self._schedule, begun_ns)
            else:
                await crowd.open_loop(self._schedule, begun_ns)

    def _set(self, recordings: list[Recording]) -> RecordingSet:
        resources = [] if self._watching is None else self._watching.resources()
        return RecordingSet(recordings, meta=self._meta, resources=resources)


class ByClients:
    """A load that several processes send: `await ByClients(schedule, target, most, meta).run(4, show)`."""

    def __init__(self, schedule: Schedule, asked: Target, most: int, meta: dict[str, Any]) -> None:
        self._schedule = schedule
        self._asked = asked
        self._most = most
        self._meta = meta

    async def run(self, clients: int, show: ShowProgress) -> RecordingSet:
        """The recordings of all of them, with what each of them used."""
        several = Several([self._order(k, clients) for k in range(clients)])
        watching = Watching([each for each in self._asked.watched() if each.name != "client"])
        try:
            with watching:
                await several.run(show)
        except BaseException as error:
            LAST.carry(self._set(several, watching), error)
            raise
        return LAST.keep(self._set(several, watching))

    def _order(self, k: int, clients: int) -> LoadOrder:
        assert isinstance(self._asked, UrlTarget)  # noqa: S101  # for the type checker: others have been refused
        share = replace(self._schedule, share=(k, clients))
        return LoadOrder(self._asked.url, self._asked.options, share, self._most)

    def _set(self, several: Several, watching: Watching) -> RecordingSet:
        meta = {**self._meta, "begun_ns": several.begun_ns, "clients": len(several.sets)}
        recordings = [recording for streams in several.sets for recording in streams]
        used = [resources for streams in several.sets for resources in streams.resources]
        return RecordingSet(recordings, meta=meta, resources=[*used, *watching.resources()])


def run_share(order: LoadOrder, begun_ns: int, show: ShowProgress) -> RecordingSet | BaseException:
    """What one of several clients does, in a process of its own: the recordings, or what went wrong."""
    asked = UrlTarget(order.url, order.options, [])
    try:
        with asyncio.Runner() as runner:
            return runner.run(ByOne(order.schedule, asked, Crowd(asked, order.most), {}).run(show, begun_ns))
    except BaseException as error:  # noqa: BLE001  # whatever it is, the parent wants to know
        kept = LAST.of(error)
        return kept if isinstance(error, KeyboardInterrupt) and kept is not None else error

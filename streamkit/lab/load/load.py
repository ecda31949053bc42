"""load(): many requests to one target, each when it is due, and all of their recordings as one set."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from streamkit.lab.arguments import check_listener, check_whole
from streamkit.lab.load.arrivals import Closed
from streamkit.lab.load.bar import progress_bar
from streamkit.lab.load.crowd import Crowd
from streamkit.lab.load.kept import carry, keep
from streamkit.lab.load.mix import Mix
from streamkit.lab.load.room import check_room, most_open
from streamkit.lab.load.schedule import Schedule
from streamkit.lab.load.targets import BODIES, target_of
from streamkit.lab.load.watching import Watching
from streamkit.lab.metrics import SLO
from streamkit.lab.sets import RecordingSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamkit.lab.load.arrivals import ArrivalsLike
    from streamkit.lab.load.bar import ShowProgress
    from streamkit.lab.load.mix import Prompts, Readers
    from streamkit.lab.load.targets import Pids, Target, TargetLike
    from streamkit.lab.recording.recording import Recording

__all__ = ["load"]


async def load(
    target: TargetLike,
    *,
    streams: int | None = None,
    duration_s: float | None = None,
    rate: float | None = None,
    arrivals: ArrivalsLike | None = None,
    seed: int = 0,
    prompts: Prompts | None = None,
    readers: Readers = None,
    leave: float = 0.0,
    leave_after_s: tuple[float, float] = (0.0, 1.0),
    slo: SLO | None = None,
    taps: bool = True,
    pids: Pids | None = None,
    max_open: int | None = None,
    progress: bool = True,
    on_done: Callable[[Recording], object] | None = None,
    **options: Any,
) -> RecordingSet:
    """Send many requests, each when it is due, and record every answer.

        streams = await sk.load(lab, streams=100, rate=20)
        streams.summary()

    The target is a `Lab`; the URL of a server, asked by the form field `chat_history`, or as a provider is, by its
    `preset` (and `model`); or an async function of yours, `(n, visit) -> Recording`, see `visit.options`.

    **Open loop** unless `arrivals` are `closed`: requests come when they are due, however the server gets on. Each
    recording says when it was due and when it was sent (`due_ns`, relative to its `started_ns`): what lies between is
    this client's own lateness, and a time to first piece counts from either. It runs until the last stream has ended;
    `total_s`, an option of `record()`, bounds each of them.

    streams     how many
    duration_s  for how long requests are due, in seconds; of the two, whichever is reached first
    rate        requests a second, in the mean. Without it, and without `arrivals`, all are due at once
    arrivals    how they are spread: "poisson" (the default with a rate), "constant", "gamma(0.5)", "ramp(1, 50)",
                "burst(100, 5)", times in seconds, one of `sk.arrivals`; "closed(50, 2)": closed loop of 50 users
    seed        of all that is drawn: the same seed gives the same load
    prompts     what is asked: a text, several, or a table of them by name; of several each is drawn as often. Instead
                of a text, options of `record()` that say it: `{"json": {…}}`
    readers     at which pace answers are read: a `Reader`, several (None: full speed), or a table by name; drawn too
    leave       which share of the clients leaves early, `leave_after_s` their request, somewhere between these two
    slo         the objective, kept in the set's `meta`
    taps        of a Lab, what upstream and relay saw of each stream is joined to it in the end, up to 1000 streams.
                (Its gauges are off here; make it with `gauge_ms=0`, so that its servers do not sample theirs either)
    pids        of a server elsewhere on this machine: its process id, or several by name, to be watched along the load
    max_open    how many streams at most may be open at a time; by default as many as this process's descriptors allow
    progress    show a progress bar: streams that have ended, that live, and how late this client is itself
    on_done     called with each recording as it ends

    All other keywords are options of `record()`: `accept`, `preset`, `total_s`, `headers`, …. Bytes are not kept,
    unless `keep_bytes` says so. What was drawn for a stream stands in its `labels`.

    When it is interrupted (Ctrl-C, a task that is cancelled), nothing is left running, and what has come is kept: the
    streams that had ended, and as `cancelled(by us)` those that ran, as `sk.last_load()` and in the exception's
    `recordings`.

    Raises ValueError and TypeError for arguments that make no sense, ConfigError where more streams would be open than
    this process may have descriptors (it says what to set), and what `record()`, a function of yours and `on_done` do.
    """
    check_listener("on_done", on_done)
    if slo is not None and not isinstance(slo, SLO):
        raise TypeError(f"expected slo as an SLO, such as sk.metrics.SLO(ttft_ms=500), got {slo!r}")
    _check_prompts(prompts, options)
    mix = Mix(prompts, readers, leave, leave_after_s, seed)
    schedule = Schedule.of(arrivals, mix, streams=streams, duration_s=duration_s, rate=rate, seed=seed)
    asked = target_of(target, _defaults(options, given=callable(target)), taps=taps, pids=pids)
    most = _most(asked, max_open)
    check_room(schedule.at_once, most, asked.descriptors)
    meta = {"target": asked.name, **schedule.as_meta(), "slo": None if slo is None else asdict(slo)}
    return await _Running(schedule, asked, Crowd(asked, most, on_done), meta).run(progress)


def _check_prompts(prompts: Prompts | None, options: dict[str, Any]) -> None:
    """A body that is given leaves no place for a text."""
    bodies = BODIES & options.keys()
    if prompts is not None and bodies:
        raise TypeError(
            f"expected prompts= or {min(bodies)}=, got both: give prompts={{'name': {{'{min(bodies)}': …}}}}"
        )


def _defaults(options: dict[str, Any], *, given: bool) -> dict[str, Any]:
    """Of `record()`; a function that is `given` records as it likes."""
    return options if given else {"keep_bytes": False, **options}


def _most(asked: Target, max_open: int | None) -> int:
    most = most_open(asked.descriptors)
    if max_open is None:
        return most
    check_whole("max_open", max_open, least=1)
    return min(most, max_open)


class _Running:
    """One load, from its beginning to its set of recordings, however it ends."""

    def __init__(self, schedule: Schedule, asked: Target, crowd: Crowd, meta: dict[str, Any]) -> None:
        self._schedule = schedule
        self._asked = asked
        self._crowd = crowd
        self._meta = meta
        self._watching: Watching | None = None

    async def run(self, progress: bool) -> RecordingSet:
        try:
            async with self._asked.opened():
                with progress_bar(self._schedule.total, shown=progress) as show:
                    await self._watched(show)
                found = await self._asked.joined(self._crowd.ended)
        except BaseException as error:
            carry(self._set(self._crowd.ended), error)
            raise
        return keep(self._set(found))

    async def _watched(self, show: ShowProgress) -> None:
        crowd = self._crowd
        self._watching = Watching(self._asked.watched(), lambda: show(len(crowd.ended), crowd.live, crowd.late_ns))
        with self._watching:
            begun_ns = self._meta["begun_ns"] = time.monotonic_ns()
            if isinstance(self._schedule.arrivals, Closed):
                await crowd.closed_loop(self._schedule, begun_ns)
            else:
                await crowd.open_loop(self._schedule, begun_ns)

    def _set(self, recordings: list[Recording]) -> RecordingSet:
        resources = [] if self._watching is None else self._watching.resources()
        return RecordingSet(recordings, meta=self._meta, resources=resources)

"""load(): many requests to one target, each sent when it is due, and all their recordings as one set."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from streamkit.lab.arguments import check_listener, check_whole
from streamkit.lab.load.arrivals import Closed
from streamkit.lab.load.bar import progress_bar
from streamkit.lab.load.crowd import Crowd
from streamkit.lab.load.mix import Mix
from streamkit.lab.load.room import check_room, most_open
from streamkit.lab.load.running import ByClients, ByOne
from streamkit.lab.load.schedule import Schedule
from streamkit.lab.load.targets import BODIES, target_of
from streamkit.lab.metrics import SLO

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamkit.lab.load.arrivals import ArrivalsLike
    from streamkit.lab.load.mix import Prompts, Readers
    from streamkit.lab.load.targets import Pids, Target, TargetLike
    from streamkit.lab.recording.recording import Recording
    from streamkit.lab.sets import RecordingSet

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
    clients: int = 1,
    progress: bool = True,
    on_done: Callable[[Recording], object] | None = None,
    **options: Any,
) -> RecordingSet:
    """Send many requests to one target, each when it is due, and record every answer.

        streams = await sk.load(lab, streams=100, rate=20)
        streams.summary()

    The load is an **open loop** unless `arrivals` are `closed`: requests are sent when they are due, however the server
    is coping. Each recording says when it was due and when it was sent (`due_ns`, relative to its `started_ns`). The
    difference is this client's own lateness, and the time to the first piece can be counted from either. The call
    returns when the last stream has ended; `total_s`, an option of `record()`, limits each of them.

    target      a `Lab`; or the URL of a server, which is asked by the form field `chat_history`, or, with `preset` (and
                `model`), as that provider is; or an async function of yours, `(n, visit) -> Recording`, which passes
                `**visit.options` to `record()`
    streams     how many requests
    duration_s  for how many seconds requests are due. If both are given, whichever is reached first
    rate        requests a second, on average. With neither `rate` nor `arrivals`, all are due at once
    arrivals    how they are spread: "poisson" (the default with a rate), "constant", "gamma(0.5)", "ramp(1, 50)",
                "burst(100, 5)", a list of times in seconds, one of `sk.arrivals`; "closed(50, 2)" is a closed loop of
                50 users
    seed        for everything that is drawn: the same seed gives the same load
    prompts     what is asked: a text, several, or a dict of them by name; each is equally likely. Instead of a text,
                options of `record()` that ask: `{"json": {…}}`
    readers     at which pace answers are read: a `Reader`, several (None: full speed), or a dict by name; drawn too
    leave, leave_after_s
                which share of the clients leaves early (0 to 1), and how many seconds after their request: a time drawn
                between these two
    slo         an objective, kept in the set's `meta`
    taps        if the target is a Lab: join what upstream and relay saw to each recording at the end, for up to 1000
                streams. (The client's gauges are off here; make the Lab with `gauge_ms=0`, so that its servers do not
                sample theirs either)
    pids        for a server elsewhere on this machine: its process id, or several by name, to record what they use
    max_open    how many streams may be open at a time; by default as many as this process's file descriptors allow
    clients     how many processes send the load, if one is too slow for its schedule; for a URL and an open loop. Each
                takes every n-th stream, and `max_open` applies to each
    progress    show a progress bar: streams that have ended, streams that are live, and how late this client is
    on_done     called with each recording as it ends; not with several `clients`

    All other keywords are options of `record()`: `accept`, `preset`, `total_s`, `headers`, …. Bytes are not kept unless
    `keep_bytes` says so. What was drawn for a stream is in its `labels`.

    When the load is interrupted (Ctrl-C, a cancelled task), nothing is left running and what has come is kept: the
    streams that had ended, and those that ran, as `cancelled(by us)`. They are in `sk.last_load()` and in the
    exception's attribute `recordings`.

    Raises ValueError and TypeError for arguments that make no sense, ConfigError if more streams would be open than
    this process may have descriptors (the message says what to set), and what `record()`, a function of yours, or
    `on_done` raises.
    """
    check_listener("on_done", on_done)
    if slo is not None and not isinstance(slo, SLO):
        raise TypeError(f"expected slo as an SLO, such as sk.metrics.SLO(ttft_ms=500), got {slo!r}")
    _check_prompts(prompts, options)
    check_whole("clients", clients, least=1)
    mix = Mix(prompts, readers, leave, leave_after_s, seed)
    schedule = Schedule.of(arrivals, mix, streams=streams, duration_s=duration_s, rate=rate, seed=seed)
    asked = target_of(target, _defaults(options, given=callable(target)), taps=taps, pids=pids)
    most = _most(asked, max_open)
    if clients > 1:
        _check_clients(target, schedule, on_done)
    else:
        check_room(schedule.at_once, most, asked.descriptors)
    meta = {"target": asked.name, **schedule.as_meta(), "slo": None if slo is None else asdict(slo)}
    with progress_bar(schedule.total, shown=progress) as show:
        if clients > 1:
            return await ByClients(schedule, asked, most, meta).run(clients, show)
        return await ByOne(schedule, asked, Crowd(asked, most, on_done), meta).run(show)


def _check_prompts(prompts: Prompts | None, options: dict[str, Any]) -> None:
    """A body that is given leaves no place for a text."""
    bodies = BODIES & options.keys()
    if prompts is not None and bodies:
        raise TypeError(
            f"expected prompts= or {min(bodies)}=, got both: give prompts={{'name': {{'{min(bodies)}': …}}}}"
        )


def _check_clients(target: TargetLike, schedule: Schedule, on_done: object) -> None:
    """What several processes cannot share."""
    if not isinstance(target, str):
        raise TypeError(
            f"expected a URL as the target of several clients, such as lab.relay.url + '/ans', got {target!r}"
        )
    if isinstance(schedule.arrivals, Closed):
        closed = f"expected an open loop with several clients, got arrivals {schedule.arrivals}"
        raise ValueError(closed)  # noqa: TRY004  # the type is right: what it means does not fit
    if on_done is not None:
        raise TypeError("expected no on_done= with several clients: their recordings come together, at the end")


def _defaults(options: dict[str, Any], *, given: bool) -> dict[str, Any]:
    """Of `record()`; a function that is `given` records as it likes."""
    return options if given else {"keep_bytes": False, **options}


def _most(asked: Target, max_open: int | None) -> int:
    most = most_open(asked.descriptors)
    if max_open is None:
        return most
    check_whole("max_open", max_open, least=1)
    return min(most, max_open)

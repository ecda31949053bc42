"""Where the taps of upstream and relay are had, and how they join a recording."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

import httpx2

from streamkit.errors import NoTaps
from streamkit.lab.client.connections import OwnConnections
from streamkit.lab.client.joining import TAPS_WAIT_S, FetchTaps, fetch_taps, finished_taps, noted
from streamkit.lab.recording.join import attach
from streamkit.lab.upstream.app import SentLog
from streamkit.taps import StreamTaps, Tap

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording
    from streamkit.serving.factory import App

__all__ = ["TAPS_WAIT_S", "FetchTaps", "fetcher", "joined", "seen_so_far"]


def fetcher(app: App | None, url: str) -> FetchTaps:
    """The taps of a server: directly where its app is in this process, else over HTTP."""
    if app is None:
        return partial(_over_http, url)
    if hasattr(app.ctx, "relay"):
        return partial(_from_relay, app)
    return partial(_from_upstream, app)


async def _from_relay(app: App, stream_id: str) -> StreamTaps | None:
    log = app.ctx.relay.taps
    return None if log is None else cast("StreamTaps | None", log.get(stream_id))


async def _from_upstream(app: App, stream_id: str) -> StreamTaps | None:
    sent = tuple(getattr(app.ctx, "sent", ()))  # at once: the upstream's thread may be adding to it
    logs = (log for log in reversed(sent) if isinstance(log, SentLog) and log.stream_id == stream_id)
    return next((log.taps() for log in logs), None)


async def _over_http(url: str, stream_id: str) -> StreamTaps | None:
    asking = OwnConnections("GET", url, httpx2.Timeout(TAPS_WAIT_S), {"headers": []}, None, verify=True)
    try:
        return await fetch_taps(asking, url, stream_id, TAPS_WAIT_S)
    except NoTaps:  # an upstream of one's own may answer anything
        return None


async def joined(
    recording: Recording, sources: Mapping[str, FetchTaps], stream_id: str, wait_s: float = TAPS_WAIT_S
) -> Recording:
    """With all taps that there are; a recording is not lost for the lack of some."""
    found = await finished_taps(sources, stream_id, wait_s)
    for who, taps in found.items():
        try:
            recording = attach(recording, taps)
        except ValueError as error:  # its clock is another one, as that of each process outside Linux
            recording = noted(recording, f"the taps of {who} cannot be joined: {error}")
        recording = _explained(recording, taps.why)
    missing = ", ".join(who for who in sources if who not in found and not _was_not_asked(who, found.get("relay")))
    return noted(recording, f"no taps of this stream: {missing}") if missing else recording


def _explained(recording: Recording, why: str) -> Recording:
    """With what the relay logged of a failure, and tells no client: who has made the lab may know."""
    error = recording.error or ""
    if not why or why in error or recording.outcome.ok:
        return recording
    return replace(recording, error="; ".join(filter(None, [error, f"the relay's log says why: {why}"])))


def seen_so_far(recording: Recording, sources: Mapping[str, FetchTaps], stream_id: str) -> Recording:
    """A stream that runs, with what each of these sources, all in this process, has of it by now. Of what the upstream
    is to send there is what was due. From any thread.
    """
    asked = [_at_once(fetch(stream_id)) for fetch in sources.values()]
    seen = attach(recording, *(taps for taps in asked if taps is not None))
    due, now_ns = seen.taps.get("upstream.due"), seen.ended_ns
    if due is None or now_ns is None:
        return seen
    by_now = bisect_right(due.at_ns, now_ns)
    was_due = Tap(due.at_ns[:by_now], due.events[:by_now], due.bytes[:by_now])
    return replace(seen, taps={**seen.taps, "upstream.due": was_due})


def _at_once(fetching: Awaitable[StreamTaps | None]) -> StreamTaps | None:
    """What is here, and has nothing to wait for."""
    try:
        next(fetching.__await__())
    except StopIteration as told:
        return cast("StreamTaps | None", told.value)
    raise AssertionError("expected taps of this process, got some that have to be waited for")


def _was_not_asked(who: str, relay: StreamTaps | None) -> bool:
    """By the relay's own word: it refused the request, or the answer is of another source."""
    marks = {} if relay is None else relay.marks
    return who == "upstream" and "relay.asked" in marks and "relay.asking" not in marks

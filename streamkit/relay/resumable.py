"""The relay's streams that can be resumed: what a source gives goes into a log, and every answer is read from it, the
first one too.

POST /ans, or another route  a new log, a producer that fills it; or, under a known Idempotency-Key, the one there is
… with Last-Event-ID         ┐
GET /streams/<id>            ┴ a log that there is, from where the client stands
… with Prefer: respond-async a new log, and no answer but where it is (RFC 7240 section 4.1)
DELETE /streams/<id>         ends it, or forgets it; GET /streams/<id>/status tells of it
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Final

from sanic import HTTPResponse, Request
from sanic.response import json

from streamkit.outcome import Outcome
from streamkit.relay.counting.counts import Counts
from streamkit.relay.delivery.answer import problem
from streamkit.relay.delivery.deliver import Delivery, Ended
from streamkit.relay.delivery.format import media_type
from streamkit.relay.delivery.heads import UNSTORED
from streamkit.relay.delivery.policy import Policy
from streamkit.relay.delivery.portion import Portion
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.log import StreamRecord
from streamkit.relay.pieces import Snapshot
from streamkit.relay.replay.log import Log
from streamkit.relay.replay.replay import AHEAD, Replay, check_cursor
from streamkit.relay.replay.store import Claim, Created
from streamkit.relay.request.resuming import (
    Cursor,
    cursor,
    first_byte,
    idempotency_key,
    key_digest,
    owner_digest,
)
from streamkit.relay.route import Wanted
from streamkit.relay.settings import Settings
from streamkit.relay.sources.source import Into
from streamkit.relay.sources.stored import stored
from streamkit.relay.stream import Stream
from streamkit.taps import LIVE_HEADER, STREAM_ID_HEADER, StreamTaps, TapLog

__all__ = ["Resumable"]

ENDLESS: Final = 9_007_199_254_740_991
"""RFC 8673: the last byte of what is still being made, which nobody knows; 2⁵³ - 1."""


class Resumable:
    """The streams of one relay, kept in `replay`; traced in `taps`, if there are any.

    `owner_headers` are those by which a stream's owner is told from others; `masked` takes secrets out of what is
    logged.
    """

    def __init__(
        self,
        replay: Replay,
        masked: Callable[[str], str],
        policy: Policy,
        owner_headers: tuple[str, ...],
        taps: TapLog | None,
        gauged: Callable[[Stream, Delivery], AbstractContextManager[None]],
        counts: Counts | None = None,
    ) -> None:
        self.replay = replay
        self._masked = masked
        self._policy = policy
        self._owner_headers = owner_headers
        self._taps = taps
        self._gauged = gauged
        self._counts = counts
        self._over: dict[str, dict[str, dict[str, Any]]] = {}  # of taps: what was said of those that have ended

    def cursor(self, request: Request) -> Cursor | None:
        """Where a POST wants to go on; None: it asks anew. Raises Failed."""
        return cursor(request.headers)

    # --- Answers ------------------------------------------------------------------------------------------------------

    async def ask(self, request: Request, stream: Stream, path: str, wanted: Wanted) -> Coroutine[None, None, Ended]:
        """Begin the answer to what was asked of the route at `path`: by a new stream, or by that which its
        Idempotency-Key has begun. What is returned has to be awaited at once, and holds nothing of the question. Raises
        Failed.
        """
        settings, stream.settings = stream.settings, _of_reader(stream.settings)
        prefix = request.path.removesuffix(path)
        delivery = Delivery(request, stream, self._policy, _portion(stream.id, prefix))
        produce = partial(self._produce, wanted, stream, settings, delivery.into)
        log, fresh = await self._begin(request, stream, wanted, produce)
        if fresh:
            return self._run(stream, log, delivery)
        if stream.taps is not None:
            self._close(stream.taps)
            stream.taps = None  # the first answer has them
        stream.record.stream_id = log.id
        check_cursor(log, 0)
        return self._deliver(request, stream, log, _portion(log.id, prefix, log))

    async def ask_for_later(self, request: Request, stream: Stream, path: str, wanted: Wanted) -> Ended:
        """The same, of a client that comes back for the answer: it may take as long as its route lets it, with nobody
        there. Raises Failed.
        """
        produce = partial(self._produce, wanted, stream, stream.settings, Into(), grace_s=math.inf)
        log, _ = await self._begin(request, stream, wanted, produce)
        stream.record.stream_id = log.id
        headers = {
            **UNSTORED,
            STREAM_ID_HEADER: log.id,
            "location": f"{request.path.removesuffix(path)}/streams/{log.id}",
            "preference-applied": "respond-async",
        }
        return Ended(Outcome("complete"), response=json(self.replay.status(log), 202, headers))

    async def _begin(
        self, request: Request, stream: Stream, wanted: Wanted, produce: Callable[[Log], object]
    ) -> Created:
        owner = self._owner(request)
        key = idempotency_key(request.headers)
        claim = None if key is None or wanted.digest is None else Claim(key_digest(owner, key), wanted.digest)
        return await self.replay.begin(stream.id, owner, claim, produce)

    async def _run(self, stream: Stream, log: Log, delivery: Delivery) -> Ended:
        """The first answer of a stream."""
        with log.attach(0, delivery.in_flight) as reader, self._gauged(stream, delivery):
            return await delivery.run(stored(reader, delivery.into))

    async def go_on(self, request: Request, stream: Stream, path: str, at: Cursor) -> Ended:
        """Answer with what stands behind a cursor that was sent to the route at `path`. Raises Failed."""
        log = await self._find(request, stream, at.stream_id)
        check_cursor(log, at.number)
        prefix = request.path.removesuffix(path)
        return await self._deliver(request, stream, log, _portion(log.id, prefix, log, after=at.number))

    async def get(self, request: Request, stream: Stream, stream_id: str) -> Ended:
        """Answer with a stream, from its beginning or from where the request says. Raises Failed."""
        log = await self._find(request, stream, stream_id)
        at = cursor(request.headers, request.get_args(keep_blank_values=True).getlist("after") or (), of=log.id)
        byte = first_byte(request.headers, plain=media_type(request) == "text/plain")
        if byte is None or (at is None and await _tells_states(log)):
            return await self.go_on(request, stream, f"/streams/{log.id}", at or Cursor(log.id, 0))
        if at is not None:
            raise Failed.of_request(400, "cursor_malformed", "send a cursor or a Range, not both")
        return await self._get_bytes(request, stream, log, byte)

    async def _get_bytes(self, request: Request, stream: Stream, log: Log, byte: int) -> Ended:
        complete = log.end is not None and log.end.failed is None
        if complete and byte >= log.text_bytes:
            return _nothing_there(log, stream)
        if byte > log.text_bytes:
            raise Failed(AHEAD)
        after, skip_bytes = await log.at_byte(byte)
        which = f"{byte}-{log.text_bytes - 1}/{log.text_bytes}" if complete else f"{byte}-{ENDLESS}/*"
        prefix = request.path.removesuffix(f"/streams/{log.id}")
        portion = _portion(log.id, prefix, log, after, skip_bytes, content_range=f"bytes {which}")
        return await self._deliver(request, stream, log, portion)

    async def _find(self, request: Request, stream: Stream, stream_id: str) -> Log:
        stream.record.resumed = True
        log = await self.replay.store.find(stream_id, self._owner(request))
        stream.record.stream_id = log.id
        return log

    async def _deliver(self, request: Request, stream: Stream, log: Log, portion: Portion) -> Ended:
        stream.settings = _of_reader(stream.settings)
        delivery = Delivery(request, stream, self._policy, portion)
        with log.attach(portion.after, delivery.in_flight) as reader:
            return await delivery.run(stored(reader, delivery.into))

    def _owner(self, request: Request) -> str:
        return owner_digest(request.headers, self._owner_headers)

    # --- What is produced ---------------------------------------------------------------------------------------------

    def _produce(
        self,
        wanted: Wanted,
        stream: Stream,
        settings: Settings,
        beside: Into,
        log: Log,
        grace_s: float | None = None,
    ) -> None:
        record = StreamRecord(log.id, role="stream", label=stream.record.label, trace_id=stream.record.trace_id)
        taps = stream.taps
        if taps is not None:
            self._over[taps.stream_id] = {}

        def ended() -> None:
            record.why = self._masked(record.why)
            line = record.write()
            if self._counts is not None:
                self._counts.produced(record)
            if taps is not None:
                self._one_is_over(taps, of_stream=line)

        self.replay.produce(log, wanted.source, record, settings, beside, ended, grace_s)

    def answered(self, taps: StreamTaps, line: dict[str, Any]) -> None:
        """The traced answer is over, and that is what was logged of it."""
        if taps.stream_id in self._over:
            self._one_is_over(taps, of_answer=line)
        else:  # nothing was produced for it
            taps.word = line
            self._close(taps)

    def _one_is_over(self, taps: StreamTaps, **line: dict[str, Any]) -> None:
        """A stream and its first answer share their taps. Times and numbers are told of the answer, and of the stream
        how it ended: a client that was cut has the rest by another one.
        """
        lines = self._over[taps.stream_id]
        lines.update(line)
        if len(lines) == 2:
            del self._over[taps.stream_id]
            told = {name: lines["of_stream"][name] for name in ("outcome", "code", "finish_reason")}
            taps.word = {**lines["of_answer"], **told}
            self._close(taps)

    def _close(self, taps: StreamTaps) -> None:
        if self._taps is not None:
            self._taps.close(taps)

    # --- Other requests -----------------------------------------------------------------------------------------------

    async def stop(self, request: Request, stream_id: str) -> HTTPResponse:
        """`DELETE /streams/<id>`. Raises Failed."""
        await self.replay.stop(await self.replay.store.find(stream_id, self._owner(request)))
        return HTTPResponse(status=204)

    async def status(self, request: Request, stream_id: str) -> HTTPResponse:
        """`GET /streams/<id>/status`. Raises Failed."""
        log = await self.replay.store.find(stream_id, self._owner(request))
        return json(self.replay.status(log), headers={STREAM_ID_HEADER: log.id})


def _of_reader(settings: Settings) -> Settings:
    """What a source may take is its producer's business, not that of those who read its log."""
    return settings._replace(deadlines=replace(settings.deadlines, first_piece_s=0, idle_s=0))


async def _tells_states(log: Log) -> bool:
    """Its text has snapshots in it, of which each reader gets others: it has no bytes by which one could come back, and
    a Range is passed over (RFC 9110 section 14.2).
    """
    return log.first <= log.last and any(isinstance(piece, Snapshot) for piece in await log.page(log.last - 1))


def _portion(
    log_id: str,
    prefix: str,
    log: Log | None = None,
    after: int = 0,
    skip_bytes: int = 0,
    content_range: str = "",
) -> Portion:
    """Of a `log` that there was before; without one, of a new stream."""
    headers = {"location": f"{prefix}/streams/{log_id}"}
    if log is not None:
        headers[LIVE_HEADER] = str(log.last)
    if content_range:
        headers["content-range"] = content_range
    begun = log is not None and log.last > 0
    return Portion(log_id, after, skip_bytes, begun, 206 if content_range else 200, headers)


def _nothing_there(log: Log, stream: Stream) -> Ended:
    """The text is complete, and ends before the byte that is asked for (RFC 9110 section 15.5.17)."""
    failure = Failure.of_request(416, "range_not_satisfiable", f"the text is complete, and has {log.text_bytes} bytes")
    response = problem(failure, stream.id)
    response.headers["content-range"] = f"bytes */{log.text_bytes}"
    return Ended(failure.outcome, failure.code, response)

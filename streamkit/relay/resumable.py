"""The relay's streams that can be resumed: what is asked of the upstream goes into a log, and every answer is read from
it, the first one too.

POST /ans                    a new log, a producer that fills it; or, under a known Idempotency-Key, the one there is
POST /ans, Last-Event-ID     ┐
GET /streams/<id>            ┴ a log that there is, from where the client stands
DELETE /streams/<id>         ends it, or forgets it; GET /streams/<id>/status tells of it
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Final

from sanic import HTTPResponse, Request
from sanic.response import json

from streamkit.presets.asking import UpstreamRequest
from streamkit.relay.delivery.answer import problem
from streamkit.relay.delivery.deliver import Delivery, Ended
from streamkit.relay.delivery.format import media_type
from streamkit.relay.delivery.policy import Policy
from streamkit.relay.delivery.portion import Portion
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.log import StreamRecord
from streamkit.relay.replay.log import Log
from streamkit.relay.replay.replay import AHEAD, Replay, check_cursor
from streamkit.relay.replay.store import Claim
from streamkit.relay.request.resuming import (
    Cursor,
    body_digest,
    cursor,
    first_byte,
    idempotency_key,
    key_digest,
    owner_digest,
)
from streamkit.relay.sources.llm import llm
from streamkit.relay.sources.source import Into, Pieces
from streamkit.relay.sources.stored import stored
from streamkit.relay.sources.upstream import Upstream
from streamkit.relay.stream import Stream
from streamkit.taps import LIVE_HEADER, STREAM_ID_HEADER, StreamTaps, TapLog

__all__ = ["Resumable"]

ENDLESS: Final = 9_007_199_254_740_991
"""RFC 8673: the last byte of what is still being made, which nobody knows; 2⁵³ - 1."""


class Resumable:
    """The streams of one relay, asked of `upstream` and kept in `replay`; traced in `taps`, if there are any.

    `owner_headers` are those by which a stream's owner is told from others.
    """

    def __init__(
        self,
        replay: Replay,
        upstream: Upstream,
        policy: Policy,
        owner_headers: tuple[str, ...],
        taps: TapLog | None,
        gauged: Callable[[Stream, Delivery], AbstractContextManager[None]],
    ) -> None:
        self.replay = replay
        self._upstream = upstream
        self._policy = policy
        self._owner_headers = owner_headers
        self._taps = taps
        self._gauged = gauged
        deadlines = replace(upstream.settings.deadlines, first_piece_s=0, idle_s=0)  # they are the producer's
        self._settings = upstream.settings._replace(deadlines=deadlines)
        self._over: dict[str, dict[str, dict[str, Any]]] = {}  # of taps: what was said of those that have ended

    def cursor(self, request: Request) -> Cursor | None:
        """Where a POST wants to go on; None: it asks anew. Raises Failed."""
        return cursor(request.headers)

    # --- Answers ------------------------------------------------------------------------------------------------------

    async def ask(
        self, request: Request, stream: Stream, fields: dict[str, str], question: UpstreamRequest
    ) -> Coroutine[None, None, Ended]:
        """Begin the answer to a question: by a new stream, or by that which its Idempotency-Key has begun. What is
        returned has to be awaited at once, and holds nothing of the question. Raises Failed.
        """
        stream.settings = self._settings
        owner = self._owner(request)
        key = idempotency_key(request.headers)
        claim = None if key is None else Claim(key_digest(owner, key), body_digest(fields))
        prefix = request.path.removesuffix("/ans")
        delivery = Delivery(request, stream, self._policy, _portion(stream.id, prefix))
        source = partial(llm, self._upstream, question)
        log, fresh = await self.replay.begin(
            stream.id, owner, claim, partial(self._produce, source, stream, delivery.into)
        )
        if fresh:
            return self._run(stream, log, delivery)
        if stream.taps is not None:
            self._close(stream.taps)
            stream.taps = None  # the first answer has them
        stream.record.stream_id = log.id
        check_cursor(log, 0)
        return self._deliver(request, stream, log, _portion(log.id, prefix, log))

    async def _run(self, stream: Stream, log: Log, delivery: Delivery) -> Ended:
        """The first answer of a stream."""
        with log.attach(0, delivery.in_flight) as reader, self._gauged(stream, delivery):
            return await delivery.run(stored(reader, delivery.into))

    async def go_on(self, request: Request, stream: Stream, at: Cursor) -> Ended:
        """Answer with what stands behind a cursor. Raises Failed."""
        log = await self._find(request, stream, at.stream_id)
        check_cursor(log, at.number)
        prefix = request.path.removesuffix("/ans").removesuffix(f"/streams/{log.id}")
        return await self._deliver(request, stream, log, _portion(log.id, prefix, log, after=at.number))

    async def get(self, request: Request, stream: Stream, stream_id: str) -> Ended:
        """Answer with a stream, from its beginning or from where the request says. Raises Failed."""
        log = await self._find(request, stream, stream_id)
        at = cursor(request.headers, request.get_args(keep_blank_values=True).getlist("after") or (), of=log.id)
        byte = first_byte(request.headers, plain=media_type(request) == "text/plain")
        if byte is None:
            return await self.go_on(request, stream, at or Cursor(log.id, 0))
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
        log = await self.replay.store.find(stream_id, self._owner(request))
        stream.record.stream_id = log.id
        return log

    async def _deliver(self, request: Request, stream: Stream, log: Log, portion: Portion) -> Ended:
        stream.settings = self._settings
        delivery = Delivery(request, stream, self._policy, portion)
        with log.attach(portion.after, delivery.in_flight) as reader:
            return await delivery.run(stored(reader, delivery.into))

    def _owner(self, request: Request) -> str:
        return owner_digest(request.headers, self._owner_headers)

    # --- What is produced ---------------------------------------------------------------------------------------------

    def _produce(self, source: Callable[[Into], Pieces], stream: Stream, beside: Into, log: Log) -> None:
        record = StreamRecord(log.id, role="stream", label=stream.record.label)
        taps = stream.taps
        if taps is not None:
            self._over[taps.stream_id] = {}

        def ended() -> None:
            record.why = self._upstream.masked(record.why)
            line = record.write()
            if taps is not None:
                self._one_is_over(taps, of_stream=line)

        self.replay.produce(log, source, record, beside, ended)

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

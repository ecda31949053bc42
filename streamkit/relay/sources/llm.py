"""An LLM's streamed answer as a source (see `streamkit.relay.sources.source`): asked, judged by its head, read on.

question ──post──▶ upstream
                   upstream ──head──▶ _check_head ──bytes──▶ Reading ──pieces──▶ into.offer, or else yielded

What the body is written in is decided by its first bytes (`streamkit.content.looking`), not by its media type.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import httpx2

from streamkit.content.codings import codings_of
from streamkit.content.head import NO_CONTENT, Grammar, accepted, media_types
from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.presets import Preset, unreadable
from streamkit.presets.asking import UpstreamRequest
from streamkit.reasons import own_words
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.settings import Deadlines
from streamkit.relay.sources.post import Reply, post
from streamkit.relay.sources.reading import TRUNCATED, Reading
from streamkit.relay.sources.source import Into
from streamkit.relay.sources.upstream import Upstream
from streamkit.taps import STREAM_ID_HEADER, StreamTaps
from streamkit.transport import Body, StreamTransport
from streamkit.transport.errors import ClosedIdle, HeadTooLarge, MalformedHead
from streamkit.transport.framing import framing
from streamkit.transport.proxy_status import INCREMENTAL_REFUSED, proxy_error
from streamkit.transport.refusals import reason_behind

if TYPE_CHECKING:
    from streamkit.transport import ReadPart

__all__ = ["finish_wait_s", "llm", "retry_after_s"]

MAX_RETRY_AFTER_S: Final = 60
MAX_FINISH_WAIT_S: Final = 5.0
MAX_ERROR_BODY_BYTES: Final = 64 * 1024
SAID_WITHIN_S: Final = 0.5
PASSED_ON: Final = frozenset({429, 503})
FOREIGN_TYPES: Final = frozenset(
    {
        "text/html",
        "application/xhtml+xml",
        "text/xml",
        "application/xml",
        "application/json",
        "application/problem+json",
    }
)
"""Refused under a 200, unless the body's first bytes are an answer's after all. Anything else is tried: some providers
stream as text/plain, or name no type at all.
"""


async def llm(upstream: Upstream, question: UpstreamRequest, into: Into) -> AsyncGenerator[list[Piece], None]:
    """The pieces of the answer to `question`.

    One list for each read that completed an event: its pieces, perhaps none (comments and heartbeats complete none).
    They are offered to `into` in the callback that reads them, for which our own transport is needed: others have no
    such callback. Complete is what the preset can prove: by its end marker, or by clean framing where it has none; or
    by a finish reason, behind which the upstream says no more for `finish_wait_s`, and leaves its answer open.

    A traced stream tells the upstream its name, marks `relay.asking`, and steps at `relay.read` and `relay.event`.
    """
    if into.taps is not None:
        question = _traced(question, into.taps)
    try:
        async with await post(upstream, question) as reply:
            del question  # sent, and perhaps large: not held for as long as the answer takes
            expected = await _check_head(reply, upstream.preset)
            body, proves = reply.body, framing(reply.headers, reply.http_version) != "close"
            preset = upstream.preset if expected == upstream.preset.grammar else _without_whole(upstream.preset)
            reading = Reading(preset, upstream.settings.limits, into.taps, expected, reply.headers)
            reply.headers = {}
            if body is not None:
                into.opened(body)
            wait_s = finish_wait_s(upstream.settings.deadlines)
            late = _iterated(reply, reading, into, wait_s) if body is None else _poured(body, reading, into, wait_s)
            ended = True
            async with aclosing(late):
                try:
                    async for pieces in late:
                        yield pieces
                except _Silent:
                    ended = False
                except httpx2.TransportError:
                    if pieces := reading.held():
                        yield pieces
                    raise
            if not reading.over and (pieces := reading.close()):
                yield pieces
            if reading.finish_reason is not None:
                into.finished(reading.finish_reason)
            into.noted(reading.notes())
            reading.check_end(clean=not ended or proves)
            if body is not None and ended:
                body.park()
    except httpx2.TransportError as error:
        raise Failed(_failure_of(error, own=isinstance(upstream.transport, StreamTransport))) from None


def _traced(question: UpstreamRequest, taps: StreamTaps) -> UpstreamRequest:
    taps.mark("relay.asking", time.monotonic_ns())
    return replace(question, headers={**question.headers, STREAM_ID_HEADER: taps.stream_id})


class _Silent(Exception):
    """Behind a finish reason nothing more came, and no end of the body."""


def finish_wait_s(deadlines: Deadlines) -> float:
    """How long an upstream that has told why it ended may leave its answer open: some never end it.

    Less than the idle deadline, which would make a failure of a whole answer.
    """
    return min(MAX_FINISH_WAIT_S, deadlines.idle_s / 2 if deadlines.idle_s else MAX_FINISH_WAIT_S)


class _FinishWait:
    """Raises _Silent out of the block it guards: so long after the last event behind a finish reason, if none comes."""

    def __init__(self, reading: Reading, wait_s: float) -> None:
        self._reading = reading
        self._wait_s = wait_s
        self._due: float | None = None

    async def __aenter__(self) -> Self:
        self._scope = asyncio.timeout_at(self._due)
        await self._scope.__aenter__()
        return self

    def read(self) -> None:
        """Something was read, behind a finish reason or with it; a heartbeat changes nothing."""
        if self._reading.saw_event or self._due is None:
            self._due = asyncio.get_running_loop().time() + self._wait_s

    def watch(self) -> None:
        """The same, inside the block."""
        if self._reading.over:  # it is left at once
            return
        self.read()
        self._scope.reschedule(self._due)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._scope.__aexit__(kind, error, trace)
        except TimeoutError:
            raise _Silent from None


async def _poured(body: Body, reading: Reading, into: Into, wait_s: float) -> AsyncGenerator[list[Piece], None]:
    """The lists that `into.offer` refused; reading waits for each of them to be taken."""
    offer, offer_texts, texts_of, taps = into.offer, into.offer_texts, reading.texts, into.taps
    refused: list[list[Piece]] = []
    waiting = _FinishWait(reading, wait_s)

    def sink(part: ReadPart) -> bool:
        data, _, (at_ns, _, _, _) = part
        texts = texts_of(data)
        if texts is not None:
            if texts and taps is not None:
                reading.stamp(texts, at_ns, taps)
            if not texts or offer_texts(texts):
                return True
            pieces = [Piece(text) for text in texts]
            if not offer(pieces):
                refused.append(pieces)
            return not refused
        pieces = reading.feed(data, at_ns)
        if reading.signed:
            waiting.watch()
        if reading.thought:
            into.thinking()
        if reading.saw_event and not offer(pieces):
            refused.append(pieces)
        return not (refused or reading.over)

    while not reading.over:
        async with waiting:
            await body.pour(sink)
        if not refused:
            return
        yield refused.pop()


async def _iterated(reply: Reply, reading: Reading, into: Into, wait_s: float) -> AsyncGenerator[list[Piece], None]:
    """All lists, from a transport that hands its reads out."""
    reads = aiter(reply.raw)
    waiting = _FinishWait(reading, wait_s)
    while True:
        async with waiting:
            data = await anext(reads, None)
        if data is None:
            return
        pieces = reading.feed(data, time.monotonic_ns())
        if reading.thought:
            into.thinking()
        if reading.signed:
            waiting.read()
        if reading.saw_event:
            yield pieces
        if reading.over:
            return


UNREACHABLE: Final = Failure(
    Outcome("refused", "connect"), "upstream_unreachable", 502, "no connection to the upstream could be made"
)
CONNECT_TIMEOUT: Final = Failure(
    Outcome("timeout", "connect"), "timeout_connect", 504, "the connection to the upstream took too long"
)


WIRE_FAILURES: Final = {
    ClosedIdle: Failure(
        Outcome("truncated"),
        "upstream_closed_idle",
        502,
        "the upstream closed an idle connection just as the question went out; it may have got it",
    ),
    MalformedHead: Failure(
        Outcome("error_event", "upstream_malformed_head"),
        "upstream_malformed_head",
        502,
        "the upstream's answer does not begin as HTTP/1.1 does",
    ),
    HeadTooLarge: Failure(
        Outcome("error_event", "upstream_head_too_large"),
        "upstream_head_too_large",
        502,
        "the head of the upstream's answer is too large",
    ),
}
"""Of what comes before a body: all else that breaks off is `TRUNCATED`."""

NOT_INCREMENTAL: Final = Failure(
    Outcome("refused", 501),
    "upstream_incremental_refused",
    502,
    "a proxy before the upstream does not pass answers on as they come (RFC 10036)",
)


def _failure_of(error: httpx2.TransportError, *, own: bool) -> Failure:
    """httpx2's exceptions end here. The texts of our `own` transport say why; those of others may hold addresses, but
    what the system said may stand behind them.
    """
    if isinstance(error, httpx2.ConnectTimeout | httpx2.PoolTimeout):
        failure = CONNECT_TIMEOUT
    elif isinstance(error, httpx2.ConnectError | httpx2.UnsupportedProtocol | httpx2.ProxyError):
        failure = UNREACHABLE
    else:
        failure = WIRE_FAILURES.get(type(error), TRUNCATED)
    return replace(failure, why=str(error) if own else reason_behind(error) or "")


async def _check_head(reply: Reply, preset: Preset) -> Grammar:
    """Raise Failed unless an answer follows; what it is expected to be written in."""
    if not accepted(reply.status) or reply.status in NO_CONTENT:
        raise Failed(replace(_refused(reply), why=await _said(reply)))
    if codings_of(reply.headers.get("content-encoding")):
        raise Failed(_unusable("upstream_content_encoding", "the upstream compressed its answer unasked"))
    foreign, said = _judged(reply.headers.get("content-type"))
    if said:
        raise Failed(_unusable("upstream_content_type", said))
    return "text" if foreign else preset.grammar


@lru_cache(maxsize=16)
def _judged(content_type: str | None) -> tuple[bool, str | None]:
    """Whether no answer has such types, and what cannot be read of them; an upstream says the same each time."""
    types = media_types(content_type)
    return bool(types) and types <= FOREIGN_TYPES, unreadable(*types)


@lru_cache(maxsize=16)
def _without_whole(preset: Preset) -> Preset:
    """Where not even the media type speaks of a stream, a whole answer in one document is none, and refused as such."""
    return replace(preset, whole=())


def _refused(reply: Reply) -> Failure:
    """Where the upstream is busy, the client is told what it told us."""
    status, retry_after = reply.status, reply.headers.get("retry-after")
    if status == 501 and proxy_error(reply.headers.get("proxy-status", "")) == INCREMENTAL_REFUSED:
        return NOT_INCREMENTAL
    if status not in PASSED_ON:
        return Failure(Outcome("refused", status), "upstream_refused", 502, f"the upstream answered {status}")
    code = "upstream_rate_limited" if status == 429 else "upstream_overloaded"
    wait_s = retry_after_s(retry_after, datetime.now(UTC))
    return Failure(Outcome("refused", status), code, status, f"the upstream answered {status}", retry_after_s=wait_s)


async def _said(reply: Reply) -> str:
    """The message behind the status, if it comes at once: the client's answer waits for it."""
    if codings_of(reply.headers.get("content-encoding")):
        return ""
    body = bytearray()
    with contextlib.suppress(TimeoutError, httpx2.TransportError):  # what came of it by then
        async with asyncio.timeout(SAID_WITHIN_S):
            async for data in reply.raw:
                body += data
                if len(body) > MAX_ERROR_BODY_BYTES:
                    break
    return own_words(body[:MAX_ERROR_BODY_BYTES])


def _unusable(code: str, detail: str) -> Failure:
    return Failure(Outcome("error_event", code), code, 502, detail)


def retry_after_s(value: str | None, now: datetime) -> int | None:
    """Retry-After as seconds from `now`: delay or HTTP-date (RFC 9110 §10.2.3), capped at 60 s; None if unusable."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return MAX_RETRY_AFTER_S if len(value) > 3 else min(int(value), MAX_RETRY_AFTER_S)
    try:
        seconds = math.ceil((parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # TypeError: a date without a zone
        return None
    return max(0, min(seconds, MAX_RETRY_AFTER_S))

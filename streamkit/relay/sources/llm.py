"""Where the pieces come from. A source is an async generator of lists: what one read brought, handed on together.

A source that fails raises `SourceFailed`, which holds a `Failure`: how the stream ended, and what a client may be told.
It never leaves the relay as an exception.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from operator import length_hint
from typing import TYPE_CHECKING, Final, TypeAlias

import httpx2

from streamkit.errors import LimitExceeded
from streamkit.extractor.pieces import ExtractionError, Piece, ProviderError, weigh
from streamkit.outcome import Outcome
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser
from streamkit.presets import Preset
from streamkit.presets.asking import UpstreamRequest
from streamkit.relay.bounds import CROWDED_BYTES, is_crowded
from streamkit.relay.failure import Failure, SourceFailed
from streamkit.relay.settings import Limits, Retries
from streamkit.relay.sources.post import NO_RETRIES, post
from streamkit.taps import StreamTaps
from streamkit.transport import Body
from streamkit.transport.http1 import framing

if TYPE_CHECKING:
    from streamkit.transport import ReadPart

__all__ = ["AtOnce", "llm"]

MAX_RETRY_AFTER_S: Final = 60
MAX_ERROR_BODY_BYTES: Final = 64 * 1024
PASSED_ON: Final = frozenset({429, 503})
FOREIGN_TYPES: Final = frozenset({"text/html", "application/xhtml+xml", "text/xml", "application/xml"})
"""Refused under a 200. Anything else is tried: some providers stream as text/plain, or name no type at all."""
HEARTBEATS: Final = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})
"""Events of these types say no more than a comment does, and keep no deadline from passing."""


AtOnce: TypeAlias = Callable[[list[Piece]], bool]
"""Takes pieces in the very callback that reads them; False, and nothing done, where they have to wait."""


async def llm(
    transport: httpx2.AsyncBaseTransport,
    url: httpx2.URL,
    ask: UpstreamRequest,
    preset: Preset,
    limits: Limits,
    connect_s: float,
    taps: StreamTaps | None = None,
    at_once: AtOnce = lambda _: False,
    opened: Callable[[Body], None] = lambda _: None,
    retries: Retries = NO_RETRIES,
) -> AsyncGenerator[list[Piece], None]:
    """The pieces of an LLM's streamed answer.

    One list for each read that completed an event: its pieces, perhaps none (comments and heartbeats complete none). It
    is offered to `at_once`, and yielded if that refuses. So most of them never wake the task that iterates, which costs
    more than all else that is done with them; our own transport is needed for that.

    Returns when the stream is complete by the preset's own proof: its end marker, or clean framing where it has none.
    Raises SourceFailed for everything else. Closing the generator closes the upstream connection. `taps` get a step at
    `relay.read` and `relay.event` for each read that brought text. `opened` is given the body of the upstream's answer
    when it begins, for a look at what waits there.
    """
    with _wire_errors_become_failures():
        async with post(transport, url, ask, connect_s, retries) as response:
            del ask  # sent, and perhaps large: not held for as long as the answer takes
            await _check_head(response, preset)
            body: Body | None = response.extensions.get("stamps")  # None: a transport of somebody else's
            reading = _Reading(preset, limits, taps)
            if body is not None:
                opened(body)
            late = _iterated(response, reading) if body is None else _poured(body, reading, at_once)
            async with aclosing(late):
                async for pieces in late:
                    yield pieces
            if not reading.over and (pieces := reading.close()):
                yield pieces
            reading.check_end(clean=framing(response.headers, response.http_version) != "close")
            if body is not None:
                body.park()


async def _poured(body: Body, reading: _Reading, at_once: AtOnce) -> AsyncGenerator[list[Piece], None]:
    """The lists that `at_once` refused; reading waits for each of them to be taken."""
    refused: list[list[Piece]] = []

    def sink(part: ReadPart) -> bool:
        data, _, (at_ns, _, _, _) = part
        pieces = reading.feed(data, at_ns)
        if reading.saw_event and not at_once(pieces):
            refused.append(pieces)
        return not (refused or reading.over)

    while not reading.over:
        await body.pour(sink)
        if not refused:
            return
        yield refused.pop()


async def _iterated(response: httpx2.Response, reading: _Reading) -> AsyncGenerator[list[Piece], None]:
    """All lists, from a transport that hands its pieces out."""
    async for data in response.aiter_raw():
        pieces = reading.feed(data, time.monotonic_ns())
        if reading.saw_event:
            yield pieces
        if reading.over:
            return


class _Reading:
    """One answer being read: bytes in, pieces out, and what is known of its end. No I/O."""

    def __init__(self, preset: Preset, limits: Limits, taps: StreamTaps | None) -> None:
        if preset.framing == "ndjson":
            self._parser: SSEParser | NDJSONParser = NDJSONParser(max_line_bytes=limits.max_line_bytes)
        else:
            self._parser = SSEParser(max_line_bytes=limits.max_line_bytes, max_event_bytes=limits.max_event_bytes)
        self._taps = taps
        self._read_ns = 0
        self._gathered = 0  # bytes since the last event was complete: what comes next is no longer than that
        self._read_pieces = preset.read_pieces
        self._has_end_marker = preset.has_end_marker
        self._finish_sign = False
        self.complete = False
        self.saw_event = False
        self.failure: Failure | None = None

    @property
    def over(self) -> bool:
        """Nothing that comes can change what is known of its end."""
        return self.complete or self.failure is not None

    def feed(self, data: bytes, read_ns: int) -> list[Piece]:
        """The pieces of what was read at `read_ns`."""
        self._read_ns = read_ns
        self._gathered += len(data)
        try:
            events = self._parser.feed(data)
        except LimitExceeded as error:
            events = error.events
            self.failure = Failure(
                Outcome("error_event", "upstream_too_large"),
                "upstream_too_large",
                502,
                f"the upstream sent a line or event beyond {error.limit} bytes",
            )
        if events:
            if self._gathered > CROWDED_BYTES:
                events = self._before_a_crowd(events)
            self._gathered = 0
        return self._extract(events)

    def _before_a_crowd(self, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        """The events that can be parsed at ease; the first other one ends the stream behind them."""
        for number, event in enumerate(events):
            if is_crowded(event.data):
                self.failure = _provider_failure(
                    ExtractionError("too_many_values", "expected fewer values in an event")
                )
                return events[:number]
        return events

    def close(self) -> list[Piece]:
        """A last line that needs no terminator (NDJSON)."""
        return self._extract(self._parser.close())

    def _extract(self, events: list[ServerSentEvent]) -> list[Piece]:
        pieces: list[Piece] = []
        run = iter(events)
        while not self.complete and (end := self._read_pieces(run, pieces)) is not None:
            if isinstance(end, ExtractionError) and events[-1 - length_hint(run)].event in HEARTBEATS:
                continue  # no JSON is asked of a heartbeat
            if isinstance(end, ProviderError):
                self.failure = _provider_failure(end)
                break
            self.complete = end.conclusive
            self._finish_sign = True
        self.saw_event = bool(pieces) or any(event.event not in HEARTBEATS for event in events)
        if self._taps is not None and pieces:
            texts, size = weigh(pieces)
            self._taps.stamp("relay.read", self._read_ns, texts, size)
            self._taps.stamp("relay.event", time.monotonic_ns(), texts, size)
        return pieces

    def check_end(self, *, clean: bool) -> None:
        """The body is over: raise SourceFailed unless that was the whole answer."""
        if self.complete:
            return
        if self.failure is not None:
            raise SourceFailed(self.failure)
        # Without any sign of its end, an answer that breaks off inside an event is none, however clean its framing is:
        # that event would be lost, or it is a page or an error that is no event stream at all.
        signs = self._finish_sign or (not self._has_end_marker and self._parser.unfinished is None)
        if not (clean and signs):
            raise SourceFailed(TRUNCATED)


TRUNCATED: Final = Failure(
    Outcome("truncated"), "upstream_truncated", 502, "the upstream's answer was cut, or malformed, before its end"
)
UNREACHABLE: Final = Failure(
    Outcome("refused", "connect"), "upstream_unreachable", 502, "no connection to the upstream could be made"
)
CONNECT_TIMEOUT: Final = Failure(
    Outcome("timeout", "connect"), "timeout_connect", 504, "the connection to the upstream took too long"
)


@contextlib.contextmanager
def _wire_errors_become_failures() -> Iterator[None]:
    """httpx2's exceptions, whose texts may hold addresses, end here."""
    try:
        yield
    except (httpx2.ConnectTimeout, httpx2.PoolTimeout):
        raise SourceFailed(CONNECT_TIMEOUT) from None
    except (httpx2.ConnectError, httpx2.UnsupportedProtocol, httpx2.ProxyError):
        raise SourceFailed(UNREACHABLE) from None
    except httpx2.TransportError:
        raise SourceFailed(TRUNCATED) from None


async def _check_head(response: httpx2.Response, preset: Preset) -> None:
    """Raise SourceFailed unless a stream follows."""
    status = response.status_code
    if status in PASSED_ON:
        code = "upstream_rate_limited" if status == 429 else "upstream_overloaded"
        raise SourceFailed(
            Failure(
                Outcome("refused", status),
                code,
                status,
                f"the upstream answered {status}",
                retry_after_s=retry_after_s(response.headers.get("retry-after"), datetime.now(UTC)),
            )
        )
    if status != 200:
        raise SourceFailed(
            Failure(Outcome("refused", status), "upstream_refused", 502, f"the upstream answered {status}")
        )
    if response.headers.get("content-encoding", "identity").lower() not in {"identity", ""}:
        raise SourceFailed(_unusable("upstream_content_encoding", "the upstream compressed its answer unasked"))
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in FOREIGN_TYPES:
        raise SourceFailed(_unusable("upstream_content_type", f"the upstream answered with {media_type}"))
    if media_type == "application/json" and preset.framing != "ndjson":
        raise SourceFailed(await _json_instead_of_a_stream(response, preset))


async def _json_instead_of_a_stream(response: httpx2.Response, preset: Preset) -> Failure:
    """Many providers answer an error with 200 and a JSON body: name it by its own code."""
    body = b""
    async for data in response.aiter_raw():
        body += data
        if len(body) > MAX_ERROR_BODY_BYTES:
            break
    result = preset.read(ServerSentEvent(data=body.decode("utf-8", "replace")))
    if isinstance(result, ProviderError) and not isinstance(result, ExtractionError):
        return _provider_failure(result)
    return _unusable("upstream_content_type", "the upstream answered with application/json instead of a stream")


def _unusable(code: str, detail: str) -> Failure:
    return Failure(Outcome("error_event", code), code, 502, detail)


def _provider_failure(error: ProviderError) -> Failure:
    """The provider's own words stay in the lab; clients get its code."""
    if isinstance(error, ExtractionError):
        return Failure(
            Outcome("error_event", error.code),
            "upstream_malformed",
            502,
            "the upstream sent an event that is malformed",
        )
    return Failure(Outcome("error_event", error.code), "upstream_error", 502, "the upstream reported an error")


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

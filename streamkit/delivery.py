"""How pieces leave: the answer's format, its end, and what a client sees when there is none.

The status line waits for the first piece, so whatever fails before it gets a true status and a problem+json body
(RFC 9457). Afterwards a broken stream must not look whole: SSE and NDJSON end with an error event, text/plain without
its final chunk. No error prose is ever written into the content.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol, cast

import orjson
from sanic import HTTPResponse, Request, Sanic
from sanic.headers import parse_accept
from sanic.http import Http

from streamkit.deadline import Watch
from streamkit.outcome import Outcome
from streamkit.results import Piece, weigh
from streamkit.sockets import unsent_bytes
from streamkit.sources import AtOnce, Failure, SourceFailed
from streamkit.taps import STREAM_ID_HEADER, StreamTaps

__all__ = ["Answer", "Format", "at_once", "deliver", "negotiate", "problem"]

log = logging.getLogger("streamkit.relay")
ANTI_BUFFERING: Final = {
    "cache-control": "no-cache, no-transform",  # proxies neither keep nor compress it
    "x-accel-buffering": "no",  # nginx passes it on at once
}
SEND_SIGNALS: Final = frozenset({"http.lifecycle.send", "http.lifecycle.*"})
LAST_WORDS_S: Final = 1.0
"""How long a failed stream may take to hand its last bytes to the client before it is cut."""


class Format(Protocol):
    """One media type: pieces in, bytes out. No I/O."""

    content_type: str

    def pieces(self, pieces: list[Piece]) -> bytes:
        """The pieces of one read as one write; empty if this format shows nothing of them."""

    def done(self) -> bytes:
        """What proves completion, beside the final chunk."""

    def error(self, failure: Failure) -> bytes | None:
        """The error event, or None if this format has none and must be cut."""


class PlainText:
    """`text/plain`: the text and nothing else."""

    content_type = "text/plain; charset=utf-8"

    def pieces(self, pieces: list[Piece]) -> bytes:
        return "".join([piece.text for piece in pieces]).encode()

    def done(self) -> bytes:
        return b""

    def error(self, failure: Failure) -> bytes | None:  # noqa: ARG002  # the Format protocol
        return None


class EventStream:
    """`text/event-stream`: unnamed events `{"text": …}` with ids from 1, then `event: done` or `event: error`."""

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self) -> None:
        self._sent = 0

    def pieces(self, pieces: list[Piece]) -> bytes:
        lines = []
        for piece in pieces:
            self._sent += 1
            lines.append(b"id: %d\ndata: %b\n\n" % (self._sent, orjson.dumps(_shown(piece))))
        return b"".join(lines)

    def done(self) -> bytes:
        return self._last("done", {"outcome": "complete", "pieces": self._sent})

    def error(self, failure: Failure) -> bytes | None:
        return self._last("error", _told(failure))

    def _last(self, event: str, data: dict[str, Any]) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (event.encode(), orjson.dumps(data))


class JSONLines:
    """`application/x-ndjson`: `{"text": …}` lines, then `{"done": …}` or `{"error": …}`."""

    content_type = "application/x-ndjson"

    def __init__(self) -> None:
        self._sent = 0

    def pieces(self, pieces: list[Piece]) -> bytes:
        self._sent += len(pieces)
        return b"".join([orjson.dumps(_shown(piece), option=orjson.OPT_APPEND_NEWLINE) for piece in pieces])

    def done(self) -> bytes:
        return orjson.dumps({"done": {"outcome": "complete", "pieces": self._sent}}, option=orjson.OPT_APPEND_NEWLINE)

    def error(self, failure: Failure) -> bytes | None:
        return orjson.dumps({"error": _told(failure)}, option=orjson.OPT_APPEND_NEWLINE)


def _shown(piece: Piece) -> dict[str, str]:
    return {"text": piece.text, "reasoning": piece.reasoning} if piece.reasoning else {"text": piece.text}


def _told(failure: Failure) -> dict[str, str]:
    return {"code": failure.code, "outcome": str(failure.outcome), "detail": failure.detail}


def negotiate(request: Request) -> Format:
    """The format that the client's Accept ranks highest (RFC 9110 §12.5.1); text/plain on a tie or without a match."""
    return FORMATS[_ranked_highest(request.headers.get("accept"))]()


FORMATS: Final[dict[str, Callable[[], Format]]] = {
    "text/plain": PlainText,
    "text/event-stream": EventStream,
    "application/x-ndjson": JSONLines,
}


@lru_cache(maxsize=64)
def _ranked_highest(accept: str | None) -> str:
    """The key of FORMATS. Remembered, because clients say few different things and parsing takes longer than a write.

    Raises sanic.exceptions.InvalidHeader.
    """
    chosen = parse_accept(accept).match(*FORMATS)
    return chosen.mime if chosen else "text/plain"


def problem(failure: Failure, stream_id: str) -> HTTPResponse:
    """A failure before the first piece, as RFC 9457 problem details with a stable `code` and the stream's id."""
    body = {
        "type": "about:blank",
        "title": failure.code.replace("_", " ").capitalize(),
        "status": failure.status,
        "detail": failure.detail,
        "code": failure.code,
        "outcome": str(failure.outcome),
        "stream_id": stream_id,
    }
    headers = {STREAM_ID_HEADER: stream_id, **ANTI_BUFFERING}
    if failure.retry_after_s is not None:
        headers["retry-after"] = str(failure.retry_after_s)
    return HTTPResponse(orjson.dumps(body), failure.status, headers, "application/problem+json")


class Answer:
    """The client's side of one stream: starts with the first bytes, and ends exactly once.

    Sanic sends the head with the first piece, and the end, which its keep-alive hangs on. The chunks between them take
    its signal router and four coroutines each, more than all the rest of a piece's way: `write` goes past that.
    """

    __slots__ = ("_form", "_request", "_response", "_stream_id", "_transport", "_writable")

    def __init__(self, request: Request, form: Format, stream_id: str) -> None:
        self._request = request
        self._transport: asyncio.WriteTransport = cast("Any", request.transport)  # Sanic's own type names too little
        self._form = form
        self._stream_id = stream_id
        self._response: HTTPResponse | None = None
        self._writable = _never

    def unsent_bytes(self) -> int | None:
        """Bytes that wait for the client; None where that cannot be known."""
        return unsent_bytes(self._transport)

    def write(self, pieces: list[Piece]) -> bool:
        """Hand the pieces of one read to the connection, as one chunk, now; False, and nothing done, where only `send`
        can: before the first piece, while the client is behind, after it has left.
        """
        if not self._writable() or self._transport.is_closing():
            return False
        if data := self._form.pieces(pieces):
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    async def send(self, pieces: list[Piece]) -> None:
        """The same by way of Sanic; waits while the client is behind. Raises CancelledError when it has left."""
        if not (data := self._form.pieces(pieces)):
            return
        if self._response is not None:
            await self._response.send(data)
            return
        response = await self._start()
        await response.send(data)
        if _is_chunked(self._request) and not _is_listened_to(self._request.app):
            protocol: Any = self._request.protocol
            self._writable = protocol._can_write.is_set

    async def finish(self) -> None:
        """The stream is complete: say so."""
        response = self._response or await self._start()
        await response.send(self._form.done(), end_stream=True)

    async def fail(self, failure: Failure) -> HTTPResponse | None:
        """End a broken stream visibly; what is returned still has to be sent as the whole answer."""
        if self._response is None:
            return problem(failure, self._stream_id)
        last_words = self._form.error(failure)
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                if last_words is not None:
                    await self._response.send(last_words, end_stream=True)
                    return None
                await self._flushed()
        except TimeoutError:
            pass  # a client that takes nothing gets nothing more
        self.cut()
        return None

    def cut(self) -> None:
        """Drop the connection without the final chunk. `abort`, because after `close` Sanic could still add it."""
        self._transport.abort()

    async def _start(self) -> HTTPResponse:
        response: HTTPResponse = await self._request.respond(
            status=200,
            headers={**ANTI_BUFFERING, STREAM_ID_HEADER: self._stream_id},
            content_type=self._form.content_type,
        )
        self._response = response
        return response

    async def _flushed(self) -> None:
        """Until all that was sent is in the kernel's hands: `abort` drops what is not."""
        while self._transport.get_write_buffer_size():  # noqa: ASYNC110  # transports have no such event
            await asyncio.sleep(0.01)


def _never() -> bool:
    return False


def _is_chunked(request: Request) -> bool:
    """Sanic sends this answer in HTTP/1.1's chunks: not under ASGI or HTTP/3, nor if a middleware gave it a length."""
    stream = request.stream
    return isinstance(stream, Http) and stream.response_func == stream.http1_response_chunked


def _is_listened_to(app: Sanic[Any, Any]) -> bool:
    """Somebody wants Sanic's signal of each send; by its name, or with all others of its kind."""
    return any(signal.name in SEND_SIGNALS for signal in app.signal_router.routes)


def at_once(answer: Answer, watch: Watch, taps: StreamTaps | None = None) -> AtOnce:
    """What a source may call, from any callback of the loop, to hand over pieces without waking `deliver`."""

    def take(pieces: list[Piece]) -> bool:
        now_ns = time.monotonic_ns() if taps is not None else 0
        if pieces and not answer.write(pieces):
            return False
        if pieces or watch.phase != "first_piece":
            watch.enter("idle")
        if taps is not None and pieces:
            events, size = weigh(pieces)
            taps.stamp("relay.send", now_ns, events, size)
            taps.stamp("relay.sent", time.monotonic_ns(), events, size)
        return True

    return take


async def deliver(
    source: AsyncGenerator[list[Piece], None], answer: Answer, watch: Watch, taps: StreamTaps | None = None
) -> tuple[Outcome, HTTPResponse | None]:
    """Run `source` into `answer` under the deadlines of `watch`; returns how it ended and what is still to be sent.

    Reading waits for writing, so a slow client holds the upstream: nothing piles up between them. CancelledError (the
    client left) passes through, after the source is closed. `taps` get a step at `relay.send` and `relay.sent` for each
    write of text.
    """
    take = at_once(answer, watch, taps)
    try:
        async with watch, aclosing(source) as batches:
            async for pieces in batches:
                if not take(pieces):
                    watch.enter("write_stall")
                    await _send(answer, pieces, taps)
                    watch.enter("idle")
            watch.enter("write_stall")
            await answer.finish()
    except SourceFailed as error:
        failure = error.failure
    except TimeoutError as error:
        failure = timed_out(watch.fired) if watch.fired else _internal(error)
    except Exception as error:  # noqa: BLE001  # whatever went wrong here, Sanic would end the answer as if it were whole
        failure = _internal(error)
    else:
        return Outcome("complete"), None
    if watch.fired == "write_stall":
        answer.cut()
        return failure.outcome, None
    return failure.outcome, await answer.fail(failure)


async def _send(answer: Answer, pieces: list[Piece], taps: StreamTaps | None) -> None:
    if taps is None:
        await answer.send(pieces)
        return
    events, size = weigh(pieces)
    taps.stamp("relay.send", time.monotonic_ns(), events, size)
    await answer.send(pieces)
    taps.stamp("relay.sent", time.monotonic_ns(), events, size)


def _internal(error: Exception) -> Failure:
    """A bug of ours. Its type and place are logged, not its text: that may hold addresses and keys."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("internal error: %s at %s:%s", type(error).__name__, Path(place.filename).name, place.lineno)
    return Failure(Outcome("error_event", "internal_error"), "internal_error", 500, "the relay failed")


def timed_out(deadline: str) -> Failure:
    """The failure for a deadline that fired."""
    return Failure(Outcome("timeout", deadline), f"timeout_{deadline}", 504, f"the deadline {deadline!r} passed")

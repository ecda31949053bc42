"""How a stream leaves: its head, its chunks, its end, and what a client sees when there is none.

The status line waits for the first piece, so whatever fails before it gets a true status and a problem+json body
(RFC 9457). Afterwards a broken stream must not look whole: SSE and NDJSON end with an error event, text/plain without
its final chunk. No error prose is ever written into the content.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from http import HTTPStatus
from typing import Any, Final

import orjson
from sanic import HTTPResponse, Request
from sanic.exceptions import SanicException

from streamkit.inside_sanic import can_write, is_chunked, is_listened_to, transport_of
from streamkit.outcome import Outcome
from streamkit.relay.delivery.heads import STREAMED, UNSTORED
from streamkit.relay.delivery.nearness import Nearness
from streamkit.relay.delivery.policy import Policy
from streamkit.relay.delivery.portion import WHOLE, Portion
from streamkit.relay.failure import Failure
from streamkit.sockets import SendQueue, reset_on_close, send_queue, unsent_bytes
from streamkit.taps import STREAM_ID_HEADER
from streamkit.transport.framing import chunk

__all__ = ["Answer", "problem", "refusal"]

log = logging.getLogger("streamkit.relay")
SMALL_BYTES: Final = 1024
NOT_YET: Final[Any] = asyncio.Event()
"""Room before the first piece: there is none. An event's `_value` is looked at, which is what `is_set` returns: a call
of Python less for each piece. tests/relay/delivery/test_answer.py holds that against asyncio's events.
"""
PROXIES_SAY: Final = ("via", "forwarded", "x-forwarded-for", "x-real-ip")


def refusal(error: SanicException) -> Failure:
    """What Sanic refuses (404, 405, a malformed Accept) as a failure of ours; `MethodNotAllowed` is called
    `method_not_allowed`.
    """
    status = error.status_code or 500
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
    return Failure(Outcome("refused", status), code, status, HTTPStatus(status).phrase)


def problem(failure: Failure, stream_id: str) -> HTTPResponse:
    """A failure before the first piece, as RFC 9457 problem details with a stable `code` and the stream's id, unless
    the failure is one that names none.
    """
    named = {} if failure.unnamed else {"stream_id": stream_id}
    body = {**failure.as_problem(), **named}
    headers = {**UNSTORED} if failure.unnamed else {STREAM_ID_HEADER: stream_id, **UNSTORED}
    if failure.retry_after_s is not None:
        headers["retry-after"] = str(failure.retry_after_s)
    return HTTPResponse(orjson.dumps(body), failure.status, headers, "application/problem+json")


class Answer:
    """The client's side of one stream: starts with the first bytes, and ends exactly once.

    Sanic sends the head with the first piece, and the end, which its keep-alive hangs on. The chunks between them take
    its signal router and four coroutines each, more than all the rest of a piece's way: `offer` goes past that.
    """

    __slots__ = (
        "_applied",
        "_chunked",
        "_content_type",
        "_nearness",
        "_portion",
        "_request",
        "_response",
        "_room",
        "_stream_id",
        "_transport",
        "started_ns",
        "wrote",
    )

    def __init__(
        self,
        request: Request,
        content_type: str,
        stream_id: str,
        applied: Policy | None = None,
        portion: Portion = WHOLE,
    ) -> None:
        self._request = request
        self._portion = portion
        self._applied = applied
        self._transport = transport_of(request)
        self._stream_id = stream_id
        self._content_type = content_type
        self._response: HTTPResponse | None = None
        self._room = NOT_YET
        self._nearness: Nearness | None = None
        self._chunked = False
        self.wrote = 0
        """Bytes of body written so far, as they are on the wire: with the framing of chunks."""
        self.started_ns = 0
        """When the first of them was handed over; 0 before that."""

    @property
    def started(self) -> bool:
        """The first bytes have left."""
        return self._response is not None

    def unsent_bytes(self) -> int | None:
        """Bytes that wait for the client; None where that cannot be known."""
        return unsent_bytes(self._transport)

    def may_leave(self, size_bytes: int) -> bool:
        """Whether a state of this size would be read soon (`Nearness`)."""
        if self._nearness is None:
            self._nearness = Nearness(self._transport, lambda: self.wrote, proxied=_is_proxied(self._request))
        return self._nearness.may_leave(size_bytes)

    def send_queue(self) -> SendQueue:
        """Where they wait."""
        return send_queue(self._transport)

    def writable(self) -> bool:
        """Whether `offer` takes anything: not before the first piece, while the client is behind, after it has left, or
        where only Sanic can send.
        """
        return self._room._value and not self._transport.is_closing()

    def offer(self, data: bytes) -> bool:
        """Hand `data`, which must not be empty, to the connection, now: as one chunk, or as it is to HTTP/1.0. False,
        and nothing done, where it is not `writable`.
        """
        if not self._room._value or self._transport.is_closing():
            return False
        if self._chunked:  # as `chunk` has it; a large one is not formatted, which takes six times as long
            framed = b"%x\r\n%b\r\n" % (len(data), data) if len(data) < SMALL_BYTES else chunk(data)
        else:
            framed = data
        self.wrote += len(framed)
        self._transport.write(framed)
        return True

    async def room(self) -> None:
        """Wait until the connection takes more."""
        await can_write(self._request).wait()

    async def begin(self) -> None:
        """The head, though there are no bytes yet. Raises CancelledError if the client has left."""
        response = self._response or await self._start()
        await response.send(b"", end_stream=False)
        self._note_framing()

    async def send(self, data: bytes) -> None:
        """The same as `offer`, by way of Sanic; waits while the client is behind. Raises CancelledError if it left."""
        response = self._response or await self._start()
        await response.send(data)
        if not self.wrote:
            self._note_framing()
        self.wrote += len(chunk(data) if self._chunked else data)

    def _note_framing(self) -> None:
        """Sanic decides on it when it sends the head."""
        self._chunked = is_chunked(self._request)
        plain = getattr(self._request.stream, "until_close", False)  # a connection of ours, to a client of HTTP/1.0
        if (self._chunked or plain) and not is_listened_to(self._request.app):
            self._room = can_write(self._request)

    async def finish(self, data: bytes) -> None:
        """The stream is complete: its last bytes, and the end."""
        response = self._response or await self._start()
        await response.send(data, end_stream=True)
        await self._flushed()

    async def fail(self, failure: Failure, last_words: bytes | None) -> HTTPResponse | None:
        """End a broken stream visibly, behind all of it: by its last words, or by a cut. What is returned still has to
        be sent as the whole answer.
        """
        if self._response is None:
            return problem(failure, self._stream_id)
        if last_words is not None:
            await self.finish(last_words)
            return None
        await self._flushed(taken=not self._chunked)
        self.cut()
        return None

    def cut(self) -> None:
        """Drop the connection without the final chunk. `abort`, because after `close` Sanic could still add it.

        Where the end of the connection is the end of the body (HTTP/1.0), only a reset tells that it was none.
        """
        if self.started and not self._chunked:
            reset_on_close(self._transport)
        self._transport.abort()

    async def _start(self) -> HTTPResponse:
        portion = self._portion
        headers = {**STREAMED, STREAM_ID_HEADER: self._stream_id, **portion.headers}
        if self._applied is not None:
            headers["preference-applied"] = f'backpressure="{self._applied}"'
        response: HTTPResponse = await self._request.respond(
            status=portion.status, headers=headers, content_type=self._content_type
        )
        self._response = response
        self.started_ns = time.monotonic_ns()
        return response

    async def _flushed(self, *, taken: bool = False) -> None:
        """Until all that was sent is in the kernel's hands: `abort` drops what is not, and so does Sanic, some seconds
        after it has closed. `taken`: in the client's, since a reset drops what our kernel has.
        """
        waiting = self.unsent_bytes if taken else self._transport.get_write_buffer_size
        while waiting():  # noqa: ASYNC110  # transports have no such event
            await asyncio.sleep(0.01)


def _is_proxied(request: Request) -> bool:
    """As proxies say it (RFC 9110 section 7.6.3, RFC 7239, and before that); nginx asks by HTTP/1.0 if nobody minds."""
    return request.version == "1.0" or any(name in request.headers for name in PROXIES_SAY)

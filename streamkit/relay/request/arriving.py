"""A request's body that is read as it arrives, while it is answered: an upload, as a source gets it.

    with arriving(request, max_bytes=10 << 30, stall_s=30) as body:     # raises Failed: what its head rules out
        async for part in body:                                         # raises Failed: what comes to light on the way
            …

An upload may take as long as it needs, if only its bytes keep coming. No more of it is held than one part, and what
waits in the connection's buffer: who does not read makes the client wait.

It may be read by another task than the one that answers. That one is told by Sanic that the client has left, by being
cancelled, and the other one by nobody: so whoever answers calls `cut`, or leaves the `with`, when it ends.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import Any, Final, Self

from sanic import Request
from sanic.exceptions import BadRequest, PayloadTooLarge, RequestCancelled

from streamkit.inside_sanic import abandon_body, announced_bytes, announced_length, bound_body
from streamkit.outcome import Outcome
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.request.body import check_uncoded, one_type
from streamkit.relay.request.connection import StrictHttp, check_stock
from streamkit.relay.request.digest import Digests
from streamkit.taps import StreamTaps

__all__ = ["ArrivingBody", "arriving"]

TAP: Final = "server.read"
FINEST_STEPS: Final = 1_024
"""A step of the tap is at least this part of all that has come: 10 GiB take some 5,000 steps of 24 bytes."""


def arriving(request: Request, *, max_bytes: int, stall_s: float, taps: StreamTaps | None = None) -> ArrivingBody:
    """The body of a request of which nothing has been read yet: of at most `max_bytes`, with no wait for more of it
    that is longer than `stall_s` seconds (0: any). `taps` take its `server.read`.

    What its head already rules out is refused before the body is read: Failed, with status 413 (`too_large`), 415
    (`unsupported_content_encoding`) or 400 (`bad_header`, `bad_digest`).
    """
    check_stock(request)
    headers = request.headers
    content_type = one_type(headers.getall("content-type", []))
    check_uncoded(headers.getall("content-encoding", []))
    digests = Digests.of([*headers.getall("content-digest", []), *headers.getall("repr-digest", [])])
    if announced_bytes(request) > max_bytes:
        raise _too_large(max_bytes)
    body = ArrivingBody(request, content_type, digests, max_bytes, stall_s, taps)
    bound_body(request, max_bytes)
    if isinstance(request.stream, StrictHttp):
        request.stream.expect_upload()
    return body


class ArrivingBody:
    """Is an `Arriving` (`streamkit.relay.sources.source`): made by `arriving`, iterated once.

    Iterating raises Failed: 408 `timeout_upload` where nothing comes for `stall_s`, 413 `too_large`, 400 `bad_chunk`
    and `digest_mismatch`, and `upload_cut`, of the outcome `truncated`, where the client leaves in the middle of it.
    What came until then stays `received`.
    """

    __slots__ = (
        "_digests",
        "_failure",
        "_is_cut",
        "_is_whole",
        "_kept",
        "_max_bytes",
        "_request",
        "_stall_s",
        "_steps",
        "_stream",
        "_waiting",
        "content_type",
        "length",
        "received",
    )

    def __init__(
        self,
        request: Request,
        content_type: str,
        digests: Digests,
        max_bytes: int,
        stall_s: float,
        taps: StreamTaps | None,
    ) -> None:
        self.content_type = content_type
        self.length = announced_length(request)
        self.received = 0
        self._request = request
        self._stream: Any = request.stream
        self._digests = digests
        self._max_bytes = max_bytes
        self._stall_s = stall_s
        self._steps = None if taps is None else _Steps(taps)
        self._waiting: asyncio.Timeout | None = None
        self._kept: deque[bytes] = deque()
        """When it is cut: what had come, and has not been read yet."""
        self._is_whole = False
        self._is_cut = False
        self._failure: Failure | None = None

    def __repr__(self) -> str:
        of = "" if self.length is None else f" of {self.length}"
        return f"<ArrivingBody {self.received}{of} bytes{', whole' if self._is_whole else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._failure is not None:
            raise Failed(self._failure)
        try:
            part = await self._next()
        except Failed as error:
            self._failure = error.failure
            self._note()
            raise
        if part is None:
            self._note()
            raise StopAsyncIteration
        return part

    def cut(self) -> Failure | None:
        """Whoever answers ends: the client has left, say. Nothing more is received, and whoever reads gets what has
        come already, and then, if that was not all, the Failed of an upload that was cut.

        Returns how the body failed, or was cut by this; None where it has come whole. May be called again.
        """
        if not (self._is_whole or self._is_cut or self._failure):
            self._is_cut = True
            self._keep_rest()
            if self._waiting is not None and not self._waiting.expired():
                self._waiting.reschedule(asyncio.get_running_loop().time())
        if self._failure is None and not self._is_whole:
            return self._was_cut()
        return self._failure

    async def _next(self) -> bytes | None:
        """A part of what comes, or of what had come when it was cut; None when that was all of it."""
        part = None if self._is_cut else await self._receive()
        if part is None and self._kept:
            part = self._kept.popleft()
        if part is not None:
            self._digests.update(part)
        elif self._is_whole:
            self._digests.check()
        else:
            raise Failed(self._was_cut())
        return part

    async def _receive(self) -> bytes | None:
        """Some of what comes; None at the end, or when it is cut."""
        try:
            async with asyncio.timeout(self._stall_s or None) as self._waiting:
                part: bytes | None = await self._stream.read()
        except TimeoutError:
            if self._is_cut:
                return None
            detail = f"send the body without a pause of {self._stall_s:g} s or more"
            raise Failed.of_request(408, "timeout_upload", detail) from None
        except PayloadTooLarge:  # Sanic's own words, in an app of somebody else's
            raise _too_large(self._max_bytes) from None
        except BadRequest:
            detail = "send chunks as SIZE CRLF DATA CRLF, and no trailers (RFC 9112 section 7.1)"
            raise Failed.of_request(400, "bad_chunk", detail) from None
        except RequestCancelled:  # the client has left, and whoever answers is about to be told so
            raise Failed(self._was_cut()) from None
        finally:
            self._waiting = None
        if part is not None:
            self._came(len(part))
            if self.received > self._max_bytes:
                raise _too_large(self._max_bytes)
        elif not self._is_cut:
            self._is_whole = not isinstance(self._stream, StrictHttp) or self._stream.body_is_whole
        return part

    def _keep_rest(self) -> None:
        """The connection's own task goes on behind the answer, and would throw it away."""
        parts: list[bytes] = []
        is_all = False
        if self._request.stream is not self._stream:
            pass  # the request is over, and the connection another one's
        elif isinstance(self._stream, StrictHttp):
            parts, is_all = self._stream.rest()
        else:
            is_all = abandon_body(self._request)
        self._kept.extend(parts)
        self._came(sum(map(len, parts)))
        self._note()
        self._is_whole = is_all and self.received == announced_bytes(self._request)

    def _came(self, size: int) -> None:
        self.received += size
        if self._steps is not None:
            self._steps.add(size)

    def _note(self) -> None:
        if self._steps is not None:
            self._steps.finish()

    def _was_cut(self) -> Failure:
        of = "" if self.length is None else f" of {self.length}"
        return Failure(Outcome("truncated"), "upload_cut", 400, f"the body was cut after {self.received}{of} bytes")


def _too_large(max_bytes: int) -> Failed:
    return Failed.of_request(413, "too_large", f"send at most {max_bytes} bytes")


class _Steps:
    """The staircase of what has come, in bytes alone: its parts are nobody's events. The more has come, the coarser."""

    __slots__ = ("_at_ns", "_pending_bytes", "_taps", "_total_bytes")

    def __init__(self, taps: StreamTaps) -> None:
        self._taps = taps
        self._at_ns = 0
        self._pending_bytes = 0
        self._total_bytes = 0

    def add(self, size: int) -> None:
        self._at_ns = time.monotonic_ns()
        self._pending_bytes += size
        self._total_bytes += size
        if self._pending_bytes * FINEST_STEPS >= self._total_bytes:
            self.finish()

    def finish(self) -> None:
        if self._pending_bytes:
            self._taps.stamp(TAP, self._at_ns, 0, self._pending_bytes)
        self._pending_bytes = 0

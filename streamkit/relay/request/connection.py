"""A client's connection to the relay: Sanic's, with stricter framing and deadlines that count whole phases.

Sanic takes a server's protocol class from its caller, and the HTTP class from the protocol: both are its own hooks.
Requests are checked (`streamkit.relay.request.head`) before Sanic reads them, so its parser sees nothing that could be
taken in two ways. Beyond that:

- A request's head has `HEAD_TIMEOUT` seconds, counted from connecting, or from its first byte on a connection that
  served before; its body has `BODY_TIMEOUT` seconds, on every route. Sanic's own timers start anew with each byte.
- A body may be read while its answer leaves. What is then left of it when the answer ends is not waited for: the
  connection closes behind the answer, as its head has said.
- It closes slowly (RFC 9112 section 9.6): first our side, then what still comes is thrown away, as long as it comes and
  within a budget. Closing with bytes unread would reset the connection, and the answer could be lost on its way: most
  clients read nothing before they have sent all.
- `100 Continue` is sent when the body is about to be read, and not before an answer that does without.
- A client of HTTP/1.0 knows no chunks: its streams end with the connection.

Theory of operation
-------------------
One task for each connection goes through these phases, for one request after the other. At any time one timer of ours
runs, or Sanic's where ours have nothing to say; Sanic's others are set so that they never fire first (`streamkit.app`).

phase              Sanic's stage      waits for               timer, and what it does
silent at first    IDLE               the first byte          head, from connecting: closes without a word
head               REQUEST            the empty line          head, from connecting or the first byte: 408 timeout_head
body               HANDLER            what the handler reads  body, from the end of the head: 408 timeout_body;
                                                              of an upload its reader's own (`arriving`)
answer             HANDLER, RESPONSE  the handler             a stream's own (`relay.deadline`); of other
                                                              routes Sanic's RESPONSE_TIMEOUT
between requests   IDLE               the first byte          Sanic's KEEP_ALIVE_TIMEOUT: closes
lingering          IDLE               the client's close      LINGER_IDLE_S without a byte, LINGER_S: closes

A request that is refused (`Failed`) before its handler runs is answered by the app's error handler, and the connection
closes. Whatever may no longer be read as a request (the rest of a body, what was pipelined too far) ends keep-alive.

What this relies on, of Sanic (tests/test_inside_sanic.py): `Http.http1` runs all requests of a connection by calling
`http1_request_header`, the handler, `read` and `http1_response_header`, which are overridden here, and waits for bytes
by `self._receive_more`, which is replaced; it goes on while `keep_alive` and the stage is IDLE. When a handler has
ended, it reads what is left of the body as long as `request_body` is set. With the head of a chunked body the first
chunk's line is left in the buffer together with the CRLF before it. The names in `StrictHttp`'s methods that are not
defined here are Sanic's: `stage`, `recv_buffer`, `request_body` (None, True or "chunked"), `request_bytes` (what has
been announced: by the head, or chunk by chunk), `request_bytes_left`, `request_max_size`, `expecting_continue`,
`upgrade_websocket`, `head_only`, `url`, `response`, `response_func`, `_send`, `dispatch`, `log_response`; of the
protocol `receive_more`, `recv_buffer`, `transport`, `loop`, `access_log`, `conn_info` and `http`.
"""

# The classes of Sanic that are extended here have untyped methods.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

from sanic import Request, Sanic
from sanic.compat import Header
from sanic.exceptions import RequestCancelled
from sanic.headers import format_http1_response
from sanic.helpers import has_message_body
from sanic.http import Http, Stage
from sanic.http.http1 import HTTP_CONTINUE
from sanic.server.protocols.http_protocol import HttpProtocol

from streamkit.errors import ServerError
from streamkit.inside_sanic import READ_SIGNALS, is_listened_to, without_alt_svc
from streamkit.relay.failure import Failed
from streamkit.relay.request.head import MAX_HEAD_BYTES, Head, HeadScan, check_head, check_raw_head, chunk_size

__all__ = ["NO_ASGI", "Connection", "RelayApp", "StrictHttp", "check_stock"]

LINGER_S: Final = 5.0
LINGER_IDLE_S: Final = 1.0
LINGER_BYTES: Final = 1 << 24
NO_ASGI: Final = (
    "streamkit's relay does not run under an ASGI server such as uvicorn or hypercorn, where a cut stream could look "
    "whole: start it by `streamkit serve`, or by `sanic streamkit.app:create_app --factory`"
)
MAX_PIPELINED_BYTES: Final = 1 << 16
STEPS_AT_ONCE: Final = 100
RESPONSE_SIGNALS: Final = frozenset({"http.lifecycle.response", "http.lifecycle.*"})


class StrictHttp(Http):
    """One connection's requests and answers, one after the other."""

    HEADER_MAX_SIZE = MAX_HEAD_BYTES  # Sanic's is one for all apps of a process
    __slots__ = ("_due", "_first_due", "_handed", "_steps", "_uploads", "_wanted_bytes", "body_is_whole")

    protocol: Any  # a Connection; Sanic's name for it is a type of its own
    request_body: Any  # Sanic's types are narrower than what it assigns
    request_bytes: Any  # int, while there is a request
    request_bytes_left: Any
    response_func: Any  # None after the answer

    def __init__(self, protocol: Connection) -> None:
        super().__init__(protocol)
        self._receive_more = self._receive_in_time
        self._first_due = self._after(protocol.head_s)
        self._due: float | None = None
        self._steps = 0
        self._uploads = False
        self._wanted_bytes = 0
        self._handed = b""
        self.body_is_whole = False
        """Its last byte has been read: it did not just end."""

    async def http1(self) -> None:
        """All requests of the connection. A client that never says a word is left without one."""
        try:
            if not self.recv_buffer:
                await self._receive_first()
                if not self.recv_buffer:
                    return
            await super().http1()
            await self._linger()
        finally:  # or it would refer to itself, and all of a connection would wait for the cycle collector
            self._receive_more = self.protocol.receive_more

    async def _receive_first(self) -> None:
        """Wait for bytes, or for the end of the time for them; it is the waiting that is ended, which needs no more
        than the timer.
        """
        protocol = self.protocol
        timer = None
        if self._first_due is not None:
            timer = protocol.loop.call_at(self._first_due, protocol._data_received.set)
        try:
            await protocol.receive_more()
        finally:
            if timer is not None:
                timer.cancel()

    def _after(self, seconds: float) -> float | None:
        return self.protocol.loop.time() + seconds if seconds else None

    async def _receive_in_time(self) -> None:
        """Wait for bytes. Between two requests Sanic's KEEP_ALIVE_TIMEOUT watches."""
        if self.stage is Stage.IDLE or self._due is None:
            await self.protocol.receive_more()
            return
        try:
            async with asyncio.timeout_at(self._due):
                await self.protocol.receive_more()
        except TimeoutError:
            phase = "head" if self.stage is Stage.REQUEST else "body"
            seconds = self.protocol.head_s if phase == "head" else self.protocol.body_s
            raise Failed.of_request(408, f"timeout_{phase}", f"send the {phase} within {seconds:g} s") from None

    async def _step(self) -> None:
        """A request more: a buffer full of tiny ones, or of tiny chunks, does not keep the loop from others."""
        self._steps += 1
        if self._steps >= STEPS_AT_ONCE:
            self._steps = 0
            await asyncio.sleep(0)

    # --- The request ------------------------------------------------------------------------------------------------

    async def http1_request_header(self) -> None:
        """Check the head, then let Sanic read it."""
        self._due = self._first_due or self._after(self.protocol.head_s)
        self._first_due = None
        head = await self._head()
        self._due = self._after(self.protocol.body_s)
        self._uploads = False
        await super().http1_request_header()
        if self.request_body is True and not self.request_bytes_left:  # nobody has to read that
            self.request_body = None
            self.expecting_continue = False
        self.body_is_whole = not self.request_body
        self.upgrade_websocket = False  # which would switch off Sanic's timers
        if head.closes:
            self.keep_alive = False
        if head.minor == 0:
            self.expecting_continue = False  # RFC 9110 section 10.1.1

    async def _head(self) -> Head:
        await self._step()
        scan = HeadScan()
        while (end := scan.end(self.recv_buffer)) is None:
            await self._receive_more()
        raw = bytes(self.recv_buffer[:end])
        head = check_head(raw)
        if head.chunked:
            self.recv_buffer[:end] = _in_sanics_spelling(raw)
        return head

    def create_empty_request(self) -> None:
        """What an error answer needs of a request. Sanic would put in the very URL that it could not read."""
        self.url = None
        super().create_empty_request()

    def expect_upload(self) -> None:
        """The body of this request is read as it comes, beside its answer: who reads it says for how long it may stall,
        and a client that waits for `100 Continue` gets that before an answer that begins first.
        """
        self._due = None
        self._uploads = True

    async def read(self) -> bytes | None:
        """Some bytes of the request's body, None at its end. Raises RequestCancelled if the client left before that."""
        if not self.request_body:
            return None
        if self.stage not in (Stage.HANDLER, Stage.RESPONSE):  # the answer is out: Sanic would wait for the rest
            self._read_no_more()
            return None
        try:
            self._check_size(0)
            if self.expecting_continue:
                self.expecting_continue = False
                await self._send(HTTP_CONTINUE)
            await self._step()
            while not (data := self._take()) and self.request_body:
                await self._receive_body()
        except Failed:
            self._read_no_more()
            raise
        if data and is_listened_to(self.protocol.app, READ_SIGNALS):  # it is not dispatched otherwise, and may not be
            await self.dispatch("http.lifecycle.read_body", inline=True, context={"body": data})
        return data or None

    def take_whole(self) -> bytes | None:
        """The body, if all of it is here already, as that of most questions is; else None, and nothing is done."""
        here = self.request_body is True and self.request_bytes_left <= len(self.recv_buffer)
        if not here or self._handed or self.request_bytes > self.request_max_size or self.stage is not Stage.HANDLER:
            return None
        if self.expecting_continue or is_listened_to(self.protocol.app, READ_SIGNALS):
            return None
        return self._take()

    async def _receive_body(self) -> None:
        if self.protocol.conn_info.lost:  # whoever waits now does so for ever
            self._read_no_more()
            raise RequestCancelled
        self._wanted_bytes = self.request_bytes_left
        try:
            await self._receive_more()
        except BaseException:
            self._put_back()
            raise
        finally:
            self._wanted_bytes = 0

    def hand_over(self, data: bytes) -> bool:
        """Take what has been read off the connection, if all of it is body that somebody waits for: it is given on as
        it is. Copied into the buffer and out of it, a large body takes twice the time.
        """
        if self._handed or self.recv_buffer or len(data) > self._wanted_bytes:  # or it would overtake what waits
            return False
        self._handed = data
        return True

    def _put_back(self) -> None:
        """What has been handed over is nobody's now: into the buffer, before what has come since."""
        self.recv_buffer[:0] = self._handed
        self._handed = b""

    def rest(self) -> tuple[list[bytes], bool]:
        """What has come of the body, and not been read; and whether that is all of it. Nothing is read from then on."""
        parts: list[bytes] = []
        with suppress(Failed):
            while part := self._take():
                parts.append(part)
        if not self.body_is_whole:
            self._read_no_more()
        return parts, self.body_is_whole

    def _take(self) -> bytes:
        """Take what has come of the body out of the buffer, which Sanic keeps small. After its end there is none."""
        if not self.request_body:
            return b""
        if self.request_body == "chunked":
            return self._take_chunks()
        data = self._take_bytes()
        if not self.request_bytes_left:
            self._end_body()
        return data

    def _take_chunks(self) -> bytes:
        """Of as many chunks as have come. What is wrong with one is raised when those before it have been taken."""
        parts: list[bytes] = []
        while len(parts) < STEPS_AT_ONCE:
            try:
                if not self.request_bytes_left and not self._begin_chunk():
                    break
            except Failed:
                if parts:
                    break
                raise
            part = self._take_bytes()
            if not part:
                break
            parts.append(part)
        return b"".join(parts)

    def _begin_chunk(self) -> bool:
        """Take the line of a chunk, if it has come, and is not the last one's."""
        buffer = self.recv_buffer
        size = chunk_size(buffer)
        if size is None:
            return False
        self._check_size(size)
        self._steps += 1
        end = buffer.index(b"\n", 2) + 1
        if size:
            del buffer[:end]
            self.request_bytes += size
            self.request_bytes_left = size
        else:
            del buffer[: end + 2]
            self._end_body()
        return size > 0

    def _end_body(self) -> None:
        """A client that leaves while it is answered is seen to only if reading goes on."""
        self.request_body = None
        self.body_is_whole = True
        transport: Any = self.protocol.transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    def _take_bytes(self) -> bytes:
        if self._handed:
            data, self._handed = self._handed, b""
        else:
            size = min(self.request_bytes_left, len(self.recv_buffer))
            with memoryview(self.recv_buffer) as view:
                data = bytes(view[:size])
            del self.recv_buffer[:size]
        self.request_bytes_left -= len(data)
        return data

    def _check_size(self, more: int) -> None:
        if self.request_bytes + more > self.request_max_size:
            code = "too_large" if self._uploads else "body_too_large"
            raise Failed.of_request(413, code, f"send at most {self.request_max_size} bytes")

    def _read_no_more(self) -> None:
        """Nothing behind this point may be taken for a request."""
        self.keep_alive = False
        self.request_body = None

    # --- The answer -------------------------------------------------------------------------------------------------

    async def http1_response_header(self, data: bytes, end_stream: bool) -> None:
        self._leave_body(end_stream)
        if end_stream or not self._has_no_length():
            without_alt_svc(self.response)
            await super().http1_response_header(data, end_stream)
        elif self.request.version == "1.0":
            await self._begin_until_close(data)
        else:
            await self._begin_chunked(data)

    def _leave_body(self, end_stream: bool) -> None:
        """The answer begins: what is left of the request's body is here already, or it ends the connection."""
        if end_stream or not self._uploads:
            self.expecting_continue = False  # Sanic sends it together with the answer
        self._put_back()
        if not self.request_body:
            return
        if not end_stream:  # it may still be read
            self.keep_alive = False
        elif self.request_body is True and self.request_bytes_left <= len(self.recv_buffer):
            del self.recv_buffer[: self.request_bytes_left]
            self.request_body = None
        else:
            self._read_no_more()

    def _has_no_length(self) -> bool:
        response: Any = self.response
        return (
            not self.head_only
            and not response.body
            and has_message_body(response.status)
            and "content-length" not in response.headers
        )

    @property
    def until_close(self) -> bool:
        """The answer that has begun has no framing: it ends with the connection."""
        return bool(self.response_func == self._send_until_close)

    async def _begin_until_close(self, data: bytes) -> None:
        self.keep_alive = False
        self.response_func = self._send_until_close
        await self._begin("close", data)

    async def _begin_chunked(self, data: bytes) -> None:
        """What Sanic does, in a third of the time."""
        response: Any = self.response
        response.headers["transfer-encoding"] = "chunked"
        self.response_func = self.http1_response_chunked
        await self._begin(
            "keep-alive" if self.keep_alive else "close", b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        )

    async def _begin(self, connection: str, data: bytes) -> None:
        """The head of an answer that goes on, and its first bytes."""
        response: Any = self.response
        response.headers["connection"] = connection
        if self.protocol.access_log:
            self.log_response()
        head = response_head(response)
        if self.expecting_continue:
            self.expecting_continue = False
            head = HTTP_CONTINUE + head
        await self._send(head + data)
        if not is_listened_to(self.protocol.app, RESPONSE_SIGNALS):
            response.headers = Header()  # sent, and of 2 kB, for as long as the answer takes
        self.stage = Stage.RESPONSE

    async def _send_until_close(self, data: bytes, end_stream: bool) -> None:
        if data:
            await self._send(data)
        if end_stream:
            self.response_func = None
            self.stage = Stage.IDLE

    async def _linger(self) -> None:
        transport: Any = self.protocol.transport
        if transport is None or transport.is_closing() or not transport.can_write_eof():  # TLS has no half-close
            return
        transport.write_eof()
        left = LINGER_BYTES
        until = self.protocol.loop.time() + LINGER_S
        with suppress(TimeoutError):
            while left > 0:
                left -= len(self.recv_buffer)
                self.recv_buffer.clear()
                async with asyncio.timeout_at(min(until, self.protocol.loop.time() + LINGER_IDLE_S)):
                    await self.protocol.receive_more()


def response_head(response: Any) -> bytes:
    """The head of an answer as bytes: as Sanic has it, which looks at each character of it."""
    response.headers.setdefault("content-type", response.content_type)
    lines = [f"{name}: {value}\r\n" for name, value in response.headers.items()]
    text = "".join(lines)
    if text.count("\n") == text.count("\r") == len(lines) and text.isascii() and "\0" not in text:
        return format_http1_response(response.status, ())[:-2] + text.encode() + b"\r\n"
    return format_http1_response(response.status, response.processed_headers)


def _in_sanics_spelling(head: bytes) -> bytes:
    """Sanic knows `chunked` in lower case only, without the white space behind it."""
    fields = head.split(b"\r\n")
    return b"\r\n".join(
        b"transfer-encoding: chunked" if field.lower().startswith(b"transfer-encoding:") else field for field in fields
    )


def check_stock(request: Request) -> None:
    """Check the head of a request that came over a connection which is not of this module: of an app of somebody
    else's. Its body's chunks are Sanic's matter then. Raises Failed, after which the connection closes.
    """
    stream: Any = request.stream
    if isinstance(stream, StrictHttp) or not isinstance(stream, Http):  # ASGI and HTTP/3 have no such heads
        return
    try:
        check_raw_head(request.head)
    except Failed:
        stream.keep_alive = False
        raise


def _slim(event: Any) -> None:
    """Of those that wait for an event there is one at most: a list of them takes 600 bytes less than asyncio's deque.

    Relies on: `asyncio.Event._waiters`, which is appended to, iterated, and removed from.
    """
    event._waiters = []


class Connection(HttpProtocol):
    """The protocol of a relay's server. Reads HEAD_TIMEOUT and BODY_TIMEOUT of its app (seconds; 0 or none: off)."""

    HTTP_CLASS = StrictHttp
    __slots__ = ("body_s", "head_s", "lost_ns")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _slim(self._can_write)
        _slim(self._data_received)
        self.head_s: float = self.app.config.get("HEAD_TIMEOUT", 0)
        self.body_s: float = self.app.config.get("BODY_TIMEOUT", 0)
        self.lost_ns = 0
        """When the client left; 0 while it is there."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost_ns = time.monotonic_ns()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Requests that wait behind a running one are kept within bounds. Beyond them, none of them will be answered:
        not to read would be to overlook that the client leaves.
        """
        http: Any = self.http
        transport: Any = self.transport
        if http and http.hand_over(data):
            self._time = time.monotonic()  # this and what follows is what Sanic does
            if len(data) >= self.app.config.REQUEST_BUFFER_SIZE:
                transport.pause_reading()
            self._data_received.set()
            return
        super().data_received(data)
        if http and not http.request_body and len(self.recv_buffer) >= MAX_PIPELINED_BYTES:
            http.keep_alive = False
            self.recv_buffer.clear()
            transport.resume_reading()


class RelayApp(Sanic[Any, Any]):
    """A Sanic app whose servers speak by `Connection`, however they are started, unless they are given another one."""

    def prepare(self, *args: Any, **kwargs: Any) -> None:
        super().prepare(*args, **_with_protocol(kwargs))

    async def create_server(self, *args: Any, **kwargs: Any) -> Any:
        return await super().create_server(*args, **_with_protocol(kwargs))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """An ASGI server is told so at its start: how a stream ends there is not in our hands."""
        if scope["type"] != "lifespan":
            raise ServerError(NO_ASGI)
        await receive()
        await send({"type": "lifespan.startup.failed", "message": NO_ASGI})


def _with_protocol(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**kwargs, "protocol": kwargs.get("protocol") or Connection}

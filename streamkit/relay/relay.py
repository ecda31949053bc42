"""One stream, from its request to its log line; and what a relay knows of all of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, cast

import httpx2
from sanic import HTTPResponse, Request
from sanic.exceptions import SanicException

from streamkit.errors import ConfigError
from streamkit.outcome import Outcome
from streamkit.presets import Preset
from streamkit.presets import preset as find_preset
from streamkit.presets.asking import UpstreamRequest
from streamkit.relay.delivery.answer import Answer, problem
from streamkit.relay.delivery.deadline import Watch
from streamkit.relay.delivery.deliver import SHUT_DOWN, Ended, deliver, end_of_grace, is_end_of_grace
from streamkit.relay.delivery.format import Format, negotiate
from streamkit.relay.delivery.outlet import Outlet
from streamkit.relay.delivery.policy import Policy, preferred, queue
from streamkit.relay.delivery.policy import policy as find_policy
from streamkit.relay.failure import Failure
from streamkit.relay.log import StreamRecord
from streamkit.relay.request.body import BadRequest, check_type, read_chat_history
from streamkit.relay.request.connection import check_stock
from streamkit.relay.settings import Buffers, Deadlines, flag, settings_from
from streamkit.relay.sources.llm import llm
from streamkit.sockets import resident_bytes, set_buffers
from streamkit.taps import STREAM_ID_HEADER, StreamTaps, TapLog, new_stream_id, stream_id_from
from streamkit.taps.gauges import Gauges, Sampler, Values
from streamkit.transport import Body, StreamTransport
from streamkit.transport.url import split_unix_url

__all__ = ["Relay"]

NEVER_S: Final = 10 * 365 * 24 * 3600.0


KEEPALIVE_S: Final = 4.0
"""How long an upstream connection may be idle: less than the 5 s after which many servers close theirs, for a request
that crosses such an end is lost.
"""


END_S: Final = 0.5
"""How long a stop waits for its streams' last words."""


class Relay:
    """What one relay knows: its upstream, its limits, and how many streams are running."""

    def __init__(
        self,
        *,
        upstream: str | None = None,
        preset: str | Preset | None = None,
        key: str | None = None,
        model: str | None = None,
        extra: Mapping[str, object] | None = None,
        reasoning: bool = False,
        trace: bool | None = None,
        policy: str | Policy | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        **settings: float | None,
    ) -> None:
        env = os.environ
        upstream = upstream or env.get("STREAMKIT_UPSTREAM")
        if not upstream:
            raise ConfigError("no upstream: pass upstream=URL, --upstream URL, or set STREAMKIT_UPSTREAM")
        self._url, self._unix = split_unix_url(upstream)
        if self._url.userinfo:
            raise ConfigError("the upstream's URL holds a user name or password: put the key into UPSTREAM_API_KEY")
        self._preset = find_preset(preset or env.get("STREAMKIT_PRESET") or "seed", reasoning=reasoning)
        self._key = key or env.get("UPSTREAM_API_KEY")
        self._model = model or env.get("STREAMKIT_MODEL")
        self._extra = dict(extra or {})
        self.taps = TapLog() if (flag(env, "STREAMKIT_TRACE") if trace is None else trace) else None
        self._given_transport = transport
        self._transport: httpx2.AsyncBaseTransport | None = None
        self.policy = find_policy(policy or env.get("STREAMKIT_POLICY") or "pause")
        self.deadlines, self.limits, self._buffers, tracing, self._retries = settings_from(settings, env)
        if tracing.gauge_ms and self.taps is None:
            raise ConfigError("gauge_ms needs trace: the queues are kept with a stream's taps")
        self._sampler = Sampler(int(tracing.gauge_ms * 1e6)) if tracing.gauge_ms else None
        self._running: set[asyncio.Task[Any]] = set()
        self.served = 0
        self._ask("a question")  # what the preset lacks, such as a model, is said at start-up

    def __repr__(self) -> str:
        return f"<Relay preset={self._preset.name!r} live={self.live} served={self.served}>"

    async def open(self) -> None:
        """Make the transport: its connections belong to the running loop."""
        self._transport = self._given_transport or StreamTransport(
            unix=self._unix,
            max_connections=self.limits.max_streams,
            keepalive_s=KEEPALIVE_S,
            read_ahead_bytes=self._buffers.read_ahead_bytes,
            receive_buffer_bytes=self._buffers.receive_buffer_bytes,
        )

    async def close(self) -> None:
        """Close every upstream connection."""
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    @property
    def live(self) -> int:
        """Streams that are running."""
        return len(self._running)

    async def answer(self, request: Request) -> HTTPResponse | None:
        """`POST /ans`: one stream, from its request to its log line."""
        record = StreamRecord(self._name(request))
        try:
            ended = await self._ended(request, record)
            record.ended(ended.outcome, ended.code, None if ended.response is None else ended.response.status)
        except SanicException as error:  # a malformed body or Accept; the app's error handler answers
            record.ended(Outcome("refused", error.status_code or 500), error_code(error), error.status_code)
            raise
        finally:
            word = record.write()
            if self.taps is not None and (taps := self.taps.get(record.stream_id)) is not None:
                taps.word = word
        return ended.response

    async def end_streams(self) -> None:
        """The grace of a shutdown is over: let each stream that runs say so and end, within half a second in all."""
        for task in tuple(self._running):
            end_of_grace(task)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                while self._running:  # noqa: ASYNC110  # their tasks live longer: they are their connections'
                    await asyncio.sleep(0.01)

    async def _ended(self, request: Request, record: StreamRecord) -> Ended:
        if self.live >= self.limits.max_streams:
            return _refused(BUSY, record)
        task = cast("asyncio.Task[Any]", asyncio.current_task())  # a coroutine of Sanic's, which runs in one
        self._running.add(task)
        taps = self.taps.open(record.stream_id) if self.taps is not None else None
        try:
            with ours_decide(request):
                return await self._run(request, record, taps)
        except BadRequest as error:
            return _refused(Failure(error.outcome, error.code, error.status, error.detail), record)
        except asyncio.CancelledError as error:
            if not is_end_of_grace(error):
                raise
            return _refused(SHUT_DOWN, record)
        finally:
            self._running.discard(task)
            self.served += 1
            if self.taps is not None and taps is not None:
                self.taps.close(taps)

    async def _run(self, request: Request, record: StreamRecord, taps: StreamTaps | None) -> Ended:
        assert self._transport is not None, "the relay is not open"  # noqa: S101  # listeners run before requests
        if taps is not None:
            taps.mark("relay.asked", time.monotonic_ns())
        ask = self._ask(await self._chat_history(request))
        form = negotiate(request)
        chosen, applied = self._policy(request, form)
        answer = Answer(request, form.content_type, record.stream_id, applied)
        watch = Watch(self._deadlines(chosen), answer.unsent_bytes)
        outlet = Outlet(answer, form, queue(chosen, self.limits.max_pending_bytes), watch, taps)
        watch.beat = outlet.beat
        queues = _Queues(answer, outlet)
        if taps is not None:
            ask = replace(ask, headers={**ask.headers, STREAM_ID_HEADER: record.stream_id})
            taps.mark("relay.asking", time.monotonic_ns())
        source = llm(
            self._transport,
            self._url,
            ask,
            self._preset,
            self.limits,
            self.deadlines.connect_s,
            taps,
            outlet.take,
            queues.opened,
            self._retries,
        )
        del ask  # a long conversation is not held for as long as its answer takes
        if self._buffers != Buffers():
            set_buffers(
                cast("Any", request.transport),  # as in delivery.Answer
                send_buffer_bytes=self._buffers.send_buffer_bytes,
                write_buffer_bytes=self._buffers.write_buffer_bytes,
            )
        try:
            with self._gauged(taps, queues):
                return await deliver(source, outlet, watch)
        finally:
            record.delivered(form, chosen, answer, outlet)

    def _policy(self, request: Request, form: Format) -> tuple[Policy, Policy | None]:
        """The policy of this stream, and the same again if the request asked for one."""
        wish = preferred(request.headers.get("prefer", ""))
        wish = wish and wish.within(self.limits.max_pending_bytes, self.deadlines.write_stall_s)
        chosen = wish or self.policy
        if chosen.name == "latest" and not form.tells_drops:
            return Policy("pause"), None
        return chosen, wish

    def _deadlines(self, chosen: Policy) -> Deadlines:
        return self.deadlines if chosen.after_s is None else replace(self.deadlines, write_stall_s=chosen.after_s)

    def _gauged(self, taps: StreamTaps | None, queues: _Queues) -> contextlib.AbstractContextManager[None]:
        if taps is None or self._sampler is None:
            return contextlib.nullcontext()
        taps.gauges = Gauges(self._sampler.every_ns)
        return self._sampler.watch(taps.gauges, queues.read, queues.busy)

    def _name(self, request: Request) -> str:
        """The stream's id: where it is traced, the client may have named it, unless another one is called so."""
        if self.taps is None:
            return new_stream_id()
        name = stream_id_from(request.headers.get(STREAM_ID_HEADER))
        return name if self.taps.get(name) is None else new_stream_id()

    def _ask(self, chat_history: str) -> UpstreamRequest:
        return self._preset.request(chat_history, key=self._key, model=self._model, extra=self._extra)

    async def _chat_history(self, request: Request) -> str:
        """The request's body, read under its deadline and its bound, and the one field out of it.

        What its head already rules out is refused before the body is read.
        """
        body = bytearray()
        stream: Any = request.stream  # Sanic types it wider than what a route with stream=True gets
        too_large = BadRequest(413, "body_too_large", f"send at most {self.limits.max_body_bytes} bytes")
        check_stock(request)
        content_type = check_type(
            request.headers.getall("content-type", []), request.headers.getall("content-encoding", [])
        )
        if (getattr(stream, "request_bytes", 0) or 0) > self.limits.max_body_bytes:  # as its Content-Length says
            raise too_large
        try:
            async with asyncio.timeout(self.deadlines.body_s or None):
                async for data in stream:
                    body += data
                    if len(body) > self.limits.max_body_bytes:
                        raise too_large
        except TimeoutError:
            raise BadRequest(408, "timeout_body", f"send the body within {self.deadlines.body_s:g} s") from None
        return read_chat_history(content_type, bytes(body))


class _Queues:
    """What waits where, of one stream, as seen from the relay; by the names of `streamkit.taps.gauges`."""

    def __init__(self, answer: Answer, outlet: Outlet) -> None:
        self._answer = answer
        self._outlet = outlet
        self._body: Body | None = None

    def opened(self, body: Body) -> None:
        """The upstream answers."""
        self._body = body

    def busy(self) -> bool:
        """Some of what was written has not left yet."""
        buffer, unsent = self._answer.send_queue()
        return bool(buffer or unsent)

    def read(self) -> Values:
        body, (buffer, unsent) = self._body, self._answer.send_queue()
        return {
            "relay.unread": None if body is None else body.unread_bytes(),
            "relay.inbox": None if body is None else body.waiting_bytes,
            "relay.pending": self._outlet.pending_bytes,
            "relay.buffer": buffer,
            "relay.unsent": unsent,
            "relay.wrote": self._answer.wrote,
            "relay.rss": resident_bytes(),
        }


@contextlib.contextmanager
def ours_decide(request: Request) -> Iterator[None]:
    """Keep Sanic's response timer from firing while a stream runs: it is an idle timer that any stray byte resets,
    and it cuts at 1.0 to 1.5 times its value. Other routes of the connection keep it.
    """
    protocol: Any = request.protocol
    theirs = protocol.response_timeout
    protocol.response_timeout = NEVER_S
    try:
        yield
    finally:
        protocol.response_timeout = theirs


def _refused(failure: Failure, record: StreamRecord) -> Ended:
    return Ended(failure.outcome, failure.code, problem(failure, record.stream_id))


def error_code(error: SanicException) -> str:
    """`MethodNotAllowed` as `method_not_allowed`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


BUSY: Final = Failure(
    Outcome("refused", 503), "too_many_streams", 503, "as many streams are running as are allowed", retry_after_s=1
)

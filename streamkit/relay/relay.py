"""What one relay knows of all its streams, and the way of each: request → source → delivery → log line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Final

import httpx2
from sanic import HTTPResponse, Request
from sanic.exceptions import SanicException

from streamkit.errors import ConfigError
from streamkit.inside_sanic import local_address, without_response_timeout, workers_of
from streamkit.outcome import Outcome
from streamkit.presets import PresetLike
from streamkit.presets import preset as find_preset
from streamkit.relay.counting.metrics import Metrics
from streamkit.relay.delivery.answer import problem, refusal
from streamkit.relay.delivery.deliver import Delivery, Ended, refused
from streamkit.relay.delivery.policy import Policy
from streamkit.relay.failure import SHUT_DOWN, Failed, Failure, internal
from streamkit.relay.log import StreamRecord
from streamkit.relay.replay.memory import MemoryStore
from streamkit.relay.replay.redis import RedisStore
from streamkit.relay.replay.replay import Replay
from streamkit.relay.replay.store import Store
from streamkit.relay.request.arriving import arriving
from streamkit.relay.request.pages import Admission
from streamkit.relay.request.receive import receive_nothing
from streamkit.relay.request.trace_context import TraceContext
from streamkit.relay.resumable import Resumable
from streamkit.relay.route import Route, Wanted
from streamkit.relay.settings import Resuming, flag, settings_from
from streamkit.relay.sources.source import Arriving, Pieces
from streamkit.relay.sources.upstream import Upstream
from streamkit.relay.stream import Stream
from streamkit.taps import STREAM_ID_HEADER, TapLog, new_stream_id, stream_id_from
from streamkit.taps.gauges import Gauges, Sampler
from streamkit.transport.tls import Verify

__all__ = ["Relay"]

OWNER_HEADERS: Final = ("authorization",)
"""By which a stream's owner is told from others."""
HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110 section 5.6.2
SEND_BUFFER_BYTES: Final = 1 << 16
"""Where streams can be resumed and nothing else is said."""

END_S: Final = 0.5
"""How long a stop waits for its streams' last words."""


class Relay:
    """One upstream, or none, if there are other `routes`; and the streams that are running.

    Other arguments as in `create_app`; what is not given comes from the environment. `served` counts the streams that
    have ended, `taps` are those of traced streams (None: they are not traced), `admission` says which web pages may
    ask. `resumes`: whoever was cut may come back. `resumable` keeps such streams, and those whose clients do not wait;
    None where there are none of both.
    """

    def __init__(
        self,
        *,
        upstream: str | None = None,
        routes: Iterable[Route] | None = None,
        preset: PresetLike | None = None,
        key: str | None = None,
        model: str | None = None,
        extra: Mapping[str, object] | None = None,
        reasoning: bool = False,
        trace: bool | None = None,
        metrics: bool | str | None = None,
        policy: str | Policy | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        cors_origins: str | Iterable[str] | None = None,
        allowed_hosts: str | Iterable[str] | None = None,
        verify: Verify | None = None,
        resume: bool | str | None = None,
        resume_owner_headers: Iterable[str] | str | None = None,
        **settings: float | None,
    ) -> None:
        env = os.environ
        url = upstream or env.get("STREAMKIT_UPSTREAM")
        own = None if routes is None else tuple(routes)
        if not url and own is None:
            raise ConfigError("no upstream: pass upstream=URL, --upstream URL, or set STREAMKIT_UPSTREAM")
        self.settings = settings_from(settings, env)
        resumes = _resumes(resume, env)
        if resumes and not self.settings.buffers.send_buffer_bytes:  # what may be lost with a connection is bounded
            self.settings = self.settings._replace(
                buffers=replace(self.settings.buffers, send_buffer_bytes=SEND_BUFFER_BYTES)
            )
        self.policy = Policy.of(policy or env.get("STREAMKIT_POLICY") or "pause")
        self.taps = TapLog() if (flag(env, "STREAMKIT_TRACE") if trace is None else trace) else None
        self.admission = Admission(
            env.get("STREAMKIT_CORS_ORIGINS", "") if cors_origins is None else cors_origins,
            env.get("STREAMKIT_ALLOWED_HOSTS", "") if allowed_hosts is None else allowed_hosts,
        )
        self.metrics = _metrics(metrics, env, self._held)
        self._sampler = _sampler(self.settings.tracing.gauge_ms, traced=self.taps is not None)
        self.upstream: Upstream | None = None
        if url:
            self.upstream = Upstream(
                url,
                find_preset(preset or env.get("STREAMKIT_PRESET") or "seed", reasoning=reasoning),
                key=key or env.get("UPSTREAM_API_KEY"),
                model=model or env.get("STREAMKIT_MODEL"),
                extra=extra,
                settings=self.settings,
                transport=transport,
                verify=(env.get("STREAMKIT_CACERT") or True) if verify is None else verify,
            )
        self._routes = [*(own or ())]
        self._opened = contextlib.AsyncExitStack()
        self._running: set[Stream] = set()
        self.served = 0
        self.draining = False
        """It is to stop soon, and still takes requests."""
        self.paths: list[str] = []
        """Where its streams are asked for."""
        self.resumes = bool(resumes)
        self.resumable: Resumable | None = None
        if resumes or any(route.asynchronous for route in self._routes):
            names = resume_owner_headers or env.get("STREAMKIT_RESUME_OWNER_HEADERS") or OWNER_HEADERS
            self.resumable = Resumable(
                Replay(_store(resumes, self.settings.resuming)),
                self._masked,
                self.policy,
                _header_names(names),
                self.taps,
                self._gauged,
                None if self.metrics is None else self.metrics.counts,
            )

    def __repr__(self) -> str:
        asks = "" if self.upstream is None else f" preset={self.upstream.preset.name!r}"
        return f"<Relay{asks} live={self.live} served={self.served}>"

    @property
    def live(self) -> int:
        """Answers that are running."""
        return len(self._running)

    @property
    def producing(self) -> int:
        """Streams that are asked of the upstream for a log, whoever reads it."""
        return 0 if self.resumable is None else self.resumable.replay.producing

    @property
    def unready(self) -> Failure | None:
        """Why no more requests should be sent to it; None: they may. An upstream that fails is no such reason: another
        relay would ask the same one.
        """
        if self.draining:
            return DRAINING
        return None if self.resumable is None else self.resumable.replay.unready

    def add(self, route: Route) -> None:
        """One route more, before the server starts. Raises ConfigError for what this relay cannot do."""
        if route.asynchronous and self.resumable is None:
            raise ConfigError("expected resume=True for a route whose clients may come back for the answer")
        self._routes.append(route)

    def _held(self) -> dict[str, int]:
        return {"streams_active": self.live, "producing": self.producing, "draining": int(self.draining)}

    async def open(self) -> None:
        """What belongs to the running loop."""
        if self.metrics is not None:
            await self.metrics.open()
            self._opened.push_async_callback(self.metrics.close)
        if self.upstream is not None:
            await self.upstream.open()
            self._opened.push_async_callback(self.upstream.close)
        for route in self._routes:
            if route.running is not None:
                await self._opened.enter_async_context(route.running(self.settings))
        if self.resumable is not None:
            await self.resumable.replay.open()
            self._opened.push_async_callback(self.resumable.replay.close)

    async def close(self) -> None:
        """Let go of all of it: what is still produced, with nobody there to hear it, too."""
        await self._opened.aclose()

    def ask(self, path: str, route: Route) -> Callable[[Request], Awaitable[HTTPResponse | None]]:
        """What answers `POST` at `path`: one stream, from its request to its log line."""
        self.paths.append(path)

        def posted(request: Request, stream: Stream) -> Awaitable[Ended]:
            return self._posted(path, route, request, stream)

        def answer(request: Request) -> Awaitable[HTTPResponse | None]:
            kept = self.resumes or self._comes_back(request, route)
            return self._answered(request, posted, traced=not request.headers.get("last-event-id"), kept=kept)

        return answer

    async def go_on(self, request: Request, stream_id: str) -> HTTPResponse | None:
        """`GET /streams/<id>`: one more answer of a stream that can be resumed."""
        assert self.resumable is not None  # noqa: S101  # else there is no such route
        resumable = self.resumable

        def got(request: Request, stream: Stream) -> Awaitable[Ended]:
            return resumable.get(request, stream, stream_id)

        return await self._answered(request, got, traced=False, kept=True)

    async def _answered(
        self, request: Request, ask: Callable[[Request, Stream], Awaitable[Ended]], *, traced: bool, kept: bool
    ) -> HTTPResponse | None:
        try:
            self.check(request)
        except Failed as error:
            return self._turned_away(error.failure)
        stream = self._begun(request, traced=traced, kept=kept)
        try:
            try:
                self._count(stream)
                with without_response_timeout(request):
                    ended = await ask(request, stream)
            except BaseException as error:  # noqa: BLE001  # it is raised again, or becomes an end
                ended = self._ended(error, stream)
            finally:
                self._discount(stream)
            stream.record.ended(ended.outcome, ended.code, None if ended.response is None else ended.response.status)
        except SanicException as error:  # a malformed Accept, say; the app's error handler answers
            failure = refusal(error)
            stream.record.ended(failure.outcome, failure.code, failure.status)
            raise
        finally:
            self._close(stream)
        return ended.response

    def check(self, request: Request) -> None:
        """Raise Failed for a request that no web page should have sent (`streamkit.relay.request.pages`)."""
        self.admission.check(request.headers, local_address(request))

    async def end_streams(self) -> None:
        """The grace of a shutdown is over: let each stream that runs say so and end, within half a second in all."""
        if self.resumable is not None:  # their logs end, and with them those who read them
            await self.resumable.replay.end_all()
            await self._none_runs()
        for stream in tuple(self._running):
            stream.stop()
        await self._none_runs()

    async def _none_runs(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                while self._running:  # noqa: ASYNC110  # their tasks live longer: they are their connections'
                    await asyncio.sleep(0.01)

    def _turned_away(self, failure: Failure) -> HTTPResponse:
        """Before it is anything: what a page may not begin takes no place among the taps."""
        record = StreamRecord(new_stream_id())
        record.ended(failure.outcome, failure.code, failure.status)
        record.write()
        if self.metrics is not None:
            self.metrics.counts.answered(record)
        return problem(failure, record.stream_id)

    def _ended(self, error: BaseException, stream: Stream) -> Ended:
        """How a stream ended whose answer raised `error`; raises that again where it is somebody else's."""
        if isinstance(error, Failed):
            return refused(error.failure, stream)
        if isinstance(error, asyncio.CancelledError) and stream.is_told_to_stop():
            return refused(SHUT_DOWN, stream)
        if isinstance(error, SanicException) or not isinstance(error, Exception):
            raise error
        return refused(internal(error), stream)  # a bug in what asks: it is logged, and the client is told no more

    async def _posted(self, path: str, route: Route, request: Request, stream: Stream) -> Ended:
        resumable = self.resumable
        if resumable is not None and self.resumes and (at := resumable.cursor(request)) is not None:
            await self._pass_over(request, route)
            return await resumable.go_on(request, stream, path, at)
        stream.settings = route.settings(self.settings)
        wanted = await route.ask(request, stream)
        body = wanted.arriving  # None: it has come
        try:
            answering = await self._answering(path, route, request, stream, wanted)
            del wanted  # a long conversation is not held for as long as its answer takes
            return await answering
        except asyncio.CancelledError:
            if body is not None:
                _note_cut(body, stream)
            raise
        finally:
            if body is not None:
                body.cut()
                stream.record.received_bytes = body.received

    async def _pass_over(self, request: Request, route: Route) -> None:
        """Its body, which was sent before."""
        if not route.uploads:
            await receive_nothing(request, **self.settings.body_bounds)
            return
        async for _ in arriving(request, **self.settings.upload_bounds):
            pass

    async def _answering(
        self, path: str, route: Route, request: Request, stream: Stream, wanted: Wanted
    ) -> Coroutine[None, None, Ended]:
        """What answers, to be awaited at once. It holds nothing of the question. Raises Failed."""
        resumable = self.resumable
        if resumable is not None and self._comes_back(request, route):
            return resumable.ask_for_later(request, stream, path, wanted)
        if resumable is not None and self.resumes:
            return await resumable.ask(request, stream, path, wanted)
        delivery = Delivery(request, stream, self.policy)
        source = wanted.source(delivery.into)
        if stream.taps is None or self._sampler is None:
            return delivery.run(source)
        return self._sampled(stream, delivery, source)

    async def _sampled(self, stream: Stream, delivery: Delivery, source: Pieces) -> Ended:
        with self._gauged(stream, delivery):
            return await delivery.run(source)

    def _comes_back(self, request: Request, route: Route) -> bool:
        """It does not wait for the answer, and may ask any worker for it."""
        resumable = self.resumable
        if not route.asynchronous or resumable is None or not RESPOND_ASYNC.search(request.headers.get("prefer", "")):
            return False
        return resumable.replay.store.shared or workers_of(request.app)[1] == 1

    # --- What stands around a stream ---------------------------------------------------------------------------------

    def _begun(self, request: Request, *, traced: bool, kept: bool) -> Stream:
        """A stream under its own name: where it is traced, the client's, unless another one is called so. Where it is
        kept for those who come back, its name is a secret, and ours.
        """
        given = request.headers.get(STREAM_ID_HEADER)
        taps = self.taps if traced else None
        name = new_stream_id() if taps is None or kept else stream_id_from(given)
        if taps is not None and taps.get(name) is not None:
            name = new_stream_id()
        record = StreamRecord(name)
        if "traceparent" in request.headers and (context := TraceContext.of(request.headers)) is not None:
            record.trace_id = context.trace_id
        if kept:
            record.role = "answer"
            record.label = given if given is not None and stream_id_from(given) == given else ""
        stream = Stream(record, None, self.settings)
        stream.counts = None if self.metrics is None else self.metrics.counts
        if taps is not None:
            stream.taps = taps.open(name)
            stream.taps.mark("relay.asked", time.monotonic_ns())
        return stream

    def _close(self, stream: Stream) -> None:
        """Say what became of it: in the log, and beside its taps."""
        stream.record.why = self._masked(stream.record.why)
        word = stream.record.write()
        if stream.counts is not None:
            stream.counts.answered(stream.record)
        if self.taps is None or stream.taps is None:
            return
        stream.taps.why = stream.record.why
        if self.resumable is not None:
            self.resumable.answered(stream.taps, word)
        else:
            stream.taps.word = word
            self.taps.close(stream.taps)

    def _masked(self, words: str) -> str:
        return words if self.upstream is None else self.upstream.masked(words)

    def _count(self, stream: Stream) -> None:
        """One of those that run. Raises Failed if there are as many as may be."""
        if max(self.live, self.producing) >= self.settings.limits.max_streams:
            raise Failed(BUSY)
        self._running.add(stream)

    def _discount(self, stream: Stream) -> None:
        if stream in self._running:
            self._running.discard(stream)
            self.served += 1

    def _gauged(self, stream: Stream, delivery: Delivery) -> contextlib.AbstractContextManager[None]:
        if stream.taps is None or self._sampler is None:
            return contextlib.nullcontext()
        stream.taps.gauges = Gauges(self._sampler.every_ns)
        return self._sampler.watch(stream.taps.gauges, delivery.queues.read, delivery.queues.busy)


def _resumes(given: bool | str | None, env: Mapping[str, str]) -> bool | str:
    """Whether streams can be resumed: True in memory, or by way of the Redis of that URL."""
    if given is not None:
        return given
    return env.get("STREAMKIT_REPLAY") or flag(env, "STREAMKIT_RESUME")


def _metrics(given: bool | str | None, env: Mapping[str, str], held: Callable[[], dict[str, int]]) -> Metrics | None:
    """What is counted, if anything: a text names the folder that several workers share."""
    said = env.get("STREAMKIT_METRICS", "") if given is None else given
    if isinstance(said, str) and not {"/", "."} & {*said}:
        said = flag({"STREAMKIT_METRICS": said}, "STREAMKIT_METRICS")
    return Metrics(said if isinstance(said, str) else "", held) if said else None


def _store(resumes: bool | str, settings: Resuming) -> Store:
    return RedisStore(resumes, settings) if isinstance(resumes, str) else MemoryStore(settings)


def _header_names(given: Iterable[str] | str) -> tuple[str, ...]:
    names = given.split(",") if isinstance(given, str) else given
    found = tuple(name.strip().lower() for name in names)
    if not found or not all(map(HEADER_NAME.fullmatch, found)):
        raise ConfigError(f"expected names of headers as resume_owner_headers, such as X-User, got {given!r}")
    return found


def _sampler(gauge_ms: float, *, traced: bool) -> Sampler | None:
    if not gauge_ms:
        return None
    if not traced:
        raise ConfigError("gauge_ms needs trace (trace=True, --trace): the queues are kept with a stream's taps")
    return Sampler(int(gauge_ms * 1e6))


def _note_cut(body: Arriving, stream: Stream) -> None:
    """Who leaves before it has sent all of the body that is being answered has cut it."""
    failure = body.cut()
    if failure is not None and not stream.stopping:
        stream.record.ended(failure.outcome, failure.code, None)


RESPOND_ASYNC: Final = re.compile(r"(?:^|,)\s*respond-async\s*(?:[,;]|$)", re.IGNORECASE)
DRAINING: Final = Failure(
    Outcome("refused", 503), "draining", 503, "the server is about to stop: ask another one", unnamed=True
)
BUSY: Final = Failure(
    Outcome("refused", 503), "too_many_streams", 503, "as many streams are running as are allowed", retry_after_s=1
)

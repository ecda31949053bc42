"""The relay as a Sanic app: `POST /ans` streams an LLM's answer; other routes stream other sources.

`GET /health` says what it is doing, `GET /healthz` that it is alive, `GET /readyz` whether it wants requests. If
streams can be resumed, `GET /streams/<id>` continues one, `DELETE` ends it, and `GET /streams/<id>/status` describes
it. Other sources are those that come with streamkit (`streamkit.shipped`), and your own.

    sanic streamkit.app:create_app --factory       # configured by environment variables
    streamkit serve --upstream URL --preset openai # configured by options
    app.blueprint(create_blueprint(upstream=URL))  # in an app of your own

A route is a source plus a delivery; nothing below this file knows about routes.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import os
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, Final, TypeAlias, TypeVar, cast

import httpx2
from sanic import Blueprint, HTTPResponse, Request, Sanic
from sanic.exceptions import SanicException
from sanic.response import json

from streamkit import shipped
from streamkit.errors import ServerError
from streamkit.inside_sanic import NEVER_S, close_behind, keep_plain, runner_location, without_alt_svc, workers_of
from streamkit.outcome import Outcome
from streamkit.presets import PresetLike
from streamkit.relay.asks import BodyKind, SourceFunction, ask_function, ask_llm
from streamkit.relay.delivery.answer import problem, refusal
from streamkit.relay.delivery.heads import finish_head
from streamkit.relay.delivery.policy import Policy
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.log import show_log
from streamkit.relay.relay import Relay
from streamkit.relay.request.connection import NO_ASGI, Connection, RelayApp, StrictHttp
from streamkit.relay.route import Route
from streamkit.relay.settings import check_names
from streamkit.serving.running import DRAINING, GRACE_OVER
from streamkit.taps import new_stream_id
from streamkit.transport.tls import Verify

__all__ = ["RELAY_NAMES", "Connection", "create_app", "create_blueprint", "source"]

F = TypeVar("F", bound=SourceFunction)
Handler: TypeAlias = Callable[..., Coroutine[Any, Any, HTTPResponse]]

log = logging.getLogger("streamkit.server")

_serial = itertools.count(1)


def create_blueprint(
    *,
    name: str = "streamkit",
    routes: Mapping[str, Route | SourceFunction] | None = None,
    uses: str | Iterable[str] | None = None,
    **relay: Any,
) -> Blueprint:
    """The relay's routes as a Sanic blueprint, for an app of your own.

        app.blueprint(sk.create_blueprint(upstream="https://api.openai.com/v1/chat/completions", preset="openai"))

    It takes what `create_app` takes (`upstream`, `preset`, `uses`, `routes`, settings, …), and raises what that raises;
    `name` is the blueprint's. The app keeps its own Sanic timers for its other routes.
    """
    check_names(relay, RELAY_NAMES)
    added = {
        **shipped.named(os.environ.get("STREAMKIT_WITH", "") if uses is None else uses),
        **_as_routes(routes or {}),
    }
    kept = Relay(routes=added.values() if added or routes is not None else None, **relay)
    blueprint = Blueprint(name)
    _run_with(blueprint, kept)
    if kept.upstream is not None:
        added = {"/ans": Route(ask_llm(kept.upstream)), **added}
    for path, route in added.items():
        _add(blueprint, kept, path, route)

    @blueprint.route("/health", methods=["GET", "HEAD"], ignore_body=True)  # type: ignore[untyped-decorator]  # Sanic's
    @_for_pages_that_may(kept)
    async def health(_: Request) -> HTTPResponse:
        return json({"status": "ok", "live": kept.live, "served": kept.served})

    _add_probes(blueprint, kept)

    if (tap_log := kept.taps) is not None:

        @blueprint.get("/streams/<stream_id:str>/taps")
        @_for_pages_that_may(kept)
        async def taps(request: Request, stream_id: str) -> HTTPResponse:
            found = tap_log.get(stream_id)
            return problem(_unknown(request), new_stream_id()) if found is None else json(found.as_dict())

    if (resumable := kept.resumable) is not None:

        @blueprint.get("/streams/<stream_id:str>")
        def go_on(request: Request, stream_id: str) -> Awaitable[HTTPResponse | None]:
            return kept.go_on(request, stream_id)

        @blueprint.delete("/streams/<stream_id:str>")
        @_for_pages_that_may(kept)
        async def stop(request: Request, stream_id: str) -> HTTPResponse:
            return await resumable.stop(request, stream_id)

        @blueprint.get("/streams/<stream_id:str>/status")
        @_for_pages_that_may(kept)
        async def status(request: Request, stream_id: str) -> HTTPResponse:
            return await resumable.status(request, stream_id)

        _answer_preflights(blueprint, kept, "/streams/<stream_id:str>", "GET, DELETE")
        _answer_preflights(blueprint, kept, "/streams/<stream_id:str>/status", "GET")

    return blueprint


def _add_probes(blueprint: Blueprint, relay: Relay) -> None:
    """For those who start, stop and choose servers: it lives; and it wants requests."""

    @blueprint.route("/healthz", methods=["GET", "HEAD"], ignore_body=True)  # type: ignore[untyped-decorator]  # Sanic's
    @_for_pages_that_may(relay)
    async def healthz(_: Request) -> HTTPResponse:
        return json({"status": "ok"})

    @blueprint.route("/readyz", methods=["GET", "HEAD"], ignore_body=True)  # type: ignore[untyped-decorator]  # Sanic's
    @_for_pages_that_may(relay)
    async def readyz(_: Request) -> HTTPResponse:
        if (why := relay.unready) is not None:
            raise Failed(why)
        return json({"status": "ready"})

    if (metrics := relay.metrics) is not None:

        @blueprint.route("/metrics", methods=["GET", "HEAD"], ignore_body=True)  # type: ignore[untyped-decorator]  # Sanic's
        @_for_pages_that_may(relay)
        async def counted(request: Request) -> HTTPResponse:
            body, media_type = await metrics.page(request.headers.get("accept", ""))
            return HTTPResponse(body, content_type=media_type)


def source(
    app: Sanic[Any, Any] | Blueprint, path: str, *, body: BodyKind = "json", **deadlines: float
) -> Callable[[F], F]:
    """Stream what an async generator function yields as the answer to `POST` at `path`; a decorator.

        @sk.source(app, "/count", body=["upto"])
        async def count(upto):
            for n in range(int(upto)):
                yield sk.Progress(n, total=int(upto))
                yield {"n": n}

    app         an app of `create_app`, one of your own, or a blueprint of either
    path        the route, which is asked by `POST`
    body        what the function is given: "json" the body's value, "raw" the bytes as they come
                (`async for data in body`), "none" nothing, or a list of field names, taken from a form or a JSON object
    deadlines   deadlines of this route, where they differ from the relay's, such as `idle_s=0` (off)

    The function yields text, JSON objects or lists, `sk.Progress`, `sk.Snapshot`. If it has parameters named `request`
    or `into` (see `streamkit.relay.sources.source`), it gets these too. Its answer has everything that a relay's has:
    the format that the client asks for, back-pressure (the function is not resumed while the client cannot take more),
    deadlines, an end that can be told from a cut, a line in the log, taps. The generator is closed when the client
    leaves. `raise sk.Failed.of_request(422, "bad_upto", "send a number")` refuses a request; any other exception is a
    bug, and the client is told `internal_error`.

    Raises ConfigError for a function, a `body` or deadlines that make no sense.
    """

    def decorate(function: F) -> F:
        route = Route(ask_function(function, body), deadlines, uploads=body == "raw")
        relay = getattr(app.ctx, "relay", None)
        if relay is None:
            relay = Relay(routes=[])
            _run_with(app, relay)
        relay.add(route)
        _add(app, relay, path, route)
        return function

    return decorate


def _as_routes(given: Mapping[str, Route | SourceFunction]) -> dict[str, Route]:
    return {path: each if isinstance(each, Route) else Route(ask_function(each)) for path, each in given.items()}


def _run_with(app: Sanic[Any, Any] | Blueprint, relay: Relay) -> None:
    """The relay lives as long as the app's server runs."""
    app.ctx.relay = relay

    @app.before_server_start
    async def open_relay(app: Sanic[Any, Any]) -> None:
        if app.asgi:
            raise ServerError(NO_ASGI)
        await relay.open()

    @app.signal(DRAINING)  # type: ignore[untyped-decorator]  # Sanic's
    async def begin_to_drain() -> None:
        relay.draining = True

    @app.before_server_stop
    async def drain(app: Sanic[Any, Any]) -> None:
        """Under Sanic's own runner, which listens until this has ended; ours has waited before."""
        relay.draining = True
        if runner_location(app) is not None:
            await asyncio.sleep(relay.settings.deadlines.drain_s)

    @app.after_server_stop
    async def close_relay(_: Sanic[Any, Any]) -> None:
        await relay.close()

    @app.signal(GRACE_OVER)  # type: ignore[untyped-decorator]  # Sanic's
    async def end_streams() -> None:
        await relay.end_streams()

    _finish_every_head(app, relay)


def _add(app: Sanic[Any, Any] | Blueprint, relay: Relay, path: str, route: Route) -> None:
    """`POST` at `path`. Its handler is awaited by Sanic: one frame less on each event's way."""
    answer: Any = relay.ask(path, route)
    app.add_route(answer, path, methods=["POST"], stream=True, name=_name_of(path))
    _answer_preflights(app, relay, path, "POST")


def _name_of(path: str) -> str:
    """As Sanic wants names of routes."""
    return re.sub(r"\W+", "_", path).strip("_") or "root"


def _answer_preflights(app: Sanic[Any, Any] | Blueprint, relay: Relay, path: str, methods: str) -> None:
    if not relay.admission.cors_origins:
        return

    @_for_pages_that_may(relay)
    async def preflight(_: Request, **matched: str) -> HTTPResponse:
        del matched
        return HTTPResponse(status=204, headers={**relay.admission.preflight(methods)})

    app.add_route(preflight, path, methods=["OPTIONS"], name=f"preflight_{_name_of(path)}")


def _finish_every_head(app: Sanic[Any, Any] | Blueprint, relay: Relay) -> None:
    """Of a blueprint's routes; of an app also what it refuses by itself."""

    @app.on_response  # type: ignore[untyped-decorator]  # Sanic's
    async def finish(request: Request, response: HTTPResponse) -> None:
        finish_head(response, relay.admission.cors(request.headers))
        if not isinstance(request.stream, StrictHttp):  # which sends no such field
            without_alt_svc(response)
        if relay.draining:  # the next request finds another server
            close_behind(request)


def _for_pages_that_may(relay: Relay) -> Callable[[Handler], Handler]:
    """Refuse what no web page should have sent, as what `Relay.ask` makes does by itself."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def checked(request: Request, **matched: str) -> HTTPResponse:
            try:
                relay.check(request)
                return await handler(request, **matched)
            except Failed as error:
                return problem(error.failure, new_stream_id())

        return checked

    return decorate


def create_app(
    *,
    upstream: str | None = None,
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
    routes: Mapping[str, Route | SourceFunction] | None = None,
    uses: str | Iterable[str] | None = None,
    name: str | None = None,
    **settings: float | None,
) -> Sanic[Any, Any]:
    """A Sanic app that relays an LLM's stream: `POST /ans`, `GET /health`, `/healthz`, `/readyz`.

        sk.serve(lambda: sk.create_app(upstream="http://127.0.0.1:8000/v1", preset="openai"))
        sk.serve(lambda: sk.create_app(uses="upload,jobs,analysis"))

    upstream        the provider's full endpoint. Without one there is no `/ans`; that is allowed if there are other
                    routes, by `uses` or `routes`
    preset          how the upstream is asked and read: a name (an alias such as "groq" needs `model` too), a `Preset`,
                    or an `Extractor`, whose upstream is asked by a form
    key             the API key, which goes where that provider wants it
    model           the model to ask for; by default the preset's
    extra           further fields for the body of each request to the upstream
    reasoning       True: reasoning is passed on too
    trace           True: the times of each stream's events (`streamkit.taps`) and its log record are kept, to be had at
                    `GET /streams/<id>/taps`, and the upstream is given the stream's id
    metrics         True: `GET /metrics` has counts for Prometheus. With several workers, a folder that they share,
                    such as "/run/streamkit": each then answers for all of them
    policy          what is done for a client that cannot keep up (see `Policy`); "pause" by default. A request may ask
                    for another policy (`Prefer: backpressure=latest`), within `max_pending_bytes` and `write_stall_s`
    transport       an httpx2 transport to use instead of our own
    cors_origins    other sites whose web pages may ask; all others are refused
    allowed_hosts   over loopback, requests with an unknown Host are refused; these are allowed, such as the name that a
                    reverse proxy on this machine passes on (`streamkit.relay.request.pages.Admission`)
    verify          which certificates of the upstream are accepted: True (signed by a CA of the system's), a file or
                    folder of CA certificates, "env" for the one that `SSL_CERT_FILE` names, an `ssl.SSLContext`, or
                    False (any: whoever answers gets the key)
    resume          True: clients that were cut can come back (`Last-Event-ID`, `GET /streams/<id>`). A stream goes on
                    without them for `resume_grace_s`, and is kept in memory; or, if this is the URL of a Redis, there,
                    where all workers find it
    resume_owner_headers
                    request headers that tell whose stream it is (Authorization)
    routes          your own routes: a path and an async generator function, which is given the JSON body, or a `Route`.
                    `sk.source` adds one by a decorator
    uses            routes that come with streamkit: "upload", "jobs", "analysis" (`streamkit.shipped`)
    name            the name of the Sanic app; a new one for each call by default
    settings        fields of `Deadlines`, `Limits`, `Buffers`, `Tracing`, `Retries`, `Resuming` and `Shipped`, such as
                    `idle_s=2` or `max_streams=100`

    What is not given is taken from the environment: `STREAMKIT_UPSTREAM`, `STREAMKIT_PRESET`, `STREAMKIT_MODEL`,
    `UPSTREAM_API_KEY`, `STREAMKIT_TRACE`, `STREAMKIT_METRICS`, `STREAMKIT_POLICY`, `STREAMKIT_CACERT` (`verify`),
    `STREAMKIT_CORS_ORIGINS` and `STREAMKIT_ALLOWED_HOSTS` (separated by commas), `STREAMKIT_WITH` (`uses`),
    `STREAMKIT_RESUME`, `STREAMKIT_REPLAY` (the Redis), `STREAMKIT_RESUME_OWNER_HEADERS`, `STREAMKIT_IDLE_S`, …

    Each call makes a new app, since a Sanic app cannot be started twice. All arguments are keyword-only, because
    `sanic streamkit.app:create_app --factory` first calls a factory with arguments of its own.

    Raises ConfigError for settings that make no sense, TypeError for one that does not exist, UnknownPreset for an
    unknown preset.
    """
    blueprint = create_blueprint(
        upstream=upstream,
        preset=preset,
        key=key,
        model=model,
        extra=extra,
        reasoning=reasoning,
        trace=trace,
        metrics=metrics,
        policy=policy,
        transport=transport,
        cors_origins=cors_origins,
        allowed_hosts=allowed_hosts,
        verify=verify,
        resume=resume,
        resume_owner_headers=resume_owner_headers,
        routes=routes,
        uses=uses,
        **cast("Any", settings),
    )
    kept: Relay = blueprint.ctx.relay
    app = RelayApp(name or f"streamkit_{next(_serial)}", configure_logging=False)
    keep_plain(app)
    deadlines = kept.settings.deadlines
    app.config.HEAD_TIMEOUT = deadlines.head_s
    app.config.BODY_TIMEOUT = deadlines.body_s
    app.config.KEEP_ALIVE_TIMEOUT = max(app.config.KEEP_ALIVE_TIMEOUT, 2 * deadlines.head_s)
    # Ours decides, and comes first; but half of the shortest is how often Sanic looks, also at a connection that was
    # idle for long behind a stream, for as long as which the others are off.
    app.config.REQUEST_TIMEOUT = app.config.KEEP_ALIVE_TIMEOUT if deadlines.head_s else NEVER_S
    app.config.RESPONSE_TIMEOUT = max(app.config.RESPONSE_TIMEOUT, 2 * deadlines.body_s)
    app.config.REQUEST_MAX_SIZE = kept.settings.limits.max_body_bytes
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = deadlines.grace_s
    app.ctx.relay = kept
    app.blueprint(blueprint)
    app.exception(SanicException, Failed)(_as_problem)
    _finish_every_head(app, kept)
    app.after_server_start(_say_so)
    return app


RELAY_NAMES: Final = tuple(
    each.name for each in inspect.signature(create_app).parameters.values() if each.kind is each.KEYWORD_ONLY
)
"""What `create_app` takes beside settings."""


async def _say_so(app: Sanic[Any, Any]) -> None:
    """Under Sanic's own runner, which is quiet about apps that leave logging alone; `streamkit serve` tells it too."""
    if (location := runner_location(app)) is None:
        return
    show_log()
    name, count = workers_of(app)
    relay: Relay = app.ctx.relay
    log.info(
        "relay ready: POST %s%s",
        ", ".join(f"{location}{path}" for path in relay.paths),
        f" (worker {name})" if name else "",
    )
    if count > 1 and relay.taps is not None:
        log.warning(TRACE_WITH_ONE, count)
    if count > 1 and relay.resumes and relay.resumable is not None and not relay.resumable.replay.store.shared:
        log.warning("each of the %d workers keeps its own streams: to resume them at any, name a Redis", count)


async def _as_problem(_: Request, error: SanicException | Failed) -> HTTPResponse:
    """What is refused outside of a stream (404, 405, a malformed head …) in the same shape as within."""
    if isinstance(error, Failed):
        return problem(error.failure, new_stream_id())
    response = problem(refusal(error), new_stream_id())
    response.headers.update(error.headers)
    return response


def _unknown(request: Request) -> Failure:
    name, count = workers_of(request.app)
    if count == 1:
        return UNKNOWN_STREAM
    return replace(
        UNKNOWN_STREAM,
        detail=f"this worker, {name}, remembers no stream of this id; each of the {count} workers remembers those that "
        "it served, and cannot ask the others: trace with one worker",
    )


TRACE_WITH_ONE: Final = "each of the %d workers remembers the streams that it served: to find them, trace with one"
UNKNOWN_STREAM: Final = Failure(Outcome("refused", 404), "unknown_stream", 404, "no stream of this id is remembered")

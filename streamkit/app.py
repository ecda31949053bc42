"""The relay as a Sanic app: `POST /ans` streams an LLM's answer, `GET /health` tells that it lives.

    sanic streamkit.app:create_app --factory       # configured by environment variables
    streamkit serve --upstream URL --preset openai # configured by options
    app.blueprint(create_blueprint(upstream=URL))  # in an app of your own

A route is a source plus a delivery; nothing else knows about routes.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Mapping
from typing import Any, Final, cast

import httpx2
from sanic import Blueprint, HTTPResponse, Request, Sanic
from sanic.exceptions import SanicException
from sanic.response import json

from streamkit.inside_sanic import NEVER_S
from streamkit.outcome import Outcome
from streamkit.presets import PresetLike
from streamkit.relay.delivery.answer import problem, refusal
from streamkit.relay.delivery.policy import Policy
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.relay import Relay
from streamkit.relay.request.connection import Connection, RelayApp
from streamkit.serving.running import GRACE_OVER
from streamkit.taps import new_stream_id

__all__ = ["Connection", "create_app", "create_blueprint"]

_serial = itertools.count(1)


def create_blueprint(*, name: str = "streamkit", **relay: Any) -> Blueprint:
    """The relay's routes, `POST /ans` and `GET /health`, for an app of your own.

        app.blueprint(sk.create_blueprint(upstream="https://api.openai.com/v1/chat/completions", preset="openai"))

    Takes what `create_app` takes. Sanic's timers of the app stay as they are for its other routes.
    """
    kept = Relay(**relay)
    blueprint = Blueprint(name)
    blueprint.ctx.relay = kept

    @blueprint.before_server_start
    async def open_relay(_: Sanic[Any, Any]) -> None:
        await kept.upstream.open()

    @blueprint.after_server_stop
    async def close_relay(_: Sanic[Any, Any]) -> None:
        await kept.upstream.close()

    @blueprint.signal(GRACE_OVER)  # type: ignore[untyped-decorator]  # Sanic's
    async def end_streams() -> None:
        await kept.end_streams()

    @blueprint.post("/ans", stream=True)
    def ans(request: Request) -> Awaitable[HTTPResponse | None]:  # awaited by Sanic: one frame less on each event's way
        return kept.answer(request)

    @blueprint.get("/health")
    async def health(_: Request) -> HTTPResponse:
        return json({"status": "ok", "live": kept.live, "served": kept.served})

    if (tap_log := kept.taps) is not None:

        @blueprint.get("/streams/<stream_id:str>/taps")
        async def taps(_: Request, stream_id: str) -> HTTPResponse:
            found = tap_log.get(stream_id)
            return problem(UNKNOWN_STREAM, new_stream_id()) if found is None else json(found.as_dict())

    return blueprint


def create_app(
    *,
    upstream: str | None = None,
    preset: PresetLike | None = None,
    key: str | None = None,
    model: str | None = None,
    extra: Mapping[str, object] | None = None,
    reasoning: bool = False,
    trace: bool | None = None,
    policy: str | Policy | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
    name: str | None = None,
    **settings: float | None,
) -> Sanic[Any, Any]:
    """A Sanic app that relays an LLM's stream: `POST /ans`, `GET /health`.

        sk.serve(lambda: sk.create_app(upstream="http://127.0.0.1:8000/v1", preset="openai"))

    `upstream` is the provider's full endpoint, `preset` how it is asked and read: a name (an alias such as "groq"
    needs `model` too), a `Preset`, or an `Extractor`, whose upstream is asked by a form. `key` goes where that
    provider wants it, `extra` joins the request body, `reasoning=True` passes thinking on. `trace=True` keeps the
    times of each stream's events (`streamkit.taps`) and what is logged of it: `GET /streams/<id>/taps` tells both,
    and the upstream is given the stream's id. `policy` says what is done for a client that cannot keep up (see
    `Policy`); a request may ask for another one (`Prefer: backpressure=latest`), within `max_pending_bytes` and
    `write_stall_s`.
    `transport` is an httpx2 transport instead of our own. `settings` are the fields of `Deadlines`, `Limits`,
    `Buffers` and `Tracing`, such as `idle_s=2` or `max_streams=100`. What is not given comes from the environment:
    `STREAMKIT_UPSTREAM`, `STREAMKIT_PRESET`, `STREAMKIT_MODEL`, `UPSTREAM_API_KEY`, `STREAMKIT_TRACE`,
    `STREAMKIT_POLICY`, `STREAMKIT_IDLE_S`, …

    Each call makes a new app under a new name (a Sanic app cannot be started twice). Keyword-only, so that
    `sanic streamkit.app:create_app --factory`, which offers its own arguments first, gets an app and not a confusion.
    Raises ConfigError for settings that make no sense, UnknownPreset for an unknown preset.
    """
    blueprint = create_blueprint(
        upstream=upstream,
        preset=preset,
        key=key,
        model=model,
        extra=extra,
        reasoning=reasoning,
        trace=trace,
        policy=policy,
        transport=transport,
        **cast("Any", settings),
    )
    kept: Relay = blueprint.ctx.relay
    app = RelayApp(name or f"streamkit_{next(_serial)}", configure_logging=False)
    app.config.TOUCHUP = False  # with it, the second app of a process fails
    deadlines = kept.settings.deadlines
    app.config.HEAD_TIMEOUT = deadlines.head_s
    app.config.BODY_TIMEOUT = deadlines.body_s
    app.config.REQUEST_TIMEOUT = NEVER_S  # ours decide
    app.config.KEEP_ALIVE_TIMEOUT = max(app.config.KEEP_ALIVE_TIMEOUT, 2 * deadlines.head_s)
    app.config.RESPONSE_TIMEOUT = max(app.config.RESPONSE_TIMEOUT, 2 * deadlines.body_s)
    app.config.REQUEST_MAX_SIZE = kept.settings.limits.max_body_bytes
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = deadlines.grace_s
    app.ctx.relay = kept
    app.blueprint(blueprint)
    app.exception(SanicException, Failed)(_as_problem)
    return app


async def _as_problem(_: Request, error: SanicException | Failed) -> HTTPResponse:
    """What is refused outside of a stream (404, 405, a malformed head …) in the same shape as within."""
    if isinstance(error, Failed):
        return problem(error.failure, new_stream_id())
    response = problem(refusal(error), new_stream_id())
    response.headers.update(error.headers)
    return response


UNKNOWN_STREAM: Final = Failure(Outcome("refused", 404), "unknown_stream", 404, "no stream of this id is remembered")

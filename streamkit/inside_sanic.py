"""Sanic's insides: all that streamkit uses of Sanic beyond its documented interface, each with a name of ours.

What is here may change with any release of Sanic. tests/test_inside_sanic.py holds each against the installed one and
says which changed; pyproject.toml keeps to the versions that it was held against. One more relies on such things:
`streamkit.relay.request.connection`, which extends Sanic's own classes, and lists what it needs of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, Final, cast

from sanic import Request, Sanic
from sanic.application.constants import ServerStage
from sanic.application.state import ApplicationServerInfo
from sanic.http import Http
from sanic.http.constants import HTTP, Stage
from sanic.server.protocols.http_protocol import HttpProtocol

__all__ = [
    "NEVER_S",
    "abort_all",
    "announced_bytes",
    "app_registry",
    "can_write",
    "close_idle",
    "connection_tasks",
    "is_chunked",
    "is_listened_to",
    "is_touched_up",
    "mark_serving",
    "mark_stopped",
    "runner_location",
    "take_over",
    "transport_of",
    "without_response_timeout",
    "workers_of",
]

NEVER_S: Final = 10 * 365 * 24 * 3600.0
"""For Sanic's timers where ours decide. Not infinity: it sleeps for half of the shortest."""

SEND_SIGNALS: Final = frozenset({"http.lifecycle.send", "http.lifecycle.*"})


# --- One request ----------------------------------------------------------------------------------------------------


def transport_of(request: Request) -> asyncio.WriteTransport:
    """The connection's transport. Relies on: `Request.transport` is asyncio's (or uvloop's), though typed as less."""
    return cast("Any", request.transport)  # type: ignore[no-any-return]


def can_write(request: Request) -> asyncio.Event:
    """Set while the connection's buffer has room; set too, for good, once the connection is lost.

    Relies on: `SanicProtocol._can_write`, for which Sanic's own `send` waits.
    """
    protocol: Any = request.protocol
    return cast("asyncio.Event", protocol._can_write)


def announced_bytes(request: Request) -> int:
    """What the request's Content-Length says; 0 without one. Relies on: `Http.request_bytes`, set with the head."""
    return getattr(request.stream, "request_bytes", 0) or 0


@contextlib.contextmanager
def without_response_timeout(request: Request) -> Iterator[None]:
    """Keep Sanic's response timer from firing: it is an idle timer that any stray byte resets, and it cuts at 1.0 to
    1.5 times its value. Other requests of the connection keep it.

    Relies on: `HttpProtocol.response_timeout`, read anew by each `check_timeouts`.
    """
    protocol: Any = request.protocol
    theirs = protocol.response_timeout
    protocol.response_timeout = NEVER_S
    try:
        yield
    finally:
        protocol.response_timeout = theirs


# --- One answer -----------------------------------------------------------------------------------------------------


def is_chunked(request: Request) -> bool:
    """Its answer, whose head has been sent, goes on in HTTP/1.1's chunks: not under ASGI or HTTP/3, nor if a middleware
    gave it a length. Whoever writes such chunks to the transport then does what Sanic would do.

    Relies on: `Http.response_func` is, from the head on, the method by which the rest is sent.
    """
    stream = request.stream
    return isinstance(stream, Http) and stream.response_func == stream.http1_response_chunked


def is_listened_to(app: Sanic[Any, Any]) -> bool:
    """Somebody wants Sanic's signal of each send: by its name, or with all others of its kind.

    Relies on: `Sanic.signal_router.routes`, whose members have the signals' names.
    """
    return any(signal.name in SEND_SIGNALS for signal in app.signal_router.routes)


def take_over(request: Request) -> None:
    """From here on the transport is ours: Sanic adds nothing to an answer that it takes for failed.

    Relies on: `Http.stage`; at `Stage.FAILED` neither an answer nor an error is sent.
    """
    stream: Any = request.stream
    stream.stage = Stage.FAILED


# --- A server -------------------------------------------------------------------------------------------------------


def mark_serving(app: Sanic[Any, Any], server: Any) -> None:
    """Make app.loop, app.add_task() and app.stop() work for a server that `create_server` made and that listens:
    that alone leaves the app "stopped".

    Relies on: `app.state.server_info`, a list of `ApplicationServerInfo` with the stages of `ServerStage`.
    """
    info = ApplicationServerInfo({"version": HTTP.VERSION_1}, stage=ServerStage.SERVING, server=server)
    app.state.server_info.append(info)


def mark_stopped(app: Sanic[Any, Any]) -> None:
    """The opposite of `mark_serving` and `app.set_serving(True)`; may be called without them."""
    app.set_serving(False)
    app.state.server_info.clear()


def runner_location(app: Sanic[Any, Any]) -> str | None:
    """Where Sanic's own runner (its command line, `app.run`) serves the app; None where somebody else does.

    Relies on: that runner keeps its settings in `app.state.server_info`, also in its worker processes.
    """
    infos = app.state.server_info
    settings: dict[str, Any] = infos[0].settings if infos else {}
    return app.get_server_location(settings) if "host" in settings else None


def workers_of(app: Sanic[Any, Any]) -> tuple[str, int]:
    """The name of this worker process, and how many there are; ("", 1) where there are no others.

    Relies on: `Sanic.multiplexer`, in a worker process, whose `workers` have the state of each by its name.
    """
    multiplexer: Any = getattr(app, "multiplexer", None)
    if multiplexer is None:
        return "", 1
    return multiplexer.name, sum(bool(each.get("server")) for each in multiplexer.workers.values())


def close_idle(server: Any) -> bool:
    """Close connections that wait for a request; True while any connection is open.

    Relies on: `AsyncioServer.connections`, a set that they leave by themselves, and `HttpProtocol.close_if_idle`.
    """
    connections: set[Any] = server.connections
    for connection in tuple(connections):
        connection.close_if_idle()
    return bool(connections)


def connection_tasks(server: Any) -> set[asyncio.Task[Any]]:
    """What runs for the open connections, handlers among it.

    Relies on: `SanicProtocol._task`, None when it has ended.
    """
    return {task for connection in server.connections if (task := connection._task) is not None}


def abort_all(server: Any) -> None:
    """Cut all connections, without a final chunk. Their tasks are cancelled by that.

    By the transport, not by the protocol's own `abort`: after that one Sanic logs each request, or trips over it.
    Relies on: `SanicProtocol.transport`, None when it is gone; `connection_lost` cancels `_task`.
    """
    for connection in tuple(server.connections):
        if connection.transport is not None:
            connection.transport.abort()


# --- The process ----------------------------------------------------------------------------------------------------


def app_registry() -> dict[str, Sanic[Any, Any]]:
    """All apps of the process by their names: the very dict. Relies on: `Sanic._app_registry`."""
    return Sanic._app_registry


def is_touched_up() -> bool:
    """TouchUp has written one app's signals into Sanic's classes, for good: another app would crash in them.

    Relies on: `HttpProtocol.__touched__`, set by TouchUp.
    """
    return bool(getattr(HttpProtocol, "__touched__", False))

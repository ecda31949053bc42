"""Small Sanic apps for the tests of serve(): importable, so that another process can make them too."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from pathlib import Path
from typing import Any

from sanic import Request, Sanic, response
from sanic.response import HTTPResponse

App = Sanic[Any, Any]

TICK_S = 0.01
_numbers = itertools.count()


def make_app(log: Path | None = None, name: str | None = None) -> App:
    """An app of a name of its own; with `log`, its listeners write there what happens."""
    return _with_routes(Sanic(name or f"tested-{next(_numbers)}"), log)


def make_fixed() -> App:
    """What most people write: the same name each time."""
    return _with_routes(Sanic("fixed"), None)


def make_broken() -> App:
    """Fails when the app is in Sanic's registry already."""
    Sanic("broken")
    raise ValueError("no such model")


def make_nothing() -> None:
    """Somebody forgot `return app`."""
    Sanic("forgotten")


def make_failing_start() -> App:
    """Its start listener raises."""
    app = make_app()

    @app.before_server_start
    async def fail(_: App) -> None:
        raise LookupError("no database")

    return app


def make_slow_start() -> App:
    """Its start listener gives an early client time to be answered too early."""
    app = make_app()

    @app.post("/prepared")
    async def prepared(_: Request) -> HTTPResponse:
        return response.text(str(hasattr(app.ctx, "prepared")))

    @app.before_server_start
    async def prepare(_: App) -> None:
        await asyncio.sleep(0.2)
        app.ctx.prepared = True

    return app


def make_hanging_start() -> App:
    """Its start listener never returns."""
    app = make_app()

    @app.before_server_start
    async def hang(_: App) -> None:
        await asyncio.sleep(3600)

    return app


def make_failing_stop() -> App:
    """Its stop listeners raise."""
    app = make_app()

    @app.before_server_stop
    @app.after_server_stop
    async def fail(_: App) -> None:
        raise LookupError("no database")

    return app


def _with_routes(app: App, log: Path | None) -> App:
    @app.post("/echo")
    async def echo(request: Request) -> HTTPResponse | None:
        answer = await request.respond(content_type="text/plain")
        assert answer is not None
        for line in request.body.splitlines(keepends=True):
            await answer.send(line)
        return None

    @app.post("/ticks")
    async def ticks(request: Request) -> HTTPResponse | None:
        answer = await request.respond(content_type="text/plain")
        assert answer is not None
        for _ in range(int(request.body or b"1000000")):
            await answer.send(f"{time.monotonic_ns()}\n")
            await asyncio.sleep(TICK_S)
        return None

    @app.post("/flood")
    async def flood(request: Request) -> HTTPResponse | None:
        answer = await request.respond(content_type="text/plain")
        assert answer is not None
        while True:
            await answer.send(b"x" * 65536)

    @app.post("/silence")
    async def silence(_: Request) -> HTTPResponse:
        await asyncio.sleep(3600)
        return response.empty()

    @app.post("/about")
    async def about(request: Request) -> HTTPResponse:
        assert request.transport is not None
        sock: socket.socket = request.transport.get_extra_info("socket")
        is_tcp = sock.family != socket.AF_UNIX
        return response.json(
            {
                "pid": os.getpid(),
                "nodelay": bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) if is_tcp else None,
                "loop": type(asyncio.get_running_loop()).__module__,
                "known": Sanic.get_app(request.app.name) is request.app,
            }
        )

    @app.post("/background")
    async def background(request: Request) -> HTTPResponse:
        request.app.add_task(asyncio.sleep(3600), name="background")
        return response.text("started")

    @app.post("/quit")
    async def leave(request: Request) -> HTTPResponse:
        request.app.stop()
        return response.text("bye")

    @app.post("/exit")
    async def leave_hard(_: Request) -> HTTPResponse:
        raise SystemExit(3)

    @app.post("/block")
    async def block(request: Request) -> HTTPResponse:
        time.sleep(float(request.body or b"1"))  # noqa: ASYNC251  # what people do, and what a stop has to survive
        return response.empty()

    if log is not None:
        _log_events(app, log)
    return app


def _log_events(app: App, log: Path) -> None:
    def say(what: str) -> None:
        with log.open("a") as file:
            file.write(f"{what}\n")

    @app.before_server_start
    async def before_start(_: App) -> None:
        say("before_start")

    @app.after_server_start
    async def after_start(_: App) -> None:
        say("after_start")

    @app.before_server_stop
    async def before_stop(_: App) -> None:
        say("before_stop")

    @app.after_server_stop
    async def after_stop(_: App) -> None:
        say("after_stop")

    @app.post("/logged")
    async def logged(request: Request) -> HTTPResponse | None:
        answer = await request.respond(content_type="text/plain")
        assert answer is not None
        try:
            await answer.send(b"begun\n")
            await asyncio.sleep(3600)
        finally:
            say("handler ended")
        return None

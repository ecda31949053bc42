"""Run one Sanic app on one socket: the start and the stop that `serve()` and the command line share.

    factory -> build() -> app -+
                               +-> run_app(app, listener, stop)      blocks until StopRequest.ask()
    host, port, unix -> listen() -+

`run_app` does what Sanic's own runner does, with three differences that a notebook needs: it works in any
thread, it can be done again with a new app in the same process, and a stream that is still open at the end of the
grace is cut so that the client can see the cut (no final chunk).
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from streamkit.serving.factory import forget
from streamkit.serving.listener import BACKLOG, Listener

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from streamkit.serving.factory import App


__all__ = ["DRAINING", "GRACE_OVER", "RunningApp", "StopRequest", "check_loop", "new_loop", "run_app"]

_log = logging.getLogger("streamkit.server")

DRAINING = "streamkit.drain.begun"  # Sanic's signal that it is to stop, and still takes requests
GRACE_OVER = "streamkit.grace.over"  # Sanic's signal for the streams that are still running when their time is up
LISTENER_S = 3.0  # the longest that one phase of an app's stop listeners may take
LEFTOVER_S = 0.5  # the longest that cancelled tasks may take to end
_POLL_S = 0.01


# --- Asking to stop -------------------------------------------------------------------------------------------------


class StopRequest:
    """Asks a running app to stop; from any thread, a signal handler or a finalizer.

    `ask` never blocks and takes no lock. Asking again can only shorten the grace.
    """

    def __init__(self) -> None:
        self._deadline: float | None = None
        self._closes: float = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: asyncio.Event | None = None

    def ask(self, grace_s: float, drain_s: float = 0.0) -> None:
        """Stop: take no requests from `drain_s` seconds from now on, and then let those that run have `grace_s`."""
        closes = time.monotonic() + max(0.0, drain_s)
        deadline = closes + max(0.0, grace_s)
        if self._deadline is not None:
            closes, deadline = min(closes, self._closes), min(deadline, self._deadline)
        self._closes, self._deadline = closes, deadline
        loop, asked = self._loop, self._asked
        if loop is not None and asked is not None:
            with suppress(RuntimeError):  # the loop is closed: it has stopped
                loop.call_soon_threadsafe(asked.set)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop of the app that is asked, from its start on."""
        return self._loop

    @property
    def asked(self) -> bool:
        """True from the first `ask` on."""
        return self._deadline is not None

    def remaining_s(self) -> float:
        """Seconds of grace that are left; 0 or less when it is over."""
        return 0.0 if self._deadline is None else self._deadline - time.monotonic()

    def drain_left_s(self) -> float:
        """Seconds for which requests are still taken; 0 or less when that is over."""
        return 0.0 if self._deadline is None else self._closes - time.monotonic()

    async def wait(self) -> None:
        """Return when somebody has asked."""
        self._asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if not self.asked:  # looked at after the loop is known, as ask() looks at the loop after the deadline
            await self._asked.wait()


# --- Start and stop -------------------------------------------------------------------------------------------------


def run_app(
    app: App, listener: Listener, stop: StopRequest, *, loop: str = "auto", on_ready: Callable[[], None] | None = None
) -> None:
    """Serve an app from `build` in the calling thread, on a loop of its own, until `stop` is asked; then clean up.

    `on_ready` is called on that loop once requests are answered. Raises what the app's start listeners raise.
    At the end the socket is closed, the loop too, and the app is forgotten.
    """
    escaped: BaseException | None = None
    try:
        runner = new_loop(loop)
        asyncio.set_event_loop(runner)
        try:
            main = runner.create_task(_serve_until(app, listener, stop, on_ready or _nothing))
            while not main.done():
                try:
                    runner.run_until_complete(main)
                except RuntimeError as error:
                    if not main.done() and "Event loop stopped" not in str(error):
                        raise
                    stop.ask(LEFTOVER_S)  # somebody called loop.stop(), as app.stop() does: an honest way to end
                except (SystemExit, KeyboardInterrupt) as error:  # out of a handler: asyncio lets these two through
                    escaped = error
                    stop.ask(0)
            main.result()
        finally:
            asyncio.set_event_loop(None)
            runner.close()
    finally:
        listener.close()
        forget(app)
    if escaped is not None:
        raise escaped


def _nothing() -> None:
    """Do nothing."""


def check_loop(kind: str) -> None:
    """Raise ValueError unless `kind` names a loop that can be had here."""
    if kind not in ("auto", "asyncio", "uvloop"):
        raise ValueError(f"expected loop='auto', 'asyncio' or 'uvloop', got {kind!r}")
    if kind == "uvloop" and find_spec("uvloop") is None:
        raise ValueError("loop='uvloop' needs the package uvloop: install it, or pass loop='auto'")


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    check_loop(kind)
    if kind == "asyncio" or find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


async def _serve_until(app: App, listener: Listener, stop: StopRequest, on_ready: Callable[[], None]) -> None:
    running = RunningApp(app, listener.sock)
    asked = asyncio.ensure_future(stop.wait())
    starting = asyncio.ensure_future(running.start())
    try:
        await asyncio.wait({asked, starting}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return
        starting.result()
        on_ready()
        await asked
        await running.stop(stop)
    finally:
        running.close()
        await _end_tasks(asyncio.all_tasks() - {asyncio.current_task()})
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.get_running_loop().shutdown_asyncgens(), LEFTOVER_S)


_COMPILING: Final = threading.Lock()
"""A Sanic app makes syntax trees when it starts, and CPython 3.11 cannot in several threads at a time: now and then it
is a SystemError, "AST constructor recursion depth mismatch" (gh-106905).
"""


class RunningApp:
    """A Sanic app on the running loop."""

    def __init__(self, app: App, sock: socket.socket) -> None:
        self._app = app
        self._sock = sock
        self._server: Any = None  # Sanic's AsyncioServer, whose methods carry no types

    async def start(self) -> None:
        from streamkit.inside_sanic import mark_serving

        app = self._app
        server: Any = await app.create_server(
            sock=self._sock,
            backlog=BACKLOG,
            asyncio_server_kwargs={"start_serving": False},  # no request before the start listeners have run
        )
        self._server = server
        mark_serving(app, server, self._sock)
        with _COMPILING:
            await server.startup()  # which awaits nothing
        await server.before_start()
        await server.start_serving()
        app.set_serving(True)
        await server.after_start()

    async def stop(self, stop: StopRequest) -> None:
        """Let the app know, go on until it is drained, stop listening, let open responses go on for the grace, cut the
        rest, run the app's stop listeners.
        """
        from streamkit.inside_sanic import close_idle

        server = self._server
        await _bounded(self._tell(DRAINING), DRAINING)
        while stop.drain_left_s() > 0:  # noqa: ASYNC110  # a second signal shortens it
            await asyncio.sleep(min(_POLL_S, stop.drain_left_s()))
        await _bounded(server.before_stop(), "before_server_stop")
        server.server.close()
        while close_idle(server) and stop.remaining_s() > 0:  # noqa: ASYNC110  # Sanic tells nobody when one has gone
            await asyncio.sleep(_POLL_S)
        if server.connections:
            await _bounded(self._tell(GRACE_OVER), GRACE_OVER)
        await self._cut()
        self._app.shutdown_tasks(timeout=0)
        await _end_tasks(set(self._app.tasks))
        await _bounded(server.after_stop(), "after_server_stop")

    def close(self) -> None:
        """What has to be done however the run ended."""
        from streamkit.inside_sanic import abort_all, mark_stopped

        mark_stopped(self._app)
        if self._server is not None:
            self._server.server.close()
            abort_all(self._server)

    async def _tell(self, event: str) -> None:
        """Let the app end its streams with a word of its own, say; one that does not care has no handler."""
        await self._app.dispatch(event, inline=True, fail_not_found=False)

    async def _cut(self) -> None:
        """Abort what is open, without a final chunk, and wait until the handlers have seen it."""
        from streamkit.inside_sanic import abort_all, connection_tasks

        tasks = connection_tasks(self._server)
        abort_all(self._server)
        await _end_tasks(tasks, cancel=False)


async def _bounded(listeners: Awaitable[None], event: str) -> None:
    """Run an app's stop listeners; what they raise, or that they hang, is logged and does not keep the app alive."""
    try:
        await asyncio.wait_for(listeners, LISTENER_S)
    except TimeoutError:
        _log.error("a %s listener took longer than %g s and was cancelled", event, LISTENER_S)
    except Exception:  # noqa: BLE001  # somebody else's code, which must not keep the socket open
        _log.exception("a %s listener failed", event)


async def _end_tasks(tasks: set[asyncio.Task[Any]], *, cancel: bool = True) -> None:
    if not tasks:
        return
    if cancel:
        for task in tasks:
            task.cancel()
    _, stuck = await asyncio.wait(tasks, timeout=LEFTOVER_S)
    if stuck:
        _log.warning("%d tasks did not end within %g s of their cancellation", len(stuck), LEFTOVER_S)

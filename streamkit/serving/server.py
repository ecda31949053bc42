"""serve(): a Sanic app on a real socket, from a notebook cell, a script or a thread.

    server = serve(make_app)                 # own thread, own loop, a free port of 127.0.0.1
    server.url                               # 'http://127.0.0.1:43211'
    server.stop()                            # or: with serve(make_app) as server: ...

A server lives as long as its handle. In IPython a cell that is run again stops what it started before.
"""

from __future__ import annotations

import itertools
import os
import weakref
from typing import TYPE_CHECKING

from streamkit.errors import ServerError
from streamkit.serving.factory import check_factory
from streamkit.serving.registry import discard, enter, running
from streamkit.serving.runner import ProcessRunner, Runner, Stoppable, ThreadRunner, pickled
from streamkit.serving.running import check_loop

if TYPE_CHECKING:
    import asyncio
    import subprocess

    from streamkit.serving.factory import App, Factory

__all__ = ["Server", "serve", "servers", "stop_all"]

_serial = itertools.count(1)


def serve(
    factory: Factory,
    *,
    name: str | None = None,
    process: bool = False,
    host: str = "127.0.0.1",
    port: int = 0,
    unix: str | os.PathLike[str] | bool | None = None,
    loop: str = "auto",
    grace_s: float = 0.2,
    start_timeout_s: float = 30.0,
) -> Server:
    """Start a Sanic app on a real socket, in the background; return its handle once it answers requests.

        server = sk.serve(lambda: sk.create_upstream())     # server.url: 'http://127.0.0.1:43211'

    factory     a callable without arguments that returns a new `sanic.Sanic`, or an import string
                `"package.module:make_app"`
    name        a running server of the same name is stopped and replaced
    process     False: a thread and an event loop of its own, so a blocking call in a cell does not stop the server.
                True: a process of its own, which dies with this one
    host, port  where it listens; port 0 is a free port
    unix        instead of a port a Unix socket: True for one at a fresh path, or its path
    loop        "uvloop", "asyncio", or "auto": uvloop where it is installed
    grace_s     how long `stop()` lets open responses go on before it cuts them
    start_timeout_s
                how long the start may take

    Keep the handle: when it is garbage-collected, the server stops. In IPython, running a cell again first stops the
    servers that its earlier run started (a cell is known by its id, or by its source where the frontend sends no id);
    servers of one run live side by side.

    The factory may give its app a fixed name: of several living apps with one name, `Sanic.get_app(name)` finds the
    newest. Sanic's own information lines are turned off (logger `sanic.root` at WARNING); its warnings and errors are
    not.

    Raises TypeError for something that is not a factory, or one that cannot be sent to another process; ValueError for
    a malformed import string or an unknown `loop`; ServerError when the address is taken, when the factory or a start
    listener raises (chained), or when the start takes longer than `start_timeout_s`.
    """
    check_factory(factory)
    check_loop(loop)
    label = name if name is not None else f"server-{next(_serial)}"
    runner: Runner
    if process:
        runner = ProcessRunner(pickled(factory), label, loop, grace_s, discard)
    else:
        runner = ThreadRunner(factory, label, loop, grace_s, discard)
    entered = enter(runner, name)
    try:
        runner.start(host, port, unix, start_timeout_s)
    except ServerError as error:
        holder = _on_port(port) if runner.listener is None else None
        if holder is None:
            raise
        instead = "give both the same name=, and the new one replaces it"
        raise ServerError(f"{error}. There is {holder!r} of this process: {instead}") from error
    handle = Server(runner)
    entered.handle = weakref.ref(handle)
    return handle


def servers() -> list[Server]:
    """All servers that run in this process and whose handle is still held, oldest first.

    for server in sk.servers():
        server.stop()
    """
    handles = (each.handle() for each in running() if each.handle is not None)
    return [handle for handle in handles if isinstance(handle, Server) and handle.running]


def stop_all(grace_s: float | None = None) -> None:
    """Stop every server of this process, all at once: `stop_all()`. Raises ServerError if one does not stop."""
    runners = [each.runner for each in running()]
    for runner in runners:
        runner.ask(runner.grace_s if grace_s is None else grace_s)
    for runner in runners:
        runner.stop(runner.grace_s if grace_s is None else grace_s)


class Server(Stoppable):
    """The handle of a server that `serve()` started. A context manager, also with `async with`.

        with sk.serve(make_app) as server:
            recording = await sk.record(f"{server.url}/ans", data={"chat_history": "hi"})

    url       what a client connects to; for a Unix socket `http+unix://%2Ftmp%2F….sock` (the path percent-encoded)
    app       the Sanic app; None in process mode
    process   the `subprocess.Popen`; None in thread mode
    """

    def __init__(self, runner: Runner) -> None:
        listener = runner.listener
        assert listener is not None  # noqa: S101  # for the type checker: it has been started
        self._runner = runner
        self.url: str = listener.url
        self.host: str = listener.host
        self.port: int = listener.port
        self.unix: str | None = listener.unix
        self.name: str = runner.name
        self.app: App | None = runner.app
        self.process: subprocess.Popen[bytes] | None = runner.process
        weakref.finalize(self, runner.ask, runner.grace_s).atexit = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that serves, in thread mode: `server.loop.call_soon_threadsafe(…)`. None in process mode."""
        return self._runner.own_loop

    @property
    def running(self) -> bool:
        """True until the server has ended, by `stop()` or by itself."""
        return self._runner.state == "running"

    def stop(self, grace_s: float | None = None) -> None:
        """Stop accepting, close idle connections, let open responses go on for `grace_s` seconds, then cut them.

        The cut is visible to clients: the last chunk is missing. `grace_s` is that of `serve()` if not given. Blocks
        until all is done; called from a handler of the server itself, it only asks. It may be called again, from any
        thread, and can then shorten the grace. Raises ServerError when a handler blocks the server's loop.
        """
        self._runner.stop(self._runner.grace_s if grace_s is None else grace_s)

    def __repr__(self) -> str:
        return f"<Server {self._runner.kind} {self._runner.state} {self.url}>"


def _on_port(port: int) -> Server | None:
    return next((server for server in servers() if port and server.port == port), None)

"""run_workers(): one app in several processes that share a socket, under Sanic's own worker manager.

    this process:  listen() ──▶ Workers ──▶ starts, restarts, stops ──▶ N × (a process: work())
    a worker:      signals, a watch on this process ──▶ serve_alone(): as run_forever() does ──▶ "I am ready"

The socket is bound here, once, and handed down: a taken port is one error, and a free one is known. Whoever of the
workers is first takes a connection. What a worker is given goes through a pipe, on no command line.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any, Final

from streamkit.errors import ServerError, StreamkitError
from streamkit.serving.factory import check_factory
from streamkit.serving.foreground import check_main_thread, serve_alone, signals_ask
from streamkit.serving.listener import Listener, listen
from streamkit.serving.runner import pickled
from streamkit.serving.running import StopRequest, check_loop

if TYPE_CHECKING:
    from streamkit.serving.factory import App

__all__ = ["run_workers"]

_log = logging.getLogger("streamkit.server")

INTERRUPTED: Final = 128 + signal.SIGINT
STOP_SIGNALS: Final = {signal.SIGINT, signal.SIGTERM}
LAST_WORDS_S: Final = 3.0  # from the manager's death to the hard end: for a handler that blocks the loop
WHY_LENGTH: Final = 900  # characters of a failed start: a pipe takes up to 4096 bytes of several writers whole


def run_workers(
    factory: Callable[[], App],
    workers: int,
    host: str = "127.0.0.1",
    port: int = 0,
    unix: str | os.PathLike[str] | bool | None = None,
    *,
    drain_s: float = 0.0,
    grace_s: float = 10.0,
    loop: str = "auto",
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve in `workers` processes of their own until SIGTERM or SIGINT, then return: as `run_forever`, which see.

    `factory` is called in each, and has to be one that a new process can import. A worker that ends unasked, by a
    signal perhaps, is logged, and another takes its place, at most one a second. `on_ready` gets the URL when all
    answer. Where this process dies, they end too. Raises ServerError when called from another thread or inside a
    running loop, when the address is taken, or when one does not start; TypeError for a factory that cannot go to
    another process; SystemExit(130) where a second SIGINT found the loop of one blocked, which alone would end so too.
    """
    check_main_thread("run_workers()")
    check_factory(factory)
    check_loop(loop)
    order = pickled(factory)
    listener = listen(host, port, unix)
    try:
        with _signal_handlers_kept():
            codes = _manage(workers, order, listener, (grace_s, drain_s), loop, on_ready)
    finally:
        listener.close()
    if INTERRUPTED in codes:
        raise SystemExit(INTERRUPTED)


def _manage(
    workers: int,
    order: bytes,
    listener: Listener,
    stop_s: tuple[float, float],
    loop: str,
    on_ready: Callable[[str], None] | None,
) -> list[int | None]:
    from streamkit.inside_sanic import Workers

    given = {
        "factory": order,
        "listener": replace(listener, inode=None, own_folder=False),  # a socket's file is removed here
        "stop_s": stop_s,
        "loop": loop,
    }
    resource_tracker.ensure_running()  # it lets signals through when it starts, while a worker's have to wait
    manager = Workers(
        workers,
        _work,
        given,
        _Spawning,
        on_ready=lambda: on_ready(listener.url) if on_ready else None,
        on_lost=_log.warning,
        on_stop=listener.close,  # while they have grace, nobody new is kept waiting
    )
    return manager.serve(sum(stop_s))


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _WorkerProcess(SpawnProcess):
    """A new interpreter, in which signals wait until there are handlers for them."""

    def start(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Spawning:
    """What Sanic's manager makes its processes by."""

    Process = _WorkerProcess


# --- In a worker ----------------------------------------------------------------------------------------------------


def _work(
    *,
    factory: bytes,
    listener: Listener,
    stop_s: tuple[float, float],
    loop: str,
    publisher: Connection,
    state: dict[str, Any],
    report: Connection,
) -> None:
    """What a worker does: `serve_alone`, in a session of its own, so that a terminal's Ctrl-C comes by the manager."""
    from streamkit.inside_sanic import worker_name

    os.setsid()
    stop = StopRequest()
    told = _Told(report, worker_name())
    try:
        with signals_ask(stop, *stop_s) as signals:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
            threading.Thread(target=_follow, args=(stop,), name="streamkit manager watch", daemon=True).start()
            made = partial(_app, factory, publisher, state)
            serve_alone(made, listener, stop, signals, loop=loop, on_ready=told.ready)
    except StreamkitError as error:
        if told.failed(str(error)):
            sys.exit(1)
        raise
    except Exception as error:
        told.failed(f"{type(error).__name__}: {error}")
        raise


class _Told:
    """What the manager is told of a worker's start: once that it answers, or why not."""

    def __init__(self, report: Connection, name: str) -> None:
        self._report = report
        self._name = name
        self._done = False

    def ready(self) -> None:
        self._say("")

    def failed(self, why: str) -> bool:
        """False where it had started, and the manager expects no word any more."""
        return not self._done and self._say(why[:WHY_LENGTH])

    def _say(self, why: str) -> bool:
        self._done = True
        with suppress(OSError):  # the manager is gone, and the watch on it says so too
            self._report.send((self._name, why))
        return True


def _app(factory: bytes, publisher: Connection, state: dict[str, Any]) -> App:
    from streamkit.inside_sanic import join_workers

    app: App = pickle.loads(factory)()  # noqa: S301  # from the manager
    join_workers(app, publisher, state)
    return app


def _follow(stop: StopRequest) -> None:
    """End when the manager is gone, however it died."""
    manager = multiprocessing.parent_process()
    if manager is None:
        raise ServerError("a worker has to be started by run_workers()")
    manager.join()
    stop.ask(0)
    time.sleep(LAST_WORDS_S)
    os._exit(1)

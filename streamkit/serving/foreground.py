"""run_forever(): one app in the foreground of a process that does nothing else, until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from streamkit.errors import ServerError
from streamkit.serving.factory import build, check_factory
from streamkit.serving.listener import listen
from streamkit.serving.running import StopRequest, check_loop, run_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from streamkit.serving.factory import Factory
    from streamkit.serving.listener import Listener

__all__ = ["Signals", "check_main_thread", "run_forever", "serve_alone", "signals_ask"]

GC_OBJECTS = 20_000  # new container objects between two garbage collections: about 2 MB that may wait for one


def run_forever(
    factory: Factory,
    host: str = "127.0.0.1",
    port: int = 0,
    unix: str | os.PathLike[str] | bool | None = None,
    *,
    drain_s: float = 0.0,
    grace_s: float = 10.0,
    loop: str = "auto",
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve in the main thread until SIGTERM or SIGINT, then return: the normal end, exit code 0.

    Requests are then still taken for `drain_s` seconds, in which whoever sends them can learn of it; streams that are
    open behind that have `grace_s` seconds to finish; the rest is cut, visibly. A second SIGINT ends at once.
    `on_ready` gets the URL when requests are answered. Raises ServerError when called from another thread or inside a
    running loop (`serve()` is for those), when the address is taken, or when the factory fails. The process belongs to
    this server: Sanic is compiled for its app, and an app served later in the same process misses signals.
    """
    check_main_thread("run_forever()")
    check_factory(factory)
    check_loop(loop)
    stop = StopRequest()
    with signals_ask(stop, grace_s, drain_s) as signals:
        listener = listen(host, port, unix)
        ready = None if on_ready is None else partial(on_ready, listener.url)
        serve_alone(factory, listener, stop, signals, loop=loop, on_ready=ready)


def check_main_thread(what: str) -> None:
    """Raise ServerError, which calls it `what`, where signals cannot be had, or a loop runs already."""
    if threading.current_thread() is not threading.main_thread() or _in_loop():
        raise ServerError(f"{what} needs the main thread and no running loop; in a notebook or thread use serve()")


def serve_alone(
    factory: Factory,
    listener: Listener,
    stop: StopRequest,
    signals: Signals,
    *,
    loop: str = "auto",
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serve in a process that does nothing else, until `stop` is asked. Closes the listener, whatever happens."""
    try:
        app = build(factory, alone=True)
    except BaseException:
        listener.close()
        raise
    signals.serving = True
    with _collecting_seldom():
        run_app(app, listener, stop, loop=loop, on_ready=on_ready)


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Make the garbage collector fit a process that only serves.

    What a stream allocates is freed by reference counts, so that collections find next to nothing. By default one comes
    every 700 new objects, which is less than the events of one large read; each walks what is new, and each full one
    all that was ever imported and every open stream. What is there now is taken out of that for good (`freeze`).
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Signals:
    """A handler of SIGTERM and SIGINT: until `serving`, the process ends; then the server is asked to stop."""

    def __init__(self, stop: StopRequest, grace_s: float, drain_s: float = 0.0) -> None:
        self.serving = False
        self._stop = stop
        self._grace_s = grace_s
        self._drain_s = drain_s
        self._bell: threading.Timer | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del frame
        if not self.serving:
            raise SystemExit(0)
        again = self._stop.asked
        self._stop.ask(self._grace_s, self._drain_s)
        if again and number == signal.SIGINT and self._bell is None:
            self._stop.ask(0)
            self._bell = threading.Timer(1.0, os._exit, (128 + number,))  # for a handler that blocks the loop
            self._bell.daemon = True
            self._bell.start()

    def over(self) -> None:
        if self._bell is not None:
            self._bell.cancel()


@contextmanager
def signals_ask(stop: StopRequest, grace_s: float, drain_s: float = 0.0) -> Iterator[Signals]:
    """SIGTERM and SIGINT ask `stop`, with that grace behind `drain_s`; a second SIGINT ends at once."""
    signals = Signals(stop, grace_s, drain_s)
    before = {number: signal.signal(number, signals) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield signals
    finally:
        signals.over()
        for number, handler in before.items():
            signal.signal(number, handler)

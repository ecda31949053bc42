"""watch(): what is awaited is seen while it runs, in the notebook, and is the same as without."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from streamkit.lab.client.kept import LAST as RECORDING
from streamkit.lab.compare.kept import LAST as COMPARISON
from streamkit.lab.live.picture import KINDS
from streamkit.lab.live.screens import screen_of
from streamkit.lab.load.kept import LAST as LOAD
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sweep.kept import LAST as SWEEP
from streamkit.lab.under_way import Watcher, watched_by

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from streamkit.lab.live.screens import Screen

__all__ = ["seen", "watch"]

T = TypeVar("T")

EVERY_S: Final = 0.25
MOST: Final = 0.02
"""Which share of the time watching may take of the loop that it watches: pictures are rarer where a copy takes long."""


@overload
def watch(asked: Awaitable[T], *, kind: str | None = None) -> Coroutine[Any, Any, T]: ...
@overload
def watch(asked: Callable[[], T], *, kind: str | None = None) -> T: ...
def watch(asked: Any, *, kind: str | None = None) -> Any:
    """Watch a stream, a load or a sweep while it runs, in a figure that is redrawn in place; returns what it returns.

        recording = await sk.watch(lab.post("/ans", chat_history="你好", accept="sse"))
        streams = await sk.watch(sk.load(lab, streams=100, rate=20))
        swept = sk.watch(lambda: sk.sweep(trial, grid, repeats=6))      # what blocks is given as a function

    asked   what to run: a coroutine that has not begun yet, or a function without arguments
    kind    which figure of a recording: "timeline", "journey", "queues", "where", "backlog", "gaps", "hops", "upload",
            "results". None: the journey if the recording gets the taps of servers (a `Lab` in threads), otherwise the
            timeline

    In a notebook the figure keeps one place and one size, and is drawn up to four times a second. A load is shown by
    the streams that have ended, a sweep by its rows; the title of a stream shows the latest text. If several things run
    one after the other, you see the one that is running; if several run at the same time, the first. At the end it
    becomes the ordinary figure. In a terminal, a line says how far a stream is; in a script without a terminal, nothing
    is shown.

    **What it costs.** Figures are drawn in a separate process of low priority; in this one, a copy of what has come is
    made, which takes a millisecond or two, and 2 % of the time at most. On two cores, at 50 events a second: an event
    is handed over 0.9 to 2.8 ms late (p95) instead of 0.3 to 0.6, and the upstream of a Lab is 1.4 to 7.9 ms late
    instead of 0.7 to 3.2; reads have the kernel's time. (A figure drawn on the loop would make that 130 ms; in a
    thread 8, and 20 for the upstream.) `recording.trust` says if it was too much. The start takes 0.1 s longer, until
    that process is ready.

    If what runs is interrupted (Ctrl-C, a notebook's "interrupt", `asyncio.wait_for`) or raises, a figure of what had
    come remains, and the exception goes through; nothing is left running.

    Raises TypeError for what can be neither awaited nor called, and for a task, which has begun already; ValueError for
    an unknown figure.
    """
    _check_kind(kind)
    if isinstance(asked, asyncio.Future):
        raise TypeError("expected what has not begun, as in sk.watch(sk.record(…)), got a task: give it the coroutine")
    if inspect.isawaitable(asked):
        return _awaited(asked, kind)
    if not callable(asked):
        raise TypeError(_what_else(asked))
    return _called(asked, kind)


def _check_kind(kind: str | None) -> None:
    if kind is not None and kind not in KINDS:
        raise ValueError(f"expected kind as one of {', '.join(KINDS)}, got {kind!r}")


def _what_else(given: object) -> str:
    name = type(given).__name__
    if name == "Sweep":
        return "expected a sweep that has not begun, sk.watch(lambda: sk.sweep(…)), got one that is over"
    return f"expected what can be awaited, as in sk.watch(lab.ask(…)), or a function without arguments, got {name}"


async def _awaited(asked: Awaitable[T], kind: str | None) -> T:
    return await seen(asked, screen_of(kind))


async def seen(asked: Awaitable[T], screen: Screen | None) -> T:
    """The same on this screen; None: on none."""
    if screen is None:
        return await asked
    with _seen(screen) as came:
        value = came["value"] = await asked
    return value


def _called(asked: Callable[[], T], kind: str | None) -> Any:
    screen = screen_of(kind)
    if screen is None:
        value = asked()
    else:
        with _seen(screen) as came:
            value = came["value"] = asked()
    return watch(value, kind=kind) if inspect.iscoroutine(value) else value


@contextmanager
def _seen(screen: Screen) -> Iterator[dict[str, Any]]:
    """What runs in the block is drawn in the meantime; shown last is its `value`, or what an error carries."""
    watched, over, came = Watcher(screen.begin), threading.Event(), dict[str, Any]()
    # In our context: by it a notebook knows under which cell an output belongs.
    follow = contextvars.copy_context().run
    drawing = threading.Thread(target=follow, args=(_follow, watched, screen, over), name="streamkit watch")
    drawing.start()
    try:
        with watched_by(watched):
            yield came
    except BaseException as error:
        kept = (last.of(error) for last in (COMPARISON, LOAD, SWEEP, RECORDING))
        came["value"] = next((each for each in kept if each is not None), None)
        if isinstance(came["value"], Recording):
            with suppress(ValueError):  # it may have all that there is
                came["value"] = watched.completed(came["value"])
        raise
    finally:
        over.set()
        screen.stop()
        drawing.join()
        screen.end(came.get("value"))


def _follow(watched: Watcher, screen: Screen, over: threading.Event) -> None:
    pause_s = EVERY_S
    while not over.wait(pause_s):
        with suppress(
            Exception, CancelledError
        ):  # there will be another one, or the still one, which says what is wrong
            begun_s = time.thread_time()
            taking = screen.take(watched.so_far())
            pause_s = max(EVERY_S, (time.thread_time() - begun_s) / MOST)
            if taking is not None:
                screen.show(taking.result())

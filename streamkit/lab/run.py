"""run(): asynchronous code from a plain, synchronous cell or script."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from streamkit.lab.client.kept import LAST as RECORDING
from streamkit.lab.compare.kept import LAST as COMPARISON
from streamkit.lab.load.kept import LAST as LOAD

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

__all__ = ["run"]

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from synchronous code, and return its result: `recording = sk.run(sk.record(url, data=...))`.

        >>> import asyncio
        >>> sk.run(asyncio.sleep(0, "slept"))
        'slept'

    In a script it does what `asyncio.run` does. If a loop is already running, as in Jupyter, the first such call makes
    that loop re-entrant with nest-asyncio2, and the coroutine runs inside the current one; a top-level `await` does not
    need this. Exceptions come out as they are. Ctrl-C (or the notebook's "interrupt") cancels the coroutine, waits
    until it has cleaned up, and raises KeyboardInterrupt. An interrupted recording is then in its attribute `recording`
    (and `sk.last_recording()`), a load in `recordings` (and `sk.last_load()`), a comparison in `comparison` (and
    `sk.last_comparison()`).

    Limits: making a loop re-entrant changes asyncio for the whole process and for good, and slows it down.
    nest-asyncio2 patches the class of the loop, and before Python 3.14 replaces the tasks written in C by ones written
    in Python. Nested calls end in the reverse order of their beginning.

    Raises TypeError for anything but a coroutine, RuntimeError inside a running loop that is not asyncio's own, such as
    a uvloop, which cannot be changed.
    """
    _check_coroutine(coroutine)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # Not asyncio.run: once a loop has been made re-entrant, that name belongs to nest-asyncio2.
        with _carrying(), asyncio.Runner() as runner:
            return runner.run(coroutine)
    _make_reentrant(loop, coroutine)
    return _run_inside(loop, coroutine)


@contextlib.contextmanager
def _carrying() -> Iterator[None]:
    """asyncio's runner makes a KeyboardInterrupt of what Ctrl-C did to the coroutine."""
    try:
        yield
    except KeyboardInterrupt as error:
        _hand_on(error, error)
        raise


def _hand_on(ended: BaseException, error: BaseException) -> None:
    """What the coroutine's end carries is `error`'s from now on."""
    for last in (RECORDING, LOAD, COMPARISON):
        last.hand_on(ended, error)


def _check_coroutine(given: object) -> None:
    if inspect.iscoroutine(given):
        return
    hint = "; call the function: run(function(...))" if inspect.iscoroutinefunction(given) else ""
    raise TypeError(f"expected a coroutine, as in sk.run(sk.record(...)), got {type(given).__name__}{hint}")


def _make_reentrant(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> None:
    import nest_asyncio2  # type: ignore[import-untyped]  # it brings no types

    if not isinstance(loop, asyncio.BaseEventLoop):  # checked here, for apply() would notice after half its changes
        coroutine.close()
        kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
        raise RuntimeError(  # noqa: TRY004  no argument is of a wrong type: the surroundings are
            f"run() cannot work inside a running {kind}: only asyncio's own loops can be made re-entrant. "
            f"Write `await` instead, or call run() from a thread without a loop"
        )
    nest_asyncio2.apply(loop, run_close_loop=True)


def _run_inside(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    except BaseException as error:
        if not task.done():
            task.cancel()
            try:
                loop.run_until_complete(task)
            except (asyncio.CancelledError, Exception) as ended:  # noqa: BLE001  # raised is what interrupted it
                _hand_on(ended, error)
        raise

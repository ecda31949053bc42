"""One trial, where it runs: the call, the numbers of what it returned, or why there are none. Never raises for it.

What goes there and comes back is plain, so that any executor can carry it: an exception may hold anything, and a
recording megabytes.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from numbers import Number
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streamkit.lab.sweep.grid import COLUMNS, Setting, Value, check_names, plain
from streamkit.reasons import masked

if TYPE_CHECKING:
    from streamkit.lab.sweep.portable import Portable

__all__ = ["Done", "numbers_of", "reason", "run_alone", "run_trial"]

TEXTS: Final = ("outcome", "verdict")
"""What is taken of a summary that is no number: how it ended, and whether its numbers may be quoted."""
ALONE: Final = "value"
"""What a number is called that comes by itself."""


class Done(NamedTuple):
    """What a trial came to: its numbers, or the reason why there are none; when it began, how long it took."""

    metrics: dict[str, Value]
    error: str | None
    when: str | None
    duration_s: float | None


def run_trial(trial: Portable, setting: Setting, extra: Mapping[str, int]) -> Done:
    """Call it. `extra` is its seed, where it takes one."""
    when, began = datetime.now(UTC).isoformat(timespec="milliseconds"), time.perf_counter()
    metrics: dict[str, Value] = {}
    error = None
    try:
        metrics = _apart(numbers_of(_called(trial.function, {**setting, **extra})), setting)
    except (Exception, SystemExit) as failure:  # noqa: BLE001  # whatever it is: a row says so, and the next one begins
        metrics, error = {}, reason(failure)
    return Done(metrics, error, when, time.perf_counter() - began)


def run_alone(trial: Portable, setting: Setting, extra: Mapping[str, int], *, timeout_s: float | None = None) -> Done:
    """The same in a process that runs one trial at a time: what servers it leaves running are stopped behind it.

    After `timeout_s` the kernel ends the process: the default action of SIGALRM does, also in the midst of C.
    """
    signal.setitimer(signal.ITIMER_REAL, timeout_s or 0)
    done = run_trial(trial, setting, extra)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if "streamkit.serving.server" in sys.modules:  # it takes a while to import, and not every trial serves anything
        from streamkit.serving.server import stop_all

        stop_all(0)
    return done


def _apart(metrics: dict[str, Value], setting: Setting) -> dict[str, Value]:
    if both := sorted(metrics.keys() & setting.keys()):
        raise ValueError(f"expected other names for the trial's numbers than its parameters', got {both}")
    return metrics


def reason(error: BaseException) -> str:
    """The kind of an exception, and what it says, without what may be a secret."""
    said = masked(str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _called(function: Callable[..., Any], arguments: Mapping[str, Value]) -> Any:
    returned = function(**arguments)
    return asyncio.run(_awaited(returned)) if inspect.isawaitable(returned) else returned


async def _awaited(what: Awaitable[Any]) -> Any:
    return await what


def numbers_of(returned: object) -> dict[str, Value]:
    """The numbers of what a trial returned: a mapping of them, one number, or something with a `summary()`.

    >>> from streamkit.lab.sweep.trial import numbers_of
    >>> numbers_of({"ttft_ms": 12.5, "gap_ms": float("nan")})
    {'ttft_ms': 12.5, 'gap_ms': None}
    >>> numbers_of(sk.Recording())["events"]
    0

    What is not finite is not defined: None. Of a summary (of a recording, or of a set of them) the numbers that are
    defined are taken, and as text its outcome and its verdict. Raises TypeError for anything else.
    """
    if isinstance(returned, Mapping):
        check_names(returned, "a number that the trial returns")
        return {name: plain(name, _defined(value)) for name, value in returned.items()}
    summary = getattr(returned, "summary", None)
    if callable(summary):
        return _of_summary(summary())
    if isinstance(returned, Number) and not isinstance(returned, complex):
        return {ALONE: plain(ALONE, _defined(returned))}
    return _refuse(returned)


def _of_summary(summary: object) -> dict[str, Value]:
    if not isinstance(summary, Mapping):
        return _refuse(summary)
    found: dict[str, Value] = {}
    for name, value in summary.items():
        if name in TEXTS:
            found[name] = str(value)
        elif isinstance(value, int | float) and name not in COLUMNS and _defined(value) is not None:
            found[name] = value
    return found


def _defined(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _refuse(returned: object) -> dict[str, Value]:
    raise TypeError(
        "expected the trial to return a mapping of numbers, a number, a Recording or a RecordingSet, got one of type "
        f"{type(returned).__name__!r}"
    )

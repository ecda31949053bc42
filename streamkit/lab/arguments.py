"""What callers give, checked at the call: the error names the argument, and nothing has been started yet.

A number that is text, negative or NaN does not fail by itself, or fails much later and elsewhere: each comparison with
NaN is false, `True` counts as 1, and a timer that is set to `"3"` breaks in the middle of a stream.
"""

from __future__ import annotations

import inspect
import math
from functools import partial
from numbers import Integral, Real
from typing import Any

__all__ = ["check_listener", "check_number", "check_whole"]


def check_number(
    name: str, value: object, what: str = "a number", *, zero: bool = True, infinite: bool = False, hint: str = ""
) -> None:
    """Raise unless `value` is a number of at least 0, or above 0 where it may not be `zero`; `what` says of what.

    TypeError for what is no number (text, None, a bool), ValueError for one that is too small, NaN, or `infinite` where
    it must not be. `hint`: what to do instead.
    """
    expected = f"expected {name} as {what} {'>=' if zero else '>'} 0, got {value!r}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{expected} ({type(value).__name__}): give a number{hint}")
    number: Any = value  # mypy takes no int for a Real
    if not (number >= 0 if zero else number > 0) or (number == math.inf and not infinite):
        raise ValueError(f"{expected}{hint}")


def check_whole(name: str, value: object, *, least: int | None = 0) -> None:
    """Raise unless `value` is an integer of at least `least` (None: of any size): TypeError for what is none,
    ValueError for one that is too small.
    """
    expected = f"expected {name} as an integer{'' if least is None else f' >= {least}'}, got {value!r}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{expected} ({type(value).__name__})")
    if least is not None and int(value) < least:
        raise ValueError(expected)


def check_listener(name: str, value: object) -> None:
    """Raise TypeError unless `value` is None or can be called, and has done its work when the call returns.

    A coroutine function has not even begun then: neither has a partial of one, nor an object whose `__call__` is one.
    """
    if value is None:
        return
    if not callable(value):
        raise TypeError(f"expected {name} as something to call, got {value!r} ({type(value).__name__})")
    called: object = value
    while isinstance(called, partial):
        called = called.func
    if any(_is_async(each) for each in (called, type(called).__call__)):
        raise TypeError(
            f"expected {name} as a plain function, got {value!r}, which is async: what it returns would never be "
            "awaited; a plain one may begin a task (asyncio.create_task), or put into a queue"
        )


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)

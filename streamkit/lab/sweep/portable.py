"""A trial on its way to another process: by its name where that can be imported there, else by value.

A function that stands in a notebook's cell, or in the script that is running, has no name that another process could
import. cloudpickle, which dask brings, sends it as it is.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from streamkit.serving.runner import pickled

__all__ = ["Portable", "name_of"]


class Portable:
    """A function, pickled once, when it first has to be; where no process is left it never is."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    @cached_property
    def order(self) -> bytes:
        """As bytes. Raises TypeError, saying what to do, for a function that cannot go to another process."""
        try:
            return pickled(self.function)
        except TypeError as error:
            return _by_value(self.function, error)

    def __reduce__(self) -> tuple[Callable[[bytes], Portable], tuple[bytes]]:
        return _arrived, (self.order,)


def _arrived(order: bytes) -> Portable:
    return Portable(pickle.loads(order))  # noqa: S301  # from our own process


def _by_value(function: Callable[..., Any], error: TypeError) -> bytes:
    try:
        import cloudpickle  # type: ignore[import-untyped]  # it ships without types

        order: bytes = cloudpickle.dumps(function)
    except ImportError:
        raise TypeError(_expected(function, "install cloudpickle (`pip install 'streamkit[dask]'`)")) from error
    except Exception as failure:  # noqa: BLE001  # pickling runs anybody's code
        said = f"{type(failure).__name__}: {failure}"
        raise TypeError(_expected(function, f"leave out what cannot be sent ({said})")) from error
    return order


def _expected(function: Callable[..., Any], instead: str) -> str:
    return (
        f"expected a trial that another process can be given, got {name_of(function)}, which cannot be imported there: "
        f"put it into a file, or {instead}, or run it here, with executor=ThreadPoolExecutor(1)"
    )


def name_of(function: Callable[..., Any]) -> str:
    """What it is called in files and messages; of a partial also what that has given it already."""
    if isinstance(function, partial):
        given = [*map(repr, function.args), *(f"{name}={value!r}" for name, value in function.keywords.items())]
        return f"{name_of(function.func)}({', '.join(given)})"
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', None) or type(function).__module__}.{name}"

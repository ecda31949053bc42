"""From a grid to settings: every combination of its values, each once, in the order in which they are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, Final, TypeAlias

__all__ = ["COLUMNS", "Grid", "Setting", "Value", "check_names", "plain", "settings_of"]

Value: TypeAlias = str | int | float | bool | None
Setting: TypeAlias = Mapping[str, Value]
Grid: TypeAlias = Mapping[str, Any] | Iterable[Mapping[str, Any]]

COLUMNS: Final = ("repeat", "order", "seed", "error", "when", "duration_s")
"""What each row has besides its parameters and its numbers: no parameter and no number may have such a name."""


def settings_of(grid: Grid) -> tuple[dict[str, Value], ...]:
    """The settings of a grid: a mapping of names to values, or several such mappings, one after the other.

    >>> from streamkit.lab.sweep.grid import settings_of
    >>> settings_of({"policy": ["pause", "latest"], "gap_ms": 20})
    ({'policy': 'pause', 'gap_ms': 20}, {'policy': 'latest', 'gap_ms': 20})
    >>> settings_of([{"policy": "pause"}, {"policy": "buffer", "kB": [4, 64]}])
    ({'policy': 'pause'}, {'policy': 'buffer', 'kB': 4}, {'policy': 'buffer', 'kB': 64})

    A value that is none of many stands for itself. Raises TypeError for what is no grid, and for values that do not fit
    into a table (text, numbers, True, False, None do), ValueError for an empty grid and for a setting that is there
    twice.
    """
    parts: object = [grid] if isinstance(grid, Mapping) else grid
    if isinstance(parts, str) or not isinstance(parts, Iterable):
        raise TypeError(f"expected grid as a mapping of names to values, or several of them, got {grid!r}")
    found = [setting for part in parts for setting in _combined(part)]
    if not found:
        raise ValueError(f"expected a grid with at least one setting, got {grid!r}: a name without values has none")
    seen = set()
    for setting in found:
        key = frozenset((name, type(value), value) for name, value in setting.items())
        if key in seen:
            raise ValueError(f"expected each setting once, got {setting} twice; `repeats` is how often it is tried")
        seen.add(key)
    return tuple(found)


def _combined(part: object) -> Iterable[dict[str, Value]]:
    if not isinstance(part, Mapping):
        raise TypeError(f"expected a mapping of names to values, such as {{'gap_ms': [10, 20]}}, got {part!r}")
    check_names(part, "a parameter")
    columns = [[plain(name, value) for value in _many(values)] for name, values in part.items()]
    return (dict(zip(part, values, strict=True)) for values in product(*columns))


def check_names(names: Iterable[object], what: str) -> None:
    """Raise unless each can be a column beside those that every row has."""
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"expected the name of {what} as text, got {name!r}")
        if name in COLUMNS:
            raise ValueError(f"expected another name for {what} than {', '.join(COLUMNS)}, got {name!r}")


def _many(values: object) -> Iterable[object]:
    single = isinstance(values, str | bytes) or not isinstance(values, Iterable) or not getattr(values, "ndim", 1)
    return [values] if single else values  # type: ignore[return-value]  # what is not single can be iterated


def plain(name: str, value: object) -> Value:
    """`value` as it goes into a row, numpy's numbers as Python's. Raises TypeError for what does not."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if not isinstance(value, str | int | float | bool | None) or value in (math.inf, -math.inf) or value != value:
        raise TypeError(
            f"expected {name} as text, a finite number, True, False or None, got {value!r} ({type(value).__name__}): "
            "give it a name, by which the trial finds it"
        )
    return value

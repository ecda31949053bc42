"""What all columns of a recording need: checks, sizes, what counts. Whole columns at a time.

A recording may hold a million events; a Python loop over them costs a tenth of a second for each thing checked.
"""

from __future__ import annotations

from array import array
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from streamkit.lab.metrics.compact import Indexed, Item, Narrow, PerRead, Unkept

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "Columnar",
    "Ints",
    "characters",
    "check_ascending",
    "check_at_least",
    "check_lengths",
    "int_column",
    "numbered",
    "pieces",
    "utf8_sizes",
]

Ints: TypeAlias = npt.NDArray[np.int64]


class Columnar(Indexed[Item]):
    """Rows that are kept as parallel columns: those in `_columns` are all that a row has, and all that is compared."""

    __slots__ = ()
    _columns: ClassVar[tuple[str, ...]]

    def _values(self, index: int) -> dict[str, Any]:
        return {name: getattr(self, name)[index] for name in self._columns}

    def copied(self) -> Self:
        """The rows so far, which do not grow with these.

        While another thread adds rows, the last of them may be there in some columns alone: it is left out, where
        columns are plain lists and arrays. Those in few bytes may be caught uneven.
        """
        made, memo = object.__new__(type(self)), dict[int, Any]()
        columns = {name: getattr(self, name) for name in self._columns}
        plain = all(isinstance(column, list | array) for column in columns.values())
        rows = min(map(len, columns.values()))
        for name, column in columns.items():  # of what is plain a slice: numbers and texts are shared
            setattr(made, name, column[:rows] if plain else deepcopy(column, memo))
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Columnar) or other._columns != self._columns:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._columns)

    __hash__ = None  # type: ignore[assignment]  # it grows


def int_column(values: Iterable[int]) -> array[int]:
    """The values as an `array('q')` of their own. Numpy columns are copied whole, not number by number."""
    if isinstance(values, np.ndarray) and np.issubdtype(values.dtype, np.integer):
        column = array("q")
        column.frombytes(values.astype(np.int64).tobytes())
        return column
    return array("q", values)


def check_lengths(name: str, **columns: Sequence[Any]) -> None:
    """Raises ValueError unless all columns are equally long."""
    lengths = {column: len(values) for column, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected {name} columns of equal length, got {lengths}")


def check_ascending(name: str, column: npt.ArrayLike) -> None:
    """Raises ValueError, naming the first place, where the column falls."""
    values = np.asarray(column.runs if isinstance(column, PerRead) else column, dtype=np.int64)
    falls = values[1:] < values[:-1]
    if falls.any():
        index = int(falls.argmax())
        before, after = values[index], values[index + 1]
        raise ValueError(f"expected {name} in ascending order, got {before} before {after} at index {index + 1}")


def check_at_least(lowest: int, column: npt.ArrayLike, expected: str) -> None:
    """Raises ValueError if a value lies below `lowest`; `expected` says what the column holds."""
    if isinstance(column, Narrow):
        if len(column) and column.lowest < lowest:
            raise ValueError(f"expected {expected}, got {column.lowest}")
        return
    values = np.asarray(column, dtype=np.int64)
    if values.size and values.min() < lowest:
        raise ValueError(f"expected {expected}, got {values.min()}")


def numbered(at_ns: npt.ArrayLike) -> Ints:
    """The distinct times of an ascending column, numbered from 0: equal times in a row get equal numbers."""
    times = np.asarray(at_ns, dtype=np.int64)
    return np.cumsum(np.diff(times, prepend=times[:1]) != 0)


def pieces(characters: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which events a reader waits for: those that brought a piece, or all of them if none did.

    >>> sk.metrics.pieces([0, 5, 7, 0]).tolist()
    [False, True, True, False]

    `characters[i]` is how much event i brought: its text, and its reasoning if that was recorded. The other events
    (role chunks, pings, `done`) carry nothing to read: a ping in the middle of a stall does not end it, and the time
    between the last piece and its `done` is not a gap.
    """
    with_piece = np.asarray(characters) > 0
    return with_piece if with_piece.any() else np.ones_like(with_piece)


def characters(texts: Sequence[str]) -> Ints:
    """How many characters each text has, or had."""
    if isinstance(texts, Unkept):
        return np.asarray(texts.characters)
    return np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))


def utf8_sizes(texts: Sequence[str]) -> Ints:
    """How many bytes each text takes in UTF-8; a lone surrogate, which UTF-8 cannot carry, counts as the 1 of a "?".

    A code point takes 1 byte below U+0080, 2 below U+0800, 3 below U+10000 and 4 beyond (RFC 3629, section 3).
    """
    if isinstance(texts, Unkept):
        return np.asarray(texts.bytes)
    lengths = characters(texts)
    joined = "".join(texts)
    if joined.isascii():
        return lengths
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    sizes = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
    sizes[(points >= 0xD800) & (points < 0xE000)] = 1
    upto: Ints = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(sizes)))
    ends = np.cumsum(lengths)
    found: Ints = upto[ends] - upto[ends - lengths]
    return found

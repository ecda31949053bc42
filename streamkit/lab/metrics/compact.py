"""Columns in few bytes: of a recording without texts, whose millions of events are to cost next to nothing.

    sizes = Narrow([200, 198, 40_000])      # as few bytes each as the largest of them takes
    times = PerRead()                       # what all events of one read share is kept once
    texts = Unkept([5, 0, 1])               # texts of which the lengths alone are known

They read as `array('q')` and a list of strings do (`np.asarray`, `len`, `[i]`, `tolist()`, a loop), and give int64 and
str, whatever lies underneath.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any, Final, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

__all__ = ["Indexed", "Narrow", "PerRead", "Unkept", "Words", "utf8_lengths", "utf8_size"]

Item = TypeVar("Item")
_Ints: TypeAlias = npt.NDArray[np.int64]
MAX_WORDS: Final = 100
_OTHER: Final = "…"
_WIDER: Final = {"b": "h", "h": "i", "i": "q"}


def utf8_size(text: str) -> int:
    """How many bytes it takes in UTF-8; a lone surrogate, which UTF-8 cannot carry, counts as the 1 of a "?"."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def utf8_lengths(texts: Sequence[str]) -> list[int]:
    """The same of many, at the speed of C."""
    if all(map(str.isascii, texts)):
        return [*map(len, texts)]
    try:
        return [*map(len, map(str.encode, texts))]
    except UnicodeEncodeError:
        return [*map(utf8_size, texts)]


class Indexed(Sequence[Item]):
    """A sequence by `_at`, which is asked for places that there are, 0 and above. A slice of it is a list."""

    __slots__ = ()

    @abstractmethod
    def _at(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self._at(i) for i in range(*index.indices(len(self)))]
        return self._at(range(len(self))[index])

    def __iter__(self) -> Iterator[Item]:
        return map(self._at, range(len(self)))


class _Column(Indexed[int]):
    """What both have in common: they are as a list of ints is."""

    __slots__ = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        raise NotImplementedError

    def tolist(self) -> list[int]:
        return list(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Column | array | list):
            return len(self) == len(other) and np.array_equal(np.asarray(self), np.asarray(other))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.tolist()!r})"


class Narrow(_Column):
    """Integers of 64 bits that take as few bytes as the largest of them needs, and none at all while all are equal.

    >>> from streamkit.lab.metrics.compact import Narrow
    >>> column = Narrow([7] * 1_000_000)
    >>> column.append(300)
    >>> column[-2:], column.bytes
    ([7, 300], 2000002)
    """

    __slots__ = ("_equal", "_values")

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._values: array[int] | None = None
        self._equal = 0, 0  # so often this value, until another one comes
        self.extend(values if isinstance(values, list | tuple | array) else [*map(int, values)])

    def append(self, value: int) -> None:
        self.extend((value,))

    def extend(self, values: list[int] | tuple[int, ...] | array[int]) -> None:
        """Add them all, at the speed of C."""
        if self._values is None:
            count, equal = self._equal
            equal = equal if count or not len(values) else values[0]
            if values.count(equal) == len(values):  # array, tuple and list count in C
                self._equal = count + len(values), equal
                return
            self._values = _filled(equal, count)
        try:
            self._values.extend(array(self._values.typecode, values))
        except OverflowError:
            self._values = array(_WIDER[self._values.typecode], self._values)
            self.extend(values)

    def same(self, value: int, count: int) -> None:
        """One value so many times."""
        if self._values is None and (value == self._equal[1] or not self._equal[0]):
            self._equal = self._equal[0] + count, value
        else:
            self.extend([value] * count)

    @property
    def bytes(self) -> int:
        """What the numbers take."""
        return 0 if self._values is None else len(self._values) * self._values.itemsize

    @property
    def lowest(self) -> int:
        """The lowest of them; 0 where there is none. Without a copy of them."""
        if self._values is None:
            return self._equal[1]
        return int(np.frombuffer(self._values, self._values.typecode).min())

    def total(self) -> int:
        """Their sum, without a copy of them."""
        if self._values is None:
            return self._equal[0] * self._equal[1]
        return int(np.frombuffer(self._values, self._values.typecode).sum(dtype=np.int64))

    def __len__(self) -> int:
        return self._equal[0] if self._values is None else len(self._values)

    def _at(self, index: int) -> int:
        return self._equal[1] if self._values is None else self._values[index]

    def __setitem__(self, index: int, value: int) -> None:
        index = range(len(self))[index]
        if self._values is None:
            self._values = _filled(self._equal[1], self._equal[0])
        try:
            self._values[index] = value
        except OverflowError:
            self._values = array(_WIDER[self._values.typecode], self._values)
            self[index] = value

    def __iter__(self) -> Iterator[int]:
        return repeat(self._equal[1], self._equal[0]) if self._values is None else iter(self._values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        del copy  # it always is one
        if self._values is None:
            return np.full(self._equal[0], self._equal[1], dtype=dtype or np.int64)
        return np.array(self._values, dtype=dtype or np.int64)

    def __reduce__(self) -> tuple[Any, ...]:
        return _narrow, (self._values, self._equal)


def _narrow(values: array[int] | None, equal: tuple[int, int]) -> Narrow:
    column = Narrow()
    column._values, column._equal = values, equal
    return column


def _filled(value: int, count: int) -> array[int]:
    typecode = "b"
    while True:
        try:
            return array(typecode, [value]) * count
        except OverflowError:
            typecode = _WIDER[typecode]


class PerRead(_Column):
    """A value for each event, kept once for all events of one read.

    >>> from streamkit.lab.metrics.compact import PerRead
    >>> column = PerRead()
    >>> column.append(1_000, events=3)
    >>> column.append(2_000)
    >>> column.tolist(), len(column)
    ([1000, 1000, 1000, 2000], 4)
    """

    __slots__ = ("ends", "runs")

    def __init__(self, ends: Narrow | None = None) -> None:
        self.runs = Narrow()
        """The values, one for each read that brought events."""
        self.ends = Narrow() if ends is None else ends
        """By how many events each of them is over; columns of the same events share one."""

    def append(self, value: int, events: int = 1) -> None:
        """One more read, with so many events. (Who shares `ends` appends there once, and to `runs`.)"""
        self.ends.append(len(self) + events)
        self.runs.append(value)

    def __len__(self) -> int:
        return self.ends[-1] if len(self.ends) else 0

    def _at(self, index: int) -> int:
        return self.runs[bisect_right(self.ends, index)]

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(map(repeat, self.runs, self._counts().tolist()))

    def _counts(self) -> _Ints:
        return np.diff(np.asarray(self.ends), prepend=0)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        del copy  # it always is one
        return np.repeat(np.asarray(self.runs, dtype=dtype or np.int64), self._counts())


class Words(Indexed[str]):
    """A column of few different words, a byte each, or none at all while all are the same.

    Behind `MAX_WORDS` different ones every new one reads as "…": a stream cannot make them as many as it has events.
    """

    __slots__ = ("_codes", "_places", "_words")

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._words: list[str] = []
        self._places: dict[str, int] = {}
        self._codes = Narrow()
        self.extend([*words])

    def append(self, word: str) -> None:
        self.extend((word,))

    def extend(self, words: Sequence[str]) -> None:
        """Add them all."""
        places = self._places
        for word in dict.fromkeys(words):
            if word not in places and len(self._words) < MAX_WORDS:
                places[word] = len(self._words)
                self._words.append(word)
        self._codes.extend([places[word] if word in places else self._other() for word in words])

    def same(self, word: str, count: int) -> None:
        """One word so many times."""
        if word in self._places:
            self._codes.same(self._places[word], count)
        else:
            self.extend([word] * count)

    def _other(self) -> int:
        if self._words[-1] != _OTHER:
            self._words.append(_OTHER)
        return len(self._words) - 1

    def __len__(self) -> int:
        return len(self._codes)

    def _at(self, index: int) -> str:
        return self._words[self._codes[index]]

    def __iter__(self) -> Iterator[str]:
        return map(self._words.__getitem__, self._codes)

    def __eq__(self, other: object) -> bool:
        return [*self] == [*other] if isinstance(other, Words | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it grows


class Unkept(Indexed[str]):
    """Texts that were not kept, of which the lengths are known: each reads as "".

    `metrics.characters` and `utf8_sizes` give what the texts had.
    """

    __slots__ = ("bytes", "characters")

    def __init__(self, characters: Iterable[int] = (), bytes: Iterable[int] | None = None) -> None:  # noqa: A002  UTF-8
        self.characters = Narrow(characters)
        self.bytes = Narrow(self.characters if bytes is None else bytes)

    def append(self, text: str) -> None:
        """One more, of which the length is kept."""
        self.extend((text,))

    def extend(self, texts: Sequence[str]) -> None:
        """More of them."""
        if not any(texts):
            self.blank(len(texts))
            return
        self.characters.extend([*map(len, texts)])
        self.bytes.extend(utf8_lengths(texts))

    def blank(self, count: int) -> None:
        """So many more without any."""
        self.characters.same(0, count)
        self.bytes.same(0, count)

    def add(self, characters: list[int], size: list[int]) -> None:
        """More of them, by their lengths in characters and in bytes of UTF-8."""
        self.characters.extend(characters)
        self.bytes.extend(size)

    def grow(self, index: int, text: str) -> None:
        """More of one that came before."""
        self.characters[index] += len(text)
        self.bytes[index] += utf8_size(text)

    def __len__(self) -> int:
        return len(self.characters)

    def _at(self, _: int) -> str:
        return ""

    def __iter__(self) -> Iterator[str]:
        return repeat("", len(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Unkept):
            return NotImplemented
        return self.characters == other.characters and self.bytes == other.bytes

    __hash__ = None  # type: ignore[assignment]  # it grows

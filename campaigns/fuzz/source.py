"""From the bytes of an engine to decisions: which preset, which cuts, which damage. Also what a finding is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

__all__ = ["KNOBS", "ByteSource", "Finding", "expect", "knobs_and_rest"]

T = TypeVar("T")
KNOBS = 16
"""How many bytes in front of a wire say how it is read (bounds, cuts); the wire itself stands plainly behind them."""


class Finding(AssertionError):
    """The subject broke a promise; the text says which one."""


def expect(kept: bool, promise: str, **seen: Any) -> None:
    """Raise Finding unless the promise was kept; `seen` is shown, shortened."""
    if not kept:
        shown = "".join(f"\n  {name}: {value!r:.2000}" for name, value in seen.items())
        raise Finding(f"{promise}{shown}")


class ByteSource:
    """Decisions, one after the other. When the bytes are used up, each is the first choice: less data, simpler case."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes; fewer at the end."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def rest(self) -> bytes:
        return self.take(len(self._data))

    def number(self, bound: int) -> int:
        """From 0 to bound - 1."""
        return int.from_bytes(self.take(1 if bound <= 256 else 2)) % bound

    def pick(self, several: Sequence[T]) -> T:
        return several[self.number(len(several))]

    def chance(self, one_in: int) -> bool:
        """Rarely true, and false at the end of the bytes."""
        return self.number(one_in) == one_in - 1

    def ways(self, body: bytes) -> list[list[bytes]]:
        """The body whole, byte by byte, and at cuts of this source; a place that comes twice makes an empty read."""
        places = sorted(self.number(len(body) + 1) for _ in range(self.number(6)))
        cut = [body[a:b] for a, b in pairwise([0, *places, len(body)])]
        return [[body], [body[i : i + 1] for i in range(len(body))], cut]


def knobs_and_rest(data: bytes) -> tuple[ByteSource, bytes]:
    return ByteSource(data[:KNOBS]), data[KNOBS:]

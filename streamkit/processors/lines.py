"""Lines: how many, how long, how fast they come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

__all__ = ["LineCounts"]

LF: Final = 10


class LineCounts:
    r"""Counts lines: how many, how long, how fast they come.

    lines, bytes           how many
    longest, mean_length   of a line, in bytes without its end; `mean_length` is None without a line
    per_s                  lines a second since it was made, by `clock` (seconds); None before any time has passed

    A line ends with LF, CRLF or CR; a last one without an end counts in the final result. Lines are counted, never
    held, however long they are.

    >>> from streamkit.processors.lines import LineCounts
    >>> seconds = iter([0.0, 2.0])
    >>> lines = LineCounts(clock=lambda: next(seconds))
    >>> lines.feed(b"one\ntwo\r\nthree")
    >>> lines.final()
    {'lines': 3, 'bytes': 14, 'longest': 5, 'mean_length': 3.6666666666666665, 'per_s': 1.5, 'final': True}
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s = clock()
        self._bytes = 0
        self._lines = 0
        self._length = 0  # of all lines that have ended, in bytes
        self._longest = 0
        self._open = 0  # bytes of the one that has not
        self._held = b""  # a CR, which may be half an end

    def feed(self, data: bytes) -> None:
        """Take more bytes."""
        self._bytes += len(data)
        if self._held or b"\r" in data:
            data = self._with_one_end(data)
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == LF)
        if not ends.size:
            self._open += len(data)
            return
        first, last = int(ends[0]), int(ends[-1])
        longest = max(self._open + first, int(np.diff(ends).max(initial=1)) - 1)
        self._ended(int(ends.size), self._open + last + 1 - int(ends.size), longest)
        self._open = len(data) - last - 1

    def _with_one_end(self, data: bytes) -> bytes:
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        return data[: len(data) - len(self._held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _ended(self, lines: int, length: int, longest: int) -> None:
        self._lines += lines
        self._length += length
        self._longest = max(self._longest, longest)

    def snapshot(self) -> dict[str, Any]:
        """The counts for the lines that have ended, and for all `bytes`."""
        passed_s = self._clock() - self._began_s
        return {
            "lines": self._lines,
            "bytes": self._bytes,
            "longest": self._longest,
            "mean_length": self._length / self._lines if self._lines else None,
            "per_s": self._lines / passed_s if passed_s > 0 else None,
        }

    def final(self) -> dict[str, Any]:
        """The same for all lines, with `"final": True`."""
        if self._open or self._held:
            self._ended(1, self._open, self._open)
            self._open, self._held = 0, b""
        return {**self.snapshot(), "final": True}

"""CSV: the statistics of each column, and which rows are bad."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from streamkit.processors.rows import Columns, RowReader
from streamkit.processors.statistics import Statistics

__all__ = ["Csv"]

RANKS: Final = (0.5, 0.95, 0.99)
TOGETHER: Final = 1 << 17  # cells of all columns that wait to be read: a few at a time cost more each
MOST_TOGETHER: Final = 2_048  # of one column: more would keep others waiting
LEAST_TOGETHER: Final = 128
TOGETHER_BYTES: Final = 1 << 22  # or so many bytes, of cells that are long
IN_JSON: Final = b"0123456789.eE+-, "
NUMBERS: Final = re.compile(
    rb",\s*+([+-]?(?:(?:\d++(?:\.\d*+)?+|\.\d++)(?:e[+-]?\d++)?+|inf(?:inity)?+|nan))\s*+(?=,)", re.IGNORECASE
)
EMPTY: Final = re.compile(rb",\s*+(?=,)")


class Csv:
    r"""Statistics of each column of a CSV whose first row has the names (see `streamkit.processors.rows.RowReader`).

    rows, bytes     how many good rows, and bytes
    bad_rows, bad   how many bad rows, and the first 20 of them, by line, byte and reason
    columns         for each name: `count` (cells that are numbers), `missing`, `text`, `mean`, `min`, `max`, `p50`,
                    `p95`, `p99` (by a t-digest; all None without a number)

    A number is a decimal as Python's float() reads it, but without underscores: `12`, `-1.5e3`, `.5`; `1_000` and
    `0x1F` are text. White space around it is ignored. A cell that is empty, NaN, infinite or beyond a double (`1e999`)
    is missing. So `count`, `missing` and `text` add up to `rows`.

        >>> from streamkit.processors.table import Csv
        >>> table = Csv()
        >>> table.feed(b"city,t\nRome,20.5\nOslo,\nBari,21.5\n")
        >>> found = table.final()["columns"]["t"]
        >>> {name: found[name] for name in ("count", "missing", "mean", "min", "max", "p50")}
        {'count': 2, 'missing': 1, 'mean': 21.0, 'min': 20.5, 'max': 21.5, 'p50': 21.0}

    Raises Unprocessable for a first row that cannot name columns, and for more than 1,000 of them.
    """

    reads_text: Final = True

    def __init__(self) -> None:
        self._reader = RowReader()
        self._bytes = 0
        self._columns: list[_Column] = []

    def feed(self, data: bytes) -> None:
        """Take more bytes."""
        self._bytes += len(data)
        self._add(self._reader.feed(data))

    def _add(self, found: Iterable[Columns]) -> None:
        for columns in found:
            self._know_columns()
            for column, cells in zip(self._columns, columns, strict=True):
                column.add(cells, self._bytes)

    def _know_columns(self) -> None:
        if not self._columns:
            many = len(self._reader.names)
            together = min(MOST_TOGETHER, max(LEAST_TOGETHER, TOGETHER // max(many, 1)))
            self._columns = [_Column(together, together * number // many + 1) for number in range(many)]

    def snapshot(self) -> dict[str, Any]:
        """The statistics of the rows that have ended, and all `bytes`."""
        self._know_columns()
        reader = self._reader
        return {
            "rows": reader.rows,
            "bytes": self._bytes,
            "bad_rows": reader.bad_rows,
            "bad": list(reader.bad),
            "columns": dict(zip(reader.names, (column.shown() for column in self._columns), strict=True)),
        }

    def final(self) -> dict[str, Any]:
        """The same for all rows, with `"final": True`."""
        self._add(self._reader.close())
        return {**self.snapshot(), "final": True}


class _Column:
    """The cells of one name. They wait until there are `together` of them, the first time until there are `first`: so
    columns that grow alike are not all read in the same moment.
    """

    __slots__ = ("_cells", "_missing", "_room", "_since_bytes", "_statistics", "_text", "_together")

    def __init__(self, together: int, first: int) -> None:
        self._missing = 0
        self._text = 0
        self._statistics = Statistics()
        self._cells: list[bytes] = []
        self._together = together
        self._room = first
        self._since_bytes = 0

    def add(self, cells: list[bytes], at_bytes: int) -> None:
        """Some more cells, out of the bytes up to there."""
        self._cells += cells
        if len(self._cells) >= self._room or at_bytes - self._since_bytes > TOGETHER_BYTES:
            self._read()
            self._room, self._since_bytes = self._together, at_bytes

    def _read(self) -> None:
        """Those that wait."""
        if not self._cells:
            return
        values, empty = _numbers(self._cells)
        numbers = values[np.isfinite(values)]
        missing = empty + values.size - numbers.size
        self._missing += missing
        self._text += len(self._cells) - missing - numbers.size
        self._statistics.add(numbers)
        self._cells = []

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        self._read()
        numbers = self._statistics
        found = {"mean": numbers.mean, "min": numbers.min, "max": numbers.max}
        found |= zip(("p50", "p95", "p99"), numbers.quantiles(RANKS), strict=True)
        known = {name: value if math.isfinite(value) else None for name, value in found.items()}
        return {"count": numbers.count, "missing": self._missing, "text": self._text, **known}


def _numbers(cells: list[bytes]) -> tuple[NDArray[np.float64], int]:
    """Those that are numbers, NaN and infinities among them; and how many are empty. No cell holds a comma."""
    joined = b",".join(cells)
    if joined.strip() and not joined.translate(None, IN_JSON):
        with contextlib.suppress(orjson.JSONDecodeError):  # its numbers are ours, but for `007`, `+1`, `.5` and `1.`
            return np.fromiter(orjson.loads(b"[%b]" % joined), np.float64, len(cells)), 0
    joined = b",%b," % joined
    found = NUMBERS.findall(joined)
    return np.fromiter(map(float, found), np.float64, len(found)), len(EMPTY.findall(joined))

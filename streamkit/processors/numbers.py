r"""Numbers out of bytes: lines of JSON or rows of CSV in, columns of floats out.

    reader = number_reader("application/x-ndjson")
    reader.feed(b'{"t": 20.5, "h": 0.4}\n{"t": 2')     # Rows(1, {'t': [20.5], 'h': [0.4]})
    reader.bad, reader.bad_lines                        # (0, [])

Any partition of the bytes gives the same numbers. A line that is bad stops nothing: it is counted, and the first 20 are
named by their line (from 1), the byte at which they begin (from 0), and what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple, Protocol

import orjson

from streamkit.processors.processor import Unprocessable
from streamkit.processors.rows import MAX_NAMED, Columns, RowReader

__all__ = ["JSONNumbers", "NumberReader", "Rows", "TableNumbers", "number_reader"]

MAX_LINE_BYTES: Final = 1 << 20
MAX_VALUES: Final = 10_000
"""Of one line: more than that, and a megabyte of them takes fifty in memory."""
MAX_COLUMNS: Final = 100
MAX_NAME: Final = 100
BOM: Final = b"\xef\xbb\xbf"
NUMBERS: Final = frozenset({int, float})
NESTING: Final = (b"[", b"{", b'"')
BLANK: Final = b" \t\r"


class Rows(NamedTuple):
    """So many rows, and the numbers in their columns. Where rows are mere numbers, the column has no name: `""`."""

    number: int
    columns: dict[str, list[float]]


class NumberReader(Protocol):
    """Either of those below."""

    @property
    def bad(self) -> int:
        """Lines that could not be read."""

    @property
    def bad_lines(self) -> list[dict[str, Any]]:
        """The first 20 of them: `line` and `byte` at which they begin, `reason`."""

    def feed(self, data: bytes) -> Rows:
        """The rows that these bytes complete. Raises Unprocessable where nothing can come of it any more."""

    def close(self) -> Rows:
        """All has come: the last row, if it has no line end."""


def number_reader(content_type: str) -> NumberReader:
    """Rows of CSV for `text/csv`, lines of JSON for everything else.

    >>> from streamkit.processors.numbers import number_reader
    >>> number_reader("text/csv; charset=utf-8").feed(b"t,h\\n20.5,0.4\\n21,\\n")
    Rows(number=2, columns={'t': [20.5, 21.0], 'h': [0.4]})
    """
    media_type = content_type.partition(";")[0].strip().lower()
    return TableNumbers() if media_type == "text/csv" else JSONNumbers()


class JSONNumbers:
    r"""Lines of JSON, each a number, or each an object: which of the two, the first good line says. Of an object, the
    members that are numbers are cells of the columns of their names; others are left out.

        >>> from streamkit.processors.numbers import JSONNumbers
        >>> reader = JSONNumbers()
        >>> reader.feed(b'1\n2.5\n\nNaN\n')
        Rows(number=2, columns={'': [1.0, 2.5]})
        >>> reader.bad_lines
        [{'line': 4, 'byte': 7, 'reason': 'not JSON'}]

    A line is bad that is neither; that is no JSON, as NaN, Infinity and 1e999 are none (RFC 8259 section 6); that has
    more than 1 MiB or 10,000 values; and an object with a name that is empty or longer than 100 characters, or that
    would make more than 100 columns. Blank lines are none. A line ends with LF; the last one may lack it.
    """

    def __init__(self) -> None:
        self.bad = 0
        self.bad_lines: list[dict[str, Any]] = []
        self._rest = bytearray()  # of a line that has not ended
        self._line = 1  # the one in which _rest begins
        self._byte = 0  # where it begins
        self._begun = False  # past a BOM
        self._skipping = False  # _rest is of a line that is too long
        self._kind: Literal["number", "object"] | None = None  # what the lines are
        self._names: set[str] = set()

    def feed(self, data: bytes) -> Rows:
        """See NumberReader."""
        if not self._begun:
            self._rest += data
            if len(self._rest) < len(BOM) and BOM.startswith(self._rest):
                return Rows(0, {})
            data = self._past_bom()
        end = data.rfind(b"\n") + 1
        found = Rows(0, {})
        if end:
            found = self._block(bytes(self._rest + data[:end]))
            self._rest.clear()
        self._rest += data[end:]
        if self._skipping or len(self._rest) > MAX_LINE_BYTES:
            self._skip()
        return found

    def close(self) -> Rows:
        """See NumberReader."""
        if not self._begun:
            self._rest += self._past_bom()
        last = bytes(self._rest)
        self._rest.clear()
        return self._block(last)

    def _past_bom(self) -> bytes:
        self._begun = True
        data = bytes(self._rest)
        self._rest.clear()
        self._byte = len(BOM) if data.startswith(BOM) else 0
        return data[self._byte :]

    def _skip(self) -> None:
        """What came of a line that is too long is let go; the line is counted once."""
        if not self._skipping:
            self._is_bad(f"more than {MAX_LINE_BYTES} bytes")
        self._skipping = True
        self._byte += len(self._rest)
        self._rest.clear()

    def _block(self, block: bytes) -> Rows:
        """Whole lines, the last one perhaps without its end."""
        if self._skipping and block:
            skipped, _, block = block.partition(b"\n")
            self._past(skipped)
            self._skipping = False
        numbers = self._in_bulk(block)
        if numbers is not None:
            self._line += len(numbers)
            self._byte += len(block)
            return Rows(len(numbers), {"": numbers})
        columns: dict[str, list[float]] = {}
        rows = 0
        for line in block.removesuffix(b"\n").split(b"\n") if block else ():
            if line.strip(BLANK):
                reason = self._row(line, columns)
                rows += not reason
                if reason:
                    self._is_bad(reason)
            self._past(line)
        return Rows(rows, columns)

    def _in_bulk(self, block: bytes) -> list[float] | None:
        """The lines, if all of them are numbers; else nothing has been done."""
        if self._kind == "object" or not 0 < len(block) <= MAX_LINE_BYTES or any(sign in block for sign in NESTING):
            return None
        lines = block.removesuffix(b"\n")
        try:
            found = orjson.loads(b"[%b]" % lines.replace(b"\n", b","))
        except orjson.JSONDecodeError:
            return None
        if len(found) != lines.count(b"\n") + 1 or not NUMBERS.issuperset(map(type, found)):
            return None
        self._kind = "number"
        return list(map(float, found))

    def _row(self, line: bytes, columns: dict[str, list[float]]) -> str:
        """Its numbers go into the columns; or what is wrong with it."""
        if len(line) > MAX_LINE_BYTES:
            return f"more than {MAX_LINE_BYTES} bytes"
        if len(line) > MAX_VALUES and sum(map(line.count, (b",", b"[", b"{"))) > MAX_VALUES:
            return f"more than {MAX_VALUES} values"
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            return "not JSON"
        if type(value) in NUMBERS and self._kind != "object":
            self._kind = "number"
            columns.setdefault("", []).append(float(value))
            return ""
        if type(value) is not dict or self._kind == "number":
            return f"not {self._kind or 'number or object'}"
        return self._cells({name: float(cell) for name, cell in value.items() if type(cell) in NUMBERS}, columns)

    def _cells(self, cells: dict[str, float], columns: dict[str, list[float]]) -> str:
        new = cells.keys() - self._names
        if not all(0 < len(name) <= MAX_NAME for name in new):
            return f"a name that is not 1 to {MAX_NAME} characters long"
        if len(self._names) + len(new) > MAX_COLUMNS:
            return f"more than {MAX_COLUMNS} columns in all"
        self._kind = "object"
        self._names |= new
        for name, cell in cells.items():
            columns.setdefault(name, []).append(cell)
        return ""

    def _past(self, line: bytes) -> None:
        self._line += 1
        self._byte += len(line) + 1

    def _is_bad(self, reason: str) -> None:
        self.bad += 1
        if len(self.bad_lines) < MAX_NAMED:
            self.bad_lines.append({"line": self._line, "byte": self._byte, "reason": reason})

    def __repr__(self) -> str:
        return f"<JSONNumbers: line {self._line}, {self.bad} bad ones>"


class TableNumbers:
    r"""Rows of CSV under a row of names, as `streamkit.processors.rows.RowReader` reads them. A cell that is no finite
    number, or none at all, is missing.

        >>> from streamkit.processors.numbers import TableNumbers
        >>> reader = TableNumbers()
        >>> reader.feed(b'city,t\nRome,20.5\nOslo,\nBari\n')
        Rows(number=2, columns={'city': [], 't': [20.5]})
        >>> reader.bad_lines
        [{'line': 4, 'byte': 23, 'reason': 'cells: 1, not 2'}]

    Raises Unprocessable for a first row that cannot name columns, more than 100 of them, or one whose name has more
    than 100 characters.
    """

    def __init__(self) -> None:
        self._reader = RowReader()

    @property
    def bad(self) -> int:
        """See NumberReader."""
        return self._reader.bad_rows

    @property
    def bad_lines(self) -> list[dict[str, Any]]:
        """See NumberReader."""
        return self._reader.bad

    def feed(self, data: bytes) -> Rows:
        """See NumberReader."""
        return self._rows(self._reader.feed(data))

    def close(self) -> Rows:
        """See NumberReader."""
        return self._rows(self._reader.close())

    def _rows(self, found: Iterator[Columns]) -> Rows:
        count, columns = 0, dict[str, list[float]]()
        for cells in found:
            count += len(cells[0])
            for name, column in zip(self._reader.names, cells, strict=True):
                columns.setdefault(name, []).extend(_floats(column))
        self._check_names()
        return Rows(count, columns)

    def _check_names(self) -> None:
        names = self._reader.names
        if len(names) > MAX_COLUMNS:
            raise Unprocessable("too_many_columns", f"there may be {MAX_COLUMNS} of them")
        if any(len(name) > MAX_NAME for name in names):
            raise Unprocessable("bad_csv_header", f"a name in the first row may have {MAX_NAME} characters")

    def __repr__(self) -> str:
        return f"<TableNumbers: {self._reader.rows} rows, {self.bad} bad ones>"


def _floats(cells: list[bytes]) -> Iterator[float]:
    for cell in cells:
        try:
            number = float(cell)
        except ValueError:
            continue
        if math.isfinite(number) and b"_" not in cell:  # which Python takes within a number, and nobody else
            yield number

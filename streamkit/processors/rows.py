"""CSV (RFC 4180), read as it comes: bytes in, columns of cells out.

    bytes ──_whole──▶ rows that have ended and are well-formed ──_plain──▶ a line each, no quotes ──_sorted──▶ columns
          ──_wrong──▶ of a row that is not, why

Rows are taken many at a time, by what is quick for many: regular expressions, `bytes.split`, numpy. Any partition of
the bytes gives the same cells.

A row that is not well-formed costs its first line, and reading goes on at the next one. So a quote that is never closed
eats nothing but its own line. That takes no more than a second look at each line: one that was read as a part of a
quoted cell, and left it open, has an even number of quotes, and so leaves none open when it is read as a row; for which
it counts that a quote may stand nowhere but around a cell.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from itertools import compress, islice
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamkit.processors.processor import Unprocessable

__all__ = ["MAX_COLUMNS", "MAX_NAMED", "MAX_NAMES_BYTES", "MAX_ROW_BYTES", "Columns", "RowReader"]

MAX_ROW_BYTES: Final = 1 << 20
MAX_COLUMNS: Final = 1_000
MAX_NAMES_BYTES: Final = 1 << 17
"""Of the first row: every result repeats the names."""
MAX_NAMED: Final = 20
TOGETHER_BYTES: Final = 1 << 16
NUL, LF, CR, QUOTE, COMMA = b'\0\n\r",'
BOM: Final = b"\xef\xbb\xbf"
LINE_END: Final = re.compile(rb"\r\n|\n|\r")
LINE_ENDS: Final = re.compile(rb"[\r\n]*+")

_PLAIN: Final = rb'[^",\r\n]*+'
_SIMPLE: Final = rb'"%b"|%b' % (_PLAIN, _PLAIN)
_QUOTED: Final = rb'"[^"]*+(?:""[^"]*+)*+"'
_CELL: Final = rb"%b|%b" % (_QUOTED, _PLAIN)
_END: Final = rb"(?:\r\n|\n|\r)"
QUOTED: Final = re.compile(_QUOTED)
CELL: Final = re.compile(rb",(%b)" % _CELL)
ROW: Final = re.compile(rb"(?:%b)(?:,(?:%b))*+" % (_CELL, _CELL))
ROW_AND_END: Final = re.compile(rb"%b%b" % (ROW.pattern, _END))
ROWS: Final = re.compile(rb"(?:%b)*+" % ROW_AND_END.pattern)
SIMPLE_ROWS: Final = re.compile(rb"(?:(?:%b)(?:,(?:%b))*+%b)*+" % (_SIMPLE, _SIMPLE, _END))
"""Whose quoted cells hold nothing for which they would have to be quoted."""

HAS_NUL: Final = "a NUL byte"
HAS_FOREIGN: Final = "bytes that are not UTF-8"
OUT_OF_QUOTES: Final = bytes.maketrans(b",\r\n", b'"  ')

Columns: TypeAlias = list[list[bytes]]
"""For each name the cells of some rows."""


class RowReader:
    r"""Reads rows under a row of `names`. What is asked of it at any time: `names`, `rows` (good ones), `bad_rows`, and
    of the first 20 bad ones where they stand and why, `bad`.

    The first row names the columns, without white space around a name: one that is empty becomes `column_3`, one that
    comes again `name_2`. Lines end with LF, CRLF or CR; empty ones are no rows; a byte order mark at the beginning is
    none of the first name. A row is bad, and none of its cells is given, if it has another number of cells than there
    are names, a NUL byte, bytes that are no UTF-8, more than 1 MiB, a quote that is not closed, or one anywhere but
    around a cell (RFC 4180 section 2.5). `line` counts lines from 1, those within quotes too, and `byte` from 0.

    Cells are given for the numbers in them: of a quoted one, a comma comes as a quote, and a line end as a space.

        >>> from streamkit.processors.rows import RowReader
        >>> reader = RowReader()
        >>> list(reader.feed(b'a,b\n1,2\n3\n"4",5\n'))
        [[[b'1', b'4'], [b'2', b'5']]]
        >>> reader.bad
        [{'line': 3, 'byte': 8, 'reason': 'cells: 1, not 2'}]

    Raises Unprocessable: `bad_csv_header` for a first row that is bad, or of more than 128 KiB, as every result repeats
    the names; `too_many_columns` beyond 1,000 of them.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.rows = 0
        self.bad_rows = 0
        self.bad: list[dict[str, Any]] = []
        self._rest = bytearray()  # a row that has not ended
        self._look_at = 1  # bytes of it: below them it has been looked at in vain
        self._data = b""
        self._at = 0  # in _data
        self._base = 0  # of _data in all bytes
        self._line = 1
        self._begun = False
        self._skipping = False  # the rest of a line that belongs to a bad row

    def feed(self, data: bytes) -> Iterator[Columns]:
        """What came with some more bytes; to be iterated to its end."""
        self._rest += data
        if len(self._rest) >= self._look_at:
            # Behind a bad row of a megabyte a megabyte may be left to be read again: not all of it at once
            yield from self._read(most=2 * len(data) + TOGETHER_BYTES)

    def close(self) -> Iterator[Columns]:
        """The last row, which may have no line end."""
        if self._rest and self._rest[-1] not in (CR, LF):
            self._rest += b"\n"
        yield from self._read(final=True)

    def _read(self, *, most: int | None = None, final: bool = False) -> Iterator[Columns]:
        """About as many bytes at the `most`."""
        self._data, self._at = bytes(self._rest), 0
        waits = yield from self._columns(len(self._data) if most is None else most, final=final)
        self._rest = bytearray(self._data[self._at :])
        self._base += self._at
        self._data, self._at = b"", 0
        # To look again at each few bytes more would take time in the square of a row's length
        self._look_at = len(self._rest) + len(self._rest) // 4 + 1 if waits else 1

    def _columns(self, most: int, *, final: bool) -> Generator[Columns, None, bool]:
        """Whether more bytes are waited for."""
        if not self._begun and not self._past_bom(final=final):
            return True
        # A CR may be half a line end
        until = len(self._data) - (not final and self._data.endswith(b"\r"))
        while self._at < min(until, most):
            if self._skipping:
                self._skip(until)
                continue
            end = self._whole(until)
            if end == self._at:
                reason = self._wrong(until, final=final)
                if not reason:
                    return True
                self._is_bad(reason)
                self._skipping = True
            elif not self.names:
                self._read_names(end)
            else:
                columns = self._sorted(self._data[self._at : end])
                self._pass(end)
                if columns:
                    yield columns
        return self._at >= until

    def _past_bom(self, *, final: bool) -> bool:
        if len(self._data) < len(BOM) and BOM.startswith(self._data) and not final:
            return False
        self._begun = True
        self._at = len(BOM) if self._data.startswith(BOM) else 0
        return True

    def _pass(self, end: int) -> None:
        self._line += _line_ends(self._data[self._at : end])
        self._at = end

    def _skip(self, until: int) -> None:
        """To the line's end, if it has come."""
        found = LINE_END.search(self._data, self._at)
        self._skipping = found is None or found.start() >= until
        self._pass(found.end() if found and not self._skipping else until)

    # -- rows that are well-formed -------------------------------------------------------------------------------------

    def _whole(self, until: int) -> int:
        """Where those end that begin here: some that are whole, well-formed and within the bound."""
        for most in (TOGETHER_BYTES, MAX_ROW_BYTES):
            end = self._ended(min(until, self._at + most + 1))
            if end > self._at:
                break
        return end

    def _ended(self, until: int) -> int:
        data, at = self._data, self._at
        if data.find(b'"', at, until) >= 0:
            found = ROWS.match(data, at, until)
            end = found.end() if found else at
        else:
            end = max(data.rfind(b"\n", at, until), data.rfind(b"\r", at, until)) + 1
        if at < end < len(data) and data[end - 1] == CR and data[end] == LF:
            end += 1
        return max(at, end)

    def _read_names(self, end: int) -> None:
        """Out of the first row that is not empty, if there is one before `end`."""
        blank = LINE_ENDS.match(self._data, self._at, end)
        self._pass(blank.end() if blank else end)
        found = ROW_AND_END.match(self._data, self._at, end)
        if not found:
            return
        content = found[0].rstrip(b"\r\n")
        if len(content) > MAX_NAMES_BYTES:
            self._is_bad(f"more than {MAX_NAMES_BYTES} bytes")
        cells = [cell[1] for cell in islice(CELL.finditer(b"," + content), MAX_COLUMNS + 1)]
        if b"\0" in content:
            self._is_bad(HAS_NUL)
        if not _is_utf8(content):
            self._is_bad(HAS_FOREIGN)
        if len(cells) > MAX_COLUMNS:
            raise Unprocessable("too_many_columns", f"send at most {MAX_COLUMNS} columns")
        self.names = _names(cells)
        self._pass(found.end())

    def _sorted(self, block: bytes) -> Columns:
        """The cells of the good rows; bad ones are named."""
        plain = _plain(block)
        array = np.frombuffer(plain, np.uint8)
        ends = array[np.flatnonzero((array == LF) | (array == COMMA))] == LF
        columns, rows = len(self.names), len(ends) // len(self.names)
        alike = len(ends) == rows * columns and ends.sum() == rows and ends[columns - 1 :: columns].all()
        if not alike or columns == 1 or b"\0" in plain or not _is_utf8(plain):
            good = self._good(block, plain, np.diff(np.flatnonzero(ends), prepend=-1))
            rows = int(good.sum())
            plain = b"".join(line + b"\n" for line in compress(plain.split(b"\n"), good))
        self.rows += rows
        cells = plain.replace(b"\n", b",").split(b",")
        return [cells[column:-1:columns] for column in range(columns)] if rows else []

    def _good(self, block: bytes, plain: bytes, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows, of so many cells each, are neither bad nor empty."""
        array = np.frombuffer(plain, np.uint8)
        ends = np.flatnonzero(array == LF)
        empty = np.diff(ends, prepend=-1) == 1
        nul = _lines_with(array == NUL, ends)
        foreign = np.zeros_like(nul) if _is_utf8(plain) else _lines_with_foreign(plain)
        bad = (nul | foreign | (cells != len(self.names))) & ~empty
        numbers = np.flatnonzero(bad)
        self.bad_rows += len(numbers)
        for number, start in _starts(block, numbers[: MAX_NAMED - len(self.bad)]):
            counted = f"cells: {cells[number]}, not {len(self.names)}"
            self._name(HAS_NUL if nul[number] else HAS_FOREIGN if foreign[number] else counted, start)
        good: NDArray[np.bool_] = ~(bad | empty)
        return good

    # -- and others ----------------------------------------------------------------------------------------------------

    def _wrong(self, until: int, *, final: bool) -> str:
        """Of a row that `_whole` leaves: what is wrong with it; nothing if more bytes may end it."""
        data, at = self._data, self._at
        found = ROW.match(data, at, until) if data.find(b'"', at, until) >= 0 else None
        stop = found.end() if found else until
        opened = stop < until and data[stop] == QUOTE and (stop == at or data[stop - 1] == COMMA)
        if (until if opened else stop) - at > MAX_ROW_BYTES:
            return f"more than {MAX_ROW_BYTES} bytes"
        if opened:
            return "a quote that is not closed" if final else ""
        return "a quote that is not around a cell" if stop < until else ""

    def _is_bad(self, reason: str) -> None:
        """The row that begins here."""
        if not self.names:
            raise Unprocessable("bad_csv_header", f"name the columns in the first row (RFC 4180); it has {reason}")
        self.bad_rows += 1
        self._name(reason, 0)

    def _name(self, reason: str, start: int) -> None:
        """A bad row that begins at `start`, from here."""
        if len(self.bad) < MAX_NAMED:
            line = self._line + _line_ends(self._data[self._at : self._at + start])
            self.bad.append({"line": line, "byte": self._base + self._at + start, "reason": reason})


def _plain(block: bytes) -> bytes:
    """Rows as lines: without quotes, each with LF behind it and nowhere else."""
    if b'"' in block:
        simple = SIMPLE_ROWS.match(block)
        if simple and simple.end() == len(block):
            block = block.replace(b'""', b" ").translate(None, b'"')
        else:
            block = QUOTED.sub(_unquoted, block)
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return block


def _unquoted(found: re.Match[bytes]) -> bytes:
    """Never empty: a line that is empty is no row, and one with an empty cell is."""
    return found[0][1:-1].translate(OUT_OF_QUOTES) or b" "


def _starts(block: bytes, numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Of the rows of these numbers: number, and where it begins."""
    wanted = set(numbers.tolist())
    if wanted:
        rows = islice(ROW_AND_END.finditer(block), max(wanted) + 1)
        yield from ((number, row.start()) for number, row in enumerate(rows) if number in wanted)


def _lines_with(found: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the lines with these ends hold any of what was found."""
    lines = np.zeros(len(ends), np.bool_)
    lines[np.searchsorted(ends, np.flatnonzero(found))] = True
    return lines


def _lines_with_foreign(plain: bytes) -> NDArray[np.bool_]:
    """Which lines are not UTF-8. Decoded, each byte that is none of it is a lone surrogate, and nothing else is one."""
    text = plain.decode(errors="surrogateescape")
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return _lines_with((codes >= 0xDC80) & (codes <= 0xDCFF), np.flatnonzero(codes == LF))


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _line_ends(data: bytes) -> int:
    returns = data.count(b"\r")
    return data.count(b"\n") + (returns - data.count(b"\r\n") if returns else 0)


def _names(cells: list[bytes]) -> list[str]:
    """Each once."""
    names: dict[str, None] = {}
    for number, cell in enumerate(cells, 1):
        if cell.startswith(b'"'):
            cell = cell[1:-1].replace(b'""', b'"')
        name = cell.decode().strip() or f"column_{number}"
        again, unique = 1, name
        while unique in names:
            again += 1
            unique = f"{name}_{again}"
        names[unique] = None
    return list(names)

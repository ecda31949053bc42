"""What RowReader has to give, byte by byte and all at once: slow, and easily read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LINE_ENDS = b"\r\n"


class BadHeader(Exception):
    """Its first row cannot name columns."""


@dataclass
class Read:
    """What came of it."""

    names: int = 0
    good: list[list[bytes]] = field(default_factory=list)
    bad: list[dict[str, Any]] = field(default_factory=list)


def read(data: bytes, max_row_bytes: int) -> Read:
    if data and data[-1] not in LINE_ENDS:
        data += b"\n"
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    line, found = 1, Read()
    while at < len(data):
        if data[at] in LINE_ENDS:
            at, line = behind_line_end(data, at), line + 1
            continue
        cells, stop, reason = row(data, at, max_row_bytes)
        if reason:
            end = at
            while data[end] not in LINE_ENDS:
                end += 1
            end = behind_line_end(data, end)
        else:
            end = behind_line_end(data, stop)
            reason = unfit(data[at:stop], cells, found.names)
        if not reason and not found.names:
            found.names = len(cells)
        elif not reason:
            found.good.append(cells)
        elif found.names:
            found.bad.append({"line": line, "byte": at, "reason": reason})
        else:
            raise BadHeader(reason)
        line += lines(data[at:end])
        at = end
    return found


def unfit(content: bytes, cells: list[bytes], names: int) -> str:
    if 0 in content:
        return "a NUL byte"
    try:
        content.decode()
    except UnicodeDecodeError:
        return "bytes that are not UTF-8"
    return f"cells: {len(cells)}, not {names}" if names and len(cells) != names else ""


def row(data: bytes, at: int, max_row_bytes: int) -> tuple[list[bytes], int, str]:
    """Its cells, where it stops, and what is wrong with its quotes or its length."""
    cells, stop = [], at
    too_long = f"more than {max_row_bytes} bytes"
    while True:
        if data[stop] == ord('"'):
            start, stop = stop, behind_quotes(data, stop)
            if stop > len(data):
                return [], stop, too_long if len(data) - at > max_row_bytes else "a quote that is not closed"
            cells.append(without_quotes(data[start:stop]))
        else:
            start = stop
            while data[stop] not in b',"\r\n':
                stop += 1
            cells.append(data[start:stop])
        if stop - at > max_row_bytes:
            return [], stop, too_long
        if data[stop] in LINE_ENDS:
            return cells, stop, ""
        if data[stop] != ord(","):
            return [], stop, "a quote that is not around a cell"
        stop += 1


def behind_quotes(data: bytes, at: int) -> int:
    """Behind the quote that closes the one here; beyond the data if none does."""
    at += 1
    while at < len(data):
        if data[at] == ord('"'):
            if data[at + 1 : at + 2] != b'"':
                return at + 1
            at += 1
        at += 1
    return len(data) + 1


def without_quotes(cell: bytes) -> bytes:
    """As RowReader gives them."""
    return bytes({ord(","): ord('"'), 13: 32, 10: 32}.get(byte, byte) for byte in cell[1:-1]) or b" "


def behind_line_end(data: bytes, at: int) -> int:
    return at + (2 if data[at : at + 2] == b"\r\n" else 1)


def lines(data: bytes) -> int:
    return len(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")) - 1

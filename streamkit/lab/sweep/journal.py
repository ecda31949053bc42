"""The file of a sweep: JSON Lines, a head and then a line for each trial that is done, written as soon as it is.

    {"streamkit": "sweep", "version": 1, "trial": "lab.trial", "settings": […], "repeats": 6, "seed": 0, "crc32": …}
    {"order": 0, "repeat": 0, "parameters": {…}, "seed": …, "metrics": {…}, "error": null, …, "crc32": "9a1b2c3d"}
    …
    {"repeats": 12, "crc32": …}                     more rounds were wanted later

Each line ends in the CRC-32 of what stands before it. A process that is killed leaves whole lines and at most one that
is not: it is cut off when the sweep goes on, and its trial is done again; so is that of any other line which is not
whole. What a machine that loses its power had not written yet is lost.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from streamkit.errors import RecordingFormatError
from streamkit.lab.recording.lines import GZIP, BadLineError, decode, encode, read_lines

__all__ = ["Journal", "read"]

VERSION: Final = 1
BEGINS: Final = b'{"streamkit":"sweep",'
_HEAD: Final = {"trial": str, "settings": list, "repeats": int, "seed": int}
_ROW: Final = {"order": int, "repeat": int, "parameters": dict, "seed": int, "metrics": dict}


class Journal:
    """The file of one sweep, open, and ours alone until `close()`. `rows`: what had been done before.

    Raises OSError if it cannot be opened, BlockingIOError where another sweep is writing it, RecordingFormatError for
    a file of something else, ValueError for one of another sweep.
    """

    def __init__(self, path: str | os.PathLike[str], head: Mapping[str, Any]) -> None:
        self._file = Path(path).open("a+b")  # noqa: SIM115  # as long as we are; `close()` closes it
        try:
            self.rows = self._go_on(Path(path), head)
        except BaseException:
            self._file.close()
            raise

    def _go_on(self, path: Path, head: Mapping[str, Any]) -> list[dict[str, Any]]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f"{path.name} is being written by another sweep: wait for it, or take another path"
            ) from None
        if not _is_begun(path):  # new, or killed before its head was whole
            self._file.truncate(0)
            self.write({"streamkit": "sweep", "version": VERSION, **head})
            return []
        was, rows, _, whole_bytes = read(path)
        _check_same(path.name, was, head)
        self._file.truncate(whole_bytes)
        if head["repeats"] > was["repeats"]:
            self.write({"repeats": head["repeats"]})
        return rows

    def write(self, record: Mapping[str, Any]) -> None:
        """One line, handed to the kernel at once."""
        self._file.write(encode(record))
        self._file.flush()

    def close(self) -> None:
        """Also lets others write it."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[dict[str, Any]], list[str], int]:
    """The head, the rows, what was left out, and how many bytes there are up to the end of the last line's.

    Raises OSError if it cannot be read, RecordingFormatError if it is not the file of a sweep.
    """
    name, (first, *lines) = Path(path).name, list(read_lines(path)) or [b""]
    head, rows, left_out = _decoded(first), [], []
    if head is None or head.get("streamkit") != "sweep" or head.get("version") != VERSION or not _fits(head, _HEAD):
        raise RecordingFormatError(f"expected the file of a sweep (version {VERSION}) in {name}, got something else")
    for number, line in enumerate(lines, start=2):
        record = _decoded(line)
        if record is not None and _fits(record, _ROW):
            rows.append(record)
        elif record is not None and record.keys() == {"repeats"}:
            head["repeats"] = record["repeats"]
        else:
            left_out.append(f"line {number} of {name} is not whole")
    torn = len(lines[-1]) if lines and not lines[-1].endswith(b"\n") else 0
    return head, rows, left_out, sum(map(len, [first, *lines])) - torn


def _is_begun(path: Path) -> bool:
    """Not where there is nothing, or the beginning of a head; what else there is, is somebody's."""
    with path.open("rb") as file:
        line = file.readline()
    if line.startswith(GZIP):
        raise RecordingFormatError(f"{path.name} is compressed, and cannot be added to: unpack it (gunzip) first")
    return line.endswith(b"\n") or not (BEGINS.startswith(line) or line.startswith(BEGINS))


def _check_same(name: str, was: Mapping[str, Any], head: Mapping[str, Any]) -> None:
    other = [field for field in ("trial", "settings", "seed") if was[field] != head[field]]
    if other:
        called = {"settings": "grid"}
        told = "; ".join(f"its {called.get(field, field)} is {was[field]!r}, not {head[field]!r}" for field in other)
        raise ValueError(f"expected {name} to be this sweep's file, got another's: {told}. Take another path")


def _fits(record: Mapping[str, Any], kinds: Mapping[str, type]) -> bool:
    return all(isinstance(record.get(name), kind) for name, kind in kinds.items())


def _decoded(line: bytes) -> dict[str, Any] | None:
    """None if it is not whole, its end included: the next one would be written behind it."""
    if not line.endswith(b"\n"):
        return None
    try:
        return {name: value for name, value in decode(line.removesuffix(b"\n")).items() if name != "crc32"}
    except BadLineError:
        return None

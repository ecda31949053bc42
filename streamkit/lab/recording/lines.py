"""Files of JSON Lines: each line ends in the CRC-32 of what stands before it, and a file is there whole or not at all.

    {"n": 0, "at_ns": …, "crc32": "9a1b2c3d"}

A flipped bit inside a text would otherwise load as a different text. A file whose name ends in `.gz` is written
compressed (gzip), a tenth as large; what is compressed is read as such, whatever its name.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import uuid
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

__all__ = ["GZIP", "BadLineError", "decode", "encode", "read_lines", "replace_file", "write_whole"]

GZIP: Final = b"\x1f\x8b"
"""What a compressed file begins with (RFC 1952); none of ours does, which is ASCII."""
_PART: Final = 65_536
_CRC = re.compile(rb',"crc32":"([0-9a-f]{8})"}\Z')


class BadLineError(Exception):
    """A line that is not whole or not of the format; the text says why."""


def encode(line: Mapping[str, Any]) -> bytes:
    """As a line with its checksum. ASCII only: a lone surrogate, which UTF-8 cannot carry, survives as an escape."""
    body = json.dumps(line, separators=(",", ":"), allow_nan=False).encode("ascii")[:-1]
    return b'%s,"crc32":"%08x"}\n' % (body, zlib.crc32(body))


def decode(line: bytes) -> dict[str, Any]:
    """What `encode` was given. Raises BadLineError for a line that is not whole."""
    found = _CRC.search(line)
    if found is None:
        raise BadLineError("is cut off or holds no checksum" if line else "is empty")
    if int(found[1], 16) != zlib.crc32(line[: found.start()]):
        raise BadLineError("does not match its checksum")
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLineError("is not JSON") from None
    if not isinstance(record, dict):
        raise BadLineError("is not a JSON object")
    return record


def write_whole(path: str | os.PathLike[str], lines: Iterable[Mapping[str, Any]]) -> None:
    """Write these lines to a file, whole or not at all; compressed if its name ends in `.gz`."""
    if Path(path).suffix == ".gz":  # without name and time in it: the same lines are the same file
        replace_file(path, [gzip.compress(b"".join(map(encode, lines)), mtime=0)])
    else:
        replace_file(path, map(encode, lines))


def read_lines(path: str | os.PathLike[str]) -> Generator[bytes, None, None]:
    """The lines of a file with their ends, uncompressed, one at a time.

    Of a compressed one that is damaged they are as many as come before the damage: which of them are whole, their
    checksums tell. Raises OSError if it cannot be read.
    """
    with Path(path).open("rb") as file:
        compressed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        yield from _unzipped(file) if compressed else file


def _unzipped(file: IO[bytes]) -> Iterator[bytes]:
    left, unzip = b"", zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # gzip's head and checksum around it
    with contextlib.suppress(zlib.error):
        while part := file.read(_PART):
            *lines, left = (left + unzip.decompress(part)).split(b"\n")
            yield from (line + b"\n" for line in lines)
    if left:
        yield left


def replace_file(path: str | os.PathLike[str], parts: Iterable[bytes]) -> None:
    """Write a new file beside `path`, and move it into its place when it is whole."""
    target = Path(path).resolve()
    unfinished = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)

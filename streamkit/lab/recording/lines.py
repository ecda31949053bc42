"""Files of JSON Lines: each line ends in the CRC-32 of what stands before it, and a file is there whole or not at all.

    {"n": 0, "at_ns": …, "crc32": "9a1b2c3d"}

A flipped bit inside a text would otherwise load as a different text.
"""

from __future__ import annotations

import json
import os
import re
import uuid
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["BadLineError", "decode", "encode", "replace_file", "write_whole"]

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
    """Write these lines to a file, whole or not at all."""
    replace_file(path, map(encode, lines))


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

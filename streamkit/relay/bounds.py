"""JSON that is small as text and large in memory: what is refused before it is parsed. No I/O."""

from __future__ import annotations

from typing import Final

__all__ = ["CROWDED_BYTES", "is_crowded"]

CROWDED_BYTES: Final = 65_536
"""Below this size nothing is looked at: whatever stands in it, it takes a few megabytes and a few milliseconds."""
MAX_CONTAINERS: Final = 49_152  # objects and lists, of some 250 bytes each even if they are empty
MAX_COMMAS: Final = 131_072


def is_crowded(data: str | bytes) -> bool:
    """Whether `data`, as JSON, might hold more values than memory and time should be spent on.

    A megabyte of empty objects is 350,000 of them: 56 MB, and a quarter of a second of everybody else's time. They are
    counted without parsing, so brackets and commas within strings count too; the bounds are far beyond those of a
    megabyte of prose or code.
    """
    if len(data) < CROWDED_BYTES:
        return False
    return _count(data, "{") + _count(data, "[") > MAX_CONTAINERS or _count(data, ",") > MAX_COMMAS


def _count(data: str | bytes, character: str) -> int:
    return data.count(character) if isinstance(data, str) else data.count(character.encode())

"""What all formats take, and values as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeAlias

from streamkit.lab.recording.recording import Recording

__all__ = ["Recordings", "dumped", "several"]

Recordings: TypeAlias = Recording | Iterable[Recording]
"""One recording or several, such as a `RecordingSet`."""


def several(given: Recordings) -> list[Recording]:
    """As a list. Raises TypeError for what is no recording."""
    found = [given] if isinstance(given, Recording) else list(given) if isinstance(given, Iterable) else [given]
    for each in found:
        if not isinstance(each, Recording):
            raise TypeError(f"expected a Recording, or several, got {type(each).__name__}")
    return found


def dumped(value: Any) -> bytes:
    """As JSON (RFC 8259): no NaN, and ASCII, so that a lone surrogate survives as an escape."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"

"""Where and when a recording was made, so that numbers of different clocks are never subtracted."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from streamkit.taps.clock import clock_origin

if TYPE_CHECKING:
    from streamkit.lab.recording.recorded import Recorded

__all__ = ["describe", "started_at"]


def describe(method: str) -> dict[str, Any]:
    """The metadata of a recording that starts now; JSON values only."""
    return {
        "clock": "time.monotonic_ns",
        "origin": clock_origin(),
        "started_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "method": method,
        **_software(),
    }


def started_at(recording: Recorded) -> datetime | None:
    """When it was begun, by the wall clock; None where the recording does not know."""
    told = recording.meta.get("started_at")
    try:
        at = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)


@cache
def _software() -> dict[str, str]:
    try:
        streamkit = version("streamkit")
    except PackageNotFoundError:
        streamkit = "not installed"
    return {
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "streamkit": streamkit,
    }

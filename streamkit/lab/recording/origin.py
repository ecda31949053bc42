"""Where and when a recording was made, so that numbers of different clocks are never subtracted."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from streamkit.taps.clock import clock_origin

__all__ = ["describe"]


def describe(method: str) -> dict[str, Any]:
    """The metadata of a recording that starts now; JSON values only."""
    return {
        "clock": "time.monotonic_ns",
        "origin": clock_origin(),
        "started_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "method": method,
        **_software(),
    }


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

"""Where and when a recording was made, so that numbers of different clocks are never subtracted."""

from __future__ import annotations

import hashlib
import platform
import uuid
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["clock_origin", "describe"]


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
def clock_origin() -> str:
    """Names the zero of this machine's monotonic clock: two records may be compared only if theirs are equal.

    On Linux that zero is the boot, the same for all processes (clock_gettime(2)); the boot id is hashed, since a
    recording is made to be shown around. Elsewhere each process counts as its own.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return f"process-{uuid.uuid4().hex[:16]}"
    return f"boot-{hashlib.sha256(boot.encode('ascii')).hexdigest()[:16]}"


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

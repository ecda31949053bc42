"""Which clock a number is of, so that numbers of different clocks are never subtracted."""

from __future__ import annotations

import hashlib
import uuid
from functools import cache
from pathlib import Path

__all__ = ["clock_origin"]


@cache
def clock_origin() -> str:
    """Names the zero of this machine's monotonic clock: two records may be compared only if theirs are equal.

    On Linux that zero is the boot, the same for all processes (clock_gettime(2)); the boot id is hashed, since records
    are made to be shown around. Elsewhere each process counts as its own.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return f"process-{uuid.uuid4().hex[:16]}"
    return f"boot-{hashlib.sha256(boot.encode('ascii')).hexdigest()[:16]}"

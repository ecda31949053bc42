"""How much memory a gateway takes that was started here (Linux; elsewhere it is not known)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from streamkit.sockets import resident_bytes

__all__ = ["Room", "flood_bytes", "group_of", "process_of"]

PROC: Final = Path("/proc")
BUFFERS: Final = PROC / "sys" / "net" / "ipv4"
LEAST_BYTES, MOST_BYTES = 32_000_000, 128_000_000
OWN_BYTES: Final = 16_000_000
"""What a gateway may hold by itself."""


class Room:
    """The resident memory of the processes that `pids` finds, shared pages counted in each."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids

    def bytes(self) -> int | None:
        """Now; None where that is not known."""
        found = [size for pid in self._pids() if (size := resident_bytes(pid)) is not None]
        return sum(found) if found else None


def flood_bytes() -> int:
    """More than the kernel's buffers of two connections may grow to (tcp(7): tcp_rmem, tcp_wmem), and a little more."""
    try:
        most = sum(int((BUFFERS / name).read_text().split()[2]) for name in ("tcp_rmem", "tcp_wmem"))
    except (OSError, ValueError, IndexError):
        most = 0
    return min(max(LEAST_BYTES, 2 * most + OWN_BYTES), MOST_BYTES)


def process_of(pid: int) -> Iterator[int]:
    """That one alone."""
    yield pid


def group_of(group: int) -> Iterator[int]:
    """All processes of a group (proc_pid_stat(5))."""
    with contextlib.suppress(OSError):
        for name in os.listdir(PROC):  # noqa: PTH208  # names are all that is wanted, and there are hundreds
            if name.isdigit() and _group(name) == group:
                yield int(name)


def _group(pid: str) -> int | None:
    try:
        return int((PROC / pid / "stat").read_text().rpartition(")")[2].split()[2])
    except (OSError, ValueError, IndexError):
        return None

"""How many streams may be open at a time: each takes descriptors, of which a process may have so many."""

from __future__ import annotations

import os
import sys
from typing import Final

from streamkit.errors import ConfigError

__all__ = ["SPARE", "check_room", "descriptors_of", "most_open", "too_many"]

SPARE: Final = 64
"""Descriptors that are left to everything else: files, figures, the notebook's kernel."""
FEW: Final = 1024
"""Where nothing says how many a process may have."""


def most_open(each: int) -> int:
    """How many streams this process can have open beside what it has open now, where one takes `each` descriptors."""
    return max(0, (limit() - max(0, descriptors_of(os.getpid())) - SPARE) // each)


def check_room(at_once: int, most: int, each: int) -> None:
    """Raise ConfigError where so many are to be open at once for certain, and cannot be."""
    if at_once > most:
        raise ConfigError(too_many(most, each, at_once))


def too_many(most: int, each: int, wanted: int) -> str:
    """What is wrong, and what to set."""
    need = wanted * each + descriptors_of(os.getpid()) + SPARE
    of_one = "a stream takes one" if each == 1 else f"a stream takes {each}, as its servers are in this process too"
    return (
        f"expected at most {most:,} streams open at a time, got {wanted:,}: this process may have {limit():,} "
        f"descriptors ({of_one}). Set `ulimit -n {need}` before it starts, or in it "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({need}, {need})); or give a lower rate, or max_open="
    )


def limit() -> int:
    """How many descriptors this process may have."""
    if sys.platform == "win32":
        return FEW
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def descriptors_of(pid: int) -> int:
    """How many a process has open; -1 where that is not known."""
    folder = f"/proc/{pid}/fd"
    try:
        return os.stat(folder).st_size or len(os.listdir(folder))  # noqa: PTH116, PTH208  # Linux 6.2 tells it as the size
    except OSError:
        return -1

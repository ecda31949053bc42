"""How numbers, sizes and names are said in a title."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

__all__ = ["byte_size", "duration", "short"]

SECONDS_FROM_MS: Final = 100_000.0  # times are shown in ms; from here on six digits read worse than seconds


NAME_LIMIT: Final = 24


def duration(ns: float, unit: bool = True) -> str:
    """Nanoseconds as text: `0.032 ms`, `0.32 ms`, `3.2 ms`, `1,234 ms`, and seconds from 100 s on (`180 s`)."""
    ms = ns / 1e6
    if abs(ms) >= SECONDS_FROM_MS:
        return f"{ms / 1e3:,.0f}{' s' if unit else ''}"
    places = 0 if ms == 0 else sum(abs(ms) < limit for limit in (9.95, 0.995, 0.0995))
    return f"{ms:,.{places}f}{' ms' if unit else ''}"


def of(some: int, total: int) -> str:
    return both(total) if some == total else f"{some} of {total}"


def both(total: int) -> str:
    return "Both" if total == 2 else f"All {total}"


def listed(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 3 else [*names[:2], f"and {len(names) - 2} more"])


def many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def short(text: str, limit: int = NAME_LIMIT) -> str:
    """At most `limit` characters; what was cut shows as an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def byte_size(count: int) -> str:
    """`512 B`, `3.8 kB`, `310 kB`, `4.2 MB`: decimal prefixes."""
    if count < 1000:
        return f"{count} B"
    for unit, name in ((1e3, "kB"), (1e6, "MB"), (1e9, "GB")):
        if count < 999.5 * unit or name == "GB":
            amount = count / unit
            return f"{amount:,.1f} {name}" if amount < 9.95 else f"{amount:,.0f} {name}"
    raise AssertionError  # the last unit takes everything

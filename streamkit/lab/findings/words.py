"""How times, sizes, counts and names are said: one way for all findings and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from streamkit.lab.metrics.words import many

__all__ = [
    "APART",
    "APART_NS",
    "NAME_LIMIT",
    "OUTCOME_LIMIT",
    "SECONDS_FROM_MS",
    "about",
    "are_apart",
    "both",
    "byte_size",
    "capital",
    "duration",
    "enumerated",
    "listed",
    "lower",
    "many",
    "of",
    "short",
]

SECONDS_FROM_MS: Final = 100_000.0  # times are shown in ms; from here on six digits read worse than seconds
NAME_LIMIT: Final = 24
OUTCOME_LIMIT: Final = 32  # an error's code is the provider's own text
APART: Final = 1.1  # two amounts are told apart in a title when one is more than a tenth larger …
APART_NS: Final = 5_000_000  # … and two times when that is more than a shared machine's noise, too


def duration(ns: float, unit: bool = True) -> str:
    """Nanoseconds as text: `0.032 ms`, `0.32 ms`, `3.2 ms`, `1,234 ms`, and seconds from 100 s on (`180 s`)."""
    ms = ns / 1e6
    if abs(ms) >= SECONDS_FROM_MS:
        return f"{ms / 1e3:,.0f}{' s' if unit else ''}"
    places = 0 if ms == 0 else sum(abs(ms) < limit for limit in (9.95, 0.995, 0.0995))
    return f"{ms:,.{places}f}{' ms' if unit else ''}"


def about(ns: float) -> str:
    """Nanoseconds to two digits or so: `0.32 ms`, `320 ms`, `3.2 s`, `32 s`."""
    seconds = ns / 1e9
    if abs(seconds) < 0.9995:
        return duration(ns)
    return f"{seconds:,.1f} s" if abs(seconds) < 9.95 else f"{seconds:,.0f} s"


def are_apart(low_ns: float, high_ns: float) -> bool:
    """Whether a title may tell these two times apart."""
    return high_ns > APART * low_ns and high_ns - low_ns > APART_NS


def byte_size(count: int) -> str:
    """`512 B`, `3.8 kB`, `310 kB`, `4.2 MB`: decimal prefixes."""
    if count < 1000:
        return f"{count} B"
    for unit, name in ((1e3, "kB"), (1e6, "MB"), (1e9, "GB")):
        if count < 999.5 * unit or name == "GB":
            amount = count / unit
            return f"{amount:,.1f} {name}" if amount < 9.95 else f"{amount:,.0f} {name}"
    raise AssertionError  # the last unit takes everything


def of(some: int, total: int) -> str:
    """`3 of 5`, `All 5`, `Both`."""
    return both(total) if some == total else f"{some} of {total}"


def both(total: int) -> str:
    """`Both`, `All 5`."""
    return "Both" if total == 2 else f"All {total}"


def listed(names: list[str]) -> str:
    """`a, b, c`, but of more than three `a, b, and 2 more`."""
    return ", ".join(names if len(names) <= 3 else [*names[:2], f"and {len(names) - 2} more"])


def enumerated(words: Sequence[str]) -> str:
    """All of them: `a`, `a and b`, `a, b and c`."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def lower(sentence: str) -> str:
    """Within another sentence."""
    return sentence[:1].lower() + sentence[1:]


def capital(words: str) -> str:
    """At a sentence's beginning."""
    return words[:1].upper() + words[1:]


def short(text: str, limit: int = NAME_LIMIT) -> str:
    """At most `limit` characters; what was cut shows as an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"

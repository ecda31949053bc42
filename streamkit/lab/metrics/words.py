"""How a time is written in a table or a reason: in ms, with as many digits as it is known to; how often, how many."""

from __future__ import annotations

__all__ = ["about_ms", "many", "ms", "times"]


def ms(value: float | None, digits: int = 1) -> str:
    """Milliseconds with so many decimals: `12.3 ms`; "–" for what is not defined."""
    return "–" if value is None else f"{value:.{digits}f} ms"


def about_ms(ns: int) -> str:
    """Nanoseconds to two digits or so: `0.32 ms`, `5.1 ms`, `320 ms`, and from 2 s on `2.1 s`, `11 s`."""
    if ns >= 2_000_000_000:
        return f"{ns / 1e9:,.1f} s" if ns < 9_950_000_000 else f"{ns / 1e9:,.0f} s"
    return f"{ns / 1e6:.0f} ms" if ns >= 10_000_000 else f"{ns / 1e6:.2g} ms"


def many(count: int, noun: str) -> str:
    """`1 piece`, `1,234 pieces`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def times(count: int) -> str:
    """How often: `once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")

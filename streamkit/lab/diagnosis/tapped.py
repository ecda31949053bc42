"""At which tap a stall was first: of the taps of the way, the first at which the same two events are as far apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streamkit.lab.metrics.curves import Curve, time_of

__all__ = ["STALL_SHARE", "first_tap", "words_of"]

STALL_SHARE: Final = 0.5
"""A stall is already there at a tap where the same two events are this much of it apart."""


def first_tap(curves: Mapping[str, Curve], passed: int, stall_ns: int) -> str | None:
    """The first of these taps, given in the order of the way, at which the stall after event `passed` was; None: at
    none.

    >>> from streamkit.lab.diagnosis.tapped import first_tap
    >>> from streamkit.lab.metrics.curves import curve
    >>> way = {"relay.read": curve([0, 20]), "client.read": curve([0, 700])}
    >>> first_tap(way, passed=1, stall_ns=700)
    'client.read'
    """
    return next((tap for tap, one in curves.items() if _pause_ns(one, passed) >= STALL_SHARE * stall_ns), None)


def words_of(curves: Mapping[str, Curve], tap: str) -> str:
    """What that says: `was there already at relay.read`, or between which two taps it arose."""
    taps = list(curves)
    if tap == taps[0]:
        return f"was the upstream's own ({tap})" if tap.startswith("upstream.") else f"was there already at {tap}"
    return f"arose between {taps[taps.index(tap) - 1]} and {tap}"


def _pause_ns(curve: Curve, passed: int) -> int:
    """The time between event number `passed` and the next one."""
    before, after = time_of(curve, max(1, passed)), time_of(curve, passed + 1)
    return 0 if before is None or after is None else after - before

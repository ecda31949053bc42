"""Whoever sends: it paused. Behind the silence the stream goes on at its usual pace, so nothing had been made
meanwhile.
"""

from __future__ import annotations

from typing import Final

from streamkit.lab.diagnosis.halts import Halt
from streamkit.lab.diagnosis.seen import Seen

__all__ = ["NONE", "model_paused", "source_paused", "without_text"]

NONE: Final = 0.3
"""Up to this share of what was due, nothing was held: the rest is a machine's noise."""
SPOKE: Final = 0.2
"""So many events, of those that were due, are an answer that goes on; fewer are news of something else."""


def without_text(halt: Halt, _: Seen) -> str | None:
    """The server spoke all the time, but not to the reader: reasoning that is not recorded, tool calls."""
    spoke = halt.other >= max(2.0, SPOKE * halt.due)
    return "events without text came" if spoke and not _came_at_once(halt) else None


def model_paused(halt: Halt, _: Seen) -> str | None:
    """Heartbeats came over the same connection: whoever sends these lives, and so does the way. Before the end, too."""
    return "heartbeats came, and no event" if halt.alive and (halt.before_end or _at_pace(halt)) else None


def source_paused(halt: Halt, _: Seen) -> str | None:
    """Nothing came, not even a part of an event, and then the usual pace."""
    return "then the usual pace" if _at_pace(halt) and not halt.parts else None


def _at_pace(halt: Halt) -> bool:
    return halt.caught_up is not None and halt.caught_up <= NONE


def _came_at_once(halt: Halt) -> bool:
    return halt.caught_up is not None and halt.caught_up > NONE

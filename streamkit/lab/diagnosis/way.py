"""What lies between: a network that loses packets, and whoever holds back what is due.

Behind such a silence all comes at once that was due meanwhile. Who held it, a client cannot see: a proxy that collects,
a network that was gone (all that is sent in such a time is lost, and repaired in order), or a server that was busy
itself. Packets that were overtaken show that the network lost some.
"""

from __future__ import annotations

from typing import Final

from streamkit.lab.diagnosis.halts import Halt
from streamkit.lab.diagnosis.seen import Seen

__all__ = ["ALL", "held", "held_somewhere", "lost_packets"]

ALL: Final = 0.6
"""From this share of what was due on, it was held: more than half, by what a busy machine spreads of a burst."""


def lost_packets(halt: Halt, _: Seen) -> str | None:
    """All came at once, and TCP counted segments that had overtaken a lost one."""
    return "segments overtook a lost one" if halt.out_of_order and held_somewhere(halt) else None


def held(halt: Halt, seen: Seen) -> str | None:
    """All came at once, and somebody tells that it had not lain here: a client that was late makes the same picture."""
    return "what was due came at once" if held_somewhere(halt) and seen.vouched else None


def held_somewhere(halt: Halt) -> bool:
    """What was due meanwhile lay somewhere ready: there, on its way, or here."""
    return halt.caught_up is not None and halt.caught_up >= ALL and halt.burst >= 2 and halt.at_once

"""This client itself: a loop that was late, a reader that is slow. A halt is tried with these first.

What proves it are bytes that were here: the kernel had stamped the event behind the halt, and nobody read it; or nobody
read for as long, and behind that came all that was due. Where one event alone came then, nothing had lain here.
"""

from __future__ import annotations

from typing import Final

from streamkit.lab.diagnosis.halts import Halt
from streamkit.lab.diagnosis.seen import Seen

__all__ = ["HALF", "HELD", "late_loop", "slow_reader", "unclear_own"]

HALF: Final = 0.5
"""Who explains half of a wait explains why it was long: without it, it would be no halt, or half of one."""
HELD: Final = 0.5
"""From this share of what was due on, it lay somewhere ready."""


def slow_reader(halt: Halt, seen: Seen) -> str | None:
    """The reader took nothing while there was something: a listener at work, or a pace of its own."""
    if halt.reader_ns >= HALF * halt.length_ns and _was_here(halt):
        return "its reader took nothing"
    return "its reader had it, and took it later" if seen.paced and _lay(halt, seen) else None


def late_loop(halt: Halt, seen: Seen) -> str | None:
    """The event loop was late, or all of Python was, while there was something to read."""
    if _lay(halt, seen):
        return "it lay unread"
    return "the loop was late" if halt.loop_ns >= HALF * halt.length_ns and _was_here(halt) else None


def unclear_own(halt: Halt, _: Seen) -> str | None:
    """Nobody read for half of it, and what came then is neither nothing nor all."""
    busy_ns = max(halt.loop_ns, halt.reader_ns)
    if busy_ns < HALF * halt.length_ns:
        return None
    return "this client did not read" if halt.caught_up is None or halt.caught_up > 1 - HELD else None


def _lay(halt: Halt, seen: Seen) -> bool:
    """The event behind it was here, for half of it.

    A stamp alone does not prove that. A read has the time of its last segment in the order of the stream: where one
    before that was lost and came again, what had waited behind it has a time long before anybody could read it. So
    where segments came out of order, or the loop was watched and was on time, somebody of this client has to have been
    late.
    """
    if halt.same_read:
        return True
    if halt.lay_ns < HALF * halt.length_ns:
        return False
    late_ns = max(halt.loop_ns, halt.reader_ns)
    return late_ns >= HALF * halt.lay_ns or not (seen.watched or halt.out_of_order)


def _was_here(halt: Halt) -> bool:
    """What had been due lay here: it came at once when somebody read again, or had come before."""
    here = halt.same_read or halt.lay_ns >= HALF * halt.length_ns
    return here or (halt.caught_up is not None and halt.caught_up >= HELD)

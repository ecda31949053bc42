"""Where the bytes lay at one moment, in one sentence: the title of where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from streamkit.lab.arguments import check_number
from streamkit.lab.findings.queues import ALL, NOBODY_LOOKED, PARTS, PLACES, Queued, lasting, queued
from streamkit.lab.findings.words import APART, byte_size, duration
from streamkit.taps.gauges import STRETCHES

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["Moment", "describe_where", "moment", "where_finding"]

MS: Final = 1_000_000
UNSEEN: Final = "in no queue that was seen"
MOST: Final = 0.5  # of it all

_Key = TypeVar("_Key")


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What lay where at `at_ns` from `journey.origin_ns` on; None where nobody looked at the queues.

    `parts`: bytes by stretch, and in it by queue, in the order of the way; under `UNSEEN` what its curves say beyond
    its queues, if they say so for longer than an instant.
    """

    queued: Queued
    at_ns: int | None
    fullest: bool
    parts: Mapping[str, Mapping[str, int]]

    @property
    def total(self) -> int:
        return sum(sum(queues.values()) for queues in self.parts.values())

    @property
    def by_name(self) -> dict[tuple[str, str], int]:
        """(stretch, queue) → bytes, in the order of the way."""
        return {(stretch, name): value for stretch, queues in self.parts.items() for name, value in queues.items()}


def moment(recording: Recording, at_ms: float | None = None) -> Moment:
    """What lay where `at_ms` after the request was sent (or made); without it, at the fullest moment.

    Raises TypeError for what is not a recording or no number, ValueError for a time at which nobody looked.
    """
    if at_ms is not None:
        check_number("at_ms", at_ms, "a time in ms")
    shown = queued(recording)
    if not shown.stretches:
        return Moment(queued=shown, at_ns=None, fullest=at_ms is None, parts={})
    amounts = {stretch: lasting(one) for stretch, one in shown.stretches.items()}
    if at_ms is None:
        index = int(np.argmax(sum(amounts.values(), np.zeros_like(shown.at_ns))))
    else:
        index = _looked_at(shown, at_ms)
    parts: dict[str, dict[str, int]] = {}
    for stretch, one in shown.stretches.items():
        parts[stretch] = {name: int(one.by_queue[name][index]) for name in STRETCHES[stretch] if name in one.by_queue}
        parts[stretch][UNSEEN] = int(amounts[stretch][index]) - sum(parts[stretch].values())
    at_ns = int(shown.at_ns[index]) if at_ms is None else round(at_ms * MS)
    return Moment(queued=shown, at_ns=at_ns, fullest=at_ms is None, parts=parts)


def _looked_at(shown: Queued, at_ms: float) -> int:
    """The last look up to then: it holds until the next one."""
    first, last = float(shown.at_ns[0]) / MS, float(shown.at_ns[-1]) / MS
    if not first <= at_ms <= last:
        raise ValueError(
            f"expected at_ms between {max(first, 0):,.0f} and {last:,.0f}, while somebody looked at the queues, "
            f"got {at_ms!r}: it counts from when the request was sent, as in plots.queues"
        )
    return int(np.searchsorted(shown.at_ns, round(at_ms * MS), side="right")) - 1


def where_finding(recording: Recording, at_ms: float | None = None) -> str:
    """In which queue most of the bytes lay at one moment, as a sentence.

        >>> sk.findings.where_finding(sk.Recording.from_pieces([(10_000_000, "hi")]))
        'Where the bytes lay is not known: nobody looked at the queues'

    The moment is the fullest one, or `at_ms` after the request was sent. It is the title of `sk.plots.where`, and
    raises what that raises.
    """
    return describe_where(moment(recording, at_ms))


def describe_where(shown: Moment) -> str:
    """`where_finding` of what is already looked into. A queue that has more than half of it all is named alone; else
    the stretch that held most, and its largest part. Of several alike it is the nearest to the client.
    """
    if shown.at_ns is None:
        return NOBODY_LOOKED
    when = f"At {duration(shown.at_ns)}"
    if not shown.total:
        ever = "No queue that was seen ever held a byte"
        return ever if shown.fullest else f"{when} no queue that was seen held a byte"
    if shown.fullest:
        when = f"At the fullest moment, after {duration(shown.at_ns)}"
    place, amount = _largest(shown.by_name)
    if amount > MOST * shown.total:
        return f"{when}, {_share(amount, shown.total)} lay {_told(place)}"
    stretch, held = _largest({stretch: sum(queues.values()) for stretch, queues in shown.parts.items()})
    place, amount = _largest({at: value for at, value in shown.by_name.items() if at[0] == stretch})
    of_it = "all" if amount >= ALL * held else byte_size(amount)
    part = UNSEEN if place[1] == UNSEEN else _told(place)
    return f"{when}, {_share(held, shown.total)} lay {PLACES[stretch]}, {of_it} of it {part}"


def _largest(sizes: Mapping[_Key, int]) -> tuple[_Key, int]:
    most = max(sizes.values())
    return next((key, size) for key, size in reversed(list(sizes.items())) if size * APART >= most)


def _share(amount: int, total: int) -> str:
    return f"all {byte_size(total)}" if amount >= ALL * total else f"{byte_size(amount)} of {byte_size(total)}"


def _told(place: tuple[str, str]) -> str:
    stretch, name = place
    return f"{PLACES[stretch]} {UNSEEN}" if name == UNSEEN else f"{PARTS[name]} ({name})"

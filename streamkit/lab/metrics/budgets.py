"""The latency budget of an event: from the request to the reader, part by part, with what the parts leave unexplained.

    request ──► relay.asked ──► relay.asking ──► upstream.asked ──► upstream.due ──► … ──► client.event
    └──────────── the request's way (marks) ───────────────────┘└─ the script ─┘└──── hops (taps) ────┘

A part is known if both its ends were stamped; a missing place merges the parts on its two sides. What no pair of stamps
of one kind encloses stays unexplained: with a provider that is not ours, that is everything it did, except for what it
tells of it itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streamkit.lab.metrics.curves import hops, times
from streamkit.lab.metrics.percentile import percentile_ns
from streamkit.lab.metrics.words import ms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamkit.lab.metrics.columns import Ints
    from streamkit.lab.metrics.curves import Curve

__all__ = ["WAY_MARKS", "Budget", "Part", "budget"]

WAY_MARKS: Final = ("relay.asked", "relay.asking", "upstream.asked")
"""The marks on the request's way, in order: it reached the relay, left it, reached the upstream."""
REQUEST: Final = "request"
SERVER: Final = "server"
"""Where a part is what the server tells, and no pair of stamps."""


class Part(NamedTuple):
    """One part of a budget, the time from `before` to `after`: for the event in question, and as median of all events.

    >>> sk.metrics.Part("relay.sent", "client.read", ns=120_000, median_ns=90_000).name
    'relay.sent → client.read'
    """

    before: str
    after: str
    ns: int
    median_ns: int

    @property
    def name(self) -> str:
        """As a label: `relay.sent → client.read`; for what the server tells, `server: queue`."""
        return f"{SERVER}: {self.after}" if self.before == SERVER else f"{self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class Budget:
    """Where the time of one event went, part by part.

        print(sk.metrics.budget(recording.curves(), origin_ns=recording.sent_ns, marks=recording.marks))

    n       the number of the event, from 1
    parts   the parts, in the order of the way
    total   from the request to the last place, measured by itself
    rest    what the parts do not explain: for event n exactly `total.ns - sum_ns`; 0 if every part is known. Its two
            places say where it lies. Times that the server itself tells are taken out of it
    note    a remark, if the server tells of more time than was left to explain

    Each median is taken over all events that passed all places (nearest rank); those of the parts need not add up to
    that of the total.
    """

    n: int
    parts: tuple[Part, ...]
    total: Part
    rest: Part
    note: str = ""

    @property
    def sum_ns(self) -> int:
        """The sum of the parts of event n."""
        return sum(part.ns for part in self.parts)

    def rows(self) -> list[tuple[str, str, str]]:
        """The rows of the printed table: part, time of event n, median of all events."""
        known = [(part.name, ms(part.ns / 1e6, 3), ms(part.median_ns / 1e6, 3)) for part in self.parts]
        unexplained = f"unexplained ({self.rest.name})" if self.rest.before != self.rest.after else "unexplained"
        return [
            *known,
            ("sum", ms(self.sum_ns / 1e6, 3), ""),
            ("total", ms(self.total.ns / 1e6, 3), ms(self.total.median_ns / 1e6, 3)),
            (unexplained, ms(self.rest.ns / 1e6, 3), ms(self.rest.median_ns / 1e6, 3)),
        ]

    def __str__(self) -> str:
        rows = [("", f"event {self.n}", "median"), *self.rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            f"{name:<{widths[0]}}  {one:>{widths[1]}}  {median:>{widths[2]}}".rstrip() for name, one, median in rows
        ]
        return "\n".join([*lines, f"* {self.note}"] if self.note else lines)


def budget(
    curves: Mapping[str, Curve],
    *,
    origin_ns: int,
    marks: Mapping[str, int] | None = None,
    n: int | None = None,
    told: Sequence[tuple[str, int]] = (),
) -> Budget | None:
    """Where the time of event `n` went, part by part; None if that event did not pass all the places in `curves`.

    >>> curves = {"relay.sent": sk.metrics.curve([5, 25]), "client.read": sk.metrics.curve([7, 30])}
    >>> sk.metrics.budget(curves, origin_ns=0, n=2).rest.ns  # all that came before the first place known
    25

    curves      curves in events, in the order of the way (`Recording.curves()`)
    origin_ns   the moment to count from, on the clock of the curves
    marks       the recording's marks, on the same clock
    n           the number of the event, from 1; by default the first
    told        what the server tells of its own times: names and ns, one after the other, all before its first token

    The parts are

    - the request's way: origin → each of `WAY_MARKS` that is known, one after the other
    - the upstream: upstream.asked → the first upstream tap, which is `upstream.due`, the script's own time
    - each hop: `time_of(after, n) - time_of(before, n)` for consecutive curves
    - the server: what it tells (`told`), as long as that is no more than what is unexplained without it

    Raises ValueError for n < 1, and if there are no curves.
    """
    if not curves:
        raise ValueError("expected at least one curve, got none")
    event = 1 if n is None else n
    if event < 1:
        raise ValueError(f"expected the number of an event, from 1, got {n!r}")
    passed = min(one.total for one in curves.values())
    if event > passed:
        return None
    first, last = next(iter(curves)), next(reversed(list(curves)))
    moments = [(REQUEST, origin_ns), *((name, marks[name]) for name in WAY_MARKS if marks and name in marks)]
    columns = [(before, after, _always(right - left, passed)) for (before, left), (after, right) in pairwise(moments)]
    here, here_ns = moments[-1]
    if here == "upstream.asked" and first.startswith("upstream."):
        columns.append((here, first, times(curves[first], passed) - here_ns))
        here = first
    columns += [(hop.before, hop.after, hop.delays_ns[:passed]) for hop in hops(curves)]
    total_ns = times(curves[last], passed) - origin_ns
    rest_ns = total_ns - sum((column for *_, column in columns), _always(0, passed))
    told_ns, note = sum(ns for _, ns in told), ""
    if told_ns > rest_ns[event - 1]:
        note = f"the server reports {ms(told_ns / 1e6, 3)} before its first token: more than is unexplained, left out"
    elif told:
        own = [(SERVER, name, _always(ns, passed)) for name, ns in told]
        columns[len(moments) - 1 : len(moments) - 1] = own
        rest_ns = rest_ns - told_ns
    return Budget(
        n=event,
        parts=tuple(_part(before, after, column, event) for before, after, column in columns),
        total=_part(REQUEST, last, total_ns, event),
        rest=_part(here, first, rest_ns, event),
        note=note,
    )


def _part(before: str, after: str, column: Ints, event: int) -> Part:
    return Part(before, after, int(column[event - 1]), percentile_ns(column, 50) or 0)


def _always(value_ns: int, events: int) -> Ints:
    return np.full(events, value_ns, dtype=np.int64)

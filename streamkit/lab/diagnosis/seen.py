"""Seen: what a client has of one stream, as columns; and which reads of it were heartbeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streamkit.lab.metrics.columns import Ints

if TYPE_CHECKING:
    from streamkit.lab.metrics.curves import Curve

__all__ = ["NO_SPANS", "PINGS", "Beats", "Seen", "TcpRows", "overlap_ns", "quiet_reads", "spans"]

PINGS: Final = frozenset(("ping", "heartbeat", "keep-alive", "keepalive"))
"""Types of events by which a server only says that it lives."""
MOST_BEAT_BYTES: Final = 1024
"""A larger read without an event is a part of one."""
NEAR_NS: Final = 5_000_000_000
"""A look at TCP that was longer before a silence tells nothing of it: while all is well there is one every 2 s."""
NO_SPANS: Final[Ints] = np.zeros((0, 2), dtype=np.int64)


def spans(given: object) -> Ints:
    """Times from when to when, of shape (k, 2), in order and joined where they overlap (who watches a loop together
    with others is told of one time more than once). None for what is no such list (a file that was changed).

    >>> from streamkit.lab.diagnosis.seen import spans
    >>> spans([[20, 30], [0, 10], [5, 12]]).tolist()
    [[0, 12], [20, 30]]
    """
    try:
        found = np.array(given, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        return NO_SPANS
    if found.ndim != 2 or found.shape[1] != 2 or not found.size:
        return NO_SPANS
    found = found[np.argsort(found[:, 0], kind="stable")]
    ends = np.maximum.accumulate(found[:, 1])
    begins = np.flatnonzero(np.append(True, found[1:, 0] > ends[:-1]))
    return np.column_stack((found[begins, 0], ends[np.append(begins[1:] - 1, -1)]))


def overlap_ns(spans: Ints, since_ns: int, until_ns: int) -> int:
    """How much of the time between the two lies in `spans`, which do not overlap each other.

    >>> from streamkit.lab.diagnosis.seen import overlap_ns, spans
    >>> overlap_ns(spans([[0, 10], [20, 40]]), 5, 30)
    15
    """
    covered = np.minimum(spans[:, 1], until_ns) - np.maximum(spans[:, 0], since_ns)
    return int(covered[covered > 0].sum())


class TcpRows(NamedTuple):
    """What the kernel told of the connection: a row a look (`streamkit.sockets.TcpInfo`)."""

    at_ns: Sequence[int] = ()
    rtt_us: Sequence[int] = ()
    retransmits: Sequence[int] = ()
    out_of_order: Sequence[int] = ()

    @classmethod
    def of(cls, told: object) -> TcpRows:
        """Out of a recording's `meta["tcp"]`; empty where that is missing, or is no table of numbers."""
        if not isinstance(told, Mapping):
            return cls()
        columns = [told.get(name) for name in cls._fields]
        whole = all(isinstance(column, list) and all(type(n) is int for n in column) for column in columns)
        if not whole or len({len(column) for column in columns if column is not None}) != 1:
            return cls()
        return cls(*(column for column in columns if column is not None))

    def grown(self, name: str, since_ns: int, until_ns: int) -> int:
        """By how much a count grew from the last look before `since_ns` to the first one at `until_ns` or later.

        0 where the one before was long before, as in a recording that has had its share of looks: it may have grown
        anywhere.
        """
        column = getattr(self, name)
        if not column:
            return 0
        before = int(np.searchsorted(self.at_ns, since_ns, side="right")) - 1
        after = min(int(np.searchsorted(self.at_ns, until_ns)), len(column) - 1)
        if before >= 0 and since_ns - self.at_ns[before] > NEAR_NS:
            return 0
        earlier = column[before] if before >= 0 else 0
        return max(0, int(column[after]) - int(earlier))


class Beats(NamedTuple):
    """When there came what carries no text: signs that a server lives, events that say something else, and parts of
    events.
    """

    alive_ns: Ints
    other_ns: Ints
    parts_ns: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One stream as its client has it; all times in ns of one clock, columns as int64 arrays.

    at_ns, handed_ns, read, weight   of each event that a reader waits for: when it had come, when its reader had it,
                        with which read, and how many events it stands for (1; where the wire has no event borders, what
                        its text is beside that of a usual read)
    follows             whether the gap before it is one of the live stream
    alive_ns, other_ns, parts_ns   see `Beats`
    kernel              the times are the kernel's: those of arriving, and not of reading
    borders             the wire tells where an event ends
    paced               its reader reads at a pace of its own
    loop_busy_ns, reader_busy_ns   spans: the event loop was late; the reader took nothing, by its own doing
    watched             somebody looked how late the loop was
    unread              bytes in the receive queue, sampled: times and values; None where nobody looked
    tcp                 what the kernel told of the connection
    end                 the silence before the end, from when to when; None where there was none
    ended               how it ended, in words; `complete` if it is whole
    cuts                spans over which it was cut, and asked for again
    by                  what the head tells of who passed the body on, a line each
    curves              the taps of others and the client's own, if there are any of others
    """

    at_ns: Ints
    handed_ns: Ints
    read: Ints
    weight: npt.NDArray[np.float64]
    follows: npt.NDArray[np.bool_]
    alive_ns: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    other_ns: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    parts_ns: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    kernel: bool = True
    borders: bool = True
    paced: bool = False
    watched: bool = False
    loop_busy_ns: Ints = field(default_factory=lambda: NO_SPANS)
    reader_busy_ns: Ints = field(default_factory=lambda: NO_SPANS)
    unread: tuple[Sequence[int], Sequence[int]] | None = None
    tcp: TcpRows = field(default_factory=lambda: TcpRows())
    end: tuple[int, int] | None = None
    ended: str = "complete"
    cuts: Sequence[tuple[int, int]] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    origin_ns: int = 0
    by: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.at_ns)

    @cached_property
    def upto_weight(self) -> npt.NDArray[np.float64]:
        """The weight of each event and of all before it."""
        return np.cumsum(self.weight)

    @property
    def vouched(self) -> bool:
        """Somebody tells whether what came lay here before: the kernel, or who watched the loop."""
        return self.kernel or self.watched

    @property
    def total_weight(self) -> float:
        """That of all."""
        return float(self.upto_weight[-1]) if len(self) else 0.0


def quiet_reads(
    at_ns: npt.ArrayLike,
    size: npt.ArrayLike,
    data: Sequence[bytes | None],
    event_read: npt.ArrayLike,
    event_kind: Sequence[str],
    counted: npt.ArrayLike,
    event_size: npt.ArrayLike = (),
) -> Beats:
    """The reads that brought no event that a reader waits for: which of them were heartbeats, and which said something.

    at_ns, size, data            of each read; `data` None where its bytes were not kept
    event_read, event_kind, counted   of each event: its read, its type, whether a reader waits for it
    event_size                   of each event: its bytes, where they are known

    A comment (SSE), a blank line, and an event of the type `ping` are signs of life. Any other event without text says
    something: reasoning, a tool call, usage. A read without any event is a part of one, unless its bytes are comments
    or blank; where they were not kept, unless a small read of its very size came more than once, and the event behind
    it is not so large that it must have begun there.
    """
    reads = np.asarray(event_read, dtype=np.int64)
    waited = np.asarray(counted, dtype=np.bool_)
    times, sizes = np.asarray(at_ns, dtype=np.int64), np.asarray(size, dtype=np.int64)
    pings = np.fromiter((kind in PINGS for kind in event_kind), dtype=np.bool_, count=len(event_kind))
    with_piece, said, pinged, with_event = (
        _of_reads(reads[which], times.size) for which in (waited, ~waited & ~pings, ~waited & pings, slice(None))
    )
    alive, other = pinged & ~with_piece & ~said, said & ~with_piece
    eventless = np.flatnonzero(~with_event)
    begun = _begun(reads, np.asarray(event_size, dtype=np.int64), sizes)
    alive[eventless] = ~begun[eventless] & _are_beats(sizes[eventless], [data[index] for index in eventless.tolist()])
    return Beats(times[alive], times[other], times[~with_event & ~alive])


def _of_reads(numbers: Ints, count: int) -> npt.NDArray[np.bool_]:
    """Of each of so many reads, whether it is among these."""
    found = np.zeros(count, dtype=np.bool_)
    found[numbers] = True
    return found


def _begun(reads: Ints, event_size: Ints, sizes: Ints) -> npt.NDArray[np.bool_]:
    """Which reads brought the beginning of an event that is larger than the read in which it ended."""
    found = np.zeros(sizes.size, dtype=np.bool_)
    upto = np.concatenate(([0], np.cumsum(sizes)))
    for read, size in zip(reads.tolist(), event_size.tolist(), strict=False):
        if size > sizes[read]:
            found[int(np.searchsorted(upto, upto[read + 1] - size, side="right")) - 1 : read] = True
    return found


def _are_beats(sizes: Ints, bodies: Sequence[bytes | None]) -> npt.NDArray[np.bool_]:
    small, again = sizes < MOST_BEAT_BYTES, np.isin(sizes, _twice(sizes))
    told: list[Any] = [
        bool(again[index] and small[index]) if body is None else _is_comment(body) for index, body in enumerate(bodies)
    ]
    return np.array(told, dtype=np.bool_)


def _twice(sizes: Ints) -> Ints:
    found, counts = np.unique(sizes, return_counts=True)
    return found[counts > 1]


def _is_comment(body: bytes) -> bool:
    return all(not line or line.startswith(b":") for line in body.splitlines())

"""Waits, gaps, stalls, loss: pure functions from columns of integer nanoseconds to numbers.

Arguments are anything that `np.asarray` takes as int64: `array('q')`, lists, arrays. `at_ns[i]` is when event i was
read and `read[i]` the number of the read that completed it, both ascending. A number that is not defined (a gap of
a single event) is None, never 0 or NaN. Everything takes linear time, or n log n where something must be sorted.

Gaps are counted **between reads that brought pieces** (see `pieces`). Pieces that share a read have no measured gap:
one socket read handed them over together, and the client cannot know when each was sent. Counting zeros for them would
pull every percentile down (five events in one write: a p50 of 0 ms at a true pace of 50 ms). Other tools divide such a
gap, or count the zeros; `gaps_ns` does either if you name the rule.

A stream that was cut and resumed has gaps that do not belong to its pace: the silence of the cut, and those between
replayed pieces, which lay ready. `follows[i]` is False if the gap before event i is one of these; it is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from streamkit.lab.metrics.percentile import percentile_ns

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy.typing as npt

    from streamkit.lab.metrics.columns import Ints

__all__ = [
    "MIN_STALL_NS",
    "STALL_FACTOR",
    "Losses",
    "Rule",
    "coalesced_share",
    "end_silence",
    "gaps_ns",
    "loss_and_duplication",
    "stall_places",
    "stall_threshold_ns",
    "stalls_ns",
    "throughput_per_s",
    "ttft_ns",
]

MIN_STALL_NS = 250_000_000
STALL_FACTOR = 5

Rule = Literal["per_read", "divided", "replicated"]
"""How the gap before a read that completed several events is counted; see `gaps_ns`."""


def ttft_ns(at_ns: npt.ArrayLike, characters: npt.ArrayLike, origin_ns: int = 0) -> int | None:
    """Time to the first piece (known as TTFT, time to first token): `min(at_ns[characters > 0]) - origin_ns`.

    >>> sk.metrics.ttft_ns([10, 20, 30], characters=[0, 3, 5], origin_ns=4)
    16

    `characters[i]` is the length of event i's piece in the channel you ask about: text, reasoning, or both. `origin_ns`
    is the moment to count from: when the request's last byte had left, or the call. None if no event carries a piece.
    """
    with_piece = _ints(at_ns)[_ints(characters) > 0]
    return int(with_piece[0]) - origin_ns if with_piece.size else None


def gaps_ns(
    at_ns: npt.ArrayLike, read: npt.ArrayLike, rule: Rule = "per_read", *, follows: npt.ArrayLike | None = None
) -> Ints:
    """The gaps between events, in ns, with a rule for events that share a read.

    >>> sk.metrics.gaps_ns([0, 0, 50, 50, 70], read=[0, 0, 1, 1, 2]).tolist()
    [50, 20]
    >>> sk.metrics.gaps_ns([0, 50, 950, 1000], read=[0, 1, 2, 3], follows=[True, True, False, True]).tolist()
    [50, 50]

    `at_ns[i]` is when event i was read, `read[i]` the number of the read that completed it. Let g be the time between a
    read that brought events and the one before it, and k how many events it brought. The rules:

    per_read     g, once: counts reads (r reads give r - 1 gaps). It is what was measured, and nothing else
    divided      g / k for each of the k: counts the events after the first read. What the gaps may have been, if the
                 events were sent evenly. In whole nanoseconds: the first g mod k of them get one more, so that they add
                 up to g
    replicated   g for the first of the k, 0 for the others: counts events (n events give n - 1 gaps). What tools show
                 that stamp each event by itself; the zeros are artefacts

    By each rule, the gaps add up to the time from the first read to the last, less those left out: if `follows[i]` is
    False, the gap before event i (for a read: before its first event) does not belong to the live stream
    (`Counted.follows`). Raises ValueError for another rule.
    """
    times = _ints(at_ns)
    first = _first_of_read(read)
    live = np.ones(times.size, dtype=np.bool_) if follows is None else np.asarray(follows, dtype=np.bool_)
    if rule == "per_read":
        return np.diff(times[first])[live[first][1:]]
    if rule == "replicated":
        return np.diff(times)[live[1:]]
    if rule == "divided":
        of_read = live[first][np.cumsum(first) - 1]
        found: Ints = _divided(times, first)[of_read[np.cumsum(first) > 1]]
        return found
    raise ValueError(f"expected rule 'per_read', 'divided' or 'replicated', got {rule!r}")


def _divided(times: Ints, first: npt.NDArray[np.bool_]) -> Ints:
    starts = np.flatnonzero(first)
    if starts.size < 2:
        return np.zeros(0, dtype=np.int64)
    events = np.diff(starts, append=times.size)[1:]
    share, left_over = np.divmod(np.diff(times[starts]), events)
    place = np.arange(starts[1], times.size) - np.repeat(starts[1:], events)  # in its read, from 0
    return np.repeat(share, events) + (place < np.repeat(left_over, events))


def stall_threshold_ns(gaps: npt.ArrayLike) -> int:
    """How long a gap must be to count as a stall, unless you say otherwise: longer than `max(250 ms, 5 * median gap)`.

    `gaps` are in ns, and so is the result. From about 250 ms on a reader notices a halt; five times the median spares
    streams that are slow throughout.

    >>> sk.metrics.stall_threshold_ns([100_000_000] * 9)
    500000000
    """
    median = percentile_ns(gaps, 50) or 0
    return max(MIN_STALL_NS, STALL_FACTOR * median)


def stalls_ns(
    at_ns: npt.ArrayLike,
    read: npt.ArrayLike,
    threshold_ns: int | None = None,
    *,
    follows: npt.ArrayLike | None = None,
) -> Ints:
    """The stalls, as an array of shape (k, 2): when each began and ended, in ns.

    A stall is a gap between reads longer than `threshold_ns`, by default `stall_threshold_ns` of all gaps. `at_ns`,
    `read` and `follows` are as for `gaps_ns`. Neither the wait for the first event nor the silence after the last one
    is a gap (see `end_silence`), nor is the silence of a cut.

    >>> sk.metrics.stalls_ns([0, 20, 540], read=[0, 1, 2], threshold_ns=250).tolist()
    [[20, 540]]
    """
    times = _ints(at_ns)
    before = stall_places(at_ns, read, threshold_ns, follows=follows)
    return np.column_stack((times[before - 1], times[before]))


def stall_places(
    at_ns: npt.ArrayLike,
    read: npt.ArrayLike,
    threshold_ns: int | None = None,
    *,
    follows: npt.ArrayLike | None = None,
) -> Ints:
    """After how many events each of the stalls of `stalls_ns` begins, in the same order.

    Stall i begins after event number `stall_places[i]`, counted from 1. The arguments are those of `stalls_ns`.

    >>> sk.metrics.stall_places([0, 20, 540], read=[0, 1, 2], threshold_ns=250).tolist()
    [2]
    """
    times = _ints(at_ns)
    starts = np.flatnonzero(_first_of_read(read))
    gaps, ends = np.diff(times[starts]), starts[1:]
    if follows is not None:
        live = np.asarray(follows, dtype=np.bool_)[ends]
        gaps, ends = gaps[live], ends[live]
    return ends[gaps > (stall_threshold_ns(gaps) if threshold_ns is None else threshold_ns)]


def end_silence(
    at_ns: npt.ArrayLike, counted: npt.ArrayLike, end_ns: int, *, complete: bool, late_ns: int = 0
) -> tuple[int, int] | None:
    """The silence before the end: from the last event that a reader waits for to the end; (start, end) in ns, or None.

    >>> sk.metrics.end_silence([0, 20, 900], counted=[True, True, False], end_ns=1500, complete=True)
    (20, 900)

    at_ns      the times of all events
    counted    which of them a reader waits for (`pieces`); if none, there is no such silence
    end_ns     when the connection ended, as Python saw it
    complete   whether the stream came whole. It then ends with its last event, if that comes after the text: its end
               mark. How long the connection stays open after that is not the stream's doing. Any other stream ends at
               `end_ns`: a ping, or the event that tells of the error, does not end the silence before it
    late_ns    how late Python was at the end (`Recording.end_late_ns`); it is subtracted from `end_ns`, since our own
               slowness is not a silence of the stream
    """
    times = _ints(at_ns)
    spoken = times[np.asarray(counted, dtype=np.bool_)]
    if not spoken.size:
        return None
    last_ns = int(spoken[-1])
    return last_ns, int(times[-1]) if complete and times[-1] > last_ns else max(last_ns, end_ns - late_ns)


def coalesced_share(read: npt.ArrayLike) -> float | None:
    """The share of events that came in the same read as an earlier event: `1 - reads / events`.

    `read[i]` is the read that completed event i; reads that completed none do not count. None if there are no events.

    >>> sk.metrics.coalesced_share([0, 0, 0, 1])
    0.5
    """
    first = _first_of_read(read)
    return float(1 - np.count_nonzero(first) / first.size) if first.size else None


def throughput_per_s(at_ns: npt.ArrayLike, read: npt.ArrayLike, amount: npt.ArrayLike) -> float | None:
    """The pace after the first read: the `amount` in all later reads / (time of the last read - time of the first).

    `at_ns[i]` is when event i was read, `read[i]` in which read, `amount[i]` what it counts for: 1 for events per
    second, its characters for characters per second. The first read is left out because what it brought was produced
    before the interval; the wait for it is the TTFT. None for fewer than two reads that brought events, or if no time
    passed between them.

    >>> sk.metrics.throughput_per_s([0, 500_000_000, 1_000_000_000], read=[0, 1, 2], amount=[1, 1, 1])
    2.0
    """
    first = _first_of_read(read)
    if np.count_nonzero(first) < 2:
        return None
    times = _ints(at_ns)
    span_ns = int(times[-1] - times[0])
    later = _ints(read) > _ints(read)[0]
    return float(_ints(amount)[later].sum() / (span_ns / 1e9)) if span_ns > 0 else None


class Losses(NamedTuple):
    """How many events were lost, duplicated, out of order, or unknown; see `loss_and_duplication`.

    >>> sk.metrics.Losses(lost=0, duplicated=0, out_of_order=0, unknown=0) == (0, 0, 0, 0)
    True
    """

    lost: int
    duplicated: int
    out_of_order: int
    unknown: int


def loss_and_duplication(sent_ids: Sequence[Hashable], received_ids: Sequence[Hashable]) -> Losses:
    """Compare what was sent with what arrived, by the ids of events.

    >>> sk.metrics.loss_and_duplication("abcdef", "abbdcax")
    Losses(lost=2, duplicated=2, out_of_order=1, unknown=1)

    `sent_ids` and `received_ids` are strings or numbers, in order. It counts

    lost           ids that were sent and never received
    duplicated     receptions of an id after its first
    out_of_order   first receptions of an id that was sent before one already received: the reordered packets of
                   RFC 4737, section 3
    unknown        receptions of an id that was never sent

    Raises ValueError if the ids sent are not distinct.
    """
    place = {sent: index for index, sent in enumerate(sent_ids)}
    if len(place) != len(sent_ids):
        raise ValueError(f"expected distinct ids, got {len(place)} different ones for {len(sent_ids)} events sent")
    places = np.fromiter((place.get(id_, -1) for id_ in received_ids), dtype=np.int64, count=len(received_ids))
    known = places[places >= 0]
    _, first = np.unique(known, return_index=True)
    arrived = known[np.sort(first)]
    latest = np.maximum.accumulate(arrived)
    return Losses(
        lost=len(place) - arrived.size,
        duplicated=known.size - arrived.size,
        out_of_order=int(np.count_nonzero(arrived < latest)),
        unknown=places.size - known.size,
    )


def _ints(values: npt.ArrayLike) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _first_of_read(read: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    numbers = _ints(read)
    first = np.ones(numbers.size, dtype=np.bool_)
    first[1:] = numbers[1:] != numbers[:-1]
    return first

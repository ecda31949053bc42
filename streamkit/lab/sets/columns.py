"""A set as columns: one row a stream, one row an event; numpy's, so that nothing here needs pandas.

Kept are nanoseconds (`StreamRows`), as floats in which what is not known is NaN: they count from the set's own
beginning, so they are exact for a hundred days. Shown are milliseconds (`stream_columns`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from streamkit.lab import metrics
from streamkit.lab.metrics.columns import Ints
from streamkit.lab.recording.frames import event_columns
from streamkit.lab.recording.recorded import Recorded
from streamkit.lab.recording.server_times import server_times
from streamkit.lab.recording.trust import LOOP_PROBE_NS

__all__ = [
    "Floats",
    "StreamRows",
    "event_rows",
    "in_groups",
    "known",
    "label_names",
    "rows_of",
    "stream_columns",
    "told_apart",
]

Floats: TypeAlias = npt.NDArray[np.float64]
NAN: Final = float("nan")
MOST_TOLD: Final = 16
"""So many of the servers' own times have a column."""
GROUPED_BY: Final = ("label", "outcome", "status", "preset", "url")
"""What streams are told apart by beside their labels: fields of a recording."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamRows:
    """One row a stream, in ns, NaN where it is not known.

    due, started, sent, first, ended   moments, from the set's zero on (`first`: of the first piece); all of them NaN
                       where the recordings were made by different clocks
    own_late           started − due: how late the caller was itself; below 0 if it was early
    own_busy           for how long, from begin to sending, the event loop was busy for certain
    leaving            sent − started: waiting for a connection, connecting, sending, and what held the loop meanwhile
    ttft_due, ttft_sent   the first piece, from when the request was due, and from when it had left
    duration           the end, from when the request had left
    gap_p50, gap_p99, gap_max   of the stream's gaps
    server             what the servers told of their own times, by name
    gaps, of           all gaps of all streams, one after the other, and of each whose it is
    loop_late          how late the recorder's loop was at the worst
    """

    due: Floats
    started: Floats
    sent: Floats
    first: Floats
    ended: Floats
    own_late: Floats
    own_busy: Floats
    leaving: Floats
    ttft_due: Floats
    ttft_sent: Floats
    duration: Floats
    gap_p50: Floats
    gap_p99: Floats
    gap_max: Floats
    loop_late: Floats
    events: Ints
    pieces: Ints
    shared: Ints
    characters: Ints
    reads: Ints
    bytes: Ints
    gaps: Ints
    of: Ints
    server: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.started)


def rows_of(recordings: Sequence[Recorded]) -> StreamRows:
    """The rows of these recordings, in their order."""
    zero_ns = _zero_ns(recordings)
    told = [_row(one, zero_ns) for one in recordings]
    gaps = [_gaps(one) for one in recordings]
    spread = np.array([_of_gaps(each) for each in gaps], dtype=np.float64).reshape(-1, 3).T
    table = np.array([each[0] for each in told], dtype=np.float64).reshape(-1, len(_TIMES)).T
    counts = np.array([each[1] for each in told], dtype=np.int64).reshape(-1, len(_COUNTS)).T
    columns: dict[str, Any] = {
        **dict(zip(_TIMES, table, strict=True)),
        **dict(zip(_COUNTS, counts, strict=True)),
        **dict(zip(("gap_p50", "gap_p99", "gap_max"), spread, strict=True)),
    }
    return StreamRows(
        **columns,
        gaps=np.concatenate([np.zeros(0, dtype=np.int64), *gaps]),
        of=np.repeat(np.arange(len(gaps)), [len(each) for each in gaps]),
        server=_of_servers(recordings),
    )


_TIMES: Final = (
    *("due", "started", "sent", "first", "ended", "own_late", "own_busy", "leaving"),
    *("ttft_due", "ttft_sent", "duration", "loop_late"),
)
_COUNTS: Final = ("events", "pieces", "shared", "characters", "reads", "bytes")


def _row(one: Recorded, zero_ns: int | None) -> tuple[list[float], list[int]]:
    counted, origin_ns = one.counted, one.origin_ns
    spoken = bool(counted.characters.any())
    first = int(counted.at_ns[0]) if spoken else NAN
    due = NAN if one.due_ns is None else one.due_ns
    sent = NAN if one.sent_ns is None and not one.sends else origin_ns
    ended = NAN if one.ended_ns is None else one.ended_ns
    begun = NAN if zero_ns is None else one.started_ns - zero_ns
    lag = one.meta.get("loop_lag_ns")
    times = [
        *(begun + at for at in (due, 0, sent, first, ended)),
        *(-due, _busy_ns(one, sent), sent),
        *(first - due, first - origin_ns, ended - origin_ns, NAN if lag is None else lag),
    ]
    shared = len(counted.read) - int(np.count_nonzero(np.diff(counted.read, prepend=-1)))
    characters = int(counted.characters.sum())
    pieces = len(counted.read) if spoken else 0
    return times, [len(one.events), pieces, shared, characters, len(one.reads), sum(one.reads.size)]


def _of_servers(recordings: Sequence[Recorded]) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for index, one in enumerate(recordings):
        for time in reversed(server_times(one)):  # of one name the first counts, that of the answer
            if time.name not in found and len(found) < MOST_TOLD:
                found[time.name] = np.full(len(recordings), NAN)
            if time.name in found:
                found[time.name][index] = time.ns
    return found


def _busy_ns(one: Recorded, sent_ns: float) -> float:
    """What is certain of it: from when the timer should have rung that found it busy (`LOOP_PROBE_NS`) until it did."""
    upto = one.ended_ns if np.isnan(sent_ns) else sent_ns
    total, reached = 0.0, 0.0
    for since, until in one.meta.get("loop_busy_ns", ()):
        begin, end = max(since + LOOP_PROBE_NS, reached), min(until, upto or 0)
        if end > begin:
            total, reached = total + end - begin, end
    return total


def _gaps(one: Recorded) -> Ints:
    counted = one.counted
    return metrics.gaps_ns(counted.at_ns, counted.read, follows=counted.follows)


def _of_gaps(gaps: Ints) -> list[float]:
    return [NAN if at is None else at for at in metrics.percentiles_ns(gaps, (50, 99, 100))]


def _zero_ns(recordings: Sequence[Recorded]) -> int | None:
    """When the first of them was due, or begun; None where their clocks are not one."""
    if len({one.meta.get("origin") for one in recordings}) > 1:
        return None
    return min((one.started_ns + min(0, one.due_ns or 0) for one in recordings), default=0)


def known(column: Floats | Ints) -> Ints:
    """What is known of a column."""
    found: Ints = column[~np.isnan(column)].astype(np.int64)
    return found


# --- As it is shown -------------------------------------------------------------------------------------------------


def stream_columns(recordings: Sequence[Recorded], rows: StreamRows) -> dict[str, npt.NDArray[Any]]:
    """The columns of `RecordingSet.columns()`, which says what they are."""
    in_ms = {f"{each.name}_ms": getattr(rows, each.name) / 1e6 for each in fields(StreamRows) if each.name in _SHOWN}
    counts = {name: getattr(rows, name) for name in (*_COUNTS,)}
    counts["gaps"] = np.bincount(rows.of, minlength=len(rows))
    return {
        "stream": np.arange(len(rows)),
        **told_apart(recordings, np.ones(len(rows), dtype=np.int64)),
        **in_ms,
        **{f"server_{name}_ms": column / 1e6 for name, column in rows.server.items()},
        **counts,
        "outcome": _objects(str(one.outcome) for one in recordings),
        "code": _objects(one.outcome.detail for one in recordings),
        "status": _objects(one.status for one in recordings),
        "stamps": _objects(one.stamps for one in recordings),
    }


_SHOWN: Final = frozenset(_TIMES) | {"gap_p50", "gap_p99", "gap_max"}


def event_rows(recordings: Sequence[Recorded]) -> dict[str, npt.NDArray[Any]]:
    """The columns of `RecordingSet.columns("events")`: those of each recording, one below the other."""
    parts = [event_columns(one) for one in recordings] or [event_columns(Recorded())]
    lengths = np.array([len(one.events) for one in recordings], dtype=np.int64)
    found = {
        "stream": np.repeat(np.arange(len(lengths)), lengths),
        **told_apart(recordings, lengths),
    }
    for name, column in parts[0].items():
        if name != "label":
            of_all = [part[name] for part in parts]
            found[name] = (
                _objects(each for part in of_all for each in part)
                if isinstance(column, list)
                else np.concatenate(of_all)
            )
    return found


def told_apart(recordings: Sequence[Recorded], times: Ints) -> dict[str, npt.NDArray[Any]]:
    """What a stream is told apart by, each so many times. A label of a column's own name is called `label_…`."""
    found = {"label": np.repeat(_objects(one.label for one in recordings), times)}
    for name in label_names(recordings):
        column = np.repeat(_column(one.labels.get(name) for one in recordings), times)
        found[f"label_{name}" if name in _TAKEN else name] = column
    return found


_TAKEN: Final = frozenset(
    (
        *("stream", "label", "outcome", "code", "status", "stamps", "gaps", *_COUNTS),
        *(f"{name}_ms" for name in _SHOWN),
        *("t_ms", "gap_ms", "at_ns", "handed_ns", "read", "size", "event", "id", "data", "text"),
        *("reasoning", "coalesced", "replayed", "reasoning_characters", "error_ns", "late_ns"),
    )
)


def label_names(recordings: Iterable[Recorded]) -> list[str]:
    """The names of all labels, in the order in which they come first."""
    return list(dict.fromkeys(name for one in recordings for name in one.labels))


def _column(values: Iterable[Any]) -> npt.NDArray[Any]:
    """Numbers as numbers, where all are of one kind; anything else as it is."""
    told = list(values)
    kinds = set(map(type, told))
    return np.array(told) if kinds in ({int}, {float}, {bool}) else _objects(told)


def _objects(values: Iterable[Any]) -> npt.NDArray[Any]:
    told = list(values)
    column = np.empty(len(told), dtype=object)
    column[:] = told
    return column


# --- In groups ------------------------------------------------------------------------------------------------------


def in_groups(recordings: Sequence[Recorded], names: Sequence[str]) -> Mapping[Any, list[int]]:
    """The places of the recordings by what these labels (or `GROUPED_BY`) are: a value, or of several a tuple of them.

    Numbers, and words, in their order; else as they come first. Raises ValueError for a name that no stream has, and
    for none.
    """
    there = label_names(recordings)
    for name in names:
        if name not in there and name not in GROUPED_BY:
            told = ", ".join([*there, *GROUPED_BY])
            raise ValueError(f"expected the name of a label out of {told}, got {name!r}")
    if not names:
        raise ValueError(f"expected at least one name out of {', '.join([*there, *GROUPED_BY])}, got none")
    groups: dict[Any, list[int]] = {}
    for index, one in enumerate(recordings):
        values = tuple(_value(one, name) for name in names)
        groups.setdefault(values[0] if len(values) == 1 else values, []).append(index)
    try:
        return dict(sorted(groups.items()))
    except TypeError:  # words and numbers, or a label that not all have
        return groups


def _value(one: Recorded, name: str) -> Any:
    if name in one.labels or name not in GROUPED_BY:
        return one.labels.get(name)
    value = getattr(one, name)
    return str(value) if name == "outcome" else value

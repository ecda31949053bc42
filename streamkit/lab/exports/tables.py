"""Recordings as tables, for `csv` and `parquet`: a row per event, per read, or per stream.

    rows="events"    the columns of `RecordingSet.columns("events")`, and `characters`, `reasoning_characters`: lengths,
                     which recordings without texts have too
    rows="reads"     stream, label, every label, then read, t_ms, at_ns, size, error_ns, late_ns
    rows="streams"   the columns of `RecordingSet.columns()`

Times end in their unit. `t_ms` counts from when the request was sent, `at_ns` of reads and events too; -1 in `error_ns`
is an error that is not known. `stream` numbers the recordings as they were given, from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from streamkit.lab.metrics.columns import characters
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets.columns import event_rows, rows_of, stream_columns, told_apart

__all__ = ["Rows", "columns_of"]

Rows: TypeAlias = Literal["events", "reads", "streams"]


def columns_of(recordings: Sequence[Recording], rows: Rows) -> dict[str, npt.NDArray[Any]]:
    """The table as arrays of one length. Raises ValueError for other rows."""
    if rows == "events":
        return {**event_rows(recordings), **_lengths(recordings)}
    if rows == "reads":
        return _reads(recordings)
    if rows == "streams":
        return stream_columns(recordings, rows_of(recordings))
    raise ValueError(f"expected rows 'events', 'reads' or 'streams', got {rows!r}")


def _lengths(recordings: Sequence[Recording]) -> dict[str, npt.NDArray[Any]]:
    return {
        "characters": _joined([characters(one.events.text) for one in recordings]),
        "reasoning_characters": _joined([characters(one.events.reasoning) for one in recordings]),
    }


def _reads(recordings: Sequence[Recording]) -> dict[str, npt.NDArray[Any]]:
    counts = np.array([len(one.reads) for one in recordings], dtype=np.int64)
    at_ns = _joined([np.asarray(one.reads.at_ns, dtype=np.int64) - one.origin_ns for one in recordings])
    return {
        "stream": np.repeat(np.arange(len(counts)), counts),
        **told_apart(recordings, counts),
        "read": _joined([np.arange(count) for count in counts]),
        "t_ms": at_ns / 1e6,
        "at_ns": at_ns,
        **{name: _joined([getattr(one.reads, name) for one in recordings]) for name in ("size", "error_ns", "late_ns")},
    }


def _joined(columns: Sequence[Any]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(0, dtype=np.int64), *(np.asarray(column, dtype=np.int64) for column in columns)])

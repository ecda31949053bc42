"""A set as one file of JSON Lines: a header, then a line for each stream, its reads and events as columns.

    {"streamkit": "recordings", "version": 1, "streams": 1000, "meta": …, "crc32": "9a1b2c3d"}
    {"resources": "relay", "at_ns": […], "rss_bytes": […], …, "crc32": …}
    {"stream": 0, "header": …, "reads": {…}, "events": {…}, "taps": {…}, "gauges": {…}, "footer": …, "crc32": …}
    …

`header` and `footer` are the first and last lines of a recording's own file (`lab/recording/file.py`), which has a line
for each read: of one stream as much as can be is to be kept, of many it is enough that a damaged one takes no other
with it. A column of which every value is the same stands as that value.
"""

from __future__ import annotations

import base64
import binascii
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamkit.errors import RecordingFormatError
from streamkit.lab.recording import file as recording_file
from streamkit.lab.recording.file import LENGTHS, SET, columns_of, footer_of, header_of, read_footer, read_header
from streamkit.lab.recording.lines import BadLineError, decode, read_lines, write_whole
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.rows import SlimEvents
from streamkit.lab.sets.resources import COLUMNS, Resources
from streamkit.taps import Tap
from streamkit.taps.gauges import Gauge

if TYPE_CHECKING:
    import os

__all__ = ["VERSION", "load", "save"]

VERSION: Final = 1
READS: Final = ("at_ns", "size", "error_ns", "late_ns")
EVENTS: Final = ("at_ns", "read", "handed_ns", "size")
TEXTS: Final = ("event", "data", "id", "text", "reasoning")
TAP: Final = ("at_ns", "events", "bytes")
GAUGE: Final = ("at_ns", "value")


def save(
    path: str | os.PathLike[str],
    recordings: Sequence[Recording],
    meta: Mapping[str, Any],
    resources: Sequence[Resources],
) -> None:
    """Write all of it to `path`, whole or not at all."""
    write_whole(path, _lines(recordings, meta, resources))


def load(
    path: str | os.PathLike[str],
) -> tuple[list[Recording], dict[str, Any], list[Resources], tuple[str, ...]]:
    """The recordings, `meta`, the resources, and what was lost; see `RecordingSet.load`."""
    name = Path(path).name
    lines = read_lines(path)
    first = next(lines, b"")
    if _begin_of(name, first) == "recording":
        lines.close()
        return [recording_file.load(path, Recording)], {}, [], ()
    loading = _Loading()
    for number, line in enumerate(chain([first] if first else [], lines), start=1):
        loading.take(number, line)
    if not loading.whole:
        raise RecordingFormatError(f"{name} is no recording: {loading.why_none()}")
    loading.compare_counts()
    damage = tuple(loading.damage)
    if damage:
        faults = "1 fault" if len(damage) == 1 else f"{len(damage)} faults"
        warnings.warn(f"{name} is damaged ({faults}): {damage[0]}; see .damage", stacklevel=3)
    return list(loading.recordings.values()), loading.meta, loading.resources, damage


# --- Writing --------------------------------------------------------------------------------------------------------


def _lines(
    recordings: Sequence[Recording], meta: Mapping[str, Any], resources: Sequence[Resources]
) -> Iterator[dict[str, Any]]:
    yield {"streamkit": SET, "version": VERSION, "streams": len(recordings), "meta": dict(meta)}
    for each in resources:
        yield {"resources": each.name, **{column: getattr(each, column).tolist() for column in COLUMNS}}
    for number, recording in enumerate(recordings):
        yield _stream(number, recording)


def _stream(number: int, recording: Recording) -> dict[str, Any]:
    reads, events = recording.reads, recording.events
    data = [None if each is None else base64.b64encode(each).decode("ascii") for each in reads.data]
    return {
        "stream": number,
        "header": header_of(recording),
        "reads": {**{name: _short(getattr(reads, name)) for name in READS}, "data": _short(data)},
        "events": {
            name: _short(column)
            for name, column in {"at_ns": events.at_ns, "read": events.read, **columns_of(events)}.items()
        },
        "taps": {
            name: {column: getattr(tap, column).tolist() for column in TAP} for name, tap in recording.taps.items()
        },
        "gauges": {
            name: {column: getattr(gauge, column).tolist() for column in GAUGE}
            for name, gauge in recording.gauges.items()
        },
        "footer": footer_of(recording),
    }


def _short(column: Iterable[Any]) -> Any:
    values = list(column)
    return values[0] if values and values.count(values[0]) == len(values) else values


# --- Reading --------------------------------------------------------------------------------------------------------


class _Loading:
    """Takes the lines in turn, keeps the whole ones, names the others."""

    def __init__(self) -> None:
        self.damage: list[str] = []
        self.whole = 0
        self.recordings: dict[int, Recording] = {}
        self.resources: list[Resources] = []
        self.meta: dict[str, Any] = {}
        self._streams: int | None = None
        self._lines = self._json = 0

    def take(self, number: int, line: bytes) -> None:
        if not self.whole:  # else it is a set, however damaged
            self._lines, self._json = number, self._json + _is_json(line)
        if not line.endswith(b"\n"):
            self.damage.append(f"line {number}: no line end; the file was cut here")
        try:
            self._take(decode(line.removesuffix(b"\n")))
        except BadLineError as bad:
            self.damage.append(f"line {number}: {bad}")
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, binascii.Error) as error:
            self.damage.append(f"line {number}: holds what does not fit together ({type(error).__name__})")
        else:
            self.whole += 1

    def _take(self, record: dict[str, Any]) -> None:
        if record.get("streamkit") == SET:
            self._streams, self.meta = int(record["streams"]), dict(record["meta"])
        elif "resources" in record:
            columns = (np.array(record[column], dtype=np.int64) for column in COLUMNS)
            self.resources.append(Resources(str(record["resources"]), *columns))
        elif "stream" in record:
            number = int(record["stream"])
            if number in self.recordings:
                raise BadLineError(f"holds stream {number} a second time")
            self.recordings[number] = _recording(record)
        else:
            raise BadLineError("is neither a header, a stream nor resources")

    def why_none(self) -> str:
        """Of a file without a single whole line: what it is instead."""
        if not self._lines:
            return "it is empty"
        if not self._json:
            return "no line of it is JSON"
        some = "its" if self._json == self._lines else "some of its"
        return f"{some} lines are JSON, but none is a whole line of a set"

    def compare_counts(self) -> None:
        """Name the streams that are missing."""
        if self._streams is None:
            self.damage.append("no header: what the load was to be, and how many streams there were, is lost")
        missing = [n for n in range(self._streams or max(self.recordings, default=-1) + 1) if n not in self.recordings]
        if missing:
            shown = ", ".join(map(str, missing[:10])) + (", …" if len(missing) > 10 else "")
            noun = "stream is" if len(missing) == 1 else "streams are"
            self.damage.append(f"{len(missing):,} {noun} missing: {shown}")


def _recording(record: Mapping[str, Any]) -> Recording:
    header, footer = read_header(record["header"]), read_footer(record["footer"])
    n_reads, n_events = footer.pop("reads"), footer.pop("events")
    del footer["taps"], footer["gauges"]
    told = record["reads"]
    data = _long(told["data"], n_reads)
    reads = Reads(
        **{name: _ints(told[name], n_reads) for name in READS},
        data=None
        if not any(data)
        else [None if each is None else base64.b64decode(each, validate=True) for each in data],
    )
    events = _events(record["events"], n_events) if header.pop("kept") else _slim_events(record["events"], n_events)
    return Recording(
        reads=reads,
        events=events,
        taps={name: Tap(**columns) for name, columns in record["taps"].items()},
        gauges={name: Gauge(**columns) for name, columns in record["gauges"].items()},
        **header,
        **footer,
    )


def _events(told: Mapping[str, Any], count: int) -> Events:
    columns: dict[str, Any] = {
        **{name: _ints(told[name], count) for name in EVENTS},
        **{name: _texts(told[name], count) for name in TEXTS},
    }
    return Events(**columns)


def _slim_events(told: Mapping[str, Any], count: int) -> SlimEvents:
    """Of which the texts were not kept: read by read, as they came."""
    numbers = {name: _ints(told[name], count) for name in ("at_ns", "read", "handed_ns", "size", *LENGTHS)}
    columns: dict[str, list[Any]] = {**numbers, "event": _texts(told["event"], count)}
    at_ns, reads = columns.pop("at_ns"), columns.pop("read")
    events = SlimEvents(handed_apart=True)
    for read, places in groupby(range(count), key=reads.__getitem__):
        rows = [*places]
        events.load(at_ns[rows[0]], read, {name: column[rows[0] : rows[-1] + 1] for name, column in columns.items()})
    return events


def _long(column: Any, count: int) -> list[Any]:
    values = column if isinstance(column, list) else [column] * count
    if len(values) != count:
        raise BadLineError(f"has {len(values)} values in a column of {count}")
    return values


def _ints(column: Any, count: int) -> list[int]:
    values = _long(column, count)
    if not set(map(type, values)) <= {int}:
        raise BadLineError("has a column of numbers with something else in it")
    return values


def _texts(column: Any, count: int) -> list[str]:
    values = _long(column, count)
    if not set(map(type, values)) <= {str}:
        raise BadLineError("has a column of texts with something else in it")
    return values


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _begin_of(name: str, first_line: bytes) -> str:
    """What kind of file it says that it is; "" where it does not. Raises RecordingFormatError for a newer one."""
    try:
        header = json.loads(first_line)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(header, dict):
        return ""
    version = header.get("version")
    if header.get("streamkit") == SET and isinstance(version, int) and version > VERSION:
        raise RecordingFormatError(
            f"{name} is a set in format {version}, and this version reads up to {VERSION}: update streamkit"
        )
    return str(header.get("streamkit", ""))

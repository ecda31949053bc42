"""Recordings as files: JSON Lines, one line per read with the events it completed.

    {"streamkit": "recording", "version": 4, "url": …, …, "crc32": "9a1b2c3d"}      the header
    {"n": 0, "at_ns": …, "size": …, "data": base64 or null, …, "events": […], "crc32": …}
    …
    {"tap": "relay.read", "at_ns": […], "events": […], "bytes": […], "crc32": …}
    …
    {"gauge": "relay.unsent", "at_ns": […], "value": […], "crc32": …}
    …
    {"reads": 40, "events": 42, "taps": 1, "gauges": 1, "outcome": ["complete", null], …, "crc32": …}    the footer

An event stands in the line of the read that completed it, so no line needs another to make sense. Each line ends in
the CRC-32 of what stands before it: a flipped bit inside a text would otherwise load as a different text. What is
not whole is left out and named; nothing is guessed.

Version 1 knew neither taps nor marks, nor how wrong or late a stamp is, nor when a slot was free and TLS stood;
version 2 neither counts nor gauges; version 3 no word of the relay's, and it called stamps of a client library
"piece". Such files are read, with the fields' defaults; version 4 is written. Its
first files have no `finish_reason` in their footer, which then counts as unknown. The header of a stream that was cut
and asked for again has `cuts`, too, that of an upload `sends`, that of one stream among many its `labels`, and when it
was due (`due_ns`); others have none. A recording without texts is written as version 5: `"kept": false` in its header,
and its events have lengths (`LENGTHS`) in their place.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import warnings
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from streamkit.errors import RecordingFormatError
from streamkit.lab.metrics.columns import check_ascending, check_at_least
from streamkit.lab.metrics.compact import Unkept
from streamkit.lab.recording.cuts import Cut
from streamkit.lab.recording.lines import BadLineError, decode, read_lines, write_whole
from streamkit.lab.recording.recorded import ALL_GAUGES, JOINED_TAPS, Events, Reads, Recorded, SomeRecorded, Stamps
from streamkit.lab.recording.relay_word import RelayWord
from streamkit.lab.recording.rows import SlimEvents, SlimReads
from streamkit.lab.recording.sends import Sends
from streamkit.outcome import Outcome, OutcomeName
from streamkit.taps import Tap
from streamkit.taps.gauges import Gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "LENGTHS",
    "SET",
    "VERSION",
    "columns_of",
    "footer_of",
    "header_of",
    "load",
    "read_footer",
    "read_header",
    "save",
]

VERSION = 5
WITH_TEXTS = 4
"""What is written where the texts were kept: earlier readers can do with that."""
SET = "recordings"
"""What a file of many begins with, where one of a recording has `recording`."""

_INT64 = range(-(2**63), 2**63)
_HEADER = ("status", "headers", "content_type", "preset", "url", "label", "stamps", "meta")
_TIMES = ("started_ns", "connected_ns", "sent_ns", "head_ns")
_SINCE_2 = ("acquired_ns", "tls_ns", "marks")
_SINCE_3 = ("counts",)
_SINCE_4 = ("relay",)
_LIBRARY_BEFORE_4 = "piece"
_TAP = ("at_ns", "events", "bytes")
_GAUGE = ("at_ns", "value")
_SENDS = ("at_ns", "size", "held_ns")
_STAMP = {"error_ns": -1, "late_ns": 0}  # unknown in files of version 1
_EVENT = ("handed_ns", "event", "data", "id", "text", "reasoning", "size")
LENGTHS = ("characters", "text_bytes", "reasoning_characters", "reasoning_bytes")
_NUMBERS = frozenset(("handed_ns", "size", *LENGTHS))
_SLIM_EVENT = ("handed_ns", "event", "size", *LENGTHS)


def save(recording: Recorded, path: str | os.PathLike[str]) -> None:
    """Write `recording` to `path`: a new file beside it, moved into its place when it is whole."""
    write_whole(path, _lines(recording))


def load(path: str | os.PathLike[str], kind: type[SomeRecorded]) -> SomeRecorded:
    """Read the recording at `path` as one of that kind; see `Recording.load`."""
    name = Path(path).name
    lines = b"".join(read_lines(path)).split(b"\n")
    _check_format(name, lines[0])
    loading = _Loading()
    for number, line in enumerate(lines[:-1], start=1):
        loading.take(number, line)
    if lines[-1]:
        loading.take(len(lines), lines[-1])
        loading.damage.append(f"line {len(lines)}: no line end; the file was cut here")
    if not loading.whole:
        raise RecordingFormatError(f"expected a recording in {name}, got a file without a single whole line of one")
    recording = loading.recording(kind)
    if recording.damage:
        count, noun = len(recording.damage), "fault" if len(recording.damage) == 1 else "faults"
        warnings.warn(f"{name} is damaged ({count} {noun}): {recording.damage[0]}; see .damage", stacklevel=3)
    return recording


def header_of(recording: Recorded) -> dict[str, Any]:
    """The first line of a recording's file: all that is no column, but for its end."""
    resumed = {"cuts": [cut.as_dict() for cut in recording.cuts]} if recording.cuts else {}
    sends = {name: getattr(recording.sends, name).tolist() for name in _SENDS}
    uploaded = {"sends": sends} if recording.sends else {}
    among_many: dict[str, Any] = {"labels": dict(recording.labels)} if recording.labels else {}
    if recording.due_ns is not None:
        among_many["due_ns"] = recording.due_ns
    return {
        "streamkit": "recording",
        "version": WITH_TEXTS if recording.events.kept else VERSION,
        **({} if recording.events.kept else {"kept": False}),
        **{name: getattr(recording, name) for name in (*_HEADER, *_TIMES, *_SINCE_2, *_SINCE_3, *_SINCE_4)},
        "headers": dict(recording.headers),
        "marks": dict(recording.marks),
        "counts": dict(recording.counts),
        "relay": None if recording.relay is None else recording.relay.as_dict(),
        "meta": dict(recording.meta),
        **resumed,
        **uploaded,
        **among_many,
    }


def footer_of(recording: Recorded) -> dict[str, Any]:
    """The last line: how much there is of each, and the end."""
    outcome = recording.outcome
    return {
        "reads": len(recording.reads),
        "events": len(recording.events),
        "taps": len(recording.taps),
        "gauges": len(recording.gauges),
        "outcome": [outcome.name, outcome.detail],
        "error": recording.error,
        "finish_reason": recording.finish_reason,
        "ended_ns": recording.ended_ns,
    }


def _lines(recording: Recorded) -> Iterator[dict[str, Any]]:
    reads, events = recording.reads, recording.events
    yield header_of(recording)
    rows = _events_of_reads(events)
    number, completed = next(rows, (-1, []))
    for read in reads:
        mine: list[dict[str, Any]] = []
        if number == read.index:
            mine = completed
            number, completed = next(rows, (-1, []))
        data = None if read.data is None else base64.b64encode(read.data).decode("ascii")
        yield {
            "n": read.index,
            "at_ns": read.at_ns,
            "size": read.size,
            "data": data,
            "error_ns": read.error_ns,
            "late_ns": read.late_ns,
            "events": mine,
        }
    for name, tap in recording.taps.items():
        yield {"tap": name, **{column: getattr(tap, column).tolist() for column in _TAP}}
    for name, gauge in recording.gauges.items():
        yield {"gauge": name, **{column: getattr(gauge, column).tolist() for column in _GAUGE}}
    yield footer_of(recording)


def _events_of_reads(events: Events) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Of each read that completed events its number, and these."""
    names = _EVENT if events.kept else _SLIM_EVENT
    rows = zip(events.read, zip(*columns_of(events).values(), strict=True), strict=True)
    for number, of_read in groupby(rows, key=itemgetter(0)):
        yield number, [dict(zip(names, row, strict=True)) for _, row in of_read]


def columns_of(events: Events) -> dict[str, Iterable[Any]]:
    """What is written of them, by `_EVENT` or `_SLIM_EVENT`."""
    text, reasoning = events.text, events.reasoning
    if not (isinstance(text, Unkept) and isinstance(reasoning, Unkept)):
        return {name: getattr(events, name) for name in _EVENT}
    lengths = (text.characters, text.bytes, reasoning.characters, reasoning.bytes)
    return {
        "handed_ns": events.handed_ns,
        "event": events.event,
        "size": events.size,
        **dict(zip(LENGTHS, lengths, strict=True)),
    }


def _check_format(name: str, first_line: bytes) -> None:
    try:
        header = json.loads(first_line)
    except (ValueError, RecursionError):
        return
    if isinstance(header, dict) and header.get("streamkit") == SET:
        raise RecordingFormatError(f"expected one recording in {name}, got a set of them: RecordingSet.load() reads it")
    if isinstance(header, dict) and header.get("streamkit") == "recording":
        version = header.get("version")
        if isinstance(version, int) and version > VERSION:
            raise RecordingFormatError(
                f"{name} is a recording in format {version}, and this version reads up to {VERSION}: update streamkit"
            )


class _Loading:
    """Takes the lines in turn, keeps the whole ones, names the others."""

    def __init__(self) -> None:
        self.damage: list[str] = []
        self.whole = 0
        self._reads = Reads()
        self._events: dict[str, list[Any]] = {name: [] for name in ("at_ns", "read", *_EVENT)}
        self._slim: SlimEvents | None = None  # instead of these, where the header says so
        self._taps: dict[str, Tap] = {}
        self._gauges: dict[str, Gauge] = {}
        self._header: dict[str, Any] | None = None
        self._footer: dict[str, Any] | None = None
        self._next_read = 0

    def take(self, number: int, line: bytes) -> None:
        try:
            self._take(decode(line), number)
        except BadLineError as bad:
            self.damage.append(f"line {number}: {bad}")
        else:
            self.whole += 1

    def _take(self, record: dict[str, Any], number: int) -> None:
        if self._footer is not None:
            raise BadLineError("comes after the end of the recording")
        if "streamkit" in record:
            if number != 1:
                raise BadLineError("is the header of a recording, in the middle of another")
            self._header = read_header(record)
            if not self._header.pop("kept"):
                self._slim, self._reads = SlimEvents(handed_apart=True), SlimReads(keeping=True)
        elif "n" in record:
            self._take_read(record, number)
        elif "tap" in record:
            self._take_tap(record)
        elif "gauge" in record:
            self._take_gauge(record)
        elif "outcome" in record:
            self._footer = read_footer(record)
        else:
            raise BadLineError("is neither a header, a read, a tap, a gauge nor a footer")

    def _take_read(self, record: dict[str, Any], number: int) -> None:
        n, at_ns, size = (_get(record, name, _is_int) for name in ("n", "at_ns", "size"))
        error_ns, late_ns = (_get({name: default, **record}, name, _is_int) for name, default in _STAMP.items())
        data, events = _base64(_get(record, "data", _optional(_is_str))), _get(record, "events", _is_list)
        completed = [_event(event, _EVENT if self._slim is None else _SLIM_EVENT) for event in events]
        if n < self._next_read:
            raise BadLineError(f"read {n} comes after a later one")
        if self._reads and at_ns < self._reads.at_ns[-1]:
            raise BadLineError(f"read {n} is earlier than the one before it")
        if size < 0 or (data is not None and len(data) != size):
            raise BadLineError(f"read {n} has {size} bytes by its size, but not by its data")
        if error_ns < -1:
            raise BadLineError(f"read {n} has an error of {error_ns} ns")
        if n > self._next_read:
            self.damage.append(f"before line {number}: {_span(self._next_read, n)} missing")
        self._next_read = n + 1
        if self._slim is not None and completed:
            self._slim.load(
                at_ns, len(self._reads), {name: [each[name] for each in completed] for name in completed[0]}
            )
        for event in completed if self._slim is None else ():
            for name, value in (("at_ns", at_ns), ("read", len(self._reads)), *event.items()):
                self._events[name].append(value)
        self._reads.append(at_ns, size, data, error_ns, late_ns)

    def _take_tap(self, record: dict[str, Any]) -> None:
        name = _get(record, "tap", lambda value: value in JOINED_TAPS)
        columns = {column: _get(record, column, _is_column) for column in _TAP}
        if name in self._taps:
            raise BadLineError(f"holds the tap {name} a second time")
        try:
            self._taps[name] = Tap(**columns)
        except ValueError:
            raise BadLineError(f"holds columns that make no staircase for the tap {name}") from None

    def _take_gauge(self, record: dict[str, Any]) -> None:
        name = _get(record, "gauge", lambda value: value in ALL_GAUGES)
        columns = {column: _get(record, column, _is_column) for column in _GAUGE}
        if name in self._gauges:
            raise BadLineError(f"holds the gauge {name} a second time")
        try:
            self._gauges[name] = Gauge(**columns)
        except ValueError:
            raise BadLineError(f"holds columns that do not fit together for the gauge {name}") from None

    def recording(self, kind: type[SomeRecorded]) -> SomeRecorded:
        self._compare_counts()
        header, footer = self._header or {}, self._footer or {}
        if self._header is None:
            self.damage.append("no header: how and where the recording was made is lost")
        if self._footer is None:
            self.damage.append("no footer: how the stream ended is lost; it stands as truncated, for want of proof")
            footer = {"outcome": Outcome("truncated"), "error": "the file holds no end of the recording"}
        return kind(
            reads=self._reads,
            events=Events(**self._events) if self._slim is None else self._slim,
            taps=self._taps,
            gauges=self._gauges,
            **header,
            **footer,
            damage=tuple(self.damage),
        )

    def _compare_counts(self) -> None:
        if self._footer is None:
            return
        reads, events, taps, gauges = (self._footer.pop(name) for name in ("reads", "events", "taps", "gauges"))
        if self._next_read < reads:
            self.damage.append(f"before the footer: {_span(self._next_read, reads)} missing")
        count = len(self._events["read"]) if self._slim is None else len(self._slim)
        if (reads, events) != (len(self._reads), count):
            self.damage.append(f"{len(self._reads)} of {reads} reads and {count} of {events} events were kept")
        for noun, kept, saved in (("taps", self._taps, taps), ("gauges", self._gauges, gauges)):
            if len(kept) != saved:
                self.damage.append(f"{len(kept)} of {saved} {noun} were kept")


def read_header(record: dict[str, Any]) -> dict[str, Any]:
    """What `header_of` gave, as fields of a recording. Raises BadLineError for what is none."""
    version = record.get("version")
    if record["streamkit"] != "recording" or type(version) is not int or not 1 <= version <= VERSION:
        raise BadLineError(f"is not the header of a recording in format 1 to {VERSION}")
    kinds: dict[str, Callable[[Any], bool]] = {
        "status": _optional(_is_int),
        "headers": _is_headers,
        "content_type": _optional(_is_str),
        "preset": _optional(_is_str),
        "url": _is_str,
        "label": _is_str,
        "stamps": lambda value: value in get_args(Stamps),
        "meta": _is_meta,
        "started_ns": _is_int,
        "marks": _is_numbers,
        "counts": _is_numbers,
        "relay": _optional(_is_word),
    }
    if version < 4 and record.get("stamps") == _LIBRARY_BEFORE_4:
        record = {**record, "stamps": "library"}
    since = ((2, _SINCE_2), (3, _SINCE_3), (4, _SINCE_4))
    known = (*_HEADER, *_TIMES, *(name for first, names in since if version >= first for name in names))
    header = {name: _get(record, name, kinds.get(name, _optional(_is_int))) for name in known}
    cuts = _get({"cuts": [], **record}, "cuts", _are_cuts)
    header["cuts"] = tuple(map(Cut.from_dict, cuts))
    if "sends" in record:
        header["sends"] = _sends(_get(record, "sends", lambda value: isinstance(value, dict)))
    header["kept"] = _get({"kept": True, **record}, "kept", lambda value: isinstance(value, bool))
    header["labels"] = _get({"labels": {}, **record}, "labels", _are_labels)
    header["due_ns"] = _get({"due_ns": None, **record}, "due_ns", _optional(_is_int))
    if header.get("relay") is not None:
        header["relay"] = RelayWord.from_dict(header["relay"])
    return header


def _sends(record: dict[str, Any]) -> Sends:
    columns = {name: _get(record, name, _is_column) for name in _SENDS}
    try:
        sends = Sends(**columns)
        check_ascending("sends", sends.at_ns)
        check_at_least(0, [*sends.size, *sends.held_ns], "0 or more")
    except ValueError:
        raise BadLineError("holds columns that are no writes of a request's body") from None
    return sends


def _event(record: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise BadLineError("holds an event that is not a JSON object")
    event = {name: _get(record, name, _is_int if name in _NUMBERS else _is_str) for name in names}
    if event["size"] < 0 or any(event[name] < 0 for name in LENGTHS if name in event):
        raise BadLineError("holds an event of negative size")
    return event


def read_footer(record: dict[str, Any]) -> dict[str, Any]:
    """What `footer_of` gave: its counts, and fields of a recording. Raises BadLineError for what is none."""
    name, detail = _get(record, "outcome", _is_outcome)
    return {
        "reads": _get(record, "reads", _is_int),
        "events": _get(record, "events", _is_int),
        "taps": _get({"taps": 0, **record}, "taps", _is_int),
        "gauges": _get({"gauges": 0, **record}, "gauges", _is_int),
        "outcome": Outcome(name, detail),
        "error": _get(record, "error", _optional(_is_str)),
        "finish_reason": _get({"finish_reason": None, **record}, "finish_reason", _optional(_is_str)),
        "ended_ns": _get(record, "ended_ns", _optional(_is_int)),
    }


def _get(record: dict[str, Any], name: str, fits: Callable[[Any], bool]) -> Any:
    if name not in record:
        raise BadLineError(f"has no {name!r}")
    if not fits(record[name]):
        raise BadLineError(f"has a {name!r} of the wrong kind ({type(record[name]).__name__})")
    return record[name]


def _is_int(value: Any) -> bool:
    return type(value) is int and value in _INT64


def _is_str(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_column(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_int, value))


def _is_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_int, value.values()))


def _is_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _are_labels(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(label, str | int | float) for label in value.values())


def _is_meta(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    notes = value.get("notes", [])
    return isinstance(notes, list) and all(isinstance(note, str) for note in notes)


def _is_word(value: Any) -> bool:
    try:
        RelayWord.from_dict(value)
    except ValueError:
        return False
    return True


def _are_cuts(value: Any) -> bool:
    try:
        cuts = [Cut.from_dict(each) for each in value]
    except (TypeError, ValueError):
        return False
    return isinstance(value, list) and all(one.event <= other.event for one, other in pairwise(cuts))


def _is_outcome(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    name, detail = value
    return name in get_args(OutcomeName) and (detail is None or isinstance(detail, str) or _is_int(detail))


def _optional(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _base64(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadLineError("holds bytes that are not base64") from None


def _span(first: int, stop: int) -> str:
    return f"read {first} is" if stop - first == 1 else f"reads {first} to {stop - 1} are"

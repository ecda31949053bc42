"""Recording: what one streamed answer looked like from the client: reads, events, outcome, and how it was taken.

Columns, not objects, lie underneath: integers in `array('q')`, so `np.asarray(recording.reads.at_ns)` is a view, and
strings in lists. All times are integer nanoseconds counted from the call of `record()` (`started_ns`, on the
monotonic clock named in `meta`).

A **read** is what one socket read returned, an **event** one SSE event or NDJSON line, a **piece** the text
extracted from one event. Events that were completed by the same read share its number and its time: they are
*coalesced*, and the zero gaps between them are artefacts of reading, not of sending.
"""

from __future__ import annotations

import html
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from streamkit.outcome import Outcome

if TYPE_CHECKING:
    import os

    import pandas as pd  # type: ignore[import-untyped]  # pandas brings no types

    from streamkit.lab.summary import Summary

__all__ = ["Events", "Read", "Reads", "RecordedEvent", "Recording"]

Stamps = Literal["socket", "piece"]


@dataclass(frozen=True, slots=True)
class Read:
    """One socket read: its number, its time, the bytes of body it brought, and those bytes if they were kept."""

    index: int
    at_ns: int
    size: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One event.

    `at_ns` is when its last byte was read (the stamp of the read numbered `read`), `handed_ns` when it was decoded
    and handed on. `text` is the piece extracted from it ("" if none), `reasoning` the thinking piece where that was
    asked for. `size` counts the bytes of its data in UTF-8, without framing. Where the wire has no event borders
    (text/plain) one event stands for what one read brought: `event` and `data` are empty and `size` is the read's.
    """

    index: int
    at_ns: int
    handed_ns: int
    read: int
    event: str
    data: str
    id: str
    text: str
    reasoning: str
    size: int


class _WireEvent(Protocol):
    @property
    def event(self) -> str: ...
    @property
    def data(self) -> str: ...
    @property
    def id(self) -> str: ...


class Reads(Sequence[Read]):
    """The socket reads that brought body bytes, as parallel columns `at_ns`, `size` and `data`.

    A read that brought only a response head or chunk framing is not listed. `data` holds None for a read whose
    bytes were not kept.
    """

    __slots__ = ("at_ns", "data", "size")

    def __init__(
        self,
        at_ns: Iterable[int] = (),
        size: Iterable[int] | None = None,
        data: Iterable[bytes | None] | None = None,
    ) -> None:
        self.at_ns = array("q", at_ns)
        self.data: list[bytes | None] = [None] * len(self.at_ns) if data is None else list(data)
        self.size = array("q", (len(kept or b"") for kept in self.data) if size is None else size)
        _check_lengths("Reads", at_ns=self.at_ns, size=self.size, data=self.data)

    def append(self, at_ns: int, size: int, data: bytes | None) -> None:
        """Add one read; times are nanoseconds from the start of the recording."""
        self.at_ns.append(at_ns)
        self.size.append(size)
        self.data.append(data)

    def __len__(self) -> int:
        return len(self.at_ns)

    @overload
    def __getitem__(self, index: int) -> Read: ...
    @overload
    def __getitem__(self, index: slice) -> list[Read]: ...
    def __getitem__(self, index: int | slice) -> Read | list[Read]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        return Read(i, self.at_ns[i], self.size[i], self.data[i])

    def __iter__(self) -> Iterator[Read]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reads):
            return NotImplemented
        return (self.at_ns, self.size, self.data) == (other.at_ns, other.size, other.data)

    def __repr__(self) -> str:
        return f"<Reads: {len(self)} reads, {sum(self.size)} bytes>"


class Events(Sequence[RecordedEvent]):
    """The events, as parallel columns named like the fields of `RecordedEvent`.

    Made by hand, only `at_ns` is needed: `read` then numbers the distinct times (events of one time share a read),
    `handed_ns` equals `at_ns`, `size` is the UTF-8 length of `data`, or of `text` where there is no data.
    """

    __slots__ = ("at_ns", "data", "event", "handed_ns", "id", "read", "reasoning", "size", "text")

    def __init__(
        self,
        at_ns: Iterable[int] = (),
        *,
        text: Iterable[str] | None = None,
        read: Iterable[int] | None = None,
        handed_ns: Iterable[int] | None = None,
        event: Iterable[str] | None = None,
        data: Iterable[str] | None = None,
        id: Iterable[str] | None = None,  # noqa: A002  the field's name in the SSE grammar
        reasoning: Iterable[str] | None = None,
        size: Iterable[int] | None = None,
    ) -> None:
        self.at_ns = array("q", at_ns)
        n = len(self.at_ns)
        self.read = array("q", _numbered(self.at_ns) if read is None else read)
        self.handed_ns = array("q", self.at_ns if handed_ns is None else handed_ns)
        self.event = _strings(event, n, "message")
        self.data = _strings(data, n)
        self.id = _strings(id, n)
        self.text = _strings(text, n)
        self.reasoning = _strings(reasoning, n)
        bodies = self.text if data is None else self.data
        self.size = array("q", (len(body.encode("utf-8", "replace")) for body in bodies) if size is None else size)
        _check_lengths("Events", **{name: getattr(self, name) for name in self.__slots__})

    def append(
        self, wire: _WireEvent, *, at_ns: int, handed_ns: int, read: int, text: str, reasoning: str, size: int
    ) -> None:
        """Add one event as the parser gave it (`wire`), with what was extracted and measured."""
        self.at_ns.append(at_ns)
        self.handed_ns.append(handed_ns)
        self.read.append(read)
        self.event.append(wire.event)
        self.data.append(wire.data)
        self.id.append(wire.id)
        self.text.append(text)
        self.reasoning.append(reasoning)
        self.size.append(size)

    def __len__(self) -> int:
        return len(self.at_ns)

    @overload
    def __getitem__(self, index: int) -> RecordedEvent: ...
    @overload
    def __getitem__(self, index: slice) -> list[RecordedEvent]: ...
    def __getitem__(self, index: int | slice) -> RecordedEvent | list[RecordedEvent]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        return RecordedEvent(i, **{name: getattr(self, name)[i] for name in self.__slots__})

    def __iter__(self) -> Iterator[RecordedEvent]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Events):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __repr__(self) -> str:
        return f"<Events: {len(self)} events, {sum(map(len, self.text))} characters>"


@dataclass(frozen=True, kw_only=True, repr=False)
class Recording:
    """One recorded answer. Made by `record()`, by `Recording.load()`, or by hand (every field has a default).

    reads, events   columns; see `Reads` and `Events`
    outcome         how the stream ended; `error` says more in our own words, never an exception's text
    status          the HTTP status, None when no response head arrived
    headers         response headers, lower-case names; those that carry cookies or credentials are left out
    preset          the provider shape by which text was extracted, None when none fitted or none was needed
    url             scheme, host and path of the request; no user info, no query
    started_ns      the monotonic clock at the call; all other times are relative to it
    connected_ns    the connection (TLS included) stood; None when unknown, as on a reused connection
    sent_ns         the request's last byte had left; None when unknown
    head_ns         the response head had arrived
    ended_ns        the body ended, was cut, or was given up
    stamps          "socket": each socket read was stamped; "piece": each piece given by somebody else's client
    meta            clock and its origin (numbers of different origins must never be subtracted), start by the wall
                    clock, platform, versions, framing, `notes`; JSON values only
    damage          what was lost when the recording was loaded from a damaged file; empty otherwise

    Raises ValueError if the columns do not fit together: reads and events must be in the order of time, and an
    event's time must be its read's.
    """

    reads: Reads = field(default_factory=Reads)
    events: Events = field(default_factory=Events)
    outcome: Outcome = field(default_factory=lambda: Outcome("complete"))
    error: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    preset: str | None = None
    url: str = ""
    label: str = ""
    started_ns: int = 0
    connected_ns: int | None = None
    sent_ns: int | None = None
    head_ns: int | None = None
    ended_ns: int | None = None
    stamps: Stamps = "socket"
    meta: Mapping[str, Any] = field(default_factory=dict)
    damage: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        _check_order("reads.at_ns", self.reads.at_ns)
        _check_order("events.read", self.events.read)
        if any(size < 0 for size in self.reads.size) or any(size < 0 for size in self.events.size):
            raise ValueError("expected sizes of 0 bytes or more, got a negative one")
        for index, (read, at_ns) in enumerate(zip(self.events.read, self.events.at_ns, strict=True)):
            if not 0 <= read < len(self.reads):
                raise ValueError(f"event {index} names read {read}, but there are {len(self.reads)} reads (from 0)")
            if at_ns != self.reads.at_ns[read]:
                raise ValueError(
                    f"event {index} has at_ns={at_ns}, but its read {read} has {self.reads.at_ns[read]}; "
                    f"an event's time is that of the read that completed it"
                )

    @classmethod
    def from_pieces(cls, pieces: Iterable[tuple[int, str]], **fields: Any) -> Recording:
        """A recording made by hand from `(at_ns, text)` pairs; pieces of one time share a read.

        `fields` are those of `Recording`. For examples, tests, and times that come from somewhere else.
        """
        pairs = list(pieces)
        events = Events([at_ns for at_ns, _ in pairs], text=[text for _, text in pairs])
        bodies: dict[int, bytes] = {}
        for at_ns, text in pairs:
            bodies[at_ns] = bodies.get(at_ns, b"") + text.encode("utf-8", "replace")
        return cls(reads=Reads(bodies.keys(), data=bodies.values()), events=events, **fields)

    @property
    def text(self) -> str:
        """All pieces joined."""
        return "".join(self.events.text)

    @property
    def reasoning(self) -> str:
        """All thinking pieces joined; empty unless the recording was made with `reasoning=True`."""
        return "".join(self.events.reasoning)

    @property
    def body(self) -> bytes | None:
        """The body as it came, chunked coding undone; None if the bytes of any read were not kept."""
        kept = [data for data in self.reads.data if data is not None]
        return b"".join(kept) if len(kept) == len(self.reads) else None

    def summary(self) -> Summary:
        """The numbers of this recording: TTFT, duration, gaps, stalls, coalescing, throughput."""
        from streamkit.lab.summary import summarize

        return summarize(self)

    def to_pandas(self) -> pd.DataFrame:
        """One row per event, times in ns as recorded; `coalesced` marks events that share a read with an earlier one.

        Raises ImportError if pandas is missing (`pip install 'streamkit[pandas]'`).
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("to_pandas() needs pandas: pip install 'streamkit[pandas]'") from None
        events = self.events
        names = ("at_ns", "handed_ns", "read", "size", "event", "id", "data", "text", "reasoning")
        frame = pd.DataFrame({name: list(getattr(events, name)) for name in names})
        frame["coalesced"] = frame["read"].duplicated()
        frame.index.name = "n"
        return frame

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON Lines file, whole or not at all (a new file takes the old one's place when it is ready)."""
        from streamkit.lab import storage

        storage.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """Read a file written by `save()`.

        Of a damaged file the whole lines are kept; the bad ones are named in `damage`, and a warning says so.
        Raises `RecordingFormatError` if the file is not a recording or was written in a newer format.
        """
        from streamkit.lab import storage

        return storage.load(path)

    def __repr__(self) -> str:
        return f"<Recording {self.outcome}: {self._counts()}>"

    def _counts(self) -> str:
        """What does not change from run to run: the number of reads does, and without event borders that of events."""
        characters = _plural(sum(map(len, self.events.text)), "character")
        without_borders = len(self.events) > 0 and not any(self.events.event)
        return characters if without_borders else f"{_plural(len(self.events), 'event')}, {characters}"

    def _repr_html_(self) -> str:
        title = f"{self.label}: {self.outcome}" if self.label else str(self.outcome)
        status = "–" if self.status is None else str(self.status)
        rows = [("HTTP status", status), ("counts", self._counts()), *self.summary().rows()]
        if self.error:
            rows.insert(0, ("error", self.error))
        body = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
        return f"<table><caption>{html.escape(title)}</caption><tbody>{body}</tbody></table>"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _strings(given: Iterable[str] | None, length: int, default: str = "") -> list[str]:
    return [default] * length if given is None else list(given)


def _numbered(at_ns: Sequence[int]) -> Iterator[int]:
    number = -1
    previous = None
    for at in at_ns:
        number += at != previous
        previous = at
        yield number


def _check_lengths(name: str, **columns: Sequence[Any]) -> None:
    lengths = {column: len(values) for column, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected {name} columns of equal length, got {lengths}")


def _check_order(name: str, column: Sequence[int]) -> None:
    for index, (before, after) in enumerate(pairwise(column)):
        if after < before:
            raise ValueError(f"expected {name} in ascending order, got {before} before {after} at index {index + 1}")

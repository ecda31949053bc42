"""Reads and events as columns; and the same in few bytes, without the texts."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final, Protocol, TypeAlias

from streamkit.lab.metrics.columns import Columnar, characters, check_lengths, int_column, numbered, utf8_sizes
from streamkit.lab.metrics.compact import Indexed, Narrow, PerRead, Unkept, Words, utf8_lengths, utf8_size

__all__ = ["Events", "Read", "Reads", "RecordedEvent", "SlimEvents", "SlimReads"]

_OF_READS: Final = ("at_ns", "data", "error_ns", "late_ns", "size")
_OF_EVENTS: Final = ("at_ns", "data", "event", "handed_ns", "id", "read", "reasoning", "size", "text")
Ints: TypeAlias = "array[int] | Narrow"
OfReads: TypeAlias = "array[int] | Narrow | PerRead"
Names: TypeAlias = "list[str] | Words"
Texts: TypeAlias = "list[str] | Unkept"
Bodies: TypeAlias = "list[bytes | None] | NoBodies"


@dataclass(frozen=True, slots=True)
class Read:
    """One socket read: its number, its time, and the bytes of body that it brought.

    size      how many bytes
    data      the bytes themselves; None if they were not kept
    error_ns  how wrong the time can be; -1 where that is not known
    late_ns   how much later than `at_ns` the read returned in Python, by which a tool without the kernel's stamps would
              have been wrong; 0 where `at_ns` is the time of the return itself
    """

    index: int
    at_ns: int
    size: int
    data: bytes | None = None
    error_ns: int = -1
    late_ns: int = 0


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One event: an SSE event, an NDJSON line, or, where the wire has no event borders, what one read brought.

    at_ns            when its last byte was read: the stamp of the read with the number `read`
    handed_ns        when it was decoded and handed over
    event, data, id  its fields as on the wire; empty where there are no event borders
    text             the piece extracted from it, "" if there is none
    reasoning        the thinking piece, if `record(reasoning=True)` asked for it
    size             the bytes of its data in UTF-8, without framing; without event borders, those of the read
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


class _Shape(Protocol):
    """What events that differ by their text alone have in common."""

    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def before(self) -> str: ...
    @property
    def behind(self) -> str: ...


class _WireEvent(Protocol):
    @property
    def event(self) -> str: ...
    @property
    def data(self) -> str: ...
    @property
    def id(self) -> str: ...


class Reads(Columnar[Read]):
    """The socket reads that brought body bytes, as parallel columns named like the fields of `Read`.

    A read that brought only a response head or chunk framing is not listed. `data` is None for a read whose bytes were
    not kept.
    """

    __slots__ = _columns = _OF_READS
    at_ns: Ints
    size: Ints
    data: Bodies
    error_ns: Ints
    late_ns: Ints

    def __init__(
        self,
        at_ns: Iterable[int] = (),
        size: Iterable[int] | None = None,
        data: Iterable[bytes | None] | None = None,
        error_ns: Iterable[int] | None = None,
        late_ns: Iterable[int] | None = None,
    ) -> None:
        if isinstance(at_ns, tuple) and not at_ns and size is None and data is None:  # as every recording begins
            self.at_ns, self.size, self.error_ns, self.late_ns = array("q"), array("q"), array("q"), array("q")
            self.data = []
            return
        self.at_ns = int_column(at_ns)
        n = len(self.at_ns)
        self.data = [None] * n if data is None else list(data)
        self.size = int_column((len(kept or b"") for kept in self.data) if size is None else size)
        self.error_ns = array("q", [-1]) * n if error_ns is None else int_column(error_ns)
        self.late_ns = array("q", [0]) * n if late_ns is None else int_column(late_ns)
        check_lengths("Reads", **{name: getattr(self, name) for name in _OF_READS})

    def append(self, at_ns: int, size: int, data: bytes | None, error_ns: int = -1, late_ns: int = 0) -> None:
        """Add one read; times are nanoseconds from the start of the recording."""
        self.at_ns.append(at_ns)
        self.size.append(size)
        self.data.append(data)
        self.error_ns.append(error_ns)
        self.late_ns.append(late_ns)

    def extend(
        self,
        at_ns: list[int],
        size: list[int],
        data: Sequence[bytes | None],
        error_ns: list[int],
        late_ns: list[int],
    ) -> None:
        """Add several, column by column."""
        self.at_ns.extend(at_ns)
        self.size.extend(size)
        self.data.extend(data)
        self.error_ns.extend(error_ns)
        self.late_ns.extend(late_ns)

    def keep(self, data: bytes) -> None:
        """The bytes of the last one."""
        assert not isinstance(self.data, NoBodies)  # noqa: S101  they are kept
        self.data[-1] = data

    def __len__(self) -> int:
        return len(self.at_ns)

    def _at(self, index: int) -> Read:
        return Read(index, **self._values(index))

    def __repr__(self) -> str:
        return f"<Reads: {len(self)} reads, {sum(self.size)} bytes>"


class Events(Columnar[RecordedEvent]):
    """The events, as parallel columns named like the fields of `RecordedEvent`.

    Made by hand, only `at_ns` is needed: `read` then numbers the distinct times (events with one time share a read),
    `handed_ns` equals `at_ns`, and `size` is the UTF-8 length of `data`, or of `text` if there is no data.
    """

    __slots__ = _columns = _OF_EVENTS
    at_ns: OfReads
    read: OfReads
    handed_ns: OfReads
    size: Ints
    event: Names
    data: Texts
    id: Texts
    text: Texts
    reasoning: Texts

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
        if isinstance(at_ns, tuple) and not at_ns and text is None and read is None and data is None and size is None:
            self._begin()  # as every recording does
            return
        self.at_ns = int_column(at_ns)
        n = len(self.at_ns)
        self.read = int_column(numbered(self.at_ns) if read is None else read)
        self.handed_ns = int_column(self.at_ns if handed_ns is None else handed_ns)
        self.event = _strings(event, n, "message")
        self.data = _strings(data, n)
        self.id = _strings(id, n)
        self.text = _strings(text, n)
        self.reasoning = _strings(reasoning, n)
        bodies = self.text if data is None else self.data
        self.size = int_column(utf8_sizes(bodies) if size is None else size)
        check_lengths("Events", **{name: getattr(self, name) for name in _OF_EVENTS})

    def _begin(self) -> None:
        self.at_ns, self.read, self.handed_ns, self.size = array("q"), array("q"), array("q"), array("q")
        self.event, self.data, self.id, self.text, self.reasoning = [], [], [], [], []

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

    def extend(
        self,
        wire: Sequence[tuple[str, str, str]],
        *,
        at_ns: list[int],
        handed_ns: list[int],
        read: list[int],
        counts: list[int],
        texts: list[str],
        reasoning: list[str],
    ) -> None:
        """Add the events that several reads brought (kind, data, id), column by column: `counts` says how many each of
        them did, not none, and `at_ns`, `handed_ns` and `read` are a number for each read.
        """
        self._extend_times(at_ns, handed_ns, read, counts)
        kinds, data, ids = zip(*wire, strict=True)
        self.event.extend(kinds)
        self.data.extend(data)
        self.id.extend(ids)
        self.text.extend(texts)
        self.reasoning.extend(reasoning)
        self.size.extend(utf8_lengths(data))

    def extend_alike(
        self,
        shape: _Shape,
        *,
        at_ns: list[int],
        handed_ns: list[int],
        read: list[int],
        counts: list[int],
        texts: list[str],
    ) -> None:
        """The same of events whose data are `shape.before`, the text, and `shape.behind`."""
        self._extend_times(at_ns, handed_ns, read, counts)
        count, before, behind = len(texts), shape.before, shape.behind
        data = [f"{before}{text}{behind}" for text in texts]
        self.event.extend([shape.kind] * count)
        self.data.extend(data)
        self.id.extend([shape.id] * count)
        self.text.extend(texts)
        self.reasoning.extend([""] * count)
        self.size.extend(utf8_lengths(data))

    def _extend_times(self, at_ns: list[int], handed_ns: list[int], read: list[int], counts: list[int]) -> None:
        for column, values in ((self.at_ns, at_ns), (self.handed_ns, handed_ns), (self.read, read)):
            assert not isinstance(column, PerRead)  # noqa: S101  those of `SlimEvents`
            column.extend(values if len(counts) == sum(counts) else _spread(values, counts))

    def hand_on(self, index: int, at_ns: int) -> None:
        """That event was handed on at this time."""
        assert not isinstance(self.handed_ns, PerRead)  # noqa: S101  where somebody listens each has its own
        self.handed_ns[index] = at_ns

    def grow(self, index: int, text: str, reasoning: str) -> None:
        """More text of an event that is here; what it brings was known late."""
        for column, more in ((self.text, text), (self.reasoning, reasoning)):
            if isinstance(column, Unkept):
                column.grow(index, more)
            else:
                column[index] += more

    @property
    def first_with_text(self) -> int | None:
        """The index of the first event with text; None if no event has any."""
        with_text = characters(self.text) > 0
        return int(with_text.argmax()) if with_text.any() else None

    @property
    def kept(self) -> bool:
        """Whether the texts themselves were kept, and not only their lengths."""
        return not isinstance(self.text, Unkept)

    def __len__(self) -> int:
        return len(self.at_ns)

    def _at(self, index: int) -> RecordedEvent:
        return RecordedEvent(index, **self._values(index))

    def __repr__(self) -> str:
        return f"<Events: {len(self)} events, {int(characters(self.text).sum())} characters>"


class NoBodies(Indexed[bytes | None]):
    """The bytes of reads, of which none were kept: how many there were."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def append(self, data: bytes | None) -> None:
        assert data is None  # noqa: S101  who keeps bytes has a list
        self._count += 1

    def extend(self, data: Sequence[bytes | None]) -> None:
        self._count += len(data)

    def __len__(self) -> int:
        return self._count

    def _at(self, _: int) -> None:
        return None

    def __eq__(self, other: object) -> bool:
        return [*self] == [*other] if isinstance(other, NoBodies | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it grows


class SlimReads(Reads):
    """Reads in few bytes; `keeping`: and with theirs, as long as there is room."""

    __slots__ = ()

    def __init__(self, *, keeping: bool = False) -> None:
        super().__init__()
        self.data = [] if keeping else NoBodies()
        self.size, self.error_ns, self.late_ns = Narrow(), Narrow(), Narrow()


class SlimEvents(Events):
    """Events in few bytes, without their texts: of those the lengths are kept, and of data its size.

    What all events of one read have in common is kept once for each read; `handed_apart`: but for when each was handed
    on, where somebody listened.
    """

    __slots__ = ()
    data: Unkept
    event: Words
    text: Unkept
    reasoning: Unkept

    def __init__(self, *, handed_apart: bool = False) -> None:
        at_ns = PerRead()
        self.at_ns, self.read = at_ns, PerRead(at_ns.ends)
        self.handed_ns = Narrow() if handed_apart else PerRead(at_ns.ends)
        self.event, self.size = Words(), Narrow()
        self.data = self.id = Unkept()  # one for both: there is nothing in it
        self.text, self.reasoning = Unkept(), Unkept()

    def append(
        self, wire: _WireEvent, *, at_ns: int, handed_ns: int, read: int, text: str, reasoning: str, size: int
    ) -> None:
        self._extend_times([at_ns], [handed_ns], [read], [1])
        self.event.append(wire.event)
        self.data.append("")
        self.text.append(text)
        self.reasoning.append(reasoning)
        self.size.append(size)

    def extend(
        self,
        wire: Sequence[tuple[str, str, str]],
        *,
        at_ns: list[int],
        handed_ns: list[int],
        read: list[int],
        counts: list[int],
        texts: list[str],
        reasoning: list[str],
    ) -> None:
        self._extend_times(at_ns, handed_ns, read, counts)
        kinds, data, _ = zip(*wire, strict=True)
        self.event.extend(kinds)
        self.data.blank(len(wire))
        self.text.extend(texts)
        self.reasoning.extend(reasoning)
        self.size.extend(utf8_lengths(data))

    def extend_alike(
        self,
        shape: _Shape,
        *,
        at_ns: list[int],
        handed_ns: list[int],
        read: list[int],
        counts: list[int],
        texts: list[str],
    ) -> None:
        self._extend_times(at_ns, handed_ns, read, counts)
        count, around = len(texts), utf8_size(shape.before) + utf8_size(shape.behind)
        self.event.same(shape.kind, count)
        self.data.blank(count)
        self.reasoning.blank(count)
        lengths, sizes = [*map(len, texts)], utf8_lengths(texts)
        self.text.add(lengths, sizes)
        self.size.extend([size + around for size in sizes])

    def load(self, at_ns: int, read: int, columns: Mapping[str, list[Any]]) -> None:
        """Add the events of one read as a file has them: `handed_ns`, `event`, `size`, and the lengths."""
        count = len(columns["size"])
        assert isinstance(self.handed_ns, Narrow)  # noqa: S101  see __init__: a file has one for each
        self._extend_times([at_ns], [], [read], [count])
        self.handed_ns.extend(columns["handed_ns"])
        self.event.extend(columns["event"])
        self.data.blank(count)
        self.text.add(columns["characters"], columns["text_bytes"])
        self.reasoning.add(columns["reasoning_characters"], columns["reasoning_bytes"])
        self.size.extend(columns["size"])

    def _extend_times(self, at_ns: list[int], handed_ns: list[int], read: list[int], counts: list[int]) -> None:
        assert isinstance(self.at_ns, PerRead)  # noqa: S101  see __init__
        assert isinstance(self.read, PerRead)  # noqa: S101
        ends, done = [], len(self)
        for count in counts:
            done += count
            ends.append(done)
        self.at_ns.ends.extend(ends)
        self.at_ns.runs.extend(at_ns)
        self.read.runs.extend(read)
        if isinstance(self.handed_ns, PerRead):
            self.handed_ns.runs.extend(handed_ns)
        else:
            self.handed_ns.extend(_spread(handed_ns, counts if handed_ns else []))


def _spread(values: list[int], counts: list[int]) -> list[int]:
    """Each of them as often as its count says."""
    return [*chain.from_iterable(map(repeat, values, counts))]


def _strings(given: Iterable[str] | None, length: int, default: str = "") -> list[str]:
    return [default] * length if given is None else list(given)

"""What came of a stream: reads and events as columns, and how they were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from streamkit.lab.metrics.columns import Ints, characters, check_ascending, check_at_least, pieces
from streamkit.lab.metrics.compact import PerRead
from streamkit.lab.recording.cuts import Cut, connections, replayed_of, silences
from streamkit.lab.recording.relay_word import RelayWord
from streamkit.lab.recording.results import Result, progress_of, results_of
from streamkit.lab.recording.rows import Events, Read, Reads, RecordedEvent
from streamkit.lab.recording.sends import Sends
from streamkit.outcome import Outcome
from streamkit.taps import TAPS, UPLOAD_TAPS, Tap
from streamkit.taps.gauges import COUNTERS, GAUGES, PROCESS, Gauge

__all__ = [
    "ALL_GAUGES",
    "FOREIGN_TAPS",
    "JOINED_TAPS",
    "Counted",
    "Events",
    "Label",
    "Read",
    "Reads",
    "Recorded",
    "RecordedEvent",
    "SomeRecorded",
    "Stamps",
    "WireEnd",
]

Stamps = Literal["kernel", "socket", "library"]
WireEnd = Literal["clean", "fin", "reset", "open"]
"""How the connection ended for its client: clean, with the body ended by the rules of its framing; by a close or a
reset, before that or without it; or left open, as the client left first.
"""
Label: TypeAlias = str | int | float | bool

FOREIGN_TAPS = tuple(name for name in TAPS if not name.startswith("client."))
"""The taps that others keep: a client's own follow from its reads and events."""
JOINED_TAPS = (*FOREIGN_TAPS, *(name for name in UPLOAD_TAPS if not name.startswith("client.")))
"""These, and what others see of the request's body on its way to them."""
ALL_GAUGES = (*GAUGES, *COUNTERS, *PROCESS)


class Counted(NamedTuple):
    """The events that a reader waits for (`metrics.pieces`), as columns.

    which        for each of all events, whether it is one of these
    at_ns, read  when its last byte was read, and in which read
    characters   how many, of text and reasoning together: a reader waits for whichever is recorded
    follows      whether the gap before it belongs to the live stream: False where a cut lies in between, or one of the
                 two events was replayed
    """

    which: npt.NDArray[np.bool_]
    at_ns: Ints
    read: Ints
    characters: Ints
    follows: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, repr=False)
class Recorded:
    """What came of one streamed answer, and how it was recorded: the fields of a `Recording`, without its methods.

    reads, events   columns; see `Reads` and `Events`
    sends           the writes of the request's body, where it was given as `content` or `files`; see `Sends`
    outcome         how the stream ended
    error           more about that, in our own words, never an exception's text; None if there is nothing to add
    finish_reason   the provider's word for why it ended (`stop`, `length`, `content_filter`, `refusal`, …), as it came
                    or as our relay passed it on; None where none was given
    status          the HTTP status; None when no response head arrived
    headers         response headers, with lower-case names; those that carry cookies or credentials are left out
    content_type    the response's media type, as the header gives it; None without one
    preset          the provider's format by which text was extracted; None when none fitted or none was needed
    label           what it is called in figures; recordings with one label are a group
    url             scheme, host and path of the request, without user info and query
    labels          what tells the stream apart from others in a set: `{"prompt": "long", "clients": 50}`
    started_ns      the monotonic clock at the call; all other times are relative to it
    due_ns          when a schedule wanted it sent: the caller itself was late by `-due_ns`; None without a schedule
    acquired_ns     a slot for a connection was free (a limit on connections may make a request wait); None when unknown
    connected_ns    the connection was made; None when unknown, as on a reused connection
    tls_ns          the TLS handshake was done; None without TLS, on a reused connection, or if connected_ns includes it
    sent_ns         the request's last byte had left; None when unknown, or when it never did
    head_ns         the response head had arrived
    ended_ns        the body ended, was cut, or was given up
    stamps          what a read's time is. "kernel": the kernel's own receive time; "socket": when the read returned;
                    "library": when somebody else's client handed over what it had read
    taps            what upstream and relay saw of the same stream: `upstream.…`, `relay.…` (see `streamkit.taps.TAPS`),
                    and of the request's body: `server.read` (`UPLOAD_TAPS`)
    marks           single moments that they told, by name, such as `relay.asked`, `upstream.asked`
    counts          single numbers that they told, by name, such as `relay.dropped_pieces`
    gauges          how much lay in each queue on the way, sampled (`GAUGES`, `COUNTERS` of `streamkit.taps.gauges`);
                    a queue that cannot be seen here has `NOT_KNOWN` in every row, or is missing
    relay           what the relay itself says of the stream, a `RelayWord`; None if there was no relay of ours, or it
                    was not asked
    cuts            where it was cut and asked for again, in order (`record(resume=…)`); see `Cut`
    meta            a dict of JSON values: the clock and its origin (numbers of different origins must never be
                    subtracted), the start by the wall clock, platform, versions, framing, `notes`; `wire_end`: how the
                    connection ended (a `WireEnd`); `tcp`: what the kernel knew of the connection, one row for each look
                    (`streamkit.sockets.TcpInfo`); `reader_busy_ns`, `loop_busy_ns`: from when to when the reader took
                    nothing, and the loop was late; `untimed`: it comes from a file that does not say what came when
    damage          what was lost when the recording was loaded from a damaged file; empty otherwise

    Raises ValueError if the columns do not fit together: reads and events must be in order of time, and an event's time
    must be its read's. Likewise for a tap that is not on the way or is the client's own, and for a gauge with an
    unknown name.
    """

    reads: Reads = field(default_factory=Reads)
    events: Events = field(default_factory=Events)
    outcome: Outcome = field(default_factory=lambda: Outcome("complete"))
    error: str | None = None
    finish_reason: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    preset: str | None = None
    url: str = ""
    label: str = ""
    labels: Mapping[str, Label] = field(default_factory=dict)
    started_ns: int = 0
    due_ns: int | None = None
    acquired_ns: int | None = None
    connected_ns: int | None = None
    tls_ns: int | None = None
    sent_ns: int | None = None
    head_ns: int | None = None
    ended_ns: int | None = None
    stamps: Stamps = "socket"
    taps: Mapping[str, Tap] = field(default_factory=dict)
    marks: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    gauges: Mapping[str, Gauge] = field(default_factory=dict)
    relay: RelayWord | None = None
    cuts: tuple[Cut, ...] = ()
    sends: Sends = field(default_factory=Sends)
    meta: Mapping[str, Any] = field(default_factory=dict)
    damage: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        check_ascending("reads.at_ns", self.reads.at_ns)
        check_ascending("events.read", self.events.read)
        check_at_least(0, self.reads.size, "sizes of 0 bytes or more")
        check_at_least(0, self.events.size, "sizes of 0 bytes or more")
        check_at_least(-1, self.reads.error_ns, "errors of 0 ns or more, or -1 for an unknown one")
        _check_reads_of_events(self.reads, self.events)
        check_ascending("cuts", [cut.event for cut in self.cuts])
        check_ascending("sends.at_ns", self.sends.at_ns)
        check_at_least(0, self.sends.size, "sizes of 0 bytes or more")
        check_at_least(0, self.sends.held_ns, "times of 0 ns or more")
        if unknown := self.taps.keys() - set(JOINED_TAPS):
            raise ValueError(f"expected taps out of {', '.join(JOINED_TAPS)}, got {', '.join(sorted(unknown))}")
        if unknown := self.gauges.keys() - set(ALL_GAUGES):
            raise ValueError(f"expected gauges out of {', '.join(ALL_GAUGES)}, got {', '.join(sorted(unknown))}")

    @classmethod
    def from_pieces(cls, pieces: Iterable[tuple[int, str]], **fields: Any) -> Self:
        """A recording made by hand from `(at_ns, text)` pairs; pieces with the same time share a read.

        >>> sk.Recording.from_pieces([(0, "Hel"), (50_000_000, "lo")], sent_ns=0).text
        'Hello'

        For examples, tests, and times that come from somewhere else. `fields` are those of `Recording`.
        """
        pairs = list(pieces)
        events = Events([at_ns for at_ns, _ in pairs], text=[text for _, text in pairs])
        bodies: dict[int, bytes] = {}
        for at_ns, text in pairs:
            bodies[at_ns] = bodies.get(at_ns, b"") + text.encode("utf-8", "replace")
        return cls(reads=Reads(bodies.keys(), data=bodies.values()), events=events, **fields)

    @property
    def text(self) -> str:
        """All pieces joined. A result that a route of our relay gives is one line of JSON in it.

        Raises ValueError for a recording without texts (`record(keep_text=False)`), which knows only their lengths; so
        do `reasoning`, `results`, `values` and `progress`.
        """
        self._check_texts()
        return "".join(self.events.text)

    @property
    def results(self) -> list[Result]:
        """The results that a route of our relay gave, in order, each with the time at which its reader had it.

        Of a text/plain answer they are the lines that are JSON objects or lists.
        """
        self._check_texts()
        events = self.events
        found = results_of(self.headers, events.event, events.data, events.text, events.handed_ns)
        return [Result(value, at_ns, self.started_ns + at_ns) for value, at_ns in found]

    @property
    def values(self) -> list[Any]:
        """The `results` without their times: JSON values."""
        return [result.value for result in self.results]

    @property
    def progress(self) -> list[dict[str, Any]]:
        """The reports of progress that came, in order: dicts of `progress`, `total` (None: not known) and `message`."""
        self._check_texts()
        return progress_of(self.headers, self.events.event, self.events.data)

    @property
    def sent_bytes(self) -> int:
        """How many bytes of a request's body, given as `content` or `files`, the client's kernel had taken."""
        return self.sends.bytes

    @property
    def origin_ns(self) -> int:
        """The moment from which shown times count, in ns from the call.

        It is when the request's last byte had left; if the answer began before that, when the first byte of the
        request's body had left; the call, where neither is known.
        """
        early = self.sent_ns is None or (self.head_ns is not None and self.head_ns < self.sent_ns)
        return self.sends.at_ns[0] if self.sends and early else self.sent_ns or 0

    @property
    def reasoning(self) -> str:
        """All thinking pieces joined; empty unless the recording was made with `reasoning=True`."""
        self._check_texts()
        return "".join(self.events.reasoning)

    def _check_texts(self) -> None:
        if not self.events.kept:
            raise ValueError(
                "expected a recording with its texts, got one that knows only how long they were: "
                "record it with keep_text=True"
            )

    @property
    def body(self) -> bytes | None:
        """The body as it came, chunked coding undone; None if the bytes of any read were not kept."""
        kept = [data for data in self.reads.data if data is not None]
        return b"".join(kept) if len(kept) == len(self.reads) else None

    @cached_property
    def counted(self) -> Counted:
        """The events between which gaps, stalls and waits are counted, as columns.

        They are those with a piece of any recorded channel, text or reasoning; all events, if none has a piece.
        """
        lengths = characters(self.events.text) + characters(self.events.reasoning)
        which = pieces(lengths)
        at_ns, read = (np.asarray(column, dtype=np.int64)[which] for column in (self.events.at_ns, self.events.read))
        return Counted(which, at_ns, read, lengths[which], self._follows(which))

    @cached_property
    def replayed(self) -> npt.NDArray[np.bool_]:
        """For each event, whether it was replayed: it had happened before the client was back after a cut."""
        return replayed_of(self.cuts, len(self.events))

    @property
    def cut_silences(self) -> list[tuple[int, int]]:
        """For each cut, from when to when no event came because of it, in ns."""
        return silences(self.cuts, self.events.at_ns, end_ns=self.ended_ns or 0)

    def _follows(self, which: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        follows = np.ones(int(np.count_nonzero(which)), dtype=np.bool_)
        if self.cuts:
            connection, live = connections(self.cuts, len(self.events))[which], ~self.replayed[which]
            follows[1:] = (connection[1:] == connection[:-1]) & live[1:] & live[:-1]
        return follows

    @cached_property
    def end_late_ns(self) -> int:
        """How much of the time before `ended_ns` was the client's own doing, in ns.

        The last read was late in Python by so much, or what it had brought was still being handed over (the last event
        for about as long as the one before it).
        """
        late_ns = max(self.reads.late_ns[-1:], default=0)
        if not self.events:
            return late_ns
        handed_ns, read = self.events.handed_ns, self.events.read
        last_took_ns = handed_ns[-1] - handed_ns[-2] if read[-1:] == read[-2:-1] else 0
        return max(late_ns, handed_ns[-1] - self.events.at_ns[-1] + last_took_ns)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone, for copies and other processes: what was found from them is found again there."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


SomeRecorded = TypeVar("SomeRecorded", bound=Recorded)


def _check_reads_of_events(reads: Reads, events: Events) -> None:
    """Each event must name a read that there is, and have its time. Raises ValueError for the first that does not."""
    read, at_ns = (
        np.asarray(column.runs if isinstance(column, PerRead) else column) for column in (events.read, events.at_ns)
    )
    missing = (read < 0) | (read >= len(reads))
    if missing.any():
        index = int(missing.argmax())
        raise ValueError(f"event {index} names read {read[index]}, but there are {len(reads)} reads (from 0)")
    differs = at_ns != np.asarray(reads.at_ns)[read]
    if differs.any():
        index = int(differs.argmax())
        raise ValueError(
            f"event {index} has at_ns={at_ns[index]}, but its read {read[index]} has {reads.at_ns[read[index]]}; "
            f"an event's time is that of the read that completed it"
        )

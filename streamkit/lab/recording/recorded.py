"""What came: reads and events as columns, and how a stream was taken."""

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
"""How the connection ended for its client: the body by the rules of its framing; before that, or in place of it, by a
close or by a reset; or not at all, as the client left first.
"""
Label: TypeAlias = str | int | float | bool

FOREIGN_TAPS = tuple(name for name in TAPS if not name.startswith("client."))
"""The taps that others keep: a client's own follow from its reads and events."""
JOINED_TAPS = (*FOREIGN_TAPS, *(name for name in UPLOAD_TAPS if not name.startswith("client.")))
"""These, and what others see of the request's body on its way to them."""
ALL_GAUGES = (*GAUGES, *COUNTERS, *PROCESS)


class Counted(NamedTuple):
    """The events that a reader waits for (`metrics.pieces`), as columns; `which` says of all events which they are.

    `characters` are those of text and reasoning together: a reader waits for whichever is recorded. `follows[i]`: the
    gap before it is one of the live stream: it is not where a cut lies in between, or one of the two was replayed.
    """

    which: npt.NDArray[np.bool_]
    at_ns: Ints
    read: Ints
    characters: Ints
    follows: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, repr=False)
class Recorded:
    """What came of one streamed answer, and how it was taken: a `Recording` without what it can tell.

    reads, events   columns; see `Reads` and `Events`
    sends           the writes of the request's body, where it was given as `content` or `files`; see `Sends`
    outcome         how the stream ended; `error` says more in our own words, never an exception's text
    finish_reason   the provider's word for why it ended (`stop`, `length`, `content_filter`, `refusal`, …), as it came
                    or as our relay passed it on; None where none was given
    status          the HTTP status, None when no response head arrived
    headers         response headers, lower-case names; those that carry cookies or credentials are left out
    content_type    the response's media type, as the header says it; None where it does not
    preset          the provider shape by which text was extracted, None when none fitted or none was needed
    label           what it is called in figures; recordings of one label are a group
    url             scheme, host and path of the request; no user info, no query
    labels          what a stream is told apart by in a set of many: `{"prompt": "long", "clients": 50}`
    started_ns      the monotonic clock at the call; all other times are relative to it
    due_ns          when a schedule wanted it sent: the caller itself was late by `-due_ns`; None without a schedule
    acquired_ns     a slot for a connection was free (a limit on connections may make a request wait); None when unknown
    connected_ns    the connection stood; None when unknown, as on a reused connection
    tls_ns          the TLS handshake was done; None without TLS, on a reused connection, or if connected_ns includes it
    sent_ns         the request's last byte had left; None when unknown, or when it never did
    head_ns         the response head had arrived
    ended_ns        the body ended, was cut, or was given up
    stamps          "kernel": reads have the kernel's own receive time; "socket": the time at which the read returned;
                    "library": the time at which somebody else's client gave what it had read
    taps            what others saw of the same stream: `upstream.…`, `relay.…` (see `streamkit.taps.TAPS`), and of the
                    request's body: `server.read` (`UPLOAD_TAPS`)
    marks           single moments of others by name, such as `relay.asked`, `upstream.asked`
    counts          single numbers that others told, such as `relay.dropped_pieces`
    gauges          how much lay in each queue on the way, sampled (`GAUGES`, `COUNTERS` of `streamkit.taps.gauges`);
                    a queue that cannot be seen here is there with `NOT_KNOWN` in every row, or not at all
    relay           what the relay itself says of the stream; None where there was none of ours, or it was not asked
    cuts            where it was cut and asked for again, in order (`record(resume=…)`); see `Cut`
    meta            clock and its origin (numbers of different origins must never be subtracted), start by the wall
                    clock, platform, versions, framing, how the connection ended (`wire_end`, a `WireEnd`), `notes`;
                    `tcp`: what the kernel knew of the connection, a row a look (`streamkit.sockets.TcpInfo`);
                    `reader_busy_ns`, `loop_busy_ns`: from when to when whoever reads took nothing, and the loop was
                    late; `untimed`: it came out of a file that does not say what came when; JSON values only
    damage          what was lost when the recording was loaded from a damaged file; empty otherwise

    Raises ValueError if the columns do not fit together: reads and events must be in the order of time, and an
    event's time must be its read's. Likewise for a tap whose place on the way is not known, or is the client's own, and
    for a gauge of an unknown name.
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
        """All pieces joined; a result of a route of our relay is a line of JSON.

        Raises ValueError for a recording without texts (`record(keep_text=False)`), which knows their lengths alone;
        likewise `reasoning`, `results`, `values` and `progress`.
        """
        self._check_texts()
        return "".join(self.events.text)

    @property
    def results(self) -> list[Result]:
        """The results, of a route of our relay that gives such, in their order, each with when its reader had it; of a
        text, the lines that are JSON objects or lists.
        """
        self._check_texts()
        events = self.events
        found = results_of(self.headers, events.event, events.data, events.text, events.handed_ns)
        return [Result(value, at_ns, self.started_ns + at_ns) for value, at_ns in found]

    @property
    def values(self) -> list[Any]:
        """What the `results` say: JSON values."""
        return [result.value for result in self.results]

    @property
    def progress(self) -> list[dict[str, Any]]:
        """The reports of progress that came, in their order: `progress`, `total` (None: not known) and `message`."""
        self._check_texts()
        return progress_of(self.headers, self.events.event, self.events.data)

    @property
    def sent_bytes(self) -> int:
        """How much of the request's body the client's kernel had taken; of one given as `content` or `files`."""
        return self.sends.bytes

    @property
    def origin_ns(self) -> int:
        """The moment from which shown times count: the request's last byte had left, or, if it was answered before
        that, the first of its body; the call where neither is known.
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
        """The events that gaps, stalls and waits are counted between: those with a piece of any recorded channel, text
        or reasoning; all of them where none has any.
        """
        lengths = characters(self.events.text) + characters(self.events.reasoning)
        which = pieces(lengths)
        at_ns, read = (np.asarray(column, dtype=np.int64)[which] for column in (self.events.at_ns, self.events.read))
        return Counted(which, at_ns, read, lengths[which], self._follows(which))

    @cached_property
    def replayed(self) -> npt.NDArray[np.bool_]:
        """Of each event, whether it had happened before the client was back behind a cut, and came late for that."""
        return replayed_of(self.cuts, len(self.events))

    @property
    def cut_silences(self) -> list[tuple[int, int]]:
        """Of each cut, from when to when no event came over it, in ns."""
        return silences(self.cuts, self.events.at_ns, end_ns=self.ended_ns or 0)

    def _follows(self, which: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        follows = np.ones(int(np.count_nonzero(which)), dtype=np.bool_)
        if self.cuts:
            connection, live = connections(self.cuts, len(self.events))[which], ~self.replayed[which]
            follows[1:] = (connection[1:] == connection[:-1]) & live[1:] & live[:-1]
        return follows

    @cached_property
    def end_late_ns(self) -> int:
        """How much of the time before `ended_ns` was our own: the last read was so late in Python, or what it brought
        was still being handed on, the last event for about as long as the one before it.
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

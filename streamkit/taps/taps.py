"""Taps: the places at which a stream is observed, each a staircase of integers.

    log = TapLog()                                  # bounded memory for all streams of a process
    taps = log.open("9f0c…")                        # one stream
    taps.stamp("relay.read", at_ns, events=3, size=17)
    log.get("9f0c…").as_dict()                      # what GET /streams/<id>/taps answers

A step says: by `at_ns`, so many events with so many bytes of text had passed here in all. What counts are the events
that carry text (the pieces a reader waits for) and the UTF-8 bytes of that text, not what a wire format wraps around
them: the same at every tap of a stream, whatever is spoken there. So event n of one tap is event n of every other, and
if a wire has no event borders, byte b of one is byte b of every other. Pieces that a policy drops for a slow client
(`latest`) count as passed when the one that replaced them passes.

A request's body is observed on its way, too (`UPLOAD_TAPS`): `taps.stamp("server.read", at_ns, 0, len(data))`.

Times are `time.monotonic_ns()`: one clock for all processes of a Linux machine. `origin` names it.
"""

from __future__ import annotations

import itertools
import operator
import re
import secrets
from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from streamkit.taps.clock import clock_origin
from streamkit.taps.gauges import Gauges

__all__ = [
    "LIVE_HEADER",
    "STREAM_ID_HEADER",
    "TAPS",
    "UPLOAD_TAPS",
    "StreamTaps",
    "Tap",
    "TapLog",
    "new_stream_id",
    "stream_id_from",
]

STREAM_ID_HEADER: Final = "x-stream-id"
LIVE_HEADER: Final = "x-stream-live"
"""On an answer that goes on with a stream: the number of its last piece at that moment. What comes up to it is
replayed, what comes behind it is live.
"""
STREAM_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
TAPS: Final = (
    "upstream.due",  # when the script meant to send
    "upstream.sent",
    "relay.read",  # the socket read that completed the event
    "relay.event",  # decoded, extracted
    "relay.send",  # send entered
    "relay.sent",  # send returned: the transport took it
    "client.read",  # the socket read that completed the event
    "client.event",  # handed to the reader
)
"""All taps, in the order of the way."""
UPLOAD_TAPS: Final = (
    "client.sent",  # the client's kernel took it
    "server.read",  # the server's application has it
)
"""What is seen of a request's body, in the order of its way, which is the other one: of its steps only `bytes` count,
and those are the body's, without its framing.
"""

MOST_TAPS: Final = 16
MAX_STEPS: Final = 1_000_000
MAX_FINISHED: Final = 10_000
MAX_GAUGED: Final = 50  # of those that have ended: a table of gauges is up to 128 kB


def new_stream_id() -> str:
    """A new id for a stream: 128 random bits, which nobody can guess."""
    return secrets.token_hex(16)


def stream_id_from(given: str | None) -> str:
    """The id that a request's X-Stream-Id header gives, or a new one if it gives none or an invalid one."""
    return given if given is not None and STREAM_ID.fullmatch(given) else new_stream_id()


class Tap:
    """The record of one tap, a staircase that says by when so many events, with so many bytes of text, had passed.

        recording.taps["relay.sent"].events[-1]

    Its columns `at_ns`, `events` and `bytes` (both cumulative) have equal length, and none of them ever falls. Raises
    ValueError for other columns.
    """

    __slots__ = ("at_ns", "bytes", "events")

    def __init__(self, at_ns: Iterable[int] = (), events: Iterable[int] = (), bytes: Iterable[int] = ()) -> None:  # noqa: A002  the unit
        self.at_ns = array("q", at_ns)
        self.events = array("q", events)
        self.bytes = array("q", bytes)
        if not len(self.at_ns) == len(self.events) == len(self.bytes):
            lengths = f"{len(self.at_ns)}, {len(self.events)} and {len(self.bytes)}"
            raise ValueError(f"expected columns at_ns, events and bytes of equal length, got {lengths}")
        for name in self.__slots__:
            column = getattr(self, name)
            if not all(map(operator.le, column, itertools.islice(column, 1, None))):
                raise ValueError(f"expected {name} in ascending order: a staircase never falls")

    def stamp(self, at_ns: int, events: int, size: int) -> None:
        """Add a step: at `at_ns`, `events` more events with `size` more bytes of text passed."""
        self.events.append(events + (self.events[-1] if self.events else 0))
        self.bytes.append(size + (self.bytes[-1] if self.bytes else 0))
        self.at_ns.append(at_ns)  # last: who reads from another thread counts these

    def copy(self, minus_ns: int = 0) -> Tap:
        """A copy of the steps so far, with times counted from `minus_ns`; safe while another thread stamps."""
        steps = len(self.at_ns)
        tap = Tap()
        tap.at_ns = array("q", [at_ns - minus_ns for at_ns in self.at_ns[:steps]])
        tap.events, tap.bytes = self.events[:steps], self.bytes[:steps]
        return tap

    def __len__(self) -> int:
        return len(self.at_ns)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tap):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        events, size = (self.events[-1], self.bytes[-1]) if len(self) else (0, 0)
        return f"<Tap: {events} events, {size} bytes in {len(self)} steps>"


class StreamTaps:
    """The taps of one stream, with whatever else was observed of it.

    taps       the staircases by name
    marks      single moments by name, such as `relay.asked`
    counts     single numbers by name, such as `relay.dropped_pieces`
    gauges     the queues on its way, if they are sampled
    word       what the relay itself says of the stream once it has ended: the dict that it logs (`streamkit.relay.log`)
    why        more of how it failed, which is in its log line and may quote the upstream: for whoever is in the same
               process, since `as_dict`, which others can ask for, leaves it out
    finished   True when the stream has ended
    dropped    how many steps there was no room for

    Steps of all taps are noted one after the other in a single array, and put into columns when `taps` is asked for: an
    event is stamped four times on its way, and four staircases of three columns would be twelve places in memory.
    """

    def __init__(self, stream_id: str, log: TapLog | None = None) -> None:
        self.stream_id = stream_id
        self.marks: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.gauges: Gauges | None = None
        self.word: dict[str, Any] | None = None
        self.why = ""
        self.origin = clock_origin()
        self.finished = False
        self.dropped = 0
        self._log = log
        self._numbers: dict[str, int] = {}  # of the taps, in the order of their first steps
        self._noted = array("q")  # three numbers a step: when; events, and the tap's number below them; bytes

    def stamp(self, name: str, at_ns: int, events: int, size: int) -> None:
        """Note that at `at_ns`, `events` more events with `size` bytes of text passed the tap `name`."""
        if self._log is not None and not self._log.has_room(1):
            self.dropped += 1
            return
        number = self._numbers.get(name)
        if number is None:
            number = self._number(name)
        # In one call, so that another thread sees all three or none.
        self._noted.extend((at_ns, events * MOST_TAPS + number, size))

    def stamp_two(self, first: str, first_ns: int, then: str, then_ns: int, events: int, size: int) -> None:
        """Note that the same events passed two taps, each at its own moment; cheaper than two `stamp`s.

        taps.stamp_two("relay.read", read_ns, "relay.event", time.monotonic_ns(), events=1, size=5)
        """
        if self._log is not None and not self._log.has_room(2):
            self.dropped += 2
            return
        numbers = self._numbers
        try:
            one, other = numbers[first], numbers[then]
        except KeyError:
            one, other = self._number(first), self._number(then)
        packed = events * MOST_TAPS
        self._noted.extend((first_ns, packed + one, size, then_ns, packed + other, size))

    def _number(self, name: str) -> int:
        if name not in self._numbers and len(self._numbers) == MOST_TAPS:
            raise ValueError(f"expected at most {MOST_TAPS} taps of a stream, got {name!r} as one more")
        return self._numbers.setdefault(name, len(self._numbers))

    @property
    def taps(self) -> dict[str, Tap]:
        """The staircases so far, by name; they do not grow. It may be called from any thread."""
        noted, numbers = self._noted[:], tuple(self._numbers.items())
        taps = {number: Tap() for _, number in numbers}
        for at_ns, packed, size in zip(noted[::3], noted[1::3], noted[2::3], strict=True):
            events, number = divmod(packed, MOST_TAPS)
            taps[number].stamp(at_ns, events, size)
        return {name: taps[number] for name, number in numbers}

    def _note(self, name: str, tap: Tap) -> None:
        """All steps of this staircase."""
        before, passed = 0, 0
        for at_ns, events, size in zip(tap.at_ns, tap.events, tap.bytes, strict=True):
            self.stamp(name, at_ns, events - before, size - passed)
            before, passed = events, size
        self._number(name)

    def mark(self, name: str, at_ns: int) -> None:
        """Note that the moment `name` was at `at_ns`."""
        self.marks[name] = at_ns

    def count(self, name: str, number: int) -> None:
        """Note that the number `name` is now `number`."""
        self.counts[name] = number

    @property
    def steps(self) -> int:
        """How many steps all its taps have together."""
        return len(self._noted) // 3

    def as_dict(self) -> dict[str, Any]:
        """JSON values only; `from_dict` is the inverse."""
        return {
            "stream_id": self.stream_id,
            "origin": self.origin,
            "finished": self.finished,
            "dropped": self.dropped,
            "marks": dict(self.marks),
            "counts": dict(self.counts),
            "gauges": None if self.gauges is None else self.gauges.as_dict(),
            "word": self.word,
            "taps": {
                name: {"at_ns": tap.at_ns.tolist(), "events": tap.events.tolist(), "bytes": tap.bytes.tolist()}
                for name, tap in self.taps.items()
            },
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """What `as_dict` gave, perhaps elsewhere. Raises ValueError, TypeError or KeyError for anything else."""
        taps = cls(told["stream_id"])
        taps.origin = told["origin"]
        taps.finished = told["finished"]
        taps.dropped = told["dropped"]
        taps.marks = {str(name): int(at_ns) for name, at_ns in dict(told["marks"]).items()}
        taps.counts = {str(name): int(number) for name, number in dict(told["counts"]).items()}
        taps.gauges = None if told["gauges"] is None else Gauges.from_dict(told["gauges"])
        word = told.get("word")  # a relay before 0.1.0 keeps none
        taps.word = None if word is None else {str(name): value for name, value in dict(word).items()}
        for name, columns in dict(told["taps"]).items():
            taps._note(str(name), Tap(**columns))
        return taps

    def __repr__(self) -> str:
        state = "finished" if self.finished else "running"
        return f"<StreamTaps {self.stream_id} {state}: {', '.join(self._numbers) or 'nothing yet'}>"


class TapLog:
    """The taps of many streams, in bounded memory.

    It holds at most `max_steps` steps of 24 bytes, and `max_finished` streams that have ended, the last 50 of them with
    their gauges. Beyond that, the streams that finished first are forgotten. If there is no room although all streams
    still run, further steps are dropped, and counted in their stream's `dropped`.
    """

    def __init__(self, max_steps: int = MAX_STEPS, max_finished: int = MAX_FINISHED) -> None:
        if max_steps < 1 or max_finished < 1:
            raise ValueError(f"expected max_steps and max_finished >= 1, got {max_steps!r} and {max_finished!r}")
        self._max_steps = max_steps
        self._max_finished = max_finished
        self._room = max_steps
        self._streams: dict[str, StreamTaps] = {}
        self._gauged: deque[StreamTaps] = deque()  # ended, and with gauges
        self._finished: dict[str, int] = {}  # in the order of their end: the room that each will give back

    def open(self, stream_id: str) -> StreamTaps:
        """The taps of a stream that begins now."""
        taps = self._streams[stream_id] = StreamTaps(stream_id, self)
        return taps

    def close(self, taps: StreamTaps) -> None:
        """The stream has ended; its taps stay until their room is needed."""
        taps.finished = True
        self._finished[taps.stream_id] = taps.steps
        if taps.gauges is not None:
            self._gauged.append(taps)
            if len(self._gauged) > MAX_GAUGED:
                self._gauged.popleft().gauges = None
        if len(self._finished) > self._max_finished:
            self._forget_oldest()

    def get(self, stream_id: str) -> StreamTaps | None:
        """The taps of this stream; None if they are unknown or were forgotten."""
        return self._streams.get(stream_id)

    def has_room(self, steps: int) -> bool:
        """Take the room of so many steps, if there is any."""
        while self._room < steps:
            if not self._finished:
                return False
            self._forget_oldest()
        self._room -= steps
        return True

    def __len__(self) -> int:
        return len(self._streams)

    def __repr__(self) -> str:
        used = self._max_steps - self._room
        return f"<TapLog: {len(self)} streams, {used} of {self._max_steps} steps>"

    def _forget_oldest(self) -> None:
        stream_id = next(iter(self._finished))
        self._room += self._finished.pop(stream_id)
        del self._streams[stream_id]

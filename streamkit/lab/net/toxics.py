"""Toxics: what a bad network does to the bytes of one direction. They only decide; `carrier` carries it out.

    Latency(100, jitter_ms=20)          # every byte 100 to 120 ms later; a delay line, so no bandwidth is lost
    Bandwidth(50_000)                   # bytes a second
    Slice(1)                            # byte by byte
    Blackhole(after_s=2)                # carries data for 2 s, then nothing passes; the connection stays open
    Cut(after_bytes=1000, how="rst")    # exactly 1000 bytes, then the connection is reset, for both of its ends
    SlowClose(500)                      # the end comes 500 ms after the last byte

Their order does not matter. First all that shapes a stream decides what leaves when, then all latencies add up:

    feed() ──▶ queue, 64 KiB ── Bandwidth, Slice, Blackhole, Cut ──▶ delay line, 1 MiB ── Latency, SlowClose ──▶ take()

Bytes are never reordered. (The toxics are those of Shopify's toxiproxy; its `limit_data`, `reset_peer` and `timeout`
are `Cut(after_bytes=…)`, `Cut(how="rst")` and `Blackhole`.)
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, cast, get_args

__all__ = [
    "LINE_BYTES",
    "LINE_PARTS",
    "QUEUE_BYTES",
    "Bandwidth",
    "Blackhole",
    "Close",
    "Cut",
    "Flow",
    "How",
    "Latency",
    "Slice",
    "SlowClose",
    "Toxic",
    "check_how",
    "check_toxics",
]

QUEUE_BYTES: Final = 65_536
"""What waits before a link of little bandwidth; beyond it, whoever sends is held."""
LINE_BYTES: Final = 1 << 20
LINE_PARTS: Final = 16_384
"""What is on the way at once. So with a latency of 200 ms no more than 5 MB/s pass."""
PARTS_PER_S: Final = 50
MOST_PART_BYTES: Final = 16_384

How: TypeAlias = Literal["fin", "rst"]


# --- The toxics -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Latency:
    """Every byte arrives `ms` later, plus up to `jitter_ms`. The order of bytes is kept.

    >>> sk.net.Latency(100, jitter_ms=20)
    Latency(ms=100, jitter_ms=20)
    """

    ms: float
    jitter_ms: float = 0.0

    def __post_init__(self) -> None:
        _check("ms", self.ms)
        _check("jitter_ms", self.jitter_ms)


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """A narrow line of at most `bytes_per_s`, in about 50 parts a second. Idle time is not made up for.

    >>> sk.net.Bandwidth(50_000)
    Bandwidth(bytes_per_s=50000)
    """

    bytes_per_s: float

    def __post_init__(self) -> None:
        if not 0 < self.bytes_per_s < math.inf:
            raise ValueError(f"expected bytes_per_s as a number > 0, got {self.bytes_per_s!r}; Blackhole() is none")


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes pass in small writes of `size_bytes`, give or take `jitter_bytes`, with `gap_ms` between them.

        >>> sk.net.Slice(1, gap_ms=20)
        Slice(size_bytes=1, gap_ms=20, jitter_bytes=0)

    Without a gap, the receiver may find several parts in one read.
    """

    size_bytes: int
    gap_ms: float = 0.0
    jitter_bytes: int = 0

    def __post_init__(self) -> None:
        _check_whole("size_bytes", self.size_bytes, 1)
        _check("gap_ms", self.gap_ms)
        _check_whole("jitter_bytes", self.jitter_bytes, 0)
        if self.jitter_bytes >= self.size_bytes:
            raise ValueError(f"expected jitter_bytes < size_bytes, so that no part is empty, got {self!r}")


@dataclass(frozen=True, slots=True)
class Blackhole:
    """From some point on nothing passes, not even the end, while the connection stays open.

        >>> sk.net.Blackhole(after_s=2)
        Blackhole(after_bytes=None, after_s=2)

    It begins after so many bytes or seconds, whichever is first; with neither, from the beginning. What comes then
    waits, and goes on when the toxic is removed.
    """

    after_bytes: int | None = None
    after_s: float | None = None

    def __post_init__(self) -> None:
        _check_after(self.after_bytes, self.after_s)


@dataclass(frozen=True, slots=True)
class Cut:
    """After so many bytes or seconds the connection ends, both ways and for both of its ends.

        >>> sk.net.Cut(after_bytes=1000, how="rst")
        Cut(after_bytes=1000, after_s=None, how='rst')

    It comes after `after_bytes` or `after_s`, whichever is first; with neither, before any data. `how` is "fin", an
    orderly close, or "rst", a reset. All of `after_bytes` arrive before the cut; when the seconds are over, what is
    still on the way is lost.
    """

    after_bytes: int | None = None
    after_s: float | None = None
    how: How = "fin"

    def __post_init__(self) -> None:
        _check_after(self.after_bytes, self.after_s)
        check_how(self.how)


@dataclass(frozen=True, slots=True)
class SlowClose:
    """The end of what one side sends (FIN or RST) comes `ms` after its last byte.

    >>> sk.net.SlowClose(500)
    SlowClose(ms=500)
    """

    ms: float

    def __post_init__(self) -> None:
        _check("ms", self.ms)


Toxic: TypeAlias = Latency | Bandwidth | Slice | Blackhole | Cut | SlowClose


def check_toxics(given: Iterable[Toxic]) -> tuple[Toxic, ...]:
    """Those given. Raises TypeError for what is no sequence of toxics."""
    if isinstance(given, get_args(Toxic)):
        raise TypeError(f"expected a sequence of toxics, got one of them: write [{given!r}]")
    try:
        toxics = tuple(given)
    except TypeError:
        raise TypeError(f"expected a sequence of toxics, such as [Latency(100)], got {given!r}") from None
    for toxic in toxics:
        if not isinstance(toxic, get_args(Toxic)):
            names = ", ".join(kind.__name__ for kind in get_args(Toxic))
            raise TypeError(f"expected toxics ({names}), such as Latency(100), got {toxic!r}")
    return toxics


def check_how(how: str) -> How:
    """Raise ValueError unless this is a way to cut."""
    if how not in get_args(How):
        raise ValueError(f"expected how as 'fin' or 'rst', got {how!r}")
    return cast("How", how)


def _check(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        unit = "seconds" if name.endswith("_s") else "milliseconds"
        raise ValueError(f"expected {name} as {unit} >= 0, got {value!r}")


def _check_whole(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or value < least:
        raise ValueError(f"expected {name} as an integer >= {least}, got {value!r}")


def _check_after(after_bytes: int | None, after_s: float | None) -> None:
    if after_bytes is not None:
        _check_whole("after_bytes", after_bytes, 0)
    if after_s is not None:
        _check("after_s", after_s)


# --- What they do ---------------------------------------------------------------------------------------------------


class Close(NamedTuple):
    """How a direction closes: nothing comes after it. `both`: the whole connection is cut, and not just this direction
    at its end.
    """

    how: How
    both: bool = False


class _Part(NamedTuple):
    at: float
    """When it leaves the queue; in the delay line, when it arrives."""
    came_at: float
    data: memoryview | Close


class _Shape(Protocol):
    """What decides about the next part."""

    @property
    def most(self) -> float:
        """Its size in bytes; 0: there is none."""

    def leaves_at(self, size: int, at: float) -> float:
        """When a part leaves that could leave at `at`; never: infinity."""

    def left(self, size: int, at: float) -> None:
        """It has."""


class _Rate:
    def __init__(self, toxic: Bandwidth, now: float) -> None:
        self.most = max(1.0, min(MOST_PART_BYTES, toxic.bytes_per_s // PARTS_PER_S))
        self._byte_s = 1 / toxic.bytes_per_s
        self._free_at = now

    def leaves_at(self, size: int, at: float) -> float:
        return max(at, self._free_at) + size * self._byte_s

    def left(self, size: int, at: float) -> None:
        del size
        self._free_at = at


class _Slices:
    def __init__(self, toxic: Slice, now: float, chance: random.Random) -> None:
        self._toxic = toxic
        self._chance = chance
        self._free_at = now
        self.most = self._size()

    def leaves_at(self, size: int, at: float) -> float:
        del size
        return max(at, self._free_at)

    def left(self, size: int, at: float) -> None:
        del size
        self._free_at = at + self._toxic.gap_ms / 1e3
        self.most = self._size()

    def _size(self) -> int:
        jitter = self._toxic.jitter_bytes
        return self._toxic.size_bytes + self._chance.randint(-jitter, jitter)


class _Limit:
    """Some bytes, and some time: when the first is used up, nothing leaves."""

    def __init__(self, toxic: Blackhole | Cut, now: float) -> None:
        at_once = toxic.after_bytes is None and toxic.after_s is None
        given = 0 if at_once else toxic.after_bytes
        self.most = math.inf if given is None else given
        self.until = math.inf if toxic.after_s is None else now + toxic.after_s

    def leaves_at(self, size: int, at: float) -> float:
        del size
        return at if at < self.until else math.inf

    def left(self, size: int, at: float) -> None:
        del at
        self.most -= size


class Flow:
    """One direction of one connection: bytes go in when they come, and out when they are due.

    All times are seconds on the caller's clock. Counts and times of toxics begin with the connection, and anew when the
    toxics change. `room` is how many bytes it still takes, `cut_at` when a Cut's time is over.
    """

    def __init__(self, toxics: Iterable[Toxic], now: float, chance: random.Random) -> None:
        self._chance = chance
        self._queue: deque[tuple[float, memoryview]] = deque()
        self._queued = 0
        self._end: tuple[float, Close] | None = None
        self._next: _Part | None = None  # the first of the queue, as long as its time has not come
        self._line: deque[_Part] = deque()
        self._line_bytes = 0
        self._over = False
        self.change(toxics, now)

    def change(self, toxics: Iterable[Toxic], now: float) -> None:
        """From now on these; what is on the way has to pass them too, with the time since it came counted."""
        toxics = tuple(toxics)
        on_the_way = [*self._line, self._next] if self._next is not None else self._line
        back = [(part.came_at, part.data) for part in on_the_way if isinstance(part.data, memoryview)]
        self._queue.extendleft(reversed(back))
        self._queued += self._line_bytes
        self._next = None
        self._line.clear()
        self._line_bytes = 0
        self._last_at = -math.inf
        self._latencies = [toxic for toxic in toxics if isinstance(toxic, Latency)]
        self._most_line_bytes = LINE_BYTES if self._latencies else 1
        self._close_s = sum(toxic.ms for toxic in toxics if isinstance(toxic, SlowClose)) / 1e3
        self._cuts = [(_Limit(toxic, now), toxic.how) for toxic in toxics if isinstance(toxic, Cut)]
        self._shapes: list[_Shape] = [
            *(_Slices(toxic, now, self._chance) for toxic in toxics if isinstance(toxic, Slice)),
            *(_Rate(toxic, now) for toxic in toxics if isinstance(toxic, Bandwidth)),
            *(_Limit(toxic, now) for toxic in toxics if isinstance(toxic, Blackhole)),
            *(limit for limit, _ in self._cuts),
        ]
        self._ended = self._over  # whether an end, or a cut, has left the queue
        cuts = [] if self._over else self._cuts
        self.cut_at, self._cut_how = min(
            ((limit.until if limit.most else now, how) for limit, how in cuts), default=(math.inf, "fin")
        )

    @property
    def room(self) -> int:
        """How many bytes `feed()` still takes; 0: whoever sends has to wait."""
        return max(0, QUEUE_BYTES - self._queued)

    def feed(self, data: bytes, now: float) -> None:
        """Bytes came."""
        if data and not self._over:
            self._queue.append((now, memoryview(data)))
            self._queued += len(data)

    def end(self, how: How, now: float) -> None:
        """Whoever sends has ended, or is gone; the first end counts."""
        if self._end is None:
            self._end = (now, Close(how))

    def take(self, now: float) -> bytes | Close | None:
        """What arrives next, if it is due; after a Close, nothing."""
        if self.cut_at <= now:
            return self._finish(Close(self._cut_how, both=True))
        self._send(now)
        if not self._line or self._line[0].at > now:
            return None
        data = self._line.popleft().data
        if isinstance(data, Close):
            return self._finish(data)
        self._line_bytes -= len(data)
        return bytes(data)

    @property
    def wake_at(self) -> float:
        """When `take()`, which has returned None, is to be called again if nothing comes before; infinity: never."""
        arrives_at = self._line[0].at if self._line else math.inf
        leaves_at = self._next.at if self._next is not None and self._line_has_room else math.inf
        return min(self.cut_at, arrives_at, leaves_at)

    def _finish(self, end: Close) -> Close:
        self._over = self._ended = True
        self._queue.clear()
        self._line.clear()
        self._next = None
        self._queued = self._line_bytes = 0
        self.cut_at = math.inf
        return end

    @property
    def _line_has_room(self) -> bool:
        return self._line_bytes < self._most_line_bytes and len(self._line) < LINE_PARTS

    def _send(self, now: float) -> None:
        """From the queue into the delay line, what may leave by now."""
        while self._line_has_room and not self._ended:
            if self._next is None:
                self._next = self._next_part()
            if self._next is None or self._next.at > now:
                break
            self._depart(self._next)
            self._next = None

    def _next_part(self) -> _Part | None:
        most = min((shape.most for shape in self._shapes), default=math.inf)
        if not most:
            return None
        data: memoryview | Close
        if self._queue:
            came_at, held = self._queue.popleft()
            data = held[: int(min(most, len(held)))]
            if len(data) < len(held):
                self._queue.appendleft((came_at, held[len(data) :]))
        elif self._end is not None:
            came_at, data = self._end
        else:
            return None
        leaves_at = came_at
        for shape in self._shapes:
            leaves_at = shape.leaves_at(_size(data), leaves_at)
        return _Part(leaves_at, came_at, data)

    def _depart(self, part: _Part) -> None:
        size = _size(part.data)
        for shape in self._shapes:
            shape.left(size, part.at)
        self._queued -= size
        self._arrive(part, part.at + self._latency_s())
        for limit, how in self._cuts:
            if not limit.most and not self._ended:
                self._arrive(_Part(part.at, part.came_at, Close(how, both=True)), self._last_at)

    def _arrive(self, part: _Part, at: float) -> None:
        """At this time, but never before what left before it."""
        self._last_at = max(at, self._last_at)
        if isinstance(part.data, Close):
            self._ended = True
            self._last_at += 0 if part.data.both else self._close_s
        self._line.append(part._replace(at=self._last_at))
        self._line_bytes += _size(part.data)

    def _latency_s(self) -> float:
        return sum(toxic.ms + self._chance.uniform(0, toxic.jitter_ms) for toxic in self._latencies) / 1e3


def _size(data: memoryview | Close) -> int:
    return 0 if isinstance(data, Close) else len(data)

"""Policies: what a relay does with pieces that a slow client cannot take yet.

    Policy.of("buffer(65536)")         # by name, as in options, environment variables and requests
    Policy("disconnect", after_s=5)    # or made

pause             nothing is kept: the upstream has to wait, once its own buffers are full (the default)
buffer(bytes)     up to so many bytes wait their turn; beyond that, like `pause`
coalesce(bytes)   like `buffer`, but all that waits leaves in one write when the client is ready again
latest            only the newest piece waits; older ones are dropped and counted, and the client is told. It is for
                  states, of which only the present one matters, not for text. If the answer's format cannot tell the
                  client (text/plain), like `pause`
disconnect(s)     like `pause`, but a client that takes nothing for so long is cut: `timeout(write_stall)`. The time
                  should be longer than the client needs for one write, or one TCP window: a kernel does not notice
                  smaller progress

A policy is chosen for an app, or by a request (`Prefer: backpressure=latest`, RFC 7240).
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol, cast, get_args

from streamkit.errors import ConfigError
from streamkit.extractor.pieces import Piece, weigh

__all__ = ["Policy", "PolicyName", "Queue", "Write", "preferred"]

PolicyName = Literal["pause", "buffer", "coalesce", "latest", "disconnect"]
KEEPING: Final = frozenset({"buffer", "coalesce"})
NUMBER_IS_CALLED: Final = {"buffer": "max_bytes", "coalesce": "max_bytes", "disconnect": "after_s"}
_WRITTEN: Final = re.compile(r"(?P<name>[a-z]+)(?:\((?:[a-z_]+=)?(?P<number>[0-9]+(?:\.[0-9]+)?)\))?")
_PREFERENCE: Final = re.compile(
    r'(?:^|,)\s*backpressure\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<token>[^\s,;"]+))', re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a relay does for a client that cannot keep up.

        >>> sk.Policy("disconnect", after_s=5)
        Policy(name='disconnect', max_bytes=None, after_s=5)
        >>> str(sk.Policy.of("buffer(65536)"))
        'buffer(65536)'

    name        "pause" (the default): the upstream has to wait; "buffer": some output is kept; "coalesce": the same,
                and leaves in one write; "latest": only the newest piece is kept; "disconnect": the client is cut
    max_bytes   how much output `buffer` and `coalesce` keep; None: the relay's `max_pending_bytes`
    after_s     after how many seconds `disconnect` cuts a client that takes nothing; it has to be given

    `str()` writes a policy as `Policy.of` reads it. Raises ConfigError for a name or a number that makes no sense.
    """

    name: PolicyName = "pause"
    max_bytes: int | None = None
    after_s: float | None = None

    def __post_init__(self) -> None:
        if self.name not in get_args(PolicyName):
            raise ConfigError(f"expected a policy out of {', '.join(get_args(PolicyName))}, got {self.name!r}")
        if self.max_bytes is not None and (self.name not in KEEPING or self.max_bytes < 1):
            raise ConfigError(f"expected max_bytes >= 1, and only for buffer or coalesce, got {self!r}")
        if (self.after_s is not None) != (self.name == "disconnect"):
            raise ConfigError(
                f"expected after_s for disconnect and for nothing else, as in disconnect(5), got {self!r}"
            )
        if self.after_s is not None and not 0 < self.after_s < math.inf:
            raise ConfigError(f"expected after_s as seconds > 0, got {self.after_s!r}")

    @classmethod
    def of(cls, given: str | Policy) -> Policy:
        """The policy written as `pause`, `buffer(65536)` or `disconnect(after_s=5)`. Raises ConfigError for others.

        >>> sk.Policy.of("coalesce")
        Policy(name='coalesce', max_bytes=None, after_s=None)
        """
        if isinstance(given, Policy):
            return given
        found = _WRITTEN.fullmatch(given.strip())
        if found is None:
            raise ConfigError(f"expected a policy such as pause, buffer(65536) or disconnect(5), got {given!r}")
        name, number = cast("PolicyName", found["name"]), found["number"]
        if number is None:
            return cls(name)
        called = NUMBER_IS_CALLED.get(name)
        if called is None:
            raise ConfigError(f"expected {name} without a number, got {given!r}")
        if called == "after_s":
            return cls(name, after_s=float(number))
        if not number.isdigit():
            raise ConfigError(f"expected {name} with a whole number of bytes, got {given!r}")
        return cls(name, max_bytes=int(number))

    def within(self, max_bytes: int, stall_s: float) -> Policy:
        """This policy as a request may have it: it keeps at most `max_bytes`, and stalls at most `stall_s` (0: any)."""
        if self.name in KEEPING:
            return Policy(self.name, min(self.max_bytes or max_bytes, max_bytes))
        if self.after_s is not None and stall_s:
            return Policy(self.name, after_s=min(self.after_s, stall_s))
        return self

    def queue(self, max_bytes: int) -> Queue:
        """A queue in which pieces wait under this policy; `max_bytes` is its bound if the policy has none."""
        bound = self.max_bytes or max_bytes
        if self.name == "buffer":
            return _InTurn(bound)
        if self.name == "coalesce":
            return _Joined(bound)
        if self.name == "latest":
            return _Newest(bound)
        return _InTurn(0)

    def __str__(self) -> str:
        number = self.max_bytes if self.after_s is None else f"{self.after_s:g}"
        return self.name if number is None else f"{self.name}({number})"


def preferred(prefer: str) -> Policy | None:
    """The policy that a `Prefer` field asks for; None if it asks for none, or for none that there is: a preference that
    cannot be met is passed over (RFC 7240 section 2).
    """
    found = _PREFERENCE.search(prefer)
    if found is None:
        return None
    try:
        return Policy.of(found["quoted"] if found["token"] is None else found["token"])
    except ConfigError:
        return None


class Write(NamedTuple):
    """What leaves in one go: bytes of body, and the events with text and their bytes of text that the taps count.

    Pieces that were dropped before it are counted too: so event n of one tap remains event n of every other.
    """

    data: bytes
    events: int
    text_bytes: int


Encode = Callable[[Sequence[Piece], int], bytes]
"""Pieces, and how many were dropped just before them, as bytes of the answer's format."""


class Queue(Protocol):
    """Where pieces wait while the client cannot take them. Not an I/O thing: it decides, and counts."""

    bytes: int
    """Of output, that wait."""
    dropped: int
    """Pieces that nobody will get."""

    def offer(self, pieces: Sequence[Piece], encode: Encode) -> bool:
        """Keep them; False, and nothing changed, where they have to wait with the upstream."""

    def push(self, write: Write, pieces: int) -> None:
        """Keep what is to leave behind the others, and is of so many pieces, whatever there is of it."""

    def pop(self) -> Write:
        """What leaves next. There must be something."""

    def __bool__(self) -> bool:
        """Something waits."""


class _InTurn:
    """First in, first out; with no room at all, nothing is kept."""

    __slots__ = ("_max_bytes", "_writes", "bytes", "dropped")

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self.dropped = 0
        self._max_bytes = max_bytes
        self._writes: deque[Write] | None = None  # most need none, and an empty one takes 600 bytes

    def offer(self, pieces: Sequence[Piece], encode: Encode) -> bool:
        if self.bytes >= self._max_bytes:
            return False
        data = encode(pieces, 0)
        if self.bytes + len(data) > self._max_bytes:
            return False
        if data:
            self.push(Write(data, *weigh(pieces)), len(pieces))
        return True

    def push(self, write: Write, pieces: int) -> None:  # noqa: ARG002  # Queue: only who drops some counts them
        self.bytes += len(write.data)
        self._writes = self._writes or deque()
        self._writes.append(write)

    def pop(self) -> Write:
        assert self._writes is not None  # noqa: S101  # the contract of pop
        write = self._writes.popleft()
        self.bytes -= len(write.data)
        return write

    def __bool__(self) -> bool:
        return bool(self._writes)


class _Joined(_InTurn):
    """The same, leaving together."""

    __slots__ = ()

    def pop(self) -> Write:
        assert self._writes is not None  # noqa: S101  # the contract of pop
        data, events, text_bytes = zip(*self._writes, strict=True)
        self._writes.clear()
        self.bytes = 0
        return Write(b"".join(data), sum(events), sum(text_bytes))


class _Newest:
    """One piece, and what was pushed behind it; a newer one takes the place of all."""

    __slots__ = ("_dropped_before", "_max_bytes", "_pieces", "_write", "bytes", "dropped")

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self.dropped = 0
        self._max_bytes = max_bytes
        self._write: Write | None = None
        self._pieces = 0  # in it
        self._dropped_before = 0  # since the last one that left

    def offer(self, pieces: Sequence[Piece], encode: Encode) -> bool:
        newest, dropping = pieces[-1:], len(pieces) - 1 + self._pieces
        data = encode(newest, self._dropped_before + dropping)
        if len(data) > self._max_bytes:
            return False
        events, text_bytes = weigh(pieces)
        if self._write is not None:
            events, text_bytes = events + self._write.events, text_bytes + self._write.text_bytes
        self._write, self._pieces = Write(data, events, text_bytes), 1
        self._dropped_before += dropping
        self.dropped += dropping
        self.bytes = len(data)
        return True

    def push(self, write: Write, pieces: int) -> None:
        data, events, text_bytes = self._write or Write(b"", 0, 0)
        self._write = Write(data + write.data, events + write.events, text_bytes + write.text_bytes)
        self._pieces += pieces
        self.bytes = len(self._write.data)

    def pop(self) -> Write:
        assert self._write is not None  # noqa: S101  # the contract of pop
        write, self._write = self._write, None
        self.bytes = self._pieces = self._dropped_before = 0
        return write

    def __bool__(self) -> bool:
        return self._write is not None

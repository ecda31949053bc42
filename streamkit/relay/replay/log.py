"""One stream as a log: pieces by number, an end, and those who read it.

produce ──offer()/put()──▶ Log ──in the very callback──▶ LogReader.pour ──▶ into.offer of a delivery    up to date
                            └──page()──▶ LogReader.page ──▶ the same                                    behind

Theory of operation
-------------------
The log is the only way from a source to a reader; there is no second one that could overtake it or fall behind it. A
reader has a `position`, the number of the last piece that it has handed on, and is in one of three states:

state      when                                    what brings the next pieces
behind     position < log.last                     `page()`: what is kept behind its position, as many as make a write
up to date position = log.last, there is no end    `pour()`: waits; what is appended is offered to it in that very
                                                   callback, and moves its position if it is taken
at the end position = log.last, there is an end    nothing: the end is `log.end`

"Up to date" and "ended" are different things: only the end record makes an end. Between two of these steps nothing is
awaited, so nothing can be appended unseen: who finds nothing behind its position listens before anybody can append.

Full, and for whom
------------------
A log holds `max_bytes`. Where it is full, what every reader has taken is dropped first; what is left has to be read,
and the producer waits. Taken is what a reader has handed on and what no longer lies in its connection (`in_flight`):
who is cut with bytes on their way comes back for them. One piece always fits, however large. Nothing unread is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Self

from streamkit.extractor.pieces import Piece
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.replay.end import StreamEnd
from streamkit.relay.replay.kept import Kept

__all__ = ["PAGE_BYTES", "TRIMMED", "Log", "LogReader", "Quota", "unheeded"]

PAGE_BYTES: Final = 8_192
"""Of text, that a reader who is behind is given at once."""
RECEIVER_BYTES: Final = 1 << 17
"""What a reader's own kernel may hold of what it has acknowledged, and what is lost with its connection."""
LOOSE_PIECES: Final = 64
LOOSE_BYTES: Final = 1_024
"""So many of the latest pieces wait to be packed; until then each counts for the most that it can be."""
LEAST_BYTES: Final = 1 << 16
"""What a log may hold though the quota of all is used up: streams that are read go on."""
LOOK_S: Final = 0.02
"""How often a producer that waits looks whether readers have taken anything: no kernel tells when they do."""

TRIMMED: Final = Failure.of_request(410, "cursor_trimmed", "the pieces after this cursor are no longer kept")

InFlight = Callable[[], int | None]
"""Bytes that were handed on and may not have arrived; None where that is not known."""


class Quota:
    """What all logs of a store may hold together, and `used` of it."""

    __slots__ = ("max_bytes", "used")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used = 0

    @property
    def left(self) -> bool:
        return self.used < self.max_bytes


class Log:
    """One stream. `max_bytes` as of `Kept.bytes`; what it holds is taken out of `quota`, until it is `released`.

    `attended` is called with the number of readers whenever that changes. Stores with a log outside of this process
    override `offer`, `finish`, `page`, and say what `readers_elsewhere` there are.
    """

    def __init__(self, stream_id: str, max_bytes: int, quota: Quota, kept: Kept | None = None) -> None:
        self.id = stream_id
        self._kept = kept or Kept()
        self._loose: list[Piece] = []  # the latest ones, to be packed together
        self._most_bytes = self._kept.bytes  # of all of it, or less
        self.end: StreamEnd | None = None
        self.attended: Callable[[int], object] = unheeded
        self.readers_elsewhere = 0
        self._max_bytes = max_bytes
        self._quota = quota
        self._readers: set[LogReader] = set()
        self._changed: asyncio.Future[None] | None = None  # a producer waits for room

    @property
    def kept(self) -> Kept:
        """What can be replayed."""
        if self._loose:
            self._pack()
        return self._kept

    @kept.setter
    def kept(self, kept: Kept) -> None:
        self._loose.clear()
        self._kept = kept
        self._most_bytes = kept.bytes

    @property
    def last(self) -> int:
        """The number of the last piece that came."""
        return self._kept.last + len(self._loose)

    @property
    def first(self) -> int:
        """The number of the first piece that is kept."""
        return self._kept.first

    @property
    def text_bytes(self) -> int:
        """Of all text that came, in UTF-8."""
        return self.kept.text_bytes

    @property
    def readers(self) -> int:
        """How many read it now."""
        return len(self._readers) + self.readers_elsewhere

    # --- The producer's side ------------------------------------------------------------------------------------------

    def offer(self, pieces: list[Piece]) -> bool:
        """Append them, now; False, and nothing done, where there is no room."""
        quota = self._quota
        if (self._most_bytes >= self._max_bytes or quota.used >= quota.max_bytes) and not self._has_room():
            return False
        self.append(pieces)
        return True

    async def put(self, pieces: list[Piece]) -> None:
        """The same, as soon as there is room."""
        while not self.offer(pieces):
            await self._change(LOOK_S)

    async def finish(self, end: StreamEnd) -> None:
        """Nothing more comes; the first end counts."""
        self.close(end)

    def _has_room(self) -> bool:
        if self.kept.bytes < self._max_bytes and self._quota.left:
            return True
        taken = self.taken()
        if taken is not None:
            self.trim(taken)
        return self.kept.bytes_behind_first < self._limit_bytes

    def taken(self) -> int | None:
        """Up to which piece every reader here has got all; None without a reader."""
        return min((reader.taken(self._air_bytes) for reader in self._readers), default=None)

    @property
    def _limit_bytes(self) -> int:
        """What may be held behind the first piece, which always fits."""
        return self._max_bytes if self._quota.left else min(self._max_bytes, LEAST_BYTES)

    @property
    def _air_bytes(self) -> int:
        """Less than the limit: a stream whose readers have got all goes on."""
        return min(RECEIVER_BYTES, self._limit_bytes // 2)

    # --- What came ----------------------------------------------------------------------------------------------------

    def append(self, pieces: list[Piece]) -> None:
        """The next pieces, for all who are up to date, now. Never behind the end."""
        before = self._kept.last + len(self._loose)
        self._loose += pieces
        if len(pieces) != 1 or not self._may_wait(pieces[0]):
            self._pack()
        for reader in tuple(self._readers):
            if reader.position == before:
                reader.came(pieces)

    def _may_wait(self, piece: Piece) -> bool:
        """To be packed later. One by one that takes four times as long, of which most is that its code is no longer at
        hand in the processor when the next piece comes.
        """
        most = 4 * (len(piece.text) + len(piece.reasoning) + 1)
        self._most_bytes += most
        self._quota.used += most
        return len(self._loose) < LOOSE_PIECES and self._most_bytes - self._kept.bytes < LOOSE_BYTES

    def _pack(self) -> None:
        """The latest pieces, into what is kept."""
        kept = self._kept
        kept.append(self._loose)
        self._loose.clear()
        self._quota.used += kept.bytes - self._most_bytes
        self._most_bytes = kept.bytes

    def close(self, end: StreamEnd) -> None:
        """The end; behind it comes nothing, and no other end."""
        if self.end is None:
            self.end = end
            self.kept.seal()
            for reader in tuple(self._readers):
                reader.news()
            self.news()

    def trim(self, upto: int) -> None:
        """The pieces up to that one are no longer kept."""
        kept = self.kept
        before = kept.bytes
        kept.drop(upto)
        self._most_bytes = kept.bytes
        self._quota.used -= before - kept.bytes

    def release(self) -> None:
        """Nobody finds it any more: who reads it still, reads on."""
        self._quota.used -= self.kept.bytes
        self._quota = Quota(0)

    async def page(self, position: int) -> list[Piece]:
        """Some pieces behind `position`, which is not the last one. Raises Failed where they are no longer kept."""
        await asyncio.sleep(0)  # a long log, read at once, would keep the loop from others
        return self.kept_behind(position)

    def kept_behind(self, position: int) -> list[Piece]:
        """The same, of what is kept here."""
        try:
            return self.kept.after(position, PAGE_BYTES)
        except LookupError:
            raise Failed(TRIMMED) from None

    def check_kept(self, position: int) -> None:
        """Raise Failed where the pieces behind `position` are no longer all kept."""
        if position + 1 < self.first:
            raise Failed(TRIMMED)

    async def at_byte(self, byte: int) -> tuple[int, int]:
        """See `Kept.at_byte`; of a byte that is not ahead. Raises Failed where it is no longer kept."""
        try:
            return self.kept.at_byte(byte)
        except LookupError:
            raise Failed(TRIMMED) from None

    # --- Readers ------------------------------------------------------------------------------------------------------

    def attach(self, position: int = 0, in_flight: InFlight = lambda: 0) -> LogReader:
        """A reader of what stands behind piece `position`, until it is closed."""
        reader = LogReader(self, position, in_flight)
        self._readers.add(reader)
        self.attended(self.readers)
        return reader

    def detach(self, reader: LogReader) -> None:
        """It has left, or got all."""
        if reader in self._readers:
            self._readers.discard(reader)
            self.attended(self.readers)
            self.news()

    def news(self) -> None:
        """Whoever waits for room looks again."""
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def _change(self, within_s: float) -> None:
        self._changed = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._changed], timeout=within_s)

    def __repr__(self) -> str:
        ended = "running" if self.end is None else str(self.end.outcome)
        return f"<Log {self.id}: pieces {self.first} to {self.last}, {ended}, {self.readers} readers>"


class LogReader:
    """One reader of a log; a context manager: whoever leaves it no longer counts. See `Log.attach`."""

    __slots__ = ("_in_flight", "_offer", "_refused", "_woken", "log", "position")

    def __init__(self, log: Log, position: int, in_flight: InFlight) -> None:
        self.log = log
        self.position = position
        self._in_flight = in_flight
        self._offer: Callable[[list[Piece]], bool] | None = None  # while it listens
        self._refused: list[Piece] = []
        self._woken: asyncio.Future[None] | None = None

    @property
    def behind(self) -> bool:
        """There is more than it has handed on."""
        return self.position < self.log.last

    @property
    def at_end(self) -> bool:
        """It has handed on all, and nothing more comes."""
        return self.log.end is not None and not self.behind

    def taken(self, air_bytes: int) -> int:
        """Up to which piece it has got all: what may lie in its connection it has not, nor `air_bytes` behind that."""
        in_flight = self._in_flight()
        kept = self.log.kept
        if in_flight is None:
            return kept.first - 1
        return kept.behind(kept.behind_text(self.position, in_flight), air_bytes)

    def page(self) -> Awaitable[list[Piece]]:
        """Some pieces behind its position; to be handed on, and then `took`."""
        return self.log.page(self.position)

    def took(self, pieces: Sequence[Piece]) -> None:
        """They were handed on."""
        self.position += len(pieces)
        self.log.news()

    async def pour(self, offer: Callable[[list[Piece]], bool]) -> list[Piece]:
        """Hand what is appended to `offer`, in the callback that appends it, until there is something else to be done:
        those that it refused, which then have to be handed on in another way; or none, where the log has ended, or went
        on without this reader. To be called where it is neither behind nor at the end. Raises what `offer` raises.
        """
        self._offer = offer
        self._refused = []
        self._woken = asyncio.get_running_loop().create_future()
        try:
            await self._woken
        finally:
            self._offer = None
            self._woken = None
        return self._refused

    def came(self, pieces: list[Piece]) -> None:
        """The log has got them, right behind its position."""
        if self._offer is None or self._woken is None or self._woken.done():
            return
        try:
            taken = self._offer(pieces)
        except Exception as error:  # noqa: BLE001  # it belongs to whoever pours
            self._woken.set_exception(error)
            return
        if taken:
            self.position += len(pieces)
        else:
            self._refused = pieces
            self._woken.set_result(None)

    def news(self) -> None:
        """Something else than a piece: it looks for itself."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def close(self) -> None:
        self.log.detach(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def unheeded(_: int) -> None:
    """As `Log.attended`: nobody wants to know."""

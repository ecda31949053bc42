"""RedisLog: one stream whose log stands in Redis, as one worker sees it.

produced here    offer ─▶ pending ─▶ bursts ─▶ Redis says that it has them ─▶ append: readers of this worker
elsewhere        Redis ─▶ the worker's one blocked read ─▶ `came` ─▶ append: readers of this worker

Nothing is shown to a reader that is not in Redis: whoever comes back to another worker finds it there. Here stands only
a window, the tail of the log; who is behind it is given pages out of Redis.

Full is the log in Redis. What it holds its producer knows, for nobody else writes: `_bursts`. What readers elsewhere
have taken it asks for when it is full, each time anew, before it drops anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from streamkit.extractor.pieces import Piece
from streamkit.relay.failure import Failed
from streamkit.relay.replay.end import PRODUCER_LOST, STORE_LOST, StreamEnd
from streamkit.relay.replay.kept import MIN_PIECE_BYTES, Kept
from streamkit.relay.replay.log import LEAST_BYTES, LOOK_S, PAGE_BYTES, TRIMMED, InFlight, Log, LogReader, Quota
from streamkit.relay.replay.redis_commands import Command, Commands, Request
from streamkit.relay.replay.redis_keys import Burst, Entry, entry, log_key, utf8_bytes
from streamkit.relay.replay.redis_scripts import END
from streamkit.relay.settings import Resuming

__all__ = ["Home", "RedisLog", "TotalQuota"]

WINDOW_BYTES: Final = 1 << 19
"""Held here of each log, more than what may lie in a reader's connection."""
PENDING_BYTES: Final = 1 << 18
"""Of what Redis has not answered for yet."""
MANY_ENTRIES: Final = 1024
"""Of a log, in one page."""


class TotalQuota(Quota):
    """What all logs of all workers may hold: `used` by those of this one, `elsewhere` when that was last told."""

    __slots__ = ("elsewhere",)

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.elsewhere = 0

    @property
    def left(self) -> bool:
        return self.used + self.elsewhere < self.max_bytes


@dataclass(frozen=True, slots=True)
class Home:
    """What a log is told of its store, and tells it."""

    commands: Commands
    settings: Resuming
    total: TotalQuota
    pending: Callable[[RedisLog], object]
    """Has something to be written."""
    look: Callable[[RedisLog], object]
    """Wants to know what readers elsewhere have taken."""
    changed: Callable[[RedisLog, int | None], asyncio.Future[None] | None]
    """One reader more, behind that piece, or one less (None); a future where Redis has to know before they read."""
    ended: Callable[[RedisLog], object]
    lost: Callable[[], object]
    """Redis does not take what is written."""


@dataclass(slots=True)
class _Elsewhere:
    """Readers of other workers, when that was last looked for; `fresh` until it was made use of."""

    lowest: int | None = None
    fresh: bool = False


@dataclass(slots=True)
class _Finish:
    end: StreamEnd
    written: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class RedisLog(Log):
    """`worker` produces it. Pieces up to `last`, of which `first` is the first one kept, are in Redis already."""

    def __init__(self, stream_id: str, worker: str, home: Home, first: int = 1, last: int = 0, text: int = 0) -> None:
        # The window has a bound of its own: it is nobody's quota.
        super().__init__(stream_id, home.settings.resume_max_bytes, Quota(0), Kept(last, text))
        self.worker = worker
        self.until_s: float | None = None
        self._home = home
        self._first = first
        self._window_bytes = WINDOW_BYTES
        self._taken: dict[LogReader, int] = {}
        self._told: asyncio.Future[None] | None = None
        self._page_entries = 16
        # Of what is produced here:
        self._burst_bytes = min(PAGE_BYTES, max(1, self._max_bytes // 8))
        self._bursts: deque[tuple[int, int]] = deque()  # in Redis: number of the last piece, bytes; small ones joined
        self.bytes = 0
        self._pending: list[Piece] = []
        self._pending_bytes = 0
        self._sending: list[Burst] = []
        self._trimmed = True
        self._elsewhere = _Elsewhere()
        self._finishing: _Finish | None = None

    @property
    def first(self) -> int:
        return self._first

    # --- The producer's side ------------------------------------------------------------------------------------------

    def offer(self, pieces: list[Piece]) -> bool:
        if self.end is not None or not self._has_room():
            return False
        size = utf8_bytes("".join([piece.text + piece.reasoning for piece in pieces]))
        self._pending += pieces
        self._pending_bytes += max(size, MIN_PIECE_BYTES * len(pieces))
        self._home.pending(self)
        return True

    async def put(self, pieces: list[Piece]) -> None:
        """Raises Failed where the log was ended by somebody else, or was lost."""
        while not self.offer(pieces):
            if self.end is not None:
                raise Failed(self.end.failed or PRODUCER_LOST)
            await self._change(LOOK_S)

    async def finish(self, end: StreamEnd) -> None:
        if self.end is not None:
            return
        self._finishing = self._finishing or _Finish(end)
        self._home.pending(self)
        await asyncio.shield(self._finishing.written)

    @property
    def finishing(self) -> bool:
        """Its producer has said how it ends."""
        return self._finishing is not None

    def _has_room(self) -> bool:
        held = self.bytes + self._pending_bytes
        if self._pending_bytes >= PENDING_BYTES:
            return False
        if held < self._max_bytes and self._home.total.left:
            return True
        if self._elsewhere.fresh:
            self._elsewhere.fresh = False
            taken = self.taken()
            if taken is not None:
                self._drop(taken)
        else:
            self._home.look(self)
        held = self.bytes + self._pending_bytes
        behind_first = held - self._bursts[0][1] if self._bursts else held
        return not held or behind_first < self._limit_bytes

    @property
    def _limit_bytes(self) -> int:
        return self._max_bytes if self._home.total.left else min(self._max_bytes, LEAST_BYTES)

    def taken(self) -> int | None:
        """Of readers here and elsewhere. What a reader had got once it has got for good: where its way cannot be told
        from the window, that counts.
        """
        for reader in self._readers:
            number = reader.taken(self._air_bytes)
            if number >= self.kept.first:
                self._taken[reader] = max(self._taken[reader], number)
        lowest = self._elsewhere.lowest
        return min([*self._taken.values(), *([] if lowest is None else [lowest])], default=None)

    def seen_elsewhere(self, readers: int, lowest: int | None, *, asked: bool) -> None:
        """How many read it in other workers, and up to which piece all of them have got it; `asked`: since it did."""
        self._elsewhere = _Elsewhere(lowest, asked)
        if readers != self.readers_elsewhere:
            self.readers_elsewhere = readers
            self.attended(self.readers)
        self.news()

    def _drop(self, upto: int) -> None:
        """Bursts of which all has been taken are no longer kept; Redis learns of it with the next one that is written,
        so that it always has the newest.
        """
        while self._bursts and self._bursts[0][0] <= upto:
            last, size = self._bursts.popleft()
            self._first = last + 1
            self._account(-size)
            self._trimmed = False
        self.kept.drop(self._first - 1)

    def _account(self, size: int) -> None:
        self.bytes += size
        self._home.total.used += size

    # --- Writing ------------------------------------------------------------------------------------------------------

    def to_write(self) -> Request | None:
        """All that is pending, and the end if it is the turn of that."""
        if self.end is not None:
            return None
        self._sending = self._in_bursts()
        commands = [self._written(burst) for burst in self._sending]
        if self._finishing is not None:
            commands.append(("EVAL", END, 0, self.id, self._finishing.end.dumped(), self.keep_ms))
        return Request(commands, self._wrote) if commands else None

    def _in_bursts(self) -> list[Burst]:
        """As many as a page each, but one at least: a log is trimmed and read by bursts."""
        pieces, self._pending = self._pending, []
        largest = self._burst_bytes
        number, text = self.last + 1, self.text_bytes
        if self._pending_bytes <= largest or len(pieces) == 1:
            return [Burst.of(number, text, pieces)] if pieces else []
        bursts: list[Burst] = []
        start = size = 0
        for at, piece in enumerate(pieces):
            more = max(MIN_PIECE_BYTES, len(piece.text) + len(piece.reasoning))
            if size and size + more > largest:
                bursts.append(Burst.of(number, text, pieces[start:at]))
                number, text = number + at - start, text + bursts[-1].text_bytes
                start, size = at, 0
            size += more
        return [*bursts, Burst.of(number, text, pieces[start:])]

    def _written(self, burst: Burst) -> Command:
        # MINID and not MAXLEN, which would drop what nobody has read.
        trim = () if self._trimmed else ("MINID", f"{self._first}-0")
        self._trimmed = True
        return ("XADD", log_key(self.id), "NOMKSTREAM", *trim, burst.id, *burst.fields())

    def _wrote(self, replies: list[Any] | None) -> None:
        """Redis has answered, and not before that readers get it; or it was lost, and so is this log."""
        if replies is None:
            self.close(StreamEnd(STORE_LOST))
        if replies is None or self.end is not None:
            return
        bursts, self._sending = self._sending, []
        for burst, reply in zip(bursts, replies, strict=False):
            if not isinstance(reply, bytes):
                self._refused(reply)
                return
            self._is_in_redis(burst)
        if not self._pending:
            self._pending_bytes = 0  # of many small bursts it may differ by some bytes
        if len(replies) > len(bursts):
            self._ended(replies[-1])
        self.news()

    def _is_in_redis(self, burst: Burst) -> None:
        size = burst.counts
        self._pending_bytes -= size
        self._account(size)
        if self._bursts and self._bursts[-1][1] + size <= self._burst_bytes:
            size += self._bursts.pop()[1]
        self._bursts.append((burst.last, size))
        self.append([*burst.pieces])

    def _refused(self, reply: object) -> None:
        """It has an end: somebody thought this worker dead. Or it is no longer there, or Redis takes nothing."""
        if reply is None:
            self.close(StreamEnd(STORE_LOST))
        elif "equal or smaller" in str(reply):
            self._home.commands.send(
                Request([("EVAL", END, 0, self.id, StreamEnd(PRODUCER_LOST).dumped(), self.keep_ms)], self._read_end)
            )
        else:
            self._home.lost()

    def _read_end(self, replies: list[Any] | None) -> None:
        if replies is not None:
            self._ended(replies[0])

    def _ended(self, reply: object) -> None:
        self.close(StreamEnd.loaded(reply) if isinstance(reply, bytes) else StreamEnd(STORE_LOST))

    @property
    def keep_ms(self) -> int:
        return max(1, round(self._home.settings.resume_keep_s * 1000))

    # --- What came ----------------------------------------------------------------------------------------------------

    def append(self, pieces: list[Piece]) -> None:
        super().append(pieces)
        kept = self.kept
        if kept.bytes > self._window_bytes:
            kept.drop(kept.behind(kept.last, WINDOW_BYTES))
            self._window_bytes = kept.bytes + WINDOW_BYTES

    def came(self, one: Entry) -> None:
        """The next entry, of a log that is produced elsewhere."""
        if one.end is not None:
            self.close(one.end)
        elif one.first > self.last + 1:  # what lies between was trimmed before it was seen here
            self.stands_at(one.first - 1, one.text_at)
            self._first = one.first
            for reader in tuple(self._readers):
                reader.news()
        if pieces := one.pieces[self.last + 1 - one.first :] if one.last > self.last else []:
            self.append(pieces)
            self.news()

    def stands_at(self, last: int, text_bytes: int) -> None:
        """It has gone on to that piece while it was not followed here."""
        if last > self.last:
            self.kept = Kept(last, text_bytes)

    async def reached(self, number: int, *, ended: bool, within_s: float) -> None:
        """Until that piece has come here, and the end if it has `ended`; or the time is over."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        while self.end is None and (self.last < number or ended) and loop.time() < until_s:
            await self._change(LOOK_S)

    def let_go(self) -> None:
        """Nobody reads it here: who comes is given it out of Redis."""
        self.kept = Kept(self.last, self.text_bytes)

    def is_first(self, number: int) -> None:
        """What Redis says of the first piece that is kept."""
        self._first = max(self._first, number)
        self.kept.drop(self._first - 1)

    def close(self, end: StreamEnd) -> None:
        if self.end is not None:
            return
        super().close(end)
        self.until_s = asyncio.get_running_loop().time() + self._home.settings.resume_keep_s
        self._pending, self._pending_bytes = [], 0
        if self._finishing is not None and not self._finishing.written.done():
            self._finishing.written.set_result(None)
        self._home.ended(self)

    def release(self) -> None:
        self._account(-self.bytes)

    # --- Readers ------------------------------------------------------------------------------------------------------

    def attach(self, position: int = 0, in_flight: InFlight = lambda: 0) -> LogReader:
        reader = super().attach(position, in_flight)
        self._taken[reader] = position  # who asks for what is behind it has it
        self._told = self._home.changed(self, position) or self._told
        return reader

    def detach(self, reader: LogReader) -> None:
        if self._taken.pop(reader, None) is not None:
            super().detach(reader)
            self._home.changed(self, None)

    @property
    def readers_here(self) -> int:
        return len(self._readers)

    async def page(self, position: int) -> list[Piece]:
        if self._told is not None:
            await asyncio.shield(self._told)
        await asyncio.sleep(0)  # as every log does; what is kept here is asked behind it, for it may go meanwhile
        if position + 1 >= self.kept.first:
            return self.kept_behind(position)
        entries = await self._entries(position + 1, self._page_entries)
        size = sum(each.text_end - each.text_at for each in entries)
        self._page_entries = max(1, min(MANY_ENTRIES, len(entries) * PAGE_BYTES // max(1, size)))
        return entries[0].pieces[position + 1 - entries[0].first :] + [
            piece for each in islice(entries, 1, None) for piece in each.pieces
        ]

    async def _entries(self, number: int, many: int) -> list[Entry]:
        """From the one on that holds piece `number`. Raises Failed where that is no longer kept."""
        ((*raw,),) = await self._home.commands.ask(
            ("XRANGE", log_key(self.id), f"{number}-0", f"{self.last}-0", "COUNT", many)
        )
        entries = _without_gap(map(entry, raw))
        if not entries or entries[0].first > number:
            raise Failed(TRIMMED)
        return entries

    async def at_byte(self, byte: int) -> tuple[int, int]:
        if byte >= self.kept.first_byte:
            return await super().at_byte(byte)
        first, last = self.first, self.last
        while first <= last:
            (one, *_) = await self._entries((first + last) // 2, 1)
            if byte < one.text_at:
                last = one.first - 1
            elif byte >= one.text_end:
                first = one.last + 1
            else:
                found = Kept(one.first - 1, one.text_at)
                found.append(one.pieces)
                return found.at_byte(byte)
        raise Failed(TRIMMED)


def _without_gap(entries: Sequence[Entry] | Any) -> list[Entry]:
    """Entries up to where one is missing."""
    found: list[Entry] = []
    for each in entries:
        if found and each.first != found[-1].last + 1:
            break
        found.append(each)
    return found

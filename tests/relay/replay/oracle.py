"""A stream that can be resumed, its producer, and readers of every kind, under whatever happens to them; and the truth.

    world = World(MemoryStore(settings.resuming), settings)      # or any other store
    await world.begin()
    await world.speak([3, 1]); visitor = await world.join(0); await world.cut(visitor); …
    await world.check()

The truth is a function of a piece's number: `piece(n)`. A visitor compares each piece that reaches it, so it knows at
once of one that is lost, doubled, or out of order. `random_run` does what a seed says; a state machine does the same
with what hypothesis thinks of. On the fake clock or on a real one, as the loop says.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Literal

from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.log import StreamRecord
from streamkit.relay.replay.end import ABANDONED, STOPPED, StreamEnd
from streamkit.relay.replay.log import TRIMMED, Log
from streamkit.relay.replay.replay import AHEAD, Replay, check_cursor
from streamkit.relay.replay.store import EXPIRED, UNKNOWN, Store
from streamkit.relay.settings import Resuming, Settings
from streamkit.relay.sources.source import Into, Pieces
from streamkit.relay.sources.stored import stored

__all__ = ["BROKEN", "Kind", "Visitor", "World", "piece", "random_run", "settings_of"]

Kind = Literal["text", "events", "blind"]
"""What is in flight to a visitor is counted in bytes of text; of events, which are longer; or cannot be told."""

ID: Final = "0123456789abcdef" * 2
OWNER: Final = "owner"
BROKEN: Final = Failure(Outcome("error_event", "no_paper"), "no_paper", 502, "the printer has no more paper", 3)
EVENT_BYTES: Final = 60


def piece(number: int) -> Piece:
    """Number `number` of every stream: most have a few letters, some only reasoning, some more than a log holds."""
    if number % 13 == 0:
        return Piece("", f"({number})")
    if number % 17 == 0:
        return Piece(f"<{number}>" + "…" * 60, "und" * (number % 3))
    return Piece(f"<{number}>"[: 1 + number % 5] + "é" * (number % 4))


def settings_of(**resuming: float) -> Settings:
    """With a log that is full after a few pieces."""
    given = {"resume_max_bytes": 64, "resume_grace_s": 5.0, "resume_keep_s": 400.0, **resuming}
    deadlines = replace(Settings().deadlines, first_piece_s=0, idle_s=0, total_s=0)
    return Settings()._replace(resuming=Resuming(**given), deadlines=deadlines)  # type: ignore[arg-type]  # each is of its field's type


class Speaker:
    """The source: says what it is ordered to, in bursts of any size."""

    def __init__(self) -> None:
        self.orders: asyncio.Queue[list[int] | Failure | Exception | None] = asyncio.Queue()
        self.said = 0
        self.resting = True
        self.ended: StreamEnd | None = None
        self.closed = False

    async def speak(self, into: Into) -> Pieces:
        try:
            while True:
                self.resting = self.orders.empty()
                order = await self.orders.get()
                self.resting = False
                if order is None:
                    into.finished("stop")
                    self.ended = StreamEnd(None, "stop")
                    return
                if isinstance(order, Failure):
                    self.ended = StreamEnd(order)
                    raise Failed(order)
                if isinstance(order, Exception):
                    self.ended = StreamEnd()
                    raise order
                for size in order:
                    pieces = [piece(number) for number in range(self.said + 1, self.said + 1 + size)]
                    self.said += size
                    if not into.offer(pieces):
                        yield pieces
        finally:
            self.closed = True


class Visitor:
    """One reader: what it was handed lies on the `wire` until it arrives; with a cut that is lost."""

    def __init__(self, log: Log, cursor: int, kind: Kind) -> None:
        self.log = log
        self.number = cursor
        self.kind = kind
        self.refusing = False
        self.flowing = False
        """What it is handed arrives at once."""
        self.wire: deque[Piece] = deque()
        self.end: StreamEnd | None = None
        self.wrong = ""
        self._room = asyncio.Event()
        self._reason: str | None = None
        self._reader = log.attach(cursor, self.in_flight)
        self.task = asyncio.get_running_loop().create_task(self._run())

    def in_flight(self) -> int | None:
        return None if self.kind == "blind" and self.wire else sum(map(self._weight, self.wire))

    @property
    def attached(self) -> bool:
        return not self.task.done()

    @property
    def whole(self) -> bool:
        """It has got the end, and all before it."""
        return self.end is not None and not self.wire

    def arrive(self, many: int) -> None:
        """So many pieces have come; what is nothing on the wire comes with what is before it."""
        while self.wire and (many > 0 or not self._weight(self.wire[0])):
            many -= bool(self._weight(self.wire[0]))
            self.number += 1
            if self.wire.popleft() != piece(self.number):
                self.wrong = self.wrong or f"expected piece {self.number}, got another one"

    def open(self, *, refusing: bool = False, flowing: bool = True) -> None:
        self.refusing, self.flowing = refusing, flowing
        self._room.set()
        if flowing:
            self.arrive(len(self.wire))

    async def leave(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        self._reader.close()  # also if it had not begun
        self.wire.clear()

    def _weight(self, given: Piece) -> int:
        text = len(given.text.encode())
        return text if self.kind == "text" else text + len(given.reasoning.encode()) + EVENT_BYTES

    def _offer(self, pieces: list[Piece]) -> bool:
        if self.refusing:
            return False
        self._take(pieces)
        return True

    def _take(self, pieces: list[Piece]) -> None:
        self.wire += pieces
        self.arrive(len(self.wire) if self.flowing else 0)

    def _told(self, reason: str) -> None:
        self._reason = reason

    async def _run(self) -> None:
        into = Into(self._offer, finished=self._told)
        with self._reader:
            try:
                async with aclosing(stored(self._reader, into)) as batches:
                    async for batch in batches:
                        while self.refusing:
                            self._room.clear()
                            await self._room.wait()
                        self._take(batch)
                self.end = StreamEnd(None, self._reason)
            except Failed as error:
                self.end = StreamEnd(error.failure, self._reason)


@dataclass
class World:
    """One stream in a store, and all that happens to it. Raises AssertionError where a claim is broken."""

    store: Store
    settings: Settings
    settle_s: float = 3.0

    def __post_init__(self) -> None:
        self.replay = Replay(self.store)
        self.speaker = Speaker()
        self.visitors: list[Visitor] = []
        self.left: list[int] = []
        """Where those stand that were cut."""
        self.stopped = False
        self._dropped = 0
        self._floor = 0
        self._alone_s: float | None = None
        self._longest_alone_s = 0.0

    async def begin(self) -> None:
        await self.replay.open()
        produce = self.replay.produce
        created = await self.replay.begin(
            ID,
            OWNER,
            None,
            lambda log: produce(log, self.speaker.speak, StreamRecord(ID), self.settings, Into(), lambda: None),
        )
        assert created.fresh
        self.log = created.log
        await self.join(0, "events")

    async def close(self) -> None:
        for visitor in self.visitors:
            await visitor.leave()
        await self.replay.close()

    # --- What happens -------------------------------------------------------------------------------------------------

    async def speak(self, order: list[int] | Failure | Exception | None) -> None:
        self.speaker.orders.put_nowait(order)

    async def join(self, cursor: int, kind: Kind, *, refusing: bool = False, flowing: bool = False) -> Visitor | None:
        """None where it got a named error, which was the right one."""
        log = await self.store.find(ID, OWNER)
        if (refused := _refusal(log, cursor)) is not None:
            assert refused == (AHEAD if cursor > log.last else TRIMMED)
            assert cursor > log.last or cursor < log.first - 1, "nothing of it was dropped"
            return None
        visitor = Visitor(log, cursor, kind)
        visitor.open(refusing=refusing, flowing=flowing)
        self.visitors.append(visitor)
        return visitor

    async def cut(self, visitor: Visitor) -> None:
        await visitor.leave()
        self._floor = max(self._floor, min(each.number for each in self.visitors))  # it may have got more meanwhile
        self.left.append(visitor.number)
        self.visitors.remove(visitor)
        assert not visitor.wrong, visitor.wrong

    async def stop(self) -> None:
        if self.log.end is None:
            self.stopped = True
            await self.replay.stop(self.log)
            assert self.ended
            assert self.speaker.closed

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @property
    def ended(self) -> bool:
        return self.log.end is not None

    # --- What has to hold ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        """After each step: nobody has got anything wrong, and nothing was dropped that somebody had not got."""
        now = asyncio.get_running_loop().time()
        here = [visitor for visitor in self.visitors if visitor.attached]
        if here:
            self._alone_s = None
        else:
            self._alone_s = now if self._alone_s is None else self._alone_s
            self._longest_alone_s = max(self._longest_alone_s, now - self._alone_s)
        floor = min((visitor.number for visitor in self.visitors), default=self._dropped)
        dropped = self.log.first - 1
        assert dropped <= max(self._floor, floor), "dropped, though a reader has not got it"
        self._floor, self._dropped = floor, max(self._dropped, dropped)
        for visitor in self.visitors:
            assert not visitor.wrong, visitor.wrong
            assert visitor.number <= self.log.last
        if self.log.end is not None:
            self._look_at_end(self.log.end)

    def _look_at_end(self, end: StreamEnd) -> None:
        if end.failed == STOPPED:
            assert self.stopped
        elif end.failed == ABANDONED:
            grace_s = self.settings.resuming.resume_grace_s
            assert self._longest_alone_s >= grace_s - 1, "abandoned, though somebody read it"
        elif self.speaker.ended == StreamEnd():
            assert end.code == "internal_error"
        else:
            assert end == self.speaker.ended, "another end than the source's"
            assert self.log.last == self.speaker.said

    async def check(self) -> None:
        """All clients take what they are given; a while later everybody has got everything, and the end if there is
        one; and the producer went on, if anybody read.
        """
        for visitor in self.visitors:
            visitor.open()
        await asyncio.sleep(self.settle_s)
        self.look()
        for visitor in self.visitors:
            assert visitor.number == self.log.last, f"lost: stands at {visitor.number} of {self.log.last}"
            assert (visitor.end is None) == (self.log.end is None), "it waits, though there is an end; or the opposite"
            assert visitor.end is None or visitor.end == self.log.end
        if self.visitors and self.log.end is None:
            assert self.speaker.resting, "the producer waits, though all was taken"

    async def finish(self) -> None:
        """The stream ends, is read once more by everybody who was cut, expires, and is unknown at last."""
        if self.log.end is None:
            await self.join(self.log.last, "events", flowing=True)
            await self.speak(None)
        await self.check()
        assert self.log.end is not None
        for cursor in {0, self.log.last, *self.left}:
            await self.join(cursor, "text", flowing=True)
        await self.check()
        for visitor in tuple(self.visitors):
            await self.cut(visitor)
        assert not self.log.readers
        left_s, keep_s = self.store.expires_in_s(self.log), self.settings.resuming.resume_keep_s
        assert left_s is not None
        assert left_s <= keep_s
        await asyncio.sleep(left_s * 0.9)
        assert await self.store.find(ID, OWNER) is self.log
        assert await self._refusal("somebody else") == UNKNOWN
        await asyncio.sleep(left_s * 0.1 + 2)
        assert await self._refusal(OWNER) == EXPIRED
        assert await self._refusal("somebody else") == UNKNOWN
        await asyncio.sleep(keep_s + 2)
        assert await self._refusal(OWNER) == UNKNOWN

    async def _refusal(self, owner: str) -> Failure | None:
        try:
            await self.store.find(ID, owner)
        except Failed as error:
            return error.failure
        return None


def _refusal(log: Log, cursor: int) -> Failure | None:
    try:
        check_cursor(log, cursor)
    except Failed as error:
        return error.failure
    return None


ENDS: Final = (None, None, BROKEN, RuntimeError("a bug"), STOPPED)
KINDS: Final[tuple[Kind, ...]] = ("text", "events", "events", "blind")


async def random_step(world: World, chance: random.Random) -> None:
    """One thing that happens, mostly small."""
    visitors = world.visitors
    match chance.choices(("speak", "join", "back", "cut", "arrive", "turn", "wait", "check"), (6, 1, 2, 2, 6, 3, 3, 1))[
        0
    ]:
        case "speak":
            await world.speak([chance.choice((1, 1, 2, 5, 12)) for _ in range(chance.randint(1, 5))])
        case "join":
            cursor = chance.randint(0, world.log.last + 1)
            await world.join(
                cursor, chance.choice(KINDS), refusing=chance.random() < 0.3, flowing=chance.random() < 0.5
            )
        case "back" if world.left:
            await world.join(chance.choice(world.left), chance.choice(KINDS), flowing=chance.random() < 0.5)
        case "cut" if visitors:
            await world.cut(chance.choice(visitors))
        case "arrive" if visitors:
            chance.choice(visitors).arrive(chance.randint(1, 20))
        case "turn" if visitors:
            visitor = chance.choice(visitors)
            visitor.open(refusing=not visitor.refusing, flowing=chance.random() < 0.3)
        case "wait":
            await world.pass_time(chance.choice((0.001, 0.05, 0.5, 7.0)))
        case "check":
            await world.check()
    for _ in range(chance.choice((0, 0, 1, 2, 5))):
        await asyncio.sleep(0)
    world.look()


async def random_run(world: World, seed: int, steps: int = 40) -> None:
    """What a seed says, from the beginning of a stream to when nobody knows it any more. Raises AssertionError."""
    chance = random.Random(seed)
    await world.begin()
    try:
        for _ in range(steps):
            await random_step(world, chance)
        end = chance.choice(ENDS)
        if end is STOPPED:
            await world.stop()
        else:
            await world.speak(end)
        for _ in range(steps // 4):
            await random_step(world, chance)
        await world.finish()
    finally:
        await world.close()

"""The connections of a link: two sockets each, and a `Flow` each way. All of it lives on the link's own loop.

    client ◀──▶ _Side ── _Way up: Flow ──▶ _Side ◀──▶ target
                _Side ◀── _Way down: Flow ── _Side

Theory of operation. A byte's way: its source's `_Side` reads it from the socket, as much as the flow has room for, and
feeds the `_Way`'s `Flow`, which says by its toxics what is due when. `_Way.advance` is all that moves anything: it
takes from the flow what is due and writes it to the target's `_Side`, and sets one timer for what is due next. It is
called when bytes come, when that timer rings, when the target can take more again, and when the toxics change.

Back-pressure needs no state of its own: a target whose socket is full is `blocked`, nothing is taken for it, the flow
fills up, and a flow without room makes its source stop reading (`_Side.read`), so that the peer's kernel fills up.

A connection is over in one of three ways, and from then on (`over`) neither way carries anything:

    both ways have closed in order     the sides close when all is written
    `cut("fin")`                       both sides say their end, read on for a moment (to close with bytes unread would
                                       be a reset), and close
    `cut("rst")`                       both sides are reset; a reset that came from one side takes the way of its bytes,
                                       and waits until those written before it have arrived

It leaves `live` at once and `ending` when both sockets are closed: a stop waits for the latter.

Who wants to see what a connection carries is its `Onlooker`. What the client sends it is shown before that goes on
(it may keep back and change some of it), what the target sends when it has gone on: looking at an answer delays nothing
of the same read.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import socket
from collections.abc import Callable, Coroutine
from time import monotonic_ns
from typing import Any, Final, Literal, Protocol, TypeAlias, cast

from streamkit.lab.net.toxics import QUEUE_BYTES, Close, Flow, How, Toxic
from streamkit.sockets import reset_on_close, unsent_bytes

__all__ = ["Carrier", "Dial", "Direction", "Onlooker"]

Direction: TypeAlias = Literal["up", "down"]
Dial: TypeAlias = Callable[[Callable[[], asyncio.BaseProtocol]], Coroutine[Any, Any, None]]
"""Connects a protocol to the target. Raises OSError."""

MAX_CONNECTIONS: Final = 4096  # at a time; those above it are reset
BURST: Final = 256  # parts written in one turn of the loop
NO_ROOM_S: Final = 0.1  # no descriptor is free for one more connection
RESET_WAIT_S: Final = 0.5
RESET_POLL_S: Final = 0.005
LINGER_S: Final = 0.5  # what was cut in order still reads for so long: to close with bytes unread would be a reset
CLOSE_S: Final = 1.0


class Onlooker(Protocol):
    """Sees what one connection carries. It must neither raise nor wait; times are those of `time.monotonic_ns()`."""

    def sent(self, data: bytes, at_ns: int) -> bytes:
        """A read of what the client sends; what of it is to go on now."""

    def kept_back(self) -> bytes:
        """What was to go on later: the client sends no more."""

    def passed(self, size: int, at_ns: int) -> None:
        """So many bytes more have gone on to the target."""

    def answered(self, data: bytes, at_ns: int) -> None:
        """A read of what the target sends, which has gone on."""

    def client_ended(self, how: How, at_ns: int) -> None:
        """The client sends no more."""

    def target_ended(self, how: How, at_ns: int) -> None:
        """The target sends no more."""

    def client_held(self, for_ns: int) -> None:
        """For so long the client took nothing of what waited for it."""

    def unreachable(self, error: OSError, at_ns: int) -> None:
        """The target could not be connected."""

    def over(self, at_ns: int) -> None:
        """Nothing is carried any more."""


class Carrier:
    """All connections of a link. Its methods are for the thread of the loop, its numbers for all."""

    def __init__(
        self,
        dial: Dial,
        toxics: dict[Direction, tuple[Toxic, ...]],
        seed: int,
        look: Callable[[], Onlooker] | None = None,
    ) -> None:
        """`look` makes the onlooker of each connection."""
        self.dial = dial
        self.look = look
        self.toxics = toxics
        self.carried: dict[Direction, int] = {"up": 0, "down": 0}
        self.live: set[_Connection] = set()
        self.ending: set[_Connection] = set()  # they carry nothing any more, but their sockets are open
        self.buffer = memoryview(bytearray(QUEUE_BYTES))  # filled and emptied in one call of the loop: one is enough
        self.tasks: set[asyncio.Task[None]] = set()
        self._seed = seed
        self._made = 0

    def accept(self, sock: socket.socket) -> None:
        """Take connections from a listening socket."""
        asyncio.get_running_loop().add_reader(sock, self._take, sock)

    def refuse(self, sock: socket.socket) -> None:
        """Take no more from it: it may be closed then."""
        asyncio.get_running_loop().remove_reader(sock)

    def change(self, direction: Direction, toxics: tuple[Toxic, ...]) -> None:
        """From now on these, for connections that live and those to come."""
        self.toxics[direction] = toxics
        for connection in tuple(self.live):
            connection.ways[direction].change(toxics)

    def cut(self, how: How) -> None:
        """Cut what lives."""
        for connection in tuple(self.live):
            connection.cut(how)

    async def close(self) -> None:
        """Leave nothing open."""
        for connection in (*self.live, *self.ending):
            connection.abort()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CLOSE_S
        while (self.tasks or self.ending) and loop.time() < deadline:  # noqa: ASYNC110  # transports close in the next turns
            await asyncio.sleep(0)

    def _take(self, sock: socket.socket) -> None:
        try:
            client, _ = sock.accept()
        except (BlockingIOError, ConnectionError, InterruptedError):
            return  # it has left already
        except OSError:
            self.refuse(sock)
            asyncio.get_running_loop().call_later(NO_ROOM_S, self._take_again, sock)
            return
        client.setblocking(False)
        connection = _Connection(self, f"{self._seed} {self._made}")
        self._made += 1
        self.live.add(connection)
        task = asyncio.get_running_loop().create_task(connection.open(client))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        if len(self.live) > MAX_CONNECTIONS:
            connection.cut("rst")

    def _take_again(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self.accept(sock)


class _Connection:
    """A client's connection, and the one to the target that is made for it. `seed` is that of its jitter."""

    def __init__(self, carrier: Carrier, seed: str) -> None:
        self.carrier = carrier
        self.loop = asyncio.get_running_loop()
        self._client = _Side(self)
        self._target = _Side(self)
        self._sides = (self._client, self._target)
        self.ways: dict[Direction, _Way] = {
            "up": _Way(self, "up", seed, self._client, self._target),
            "down": _Way(self, "down", seed, self._target, self._client),
        }
        self._dialling: asyncio.Future[None] | None = None
        self._how: How = "rst"
        self.over = False
        self.onlooker = None if carrier.look is None else carrier.look()
        self._client.onlooker = self.onlooker

    async def open(self, client: socket.socket) -> None:
        """Take the client's socket, and connect to the target."""
        await self.loop.connect_accepted_socket(lambda: self._client, client)
        if self.over:
            return
        self._dialling = asyncio.ensure_future(self.carrier.dial(lambda: self._target))
        try:
            await self._dialling
        except OSError as error:
            if self.onlooker is not None:
                self.onlooker.unreachable(error, monotonic_ns())
            self.cut("rst")  # all that can be told to a client whose connection was taken
        except asyncio.CancelledError:
            self.cut("rst")

    def ended(self, way: _Way, close: Close) -> None:
        """A way has closed: its last byte is out."""
        if close.both or close.how == "rst":
            self.cut(close.how, RESET_WAIT_S)
            return
        way.target.write_eof()
        if way.source.lost:
            self.cut(way.source.lost_how)
        elif all(each.closed for each in self.ways.values()):
            self._finish()
            self._close()

    def side_lost(self, side: _Side) -> None:
        """One of its sockets is closed: as we wanted, or the peer has reset it."""
        if not self.over:
            side.outward.close()
            if side.inward.closed or not self._target.made:
                self.cut(side.lost_how)
            else:
                side.inward.end(side.lost_how)
        self._look()

    def cut(self, how: How, wait_s: float = 0.0) -> None:
        """End both sides. A reset waits so long for what was sent before it to arrive."""
        if self.over:
            return
        self._how = how
        self._finish()
        if how == "rst":
            self._reset(self.loop.time() + wait_s)
            return
        for side in self._sides:
            side.write_eof()
            side.read(True)
        self.loop.call_later(LINGER_S, self._close)

    def refuse(self, side: _Side) -> None:
        """A side that was connected when all was over already."""
        if self._how == "rst":
            side.reset()
        else:
            side.close()

    def abort(self) -> None:
        """End both sides at once."""
        self._finish()
        for side in self._sides:
            side.abort()

    def _finish(self) -> None:
        if self.over:
            return
        self.over = True
        for way in self.ways.values():
            way.close()
        if self._dialling is not None:
            self._dialling.cancel()
        self.carrier.live.discard(self)
        self.carrier.ending.add(self)
        if self.onlooker is not None:
            self._client.tell_held()
            self.onlooker.over(monotonic_ns())
        self._look()

    def _look(self) -> None:
        if self.over and not any(side.transport for side in self._sides):
            self.carrier.ending.discard(self)

    def _reset(self, deadline: float) -> None:
        if self.loop.time() < deadline and any(side.unsent for side in self._sides):
            self.loop.call_later(RESET_POLL_S, self._reset, deadline)
            return
        for side in self._sides:
            side.reset()

    def _close(self) -> None:
        for side in self._sides:
            side.close()


class _Way:
    """One direction of a connection: what `source` brings goes through a Flow, and out at `target`."""

    def __init__(self, connection: _Connection, direction: Direction, seed: str, source: _Side, target: _Side) -> None:
        self.source = source
        self.target = target
        self.closed = False
        self._connection = connection
        self._direction: Direction = direction
        self._loop = connection.loop
        self._timer: asyncio.TimerHandle | None = None
        chance = random.Random(f"{seed} {direction}")  # noqa: S311  # replayable, no cryptography
        self._flow = Flow(connection.carrier.toxics[direction], self._loop.time(), chance)
        source.inward = self
        target.outward = self

    @property
    def room(self) -> int:
        """How many bytes may be read."""
        return QUEUE_BYTES if self.closed else self._flow.room

    def feed(self, data: bytes) -> None:
        """`source` brought bytes; when nothing passes any more, they are dropped."""
        if self.closed:
            return
        onlooker = self._connection.onlooker
        if onlooker is None:
            self._take(data)
        elif self._direction == "up":
            self._take(onlooker.sent(data, monotonic_ns()))
        else:
            at_ns = monotonic_ns()
            self._take(data)
            onlooker.answered(data, at_ns)

    def _take(self, data: bytes) -> None:
        self._flow.feed(data, self._loop.time())
        self.advance()

    def end(self, how: How) -> None:
        """`source` has ended."""
        if self.closed:
            return
        self._tell_end(how)
        self._flow.end(how, self._loop.time())
        self.advance()

    def _tell_end(self, how: How) -> None:
        onlooker = self._connection.onlooker
        if onlooker is None:
            return
        if self._direction == "up":
            self._flow.feed(onlooker.kept_back(), self._loop.time())
            onlooker.client_ended(how, monotonic_ns())
        else:
            onlooker.target_ended(how, monotonic_ns())

    def change(self, toxics: tuple[Toxic, ...]) -> None:
        """From now on these."""
        self._flow.change(toxics, self._loop.time())
        self.advance()

    def close(self) -> None:
        """Nothing passes any more."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.source.read(True)

    def advance(self) -> None:
        """Write what is due, as far as the target takes it."""
        if self.closed:
            return
        for _ in range(BURST):
            now = self._loop.time()
            if self.target.blocked and self._flow.cut_at > now:
                wake_at = self._flow.cut_at
                break
            out = self._flow.take(now)
            if isinstance(out, Close):
                self.close()
                self._connection.ended(self, out)
                return
            if out is None:
                wake_at = self._flow.wake_at
                break
            self._connection.carrier.carried[self._direction] += len(out)
            self.target.write(out)
            if self._direction == "up" and self._connection.onlooker is not None:
                self._connection.onlooker.passed(len(out), monotonic_ns())
        else:
            wake_at = self._loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if wake_at == math.inf else self._loop.call_at(wake_at, self.advance)
        self.source.read(self._flow.room > 0)


class _Side(asyncio.BufferedProtocol):
    """One of the two sockets."""

    inward: _Way  # where goes what it reads
    outward: _Way  # where comes from what it writes

    def __init__(self, connection: _Connection) -> None:
        self.transport: asyncio.Transport | None = None
        self.blocked = True
        self.made = self.lost = False
        self.lost_how: How = "rst"
        self.onlooker: Onlooker | None = None  # of the client's side, who is told when that takes nothing
        self._connection = connection
        self._buffer = connection.carrier.buffer
        self._eof = False
        self._blocked_ns = 0

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.made = True
        if self._connection.over:
            self._connection.refuse(self)
            return
        # asyncio's TLS holds at the limit, all others above it
        self.transport.set_write_buffer_limits(0 if self.transport.can_write_eof() else 1, 0)
        self.blocked = False
        self.inward.advance()
        self.outward.advance()

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._buffer[: self.inward.room]

    def buffer_updated(self, nbytes: int) -> None:
        self.inward.feed(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> bool:
        self._eof = True
        half_open = self.transport is not None and self.transport.can_write_eof()
        self.lost_how = "rst" if half_open else "fin"  # TLS knows no half of a connection: all of it closes, in order
        self.inward.end("fin")
        return half_open  # the other direction goes on

    def pause_writing(self) -> None:
        self.blocked = True
        if self.onlooker is not None:
            self._blocked_ns = monotonic_ns()

    def resume_writing(self) -> None:
        self.blocked = False
        self.tell_held()
        self.outward.advance()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        self.blocked = self.lost = True
        self._connection.side_lost(self)

    # What its connection calls

    @property
    def unsent(self) -> bool:
        """Whether something that was written has not arrived at the peer's kernel yet."""
        return self.transport is not None and bool(unsent_bytes(self.transport))

    def tell_held(self) -> None:
        """For how long it has taken nothing, up to now."""
        if self.onlooker is not None and self._blocked_ns:
            self.onlooker.client_held(monotonic_ns() - self._blocked_ns)
        self._blocked_ns = 0

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def write_eof(self) -> None:
        """Say that no more will come; over TLS that closes all of it."""
        if self.transport is None:
            return
        with contextlib.suppress(OSError):  # the peer has reset it: the loop will say so
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()

    def read(self, on: bool) -> None:
        if self.transport is None or self._eof:
            return
        if on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        if self.transport is not None:
            reset_on_close(self.transport)
            self.transport.abort()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

"""Which request may use which connection: a bounded number of slots, idle connections, and requests that wait.

A slot is the right to have one connection open, from before it is connected until it is closed. Every operation takes
constant time, however many connections there are; `collections.OrderedDict` is used where the oldest must be found,
because the first key of a plain dict is searched for behind all deleted ones.

The pool knows nothing of sockets: what it keeps are the caller's objects, which it closes through `close`.

Theory of operation. `open` counts the slots that are not free:

    slot      comes by       leaves by
    ───────   ────────────   ──────────────────────────────────────────────────────────────────────────────────────────
    free      –              acquire() → in use
    in use    acquire()      give_back() → idle; free() → free; both: → in use, of who waits longest; park() → parked
    idle      give_back()    acquire() → in use; keepalive_s, forget(), shut() → free
    parked    park()         unpark() → in use, its last user's again; acquire(), when full → in use; shut() → free

Who asks is served in this order: an idle connection of its origin, the one used last; a free slot; the slot of the
oldest idle connection of another origin; that of the oldest parked one; else it waits. Who waits longest is next: a
slot that is given back or freed goes to it in that very call, with the connection if the origins are equal, and so
nobody who comes later can overtake. While requests wait, nothing is idle or parked and every slot is taken.

Parking is for a connection whose message is as good as over: it is nobody's, keeps its slot for the little while that
its caller gives it (`unpark`), and yields to whoever needs the slot, which `unpark` then tells by False.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Literal, TypeAlias, TypeVar

import httpx2

__all__ = ["Pool", "WhenFull"]

C = TypeVar("C", bound=Hashable)
WhenFull: TypeAlias = Literal["wait", "fail"]


class Pool(Generic[C]):
    """At most `max_connections` slots for connections to any number of origins.

    `acquire` gives an idle connection of this origin (the one used last: its TCP window is the widest), or None: a slot
    to connect in. When all are taken, the oldest idle connection of another origin is closed for it, then the oldest
    parked one; else the request waits behind those that came before (`when_full="wait"`, at most `max_waiting` of
    them) or fails. Whoever got a slot ends with exactly one of `give_back`, `park` and `free`.
    """

    def __init__(
        self,
        close: Callable[[C], None],
        *,
        max_connections: int,
        when_full: WhenFull,
        max_waiting: int,
        keepalive_s: float,
    ) -> None:
        if max_connections < 1:
            raise ValueError(f"expected max_connections >= 1, got {max_connections!r}")
        if max_waiting < 0:
            raise ValueError(f"expected max_waiting >= 0, got {max_waiting!r}")
        if when_full not in ("wait", "fail"):
            raise ValueError(f"expected when_full 'wait' or 'fail', got {when_full!r}")
        if not keepalive_s >= 0:
            raise ValueError(f"expected keepalive_s >= 0 seconds, got {keepalive_s!r}")
        self._close = close
        self._max = max_connections
        self._max_waiting = max_waiting if when_full == "wait" else 0
        self._when_full = when_full
        self._keepalive_s = keepalive_s
        self._used = 0
        self._idle: OrderedDict[C, tuple[Hashable, float]] = OrderedDict()  # with origin and expiry, the oldest first
        self._idle_of: dict[Hashable, OrderedDict[C, None]] = {}
        self._parked: OrderedDict[C, None] = OrderedDict()
        self._waiting: OrderedDict[asyncio.Future[C | None], Hashable] = OrderedDict()
        self._expiry: asyncio.TimerHandle | None = None

    @property
    def open(self) -> int:
        """Slots taken: connections that are in use, being made, idle or parked."""
        return self._used

    @property
    def idle(self) -> int:
        """Connections that wait for a request of their origin."""
        return len(self._idle)

    @property
    def parked(self) -> int:
        """Connections that wait for the end of a message that nobody reads."""
        return len(self._parked)

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    async def acquire(self, origin: Hashable, timeout_s: float | None) -> C | None:
        """A slot, with an idle connection of `origin` or without one. Raises httpx2.PoolTimeout."""
        if origin in self._idle_of:
            connection = next(reversed(self._idle_of[origin]))
            self._forget_idle(connection)
            return connection
        if self._used < self._max:
            self._used += 1
            return None
        if self._idle:
            oldest = next(iter(self._idle))
            self._forget_idle(oldest)
            self._close(oldest)
            return None
        if self._parked:
            self._close(self._parked.popitem(last=False)[0])
            return None
        return await self._wait(origin, timeout_s)

    def give_back(self, origin: Hashable, connection: C) -> None:
        """The slot is done with; `connection` can serve another request of `origin`."""
        if (next_one := self._next_waiting()) is not None:
            waiter, wanted = next_one
            if wanted != origin:
                self._close(connection)
            waiter.set_result(connection if wanted == origin else None)
        elif self._keepalive_s == 0:
            self._close(connection)
            self._used -= 1
        else:
            expires = asyncio.get_running_loop().time() + self._keepalive_s
            self._idle[connection] = (origin, expires)
            self._idle_of.setdefault(origin, OrderedDict())[connection] = None
            self._set_expiry()

    def free(self) -> None:
        """The slot is done with, its connection closed or never made."""
        if (next_one := self._next_waiting()) is not None:
            next_one[0].set_result(None)
        else:
            self._used -= 1

    def park(self, connection: C) -> bool:
        """Keep the slot of a connection that may soon be idle. False, and nothing done, if a request waits for it."""
        if self._waiting:
            return False
        self._parked[connection] = None
        return True

    def unpark(self, connection: C) -> bool:
        """Whether `connection` was still parked: then the slot is the caller's again."""
        if connection not in self._parked:
            return False
        del self._parked[connection]
        return True

    def forget(self, connection: C) -> None:
        """`connection` has died. If it was idle, its slot is free; otherwise it is its user's business."""
        if connection in self._idle:
            self._forget_idle(connection)
            self.free()

    def shut(self, error: Callable[[], Exception]) -> None:
        """Close what is idle or parked; requests that wait get an `error` each. Slots in use stay with their users."""
        for connection in [*self._idle, *self._parked]:
            self._used -= 1
            self._close(connection)
        self._idle.clear()
        self._idle_of.clear()
        self._parked.clear()
        while (next_one := self._next_waiting()) is not None:
            next_one[0].set_exception(error())
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _next_waiting(self) -> tuple[asyncio.Future[C | None], Hashable] | None:
        """Who waits longest; a request cancelled in this turn of the loop stands in the queue until its task runs."""
        while self._waiting:
            waiter, origin = self._waiting.popitem(last=False)
            if not waiter.done():
                return waiter, origin
        return None

    async def _wait(self, origin: Hashable, timeout_s: float | None) -> C | None:
        if len(self._waiting) >= self._max_waiting:
            raise httpx2.PoolTimeout(self._no_room())
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[C | None] = loop.create_future()
        self._waiting[waiter] = origin
        timer = None if timeout_s is None else loop.call_later(timeout_s, self._give_up, waiter, timeout_s)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._return_unclaimed(waiter, origin)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _return_unclaimed(self, waiter: asyncio.Future[C | None], origin: Hashable) -> None:
        """A cancelled request may have been given its slot in the same turn of the loop."""
        if self._waiting.pop(waiter, None) is not None or waiter.cancelled() or waiter.exception() is not None:
            return
        connection = waiter.result()
        if connection is None:
            self.free()
        else:
            self.give_back(origin, connection)

    def _give_up(self, waiter: asyncio.Future[C | None], timeout_s: float) -> None:
        if self._waiting.pop(waiter, None) is not None and not waiter.done():
            busy = f"{self._used} of {self._max} are in use"
            waiter.set_exception(httpx2.PoolTimeout(f"the pool gave no connection within {timeout_s:g} s: {busy}"))

    def _no_room(self) -> str:
        busy = f"the pool has no free connection: {self._used} of {self._max} are in use"
        if self._when_full == "fail":
            return f"{busy}, and when_full is 'fail'"
        return f"{busy}, and {len(self._waiting)} of at most {self._max_waiting} requests wait already"

    def _forget_idle(self, connection: C) -> None:
        origin, _ = self._idle.pop(connection)
        siblings = self._idle_of[origin]
        del siblings[connection]
        if not siblings:
            del self._idle_of[origin]

    def _set_expiry(self) -> None:
        """One timer for all: it rings for the oldest, and finds the others in order behind it."""
        if self._expiry is None and self._idle:
            expires = next(iter(self._idle.values()))[1]
            if expires < math.inf:
                self._expiry = asyncio.get_running_loop().call_at(expires, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        now = asyncio.get_running_loop().time()
        while self._idle and next(iter(self._idle.values()))[1] <= now:
            connection = next(iter(self._idle))
            self._forget_idle(connection)
            self._close(connection)
            self._used -= 1
        self._set_expiry()

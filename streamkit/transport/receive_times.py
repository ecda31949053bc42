"""Kernel receive times (SO_TIMESTAMPNS, socket(7)) on the monotonic clock.

The kernel stamps packets with CLOCK_REALTIME; everything of ours is CLOCK_MONOTONIC. On Linux both are the same counter
with the same rate, NTP's slewing included: their difference changes only when the wall clock is stepped
(clock_gettime(2)). So a bracket of three readings, monotonic, real, monotonic, bounds the
difference; brackets that overlap bound it together, ever closer; one that does not overlap proves a step.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, Literal, TypeAlias

__all__ = ["SO_TIMESTAMPNS", "TIMESPEC", "ReceiveTimes", "Stamp", "StampKind", "WallClock", "keep_stamping"]

StampKind: TypeAlias = Literal["kernel", "socket"]
"""The kernel's receive time, or the time at which our read returned."""

SO_TIMESTAMPNS: Final = 35  # SO_TIMESTAMPNS_OLD of asm-generic/socket.h: struct timespec of the platform's longs
SOL_SOCKET: Final = 1
TIMESPEC: Final = struct.Struct("@ll")
DRIFT_NS: Final = 1_000
"""Brackets that miss each other by less are clocks read on two cores, or rounding; more is a step."""
FIRST_BRACKETS: Final = 5
WARM_UP_TRIES: Final = 50
UNKNOWN: Final = -1


Stamp: TypeAlias = tuple[int, StampKind, int, int]
"""When a read's bytes arrived: `(at_ns, kind, error_ns, read_ns)`: the time, which kind of time this is, how wrong it
can be (-1: unknown), and when the read returned in Python. `at_ns` <= `read_ns`.

A plain tuple, as one is made for each read: a NamedTuple costs a tenth of all that is done with a read, and one that
holds another three tenths.
"""


class WallClock:
    """CLOCK_REALTIME - CLOCK_MONOTONIC, known as an interval: `low_ns` <= difference <= `high_ns`.

    `sample()` costs three clock readings and is called with every read: so a step is noticed by the first read after
    it, and counted in `steps`.
    """

    def __init__(
        self,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        realtime_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._realtime_ns = realtime_ns
        before_ns, real_ns, after_ns = monotonic_ns(), realtime_ns(), monotonic_ns()
        self.low_ns, self.high_ns = real_ns - after_ns, real_ns - before_ns
        self.steps = 0
        for _ in range(FIRST_BRACKETS - 1):
            self.sample()

    def sample(self) -> int:
        """Look at both clocks; the monotonic time of the second look."""
        before_ns = self._monotonic_ns()
        real_ns = self._realtime_ns()
        after_ns = self._monotonic_ns()
        low_ns, high_ns = real_ns - after_ns, real_ns - before_ns
        if low_ns > self.high_ns or high_ns < self.low_ns:
            if low_ns - self.high_ns > DRIFT_NS or self.low_ns - high_ns > DRIFT_NS:
                self.steps += 1
            self.low_ns, self.high_ns = low_ns, high_ns
            return after_ns
        if low_ns > self.low_ns:
            self.low_ns = low_ns
        if high_ns < self.high_ns:
            self.high_ns = high_ns
        return after_ns


class ReceiveTimes:
    """The stamps of one connection's reads.

    They never fall and never lie after their read; a stamp that would is moved there, and its error says how far. The
    kernel's time for a read is that of its last segment in the order of the stream; where segments were lost and sent
    again, an earlier one may have come later.
    """

    __slots__ = ("_clock", "_last_ns", "_steps")

    def __init__(self, clock: WallClock) -> None:
        self._clock = clock
        self._steps = clock.steps
        self._last_ns = 0

    def stamp(self, ancillary: Iterable[tuple[int, int, bytes]], *, drained: bool) -> Stamp:
        """The stamp of a read that has just returned with this ancillary data (recvmsg(2)).

        `drained`: it took all there was. After a step of the wall clock, what still waits in the socket may have been
        stamped before it or behind it, so the time of the read counts until the socket was drained once.
        """
        clock = self._clock
        read_ns = clock.sample()
        real_ns = _receive_time(ancillary)
        if clock.steps != self._steps:
            real_ns = None
            if drained:
                self._steps = clock.steps
        if real_ns is None:
            self._last_ns = read_ns
            return read_ns, "socket", UNKNOWN, read_ns
        error_ns = clock.high_ns - clock.low_ns
        at_ns = real_ns - clock.low_ns - (error_ns >> 1)
        if at_ns > read_ns:
            error_ns, at_ns = max(error_ns, at_ns - read_ns), read_ns
        elif at_ns < self._last_ns:
            error_ns, at_ns = max(error_ns, self._last_ns - at_ns), self._last_ns
        self._last_ns = at_ns
        return at_ns, "kernel", error_ns, read_ns


@cache
def keep_stamping() -> None:
    """Have the kernel stamp what arrives, from now on and for as long as this process lives. At most 50 ms, once.

    It does so while any socket asks for it, and begins some time after the first has asked: net_enable_timestamp()
    leaves that to a work queue, so the first read of the first connection might have no stamp. One end of a connection
    to ourselves is therefore kept, after a byte has come over it with a stamp.
    """
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = socket.create_connection(listener.getsockname())
        receiver.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1)
        with listener.accept()[0] as sender:
            for _ in range(WARM_UP_TRIES):
                sender.send(b".")
                if _receive_time(receiver.recvmsg(1, socket.CMSG_SPACE(TIMESPEC.size))[1]) is not None:
                    break
                time.sleep(0.001)
        receiver.detach()  # nobody closes it, and no object is left that would complain of that


def _receive_time(ancillary: Iterable[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if level == SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) == TIMESPEC.size:
            seconds, nanoseconds = TIMESPEC.unpack(data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return None

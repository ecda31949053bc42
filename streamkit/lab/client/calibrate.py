"""calibrate(): how wrong the instrument itself is, on this machine, now.

It measures what the stamps of a recording depend on: how late timers fire, how late an event loop is while it reads,
what a stamp costs, and how long after the kernel received a message Python stamped its read.

    print(calibrate())      # takes 1.5 s; kept as latest(), and used by recordings made after it
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

from streamkit.lab.recording.calibration import Calibration, Lag, percentile
from streamkit.taps import Tap
from streamkit.taps.clock import clock_origin
from streamkit.transport.receive_times import SO_TIMESTAMPNS, TIMESPEC, ReceiveTimes, WallClock

__all__ = ["calibrate", "latest"]

RATES_PER_S: Final = (20, 200, 1000)
MAX_RATE_PER_S: Final = 5000  # beyond it the sender itself is the bottleneck
MAX_SECONDS: Final = 10.0
SLEEP_NS: Final = 1_000_000
PROBE_NS: Final = 10_000_000
MESSAGE: Final = b"x" * 64  # bytes, about an event of an LLM's stream
NO_KERNEL_TIMES: Final = "the kernel gives no receive times here: read stamps could not be compared with them"

PATIENCE_S: Final = 2.0  # for messages that a busy machine brings late
READ_BYTES: Final = 1 << 16
ROOM: Final = socket.CMSG_SPACE(TIMESPEC.size)
COST_CALLS: Final = 2000
COST_ROUNDS: Final = 5


_latest: Calibration | None = None


def latest() -> Calibration | None:
    """The last calibration of this process; None if there was none."""
    return _latest


def calibrate(seconds: float = 1.5, rates: Iterable[float] = RATES_PER_S) -> Calibration:
    """Measure how wrong the instrument itself is: how late timers, loops and read stamps are on this machine, now.

        print(sk.calibrate())

    seconds   how long to measure: a fifth of it timers, the rest read stamps, the same time for each rate
    rates     messages per second on one loopback connection

    Recordings that this process makes afterwards state their errors by it. The call blocks; it uses an asyncio loop in
    a thread of its own, so it works in a notebook too. Whatever else this process and this machine do is part of the
    result, as it is part of a recording: measure under the conditions under which you record.

    Raises ValueError or TypeError for a time or a rate that makes no sense.
    """
    global _latest
    chosen = tuple(rates)
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(f"expected seconds above 0 and up to {MAX_SECONDS:g}, got {seconds!r}")
    if not chosen or not all(0 < rate <= MAX_RATE_PER_S for rate in chosen):
        raise ValueError(f"expected rates as messages per second above 0 and up to {MAX_RATE_PER_S}, got {chosen!r}")
    with ThreadPoolExecutor(1, thread_name_prefix="streamkit calibration") as thread:
        _latest = thread.submit(_run, seconds, chosen).result()
    return _latest


def _run(seconds: float, rates: Sequence[float]) -> Calibration:
    with asyncio.Runner() as runner:  # not asyncio.run: where a loop was made re-entrant, that is nest-asyncio2's
        return runner.run(_measure(seconds, rates))


async def _measure(seconds: float, rates: Sequence[float]) -> Calibration:
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    tap = Tap()
    clock_ns, stamp_ns = _cost_ns(time.monotonic_ns), _cost_ns(lambda: tap.stamp(0, 1, 1))
    timers: list[int] = []
    await _sleep_late(SLEEP_NS, int(seconds / 5 * 1e9), timers)
    probes: list[int] = []
    probing = asyncio.ensure_future(_sleep_late(PROBE_NS, int(MAX_SECONDS * 1e9), probes))
    lags = [Lag.of(rate, await _lags_ns(rate, seconds * 4 / 5 / len(rates))) for rate in rates]
    probing.cancel()
    return Calibration(
        timer_p50_ns=percentile(timers, 50),
        timer_p99_ns=percentile(timers, 99),
        loop_p99_ns=percentile(probes, 99),
        loop_max_ns=percentile(probes, 100),
        clock_ns=clock_ns,
        stamp_ns=stamp_ns,
        lags=tuple(lag for lag in lags if lag.reads),
        started_at=started_at,
        origin=clock_origin(),
        notes=() if all(lag.reads for lag in lags) else (NO_KERNEL_TIMES,),
    )


async def _sleep_late(
    period_ns: int,
    duration_ns: int,
    late_ns: list[int],
    clock: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Sleep for `period_ns` again and again for `duration_ns`; `late_ns` gets how much too long each took."""
    now_ns = clock()
    end_ns = now_ns + duration_ns
    while now_ns < end_ns:
        before_ns = now_ns
        await sleep(period_ns / 1e9)
        now_ns = clock()
        late_ns.append(now_ns - before_ns - period_ns)


def _cost_ns(call: Callable[[], object], clock: Callable[[], int] = time.perf_counter_ns) -> int:
    """The cost of one call (ns): the least of a few rounds, since what else runs can only add to it."""

    def round_ns() -> int:
        begin_ns = clock()
        for _ in range(COST_CALLS):
            call()
        return clock() - begin_ns

    return min(round_ns() for _ in range(COST_ROUNDS)) // COST_CALLS


# --- Read stamps against kernel receive times -------------------------------------------------------------------------


async def _lags_ns(rate_per_s: float, duration_s: float) -> list[int]:
    """How long after the kernel had received it each read was stamped, of messages sent at this rate.

    Empty where the kernel gives no times; reads without one, as after a step of the wall clock, are left out.
    """
    count = max(1, round(rate_per_s * duration_s))
    missing = count * len(MESSAGE)
    lags_ns: list[int] = []
    over = asyncio.Event()
    times = ReceiveTimes(WallClock())

    def take() -> None:
        nonlocal missing
        data, ancillary, _, _ = receiver.recvmsg(READ_BYTES, ROOM)
        at_ns, kind, _, read_ns = times.stamp(ancillary, drained=len(data) < READ_BYTES)
        if kind == "kernel":
            lags_ns.append(read_ns - at_ns)
        missing -= len(data)
        if missing <= 0 or not data:
            over.set()

    with _connection() as (sender, receiver), _sending(sender, rate_per_s, count):
        _ask_for_times(receiver)
        loop = asyncio.get_running_loop()
        loop.add_reader(receiver, take)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), count / rate_per_s + PATIENCE_S)
        finally:
            loop.remove_reader(receiver)
    return lags_ns


def _ask_for_times(receiver: socket.socket) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # an old or a foreign kernel: then there are none
            receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


@contextlib.contextmanager
def _connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a loopback TCP connection: a blocking one to send, a non-blocking one to receive."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname(), PATIENCE_S)
        with sender:
            sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            receiver, _ = listener.accept()
            with receiver:
                receiver.setblocking(False)
                yield sender, receiver


@contextlib.contextmanager
def _sending(sender: socket.socket, rate_per_s: float, count: int) -> Iterator[None]:
    """Meanwhile a thread sends `count` messages on an even grid; leaving ends it."""
    stop = threading.Event()

    def send() -> None:
        begin = time.monotonic()
        for number in range(1, count + 1):
            if stop.wait(max(0.0, begin + number / rate_per_s - time.monotonic())):
                return
            sender.sendall(MESSAGE)

    thread = threading.Thread(target=send, name="streamkit calibration sender", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)

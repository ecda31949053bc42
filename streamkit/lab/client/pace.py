"""Readers: at which pace a client takes what the server sends, and how that is carried out.

Reader(bytes_per_s=10_000)              # a narrow line: what it has not taken waits in the kernel
Reader(events_per_s=5)                  # a slow user on a fast line: what it has read waits in the client
Reader(pauses_s={20: 3.0})              # after 20 events, nothing for 3 s
Reader(work_ms=2)                       # computes for 2 ms per event, in the loop that reads
Reader.never()                          # takes the head, and then nothing

`Pace` only decides, and has no clock of its own. `read_at_pace` carries out its decisions on a body, its recorder and
the loop's timers:

    Body ──sink()──▶ Recorder (read, decoded) ──▶ Handover (waiting) ──advance(): next()──▶ handed over
      ▲                                                                   │
      └───────────────────────── pause(), resume() ───────────────────────┘

It reads only what the reader wants next. Everything else waits in the kernel, as it does for any slow client.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streamkit.lab.arguments import check_number, check_whole

if TYPE_CHECKING:
    from streamkit.lab.client.recorder import Recorder
    from streamkit.transport import Body, ReadPart

__all__ = ["Pace", "Reader", "read_at_pace"]

READS_PER_S: Final = 20
LEAST_READ_BYTES: Final = 64
MOST_READ_BYTES: Final = 16_384


@dataclass(frozen=True, kw_only=True, repr=False)
class Reader:
    """How fast a client reads. Limits can be combined; without any it reads as fast as it can.

    >>> sk.Reader(events_per_s=5, pauses_s={20: 3.0})
    <Reader: 5 events/s, 3 s pause after 20 events>

        recording = await lab.ask("你好", accept="sse", reader=sk.Reader(bytes_per_s=1500))

    bytes_per_s     bytes taken off the socket per second, HTTP framing included, in about 20 small reads a second
    events_per_s    events handed over per second. The socket is read only when everything read before is handed over
    pauses_s        `{events: seconds}`: after so many events, nothing is read or handed over for so long. 0 events:
                    after the head; `math.inf` seconds: for ever
    work_ms         processor time spent in the loop for each event handed over, as a client that parses and renders
                    would spend it

    Where the wire has no event borders (text/plain), what one read brought counts as an event.
    Raises ValueError for a pace or a time that makes no sense, TypeError for one that is not a number.
    """

    bytes_per_s: float | None = None
    events_per_s: float | None = None
    pauses_s: Mapping[int, float] | Iterable[tuple[int, float]] = ()
    work_ms: float = 0.0

    def __post_init__(self) -> None:
        for name in ("bytes_per_s", "events_per_s"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), zero=False, hint="; Reader.never() reads nothing")
        check_number("work_ms", self.work_ms, "milliseconds")
        pauses_s = _pauses(self.pauses_s)
        object.__setattr__(self, "pauses_s", pauses_s)  # hashable, and the same however it was given

    @classmethod
    def never(cls) -> Reader:
        """A reader that takes the head of the answer and then nothing, for ever; `record()` needs `total_s` with it."""
        return cls(pauses_s={0: math.inf})

    @property
    def stops(self) -> bool:
        """Whether it stops for ever at some point, so that something else (`total_s`) has to end the recording."""
        return any(seconds == math.inf for _, seconds in dict(self.pauses_s).items())

    @property
    def read_bytes(self) -> int:
        """The most bytes that one read takes. Few for a reader that pauses after the head, so that the read of the head
        brings little of the body.
        """
        if self.bytes_per_s is not None:
            return max(LEAST_READ_BYTES, min(MOST_READ_BYTES, int(self.bytes_per_s / READS_PER_S)))
        return LEAST_READ_BYTES if 0 in dict(self.pauses_s) else MOST_READ_BYTES

    def __repr__(self) -> str:
        told = [f"{self.bytes_per_s:g} bytes/s"] if self.bytes_per_s is not None else []
        told += [f"{self.events_per_s:g} events/s"] if self.events_per_s is not None else []
        for after, seconds in dict(self.pauses_s).items():
            where = f"after {after} events" if after else "after the head"
            told.append(f"stops {where}" if seconds == math.inf else f"{seconds:g} s pause {where}")
        told += [f"{self.work_ms:g} ms of work per event"] if self.work_ms else []
        return f"<Reader: {', '.join(told) or 'full speed'}>"


def _pauses(given: object) -> tuple[tuple[int, float], ...]:
    try:
        pauses_s = dict(given)  # type: ignore[call-overload]  # what is none raises, and that is said below
    except (TypeError, ValueError):
        raise TypeError(f"expected pauses_s as {{events: seconds}}, such as {{20: 3.0}}, got {given!r}") from None
    for after, seconds in pauses_s.items():
        check_whole("the events of pauses_s", after)
        check_number("the seconds of pauses_s", seconds, "seconds", infinite=True)
    return tuple(sorted(pauses_s.items()))


class Pace:
    """When a reader takes what, on the clock of whoever asks: all times in seconds, from any zero.

    Kept as due times: a timer that rings late does not make the whole slower. Time in which there was nothing to take,
    and pauses, are not made up for.
    """

    def __init__(self, reader: Reader, now: float) -> None:
        self._byte_s = 1 / reader.bytes_per_s if reader.bytes_per_s is not None else 0.0
        self._event_s = 1 / reader.events_per_s if reader.events_per_s is not None else 0.0
        self._pauses_s = dict(reader.pauses_s)
        self._handed = 0
        self._reading_since = self._read_due = self._event_due = self._paused_until = now
        self._pause(now)

    def reads(self, now: float) -> None:
        """It wants to read from now on."""
        self._reading_since = now

    def took(self, size: int, now: float) -> None:
        """A read brought `size` bytes."""
        waited_s = now - self._reading_since - 1 / READS_PER_S  # a little is the loop's own
        self._read_due += size * self._byte_s + max(0.0, waited_s)

    def found(self, now: float) -> None:
        """There are events again, after there was none left."""
        self._event_due = max(self._event_due, now)

    def handed(self, now: float) -> None:
        """An event was handed over."""
        self._handed += 1
        self._event_due += self._event_s
        self._pause(now)

    def read_wait_s(self, now: float) -> float:
        """How long nothing may be read yet; 0: now."""
        return max(0.0, self._read_due - now, self._paused_until - now)

    def event_wait_s(self, now: float) -> float:
        """How long no event may be handed over yet; 0: now."""
        return max(0.0, self._event_due - now, self._paused_until - now)

    def _pause(self, now: float) -> None:
        if seconds := self._pauses_s.get(self._handed):
            self._paused_until = now + seconds
            self._read_due = max(self._read_due, self._paused_until)
            self._event_due = max(self._event_due, self._paused_until)


async def read_at_pace(
    body: Body, recorder: Recorder, reader: Reader, at_end: Callable[[], None], pace: Pace | None = None
) -> None:
    """Read `body` into `recorder`, which has to be a `paced` one, until both its end and its last event are reached.

    `at_end` is called when the stream's own end has been handed over: not much more will come. `pace` is that of the
    bodies before this one, where a stream has several.
    Raises what `Body.pour` raises, when all that came before has been handed over, and at once what a listener raises.
    """
    paced = _Paced(body, recorder, reader, at_end, pace)
    try:
        async with asyncio.timeout(None) as paced.scope:
            paced.advance()
            try:
                await body.pour(paced.sink)
            except Exception:
                paced.body_ended()
                await paced.all_handed
                raise
            paced.body_ended()
            await paced.all_handed
    except TimeoutError:
        if paced.error is None:
            raise
        raise paced.error from None
    finally:
        paced.stop()


class _Paced:
    def __init__(
        self, body: Body, recorder: Recorder, reader: Reader, at_end: Callable[[], None], pace: Pace | None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._body = body
        self._recorder = recorder
        self._handover = recorder.handover
        self._work_ns = int(reader.work_ms * 1e6)
        self._at_end = at_end
        self._pace = pace or Pace(reader, self._loop.time())
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._paused_ns: int | None = None
        self._told_end = False
        self._size = body.received_bytes
        self.all_handed = self._loop.create_future()
        self.scope: asyncio.Timeout
        self.error: Exception | None = None

    def sink(self, part: ReadPart) -> bool:
        data, read, (at_ns, kind, error_ns, read_ns) = part
        idle, now = not self._handover.waiting, self._loop.time()
        more = self._recorder.feed(read, at_ns, data, kind, error_ns, read_ns - at_ns)
        size, self._size = self._size, self._body.received_bytes
        self._pace.took(self._size - size, now)
        if idle:
            self._pace.found(now)
        self.advance()
        return more

    def body_ended(self) -> None:
        self._reading = False
        self._recorder.ended_ns = self._recorder.now()
        self.advance()

    def stop(self) -> None:
        self._reading = False
        if self._timer is not None:
            self._timer.cancel()

    def advance(self) -> None:
        """Hand over what is due, then read, or wait for whichever comes next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            self._go_on()
        except Exception as error:  # noqa: BLE001  # of whoever listens; a timer has nobody to tell, but `record` waits
            self.error = error
            self.scope.reschedule(self._loop.time())

    def _go_on(self) -> None:
        while self._handover.waiting:
            if wait_s := self._pace.event_wait_s(self._loop.time()):
                self._wait(wait_s)
                return
            self._handover.next()
            self._pace.handed(self._loop.time())
            if self._work_ns:
                _compute(self._work_ns)
                self._wait(0)  # other timers want to ring too, those that end it among them
                return
        if self._recorder.final and not self._told_end:
            self._told_end = True
            self._at_end()
        if not self._reading:
            if not self.all_handed.done():
                self.all_handed.set_result(None)
        elif wait_s := self._pace.read_wait_s(self._loop.time()):
            self._wait(wait_s)
        else:
            self._pace.reads(self._loop.time())
            self._body.resume()
            if self._paused_ns is not None:
                self._handover.took_nothing(self._paused_ns, self._recorder.now())
                self._paused_ns = None

    def _wait(self, seconds: float) -> None:
        if self._reading:
            self._body.pause()
            if self._paused_ns is None:
                self._paused_ns = self._recorder.now()
        if seconds < math.inf:
            self._timer = self._loop.call_later(seconds, self.advance)


def _compute(work_ns: int) -> None:
    """Take so much processor time: of this thread, since a busy machine must not make it less."""
    until_ns = time.thread_time_ns() + work_ns
    while time.thread_time_ns() < until_ns:
        pass

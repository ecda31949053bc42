"""Course: the way of one stream from its connection to the recorder; over several, where it is resumed.

    ask ─▶ head ─▶ parts ─▶ recorder ─▶ the end
     ▲                         │ a cut
     └── wait ◀── Recovery ◀───┘

What is done after which ending decides `resume.Recovery`, how far the stream had come knows the recorder; here is
waited, asked and read.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from streamkit.lab.client.batch import Batch
from streamkit.lab.client.connections import feed_from_library, headers_of, public_url
from streamkit.lab.client.looplag import LoopLag, watch_loop
from streamkit.lab.client.pace import Pace, read_at_pace
from streamkit.lab.client.resume import Ask
from streamkit.lab.client.wire_failure import WireFailure, failure_of
from streamkit.lab.under_way import is_watched
from streamkit.taps.gauges import Gauges, Sampler
from streamkit.transport import Timings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from streamkit.lab.client.connections import Answering
    from streamkit.lab.client.pace import Reader
    from streamkit.lab.client.recorder import Recorder
    from streamkit.lab.client.resume import Recovery
    from streamkit.outcome import Outcome
    from streamkit.taps.gauges import Values
    from streamkit.transport import Body, ReadPart

__all__ = ["Asking", "Course"]

END_GRACE_S: Final = 1.0  # how long a server may take to end the body after the stream's own end marker
MAX_PROBLEM_BYTES: Final = 64 * 1024


class Asking(Protocol):
    """How a request is sent: over a connection of our own, or through somebody else's client."""

    own: bool

    def __call__(self, ask: Ask | None, timings: Timings) -> Answering:
        """The request that is asked; None: as the caller gave it."""


class Course:
    """One recording of one stream; `timings` are those of its first request, and `on_sent` is told of its body
    (see `Timings`)."""

    def __init__(
        self,
        recorder: Recorder,
        asking: Asking,
        deadline: asyncio.Timeout,
        *,
        reader: Reader | None = None,
        gauge_ms: float = 0.0,
        recovery: Recovery | None = None,
        on_sent: Callable[[int, int, int], object] | None = None,
    ) -> None:
        self._recorder = recorder
        self._asking = asking
        self._deadline = deadline
        self._reader = reader
        self._pace: Pace | None = None
        self._gauge_ms = gauge_ms
        self._recovery = recovery
        self._timings = Timings(on_sent=on_sent)
        # Made now: what cannot be asked is an error of the call.
        self._first = asking(None if recovery is None else recovery.ask(), self._timings)

    async def run(self) -> WireFailure | None:
        """To the end; how the wire failed, if it did and the stream is resumed. Else, and whatever has nothing to do
        with the wire, is raised.
        """
        with _watched(self._recorder, self._timings):
            async with self._deadline:
                if self._recovery is not None:
                    return await self._resumed(self._recovery)
                await self._answered(self._first)
                return None

    async def _answered(self, answer: Answering) -> WireFailure | None:
        """The first answer."""
        async with answer as response:
            self._recorder.timed(self._timings)
            if self._recovery is not None:
                self._recovery.answered(response.status_code, headers_of(response))
            if (asked := response.request.headers.get("accept-encoding")) is not None:
                self._recorder.note("accept_encoding", asked)
            self._recorder.head(response.status_code, headers_of(response), _version(response))
            if not self._asking.own:
                self._recorder.url = public_url(str(response.url))
            await self._follow(response)
        return None

    async def _resumed(self, recovery: Recovery) -> WireFailure | None:
        """Answer after answer, as long as one is cut and can go on."""
        recorder = self._recorder
        failure = await self._failing(self._answered(self._first))
        while not recorder.over:
            outcome, error = recorder.ending(failure)
            wait_s = recovery.cut(outcome, recorder.place())
            if wait_s is None:
                break
            recorder.cut(outcome)
            await asyncio.sleep(wait_s)
            recorder.asked()
            timings = Timings()
            answer = self._asking(recovery.ask(), timings)
            failure = await self._failing(self._again(recovery, answer, timings, outcome, error))
        recorder.not_resumed(recovery.why)
        return failure

    async def _failing(self, answering: Coroutine[Any, Any, WireFailure | None]) -> WireFailure | None:
        """How the wire failed meanwhile; what else is raised goes on."""
        try:
            return await answering
        except Exception as error:
            failure = failure_of(error, own=self._asking.own, started=self._recorder.started)
            if failure is None:
                raise
            return failure

    async def _again(
        self, recovery: Recovery, answer: Answering, timings: Timings, outcome: Outcome, error: str | None
    ) -> WireFailure | None:
        """A further answer. What does not go on leaves the stream as it was cut: by `outcome` and `error`."""
        recorder = self._recorder
        async with answer as response:
            status, headers, version = response.status_code, headers_of(response), _version(response)
            verdict = recovery.answered(status, headers)
            if verdict == "whole":  # nothing was missing but the end of the framing
                recorder.back(status, {"content-length": "0"}, version, timings)
            elif verdict == "over":
                recorder.not_joined(status)
                return WireFailure(outcome, error or str(outcome))
            elif verdict == "refused":
                recorder.refused(status, headers, version)
                await _read_problem(response, recorder)
            else:
                (recorder.anew if verdict == "anew" else recorder.back)(status, headers, version, timings)
                await self._follow(response)
        return None

    async def _follow(self, response: Any) -> None:
        """Feed the answer to the recorder until it ends, fails, or is enough."""
        recorder = self._recorder
        ending = _Ending(recorder, self._deadline)
        body: Body | None = response.extensions.get("stamps")
        looks = recorder.tcp

        def sink(part: ReadPart) -> bool:
            data, read, (at_ns, kind, error_ns, read_ns) = part
            looks.came(at_ns)
            return ending.fed(recorder.feed(read, at_ns, data, kind, error_ns, read_ns - at_ns))

        def several(parts: Sequence[ReadPart]) -> bool:
            looks.came_several(parts)
            return ending.fed(recorder.take(parts))

        if body is not None:
            looks.begin(body.tcp_info)
        batch = Batch(several, ending.now)
        with _gauged(response, recorder, batch, self._gauge_ms):
            if self._reader is not None:
                self._pace = self._pace or Pace(self._reader, asyncio.get_running_loop().time())
                try:
                    await read_at_pace(response.stream, recorder, self._reader, ending.soon, self._pace)
                finally:
                    looks.end()
                return
            try:
                if self._asking.own:
                    # What lies in a batch would show as this end's backlog, where that is looked at, and whoever
                    # watches would not see it.
                    at_once = recorder.heard or self._gauge_ms > 0 or is_watched()
                    await response.stream.pour(sink if at_once else batch.take)
                else:
                    await feed_from_library(response, recorder, ending.fed)
            finally:
                recorder.ended_ns = recorder.now()
                batch.end()
                looks.end()


class _Ending:
    """Ends a recording by its deadline: soon after the stream's own end, or now, where no read may come any more whose
    feeding could say that it is enough.
    """

    def __init__(self, recorder: Recorder, deadline: asyncio.Timeout) -> None:
        self._recorder = recorder
        self._deadline = deadline
        self._hurried = False

    def fed(self, more: bool) -> bool:
        """Something was fed, and that is what the recorder said to it."""
        if self._recorder.final and not self._hurried:
            self.soon()
        return more

    def soon(self) -> None:
        """The stream's own end was read: that of the body has a moment to come."""
        self._hurried = True
        self._within(END_GRACE_S)

    def now(self) -> None:
        self._within(0)

    def _within(self, seconds: float) -> None:
        if not self._deadline.expired():  # what was kept back is fed after that, too
            ends, planned = asyncio.get_running_loop().time() + seconds, self._deadline.when()
            self._deadline.reschedule(ends if planned is None else min(planned, ends))


def _version(response: Any) -> str | None:
    version = response.extensions.get("http_version")
    return None if version is None else version.decode("ascii")


async def _read_problem(response: Any, recorder: Recorder) -> None:
    """Why it was refused; no part of the stream."""
    size = 0
    async for data in response.aiter_raw():
        recorder.told_why(data)
        size += len(data)
        if size > MAX_PROBLEM_BYTES:
            return


@contextlib.contextmanager
def _watched(recorder: Recorder, timings: Timings) -> Iterator[None]:
    """Tells the recorder, however it ends, how the request got on, and how late the loop was."""
    lag = LoopLag()
    try:
        with watch_loop() as lag:
            yield
    finally:
        recorder.timed(timings)
        recorder.loop = lag, time.monotonic_ns() - int(asyncio.get_running_loop().time() * 1e9)


@contextlib.contextmanager
def _gauged(response: Any, recorder: Recorder, batch: Batch, gauge_ms: float) -> Iterator[None]:
    """Look at the queues of this end every `gauge_ms`."""
    if not gauge_ms:
        yield
        return
    body: Body | None = response.extensions.get("stamps")

    def read() -> Values:
        if body is None:
            return {"client.unread": None, "client.backlog": None}
        return {
            "client.unread": body.unread_bytes(),
            "client.backlog": body.waiting_bytes + batch.kept_bytes + recorder.handover.backlog_bytes,
        }

    every_ns = int(gauge_ms * 1e6)
    recorder.gauges = recorder.gauges or Gauges(every_ns)
    with Sampler(every_ns).watch(recorder.gauges, read):
        yield

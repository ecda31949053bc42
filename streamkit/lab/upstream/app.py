"""The scripted upstream: an LLM that does exactly what a script says, in any provider's wire format.

It is paced open-loop: every event has a due time counted from the request, fixed beforehand. An upstream that waits a
gap *after* each send grows slower when it is late and hides its own lateness (coordinated omission: G. Tene, "How NOT
to Measure Latency"); this one keeps its schedule and records how late each send was.

A script without faults is sent through the HTTP server like any other answer. One with faults may be no HTTP at all, so
it is written past the server, on the transport; likewise an answer that was recorded, down to its head.

What the providers' own SDKs count on is there: a request that wants no stream gets one JSON object, usage is told where
it is asked for, and `GET /v1/models` lists one model.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache, partial
from typing import Any, Final, Literal, NoReturn, TypeAlias

import orjson
from sanic import HTTPResponse, Request, Sanic
from sanic.exceptions import RequestCancelled
from sanic.response import BaseHTTPResponse, json

from streamkit.inside_sanic import can_write, keep_plain, take_over, transport_of, without_alt_svc
from streamkit.lab.upstream.lateness import own_lateness_ns, p95
from streamkit.lab.upstream.playback import renewed
from streamkit.lab.upstream.script import Script
from streamkit.lab.upstream.steps import Step
from streamkit.presets import writer
from streamkit.presets.asked import Asked
from streamkit.sockets import reset_on_close, send_queue, set_buffers
from streamkit.taps import STREAM_ID_HEADER, StreamTaps, stream_id_from
from streamkit.taps.gauges import Gauges, Sampler, Values
from streamkit.transport.framing import LAST_CHUNK, chunk

__all__ = ["SentLog", "create_upstream"]

REMEMBERED_STREAMS: Final = 1000
REMEMBERED_GAUGES: Final = 50  # of streams that have ended: up to 64 kB each
AHEAD_NS: Final = 1_000_000
FEW_PLAYED: Final = 4
REMEMBERED_PLANS: Final = 256  # of scripts that are found in questions: their steps are made once
_serial = itertools.count(1)


@dataclass(slots=True)
class SentLog:
    """What one stream really sent: due, ready and sent times in monotonic ns, one of each for each step, in order.

    `ready_ns` is when the step could have been sent, had the connection taken it (`streamkit.lab.upstream.lateness`).
    `stream_id` is the asker's (header X-Stream-Id), or one of our own that the answer's head tells, but for a script
    with faults, and for a recording of an answer without one. `finished`: all of it was sent; `cut`: the connection was
    ended where the script says; `ended_ns`: from when on nothing more is sent, for one of these reasons or since the
    asker has left. `wrote_bytes` of body were written, the framing of HTTP chunks included; `gauges` are the queues,
    while they are kept. `hang_up()` resets the connection, whatever the script says; it is for the upstream's own
    thread.
    """

    started_ns: int
    asked: bytes
    stream_id: str = ""
    steps: Sequence[Step] = ()
    due_ns: array[int] = field(default_factory=lambda: array("q"))
    ready_ns: array[int] = field(default_factory=lambda: array("q"))
    sent_ns: array[int] = field(default_factory=lambda: array("q"))
    finished: bool = False
    cut: bool = False
    ended_ns: int | None = None
    wrote_bytes: int = 0
    gauges: Gauges | None = None
    hang_up: Callable[[], None] = field(default=lambda: None, repr=False)

    @property
    def ended(self) -> bool:
        """Nothing more will be sent."""
        return self.ended_ns is not None

    @property
    def how(self) -> Literal["running", "finished", "cut", "left"]:
        """How it ended, if it has: all was sent, the script cut it, or the asker left."""
        if not self.ended:
            return "running"
        return "finished" if self.finished else "cut" if self.cut else "left"

    def lateness_ms(self) -> list[float]:
        """How late each event was, sent − due: large values mean that the upstream, not the network, was slow."""
        return [(sent - due) / 1e6 for due, sent in zip(self.due_ns, self.sent_ns, strict=True)]

    def taps(self) -> StreamTaps:
        """`upstream.due`, the whole schedule whatever came of it, and `upstream.sent`; events are pieces of text.

        The mark `upstream.asked` is when the request was complete, `upstream.ended` when it was over. The count
        `upstream.own_late_p95_ns` is how late the upstream was by itself, where its schedule is more than one moment.
        """
        taps = StreamTaps(self.stream_id)
        taps.finished = self.ended
        taps.gauges = self.gauges
        taps.mark("upstream.asked", self.started_ns)
        if self.ended_ns is not None:
            taps.mark("upstream.ended", self.ended_ns)
        for step in self.steps:
            if step.kind == "piece":
                taps.stamp("upstream.due", self.started_ns + step.due_ns, 1, step.text_bytes)
        for step, sent_ns in zip(self.steps, self.sent_ns[:], strict=False):  # a copy: it may be growing
            if step.kind == "piece":
                taps.stamp("upstream.sent", sent_ns, 1, step.text_bytes)
        own_late_ns = self._own_late_ns()
        if own_late_ns:
            taps.count("upstream.own_late_p95_ns", p95(own_late_ns))
        return taps

    def _own_late_ns(self) -> list[int]:
        """Of each piece; none where all are due at once, as fast as it goes: then none is late."""
        due_ns = {step.due_ns for step in self.steps if step.kind == "piece"}
        if len(due_ns) < 2:
            return []
        late_ns = own_lateness_ns(self.due_ns, self.ready_ns, self.sent_ns)
        return [late for step, late in zip(self.steps, late_ns, strict=False) if step.kind == "piece"]

    def __repr__(self) -> str:
        worst_ms = max(self.lateness_ms(), default=0.0)
        state = "finished" if self.finished else "unfinished"
        return f"<SentLog {state}: {len(self.sent_ns)} events, at most {worst_ms:.1f} ms late>"


def create_upstream(
    script: Script | Callable[[bytes], Script] | None = None,
    *,
    name: str | None = None,
    send_buffer_bytes: int = 0,
    write_buffer_bytes: int = 65_536,
    gauge_ms: float = 0,
) -> Sanic[Any, Any]:
    """A Sanic app that plays a scripted LLM: it answers every POST, whatever its path, with `script`.

        with sk.serve(lambda: sk.create_upstream(sk.Script("你好"))) as llm:
            recording = await sk.record(llm.url, data={"question": "hi"})

    script              a `Script` (`Script()` if not given), or a function that gets the request's body (bytes) and
                        returns the script to answer with
    name                the name of the Sanic app; a fresh one if not given
    send_buffer_bytes   SO_SNDBUF of each connection; 0 leaves it to the kernel
    write_buffer_bytes  how much may be written ahead of the kernel before the script is held
    gauge_ms            how often its queues are looked at; 0: never. Gauges are kept for the streams that run and for
                        the last 50 that have ended

    A request of the provider's own API that does not want a stream (`"stream": false`, or what that API has instead)
    gets one JSON object when the last piece is due. A script with faults, and one made from a recording, is written as
    planned whatever is asked; one of a recorded GET answers GET too.

    Other routes: `GET /v1/models` lists the model `script`, in the provider's shape (in that of `openai`, where
    `script` is a function). `GET /sent` tells when each event was due and when it was sent, `GET /streams/<id>/taps`
    the same of one stream as taps. The logs of the last streams are also in `app.ctx.sent`, newest last.

    Raises ValueError for a negative number, EncodeError for text that the script's format cannot carry.
    """
    _check(send_buffer_bytes=send_buffer_bytes, write_buffer_bytes=write_buffer_bytes, gauge_ms=gauge_ms)
    plan_of = lru_cache(maxsize=REMEMBERED_PLANS)(_Plan)
    plan = plan_of(Script(preset="openai") if callable(script) else script or Script())
    app: Sanic[Any, Any] = Sanic(name or f"streamkit_upstream_{next(_serial)}", configure_logging=False)
    keep_plain(app)
    app.config.RESPONSE_TIMEOUT = 24 * 3600.0  # a script may be silent for as long as it likes
    app.ctx.sent = deque(maxlen=REMEMBERED_STREAMS)
    app.register_middleware(_finish_head, "response")
    gauging = _Gauging(Sampler(int(gauge_ms * 1e6))) if gauge_ms else None

    @app.get("/sent")
    async def sent(_: Request) -> HTTPResponse:
        return json([_told(log) for log in app.ctx.sent])

    @app.get("/streams/<stream_id:str>/taps")
    async def taps(_: Request, stream_id: str) -> HTTPResponse:
        found = next((log for log in reversed(app.ctx.sent) if log.stream_id == stream_id), None)
        return json({"code": "unknown_stream"}, 404) if found is None else json(found.taps().as_dict())

    @app.get("/models", name="models_at_root")
    @app.get("/v1/models", name="models")
    async def models(_: Request) -> HTTPResponse:
        return json(plan.form.models())

    async def speak(request: Request, path: str = "") -> None:  # noqa: ARG001  # any path is this LLM's
        started_ns = time.monotonic_ns()
        stream_id = stream_id_from(request.headers.get(STREAM_ID_HEADER))
        steps, answer = (plan_of(script(request.body)) if callable(script) else plan).of(request)
        transport = transport_of(request)
        log = SentLog(started_ns, request.body, stream_id, steps, hang_up=transport.abort)
        app.ctx.sent.append(log)
        set_buffers(transport, send_buffer_bytes=send_buffer_bytes, write_buffer_bytes=write_buffer_bytes)
        try:
            with contextlib.nullcontext() if gauging is None else gauging.watch(log, transport):
                await answer(request, log)
            log.finished = True
        finally:
            log.ended_ns = log.ended_ns or time.monotonic_ns()

    app.add_route(speak, "/", methods=plan.methods, name="speak_at_root")
    app.add_route(speak, "/<path:path>", methods=plan.methods, name="speak")
    return app


Answer: TypeAlias = Callable[[Request, SentLog], Awaitable[None]]


class _Plan:
    """What is sent, by what is asked; all of it made beforehand, so that nothing is late because it had to be made."""

    def __init__(self, script: Script) -> None:
        self.form = writer(script.preset)
        self.methods = ("POST",) if script.playback is None else tuple({"POST", script.playback.method})
        self._stream: Answer = partial(_answer, content_type=self.form.content_type)
        if script.planned:
            self._stream = _perform if script.playback is None else _Player()
        self._steps = script.steps()
        self._with_usage = script.steps(usage=True) if self.form.usage_event else self._steps
        self._one = None if script.planned or self.form.unstreamed is None else [script.one_step()]

    def of(self, request: Request) -> tuple[list[Step], Answer]:
        """The steps that answer this request, and how they are written."""
        asked = Asked(request.path, request.headers, _json_object(request.body))
        if self._one is not None and not self.form.streams(asked):
            return self._one, partial(_answer, content_type="application/json")
        return self._with_usage if asked.usage else self._steps, self._stream


def _json_object(body: bytes) -> dict[str, Any]:
    """The body if it is a JSON object; empty for all else, such as a form."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _check(**given: float) -> None:
    for name, value in given.items():
        kinds, unit = ((int, float), "milliseconds") if name.endswith("_ms") else ((int,), "an integer")
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < math.inf:
            raise ValueError(f"expected {name} as {unit} >= 0, got {value!r}")


async def _turn(request: Request, log: SentLog, step: Step, ahead_ns: int = 0) -> None:
    """Wait until the step is due and the connection has room; note when it was due, could have been sent, and is."""
    due_ns = log.started_ns + step.due_ns
    await _until(due_ns, ahead_ns)
    ready_ns = time.monotonic_ns()
    await _writable(request)
    log.due_ns.append(due_ns)
    log.ready_ns.append(ready_ns)
    log.sent_ns.append(time.monotonic_ns())


async def _answer(request: Request, log: SentLog, content_type: str) -> None:
    response: HTTPResponse = await request.respond(content_type=content_type, headers={STREAM_ID_HEADER: log.stream_id})
    for step in log.steps:
        data = step.data  # made before it is due
        await _turn(request, log, step)
        await response.send(data)
        log.wrote_bytes += len(chunk(data))
    await response.send(end_stream=True)
    if log.wrote_bytes:  # otherwise it is an answer without chunks
        log.wrote_bytes += len(LAST_CHUNK)


async def _perform(
    request: Request, log: SentLog, ahead_ns: Callable[[], int] = int, head: Callable[[bytes], bytes] = bytes
) -> None:
    """Write the steps past Sanic, which adds nothing of its own to an answer that it takes for failed. `head` makes of
    the script's head that of this answer.

    Never returns: for Sanic a handler without a response is an error. The task is cancelled when the connection is
    lost, as it is when the asker leaves.
    """
    take_over(request)
    transport = transport_of(request)
    waiting: list[bytes] = []
    for step in log.steps:
        if step.kind == "silence":
            await _cancelled()
        data = step.framed  # made before it is due
        waiting.append(head(data) if step.kind == "head" else data)
        await _turn(request, log, step, ahead_ns())
        if step.joined:
            continue
        transport.write(b"".join(waiting))
        log.wrote_bytes += sum(map(len, waiting)) if step.kind != "head" else 0
        waiting.clear()
    last = log.steps[-1].kind
    await _emptied(transport, arrived=last == "rst")
    log.cut = last in ("fin", "rst")
    log.finished = not log.cut
    log.ended_ns = time.monotonic_ns()
    if last == "rst":
        reset_on_close(transport)
        transport.abort()
    else:
        transport.close()
    await _cancelled()


class _Player:
    """Plays a recording to some microseconds, where the timers of uvloop know whole milliseconds: the last one before
    each write is waited for by turns of the loop. That is a part of a core, and so it is done for few streams at once.
    """

    def __init__(self) -> None:
        self._live = 0

    async def __call__(self, request: Request, log: SentLog) -> None:
        self._live += 1
        try:
            await _perform(request, log, self._ahead_ns, partial(renewed, stream_id=log.stream_id))
        finally:
            self._live -= 1

    def _ahead_ns(self) -> int:
        return AHEAD_NS if self._live <= FEW_PLAYED else 0


def _finish_head(_: Request, response: BaseHTTPResponse) -> None:
    """What a provider's head has: Date (RFC 9110 section 6.6.1), and that nobody stores the answer. A script with
    faults is sent to the byte as it was planned, its head too.
    """
    response.headers.setdefault("date", formatdate(usegmt=True))
    response.headers.setdefault("cache-control", "no-store")
    without_alt_svc(response)


async def _cancelled() -> NoReturn:
    """Wait until the task is cancelled."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody resolves this future")


async def _emptied(transport: asyncio.WriteTransport, *, arrived: bool) -> None:
    """Until all has left for the kernel, or has `arrived` (a reset destroys what has not). Until then the asker is
    listened to, which a closing transport does no more.
    """
    while (queue := send_queue(transport)).buffer or (arrived and queue.unsent):  # noqa: ASYNC110  # no event tells
        await asyncio.sleep(0.001)


class _Gauging:
    """Samples the queues of each stream, and lets go of those of streams that ended long ago."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._ended: deque[SentLog] = deque()

    @contextlib.contextmanager
    def watch(self, log: SentLog, transport: asyncio.WriteTransport) -> Iterator[None]:
        """Gauge the stream of `log` for as long as the block runs."""

        def read() -> Values:
            queue = send_queue(transport)
            return {
                "upstream.buffer": queue.buffer,
                "upstream.unsent": queue.unsent,
                "upstream.wrote": log.wrote_bytes,
            }

        log.gauges = Gauges(self._sampler.every_ns)
        try:
            with self._sampler.watch(log.gauges, read, lambda: any(send_queue(transport))):
                yield
        finally:
            self._ended.append(log)
            if len(self._ended) > REMEMBERED_GAUGES:
                self._ended.popleft().gauges = None


async def _writable(request: Request) -> None:
    """Until the connection takes the next event. What is waited for here is back-pressure, and lies before `sent_ns`;
    the write itself lies behind it, because the reader's kernel has the bytes before the write returns.
    """
    await can_write(request).wait()  # as Sanic's own send does
    if transport_of(request).is_closing():  # as that send would find: the event has not left
        raise RequestCancelled


async def _until(due_ns: int, ahead_ns: int = 0) -> None:
    """Never early: uvloop rounds delays to whole milliseconds, so one sleep may end half a millisecond too soon. The
    last `ahead_ns` are waited for by turns of the loop.
    """
    while (wait_ns := due_ns - time.monotonic_ns()) > 0:  # noqa: ASYNC110  # a clock, not a condition, is waited for
        await asyncio.sleep(max(0, wait_ns - ahead_ns) / 1e9)


def _told(log: SentLog) -> dict[str, Any]:
    return {
        "started_ns": log.started_ns,
        "due_ns": log.due_ns.tolist(),
        "sent_ns": log.sent_ns.tolist(),
        "finished": log.finished,
        "how": log.how,
    }

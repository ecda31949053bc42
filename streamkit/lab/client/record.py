"""record(): send a request, stamp every read of the answer, return a Recording.

The way of the bytes: socket → `StreamTransport` (one stamp for each socket read) → `Recorder` (events, outcome).
On Linux the stamps of plain TCP are the kernel's own receive times: they do not move when Python is late. Elsewhere
(TLS, unix sockets, other systems) a stamp is the moment at which the read returned; a loop that is busy with other work
stamps late, and what piles up meanwhile comes as one larger read.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

import httpx2

from streamkit.errors import ConfigError
from streamkit.lab.client import calibrate as calibration
from streamkit.lab.client.looplag import watch_loop
from streamkit.lab.client.pace import read_at_pace
from streamkit.lab.client.recorder import Failure, Recorder
from streamkit.outcome import Outcome
from streamkit.taps.gauges import Gauges, Sampler
from streamkit.transport import Body, StreamTransport, Timings
from streamkit.transport.url import split_unix_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from streamkit.lab.client.pace import Reader
    from streamkit.lab.recording.recording import Recording
    from streamkit.presets import Preset
    from streamkit.taps.gauges import Values
    from streamkit.transport import ReadPart

    _Answer: TypeAlias = AbstractAsyncContextManager[httpx2.Response]

__all__ = ["DEFAULT_TIMEOUT", "record"]

DEFAULT_TIMEOUT: Final = httpx2.Timeout(300.0, connect=10.0)
"""Seconds, per operation, as httpx counts them: the read timeout is the longest silence between two reads."""

MAX_PORT: Final = 65535
MAX_KEPT_BYTES: Final = 8 << 20
SWEEP_S: Final = 0.1
END_GRACE_S: Final = 1.0  # how long a server may take to end the body after the stream's own end marker

_LIBRARIES: Final = frozenset(("httpx", "httpx2", "httpcore", "httpcore2"))
_CONNECTED: Final = ("connect_tcp.complete", "connect_unix_socket.complete")


async def record(
    url: str | httpx2.URL,
    *,
    method: str = "POST",
    data: Mapping[str, Any] | None = None,
    json: Any = None,
    content: Any = None,
    files: Any = None,
    params: Any = None,
    headers: Any = None,
    timeout: httpx2.Timeout | float | None = DEFAULT_TIMEOUT,  # noqa: ASYNC109  httpx's word; it is per operation
    total_s: float | None = None,
    client: Any = None,
    preset: str | Preset | None = None,
    reasoning: bool = False,
    label: str = "",
    on_piece: Callable[[str], object] | None = None,
    keep_bytes: bool | int = True,
    max_events: int = 1_000_000,
    max_bytes: int = 64 << 20,
    reader: Reader | None = None,
    gauge_ms: float = 0.0,
) -> Recording:
    """Send one request and record its answer, read by read.

    The request is httpx2's: `data` is a form (a mapping), `json` any JSON value, `content` bytes, text or an async
    iterator, `files` with or without `data`, further `params` and `headers`. Nothing is asked of the server but an
    unencoded body; ask for an event stream with `headers={"Accept": "text/event-stream"}`. `http+unix://` URLs
    (`http+unix://%2Ftmp%2Fs.sock/ans`) go to that unix socket.

    Without `client`, a new connection is made, the environment (proxies, .netrc) is not consulted, redirects are not
    followed, and **socket reads** are stamped: by the kernel for plain TCP on Linux (`stamps == "kernel"`), otherwise
    as they return (`"socket"`). With an async client of yours, httpx2's or httpx's, the request goes through it as it
    is (its own timeouts too, unless `timeout` is given), and the pieces it hands out are stamped (`"piece"`), unless
    its transport is a `StreamTransport`.

    preset      name or Preset by which text is found in events; None: guessed from the first events
    reasoning   thinking pieces are recorded too, apart from the text
    on_piece    called with each piece of text as it is decoded; what it takes is time in which nothing is read.
                Without it nobody waits for the text, so it is decoded in batches, which takes less time; an event's
                `handed_ns` is then when its read returned
    keep_bytes  keep the body's bytes, up to 8 MiB or up to the number given
    timeout     httpx's, per operation; seconds. Its read timeout gives `timeout(first_piece)` before the first byte of
                the body and `timeout(idle)` after it; it counts bytes, so heartbeats reset it
    total_s     seconds for all of it; `timeout(total)`
    max_events, max_bytes   beyond, the recorder hangs up: `cancelled(max_events)`, `cancelled(max_bytes)`; a line or
                an event above 1 MiB likewise: `cancelled(max_line_bytes)`, `cancelled(max_event_bytes)`

    reader      at which pace to read (`lab.readers.Reader`); None: as fast as it comes. Paced, `handed_ns` is when an
                event was handed over, or the end of the recording if that came first. Over TLS a read cannot be made
                small, so what is not wanted yet waits in the client
    gauge_ms    how often to look at this end's queues (`Recording.gauges`); 0: never

    What goes wrong on the wire is the Recording's outcome and never raises; connecting that fails is
    `refused(connect)`, an answer that is no HTTP or no answer `truncated`. After an end marker the outcome
    stands, and the body gets one second to end.

    Raises ConfigError for a URL that is not a full one, TypeError for arguments that exclude each other (a `client` of
    your own reads at its own pace) and for a reader that stops for ever without `total_s`,
    UnknownPreset, and whatever `on_piece` or an iterator given as `content` raises. When its task is cancelled it
    closes the connection and lets the cancellation through.
    """
    _check_reader(reader, client, total_s)
    _check_body(data=data, json=json, content=content, files=files)
    arguments = {"data": data, "json": json, "content": content, "files": files, "params": params}
    arguments["headers"] = _unencoded(headers)
    timings = Timings()
    recorder = Recorder(
        url=_public(str(url)),
        label=label,
        method=method,
        preset=preset,
        reasoning=reasoning,
        on_piece=on_piece,
        keep_bytes=_bytes_to_keep(keep_bytes),
        max_events=max_events,
        max_bytes=max_bytes,
        calibration=calibration.latest(),
        in_batches=on_piece is None and reader is None,
        paced=reader is not None,
    )
    if reader is not None:
        recorder.note("reader", str(reader))
    if client is None:
        answer = _own_connection(method, str(url), httpx2.Timeout(timeout), arguments, timings, reader)
    else:
        if timeout is not DEFAULT_TIMEOUT:
            arguments["timeout"] = timeout
        answer = _your_client(client, method, str(url), arguments, timings)
    failure = None
    deadline = asyncio.timeout(total_s)
    recorder.start()
    with watch_loop() as lag:
        try:
            async with deadline, answer as response:
                recorder.timed(timings)
                with _gauged(response, recorder, gauge_ms):
                    await _follow(response, recorder, deadline, reader, own=client is None)
        except TimeoutError:
            if not deadline.expired():
                raise
            failure = Failure(Outcome("timeout", "total"), f"all of it took longer than {total_s} s")
        except Exception as error:
            failure = _failure(error, recorder, own=client is None)
            if failure is None:
                raise
    recorder.timed(timings)
    recorder.loop_lag_ns = lag.worst_ns
    return recorder.finish(failure)


async def _follow(
    response: Any, recorder: Recorder, deadline: asyncio.Timeout, reader: Reader | None, *, own: bool
) -> None:
    """Feed the answer to the recorder until it ends, fails, or is enough."""
    version = response.extensions.get("http_version")
    recorder.head(response.status_code, response.headers, None if version is None else version.decode("ascii"))
    if not own:
        recorder.url = _public(str(response.url))

    def sink(part: ReadPart) -> bool:
        data, read, (at_ns, kind, error_ns, read_ns) = part
        more = recorder.feed(read, at_ns, data, kind, error_ns, read_ns - at_ns)
        sweep.follow()
        return more

    sweep = _Sweep(recorder, deadline)
    if reader is not None:
        await read_at_pace(response.stream, recorder, reader, sweep.hurry)
        return
    try:
        if own:
            await response.stream.pour(sink)
        else:
            await _read_pieces(response, recorder, sweep)
    finally:
        recorder.ended_ns = recorder.now()
        sweep.stop()


class _Sweep:
    """Has what waits undecoded decoded every 100 ms, and ends the recording soon after the stream's own end."""

    def __init__(self, recorder: Recorder, deadline: asyncio.Timeout) -> None:
        self._recorder = recorder
        self._deadline = deadline
        self._hurried = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def follow(self) -> None:
        """Something was fed."""
        if self._recorder.final and not self._hurried:
            self.hurry()
        if self._timer is None and self._recorder.waiting:
            self._timer = self._loop.call_later(SWEEP_S, self._ring)

    def hurry(self) -> None:
        """The stream's own end was read."""
        self._hurried = True
        self._end_within(END_GRACE_S)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self) -> None:
        self._timer = None
        self._recorder.decode()
        if self._recorder.enough:
            self._end_within(0)  # no read may come any more whose `feed` could say so
        self.follow()

    def _end_within(self, seconds: float) -> None:
        ends, planned = self._loop.time() + seconds, self._deadline.when()
        self._deadline.reschedule(ends if planned is None else min(planned, ends))


@contextlib.contextmanager
def _gauged(response: Any, recorder: Recorder, gauge_ms: float) -> Iterator[None]:
    """Look at the queues of this end every `gauge_ms`."""
    if not gauge_ms:
        yield
        return
    body: Body | None = response.extensions.get("stamps")

    def read() -> Values:
        if body is None:
            return {"client.unread": None, "client.backlog": None}
        return {"client.unread": body.unread_bytes(), "client.backlog": body.waiting_bytes + recorder.backlog_bytes}

    every_ns = int(gauge_ms * 1e6)
    recorder.gauges = Gauges(every_ns)
    with Sampler(every_ns).watch(recorder.gauges, read):
        yield


async def _read_pieces(response: Any, recorder: Recorder, sweep: _Sweep) -> None:
    """What somebody else's client gives, and when; that is all that is known, unless its transport is one of ours."""
    stamps: Body | None = response.extensions.get("stamps")
    number = 0
    async for piece in _undecoded(response):
        number += 1
        if stamps is not None:
            late_ns = stamps.read_ns - stamps.at_ns
            more = recorder.feed(stamps.read, stamps.at_ns, piece, stamps.kind, stamps.error_ns, late_ns)
        else:
            more = recorder.feed(number, recorder.started_ns + recorder.now(), piece, "piece")
        sweep.follow()
        if not more:
            return


def _undecoded(response: Any) -> AsyncIterator[bytes]:
    """The body as it came: what a compressed one grows to has no bound, and is not what the wire brought.

    A test transport may give a response that was read before; its content is all there is.
    """
    pieces: AsyncIterator[bytes] = response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()
    return pieces


def _own_connection(
    method: str,
    url: str,
    timeout: httpx2.Timeout,
    arguments: dict[str, Any],
    timings: Timings,
    reader: Reader | None,
) -> _Answer:
    """One request on one fresh HTTP/1.1 connection.

    Without httpx2's client: that would log the URL, keys in its query included.
    """
    target, unix = split_unix_url(url)
    if target.port is not None and target.port > MAX_PORT:
        raise ConfigError(f"expected a port up to {MAX_PORT} in the URL, got {target.port}")
    extensions = {"timeout": timeout.as_dict(), "timings": timings}
    request = httpx2.Request(method, target, extensions=extensions, **arguments)
    if not isinstance(request.stream, httpx2.AsyncByteStream):
        raise TypeError("expected bytes, text or an asynchronous iterator as content, got a synchronous iterator")
    if target.userinfo:
        request = next(httpx2.BasicAuth(target.username, target.password).sync_auth_flow(request))
    # Reading the certificates takes tens of milliseconds; here no clock is running yet.
    tls = httpx2.create_ssl_context(trust_env=False) if target.scheme == "https" else None

    @contextlib.asynccontextmanager
    async def answer() -> AsyncIterator[httpx2.Response]:
        transport = StreamTransport(
            unix=unix,
            ssl_context=tls,
            max_connections=1,
            keepalive_s=0,
            stamps="kernel",
            read_bytes=None if reader is None else reader.read_bytes,
        )
        async with contextlib.aclosing(transport):
            response = await transport.handle_async_request(request)
            async with contextlib.aclosing(response):
                yield response

    return answer()


def _your_client(client: Any, method: str, url: str, arguments: dict[str, Any], timings: Timings) -> _Answer:
    """The same through somebody else's client, httpx2's or httpx's."""
    if not (hasattr(client, "stream") and hasattr(client, "__aenter__")):
        raise TypeError(f"expected an async client of httpx2 or httpx as client, got {type(client).__name__}")
    if url.startswith("http+unix:"):
        raise TypeError(
            "a client of your own does not know http+unix URLs: give it a transport with uds=..., "
            "and record() the URL http://localhost/..."
        )
    answer: _Answer = client.stream(method, url, extensions={"trace": _Trace(timings), "timings": timings}, **arguments)
    return answer


class _Trace:
    """httpcore's trace extension: what it tells of the timings that a `StreamTransport` would fill in itself."""

    def __init__(self, timings: Timings) -> None:
        self._timings = timings

    async def __call__(self, event: str, _info: object) -> None:
        if event.endswith(_CONNECTED):
            self._timings.connected_ns = time.monotonic_ns()
        elif event.endswith("start_tls.complete"):
            self._timings.tls_ns = time.monotonic_ns()
        elif event.endswith("send_request_body.complete"):
            self._timings.sent_ns = time.monotonic_ns()
        elif event.endswith("receive_response_headers.complete"):
            self._timings.head_ns = time.monotonic_ns()


def _failure(error: Exception, recorder: Recorder, *, own: bool) -> Failure | None:
    """What an exception of the wire means; None for every other exception.

    By the names of its classes, which httpx and httpx2 share, so that httpx need not be imported. The texts of our own
    transport hold no address; those of others may.
    """
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in _LIBRARIES}
    if names & {"UnsupportedProtocol", "LocalProtocolError"}:
        return None
    if "TimeoutException" in names:
        which = _which_timeout(names, recorder)
        return Failure(Outcome("timeout", which), str(error) if own else f"the client's {which} timeout fired")
    if "ConnectError" in names:
        return Failure(Outcome("refused", "connect"), str(error) if own else "no connection could be made")
    if names & {"NetworkError", "ProtocolError", "RequestError"}:
        return Failure(Outcome("truncated"), str(error) if own else "the connection ended before the answer did")
    return None


def _which_timeout(names: set[str], recorder: Recorder) -> str:
    if "ReadTimeout" in names:
        return "idle" if recorder.started else "first_piece"
    return next((name.removesuffix("Timeout").lower() for name in names if name.endswith("Timeout")), "client")


def _unencoded(headers: Any) -> list[tuple[bytes, bytes]]:
    given = httpx2.Headers(headers)
    given.setdefault("accept-encoding", "identity")
    return given.raw


def _bytes_to_keep(keep_bytes: bool | int) -> int:
    if isinstance(keep_bytes, bool):
        return MAX_KEPT_BYTES if keep_bytes else 0
    return keep_bytes


def _public(url: str) -> str:
    """Scheme, host and path: what may be shown of a URL. Keys stand in queries and user info."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else parts.path


def _check_reader(reader: Reader | None, client: Any, total_s: float | None) -> None:
    if reader is None:
        return
    if client is not None:
        raise TypeError("expected a reader or a client, got both: a client of your own reads at its own pace")
    if reader.stops and total_s is None:
        raise TypeError(f"expected total_s= with a reader that stops for ever, got {reader!r}: nothing would end it")


def _check_body(*, data: Any, json: Any, content: Any, files: Any) -> None:
    given = {"data": data, "json": json, "content": content, "files": files}
    kinds = [name for name, value in given.items() if value is not None]
    if len(kinds) > 1 and kinds != ["data", "files"]:
        raise TypeError(f"expected one body, got {' and '.join(kinds)}; only data and files go together")
    if data is not None and not hasattr(data, "items"):
        kind = type(data).__name__
        raise TypeError(f"expected a mapping of form fields as data, got {kind}; raw bodies go to content=")

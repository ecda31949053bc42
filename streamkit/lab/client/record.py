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
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx2

from streamkit._version import __version__
from streamkit.content.codings import requested
from streamkit.lab.arguments import check_listener, check_number, check_whole
from streamkit.lab.client import calibrate as calibration
from streamkit.lab.client.batch import Batch
from streamkit.lab.client.connections import feed_from_library, headers_of, own_connection, your_client
from streamkit.lab.client.decoder import MAX_EVENT_BYTES
from streamkit.lab.client.kept import carry, keep
from streamkit.lab.client.looplag import LoopLag, watch_loop
from streamkit.lab.client.pace import Reader, read_at_pace
from streamkit.lab.client.recorder import Recorder
from streamkit.lab.client.wire_failure import WireFailure, failure_of, interrupted_by
from streamkit.outcome import Outcome
from streamkit.taps.gauges import Gauges, Sampler
from streamkit.transport import Timings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from streamkit.lab.recording.recording import Recording
    from streamkit.presets import PresetLike
    from streamkit.taps.gauges import Values
    from streamkit.transport import Body, ReadPart
    from streamkit.transport.tls import Verify

__all__ = ["ACCEPT", "DEFAULT_TIMEOUT", "media_type", "record"]

ACCEPT: Final = {"text": "text/plain", "sse": "text/event-stream", "ndjson": "application/x-ndjson"}
"""Words for the media types of the relay."""

DEFAULT_TIMEOUT: Final = httpx2.Timeout(300.0, connect=10.0)
"""Seconds, per operation, as httpx counts them: the read timeout is the longest silence between two reads."""

UNENCODED: Final = "identity"
USER_AGENT: Final = f"streamkit/{__version__}"
HARMLESS_HEADERS: Final = frozenset({"accept", "accept-encoding", "accept-language", "content-type", "user-agent"})

MAX_KEPT_BYTES: Final = 8 << 20
END_GRACE_S: Final = 1.0  # how long a server may take to end the body after the stream's own end marker


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
    accept: str | None = None,
    accept_encoding: str | None = None,
    timeout: httpx2.Timeout | float | None = DEFAULT_TIMEOUT,  # noqa: ASYNC109  httpx's word; it is per operation
    total_s: float | None = None,
    client: Any = None,
    verify: Verify = True,
    preset: PresetLike | None = None,
    reasoning: bool = False,
    label: str = "",
    on_piece: Callable[[str], object] | None = None,
    keep_bytes: bool | int = True,
    max_events: int = 1_000_000,
    max_event_bytes: int = MAX_EVENT_BYTES,
    max_bytes: int = 64 << 20,
    reader: Reader | None = None,
    gauge_ms: float = 0.0,
) -> Recording:
    """Send one request and record its answer, read by read.

        recording = await sk.record("http://127.0.0.1:8000/ans", data={"chat_history": "hi"}, accept="sse")

    The request is httpx2's: `data` is a form (a mapping), `json` any JSON value, `content` bytes, text or an async
    iterator, `files` with or without `data`, further `params` and `headers`. Nothing is asked of the server but an
    unencoded body, or what `accept_encoding` says; it is told who asks (`User-Agent: streamkit/…`), and that any media
    type will do. `http+unix://` URLs (`http+unix://%2Ftmp%2Fs.sock/ans`) go to that unix socket.

    Without `client`, a new connection is made, the environment (proxies, .netrc) is not consulted, redirects are not
    followed, and **socket reads** are stamped: by the kernel for plain TCP on Linux (`stamps == "kernel"`), otherwise
    as they return (`"socket"`). With an async client of yours, httpx2's or httpx's, the request goes through it as it
    is (its own timeouts too, unless `timeout` is given), and what it hands out is stamped (`"library"`), unless its
    transport is a `StreamTransport`.

    accept      the media type to ask for, or short for one: "text", "sse", "ndjson"; any other header, and a list of
                media types, goes into `headers`
    accept_encoding   the content codings to ask for, as "gzip, br"; "browser": those that browsers ask for, to see what
                they see: a proxy that compresses keeps text back. None: "identity", or what a `client` of yours asks
                for. Encoded bodies are decoded as they come (gzip, deflate, br, zstd); reads and bytes are kept as the
                wire brought them, and `notes` says how the text came out of them
    verify      whose certificates the server may have: True (the system's), a file or folder of a CA, "env" for the one
                that `SSL_CERT_FILE` names, an `ssl.SSLContext`, or False (nobody is checked)
    preset      name or Preset by which text is found in events, or an Extractor, which only says where it stands;
                None: guessed from the first events and the head
    reasoning   thinking pieces are recorded too, apart from the text
    on_piece    called with each piece of text as it is decoded; what it takes is time in which nothing is read.
    keep_bytes  keep the body's bytes, up to 8 MiB or up to the number given
    timeout     httpx's, in seconds, for each operation by itself: connecting, sending, and each silence between two
                reads. It gives `timeout(first_piece)` before the first byte of the body, `timeout(idle)` after it. Any
                byte, also that of a heartbeat, begins it anew: **a stream that goes on never meets it**
    total_s     seconds for all of it, connecting included, whatever comes meanwhile; `timeout(total)`
    max_events  events of any kind: text, reasoning, tool calls, pings; without event borders, reads.
                `cancelled(max_events)`
    max_bytes   bytes of the body, chunked coding undone, kept or not; of an encoded one both those that came and those
                they grow to. `cancelled(max_bytes)`
    max_event_bytes   of one line or event, 16 MiB (where the relay bears 1); beyond, likewise:
                `cancelled(max_line_bytes)`, `cancelled(max_event_bytes)`

    reader      at which pace to read (`sk.Reader`); None: as fast as it comes. Paced, `handed_ns` is when an
                event was handed over, or the end of the recording if that came first. Over TLS a read cannot be made
                small, so what is not wanted yet waits in the client
    gauge_ms    how often to look at this end's queues (`Recording.gauges`); 0: never

    What goes wrong on the wire is the Recording's outcome and never raises; connecting that fails is
    `refused(connect)`, an answer that is no HTTP or no answer `truncated`. After an end marker the outcome
    stands, and the body gets one second to end.

    Raises ValueError for a URL that is not a full one, an unknown word as `accept` or `accept_encoding` and a negative
    number, TypeError for a number that is none, an `on_piece` that is async, arguments that exclude each other (a
    `client` of your own reads at its own pace) and for a reader that stops for ever without `total_s`, UnknownPreset,
    and whatever `on_piece` or an iterator given as `content` raises.

    When its task is cancelled (Ctrl-C, `asyncio.wait_for`) it closes the connection and lets the cancellation through.
    What had come by then is kept: a Recording that ended as `cancelled(by us)`, in the exception's `recording` and as
    `sk.last_recording()`; likewise where `on_piece` raises.
    """
    check_listener("on_piece", on_piece)
    _check_times(timeout=timeout, total_s=total_s, gauge_ms=gauge_ms)
    _check_bounds(keep_bytes=keep_bytes, max_events=max_events, max_bytes=max_bytes)
    check_whole("max_event_bytes", max_event_bytes, least=1)
    _check_reader(reader, client, total_s)
    _check_body(data=data, json=json, content=content, files=files)
    arguments = {"data": data, "json": json, "content": content, "files": files, "params": params}
    arguments["headers"] = _headers(headers, accept, accept_encoding, own=client is None)
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
        max_event_bytes=max_event_bytes,
        max_bytes=max_bytes,
        calibration=calibration.latest(),
        paced=reader is not None,
        secrets=_secrets(str(url), headers, params),
    )
    if reader is not None:
        recorder.note("reader", str(reader))
    if client is None:
        read_bytes = None if reader is None else reader.read_bytes
        answer = own_connection(method, str(url), httpx2.Timeout(timeout), arguments, timings, read_bytes, verify)
    else:
        if verify is not True:
            raise TypeError("expected verify or a client, got both: a client of your own decides whom it trusts")
        if timeout is not DEFAULT_TIMEOUT:
            arguments["timeout"] = timeout
        answer = your_client(client, method, str(url), arguments, timings)
    failure = None
    deadline = asyncio.timeout(total_s)
    recorder.start()
    try:
        with _watched(recorder, timings):
            async with deadline, answer as response:
                recorder.timed(timings)
                await _follow(response, recorder, deadline, reader, gauge_ms, own=client is None)
    except BaseException as error:
        if deadline.expired() and isinstance(error, TimeoutError):
            failure = WireFailure(Outcome("timeout", "total"), f"all of it took longer than {total_s} s")
        else:
            failure = failure_of(error, own=client is None, started=recorder.started)
        if failure is None:
            if recorder.status is not None or not isinstance(error, Exception):  # else there is nothing to keep
                carry(recorder.finish(interrupted_by(error)), error)
            raise
    return keep(recorder.finish(failure))


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


async def _follow(
    response: Any, recorder: Recorder, deadline: asyncio.Timeout, reader: Reader | None, gauge_ms: float, *, own: bool
) -> None:
    """Feed the answer to the recorder until it ends, fails, or is enough."""
    version = response.extensions.get("http_version")
    if (asked := response.request.headers.get("accept-encoding")) is not None:
        recorder.note("accept_encoding", asked)
    recorder.head(response.status_code, headers_of(response), None if version is None else version.decode("ascii"))
    ending = _Ending(recorder, deadline)

    def sink(part: ReadPart) -> bool:
        data, read, (at_ns, kind, error_ns, read_ns) = part
        return ending.fed(recorder.feed(read, at_ns, data, kind, error_ns, read_ns - at_ns))

    batch = Batch(sink, ending.now)
    with _gauged(response, recorder, batch, gauge_ms):
        if reader is not None:
            await read_at_pace(response.stream, recorder, reader, ending.soon)
            return
        try:
            if own:
                await response.stream.pour(sink if recorder.heard else batch.take)
            else:
                recorder.url = _public(str(response.url))
                await feed_from_library(response, recorder, ending.fed)
        finally:
            recorder.ended_ns = recorder.now()
            batch.end()


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
    recorder.gauges = Gauges(every_ns)
    with Sampler(every_ns).watch(recorder.gauges, read):
        yield


def _headers(headers: Any, accept: str | None, accept_encoding: str | None, *, own: bool) -> list[tuple[bytes, bytes]]:
    """What the caller says, and of ours what it leaves open; a client of the caller's has names of its own."""
    given = httpx2.Headers(headers)
    if accept is not None:
        given["accept"] = media_type(accept)
    if accept_encoding is not None:
        given["accept-encoding"] = requested(accept_encoding)
    if own:
        given.setdefault("accept", "*/*")
        given.setdefault("accept-encoding", UNENCODED)
        given.setdefault("user-agent", USER_AGENT)
    given.setdefault("incremental", "?1")  # RFC 10036: a stream is meant
    return given.raw


def _secrets(url: str, headers: Any, params: Any) -> list[str]:
    """What was sent to be known by, and must not be shown: keys stand in headers, queries and user info."""
    target = urlsplit(url)
    fields = [value for name, value in httpx2.Headers(headers).multi_items() if name not in HARMLESS_HEADERS]
    query = [value for _, value in (*parse_qsl(target.query), *httpx2.QueryParams(params).multi_items())]
    return [word for value in (*fields, *query, target.password or "") for word in (value, value.rpartition(" ")[2])]


def media_type(accept: str) -> str:
    """What `accept` is short for; a media type stands for itself. Raises ValueError for another word."""
    if accept not in ACCEPT and "/" not in accept:
        raise ValueError(f"expected accept as a media type, or one of {', '.join(ACCEPT)}, got {accept!r}")
    return ACCEPT.get(accept, accept)


def _bytes_to_keep(keep_bytes: bool | int) -> int:
    if isinstance(keep_bytes, bool):
        return MAX_KEPT_BYTES if keep_bytes else 0
    return keep_bytes


def _public(url: str) -> str:
    """Scheme, host and path: what may be shown of a URL. Keys stand in queries and user info."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else parts.path


def _check_times(*, timeout: object, total_s: object, gauge_ms: object) -> None:
    if isinstance(timeout, str | int | float):  # else it is httpx's to check
        check_number("timeout", timeout, "seconds", infinite=True)
    if total_s is not None:
        check_number("total_s", total_s, "seconds", infinite=True)
    check_number("gauge_ms", gauge_ms, "milliseconds")


def _check_bounds(*, keep_bytes: object, **bounds: object) -> None:
    for name, bound in bounds.items():
        check_whole(name, bound)
    if not isinstance(keep_bytes, bool):
        check_whole("keep_bytes", keep_bytes)


def _check_reader(reader: Reader | None, client: Any, total_s: float | None) -> None:
    if reader is None:
        return
    if not isinstance(reader, Reader):
        raise TypeError(f"expected reader as a Reader, such as Reader(bytes_per_s=1500), got {reader!r}")
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

"""record(): send a request, stamp every read of the answer, return a Recording.

The way of the bytes: socket → `_Stream` (one stamp per socket read) → httpcore2 (HTTP) → `Recorder` (events, pieces,
outcome). httpcore2 yields one piece per HTTP chunk; chunks that arrived in one socket read get that read's number and
time, because nothing more is known about them.

What is stamped is the moment at which the event loop handed the read to this task. A loop that is busy with other
work stamps late, and what piles up meanwhile comes as one larger read.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

import httpcore2
import httpx2

from streamkit.errors import ConfigError
from streamkit.httpclient import split_unix_url
from streamkit.lab.recorder import Failure, Recorder
from streamkit.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from streamkit.lab.recording import Recording
    from streamkit.presets import Preset

    _Answer: TypeAlias = Callable[["_Trace"], AbstractAsyncContextManager[Any]]

__all__ = ["DEFAULT_TIMEOUT", "record"]

DEFAULT_TIMEOUT: Final = httpx2.Timeout(300.0, connect=10.0)
"""Seconds, per operation, as httpx counts them: the read timeout is the longest silence between two reads."""

MAX_PORT: Final = 65535
MAX_KEPT_BYTES: Final = 8 << 20
END_GRACE_S: Final = 1.0  # how long a server may take to end the body after the stream's own end marker

_LIBRARIES: Final = frozenset(("httpx", "httpx2", "httpcore", "httpcore2"))
_CONNECTED: Final = ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")


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
) -> Recording:
    """Send one request and record its answer, read by read.

    The request is httpx2's: `data` is a form (a mapping), `json` any JSON value, `content` bytes, text or an async
    iterator, `files` with or without `data`, further `params` and `headers`. Nothing is asked of the server but an
    unencoded body; ask for an event stream with `headers={"Accept": "text/event-stream"}`. `http+unix://` URLs
    (`http+unix://%2Ftmp%2Fs.sock/ans`) go to that unix socket.

    Without `client`, a new connection is made, the environment (proxies, .netrc) is not consulted, redirects are not
    followed, and **socket reads** are stamped. With an async client of yours, httpx2's or httpx's, the request goes
    through it as it is (its own timeouts too, unless `timeout` is given), and the pieces it hands out are stamped:
    `stamps == "piece"`.

    preset      name or Preset by which text is found in events; None: guessed from the first events
    reasoning   thinking pieces are recorded too, apart from the text
    on_piece    called with each piece of text as it is decoded; what it takes is time in which nothing is read
    keep_bytes  keep the body's bytes, up to 8 MiB or up to the number given
    timeout     httpx's, per operation; seconds. Its read timeout gives `timeout(first_piece)` before the first byte of
                the body and `timeout(idle)` after it; it counts bytes, so heartbeats reset it
    total_s     seconds for all of it; `timeout(total)`
    max_events, max_bytes   beyond, the recorder hangs up: `cancelled(max_events)`, `cancelled(max_bytes)`; a line or
                an event above 1 MiB likewise: `cancelled(max_line_bytes)`, `cancelled(max_event_bytes)`

    What goes wrong on the wire is the Recording's outcome and never raises; connecting that fails is
    `refused(connect)`, an answer that is no HTTP or no answer `truncated`. After an end marker the outcome
    stands, and the body gets one second to end.

    Raises ConfigError for a URL that is not a full one, TypeError for arguments that exclude each other,
    UnknownPreset, and whatever `on_piece` or an iterator given as `content` raises. When its task is cancelled it
    closes the connection and lets the cancellation through.
    """
    _check_body(data=data, json=json, content=content, files=files)
    stamper = _Stamper()
    arguments = {"data": data, "json": json, "content": content, "files": files, "params": params}
    arguments["headers"] = _unencoded(headers)
    if client is None:
        answer = _own_connection(method, str(url), httpx2.Timeout(timeout), arguments, stamper)
        await httpcore2.AnyIOBackend().sleep(0)  # its first use imports for 20 ms: before the clock runs
    else:
        if timeout is not DEFAULT_TIMEOUT:
            arguments["timeout"] = timeout
        answer = _your_client(client, method, str(url), arguments)
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
        stamps="socket" if client is None else "piece",
    )
    failure = None
    deadline = asyncio.timeout(total_s)
    try:
        async with deadline, answer(_Trace(recorder, stamper)) as response:
            await _follow(response, recorder, stamper, deadline)
    except TimeoutError:
        if not deadline.expired():
            raise
        failure = Failure(Outcome("timeout", "total"), f"all of it took longer than {total_s} s")
    except Exception as error:
        failure = _failure(error, recorder, stamper)
        if failure is None:
            raise
    return recorder.finish(failure)


async def _follow(response: Any, recorder: Recorder, stamper: _Stamper, deadline: asyncio.Timeout) -> None:
    """Feed the answer to the recorder until it ends, fails, or is enough."""
    version = response.extensions.get("http_version")
    recorder.head(response.status_code, response.headers, None if version is None else version.decode("ascii"))
    if recorder.stamps == "piece":
        recorder.url = _public(str(response.url))
    try:
        async with contextlib.aclosing(_undecoded(response)) as pieces:
            async for piece in pieces:
                if recorder.stamps == "piece":
                    stamper.stamp(recorder.now() + recorder.started_ns)
                was_final = recorder.final
                if not recorder.feed(stamper.reads, stamper.at_ns, piece):
                    break
                if recorder.final and not was_final:
                    _hurry(deadline)
    finally:
        recorder.ended_ns = recorder.now()


def _undecoded(response: Any) -> AsyncGenerator[bytes]:
    """The body as it came: what a compressed one grows to has no bound, and is not what the wire brought.

    A test transport may give a response that was read before; its content is all there is.
    """
    pieces: AsyncGenerator[bytes] = response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()
    return pieces


def _hurry(deadline: asyncio.Timeout) -> None:
    grace_ends = asyncio.get_running_loop().time() + END_GRACE_S
    planned = deadline.when()
    deadline.reschedule(grace_ends if planned is None else min(planned, grace_ends))


class _Stamper:
    """Counts socket reads and knows the time of the last one (monotonic, ns)."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.clock = clock
        self.reads = 0
        self.at_ns = 0
        self.ended = False

    def stamp(self, at_ns: int) -> None:
        self.reads += 1
        self.at_ns = at_ns


class _Stream(httpcore2.AsyncNetworkStream):
    """A network stream whose every read is stamped as it returns."""

    def __init__(self, inner: httpcore2.AsyncNetworkStream, stamper: _Stamper) -> None:
        self._inner = inner
        self._stamper = stamper

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore2's interface
        data = await self._inner.read(max_bytes, timeout)
        self._stamper.stamp(self._stamper.clock())
        self._stamper.ended = not data
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  httpcore2's interface
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore2's interface
    ) -> httpcore2.AsyncNetworkStream:
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout), self._stamper)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.AnyIOBackend):
    """httpcore2's own backend, its streams stamped."""

    def __init__(self, stamper: _Stamper) -> None:
        self._stamper = stamper

    async def connect_tcp(self, *args: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        return _Stream(await super().connect_tcp(*args, **options), self._stamper)

    async def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        return _Stream(await super().connect_unix_socket(*args, **options), self._stamper)


def _own_connection(
    method: str, url: str, timeout: httpx2.Timeout, arguments: dict[str, Any], stamper: _Stamper
) -> _Answer:
    """One request on one fresh HTTP/1.1 connection whose reads are stamped.

    Without httpx2's client: that would log the URL, keys in its query included. Errors are httpcore2's own.
    """
    target, unix = split_unix_url(url)
    if target.port is not None and target.port > MAX_PORT:
        raise ConfigError(f"expected a port up to {MAX_PORT} in the URL, got {target.port}")
    request = httpx2.Request(method, target, **arguments)
    if not isinstance(request.stream, httpx2.AsyncByteStream):
        raise TypeError("expected bytes, text or an asynchronous iterator as content, got a synchronous iterator")
    if target.userinfo:
        request = next(httpx2.BasicAuth(target.username, target.password).sync_auth_flow(request))
    # Reading the certificates takes tens of milliseconds; here no clock is running yet.
    tls = httpx2.create_ssl_context(trust_env=False) if target.scheme == "https" else None

    @contextlib.asynccontextmanager
    async def answer(trace: _Trace) -> AsyncIterator[httpx2.Response]:
        backend = _Backend(stamper)
        async with httpcore2.AsyncConnectionPool(ssl_context=tls, uds=unix, network_backend=backend) as pool:
            response = await pool.handle_async_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(
                        scheme=target.raw_scheme,
                        host=target.raw_host,
                        port=target.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": timeout.as_dict(), "trace": trace},
                )
            )
            try:
                yield httpx2.Response(
                    response.status,
                    headers=response.headers,
                    stream=_Body(response.stream),
                    extensions=response.extensions,
                )
            finally:
                await response.aclose()

    return answer


def _your_client(client: Any, method: str, url: str, arguments: dict[str, Any]) -> _Answer:
    """The same through somebody else's client, httpx2's or httpx's."""
    if not (hasattr(client, "stream") and hasattr(client, "__aenter__")):
        raise TypeError(f"expected an async client of httpx2 or httpx as client, got {type(client).__name__}")
    if url.startswith("http+unix:"):
        raise TypeError(
            "a client of your own does not know http+unix URLs: give it a transport with uds=..., "
            "and record() the URL http://localhost/..."
        )
    return lambda trace: client.stream(method, url, extensions={"trace": trace}, **arguments)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()  # type: ignore[no-any-return]  # httpcore2 types it as sync or async

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Trace:
    """httpcore's trace extension: when the connection stood, the request had left, the head had come."""

    def __init__(self, recorder: Recorder, stamper: _Stamper) -> None:
        self._recorder = recorder
        self._stamper = stamper

    async def __call__(self, event: str, _info: object) -> None:
        recorder = self._recorder
        if event.endswith(_CONNECTED):
            recorder.connected_ns = recorder.now()
        elif event.endswith("send_request_body.complete"):
            recorder.sent_ns = recorder.now()
        elif event.endswith("receive_response_headers.complete"):
            by_socket = recorder.stamps == "socket"
            recorder.head_ns = self._stamper.at_ns - recorder.started_ns if by_socket else recorder.now()


def _failure(error: Exception, recorder: Recorder, stamper: _Stamper) -> Failure | None:
    """What an exception of the wire means; None for every other exception.

    By the names of its classes, which httpx, httpx2 and their cores share, so that none of them has to be imported.
    """
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in _LIBRARIES}
    if names & {"UnsupportedProtocol", "LocalProtocolError"}:
        return None
    if "TimeoutException" in names:
        which = _which_timeout(names, recorder)
        return Failure(Outcome("timeout", which), f"the client's {which} timeout fired")
    if "ConnectError" in names:
        return Failure(Outcome("refused", "connect"), "no connection could be made (refused, unknown host, or TLS)")
    if names & {"NetworkError", "ProtocolError", "RequestError"} or isinstance(error, ssl.SSLError):
        return Failure(Outcome("truncated"), _how_broken(names, recorder, stamper))
    return None


def _which_timeout(names: set[str], recorder: Recorder) -> str:
    if "ReadTimeout" in names:
        return "idle" if recorder.started else "first_piece"
    return next((name.removesuffix("Timeout").lower() for name in names if name.endswith("Timeout")), "client")


def _how_broken(names: set[str], recorder: Recorder, stamper: _Stamper) -> str:
    where = "before the head of an answer was whole" if recorder.status is None else "inside the body"
    if "RemoteProtocolError" in names and recorder.stamps == "socket" and not stamper.ended:
        return f"the answer broke the rules of HTTP {where}"
    return f"the connection ended {where}"


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


def _check_body(*, data: Any, json: Any, content: Any, files: Any) -> None:
    given = {"data": data, "json": json, "content": content, "files": files}
    kinds = [name for name, value in given.items() if value is not None]
    if len(kinds) > 1 and kinds != ["data", "files"]:
        raise TypeError(f"expected one body, got {' and '.join(kinds)}; only data and files go together")
    if data is not None and not hasattr(data, "items"):
        kind = type(data).__name__
        raise TypeError(f"expected a mapping of form fields as data, got {kind}; raw bodies go to content=")

"""The two ways of `record()` to an answer: one connection of our own, or somebody else's client."""

from __future__ import annotations

import contextlib
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

import httpx2

from streamkit.errors import ConfigError
from streamkit.transport import StreamTransport, Timings
from streamkit.transport.tls import ssl_context
from streamkit.transport.url import split_unix_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from streamkit.lab.client.recorder import Recorder
    from streamkit.lab.client.resume import Ask
    from streamkit.transport import Body
    from streamkit.transport.tls import Verify

    Answering: TypeAlias = AbstractAsyncContextManager[httpx2.Response]
    """The request is sent on entering; the connection is given back, or closed, on leaving."""

__all__ = ["OwnConnections", "YourClient", "feed_from_library", "headers_of", "public_url"]

BODY: Final = frozenset(("data", "json", "content", "files", "params"))
BODY_HEADERS: Final = frozenset((b"content-type", b"content-length", b"transfer-encoding", b"content-encoding"))
_CONNECTED: Final = ("connect_tcp.complete", "connect_unix_socket.complete")


def public_url(url: str) -> str:
    """Scheme, host and path: what may be shown of a URL. Keys stand in queries and user info."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else parts.path


_split = lru_cache(maxsize=16)(split_unix_url)
"""A thousand recordings of one URL parse it once."""


def own_connection(
    method: str,
    url: str,
    timeout: httpx2.Timeout,
    arguments: dict[str, Any],
    timings: Timings,
    read_bytes: int | None,
    tls: ssl.SSLContext | None,
) -> Answering:
    """One request on one fresh HTTP/1.1 connection, of which each socket read is stamped.

    Without httpx2's client: that would log the URL, keys in its query included.
    """
    try:
        target, unix = _split(url)
    except ConfigError as error:  # there the URL is an option, here an argument
        raise ValueError(str(error)) from None
    extensions = {"timeout": timeout.as_dict(), "timings": timings}
    request = httpx2.Request(method, target, extensions=extensions, **arguments)
    if target.userinfo:
        request = next(httpx2.BasicAuth(target.username, target.password).sync_auth_flow(request))

    @contextlib.asynccontextmanager
    async def answer() -> AsyncIterator[httpx2.Response]:
        transport = StreamTransport(
            unix=unix, ssl_context=tls, max_connections=1, keepalive_s=0, stamps="kernel", read_bytes=read_bytes
        )
        async with contextlib.aclosing(transport):
            response = await transport.handle_async_request(request)
            response.request = request
            async with contextlib.aclosing(response):
                yield response

    return answer()


class OwnConnections:
    """A fresh one for each request; `arguments` are those of an `httpx2.Request`."""

    own = True

    def __init__(
        self,
        method: str,
        url: str,
        timeout: httpx2.Timeout,
        arguments: dict[str, Any],
        read_bytes: int | None,
        verify: Verify,
    ) -> None:
        self._method, self._url, self._arguments = method, url, arguments
        self._timeout, self._read_bytes = timeout, read_bytes
        # Reading the certificates takes tens of milliseconds; here no clock is running yet.
        secure = urlsplit(url).scheme.lower() == "https" or verify is not True
        self._tls = ssl_context(verify) if secure else None

    def __call__(self, ask: Ask | None, timings: Timings) -> Answering:
        """The request that is asked; None: as the caller gave it."""
        method, url, arguments = _asked(ask, self._method, self._url, self._arguments)
        return own_connection(method, url, self._timeout, arguments, timings, self._read_bytes, self._tls)


class YourClient:
    """Somebody else's client, through which each request goes."""

    own = False

    def __init__(self, client: Any, method: str, url: str, arguments: dict[str, Any]) -> None:
        self._client = client
        self._method, self._url, self._arguments = method, url, arguments

    def __call__(self, ask: Ask | None, timings: Timings) -> Answering:
        """The request that is asked; None: as the caller gave it."""
        method, url, arguments = _asked(ask, self._method, self._url, self._arguments)
        return your_client(self._client, method, url, arguments, timings)


def _asked(ask: Ask | None, method: str, url: str, arguments: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """What is sent: the caller's request, with further headers; another URL has neither its body nor its fields."""
    if ask is None:
        return method, url, arguments
    headers = [*arguments["headers"], *((name.encode(), value.encode()) for name, value in ask.headers.items())]
    kept = arguments if ask.body else {name: arguments[name] for name in arguments.keys() - BODY}
    if not ask.body:
        headers = [(name, value) for name, value in headers if name.lower() not in BODY_HEADERS]
    return ask.method, ask.url, {**kept, "headers": headers}


def your_client(client: Any, method: str, url: str, arguments: dict[str, Any], timings: Timings) -> Answering:
    """The same through somebody else's client, httpx2's or httpx's."""
    if not (hasattr(client, "stream") and hasattr(client, "__aenter__")):
        raise TypeError(f"expected an async client of httpx2 or httpx as client, got {type(client).__name__}")
    if url.startswith("http+unix:"):
        raise TypeError(
            "a client of your own does not know http+unix URLs: give it a transport with uds=..., "
            "and record() the URL http://localhost/..."
        )
    extensions = {"trace": _TimingsOfHttpcore(timings), "timings": timings}
    answering: Answering = client.stream(method, url, extensions=extensions, **arguments)
    return answering


class _TimingsOfHttpcore:
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


async def feed_from_library(response: Any, recorder: Recorder, fed: Callable[[bool], bool]) -> None:
    """What somebody else's client gives, and when; that is all that is known, unless its transport is one of ours.

    `fed` is asked after each part whether to go on; it is given what the recorder said.
    """
    stamps: Body | None = response.extensions.get("stamps")
    number = 0
    async for data in _undecoded(response):
        number += 1
        if stamps is None:
            more = recorder.feed(number, recorder.started_ns + recorder.now(), data, "library")
        else:
            late_ns = stamps.read_ns - stamps.at_ns
            more = recorder.feed(stamps.read, stamps.at_ns, data, stamps.kind, stamps.error_ns, late_ns)
        if not fed(more):
            return


def headers_of(response: Any) -> dict[str, str]:
    """Its headers, as they describe what `feed_from_library` and a body of ours bring."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    if response.is_stream_consumed:  # a test transport's, decoded when it was read
        headers.pop("content-encoding", None)
    return headers


def _undecoded(response: Any) -> AsyncIterator[bytes]:
    """The body as it came: what an encoded one grows to has no bound, and is not what the wire brought.

    A test transport may give a response that was read before; its content is all there is.
    """
    parts: AsyncIterator[bytes] = response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()
    return parts

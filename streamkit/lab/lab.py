"""Lab: a scripted upstream, the relay and a client in one object; what each of them saw, in one Recording.

    with Lab(Script(gap_ms=20)) as lab:
        recording = await lab.post("/ans", chat_history="你好", accept="sse")
    recording.taps["relay.sent"]

Where the three run can be what an experiment is about (`roles`):

"threads"     upstream and relay have a thread and a loop each, the client is on the caller's loop. All share one
              interpreter lock: while one computes, the others wait.
"processes"   upstream and relay have a process each.
"one loop"    all three are on the caller's loop, for as long as a `post()` takes. It shows what this does to a
              measurement: while the client works the upstream cannot send, and nobody but its schedule knows
              (coordinated omission: G. Tene, "How NOT to Measure Latency"). `recording.trust` tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, TypeAlias, TypeGuard, cast, get_args

import httpx2

from streamkit.app import create_app
from streamkit.errors import ConfigError, ServerError
from streamkit.lab._runner import pickled
from streamkit.lab.client import record
from streamkit.lab.join import attach
from streamkit.lab.server import Server, serve
from streamkit.lab.upstream import Script, SentLog, create_upstream
from streamkit.listener import listen
from streamkit.running import RunningApp, StopRequest, build, check_factory, forget
from streamkit.taps import STREAM_ID_HEADER, StreamTaps, new_stream_id

if TYPE_CHECKING:
    from types import TracebackType

    from streamkit.lab.recording import Recording
    from streamkit.presets import Preset
    from streamkit.running import App, Factory

__all__ = ["Lab", "Roles"]

Roles: TypeAlias = Literal["threads", "processes", "one loop"]

ACCEPT: Final = {"text": "text/plain", "sse": "text/event-stream", "ndjson": "application/x-ndjson"}
TAPS_WAIT_S: Final = 0.5  # the servers may see the end a moment after the client
TAPS_POLL_S: Final = 0.01
MAX_TAPS_BYTES: Final = 256 << 20
_FIELD: Final = (str, int, float, type(None))
_OPTIONS: Final = frozenset(inspect.signature(record).parameters) - {"url", "method", "data", "headers"}


class Lab:
    """Upstream, relay and client. It lives until `stop()`, or until it is collected; also a context manager.

    script      what the upstream says and when; `preset`, by which the relay reads it, is the script's if not given
    roles       "threads", "processes" or "one loop", see the module; `isolated=True` is short for "processes"
    upstream    instead of the script: a factory of a Sanic app, or the URL of a server that is running elsewhere
    loop        "uvloop", "asyncio" or "auto", for the loops of upstream and relay
    settings    those of `create_app`: `idle_s=2`, `max_streams=100`, `key=…`; `trace=False` switches the taps off

    `.relay` and `.upstream` are the handles of the two servers (None in one loop, where they live only during a
    `post()`; and for an upstream elsewhere). In IPython, running a cell again stops the labs that its earlier run made.

    Raises TypeError for arguments that exclude each other, or cannot go to another process; ConfigError for an unknown
    value of `roles` or `loop`; ServerError when a server cannot start, as for settings that make no sense.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        preset: str | Preset | None = None,
        roles: Roles | None = None,
        isolated: bool = False,
        upstream: Factory | None = None,
        loop: str = "auto",
        **settings: Any,
    ) -> None:
        if script is not None and upstream is not None:
            raise TypeError("expected a script or an upstream of your own, got both")
        self.roles: Roles = _roles(roles, isolated)
        self.script = None if upstream is not None else script or Script()
        spoken = preset or (self.script.preset if self.script is not None else None)
        settings = {"trace": True, "preset": spoken, **settings}
        if self.roles == "processes":
            _check_portable({"script": self.script, **settings})
        source = partial(create_upstream, self.script) if upstream is None else upstream
        if not _is_url(source):
            check_factory(source)
        self._stopped = False
        self._place: _Apart | _Together
        if self.roles == "one loop":
            if loop != "auto":
                raise ConfigError(f"expected no loop= with roles='one loop', which is the caller's, got {loop!r}")
            self._place = _Together(source, settings)
        else:
            self._place = _Apart(source, settings, process=self.roles == "processes", loop=loop)

    @property
    def relay(self) -> Server | None:
        """The handle of the relay's server."""
        return self._place.relay

    @property
    def upstream(self) -> Server | None:
        """The handle of the upstream's server."""
        return self._place.upstream

    async def post(
        self,
        path: str = "/ans",
        *,
        accept: str | None = None,
        headers: Any = None,
        data: Mapping[str, Any] | None = None,
        **fields_and_options: Any,
    ) -> Recording:
        """POST to the relay and record the answer, with the taps of upstream and relay joined to it.

        Keywords are form fields (`chat_history="你好"`), but those that `record()` knows (`json`, `on_piece`,
        `total_s`, …) are its options; a field of such a name goes into `data`. `accept` is a media type, or short for
        one: "text", "sse", "ndjson"; without it the relay chooses (text/plain, which has no event borders).

        What fails on the wire is the recording's outcome. Its taps are what there was: the servers have half a second
        to see the end too, and `meta["notes"]` says what is missing.

        Raises ServerError after `stop()`, TypeError for a field that is no text or number, and what `record()` raises.
        """
        if self._stopped:
            raise ServerError("this Lab was stopped: make a new one")
        if not path.startswith("/"):
            raise ValueError(f"expected the path of the relay's route, such as '/ans', got {path!r}")
        options = {name: value for name, value in fields_and_options.items() if name in _OPTIONS}
        fields = {name: value for name, value in fields_and_options.items() if name not in _OPTIONS}
        for name, value in fields.items():
            if not isinstance(value, _FIELD):
                kind = type(value).__name__
                raise TypeError(f"expected the form field {name!r} as text or a number, got {kind}; or is it misspelt?")
        form = {**(data or {}), **fields} or None
        given = _headers(headers, accept)
        stream_id = given.setdefault(STREAM_ID_HEADER, new_stream_id())
        async with self._place.open() as (url, sources):
            recording = await record(url + path, data=form, headers=given, **options)
            return await _joined(recording, sources, recording.headers.get(STREAM_ID_HEADER, stream_id))

    def stop(self, grace_s: float | None = None) -> None:
        """Stop relay and upstream, the relay first; as `Server.stop`. Stopping again does nothing."""
        self._stopped = True
        self._place.stop(grace_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def __repr__(self) -> str:
        source = "an upstream of its own" if self.script is None else f"a script of {len(self.script.pieces)} pieces"
        return f"<Lab {'stopped' if self._stopped else 'running'}, {self.roles}: {source}>"


# --- What goes in ---------------------------------------------------------------------------------------------------


def _roles(roles: str | None, isolated: bool) -> Roles:
    if roles is not None and roles not in get_args(Roles):
        raise ConfigError(f"expected roles as 'threads', 'processes' or 'one loop', got {roles!r}")
    if isolated and roles not in (None, "processes"):
        raise TypeError(f"isolated=True is short for roles='processes', got roles={roles!r} too")
    return cast("Roles", roles or ("processes" if isolated else "threads"))


def _check_portable(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        try:
            pickled(value)
        except TypeError as error:
            raise TypeError(
                f"expected {name} as a value that can be given to another process (roles='processes'), got one of type "
                f"{type(value).__name__!r}; with roles='threads' it can be anything"
            ) from error


def _is_url(upstream: Factory) -> TypeGuard[str]:
    return isinstance(upstream, str) and "://" in upstream


def _headers(headers: Any, accept: str | None) -> httpx2.Headers:
    given = httpx2.Headers(headers)
    if accept is not None:
        if accept not in ACCEPT and "/" not in accept:
            raise ValueError(f"expected accept as a media type, or one of {', '.join(ACCEPT)}, got {accept!r}")
        given["accept"] = ACCEPT.get(accept, accept)
    return given


# --- Where the servers are ------------------------------------------------------------------------------------------

FetchTaps: TypeAlias = Callable[[str], Awaitable[StreamTaps | None]]


class _Open(NamedTuple):
    """The relay's URL, and where the taps of a stream are had, by whose they are."""

    url: str
    sources: dict[str, FetchTaps]


class _Apart:
    """Each server in a thread or process of its own, from now until `stop()`."""

    def __init__(self, upstream: Factory, settings: Mapping[str, Any], *, process: bool, loop: str) -> None:
        start = partial(serve, process=process, loop=loop)
        self.upstream = None if _is_url(upstream) else start(upstream)
        asked = upstream if self.upstream is None else self.upstream.url
        try:
            self.relay = start(partial(create_app, upstream=cast("str", asked), **settings))
        except BaseException:
            self._stop_upstream(0)
            raise

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[_Open]:
        servers = {"upstream": self.upstream, "relay": self.relay}
        sources = {who: _source(server.app, server.url) for who, server in servers.items() if server is not None}
        yield _Open(self.relay.url, sources)

    def stop(self, grace_s: float | None) -> None:
        try:
            self.relay.stop(grace_s)
        finally:
            self._stop_upstream(grace_s)

    def _stop_upstream(self, grace_s: float | None) -> None:
        if self.upstream is not None:
            self.upstream.stop(grace_s)


class _Together:
    """Both servers on the loop of whoever uses them, started by the first user and stopped by the last.

    So nothing of them is left when a loop ends, and none of them outlives it.
    """

    relay: None = None
    upstream: None = None

    def __init__(self, upstream: Factory, settings: Mapping[str, Any]) -> None:
        self._upstream = upstream
        self._settings = settings
        self._pairs: dict[asyncio.AbstractEventLoop, _Pair] = {}

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[_Open]:
        loop = asyncio.get_running_loop()
        pair = self._pairs.setdefault(loop, _Pair())
        pair.users += 1
        try:
            async with pair.starting:
                if pair.opened is None:
                    pair.opened = await self._start(pair)
            yield pair.opened
        finally:
            pair.users -= 1
            if not pair.users:
                del self._pairs[loop]  # before the first await: who comes now starts a new pair
                await pair.servers.aclose()

    async def _start(self, pair: _Pair) -> _Open:
        sources = {}
        if _is_url(self._upstream):
            asked = self._upstream
        else:
            app, asked = await pair.servers.enter_async_context(_on_this_loop(self._upstream))
            sources["upstream"] = _source(app, asked)
        make_relay = partial(create_app, upstream=asked, **self._settings)
        app, url = await pair.servers.enter_async_context(_on_this_loop(make_relay))
        return _Open(url, {**sources, "relay": _source(app, url)})

    def stop(self, grace_s: float | None) -> None:
        """Nothing runs but during a `post()`, which ends by itself."""


@dataclass(slots=True)
class _Pair:
    users: int = 0
    opened: _Open | None = None
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    servers: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)


@contextlib.asynccontextmanager
async def _on_this_loop(factory: Factory) -> AsyncIterator[tuple[App, str]]:
    """The app that `factory` makes, serving on the running loop, and its URL."""
    with contextlib.closing(listen()) as listener:
        app = build(factory)
        try:
            running = RunningApp(app, listener.sock)
            try:
                await running.start()
                try:
                    yield app, listener.url
                finally:
                    await running.stop(StopRequest())
            finally:
                running.close()
        finally:
            forget(app)


# --- Fetching the taps ----------------------------------------------------------------------------------------------


def _source(app: App | None, url: str) -> FetchTaps:
    """The taps of a server: directly where its app is in this process, else over HTTP."""
    if app is None:
        return partial(_over_http, url)
    if hasattr(app.ctx, "relay"):
        return partial(_from_relay, app)
    return partial(_from_upstream, app)


async def _from_relay(app: App, stream_id: str) -> StreamTaps | None:
    log = app.ctx.relay.taps
    return None if log is None else cast("StreamTaps | None", log.get(stream_id))


async def _from_upstream(app: App, stream_id: str) -> StreamTaps | None:
    sent = tuple(getattr(app.ctx, "sent", ()))  # at once: the upstream's thread may be adding to it
    logs = (log for log in reversed(sent) if isinstance(log, SentLog) and log.stream_id == stream_id)
    return next((log.taps() for log in logs), None)


async def _over_http(url: str, stream_id: str) -> StreamTaps | None:
    answer = await record(
        f"{url}/streams/{stream_id}/taps",
        method="GET",
        total_s=TAPS_WAIT_S,
        keep_bytes=MAX_TAPS_BYTES,
        max_bytes=MAX_TAPS_BYTES,
    )
    if not answer.outcome.ok:
        return None
    try:
        return StreamTaps.from_dict(json.loads(answer.body or b""))
    except (ValueError, TypeError, KeyError):  # an upstream of one's own may answer anything
        return None


async def _joined(recording: Recording, sources: Mapping[str, FetchTaps], stream_id: str) -> Recording:
    """With all taps that there are; a recording is not lost for the lack of some."""
    found = await _finished_taps(sources, stream_id)
    for who, taps in found.items():
        try:
            recording = attach(recording, taps)
        except ValueError as error:  # its clock is another one, as that of each process outside Linux
            recording = _noted(recording, f"the taps of {who} cannot be joined: {error}")
    missing = ", ".join(who for who in sources if who not in found)
    return _noted(recording, f"no taps of this stream: {missing}") if missing else recording


async def _finished_taps(sources: Mapping[str, FetchTaps], stream_id: str) -> dict[str, StreamTaps]:
    """Those of each source that knows the stream; a bounded wait for those that have not ended yet."""
    deadline = time.monotonic() + TAPS_WAIT_S
    while True:
        asked = {who: await fetch(stream_id) for who, fetch in sources.items()}
        found = {who: taps for who, taps in asked.items() if taps is not None}
        if all(taps.finished for taps in found.values()) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(TAPS_POLL_S)


def _noted(recording: Recording, note: str) -> Recording:
    return replace(recording, meta={**recording.meta, "notes": [*recording.meta.get("notes", ()), note]})

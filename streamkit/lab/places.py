"""Where the upstream, the relay and the links of a Lab are, and how they find each other.

Theory of operation. A place starts the upstream first, since its URL is what the relay is made with (`MakeRelay`), and
the links between them; it says where the client asks, and where the taps of a stream are had (`Open`).

                Apart: threads, processes                 Together: one loop
    start       at once: upstream, link, relay, link      by the first post on a loop: both on that loop
    taps from   the app, where it is in this process;     the apps
                else over HTTP, never through a link
    end         by `stop()`: relay, upstream, links       when the last post on that loop has ended

A stream is known everywhere by its id. The client sends it (X-Stream-Id), our relay takes it and passes it on, and
under it the taps are asked for. Of somebody else's relay nothing is wanted but to pass it on: one that does has the
upstream's taps, one that does not has none.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeGuard, cast

from streamkit.app import RELAY_NAMES, create_app
from streamkit.lab.net.link import Link
from streamkit.lab.net.toxics import Toxic
from streamkit.lab.server_taps import FetchTaps, fetcher
from streamkit.relay.settings import check_names
from streamkit.serving.factory import build, forget
from streamkit.serving.listener import listen
from streamkit.serving.running import RunningApp, StopRequest
from streamkit.serving.server import Server

if TYPE_CHECKING:
    from streamkit.serving.factory import App, Factory

__all__ = ["Apart", "Links", "MakeRelay", "Open", "RelayFactory", "Together", "check_relay_names", "is_url"]

GRACE_S: Final = 0.2  # as that of a server
RelayFactory: TypeAlias = "Callable[[str], App]"


def is_url(upstream: Factory) -> TypeGuard[str]:
    """A server that runs elsewhere, and no import string of a factory."""
    return isinstance(upstream, str) and "://" in upstream


def check_relay_names(given: Iterable[str], own: Iterable[str]) -> None:
    """Raise TypeError unless our relay can be made with settings of these names; `own`: those of whoever makes it, one
    of which may have been meant.
    """
    check_names(given, RELAY_NAMES, meant=own)


class Open(NamedTuple):
    """Where the client asks, and where the taps of a stream are had, by whose they are."""

    url: str
    sources: dict[str, FetchTaps]


class Links(NamedTuple):
    """The toxics of the links there are to be; None: no link."""

    upstream: tuple[Toxic, ...] | None
    client: tuple[Toxic, ...] | None


class MakeRelay(NamedTuple):
    """How the relay is made: by a factory of somebody else's, or with settings by ours."""

    own: RelayFactory | None
    settings: Mapping[str, Any]

    def for_upstream(self, url: str) -> Factory:
        """The factory of a relay that asks this upstream."""
        return partial(create_app, upstream=url, **self.settings) if self.own is None else partial(self.own, url)


class Apart:
    """Each server in a thread or process of its own, from now until `stop()`."""

    upstream: Server | None = None
    upstream_link: Link | None = None
    client_link: Link | None = None

    def __init__(
        self, upstream: Factory, make_relay: MakeRelay, start: Callable[[Factory], Server], links: Links
    ) -> None:
        self.make_relay = make_relay
        with contextlib.ExitStack() as failing:
            if not is_url(upstream):
                self.upstream = start(upstream)
                failing.callback(_stop_now, self.upstream)
            asked = self.upstream.url if self.upstream is not None else cast("str", upstream)
            if links.upstream is not None:
                self.upstream_link = Link(asked, down=links.upstream)
                failing.callback(self.upstream_link.stop)
                asked = self.upstream_link.url
            self.relay = start(make_relay.for_upstream(asked))
            failing.callback(_stop_now, self.relay)
            if links.client is not None:
                self.client_link = Link(self.relay.url, down=links.client)
            failing.pop_all()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Open]:
        sources: dict[str, FetchTaps] = {}
        if self.upstream is not None:
            sources["upstream"] = fetcher(self.upstream.app, self.upstream.url)
        if self.make_relay.own is None:
            sources["relay"] = fetcher(self.relay.app, self.relay.url)
        yield Open((self.client_link or self.relay).url, sources)

    def stop(self, grace_s: float | None) -> None:
        deadline = time.monotonic() + (GRACE_S if grace_s is None else grace_s)
        with contextlib.ExitStack() as stopping:  # each, whatever happens to the others; the last one first
            for link in (self.upstream_link, self.client_link):
                if link is not None:
                    stopping.callback(_stop_by, link, deadline)
            if self.upstream is not None:
                stopping.callback(self.upstream.stop, grace_s)
            stopping.callback(self.relay.stop, grace_s)


def _stop_by(link: Link, deadline: float) -> None:
    """What the servers have said may still be on the way."""
    link.stop(max(0.0, deadline - time.monotonic()))


def _stop_now(server: Server) -> None:
    server.stop(0)


class Together:
    """Both servers on the loop of whoever uses them, started by the first user and stopped by the last.

    So nothing of them is left when a loop ends, and none of them outlives it.
    """

    relay: None = None
    upstream: None = None
    upstream_link: None = None
    client_link: None = None

    def __init__(self, upstream: Factory, make_relay: MakeRelay, *, unix: bool) -> None:
        self.make_relay = make_relay
        self._upstream = upstream
        self._unix = unix
        self._pairs: dict[asyncio.AbstractEventLoop, _Pair] = {}

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Open]:
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

    async def _start(self, pair: _Pair) -> Open:
        sources = {}
        if is_url(self._upstream):
            asked = self._upstream
        else:
            app, asked = await pair.servers.enter_async_context(_on_this_loop(self._upstream, self._unix))
            sources["upstream"] = fetcher(app, asked)
        factory = self.make_relay.for_upstream(asked)
        app, url = await pair.servers.enter_async_context(_on_this_loop(factory, self._unix))
        if self.make_relay.own is None:
            sources["relay"] = fetcher(app, url)
        return Open(url, sources)

    def stop(self, grace_s: float | None) -> None:
        """Nothing runs but during a `post()`, which ends by itself."""


@dataclass(slots=True)
class _Pair:
    users: int = 0
    opened: Open | None = None
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    servers: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)


@contextlib.asynccontextmanager
async def _on_this_loop(factory: Factory, unix: bool) -> AsyncIterator[tuple[App, str]]:
    """The app that `factory` makes, serving on the running loop, and its URL."""
    with contextlib.closing(listen(unix=unix)) as listener:
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

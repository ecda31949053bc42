"""A relay in a process of its own that can be asked what lives there, and that notices its key wherever it is logged.

    with watched([URL of the upstream], ["openai", "seed"], idle_s=0.3) as relay:
        relay.census()      # tasks, descriptors, connections, memory, the loop's worst stall
        relay.lines()       # one line for each stream that has ended, as it was logged
        relay.url("seed")   # http://127.0.0.1:…/seed/ans

One app serves all presets, each below a path of its own. Its key is the canary, from the environment as any user's;
every logger of the process is at DEBUG, and every record, with its traceback, is searched for the key.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.request import ProxyHandler, build_opener

from sanic import HTTPResponse, Request, Sanic
from sanic.response import json as as_json

from campaigns.canary import LogWatch, canary_key
from streamkit.app import create_app, create_blueprint, source
from streamkit.relay.pieces import Item
from streamkit.relay.relay import Relay
from streamkit.relay.sources.source import Arriving
from streamkit.serving.server import Server, serve
from streamkit.sockets import resident_bytes
from streamkit.transport import StreamTransport

__all__ = ["Census", "Watched", "idle_process", "watched", "watched_routes"]

TICK_S: Final = 0.01
ASK_S: Final = 20.0
LOOPBACK: Final = build_opener(ProxyHandler({}))


# -- inside of the process -------------------------------------------------------------------------------------------


class Ticker:
    """A task that wants to run every 10 ms: how late it was at worst is how long the loop had no time for anybody.

    `own_s` is the worst without the time for which this thread was ready and had no CPU (proc_pid_schedstat, Linux):
    on a busy machine every process is late, whatever its loop does.
    """

    def __init__(self) -> None:
        self.worst_s = self.own_s = 0.0

    async def run(self) -> None:
        with _schedstat() as waited_s:
            while True:
                due, before_s = time.monotonic() + TICK_S, waited_s()
                await asyncio.sleep(TICK_S)
                late_s = time.monotonic() - due
                self.worst_s = max(self.worst_s, late_s)
                self.own_s = max(self.own_s, late_s - (waited_s() - before_s))

    def forget(self) -> None:
        self.worst_s = self.own_s = 0.0


@contextmanager
def _schedstat() -> Iterator[Callable[[], float]]:
    """A function that tells for how many seconds this thread has waited for a CPU; 0 where the kernel does not say."""
    try:
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        yield lambda: 0.0
        return
    try:
        yield lambda: int(os.pread(file, 100, 0).split()[1]) / 1e9
    finally:
        os.close(file)


@dataclass(frozen=True)
class Census:
    """What lives in a process, and how long its loop was held up since it was last asked to forget that."""

    tasks: int
    descriptors: int
    live: int
    connections: int
    idle_connections: int
    resident_bytes: int
    peak_bytes: int
    stall_s: float
    own_stall_s: float
    leaked: list[str]
    alarms: list[str]
    working: int = 0
    """Processes below this one that want a CPU."""

    def is_back_to(self, start: Census) -> bool:
        """No more tasks, descriptors, streams and connections than there were."""
        return all(now <= then for now, then in zip(self.counts, start.counts, strict=True))

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Tasks, descriptors, streams, upstream connections; without idle ones, which are kept on purpose."""
        idle = self.idle_connections
        return self.tasks, self.descriptors - idle, self.live, self.connections - idle


def watched_relay(upstream: str, presets: Sequence[str], settings: dict[str, Any]) -> Sanic[Any, Any]:
    """The factory of the watched process."""
    app = create_app(upstream=upstream, preset=presets[0], model="some-model", **settings)
    relays: list[Relay] = []
    for name in presets:
        routes = create_blueprint(
            name=f"relay_{name}".replace("-", "_"), upstream=upstream, preset=name, model="some-model", **settings
        )
        relays.append(routes.ctx.relay)
        app.blueprint(routes, url_prefix=f"/{name}")
    return _watch(app, relays)


def _other_routes(settings: dict[str, Any]) -> Sanic[Any, Any]:
    """Those that come with streamkit, and one of somebody's own."""
    app = create_app(uses="upload,jobs,analysis", **settings)
    source(app, "/own", body="raw")(_own)
    return _watch(app, [app.ctx.relay])


async def _own(body: Arriving) -> AsyncGenerator[Item, None]:
    """Each part is told, and at last how many bytes there were."""
    async for part in body:
        yield {"came": len(part)}
    yield {"bytes": body.received, "final": True}


def nothing_else() -> Sanic[Any, Any]:
    """An app with nothing to do: what its loop is late, the machine is."""
    app: Sanic[Any, Any] = Sanic("idle", configure_logging=False)
    app.config.TOUCHUP = False
    return _watch(app, [])


def _watch(app: Sanic[Any, Any], relays: list[Relay]) -> Sanic[Any, Any]:
    ticker, logs = Ticker(), LogWatch()

    @app.after_server_start
    async def start(running: Sanic[Any, Any]) -> None:
        logs.listen()
        running.add_task(ticker.run(), name="ticker")

    @app.get("/census")
    async def census(request: Request) -> HTTPResponse:
        logs.keeping = logs.keeping or "keep" in request.args
        if "forget" in request.args:
            _forget_peak()
            ticker.forget()
        taken = _census(relays, ticker, logs)
        return as_json(asdict(taken))

    @app.get("/lines")
    async def lines(_: Request) -> HTTPResponse:
        taken, logs.lines = logs.lines, []
        return as_json(taken)

    return app


def _census(relays: list[Relay], ticker: Ticker, logs: LogWatch) -> Census:
    upstreams = [upstream for relay in relays if (upstream := relay.upstream) is not None]
    transports = [it for upstream in upstreams if isinstance(it := upstream.transport, StreamTransport)]
    return Census(
        tasks=len(asyncio.all_tasks()),
        descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208  # names are enough
        live=sum(relay.live for relay in relays),
        connections=sum(transport.open_connections for transport in transports),
        idle_connections=sum(transport.idle_connections for transport in transports),
        resident_bytes=resident_bytes() or 0,
        peak_bytes=_peak_bytes(),
        stall_s=ticker.worst_s,
        own_stall_s=ticker.own_s,
        leaked=logs.leaked[:10],
        alarms=logs.alarms[-10:],
        working=_working(os.getpid()),
    )


def _working(pid: int) -> int:
    """See proc_pid_stat(5), Linux."""
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with suppress(OSError):  # it has ended
                count += Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "R"
                count += _working(int(child))
    return count


def _forget_peak() -> None:
    """The peak counts from here (proc_pid_clear_refs(5)), and what is free is given back before (malloc_trim(3)):
    otherwise what comes next would live in the memory that others have left, and seem to need none.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    """The most that was resident (proc_pid_status(5), VmHWM, Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


# -- outside of it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watched:
    """The running process, seen from another one."""

    server: Server

    def url(self, preset: str) -> str:
        return f"{self.server.url}/{preset}/ans"

    @property
    def address(self) -> tuple[str, int]:
        return self.server.host, self.server.port

    def census(self, *, forget: bool = False, keep: bool = False) -> Census:
        """Count now. `forget`: the worst stall and the peak of memory count from here; `keep` the lines of streams."""
        query = "&".join(name for name, wanted in (("forget=1", forget), ("keep=1", keep)) if wanted)
        return Census(**self._ask(f"/census?{query}"))

    def lines(self) -> list[dict[str, Any]]:
        """The log lines of streams that have ended since this was last asked."""
        lines: list[dict[str, Any]] = self._ask("/lines")
        return lines

    def _ask(self, path: str) -> Any:
        with LOOPBACK.open(f"{self.server.url}{path}", timeout=ASK_S) as answer:
            return json.load(answer)

    def until(self, true: Callable[[Census], bool], within_s: float) -> tuple[Census, float | None]:
        """Count until `true` of the census; the last one, and after how many seconds, None if it never was."""
        began = time.monotonic()
        while True:
            now = self.census()
            passed_s = time.monotonic() - began
            if true(now):
                return now, passed_s
            if passed_s > within_s:
                return now, None
            time.sleep(0.05)


@contextmanager
def watched(upstream: str, presets: Sequence[str], **settings: float) -> Iterator[Watched]:
    """A relay for as long as the block lasts."""
    with canary_key(), serve(partial(watched_relay, upstream, tuple(presets), settings), process=True) as server:
        yield Watched(server)


@contextmanager
def watched_routes(**settings: Any) -> Iterator[Watched]:
    """The same, with all routes but that of an LLM."""
    with canary_key(), serve(partial(_other_routes, settings), process=True) as server:
        yield Watched(server)


@contextmanager
def idle_process() -> Iterator[Watched]:
    """A process with a loop that has nothing to do."""
    with serve(nothing_else, process=True) as server:
        yield Watched(server)

"""Link: a bad network between any two parties; a TCP proxy that does to the bytes what its toxics say.

    with Link(server.url, down=[Latency(100, jitter_ms=20), Bandwidth(50_000)]) as link:
        link.url                                 # connect here instead of to the server
        link.down = [Cut(after_s=2, how="rst")]  # changed while it runs: live connections, and those to come
        link.refuse(); link.accept()             # an outage
        link.cut("rst")                          # every connection, now

`up` is the direction from client to target, `down` the one back. `streamkit.lab.net.toxics` lists the toxics.

Back-pressure passes through. What a link itself holds is bounded (see `toxics`), but there are now the kernel's buffers
of two connections on the way instead of one. Connecting is not delayed; if the target refuses, the client, whose
connection was already accepted, sees a reset.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Self, TypeVar
from urllib.parse import SplitResult, urlsplit

from streamkit.errors import ServerError
from streamkit.lab.net.carrier import Carrier, Direction, Onlooker
from streamkit.lab.net.toxics import How, Toxic, check_how, check_toxics
from streamkit.serving.listener import BACKLOG, Listener
from streamkit.serving.registry import discard, enter
from streamkit.serving.runner import Runner, Stoppable
from streamkit.serving.running import StopRequest, new_loop
from streamkit.sockets import unix_path

__all__ = ["Carried", "Destination", "Link", "Passage"]

T = TypeVar("T")

HOST: Final = "127.0.0.1"
START_S: Final = 30.0
CALL_S: Final = 5.0
POLL_S: Final = 0.01
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
WANTED: Final = "expected the target as a URL such as http://127.0.0.1:8000 or http+unix://%2Ftmp%2Fa.sock"

_numbers = itertools.count(1)
_seeds = itertools.count(1)


class Carried(NamedTuple):
    """How many bytes have left a link, in each direction."""

    up: int
    down: int


class Passage(Stoppable):
    """What stands between whoever connects to `.url` and a target, and carries what passes.

    It runs in a thread of its own, until `stop()` or until it is collected; a context manager, also with `async with`.
    In IPython, running a cell again stops those that its earlier run made. `look` makes an onlooker of each connection,
    on the passage's own loop; `on_end` is called there when nothing is carried any more.

        with sk.net.Link(server.url) as link:
            link.carried
    """

    _kind = "link"

    def __init__(
        self,
        target: Destination,
        toxics: dict[Direction, tuple[Toxic, ...]],
        *,
        seed: int = 0,
        look: Callable[[], Onlooker] | None = None,
        host: str = HOST,
        port: int = 0,
        on_end: Callable[[], object] | None = None,
    ) -> None:
        carrier = Carrier(target.dial, toxics, seed, look)
        self._runner = runner = _LinkRunner(carrier, self._kind, host, on_end)
        self._carrier = carrier
        self._target = target
        enter(runner)
        runner.start(host, port, None, START_S)
        assert runner.listener is not None  # noqa: S101  # for the type checker: it has been started
        self.url: str = runner.listener.url + target.path
        weakref.finalize(self, runner.ask, 0.0).atexit = False

    @property
    def running(self) -> bool:
        """True until `stop()`."""
        return self._runner.state == "running"

    @property
    def connections(self) -> int:
        """How many connections are live."""
        return len(self._carrier.live)

    @property
    def carried(self) -> Carried:
        """How many bytes of all connections have passed, `up` and `down`."""
        return Carried(**self._carrier.carried)

    def stop(self, grace_s: float = 0.0) -> None:
        """Stop listening, give live connections `grace_s` seconds to end by themselves, cut the rest.

        Blocks until it is done, and leaves no thread and no socket. A second call does nothing, or shortens the grace.
        """
        self._runner.stop(grace_s)


class Link(Passage):
    """A bad network in front of a server: a TCP proxy that does to the bytes what its toxics say.

        with sk.serve(make_app) as server, sk.net.Link(server.url, down=[sk.net.Latency(200)]) as link:
            recording = await sk.record(f"{link.url}/ans", data={"chat_history": "hi"})

    target_url  the server behind it: `http://host:port` or `http+unix://…`. Clients connect to the link's `.url`
    up, down    the toxics from client to target, and from target to client. Both can be set at any time, from any
                thread, and take effect before the assignment returns
    seed        for the jitter: the same seed gives the same jitter to the same parts. By default each link of a process
                gets its own, in the order in which they are made (1, 2, …), since links that all wait alike cannot be
                compared; `link.seed` says which

    It runs in a thread of its own until `stop()`, the end of its `with` (or `async with`) block, or until it is
    garbage-collected. In IPython, running a cell again stops the links that its earlier run made.

    Raises ValueError for an invalid URL, TypeError for what are not toxics.
    """

    def __init__(
        self, target_url: str, *, up: Iterable[Toxic] = (), down: Iterable[Toxic] = (), seed: int | None = None
    ) -> None:
        target = Destination.of(target_url)
        if target.secure:
            raise ValueError(f"{WANTED}; not https: its certificate would not be that of the link's address")
        self.seed = next(_seeds) if seed is None else seed
        super().__init__(target, {"up": check_toxics(up), "down": check_toxics(down)}, seed=self.seed)

    @property
    def up(self) -> tuple[Toxic, ...]:
        """The toxics from client to target. Assign a list to change them."""
        return self._carrier.toxics["up"]

    @up.setter
    def up(self, toxics: Iterable[Toxic]) -> None:
        self._change("up", toxics)

    @property
    def down(self) -> tuple[Toxic, ...]:
        """The toxics from target to client. Assign a list to change them."""
        return self._carrier.toxics["down"]

    @down.setter
    def down(self, toxics: Iterable[Toxic]) -> None:
        self._change("down", toxics)

    def _change(self, direction: Direction, toxics: Iterable[Toxic]) -> None:
        checked = check_toxics(toxics)
        self._runner.call(lambda: self._carrier.change(direction, checked))

    def cut(self, how: How = "rst") -> None:
        """Cut all live connections now, by a reset or an orderly close (`"fin"`); what is on the way is lost."""
        checked = check_how(how)
        self._runner.call(lambda: self._carrier.cut(checked))

    def refuse(self) -> None:
        """Refuse new connections, as if nobody were listening, until `accept()`. Live connections go on."""
        self._runner.call(self._runner.refuse)

    def accept(self) -> None:
        """Accept connections again, at the same port."""
        self._runner.call(self._runner.accept)

    @property
    def listening(self) -> bool:
        """Whether new connections are accepted."""
        return self.running and self._runner.listening

    def __repr__(self) -> str:
        state = "refusing" if self.running and not self.listening else self._runner.state
        ways = [f"{name} {', '.join(map(repr, toxics)) or 'clear'}" for name, toxics in self._carrier.toxics.items()]
        return f"<Link {state} {self._runner.address} → {self._target}: {'; '.join(ways)}>"


class Destination:
    """Whom a passage leads to. Its text names the host alone: a path may hold a secret."""

    def __init__(self, host: str, port: int, unix: str | None, path: str, *, secure: bool = False) -> None:
        self.host = host
        self.port = port
        self.unix = unix
        self.path = path  # with the query: what follows the address in a URL
        self.secure = secure
        self.tls: ssl.SSLContext | None = None
        """Whom it trusts; to be set for one that is `secure`."""

    @classmethod
    def of(cls, url: str) -> Self:
        """The target that `url` names. Raises ValueError, which does not repeat it."""
        try:
            parts = urlsplit(url)
            unix = unix_path(parts)
            port = 80 if unix is not None else parts.port or DEFAULT_PORTS.get(parts.scheme, 80)
        except (ValueError, AttributeError, TypeError):
            raise ValueError(WANTED) from None
        if (parts.scheme not in DEFAULT_PORTS and unix is None) or not parts.hostname:
            raise ValueError(WANTED)
        if "@" in parts.netloc:
            raise ValueError(f"{WANTED}, without a user and a password: those are the client's to send")
        if unix is not None:
            return cls("", 0, unix, _tail(parts))
        return cls(parts.hostname, port, None, _tail(parts), secure=parts.scheme == "https")

    @property
    def authority(self) -> str:
        """As a request names it in its Host: without the port that its scheme has by itself."""
        if self.unix is not None:
            return "localhost"
        usual = self.port == DEFAULT_PORTS["https" if self.secure else "http"]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if usual else f"{host}:{self.port}"

    async def dial(self, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        """Connect. Raises OSError."""
        loop = asyncio.get_running_loop()
        if self.unix is not None:
            await loop.create_unix_connection(protocol, self.unix)
        else:
            await loop.create_connection(protocol, self.host, self.port, ssl=self.tls)

    def __str__(self) -> str:
        if self.unix is not None:
            return self.unix
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _tail(parts: SplitResult) -> str:
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


class _LinkRunner(Runner):
    """The thread and the loop of a passage: asyncio's own, whose timers know no whole milliseconds."""

    kind = "link"

    def __init__(self, carrier: Carrier, name: str, host: str, on_end: Callable[[], object] | None) -> None:
        super().__init__(f"{name}-{next(_numbers)}", "asyncio", 0.0, discard)
        self._told_end = on_end
        self._host = host
        self._carrier = carrier
        self._request = StopRequest()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.listening = False

    @property
    def address(self) -> str:
        return f"{self._host}:{self.listener.port}" if self.listener is not None else self._host

    def ask(self, grace_s: float) -> None:
        self._request.ask(grace_s)

    def call(self, do: Callable[[], T]) -> T:
        """Do this on the link's loop, from any thread, and wait until it is done."""
        if threading.current_thread() is self._thread:
            return do()
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def fulfil() -> None:
            try:
                done.set_result(do())
            except BaseException as error:  # noqa: BLE001  # whoever called gets it
                done.set_exception(error)

        stopped = ServerError(f"this {self.name.partition('-')[0].title()} was stopped: make a new one")
        if self.state != "running" or self._loop is None:
            raise stopped
        try:
            self._loop.call_soon_threadsafe(fulfil)
        except RuntimeError:  # the loop is closed
            raise stopped from None
        if not concurrent.futures.wait([done], CALL_S).done:
            raise stopped
        return done.result()

    def refuse(self) -> None:
        """Close the listening socket. Another one, bound but not listening, keeps its port."""
        if not self.listening:
            return
        assert self.listener is not None  # noqa: S101  # for the type checker: it has been started
        self.listening = False
        before, port = self.listener.sock, self.listener.port
        family, address = before.family, before.getsockname()
        self._carrier.refuse(before)
        self.listener.close()
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.listener = Listener(sock, self._host, port)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)

    def accept(self) -> None:
        """Listen."""
        if self.listening:
            return
        assert self.listener is not None  # noqa: S101  # for the type checker: it has been started
        sock = self.listener.sock
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._carrier.accept(sock)
        self.listening = True

    def _launch(self, listener: Listener) -> None:
        del listener
        self._thread.start()

    def _serve(self, listener: Listener) -> None:
        del listener
        self._loop = new_loop(self.loop)
        try:
            self._loop.run_until_complete(self._until_asked())
        finally:
            self._loop.close()
            if self._told_end is not None:
                self._told_end()

    async def _until_asked(self) -> None:
        try:
            self.accept()
            self._is_ready()
            await self._request.wait()
            self.refuse()
            while self._carrier.live and self._request.remaining_s() > 0:  # noqa: ASYNC110  # the grace may be shortened
                await asyncio.sleep(POLL_S)
        finally:
            self.refuse()
            await self._carrier.close()

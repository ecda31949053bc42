"""How Redis is spoken to: one connection on which everything that is asked meanwhile goes in one write.

ask(…) ──▶ waiting ─┐                      ┌─▶ each one's future
                    ├─ a round: one write ─┤         and what comes during a round goes with the next one
gather() ──▶ bursts ┘     all replies      └─▶ `done` of the bursts

redis-py connects, authenticates, speaks TLS and the protocol; its client and pipelines are left out, for they cost more
than a whole event of the relay.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import urlsplit

from streamkit.errors import ConfigError
from streamkit.relay.failure import Failed
from streamkit.relay.replay.end import STORE_LOST

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

__all__ = ["COMMAND_S", "Address", "Command", "Commands", "Request", "Socket"]

log = logging.getLogger("streamkit.relay")

COMMAND_S: Final = 2.0
"""A server that takes longer for a round, or for a connection, is lost."""
ROUND_S: Final = 0.002
"""Rounds of bursts alone begin no sooner after one another: one for each event would cost twice what the event does."""

Command: TypeAlias = tuple[str | bytes | int, ...]


class Address:
    """A URL of redis-py (`redis://`, `rediss://`, `unix://`), understood. Shows no password.

    Raises ConfigError for a URL that is none, and where redis-py is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import hiredis
            from redis.asyncio.connection import Connection, parse_url
        except ImportError:
            raise ConfigError("streams are to be kept in Redis, but redis-py is not installed; "
                              "pip install 'streamkit[redis]'") from None  # fmt: skip
        # Its stubs know tuples of one.
        self.pack: Callable[[Command], bytes] = cast("Any", hiredis.pack_command)
        try:
            _check(url)
            told: dict[str, Any] = {**parse_url(url)}
            told.pop("max_connections", None)
            self._kind: Any = told.pop("connection_class", Connection)
            # Deadlines are those of whole rounds; protocol and decoding what `redis_keys` counts on.
            told |= {"socket_timeout": None, "socket_connect_timeout": COMMAND_S}
            told |= {"protocol": 2, "decode_responses": False, "health_check_interval": 0}
            self._told = told
            self.connection()
        except (ValueError, TypeError, AttributeError):
            raise ConfigError(
                "expected the URL of a Redis server, such as redis://127.0.0.1:6379/0, rediss://… or unix:///path, "
                "got one that redis-py does not understand (not shown: it may hold a password)"
            ) from None

    def connection(self) -> AbstractConnection:
        """A new one, not connected yet."""
        made: AbstractConnection = self._kind(**self._told)
        return made

    def __repr__(self) -> str:
        told = self._told
        where = told.get("path") or f"{told.get('host', 'localhost')}:{told.get('port', 6379)}"
        return f"<Redis at {where}>"


def _check(url: str) -> None:
    """What redis-py passes over. Raises ValueError."""
    parts = urlsplit(url)
    path = parts.path.strip("/")
    if (not path) if parts.scheme == "unix" else (not parts.hostname or not (path.isdecimal() or not path)):
        raise ValueError(parts.scheme)


class Socket:
    """One connection, made when it is needed. Commands and their replies, in order; one caller at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: AbstractConnection | None = None

    async def exchange(self, packed: Sequence[bytes], within_s: float = COMMAND_S) -> list[Any]:
        """The reply to each; one that is an error is that exception. Raises Failed (`STORE_LOST`) where they do not all
        come in time; the connection is closed then, as it is where this is cancelled.
        """
        from redis.exceptions import RedisError, ResponseError

        try:
            async with asyncio.timeout(within_s):
                connection = self._connection
                if connection is None:
                    connection = self._connection = self._address.connection()
                    await cast("Any", connection).connect()  # it has no hints
                await connection.send_packed_command(packed, check_health=False)
                replies: list[Any] = []
                for _ in packed:
                    try:
                        replies.append(await connection.read_response())
                    except ResponseError as error:
                        replies.append(error)
                return replies
        except (RedisError, OSError, TimeoutError) as error:
            await self.close()
            # Its type alone: the texts of redis-py name the server.
            raise Failed(STORE_LOST) from RuntimeError(type(error).__name__)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.disconnect(nowait=True)


@dataclass(slots=True)
class Request:
    """Commands, and who gets their replies; `None`: they were lost."""

    commands: Sequence[Command]
    done: Callable[[list[Any] | None], object]


class Commands:
    """Rounds of commands on one connection. `gather` gives what is to go first with each round; `lost` is called when
    the server was lost, before anybody who asked is told.
    """

    def __init__(self, address: Address, gather: Callable[[], list[Request]], lost: Callable[[], object]) -> None:
        self._pack = address.pack
        self._socket = Socket(address)
        self._gather = gather
        self._lost = lost
        self._waiting: list[Request] = []
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_s = 0.0
        self._down = False
        self._refused: set[str] = set()

    def start(self) -> None:
        self._wanted, self._timer = asyncio.Event(), None  # of this loop
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._timer is not None:
            self._timer.cancel()
        await self._socket.close()
        self._give_up(self._waiting)

    def wake(self) -> None:
        """There is something to gather: now, or, where rounds are frequent, with others a little later."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._last_s + ROUND_S), self._wanted.set)

    async def ask(self, *commands: Command) -> list[Any]:
        """Their replies. Raises Failed (`STORE_LOST`), also for a reply that is an error: no command is wrong."""
        if self._task is None:
            raise Failed(STORE_LOST)
        future: asyncio.Future[list[Any] | None] = asyncio.get_running_loop().create_future()

        def done(replies: list[Any] | None) -> None:
            if not future.done():
                future.set_result(replies)

        self.send(Request(commands, done))
        replies = await future
        if replies is None:
            raise Failed(STORE_LOST)
        for reply in replies:
            if isinstance(reply, Exception):
                self._say_refused(str(reply).partition(" ")[0])
                raise Failed(STORE_LOST)
        return replies

    def _say_refused(self, code: str) -> None:
        """Once for each kind, such as NOPERM."""
        if code not in self._refused:
            self._refused.add(code)
            log.error("the store of resumable streams refused a command: %s", code)

    def send(self, request: Request) -> None:
        self._waiting.append(request)
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._last_s = asyncio.get_running_loop().time()
            requests = [*self._gather(), *self._waiting]
            self._waiting = []
            if requests:
                try:
                    await self._round(requests)
                except asyncio.CancelledError:
                    self._give_up(requests)
                    raise

    async def _round(self, requests: list[Request]) -> None:
        packed = [self._pack(command) for request in requests for command in request.commands]
        try:
            replies = await self._socket.exchange(packed)
        except Failed as failed:
            if not self._down:
                # The type of the error alone: its text, and what a traceback quotes, may hold the URL.
                log.error("the store of resumable streams cannot be reached: %s", failed.__cause__)  # noqa: TRY400
            self._down = True
            self._lost()
            self._give_up(requests)
            return
        if self._down:
            log.warning("the store of resumable streams is back")
        self._down = False
        at = 0
        for request in requests:
            end = at + len(request.commands)
            request.done(replies[at:end])
            at = end

    def _give_up(self, requests: list[Request]) -> None:
        for request in requests:
            request.done(None)

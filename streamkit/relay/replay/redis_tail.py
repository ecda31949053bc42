"""Tail: what comes of streams that other workers produce, for all of this worker's readers: one blocked read.

A connection of its own, for on a blocked one nothing else is answered. Who joins what it reads, or is asked something,
writes to the worker's own control stream, which is read too: that wakes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from streamkit.relay.failure import Failed
from streamkit.relay.replay.end import STORE_LOST, StreamEnd
from streamkit.relay.replay.redis_commands import COMMAND_S, Address, Command, Socket
from streamkit.relay.replay.redis_keys import control_key, entry, log_key
from streamkit.relay.replay.redis_log import RedisLog

__all__ = ["Tail"]

logger = logging.getLogger("streamkit.relay")

BLOCK_S: Final = 5.0
"""How long one read waits. Its connection's patience is longer."""
ENTRIES: Final = 128
"""Of each stream, in one read."""
AGAIN_S: Final = 0.2
"""Between two attempts where Redis cannot be reached."""


class Tail:
    """`followed` are the logs to be read, by id; `asked` is given the words that others send to `worker()`, and `lost`
    called when Redis cannot be reached.
    """

    def __init__(
        self,
        address: Address,
        worker: Callable[[], str],
        asked: Callable[[bytes, str], object],
        lost: Callable[[], object],
    ) -> None:
        self.followed: dict[str, RedisLog] = {}
        self._pack = address.pack
        self._socket = Socket(address)
        self._worker = worker
        self._asked = asked
        self._lost = lost
        self._heard = "0"  # up to which word of the control stream
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._socket.close()

    async def _run(self) -> None:
        worker = ""
        while True:
            if worker != self._worker():
                worker, self._heard = self._worker(), "0"
            try:
                await self._read(control_key(worker))
            except Failed:
                await self._look_for_redis()

    async def _look_for_redis(self) -> None:
        """It may be this connection alone that broke, and then nothing was lost: what has not been read is there."""
        try:
            await self._socket.exchange([self._pack(("PING",))])
        except Failed:
            self._lost()
            await asyncio.sleep(AGAIN_S)

    async def _read(self, control: str) -> None:
        followed = dict(self.followed)
        keys = [log_key(stream_id) for stream_id in followed]
        places = [f"{log.last}-0" for log in followed.values()]
        block_ms = round(BLOCK_S * 1000)
        command: Command = (
            "XREAD",
            "COUNT",
            ENTRIES,
            "BLOCK",
            block_ms,
            "STREAMS",
            control,
            *keys,
            self._heard,
            *places,
        )
        (reply,) = await self._socket.exchange([self._pack(command)], BLOCK_S + COMMAND_S)
        if isinstance(reply, Exception):
            await self._socket.close()
            await asyncio.sleep(AGAIN_S)
            return
        by_key = dict(zip((key.encode() for key in keys), followed.values(), strict=True))
        for key, entries in reply or ():
            log = by_key.get(key)
            if log is None:
                self._hear(entries)
            elif log.end is None:
                self._came(log, entries)

    def _hear(self, entries: list[Any]) -> None:
        for number, fields in entries:
            self._heard = number.decode()
            self._asked(fields[0], fields[1].decode())

    def _came(self, log: RedisLog, entries: list[Any]) -> None:
        try:
            for raw in entries:
                log.came(entry(raw))
        except (ValueError, LookupError, TypeError):
            logger.error("a log in Redis holds what is none of ours")  # noqa: TRY400  # a traceback would quote it
            log.close(StreamEnd(STORE_LOST))

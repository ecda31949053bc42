"""The event loop's end of what jobs say: a Unix socket that those who work connect to, and their messages.

`expect` gives out a token. Who connects and says it is told to begin, and what it says from then on is what `expect`
promised for it. That is read when somebody asks for more, and not before: what is said beyond that waits in the
kernel's buffer, and then the job waits.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Final

from streamkit.errors import ConfigError
from streamkit.jobs.messages import GO, Message, MessageParser

__all__ = ["Intake", "Messages"]

READ_BYTES: Final = 1 << 16
TOKEN_BYTES: Final = 32
GREETING_S: Final = 10.0
"""How long whoever connects may take to say its token."""
FULL_S: Final = 0.1
"""How long nobody is let in when this process has no descriptor left."""


class Messages:
    """What one job says, where it is worked on. To be closed."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._parser = MessageParser()

    async def read(self) -> list[Message] | None:
        """What came since the last time, waiting for it; None at the end. Raises ValueError for what is no message."""
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while data := await loop.sock_recv(self._connection, READ_BYTES):
                if said := self._parser.feed(data):
                    return said
        return None

    def hang_up(self) -> None:
        """Nothing more is wanted: what has come can still be read, and then it is at its end."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Whoever still speaks gets an error."""
        self._connection.close()


class Intake:
    """Where those who work connect to; to be opened, used and closed in one loop. `address` is for `jobs.work`.

    The socket lies in a folder of its own that nobody else may enter.
    """

    def __init__(self) -> None:
        self.address = ""
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._expected: dict[str, asyncio.Future[Messages | None]] = {}

    async def open(self) -> None:
        """Raises ConfigError where the folder for temporary files has too long a name for a socket in it."""
        self.address = str(Path(tempfile.mkdtemp(prefix="streamkit-")) / "jobs")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)
        try:
            self._listener.bind(self.address)
        except OSError as error:
            await self.close()
            raise ConfigError(
                f"expected TMPDIR as a folder that can hold a socket: {error}; use a shorter one"
            ) from None
        self._listener.listen(socket.SOMAXCONN)
        self._begin(self._accept(self._listener))

    async def close(self) -> None:
        """Nobody is let in any more; what is open stays so."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
            shutil.rmtree(os.path.dirname(self.address), ignore_errors=True)  # noqa: PTH120  # a text as it is
            self._listener = None

    def expect(self) -> tuple[str, asyncio.Future[Messages | None]]:
        """A token for one job, and its messages to be; None may be set in their place, or they may be cancelled."""
        token = secrets.token_hex(TOKEN_BYTES // 2)
        messages: asyncio.Future[Messages | None] = asyncio.get_running_loop().create_future()
        self._expected[token] = messages
        messages.add_done_callback(lambda _: self._expected.pop(token, None))
        return token, messages

    def _begin(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(FULL_S)
            else:
                self._begin(self._greet(connection))

    async def _greet(self, connection: socket.socket) -> None:
        messages = Messages(connection)
        try:
            async with asyncio.timeout(GREETING_S):
                awaited = self._expected.pop(await _token(connection))
                await asyncio.get_running_loop().sock_sendall(connection, GO)
            awaited.set_result(messages)
        except (KeyError, OSError, asyncio.InvalidStateError):  # TimeoutError too; or nobody waits for it any more
            messages.close()
        except asyncio.CancelledError:
            messages.close()
            raise


async def _token(connection: socket.socket) -> str:
    """What it says first, a token and the end of the line; no more than that is read."""
    said = b""
    while len(said) <= TOKEN_BYTES:
        data = await asyncio.get_running_loop().sock_recv(connection, TOKEN_BYTES + 1 - len(said))
        if not data:
            break
        said += data
    return said.decode("ascii", "replace").removesuffix("\n")

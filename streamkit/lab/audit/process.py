"""A command that runs while a block does: a process group of its own, and the end of what it says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Final, Self

from streamkit.errors import ServerError

__all__ = ["Command"]

KEPT_BYTES: Final = 65_536
"""Of what it says, the last."""
STOP_S: Final = 5.0


class Command:
    """`async with Command(["sleep", "1"]).running() as command: command.pid`.

    What it says, on stdout and stderr, is read all the time, so that it never waits for us, and its end is kept.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._said = bytearray()
        self._process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        """Its process, and its group."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.returncode

    @property
    def said(self) -> str:
        """The end of what it has said so far."""
        return self._said.decode(errors="replace")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Behind the block its whole group is gone: asked first, killed after 5 s.

        Raises ServerError if there is no such program.
        """
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                process_group=0,
            )
        except OSError as error:
            raise ServerError(f"{self._words[0]!r} cannot be started: {error.strerror}") from error
        reading = asyncio.create_task(self._read())
        try:
            yield self
        finally:
            await asyncio.shield(self._end(reading))

    async def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101  # for the type checker: it is a pipe
        while data := await stdout.read(KEPT_BYTES):
            self._said += data
            del self._said[:-KEPT_BYTES]

    async def _end(self, reading: asyncio.Task[None]) -> None:
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_S)
        except TimeoutError:
            pass
        finally:
            self._signal(signal.SIGKILL)  # those that it has started, too
        await self._process.wait()
        reading.cancel()
        await asyncio.wait([reading])

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

"""Sending: a request's body as it is sent, made of what the caller gives.

    sending = Sending(content)          # bytes, text, an iterator of bytes, an async one, or a file
    httpx2.Request("POST", url, content=sending.content)
    await sending.aclose()              # in every case, when nothing is sent any more

Bytes and text are sent as they are. All else is asked for one part at a time, and for the next one when the kernel has
that: the network's back-pressure reaches whoever makes the bytes. An iterator that is not asynchronous, and a file, are
asked in a thread, so that the answer is read meanwhile, whatever they wait for.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Final

__all__ = ["Sending"]

FILE_BYTES: Final = 256 << 10
"""How much of a file is read at a time."""
_END: Final = object()


class Sending:
    """What is sent as `content` of a request.

    content  what to give httpx2 for it: bytes, or an asynchronous iterable of bytes; None for no body
    length   how many bytes that will be, where an open file says so
    raised   what the caller's iterator raised, if it did: that is the caller's error, whatever it looks like

    Raises TypeError for what is neither.
    """

    def __init__(self, content: Any) -> None:
        self.content: bytes | AsyncIterable[bytes] | None
        self.length: int | None = None
        self.raised: BaseException | None = None
        self._given = content
        self._parts: AsyncIterator[Any] | None = None
        self._pulling: asyncio.Future[Any] | None = None  # out of the thread in which the caller's code runs
        if content is None:
            self.content = None
        elif isinstance(content, str):
            self.content = content.encode()
        elif isinstance(content, bytes | bytearray | memoryview):
            self.content = bytes(content)
        elif isinstance(content, AsyncIterable):
            self._parts, self.content = aiter(content), _Checked(self)
        elif hasattr(content, "read"):
            _check_file(content)
            self.length = _left_bytes(content)
            self._parts, self.content = self._pulled(lambda: content.read(FILE_BYTES) or _END), _Checked(self)
        elif isinstance(content, Iterable) and not isinstance(content, Mapping):
            given = self._given = iter(content)
            self._parts, self.content = self._pulled(lambda: next(given, _END)), _Checked(self)
        else:
            raise TypeError(
                "expected bytes, text, an iterator of bytes (asynchronous or not) or a file that is open in mode 'rb' "
                f"as content, got {type(content).__name__}"
            )

    @property
    def again(self) -> bool:
        """Whether it can be sent a second time."""
        return self._parts is None

    def check(self) -> None:
        """Raise what the caller's iterator raised, if it did: the answer may have ended before that could be seen."""
        if self.raised is not None:
            raise self.raised

    async def aclose(self) -> None:
        """Close the caller's iterator, if there is one that can be; a file stays open, it is the caller's.

        Waits for an iterator that runs in a thread: nothing can stop that. Raises what closing raises.
        """
        if self._pulling is not None and not self._pulling.done():
            await asyncio.wait([self._pulling])
        if self._parts is None:
            return
        if hasattr(self._parts, "aclose"):
            await self._parts.aclose()
        if isinstance(self._given, Iterator) and not hasattr(self._given, "read") and hasattr(self._given, "close"):
            self._given.close()

    async def next(self) -> bytes:
        """The next part. Raises StopAsyncIteration behind the last one, what the caller's iterator raises, and
        TypeError for what is no bytes.
        """
        assert self._parts is not None  # noqa: S101  who has nothing to iterate has bytes
        try:
            return _as_bytes(await anext(self._parts))
        except (StopAsyncIteration, asyncio.CancelledError):
            raise
        except BaseException as error:
            self.raised = error
            raise

    async def _pulled(self, pull: Any) -> AsyncIterator[Any]:
        """What `pull` returns, called in a thread, up to the end."""
        while True:
            self._pulling = asyncio.get_running_loop().run_in_executor(None, pull)
            self._pulling.add_done_callback(_retrieve)
            part = await asyncio.shield(self._pulling)
            if part is _END:
                return
            yield part


class _Checked:
    """An asynchronous iterable of its parts, and nothing else: httpx2 looks whether content is a file."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending

    def __aiter__(self) -> _Checked:
        return self

    async def __anext__(self) -> bytes:
        return await self._sending.next()


def _as_bytes(part: object) -> bytes:
    if not isinstance(part, bytes | bytearray | memoryview):
        hint = ": encode it" if isinstance(part, str) else ""
        raise TypeError(f"expected bytes from the iterator given as content, got {type(part).__name__}{hint}")
    return bytes(part)


def _retrieve(pulling: asyncio.Future[Any]) -> None:
    """Whoever waited for it may be gone, and then its exception is nobody's."""
    if not pulling.cancelled():
        pulling.exception()


def _check_file(file: Any) -> None:
    if isinstance(file, io.TextIOBase):
        raise TypeError("expected a file that is open in mode 'rb' as content, got one of text")


def _left_bytes(file: Any) -> int | None:
    """From where it stands to its end; None where that cannot be known."""
    try:
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
    except (AttributeError, OSError, ValueError):
        return None
    return max(0, int(end) - int(here))

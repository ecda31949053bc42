"""A wire without a socket, and an exchange over it whose peer is the test."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2

from streamkit.transport import Body, Timings
from streamkit.transport.exchange import READ_AHEAD_BYTES, Exchange, Fate
from streamkit.transport.outgoing import Outgoing
from streamkit.transport.wire import Wire
from tests.rawsockets import SSE_HEAD


class StillWire(Wire):
    """Takes what is written, and reads what it is told: the n-th read came at n, and was read at n + 0.5 µs."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.written = b""
        self.full = self._paused = False
        self.reads = 0

    def tell(self, *reads: bytes) -> None:
        """The peer sends this, a read each."""
        for data in reads:
            self.reads += 1
            self.receiver.received(data, (1000 * self.reads, "kernel", 7, 1000 * self.reads + 500))

    def write(self, data: bytes | memoryview) -> bool:
        self.written += data
        self.sent_ns += 1
        return not self.full

    def take_all(self) -> None:
        """The peer takes what was written."""
        self.full = False
        self._wake_writer()

    def _blocked(self) -> bool:
        return self.full

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def is_read(self) -> bool:
        return not self._paused

    def unread_bytes(self) -> int | None:
        return 11

    def window_full_ns(self) -> int | None:
        return 13

    def stirred(self) -> bool:
        return False

    def abort(self) -> None:
        self.closed = True
        self._wake_writer()


class Message:
    """One exchange over a StillWire, with what became of its connection."""

    def __init__(
        self, content: Any = b"?", *, headers: dict[str, str] | None = None, read_ahead_bytes: int = READ_AHEAD_BYTES
    ) -> None:
        self.wire = StillWire()
        self.fates: list[Fate] = []
        self.timings = Timings()
        request = httpx2.Request("POST", "http://a.test/", content=content, headers=headers)
        self.exchange = Exchange(self.wire, Outgoing(request), 65_536, read_ahead_bytes, self._done)
        self.inbox = self.exchange.inbox

    def _done(self, exchange: Exchange, fate: Fate) -> None:
        assert exchange is self.exchange
        self.fates.append(fate)

    def asked(self, write_s: float | None = None, read_s: float | None = None) -> asyncio.Task[None]:
        """The task that sends the request and waits for the head."""
        return asyncio.create_task(self.exchange.ask(self.timings, write_s, read_s))


async def answered(*reads: bytes, read_s: float | None = None, **options: Any) -> tuple[Message, Body]:
    """A message of which the head and these reads of its body have come."""
    message = Message(**options)
    task = message.asked()
    await asyncio.sleep(0)
    message.wire.tell(SSE_HEAD, *reads)
    await task
    return message, Body(message.exchange, read_s)

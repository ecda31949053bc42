"""A request for tests, without a socket: what a relay sees of it, and what its client gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

from sanic.compat import Header

__all__ = ["Asking"]

FORM = "application/x-www-form-urlencoded"


class Asking:
    """A request, its body and its connection, as far as a relay needs them; what Sanic sends is in `sent`.

    `arrives_s` is when its body comes, `takes_s` how long each send takes.
    """

    def __init__(self, body: bytes = b"chat_history=hi", *, arrives_s: float = 0, takes_s: float = 0, **headers: str):
        self.headers = Header({"content-type": FORM, **{name.replace("_", "-"): headers[name] for name in headers}})
        self.sent = bytearray()
        self.closed = False
        room = asyncio.Event()
        room.set()
        self.protocol = SimpleNamespace(response_timeout=60.0, keep_alive_timeout=60.0, _can_write=room)
        self.app = SimpleNamespace(signal_router=SimpleNamespace(routes=()))
        self.transport = self
        self.stream = self
        self.ended = False
        self._body, self._arrives_s, self._takes_s = body, arrives_s, takes_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.sleep(self._arrives_s)
        yield self._body

    async def respond(self, **_: object) -> Asking:
        return self

    async def send(self, data: bytes, *, end_stream: bool = False) -> None:
        await asyncio.sleep(self._takes_s)
        self.sent += data
        self.ended = end_stream

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def get_extra_info(self, _: str) -> None:
        """No socket."""

    def get_write_buffer_size(self) -> int:
        return 0

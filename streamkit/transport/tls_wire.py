"""A connected socket that speaks TLS: the records are OpenSSL's, in memory; the reads and writes are a ProtocolWire's.

    loop ──data_received()──▶ stamp: now ──▶ _incoming ──▶ OpenSSL ──received(data, stamp)──▶ receiver
    loop ◀──transport.write()── _outgoing ◀── OpenSSL ◀──write(data)

By hand, because the event loops' own TLS asks OpenSSL for 256 KiB at a time, of which a read takes the memory twice,
and learns from an exception that there is no more: with one event a read, that costs more than all the rest of an
event's way. Here a read's records are handed on together, and what OpenSSL holds is bounded by a part of a large read.

The receiver is told `eof` only behind the peer's close_notify: a connection that ends without it was cut, perhaps by
somebody else than the peer (RFC 9112 section 9.8), and is `lost`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from time import monotonic_ns
from typing import Final

from streamkit.transport.wire import ProtocolWire

__all__ = ["TLSWire"]

RECORD_BYTES: Final = 16_384  # the most that a record holds (RFC 8446 section 5.1)
HANDSHAKE_S: Final = 60.0
"""How long a handshake may take where the caller sets no limit: what event loops allow."""


class TLSWire(ProtocolWire):
    """The client's end of TLS with `host`; of use after `handshake`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext, host: str) -> None:
        super().__init__(loop)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsealed = memoryview(b"")  # written, while the peer has OpenSSL negotiate anew
        self._more: asyncio.Future[None] | None = None  # the handshake waits for it
        self._shaken = False

    async def handshake(self) -> None:
        """Make the connection one of TLS. Raises ssl.SSLError, or ConnectionError; the wire is to be aborted then."""
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await self._shake()
        except TimeoutError:
            raise ConnectionAbortedError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
        self._shaken = True
        self._take(b"", monotonic_ns())  # what came behind it

    async def _shake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send()
            else:
                self._send()
                return
            if self.closed:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            self._more = self._loop.create_future()
            await self._more

    # -- what comes ----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if len(data) > self._part_bytes:
            super().data_received(data)
        else:
            self._take(data, monotonic_ns())

    def _take(self, data: bytes, now_ns: int) -> None:
        self._incoming.write(data)
        if not self._shaken:
            self._wake_handshake()
            return
        try:
            plain, ended = self._opened()
        except ssl.SSLError as error:
            self._break(error)
            return
        if plain:
            self.receiver.received(plain, (now_ns, "socket", -1, now_ns))
        if ended and not self.closed:
            self.receiver.eof()
            self.abort()
        elif self._unsealed or self._outgoing.pending:
            self._seal()
            self._wake_writer()

    def _opened(self) -> tuple[bytes, bool]:
        """What the records that are complete hold, and whether the peer ends with them."""
        read, incoming = self._tls.read, self._incoming
        parts: list[bytes] = []
        try:
            while incoming.pending:
                part = read(RECORD_BYTES)
                if not incoming.pending and part and not parts:
                    return part, False
                parts.append(part)
                if not part:
                    return b"".join(parts), True
        except ssl.SSLWantReadError:
            pass
        return b"".join(parts), False

    def eof_received(self) -> None:
        """Without a close_notify, or it would be closed."""
        self._hand_on_rest()
        self._break(None)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wake_handshake()

    def _break(self, error: Exception | None) -> None:
        if not self.closed:
            self.abort()
            self.receiver.lost(error)

    def _wake_handshake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    # -- what leaves ---------------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> bool:
        if self.closed:
            return False
        self._unsealed = memoryview(data)
        self._seal()
        return not (self.closed or self._blocked())

    def _seal(self) -> None:
        try:
            while self._unsealed:
                self._unsealed = self._unsealed[self._tls.write(self._unsealed) :]
        except ssl.SSLWantReadError:  # its turn comes behind what the peer asks for
            pass
        except ssl.SSLError as error:
            self._break(error)
        self._send()

    def _send(self) -> None:
        if self._outgoing.pending and not self.closed:
            super().write(self._outgoing.read())

    def _blocked(self) -> bool:
        return self._full or len(self._unsealed) > 0

    def _wake_writer(self) -> None:
        if self.closed or not self._blocked():
            super()._wake_writer()

    # -- its state -----------------------------------------------------------------------------------------------

    def abort(self) -> None:
        super().abort()
        self._wake_handshake()

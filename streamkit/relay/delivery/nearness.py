"""How far a client's application is behind what was written to it, and whether a state may leave for it now.

A state (`streamkit.relay.pieces.Snapshot`) is worth sending only if it is read soon: one that is written while many
older ones lie unread is old when it is looked at, and no newer one can take its place any more. A connection's own
buffers can be kept small; the buffer of the *client's* kernel is not ours, and takes megabytes before it pushes back.

Theory of operation
-------------------
    written = in our transport's buffer + in our kernel (both: `unsent_bytes`) + unread in the client's kernel + read

What is unread is known, or assumed:

known      the kernel of a client on this machine tells, as it is ours too (`peer_unread_bytes`): to the byte. Of a unix
           socket, our side counts as unsent what was not read; by the memory it takes, so rather too much
assumed    of any other client nobody tells: TCP's window does not, as Linux announces an unchanged one over 200 KB of
           unread small writes. So it is assumed that whoever shows the states reads 1,000 bytes a second of what its
           kernel has acknowledged, or one state a second where they are larger
proxied    a proxy on this machine reads at once, and holds megabytes for somebody else: so of a request that came
           through one the larger of both counts. One that does not say that it is there is taken for the client

A state leaves when it and all before it are at most `NEAR_BYTES`, or when nothing is unread: so one that reads 1,000
bytes a second is about a second behind, as long as its states are no larger than that. Beyond this machine, and behind
a proxy, one that reads more slowly falls behind; one that reads quickly gets three or four states of 280 bytes a second
instead of ten. What lies in the client's application is beyond us all.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Final

from streamkit.sockets import peer_unread_bytes, unsent_bytes

__all__ = ["NEAR_BYTES", "Nearness"]

NEAR_BYTES: Final = 1_000
ASSUMED_BYTES_PER_S: Final = 1_000


class Nearness:
    """Of the client behind `transport`, to which `wrote()` bytes were written so far (`Answer.wrote`).

        nearness = Nearness(transport, lambda: answer.wrote)
        while not nearness.may_leave(len(data)):
            await asyncio.sleep(0.02)        # no kernel tells when its queues get shorter

    Asking costs some 20 µs. `clock` is in seconds. `proxied`: somebody is known to be between it and us.
    """

    __slots__ = (
        *("_arrived", "_at_s", "_clock", "_is_told", "_per_s", "_proxied", "_sock", "_transport", "_unread"),
        "_wrote",
    )

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        wrote: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        *,
        proxied: bool = False,
    ) -> None:
        self._transport = transport
        self._sock: socket.socket | None = transport.get_extra_info("socket")
        self._proxied = proxied
        self._is_told = True  # until its kernel turns out to be another one than ours
        self._wrote = wrote
        self._clock = clock
        # What is assumed: bytes that are unread, of so many that arrived until then, and how many are read in a second
        self._unread, self._arrived, self._at_s = 0.0, wrote(), clock()
        self._per_s = ASSUMED_BYTES_PER_S

    def behind_bytes(self) -> int | None:
        """What was written and, as far as that is known, not read by the client's application; None for a connection
        that is closed.
        """
        unsent = unsent_bytes(self._transport)
        if unsent is None:
            return None
        told = self._told()
        if told is not None and not self._proxied:
            return unsent + told
        return unsent + max(told or 0, self._assumed(unsent))

    def may_leave(self, size_bytes: int) -> bool:
        """A state of this size would be read soon; or the connection is closed, and whoever writes finds that out."""
        self._per_s = max(ASSUMED_BYTES_PER_S, size_bytes)
        behind = self.behind_bytes()
        return not behind or behind + size_bytes <= NEAR_BYTES

    def _told(self) -> int | None:
        if self._sock is not None and self._sock.family == socket.AF_UNIX:
            return 0  # it is in what is unsent
        unread = peer_unread_bytes(self._sock) if self._is_told else None
        self._is_told = unread is not None
        return unread

    def _assumed(self, unsent: int) -> int:
        now_s, arrived = self._clock(), self._wrote() - unsent
        read = (now_s - self._at_s) * self._per_s
        self._unread = max(0.0, self._unread - read) + max(0, arrived - self._arrived)
        self._arrived, self._at_s = max(arrived, self._arrived), now_s
        return int(self._unread)

    def __repr__(self) -> str:
        return f"<Nearness: {self.behind_bytes()} bytes behind>"

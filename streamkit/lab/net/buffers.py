"""Networks by name, and how much vanishes into the buffers of a connection before its writer is held.

    absorbed_bytes("loopback-tcp")      # <Absorbed: 3,937,280 bytes: 66,560 in the writer's buffer, 3,758,080 in its …>
    absorbed_bytes("small-buffers")     # <Absorbed: 5,120 bytes: 1,024 in the writer's buffer, 4,096 unread>

In `Lab(network="small-buffers")` back-pressure is felt at once, and after the same byte each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from streamkit.relay.settings import Buffers
from streamkit.serving.listener import listen
from streamkit.serving.running import check_loop, new_loop
from streamkit.sockets import set_buffers, unread_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streamkit.serving.listener import Listener

__all__ = ["NETWORKS", "Absorbed", "Network", "absorbed_bytes"]


@dataclass(frozen=True, slots=True)
class Network:
    """What both hops of a lab go over: unix sockets or TCP, and the sizes of each connection's buffers.

        >>> sk.net.Network("mine", unix=True, send_buffer_bytes=8192).send_buffer_bytes
        8192

    name                  what it is called in figures and errors
    unix                  unix sockets instead of TCP
    send_buffer_bytes     SO_SNDBUF; 0 leaves it to the kernel
    write_buffer_bytes    how much a writer may have ahead of its kernel
    receive_buffer_bytes  SO_RCVBUF; 0 leaves it to the kernel
    read_ahead_bytes      how much the relay reads from the upstream ahead of its use

    Raises ValueError for a size that is not an integer >= 0.
    """

    name: str
    unix: bool = False
    send_buffer_bytes: int = 0
    write_buffer_bytes: int = 65_536
    receive_buffer_bytes: int = 0
    read_ahead_bytes: int = 65_536

    def __post_init__(self) -> None:
        for name, value in self.settings().items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"expected {name} as an integer >= 0, got {value!r}")

    @classmethod
    def of(cls, given: str | Network) -> Network:
        """The network of this name, or the `Network` given. Raises ValueError for an unknown name."""
        if isinstance(given, Network):
            return given
        if given not in NETWORKS:
            raise ValueError(f"expected a Network, or the name of one out of {', '.join(NETWORKS)}, got {given!r}")
        return NETWORKS[given]

    def settings(self) -> dict[str, int]:
        """The buffers, as settings of `create_app`."""
        return {each.name: getattr(self, each.name) for each in fields(Buffers)}


NETWORKS: Final[Mapping[str, Network]] = {
    each.name: each
    for each in (
        Network("loopback-tcp"),
        Network("small-buffers", unix=True, send_buffer_bytes=4096, write_buffer_bytes=0, read_ahead_bytes=0),
    )
}
"""`loopback-tcp` is the machine as it is; `small-buffers` holds next to nothing, and is the same to the byte each time.
SO_RCVBUF is left alone there: what lies in a unix socket is the writer's.
"""


class Absorbed(NamedTuple):
    """How many bytes were written before the writer was held, and where they lie; None: not known.

    total       in all
    buffer      in the writer's transport
    unsent      in its kernel; a unix socket has no queue there
    unread      in the reader's kernel
    """

    total: int
    buffer: int
    unsent: int | None
    unread: int | None

    def __repr__(self) -> str:
        places = ((self.buffer, "in the writer's buffer"), (self.unsent, "in its kernel"), (self.unread, "unread"))
        told = ", ".join(f"{size:,} {where}" for size, where in places if size is not None)
        return f"<Absorbed: {self.total:,} bytes: {told}>"


def absorbed_bytes(network: str | Network = "loopback-tcp", *, write_bytes: int = 1024, loop: str = "auto") -> Absorbed:
    """How much a writer can send to a reader that never reads, over such a network, before the writer is held.

        >>> sk.net.absorbed_bytes("small-buffers").total < 10_000
        True

    network       "loopback-tcp", "small-buffers", or a `Network`
    write_bytes   the size of each write
    loop          "uvloop", "asyncio" or "auto", as for `serve()`

    It is measured on a connection made for this, and blocks meanwhile. The writer is held when its transport calls
    `pause_writing`, which is what Sanic's `send()` waits for; the write that exceeded the limit is part of the number.

    On Linux, the limits are amounts of memory, not of content. On a **unix socket** each write takes a block of its own
    (here 768 bytes for up to 192 of content, 2,304 for 1,024), and another block is taken as long as those that wait
    are below the limit, twice SO_SNDBUF. All of them wait in the reader's kernel, charged to the writer. So the number
    depends on the size of the writes and on nothing else: not on time, load, or the kind of event loop. **TCP** packs
    small writes together and moves them in its own time, so the places vary a little. Its buffers also grow by
    themselves: a writer's to the third number of `net.ipv4.tcp_wmem` (4 MB), a reader's from the second number of
    `net.ipv4.tcp_rmem` (128 kB) as fast as it reads. Setting a buffer's size keeps it from growing.

    Raises ValueError for an unknown network or loop, and for writes of less than a byte.
    """
    found = Network.of(network)
    check_loop(loop)
    if write_bytes < 1:
        raise ValueError(f"expected write_bytes >= 1, got {write_bytes!r}")
    with ThreadPoolExecutor(1) as pool:  # the caller may be on a loop that is running, as in a notebook
        return pool.submit(_measure, found, write_bytes, loop).result()


def _measure(network: Network, write_bytes: int, loop: str) -> Absorbed:
    with asyncio.Runner(loop_factory=partial(new_loop, loop)) as runner, _connection(network) as (writer, reader):
        return runner.run(_fill(network, writer, reader, write_bytes))


@contextlib.contextmanager
def _connection(network: Network) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a connection, as a server and its client have them: the accepted one first."""
    with contextlib.closing(listen(unix=network.unix)) as listener, socket.socket(listener.sock.family) as reader:
        if network.receive_buffer_bytes:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, network.receive_buffer_bytes)
        reader.connect(_address(listener))
        writer, _ = listener.sock.accept()
        with writer:
            yield writer, reader


def _address(listener: Listener) -> str | tuple[str, int]:
    return (listener.host, listener.port) if listener.unix is None else listener.unix


async def _fill(network: Network, writer: socket.socket, reader: socket.socket, write_bytes: int) -> Absorbed:
    made, held = await asyncio.get_running_loop().connect_accepted_socket(_Held, writer)
    transport = cast("asyncio.WriteTransport", made)
    set_buffers(
        transport,
        send_buffer_bytes=network.send_buffer_bytes,
        write_buffer_bytes=network.write_buffer_bytes,
    )
    data = bytes(write_bytes)
    total = 0
    try:
        while not held.paused:
            transport.write(data)
            total += write_bytes
        buffer, unread = transport.get_write_buffer_size(), unread_bytes(reader)
    finally:
        transport.abort()
        await held.lost
    # Not TIOCOUTQ: it counts what has come to the reader until that is acknowledged, too.
    unsent = None if network.unix or unread is None else total - buffer - unread
    return Absorbed(total, buffer, unsent, unread)


class _Held(asyncio.Protocol):
    """Knows whether its writer is held."""

    def __init__(self) -> None:
        self.paused = False
        self.lost = asyncio.get_running_loop().create_future()

    def pause_writing(self) -> None:
        self.paused = True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # Protocol
        self.lost.set_result(None)

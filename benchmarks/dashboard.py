"""How old is what a slow dashboard reads? `python -m benchmarks.dashboard [--quick]`.

Ten times a second there is a new state of 280 bytes; the newest of those that wait leaves as soon as it may. Three
clients, one after another: 100 bytes each 100 ms with the buffers of its kernel's choice, the same with an SO_RCVBUF of
4,096, and one that reads at once. Three rules of when a state may leave:

- room: whenever the transport takes it, with small buffers on our side (SO_SNDBUF 4,096, nothing in the transport's)
- nearness: `streamkit.relay.delivery.nearness`
- assumed: the same, for a client on another machine, or behind a proxy, of whose kernel nothing is known

A state's age is counted from when it was made until its last byte was read.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.harness import table
from streamkit.relay.delivery.nearness import Nearness
from streamkit.sockets import set_buffers

__all__ = ["Ages", "main", "measure"]

STATE_BYTES: Final = 280
EVERY_S: Final = 0.1
POLL_S: Final = 0.02
RULES: Final = ("room", "nearness", "assumed")


@dataclass(frozen=True)
class Dashboard:
    """Reads `read_bytes` at a time and then pauses; `receive_buffer_bytes` 0: its kernel's choice."""

    name: str
    read_bytes: int
    pause_s: float
    receive_buffer_bytes: int = 0

    def read(self, address: tuple[str, int]) -> list[float]:
        """How old each state was when it had been read whole, in seconds; until the connection ends."""
        ages, held = [], b""
        with socket.socket() as sock:
            if self.receive_buffer_bytes:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer_bytes)
            sock.connect(address)
            while some := sock.recv(self.read_bytes):
                *whole, held = (held + some).split(b"\n")
                ages += [time.monotonic() - float(line) for line in whole]
                time.sleep(self.pause_s)
        return ages


DASHBOARDS: Final = (
    Dashboard("1 kB/s", 100, 0.1),
    Dashboard("1 kB/s, SO_RCVBUF 4096", 100, 0.1, 4096),
    Dashboard("at once", 65_536, 0.0),
)


@dataclass(frozen=True)
class Ages:
    """Of the states that one dashboard read."""

    read: int
    p50_s: float
    max_s: float


class _Elsewhere(Nearness):
    """Nobody is asked."""

    def _told(self) -> None:
        return None


async def measure(dashboard: Dashboard, rule: str, seconds: float) -> Ages:
    """The ages of what it reads within `seconds`."""
    accepted: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            accepted.set_result(transport)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    with ThreadPoolExecutor(1) as readers:
        reading = loop.run_in_executor(readers, dashboard.read, server.sockets[0].getsockname())
        transport = await accepted
        await _send(transport, rule, loop.time() + seconds)
        transport.abort()
        server.close()
        ages = await reading
    return Ages(len(ages), float(np.median(ages)), max(ages))


async def _send(transport: asyncio.Transport, rule: str, until_s: float) -> None:
    set_buffers(transport, send_buffer_bytes=4096, write_buffer_bytes=0)
    wrote = 0
    nearness = (Nearness if rule == "nearness" else _Elsewhere)(transport, lambda: wrote)
    made_s = 0.0  # the one that was sent last
    while time.monotonic() < until_s:
        newest_s = math.floor(time.monotonic() / EVERY_S) * EVERY_S
        room = not transport.get_write_buffer_size()
        may = room if rule == "room" else nearness.may_leave(STATE_BYTES)
        if newest_s > made_s and may:
            transport.write(f"{newest_s:.6f}".ljust(STATE_BYTES - 1).encode() + b"\n")
            wrote, made_s = wrote + STATE_BYTES, newest_s
        await asyncio.sleep(POLL_S)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 s for each instead of 20")
    seconds = 2.0 if parser.parse_args(arguments).quick else 20.0
    rows = [["dashboard", "rule", "states read", "age p50, s", "age max, s"]]
    for dashboard in DASHBOARDS:
        for rule in RULES:
            ages = asyncio.run(measure(dashboard, rule, seconds))
            rows.append([dashboard.name, rule, f"{ages.read}", f"{ages.p50_s:.2f}", f"{ages.max_s:.2f}"])
    print(table(rows))


if __name__ == "__main__":
    main()

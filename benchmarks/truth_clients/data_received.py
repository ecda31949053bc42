"""An asyncio.Protocol that stamps in `data_received`: the least that an event loop adds. No HTTP library."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from benchmarks.truth_clients import Job, Seen, events_of_pieces, raw_request


class Reader(asyncio.Protocol):
    """Sends its request once connected; keeps what comes, stamped."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.pieces: list[tuple[int, bytes]] = []
        self.sent_ns = 0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.WriteTransport, transport).write(self._request)  # uvloop's is no subclass of asyncio's
        self.sent_ns = time.monotonic_ns()

    def data_received(self, data: bytes) -> None:
        self.pieces.append((time.monotonic_ns(), data))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(exc)


async def run(job: Job) -> tuple[float, list[Seen]]:
    """All streams at once."""
    cpu_s = time.process_time()
    loop = asyncio.get_running_loop()

    async def follow(stream: int) -> tuple[int, Reader]:
        called_ns = time.monotonic_ns()
        request = raw_request(job, stream)
        _, reader = await loop.create_connection(lambda: Reader(request), "127.0.0.1", job.port)
        await reader.closed
        return called_ns, reader

    done = await asyncio.gather(*(follow(stream) for stream in range(job.streams)))
    cpu_s = time.process_time() - cpu_s
    return cpu_s, [
        Seen(stream, called_ns, reader.sent_ns, *events_of_pieces(reader.pieces, job.events))
        for stream, (called_ns, reader) in enumerate(done)
    ]

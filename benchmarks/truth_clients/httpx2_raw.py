"""httpx2: `async for piece in response.aiter_raw()`, a stamp for each piece."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2

from benchmarks.truth_clients import Job, Seen, chat, events_of_pieces


async def run(job: Job) -> tuple[float, list[Seen]]:
    """All streams at once on one client, after a warm-up; the pool is as large as the job."""
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:

        async def follow(stream: int | None) -> tuple[Seen, list[tuple[int, bytes]]]:
            pieces = []
            seen = Seen(stream or 0, time.monotonic_ns())
            extensions = {"trace": sent_note(seen)}
            async with client.stream("POST", job.url, json=chat(stream), extensions=extensions) as response:
                async for piece in response.aiter_raw():
                    pieces.append((time.monotonic_ns(), piece))
            return seen, pieces

        await follow(None)
        cpu_s = time.process_time()
        done = await asyncio.gather(*(follow(stream) for stream in range(job.streams)))
        cpu_s = time.process_time() - cpu_s
    for seen, pieces in done:
        seen.at_ns, _ = events_of_pieces(pieces, job.events)
    return cpu_s, [seen for seen, _ in done]


def sent_note(seen: Seen) -> Any:
    """httpcore's trace hook, noting when the request's body had been written."""

    async def note(event: str, _info: object) -> None:
        if event.endswith("send_request_body.complete"):
            seen.sent_ns = time.monotonic_ns()

    return note

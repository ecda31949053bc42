"""httpx2 in the way of most examples: `async for line in response.aiter_lines()`, a stamp for each `data:` line."""

from __future__ import annotations

import asyncio
import time

import httpx2

from benchmarks.truth_clients import Job, Seen, chat
from benchmarks.truth_clients.httpx2_raw import sent_note


async def run(job: Job) -> tuple[float, list[Seen]]:
    """All streams at once on one client, after a warm-up; the pool is as large as the job."""
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:

        async def follow(stream: int | None) -> Seen:
            at_ns = []
            seen = Seen(stream or 0, time.monotonic_ns())
            extensions = {"trace": sent_note(seen)}
            async with client.stream("POST", job.url, json=chat(stream), extensions=extensions) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        at_ns.append(time.monotonic_ns())
            seen.at_ns = at_ns[: job.events]
            return seen

        await follow(None)
        cpu_s = time.process_time()
        done = await asyncio.gather(*(follow(stream) for stream in range(job.streams)))
        cpu_s = time.process_time() - cpu_s
    return cpu_s, done

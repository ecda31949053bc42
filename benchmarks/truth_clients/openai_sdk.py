"""The openai SDK, asynchronous: a stamp for each chunk object that it hands out."""

from __future__ import annotations

import asyncio
import time

import openai

from benchmarks.truth_clients import Job, Seen


async def run(job: Job) -> tuple[float, list[Seen]]:
    """All streams at once on one client, after a warm-up. The SDK does not tell when a request has left."""
    base_url = job.url.removesuffix("/chat/completions")
    async with openai.AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0) as client:

        async def follow(stream: int | None) -> Seen:
            at_ns = []
            content = "warm-up" if stream is None else f"stream-{stream}"
            seen = Seen(stream or 0, time.monotonic_ns())
            chunks = await client.chat.completions.create(
                model="golden", messages=[{"role": "user", "content": content}], stream=True
            )
            async for _ in chunks:
                at_ns.append(time.monotonic_ns())
            seen.at_ns = at_ns[: job.events]
            return seen

        await follow(None)
        cpu_s = time.process_time()
        done = await asyncio.gather(*(follow(stream) for stream in range(job.streams)))
        cpu_s = time.process_time() - cpu_s
    return cpu_s, done

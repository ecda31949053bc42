"""aiohttp's bare loop: `async for piece in response.content.iter_any()`, a stamp for each piece, nothing else timed."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import aiohttp

from benchmarks.truth_clients import Job, Seen, chat, events_of_pieces


async def run(job: Job) -> tuple[float, list[Seen]]:
    """All streams at once on one session without a connection limit, after a warm-up."""
    tracing = aiohttp.TraceConfig()
    tracing.on_request_chunk_sent.append(_note_sent)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[tracing]) as session:

        async def follow(stream: int | None) -> tuple[Seen, list[tuple[int, bytes]]]:
            pieces = []
            seen = Seen(stream or 0, time.monotonic_ns())
            async with session.post(job.url, json=chat(stream), trace_request_ctx=seen) as response:
                async for piece in response.content.iter_any():
                    pieces.append((time.monotonic_ns(), piece))
            return seen, pieces

        await follow(None)
        cpu_s = time.process_time()
        done = await asyncio.gather(*(follow(stream) for stream in range(job.streams)))
        cpu_s = time.process_time() - cpu_s
    for seen, pieces in done:
        seen.at_ns, _ = events_of_pieces(pieces, job.events)
    return cpu_s, [seen for seen, _ in done]


async def _note_sent(_session: object, context: SimpleNamespace, _chunk: object) -> None:
    """aiohttp's own hook; it is called as the body is handed to the transport."""
    context.trace_request_ctx.sent_ns = time.monotonic_ns()

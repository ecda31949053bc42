"""Ours: `record()`, one call per stream, gathered. Only what a Recording shows to everybody is used."""

from __future__ import annotations

import asyncio
import time

from benchmarks.truth_clients import Job, Seen, chat
from streamkit.lab.client.record import record
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.trust import stated_error_ns


async def run(job: Job) -> tuple[float, list[Seen]]:
    """All streams at once, after a warm-up."""
    if not job.relay:
        await record(job.url, json=chat(None))

    async def follow(stream: int) -> tuple[int, Recording]:
        called_ns = time.monotonic_ns()
        body = {"chat_history": f"stream-{stream}"} if job.relay else chat(stream)
        return called_ns, await record(job.url, json=body, headers={"Accept": "text/event-stream"})

    cpu_s = time.process_time()
    done = await asyncio.gather(*(follow(stream) for stream in range(job.streams)))
    cpu_s = time.process_time() - cpu_s
    return cpu_s, [seen(stream, called_ns, recording, job.events) for stream, (called_ns, recording) in enumerate(done)]


def seen(stream: int, called_ns: int, recording: Recording, events: int) -> Seen:
    """The recording's pieces, brought to the monotonic clock, and what it states of itself."""
    start, summary, errors = recording.started_ns, recording.summary(), stated_error_ns(recording).tolist()
    texts = [number for number, text in enumerate(recording.events.text) if text][:events]
    return Seen(
        stream,
        called_ns,
        None if recording.sent_ns is None else start + recording.sent_ns,
        [start + recording.events.at_ns[number] for number in texts],
        [recording.events.read[number] for number in texts],
        [errors[number] for number in texts],
        {"stalls": summary.stalls, "stall_after": summary.longest_stall_after},
        [f"outcome {recording.outcome}", f"stamps {recording.stamps}", f"trust {recording.trust.level}"],
    )

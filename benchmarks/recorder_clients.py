"""The clients of `benchmarks.recorder`, each run as a process of its own: `python recorder_clients.py NAME JOB`.

A script rather than a module, so that it measures whichever streamkit stands first in PYTHONPATH. It prints what it
used as JSON: `cpu_s` of this process from the first request to the last answer; `sent_cpu_s` until all requests had
left, and `last_sent_s`, when the last one had; `peak_bytes`, the most memory it had (VmHWM of proc(5)), and how much of
that came with the run; `characters`, which all have to agree about.

All clients stamp each read, find the events and, but for the bare recvmsg loop of short events, take the text out of
them. aiohttp's is the shortest loop that does so.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import resource
import selectors
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

PATH: Final = "/v1/chat/completions"
SO_TIMESTAMPNS: Final = 35
SENT_AFTER_S: Final = 0.6
"""Of what `first_s` says until the first event: by then all requests have left, and their CPU is counted."""


def chat(stream: int | None) -> dict[str, Any]:
    content = "warm-up" if stream is None else f"stream-{stream}"
    return {"model": "golden", "messages": [{"role": "user", "content": content}], "stream": True}


async def streamkit(job: dict[str, Any]) -> dict[str, Any]:
    """`record()`, one call a stream; the texts are not kept where the job says so."""
    from streamkit.lab.client.record import record

    options: dict[str, Any] = {} if job["keep"] else {"keep_bytes": False}
    if not job["keep"] and "keep_text" in (record.__kwdefaults__ or {}):
        options["keep_text"] = False
    options |= {"max_bytes": 1 << 40, "max_events": 1 << 40}
    await record(job["url"], json=chat(None))
    marks = Marks()
    calls = [
        asyncio.ensure_future(record(job["url"], json=chat(stream), **options)) for stream in range(job["streams"])
    ]
    await marks.wait(job)
    recordings = await asyncio.gather(*calls)
    marks.end()
    assert {str(recording.outcome) for recording in recordings} == {"complete"}, recordings[0]
    sent = [recording.started_ns + (recording.sent_ns or 0) for recording in recordings]
    characters = sum(recording.summary().characters for recording in recordings)
    return marks.told(sent, characters)


async def aiohttp(job: dict[str, Any]) -> dict[str, Any]:
    """`iter_any`, `split`, `orjson`: nothing else."""
    import aiohttp as library
    import orjson

    async def sent_note(_session: object, context: Any, _chunk: object) -> None:
        context.trace_request_ctx.append(time.monotonic_ns())

    tracing = library.TraceConfig()
    tracing.on_request_chunk_sent.append(sent_note)
    async with library.ClientSession(
        connector=library.TCPConnector(limit=0), trace_configs=[tracing], timeout=library.ClientTimeout(None)
    ) as session:

        async def follow(stream: int | None, sent: list[int]) -> int:
            at_ns, texts, characters, rest = [], [], 0, b""
            async with session.post(job["url"], json=chat(stream), trace_request_ctx=sent) as response:
                async for piece in response.content.iter_any():
                    now = time.monotonic_ns()
                    *events, rest = (rest + piece).split(b"\n\n")
                    for event in events:
                        if event[:7] == b"data: {":
                            choices = orjson.loads(event[6:])["choices"]
                            text = choices[0]["delta"].get("content") or ""
                            characters += len(text)
                            at_ns.append(now)
                            if job["keep"]:
                                texts.append(text)
            return characters

        await follow(None, [])
        marks = Marks()
        sent: list[int] = []
        calls = [asyncio.ensure_future(follow(stream, sent)) for stream in range(job["streams"])]
        await marks.wait(job)
        done = await asyncio.gather(*calls)
        marks.end()
    return marks.told(sent, sum(done))


def recvmsg(job: dict[str, Any]) -> dict[str, Any]:
    """The floor: a bare loop in plain Python with the kernel's receive stamps, that only keeps what it reads."""
    body_of = re.compile(rb'"content": ?"([^"]*)"')
    host, port = job["url"].split("/")[2].split(":")
    kept: list[list[tuple[int, bytes]]] = []
    marks, sent = Marks(), []
    with selectors.DefaultSelector() as selector:
        for stream in range(job["streams"]):
            connection = socket.create_connection((host, int(port)))
            connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            body = json.dumps(chat(stream)).encode()
            head = f"POST {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            sent.append(time.monotonic_ns())
            connection.setblocking(False)
            kept.append([])
            selector.register(connection, selectors.EVENT_READ, kept[stream])
        marks.sent()
        left = job["streams"]
        while left:
            for key, _ in selector.select():
                connection = key.fileobj  # type: ignore[assignment]  # the socket registered above
                data, ancillary, _, _ = connection.recvmsg(65536, 64)
                if data:
                    seconds, nanoseconds = divmod(int.from_bytes(ancillary[0][2][:8], "little"), 1 << 63)
                    key.data.append((seconds + nanoseconds, data))
                if data.endswith(b"\r\n0\r\n\r\n") or not data:
                    selector.unregister(connection)
                    connection.close()
                    left -= 1
    marks.end()
    bodies = (b"".join(data for _, data in reads) for reads in kept)
    return marks.told(sent, sum(len(found.decode()) for body in bodies for found in body_of.findall(body)))


class Marks:
    """When what had been used."""

    def __init__(self) -> None:
        gc.collect()
        self._base_bytes = _memory("VmRSS")
        self._began_ns, self._began_s = time.monotonic_ns(), time.process_time()
        self._sent_s = self._cpu_s = self._wall_s = 0.0

    async def wait(self, job: dict[str, Any]) -> None:
        """Until all requests have left, where the server waits for so long before its first event."""
        if job["first_s"] > 1:
            await asyncio.sleep(job["first_s"] * SENT_AFTER_S)
        self.sent()

    def sent(self) -> None:
        self._sent_s = time.process_time() - self._began_s

    def end(self) -> None:
        self._cpu_s = time.process_time() - self._began_s
        self._wall_s = (time.monotonic_ns() - self._began_ns) / 1e9
        self._peak_bytes = _memory("VmHWM")

    def told(self, sent_ns: list[int], characters: int) -> dict[str, Any]:
        return {
            "cpu_s": self._cpu_s,
            "wall_s": self._wall_s,
            "sent_cpu_s": self._sent_s,
            "last_sent_s": (max(sent_ns) - self._began_ns) / 1e9,
            "peak_bytes": self._peak_bytes,
            "grown_bytes": self._peak_bytes - self._base_bytes,
            "characters": characters,
        }


def _memory(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, name
    return int(found[1]) * 1024


CLIENTS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "streamkit": streamkit,
    "aiohttp": aiohttp,
    "recvmsg": recvmsg,
}


def main() -> None:
    """Run the client named by the first argument with the job in the second."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    client, job = CLIENTS[sys.argv[1]], json.loads(sys.argv[2])
    result = asyncio.run(client(job)) if asyncio.iscoroutinefunction(client) else client(job)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()

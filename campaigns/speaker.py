"""A scripted upstream that takes its script out of the question: one process for all scripts and all presets.

    python -m campaigns.speaker campaigns.soak:script_of    # prints "ready http://…", then serves until it is killed

`script_of` finds the script in a request's body. A script without faults keeps its connection, which is used again.
`GET /log` tells what was sent since it was last asked: one `Spoken` for each answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Final, NamedTuple
from urllib.request import ProxyHandler, build_opener

from streamkit.lab.upstream import Script
from streamkit.lab.upstream.steps import Kind
from streamkit.presets import writer
from streamkit.serving.running import new_loop
from streamkit.sockets import reset_on_close, send_queue
from streamkit.transport.framing import LAST_CHUNK

__all__ = ["Spoken", "command", "main", "spoken"]

LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BACKLOG: Final = 4096
WRITE_AHEAD_BYTES: Final = 16_384
ASK_S: Final = 20.0
LOOPBACK: Final = build_opener(ProxyHandler({}))


def command(script_of: str) -> list[str]:
    """To run it with the function of that import string, such as `"campaigns.soak:script_of"`."""
    return [sys.executable, "-m", "campaigns.speaker", script_of]


@dataclass
class Spoken:
    """One answer: its script's seed, how many of its steps were written before the asker left, and the longest silence
    from the question on, while one was expected to speak; `seconds` is all of it.
    """

    seed: int
    steps: int
    written: int = 0
    silent_s: float = 0.0
    seconds: float = 0.0

    @property
    def all_written(self) -> bool:
        return self.written == self.steps


def spoken(url: str) -> list[Spoken]:
    """What the upstream at `url` has said since this was last asked."""
    with LOOPBACK.open(f"{url}/log", timeout=ASK_S) as answer:
        return [Spoken(**each) for each in json.load(answer)]


class _Write(NamedTuple):
    due_ns: int  # after the question
    kind: Kind
    data: bytes
    joined: bool = False


@lru_cache(maxsize=64)
def _writes(script: Script) -> tuple[_Write, ...]:
    steps = [_Write(step.due_ns, step.kind, step.framed, step.joined) for step in script.steps()]
    if script.faults:
        return tuple(steps)
    content_type = writer(script.preset).content_type
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    due_ns = steps[-1].due_ns if steps else 0
    return (_Write(0, "head", head), *steps, _Write(due_ns, "end", LAST_CHUNK))


class _Upstream:
    def __init__(self, script_of: Callable[[bytes], Script]) -> None:
        self._script_of = script_of
        self._log: list[Spoken] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Every question of one connection."""
        writer.transport.set_write_buffer_limits(WRITE_AHEAD_BYTES)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /log "):
                    writer.write(self._told())
                    continue
                found = LENGTH.search(head)
                assert found is not None, "expected a question with a Content-Length"
                script = self._script_of(await reader.readexactly(int(found[1])))
                await self._speak(script, reader, writer)
                if script.faults:
                    return

    def _told(self) -> bytes:
        body = json.dumps([asdict(each) for each in self._log]).encode()
        self._log.clear()
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body)

    async def _speak(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked_ns = last_ns = time.monotonic_ns()
        writes = _writes(script)
        log = Spoken(script.seed, len(writes))
        self._log.append(log)
        waiting = b""
        try:
            for write in writes:
                await _until(asked_ns + write.due_ns, write.kind, reader)
                waiting += write.data
                if not write.joined:
                    await _out(write.kind, waiting, writer)
                    waiting = b""
                now_ns = time.monotonic_ns()
                log.silent_s = max(log.silent_s, (now_ns - last_ns) / 1e9)
                last_ns = now_ns
                log.written += 1
        finally:
            log.seconds = (time.monotonic_ns() - asked_ns) / 1e9
            log.silent_s = max(log.silent_s, (time.monotonic_ns() - last_ns) / 1e9)


async def _until(due_ns: int, kind: Kind, reader: asyncio.StreamReader) -> None:
    """Until it is due. Raises ConnectionResetError if the asker leaves meanwhile."""
    wait_s = None if kind == "silence" else (due_ns - time.monotonic_ns()) / 1e9
    if wait_s is not None and wait_s <= 0:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            await reader.read(1)
            raise ConnectionResetError


async def _out(kind: Kind, data: bytes, writer: asyncio.StreamWriter) -> None:
    if writer.is_closing():
        raise ConnectionResetError
    writer.write(data)
    await writer.drain()
    if kind == "rst":
        while any(send_queue(writer.transport)):  # noqa: ASYNC110  # a reset destroys what has not arrived
            await asyncio.sleep(0.001)
        reset_on_close(writer.transport)


async def _run(script_of: Callable[[bytes], Script]) -> None:
    server = await asyncio.start_server(_Upstream(script_of).serve, "127.0.0.1", 0, backlog=BACKLOG)
    print(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main(name: str) -> None:
    """Serve until the process ends."""
    module, _, attribute = name.partition(":")
    script_of: Callable[[bytes], Script] = getattr(importlib.import_module(module), attribute)
    with asyncio.Runner(loop_factory=partial(new_loop, "auto")) as runner, contextlib.suppress(KeyboardInterrupt):
        runner.run(_run(script_of))


if __name__ == "__main__":
    main(sys.argv[1])

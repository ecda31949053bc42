"""Streams that are cut behind each byte of their answer, and asked for again: what comes back is the text, once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from streamkit.lab.audit.bench import Bench
from streamkit.lab.audit.scenarios import Scenario
from streamkit.lab.audit.witness import AuditFact, AuditFinding, Judgement
from streamkit.lab.client.record import record
from streamkit.lab.client.resume import Resume
from streamkit.lab.findings.words import listed, many
from streamkit.lab.recording.recording import Recording
from streamkit.lab.upstream import Script

__all__ = ["Came", "cut_everywhere", "judge_resuming", "offers", "resuming"]

READ_BYTES: Final = 65_536
AT_ONCE: Final = 4
LIMIT_S: Final = 5.0
AGAIN: Final = Resume(attempts=3, backoff_ms=1, max_wait_ms=20)
NOT_OFFERED: Final = "not offered"


@dataclass(frozen=True)
class Came:
    """What came of a stream that was cut behind so many bytes of its first answer, head included: how many events it
    `had` by then, the `text` in the end, and whether that looks `complete`.
    """

    cut: int
    had: int
    text: str
    complete: bool


def resuming(preset: str) -> Scenario:
    """A short stream, for it is cut at every byte."""
    pieces = ("床前", "明月光", " the", " moon", " 🌙", " shines")
    return Scenario(name="cut at every byte", aspect="resuming", script=Script(pieces, 2, 1, preset=preset))


def offers(recording: Recording) -> bool:
    """Whether an answer says by what to go on: its events have ids, or it is text with a Location and ranges."""
    ranges = "bytes" in recording.headers.get("accept-ranges", "").lower()
    return any(recording.events.id) or (ranges and "location" in recording.headers)


async def cut_everywhere(bench: Bench, scenario: Scenario, every: int = 1) -> tuple[list[Came], int]:
    """Cut behind each byte (or each so many), and resume; and how often the upstream was asked meanwhile."""
    async with _Cutter.to(bench.running.url) as first:
        await record(first.url, **bench.question(scenario.script), total_s=LIMIT_S)
        length = first.carried
    places = iter(range(1, length, every))
    before = bench.asked()
    came: list[Came] = []

    async def work() -> None:
        async with _Cutter.to(bench.running.url) as cutter:
            for place in places:
                cutter.cut_behind(place)
                request = bench.question(scenario.script)
                recording = await record(cutter.url, **request, total_s=LIMIT_S, resume=AGAIN)
                had = recording.cuts[0].event if recording.cuts else 0
                came.append(Came(place, had, recording.text, recording.outcome.ok))

    async with asyncio.TaskGroup() as workers:
        for _ in range(AT_ONCE):
            workers.create_task(work())
    return sorted(came, key=lambda each: each.cut), bench.asked() - before


def judge_resuming(scenario: Scenario, came: Sequence[Came], asked: int = 0) -> Judgement:
    """What goes on, goes on to the whole text. What does not go on anywhere, and says so, is not offered."""
    said = scenario.script.text
    whole = [each for each in came if each.complete and each.text == said]
    broken = [each for each in came if not each.complete and said.startswith(each.text)]
    if not came or (not any(each.had for each in whole) and len(whole) + len(broken) == len(came)):
        return Judgement.of(scenario, (), unjudged=NOT_OFFERED)
    if wrong := [each for each in came if each not in whole]:
        shown = listed([f"after byte {each.cut} {_how(each, said)}" for each in wrong])
        told = f"{len(wrong)} of {many(len(came), 'cut')}: {shown}"
        return Judgement.of(scenario, [AuditFinding("resumed_wrongly", scenario.name, told)])
    fact = f"{many(len(came), 'cut')}, each went on to the whole text"
    again = f"; the upstream was asked {asked - len(came)} times more than that" if asked > len(came) else ""
    return Judgement.of(scenario, [AuditFact("resuming", scenario.name, fact + again)])


def _how(came: Came, said: str) -> str:
    looks = "complete" if came.complete else "broken"
    return f"{looks}, {len(came.text)} of {many(len(said), 'character')}"


class _Cutter:
    """A way to the gateway that ends its next connection behind so many bytes of answer, and carries all others."""

    def __init__(self, target: str) -> None:
        self._parts = urlsplit(target)
        self._cut: int | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self.carried = 0
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, target: str) -> AsyncIterator[_Cutter]:
        cutter = cls(target)
        server = await asyncio.start_server(cutter._carry, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        cutter.url = urlunsplit(("http", f"127.0.0.1:{port}", cutter._parts.path, cutter._parts.query, ""))
        try:
            yield cutter
        finally:
            server.close()
            for task in cutter._carrying:
                task.cancel()
            if cutter._carrying:
                await asyncio.wait(cutter._carrying)

    def cut_behind(self, size_bytes: int) -> None:
        """Of the next connection."""
        self._cut, self.carried = size_bytes, 0

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        room, self._cut = self._cut, None
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # for the type checker: a handler is one
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):  # a stream's task may not end as cancelled
            there, back = await asyncio.open_connection(self._parts.hostname, self._parts.port)
            asking = asyncio.create_task(_pour(reader, back))
            try:
                while data := await there.read(READ_BYTES):
                    kept = data if room is None else data[:room]
                    writer.write(kept)
                    self.carried += len(kept)
                    room = None if room is None else room - len(kept)
                    if room == 0:
                        await writer.drain()
                        break
            finally:
                asking.cancel()
                back.close()
                writer.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)

"""Streams that are cut and resumed, ours beside the two packages of PyPI: what comes back, and is it all?

Each contender gets the same: a producer without pauses (it gives the loop a turn after each piece, as whoever reads a
socket does), a reader who takes so many pieces and leaves, and who comes back at once for the rest. Every piece has its
number, so that what is missing and what came twice can be told.

ours                      over HTTP: the relay in a process of its own, asked of an upstream in this one; the reader's
                          connection is closed, and it comes back with the cursor of its last event
resumable-stream          0.2, as a library, in this loop: no HTTP is between it and its reader, which is to its favour.
                          Resumed by the number of characters. Its context is made of connected clients: made of a URL,
                          as its README has it, it raises TypeError
fastapi-resumable-stream  0.2, the same. Resumed by the number of pieces
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final, Protocol

import httpx2
import orjson

from benchmarks.harness import started
from benchmarks.relay import our_command

__all__ = [
    "PACKAGES",
    "FastAPIResumableStream",
    "Ours",
    "ResumableStream",
    "Tally",
    "Told",
    "cut_and_resume",
    "upstream",
]

HANG_S: Final = 2.0
"""Without a piece, and without an end: `resumable-stream` looks after 30 s whether the stream is over, and then ends as
if all had come.
"""
PACKAGES: Final = {"resumable-stream": "resumable_stream", "fastapi-resumable-stream": "fastapi_resumable_stream"}


@dataclass(frozen=True)
class Script:
    """A producer: so many pieces, behind which it ends or `fails`."""

    pieces: int
    fails: bool = False

    def expected(self) -> list[str]:
        return [f"w{number} " for number in range(self.pieces)]

    async def run(self) -> AsyncGenerator[str, None]:
        for piece in self.expected():
            yield piece
            await asyncio.sleep(0)
        if self.fails:
            raise RuntimeError("the producer failed")


class Told(Exception):
    """The reader was told that this is not the whole."""


class Contender(Protocol):
    """Both give the pieces until the stream's end, and raise Told where it ends otherwise."""

    def begin(self, name: str, script: Script) -> AsyncGenerator[str, None]:
        """A new stream, and its first reader."""

    def resume(self, name: str, got: Sequence[str]) -> AsyncGenerator[str, None]:
        """The same stream for somebody who has `got` its first pieces."""


# -- ours ------------------------------------------------------------------------------------------------------------


class Ours:
    """The relay at `url`."""

    def __init__(self, url: str, client: httpx2.AsyncClient) -> None:
        self._url = url
        self._client = client
        self._cursors: dict[str, str] = {}

    def begin(self, name: str, script: Script) -> AsyncGenerator[str, None]:
        question = {"chat_history": f"pieces-{script.pieces}-fails-{int(script.fails)}"}
        return self._read(name, "POST", f"{self._url}/ans", data=question)

    def resume(self, name: str, got: Sequence[str]) -> AsyncGenerator[str, None]:
        del got  # its cursor says so
        cursor = self._cursors[name]
        location = f"{self._url}/streams/{cursor.partition('.')[0]}"
        return self._read(name, "GET", location, headers={"last-event-id": cursor})

    async def _read(
        self,
        name: str,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        data: dict[str, str] | None = None,
    ) -> AsyncGenerator[str, None]:
        sent = {"accept": "text/event-stream", **(headers or {})}
        async with self._client.stream(method, url, headers=sent, data=data) as response:
            if response.status_code != 200:
                raise Told(f"{response.status_code}")
            event = cursor = ""
            async for line in response.aiter_lines():
                field, _, value = line.partition(": ")
                if field == "id":
                    cursor = value
                elif field == "event":
                    event = value
                elif field == "data" and event == "done":
                    return
                elif field == "data" and event:
                    raise Told(value)
                elif field == "data":
                    self._cursors[name] = cursor
                    yield orjson.loads(value)["text"]
            raise Told("it ended without an end")


async def upstream(stack: AsyncExitStack) -> str:
    """An upstream that follows scripts, in this loop; its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            words = (await reader.readexactly(length)).partition(b"pieces-")[2].split(b"-")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            script = Script(int(words[0]), fails=words[2][:1] == b"1")
            with contextlib.suppress(RuntimeError):
                async for piece in script.run():
                    delta = orjson.dumps({"choices": [{"index": 0, "delta": {"content": piece}}]})
                    writer.write(_chunk(b"data: %b\n\n" % delta))
                    await writer.drain()
            if not script.fails:
                writer.write(_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    stack.callback(server.close)
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# -- the packages ----------------------------------------------------------------------------------------------------


class ResumableStream:
    """`resumable-stream`."""

    def __init__(self, context: Any) -> None:
        self._context = context

    @classmethod
    async def connected(cls, redis_url: str, stack: AsyncExitStack) -> ResumableStream:
        import resumable_stream

        logging.getLogger("resumable_stream").setLevel(logging.CRITICAL)  # it reports each producer's failure
        publisher, subscriber = resumable_stream.RedisPublisher(redis_url), resumable_stream.RedisSubscriber(redis_url)
        for client in (publisher, subscriber):
            await client.connect()
            stack.push_async_callback(client.close)
        return cls(resumable_stream.create_resumable_stream_context(publisher=publisher, subscriber=subscriber))

    async def begin(self, name: str, script: Script) -> AsyncGenerator[str, None]:
        async for piece in _closed(await self._context.create_new_resumable_stream(name, script.run)):
            yield piece

    async def resume(self, name: str, got: Sequence[str]) -> AsyncGenerator[str, None]:
        from redis.exceptions import ResponseError

        try:
            found = await self._context.resume_existing_stream(name, len("".join(got)))
        except ResponseError as error:  # the stream ended between its GET and its INCR of the same key
            raise Told(type(error).__name__) from None
        if found is None or found == "NOT_FOUND":
            raise Told("already done" if found is None else "not found")
        async for piece in _closed(found):
            yield piece


class FastAPIResumableStream:
    """`fastapi-resumable-stream`."""

    def __init__(self, streams: Any) -> None:
        self._streams = streams

    @classmethod
    async def connected(cls, redis_url: str, stack: AsyncExitStack) -> FastAPIResumableStream:
        import fastapi_resumable_stream
        from redis.asyncio import Redis

        redis = Redis.from_url(redis_url)
        stack.push_async_callback(redis.aclose)
        streams = fastapi_resumable_stream.ResumableStream(redis)
        stack.push_async_callback(streams.close)
        return cls(streams)

    async def begin(self, name: str, script: Script) -> AsyncGenerator[str, None]:
        async for piece in _closed(await self._streams.start(name, script.run)):
            yield piece

    async def resume(self, name: str, got: Sequence[str]) -> AsyncGenerator[str, None]:
        found = await self._streams.resume(name, after=len(got))
        if found is None:
            raise Told("missing")
        async for piece in _closed(found):
            yield piece


async def _closed(pieces: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


# -- what comes of it ------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """Of `resumes` streams that were cut and resumed, and of `failing` that were not cut and whose producer failed."""

    resumes: int = 0
    exact: int = 0  # the whole, once, and its end
    lost: int = 0  # ended as if complete, with pieces missing
    duplicated: int = 0  # some came twice; it may have lost others too
    refused: int = 0  # told that it cannot have the rest
    hung: int = 0
    failing: int = 0
    looks_complete: int = 0  # the first reader was not told
    looks_complete_resumed: int = 0  # one who came back behind all pieces was not told
    hung_resumed: int = 0  # or waited for an end in vain
    reasons: Counter[str] = field(default_factory=Counter)


async def cut_and_resume(contender: Contender, *, resumes: int, failing: int, pieces: int, seed: int) -> Tally:
    """The same cuts for everybody who gets the same seed."""
    places = random.Random(seed)
    tally = Tally(resumes, failing=failing)
    for _ in range(resumes):
        await _one_cut(contender, Script(pieces), places.randrange(1, pieces), tally)
    for _ in range(failing):
        await _one_failure(contender, Script(places.randrange(1, pieces), fails=True), tally)
    return tally


async def _one_cut(contender: Contender, script: Script, cut: int, tally: Tally) -> None:
    name, got = uuid.uuid4().hex, list[str]()
    await _read(contender.begin(name, script), got, cut)
    end = await _read(contender.resume(name, got), got)
    # What is resumed by characters may come in other parts.
    times = Counter("".join(got).split())
    twice = max(times.values()) > 1
    whole = "".join(got) == "".join(script.expected())
    tally.exact += whole and end == "complete"
    tally.duplicated += twice
    tally.hung += end == "hung"
    tally.refused += end not in {"complete", "hung"}
    tally.lost += end == "complete" and not whole and not twice
    tally.reasons[end] += 1


async def _one_failure(contender: Contender, script: Script, tally: Tally) -> None:
    name, got = uuid.uuid4().hex, list[str]()
    tally.looks_complete += await _read(contender.begin(name, script), got) == "complete"
    end = await _read(contender.resume(name, got), got)
    tally.looks_complete_resumed += end == "complete"
    tally.hung_resumed += end == "hung"


async def _read(pieces: AsyncGenerator[str, None], got: list[str], upto: int | None = None) -> str:
    """Into `got`, until there are `upto`, and then it leaves; how it ended: "complete", "hung", or what it was told."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(HANG_S) as patience, aclosing(pieces):
            async for piece in pieces:
                got.append(piece)
                if upto is not None and len(got) >= upto:
                    return "cut"
                patience.reschedule(loop.time() + HANG_S)
    except TimeoutError:
        return "hung"
    except Told as told:
        return str(told)
    except httpx2.TransportError as error:
        return type(error).__name__
    return "complete"


async def contest(
    redis_url: str | None, stores: Mapping[str, Sequence[str]], *, resumes: int, failing: int, pieces: int, seed: int
) -> dict[str, Tally]:
    """Everybody who is here, one after the other: ours with those options, then the packages, which need a Redis."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the packages' tasks fail unheard
    made: dict[str, Callable[[str, AsyncExitStack], Any]] = {
        "resumable-stream": ResumableStream.connected,
        "fastapi-resumable-stream": FastAPIResumableStream.connected,
    }
    amounts = {"resumes": resumes, "failing": failing, "pieces": pieces, "seed": seed}
    tallies = {}
    for name, options in stores.items():
        async with AsyncExitStack() as stack:
            relay = stack.enter_context(started(our_command(await upstream(stack), *options)))
            client = await stack.enter_async_context(httpx2.AsyncClient(timeout=30, trust_env=False))
            tallies[name] = await cut_and_resume(Ours(relay.url.removesuffix("/ans"), client), **amounts)
    for name, module in PACKAGES.items():
        missing = (
            "there is no redis-server" if redis_url is None else "" if find_spec(module) else "it is not installed"
        )
        if redis_url is None or missing:
            print(f"left out: {name}: {missing}")
            continue
        async with AsyncExitStack() as stack:
            tallies[name] = await cut_and_resume(await made[name](redis_url, stack), **amounts)
    return tallies

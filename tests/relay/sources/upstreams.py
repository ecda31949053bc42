"""Upstreams for tests: the network is a list of byte chunks that may end in an exception."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import httpx2

from streamkit.presets import preset, writer
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.settings import Deadlines, Limits, Retries, Settings
from streamkit.relay.sources.llm import llm
from streamkit.relay.sources.source import Into
from streamkit.relay.sources.upstream import Upstream

__all__ = ["CHUNKED", "Answering", "Chunk", "Wire", "failed", "joined", "relay", "stream", "upstream_over"]

CHUNKED = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
Chunk = bytes | Exception


class Wire(httpx2.AsyncByteStream):
    """A response body that arrives as given and remembers whether it was closed."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = chunks
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


class Answering(httpx2.AsyncBaseTransport):
    """Answers every request with one response, or fails to connect."""

    def __init__(
        self,
        chunks: Sequence[Chunk] = (),
        status: int = 200,
        headers: dict[str, str] | None = None,
        error: Exception | None = None,
    ) -> None:
        self.wire = Wire(chunks)
        self._status, self._headers, self._error = status, CHUNKED if headers is None else headers, error

    async def handle_async_request(self, _: httpx2.Request) -> httpx2.Response:
        if self._error is not None:
            raise self._error
        return httpx2.Response(self._status, headers=self._headers, stream=self.wire)


def relay(
    answering: Answering, name: str = "openai", limits: Limits | None = None
) -> tuple[list[list[str]], Failure | None]:
    """The texts of each batch, and the failure if there was one. The upstream is closed in every case."""

    async def main() -> tuple[list[list[str]], Failure | None]:
        asked = upstream_over(answering, name, limits=limits)
        batches: list[list[str]] = []
        try:
            async for pieces in llm(asked, asked.question("hi"), Into()):
                batches.append([piece.text for piece in pieces])
        except Failed as error:
            return batches, error.failure
        return batches, None

    batches, failure = asyncio.run(main())
    assert answering.wire.closed or answering._error is not None, "the upstream's answer was left open"
    return batches, failure


def stream(name: str, *texts: str) -> list[bytes]:
    """A whole answer in `name`'s wire format, event by event."""
    form = writer(name)
    return [*form.open(), *(form.piece(text, i) for i, text in enumerate(texts)), *form.close()]


def joined(batches: list[list[str]]) -> str:
    return "".join(text for batch in batches for text in batch)


def failed(answering: Answering, name: str = "openai", limits: Limits | None = None) -> tuple[str, int, str]:
    _, failure = relay(answering, name, limits)
    assert failure is not None
    return failure.code, failure.status, str(failure.outcome)


def upstream_over(
    transport: httpx2.AsyncBaseTransport,
    name: str = "openai",
    *,
    url: str = "http://upstream.test/v1",
    connect_s: float = 1.0,
    limits: Limits | None = None,
    retries: Retries | None = None,
    deadlines: Deadlines | None = None,
) -> Upstream:
    deadlines = deadlines or Deadlines(connect_s=connect_s)
    settings = Settings(deadlines, limits or Limits(), retries=retries or Retries())
    return Upstream(url, preset(name), model="m", settings=settings, transport=transport)

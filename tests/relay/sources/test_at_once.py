"""Pieces that are taken in the callback that reads them, and those that have to wait: none is lost, none overtakes."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from contextlib import aclosing

import pytest

from streamkit.extractor.pieces import Piece
from streamkit.presets import preset
from streamkit.relay.failure import Failed
from streamkit.relay.settings import Deadlines, Settings
from streamkit.relay.sources.llm import finish_wait_s, llm
from streamkit.relay.sources.source import Into
from streamkit.relay.sources.upstream import Upstream
from streamkit.transport import StreamTransport
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, RawServer, chunk

TEXTS = [f"{number} " for number in range(60)]
DONE = chunk(b"data: [DONE]\n\n") + LAST_CHUNK


def event(text: str) -> bytes:
    return chunk(b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text.encode())


def in_reads(seed: int, end: bytes = DONE) -> Callable[[socket.socket], None]:
    """An upstream that sends the texts in a few writes, cut anywhere, and then `end`."""
    chance = random.Random(seed)
    data = b"".join(map(event, TEXTS)) + end
    cuts = sorted(chance.randrange(len(data)) for _ in range(12))

    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            connection.sendall(data[start:stop])
            time.sleep(0.002)
        while end and connection.recv(4096):  # kept open for another request
            pass

    return behave


def read(behave: Callable[[socket.socket], None], accept: Callable[[list[Piece]], bool]) -> tuple[list[str], int, int]:
    """The texts in the order in which they were handed over, how many lists were yielded, and idle connections."""
    taken: list[str] = []

    def offer(pieces: list[Piece]) -> bool:
        accepted = accept(pieces)
        if accepted:
            taken.extend(piece.text for piece in pieces)
        return accepted

    async def main(url: str) -> tuple[list[str], int, int]:
        yielded = 0
        async with StreamTransport() as transport:
            upstream = Upstream(url, preset("openai"), model="m", transport=transport)
            source = llm(upstream, upstream.question("?"), Into(offer))
            async with aclosing(source) as lists:
                async for pieces in lists:
                    yielded += 1
                    await asyncio.sleep(0.001)  # more is read meanwhile
                    taken.extend(piece.text for piece in pieces)
            await asyncio.sleep(0.05)
            return taken, yielded, transport.idle_connections

    with RawServer(behave) as server:
        return asyncio.run(main(server.url))


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_refused_the_order_stays_and_nothing_is_lost(seed: int) -> None:
    chance = random.Random(seed)
    texts, _, idle = read(in_reads(seed), lambda _: chance.random() < 0.5)
    assert texts == TEXTS
    assert idle == 1


def test_what_is_taken_at_once_wakes_nobody() -> None:
    texts, yielded, idle = read(in_reads(0), lambda _: True)
    assert (texts, yielded, idle) == (TEXTS, 0, 1)


def test_what_is_refused_is_yielded() -> None:
    texts, yielded, _ = read(in_reads(0), lambda _: False)
    assert texts == TEXTS
    assert yielded > 1


@pytest.mark.parametrize("accept", [True, False])
def test_a_broken_stream_hands_over_what_came_before_it_fails(accept: bool) -> None:
    seen: list[str] = []

    def offer(pieces: list[Piece]) -> bool:
        seen.extend(piece.text for piece in pieces)
        return accept

    with pytest.raises(Failed) as failed:
        read(in_reads(0, end=b""), offer)
    assert failed.value.failure.code == "upstream_truncated"
    assert seen == TEXTS


def test_an_error_event_fails_behind_the_pieces_of_its_read() -> None:
    seen: list[str] = []

    def offer(pieces: list[Piece]) -> bool:
        seen.extend(piece.text for piece in pieces)
        return True

    error = chunk(b'data: {"error":{"code":"overloaded","message":"x"}}\n\n')
    with pytest.raises(Failed) as failed:
        read(lambda connection: connection.sendall(SSE_HEAD + event("a") + error), offer)
    assert str(failed.value.failure.outcome) == "error_event(overloaded)"
    assert seen == ["a"]


def test_what_the_taker_raises_comes_out_of_the_source() -> None:
    def fail(_: list[Piece]) -> bool:
        raise ZeroDivisionError("of the taker")

    with pytest.raises(ZeroDivisionError, match="of the taker"):
        read(in_reads(0), fail)


# --- an upstream that has told why it ended, and does not end ---------------------------------------------------------

FINISHED = chunk(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n')
PING = chunk(b"event: ping\ndata: {}\n\n")


def endless(*told: bytes, beat: bytes = PING) -> Callable[[socket.socket], None]:
    """Sends this, and then heartbeats until it is left."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD + b"".join(told))
        connection.settimeout(0.01)
        while True:
            try:
                if connection.recv(4096) == b"":
                    return
            except TimeoutError:
                connection.sendall(beat)
            except OSError:
                return

    return behave


def answered(behave: Callable[[socket.socket], None], *, idle_s: float) -> list[str]:
    async def main(url: str) -> list[str]:
        async with StreamTransport() as transport:
            settings = Settings(Deadlines(idle_s=idle_s))
            upstream = Upstream(url, preset("openai"), model="m", settings=settings, transport=transport)
            async with aclosing(llm(upstream, upstream.question("hi"), Into())) as batches:
                return [piece.text async for pieces in batches for piece in pieces]

    with RawServer(behave) as server:
        return asyncio.run(asyncio.wait_for(main(server.url), 10))


def test_behind_a_finish_reason_silence_and_heartbeats_end_a_whole_answer() -> None:
    assert answered(endless(event("Whole"), FINISHED), idle_s=0.2) == ["Whole"]


def test_what_still_comes_behind_a_finish_reason_is_waited_for() -> None:
    usage = chunk(b'data: {"choices":[],"usage":{}}\n\n')
    assert answered(endless(event("a"), FINISHED, usage, PING, DONE), idle_s=0.2) == ["a"]


def test_the_wait_is_shorter_than_the_idle_deadline() -> None:
    assert finish_wait_s(Deadlines(idle_s=2)) == 1
    assert finish_wait_s(Deadlines(idle_s=60)) == 5
    assert finish_wait_s(Deadlines(idle_s=0)) == 5

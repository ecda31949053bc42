"""Body.pour(): every piece is handed over in the callback that reads it; otherwise it is like iterating."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import httpx2
import pytest

from streamkit.transport import Body, StreamTransport
from streamkit.transport.exchange import Entry, Inbox
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, WAIT_S, RawServer, chunk

T = TypeVar("T")
Stamps = Literal["kernel", "socket"]

both_wires = pytest.mark.parametrize("stamps", ["kernel", "socket"])


def ask(
    behave: Callable[[socket.socket], None],
    use: Callable[[StreamTransport, Body], Awaitable[T]],
    stamps: Stamps = "kernel",
    read_s: float | None = WAIT_S,
) -> T:
    """What `use` makes of the body of one answer."""

    async def main(url: str) -> T:
        transport = StreamTransport(stamps=stamps)
        try:
            timeout = {"read": read_s}
            request = httpx2.Request("POST", url, content=b"?", extensions={"timeout": timeout})
            response = await transport.handle_async_request(request)
            try:
                return await use(transport, response.extensions["stamps"])
            finally:
                await response.aclose()
        finally:
            await transport.aclose()

    with RawServer(behave) as server:
        return asyncio.run(main(server.url))


class Basket:
    """A sink that keeps everything, until a piece is `last`."""

    def __init__(self, last: bytes | None = None) -> None:
        self.entries: list[Entry] = []
        self.last = last

    def __call__(self, entry: Entry) -> bool:
        self.entries.append(entry)
        return entry[0] != self.last

    @property
    def pieces(self) -> list[bytes]:
        return [entry[0] for entry in self.entries]


async def pieces_of(body: Body) -> list[bytes]:
    basket = Basket()
    await body.pour(basket)
    return basket.pieces


async def all_of(_: StreamTransport, body: Body) -> list[bytes]:
    return await pieces_of(body)


@both_wires
def test_all_of_it_comes_with_its_stamps_and_the_connection_can_be_used_again(stamps: Stamps) -> None:
    def behave(connection: socket.socket) -> None:
        for data in (SSE_HEAD + chunk(b"a"), chunk(b"b") + chunk(b"c"), chunk(b"d") + LAST_CHUNK):
            connection.sendall(data)
            time.sleep(0.05)

    async def use(transport: StreamTransport, body: Body) -> tuple[bytes, list[int], list[int], int]:
        basket = Basket()
        await body.pour(basket)
        reads, times = [entry[1] for entry in basket.entries], [entry[2] for entry in basket.entries]
        return b"".join(basket.pieces), reads, times, transport.idle_connections

    text, reads, times, idle = ask(behave, use, stamps)
    assert text == b"abcd"
    assert reads == sorted(set(reads))
    assert times == sorted(times)
    assert idle == 1


@both_wires
def test_the_task_that_asked_for_it_wakes_once_at_the_end(stamps: Stamps, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []
    wait = Inbox.more

    def counted(inbox: Inbox, limit_s: float | None) -> asyncio.Future[None]:
        waits.append(limit_s)
        return wait(inbox, limit_s)

    monkeypatch.setattr(Inbox, "more", counted)

    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        for _ in range(20):
            time.sleep(0.005)
            connection.sendall(chunk(b"x"))
        connection.sendall(LAST_CHUNK)

    async def use(_: StreamTransport, body: Body) -> tuple[int, int]:
        waits.clear()
        return len(await pieces_of(body)), len(waits)

    pieces, woken = ask(behave, use, stamps)
    assert pieces > 2
    assert woken == 1


@both_wires
def test_what_waited_and_takes_long_is_poured_in_turns_and_in_order(stamps: Stamps) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        for letter in b"abcdefgh":
            time.sleep(0.02)
            connection.sendall(chunk(bytes([letter])))
        connection.sendall(LAST_CHUNK)

    async def use(_: StreamTransport, body: Body) -> tuple[bytes, list[int]]:
        poured: list[bytes] = []
        seen: list[int] = []

        def slow(entry: Entry) -> bool:
            time.sleep(0.02)
            poured.append(entry[0])
            return True

        async def another() -> None:
            while True:
                seen.append(len(poured))
                await asyncio.sleep(0)

        async with asyncio.timeout(WAIT_S):
            while body.waiting_bytes < 4:  # noqa: ASYNC110  # nobody takes them, so nobody is told
                await asyncio.sleep(0.005)
        other = asyncio.create_task(another())
        await body.pour(slow)
        other.cancel()
        return b"".join(poured), seen

    text, seen = ask(behave, use, stamps)
    assert text == b"abcdefgh"
    assert {1, 2, 3, 4} <= set(seen)


@both_wires
def test_who_has_enough_gets_no_more_and_the_connection_is_closed(stamps: Stamps) -> None:
    left = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD + chunk(b"a"))
        time.sleep(0.05)
        connection.sendall(chunk(b"b"))
        while connection.recv(4096):
            pass
        left.set()

    async def use(_: StreamTransport, body: Body) -> list[bytes]:
        basket = Basket(last=b"b")
        await body.pour(basket)
        return basket.pieces

    assert ask(behave, use, stamps)[-1] == b"b"
    assert left.wait(WAIT_S)


@both_wires
@pytest.mark.parametrize("late", [False, True], ids=["with the head", "later"])
def test_what_the_sink_raises_comes_out(stamps: Stamps, late: bool) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        if late:
            time.sleep(0.05)
        connection.sendall(chunk(b"a"))
        while connection.recv(4096):
            pass

    async def use(_: StreamTransport, body: Body) -> None:
        def fail(_entry: object) -> bool:
            raise ZeroDivisionError("of the sink")

        await body.pour(fail)

    with pytest.raises(ZeroDivisionError, match="of the sink"):
        ask(behave, use, stamps)


@both_wires
def test_a_cut_body_gives_what_came_and_then_the_error(stamps: Stamps) -> None:
    basket = Basket()

    async def use(_: StreamTransport, body: Body) -> None:
        await body.pour(basket)

    with pytest.raises(httpx2.RemoteProtocolError, match="without its final chunk"):
        ask(lambda connection: connection.sendall(SSE_HEAD + chunk(b"a")), use, stamps)
    assert basket.pieces == [b"a"]


@both_wires
def test_the_read_timeout_counts_from_the_latest_read(stamps: Stamps) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        for _ in range(8):
            time.sleep(0.1)
            connection.sendall(chunk(b"x"))
        while connection.recv(4096):
            pass

    begun = time.monotonic()
    with pytest.raises(httpx2.ReadTimeout, match=r"nothing was received for 0\.6 s"):
        ask(behave, all_of, stamps, read_s=0.6)
    assert time.monotonic() - begun > 1.3  # 0.8 s of drips, then 0.6 s of silence


@both_wires
def test_cancelling_closes_the_connection(stamps: Stamps) -> None:
    left = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        while connection.recv(4096):
            pass
        left.set()

    async def use(transport: StreamTransport, body: Body) -> int:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(all_of(transport, body), 0.05)
        await body.aclose()
        return transport.open_connections

    assert ask(behave, use, stamps) == 0
    assert left.wait(WAIT_S)

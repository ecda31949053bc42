"""The answer's body, poured or iterated: what came, in order, with its stamps, and how it ends. No sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx2
import pytest

from streamkit.transport import Body, ReadPart, Sink
from streamkit.transport.exchange import Inbox
from streamkit.transport.wire import TURN_NS
from tests.fakes import run_in_fake_time
from tests.rawsockets import LAST_CHUNK, chunk
from tests.transport.stillwire import Message, answered

Take = Callable[[Body, list[ReadPart]], Coroutine[Any, Any, None]]


async def poured(body: Body, parts: list[ReadPart]) -> None:
    def sink(part: ReadPart) -> bool:
        parts.append(part)
        return True

    await body.pour(sink)


async def iterated(body: Body, parts: list[ReadPart]) -> None:
    async for data in body:
        parts.append((data, body.read, (body.at_ns, body.kind, body.error_ns, body.read_ns)))


either_way = pytest.mark.parametrize("take", [poured, iterated])


def run(test: Coroutine[Any, Any, None]) -> None:
    run_in_fake_time(test)


def until(last: bytes, data: list[bytes]) -> Sink:
    """A sink that has enough with this part."""

    def sink(part: ReadPart) -> bool:
        data.append(part[0])
        return part[0] != last

    return sink


async def drip(message: Message, *reads: bytes, every_s: float = 0.1) -> None:
    for data in reads:
        await asyncio.sleep(every_s)
        message.wire.tell(data)


@either_way
def test_each_read_is_one_part_with_its_number_and_stamp_and_the_connection_can_be_used_again(take: Take) -> None:
    async def main() -> None:
        message, body = await answered(chunk(b"a"), b"1\r", b"\nb\r\n" + chunk(b"c"))
        peer = asyncio.create_task(drip(message, chunk(b"d") + chunk(b"e")[:-2], b"\r\n", LAST_CHUNK))
        parts: list[ReadPart] = []
        await take(body, parts)
        await peer
        numbers = [(data, number) for data, number, _ in parts]
        assert numbers == [(b"a", 2), (b"bc", 4), (b"de", 5)], "the first read brought the head, others no body"
        assert [stamp for _, _, stamp in parts] == [(1000 * n, "kernel", 7, 1000 * n + 500) for _, n in numbers]
        await body.aclose()
        await body.aclose()
        assert message.fates == ["reuse"]

    run(main())


def test_the_task_that_pours_wakes_once_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []
    wait = Inbox.more

    def counted(inbox: Inbox, limit_s: float | None) -> asyncio.Future[None]:
        waits.append(limit_s)
        return wait(inbox, limit_s)

    async def main() -> None:
        message, body = await answered()
        monkeypatch.setattr(Inbox, "more", counted)
        peer = asyncio.create_task(drip(message, *[chunk(b"x")] * 20, LAST_CHUNK))
        parts: list[ReadPart] = []
        await poured(body, parts)
        assert (len(parts), len(waits)) == (20, 1)
        await peer
        await body.aclose()

    run(main())


def test_what_waited_and_takes_long_is_poured_in_turns_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 0
    monkeypatch.setattr("streamkit.transport.body.monotonic_ns", lambda: now_ns)

    async def main() -> None:
        letters = [b"%c" % letter for letter in b"abcdefgh"]
        message, body = await answered(*map(chunk, letters), LAST_CHUNK)
        assert body.waiting_bytes == 8
        data: list[bytes] = []
        seen: list[int] = []

        def slow(part: ReadPart) -> bool:
            nonlocal now_ns
            now_ns += TURN_NS + 1
            data.append(part[0])
            return True

        async def another() -> None:
            while len(data) < 8:
                seen.append(len(data))
                await asyncio.sleep(0)

        other = asyncio.create_task(another())
        await body.pour(slow)
        await other
        assert data == letters
        assert {1, 2, 3, 4} <= set(seen)
        assert message.inbox.held == 0
        await body.aclose()

    run(main())


@pytest.mark.parametrize("late", [False, True], ids=["with the head", "later"])
def test_who_has_enough_gets_no_more_and_can_take_the_rest_later(late: bool) -> None:
    async def main() -> None:
        reads = [chunk(b"a"), chunk(b"b"), chunk(b"c"), chunk(b"d")]
        message, body = await answered(*([] if late else reads))
        peer = asyncio.create_task(drip(message, *(reads if late else [])))
        data: list[bytes] = []
        await body.pour(until(b"b", data))
        assert data == [b"a", b"b"]
        await body.pour(until(b"c", data))
        assert data == [b"a", b"b", b"c"]
        assert await anext(body) == b"d"
        await peer
        await body.aclose()
        assert message.fates == ["close"]
        with pytest.raises(httpx2.StreamClosed):
            await anext(body)

    run(main())


@pytest.mark.parametrize("late", [False, True], ids=["with the head", "later"])
def test_what_the_sink_raises_comes_out(late: bool) -> None:
    def fail(_: ReadPart) -> bool:
        raise ZeroDivisionError("of the sink")

    async def main() -> None:
        message, body = await answered(*([] if late else [chunk(b"a")]))
        peer = asyncio.create_task(drip(message, *([chunk(b"a")] if late else [])))
        with pytest.raises(ZeroDivisionError, match="of the sink"):
            await body.pour(fail)
        await peer
        await body.aclose()
        assert message.fates == ["close"]

    run(main())


@either_way
@pytest.mark.parametrize(
    ("end", "kind", "text"),
    [
        (lambda message: message.inbox.eof(), httpx2.RemoteProtocolError, "without its final chunk"),
        (lambda message: message.inbox.lost(ConnectionResetError()), httpx2.ReadError, "was reset before the answer"),
        (lambda message: message.inbox.lost(OSError()), httpx2.ReadError, "was broken before the answer"),
        (lambda message: message.wire.tell(b"zz\r\n"), httpx2.RemoteProtocolError, "broken chunked framing"),
    ],
    ids=["cut", "reset", "broken", "malformed"],
)
def test_what_came_is_given_before_the_error(
    take: Take, end: Callable[[Message], None], kind: type[Exception], text: str
) -> None:
    async def main() -> None:
        message, body = await answered(chunk(b"a"))
        message.wire.tell(chunk(b"b"))
        end(message)
        message.inbox.lost(None)  # the first error counts
        parts: list[ReadPart] = []
        with pytest.raises(kind, match=text):
            await take(body, parts)
        assert [data for data, _, _ in parts] == [b"a", b"b"]
        await body.aclose()
        assert message.fates == ["close"]

    run(main())


@either_way
def test_the_read_timeout_counts_from_the_latest_read(take: Take) -> None:
    async def main() -> None:
        message, body = await answered(read_s=0.6)
        loop = asyncio.get_running_loop()
        began = loop.time()
        peer = asyncio.create_task(drip(message, *[chunk(b"x")] * 8))
        parts: list[ReadPart] = []
        with pytest.raises(httpx2.ReadTimeout, match=r"^nothing was received for 0\.6 s$"):
            await take(body, parts)
        assert loop.time() - began == pytest.approx(0.8 + 0.6)
        assert len(parts) == 8
        await peer
        await body.aclose()

    run(main())


@either_way
def test_the_read_timeout_stands_still_while_its_reader_wants_nothing(take: Take) -> None:
    async def main() -> None:
        message, body = await answered(read_s=0.5)
        loop = asyncio.get_running_loop()
        began = loop.time()
        task = asyncio.create_task(take(body, []))
        await asyncio.sleep(0.2)
        body.pause()
        assert not message.wire.is_read()
        await asyncio.sleep(10.0)
        assert not task.done()
        body.resume()
        assert message.wire.is_read()
        with pytest.raises(httpx2.ReadTimeout):
            await task
        assert loop.time() - began == pytest.approx(10.2 + 0.5)
        await body.aclose()

    run(main())


@either_way
def test_cancelling_closes_the_connection(take: Take) -> None:
    async def main() -> None:
        message, body = await answered()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(take(body, []), 0.05)
        await body.aclose()
        assert message.fates == ["close"]

    run(main())


def test_two_tasks_cannot_read_the_same_body() -> None:
    async def main() -> None:
        _, body = await answered()
        first = asyncio.create_task(iterated(body, []))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks read the same response"):
            await anext(body)
        first.cancel()
        await body.aclose()

    run(main())


def test_it_tells_where_bytes_wait_until_it_is_over() -> None:
    async def main() -> None:
        message, body = await answered(chunk(b"abc"), chunk(b"de"))
        assert (body.waiting_bytes, body.unread_bytes()) == (5, 11)
        before = body.received_bytes
        message.wire.tell(chunk(b"x"))
        assert body.received_bytes - before == len(chunk(b"x"))
        await anext(body)
        assert body.waiting_bytes == 3
        await body.aclose()
        assert body.unread_bytes() is None
        body.pause()
        assert message.wire.is_read(), "its connection may be somebody else's by now"

    run(main())


@pytest.mark.parametrize(("reads", "fate"), [([], "park"), ([LAST_CHUNK], "reuse"), ([b"zz\r\n"], "close")])
def test_a_parked_one_leaves_its_connection_open_unless_it_is_broken(reads: list[bytes], fate: str) -> None:
    async def main() -> None:
        message, body = await answered(chunk(b"a"), *reads)
        body.park()
        await body.aclose()
        assert message.fates == [fate]

    run(main())

"""One request and its answer, state by state as in the module's table, and what becomes of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import httpx2
import pytest

from streamkit.transport.exchange import PART_BYTES
from streamkit.transport.outgoing import WRITE_BYTES
from tests.fakes import run_in_fake_time
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, chunk
from tests.transport.stillwire import Message, answered

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSAL = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"


def run(test: Coroutine[Any, Any, None]) -> None:
    run_in_fake_time(test)


# Head


def test_the_head_is_waited_for_over_any_number_of_reads_and_stamped_by_its_last() -> None:
    async def main() -> None:
        message = Message()
        task = message.asked()
        await asyncio.sleep(0)
        assert message.wire.written.endswith(b"\r\n\r\n?")
        assert message.timings.sent_ns == 1
        message.wire.tell(b"HTTP/1.1 103 Early Hints\r\n\r\n", SSE_HEAD[:-1])
        await asyncio.sleep(0)
        assert not task.done()
        message.wire.tell(SSE_HEAD[-1:] + chunk(b"a"))
        await task
        assert message.timings.head_ns == 3000
        assert [data for data, _, _ in message.inbox.pending] == [b"a"]

    run(main())


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200"])
def test_an_answer_that_does_not_come_is_an_error_and_is_told_from_one_that_began(before: bytes) -> None:
    async def main() -> None:
        for end, kind in (("eof", httpx2.RemoteProtocolError), ("lost", httpx2.ReadError)):
            message = Message()
            task = message.asked()
            await asyncio.sleep(0)
            if before:
                message.wire.tell(before)
            message.inbox.eof() if end == "eof" else message.inbox.lost(None)
            with pytest.raises(kind):
                await task
            assert message.exchange.untouched == (not before)

    run(main())


def test_a_connection_that_is_closed_already_is_not_asked() -> None:
    async def main() -> None:
        message = Message()
        message.wire.abort()
        with pytest.raises(httpx2.ReadError, match="before the request was sent"):
            await message.asked()
        assert message.wire.written == b""

    run(main())


def test_the_read_timeout_begins_when_the_request_is_sent() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        message = Message()
        message.wire.full = True
        began = loop.time()
        task = message.asked(read_s=1.0)
        await asyncio.sleep(5.0)
        assert not task.done()
        message.wire.take_all()
        with pytest.raises(httpx2.ReadTimeout, match="nothing was received for 1 s"):
            await task
        assert loop.time() - began == pytest.approx(6.0)

    run(main())


def test_no_silence_counts_while_the_request_is_sent_also_behind_the_head() -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(5):
            await asyncio.sleep(1.0)
            yield b"a"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        _, body = await answered(content=slow(), read_s=2.0)
        with pytest.raises(httpx2.ReadTimeout, match="nothing was received for 2 s"):
            await anext(body)
        assert loop.time() - began == pytest.approx(5.0 + 2.0)
        await body.aclose()

    run(main())


# Body: paused and held back


def test_reading_pauses_above_the_bound_and_goes_on_at_a_quarter_of_it() -> None:
    async def main() -> None:
        bound = 8 * (100 + PART_BYTES)
        message, body = await answered(read_ahead_bytes=bound)
        for number in range(1, 10):
            assert message.wire.is_read()
            message.wire.tell(chunk(bytes(100)))
            assert message.inbox.held == number * (100 + PART_BYTES)
        assert not message.wire.is_read()
        for left in range(8, 2, -1):
            await anext(body)
            assert (len(message.inbox.pending), message.wire.is_read()) == (left, False)
        await anext(body)
        assert message.wire.is_read()
        await body.aclose()

    run(main())


def test_reading_goes_on_when_neither_the_bound_nor_the_reader_holds_it() -> None:
    async def main() -> None:
        message, body = await answered(read_ahead_bytes=0)
        message.wire.tell(chunk(b"a"))
        body.pause()
        await anext(body)
        assert not message.wire.is_read(), "the reader still wants nothing"
        message.wire.tell(chunk(b"b"))  # what the loop had read already
        body.resume()
        assert not message.wire.is_read(), "what waits is still too much"
        await anext(body)
        assert message.wire.is_read()
        await body.aclose()

    run(main())


# Over, and what then


@pytest.mark.parametrize(
    ("reads", "headers", "fate"),
    [
        ([EMPTY], {}, "reuse"),
        ([SSE_HEAD, LAST_CHUNK], {}, "reuse"),
        ([SSE_HEAD], {}, "close"),
        ([EMPTY + b"x"], {}, "close"),
        ([EMPTY, b"x"], {}, "close"),
        ([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"], {}, "close"),
        ([EMPTY], {"connection": "close"}, "close"),
    ],
    ids=["no body", "final chunk", "no end", "surplus", "late surplus", "the server closes", "we close"],
)
def test_a_connection_is_used_again_only_after_a_whole_answer_that_both_want_to_follow(
    reads: list[bytes], headers: dict[str, str], fate: str
) -> None:
    async def main() -> None:
        message = Message(headers=headers)
        task = message.asked()
        await asyncio.sleep(0)
        message.wire.tell(*reads)
        await task
        message.exchange.finish()
        message.exchange.finish()
        assert message.fates == [fate]

    run(main())


def test_a_connection_that_was_closed_meanwhile_is_not_used_again() -> None:
    async def main() -> None:
        message, body = await answered(LAST_CHUNK)
        message.wire.abort()
        await body.aclose()
        assert message.fates == ["close"]

    run(main())


# The sender beside it


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(1000)
        await asyncio.sleep(0.1)


def test_a_refusal_or_a_whole_answer_stops_the_sender_and_any_other_lets_it_go_on() -> None:
    async def main() -> None:
        for head, goes_on in ((SSE_HEAD, True), (REFUSAL[:-3], False), (EMPTY, False)):
            message = Message(endless())
            task = message.asked()
            await asyncio.sleep(0.5)
            message.wire.tell(head)
            await task
            before = len(message.wire.written)
            await asyncio.sleep(0.5)
            assert (len(message.wire.written) > before) == goes_on
            message.exchange.finish()
            before = len(message.wire.written)
            await asyncio.sleep(0.5)
            assert len(message.wire.written) == before
            assert message.fates == ["close"], "the server may still wait for the rest"

    run(main())


def test_who_asks_first_sends_when_the_server_wants_it_or_after_a_second_and_not_to_one_that_refuses() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for heads, waits_s in (
            ([GO_ON], 0.0),
            ([b"HTTP/1.1 103 Early Hints\r\n\r\n"], 1.0),
            ([SSE_HEAD], 0.0),
            ([], 1.0),
        ):
            message = Message(b"body", headers={"Expect": "100-continue"})
            began = loop.time()
            task = message.asked()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert message.wire.written.endswith(b"\r\n\r\n"), "the head alone"
            message.wire.tell(*heads)
            async with asyncio.timeout(5):
                await message.exchange.sender_ended()
            assert message.wire.written.endswith(b"body")
            assert loop.time() - began == pytest.approx(waits_s)
            message.exchange.finish()
            task.cancel()
        message = Message(b"body", headers={"Expect": "100-continue"})
        task = message.asked()
        await asyncio.sleep(0)
        message.wire.tell(REFUSAL)
        await task
        await message.exchange.sender_ended()
        await asyncio.sleep(2)
        assert message.wire.written.endswith(b"\r\n\r\n")
        message.exchange.finish()
        assert message.fates == ["close"], "the server may still wait for the rest"

    run(main())


def test_each_write_of_a_body_is_told_when_the_kernel_has_it_and_nothing_of_the_head() -> None:
    async def main() -> None:
        told: list[tuple[int, int]] = []
        message = Message(bytes(2 * WRITE_BYTES + 5))
        message.timings.on_sent = lambda at_ns, size, _held_ns: told.append((at_ns, size))
        task = message.asked()
        await asyncio.sleep(0)
        await message.exchange.sender_ended()
        assert told == [(2, WRITE_BYTES), (3, WRITE_BYTES), (4, 5)], "the first write was the head"
        message.wire.tell(EMPTY)
        await task
        small = Message(b"small")
        small.timings.on_sent = lambda at_ns, size, _held_ns: told.append((at_ns, size))
        small.asked()
        await asyncio.sleep(0)
        assert told[-1] == (1, 5)
        small.exchange.finish()

    run(main())


def test_whoever_stops_can_wait_until_what_is_sent_is_closed() -> None:
    closed: list[bool] = []

    async def parts() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"a"
                await asyncio.sleep(1)
        finally:
            await asyncio.sleep(0.1)  # as a file that is closed elsewhere
            closed.append(True)

    async def main() -> None:
        _, body = await answered(content=parts())
        await body.aclose()
        assert closed == [True]

    run(main())


def test_each_part_of_a_large_request_has_the_whole_write_timeout() -> None:
    async def main() -> None:
        message = Message(bytes(3 * WRITE_BYTES))
        message.wire.full = True
        task = message.asked(write_s=1.0)
        for _ in range(3):
            await asyncio.sleep(0.9)
            message.wire.take_all()
            message.wire.full = True
        with pytest.raises(httpx2.WriteTimeout, match="the server took nothing of the request for 1 s"):
            await task

    run(main())


def test_a_server_that_broke_off_while_it_was_sent_to_has_the_last_word() -> None:
    async def main() -> None:
        for answer in (b"", REFUSAL):
            message = Message(bytes(3 * WRITE_BYTES))
            message.wire.full = True
            task = message.asked()
            await asyncio.sleep(0)
            message.wire.abort()
            await asyncio.sleep(0)
            if answer:
                message.wire.tell(answer)
                await task
                assert message.inbox.parser.status == 413
            else:
                message.inbox.lost(ConnectionResetError())
                with pytest.raises(httpx2.WriteError, match="broken while the request was sent"):
                    await task

    run(main())

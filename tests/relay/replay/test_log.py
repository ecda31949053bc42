"""One stream and those who read it: how they are handed its pieces, and what is dropped when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from streamkit.extractor.pieces import Piece
from streamkit.relay.failure import Failed
from streamkit.relay.replay.end import STOPPED, StreamEnd
from streamkit.relay.replay.log import LEAST_BYTES, PAGE_BYTES, TRIMMED, Log, Quota
from tests.fakes import run_in_fake_time

A, B, C, D = (Piece(letter * 10) for letter in "abcd")


def log_of(max_bytes: int = 1 << 20, total: int = 1 << 30) -> Log:
    return Log("s1", max_bytes, Quota(total))


def play(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    run_in_fake_time(main())


def test_who_is_up_to_date_is_handed_pieces_in_the_callback_that_appends_them() -> None:
    async def test() -> None:
        log = log_of()
        got: list[Piece] = []

        def take(pieces: list[Piece]) -> bool:
            got.extend(pieces)
            return True

        with log.attach() as reader:
            pouring = asyncio.ensure_future(reader.pour(take))
            await asyncio.sleep(0)
            assert log.offer([A])
            assert log.offer([B, C])
            assert (got, reader.position) == ([A, B, C], 3)
            log.close(StreamEnd())
            assert await pouring == []
            assert reader.at_end

    play(test)


def test_pieces_that_are_refused_come_back_to_be_handed_on_in_another_way() -> None:
    async def test() -> None:
        log = log_of()
        with log.attach() as reader:
            pouring = asyncio.ensure_future(reader.pour(lambda _: False))
            await asyncio.sleep(0)
            log.offer([A])
            log.offer([B])
            assert await pouring == [A]
            assert reader.position == 0
            reader.took([A])
            assert reader.behind
            assert await reader.page() == [B]

    play(test)


def test_what_the_one_who_takes_raises_is_his_own() -> None:
    def bad(_: list[Piece]) -> bool:
        raise RuntimeError("his own")

    async def test() -> None:
        log = log_of()
        with log.attach() as reader, log.attach() as other:
            pouring = asyncio.ensure_future(reader.pour(bad))
            others = asyncio.ensure_future(other.pour(lambda _: True))
            await asyncio.sleep(0)
            assert log.offer([A])
            with pytest.raises(RuntimeError, match="his own"):
                await pouring
            assert other.position == 1
            others.cancel()

    play(test)


def test_who_is_behind_is_given_pages_and_is_not_poured_to() -> None:
    async def test() -> None:
        log = log_of()
        log.offer([Piece("x" * 1000)] * 20)
        with log.attach(2) as reader:
            page = await reader.page()
            assert PAGE_BYTES <= 1000 * len(page) < PAGE_BYTES + 1000
            reader.took(page)
            assert (reader.position, reader.behind) == (2 + len(page), True)

    play(test)


def test_caught_up_is_not_ended() -> None:
    log = log_of()
    log.offer([A])
    reader = log.attach(1)
    assert (reader.behind, reader.at_end) == (False, False)
    log.close(StreamEnd(STOPPED))
    assert reader.at_end
    assert not log.attach(0).at_end


def test_the_first_end_counts() -> None:
    log = log_of()
    log.close(StreamEnd(STOPPED))
    log.close(StreamEnd())
    assert log.end == StreamEnd(STOPPED)


def test_full_for_nobody_it_waits_and_drops_nothing() -> None:
    log = log_of(20)
    assert [log.offer([piece]) for piece in (A, B, C, D)] == [True, True, True, False]
    assert (log.first, log.last) == (1, 3)


def test_what_all_readers_have_taken_is_dropped_first() -> None:
    log = log_of(20)
    fast, slow = log.attach(), log.attach()
    for piece in (A, B, C):
        assert log.offer([piece])
    fast.took([A, B, C])
    assert not log.offer([D])
    slow.took([A, B])
    assert log.offer([D])
    assert log.first == 2, "of what was taken half a log stays: it may lie in the reader's own kernel"
    slow.close()
    assert log.offer([D])
    assert log.first == 3


def test_what_is_in_flight_counts_as_not_taken() -> None:
    log = log_of(20)
    in_flight = 30
    reader = log.attach(0, lambda: in_flight)
    for piece in (A, B, C):
        assert log.offer([piece])
    reader.took([A, B, C])
    assert not log.offer([D])
    in_flight = 0
    assert log.offer([D])


def test_where_it_cannot_be_known_what_is_in_flight_nothing_is_dropped() -> None:
    log = log_of(20)
    reader = log.attach(0, lambda: None)
    for piece in (A, B, C):
        assert log.offer([piece])
    reader.took([A, B, C])
    assert not log.offer([D])


@pytest.mark.parametrize("size", [1, 39, 40, 1000, 1 << 20])
@pytest.mark.parametrize("max_bytes", [1, 40, 1000])
def test_a_stream_whose_readers_have_got_all_goes_on_however_large_its_pieces(size: int, max_bytes: int) -> None:
    log = log_of(max_bytes)
    reader = log.attach()
    for _ in range(30):
        for piece in (Piece("x" * size), Piece("y"), Piece("", "z")):
            assert log.offer([piece])
            reader.took([piece])
    assert log.kept.bytes_behind_first <= max_bytes + size


def test_where_all_logs_are_full_one_that_is_read_goes_on_and_one_that_is_not_stops() -> None:
    quota = Quota(1000)
    other = Log("other", 1 << 20, quota)
    other.offer([Piece("x" * 2000)])
    log = Log("s1", 1 << 22, quota)
    reader = log.attach()
    for _ in range(300):
        assert log.offer([Piece("x" * 1000)])
        reader.took([Piece("")])
    assert log.kept.bytes <= LEAST_BYTES + 1000
    reader.close()
    while log.offer([Piece("x" * 1000)]):
        assert log.kept.bytes <= LEAST_BYTES + 2000
    used = quota.used
    assert used == log.kept.bytes + other.kept.bytes
    log.release()
    assert quota.used == other.kept.bytes


def test_behind_what_was_dropped_there_is_a_named_error() -> None:
    async def test() -> None:
        log = log_of()
        log.offer([A, B, C])
        log.trim(2)
        for ask in (lambda: log.page(1), lambda: log.at_byte(5)):
            with pytest.raises(Failed) as caught:
                await ask()
            assert caught.value.failure == TRIMMED
        assert await log.page(2) == [C]
        assert await log.at_byte(25) == (2, 5)

    play(test)


def test_a_producer_that_waits_goes_on_as_soon_as_somebody_takes_or_leaves() -> None:
    async def test() -> None:
        log = log_of(10)
        reader, other = log.attach(), log.attach()
        log.offer([A, B])
        putting = asyncio.ensure_future(log.put([C]))
        await asyncio.sleep(1)
        assert not putting.done()
        reader.took([A, B])
        other.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert putting.done()

    play(test)


def test_who_reads_is_counted_once_and_said_to_whom_it_concerns() -> None:
    log = log_of()
    said: list[int] = []
    log.attended = said.append
    with log.attach() as reader:
        assert log.readers == 1
    reader.close()
    assert said == [1, 0]

"""What every store of logs promises: the same claims of the one in memory, and of two workers with one Redis."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest

from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.replay.end import STOPPED, StreamEnd
from streamkit.relay.replay.store import Claim, Store
from streamkit.relay.settings import Resuming
from tests.redis_server import REDIS, redis_server
from tests.stores import OWNER, SOON_S, Reading, fill, fresh_id, made, read, until, words, workers

TIMED_OUT = Failure(Outcome("timeout", "idle"), "timeout_idle", 504, "the deadline 'idle' passed")

# Where there is no redis-server, tests/sockets/test_redis_store.py says so.
STORES = ("memory",) if REDIS is None else ("memory", "redis")


@pytest.fixture(scope="module", params=STORES)
def url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Of a Redis; None: in memory."""
    if request.param == "memory":
        yield None
    else:
        with redis_server() as server:
            yield server.url


def code(error: pytest.ExceptionInfo[Failed]) -> str:
    return error.value.failure.code


async def first_refusal(store: Store) -> str:
    """The code of it: another worker hears of what is held within its lease."""
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                await made(store)
            except Failed as failed:
                return failed.failure.code
            await asyncio.sleep(0.02)


def test_every_reader_of_every_worker_gets_the_same_pieces_and_the_same_end(url: str | None) -> None:
    async def main() -> None:
        async with workers(url) as two:
            log = await made(two.here)
            pieces, end = words(500), StreamEnd(finish_reason="stop")
            found = [await store.find(log.id, OWNER) for store in two.both for _ in range(3)]
            readers = [asyncio.create_task(read(one)) for one in found]
            await asyncio.sleep(0)
            await fill(log, pieces, end)
            assert [await reader for reader in readers] == [(pieces, end)] * 6
            for store in two.both:
                assert await read(await store.find(log.id, OWNER)) == (pieces, end)

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_who_catches_up_while_the_producer_runs_at_full_speed_sees_no_gap_and_nothing_twice(
    url: str | None, seed: int
) -> None:
    async def main() -> None:
        draw = random.Random(seed)
        pieces = words(20_000, size=draw.choice([0, 40]))

        async def resume(delay_s: float, position: int) -> None:
            await asyncio.sleep(delay_s)
            log = await draw.choice(two.both).find(stream_id, OWNER)
            position = min(position, log.last)
            assert await read(log, position) == (pieces[position:], StreamEnd())

        async with workers(url) as two, asyncio.TaskGroup() as group:
            log = await made(two.here)
            stream_id = log.id
            group.create_task(fill(log, pieces, many=draw.choice([1, 7])))
            for _ in range(30):
                group.create_task(resume(draw.random() * 0.3, draw.choice([0, draw.randrange(20_000), 20_000])))

    asyncio.run(main())


def test_who_has_a_piece_from_one_worker_goes_on_behind_it_at_the_other_at_once(url: str | None) -> None:
    async def main() -> None:
        async with workers(url) as two:
            log = await made(two.here)
            producer = asyncio.create_task(fill(log, words(3_000), many=1))
            position, turn = 0, 0
            while position < 3_000:
                turn += 1
                found = await two.both[turn % 2].find(log.id, OWNER)
                assert found.last >= position
                reading = Reading(found, position)
                await reading.run(upto=draw.randint(1, 200))
                assert reading.got == words(3_000)[position : position + len(reading.got)]
                position += len(reading.got)
            await producer

    draw = random.Random(1)
    asyncio.run(main())


def test_the_first_end_counts_and_nothing_comes_behind_it(url: str | None) -> None:
    async def main() -> None:
        async with workers(url) as two:
            log = await made(two.here)
            await fill(log, words(3), StreamEnd(STOPPED.__class__(STOPPED.outcome, "stopped", 410, STOPPED.detail)))
            await log.finish(StreamEnd())
            for store in two.both:
                assert await read(await store.find(log.id, OWNER)) == (words(3), StreamEnd(STOPPED))

    asyncio.run(main())


def test_a_stream_that_failed_is_replayed_as_failed(url: str | None) -> None:
    async def main() -> None:
        async with workers(url) as two:
            log = await made(two.here)
            await fill(log, words(9), StreamEnd(TIMED_OUT, "length"))
            for store in two.both:
                assert await read(await store.find(log.id, OWNER), 4) == (words(9)[4:], StreamEnd(TIMED_OUT, "length"))

    asyncio.run(main())


@pytest.mark.parametrize("stream_id", ["5f" * 16, "", "x", "*", "a" * 31, "A" * 32, "}:log", "é" * 32, "a" * 32 + "\n"])
def test_an_id_that_is_none_of_its_own_is_unknown(url: str | None, stream_id: str) -> None:
    async def main() -> None:
        async with workers(url) as two:
            with pytest.raises(Failed) as error:
                await two.there.find(stream_id, OWNER)
            assert code(error) == "stream_unknown"

    asyncio.run(main())


def test_somebody_elses_stream_is_unknown(url: str | None) -> None:
    async def main() -> None:
        async with workers(url) as two:
            log = await made(two.here)
            for store in two.both:
                for other in ("", "another", OWNER + " "):
                    with pytest.raises(Failed) as error:
                        await store.find(log.id, other)
                    assert code(error) == "stream_unknown"

    asyncio.run(main())


def test_the_same_claim_leads_to_the_same_stream_and_another_body_is_refused(url: str | None) -> None:
    async def main() -> None:
        async with workers(url) as two:
            key = fresh_id()
            log = await made(two.here, Claim(key, "body"))
            for store in two.both:
                again = await store.create(fresh_id(), OWNER, Claim(key, "body"))
                assert (again.log.id, again.fresh) == (log.id, False)
                with pytest.raises(Failed) as error:
                    await store.create(fresh_id(), OWNER, Claim(key, "other body"))
                assert code(error) == "idempotency_key_reused"
            await fill(log, words(2))
            again = await two.there.create(fresh_id(), OWNER, Claim(key, "body"))
            assert await read(again.log) == (words(2), StreamEnd())

    asyncio.run(main())


def test_of_many_that_claim_at_the_same_instant_one_makes_the_stream(url: str | None) -> None:
    async def main() -> None:
        async with workers(url) as two:
            for _ in range(10):
                claim = Claim(fresh_id(), "body")
                every = await asyncio.gather(*(store.create(fresh_id(), OWNER, claim) for store in two.both * 10))
                assert len({one.log.id for one in every}) == 1
                assert sum(one.fresh for one in every) == 1
                (log,) = [one.log for one in every if one.fresh]
                readers = [asyncio.create_task(read(one.log)) for one in every]
                await asyncio.sleep(0)
                await fill(log, words(5))
                assert [await reader for reader in readers] == [(words(5), StreamEnd())] * 20

    asyncio.run(main())


def test_a_claim_is_free_again_after_a_failure_before_the_first_piece_and_only_then(url: str | None) -> None:
    async def main() -> None:
        async with workers(url) as two:
            for pieces, end, free in (
                ([], StreamEnd(TIMED_OUT), True),
                (words(1), StreamEnd(TIMED_OUT), False),
                ([], StreamEnd(), False),
            ):
                claim = Claim(fresh_id(), "body")
                await fill(await made(two.here, claim), pieces, end)
                assert (await two.there.create(fresh_id(), OWNER, claim)).fresh == free

    asyncio.run(main())


def test_what_is_forgotten_is_expired_for_a_while_and_then_unknown_and_its_claim_is_free(url: str | None) -> None:
    async def main() -> None:
        async with workers(url, Resuming(resume_keep_s=0.6)) as two:
            claim = Claim(fresh_id(), "body")
            log = await made(two.here, claim)
            await fill(log, words(2))
            await two.there.forget(await two.there.find(log.id, OWNER))
            for store in two.both:
                with pytest.raises(Failed) as error:
                    await store.find(log.id, OWNER)
                assert code(error) == "stream_expired"
                with pytest.raises(Failed) as error:
                    await store.find(log.id, "another")
                assert code(error) == "stream_unknown"
            assert (await two.there.create(fresh_id(), OWNER, claim)).fresh
            await asyncio.sleep(0.7)
            with pytest.raises(Failed) as error:
                await two.here.find(log.id, OWNER)
            assert code(error) == "stream_unknown"

    asyncio.run(main())


def test_what_has_ended_is_kept_for_its_time_then_expired_for_the_same_then_unknown(url: str | None) -> None:
    async def main() -> None:
        async with workers(url, Resuming(resume_keep_s=0.8)) as two:
            log = await made(two.here)
            assert two.here.expires_in_s(log) is None
            await fill(log, words(2))
            for store in two.both:
                found = await store.find(log.id, OWNER)
                left_s = store.expires_in_s(found)
                assert left_s is not None
                assert 0 < left_s <= 0.8
            seen = []
            for _ in range(60):
                try:
                    await two.there.find(log.id, OWNER)
                    seen.append("kept")
                except Failed as failed:
                    seen.append(failed.failure.code)
                if seen[-1] == "stream_unknown":
                    break
                await asyncio.sleep(0.05)
            assert list(dict.fromkeys(seen)) == ["kept", "stream_expired", "stream_unknown"]

    asyncio.run(main())


def test_a_full_log_holds_its_producer_until_a_reader_anywhere_has_read_and_drops_nothing_unread(
    url: str | None,
) -> None:
    async def main() -> None:
        async with workers(url, Resuming(resume_max_bytes=20_000)) as two:
            log = await made(two.here)
            pieces = words(2_000, size=40)
            found = await two.there.find(log.id, OWNER)
            reading = Reading(found)
            producer = asyncio.create_task(fill(log, pieces))
            await asyncio.sleep(0.3)
            held = log.last
            assert 0 < held < 500
            await asyncio.sleep(0.3)
            assert (log.last, log.first, producer.done()) == (held, 1, False)
            assert await asyncio.wait_for(reading.run(), 20) == StreamEnd()
            await producer
            assert reading.got == pieces

    asyncio.run(main())


def test_what_every_reader_anywhere_has_taken_is_trimmed_and_the_slowest_loses_nothing(url: str | None) -> None:
    async def main() -> None:
        async with workers(url, Resuming(resume_max_bytes=20_000)) as two:
            log = await made(two.here)
            pieces = words(2_000, size=40)
            slow, quick = Reading(await two.there.find(log.id, OWNER)), Reading(log)
            producer = asyncio.create_task(fill(log, pieces))
            running = asyncio.create_task(quick.run())
            await asyncio.sleep(0.3)
            assert log.first == 1
            assert await asyncio.wait_for(slow.run(), 20) == StreamEnd()
            await running
            await producer
            assert slow.got == quick.got == pieces
            for store in two.both:
                found = await store.find(log.id, OWNER)
                assert 1 < found.first < found.last == 2_000
                assert await read(found, found.first - 1) == (pieces[found.first - 1 :], StreamEnd())
                with pytest.raises(Failed) as error:
                    found.check_kept(0)
                assert code(error) == "cursor_trimmed"
                with pytest.raises(Failed) as error:
                    await read(found, 0)
                assert code(error) == "cursor_trimmed"

    asyncio.run(main())


def test_one_piece_always_fits_however_large(url: str | None) -> None:
    async def main() -> None:
        async with workers(url, Resuming(resume_max_bytes=1_000)) as two:
            log = await made(two.here)
            pieces = [Piece("x" * 5_000), Piece("y" * 5_000), Piece("z")]
            reading = asyncio.create_task(read(await two.there.find(log.id, OWNER)))
            await asyncio.sleep(0.05)
            await asyncio.wait_for(fill(log, pieces, many=1), 10)
            assert await reading == (pieces, StreamEnd())

    asyncio.run(main())


def test_where_all_together_hold_as_much_as_they_may_a_new_stream_is_refused_until_something_is_forgotten(
    url: str | None,
) -> None:
    async def main() -> None:
        async with workers(url, Resuming(resume_max_total_bytes=10_000, resume_lease_s=1)) as two:
            log = await made(two.here)
            await fill(log, [Piece("x" * 12_000)])
            for store in two.both:
                assert await first_refusal(store) == "resume_full"
            await two.there.forget(await two.there.find(log.id, OWNER))
            async with asyncio.timeout(SOON_S):
                while True:
                    try:
                        await made(two.here)
                    except Failed:
                        await asyncio.sleep(0.02)
                    else:
                        break

    asyncio.run(main())


def test_every_byte_of_the_text_is_found_where_it_stands(url: str | None) -> None:
    async def main() -> None:
        async with workers(url) as two:
            log = await made(two.here)
            pieces = words(9_000, size=60)
            await fill(log, pieces, many=40)
            text = "".join(piece.text for piece in pieces).encode()
            draw = random.Random(7)
            for store in two.both:
                found = await store.find(log.id, OWNER)
                assert found.text_bytes == len(text)
                for byte in [0, 1, len(text) - 1, len(text), *(draw.randrange(len(text)) for _ in range(40))]:
                    number, inside = await found.at_byte(byte)
                    before = "".join(piece.text for piece in pieces[:number]).encode()
                    assert len(before) + inside == byte
                    assert not inside or inside < len(pieces[number].text.encode())

    asyncio.run(main())


def test_its_producer_is_told_how_many_read_it_anywhere(url: str | None) -> None:
    async def main() -> None:
        async with workers(url) as two:
            log = await made(two.here)
            told: list[int] = []
            log.attended = told.append
            here = log.attach()
            found = await two.there.find(log.id, OWNER)
            there = [found.attach() for _ in range(3)]
            await until(lambda: log.readers == 4)
            for each in there:
                each.close()
            await until(lambda: log.readers == 1)
            here.close()
            assert log.readers == 0
            there = [found.attach()]
            await until(lambda: log.readers == 1)
            assert (await two.here.find(log.id, OWNER)).readers == 1
            there[0].close()
            await until(lambda: log.readers == 0)
            assert told[0] == 1
            assert told[-1] == 0
            assert max(told) == 4
            await log.finish(StreamEnd())

    asyncio.run(main())

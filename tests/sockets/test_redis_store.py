"""What the store in Redis promises beyond that: of workers that die or were thought dead, of a Redis that goes and
comes back, of connections and keys.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.relay.failure import Failed
from streamkit.relay.log import StreamRecord
from streamkit.relay.replay.end import PRODUCER_LOST, STOPPED, STORE_LOST, StreamEnd
from streamkit.relay.replay.produce import Producer
from streamkit.relay.replay.redis import RedisStore
from streamkit.relay.replay.store import Claim
from streamkit.relay.settings import Resuming, Settings
from streamkit.relay.sources.source import Pieces
from tests.redis_server import NONE, REDIS, RedisServer, redis_server
from tests.stores import OWNER, SOON_S, Reading, fill, fresh_id, made, read, until, words, workers

if REDIS is None:
    pytest.skip(NONE, allow_module_level=True)

LEASE_S = 1.0
QUICK = Resuming(resume_lease_s=LEASE_S)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """For tests that do something to it."""
    with redis_server() as running:
        yield running


@asynccontextmanager
async def store_of(url: str, settings: Resuming = QUICK) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, settings)
    await store.open(lambda _: None)
    try:
        yield store
    finally:
        await store.close()


async def abandon(store: RedisStore) -> None:
    """As a worker that is killed: nothing of it goes on, nothing is said."""
    tasks = [store._housekeeper, store._tail._task, store._commands._task]
    for task in tasks:
        assert task is not None
        task.cancel()
    await asyncio.wait([task for task in tasks if task is not None])
    await store._tail._socket.close()
    await store._commands._socket.close()
    store._housekeeper = None


# --- Workers that die, or were thought dead ---------------------------------------------------------------------------


def test_a_dead_worker_becomes_producer_lost_within_the_lease_behind_all_that_it_wrote(server: RedisServer) -> None:
    async def main() -> None:
        async with store_of(server.url) as there:
            here = RedisStore(server.url, QUICK)
            await here.open(lambda _: None)
            log = await made(here)
            assert log.offer(words(5))
            found = await there.find(log.id, OWNER)
            reading = asyncio.create_task(read(found))
            await until(lambda: found.last == 5)
            await abandon(here)
            died = time.monotonic()
            assert await reading == (words(5), StreamEnd(PRODUCER_LOST))
            assert time.monotonic() - died < LEASE_S + 0.5
            assert await read(await there.find(log.id, OWNER)) == (words(5), StreamEnd(PRODUCER_LOST))

    asyncio.run(main())


def test_who_asks_for_the_stream_of_a_dead_worker_is_told_at_once_and_its_claim_is_free_if_nothing_came(
    server: RedisServer,
) -> None:
    async def main() -> None:
        async with store_of(server.url) as there:
            here = RedisStore(server.url, QUICK)
            await here.open(lambda _: None)
            claims = [Claim(fresh_id(), "body"), Claim(fresh_id(), "body")]
            empty, begun = [await made(here, claim) for claim in claims]
            assert begun.offer(words(1))
            await until(lambda: begun.last == 1)
            await abandon(here)
            await asyncio.sleep(LEASE_S * 0.8)
            assert (await there.find(empty.id, OWNER)).end == StreamEnd(PRODUCER_LOST)
            assert (await there.create(fresh_id(), OWNER, claims[0])).fresh
            again = await there.create(fresh_id(), OWNER, claims[1])
            assert (again.log.id, again.log.end) == (begun.id, StreamEnd(PRODUCER_LOST))

    asyncio.run(main())


def test_what_a_worker_that_was_thought_dead_writes_late_is_refused_by_redis_and_its_producer_ends(
    server: RedisServer,
) -> None:
    async def main() -> None:
        async with store_of(server.url) as there:
            stopped: list[str] = []
            here = RedisStore(server.url, QUICK)
            await here.open(stopped.append)
            log = await made(here)
            assert log.offer(words(5))
            await until(lambda: log.last == 5)
            with server.client() as client:
                client.delete(f"streamkit:lease:{log.worker}")  # type: ignore[attr-defined]
            assert (await there.find(log.id, OWNER)).end == StreamEnd(PRODUCER_LOST)
            assert log.offer(words(6)[5:])
            await until(lambda: log.end is not None)
            assert (log.end, log.last, stopped) == (StreamEnd(PRODUCER_LOST), 5, [log.id])
            with pytest.raises(Failed) as error:
                await log.put(words(1))
            assert error.value.failure == PRODUCER_LOST
            await log.finish(StreamEnd())
            for store in (here, there):
                assert await read(await store.find(log.id, OWNER)) == (words(5), StreamEnd(PRODUCER_LOST))
            await here.close()

    asyncio.run(main())


def test_a_producer_with_nothing_to_say_learns_from_its_lease_that_its_stream_was_ended(server: RedisServer) -> None:
    async def main() -> None:
        async with workers(server.url, QUICK) as two:
            log = await made(two.here)
            with server.client() as client:
                client.delete(f"streamkit:lease:{log.worker}")  # type: ignore[attr-defined]
            assert (await two.there.find(log.id, OWNER)).end == StreamEnd(PRODUCER_LOST)
            await until(lambda: log.end == StreamEnd(PRODUCER_LOST), LEASE_S)
            assert two.stopped == [log.id]

    asyncio.run(main())


def test_a_worker_that_is_late_to_read_has_read_all_that_there_was_when_it_is_asked(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with store_of(server.url) as here, store_of(server.url) as there:
            came, loop = there._tail._came, asyncio.get_running_loop()
            monkeypatch.setattr(there._tail, "_came", lambda *of: loop.call_later(0.1, came, *of))
            log = await made(here)
            reading = asyncio.create_task(read(await there.find(log.id, OWNER)))
            await asyncio.sleep(0.05)
            assert log.offer(words(5))
            await until(lambda: log.last == 5)
            assert (await there.find(log.id, OWNER)).last == 5
            await log.finish(StreamEnd())
            assert (await there.find(log.id, OWNER)).end == StreamEnd()
            assert await reading == (words(5), StreamEnd())

    asyncio.run(main())


def test_a_stream_is_stopped_from_any_worker_and_its_upstream_closed(server: RedisServer) -> None:
    async def main() -> None:
        closed = asyncio.Event()

        async def source() -> Pieces:
            try:
                yield words(1)
                await asyncio.sleep(3600)
            finally:
                closed.set()

        async with store_of(server.url) as there:
            here, producers = RedisStore(server.url, QUICK), dict[str, Producer]()
            await here.open(lambda stream_id: producers[stream_id].stop(STOPPED))
            for read_there in (True, False):
                closed.clear()
                log = await made(here)
                record = StreamRecord(log.id)
                producers[log.id] = Producer(log, record, Settings())
                producers[log.id].start(source(), lambda: None)
                found = await there.find(log.id, OWNER)
                reading = asyncio.create_task(read(found)) if read_there else None
                await until(lambda log=log: log.last == 1)  # type: ignore[misc]
                asked = time.monotonic()
                await there.ask_to_stop(found)
                assert closed.is_set()
                assert time.monotonic() - asked < 0.5
                assert found.end == StreamEnd(STOPPED)
                if reading is not None:
                    assert await reading == (words(1), StreamEnd(STOPPED))
                await producers[log.id].stopped(SOON_S)
                assert record.outcome == Outcome("cancelled")
            await here.close()

    asyncio.run(main())


def test_readers_of_a_dead_worker_count_no_longer_and_hold_nobody(server: RedisServer) -> None:
    async def main() -> None:
        async with store_of(server.url, Resuming(resume_lease_s=LEASE_S, resume_max_bytes=20_000)) as here:
            there = RedisStore(server.url, QUICK)
            await there.open(lambda _: None)
            log = await made(here)
            (await there.find(log.id, OWNER)).attach()
            await until(lambda: log.readers == 1)
            quick = Reading(log)
            reading = asyncio.create_task(quick.run())
            producer = asyncio.create_task(fill(log, words(2_000, size=40)))
            await asyncio.sleep(0.2)
            assert not producer.done()
            await abandon(there)
            await asyncio.wait_for(asyncio.gather(producer, reading), SOON_S)
            assert quick.got == words(2_000, size=40)
            assert log.readers_elsewhere == 0

    asyncio.run(main())


# --- Redis goes and comes back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "hung", "emptied"])
def test_a_redis_that_is_lost_ends_every_stream_as_store_lost_and_nothing_hangs(
    own_server: RedisServer, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with workers(own_server.url, QUICK) as two:
            logs = [await made(two.here) for _ in range(3)]
            for log in logs[:2]:
                assert log.offer(words(5))
            await until(lambda: logs[1].last == 5)
            readings = [asyncio.create_task(read(await store.find(logs[0].id, OWNER))) for store in two.both]
            readings.append(asyncio.create_task(read(logs[1])))
            await asyncio.sleep(0.1)
            if how == "killed":
                own_server.kill()
            elif how == "hung":
                own_server.hang()
            else:
                with own_server.client() as client:
                    client.flushall()
            assert logs[2].offer(words(1))
            finishing = [asyncio.create_task(log.finish(StreamEnd())) for log in logs[1:]]
            for reading in readings[:3] if how != "emptied" else readings[1:]:
                got, end = await reading
                assert got == words(5)
                assert end in (StreamEnd(STORE_LOST), StreamEnd(PRODUCER_LOST))
            await asyncio.wait_for(asyncio.gather(*finishing), SOON_S)
            assert [log.end for log in logs[1:]] == [StreamEnd(STORE_LOST)] * 2
            if how == "emptied":
                assert logs[0].offer(words(1))  # whose producer said nothing until now
                assert (await readings[0])[1] == StreamEnd(STORE_LOST)
            with pytest.raises(Failed) as error:
                await logs[0].put(words(1))
            assert error.value.failure == STORE_LOST
            if how != "emptied":
                asked = time.monotonic()
                for asking in (two.here.create(fresh_id(), OWNER, None), two.there.find(logs[0].id, OWNER)):
                    with pytest.raises(Failed) as error:
                        await asking
                    assert error.value.failure == STORE_LOST
                assert time.monotonic() - asked < 9
                assert not two.here.reachable
            if how == "killed":
                own_server.start()
            elif how == "hung":
                own_server.go_on()
            for store in two.both:
                await works_again(store)
                assert store.reachable
            if how == "hung":
                assert (await two.there.find(logs[0].id, OWNER)).end in (
                    StreamEnd(STORE_LOST),
                    StreamEnd(PRODUCER_LOST),
                )

    async def works_again(store: object) -> None:
        assert isinstance(store, RedisStore)
        until_s = time.monotonic() + SOON_S
        while True:
            try:
                log = await made(store)
                break
            except Failed:
                assert time.monotonic() < until_s
                await asyncio.sleep(0.05)
        await fill(log, words(3))
        assert await read(await store.find(log.id, OWNER)) == (words(3), StreamEnd())
        assert log.end == StreamEnd()

    with caplog.at_level(logging.WARNING, "streamkit.relay"):
        asyncio.run(main())
    assert len(caplog.messages) <= 4, "said once when it goes and once when it comes back, by each worker"
    assert str(own_server.port) not in caplog.text


def test_who_has_found_a_stream_and_reads_it_only_when_redis_is_lost_does_not_wait_for_it(
    own_server: RedisServer,
) -> None:
    async def main() -> None:
        async with workers(own_server.url, QUICK) as two:
            log = await made(two.here)
            found = await two.there.find(log.id, OWNER)
            own_server.kill()
            await until(lambda: found.end is not None)
            assert await read(found) == ([], StreamEnd(STORE_LOST))

    asyncio.run(main())


def test_a_worker_that_begins_without_a_redis_works_as_soon_as_there_is_one(own_server: RedisServer) -> None:
    async def main() -> None:
        own_server.kill()
        async with store_of(own_server.url) as store:
            with pytest.raises(Failed) as error:
                await made(store)
            assert error.value.failure == STORE_LOST
            own_server.start()
            await until_made(store)

    async def until_made(store: RedisStore) -> None:
        async with asyncio.timeout(SOON_S):
            while True:
                try:
                    await made(store)
                except Failed:
                    await asyncio.sleep(0.05)
                else:
                    return

    asyncio.run(main())


def test_a_password_is_used_and_a_wrong_one_is_a_store_that_is_lost_and_stands_in_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main(port: int) -> None:
        async with store_of(f"redis://:s3cret@127.0.0.1:{port}/0") as store:
            await fill(await made(store), words(2))
        async with store_of(f"redis://:wr0ng@127.0.0.1:{port}/0") as store:
            with pytest.raises(Failed) as error:
                await made(store)
            assert error.value.failure == STORE_LOST

    with redis_server("--requirepass", "s3cret") as locked, caplog.at_level(logging.DEBUG):
        asyncio.run(main(locked.port))
    assert "cannot be reached: AuthenticationError" in caplog.text
    assert "s3cret" not in caplog.text
    assert "wr0ng" not in caplog.text


def test_a_blocked_connection_that_breaks_alone_loses_nothing(server: RedisServer) -> None:
    async def main() -> None:
        async with workers(server.url, QUICK) as two:
            log = await made(two.here)
            found = await two.there.find(log.id, OWNER)
            reading = asyncio.create_task(read(found))
            for ten in range(5):
                with server.client() as client:
                    blocked = [each["id"] for each in client.client_list() if "b" in each["flags"]]
                    for each in blocked:
                        client.client_kill_filter(_id=each)
                assert log.offer(words(10 * ten + 10)[10 * ten :])
                await asyncio.sleep(0.05)
            await log.finish(StreamEnd())
            assert await reading == (words(50), StreamEnd())

    asyncio.run(main())


# --- What it costs Redis ----------------------------------------------------------------------------------------------


def test_two_connections_a_worker_however_many_read(server: RedisServer) -> None:
    async def main() -> None:
        def connections() -> int:
            with server.client() as client:
                return len(client.client_list()) - 1

        async with workers(server.url, QUICK) as two:
            logs = [await made(two.here) for _ in range(10)]
            readings = [
                asyncio.create_task(read(await store.find(log.id, OWNER)))
                for log in logs
                for store in two.both
                for _ in range(10)
            ]
            producers = [asyncio.create_task(fill(log, words(300))) for log in logs]
            await asyncio.sleep(0.05)
            assert connections() == 4
            assert all([await reading == (words(300), StreamEnd()) for reading in readings])
            await asyncio.gather(*producers)
            assert connections() == 4
        await until(lambda: connections() == 0)

    asyncio.run(main())


def test_a_thousand_readers_at_another_worker_get_everything(server: RedisServer) -> None:
    async def main() -> None:
        async with workers(server.url, QUICK) as two:
            log = await made(two.here)
            found = await two.there.find(log.id, OWNER)
            readings = [asyncio.create_task(read(found)) for _ in range(1_000)]
            await until(lambda: log.readers == 1_000)
            await fill(log, words(100))
            assert all([await reading == (words(100), StreamEnd()) for reading in readings])

    asyncio.run(main())


def test_a_store_that_is_closed_leaves_no_task_ends_what_is_left_and_can_be_opened_again(server: RedisServer) -> None:
    store = RedisStore(server.url, QUICK)

    async def main() -> None:
        await store.open(lambda _: None)
        log = await made(store)
        assert log.offer(words(1))
        reading = asyncio.create_task(read(log))
        await asyncio.sleep(0)
        finishing = asyncio.create_task(log.finish(StreamEnd()))
        await store.close()
        await asyncio.wait_for(asyncio.gather(reading, finishing), SOON_S)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    for _ in range(3):
        asyncio.run(main())


def test_no_key_is_left_without_an_end_of_its_time(own_server: RedisServer) -> None:
    async def main() -> None:
        def lasting() -> list[bytes]:
            with own_server.client() as client:
                return [key for key in client.keys("*") if client.pttl(key) < 0]

        async with workers(own_server.url, Resuming(resume_keep_s=0.5, resume_lease_s=LEASE_S)) as two:
            logs = [await made(two.here, Claim(fresh_id(), "body")) for _ in range(4)]
            readings = [asyncio.create_task(read(await two.there.find(log.id, OWNER))) for log in logs]
            await asyncio.sleep(0.3)
            assert lasting() == []
            for log, end in zip(
                logs, (StreamEnd(), StreamEnd(STOPPED), StreamEnd(), StreamEnd(PRODUCER_LOST)), strict=True
            ):
                await fill(log, words(20), end)
            for reading in readings:
                await reading
            await two.there.forget(await two.there.find(logs[2].id, OWNER))
            await asyncio.sleep(0.1)
            assert lasting() == []
            await asyncio.sleep(1.2)
            with own_server.client() as client:
                left = {key.split(b":")[1] for key in client.keys("*")}
            assert left <= {b"lease", b"control", b"workers"}

    asyncio.run(main())


def test_a_log_that_is_longer_than_what_a_worker_holds_of_it_is_read_from_redis(server: RedisServer) -> None:
    async def main() -> None:
        pieces = [Piece("x" * 1_000 + str(n)) for n in range(2_000)]
        async with workers(server.url) as two:
            log = await made(two.here)
            first = Reading(log)
            await fill(log, pieces, many=5)
            assert log.kept.first > 1
            assert log.first == 1
            assert log.kept.bytes < 1_000_000
            draw = random.Random(3)
            for store in two.both:
                for position in [0, 1, 1_999, *(draw.randrange(2_000) for _ in range(10))]:
                    assert await read(await store.find(log.id, OWNER), position) == (pieces[position:], StreamEnd())
            assert await first.run() == StreamEnd()
            assert first.got == pieces

    asyncio.run(main())


def test_what_a_worker_ceases_to_hold_while_a_page_of_it_is_asked_for_is_read_from_redis(server: RedisServer) -> None:
    async def main() -> None:
        async with workers(server.url) as two:
            log = await made(two.here)
            await fill(log, words(100))
            page = asyncio.create_task(log.page(0))
            await asyncio.sleep(0)  # it has been asked, and others have their turn
            log.kept.drop(log.last)
            async with asyncio.timeout(SOON_S):
                assert (await page)[:3] == words(100)[:3]

    asyncio.run(main())


def test_what_lies_between_is_told_to_have_been_trimmed_if_a_worker_comes_back_to_it_too_late(
    server: RedisServer,
) -> None:
    async def main() -> None:
        async with workers(server.url, Resuming(resume_max_bytes=20_000)) as two:
            log = await made(two.here)
            found = await two.there.find(log.id, OWNER)  # and nobody reads it there
            reading = asyncio.create_task(read(log))
            await asyncio.sleep(0)
            await fill(log, words(2_000, size=40))
            await reading
            with pytest.raises(Failed) as error:
                await read(found)
            assert error.value.failure.code == "cursor_trimmed"

    asyncio.run(main())


def test_a_running_stream_lives_on_though_nothing_comes_for_longer_than_it_is_kept(server: RedisServer) -> None:
    async def main() -> None:
        async with workers(server.url, Resuming(resume_keep_s=0.2, resume_lease_s=LEASE_S)) as two:
            log = await made(two.here)
            await asyncio.sleep(0.5)
            found = await two.there.find(log.id, OWNER)
            assert (found.end, two.there.expires_in_s(found)) == (None, None)
            await log.finish(StreamEnd())

    asyncio.run(main())


def test_two_relays_of_one_redis_share_its_streams_and_other_keys_are_left_alone(own_server: RedisServer) -> None:
    async def main() -> None:
        with own_server.client() as client:
            client.set("somebody's", "value")
            async with workers(own_server.url, QUICK) as two:
                await fill(await made(two.here), words(2))
            assert client.get("somebody's") == b"value"
            assert {key for key in client.keys("*") if not key.startswith(b"streamkit:")} == {b"somebody's"}

    asyncio.run(main())

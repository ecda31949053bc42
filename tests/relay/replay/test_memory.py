"""The logs of one process: whose, for how long, and how many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from streamkit.extractor.pieces import Piece
from streamkit.relay.failure import Failed, Failure, timed_out
from streamkit.relay.replay.end import StreamEnd
from streamkit.relay.replay.memory import MemoryStore
from streamkit.relay.replay.store import EXPIRED, FULL, KEY_REUSED, UNKNOWN, Claim
from streamkit.relay.settings import Resuming
from tests.fakes import run_in_fake_time

KEEP_S = 10.0
CLAIM = Claim("key", "body")
Test = Callable[[MemoryStore], Awaitable[None]]


def in_store(test: Test, **resuming: int) -> None:
    async def main() -> None:
        store = MemoryStore(Resuming(resume_keep_s=KEEP_S, **resuming))
        await store.open(lambda _: None)
        await test(store)
        await store.close()

    run_in_fake_time(main())


async def refusal(asked: Awaitable[object]) -> Failure:
    with pytest.raises(Failed) as caught:
        await asked
    return caught.value.failure


@pytest.mark.parametrize("swept", [True, False], ids=["swept", "asked just in time"])
def test_what_has_ended_is_kept_then_said_to_have_expired_then_unknown(swept: bool) -> None:
    async def test(store: MemoryStore) -> None:
        log = (await store.create("a", "me", None)).log
        await asyncio.sleep(5 * KEEP_S)
        assert await store.find("a", "me") is log, "what runs does not expire"
        assert store.expires_in_s(log) is None
        await log.finish(StreamEnd())
        assert store.expires_in_s(log) == KEEP_S
        late_s = 1.5 if swept else 0.001
        await asyncio.sleep(KEEP_S - 0.001)
        assert await store.find("a", "me") is log
        await asyncio.sleep(0.001 + late_s)
        assert await refusal(store.find("a", "me")) == EXPIRED
        assert await refusal(store.find("a", "you")) == UNKNOWN
        await asyncio.sleep(KEEP_S + late_s)
        assert await refusal(store.find("a", "me")) == UNKNOWN

    in_store(test)


def test_somebody_elses_is_as_unknown_as_what_never_was() -> None:
    async def test(store: MemoryStore) -> None:
        await store.create("a", "me", None)
        assert await refusal(store.find("a", "you")) == await refusal(store.find("b", "you")) == UNKNOWN
        assert UNKNOWN.unnamed

    in_store(test)


def test_what_is_forgotten_has_expired_and_its_bytes_are_free() -> None:
    async def test(store: MemoryStore) -> None:
        log = (await store.create("a", "me", CLAIM)).log
        log.offer([Piece("hello")])
        await log.finish(StreamEnd())
        assert store.bytes == 5
        await store.forget(log)
        assert store.bytes == 0
        assert await refusal(store.find("a", "me")) == EXPIRED
        assert (await store.create("b", "me", CLAIM)).fresh

    in_store(test)


def test_who_reads_what_is_forgotten_reads_on() -> None:
    async def test(store: MemoryStore) -> None:
        log = (await store.create("a", "me", None)).log
        log.offer([Piece("hello")])
        await log.finish(StreamEnd())
        with log.attach(0) as reader:
            await store.forget(log)
            assert await reader.page() == [Piece("hello")]
            log.trim(1)
        assert store.bytes == 0

    in_store(test)


def test_the_same_claim_leads_to_the_same_log_and_another_body_is_refused() -> None:
    async def test(store: MemoryStore) -> None:
        first = await store.create("a", "me", CLAIM)
        again = await store.create("b", "me", CLAIM)
        assert (again.log, again.fresh) == (first.log, False)
        assert await refusal(store.create("c", "me", Claim("key", "another"))) == KEY_REUSED
        assert await refusal(store.find("b", "me")) == UNKNOWN
        await first.log.finish(StreamEnd())
        assert (await store.create("d", "me", CLAIM)).log is first.log
        await asyncio.sleep(KEEP_S + 2)
        assert (await store.create("e", "me", CLAIM)).fresh

    in_store(test)


@pytest.mark.parametrize("pieces", [0, 1])
def test_a_claim_is_free_again_where_nothing_came_of_it(pieces: int) -> None:
    async def test(store: MemoryStore) -> None:
        log = (await store.create("a", "me", CLAIM)).log
        log.offer([Piece("x")] * pieces)
        await log.finish(StreamEnd(timed_out("first_piece")))
        assert (await store.create("b", "me", CLAIM)).fresh == (not pieces)

    in_store(test)


def test_an_empty_answer_is_one_too() -> None:
    async def test(store: MemoryStore) -> None:
        log = (await store.create("a", "me", CLAIM)).log
        await log.finish(StreamEnd())
        assert not (await store.create("b", "me", CLAIM)).fresh

    in_store(test)


def test_above_the_total_new_streams_are_refused_and_known_ones_are_not() -> None:
    async def test(store: MemoryStore) -> None:
        log = (await store.create("a", "me", CLAIM)).log
        log.offer([Piece("x" * 20)])
        assert await refusal(store.create("b", "me", None)) == FULL
        assert not (await store.create("b", "me", CLAIM)).fresh
        assert log.offer([Piece("goes on")])
        await log.finish(StreamEnd())
        await asyncio.sleep(KEEP_S + 2)
        assert (await store.create("b", "me", None)).fresh

    in_store(test, resume_max_total_bytes=20)


def test_a_producer_that_ends_after_the_store_was_closed_harms_nobody() -> None:
    async def main() -> None:
        store = MemoryStore(Resuming())
        await store.open(lambda _: None)
        log = (await store.create("a", "me", None)).log
        await store.close()
        await log.finish(StreamEnd())

    run_in_fake_time(main())

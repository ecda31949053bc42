"""The pool: who gets which connection, in which order, and that no slot is ever lost. No sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.transport.pool import Pool, WhenFull
from tests.fakes import run_in_fake_time

A, B = "a", "b"
Closed = list[str]


def pool_of(
    size: int, *, when_full: WhenFull = "wait", max_waiting: int = 10, keepalive_s: float = 5.0
) -> tuple[Pool[str], Closed]:
    closed: Closed = []
    pool = Pool[str](
        closed.append,
        max_connections=size,
        when_full=when_full,
        max_waiting=max_waiting,
        keepalive_s=keepalive_s,
    )
    return pool, closed


def in_fake_time(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    async def run() -> None:
        await test()

    def wrapped() -> None:
        run_in_fake_time(run())

    wrapped.__doc__, wrapped.__name__ = test.__doc__, test.__name__
    return wrapped


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@in_fake_time
async def test_the_connection_used_last_is_used_next() -> None:
    pool, _ = pool_of(3)
    for _ in range(3):
        assert await pool.acquire(A, None) is None
    for connection in ("one", "two", "three"):
        pool.give_back(A, connection)
    assert [await pool.acquire(A, None) for _ in range(3)] == ["three", "two", "one"]
    assert (pool.open, pool.idle) == (3, 0)


@in_fake_time
async def test_a_connection_serves_its_own_origin_only() -> None:
    pool, closed = pool_of(2)
    assert await pool.acquire(A, None) is None
    pool.give_back(A, "a1")
    assert await pool.acquire(B, None) is None
    assert (pool.open, pool.idle, closed) == (2, 1, [])


@in_fake_time
async def test_when_full_the_oldest_idle_connection_of_another_origin_gives_way() -> None:
    pool, closed = pool_of(2)
    for connection in ("a1", "a2"):
        await pool.acquire(A, None)
        await pool.acquire(A, None)
        pool.give_back(A, connection)
        pool.give_back(A, connection + "'")
        assert await pool.acquire(B, None) is None
        assert closed == [connection]
        pool.free()
        assert await pool.acquire(A, None) == connection + "'"
        pool.free()
        closed.clear()


@in_fake_time
async def test_when_full_a_parked_connection_gives_way_at_once() -> None:
    pool, closed = pool_of(1)
    await pool.acquire(A, None)
    assert pool.park("a1")
    assert await pool.acquire(A, 0.0) is None
    assert closed == ["a1"]
    assert not pool.unpark("a1")
    assert pool.open == 1


@in_fake_time
async def test_a_parked_connection_can_become_idle() -> None:
    pool, _ = pool_of(1)
    await pool.acquire(A, None)
    pool.park("a1")
    assert pool.unpark("a1")
    pool.give_back(A, "a1")
    assert await pool.acquire(A, None) == "a1"


@in_fake_time
async def test_who_waits_longest_is_next() -> None:
    pool, _ = pool_of(1)
    await pool.acquire(A, None)
    order: list[int] = []

    async def ask(number: int) -> None:
        assert await pool.acquire(A, None) == ("a1" if number else None)
        order.append(number)
        pool.give_back(A, "a1")

    tasks = [asyncio.create_task(ask(number)) for number in range(5)]
    await turns()
    assert pool.waiting == 5
    pool.free()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert (pool.open, pool.idle, pool.waiting) == (1, 1, 0)


@in_fake_time
async def test_a_waiter_of_another_origin_gets_the_slot_and_not_the_connection() -> None:
    pool, closed = pool_of(1)
    await pool.acquire(A, None)
    waiter = asyncio.create_task(pool.acquire(B, None))
    await turns()
    pool.give_back(A, "a1")
    assert (await waiter, closed, pool.open) == (None, ["a1"], 1)


@in_fake_time
async def test_nothing_is_parked_while_a_request_waits() -> None:
    pool, _ = pool_of(1)
    await pool.acquire(A, None)
    waiter = asyncio.create_task(pool.acquire(A, None))
    await turns()
    assert not pool.park("a1")
    pool.free()
    assert await waiter is None


@in_fake_time
async def test_the_wait_has_a_limit_that_the_error_names() -> None:
    pool, _ = pool_of(2)
    await pool.acquire(A, None)
    await pool.acquire(A, None)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(httpx2.PoolTimeout, match=r"^the pool gave no connection within 2 s: 2 of 2 are in use$"):
        await pool.acquire(A, 2.0)
    assert loop.time() - began == pytest.approx(2.0)
    assert (pool.open, pool.waiting) == (2, 0)


@in_fake_time
async def test_fail_means_an_error_at_once() -> None:
    pool, _ = pool_of(1, when_full="fail")
    await pool.acquire(A, None)
    with pytest.raises(httpx2.PoolTimeout, match="1 of 1 are in use, and when_full is 'fail'"):
        await pool.acquire(A, None)


@in_fake_time
async def test_a_full_queue_means_an_error_at_once() -> None:
    pool, _ = pool_of(1, max_waiting=1)
    await pool.acquire(A, None)
    waiter = asyncio.create_task(pool.acquire(A, None))
    await turns()
    with pytest.raises(httpx2.PoolTimeout, match="1 of at most 1 requests wait already"):
        await pool.acquire(A, None)
    pool.free()
    assert await waiter is None


@in_fake_time
async def test_idle_connections_expire_each_in_its_time() -> None:
    pool, closed = pool_of(2, keepalive_s=5.0)
    await pool.acquire(A, None)
    await pool.acquire(A, None)
    pool.give_back(A, "a1")
    await asyncio.sleep(3)
    pool.give_back(A, "a2")
    await asyncio.sleep(1.9)
    assert closed == []
    await asyncio.sleep(0.2)
    assert closed == ["a1"]
    await asyncio.sleep(3)
    assert (closed, pool.open, pool.idle) == (["a1", "a2"], 0, 0)


@in_fake_time
async def test_without_keep_alive_nothing_is_kept() -> None:
    pool, closed = pool_of(1, keepalive_s=0)
    await pool.acquire(A, None)
    pool.give_back(A, "a1")
    assert (closed, pool.open) == (["a1"], 0)


@in_fake_time
async def test_a_dead_idle_connection_leaves_and_a_dead_busy_one_does_not() -> None:
    pool, closed = pool_of(2)
    await pool.acquire(A, None)
    pool.give_back(A, "a1")
    pool.forget("a1")
    assert (pool.open, pool.idle) == (0, 0)
    await pool.acquire(A, None)
    pool.forget("a2")
    assert (pool.open, closed) == (1, [])


@in_fake_time
async def test_a_request_cancelled_while_it_waits_leaves_the_queue() -> None:
    pool, _ = pool_of(1)
    await pool.acquire(A, None)
    waiter = asyncio.create_task(pool.acquire(A, None))
    await turns()
    waiter.cancel()
    await turns()
    assert pool.waiting == 0
    pool.free()
    assert pool.open == 0


@pytest.mark.parametrize("first", ["cancel", "free"])
def test_a_slot_given_to_a_request_that_is_cancelled_in_the_same_turn_goes_on(first: str) -> None:
    async def run() -> None:
        pool, _ = pool_of(1)
        await pool.acquire(A, None)
        doomed = asyncio.create_task(pool.acquire(A, None))
        heir = asyncio.create_task(pool.acquire(A, None))
        await turns()
        if first == "cancel":
            doomed.cancel()
            pool.give_back(A, "a1")
        else:
            pool.give_back(A, "a1")
            doomed.cancel()
        assert await heir == "a1"
        assert doomed.cancelled()
        assert pool.open == 1

    run_in_fake_time(run())


@in_fake_time
async def test_shutting_closes_what_is_kept_and_fails_who_waits() -> None:
    pool, closed = pool_of(3)
    for _ in range(3):
        await pool.acquire(A, None)
    pool.give_back(A, "a1")
    pool.park("a2")
    await pool.acquire(B, None)
    await pool.acquire(B, None)
    waiter = asyncio.create_task(pool.acquire(A, None))
    await turns()
    pool.shut(lambda: httpx2.ReadError("closed"))
    with pytest.raises(httpx2.ReadError):
        await waiter
    assert (closed, pool.open) == (["a1", "a2"], 3)


@pytest.mark.parametrize(
    "wrong", [{"max_connections": 0}, {"max_waiting": -1}, {"when_full": "drop"}, {"keepalive_s": float("nan")}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    settings = {"max_connections": 1, "max_waiting": 1, "when_full": "wait", "keepalive_s": 1.0}
    with pytest.raises(ValueError, match="expected " + next(iter(wrong))):
        Pool[str](print, **{**settings, **wrong})


STEPS = st.lists(st.tuples(st.sampled_from(["ask", "reuse", "free", "park", "unpark", "cancel"]), st.integers(0, 7)))


@given(steps=STEPS, size=st.integers(1, 3))
def test_no_slot_is_ever_lost_or_given_twice(steps: list[tuple[str, int]], size: int) -> None:
    """Whatever happens in whatever order, in the end every slot is free, and every connection was closed once."""
    run_in_fake_time(play(steps, size))


async def play(steps: list[tuple[str, int]], size: int) -> None:
    pool, closed = pool_of(size, max_waiting=100)
    alive: set[str] = set()
    held: list[tuple[str, str]] = []
    asking: list[asyncio.Task[None]] = []
    parked: list[tuple[str, str]] = []
    made = 0

    async def ask(origin: str) -> None:
        nonlocal made
        connection = await pool.acquire(origin, None)
        if connection is None:
            made += 1
            connection = f"{origin}{made}"
            alive.add(connection)
        assert connection in alive - set(closed), "a closed connection was given out"
        assert connection[0] == origin
        assert connection not in [known for _, known in held]
        held.append((origin, connection))

    async def step(what: str, which: int) -> None:
        if what == "ask":
            asking.append(asyncio.create_task(ask("ab"[which % 2])))
        elif what == "cancel" and asking:
            asking[which % len(asking)].cancel()
        elif what == "unpark" and parked:
            origin, connection = parked.pop(which % len(parked))
            if pool.unpark(connection):
                pool.give_back(origin, connection)
        elif held and what in {"reuse", "free", "park"}:
            origin, connection = held.pop(which % len(held))
            if what == "reuse":
                pool.give_back(origin, connection)
            elif what == "park" and pool.park(connection):
                parked.append((origin, connection))
            else:
                closed.append(connection)
                pool.free()
        if which % 3 == 0:
            await turns(2)
        assert pool.open <= size

    for what, which in steps:
        await step(what, which)
    for _ in range(len(steps) + 1):
        await turns()
        while held:
            await step("free", 1)
    await asyncio.gather(*asking, return_exceptions=True)
    pool.shut(lambda: httpx2.ReadError("closed"))
    assert (pool.open, pool.idle, pool.parked, pool.waiting) == (0, 0, 0, 0)
    assert sorted(closed) == sorted(alive)

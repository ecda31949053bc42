"""The loop's lag: what the probe's timer was late, for each watcher from its own beginning."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.client import looplag
from streamkit.lab.client.looplag import PROBE_S, watch_loop
from streamkit.lab.recording.trust import LIMITED_NS
from tests.fakes import FakeTimeLoop, run_in_fake_time


def busy(seconds: float) -> None:
    """The loop does something else for so long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FakeTimeLoop)
    loop.now += seconds


def test_a_free_loop_is_not_late() -> None:
    async def watch() -> int:
        with watch_loop() as lag:
            await asyncio.sleep(10 * PROBE_S)
        return lag.worst_ns

    assert run_in_fake_time(watch()) == 0


def test_a_busy_loop_is_late_by_what_lies_behind_the_timers_due_time() -> None:
    async def watch() -> int:
        with watch_loop() as lag:
            await asyncio.sleep(PROBE_S)  # a probe rings now and sets the next
            busy(PROBE_S + 0.2)
            await asyncio.sleep(5 * PROBE_S)
        return lag.worst_ns

    assert run_in_fake_time(watch()) == pytest.approx(200_000_000, abs=1000)


def test_a_block_that_ends_while_the_loop_is_busy_counts_too() -> None:
    async def watch() -> int:
        with watch_loop() as lag:
            busy(PROBE_S + 0.3)
        return lag.worst_ns

    assert run_in_fake_time(watch()) == pytest.approx(300_000_000, abs=1000)


def test_busy_times_are_told_apart_from_what_a_free_loop_is_late() -> None:
    async def watch() -> tuple[int, list[tuple[int, int]], float]:
        began = asyncio.get_running_loop().time()
        with watch_loop() as lag:
            busy(PROBE_S + 0.002)
            await asyncio.sleep(0.001)
            busy(PROBE_S + 0.199)
            await asyncio.sleep(5 * PROBE_S)
        return lag.calm_ns, lag.busy, began

    calm_ns, busy_times, began = run_in_fake_time(watch())
    assert calm_ns == pytest.approx(2_000_000, abs=1000)
    ((since_ns, until_ns),) = busy_times
    assert since_ns / 1e9 - began == pytest.approx(PROBE_S + 0.002)
    assert until_ns - since_ns == pytest.approx((PROBE_S + 0.2) * 1e9, abs=1000)


def test_too_many_busy_times_become_one() -> None:
    lag = looplag.LoopLag()
    for number in range(looplag.MAX_BUSY + 5):
        lag.note(number, number + 1, 10**9)
    assert len(lag.busy) == looplag.MAX_BUSY
    assert lag.busy[-1] == (looplag.MAX_BUSY - 1, looplag.MAX_BUSY + 5)


def test_watchers_share_a_timer_and_each_counts_from_its_own_beginning() -> None:
    async def watch() -> tuple[int, int, int]:
        with watch_loop() as early:
            busy(PROBE_S + 0.1)
            await asyncio.sleep(2 * PROBE_S)
            with watch_loop() as late:
                timers = len(looplag._probes)
                await asyncio.sleep(2 * PROBE_S)
        return early.worst_ns, late.worst_ns, timers

    early, late, timers = run_in_fake_time(watch())
    assert early == pytest.approx(100_000_000, abs=1000)
    assert (late, timers) == (0, 1)


@given(late_ns=st.lists(st.integers(-10, 3 * LIMITED_NS), max_size=30), since=st.integers(0, 30))
def test_what_all_share_tells_each_what_it_would_have_noted_itself(late_ns: list[int], since: int) -> None:
    shared, own = looplag.SharedLag(), looplag.LoopLag()
    for look, late in enumerate(late_ns):
        shared.note(look, look + 1, late)
        if look >= since:
            own.note(look, look + 1, late)
    told = shared.since(since)
    assert (told.worst_ns, told.calm_ns, told.busy) == (own.worst_ns, own.calm_ns, own.busy)


def test_what_all_share_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looplag, "MAX_SHARED", 3)
    shared = looplag.SharedLag()
    for number in range(7):
        shared.note(number, number + 1, 10**9)
    assert shared.since(0).busy == [(0, 1), (1, 2), (2, 7)]


def test_nothing_is_left_on_the_loop_when_nobody_watches() -> None:
    async def watch() -> int:
        loop = asyncio.get_running_loop()
        with pytest.raises(KeyError), watch_loop():
            raise KeyError
        return len([handle for handle in loop._scheduled if not handle.cancelled()])  # type: ignore[attr-defined]  # asyncio's own

    assert run_in_fake_time(watch()) == 0
    assert len(looplag._probes) == 0


def test_without_a_running_loop_there_is_nothing_to_watch() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"), watch_loop():
        pass

"""The watch over a stream: which deadline fires, when, and what does not keep it from firing. No real time passes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from streamkit.relay.deadline import Watch
from streamkit.relay.settings import Deadlines
from tests.fakes import FakeTimeLoop, run_in_fake_time

OFF: dict[str, float] = dict.fromkeys(("first_piece_s", "idle_s", "write_stall_s", "total_s"), 0.0)


def watched(body: Any, unsent: Any = lambda: None, **limits: float) -> tuple[str | None, float]:
    """Run `body(watch)` under only the given deadlines; which one fired, and after how many seconds."""

    async def main() -> tuple[str | None, float]:
        started = asyncio.get_running_loop().time()
        watch = Watch(Deadlines(**{**OFF, **limits}), unsent)
        try:
            async with watch:
                await body(watch)
        except TimeoutError:
            assert watch.fired is not None, "the body's own TimeoutError is not a deadline"
        return watch.fired, round(asyncio.get_running_loop().time() - started, 3)

    return run_in_fake_time(main())


async def silence(_: Watch) -> None:
    await asyncio.sleep(1000)


def test_silence_ends_at_the_first_piece_deadline() -> None:
    assert watched(silence, first_piece_s=7) == ("first_piece", 7)


def test_the_total_fires_whatever_the_phase_is_and_whatever_happens() -> None:
    async def lively(watch: Watch) -> None:
        while True:
            watch.enter("idle")
            await asyncio.sleep(0.1)

    assert watched(lively, idle_s=5, total_s=9) == ("total", 9)


def test_a_deadline_of_zero_is_off() -> None:
    assert watched(silence) == (None, 1000)


def test_each_event_starts_the_idle_deadline_anew() -> None:
    async def four_events_then_silence(watch: Watch) -> None:
        for _ in range(4):
            watch.enter("idle")
            await asyncio.sleep(3)
        watch.enter("idle")
        await asyncio.sleep(1000)

    assert watched(four_events_then_silence, idle_s=5) == ("idle", 4 * 3 + 5)


def test_a_short_phase_after_a_long_one_fires_on_time() -> None:
    async def first_piece_then_silence(watch: Watch) -> None:
        await asyncio.sleep(1)
        watch.enter("idle")
        await asyncio.sleep(1000)

    assert watched(first_piece_then_silence, first_piece_s=60, idle_s=2) == ("idle", 3)


def test_waiting_for_the_client_does_not_count_as_upstream_silence() -> None:
    async def blocked_write_then_events(watch: Watch) -> None:
        watch.enter("held")
        watch.behind()
        await asyncio.sleep(20)
        watch.caught_up()
        watch.enter("idle")
        await asyncio.sleep(4)

    assert watched(blocked_write_then_events, idle_s=5, write_stall_s=60) == (None, 24)


def test_a_blocked_write_without_progress_is_a_stall() -> None:
    async def blocked(watch: Watch) -> None:
        watch.enter("held")
        watch.behind()
        await asyncio.sleep(1000)

    assert watched(blocked, unsent=lambda: 4096, write_stall_s=10) == ("write_stall", 10)


def test_a_slow_reader_that_takes_a_byte_now_and_then_is_not_a_stall() -> None:
    waiting = iter(range(10_000, 0, -1))

    async def blocked(watch: Watch) -> None:
        watch.enter("held")
        watch.behind()
        await asyncio.sleep(300)

    assert watched(blocked, unsent=lambda: next(waiting), write_stall_s=10) == (None, 300)


def test_a_reader_that_stops_after_progress_is_cut_at_most_a_tenth_late() -> None:
    async def blocked(watch: Watch) -> None:
        watch.enter("held")
        watch.behind()
        await asyncio.sleep(1000)

    left = iter([9000, 8000, 7000])
    fired, after_s = watched(blocked, unsent=lambda: next(left, 7000), write_stall_s=10)
    assert fired == "write_stall"
    assert 13 <= after_s <= 14, "the last progress was seen in the third second"


def test_client_and_upstream_are_watched_side_by_side() -> None:
    async def kept_for_the_client(watch: Watch, seconds_between: float) -> None:
        watch.behind()
        while True:
            watch.enter("idle")
            await asyncio.sleep(seconds_between)

    async def lively_upstream(watch: Watch) -> None:
        await kept_for_the_client(watch, 1)

    async def silent_upstream(watch: Watch) -> None:
        await kept_for_the_client(watch, 1000)

    assert watched(lively_upstream, unsent=lambda: 9, idle_s=5, write_stall_s=10) == ("write_stall", 10)
    assert watched(silent_upstream, unsent=lambda: 9, idle_s=5, write_stall_s=10) == ("idle", 5)


def test_each_write_that_the_client_takes_starts_its_deadline_anew() -> None:
    async def taken_every_nine_seconds(watch: Watch) -> None:
        watch.enter("held")
        for _ in range(10):
            watch.behind()
            await asyncio.sleep(9)
        watch.caught_up()
        await asyncio.sleep(1000)

    assert watched(taken_every_nine_seconds, unsent=lambda: 9, write_stall_s=10) == (None, 1090)


def test_where_the_queue_cannot_be_seen_the_stall_deadline_counts_from_the_write() -> None:
    async def blocked(watch: Watch) -> None:
        watch.enter("held")
        watch.behind()
        await asyncio.sleep(1000)

    assert watched(blocked, unsent=lambda: None, write_stall_s=10) == ("write_stall", 10)


def test_events_in_a_row_set_no_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    rings: list[float] = []
    call_at = FakeTimeLoop.call_at

    def counted(loop: FakeTimeLoop, when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        rings.append(when)
        return call_at(loop, when, *args, **kwargs)

    async def thousand_events(watch: Watch) -> None:
        watch.enter("idle")
        monkeypatch.setattr(FakeTimeLoop, "call_at", counted)
        for _ in range(1000):
            watch.enter("idle")

    assert watched(thousand_events, first_piece_s=60, idle_s=30) == (None, 0)
    assert rings == []


def test_nothing_fires_after_the_block() -> None:
    async def main() -> bool:
        async with Watch(Deadlines(**{**OFF, "total_s": 5})):
            await asyncio.sleep(1)
        await asyncio.sleep(100)
        return True

    assert run_in_fake_time(main())


def test_a_timeout_error_of_the_guarded_code_is_not_a_deadline() -> None:
    async def main() -> str | None:
        watch = Watch(Deadlines())
        with pytest.raises(TimeoutError, match="theirs"):
            async with watch:
                raise TimeoutError("theirs")
        return watch.fired

    assert run_in_fake_time(main()) is None


def test_a_cancellation_from_outside_passes_through() -> None:
    async def main() -> str | None:
        watch = Watch(Deadlines())

        async def guarded() -> None:
            async with watch:
                await asyncio.sleep(1000)

        task = asyncio.create_task(guarded())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return watch.fired

    assert run_in_fake_time(main()) is None


# --- The end of a stream that failed -------------------------------------------------------------------------------


def last_words(unsent: Any = lambda: None, within_s: float | None = None, **limits: float) -> tuple[str | None, float]:
    """Which deadline ended the last words of a stream that failed after 3 s, and when."""

    async def main() -> tuple[str | None, float]:
        now = asyncio.get_running_loop().time
        started, watch = now(), Watch(Deadlines(**{**OFF, **limits}), unsent)
        async with watch:
            watch.enter("idle")
            await asyncio.sleep(3)
        with contextlib.suppress(TimeoutError):
            async with watch.last_words(within_s):
                await asyncio.sleep(1000)
        return watch.fired, round(now() - started, 3)

    return run_in_fake_time(main())


def test_a_client_that_takes_nothing_of_the_end_has_its_own_deadline_for_it() -> None:
    assert last_words(idle_s=4, write_stall_s=10, total_s=60) == ("write_stall", 13)


def test_one_that_takes_something_has_what_is_left_of_the_total() -> None:
    left = iter(range(10_000, 0, -1))
    assert last_words(lambda: next(left), write_stall_s=10, total_s=60) == ("total", 60)


def test_where_the_time_is_over_it_has_as_much_as_is_given_it() -> None:
    assert last_words(within_s=1, write_stall_s=10, total_s=60) == ("total", 4)
    assert last_words(within_s=1) == ("total", 4)


def test_who_still_says_something_behind_the_block_sets_no_timer() -> None:
    async def main() -> list[object]:
        raised: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        async with (watch := Watch(Deadlines(write_stall_s=1, total_s=0))):
            await asyncio.sleep(0.1)
        for say in (watch.behind, watch.caught_up, lambda: watch.enter("idle")):
            say()
        await asyncio.sleep(100)
        return raised

    assert run_in_fake_time(main()) == []


# --- Heartbeats -----------------------------------------------------------------------------------------------------


def beats(body: Any, **limits: float) -> list[float]:
    """When, in seconds from the start, `beat` was called while `body(watch)` ran."""

    async def main() -> list[float]:
        now = asyncio.get_running_loop().time
        started, heard = now(), []
        watch = Watch(Deadlines(**{**OFF, **limits}), beat=lambda: heard.append(round(now() - started, 3)))
        with contextlib.suppress(TimeoutError):
            async with watch:
                await body(watch)
        return heard

    return run_in_fake_time(main())


async def one_event_then_silence(watch: Watch) -> None:
    await asyncio.sleep(1)
    watch.enter("idle")
    await asyncio.sleep(10)


def test_a_silence_after_the_first_piece_is_filled_with_heartbeats() -> None:
    assert beats(one_event_then_silence, heartbeat_s=3) == [4, 7, 10]
    assert beats(one_event_then_silence, heartbeat_s=0) == []


def test_there_is_no_heartbeat_before_the_first_piece() -> None:
    assert beats(silence, heartbeat_s=3, first_piece_s=20) == []


def test_events_put_the_heartbeat_off() -> None:
    async def an_event_each_second(watch: Watch) -> None:
        for _ in range(10):
            watch.enter("idle")
            await asyncio.sleep(1)

    assert beats(an_event_each_second, heartbeat_s=1.5) == []


def test_a_client_that_is_behind_gets_no_heartbeat_until_it_has_caught_up() -> None:
    async def behind_for_a_while(watch: Watch) -> None:
        watch.enter("idle")
        watch.behind()
        await asyncio.sleep(10)
        watch.caught_up()
        await asyncio.sleep(4)

    assert beats(behind_for_a_while, heartbeat_s=3) == [10, 13]


def test_heartbeats_keep_no_deadline_from_passing() -> None:
    assert beats(one_event_then_silence, heartbeat_s=1, idle_s=3.5) == [2, 3, 4]

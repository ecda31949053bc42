"""Feeds: who adds waits for nobody, each watcher has its window, and one that is gone costs nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from streamkit.extractor.pieces import Piece
from streamkit.relay.failure import Failed
from streamkit.relay.pieces import Snapshot
from streamkit.relay.sources.analysis import MAX_WAITING, window_asked
from streamkit.relay.sources.feed import Feed, create_feed, feed_asked, watch
from streamkit.relay.sources.source import Into
from tests.fakes import run_in_fake_time


class Watching:
    """One who watches a feed, in a task."""

    def __init__(self, feed: Feed, window: str = "all", every_s: float = 0.1) -> None:
        self.states: list[dict[str, Any]] = []
        self._source = watch(feed, window_asked(window), Into(self._offer), every_s=every_s)
        self.task = asyncio.create_task(self._run())

    def _offer(self, pieces: list[Piece]) -> bool:
        if self.states:
            self._take(pieces)
        return bool(self.states)

    def _take(self, pieces: list[Piece]) -> None:
        (state,) = pieces
        assert isinstance(state, Snapshot)
        self.states.append(state.data)

    async def _run(self) -> None:
        async with aclosing(self._source) as lists:
            async for pieces in lists:
                self._take(pieces)


def test_each_watcher_sees_what_is_added_in_its_own_window() -> None:
    async def main() -> None:
        with create_feed("sensors") as feed:
            watching = [Watching(feed, window) for window in ("all", "2", "1s")]
            await asyncio.sleep(1)
            for number in range(4):
                feed.add(number)
                await asyncio.sleep(0.6)
        await asyncio.gather(*(each.task for each in watching))
        assert [each.states[-1]["count"] for each in watching] == [4, 2, 1]
        assert [each.states[-1]["total"] for each in watching] == [4, 4, 4]
        assert all(each.states[-1]["final"] for each in watching)
        assert feed.watchers == 0

    run_in_fake_time(main())


def test_a_watcher_gets_a_state_at_once_and_then_as_long_as_nothing_comes_none() -> None:
    async def main() -> None:
        with create_feed("idle") as feed:
            watching = Watching(feed)
            await asyncio.sleep(60)
            assert [state["count"] for state in watching.states] == [0]
            feed.add({"t": 20.5, "h": None})
            await asyncio.sleep(60)
            assert [state["count"] for state in watching.states] == [0, 1]
            assert watching.states[-1]["columns"]["t"]["mean"] == 20.5
            assert list(watching.states[-1]["columns"]) == ["t"]
        await watching.task

    run_in_fake_time(main())


def test_who_comes_later_sees_what_comes_later() -> None:
    async def main() -> None:
        with create_feed("late") as feed:
            feed.add(1)
            watching = Watching(feed)
            await asyncio.sleep(1)
            feed.add(5)
        await watching.task
        assert (watching.states[-1]["count"], watching.states[-1]["mean"]) == (1, 5.0)

    run_in_fake_time(main())


def test_who_leaves_costs_nothing_from_then_on() -> None:
    async def main() -> None:
        with create_feed("left") as feed:
            watching = Watching(feed)
            await asyncio.sleep(1)
            assert feed.watchers == 1
            watching.task.cancel()
            await asyncio.wait([watching.task])
            assert feed.watchers == 0
            feed.add(1)

    run_in_fake_time(main())


def test_many_are_told_in_one_state_and_nothing_is_lost() -> None:
    async def main() -> None:
        with create_feed("fast") as feed:
            watching = Watching(feed)
            await asyncio.sleep(1)
            for number in range(3 * MAX_WAITING):
                feed.add(number)
            await asyncio.sleep(1)
            assert [state["count"] for state in watching.states] == [0, 3 * MAX_WAITING]
        await watching.task

    run_in_fake_time(main())


def test_threads_may_add_at_once() -> None:
    async def main() -> None:
        with create_feed("threads") as feed:
            watching = Watching(feed, every_s=0.001)
            while not watching.states:  # noqa: ASYNC110  # it watches
                await asyncio.sleep(0.001)

            def add() -> None:
                for _ in range(5_000):
                    feed.add(1)

            threads = [threading.Thread(target=add) for _ in range(4)]
            for thread in threads:
                thread.start()
            await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
        await asyncio.wait_for(watching.task, 10)
        assert watching.states[-1]["count"] == 20_000

    asyncio.run(main())


def test_a_feed_may_outlive_the_loop_of_those_who_watched_it() -> None:
    feed = create_feed("outlives")

    async def main() -> None:
        source = watch(feed, window_asked("all"), Into())
        await anext(source)
        kept.append(source)

    kept: list[Any] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()  # and not the source, as a loop that is stopped in the middle does
    feed.add(1)
    feed.close()
    with pytest.raises(RuntimeError):
        feed.add(2)
    finish(kept.pop().aclose())


def finish(closing: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(StopIteration):
        closing.send(None)


def test_what_is_watched_when_it_is_closed_already_ends_at_once() -> None:
    async def main() -> None:
        feed = create_feed("closed")
        feed.close()
        watching = Watching(feed)
        await watching.task
        assert [state.get("final") for state in watching.states] == [True]

    run_in_fake_time(main())


# -- names ---------------------------------------------------------------------------------------------------------


def test_a_feed_is_asked_for_by_its_name_as_long_as_it_is_open() -> None:
    with create_feed("b") as feed, create_feed("a"):
        assert feed_asked("b") is feed
        with pytest.raises(Failed) as raised:
            feed_asked("secret-token")
        failure = raised.value.failure
        assert (failure.status, failure.code) == (422, "unknown_feed")
        assert failure.detail == "there is no such feed; there are: a, b"
    with pytest.raises(Failed, match="there are: none"):
        feed_asked("b")


def test_to_create_one_again_closes_the_one_before() -> None:
    before = create_feed("again")
    after = create_feed("again")
    assert feed_asked("again") is after
    assert repr(before) == "<Feed 'again': closed>"
    assert repr(after) == "<Feed 'again': 0 watchers>"
    before.close()
    assert feed_asked("again") is after
    after.close()


@pytest.mark.parametrize("name", ["", "a\nb", "n" * 101])
def test_a_name_can_be_written(name: str) -> None:
    with pytest.raises(ValueError, match="expected a name of 1 to 100 printable characters"):
        create_feed(name)


# -- what may be added ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 2.5, np.float32(0.5), np.int64(3), {"t": 1, "h": np.float64(2)}, {}])
def test_numbers_and_objects_of_numbers_are_added(value: Any) -> None:
    with create_feed("values") as feed:
        feed.add(value)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (True, TypeError),
        ("1", TypeError),
        (None, TypeError),
        ({"t": "1"}, TypeError),
        ({"t": {"x": 1}}, TypeError),
        (float("nan"), ValueError),
        ({"t": float("inf")}, ValueError),
        ({"": 1}, ValueError),
        ({1: 1}, ValueError),
        ({"n" * 101: 1}, ValueError),
        ({f"n{number}": 1 for number in range(101)}, ValueError),
    ],
)
def test_all_else_is_refused_and_changes_nothing(value: Any, error: type[Exception]) -> None:
    with create_feed("values") as feed:
        with pytest.raises(error, match="expected"):
            feed.add(value)
        feed.add(1)


def test_the_first_one_says_which_of_the_two_they_are() -> None:
    with create_feed("kinds") as feed:
        feed.add({"t": 1})
        with pytest.raises(TypeError, match="expected one more object, as before, got 1"):
            feed.add(1)

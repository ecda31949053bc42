"""Live analysis: states while a body comes, whose reading waits for nobody; and the last one, whatever came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any, cast

import pytest

from streamkit.extractor.pieces import Piece
from streamkit.processors.rolling import Window
from streamkit.relay.failure import Failed
from streamkit.relay.pieces import Snapshot
from streamkit.relay.sources.analysis import AT_ONCE_BYTES, analysis, window_asked
from streamkit.relay.sources.source import Into
from tests.fakes import run_in_fake_time

CUT = Failed.of_request(400, "body_truncated", "broke off")


class Body:
    """Parts, each a pause after the one before; then perhaps a failure, or nothing for ever."""

    length: int | None = None
    received: int = 0
    whole: bool = False

    def __init__(
        self, parts: Iterable[tuple[float, bytes]], content_type: str = "", *, failure: Failed | None = None
    ) -> None:
        self.content_type = content_type
        self._parts = parts
        self._failure = failure
        self.read = 0
        self.left = False

    def cut(self) -> None:
        raise AssertionError("nobody left")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for pause_s, data in self._parts:
                await asyncio.sleep(pause_s)
                self.read += 1
                yield data
        except asyncio.CancelledError:
            self.left = True
            raise
        if self._failure is not None:
            raise self._failure


class Client:
    """Takes states as a delivery does: the first list has to be yielded, from then on all are taken at once."""

    def __init__(self) -> None:
        self.got: list[tuple[float, dict[str, Any]]] = []
        self.begun = False
        self.yielded = 0

    def offer(self, pieces: list[Piece]) -> bool:
        if self.begun:
            self._take(pieces)
        return self.begun

    def _take(self, pieces: list[Piece]) -> None:
        (state,) = pieces
        assert isinstance(state, Snapshot)
        self.got.append((round(asyncio.get_running_loop().time() - 1000, 3), state.data))

    async def watch(self, body: Body, window: str = "all", every_s: float = 0.1) -> None:
        source = analysis(body, window_asked(window), Into(self.offer), every_s=every_s)
        async with aclosing(source) as lists:
            async for pieces in lists:
                self.yielded += 1
                self.begun = True
                self._take(pieces)

    @property
    def states(self) -> list[dict[str, Any]]:
        return [state for _, state in self.got]

    @property
    def at_s(self) -> list[float]:
        return [at_s for at_s, _ in self.got]


def watched(body: Body, window: str = "all") -> Client:
    client = Client()
    run_in_fake_time(client.watch(body, window))
    return client


def test_states_come_while_the_body_comes_and_the_last_one_says_so() -> None:
    client = watched(Body([(1, b"1\n"), (1, b"2\n3\n"), (1, b"")]))
    assert [(state["count"], state["mean"], state.get("final")) for state in client.states] == [
        *((1, 1.0, None), (3, 2.0, None), (3, 2.0, True))
    ]
    assert client.at_s == [1, 2, 3]
    assert client.yielded == 1, "all but the first are offered, and wake no task"


def test_each_state_is_whole() -> None:
    (state, last) = watched(Body([(0, b"1\nx\n3"), (1, b"")])).states
    named = [{"line": 2, "byte": 2, "reason": "not JSON"}]
    fields = {"count": 1, "total": 1, "rate": None, "mean": 1.0, "variance": None, "min": 1.0, "max": 1.0}
    quantiles = {"p50": 1.0, "p95": 1.0, "p99": 1.0}
    assert state == {**fields, **quantiles, "bad": 1, "bad_lines": named, "skipped": 0}
    assert (last["count"], last["rate"], last["mean"], last["final"]) == (2, 2.0, 2.0, True)


def test_states_are_a_tenth_of_a_second_apart_and_the_newest_is_never_older() -> None:
    client = watched(Body((0.03, b"%d\n" % number) for number in range(100)))
    apart = [b - a for a, b in zip(client.at_s[:-1], client.at_s[1:-1], strict=False)]
    assert min(apart) >= 0.099
    assert max(apart) <= 0.101
    assert client.states[-1]["count"] == 100


def test_what_came_last_is_told_though_nothing_more_comes() -> None:
    client = watched(Body([(1, b"1\n"), (0.01, b"2\n"), (30, b"")]))
    assert list(zip(client.at_s, [state["count"] for state in client.states], strict=True)) == [
        (1, 1),
        (1.1, 2),
        (31.01, 2),
    ]


def test_where_nothing_comes_nothing_is_said() -> None:
    assert watched(Body([(1, b"1\n"), (60, b"2\n")])).at_s == [1, 61]


def test_what_comes_with_the_end_is_told_in_the_last_one() -> None:
    (last,) = watched(Body([(1, b"1\n2\n")])).states
    assert (last["count"], last["final"]) == (2, True)


def test_the_end_is_told_at_once() -> None:
    client = watched(Body([(1, b"1\n"), (0.01, b"2\n")]))
    assert client.at_s[-1] == 1.01


@pytest.mark.parametrize("content_type", ["", "text/csv"])
def test_of_an_empty_body_there_is_a_last_result(content_type: str) -> None:
    (state,) = watched(Body([], content_type)).states
    assert (state["count"], state["mean"], state["bad"], state["final"]) == (0, None, 0, True)


def test_a_table_has_columns() -> None:
    *_, last = watched(Body([(0, b"t,h\n1,5\n3,"), (0, b"\n4\n")], "text/csv")).states
    assert (last["count"], last["columns"]["t"]["mean"], last["columns"]["h"]["mean"], last["bad"]) == (2, 2.0, 5.0, 1)


def test_a_window_of_seconds_counts_by_arrival() -> None:
    client = watched(Body([(0, b"1\n"), (5, b"2\n"), (6, b"3\n")]), "10s")
    assert [state["count"] for state in client.states] == [1, 2, 2]


def test_reading_does_not_wait_for_a_client_that_takes_nothing() -> None:
    async def main() -> int:
        body = Body([(0.01, b"1\n")] * 50)
        source = analysis(body, Window(), Into())
        async with aclosing(source) as lists:
            await anext(lists)
            await asyncio.sleep(10)  # the client's kernel is full
            return body.read

    assert run_in_fake_time(main()) == 50


def test_a_large_part_lets_others_have_their_turns() -> None:
    async def main() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(other())
        await Client().watch(Body([(0, b"1\n" * AT_ONCE_BYTES)]))
        task.cancel()
        return turns

    assert asyncio.run(main()) >= 2


def test_a_body_that_breaks_off_is_told_as_far_as_it_came_and_then_raised() -> None:
    client = Client()
    with pytest.raises(Failed) as raised:
        run_in_fake_time(client.watch(Body([(1, b"1\n"), (0.01, b"2\n")], failure=CUT)))
    assert raised.value is CUT
    assert [(state["count"], state.get("final")) for state in client.states] == [(1, None), (2, None)]


def test_a_body_that_fails_at_once_is_told_by_nothing_but_that() -> None:
    client = Client()
    with pytest.raises(Failed):
        run_in_fake_time(client.watch(Body([], failure=CUT)))
    assert client.got == []


def test_a_table_without_names_is_refused() -> None:
    client = Client()
    with pytest.raises(Failed) as raised:
        run_in_fake_time(client.watch(Body([(0, b'"\n1\n')], "text/csv")))
    assert (raised.value.failure.status, raised.value.failure.code) == (422, "bad_csv_header")
    assert client.got == []


def test_a_bug_comes_out_as_what_it_is() -> None:
    body = Body(cast("Iterable[tuple[float, bytes]]", [(0, b"1\n"), (0, None)]))
    with pytest.raises(TypeError):
        run_in_fake_time(Client().watch(body))


def test_who_leaves_ends_the_reading() -> None:
    async def main() -> Body:
        body = Body([(0, b"1\n"), (1e6, b"")])
        task = asyncio.create_task(Client().watch(body))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1
        return body

    assert run_in_fake_time(main()).left


def test_a_window_that_makes_no_sense_is_422_and_says_what_may_be_sent() -> None:
    with pytest.raises(Failed) as raised:
        window_asked("secret-token")
    failure = raised.value.failure
    assert (failure.status, failure.code) == (422, "bad_window")
    assert "1000" in failure.detail
    assert "10s" in failure.detail
    assert "secret" not in str(raised.value)

"""Gauges: samples of queues in bounded memory, taken by one timer, read from anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import threading
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.taps.gauges import COUNTERS, GAUGES, MAX_WATCHED, NOT_KNOWN, PROCESS, STRETCHES, Gauge, Gauges, Sampler
from tests.fakes import run_in_fake_time

MS = 1_000_000


@pytest.fixture(autouse=True)
def the_loops_clock_is_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a loop, the monotonic clock is that of the loop."""
    clock = SimpleNamespace(monotonic_ns=lambda: round(asyncio.get_running_loop().time() * 1e9))
    monkeypatch.setattr("streamkit.taps.gauges.time", clock)


def table(gauges: Gauges) -> dict[str, list[int]]:
    return {"at_ns": gauges.at_ns.tolist(), **{name: column.tolist() for name, column in gauges.columns.items()}}


def times_ms(gauges: Gauges) -> list[int]:
    return [round((at - gauges.at_ns[0]) / MS) for at in gauges.at_ns]


class TestNames:
    def test_every_queue_has_one_place_on_the_way(self) -> None:
        assert list(STRETCHES) == ["upstream → relay", "in the relay", "relay → client", "in the client"]
        assert len(set(GAUGES)) == len(GAUGES) == 9
        assert not set(GAUGES) & {*COUNTERS, *PROCESS}


class TestGauge:
    def test_it_is_two_columns(self) -> None:
        gauge = Gauge([1, 5], [10, NOT_KNOWN])
        assert (gauge.at_ns.tolist(), gauge.value.tolist(), len(gauge)) == ([1, 5], [10, -1], 2)
        assert gauge == Gauge((1, 5), (10, -1))
        assert gauge != Gauge([1, 5], [10, 0])
        assert gauge.__eq__("a gauge") is NotImplemented

    def test_it_says_whether_it_says_anything(self) -> None:
        assert Gauge([1, 5], [NOT_KNOWN, 0]).known
        assert not Gauge([1], [NOT_KNOWN]).known
        assert not Gauge().known
        assert repr(Gauge([1, 5], [10, 3])) == "<Gauge: 2 samples, at most 10>"
        assert repr(Gauge()) == "<Gauge: 0 samples, not known here>"

    def test_columns_that_do_not_fit_together_are_refused(self) -> None:
        with pytest.raises(ValueError, match="equal length, got 2 and 1"):
            Gauge([1, 2], [3])
        with pytest.raises(ValueError, match="at_ns in ascending order"):
            Gauge([2, 1], [3, 3])


class TestTable:
    def test_each_sample_is_a_row(self) -> None:
        gauges = Gauges(10)
        gauges.sample(100, {"relay.unsent": 4, "relay.inbox": None})
        gauges.sample(110, {"relay.unsent": 0, "relay.inbox": 7})
        assert table(gauges) == {"at_ns": [100, 110], "relay.unsent": [4, 0], "relay.inbox": [NOT_KNOWN, 7]}
        assert len(gauges) == 2

    def test_a_queue_that_appears_or_goes_is_not_known_in_the_other_rows(self) -> None:
        gauges = Gauges(10)
        gauges.sample(100, {"relay.unsent": 4})
        gauges.sample(110, {"relay.inbox": 7})
        assert table(gauges) == {
            "at_ns": [100, 110],
            "relay.unsent": [4, NOT_KNOWN],
            "relay.inbox": [NOT_KNOWN, 7],
        }

    def test_a_row_too_soon_after_the_last_is_left_out(self) -> None:
        gauges = Gauges(10)
        for at_ns in (100, 104, 105, 109, 110):
            gauges.sample(at_ns, {"relay.unsent": at_ns})
        assert table(gauges)["relay.unsent"] == [100, 105, 110]

    def test_a_full_table_drops_every_second_row_and_goes_on_at_half_the_rate(self) -> None:
        gauges = Gauges(10, max_samples=4)
        for at_ns in range(0, 80, 10):
            gauges.sample(at_ns, {"relay.unsent": at_ns})
        assert table(gauges) == {"at_ns": [0, 20, 40, 60], "relay.unsent": [0, 20, 40, 60]}
        assert gauges.every_ns == 20

    @given(st.integers(2, 20), st.lists(st.tuples(st.integers(1, 50), st.sampled_from(GAUGES[:3])), max_size=200))
    def test_however_long_it_runs_it_is_bounded_and_every_row_was_one(
        self, most: int, steps: list[tuple[int, str]]
    ) -> None:
        gauges, now, seen = Gauges(10, max_samples=most), 0, set()
        for wait, name in steps:
            now += wait
            seen.add((now, name))
            gauges.sample(now, {name: now + 1})
        rows = gauges.at_ns.tolist()
        assert len(rows) <= most
        assert rows[:1] == [wait for wait, _ in steps[:1]]
        assert all(later - earlier >= 5 for earlier, later in itertools.pairwise(rows))
        for name, column in gauges.columns.items():
            assert column.tolist() == [at + 1 if (at, name) in seen else NOT_KNOWN for at in rows]

    @pytest.mark.parametrize(("every_ns", "most"), [(0, 10), (-1, 10), (10, 1)])
    def test_bounds_that_make_no_table_are_refused(self, every_ns: int, most: int) -> None:
        with pytest.raises(ValueError, match="expected every_ns >= 1 and max_samples >= 2"):
            Gauges(every_ns, most)

    def test_its_repr_names_what_is_sampled(self) -> None:
        gauges = Gauges(10)
        assert repr(gauges) == "<Gauges: 0 samples of nothing yet>"
        gauges.sample(1, {"relay.unsent": 4})
        assert repr(gauges) == "<Gauges: 1 samples of relay.unsent>"


class TestTold:
    def test_what_is_told_can_be_read_back(self) -> None:
        gauges = Gauges(10)
        gauges.sample(100, {"relay.unsent": 4})
        gauges.sample(120, {"relay.inbox": 7})
        told = orjson.loads(orjson.dumps(gauges.as_dict()))
        read = Gauges.from_dict(told)
        assert table(read) == table(gauges)
        assert read.as_dict() == gauges.as_dict() == told

    def test_an_empty_table_can_be_told(self) -> None:
        assert Gauges.from_dict(Gauges(10).as_dict()).as_dict() == {"every_ns": 10, "at_ns": [], "columns": {}}

    @pytest.mark.parametrize(
        "told",
        [
            {},
            {"every_ns": 0, "at_ns": [], "columns": {}},
            {"every_ns": 1, "at_ns": [1], "columns": {"relay.unsent": []}},
            {"every_ns": 1, "at_ns": ["1"], "columns": {}},
            {"every_ns": 1, "at_ns": [1], "columns": {"relay.unsent": [None]}},
        ],
    )
    def test_anything_else_is_refused(self, told: Mapping[str, Any]) -> None:
        with pytest.raises((ValueError, TypeError, KeyError)):
            Gauges.from_dict(told)

    def test_between_two_columns_of_a_row_that_row_is_not_told(self) -> None:
        gauges = Gauges(10)
        gauges.sample(100, {"relay.unsent": 4, "relay.inbox": 7})
        gauges.columns["relay.unsent"].append(5)  # another thread is in the middle of a row
        assert gauges.as_dict()["columns"] == {"relay.unsent": [4], "relay.inbox": [7]}

    @pytest.fixture
    def threads_change_often(self) -> Iterator[None]:
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        yield
        sys.setswitchinterval(before)

    @pytest.mark.usefixtures("threads_change_often")
    def test_it_is_whole_while_another_thread_samples(self) -> None:
        """Thinning and new queues included: each row that is told was once a row."""
        gauges = Gauges(2, max_samples=64)
        stop = threading.Event()

        def sample() -> None:
            now = 0
            while not stop.is_set():
                now += 2 * gauges.every_ns if gauges.every_ns < 2**40 else 1
                values = {"relay.unsent": now, "relay.inbox": now + 1}
                gauges.sample(now, values if now % 3 else values | {f"q{now % 7}": now + 2})

        sampling = threading.Thread(target=sample)
        sampling.start()
        try:
            for _ in range(2000):
                told = gauges.as_dict()
                columns = told["columns"]
                assert all(len(column) == len(told["at_ns"]) for column in columns.values())
                assert told["at_ns"] == sorted(told["at_ns"])
                assert columns.get("relay.unsent", told["at_ns"]) == told["at_ns"]
                assert columns.get("relay.inbox", told["at_ns"]) in ([at + 1 for at in told["at_ns"]], told["at_ns"])
        finally:
            stop.set()
            sampling.join()


class TestSampler:
    def test_what_is_watched_is_sampled_at_the_beginning_at_each_turn_and_at_the_end(self) -> None:
        async def watched() -> tuple[Gauges, list[int]]:
            gauges, sampler, values = Gauges(20 * MS), Sampler(20 * MS), iter(range(100))
            with sampler.watch(gauges, lambda: {"relay.unsent": next(values)}):
                await asyncio.sleep(0.055)
            return gauges, gauges.columns["relay.unsent"].tolist()

        gauges, column = run_in_fake_time(watched())
        assert times_ms(gauges) == [0, 20, 40, 55]
        assert column == [0, 1, 2, 3]

    def test_one_timer_serves_all_and_none_is_left_when_nobody_is_watched(self) -> None:
        async def watched() -> tuple[Gauges, Gauges, list[str]]:
            one, other, sampler = Gauges(10 * MS), Gauges(10 * MS), Sampler(10 * MS)
            loop = asyncio.get_running_loop()
            scheduled: Any = loop
            seen = [repr(sampler)]
            with sampler.watch(one, lambda: {"relay.unsent": 1}):
                await asyncio.sleep(0.015)
                with sampler.watch(other, lambda: {"relay.inbox": 2}):
                    seen.append(repr(sampler))
                    await asyncio.sleep(0.030)
                seen.append(f"{sum(not timer.cancelled() for timer in scheduled._scheduled)} timer")
            seen.append(f"{sum(not timer.cancelled() for timer in scheduled._scheduled)} timers")
            return one, other, seen

        one, other, seen = run_in_fake_time(watched())
        assert times_ms(one) == [0, 10, 20, 30, 40, 45]
        assert times_ms(other) == [0, 5, 15, 25, 30]
        assert seen == [
            "<Sampler: 0 watched, every 10 ms>",
            "<Sampler: 2 watched, every 10 ms>",
            "1 timer",
            "0 timers",
        ]

    def test_a_stream_that_fails_is_watched_no_longer(self) -> None:
        async def watched() -> tuple[Gauges, Sampler]:
            gauges, sampler = Gauges(10 * MS), Sampler(10 * MS)
            with pytest.raises(OSError, match="gone"), sampler.watch(gauges, lambda: {"relay.unsent": 1}):
                raise OSError("gone")
            await asyncio.sleep(1)
            return gauges, sampler

        gauges, sampler = run_in_fake_time(watched())
        assert len(gauges) == 1
        assert repr(sampler) == "<Sampler: 0 watched, every 10 ms>"

    def test_queues_that_are_not_empty_at_the_end_are_watched_until_they_are(self) -> None:
        async def watched() -> tuple[list[int], str]:
            gauges, sampler, held = Gauges(10 * MS), Sampler(10 * MS), [3]
            with sampler.watch(gauges, lambda: {"relay.unsent": held[0]}, lambda: held[0] > 0):
                await asyncio.sleep(0.01)
            for held[0] in (2, 1, 0):
                await asyncio.sleep(0.01)
            return gauges.columns["relay.unsent"].tolist(), repr(sampler)

        column, sampler = run_in_fake_time(watched())
        assert (column[0], column[-1]) == (3, 0)
        assert {1, 2} <= set(column)
        assert sampler == "<Sampler: 0 watched, every 10 ms>"

    def test_in_a_crowd_those_beyond_the_bound_are_not_sampled(self) -> None:
        async def watched() -> list[int]:
            sampler, crowd = Sampler(10 * MS), [Gauges(10 * MS) for _ in range(MAX_WATCHED + 2)]
            with contextlib.ExitStack() as stack:
                for gauges in crowd:
                    stack.enter_context(sampler.watch(gauges, lambda: {"relay.unsent": 1}))
                await asyncio.sleep(0.05)
            return [len(gauges) for gauges in crowd]

        *sampled, one, other = run_in_fake_time(watched())
        assert min(sampled) > 1
        assert one == other == 0

    def test_one_sampler_can_be_used_again(self) -> None:
        async def watched() -> list[int]:
            gauges, sampler = Gauges(10 * MS), Sampler(10 * MS)
            for _ in range(2):
                with sampler.watch(gauges, lambda: {"relay.unsent": 1}):
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.1)
            return times_ms(gauges)

        assert run_in_fake_time(watched()) == [0, 10, 20, 120, 130, 140]

"""The instrument's own error: its arithmetic on given numbers, and one short run on this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from streamkit.lab.client import calibrate as calibration
from streamkit.lab.client.calibrate import MAX_SECONDS, NO_KERNEL_TIMES, calibrate, latest
from streamkit.lab.recording.calibration import Calibration
from streamkit.taps.clock import clock_origin


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Each test begins and leaves without a calibration: recordings of other tests would carry it."""
    calibration._latest = None
    yield
    calibration._latest = None


class FakeTime:
    """Time that passes in sleeps only, each of them late by a little more than the one before."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.late_ns = 0

    def clock(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        self.late_ns += 10
        self.now_ns += round(seconds * 1e9) + self.late_ns


def test_lateness_is_what_a_sleep_took_too_long() -> None:
    late_ns: list[int] = []
    time = FakeTime()
    asyncio.run(calibration._sleep_late(1000, 4000, late_ns, time.clock, time.sleep))
    assert late_ns == [10, 20, 30, 40]


def test_a_cost_is_the_least_of_its_rounds_per_call() -> None:
    readings = iter([0, 9_000_000, 0, 4_000_000, 0, 6_000_000, 0, 5_000_000, 0, 7_000_000])
    assert calibration._cost_ns(lambda: None, lambda: next(readings)) == 4_000_000 // calibration.COST_CALLS


@pytest.mark.parametrize("seconds", [0, -1, MAX_SECONDS + 1, float("nan")])
def test_a_time_that_makes_no_sense_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="expected seconds above 0"):
        calibrate(seconds)


@pytest.mark.parametrize("rates", [(), (0,), (20, -1), (10**9,), (float("nan"),)])
def test_rates_that_make_no_sense_are_refused(rates: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected rates as messages per second"):
        calibrate(0.1, rates)


def test_a_run_measures_everything_and_is_kept() -> None:
    assert latest() is None
    found = calibrate(0.5, (50, 400))
    assert latest() is found
    assert found.timer_p50_ns <= found.timer_p99_ns
    assert found.loop_p99_ns <= found.loop_max_ns
    assert found.clock_ns > 0
    assert found.stamp_ns > 0
    assert [lag.rate_per_s for lag in found.lags] == [50, 400]
    for lag in found.lags:
        assert 0 < lag.reads <= lag.rate_per_s * 0.2
        assert 0 <= lag.p50_ns <= lag.p95_ns <= lag.p99_ns
    assert found.origin == clock_origin()
    assert found.notes == ()


def test_nothing_is_left_running() -> None:
    before = set(threading.enumerate())
    calibrate(0.2, (100,))
    assert set(threading.enumerate()) == before


def test_it_works_inside_a_running_loop() -> None:
    async def cell() -> Calibration:
        return calibrate(0.1, (100,))

    assert asyncio.run(cell()) == latest()


def test_without_kernel_times_the_rest_is_measured_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_ask_for_times", lambda _: None)
    found = calibrate(0.2, (100,))
    assert found.lags == ()
    assert found.notes == (NO_KERNEL_TIMES,)
    assert found.timer_p50_ns != 0

"""Rolling statistics beside numpy's of the same values: exact in windows of up to ten thousand, and bounded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamkit.errors import ConfigError
from streamkit.processors.numbers import Rows
from streamkit.processors.rolling import BLOCKS, EXACT, LIFE, Rolling, Window

FIELDS = ["count", "total", "rate", "mean", "variance", "min", "max", "p50", "p95", "p99"]
UNKNOWN = dict.fromkeys(["mean", "variance", "min", "max", "p50", "p95", "p99"])


def plain(values: list[float] | NDArray[np.float64]) -> Rows:
    """Rows without names."""
    return Rows(len(values), {"": list(values)})


def added(window: str, parts: Iterator[tuple[float, NDArray[np.float64]]]) -> Rolling:
    rolling = Rolling(Window.of(window))
    for at_s, values in parts:
        rolling.add(plain(values), at_s)
    return rolling


def expected(values: NDArray[np.float64]) -> dict[str, Any]:
    """What numpy says of them."""
    if not values.size:
        return UNKNOWN
    p50, p95, p99 = np.quantile(values, [0.5, 0.95, 0.99])
    variance = values.var(ddof=1) if values.size > 1 else None
    moments = {"mean": values.mean(), "variance": variance, "min": values.min(), "max": values.max()}
    return {**moments, "p50": p50, "p95": p95, "p99": p99}


def about(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(
        found[name] is None if value is None else found[name] == pytest.approx(value, rel=1e-9, abs=1e-9)
        for name, value in wanted.items()
    )


# -- windows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("", Window()),
        ("all", Window()),
        (" 1000 ", Window(values=1000)),
        ("10s", Window(seconds=10)),
        ("0.5s", Window(seconds=0.5)),
        ("250ms", Window(seconds=0.25)),
        ("2min", Window(seconds=120)),
        ("1h", Window(seconds=3600)),
        ("exp(30s)", Window(fading_s=30)),
    ],
)
def test_a_window_is_read_as_it_is_written(text: str, window: Window) -> None:
    assert Window.of(text) == window
    assert Window.of(str(window)) == window


@pytest.mark.parametrize(
    "text",
    [
        *("0", "-1", "1.5", "0s", "10 s", "s", "10d", "1e3", "exp", "exp(30)", "exp(30s", "30s)", "exp(0s)"),
        *("9" * 400, "9" * 400 + "s", "2000000h", "١٠", "10s;", "nan", "inf"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a window such as all, 1000 .* got "):
        Window.of(text)


# -- in windows of up to ten thousand values: exact ----------------------------------------------------------------

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=30)


@given(st.lists(st.tuples(st.floats(0, 5), VALUES), max_size=8), st.integers(1, 40), st.floats(0, 5))
def test_the_last_values_and_those_of_the_last_seconds_are_what_numpy_says(
    parts: list[tuple[float, list[float]]], last: int, pause_s: float
) -> None:
    at = np.cumsum([pause for pause, _ in parts])
    times = np.repeat(at, [len(values) for _, values in parts]) if parts else np.empty(0)
    values = np.array([value for _, some in parts for value in some])
    now_s = float(at[-1] if parts else 0) + pause_s
    wanted = {"all": values, str(last): values[-last:], "4s": values[times > now_s - 4]}
    for window, held in wanted.items():
        rolling = added(window, ((when, np.array(some)) for when, (_, some) in zip(at, parts, strict=True)))
        found = rolling.result(now_s)
        assert list(found) == FIELDS
        assert (found["count"], found["total"]) == (held.size, values.size)
        assert about(found, expected(held))


@pytest.mark.parametrize("window", ["all", str(EXACT), "1000", "100s", "7s"])
def test_ten_thousand_values_are_exact(window: str) -> None:
    values = np.random.default_rng(3).lognormal(size=EXACT)
    rolling = added(window, ((number / 10, some) for number, some in enumerate(np.split(values, 1000))))
    held = {"1000": 1000, "7s": 700}.get(window, EXACT)
    found = rolling.result(99.9)
    assert found["count"] == held
    assert about(found, expected(values[-held:]))


def test_a_window_of_seconds_empties_though_nothing_comes() -> None:
    rolling = added("10s", iter([(0.0, np.ones(5)), (6.0, np.ones(3))]))
    assert [rolling.result(at_s)["count"] for at_s in (6.0, 9.99, 10.0, 15.99, 16.0)] == [8, 8, 3, 3, 0]
    assert rolling.result(20.0) == {"count": 0, "total": 8, "rate": 0.0, **UNKNOWN}


def test_before_the_first_value_nothing_is_known() -> None:
    for window in ("all", "10", "10s", "exp(10s)"):
        assert Rolling(Window.of(window)).result(5.0) == {"count": 0, "total": 0, "rate": None, **UNKNOWN}


def test_of_one_value_there_is_no_variance() -> None:
    for window in ("all", "10", "10s", "exp(10s)"):
        found = added(window, iter([(0.0, np.array([3.0]))])).result(1.0)
        assert about(found, expected(np.array([3.0])))


# -- rates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", ["all", "100", "5s", "200000", "3000s", "exp(2s)"])
def test_a_steady_rate_is_told_by_every_window(window: str) -> None:
    rolling = added(window, ((number / 10, np.ones(10)) for number in range(3_000)))
    assert rolling.result(300.0)["rate"] == pytest.approx(100, rel=0.03)


def test_a_window_of_seconds_that_is_not_full_yet_counts_from_the_first_value() -> None:
    rolling = added("10s", iter([(100.0, np.ones(50))]))
    assert rolling.result(100.0)["rate"] is None
    assert rolling.result(102.0)["rate"] == 25.0


def test_a_rate_that_falls_is_seen_by_windows_that_forget() -> None:
    parts = [(number / 10, np.ones(10 if number < 500 else 1)) for number in range(1000)]
    found = {window: added(window, iter(parts)).result(100.0)["rate"] for window in ("all", "5s", "exp(5s)", "20")}
    assert found["all"] == 55
    assert [found[window] for window in ("5s", "exp(5s)", "20")] == pytest.approx([10, 10, 10], rel=0.05)


# -- beyond that: bounded ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "held"), [("all", 300_000), ("100000", 100_000), ("100s", 100_000), ("20000", 20_000)]
)
def test_larger_windows_have_exact_moments_and_quantiles_within_a_thousandth_of_the_rank(
    window: str, held: int
) -> None:
    values = np.random.default_rng(5).lognormal(size=300_000)
    rolling = added(window, ((number / 10, some) for number, some in enumerate(np.split(values, 3000))))
    found = rolling.result(299.95)
    count = found["count"]
    assert held * (1 - 1.01 / BLOCKS) <= count <= held
    wanted = values[-count:]
    assert found["mean"] == pytest.approx(wanted.mean(), rel=1e-9)
    assert found["variance"] == pytest.approx(wanted.var(ddof=1), rel=1e-9)
    assert (found["min"], found["max"]) == (wanted.min(), wanted.max())
    ordered = np.sort(wanted)
    for name, rank in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        assert abs(np.searchsorted(ordered, found[name]) / count - rank) < 0.001


@pytest.mark.parametrize("window", ["all", "1000000000000", "1000000", "1000h", "1ms", "1s", "exp(1h)", "exp(1ms)"])
def test_memory_is_bounded_whatever_the_window_and_the_rate(window: str) -> None:
    rolling = Rolling(Window.of(window))
    values = np.random.default_rng(1).normal(size=25_000)
    for number in range(20):
        rolling.add(plain(values), number * 0.04)
    series = rolling._rows
    assert series._latest.nbytes <= 300_000
    assert len(series._blocks) <= BLOCKS + 1
    assert rolling.result(0.8)["total"] == 500_000


def test_a_quantile_of_few_different_values_is_one_of_them() -> None:
    values = np.random.default_rng(6).choice([1.0, 2.0, 5.0], size=80_000, p=[0.3, 0.64, 0.06])
    for window in ("all", "50000"):
        found = added(window, ((number / 10, some) for number, some in enumerate(np.split(values, 800)))).result(80.0)
        assert [found[name] for name in ("p50", "p95", "p99")] == [2.0, 5.0, 5.0]


def test_columns_that_grow_alike_are_not_all_summarised_at_once() -> None:
    rolling = Rolling(Window.of("1000h"))
    sizes = []
    for at_s in range(250):
        rolling.add(Rows(100, {f"column_{number}": [1.0] * 100 for number in range(20)}), at_s)
        sizes.append([series._size for series in rolling._columns.values()])
    shrunk = (np.diff(sizes, axis=0) < 0).sum(axis=1)
    assert shrunk.sum() > 100
    assert shrunk.max() <= 4


def test_a_window_that_holds_few_again_is_exact_again() -> None:
    chance = np.random.default_rng(2)
    rolling = added("10s", iter([(0.0, chance.normal(size=50_000))]))
    last = chance.normal(size=5_000)
    rolling.add(plain(last), 20.0)
    assert about(rolling.result(21.0), expected(last))


# -- weights that fade ---------------------------------------------------------------------------------------------


def test_values_fade_by_the_time_constant() -> None:
    rolling = added("exp(10s)", iter([(0.0, np.array([0.0])), (10.0, np.array([1.0]))]))
    weights = np.exp([-2.0, -1.0])
    found = rolling.result(20.0)
    assert found["count"] == 2
    assert found["mean"] == pytest.approx(weights[1] / weights.sum())
    assert found["rate"] == pytest.approx(weights.sum() / (10 * (1 - math.exp(-2))))


def test_equal_weights_are_none() -> None:
    values = np.random.default_rng(4).normal(size=500)
    assert about(added("exp(10s)", iter([(0.0, values)])).result(3.0), expected(values))


def test_what_is_older_than_five_time_constants_is_left_out() -> None:
    rolling = added("exp(10s)", iter([(0.0, np.array([1e6])), (10.0, np.array([1.0]))]))
    found = rolling.result(10 * LIFE)
    assert (found["count"], found["max"]) == (1, 1.0)


def test_a_step_is_followed_as_an_exponential_filter_does_at_any_rate() -> None:
    for rate in (10, 1_000):
        parts = ((number / 10, np.full(rate // 10, float(number >= 1000))) for number in range(1_100))
        found = added("exp(10s)", parts).result(109.95)
        assert found["mean"] == pytest.approx(1 - math.exp(-1), abs=0.01)
        assert (found["min"], found["max"], found["p50"], found["p99"]) == (0.0, 1.0, 1.0, 1.0)
        assert found["variance"] == pytest.approx(math.exp(-1) * (1 - math.exp(-1)), abs=0.005)


# -- columns -------------------------------------------------------------------------------------------------------


def test_columns_have_statistics_each_and_rows_are_counted() -> None:
    rolling = Rolling(Window.of("3"))
    rolling.add(Rows(2, {"t": [1.0, 2.0], "h": [5.0]}), 0.0)
    rolling.add(Rows(3, {"t": [3.0, 4.0]}), 1.0)
    found = rolling.result(2.0)
    assert list(found) == ["count", "total", "rate", "columns"]
    assert (found["count"], found["total"], found["rate"]) == (3, 5, 3.0)
    assert (found["columns"]["t"]["count"], found["columns"]["t"]["mean"]) == (3, 3.0)
    assert (found["columns"]["h"]["count"], found["columns"]["h"]["mean"]) == (1, 5.0)


def test_a_result_grows_a_column_at_a_time() -> None:
    rolling = Rolling(Window())
    rolling.add(Rows(1, {"a": [1.0], "b": [2.0]}), 0.0)
    steps = [list(found["columns"]) for found in rolling.growing(1.0)]
    assert steps == [[], ["a"], ["a", "b"]]
    assert repr(rolling) == "<Rolling: 1 rows, window all>"


def test_numbers_whose_mean_no_double_can_tell_are_no_warning() -> None:
    values = np.full(EXACT + 1, 1.7e308)
    for window in ("all", "exp(10s)", "100000"):
        found = added(window, iter([(0.0, values), (1.0, -values)])).result(1.0)
        assert found["max"] == 1.7e308

"""A limit: kept, broken, or nearer than the instrument can tell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.testing.limits import Limit, Waits, judged, limits_of

MS = 1e6
ROWS = st.lists(st.tuples(st.floats(1, 1e9), st.floats(0, 1e7), st.floats(0, 1e7)), min_size=1, max_size=50)


def state(most_ms: float, *rows: tuple[float, float, float], percentile: int = 100) -> str:
    """Of times in ms, with their errors."""
    times = Waits.of([tuple(each * MS for each in row) for row in rows])  # type: ignore[misc]  # three
    found = judged(Limit(percentile=percentile, most_ms=most_ms), times)
    assert found is not None
    return found.state


@pytest.mark.parametrize(
    ("time_ms", "above_ms", "below_ms", "expected"),
    [
        (300, 0, 0, "kept"),
        (301, 0, 0, "broken"),
        (301, 2, 0, "undecided"),
        (303, 2, 0, "broken"),
        (299, 9, 0, "kept"),
        (299, 0, 2, "undecided"),
        (297, 0, 2, "kept"),
    ],
)
def test_it_is_decided_where_the_error_may_be_at_its_cost_or_to_its_gain(
    time_ms: float, above_ms: float, below_ms: float, expected: str
) -> None:
    assert state(300, (time_ms, above_ms, below_ms)) == expected


def test_a_percentile_does_not_look_at_those_beyond_it() -> None:
    rows = [(100.0, 0.0, 0.0)] * 19 + [(900.0, 0.0, 0.0)]
    assert state(300, *rows, percentile=95) == "kept"
    assert state(300, *rows, percentile=96) == "broken"


@given(ROWS, st.integers(1, 100), st.floats(1, 1000))
def test_without_errors_everything_is_decided_as_it_was_measured(
    rows: list[tuple[float, float, float]], percentile: int, most_ms: float
) -> None:
    limit = Limit(percentile=percentile, most_ms=most_ms)
    with_errors, sharp = judged(limit, Waits.of(rows)), judged(limit, Waits.of([(row[0], 0, 0) for row in rows]))
    assert with_errors is not None
    assert sharp is not None
    assert sharp.state == ("kept" if sharp.got_ns <= most_ms * 1e6 else "broken")
    assert with_errors.got_ns == sharp.got_ns
    assert with_errors.state in (sharp.state, "undecided")


def test_what_never_came_broke_nothing() -> None:
    assert judged(Limit(percentile=50, most_ms=1), Waits.of([])) is None


def test_limits_are_named_by_their_percentile() -> None:
    assert [(each.name, each.most_ms) for each in limits_of({"p50_ms": 1, "p99_ms": 2, "max_ms": 3, "ms": 4})] == [
        ("p50", 1),
        ("p99", 2),
        ("longest", 3),
        ("longest", 4),
    ]


@pytest.mark.parametrize(
    ("limits", "error"),
    [({}, TypeError), ({"p100_ms": 1}, TypeError), ({"p0_ms": 1}, TypeError), ({"p95": 1}, TypeError),
     ({"ms": "1"}, TypeError), ({"ms": -1}, ValueError)],
)  # fmt: skip
def test_what_is_no_limit_is_refused(limits: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"expected (at least one|a limit|ms)"):
        limits_of(limits)

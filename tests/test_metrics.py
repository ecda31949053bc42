"""Numbers from columns: exact values on made-up times."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab import metrics

MS = 1_000_000


def test_ttft_is_the_first_event_that_carries_text_counted_from_the_origin() -> None:
    assert metrics.ttft_ns([10, 20, 30], [0, 3, 5], origin_ns=4) == 16


@pytest.mark.parametrize("characters", [[], [0], [0, 0]])
def test_without_text_there_is_no_ttft(characters: list[int]) -> None:
    assert metrics.ttft_ns(range(len(characters)), characters) is None


def test_gaps_are_between_reads_so_events_that_share_one_add_no_zeros() -> None:
    at_ns, read = [0, 0, 0, 50, 50, 70], [0, 0, 0, 1, 1, 2]
    assert metrics.gaps_ns(at_ns, read).tolist() == [50, 20]


def test_reads_that_brought_no_event_do_not_count_as_gaps() -> None:
    assert metrics.gaps_ns([0, 90], [0, 7]).tolist() == [90]


@pytest.mark.parametrize("columns", [([], []), ([5], [0]), ([5, 5], [0, 0])])
def test_fewer_than_two_reads_have_no_gaps(columns: tuple[list[int], list[int]]) -> None:
    assert metrics.gaps_ns(*columns).size == 0


def test_two_reads_may_carry_the_same_stamp_and_then_their_gap_is_a_true_zero() -> None:
    assert metrics.gaps_ns([5, 5], [0, 1]).tolist() == [0]


def test_columns_of_array_are_taken_as_they_are() -> None:
    assert metrics.gaps_ns(array("q", [0, 9]), array("q", [0, 1])).dtype == np.int64


@pytest.mark.parametrize(
    ("q", "expected"), [(1, 10), (50, 20), (51, 30), (75, 30), (76, 40), (95, 40), (99, 40), (100, 40)]
)
def test_percentiles_are_nearest_rank(q: int, expected: int) -> None:
    assert metrics.percentile_ns([40, 10, 30, 20], q) == expected


def test_the_99th_of_a_hundred_values_is_the_99th() -> None:
    assert metrics.percentile_ns(range(1, 101), 99) == 99


def test_no_values_have_no_percentile() -> None:
    assert metrics.percentile_ns([], 50) is None


@pytest.mark.parametrize("q", [0, -1, 101])
def test_a_percentile_out_of_range_is_a_programmers_error(q: int) -> None:
    with pytest.raises(ValueError, match="above 0 and up to 100"):
        metrics.percentile_ns([1], q)


@given(st.lists(st.integers(0, 2**62), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_occurred_with_enough_values_up_to_it(
    values: list[int], q: int
) -> None:
    found = metrics.percentile_ns(values, q)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= q * len(values)
    assert sum(value < found for value in values) * 100 < q * len(values)


@given(st.lists(st.integers(0, 2**62), min_size=1), st.integers(1, 100))
def test_percentiles_are_those_numpy_calls_inverted_cdf(values: list[int], q: int) -> None:
    expected = np.percentile(np.asarray(values, dtype=np.int64), q, method="inverted_cdf")
    found = metrics.percentile_ns(values, q)
    # numpy computes the rank in floating point and may be one rank off where q * n is a whole number of hundreds
    assert found == expected or q * len(values) % 100 == 0


def test_stalls_are_gaps_above_250_ms_in_a_fast_stream() -> None:
    assert metrics.stall_threshold_ns([20 * MS] * 9) == 250 * MS


def test_stalls_are_gaps_above_five_medians_in_a_slow_stream() -> None:
    assert metrics.stall_threshold_ns([100 * MS] * 9) == 500 * MS


def test_stalls_are_given_as_begin_and_end() -> None:
    at_ns = np.array([0, 20, 40, 540, 560, 560]) * MS
    assert (metrics.stalls_ns(at_ns, [0, 1, 2, 3, 4, 4]) / MS).tolist() == [[40, 540]]


def test_a_gap_as_long_as_the_threshold_is_no_stall() -> None:
    assert metrics.stalls_ns([0, 100], [0, 1], threshold_ns=100).shape == (0, 2)


def test_no_events_have_no_stalls() -> None:
    assert metrics.stalls_ns([], []).shape == (0, 2)


def test_the_coalesced_share_counts_events_behind_the_first_of_their_read() -> None:
    assert metrics.coalesced_share([0, 0, 0, 1]) == 0.5
    assert metrics.coalesced_share([0, 1, 5]) == 0.0
    assert metrics.coalesced_share([]) is None


def test_throughput_leaves_out_the_first_read_and_the_wait_for_it() -> None:
    at_ns, read = np.array([900, 900, 1900, 2900]) * MS, [0, 0, 1, 2]
    assert metrics.throughput_per_s(at_ns, read, [1, 1, 1, 1]) == 1.0
    assert metrics.throughput_per_s(at_ns, read, [9, 9, 4, 6]) == 5.0


@pytest.mark.parametrize("columns", [([], []), ([5], [0]), ([5, 5], [0, 0]), ([5, 5], [0, 1])])
def test_throughput_is_not_defined_over_no_time(columns: tuple[list[int], list[int]]) -> None:
    at_ns, read = columns
    assert metrics.throughput_per_s(at_ns, read, [1] * len(read)) is None


@given(st.lists(st.tuples(st.integers(0, 10**9), st.booleans()), max_size=60))
def test_gaps_add_up_to_the_time_between_the_first_and_the_last_read(steps: list[tuple[int, bool]]) -> None:
    at_ns, read, now, number = [], [], 0, 0
    for step, shares in steps:
        if not shares:
            now, number = now + step, number + 1
        at_ns.append(now)
        read.append(number)
    assert metrics.gaps_ns(at_ns, read).sum() == (at_ns[-1] - at_ns[0] if at_ns else 0)

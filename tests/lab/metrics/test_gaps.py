"""Numbers from columns: exact values on made-up times."""

from __future__ import annotations

from array import array
from typing import get_args

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


def test_by_the_rule_divided_each_event_of_a_read_gets_its_part_of_the_gap() -> None:
    at_ns, read = [0, 0, 50, 50, 50, 70], [0, 0, 1, 1, 1, 2]
    assert metrics.gaps_ns(at_ns, read, "divided").tolist() == [17, 17, 16, 20]


def test_by_the_rule_replicated_the_first_event_of_a_read_gets_it_all() -> None:
    at_ns, read = [0, 0, 50, 50, 50, 70], [0, 0, 1, 1, 1, 2]
    assert metrics.gaps_ns(at_ns, read, "replicated").tolist() == [0, 50, 0, 0, 20]


def test_five_events_a_write_show_what_each_rule_makes_of_a_true_pace_of_50_ms() -> None:
    at_ns, read = np.repeat(np.arange(20), 5) * 250 * MS, np.repeat(np.arange(20), 5)
    medians = {rule: metrics.percentile_ns(metrics.gaps_ns(at_ns, read, rule), 50) for rule in get_args(metrics.Rule)}
    assert medians == {"per_read": 250 * MS, "divided": 50 * MS, "replicated": 0}


def test_an_unknown_rule_is_a_programmers_error() -> None:
    with pytest.raises(ValueError, match="expected rule 'per_read', 'divided' or 'replicated', got 'mean'"):
        metrics.gaps_ns([1], [0], "mean")  # type: ignore[arg-type]  # the claim


def test_stalls_are_gaps_above_250_ms_in_a_fast_stream() -> None:
    assert metrics.stall_threshold_ns([20 * MS] * 9) == 250 * MS


def test_stalls_are_gaps_above_five_medians_in_a_slow_stream() -> None:
    assert metrics.stall_threshold_ns([100 * MS] * 9) == 500 * MS


def test_stalls_are_given_as_begin_and_end() -> None:
    at_ns = np.array([0, 20, 40, 540, 560, 560]) * MS
    assert (metrics.stalls_ns(at_ns, [0, 1, 2, 3, 4, 4]) / MS).tolist() == [[40, 540]]


def test_a_stall_has_a_place_the_number_of_events_before_it() -> None:
    at_ns = np.array([0, 0, 20, 520, 540, 1040]) * MS
    read = [0, 0, 1, 2, 3, 4]
    assert metrics.stall_places(at_ns, read).tolist() == [3, 5]
    assert (metrics.stalls_ns(at_ns, read) / MS).tolist() == [[20, 520], [540, 1040]]


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
    for rule in get_args(metrics.Rule):
        assert metrics.gaps_ns(at_ns, read, rule).sum() == (at_ns[-1] - at_ns[0] if at_ns else 0)
    divided = metrics.gaps_ns(at_ns, read, "divided")
    assert divided.size == (len(read) - read.count(read[0]) if read else 0)
    for number in {*read} - {*read[:1]}:
        shares = divided[np.array(read)[-divided.size :] == number]
        assert shares.max() - shares.min() <= 1


def test_what_was_lost_doubled_or_disordered_is_counted_event_by_event() -> None:
    found = metrics.loss_and_duplication(list("abcdef"), list("abbdcax"))
    assert found._asdict() == {"lost": 2, "duplicated": 2, "out_of_order": 1, "unknown": 1}


def test_a_stream_that_came_as_it_was_sent_lost_nothing() -> None:
    assert metrics.loss_and_duplication(range(9), range(9)) == (0, 0, 0, 0)
    assert metrics.loss_and_duplication([], []) == (0, 0, 0, 0)
    assert metrics.loss_and_duplication([1, 2], []) == (2, 0, 0, 0)


def test_ids_that_are_not_distinct_cannot_be_counted_by() -> None:
    with pytest.raises(ValueError, match="got 1 different ones for 2 events sent"):
        metrics.loss_and_duplication(["", ""], [""])


@given(st.integers(0, 9), st.lists(st.integers(0, 12), max_size=30))
def test_losses_are_those_of_a_slow_and_simple_count(sent: int, received: list[int]) -> None:
    seen: list[int] = []
    disordered = 0
    for number in received:
        if number < sent and number not in seen:
            disordered += any(number < earlier for earlier in seen)
            seen.append(number)
    known = sum(number < sent for number in received)
    expected = (sent - len(seen), known - len(seen), disordered, len(received) - known)
    assert metrics.loss_and_duplication(range(sent), received) == expected


def test_the_room_shows_its_names_and_nothing_else() -> None:
    assert dir(metrics) == sorted(metrics.__all__)


# --- The silence before the end -------------------------------------------------------------------------------------


def test_silence_lasts_to_the_cut_whatever_pinged_or_told_the_error_meanwhile() -> None:
    assert metrics.end_silence([0, 20, 700], [True, True, False], 900, complete=False) == (20, 900)


def test_a_complete_stream_ends_with_its_mark_and_not_with_its_connection() -> None:
    assert metrics.end_silence([0, 20, 700], [True, True, False], 900, complete=True) == (20, 700)
    assert metrics.end_silence([0, 20], [True, True], 900, complete=True) == (20, 900)


def test_without_a_piece_there_is_no_silence_before_the_end() -> None:
    assert metrics.end_silence([], [], 900, complete=False) is None
    assert metrics.end_silence([5], [False], 900, complete=False) is None


def test_an_end_before_the_last_piece_makes_no_silence() -> None:
    assert metrics.end_silence([20], [True], 10, complete=False) == (20, 20)


def test_what_python_was_late_at_the_last_read_is_no_silence() -> None:
    assert metrics.end_silence([0, 20], [True, True], 900, complete=False, late_ns=870) == (20, 30)
    assert metrics.end_silence([0, 20], [True, True], 900, complete=False, late_ns=890) == (20, 20)

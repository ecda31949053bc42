"""Cumulative curves, and what is read off them: exact on a fake clock, and true for every schedule."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab import metrics
from streamkit.lab.metrics.curves import Curve
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.taps import TAPS, Tap
from tests.lab.metrics.examples import MS, Way, in_ms, journey, shown, staircase, ways


class TestTheJourneyOnAFakeClock:
    def test_all_taps_are_curves_in_the_order_of_the_way(self) -> None:
        assert list(journey().curves()) == list(TAPS)

    def test_the_curves_count_events(self) -> None:
        assert {name: shown(curve) for name, curve in journey().curves().items()} == {
            "upstream.due": ([100, 110, 110, 130], [1, 2, 3, 4]),
            "upstream.sent": ([101, 111, 111, 131], [1, 2, 3, 4]),
            "relay.read": ([103, 113, 133], [1, 3, 4]),
            "relay.event": ([104, 114, 134], [1, 3, 4]),
            "relay.send": ([105, 116, 137], [1, 3, 4]),
            "relay.sent": ([106, 136, 138], [1, 3, 4]),
            "client.read": ([107, 140, 140, 140], [1, 2, 3, 4]),
            "client.event": ([108, 141, 142, 143], [1, 2, 3, 4]),
        }

    def test_or_they_count_bytes_of_text(self) -> None:
        curves = journey().curves("bytes")
        assert shown(curves["upstream.sent"]) == ([101, 111, 111, 131], [2, 3, 6, 7])
        assert shown(curves["client.read"]) == ([107, 140, 140, 140], [2, 3, 6, 7])
        assert shown(curves["client.event"]) == ([108, 141, 142, 143], [2, 3, 6, 7])

    def test_each_event_has_its_delay_in_each_hop(self) -> None:
        assert {hop.name: in_ms(hop.delays_ns) for hop in metrics.hops(journey().curves())} == {
            "upstream.due → upstream.sent": [1, 1, 1, 1],
            "upstream.sent → relay.read": [2, 2, 2, 2],
            "relay.read → relay.event": [1, 1, 1, 1],
            "relay.event → relay.send": [1, 2, 2, 3],
            "relay.send → relay.sent": [1, 20, 20, 1],
            "relay.sent → client.read": [1, 4, 4, 2],
            "client.read → client.event": [1, 1, 2, 3],
        }

    def test_a_missing_tap_merges_its_two_hops(self) -> None:
        curves = journey().curves()
        del curves["relay.event"]
        merged = {hop.name: in_ms(hop.delays_ns) for hop in metrics.hops(curves)}
        assert merged["relay.read → relay.send"] == [2, 3, 3, 4]
        assert len(merged) == 6

    def test_the_backlog_is_what_one_place_had_more_than_the_next(self) -> None:
        curves = journey().curves()
        held = metrics.backlog(curves["relay.send"], curves["client.read"])
        assert (in_ms(held.at_ns), held.held.tolist()) == ([105, 107, 116, 137, 140], [1, 0, 2, 3, 0])
        assert metrics.max_backlog(curves["relay.send"], curves["client.read"]) == 3

    def test_its_mean_is_weighted_by_time(self) -> None:
        curves = journey().curves()
        # 1 event for 2 ms, none for 9, 2 events for 21, 3 events for 3: 53 event·ms in 35 ms
        assert metrics.mean_backlog(curves["relay.send"], curves["client.read"]) == pytest.approx(53 / 35)

    def test_in_bytes_the_backlog_is_what_was_held_of_the_text(self) -> None:
        curves = journey().curves("bytes")
        held = metrics.backlog(curves["relay.send"], curves["client.read"])
        assert held.held.tolist() == [2, 0, 4, 5, 0]

    def test_the_summary_tells_what_the_hops_did(self) -> None:
        summary = journey().summary()
        assert [hop[1:] for hop in summary.hops if hop.name == "relay.send → relay.sent"] == [(4, 1.0, 20.0, 20.0, 2)]
        assert ("relay.send → relay.sent", "p50 1.00, p95 20.00, max 20.00 ms, held at most 2") in summary.rows()


def test_a_curve_of_a_tap_lets_the_tap_grow() -> None:
    tap = staircase((1, 1, 1))
    curve = metrics.curve_of(tap)
    tap.stamp(2 * MS, 1, 1)
    assert (curve.total, metrics.curve_of(tap, "bytes").total) == (1, 2)


def test_times_in_disorder_are_sorted_with_what_they_brought() -> None:
    curve = metrics.curve([5, 1, 3], [50, 10, 30])
    assert (curve.at_ns.tolist(), curve.count.tolist()) == ([1, 3, 5], [10, 40, 90])


@pytest.mark.parametrize(
    ("amount", "complaint"), [([1], "columns of one length"), ([1, -1], "amounts of 0 or more, got -1")]
)
def test_what_makes_no_staircase_is_refused(amount: list[int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        metrics.curve([1, 2], amount)


def test_a_step_counts_from_its_own_time_on() -> None:
    curve = metrics.curve([10, 20, 20])
    assert [metrics.count_at(curve, t_ns) for t_ns in (9, 10, 19, 20, 99)] == [0, 1, 1, 3, 3]
    assert metrics.count_at(curve, [9, 20]).tolist() == [0, 3]
    assert [metrics.time_of(curve, n) for n in (1, 2, 3, 4)] == [10, 20, 20, None]


def test_no_unit_has_number_zero() -> None:
    with pytest.raises(ValueError, match="from 1, got 0"):
        metrics.time_of(metrics.curve([1]), 0)


def test_nothing_that_passed_has_no_delay_and_no_backlog() -> None:
    nothing, one = metrics.curve([]), metrics.curve([5])
    assert metrics.delay_ns(nothing, one).size == metrics.delay_ns(one, nothing).size == 0
    assert metrics.max_backlog(nothing, one) == 0
    assert metrics.max_backlog(one, nothing) == 1
    assert metrics.backlog(nothing, nothing).held.size == 0
    assert metrics.mean_backlog(one, nothing) is None
    assert metrics.hops({}) == metrics.hops({"client.read": one}) == []


def test_what_seems_to_arrive_before_it_had_left_is_not_hidden() -> None:
    """The kernel stamps a receipt before the sender's `send` has returned."""
    sent, read = metrics.curve([10]), metrics.curve([7])
    assert metrics.delay_ns(sent, read).tolist() == [-3]
    assert metrics.backlog(sent, read).held.tolist() == [-1, 0]


# -- For any schedule --------------------------------------------------------------------------------------------------


@given(ways())
def test_curves_never_fall(way: Way) -> None:
    for curve in way.curves.values():
        assert (np.diff(curve.at_ns) >= 0).all()
        assert (np.diff(curve.count) >= 0).all()
        assert curve.at_ns.dtype == curve.count.dtype == np.int64


@given(ways())
def test_the_hops_delays_add_up_to_the_whole_delay_of_each_event(way: Way) -> None:
    curves = list(way.curves.values())
    whole = metrics.delay_ns(curves[0], curves[-1])
    parts = metrics.hops(way.curves)
    assert sum((hop.delays_ns[: whole.size] for hop in parts), np.zeros_like(whole)).tolist() == whole.tolist()
    assert [hop.delays_ns.size for hop in parts] == [len(after) for after in way.passed[1:]]


@given(ways())
def test_delays_are_those_of_the_events_one_by_one(way: Way) -> None:
    for hop, (before, after) in zip(metrics.hops(way.curves), pairwise(way.passed), strict=True):
        assert hop.delays_ns.tolist() == [right - left for left, right in zip(before, after, strict=False)]


@given(ways())
def test_the_backlog_is_never_negative_where_each_place_is_behind_the_one_before(way: Way) -> None:
    for (before, after), (early, late) in zip(pairwise(way.curves.values()), pairwise(way.passed), strict=True):
        at_ns, held = metrics.backlog(before, after)
        assert held.tolist() == [bisect_right(early, t) - bisect_right(late, t) for t in at_ns]
        assert at_ns.tolist() == sorted({*early, *late})
        assert (held >= 0).all()
        assert metrics.max_backlog(before, after) == max(held.tolist(), default=0)


@given(ways(), st.integers(-5, 5))
def test_the_most_held_is_found_also_where_the_places_are_out_of_order(way: Way, shift: int) -> None:
    for before, after in pairwise(way.curves.values()):
        early = Curve(after.at_ns - 20 + shift, after.count)
        held = metrics.backlog(before, early).held
        assert metrics.max_backlog(before, early) == max([0, *held.tolist()])


@given(ways())
def test_times_of_many_are_the_times_of_each(way: Way) -> None:
    for curve in way.curves.values():
        each = [metrics.time_of(curve, n) for n in range(1, curve.total + 1)]
        assert metrics.times(curve).tolist() == each
        assert metrics.times(curve, 3).tolist() == each[:3]


@given(ways(), st.integers(-5, 600))
def test_count_and_time_are_inverse_as_in_a_galois_connection(way: Way, t_ns: int) -> None:
    for curve in way.curves.values():
        for n in range(1, curve.total + 2):
            at_ns = metrics.time_of(curve, n)
            assert (at_ns is not None and at_ns <= t_ns) == (n <= metrics.count_at(curve, t_ns))


@given(ways())
def test_the_mean_backlog_is_the_delays_spread_over_the_time(way: Way) -> None:
    """Little's law, where all that came has left."""
    for before, after in pairwise(way.curves.values()):
        mean = metrics.mean_backlog(before, after)
        if mean is not None and before.total == after.total:
            span = max(before.at_ns[-1], after.at_ns[-1]) - before.at_ns[0]
            assert mean * span == pytest.approx(metrics.delay_ns(before, after).sum())


# -- Cost --------------------------------------------------------------------------------------------------------------


def best_of(attempts: int, work: Callable[[], object]) -> float:
    def once() -> float:
        begin = time.process_time()
        work()
        return time.process_time() - begin

    return min(once() for _ in range(attempts))


def long_recording(events: int) -> Recording:
    at_ns = np.arange(events) // 3 * 1000
    reads = np.unique(at_ns)
    every = np.arange(1, events + 1)
    taps = {
        name: Tap((at_ns - 10).tolist(), every.tolist(), every.tolist()) for name in ("upstream.sent", "relay.read")
    }
    return Recording(reads=Reads(reads, size=reads * 0), events=Events(at_ns, text=["x"] * events), taps=taps)


def test_ten_times_the_events_cost_far_less_than_ten_times_ten() -> None:
    """Linear, or n log n: a hundred times as much would be quadratic."""
    small, large = long_recording(20_000), long_recording(200_000)

    def work(recording: Recording) -> None:
        curves = recording.curves()
        recording.summary()
        metrics.mean_backlog(curves["upstream.sent"], curves["client.read"])
        metrics.budget(curves, origin_ns=0)
        metrics.gaps_ns(recording.events.at_ns, recording.events.read, "divided")

    assert best_of(3, lambda: work(large)) < 30 * best_of(3, lambda: work(small))

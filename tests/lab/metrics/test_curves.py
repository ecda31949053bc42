"""Cumulative curves, and what is read off them: exact on a fake clock, and true for every schedule."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab import metrics
from streamkit.lab.metrics.curves import Curve, delay_ns
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.taps import TAPS, Tap

MS = 1_000_000


def staircase(*steps: tuple[int, int, int]) -> Tap:
    """A tap from (ms, events, bytes), all cumulative."""
    return Tap([at_ms * MS for at_ms, _, _ in steps], [n for _, n, _ in steps], [size for _, _, size in steps])


def journey() -> Recording:
    """Four events "ab", "c", "你", "d" (2, 1, 3 and 1 bytes), due at 100, 110, 110 and 130 ms. All times by hand.

    The upstream sends 1 ms late. The relay reads 2 ms later, decodes in 1 ms, and
    waits 1 ms before it sends; sending takes 1 ms, but 20 ms for the second write. The client reads everything from
    then on in one read, and hands on each event 1 ms after the one before.
    """
    return Recording(
        taps={
            # in an order that is not that of the way, which must not matter
            "relay.sent": staircase((106, 1, 2), (136, 3, 6), (138, 4, 7)),
            "upstream.due": staircase((100, 1, 2), (110, 2, 3), (110, 3, 6), (130, 4, 7)),
            "upstream.sent": staircase((101, 1, 2), (111, 2, 3), (111, 3, 6), (131, 4, 7)),
            "relay.read": staircase((103, 1, 2), (113, 3, 6), (133, 4, 7)),
            "relay.event": staircase((104, 1, 2), (114, 3, 6), (134, 4, 7)),
            "relay.send": staircase((105, 1, 2), (116, 3, 6), (137, 4, 7)),
        },
        marks={"relay.asked": 12 * MS, "relay.asking": 15 * MS, "upstream.asked": 20 * MS},
        reads=Reads([107 * MS, 140 * MS], size=[10, 30]),
        events=Events(
            [107 * MS, 140 * MS, 140 * MS, 140 * MS],
            handed_ns=[108 * MS, 141 * MS, 142 * MS, 143 * MS],
            text=["ab", "c", "你", "d"],
        ),
        sent_ns=10 * MS,
        ended_ns=145 * MS,
    )


def in_ms(values: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> list[int]:
    assert not (values % MS).any()
    return [int(value) for value in values // MS]


def shown(curve: Curve) -> tuple[list[int], list[int]]:
    return in_ms(curve.at_ns), curve.count.tolist()


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

    def test_the_first_events_budget_adds_up(self) -> None:
        recording = journey()
        found = metrics.budget(recording.curves(), origin_ns=10 * MS, marks=recording.marks)
        assert found is not None
        assert [(part.name, part.ns // MS) for part in found.parts] == [
            ("request → relay.asked", 2),
            ("relay.asked → relay.asking", 3),
            ("relay.asking → upstream.asked", 5),
            ("upstream.asked → upstream.due", 80),
            ("upstream.due → upstream.sent", 1),
            ("upstream.sent → relay.read", 2),
            ("relay.read → relay.event", 1),
            ("relay.event → relay.send", 1),
            ("relay.send → relay.sent", 1),
            ("relay.sent → client.read", 1),
            ("client.read → client.event", 1),
        ]
        assert (found.n, found.sum_ns, found.total.ns, found.rest.ns) == (1, 98 * MS, 98 * MS, 0)

    def test_any_events_budget_adds_up_and_medians_stand_beside_it(self) -> None:
        recording = journey()
        found = metrics.budget(recording.curves(), origin_ns=10 * MS, marks=recording.marks, n=3)
        assert found is not None
        assert [part.ns // MS for part in found.parts] == [2, 3, 5, 90, 1, 2, 1, 2, 20, 4, 2]
        assert [part.median_ns // MS for part in found.parts] == [2, 3, 5, 90, 1, 2, 1, 2, 1, 2, 1]
        assert (found.sum_ns, found.total.ns, found.total.median_ns) == (132 * MS, 132 * MS, 131 * MS)
        assert (found.rest.ns, found.rest.median_ns) == (0, 0)

    def test_the_summary_tells_what_the_hops_did(self) -> None:
        summary = journey().summary()
        assert [hop[1:] for hop in summary.hops if hop.name == "relay.send → relay.sent"] == [(4, 1.0, 20.0, 20.0, 2)]
        assert ("relay.send → relay.sent", "p50 1.00, p95 20.00, max 20.00 ms, held at most 2") in summary.rows()


class TestBudget:
    def test_what_nobody_saw_is_left_unexplained(self) -> None:
        """A server that is not ours: only what the client did is known."""
        recording = Recording.from_pieces([(50, "a"), (70, "b")])
        found = metrics.budget(recording.curves(), origin_ns=20)
        assert found is not None
        assert [(part.name, part.ns) for part in found.parts] == [("client.read → client.event", 0)]
        assert (found.total.ns, found.rest.name, found.rest.ns) == (30, "request → client.read", 30)

    def test_the_work_of_a_provider_that_is_not_ours_is_unexplained(self) -> None:
        curves = journey().curves()
        del curves["upstream.due"], curves["upstream.sent"]
        found = metrics.budget(curves, origin_ns=10 * MS, marks={"relay.asking": 15 * MS})
        assert found is not None
        assert (found.rest.name, found.rest.ns) == ("relay.asking → relay.read", 88 * MS)
        assert found.sum_ns + found.rest.ns == found.total.ns == 98 * MS

    def test_where_the_upstreams_plan_is_not_known_its_wait_ends_with_sending(self) -> None:
        curves = journey().curves()
        del curves["upstream.due"]
        found = metrics.budget(curves, origin_ns=10 * MS, marks={"upstream.asked": 20 * MS})
        assert found is not None
        assert [(part.name, part.ns) for part in found.parts[:2]] == [
            ("request → upstream.asked", 10 * MS),
            ("upstream.asked → upstream.sent", 81 * MS),
        ]
        assert found.rest.ns == 0

    def test_an_event_that_did_not_pass_all_places_has_none(self) -> None:
        assert metrics.budget(journey().curves(), origin_ns=0, n=5) is None
        assert metrics.budget(Recording().curves(), origin_ns=0) is None

    @pytest.mark.parametrize("n", [0, -1])
    def test_events_are_counted_from_one(self, n: int) -> None:
        with pytest.raises(ValueError, match="from 1"):
            metrics.budget(journey().curves(), origin_ns=0, n=n)

    def test_without_curves_there_is_nothing_to_budget(self) -> None:
        with pytest.raises(ValueError, match="at least one curve"):
            metrics.budget({}, origin_ns=0)

    def test_the_rest_is_shown_also_when_it_is_nothing(self) -> None:
        recording = journey()
        found = metrics.budget(recording.curves(), origin_ns=10 * MS, marks=recording.marks)
        assert found is not None
        assert found.rows()[-3:] == [
            ("sum", "98.000 ms", ""),
            ("total", "98.000 ms", "131.000 ms"),
            ("unexplained", "0.000 ms", "0.000 ms"),
        ]
        assert str(found).splitlines()[1].split() == ["request", "→", "relay.asked", "2.000", "ms", "2.000", "ms"]


class TestWherePiecesWereLeftOut:
    """The policy `latest`: five states came, the client got the first, the fourth and the fifth."""

    data = ('{"text":"a"}', '{"text":"dddd","dropped":2}', '{"text":"e"}', '{"outcome":"complete","dropped":2}')
    recording = Recording(
        reads=Reads([10, 50, 60]),
        events=Events([10, 50, 60, 60], text=["a", "dddd", "e", ""], data=data, read=[0, 1, 2, 2]),
        taps={"relay.event": Tap([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 3, 6, 10, 11])}
        | {"relay.sent": Tap([2, 40, 41], [1, 4, 5], [1, 10, 11])},
        counts={"relay.dropped_pieces": 2},
    )

    def test_they_count_as_passed_so_that_event_n_is_event_n_at_every_tap(self) -> None:
        curves = self.recording.curves()
        assert [curve.count.tolist() for curve in curves.values()] == [[1, 2, 3, 4, 5], *[[1, 4, 5]] * 3]
        assert delay_ns(curves["relay.event"], curves["client.read"]).tolist() == [9, 48, 47, 46, 55]

    def test_so_do_their_bytes_which_the_relay_knows(self) -> None:
        curves = self.recording.curves("bytes")
        assert curves["client.read"].count.tolist() == [1, 10, 11, 11]

    def test_only_the_relay_is_believed(self) -> None:
        curves = replace(self.recording, counts={}).curves()
        assert curves["client.read"].count.tolist() == [1, 2, 3]


class TestWithoutEventBorders:
    """text/plain: a read is all there is, and it may end inside a character."""

    def plain(self, *reads: tuple[int, bytes], **fields: Tap) -> Recording:
        """As the recorder makes it: text of whole characters, sizes of what was read."""
        pending, texts = b"", []
        for _, data in reads:
            pending += data
            text = pending.decode("utf-8", "ignore")
            pending = pending[len(text.encode()) :]
            texts.append(text)
        at_ns, sizes = [at_ms * MS for at_ms, _ in reads], [len(data) for _, data in reads]
        return Recording(
            reads=Reads(at_ns, data=[data for _, data in reads]),
            events=Events(
                at_ns,
                handed_ns=[at + MS for at in at_ns],
                text=texts,
                size=sizes,
                event=[""] * len(reads),
                read=range(len(reads)),
            ),
            taps={name.replace("_", "."): tap for name, tap in fields.items()},
        )

    def test_events_have_come_when_their_last_byte_has(self) -> None:
        recording = self.plain(
            (10, b"a\xe4\xbd"),
            (20, b"\xa0b"),
            (30, b"cd"),
            upstream_sent=staircase((1, 1, 1), (2, 2, 4), (3, 3, 6), (4, 4, 7)),  # "a", "你", "bc", "d"
            relay_sent=staircase((9, 4, 7)),
        )
        curves = recording.curves()
        assert shown(curves["client.read"]) == ([10, 20, 30], [1, 2, 4])
        assert shown(curves["client.event"]) == ([11, 21, 31], [1, 2, 4])
        assert in_ms(metrics.delay_ns(curves["upstream.sent"], curves["client.read"])) == [9, 18, 27, 26]

    def test_bytes_are_those_that_were_read_whatever_character_they_belong_to(self) -> None:
        curves = self.plain((10, b"a\xe4\xbd"), (20, b"\xa0b")).curves("bytes")
        assert shown(curves["client.read"]) == ([10, 20], [3, 5])

    def test_the_borders_are_those_of_the_tap_that_saw_most(self) -> None:
        coarse, fine = staircase((1, 2, 2)), staircase((2, 1, 1), (3, 2, 2))
        recording = self.plain((10, b"a"), (20, b"b"), upstream_sent=coarse, relay_event=fine)
        assert shown(recording.curves()["client.read"]) == ([10, 20], [1, 2])

    @pytest.mark.parametrize("taps", [{}, {"relay_sent": staircase((1, 1, 0))}, {"relay_sent": Tap()}])
    def test_where_nobody_saw_borders_the_clients_own_events_count(self, taps: dict[str, Tap]) -> None:
        recording = self.plain((10, b"a"), (20, b"\xe4\xbd"), (30, b"\xa0"), **taps)
        assert shown(recording.curves()["client.read"]) == ([10, 30], [1, 2])


def test_events_without_text_are_not_counted() -> None:
    recording = Recording(reads=Reads([1, 2], size=[9, 9]), events=Events([1, 2, 2], text=["", "a", ""]))
    assert recording.curves()["client.read"].at_ns.tolist() == [2]


def test_where_no_event_has_text_all_are() -> None:
    recording = Recording(reads=Reads([1, 2], size=[9, 9]), events=Events([1, 2, 2], text=["", "", ""]))
    assert recording.curves()["client.read"].count.tolist() == [1, 2, 3]


def test_an_unknown_unit_is_a_programmers_error() -> None:
    with pytest.raises(ValueError, match="expected unit 'events' or 'bytes', got 'tokens'"):
        Recording().curves("tokens")  # type: ignore[arg-type]  # the claim


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


class Way(NamedTuple):
    """Taps in a row; each passes on what the one before has, later, in batches, perhaps not all of it."""

    curves: dict[str, Curve]
    passed: list[list[int]]  # the same for a slow and simple check: at each place, the time of each event


@st.composite
def ways(draw: st.DrawFn, most: int = 12) -> Way:
    times = list(accumulate(draw(st.lists(st.integers(0, 50), max_size=most))))
    curves, passed = {"place 0": metrics.curve(times)}, [times]
    for place in range(1, draw(st.integers(2, 5))):
        whole = draw(st.booleans())
        kept = times if whole else times[: draw(st.integers(0, len(times)))]  # a truncated stream
        # Each batch waits for its last event, and for the batch before it.
        ends = {*draw(st.lists(st.integers(1, len(kept)), max_size=6)), len(kept)} if kept else set()
        batches = [kept[begin:end] for begin, end in pairwise([0, *sorted(ends)])]
        reads, now = [], 0
        for batch in batches:
            now = max(now, batch[-1] + draw(st.integers(0, 40)))
            reads.append(now)
        times = [at for at, batch in zip(reads, batches, strict=True) for _ in batch]
        steps_of_batches = draw(st.booleans())  # one step for each batch, or one for each of its events
        curves[f"place {place}"] = (
            metrics.curve(reads, [len(batch) for batch in batches]) if steps_of_batches else metrics.curve(times)
        )
        passed.append(times)
    return Way(curves, passed)


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


@given(ways(), st.integers(0, 100), st.data())
def test_every_events_budget_adds_up_to_its_total(way: Way, origin_ns: int, data: st.DataObject) -> None:
    marks = data.draw(
        st.dictionaries(st.sampled_from(["relay.asked", "relay.asking", "upstream.asked"]), st.integers())
    )
    marks = {name: at_ns % 1000 for name, at_ns in marks.items()}
    curves = dict(zip(TAPS, way.curves.values(), strict=False))
    for n in range(1, min(map(len, way.passed)) + 1):
        found = metrics.budget(curves, origin_ns=origin_ns, marks=marks, n=n)
        assert found is not None
        assert found.total.ns == way.passed[-1][n - 1] - origin_ns
        assert found.sum_ns + found.rest.ns == found.total.ns
        assert (found.rest.ns == 0) or "upstream.asked" not in marks


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

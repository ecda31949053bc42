"""Toxics on timed pieces: what a bad network does to one direction, without sockets and without waiting."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import ConfigError
from streamkit.lab.net.toxics import (
    LINE_BYTES,
    LINE_PARTS,
    QUEUE_BYTES,
    Bandwidth,
    Blackhole,
    Close,
    Cut,
    Flow,
    Latency,
    Slice,
    SlowClose,
    Toxic,
    check_toxics,
)

NEVER = math.inf
TINY_S = 1e-6  # what sums of floating point numbers may be off

Fed = tuple[float, bytes]
Came = tuple[float, bytes | Close]


class Run:
    """A flow on a clock that jumps to whatever comes next; a sender that the flow has no room for waits."""

    def __init__(self, toxics: Iterable[Toxic], fed: Iterable[Fed], end: Close | None = None, seed: int = 0) -> None:
        self.now = 0.0
        self.flow = Flow(toxics, 0.0, random.Random(seed))
        self.came: list[Came] = []
        self.most_held = 0
        self._fed = list(fed)
        self._end = end

    def until(self, stop: float = NEVER) -> list[Came]:
        """All that arrives up to then."""
        while True:
            self._feed()
            if (out := self.flow.take(self.now)) is not None:
                self.came.append((self.now, out))
                continue
            if self._fed and self._fed[0][0] <= self.now and self.flow.room:
                continue
            self.most_held = max(self.most_held, QUEUE_BYTES - self.flow.room + self.flow._line_bytes)
            next_fed = self._fed[0][0] if self._fed and self.flow.room else NEVER
            then = min(self.flow.wake_at, max(next_fed, self.now))
            if then > stop or then == NEVER:
                self.now = self.now if stop == NEVER else stop
                return self.came
            assert then > self.now, "nothing was due, and yet it wants to be asked again at once"
            self.now = then

    def _feed(self) -> None:
        while self._fed and self._fed[0][0] <= self.now and self.flow.room:
            (at, data), room = self._fed.pop(0), self.flow.room
            self.flow.feed(data[:room], self.now)
            if data[room:]:
                self._fed.insert(0, (at, data[room:]))
        if not self._fed and self._end is not None:
            self.flow.end(self._end.how, self.now)


def play(
    toxics: Iterable[Toxic], *fed: Fed, end: Close | None = None, until: float = NEVER, seed: int = 0
) -> list[Came]:
    return Run(toxics, fed, end, seed).until(until)


def joined(came: Iterable[Came]) -> bytes:
    return b"".join(data for _, data in came if isinstance(data, bytes))


def times(came: Iterable[Came]) -> list[float]:
    """When each byte came."""
    return [at for at, data in came if isinstance(data, bytes) for _ in data]


# --- Any mix --------------------------------------------------------------------------------------------------------

milliseconds = st.floats(0, 500)
latencies = st.builds(Latency, milliseconds, milliseconds)
bandwidths = st.builds(Bandwidth, st.floats(10, 1e6))
slices = st.builds(Slice, st.integers(5, 3000), milliseconds, st.integers(0, 4))
closes = st.builds(SlowClose, milliseconds)
harmless = st.lists(st.one_of(latencies, bandwidths, slices, closes), max_size=4)
parts = st.lists(st.tuples(st.floats(0, 3), st.binary(max_size=400)), max_size=12).map(sorted)
ends = st.sampled_from([Close("fin"), Close("rst")])


@given(harmless, parts, ends, st.integers(0, 3))
def test_what_does_not_cut_keeps_every_byte_in_order_and_the_end_behind_them(
    toxics: list[Toxic], fed: list[Fed], end: Close, seed: int
) -> None:
    came = play(toxics, *fed, end=end, seed=seed)
    assert joined(came) == joined(fed)
    assert came[-1][1] == end
    assert [out for _, out in came].count(end) == 1


@given(st.lists(st.tuples(st.floats(0, 4), harmless), max_size=4), parts, ends)
def test_however_they_are_changed_nothing_is_lost_or_reordered(
    changes: list[tuple[float, list[Toxic]]], fed: list[Fed], end: Close
) -> None:
    run = Run([Blackhole(after_bytes=100), Latency(200)], fed, end)
    for at, toxics in sorted(changes, key=lambda change: change[0]):
        run.until(at)
        run.flow.change(toxics, run.now)
    run.flow.change([Latency(10)], run.now)
    assert joined(run.until()) == joined(fed)
    assert run.came[-1][1] == end


@given(bandwidths, harmless, parts)
def test_no_more_than_the_bandwidth_ever_passes(limit: Bandwidth, others: list[Toxic], fed: list[Fed]) -> None:
    for count, at in enumerate(times(play([*others, limit], *fed)), 1):
        assert count <= limit.bytes_per_s * at + 1 + TINY_S


@given(latencies, harmless, parts)
def test_no_byte_is_earlier_than_its_latency(latency: Latency, others: list[Toxic], fed: list[Fed]) -> None:
    came = times(play([latency, *others], *fed))
    assert all(at >= fed_at + latency.ms / 1e3 - TINY_S for at, fed_at in zip(came, times(fed), strict=True))


@given(latencies, parts)
def test_jitter_is_bounded_by_what_came_before(latency: Latency, fed: list[Fed]) -> None:
    most_s = (latency.ms + latency.jitter_ms) / 1e3
    came = times(play([latency], *fed))
    assert all(at <= fed_at + most_s + TINY_S for at, fed_at in zip(came, times(fed), strict=True))


@given(st.integers(0, 3000), harmless, parts, st.sampled_from(["fin", "rst"]))
def test_a_cut_lets_through_exactly_its_bytes(size: int, others: list[Toxic], fed: list[Fed], how: Any) -> None:
    came = play([*others, Cut(after_bytes=size, how=how)], *fed)
    whole = joined(fed)
    assert joined(came) == whole[:size]
    assert (Close(how, both=True) in [out for _, out in came]) == (len(whole) >= size)


def without_jitter(toxic: Toxic) -> Toxic:
    """Jitter is drawn in turn, so it would differ."""
    if isinstance(toxic, Latency):
        return Latency(toxic.ms)
    return Slice(toxic.size_bytes, toxic.gap_ms) if isinstance(toxic, Slice) else toxic


@given(harmless, parts, st.randoms(use_true_random=False))
def test_their_order_does_not_matter(toxics: list[Toxic], fed: list[Fed], shuffle: random.Random) -> None:
    exact = [without_jitter(toxic) for toxic in toxics]
    shuffled = exact[:]
    shuffle.shuffle(shuffled)
    one, other = times(play(exact, *fed)), times(play(shuffled, *fed))
    assert one == pytest.approx(other)


def test_the_same_seed_is_the_same_network() -> None:
    toxics: list[Toxic] = [Latency(10, jitter_ms=100), Slice(10, jitter_bytes=9)]
    fed = (0.0, bytes(500))
    assert play(toxics, fed, seed=1) == play(toxics, fed, seed=1) != play(toxics, fed, seed=2)


# --- One by one -----------------------------------------------------------------------------------------------------


def test_without_toxics_nothing_waits() -> None:
    came = play([], (0, b"ab"), (1, b"c"), end=Close("fin"))
    assert came == [(0, b"ab"), (1, b"c"), (1, Close("fin"))]


def test_many_pieces_are_on_the_way_at_once_so_that_latency_costs_no_bandwidth() -> None:
    fed = [(number / 100, b"x") for number in range(300)]
    came = play([Latency(1000)], *fed)
    assert [at for at, _ in came] == pytest.approx([at + 1 for at, _ in fed])


def test_bandwidth_is_used_in_full_and_in_small_pieces() -> None:
    came = play([Bandwidth(1000)], (0, bytes(2000)))
    assert came[-1][0] == pytest.approx(2.0)
    assert len(came) == 100
    assert {len(data) for _, data in came if isinstance(data, bytes)} == {20}


def test_bandwidth_and_latency_together_delay_each_byte_by_both() -> None:
    came = play([Latency(100), Bandwidth(1000)], (0, bytes(1000)))
    assert came[0][0] == pytest.approx(0.12)
    assert came[-1][0] == pytest.approx(1.1)


def test_idle_bandwidth_is_not_made_up_for() -> None:
    assert play([Bandwidth(1000)], (5, bytes(1000)))[-1][0] == pytest.approx(6.0)


def test_slices_have_their_size_and_their_gap() -> None:
    came = play([Slice(3, gap_ms=100)], (0, b"abcdefgh"))
    assert came == [(0, b"abc"), (0.1, b"def"), (0.2, b"gh")]


def test_slices_vary_within_their_jitter() -> None:
    sizes = [len(data) for _, data in play([Slice(10, jitter_bytes=3)], (0, bytes(5000))) if isinstance(data, bytes)]
    assert set(sizes[:-1]) == set(range(7, 14))


@pytest.mark.parametrize("way", [Blackhole(), Blackhole(after_s=0), Blackhole(after_bytes=0)])
def test_a_blackhole_passes_nothing_and_no_end(way: Toxic) -> None:
    run = Run([way], [(0, b"abc")], Close("fin"))
    assert run.until() == []
    run.flow.change([], 7.0)
    run.now = 7.0
    assert run.until() == [(7.0, b"abc"), (7.0, Close("fin"))]


def test_a_blackhole_opens_after_its_bytes_or_its_time_whichever_is_first() -> None:
    fed = [(number / 10, b"ab") for number in range(10)]
    assert joined(play([Blackhole(after_bytes=5)], *fed)) == b"ababa"
    assert len(joined(play([Blackhole(after_s=0.55)], *fed))) == 12
    assert len(joined(play([Blackhole(after_bytes=3, after_s=0.55)], *fed))) == 3
    assert len(joined(play([Blackhole(after_bytes=100, after_s=0.55)], *fed))) == 12


def test_what_was_on_the_way_when_a_blackhole_opened_by_itself_still_arrives() -> None:
    assert play([Latency(1000), Blackhole(after_s=0.5)], (0, b"a"), (0.6, b"b")) == [(1.0, b"a")]


def test_a_cut_after_a_time_carries_data_until_then() -> None:
    fed = [(number / 10, b"x") for number in range(20)]
    came = play([Cut(after_s=0.95, how="rst")], *fed)
    assert len(joined(came)) == 10
    assert came[-1] == (0.95, Close("rst", both=True))


def test_a_cut_after_a_time_loses_what_is_on_the_way() -> None:
    came = play([Latency(300), Cut(after_s=1)], (0, b"a"), (0.8, b"b"))
    assert came == [(0.3, b"a"), (1.0, Close("fin", both=True))]


def test_a_cut_without_a_measure_carries_nothing() -> None:
    assert play([Cut()], (0, b"a")) == [(0, Close("fin", both=True))]


def test_a_cut_comes_even_if_nobody_takes_what_was_sent() -> None:
    flow = Flow([Cut(after_s=1)], 0, random.Random(0))
    flow.feed(b"abc", 0)
    assert flow.cut_at == 1
    assert flow.take(1.5) == Close("fin", both=True)
    assert flow.take(2) is None


def test_the_bytes_of_a_cut_arrive_before_it_however_long_they_are_on_the_way() -> None:
    came = play([Latency(500), Cut(after_bytes=2)], (0, b"abc"), end=Close("fin"))
    assert came == [(0.5, b"ab"), (0.5, Close("fin", both=True))]


def test_a_slow_close_delays_the_end_alone() -> None:
    assert play([SlowClose(500)], (0, b"a"), end=Close("rst")) == [(0, b"a"), (0.5, Close("rst"))]


def test_nothing_comes_after_an_end() -> None:
    flow = Flow([], 0, random.Random(0))
    flow.end("fin", 0)
    assert flow.take(0) == Close("fin")
    flow.feed(b"late", 1)
    flow.change([Cut()], 1)
    assert flow.take(2) is None
    assert flow.wake_at == NEVER


# --- Changes --------------------------------------------------------------------------------------------------------


def test_a_shorter_latency_lets_go_what_has_waited_long_enough() -> None:
    run = Run([Latency(10_000)], [(0, b"a"), (0.5, b"b")])
    run.until(0.6)
    run.flow.change([Latency(200)], 0.6)
    assert run.until() == [(0.6, b"a"), (0.7, b"b")]


def test_counts_begin_anew_with_a_change() -> None:
    run = Run([], [(number, b"ab") for number in range(6)])
    run.until(2.5)
    run.flow.change([Cut(after_bytes=3)], 2.5)
    assert joined(run.until()) == b"ab" * 3 + b"aba"
    run = Run([], [(0, b"ab")])
    run.until(2.5)
    run.flow.change([Cut(after_s=1)], 2.5)
    assert run.until()[-1] == (3.5, Close("fin", both=True))


# --- Bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toxics", "most"),
    [
        ([Bandwidth(10_000)], QUEUE_BYTES),
        ([Blackhole()], QUEUE_BYTES),
        ([Latency(100_000)], QUEUE_BYTES + LINE_BYTES),
        ([Latency(100_000), Slice(2)], QUEUE_BYTES + 2 * LINE_PARTS),
        ([Latency(1000), Bandwidth(10_000)], QUEUE_BYTES + 10_200),
    ],
)
def test_what_it_holds_is_bounded(toxics: list[Toxic], most: int) -> None:
    run = Run(toxics, [(0, bytes(QUEUE_BYTES))] * 40)
    run.until(20)
    assert most / 2 < run.most_held <= most + 1


def test_who_takes_nothing_holds_who_sends() -> None:
    flow = Flow([], 0, random.Random(0))
    fed = 0
    while flow.room:
        flow.feed(bytes(min(1000, flow.room)), 0)
        fed += min(1000, flow.room)
    assert flow.room == 0
    assert fed <= QUEUE_BYTES


# --- What makes no sense --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toxic", "arguments", "text"),
    [
        (Latency, (-1,), "expected ms as milliseconds >= 0, got -1"),
        (Latency, (math.inf,), "expected ms as milliseconds >= 0, got inf"),
        (Latency, (1, math.nan), "expected jitter_ms as milliseconds >= 0, got nan"),
        (Bandwidth, (0,), r"expected bytes_per_s as a number > 0, got 0; Blackhole\(\) is none"),
        (Slice, (0,), "expected size_bytes as an integer >= 1, got 0"),
        (Slice, (1.5,), "expected size_bytes as an integer >= 1, got 1.5"),
        (Slice, (5, 0, 5), "expected jitter_bytes < size_bytes"),
        (Slice, (5, -1), "expected gap_ms"),
        (Blackhole, (-1,), "expected after_bytes as an integer >= 0, got -1"),
        (Blackhole, (None, -1), "expected after_s as seconds >= 0, got -1"),
        (Cut, (None, math.inf), "expected after_s as seconds >= 0, got inf"),
        (Cut, (1, None, "drop"), "expected how as 'fin' or 'rst', got 'drop'"),
        (SlowClose, (-1,), "expected ms as milliseconds >= 0, got -1"),
    ],
)
def test_a_toxic_that_makes_no_sense_is_refused(toxic: Any, arguments: Sequence[Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        toxic(*arguments)
    assert not isinstance(caught.value, ConfigError), "it is no option"


@pytest.mark.parametrize(
    ("given_toxics", "text"),
    [
        (Latency(200), r"got one of them: write \[Latency\(ms=200, jitter_ms=0.0\)\]"),
        (5, "expected a sequence of toxics, such as .*, got 5"),
        ([200], "expected toxics .*, such as .*, got 200"),
        ([Latency], "expected toxics"),
    ],
)
def test_what_are_no_toxics_is_refused(given_toxics: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        check_toxics(given_toxics)


def test_toxics_of_any_iterable_are_kept() -> None:
    assert check_toxics(itertools.repeat(Latency(1), 2)) == (Latency(1), Latency(1))

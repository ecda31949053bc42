"""Taps: staircases of integers, joined by stream and event number, in bounded memory."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.extractor.pieces import Piece, weigh
from streamkit.lab.upstream import Script
from streamkit.lab.upstream.app import SentLog
from streamkit.taps import TAPS, StreamTaps, Tap, TapLog
from streamkit.taps.gauges import Gauges
from streamkit.taps.taps import MOST_TAPS

steps = st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 50), st.integers(0, 5000)), max_size=50)


def test_a_tap_counts_up() -> None:
    tap = Tap()
    tap.stamp(100, 1, 3)
    tap.stamp(250, 4, 20)
    assert (tap.at_ns.tolist(), tap.events.tolist(), tap.bytes.tolist()) == ([100, 250], [1, 5], [3, 23])
    assert len(tap) == 2
    assert repr(tap) == "<Tap: 5 events, 23 bytes in 2 steps>"
    assert repr(Tap()) == "<Tap: 0 events, 0 bytes in 0 steps>"


def test_a_copy_counts_from_another_moment_and_does_not_grow() -> None:
    tap = Tap([100, 250], [1, 5], [3, 23])
    copy = tap.copy(minus_ns=90)
    tap.stamp(300, 1, 1)
    assert copy == Tap([10, 160], [1, 5], [3, 23])


def test_a_copy_made_in_the_middle_of_a_stamp_is_whole() -> None:
    tap = Tap([100], [1], [3])
    tap.events.append(2)  # another thread is between two columns
    assert tap.copy() == Tap([100], [1], [3])


def test_columns_that_make_no_staircase_are_refused() -> None:
    with pytest.raises(ValueError, match=r"equal length, got 2, 1 and 1"):
        Tap([1, 2], [1], [1])
    for columns in ([[2, 1], [1, 2], [1, 2]], [[1, 2], [2, 1], [1, 2]], [[1, 2], [1, 2], [2, 1]]):
        with pytest.raises(ValueError, match="ascending order"):
            Tap(*columns)


def test_only_text_counts_and_its_bytes_are_those_of_utf8() -> None:
    assert weigh([Piece("你好"), Piece("", "thinking"), Piece("a")]) == (2, 7)
    assert weigh([]) == (0, 0)


@given(
    st.lists(st.tuples(st.sampled_from(TAPS), steps), max_size=8), st.dictionaries(st.text(), st.integers(0, 10**15))
)
def test_what_a_stream_tells_can_be_read_back(
    named: list[tuple[str, list[tuple[int, int, int]]]], marks: dict[str, int]
) -> None:
    log = TapLog()
    taps = log.open("ab12")
    for name, given_steps in dict(named).items():
        for at_ns, events, size in sorted(given_steps):
            taps.stamp(name, at_ns, events, size)
    for name, at_ns in marks.items():
        taps.mark(name, at_ns)
    log.close(taps)
    told = orjson.loads(orjson.dumps(taps.as_dict()))
    read = StreamTaps.from_dict(told)
    assert (read.taps, read.marks, read.stream_id, read.finished) == (taps.taps, marks, "ab12", True)
    assert read.as_dict() == taps.as_dict()


def test_two_stamps_in_one_are_two_stamps() -> None:
    one, other = TapLog(max_steps=5), TapLog(max_steps=5)
    together, apart = one.open("ab12"), other.open("ab12")
    for at_ns in range(0, 30, 10):
        together.stamp_two("relay.read", at_ns, "relay.event", at_ns + 1, 2, 7)
        apart.stamp("relay.read", at_ns, 2, 7)
        apart.stamp("relay.event", at_ns + 1, 2, 7)
    assert (together.steps, together.dropped) == (4, 2), "both or none"
    together.stamp("relay.read", 20, 2, 7)
    assert together.taps == apart.taps
    assert list(together.taps) == ["relay.read", "relay.event"]


def test_what_was_asked_for_does_not_grow() -> None:
    taps = StreamTaps("ab12")
    taps.stamp("relay.read", 100, 1, 3)
    before = taps.taps
    taps.stamp("relay.read", 250, 4, 20)
    assert before == {"relay.read": Tap([100], [1], [3])}
    assert taps.taps == {"relay.read": Tap([100, 250], [1, 5], [3, 23])}


def test_a_stream_has_a_bounded_number_of_taps() -> None:
    taps = StreamTaps("ab12")
    for number in range(MOST_TAPS):
        taps.stamp(str(number), 1, 1, 1)
    with pytest.raises(ValueError, match="at most 16 taps of a stream, got 'one more'"):
        taps.stamp("one more", 1, 1, 1)
    with pytest.raises(ValueError, match="at most 16 taps of a stream, got 'one more'"):
        taps.stamp_two("0", 1, "one more", 1, 1, 1)
    assert len(taps.taps) == MOST_TAPS


def test_counts_and_gauges_are_told_too() -> None:
    taps = StreamTaps("ab12")
    assert taps.as_dict()["gauges"] is None
    assert StreamTaps.from_dict(taps.as_dict()).gauges is None
    taps.count("relay.dropped_pieces", 2)
    taps.count("relay.dropped_pieces", 3)
    taps.gauges = Gauges(10)
    taps.gauges.sample(100, {"relay.unsent": 4, "relay.inbox": None})
    read = StreamTaps.from_dict(orjson.loads(orjson.dumps(taps.as_dict())))
    assert read.counts == {"relay.dropped_pieces": 3}
    assert read.gauges is not None
    assert read.gauges.as_dict() == taps.gauges.as_dict()
    assert read.as_dict() == taps.as_dict()


def test_the_relays_own_word_is_told_too() -> None:
    taps = StreamTaps("ab12")
    assert taps.as_dict()["word"] is None
    taps.word = {"outcome": "timeout(idle)", "code": "timeout_idle", "status": 200, "first_piece_ms": None}
    told = orjson.loads(orjson.dumps(taps.as_dict()))
    assert StreamTaps.from_dict(told).word == taps.word
    assert StreamTaps.from_dict(StreamTaps("ab12").as_dict()).word is None
    del told["word"]
    assert StreamTaps.from_dict(told).word is None, "of a relay that keeps none"


@pytest.mark.parametrize("broken", [{"counts": {"a": "b"}}, {"gauges": {}}, {"gauges": []}, {"word": "complete"}])
def test_counts_gauges_and_words_of_another_kind_are_refused(broken: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        StreamTaps.from_dict(StreamTaps("ab12").as_dict() | broken)


def test_the_streams_that_finished_first_make_room() -> None:
    log = TapLog(max_steps=4)
    first, second = log.open("first"), log.open("second")
    for taps in (first, second):
        taps.stamp("relay.read", 1, 1, 1)
        taps.stamp("relay.read", 2, 1, 1)
    log.close(second)
    third = log.open("third")
    third.stamp("relay.read", 3, 1, 1)
    assert log.get("second") is None
    assert log.get("first") is first
    assert third.dropped == 0
    assert repr(log) == "<TapLog: 2 streams, 3 of 4 steps>"


def test_without_room_steps_are_dropped_and_counted() -> None:
    log = TapLog(max_steps=3)
    taps = log.open("only")
    for at_ns in range(5):
        taps.stamp("relay.read", at_ns, 1, 1)
    assert (taps.steps, taps.dropped) == (3, 2)
    log.close(taps)
    log.open("next").stamp("relay.read", 9, 1, 1)
    assert log.get("only") is None


def test_however_many_streams_run_only_so_many_steps_and_finished_streams_are_kept() -> None:
    log = TapLog(max_steps=100, max_finished=10)
    for number in range(1000):
        taps = log.open(str(number))
        for at_ns in range(number % 30):
            taps.stamp("relay.read", at_ns, 1, 1)
        log.close(taps)
    kept = [log.get(str(number)) for number in range(1000)]
    assert sum(taps.steps for taps in kept if taps) <= 100
    assert 0 < len(log) <= 10
    assert log.get("999") is not None


@pytest.mark.parametrize("bounds", [{"max_steps": 0}, {"max_finished": 0}, {"max_steps": -1}])
def test_bounds_that_hold_nothing_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected max_steps and max_finished >= 1"):
        TapLog(**bounds)


def test_an_upstreams_log_tells_its_whole_schedule_and_what_was_sent_of_it() -> None:
    steps = Script(["你", "ab", "c"], first_piece_ms=10, gap_ms=5, preset="openai").steps()
    log = SentLog(1000, b"", "ab12", steps)
    opening = [step.kind for step in steps].index("piece")
    log.sent_ns.extend([1500] * opening + [11_001_000, 20_000_000])
    taps = log.taps()
    assert taps.taps["upstream.due"] == Tap([10_001_000, 15_001_000, 20_001_000], [1, 2, 3], [3, 5, 6])
    assert taps.taps["upstream.sent"] == Tap([11_001_000, 20_000_000], [1, 2], [3, 5])
    assert (taps.stream_id, taps.marks, taps.finished) == ("ab12", {"upstream.asked": 1000}, False)


def test_the_gauges_of_the_last_fifty_streams_are_kept() -> None:
    log = TapLog()
    for number in range(60):
        taps = log.open(str(number))
        taps.gauges = Gauges(1)
        log.close(taps)
    kept = [number for number in range(60) if (taps_of := log.get(str(number))) and taps_of.gauges is not None]
    assert kept == list(range(10, 60))

"""Foreign taps beside the client's: on one clock, of one stream, each once; what is missing is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.recording.join import attach
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.relay_word import RelayWord
from streamkit.outcome import Outcome
from streamkit.taps import StreamTaps, Tap, TapLog
from streamkit.taps.gauges import NOT_KNOWN, Gauge, Gauges

STARTED_NS = 1_000


def recording(**fields: object) -> Recording:
    meta = {"origin": "boot-here", "notes": ["a note"]}
    given: dict[str, object] = {"headers": {"x-stream-id": "one"}, "meta": meta, "started_ns": STARTED_NS, **fields}
    return Recording(**given)  # type: ignore[arg-type]  # mypy cannot see which field


def taps_of(*names: str, stream_id: str = "one", origin: str = "boot-here", finished: bool = True) -> StreamTaps:
    taps = StreamTaps(stream_id)
    taps.origin, taps.finished = origin, finished
    for name in names:
        taps.stamp(name, STARTED_NS + 5, 1, 3)
        taps.stamp(name, STARTED_NS + 9, 2, 4)
    return taps


def test_times_are_counted_from_the_start_of_the_recording() -> None:
    foreign = taps_of("relay.read", "relay.sent")
    foreign.mark("relay.asked", STARTED_NS + 2)
    joined = attach(recording(), foreign)
    assert joined.taps == {name: Tap([5, 9], [1, 3], [3, 7]) for name in ("relay.read", "relay.sent")}
    assert joined.marks == {"relay.asked": 2}


def test_what_was_before_the_recording_stays_negative() -> None:
    foreign = taps_of()
    foreign.mark("upstream.asked", STARTED_NS - 7)
    assert attach(recording(), foreign).marks == {"upstream.asked": -7}


@given(st.integers(0, 2**40), st.lists(st.integers(0, 2**40), min_size=1).map(sorted))
def test_a_tap_is_only_moved(started_ns: int, at_ns: list[int]) -> None:
    foreign = taps_of()
    for number, at in enumerate(at_ns):
        foreign.stamp("relay.read", at, min(number, 1), min(number, 1))
    tap = attach(recording(started_ns=started_ns), foreign).taps["relay.read"]
    assert [at + started_ns for at in tap.at_ns] == at_ns
    assert (tap.events.tolist(), tap.bytes.tolist()) == (list(range(len(at_ns))), list(range(len(at_ns))))


def test_the_taps_of_several_servers_join_at_once_or_one_after_the_other() -> None:
    relay, upstream = taps_of("relay.read"), taps_of("upstream.sent")
    at_once = attach(recording(), relay, upstream)
    assert at_once.taps.keys() == {"relay.read", "upstream.sent"}
    assert attach(attach(recording(), relay), upstream) == at_once


def test_neither_the_recording_nor_the_taps_are_changed() -> None:
    alone, foreign = recording(), taps_of("relay.read")
    joined = attach(alone, foreign)
    foreign.stamp("relay.read", STARTED_NS + 20, 1, 1)
    assert not alone.taps
    assert len(joined.taps["relay.read"]) == 2


def test_nothing_to_join_changes_nothing() -> None:
    assert attach(recording()) == recording()
    assert attach(recording(), taps_of()) == recording()


def test_clocks_of_different_machines_are_never_subtracted() -> None:
    with pytest.raises(ValueError, match=r"expected taps of the recording's clock \(boot-here\), .* \(boot-there\)"):
        attach(recording(), taps_of("relay.read", origin="boot-there"))


def test_a_recording_without_the_name_of_its_clock_is_refused() -> None:
    with pytest.raises(ValueError, match=r"meta\['origin'\]"):
        attach(recording(meta={}), taps_of("relay.read"))


def test_another_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the taps of stream one, got those of stream two"):
        attach(recording(), taps_of("relay.read", stream_id="two"))


def test_without_a_stream_id_of_its_own_the_taps_must_be_of_one_stream() -> None:
    unnamed = recording(headers={})
    assert attach(unnamed, taps_of("relay.read"), taps_of("upstream.sent")).taps
    with pytest.raises(ValueError, match="stream one, got those of stream two"):
        attach(unnamed, taps_of("relay.read"), taps_of("upstream.sent", stream_id="two"))


def test_a_tap_or_a_mark_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"each tap, mark, count and gauge once, got relay\.read twice"):
        attach(recording(), taps_of("relay.read"), taps_of("relay.read"))
    marked = taps_of()
    marked.mark("relay.asked", 0)
    with pytest.raises(ValueError, match=r"got relay\.asked twice"):
        attach(attach(recording(), marked), marked)


def gauged(taps: StreamTaps, *names: str) -> StreamTaps:
    taps.gauges = Gauges(10)
    taps.gauges.sample(STARTED_NS - 3, dict.fromkeys(names, 7))
    taps.gauges.sample(STARTED_NS + 20, dict.fromkeys(names))
    return taps


def test_counts_come_along() -> None:
    foreign = taps_of("relay.read")
    foreign.count("relay.dropped_pieces", 3)
    assert attach(recording(), foreign).counts == {"relay.dropped_pieces": 3}


def test_every_column_becomes_a_gauge_whose_times_are_counted_from_the_start() -> None:
    joined = attach(recording(), gauged(taps_of(), "relay.unsent", "relay.inbox"), gauged(taps_of(), "upstream.unsent"))
    assert joined.gauges.keys() == {"relay.unsent", "relay.inbox", "upstream.unsent"}
    assert all(gauge == Gauge([-3, 20], [7, NOT_KNOWN]) for gauge in joined.gauges.values())


def test_gauges_that_grow_on_are_not_changed() -> None:
    foreign = gauged(taps_of(), "relay.unsent")
    joined = attach(recording(), foreign)
    assert foreign.gauges is not None
    foreign.gauges.sample(STARTED_NS + 90, {"relay.unsent": 1})
    assert len(joined.gauges["relay.unsent"]) == 2


def test_a_count_or_a_gauge_given_twice_is_refused() -> None:
    counted = taps_of()
    counted.count("relay.held_ns", 0)
    with pytest.raises(ValueError, match=r"got relay\.held_ns twice"):
        attach(attach(recording(), counted), counted)
    with pytest.raises(ValueError, match=r"got relay\.unsent twice"):
        attach(recording(), gauged(taps_of(), "relay.unsent"), gauged(taps_of(), "relay.unsent"))


def test_a_gauge_without_a_place_on_the_way_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected gauges out of upstream\.buffer, .*, got relay\.cellar"):
        attach(recording(), gauged(taps_of(), "relay.cellar"))


def test_the_clients_own_taps_cannot_be_given() -> None:
    with pytest.raises(ValueError, match=r"got client\.read"):
        attach(recording(), taps_of("client.read"))


def test_dropped_steps_are_noted() -> None:
    log = TapLog(max_steps=1)
    foreign = log.open("one")
    foreign.origin, foreign.finished = "boot-here", True
    for _ in range(3):
        foreign.stamp("relay.read", STARTED_NS, 1, 1)
    joined = attach(recording(), foreign)
    assert joined.meta["taps_dropped"] == 2
    assert joined.meta["notes"] == ["a note", "2 steps of the taps were dropped, for want of room in their log"]


def test_taps_of_a_running_stream_are_noted() -> None:
    joined = attach(recording(), taps_of("relay.read", finished=False), taps_of("upstream.sent"))
    assert joined.meta["taps_unfinished"] == ["relay.read"]
    assert joined.meta["notes"][1:] == ["read before their stream had ended, so their end may be missing: relay.read"]


def test_flaws_add_up_over_several_joins() -> None:
    joined = attach(recording(), taps_of("relay.read", finished=False))
    joined = attach(joined, taps_of("upstream.sent", finished=False))
    assert joined.meta["taps_unfinished"] == ["relay.read", "upstream.sent"]
    assert len(joined.meta["notes"]) == 3


def test_whole_taps_leave_no_note() -> None:
    assert attach(recording(), taps_of("relay.read")).meta == recording().meta


WORD = {"outcome": "timeout(idle)", "code": "timeout_idle", "pieces": 3}


def said(word: dict[str, object]) -> StreamTaps:
    taps = taps_of("relay.read")
    taps.word = word
    return taps


def test_the_relays_own_word_comes_along() -> None:
    joined = attach(recording(), taps_of("upstream.sent"), said(WORD))
    assert joined.relay == RelayWord(outcome=Outcome("timeout", "idle"), code="timeout_idle", pieces=3)
    assert attach(recording(), taps_of("relay.read")).relay is None


def test_a_word_stays_when_more_is_joined() -> None:
    joined = attach(attach(recording(), said(WORD)), taps_of("upstream.sent"))
    assert joined.relay is not None


def test_a_word_given_twice_or_that_is_none_is_refused() -> None:
    joined = attach(recording(), said(WORD))
    again = taps_of()
    again.word = WORD
    with pytest.raises(ValueError, match="got relay twice"):
        attach(joined, again)
    with pytest.raises(ValueError, match="expected a relay's word"):
        attach(recording(), said({}))

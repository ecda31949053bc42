"""Columns: what they hold, what of it fits together, and what of a recording is kept in copies."""

from __future__ import annotations

import pickle
import re
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.metrics import end_silence
from streamkit.lab.recording.recorded import Events, Reads, Recorded
from streamkit.lab.recording.recording import Recording
from streamkit.taps import Tap
from streamkit.taps.gauges import Gauge
from tests.lab.recording.examples import MS, small


class TestColumns:
    def test_integer_columns_are_seen_by_numpy_without_a_copy(self) -> None:
        column = small().reads.at_ns
        assert isinstance(column, array)
        view = np.asarray(column)
        assert view.dtype == np.int64
        assert np.shares_memory(view, np.frombuffer(column, dtype=np.int64))

    def test_reads_are_a_sequence_of_small_objects(self) -> None:
        reads = small().reads
        assert [(read.index, read.at_ns, read.size) for read in reads] == [
            (0, 120 * MS, 9),
            (1, 170 * MS, 18),
            (2, 600 * MS, 9),
        ]
        assert reads[-1].data == b"data: d\n\n"
        assert [read.index for read in reads[1:]] == [1, 2]

    def test_events_are_a_sequence_of_small_objects(self) -> None:
        events = small().events
        assert [(event.index, event.read, event.text, event.size) for event in events] == [
            (0, 0, "a", 1),
            (1, 1, "bc", 2),
            (2, 1, "", 0),
            (3, 2, "你", 1),
        ]
        assert events[-1].handed_ns == 600 * MS
        assert [event.data for event in events[:2]] == ["a", "bc"]

    @pytest.mark.parametrize("index", [4, -5])
    def test_an_index_out_of_range_raises(self, index: int) -> None:
        with pytest.raises(IndexError):
            _ = small().events[index]

    def test_events_made_by_hand_need_only_times_and_equal_times_share_a_read(self) -> None:
        events = Events([3, 3, 9], text=["a", "你", ""])
        assert events.read.tolist() == [0, 0, 1]
        assert events.size.tolist() == [1, 3, 0]
        assert events.handed_ns == events.at_ns == array("q", [3, 3, 9])

    def test_a_recording_is_made_by_hand_from_times_and_pieces(self) -> None:
        recording = Recording.from_pieces([(3, "a"), (3, "你"), (9, "b")], label="x")
        assert repr(recording) == "<Recording complete: 3 events, 3 characters>"
        assert recording.reads[0].data == "a你".encode()
        assert (recording.text, recording.label) == ("a你b", "x")

    def test_an_empty_recording_is_one(self) -> None:
        recording = Recording()
        assert recording.text == ""
        assert recording.body == b""
        assert recording.summary().ttft_ms is None

    def test_columns_of_unequal_length_are_refused(self) -> None:
        with pytest.raises(ValueError, match="columns of equal length"):
            Events([1, 2], text=["a"])
        with pytest.raises(ValueError, match="columns of equal length"):
            Reads([1, 2], size=[1])

    def test_of_a_read_it_is_known_how_wrong_and_how_late_its_time_is(self) -> None:
        reads = Reads([1, 2], size=[9, 9], error_ns=[5, -1], late_ns=[7, 0])
        reads.append(3, 9, None, error_ns=4, late_ns=6)
        reads.append(8, 9, None)
        assert [(read.error_ns, read.late_ns) for read in reads] == [(5, 7), (-1, 0), (4, 6), (-1, 0)]
        assert Reads([1]) != Reads([1], late_ns=[1])

    def test_columns_of_numpy_are_taken_too(self) -> None:
        assert Events(np.array([3, 3, 9]), text=["a", "b", "c"]) == Events([3, 3, 9], text=["a", "b", "c"])
        assert Reads(np.array([3, 9], dtype=np.int32)) == Reads([3, 9])

    @given(st.lists(st.text(max_size=5) | st.just("\ud800")))
    def test_the_size_of_a_text_is_that_of_its_utf8(self, texts: list[str]) -> None:
        sizes = Events(range(len(texts)), text=texts).size
        assert sizes.tolist() == [len(text.encode("utf-8", "replace")) for text in texts]

    @pytest.mark.parametrize("name", ["client.read", "relay.red"])
    def test_a_tap_without_a_place_on_the_way_to_the_client_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"expected taps out of upstream.due, .*, got {name}"):
            Recording(taps={name: Tap()})

    def test_a_gauge_without_a_place_on_the_way_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"expected gauges out of upstream\.buffer, .*, got relay\.cellar"):
            Recording(gauges={"relay.cellar": Gauge()})

    @pytest.mark.parametrize(
        ("reads", "events", "complaint"),
        [
            (Reads([1], error_ns=[-2]), Events(), "errors of 0 ns or more, or -1 for an unknown one, got -2"),
            (Reads([2, 1]), Events(), "ascending order, got 2 before 1 at index 1"),
            (Reads([1, 2]), Events([2, 1], read=[1, 0]), "events.read in ascending order"),
            (Reads([1]), Events([1], read=[1]), "event 0 names read 1, but there are 1 reads"),
            (Reads([1]), Events([1], read=[-1]), "event 0 names read -1"),
            (Reads([1]), Events([2], read=[0]), "event 0 has at_ns=2, but its read 0 has 1"),
            (Reads([1], size=[-1]), Events(), "sizes of 0 bytes or more"),
        ],
    )
    def test_columns_that_contradict_each_other_are_refused(self, reads: Reads, events: Events, complaint: str) -> None:
        with pytest.raises(ValueError, match=re.escape(complaint)):
            Recording(reads=reads, events=events)

    def test_the_text_is_all_pieces_joined_and_the_body_all_bytes(self) -> None:
        assert small().text == "abc你"
        assert small().body == b"data: a\n\ndata: bc\n\ndata: \n\ndata: d\n\n"

    def test_a_body_of_which_bytes_were_not_kept_is_none(self) -> None:
        assert Recording(reads=Reads([1, 2], size=[3, 3], data=[b"abc", None])).body is None

    def test_recordings_are_equal_when_all_columns_and_fields_are(self) -> None:
        assert small() == small()
        other = small()
        other.events.grow(0, "A", "")
        assert small() != other
        assert small().__eq__("a recording") is NotImplemented

    def test_damage_is_about_the_file_not_about_the_recording(self) -> None:
        assert Recording(damage=("line 2",)) == Recording()

    def test_a_recording_can_be_sent_to_another_process(self) -> None:
        assert pickle.loads(pickle.dumps(small())) == small()  # noqa: S301  our own bytes


class TestCounted:
    """The events that a reader waits for, found once."""

    def test_they_are_those_with_text(self) -> None:
        counted = small().counted
        assert counted.which.tolist() == [True, True, False, True]
        assert (counted.at_ns // MS).tolist() == [120, 170, 600]
        assert (counted.read.tolist(), counted.characters.tolist()) == ([0, 1, 2], [1, 2, 1])

    def test_where_none_has_text_they_are_all(self) -> None:
        assert Recording(reads=Reads([1]), events=Events([1, 1])).counted.read.tolist() == [0, 0]

    def test_they_are_found_once_and_not_sent_along(self) -> None:
        recording = small()
        assert recording.counted is recording.counted
        assert recording.trust is recording.trust
        copied = pickle.loads(pickle.dumps(recording))  # noqa: S301  our own bytes
        assert copied == recording
        assert not {"counted", "trust"} & vars(copied).keys()

    def test_columns_can_still_grow(self) -> None:
        recording = small()
        assert recording.counted.at_ns.size == 3
        recording.reads.append(700 * MS, 1, None)


# --- how late we were at the end ------------------------------------------------------------------------------------


def ending(at_ns: list[int], handed_ns: list[int], read: list[int], late_ns: int = 0) -> Recorded:
    reads = Reads(sorted(set(at_ns)), size=[1] * len(set(at_ns)), late_ns=[0] * (len(set(at_ns)) - 1) + [late_ns])
    return Recorded(reads=reads, events=Events(at_ns, read=read, handed_ns=handed_ns))


def test_the_last_read_may_have_come_late_to_python() -> None:
    assert ending([10, 20], [11, 20], [0, 1], late_ns=7).end_late_ns == 7


def test_what_the_last_read_brought_may_have_been_handed_on_for_long() -> None:
    assert ending([10, 20, 20, 20], [11, 100, 180, 260], [0, 1, 1, 1]).end_late_ns == 240 + 80


def test_without_an_event_only_the_read_can_have_been_late() -> None:
    assert Recorded(reads=Reads([5], size=[1], late_ns=[3])).end_late_ns == 3
    assert Recorded().end_late_ns == 0


def test_a_slow_reader_is_no_silence_of_the_stream() -> None:
    read_at_once = ending([10, 20, 20, 20], [11, 100, 180, 260], [0, 1, 1, 1])
    found = end_silence([10, 20, 20, 20], [True] * 4, 345, complete=True, late_ns=read_at_once.end_late_ns)
    assert found == (20, 25)

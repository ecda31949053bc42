"""What a recording shows, in one sentence: exact texts for made-up pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from streamkit.lab.findings.timeline import finding
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from tests.lab.findings.pieces import BURSTS, MS, made, paced, stalling


@pytest.mark.parametrize(
    ("recording", "sentence"),
    [
        (paced(), "First piece after 301 ms, then one every 50 ms"),
        (paced(count=1), "The only piece after 301 ms"),
        (made([301] * 7), "All 7 pieces in one read after 301 ms"),
        (made(BURSTS), "First piece after 300 ms, then 5 events per read, a read every 250 ms"),
        (stalling(), "A stall of 612 ms after piece 16"),
        (made([0, 50, 100, 500, 550, 1500]), "2 stalls, the longest 950 ms after piece 5"),
        (paced(count=12, outcome="truncated"), "Cut after 12 pieces: truncated"),
        (paced(count=1, outcome="timeout(idle)"), "Cut after 1 piece: timeout(idle)"),
        (paced(count=3, outcome="error_event(overloaded)"), "Cut after 3 pieces: error_event(overloaded)"),
        (paced(count=3, outcome="cancelled"), "Stopped after 3 pieces: cancelled"),
        (paced(count=3, outcome="cancelled(by us)"), "Stopped after 3 pieces: cancelled(by us)"),
        (paced(count=3, outcome="timeout(total)"), "Stopped after 3 pieces: timeout(total)"),
        (made([0, 50, 100], "truncated", 5100), "Cut after 3 pieces and 5,000 ms of silence: truncated"),
        (made([0, 50, 600], "truncated", 650), "Cut after 3 pieces: truncated; a stall of 550 ms before"),
        (
            made([0, 50, 100, 150, 600, 1300, 1350], "timeout(idle)", 9350),
            "Cut after 7 pieces and 8,000 ms of silence: timeout(idle); 2 stalls before, the longest 700 ms",
        ),
        (made([0, 50, 100], "cancelled", 5100), "Stopped after 3 pieces and 5,000 ms of silence: cancelled"),
        (made([0, 50, 100], "complete", 5100), "A stall of 5,000 ms after piece 3, before the end"),
        (made([0, 50, 600], "complete", 5100), "2 stalls, the longest 4,500 ms after piece 3, before the end"),
        (made([0, 50, 600], "complete", 900), "2 stalls, the longest 550 ms after piece 2"),
        (made([], "refused(503)", 12), "Refused with status 503 after 12 ms"),
        (made([], "refused(connect)", 12), "No connection after 12 ms"),
        (made([], "refused", 2.5), "Refused after 2.5 ms"),
        (made([], "timeout(first_piece)", 5000), "Not one piece in 5,000 ms: timeout(first_piece)"),
        (Recording(), "Not one piece in 0 ms: complete"),
    ],
)
def test_finding_of_one_recording(recording: Recording, sentence: str) -> None:
    assert finding(recording) == sentence


@pytest.mark.parametrize(
    ("recording", "sentence"),
    [
        (made([300, 330, 360, 450, 480, 510, 600]), "First piece after 300 ms, then one every 50 ms"),
        (made([300, 330, 360, 450, 450, 510, 600]), "First piece after 300 ms, then one every 50 ms"),
        (
            made([300] * 2 + [330] * 2 + [450] * 2),
            "First piece after 300 ms, then 2 events per read, a read every 75 ms",
        ),
    ],
)
def test_one_every_is_the_mean_over_the_pieces_and_a_read_every_that_over_the_reads(
    recording: Recording, sentence: str
) -> None:
    """Most gaps are shorter than that, where a few are longer: the median is no rate."""
    assert finding(recording) == sentence
    pieces = recording.counted.at_ns
    if "one every" in sentence:
        assert (pieces[-1] - pieces[0]) / (len(pieces) - 1) == 50 * MS


def test_what_is_alike_and_what_sets_several_apart_are_rates_too() -> None:
    uneven = made([300, 330, 360, 450, 480, 510, 600])
    assert finding([uneven] * 3) == "All 3 alike: first piece after 300 ms, then one every 50 ms"
    even = made([300 + 30 * i for i in range(7)])
    assert finding({"a": uneven, "b": even}) == "a: a read every 50 ms, b every 30 ms"
    assert finding({"a": made([300]), "b": uneven}) == "a: the only piece after 300 ms, b: one every 50 ms"


@pytest.mark.parametrize(
    ("recordings", "sentence"),
    [
        ({"direct": paced(), "relay": paced(601)}, "relay: first piece 300 ms later than direct"),
        ({"direct": paced(), "relay": paced(gap=60)}, "relay: a read every 60 ms, direct every 50 ms"),
        ({"a": paced(), "b": paced(303)}, "Both alike: first piece after 301 ms, then one every 50 ms"),
        ([paced()] * 3, "All 3 alike: first piece after 301 ms, then one every 50 ms"),
        ([paced(), paced(601)], "recording 2: first piece 300 ms later than recording 1"),
        ([paced(label="a"), stalling(label="b")], "1 of 2 stalled, b for 612 ms"),
        ({"a": paced(), "b": made([300, 350], "complete", 900)}, "1 of 2 stalled, b for 550 ms"),
        ({"a": made([300]), "b": made([300, 350])}, "a: the only piece after 300 ms, b: one every 50 ms"),
        ([stalling(label="a"), stalling(stall=700, label="b")], "Both stalled, b for 700 ms"),
        ([paced(label="a"), paced(outcome="truncated", label="b")], "1 of 2 did not complete – b: truncated"),
        (
            [paced(outcome="truncated", label="a"), stalling(label="b")],
            "1 of 2 did not complete – a: truncated; 1 more stalled",
        ),
        ([paced(label="a"), Recording(label="b")], "1 of 2 brought no piece"),
        (
            [paced(outcome="truncated", label=name) for name in "abcd"],
            "All 4 did not complete – a: truncated, b: truncated, and 2 more",
        ),
        (
            {"a name that is much too long": paced(900), "b": paced()},
            "a name that is much too…: first piece 599 ms later than b",
        ),
    ],
)
def test_finding_of_several_is_what_sets_them_apart(
    recordings: Sequence[Recording] | dict[str, Recording], sentence: str
) -> None:
    assert finding(recordings) == sentence


def test_what_counts_as_a_stall_can_be_said() -> None:
    recording = made([0, 50, 100, 200, 250])
    assert finding(recording) == "First piece after 0 ms, then one every 62 ms"
    assert finding(recording, stall_ms=80) == "A stall of 100 ms after piece 3"


@pytest.mark.parametrize(("wrong", "error"), [("80", TypeError), (True, TypeError), (-1, ValueError)])
def test_what_counts_as_a_stall_is_a_number(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="expected stall_ms as milliseconds >= 0"):
        finding(paced(), stall_ms=wrong)


def test_pieces_are_events_with_text_and_events_are_counted_where_there_is_none() -> None:
    """An empty first event (a role) and the end marker are no pieces."""
    times = [100 * MS, 150 * MS, 200 * MS, 600 * MS]
    reads = Reads(times, size=[9] * 4)
    cut = Outcome("truncated")
    some = Recording(reads=reads, events=Events(times, text=["", "a", "b", ""]), outcome=cut)
    none = Recording(reads=reads, events=Events(times, data=["x"] * 4), outcome=cut)
    assert finding(some) == "Cut after 2 pieces and 400 ms of silence: truncated"
    assert finding(none) == "Cut after 4 events: truncated; a stall of 400 ms before"


def test_silence_between_an_event_without_text_and_the_first_piece_is_the_wait_for_it() -> None:
    times = [100 * MS, 900 * MS, 950 * MS, 1000 * MS]
    recording = Recording(reads=Reads(times, size=[1] * 4), events=Events(times, text=["", "a", "b", "c"]))
    assert finding(recording) == "First piece after 900 ms, then one every 50 ms"


def test_an_event_without_text_does_not_end_a_stall_and_the_end_marker_makes_no_gap() -> None:
    times = [100 * MS, 150 * MS, 500 * MS, 900 * MS, 901 * MS]
    texts = ["a", "b", "", "c", ""]
    recording = Recording(reads=Reads(times, size=[1] * 5), events=Events(times, text=texts))
    assert finding(recording) == "A stall of 750 ms after piece 2"
    assert recording.summary().gaps == 2


def test_one_piece_between_events_without_text_is_the_only_one() -> None:
    times = [100 * MS, 150 * MS, 200 * MS]
    recording = Recording(reads=Reads(times, size=[1] * 3), events=Events(times, text=["", "a", ""]))
    assert finding(recording) == "The only piece after 150 ms"


def test_waiting_is_counted_from_when_the_request_had_left() -> None:
    recording = Recording.from_pieces([(300 * MS, "a")], sent_ns=100 * MS)
    assert finding(recording) == "The only piece after 200 ms"
    assert recording.summary().ttft_ms == 200


def test_pieces_that_came_together_beside_pieces_that_came_apart_are_named() -> None:
    apart = Recording.from_pieces([(100 * MS + i * 50 * MS, "a") for i in range(6)], label="paced")
    together = Recording.from_pieces([(100 * MS, "a")] * 6, label="burst")
    assert finding([apart, together]) == "burst: all 6 pieces in one read, paced: one every 50 ms"


def test_reads_that_bring_several_pieces_beside_single_ones_are_named() -> None:
    apart = Recording.from_pieces([(100 * MS + i * 50 * MS, "a") for i in range(6)], label="paced")
    by_threes = Recording.from_pieces([(100 * MS, "a")] * 3 + [(250 * MS, "a")] * 3, label="by threes")
    assert finding([apart, by_threes]) == "by threes: 3 events per read, paced: one every 50 ms"

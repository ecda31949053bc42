"""What a recording shows, in one sentence: exact texts for made-up recordings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from streamkit.lab.findings.timeline import finding, gaps_finding
from streamkit.lab.findings.subjects import subjects
from streamkit.lab.findings.words import duration
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome

MS = 1_000_000


def made(at_ms: Sequence[float], outcome: str = "complete", ended_ms: float = 0, label: str = "") -> Recording:
    """Pieces of three characters at these times; equal times share a read."""
    pieces = [(round(at * MS), "abc") for at in at_ms]
    end = max([ended_ms, *at_ms])
    return Recording.from_pieces(
        pieces, outcome=Outcome.parse(outcome), ended_ns=round(end * MS), label=label, sent_ns=0
    )


def paced(
    first: float = 301, gap: float = 50, count: int = 20, outcome: str = "complete", label: str = ""
) -> Recording:
    return made([first + gap * i for i in range(count)], outcome, label=label)


def stalling(after: int = 16, stall: float = 612, label: str = "") -> Recording:
    return made([301 + 50 * i + (stall - 50 if i >= after else 0) for i in range(20)], label=label)


BURSTS = [300 + 250 * (i // 5) for i in range(30)]


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
        (paced(count=3, outcome="cancelled"), "Cancelled after 3 pieces"),
        (made([], "refused(503)", 12), "Refused with status 503 after 12 ms"),
        (made([], "refused", 2.5), "Refused after 2.5 ms"),
        (made([], "timeout(first_piece)", 5000), "Not one piece in 5,000 ms: timeout(first_piece)"),
        (Recording(), "Not one piece in 0 ms: complete"),
    ],
)
def test_finding_of_one_recording(recording: Recording, sentence: str) -> None:
    assert finding(recording) == sentence


@pytest.mark.parametrize(
    ("recordings", "sentence"),
    [
        ({"direct": paced(), "relay": paced(601)}, "relay: first piece 300 ms later than direct"),
        ({"direct": paced(), "relay": paced(gap=60)}, "relay: a read every 60 ms, direct every 50 ms"),
        ({"a": paced(), "b": paced(303)}, "Both alike: first piece after 301 ms, then one every 50 ms"),
        ([paced()] * 3, "All 3 alike: first piece after 301 ms, then one every 50 ms"),
        ([paced(), paced(601)], "recording 2: first piece 300 ms later than recording 1"),
        ([paced(label="a"), stalling(label="b")], "1 of 2 stalled, b for 612 ms"),
        ([stalling(label="a"), stalling(stall=700, label="b")], "Both stalled, b for 700 ms"),
        ([paced(label="a"), paced(outcome="truncated", label="b")], "1 of 2 did not complete – b: truncated"),
        ([paced(label="a"), Recording(label="b")], "1 of 2 brought not one piece"),
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


@pytest.mark.parametrize(
    ("recordings", "sentence"),
    [
        (paced(), "Half of the gaps are within 50 ms, the longest is 50 ms"),
        (stalling(), "Half of the gaps are within 50 ms, the longest is 612 ms"),
        (paced(count=200), "Half of the gaps are within 50 ms, 99 % within 50 ms"),
        (paced(count=1), "No gap to measure: it takes events in two reads"),
        (made(BURSTS), "Half of the gaps are within 250 ms, the longest is 250 ms"),
        ({"direct": paced(), "relay": stalling()}, "The p99 gap of relay is 612 ms, that of direct 50 ms"),
        ({"direct": paced(), "relay": paced(301.5)}, "Both alike: p50 up to 50 ms, p99 up to 50 ms"),
        (
            {"direct": paced(), "relay": Recording()},
            "direct alone has gaps: half of the gaps are within 50 ms, the longest is 50 ms",
        ),
    ],
)
def test_gaps_finding_names_the_middle_and_the_tail(
    recordings: Recording | dict[str, Recording], sentence: str
) -> None:
    assert gaps_finding(recordings) == sentence


def test_equal_tails_leave_the_medians_to_tell_recordings_apart() -> None:
    """The last gap is 100 ms for both; half of the gaps are 50 or 80 ms."""
    quick = made([50 * i for i in range(20)] + [1050])
    slow = made([80 * i for i in range(20)] + [1620])
    assert gaps_finding({"quick": quick, "slow": slow}) == "The p50 gap of slow is 80 ms, that of quick 50 ms"


def test_what_counts_as_a_stall_can_be_said() -> None:
    recording = made([0, 50, 100, 200, 250])
    assert finding(recording) == "First piece after 0 ms, then one every 50 ms"
    assert finding(recording, stall_ms=80) == "A stall of 100 ms after piece 3"


def test_pieces_are_events_with_text_and_events_are_counted_where_there_is_none() -> None:
    """An empty first event (a role) and the end marker are no pieces."""
    times = [100 * MS, 150 * MS, 200 * MS, 600 * MS]
    reads = Reads(times, size=[9] * 4)
    cut = Outcome("truncated")
    some = Recording(reads=reads, events=Events(times, text=["", "a", "b", ""]), outcome=cut)
    none = Recording(reads=reads, events=Events(times, data=["x"] * 4), outcome=cut)
    assert finding(some) == "Cut after 2 pieces: truncated"
    assert finding(none) == "Cut after 4 events: truncated"


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


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (0.0321, "0.032 ms"),
        (0.321, "0.32 ms"),
        (3.21, "3.2 ms"),
        (9.96, "10 ms"),
        (312.4, "312 ms"),
        (99_999, "99,999 ms"),
        (180_000, "180 s"),
    ],
)
def test_durations_are_in_ms_up_to_a_hundred_seconds(ms: float, text: str) -> None:
    assert duration(ms * MS) == text
    assert duration(ms * MS, unit=False) == text.split()[0]


def test_names_come_from_the_mapping_then_the_label_then_the_place() -> None:
    assert [t.name for t in subjects({"key": paced(label="label")})] == ["key"]
    assert [t.name for t in subjects([paced(label="label"), paced()])] == ["label", "recording 2"]
    assert [t.name for t in subjects(iter([paced()]))] == [""]


def test_the_silence_at_the_end_is_seen_when_it_is_as_long_as_a_stall() -> None:
    assert subjects(made([0, 50, 100], "timeout(idle)", 2100))[0].silence == (100 * MS, 2100 * MS)
    assert subjects(made([0, 50, 100], "truncated", 300))[0].silence is None


def test_no_recording_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a Recording or several, got none"):
        finding([])


def test_what_is_not_a_recording_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError, match="got dict"):
        finding([{}])  # type: ignore[list-item]  # the mistake is the point


def test_findings_need_no_matplotlib() -> None:
    code = "import sys, streamkit.lab.findings.timeline; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pieces_that_came_together_beside_pieces_that_came_apart_are_named() -> None:
    apart = Recording.from_pieces([(100 * MS + i * 50 * MS, "a") for i in range(6)], label="paced")
    together = Recording.from_pieces([(100 * MS, "a")] * 6, label="burst")
    assert finding([apart, together]) == "burst: all 6 pieces in one read, paced: one every 50 ms"


def test_reads_that_bring_several_pieces_beside_single_ones_are_named() -> None:
    apart = Recording.from_pieces([(100 * MS + i * 50 * MS, "a") for i in range(6)], label="paced")
    by_threes = Recording.from_pieces([(100 * MS, "a")] * 3 + [(250 * MS, "a")] * 3, label="by threes")
    assert finding([apart, by_threes]) == "by threes: 3 events per read, paced: one every 50 ms"

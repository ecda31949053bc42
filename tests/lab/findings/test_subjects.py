"""A recording as sentences and figures see it: its name, its silence, and what is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamkit.lab import plots
from streamkit.lab.findings.subjects import extremes, grouped, subjects
from streamkit.lab.findings.timeline import finding
from streamkit.lab.recording.recorded import Reads
from streamkit.lab.recording.recording import Recording
from tests.lab.findings.pieces import MS, made, paced


def test_names_come_from_the_mapping_then_the_label_then_the_place() -> None:
    assert [t.name for t in subjects({"key": paced(label="label")})] == ["key"]
    assert [t.name for t in subjects([paced(label="label"), paced()])] == ["label", "recording 2"]
    assert [t.name for t in subjects(iter([paced()]))] == [""]


def test_the_silence_at_the_end_is_seen_when_it_is_as_long_as_a_stall() -> None:
    assert subjects(made([0, 50, 100], "timeout(idle)", 2100))[0].silence == (100 * MS, 2100 * MS)
    assert subjects(made([0, 50, 100], "truncated", 300))[0].silence is None


def test_how_late_python_was_is_no_silence_of_the_streams() -> None:
    cut = made([0, 50, 100], "truncated", 2100)
    late = replace(cut, reads=Reads(cut.reads.at_ns, size=cut.reads.size, late_ns=[0, 0, 1900 * MS]))
    assert subjects(late)[0].silence is None
    assert late.summary().silent_end_ms is None


def test_no_recording_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a Recording or several, got none"):
        finding([])


def test_what_is_not_a_recording_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError, match="got dict"):
        finding([{}])  # type: ignore[list-item]  # the mistake is the point


def test_the_extremes_are_the_first_of_several_alike() -> None:
    shown = subjects([paced(label=name) for name in "abc"])
    assert [subject.name for subject in extremes(shown, [2, 1, 2])] == ["b", "a"]
    assert [subject.name for subject in extremes(shown, [1, 1, 1])] == ["a", "a"]


def test_percentiles_of_gaps_are_by_nearest_rank_and_nothing_where_there_is_none() -> None:
    (subject,) = subjects(made([0, 50, 100, 700]))
    assert (subject.gap_ns(50), subject.gap_ns(99)) == (50 * MS, 600 * MS)
    assert subjects(made([300]))[0].gap_ns(50) == 0


def test_more_than_eight_are_groups_by_their_names_or_one_and_none_is_left_out() -> None:
    def names(recordings: list[Recording]) -> list[tuple[str, int]]:
        return [(group.name, len(group.members)) for group in grouped(subjects(recordings))]

    assert names([made([], label="a")] * 8) == [("a", 1)] * 8
    assert names([made([], label="a"), made([], label="b")] * 5) == [("a (5)", 5), ("b (5)", 5)]
    assert names([made([])] * 9) == [("all 9", 9)]


def test_a_stall_has_the_reason_that_the_diagnosis_gives_for_it() -> None:
    stalling = made([*range(0, 1000, 50), *range(1600, 2600, 50)], "complete", 5550)
    (subject,) = subjects(stalling)
    assert subject.all_stalls == [(950 * MS, 1600 * MS), (2550 * MS, 5550 * MS)]
    assert [subject.reason(start) for start, _ in subject.all_stalls] == ["source_paused", "unknown"]


def test_more_recordings_than_can_be_told_apart_are_refused_and_what_draws_them_is_named() -> None:
    assert len(subjects([made([])] * 100, instead="use x")) == 100
    with pytest.raises(ValueError, match=r"at most 100 recordings, got 101: .* more one by one; use x"):
        subjects([made([])] * 101, instead="use x")
    with pytest.raises(ValueError, match=r"got 101.*; plots.ecdf\(recordings, by=…, metric=\"gap\"\) draws groups"):
        plots.gaps([made([])] * 101)
    with pytest.raises(ValueError, match=r"got 101.*; plots.load draws many streams, plots.ecdf how"):
        plots.timeline([made([])] * 101)

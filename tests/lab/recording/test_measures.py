"""One number of a recording, by its name, and by how much it may be wrong."""

from __future__ import annotations

from typing import Any

import pytest

import streamkit as sk
from streamkit.lab.recording.measures import Measured, measure_of, per_ms_of
from streamkit.lab.recording.recording import Recording
from tests.lab.sets.streams import stream


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("ttft", "ttft_ms"),
        ("ttft_ms", "ttft_ms"),
        ("gap_p99", "gap_p99_ms"),
        ("gap_max", "max_gap_ms"),
        ("duration", "duration_ms"),
        ("stalls", "stalls"),
        ("throughput_events_per_s", "throughput_events_per_s"),
    ],
)
def test_a_number_is_called_as_the_summary_calls_it_and_is_the_summarys(asked: str, name: str) -> None:
    recording, measure = stream(pieces=9), measure_of(asked)
    assert measure.name == name
    assert measure.of(recording).value == recording.summary()[name]


def test_a_first_piece_may_be_too_late_and_never_too_early() -> None:
    recording = stream()
    error_ms = recording.summary().ttft_error_ms
    assert measure_of("ttft").of(recording)[1:] == (error_ms, 0.0)


def test_a_gap_may_be_wrong_either_way_by_as_much_as_its_reads_are() -> None:
    assert measure_of("gap_p50").of(stream())[1:] == (0.001, 0.001)


def test_a_count_is_right() -> None:
    assert measure_of("reads").of(stream(pieces=4)) == Measured(4.0)


def test_an_objective_is_kept_or_not_and_what_failed_did_not_keep_it() -> None:
    measure = measure_of(sk.metrics.SLO(ttft_ms=150))
    told = [measure.of(one).value for one in (stream(ttft=100), stream(ttft=200), stream(outcome="truncated"))]
    assert told == [1.0, 0.0, 0.0]
    assert (measure.whole, measure.higher_is_better) == (False, True)


def test_a_function_makes_what_it_likes_of_a_recording_and_its_name_has_the_unit() -> None:
    def third_s(recording: Recording) -> float:
        return recording.events.at_ns[2] / 1e9

    measure = measure_of(third_s)
    assert measure.name == "third_s"
    assert measure.of(stream()).value == pytest.approx(0.142)
    assert measure.of(stream())[1:] == (1e-6, 1e-6)
    assert measure_of(lambda _: None).of(stream()) == Measured(None)
    assert measure_of(lambda _: None).name == "value"


@pytest.mark.parametrize(
    ("name", "per_ms"), [("a_ms", 1), ("a_s", 1e-3), ("a_ns", 1e6), ("a_per_s", None), ("a", None)]
)
def test_what_a_name_says_of_its_unit(name: str, per_ms: float | None) -> None:
    assert per_ms_of(name) == per_ms


@pytest.mark.parametrize(
    ("metric", "error", "words"),
    [
        ("tfft", ValueError, "expected metric out of events, reads"),
        ("outcome", ValueError, "got 'outcome'"),
        ("goodput", ValueError, r"the objective itself .* sk.metrics.SLO"),
        (7, TypeError, "a name such as 'ttft'"),
        (None, TypeError, "got None"),
    ],
)
def test_what_is_no_number_is_said_to_be_none(metric: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        measure_of(metric)


def test_a_function_that_gives_no_number_is_named() -> None:
    def texts(recording: Recording) -> Any:
        return recording.text

    with pytest.raises(TypeError, match="expected texts of a recording as a number or None, got 'word word"):
        measure_of(texts).of(stream())


def test_a_function_that_gives_an_infinite_number_is_told_so() -> None:
    with pytest.raises(ValueError, match="expected ratio of a recording as a finite number, or None without, got inf"):
        measure_of(ratio).of(sk.Recording.from_pieces([(1, "x")]))


def ratio(_: object) -> float:
    return float("inf")

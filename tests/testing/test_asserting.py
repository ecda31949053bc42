"""assert_stream: what holds says nothing; else what was expected, what came, and which streams show it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import streamkit as sk
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet
from streamkit.testing import StreamAssert, assert_stream, asserting
from streamkit.testing.watching import RunningTest
from tests.lab.sets.streams import load, stream

MANY = [stream(ttft=ttft) for ttft in (*range(100, 119), 900)]


@pytest.fixture(autouse=True)
def this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunningTest:
    """As the plugin makes one for each test; whatever plugin runs this one."""
    watched = RunningTest(name="tests/test_x.py::test_it[a b]", folder=lambda: tmp_path / "kept")
    monkeypatch.setattr(asserting, "current", lambda: watched)
    return watched


def failure(asserted: Any, *args: Any, **given: Any) -> str:
    """What it says when it does not hold."""
    with pytest.raises(AssertionError) as caught:
        asserted(*args, **given)
    return str(caught.value)


def test_what_holds_can_be_said_in_one_go() -> None:
    asserted = assert_stream(MANY)
    same = asserted.whole().first_piece(p95_ms=300, max_ms=1000).gap(p99_ms=50).no_stalls(ms=500).duration(ms=2000)
    assert same.text("word " * 5).text(contains="word").text(matches=r"^(word ){5}$") is asserted


@pytest.mark.parametrize("given", [stream(), [stream()], RecordingSet([stream()]), iter([stream()])])
def test_one_recording_several_and_a_set_are_taken(given: Any) -> None:
    assert repr(assert_stream(given).whole()) == "<StreamAssert of 1 stream>"


def test_a_limit_that_is_broken_says_what_was_expected_what_came_and_which_are_the_slowest() -> None:
    said = failure(assert_stream(MANY).first_piece, p99_ms=300).splitlines()
    assert said[0] == "first piece, p99 of 20: expected at most 300 ms, got 900 ms"
    assert said[1:3] == ["  stream 19: 900 ms", "  stream 18: 118 ms"]
    assert said[-2] == "  trust: the worst: good"


def test_of_one_stream_its_pieces_are_the_evidence() -> None:
    said = failure(assert_stream(stream()).gap, ms=10)
    assert said.startswith("gap, longest of 4: expected at most 10 ms, got 20 ms")
    assert "  100.0" in said
    assert "'word '" in said


def test_the_recordings_of_what_failed_are_kept_where_the_failure_says(this_test: RunningTest) -> None:
    for number in ("", "-2"):
        said = failure(assert_stream(MANY).first_piece, ms=300)
        path = Path(said.rpartition("recorded: ")[2])
        assert path == this_test.folder() / f"tests-test_x.py-test_it-a-b{number}.jsonl"
        assert RecordingSet.load(path).summary().streams == 20


def test_outside_of_a_test_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asserting, "current", lambda: None)
    assert "recorded" not in failure(assert_stream(stream()).first_piece, ms=1)


def test_a_stream_without_a_piece_breaks_any_limit_of_the_first() -> None:
    refused = stream(pieces=0, outcome="refused(503)")
    said = failure(assert_stream([stream(), refused]).first_piece, p50_ms=1000)
    assert said.startswith("first piece: expected one in every stream, 1 of 2 have none")
    assert "stream 1: no first piece: refused(503)" in said


def test_streams_of_one_piece_have_no_gap_to_break_a_limit() -> None:
    assert_stream(stream(pieces=1)).gap(p99_ms=1).no_stalls()


def test_a_gap_longer_than_what_is_said_is_a_stall_and_so_is_silence_before_an_end() -> None:
    assert failure(assert_stream(stream(gap=300)).no_stalls, ms=200).startswith(
        "stall: expected at most 200 ms, got 300"
    )
    cut = Recording.from_pieces(
        [(0, "a"), (20_000_000, "b")], ended_ns=5_000_000_000, outcome=sk.Outcome("truncated"), sent_ns=0
    )
    assert "got 4,980 ms" in failure(assert_stream(cut).no_stalls)


# --- How it ended, and what it said ---------------------------------------------------------------------------------


def test_an_end_is_named_whole_or_by_its_word() -> None:
    refused = stream(outcome="refused(503)")
    assert_stream(refused).outcome("refused(503)").outcome("refused").outcome(sk.Outcome("refused", 503))
    assert failure(assert_stream(refused).outcome, "refused(500)").startswith(
        "outcome: expected refused(500), got refused(503)"
    )
    assert failure(assert_stream([stream(), refused]).whole).startswith(
        "outcome: expected complete, got something else from 1 of 2 streams\n  stream 1: refused(503)"
    )
    with pytest.raises(ValueError, match="expected an outcome such as"):
        assert_stream(refused).outcome("broken")


def test_a_text_is_the_same_has_something_or_matches() -> None:
    asserted = assert_stream(stream(pieces=2, label="mine"))
    assert failure(asserted.text, "other").startswith("expected the text 'other', got 'word word '")
    assert failure(asserted.text, contains="x").startswith("expected a text with 'x' in it, got 'word word '")
    assert failure(asserted.text, matches="^d").startswith("expected a text that matches '^d', got 'word word '")
    for wrong in ({}, {"contains": "a", "matches": "b"}):
        with pytest.raises(TypeError, match="expected exactly one of a text, contains= and matches="):
            asserted.text(**wrong)


def test_a_long_text_is_cut() -> None:
    said = failure(assert_stream([stream(pieces=3000)] * 2).text, "x")
    assert all(len(line) < 300 for line in said.splitlines())


# --- What cannot be decided -----------------------------------------------------------------------------------------


def near(ms: float) -> Recording:
    """Stamped in user space, and uncalibrated: its first piece may have come 4 ms earlier."""
    return Recording.from_pieces([(round(ms * 1e6), "x")], sent_ns=0)


def test_what_is_nearer_than_the_instrument_can_tell_is_noted_and_the_test_goes_on(this_test: RunningTest) -> None:
    assert_stream(near(102)).first_piece(ms=100).whole()
    (why,) = this_test.undecided
    assert why == (
        "cannot decide on this machine: first piece: expected at most 100 ms, got 102 ms (between 98 ms and 102 ms, "
        "as far as the instrument can tell); trust: good"
    )


def test_what_is_clearly_kept_or_broken_is_decided_whatever_the_trust(this_test: RunningTest) -> None:
    assert_stream(near(100)).first_piece(ms=100)
    failure(assert_stream(near(105)).first_piece, ms=100)
    assert this_test.undecided == []


def test_outside_of_a_test_it_is_skipped_there_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asserting, "current", lambda: None)
    with pytest.raises(pytest.skip.Exception, match="cannot decide on this machine"):
        assert_stream(near(102)).first_piece(ms=100)


def test_a_loop_that_was_late_widens_what_a_read_of_user_space_may_be_wrong_by(this_test: RunningTest) -> None:
    late = stream(
        stamps="socket", meta={"loop_lag_ns": 60_000_000, "loop_busy_ns": [[0, 200_000_000]]}, reads=_socket_reads()
    )
    assert_stream(late).gap(ms=15)
    assert len(this_test.undecided) == 1
    assert "loop was up to 60 ms late" in this_test.undecided[0]


def _socket_reads() -> Any:
    one = stream()
    return type(one.reads)(one.reads.at_ns, size=[9] * 5)


# --- What makes no sense --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "error"), [(7, TypeError), (["x"], TypeError), ("x", TypeError), ([], ValueError)])
def test_what_are_no_recordings_is_refused(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"expected (a Recording|at least one)"):
        assert_stream(given)


def test_a_set_of_a_load_is_asserted_as_it_is() -> None:
    assert isinstance(assert_stream(RecordingSet(load(50))).whole().gap(p99_ms=100), StreamAssert)

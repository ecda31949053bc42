"""What a client could tell of an end, beside what was true."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.findings.endings import KINDS, SAYS_LIMIT, Band, EndGrid, Ending, end_grid, ending, endings_of
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome

MS = 1_000_000
WHOLE = "床前明月光"
OUTCOMES = ["complete", "refused(503)", "refused(connect)", "error_event(overloaded)", "truncated", "timeout(total)",
            "timeout(idle)", "cancelled(max_bytes)"]  # fmt: skip


def got(text: str, outcome: str, server: str | None = None, **fields: Any) -> Recording:
    return Recording.from_pieces(
        [(MS, text)] if text else [],
        outcome=Outcome.parse(outcome),
        meta={} if server is None else {"server_outcome": server},
        **fields,
    )


@pytest.mark.parametrize(
    ("recording", "kind", "says"),
    [
        (got(WHOLE, "complete"), "complete", "complete"),
        (got(WHOLE[:3], "complete"), "false_complete", "text missing"),
        (got("", "complete"), "false_complete", "no text"),
        (got(WHOLE[:3] + "error: Read timed out.", "complete"), "false_complete", "error in text"),
        (got(WHOLE + "error: Connection broken", "complete"), "false_complete", "error in text"),
        (got("", "refused(504)", "timeout(first_piece)"), "named", "timeout(first_piece)"),
        (got(WHOLE[:3], "error_event(timeout_idle)", "timeout(idle)"), "named", "timeout(idle)"),
        (got(WHOLE[:3], "error_event(overloaded)"), "named", "overloaded"),
        (got("", "refused(502)", "error_event(upstream_content_type)"), "named", "upstream_content_type"),
        (got("", "refused(429)", "refused(429)"), "named", "refused(429)"),
        (got("", "refused(500)"), "unnamed", "500"),
        (got("", "refused(connect)"), "unnamed", "connect"),
        (got(WHOLE[:3], "truncated"), "cut", "cut"),
        (got(WHOLE, "truncated"), "cut", "cut"),
        (got(WHOLE[:3], "timeout(total)"), "endless", "never ended"),
        (got(WHOLE[:3], "timeout(idle)"), "endless", "never ended"),
        (got(WHOLE[:3], "cancelled(by us)"), "endless", "stopped by us"),
        (got(WHOLE[:3], "cancelled(max_bytes)"), "endless", "stopped by us"),
    ],
)
def test_an_end_is_judged_by_what_the_client_saw_and_what_was_true(recording: Recording, kind: str, says: str) -> None:
    found = ending(recording, WHOLE)
    assert (found.kind, found.says) == (kind, says)


def test_where_nothing_can_be_whole_nothing_is_complete() -> None:
    assert ending(got(WHOLE, "complete"), None) == Ending("false_complete", "end unproven")


@given(st.text(max_size=8), st.sampled_from(OUTCOMES), st.one_of(st.none(), st.text(max_size=8)))
def test_complete_is_only_what_says_so_and_has_all_of_the_text(text: str, outcome: str, whole: str | None) -> None:
    found = ending(got(text, outcome), whole)
    assert found.kind in KINDS
    assert (found.kind == "complete") == (outcome == "complete" and text == whole)
    assert (found.kind in ("complete", "false_complete")) == (outcome == "complete")


def test_its_time_is_from_the_request_to_the_end() -> None:
    assert ending(got(WHOLE, "complete", sent_ns=20 * MS, ended_ns=320 * MS), WHOLE).after_ms == 300
    assert ending(got(WHOLE, "complete"), WHOLE).after_ms is None


def test_codes_that_others_wrote_are_kept_short() -> None:
    assert len(ending(got("", f"error_event({'x' * 500})"), WHOLE).says) <= SAYS_LIMIT


def test_our_own_codes_are_whole() -> None:
    (one,) = endings_of(got("", "refused(502)", "error_event(upstream_incremental_refused)")).all()
    assert one.says == "error_event(upstream_incremental_refused), 0 characters"


FAULTS = {
    "none": {"naive": got(WHOLE, "complete"), "ours": got(WHOLE, "complete")},
    "cut": {"naive": got(WHOLE[:2], "complete"), "ours": got(WHOLE[:2], "error_event(upstream_truncated)")},
    "refused": {"naive": got("", "complete"), "ours": got("", "refused(502)", "refused(502)")},
}


def test_a_grid_has_a_row_for_each_fault_and_a_column_for_each_relay() -> None:
    grid = end_grid(FAULTS, WHOLE, x_label="relay")
    assert (list(grid.rows), list(grid.columns)) == (["none", "cut", "refused"], ["naive", "ours"])
    assert [one.kind for one in grid.all()] == [
        "complete", "complete", "false_complete", "named", "false_complete", "named"
    ]  # fmt: skip
    assert grid.finding == "naive: 2 of 2 broken streams look complete; ours: none of 2"


def test_what_is_whole_may_differ_from_row_to_row() -> None:
    grid = end_grid(FAULTS, {"none": WHOLE, "cut": WHOLE[:2], "refused": None})
    assert grid.panels[""][("cut", "naive")] == [Ending("complete", "complete")]


@pytest.mark.parametrize(
    ("columns", "finding"),
    [
        (["ours"], "ours: none of 2 broken streams looks complete"),
        (
            ["ours", "naive"],
            "ours: none of 2 broken streams looks complete; naive: 2 of 2 broken streams look complete",
        ),
    ],
)
def test_the_finding_names_who_takes_broken_streams_for_whole(columns: list[str], finding: str) -> None:
    rows = {fault: {column: cells[column] for column in columns} for fault, cells in FAULTS.items()}
    assert end_grid(rows, WHOLE).finding == finding
    assert end_grid({"none": rows["none"]}, WHOLE).finding.startswith(f"{columns[0]}: all 1 complete")


def test_recordings_alone_are_taken_at_their_word() -> None:
    grid = endings_of(
        [got("ab", "complete"), got("a", "error_event(timeout_idle)", "timeout(idle)"), got("", "truncated")]
    )
    assert list(grid.rows) == ["recording 1", "recording 2", "recording 3"]
    assert [(one.kind, one.says) for one in grid.all()] == [
        ("complete", "complete, 2 characters"),
        ("named", "timeout(idle), 1 character"),
        ("cut", "truncated, 0 characters"),
    ]
    assert grid.finding == "1 of 3 streams completes; 1 × timeout(idle), 1 × truncated"


def test_their_finding_is_short_where_all_complete() -> None:
    assert endings_of(got("a", "complete")).finding == "The stream completes"
    assert endings_of({"a": got("a", "complete"), "b": got("", "complete")}).finding == "All 2 streams complete"


def test_two_recordings_of_one_name_have_a_row_each() -> None:
    grid = endings_of(
        [got("a", "complete", label="x"), got("b", "truncated", label="x"), got("", "complete", label="x")]
    )
    assert list(grid.rows) == ["x", "x (2)", "x (3)"]


@pytest.mark.parametrize(("given", "error"), [([], ValueError), ({}, ValueError), (["x"], TypeError), (3, TypeError)])
def test_what_is_no_recording_is_refused(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        endings_of(given)


def test_a_grid_without_a_stream_or_with_one_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one stream"):
        EndGrid(rows=["a"], columns=["b"], panels={"": {("a", "b"): []}})
    with pytest.raises(ValueError, match="rows and columns"):
        EndGrid(rows=["a"], columns=["b"], panels={"": {("a", "c"): [Ending("cut")]}})
    with pytest.raises(ValueError, match="bands"):
        EndGrid(rows=["a"], columns=["b"], panels={"": {("a", "b"): [Ending("cut")]}}, bands={"": Band("b", "z", "")})
    with pytest.raises(ValueError, match="as kind"):
        Ending("fine")  # type: ignore[arg-type]  # what is tested

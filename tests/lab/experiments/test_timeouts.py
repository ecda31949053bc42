"""What came of silences: which timer was it, and what the map says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import RecordingFormatError
from streamkit.lab.experiments.silences import RELAYS
from streamkit.lab.experiments.timeouts import (
    PLACES,
    Place,
    Silence,
    SilenceCell,
    TimeoutMap,
    Times,
    judged,
)
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome

SILENCE = Silence(1, "between events", 0.6)

TIMES = Times(400.0, 2.0)


def got(outcome: str, status: int | None = 200, text: str = "one ", server: str | None = None) -> Recording:
    meta = {} if server is None else {"server_outcome": server}
    return Recording.from_pieces([(1, text)], outcome=Outcome.parse(outcome), status=status, meta=meta)


@pytest.mark.parametrize(
    ("relay", "recording", "own", "kind", "fired"),
    [
        ("ours", got("complete", text=SILENCE.text), "complete", "complete", ""),
        ("ours", got("error_event(timeout_idle)", server="timeout(idle)"), "timeout(idle)", "named", "idle"),
        ("ours", got("refused(504)", 504, "", "timeout(first_piece)"), None, "named", "first_piece"),
        ("ours", got("truncated"), "timeout(write_stall)", "cut", "write_stall"),
        ("ours", got("refused(500)", 500, ""), None, "unnamed", "unknown"),
        ("ours", got("error_event(upstream_truncated)", server="truncated"), None, "named", "truncated"),
        ("Sanic alone", got("complete", text=SILENCE.text), None, "complete", ""),
        ("Sanic + httpx", got("refused(500)", 500, ""), None, "unnamed", "ReadTimeout"),
        ("Sanic + httpx", got("refused(503)", 503, ""), None, "unnamed", "RESPONSE_TIMEOUT"),
        ("Sanic + httpx", got("complete"), None, "false_complete", "ReadTimeout"),
        ("Sanic alone", got("truncated"), None, "cut", "RESPONSE_TIMEOUT"),
        ("Sanic alone", got("timeout(total)"), None, "endless", "unknown"),
    ],
)
def test_the_timer_is_told_by_its_own_word_or_by_what_it_leaves(
    relay: str, recording: Recording, own: str | None, kind: str, fired: str
) -> None:
    word: Any = None if own is None else SimpleNamespace(outcome=own)
    cell = judged(relay, SILENCE, replace(recording, relay=word), TIMES)
    assert (cell.kind, cell.fired) == (kind, fired)
    assert cell.after_ms == (400.0 if fired else None)
    assert (cell.outcome, cell.status, cell.whole) == (
        str(recording.outcome),
        recording.status,
        recording.text == SILENCE.text,
    )


@given(st.integers(0, 10**6), st.sampled_from(PLACES), st.floats(0.001, 1e6))
def test_a_question_says_what_silence_is_wanted(number: int, place: Place, length_s: float) -> None:
    silence = Silence(number, place, length_s)
    assert Silence.asked(silence.question) == silence


@pytest.mark.parametrize("body", ["", "silence", "silence 1: 0.5 s in the end", "你好"])
def test_other_questions_are_refused(body: str) -> None:
    with pytest.raises(ValueError, match="expected a question"):
        Silence.asked(body)


def cell(relay: str, place: Place, length: float, phase: int = 0, **fields: Any) -> SilenceCell:
    whole = SilenceCell(relay, place, length, phase / 8, "complete", "complete", "complete", 200, True, "", None, 1.0)
    return replace(whole, **fields)


def cut(after_ms: float, fired: str = "RESPONSE_TIMEOUT", kind: str = "cut") -> dict[str, Any]:
    return {"kind": kind, "says": kind, "outcome": "truncated", "whole": False, "fired": fired, "after_ms": after_ms}


MADE = TimeoutMap(
    1.0,
    (
        cell("ours", "between events", 0.9),
        cell("ours", "between events", 1.2, **cut(1010.0, "idle", "named")),
        cell("ours", "blocked write", 1.2, **cut(1040.0, "write_stall")),
        cell("Sanic + httpx", "between events", 0.9),
        cell("Sanic + httpx", "between events", 1.2, **cut(1004.0, "ReadTimeout", "false_complete")),
        cell("Sanic alone", "between events", 0.9),
        cell("Sanic alone", "between events", 1.2, 1, **cut(1130.0)),
        cell("Sanic alone", "between events", 1.2, 0, late_ms=7.0),
        cell("Sanic alone", "before head", 1.2, **cut(1490.0, kind="unnamed"), ),
    ),
)  # fmt: skip


def test_the_finding_says_when_timers_fire_and_whether_that_can_be_seen() -> None:
    assert MADE.finding == (
        "Ours: every timer fires at 1.01 – 1.04 × T and says which; "
        "Sanic + httpx: cut at 1.00 × T, and the broken stream looks complete; "
        "Sanic alone: cut at 1.13 – 1.49 × T"
    )


def test_a_wrong_timer_of_ours_is_no_finding_to_be_proud_of() -> None:
    wrong = TimeoutMap(1.0, (cell("ours", "between events", 1.2, **cut(1010.0, "total", "named")),))
    assert wrong.finding == "Ours: cut at 1.01 × T"
    silent = TimeoutMap(1.0, (cell("ours", "between events", 1.2),))
    assert silent.finding == "Ours: no timer fired"


def test_the_grid_has_places_by_lengths_a_panel_for_each_relay_and_streams_by_phase() -> None:
    grid = MADE.end_grid()
    assert list(grid.panels) == list(RELAYS)
    assert (grid.rows, grid.columns) == (["before head", "between events", "blocked write"], ["0.9", "1.2"])
    band = grid.panels["Sanic alone"][("between events", "1.2")]
    assert [(one.kind, one.says, one.after_ms) for one in band] == [
        ("complete", "", None),
        ("cut", "RESPONSE_TIMEOUT", 1130.0),
    ]
    assert grid.panels["Sanic alone"][("before head", "1.2")][0].says == "200 RESPONSE_TIMEOUT"
    assert grid.note == "the machine was up to 7 ms late"


def test_the_band_is_where_sanics_timer_fired() -> None:
    bands = MADE.end_grid().bands
    assert list(bands) == ["Sanic alone"]
    assert (bands["Sanic alone"].first, bands["Sanic alone"].last) == ("1.2", "1.2")


def test_its_repr_stays_the_same_from_run_to_run() -> None:
    assert repr(MADE) == "<TimeoutMap T=1000 ms: 9 streams, ours, Sanic + httpx, Sanic alone>"


def test_a_row_for_each_stream_in_pandas() -> None:
    frame = MADE.to_pandas()
    assert len(frame) == 9
    assert list(frame["fired"][frame["relay"] == "ours"]) == ["", "idle", "write_stall"]


class TestFiles:
    FOUND = TimeoutMap(
        0.4, (SilenceCell("ours", "before head", 0.5, 0.1, "named", "x", "x", 504, False, "idle", 1.5, 2),)
    )

    @pytest.mark.parametrize("name", ["map.jsonl", "map.jsonl.gz"])
    def test_all_of_it_comes_back(self, tmp_path: Path, name: str) -> None:
        self.FOUND.save(tmp_path / name)
        assert TimeoutMap.load(tmp_path / name) == self.FOUND

    def test_one_that_is_not_whole_is_refused_a_map_with_holes_would_say_something_else(self, tmp_path: Path) -> None:
        path = tmp_path / "map.jsonl"
        self.FOUND.save(path)
        whole = path.read_bytes()
        for end in (0, 5, whole.index(b"\n") + 1, len(whole) - 2):
            path.write_bytes(whole[:end])
            with pytest.raises(RecordingFormatError, match=r"expected a whole timeout map \(version 1\) in map.jsonl"):
                TimeoutMap.load(path)

    @pytest.mark.parametrize("content", [b"{}\n", b"\x80", b"[]"])
    def test_what_is_none_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "map.jsonl"
        path.write_bytes(content)
        with pytest.raises(RecordingFormatError):
            TimeoutMap.load(path)

    def test_a_recording_is_none(self, tmp_path: Path) -> None:
        Recording().save(tmp_path / "x")
        with pytest.raises(RecordingFormatError):
            TimeoutMap.load(tmp_path / "x")

"""The timeout map: which timer was it, and one small map of real streams."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.experiments.silences import RELAYS, timeout_map
from streamkit.lab.experiments.timeout_map import (
    DEADLINES,
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
from tests.servers import leaves_nothing

T_S = 0.3
SHORT, LONG = 0.5, 2.5
SILENCE = Silence(1, "between events", 0.6)
TIMES = Times(400.0, 2.0)


def got(outcome: str, status: int | None = 200, text: str = "one ", server: str | None = None) -> Recording:
    meta = {} if server is None else {"server_outcome": server}
    return Recording.from_pieces([(1, text)], outcome=Outcome.parse(outcome), status=status, meta=meta)


@pytest.mark.parametrize(
    ("relay", "recording", "logged", "kind", "fired"),
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
    relay: str, recording: Recording, logged: str | None, kind: str, fired: str
) -> None:
    cell = judged(relay, SILENCE, recording, TIMES, logged)
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
        "Sanic + httpx: cut at 1.00 × T, and 1 of 1 broken streams look complete; "
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


@pytest.mark.parametrize(
    "wrong",
    [{"T_s": 0}, {"lengths": ()}, {"lengths": (-1,)}, {"places": ("nowhere",)}, {"relays": ()}, {"relays": ("x",)},
     {"phases": 0}, {"phases": True}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        asyncio.run(timeout_map(**wrong))


# --- A real one, small ----------------------------------------------------------------------------------------------


@cache
def measured() -> TimeoutMap:
    """Short and long are far from T, and from 1.5 T. The relay's log, which it listens to, is as before."""
    log = logging.getLogger("streamkit.relay")
    before = (log.level, log.propagate, list(log.handlers))
    with leaves_nothing():
        found = asyncio.run(timeout_map(T_S, (SHORT, LONG, 3.0), phases=2))
    assert (log.level, log.propagate, list(log.handlers)) == before
    return found


def cells(relay: str, *places: str, longer_than: float = SHORT) -> list[SilenceCell]:
    found = [one for one in measured().of(relay) if one.place in places and one.length_s / T_S > longer_than + 0.01]
    assert found
    return found


@pytest.mark.parametrize("relay", RELAYS)
def test_a_silence_of_half_the_time_is_survived_everywhere(relay: str) -> None:
    short = [one for one in measured().of(relay) if one.length_s / T_S < 1]
    assert {(one.kind, one.whole, one.fired) for one in short} == {("complete", True, "")}


@pytest.mark.parametrize("place", PLACES)
def test_of_ours_the_right_timer_fires_and_in_time(place: Place) -> None:
    for one in cells("ours", place):
        assert one.fired == DEADLINES[place]
        assert one.after_ms is not None
        assert 0.9 * T_S * 1e3 <= one.after_ms <= T_S * 1e3 + 500


def test_ours_tells_its_client_wherever_there_is_one_to_be_told() -> None:
    assert {one.kind for one in cells("ours", *PLACES[:3])} == {"named"}
    assert {one.kind for one in cells("ours", "blocked write")} == {"cut"}


def test_before_the_head_stock_says_500_or_503_and_no_more() -> None:
    for relay in RELAYS[1:]:
        assert {one.kind for one in cells(relay, "before head", "before first piece")} == {"unnamed"}
    assert {one.status for one in cells("Sanic alone", "before head", "before first piece")} == {503}


def test_after_it_a_stream_that_httpx_gives_up_looks_complete() -> None:
    """Most of them: Sanic's own timer may be as quick."""
    kinds = [one.kind for one in cells("Sanic + httpx", "between events")]
    assert "false_complete" in kinds
    assert set(kinds) <= {"false_complete", "cut"}


def test_sanics_own_timer_cuts_visibly_and_late() -> None:
    for one in cells("Sanic alone", "between events", "blocked write"):
        assert (one.kind, one.fired) == ("cut", "RESPONSE_TIMEOUT")
        assert one.after_ms is not None
        assert 0.9 * T_S * 1e3 <= one.after_ms <= 1.5 * T_S * 1e3 + 500

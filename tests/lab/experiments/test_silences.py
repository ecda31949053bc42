"""The timeout map: one small map of real streams, shared by all claims about it."""

from __future__ import annotations

import asyncio
import io
import logging
from contextlib import redirect_stderr
from functools import cache
from typing import Any

import pytest

from streamkit.lab.experiments.silences import RELAYS, timeout_map
from streamkit.lab.experiments.timeouts import (
    DEADLINES,
    PLACES,
    Place,
    SilenceCell,
    TimeoutMap,
)
from tests.servers import leaves_nothing

T_S = 0.3
SHORT, LONG = 0.5, 2.5


@pytest.mark.parametrize(
    "wrong",
    [{"T_s": 0}, {"lengths": ()}, {"lengths": (-1,)}, {"places": ("nowhere",)}, {"relays": ()}, {"relays": ("x",)},
     {"phases": 0}, {"phases": 33}, {"T_s": 3600}, {"T_s": float("nan")}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        asyncio.run(timeout_map(**wrong))


@pytest.mark.parametrize("wrong", [{"T_s": "1"}, {"lengths": ("1",)}, {"phases": True}, {"phases": 1.0}])
def test_what_is_no_number_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"expected .*{next(iter(wrong))} as "):
        asyncio.run(timeout_map(**wrong))


BAR = io.StringIO()


@cache
def measured() -> TimeoutMap:
    """Short and long are far from T, and from 1.5 T. The relay's log, which it listens to, is as before."""
    log = logging.getLogger("streamkit.relay")
    before = (log.level, log.propagate, list(log.handlers))
    with leaves_nothing(), redirect_stderr(BAR):
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


def test_meanwhile_a_bar_counts_the_streams() -> None:
    count = len(measured().cells)
    assert f"{count}/{count}" in BAR.getvalue()


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

"""The relay's own word: as JSON and back, and nothing taken for one that is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.recording.relay_word import RelayWord
from streamkit.outcome import Outcome

LOGGED: dict[str, Any] = {
    "stream_id": "5f",
    "outcome": "timeout(idle)",
    "code": "timeout_idle",
    "finish_reason": "length",
    "status": 200,
    "format": "text/event-stream",
    "policy": "pause",
    "duration_ms": 2041.3,
    "first_piece_ms": 312.0,
    "pieces": 17,
    "dropped": 0,
    "wrote_bytes": 912,
    "held_ms": 0.0,
}

words = st.builds(
    RelayWord,
    outcome=st.sampled_from([Outcome("complete"), Outcome("refused", 503), Outcome("timeout", "idle")]),
    code=st.text(max_size=5),
    finish_reason=st.none() | st.text(max_size=5),
    status=st.none() | st.integers(100, 599),
    format=st.none() | st.text(max_size=5),
    policy=st.none() | st.text(max_size=5),
    duration_ms=st.none() | st.floats(0, 1e9),
    first_piece_ms=st.none() | st.floats(0, 1e9),
    pieces=st.integers(0, 2**40),
    dropped=st.integers(0, 2**40),
    wrote_bytes=st.integers(0, 2**40),
    held_ms=st.floats(0, 1e9),
)


def test_what_the_relay_logged_is_its_word() -> None:
    word = RelayWord.from_dict(LOGGED)
    assert word.outcome == Outcome("timeout", "idle")
    assert {"stream_id": "5f", **word.as_dict()} == LOGGED


def test_a_relay_that_tells_no_finish_reason_has_none() -> None:
    before = {name: value for name, value in LOGGED.items() if name != "finish_reason"}
    assert RelayWord.from_dict(before).finish_reason is None


@given(words)
def test_it_goes_through_json_and_back(word: RelayWord) -> None:
    assert RelayWord.from_dict(word.as_dict()) == word


@pytest.mark.parametrize(
    "told",
    [
        {},
        [],
        "complete",
        {**LOGGED, "outcome": "lost"},
        {**LOGGED, "outcome": 7},
        {**LOGGED, "pieces": "17"},
        {**LOGGED, "finish_reason": 7},
        {**LOGGED, "pieces": True},
        {**LOGGED, "status": 2.5},
        {**LOGGED, "held_ms": None},
        {**LOGGED, "code": None},
    ],
)
def test_what_is_no_word_is_refused(told: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        RelayWord.from_dict(told)

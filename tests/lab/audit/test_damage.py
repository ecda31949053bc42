"""What happened to a text on its way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.audit.damage import damage_of

SAID = "床前明月光，疑是地上霜。 The moon shines, and I think of home.\n"


@given(st.text(max_size=60), st.integers(min_value=0, max_value=60))
def test_a_beginning_is_not_damaged(said: str, length: int) -> None:
    assert damage_of(said[:length], said) is None


@pytest.mark.parametrize(
    ("came", "damage"),
    [
        (SAID.replace("明月光", ""), "text_dropped"),
        (SAID[3:20], "text_dropped"),
        (SAID[:6] + SAID[9:30] + SAID[33:], "text_dropped"),
        (SAID.replace("明月光", "明月光明月光"), "text_doubled"),
        (SAID[:20].replace(" The", " The The"), "text_doubled"),
        (SAID.replace("地上霜", "地上霜地上霜").replace(" moon", " moon moon"), "text_doubled"),
        (SAID.replace("明", "\ufffd\ufffd"), "text_undecodable"),
        (SAID[:12] + "error: connection lost", "error_in_text"),
        (SAID + "error: 'data'", "error_in_text"),
        ("Internal Server Error", "error_in_text"),
        (SAID.replace("明", "暗"), "text_changed"),
        ("，" * 9, "text_changed"),
    ],
)
def test_what_came_is_named(came: str, damage: str) -> None:
    assert damage_of(came, SAID) == damage


@given(st.lists(st.text("abcdefghij ", min_size=3, max_size=5), min_size=4, max_size=12, unique=True), st.data())
def test_a_piece_that_is_missing_or_doubled_never_looks_like_an_error(pieces: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(min_value=0, max_value=len(pieces) - 2))
    said = "".join(pieces)
    missing = damage_of("".join(pieces[:at] + pieces[at + 1 :]), said)
    doubled = damage_of("".join([*pieces[:at], pieces[at], *pieces[at:]]), said)
    assert (missing, doubled) == ("text_dropped", "text_doubled")


def test_a_large_piece_is_compared_as_quickly_as_a_small_one() -> None:
    said = f"begin of it {'x' * 500_000} and its end"
    assert damage_of(said.replace("of ", "").replace("its ", ""), said) == "text_dropped"
    assert damage_of("12" * 9_000, "34" * 9_000) == "text_changed"

"""What reading an event can give: values, told apart by their types."""

from __future__ import annotations

from typing import Any

import pytest

from streamkit.extractor.pieces import End, Piece, ProviderError, weigh


def test_a_piece_is_a_value_that_equals_no_other_result() -> None:
    piece: Any = Piece("a", end=End())
    assert repr(piece) == "Piece(text='a', reasoning='', end=End(reason=None, conclusive=True))"
    assert piece == Piece("a", "", End())
    assert piece != Piece("a")
    assert Piece("a", "b") not in [End("a"), ProviderError("a", "b")]
    assert bool(Piece(""))
    match piece:
        case Piece(text="a", end=End(conclusive=True)):
            pass
        case _:
            pytest.fail("expected the pattern to match")
    with pytest.raises(AttributeError):
        piece.text = "b"  # type: ignore[misc]  # that is the claim


def test_pieces_weigh_their_texts_in_utf8_and_no_reasoning() -> None:
    assert weigh([]) == (0, 0)
    assert weigh([Piece("a"), Piece("", "thinking"), Piece("你好", "hm"), Piece("", end=End())]) == (2, 7)

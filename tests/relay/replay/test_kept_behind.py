"""Where so many bytes stand behind a piece, and what the first one counts for: against the plain way to count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.extractor.pieces import Piece
from streamkit.relay.replay import kept as module
from streamkit.relay.replay.kept import MIN_PIECE_BYTES, Kept

TEXTS = st.sampled_from(["", "a", "é", "abc", "日本語"])
PIECES = st.lists(st.tuples(TEXTS, st.sampled_from(["", "", "why"])).map(lambda texts: Piece(*texts)), max_size=40)


def size(piece: Piece) -> int:
    return len((piece.text + piece.reasoning).encode())


def counted(pieces: list[Piece], first: int, number: int, wanted: int) -> int:
    """Piece by piece, from `number` down."""
    while wanted > 0 and number >= first:
        wanted -= size(pieces[number - 1])
        number -= 1
    return number


@given(st.data())
def test_behind_is_the_last_piece_with_so_many_bytes_behind_it(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", data.draw(st.integers(1, 12)))
        pieces, kept = data.draw(PIECES), Kept()
        for piece in pieces:
            kept.append([piece])
        kept.drop(data.draw(st.integers(0, len(pieces))))
        number, wanted = data.draw(st.integers(0, len(pieces))), data.draw(st.integers(0, 60))
        assert kept.behind(number, wanted) == counted(pieces, kept.first, number, wanted)
        first = pieces[kept.first - 1 : kept.first]
        assert kept.first_piece_bytes == sum(max(MIN_PIECE_BYTES, size(piece)) for piece in first)

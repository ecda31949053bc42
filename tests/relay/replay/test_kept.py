"""Pieces by number in few bytes, against a plain list of them."""

from __future__ import annotations

from itertools import accumulate

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streamkit.extractor.pieces import Piece
from streamkit.relay.pieces import Progress, Snapshot, Value
from streamkit.relay.replay import kept as kept_module
from streamkit.relay.replay.kept import MIN_PIECE_BYTES, Kept

TEXTS = st.text(st.sampled_from("ab é你😀\n"), max_size=6)
PLAIN = st.tuples(TEXTS, st.one_of(st.just(""), TEXTS)).map(lambda both: Piece(*both))
OTHERS = TEXTS.map(lambda text: Value([text])) | TEXTS.map(lambda text: Snapshot([text])) | st.just(Progress(1))
PIECES = st.one_of(PLAIN, PLAIN, PLAIN, OTHERS)


def size(piece: Piece) -> int:
    return len(piece.text.encode()) + len(piece.reasoning.encode())


def text_bytes(pieces: list[Piece]) -> int:
    return sum(len(piece.text.encode()) for piece in pieces)


def cost(pieces: list[Piece]) -> int:
    return max(sum(map(size, pieces)), MIN_PIECE_BYTES * len(pieces))


class AgainstAList(RuleBasedStateMachine):
    """`said` are all pieces that ever came. Blocks are of few bytes here, so that there are many."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(kept_module, "BLOCK_BYTES", 24)
        self.kept = Kept()
        self.said: list[Piece] = []
        self.dropped = 0

    @rule(pieces=st.lists(PIECES, max_size=6))
    def come(self, pieces: list[Piece]) -> None:
        self.kept.append(pieces)
        self.said += pieces

    @rule(data=st.data())
    def are_dropped(self, data: st.DataObject) -> None:
        upto = data.draw(st.integers(0, len(self.said) + 2))
        self.kept.drop(upto)
        self.dropped = max(self.dropped, min(upto, len(self.said)))

    @rule(data=st.data(), most=st.integers(1, 40))
    def those_behind_a_number_are_asked_for(self, data: st.DataObject, most: int) -> None:
        number = data.draw(st.integers(self.dropped, len(self.said)))
        found = self.kept.after(number, most)
        assert [*map(type, found)] == [*map(type, self.said[number : number + len(found)])]
        rest = self.said[number:]
        assert found == rest[: len(found)]
        assert bool(found) == bool(rest)
        assert cost(found[:-1]) < most
        assert sum(cost([piece]) for piece in found) >= most or len(found) == len(rest)

    @rule(data=st.data(), wanted=st.integers(0, 60))
    def those_that_lie_on_the_way_are_asked_for(self, data: st.DataObject, wanted: int) -> None:
        number = data.draw(st.integers(self.dropped, len(self.said)))
        found = self.kept.behind_text(number, wanted)
        assert self.dropped <= found <= number
        assert text_bytes(self.said[found:number]) >= wanted or found == self.dropped
        assert found == number or text_bytes(self.said[found + 1 : number]) < wanted
        found = self.kept.behind(number, wanted)  # block by block, each may count for more than its bytes
        assert self.dropped <= found <= number
        assert sum(cost([piece]) for piece in self.said[found:number]) >= wanted or found == self.dropped
        assert found == number or cost(self.said[found + 1 : number]) < wanted

    @rule(data=st.data())
    def a_byte_is_asked_for(self, data: st.DataObject) -> None:
        ends = list(accumulate((len(piece.text.encode()) for piece in self.said), initial=0))
        byte = data.draw(st.integers(0, ends[-1] + 1))
        if not ends[self.dropped] <= byte <= ends[-1]:
            with pytest.raises(LookupError):
                self.kept.at_byte(byte)
            return
        number, inside = self.kept.at_byte(byte)
        assert ends[number] + inside == byte
        if byte < ends[-1]:
            assert inside < len(self.said[number].text.encode())
        else:
            assert (number, inside) == (len(self.said), 0)

    @invariant()
    def it_counts_right(self) -> None:
        assert (self.kept.first, self.kept.last) == (self.dropped + 1, len(self.said))
        rest = self.said[self.dropped :]
        assert cost(rest) <= self.kept.bytes <= sum(cost([piece]) for piece in rest)
        assert self.kept.bytes - self.kept.bytes_behind_first <= (cost(rest[:1]) if rest else 0)
        assert self.kept.bytes_behind_first <= sum(cost([piece]) for piece in rest[1:])
        assert self.kept.text_bytes == sum(len(piece.text.encode()) for piece in self.said)
        assert self.kept.first_byte == sum(len(piece.text.encode()) for piece in self.said[: self.dropped])

    def teardown(self) -> None:
        self.patch.undo()


TestAgainstAList = AgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=50, stateful_step_count=20)


@given(st.lists(PIECES, min_size=1, max_size=20), st.data())
@settings(max_examples=50)
def test_how_pieces_came_does_not_matter(pieces: list[Piece], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(pieces)))
    at_once, in_two = Kept(), Kept()
    at_once.append(pieces)
    in_two.append(pieces[:cut])
    in_two.append(pieces[cut:])
    assert at_once.after(0, 1 << 20) == in_two.after(0, 1 << 20) == pieces
    assert at_once.bytes == in_two.bytes


def test_what_is_behind_a_dropped_piece_cannot_be_had() -> None:
    kept = Kept()
    kept.append([Piece("a"), Piece("b"), Piece("c")])
    kept.drop(2)
    assert kept.after(2, 100) == [Piece("c")]
    with pytest.raises(LookupError):
        kept.after(1, 100)


def test_numbers_go_on_where_a_log_is_taken_over() -> None:
    kept = Kept(last=7, text_bytes=20)
    kept.append([Piece("é")])
    assert (kept.first, kept.last, kept.text_bytes, kept.after(7, 100)) == (8, 8, 22, [Piece("é")])
    assert kept.at_byte(21) == (7, 1)


def test_a_token_takes_few_bytes_of_memory() -> None:
    kept = Kept()
    for _ in range(1000):
        kept.append([Piece("word")] * 10)
    blocks = sum(block.text.data.__sizeof__() + block.text.ends.__sizeof__() for block in kept._blocks)
    assert kept.bytes == 40_000
    assert blocks < 20 * 10_000


def test_a_tail_is_found_without_a_look_at_each_piece_of_it() -> None:
    """A full log is asked this with every piece."""
    kept = Kept()
    kept.append([Piece("a")] * 100_000)
    looked = 0
    between = kept_module._Block.text_between

    def counted(block: kept_module._Block, start: int, stop: int) -> int:
        nonlocal looked
        looked += 1
        return between(block, start, stop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_module._Block, "text_between", counted)
        assert kept.behind_text(100_000, 60_000) == 40_000
    assert looked < 100

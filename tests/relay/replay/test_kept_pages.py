"""What is kept comes back as it came, in pages of about the size that is asked for, and is counted as it is stated."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.extractor.pieces import Piece
from streamkit.relay.log import StreamRecord
from streamkit.relay.replay.end import StreamEnd
from streamkit.relay.replay.kept import BLOCK_BYTES, MIN_PIECE_BYTES, Kept
from streamkit.relay.replay.log import Log, Quota
from streamkit.relay.replay.produce import Producer
from streamkit.relay.settings import Settings
from streamkit.relay.sources.source import Pieces

TEXTS = st.sampled_from(["", "a", " who", "你好", "é…", "x" * 3_000])
PIECES = st.tuples(TEXTS, st.sampled_from(["", "", "why", "思"])).map(lambda texts: Piece(*texts))
BATCHES = st.lists(st.lists(PIECES, max_size=5), max_size=20)


def cost(piece: Piece) -> int:
    return max(MIN_PIECE_BYTES, len((piece.text + piece.reasoning).encode()))


def kept_of(batches: list[list[Piece]]) -> Kept:
    kept = Kept()
    for batch in batches:
        kept.append(batch)
    return kept


@given(BATCHES, st.integers(1, 10_000))
def test_pages_joined_are_what_came(batches: list[list[Piece]], max_bytes: int) -> None:
    kept = kept_of(batches)
    found: list[Piece] = []
    while len(found) < kept.last:
        page = kept.after(len(found), max_bytes)
        assert page
        found += page
    assert found == [piece for batch in batches for piece in batch]
    assert all(type(piece) is Piece for piece in found)


@given(BATCHES, st.integers(1, 10_000))
def test_a_page_is_full_with_its_last_piece_and_not_before(batches: list[list[Piece]], max_bytes: int) -> None:
    kept = kept_of(batches)
    page = kept.after(0, max_bytes)
    # By their bytes alone, or by their number alone: a page of both, long and tiny ones, may take a little more.
    bytes_before = sum(len((piece.text + piece.reasoning).encode()) for piece in page[:-1])
    assert bytes_before < max_bytes
    assert MIN_PIECE_BYTES * (len(page) - 1) < max_bytes
    if len(page) < kept.last:
        assert sum(map(cost, page)) >= max_bytes


@given(BATCHES, st.lists(st.integers(0, 60), max_size=4))
def test_what_is_dropped_counts_no_more_and_less_than_is_dropped_changes_nothing(
    batches: list[list[Piece]], drops: list[int]
) -> None:
    kept = kept_of(batches)
    for upto in drops:
        kept.drop(upto)
    came = [piece for batch in batches for piece in batch]
    left = came[kept.first - 1 :]
    assert kept.first == 1 + min(max([0, *drops]), len(came))
    assert sum(len((piece.text + piece.reasoning).encode()) for piece in left) <= kept.bytes <= sum(map(cost, left))
    assert kept.text_bytes == sum(len(piece.text.encode()) for piece in came)
    kept.append([Piece("more")])
    assert kept.after(kept.last - 1, 1) == [Piece("more")]
    kept.drop(kept.last)
    assert kept.bytes == 0


def test_what_is_no_longer_kept_cannot_be_had() -> None:
    kept = kept_of([[Piece("x" * BLOCK_BYTES)], [Piece("y")]])
    kept.drop(1)
    assert kept.after(1, 1) == [Piece("y")]
    with pytest.raises(LookupError):
        kept.after(0, 1)


def test_a_log_that_has_ended_holds_nothing_of_who_filled_it() -> None:
    log = Log("a", 1_000, Quota(1_000))

    async def source() -> Pieces:
        yield [Piece("Hi")]

    async def filled() -> weakref.ref[Producer]:
        producer = Producer(log, StreamRecord("a"), Settings())
        producer.start(source(), lambda: None)
        await producer.stopped(5)
        return weakref.ref(producer)

    there = asyncio.run(filled())
    gc.collect()
    assert (log.end, there()) == (StreamEnd(), None)
    log.attach().close()  # nor is anybody told of those who read it later

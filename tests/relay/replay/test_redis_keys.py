"""What of a stream stands in Redis, and under which keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.extractor.pieces import Piece
from streamkit.relay.pieces import Progress, Snapshot, Value
from streamkit.relay.replay.end import PRODUCER_LOST, StreamEnd
from streamkit.relay.replay.kept import Kept
from streamkit.relay.replay.redis_keys import BEGIN_ID, END_ID, LAST_ID, Burst, entry, is_stream_id, log_key

TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
PLAIN = st.tuples(TEXTS, TEXTS).map(lambda texts: Piece(*texts))
OTHERS = TEXTS.map(lambda text: Value([text])) | TEXTS.map(lambda text: Snapshot([text])) | st.just(Progress(1))
PIECES = st.lists(st.one_of(PLAIN, OTHERS), min_size=1, max_size=20)


def raw(burst: Burst) -> tuple[bytes, list[bytes]]:
    """As Redis gives it back."""
    return burst.id.encode(), [each if isinstance(each, bytes) else each.encode() for each in burst.fields()]


@given(PIECES, st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_a_burst_comes_back_as_it_was_written(pieces: list[Piece], number: int, text_at: int) -> None:
    burst = Burst.of(number + 1, text_at, pieces)
    read = entry(raw(burst))
    assert [type(piece) for piece in read.pieces] == [type(piece) for piece in pieces]
    assert (read.first, read.last, read.pieces) == (number + 1, number + len(pieces), pieces)
    assert (read.text_at, read.text_end) == (text_at, text_at + len("".join(p.text for p in pieces).encode()))
    assert read.end is None


@given(PIECES)
def test_a_burst_counts_for_what_it_would_in_memory(pieces: list[Piece]) -> None:
    kept = Kept()
    kept.append(pieces)
    assert Burst.of(1, 0, pieces).counts == kept.bytes


def test_the_end_comes_back_as_it_was_written() -> None:
    end = StreamEnd(PRODUCER_LOST, "stop")
    assert entry((END_ID.encode(), [b"e", end.dumped()])).end == end


def test_the_end_lies_behind_every_number_and_the_beginning_before_the_first() -> None:
    def order(stream_id: str) -> tuple[int, ...]:
        return tuple(map(int, stream_id.split("-")))

    assert order(BEGIN_ID) < order(Burst.of(1, 0, [Piece("a")]).id) < order(f"{LAST_ID}-0") < order(END_ID)


def test_the_entry_of_the_beginning_holds_nothing() -> None:
    beginning = entry((BEGIN_ID.encode(), [b"h", b"1:0:0"]))
    assert (beginning.first, beginning.last, beginning.pieces, beginning.end) == (1, 0, [], None)


@pytest.mark.parametrize(
    "fields", [[], [b"h"], [b"x", b"1"], [b"h", b"1:2"], [b"h", b"1:0:1", b"p", b"{"], [b"h", b"1:0:1", b"p", b"[1]"]]
)
def test_what_is_none_of_ours_is_an_error(fields: list[bytes]) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        entry((b"1-0", fields))


@given(st.text(max_size=40))
def test_an_id_is_32_small_hexadecimal_digits_and_nothing_else(text: str) -> None:
    assert is_stream_id(text) == (len(text) == 32 and set(text) <= set("0123456789abcdef"))


def test_keys_of_one_stream_share_a_hash_tag() -> None:
    assert log_key("ab" * 16) == "streamkit:{" + "ab" * 16 + "}:log"

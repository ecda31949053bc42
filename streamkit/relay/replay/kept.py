"""The pieces of one stream that can still be replayed: numbered from 1, held as UTF-8, with their kinds. No I/O.

    kept = Kept()
    kept.append([Piece("Hel"), Piece("lo")])
    kept.after(1, 8192)                        # [Piece("lo")]

A `Piece` with its text takes some 150 bytes of memory, and a token has four or five letters: kept as they are, a text
of 4 MiB would take 150. So they are joined, in blocks, and their ends remembered.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise, repeat
from typing import Final

from streamkit.extractor.pieces import Piece
from streamkit.relay.pieces import kind_of, piece_of_kind

__all__ = ["BLOCK_BYTES", "MIN_PIECE_BYTES", "Kept"]

BLOCK_BYTES: Final = 8_192
MIN_PIECE_BYTES: Final = 4
"""What a piece counts for at least: its end alone takes that much."""
PLAIN: Final[set[type]] = {Piece}


class _Column:
    """Texts, joined; `ends[i]` is where text i ends, in 32 bits: a block is hardly longer than what one read brings."""

    __slots__ = ("data", "ends")

    def __init__(self) -> None:
        self.data = bytearray()
        self.ends = array("I")

    def extend(self, texts: Sequence[str]) -> None:
        joined = "".join(texts)
        lengths = map(len, texts) if joined.isascii() else map(len, map(str.encode, texts))
        ends = accumulate(lengths, initial=len(self.data))
        next(ends)
        self.ends.extend(ends)
        self.data += joined.encode()

    def seal(self) -> None:
        """Nothing more comes: no room to grow is needed."""
        self.data = bytearray(self.data)
        self.ends = self.ends[:]

    def before(self, index: int) -> int:
        return self.ends[index - 1] if index else 0

    def texts(self, begin: int, end: int) -> list[str]:
        """Numbers `begin` to `end` - 1, of which there is one at least."""
        at = self.before(begin)
        data = bytes(self.data[at : self.ends[end - 1]])
        cuts = [0, *[cut - at for cut in self.ends[begin:end]]]
        if data.isascii():
            text = data.decode()
            return [text[here:there] for here, there in pairwise(cuts)]
        return [data[here:there].decode() for here, there in pairwise(cuts)]


class _Block:
    """Pieces `first` …, of which text number 0 begins at byte `at` of the stream's whole text."""

    __slots__ = ("at", "first", "kinds", "reasoning", "size", "text")

    def __init__(self, first: int, at: int) -> None:
        self.first = first
        self.at = at
        self.text = _Column()
        self.reasoning: _Column | None = None  # no piece has any
        self.kinds: bytearray | None = None  # all are text
        self.size = 0

    def __len__(self) -> int:
        return len(self.text.ends)

    def append(self, pieces: Sequence[Piece]) -> None:
        plain = self.kinds is None and {*map(type, pieces)} == PLAIN
        if (
            plain and len(pieces) == 1 and self.reasoning is None and not pieces[0].reasoning
        ):  # as most reads bring them
            data, ends = self.text.data, self.text.ends
            data += pieces[0].text.encode()
            self.size = size = len(data)
            ends.append(size)
            return
        texts, reasons, _ = zip(*pieces, strict=True)
        if self.reasoning is None and any(reasons):
            self.reasoning = _Column()
            self.reasoning.extend([""] * len(self))
        if not plain:
            self.kinds = self.kinds or bytearray(len(self))
            self.kinds += bytes(map(kind_of, pieces))
        self.text.extend(texts)
        if self.reasoning is not None:
            self.reasoning.extend(reasons)
        self.size = len(self.text.data) + (0 if self.reasoning is None else len(self.reasoning.data))

    def seal(self) -> None:
        self.text.seal()
        if self.reasoning is not None:
            self.reasoning.seal()

    def pieces(self, begin: int, end: int) -> list[Piece]:
        """Numbers `begin` to `end` - 1, of which there is one at least."""
        reasons = repeat("") if self.reasoning is None else self.reasoning.texts(begin, end)
        texts = self.text.texts(begin, end)
        if self.kinds is None:
            return list(map(Piece._make, zip(texts, reasons, repeat(None), strict=False)))
        return list(map(piece_of_kind, self.kinds[begin:end], texts, reasons))

    def before(self, index: int) -> int:
        """Bytes of text and reasoning in front of piece `index` of the block."""
        return self.text.before(index) + (0 if self.reasoning is None else self.reasoning.before(index))

    def cost(self, dropped: int) -> int:
        """What it counts for without its first `dropped` pieces."""
        if not dropped:
            size, least = self.size, MIN_PIECE_BYTES * len(self.text.ends)
            return size if size > least else least  # max() takes longer, and this is asked for each read
        return self.cost_between(dropped, len(self))

    def cost_between(self, start: int, stop: int) -> int:
        """What pieces `start` … `stop` - 1 of the block count for."""
        return max(self.before(stop) - self.before(start), MIN_PIECE_BYTES * (stop - start))

    def text_between(self, start: int, stop: int) -> int:
        """Their bytes of text."""
        return self.text.before(stop) - self.text.before(start)


class Kept:
    """Pieces `first` … `last` of a stream; none where `last` is `first` - 1. `first` is 1 until some were dropped.

    `bytes` is what they count for: their text and reasoning in UTF-8, at least 4 bytes a piece. The memory that they
    take is four bytes a piece more, and the last block's room to grow. `text_bytes` counts the text of all pieces that
    ever came, those dropped included.
    """

    def __init__(self, last: int = 0, text_bytes: int = 0) -> None:
        """Pieces from number `last` + 1 on are to come; those up to it have `text_bytes` bytes of text."""
        self.first = last + 1
        self.last = last
        self.bytes = 0
        self.text_bytes = text_bytes
        self._blocks: list[_Block] = []
        self._last_cost = 0  # of the last block, in `bytes`

    def append(self, pieces: Sequence[Piece]) -> None:
        """The next ones."""
        if not pieces:
            return
        blocks = self._blocks
        if not blocks or blocks[-1].size >= BLOCK_BYTES:
            self.seal()
            blocks.append(_Block(self.last + 1, self.text_bytes))
            self._last_cost = 0
        block = blocks[-1]
        block.append(pieces)
        cost = block.cost(self.first - block.first if self.first > block.first else 0)
        self.bytes += cost - self._last_cost
        self._last_cost = cost
        self.text_bytes = block.at + len(block.text.data)
        self.last += len(pieces)

    def seal(self) -> None:
        """The block that is being filled takes no more memory than what it holds; more may come all the same."""
        if self._blocks:
            self._blocks[-1].seal()

    def after(self, number: int, max_bytes: int) -> list[Piece]:
        """Those behind piece `number`, of about `max_bytes` at most, but at least one where there is one.

        Raises LookupError if the first of them is no longer kept.
        """
        if number + 1 < self.first:
            raise LookupError(number)
        found: list[Piece] = []
        left = max_bytes
        while number < self.last and left > 0:
            block = self._block_of(number + 1)
            begin = number + 1 - block.first
            before = block.before(begin)
            most = min(len(block), begin + -(-left // MIN_PIECE_BYTES))
            end = begin + 1 + bisect_left(range(begin + 1, most), before + left, key=block.before)
            found += block.pieces(begin, end)
            left -= max(block.before(end) - before, MIN_PIECE_BYTES * (end - begin))
            number = block.first + end - 1
        return found

    def drop(self, upto: int) -> None:
        """Those up to piece `upto` are no longer kept; without them this is as if nobody had asked for them yet."""
        upto = min(upto, self.last)
        if upto < self.first:
            return  # nor are they now
        while self._blocks and self._blocks[0].first <= upto:
            block = self._blocks[0]
            before = block.cost(max(0, self.first - block.first))
            if block.first + len(block) - 1 > upto:
                self.bytes -= before - block.cost(upto + 1 - block.first)
                break
            self.bytes -= before
            del self._blocks[0]
        self.first = upto + 1
        if self._blocks:
            block = self._blocks[-1]
            self._last_cost = block.cost(max(0, self.first - block.first))

    def behind(self, number: int, cost: int) -> int:
        """The piece such that those behind it, up to `number`, count for `cost` or more; or the one before the first,
        where they do not.
        """
        return self._behind(number, cost, _Block.cost_between)

    def behind_text(self, number: int, size: int) -> int:
        """The same of `size` bytes of text. No answer has fewer bytes than the text of its pieces, but text/plain has
        no others: not those of their reasoning.
        """
        return self._behind(number, size, _Block.text_between)

    def _behind(self, number: int, size: int, measure: Callable[[_Block, int, int], int]) -> int:
        if number < self.first:
            return number
        while size > 0 and number >= self.first:
            block = self._block_of(number)
            stop = number - block.first + 1
            whole = measure(block, 0, stop)
            if whole >= size:
                longest = bisect_right(range(stop), -size, key=lambda start: -measure(block, start, stop))
                number = block.first - 2 + longest
                break
            size -= whole
            number = block.first - 1
        return max(number, self.first - 1)

    @property
    def bytes_behind_first(self) -> int:
        """What all but the first piece count for."""
        if self.first >= self.last:
            return 0
        block = self._blocks[0]
        dropped = self.first - block.first
        return self.bytes - block.cost(dropped) + block.cost(dropped + 1)

    @property
    def first_byte(self) -> int:
        """Where in the whole text the first piece that is kept begins."""
        if self.first > self.last:
            return self.text_bytes
        block = self._block_of(self.first)
        return block.at + block.text.before(self.first - block.first)

    def at_byte(self, byte: int) -> tuple[int, int]:
        """Where byte number `byte` of the whole text (from 0) stands: behind which piece, and how far inside the next.

        At its end, that is behind the last one. Raises LookupError where that byte is no longer kept, or has not come.
        """
        if not self.first_byte <= byte <= self.text_bytes:
            raise LookupError(byte)
        if byte == self.text_bytes:
            return self.last, 0
        blocks = self._blocks
        block = blocks[bisect_right(blocks, byte, key=lambda each: each.at) - 1]
        index = bisect_right(block.text.ends, byte - block.at)
        return block.first + index - 1, byte - block.at - block.text.before(index)

    def _block_of(self, number: int) -> _Block:
        blocks = self._blocks
        return blocks[bisect_left(blocks, number + 1, key=lambda each: each.first) - 1]

    def __repr__(self) -> str:
        return f"<Kept: pieces {self.first} to {self.last}, {self.bytes} bytes>"

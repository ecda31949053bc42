"""What tells how something stands and waits for a client: the newest of each kind, and no more. No I/O.

states = States()
states.put([Snapshot({"mean": 2})], first=1)
states.put([Snapshot({"mean": 3})], first=2)      # takes the place of the first
states.pop(form.pieces)                           # Write(b'id: 2\\ndata: {"mean":3,"skipped":1}\\n\\n', 2, 22)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from streamkit.extractor.pieces import Piece, weigh
from streamkit.relay.delivery.policy import Write
from streamkit.relay.pieces import Snapshot

__all__ = ["States", "size_of"]

FRAME_BYTES: Final = 64
"""What a format puts around a piece, about."""


def size_of(pieces: Iterable[Piece]) -> int:
    """How many bytes they are on the wire, about."""
    return sum(len(piece.text) + len(piece.reasoning) + FRAME_BYTES for piece in pieces)


class States:
    """Those of one answer. `dropped` pieces nobody will get, of which `skipped` were snapshots."""

    __slots__ = ("_events", "_text_bytes", "_waiting", "dropped", "skipped")

    def __init__(self) -> None:
        self.dropped = 0
        self.skipped = 0
        self._waiting: dict[type[Piece], tuple[int, Piece]] = {}
        self._events = 0  # that came, since the last that left
        self._text_bytes = 0

    def put(self, pieces: Sequence[Piece], first: int) -> None:
        """Newer ones, the first of which is number `first` of the stream."""
        events, text_bytes = weigh(pieces)
        self._events += events
        self._text_bytes += text_bytes
        for number, piece in enumerate(pieces, first):
            if self._waiting.pop(type(piece), None) is not None:
                self.dropped += 1
                self.skipped += isinstance(piece, Snapshot)
            self._waiting[type(piece)] = (number, piece)  # behind the others: by their numbers

    def shown(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Those that leave now, with what was left out before them."""
        return [piece.skipping(self.skipped) if isinstance(piece, Snapshot) else piece for piece in pieces]

    def pop(self, encode: Callable[[Sequence[Piece], int], bytes]) -> Write:
        """All that wait, as one write; `encode` is given pieces, and the number of the first."""
        data = [encode(self.shown([piece]), number) for number, piece in self._waiting.values()]
        write = Write(b"".join(data), self._events, self._text_bytes)
        self._waiting.clear()
        self._events = self._text_bytes = 0
        return write

    @property
    def bytes(self) -> int:
        """Of output, about."""
        return size_of(piece for _, piece in self._waiting.values())

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

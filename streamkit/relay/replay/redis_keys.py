"""What stands in Redis of one stream, and under which keys. Pure.

key                          type     what
streamkit:{<id>}:log         stream   one entry a write burst, and the end
streamkit:{<id>}:meta        hash     whose it is, which worker produces it, under which claim; outlives the log
streamkit:{<id>}:readers     hash     worker → how many read it there, and up to which piece all of those have got it
streamkit:claim:<key>        string   "<id> <body>"
streamkit:lease:<worker>     string   how many bytes that worker's logs hold; gone: the worker is dead
streamkit:control:<worker>   stream   what that worker is asked: to stop a stream, to forget one, to look again
streamkit:workers            set      all of them

entry of a log    its id                       its fields
begin             0-1                          h
a burst           <number of last piece>-0     h: "<number of first>:<bytes of text before>:<… behind>", p: pieces
the end           9007199254740993-0           e

A piece is its text, or `[text, reasoning]`, or `[text, reasoning, kind]` (`streamkit.relay.pieces.KINDS`).

So `XRANGE (n-0` and `XREAD n-0` give what stands behind piece n, and Redis itself, which takes no id that is not
greater than the one before, refuses whatever a worker that was thought dead writes behind the end, a second end too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from streamkit.extractor.pieces import Piece
from streamkit.relay.pieces import kind_of, piece_of_kind
from streamkit.relay.replay.end import StreamEnd
from streamkit.relay.replay.kept import MIN_PIECE_BYTES

__all__ = [
    "BEGIN_ID",
    "END_ID",
    "LAST_ID",
    "PREFIX",
    "WORKERS",
    "Burst",
    "Entry",
    "claim_key",
    "control_key",
    "entry",
    "is_stream_id",
    "lease_key",
    "log_key",
    "meta_key",
    "readers_key",
    "utf8_bytes",
]

PREFIX: Final = "streamkit:"
WORKERS: Final = PREFIX + "workers"
BEGIN_ID: Final = "0-1"
LAST_ID: Final = "9007199254740992"
END_ID: Final = "9007199254740993-0"
"""Behind 2^53, the greatest number that JSON, and what counts bytes in `Content-Range`, can name."""


def is_stream_id(text: str) -> bool:
    """Ids come from outside, and keys are made of them."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None


def log_key(stream_id: str) -> str:
    return f"{PREFIX}{{{stream_id}}}:log"


def meta_key(stream_id: str) -> str:
    return f"{PREFIX}{{{stream_id}}}:meta"


def readers_key(stream_id: str) -> str:
    return f"{PREFIX}{{{stream_id}}}:readers"


def claim_key(key: str) -> str:
    return f"{PREFIX}claim:{key}"


def lease_key(worker: str) -> str:
    return f"{PREFIX}lease:{worker}"


def control_key(worker: str) -> str:
    return f"{PREFIX}control:{worker}"


@dataclass(frozen=True, slots=True)
class Burst:
    """Pieces `first` … that are written at once; `text_at` bytes of text stand before them."""

    first: int
    text_at: int
    pieces: Sequence[Piece]
    text_bytes: int
    counts: int
    """What they count for, as of `Kept.bytes`."""

    @classmethod
    def of(cls, first: int, text_at: int, pieces: Sequence[Piece]) -> Burst:
        text = utf8_bytes("".join([piece.text for piece in pieces]))
        reasoning = utf8_bytes("".join([piece.reasoning for piece in pieces]))
        return cls(first, text_at, pieces, text, max(text + reasoning, MIN_PIECE_BYTES * len(pieces)))

    @property
    def last(self) -> int:
        return self.first + len(self.pieces) - 1

    @property
    def id(self) -> str:
        return f"{self.last}-0"

    def fields(self) -> tuple[str, str, str, bytes]:
        told = [
            piece.text if piece.__class__ is Piece and not piece.reasoning else _told(piece) for piece in self.pieces
        ]
        return "h", f"{self.first}:{self.text_at}:{self.text_at + self.text_bytes}", "p", orjson.dumps(told)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log as it was read: pieces `first` … `last`, or the `end`."""

    first: int
    last: int
    text_at: int
    text_end: int
    pieces: list[Piece]
    end: StreamEnd | None = None


def entry(raw: Sequence[Any]) -> Entry:
    """What XRANGE or XREAD gave of one. Raises ValueError, KeyError, IndexError for what is none of ours."""
    number, fields = int(raw[0].partition(b"-")[0]), raw[1]
    told = dict(zip(fields[::2], fields[1::2], strict=True))
    if b"e" in told:
        return Entry(0, 0, 0, 0, [], StreamEnd.loaded(told[b"e"]))
    first, text_at, text_end = map(int, told[b"h"].split(b":"))
    pieces = [
        Piece(each) if isinstance(each, str) else piece_of_kind(each[2] if len(each) > 2 else 0, each[0], each[1])
        for each in orjson.loads(told.get(b"p", b"[]"))
    ]
    return Entry(first, number, text_at, text_end, pieces)


def _told(piece: Piece) -> tuple[str, str] | tuple[str, str, int]:
    kind = kind_of(piece)
    return (piece.text, piece.reasoning, kind) if kind else (piece.text, piece.reasoning)


def utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())

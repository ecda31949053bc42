"""What an answer can be made of besides text: JSON values, the present state of something, progress.

piece                   text/plain        text/event-stream             application/x-ndjson      a slow client
Piece("Hi")             Hi                data: {"text":"Hi"}           {"text":"Hi"}             by the policy
Value({"sum": 3})       {"sum":3}⏎        data: {"sum":3}               {"sum":3}                 by the policy
Snapshot({"mean": 2})   {"mean":2}⏎       data: {"mean":2}              {"mean":2}                newest only
Progress(3, 10)         nothing           event: progress, data: {…}    {"progress":{…}}          newest only

"Newest only" holds under every policy: a state that is no longer true is of no use. So states never make their source
wait, and a client that cannot take one yet gets a newer one instead. A snapshot that replaced others says how many were
left out in all: `"skipped": 3`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Self, TypeAlias

import orjson

from streamkit.extractor.pieces import Piece

__all__ = ["KINDS", "Item", "Progress", "Snapshot", "Value", "are_states", "as_piece", "kind_of", "piece_of_kind"]

_new_tuple = tuple.__new__


class Value(Piece):
    """A JSON value in an answer: `yield sk.Value({"sum": 3})`.

        >>> sk.Value({"sum": 3}).data
        {'sum': 3}

    A client that asked for text gets it as a line of JSON, which is its `text`. Raises TypeError for what JSON cannot
    express. NaN and infinity become null, as JSON has neither (RFC 8259, section 6).
    """

    __slots__ = ()

    def __new__(cls, data: Any) -> Self:
        try:
            line = orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)
        except orjson.JSONEncodeError as error:
            raise TypeError(f"expected what JSON can say, got {type(data).__name__}: {error}") from None
        return _new_tuple(cls, (line.decode(), "", None))

    @property
    def data(self) -> Any:
        """The value itself."""
        return orjson.loads(self.text)


class Snapshot(Value):
    """The present state of something, as a JSON value: a client that falls behind gets only the newest one.

    >>> sk.Snapshot({"mean": 2.5}).text
    '{"mean":2.5}\\n'
    """

    __slots__ = ()

    def skipping(self, count: int) -> Snapshot:
        """The same snapshot after `count` others were left out in all; an object then has a member `skipped`."""
        data = self.data if count else None
        return Snapshot({**data, "skipped": count}) if isinstance(data, dict) else self


class Progress(Piece):
    """How far the work is: `Progress(3, total=10, message="reading")`. Within one stream it must not go back.

        >>> sk.Progress(3, total=10).data
        {'progress': 3, 'total': 10, 'message': ''}

    A client that falls behind gets only the newest one. It is not part of the text; as a `Piece` it keeps its JSON
    where an LLM's piece keeps reasoning. Raises ValueError for a progress or a total that is not a finite number >= 0,
    and for a progress beyond its total.
    """

    __slots__ = ()

    def __new__(cls, progress: float, total: float | None = None, message: str = "") -> Self:
        for name, number in (("progress", progress), ("total", total)):
            if number is None and name == "total":
                continue
            if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < math.inf:
                raise ValueError(f"expected {name} as a finite number >= 0, got {number!r}")
        if total is not None and progress > total:
            raise ValueError(f"expected progress up to its total, got {progress!r} of {total!r}")
        data = {"progress": progress, "total": total, "message": message}
        return _new_tuple(cls, ("", orjson.dumps(data).decode(), None))

    @property
    def line(self) -> str:
        """Its line in an answer of JSON lines."""
        return f'{{"progress":{self.reasoning}}}\n'

    @property
    def data(self) -> dict[str, Any]:
        """`progress`, `total` (None: not known) and `message`."""
        told: dict[str, Any] = orjson.loads(self.reasoning)
        return told


KINDS: Final[tuple[type[Piece], ...]] = (Piece, Value, Snapshot, Progress)
"""By number, as logs keep them. New ones come behind: what was kept has to be read."""
_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}
STATES: Final[frozenset[type]] = frozenset({Snapshot, Progress})

Item: TypeAlias = "Piece | str | dict[str, Any] | list[Any]"
"""What a source of your own may yield: text, a JSON object or list, or any of the pieces."""


def kind_of(piece: Piece) -> int:
    """Its number in KINDS."""
    return _NUMBERS[type(piece)]


def piece_of_kind(kind: int, text: str, reasoning: str) -> Piece:
    """The inverse of what a log keeps. Raises IndexError for a kind that there is not."""
    return _new_tuple(KINDS[kind], (text, reasoning, None))


def as_piece(item: Item) -> Piece:
    """What a source of your own yielded. Raises TypeError."""
    if isinstance(item, Piece):
        return item
    if isinstance(item, str):
        return Piece(item)
    if isinstance(item, dict | list):
        return Value(item)
    raise TypeError(
        f"expected text, a dict, a list, or a Value, Snapshot or Progress, got {type(item).__name__}; wrap other JSON "
        "values: Value(3)"
    )


def are_states(pieces: Sequence[Piece]) -> bool:
    """All of them tell how something stands, and newer ones may take their place."""
    return all(type(piece) in STATES for piece in pieces)

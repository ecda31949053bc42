"""Alike: events that differ by their text alone are read without decoding the rest of them again and again. No I/O.

    alike = Alike()
    alike.learn(event, text, answer)            # read in the general way, which stays the definition
    alike.texts(b'data: {"id":1,"say":"a"}\\n\\n…')  # None: read them in the general way

Theory of operation. An event is learnt as what stands before its text and behind it. Further bytes that are exactly
that, text, and that again, once or many times, are further events of the same JSON with another string in one place,
if no text holds a quotation mark, a backslash or a control character: then nothing in it ends the string or means
something else (RFC 8259, section 7). What a preset's rules make of it cannot differ either, since all they do with a
string is to ask whether it is there, and to compare it with the literals of their conditions: a text that is one of
these, or empty, is read in the general way. That the text is taken from this place, and no other, is tried once.

All is done for the events of a read at a time, at the speed of C. Streams whose events vary otherwise (an id for each,
padding) are never alike; then it is tried ever more rarely.
"""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Final, NamedTuple

from streamkit.extractor.pieces import Piece
from streamkit.parser import ServerSentEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamkit.presets import Answer

__all__ = ["Alike", "Around"]

PROBES: Final = ("streamkit probe", "\u00e4\u4f60")
LEAST_PATIENCE: Final = 16
MOST_PATIENCE: Final = 4096
"""Events that are read in the general way before the next one is learnt."""


class Around(NamedTuple):
    """What stands around the text: of an event as it comes (`head`, `tail`), of its data (`before`, `behind`)."""

    kind: str
    id: str
    before: str
    behind: str
    head: bytes
    tail: bytes
    between: str
    """From one text to the next."""


class Alike:
    """The one shape that is known, if any."""

    def __init__(self) -> None:
        self.shape: Around | None = None
        self._literals: frozenset[str] = frozenset()
        self._patience = LEAST_PATIENCE
        self._since = 0  # so many events were read in the general way

    def texts(self, data: bytes) -> list[str] | None:
        """The text of each event, where `data` are nothing but whole events of the shape that is known; else None."""
        shape = self.shape
        if shape is None or not (data.startswith(shape.head) and data.endswith(shape.tail)):
            return None
        if len(shape.head) + len(shape.tail) > len(data):
            return None
        try:
            inner = data[len(shape.head) : -len(shape.tail)].decode("utf-8")
        except UnicodeDecodeError:
            return None
        if '"' not in inner and len(inner) < len(shape.between):
            texts = [inner]
        else:
            texts = inner.split(shape.between)
            inner = "".join(texts)
        if '"' in inner or "\\" in inner or not inner.isprintable() or not all(texts):
            return None
        self._patience = LEAST_PATIENCE
        return texts if self._literals.isdisjoint(texts) else None

    def one_each(self, parts: Sequence[bytes]) -> list[str] | None:
        """The texts, where each part is one whole event of that shape; else None."""
        shape = self.shape
        if shape is None or not (
            all(map(methodcaller("startswith", shape.head), parts))
            and all(map(methodcaller("endswith", shape.tail), parts))
        ):
            return None
        # Each part is one of them at least, as no text holds what is around it: so many texts as parts are one each.
        texts = self.texts(b"".join(parts))
        return texts if texts is not None and len(texts) == len(parts) else None

    def learn(self, event: ServerSentEvent, text: str, came: bytes, answer: Answer) -> None:
        """`event`, which gave `text` in the general way, and came with these bytes: perhaps the next are like it."""
        self._since = 0
        self._patience = min(2 * self._patience, MOST_PATIENCE)
        place = f'"{text}"'
        if not text or event.data.count(place) != 1 or "\n" in event.data:
            return
        before, _, behind = event.data.partition(place)
        before, behind = f'{before}"', f'"{behind}'
        named = f"event: {event.event}\n" if event.event != "message" else ""
        for head in (f"{named}data: {before}", f"{named}data:{before}"):
            if f"{head}{text}{behind}\n\n".encode() in came:
                tail = f"{behind}\n\n"
                shape = Around(event.event, event.id, before, behind, head.encode(), tail.encode(), tail + head)
                if all(answer.reads_alone(_with(shape, probe)) == Piece(probe) for probe in PROBES):
                    self.shape, self._literals = shape, answer.literals
                return

    def is_time(self, events: int) -> bool:
        """So many more were read in the general way: the next one is to be learnt."""
        self._since += events
        return self._since >= self._patience


def _with(shape: Around, text: str) -> ServerSentEvent:
    return ServerSentEvent(shape.kind, f"{shape.before}{text}{shape.behind}", shape.id)

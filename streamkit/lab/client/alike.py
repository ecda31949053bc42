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
    between: bytes
    """From one text to the next."""


class Alike:
    """The one shape that is known, if any."""

    def __init__(self) -> None:
        self.around: Around | None = None
        self._literals: frozenset[str] = frozenset()
        self._patience = LEAST_PATIENCE
        self._since = 0  # so many events were read in the general way

    def texts(self, data: bytes) -> list[str] | None:
        """The text of each event, where `data` are nothing but whole events of the shape that is known; else None."""
        around = self.around
        if around is None or not (data.startswith(around.head) and data.endswith(around.tail)):
            return None
        return self._texts_of(data[:-2].split(b"\n\n"), data, around)

    def one_each(self, parts: Sequence[bytes]) -> list[str] | None:
        """The texts, where each part is one whole event of that shape; else None."""
        around = self.around
        if around is None or not (parts[0].startswith(around.head) and parts[-1].endswith(around.tail)):
            return None
        return self._texts_of([part[:-2] for part in parts], b"".join(parts), around)

    def _texts_of(self, events: list[bytes], data: bytes, around: Around) -> list[str] | None:
        """Of `events` that seem to be those of `data`, each without its blank line."""
        start, stop = len(around.head), 2 - len(around.tail)
        inner = [event[start:stop] for event in events]
        joined = b"".join(inner)
        if b'"' in joined or b"\\" in joined or not all(inner):
            return None
        # The proof: put together again they are what came.
        if around.head + around.between.join(inner) + around.tail != data:
            return None
        try:
            texts = [*map(bytes.decode, inner)]
        except UnicodeDecodeError:
            return None
        if not "".join(texts).isprintable() or not self._literals.isdisjoint(texts):
            return None
        self._patience = LEAST_PATIENCE
        return texts

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
                tail = f"{behind}\n\n".encode()
                around = Around(event.event, event.id, before, behind, head.encode(), tail, tail + head.encode())
                if all(answer.reads_alone(_with(around, probe)) == Piece(probe) for probe in PROBES):
                    self.around, self._literals = around, answer.literals
                return

    def is_time(self, events: int) -> bool:
        """So many more were read in the general way: the next one is to be learnt."""
        self._since += events
        return self._since >= self._patience


def _with(around: Around, text: str) -> ServerSentEvent:
    return ServerSentEvent(around.kind, f"{around.before}{text}{around.behind}", around.id)

"""Bulk: what many reads brought, as rows, where nobody waits for each event by itself. No I/O.

The same rows as `Decoder.feed` makes one by one, at a fraction of the cost: the events of all reads are extracted
together and put down column by column, and those that differ by their text alone (`alike`) are not even decoded.

Which of both a read goes is decided for each: what is alike is gathered, what is not is gathered, and whichever comes
first is put down first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamkit.errors import LimitExceeded, LineTooLong
from streamkit.lab.client.alike import Alike

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamkit.content.looking import AnswerParser
    from streamkit.lab.client.piece_reader import PieceReader
    from streamkit.lab.recording.rows import Events
    from streamkit.parser import ServerSentEvent

__all__ = ["Bulk"]

SEVERAL_BYTES: Final = 1024
"""A read that is larger may hold whole events between the end of one and the beginning of another."""


class Bulk:
    """Puts down what reads bring in `events`, as `pieces` finds it; `bound` is the one that a part has broken."""

    def __init__(self, events: Events, pieces: PieceReader) -> None:
        self.bound: str | None = None
        self._events = events
        self._pieces = pieces
        self._alike = Alike()
        self._found: list[ServerSentEvent] = []  # that are read in the general way
        self._texts: list[str] = []  # of those that are alike
        self._of_reads: list[tuple[int, int]] = []  # of both: (place of the read, how many events)
        self._times: tuple[int, list[int], list[int]] = 0, [], []

    def take(
        self, parser: AnswerParser, parts: Sequence[bytes], first: int, at_ns: list[int], returned_ns: list[int]
    ) -> int:
        """What several reads brought, numbered from `first`; how many of them were taken: behind a bound none is."""
        self._times = first, at_ns, returned_ns
        if self._begins(parser) and self._pieces.steady and (texts := self._alike.one_each(parts)) is not None:
            self._texts, self._of_reads = texts, [(place, 1) for place in range(len(parts))]
            self._put_alike()
            return len(parts)
        taken = 0
        for part in parts:
            if self._begins(parser) and (texts := self._alike.texts(part)) is not None:
                self._take_alike(parser, part, texts, taken)
            elif len(part) > SEVERAL_BYTES and self._alike.around is not None:
                self._take_several(parser, part, taken)
            else:
                self._take(parser, part, taken)
            taken += 1
            if self.bound is not None:
                break
        self._put(parts[taken - 1])
        return taken

    def _begins(self, parser: AnswerParser) -> bool:
        """What comes next begins an event, which would have the id of those that are alike."""
        around = self._alike.around
        return around is not None and parser.between_events and parser.last_event_id == around.id

    def _take(self, parser: AnswerParser, part: bytes, place: int) -> None:
        """In the general way."""
        try:
            found = parser.feed(part)
        except LimitExceeded as error:
            found = error.events
            self.bound = "max_line_bytes" if isinstance(error, LineTooLong) else "max_event_bytes"
        if self._texts:
            self._put_alike()
        if found:
            self._found += found
            self._of_reads.append((place, len(found)))

    def _take_alike(self, parser: AnswerParser, part: bytes, texts: list[str], place: int) -> None:
        if self._found:
            self._put(b"")
        if not self._pieces.steady:  # the end came, or a failure
            self._take(parser, part, place)
            return
        self._texts += texts
        self._of_reads.append((place, len(texts)))

    def _take_several(self, parser: AnswerParser, part: bytes, place: int) -> None:
        """The end of one event, whole ones that may be alike, and the beginning of another."""
        start = 0 if parser.between_events else part.find(b"\n\n") + 2
        stop = part.rfind(b"\n\n") + 2
        texts = self._alike.texts(part[start:stop]) if stop > start != 1 else None
        if texts is None:
            self._take(parser, part, place)
            return
        if start:
            self._take(parser, part[:start], place)
        if not self._begins(parser) or self.bound is not None:
            self._take(parser, part[start:], place)
            return
        self._take_alike(parser, part[start:stop], texts, place)
        if stop < len(part):
            self._take(parser, part[stop:], place)

    def _put(self, came: bytes) -> None:
        """Put down what was gathered; `came` is what brought the last of it."""
        if self._texts:
            self._put_alike()
        if not self._found:
            return
        found, self._found = self._found, []
        if self._pieces.steady:
            texts, reasoning = self._pieces.read_all(found)
        else:
            read = [self._pieces.read(event)[-1] for event in found]
            texts, reasoning = [text for text, _ in read], [thought for _, thought in read]
        first, at_ns, returned_ns = self._times
        self._events.extend(
            found,
            at_ns=[at_ns[place] for place, _ in self._of_reads],
            handed_ns=[returned_ns[place] for place, _ in self._of_reads],
            read=[first + place for place, _ in self._of_reads],
            counts=[count for _, count in self._of_reads],
            texts=texts,
            reasoning=reasoning,
        )
        self._of_reads.clear()
        answer = self._pieces.answer
        if came and answer is not None and self._pieces.steady and self._alike.is_time(len(found)):
            self._alike.learn(found[-1], texts[-1], came, answer)

    def _put_alike(self) -> None:
        texts, self._texts = self._texts, []
        around = self._alike.around
        assert around is not None  # noqa: S101  it is what they are like
        first, at_ns, returned_ns = self._times
        self._events.extend_alike(
            around,
            at_ns=[at_ns[place] for place, _ in self._of_reads],
            handed_ns=[returned_ns[place] for place, _ in self._of_reads],
            read=[first + place for place, _ in self._of_reads],
            counts=[count for _, count in self._of_reads],
            texts=texts,
        )
        self._of_reads.clear()

"""Decoder: the bytes of one answer's body in, its events with their text out. No I/O, no clock.

Theory of operation
-------------------
The head decides, once, how the body is read:

    status other than 2xx     the problem is collected; there are no events
    compressed unasked        nothing: its bytes are counted by whoever feeds them
    a binary stream           nothing: `unread` says so
    text/event-stream         SSEParser     ─┐
    NDJSON by any name        NDJSONParser  ─┴▶ PieceReader (a preset, given or guessed) ─▶ a row of `events`
    anything else             text: what one read brought is one event

`feed` is a generator: it yields the index of each row whose text has become known, and that text, before it looks at
the next event. Who iterates may so stamp and tell each event by itself, and what that takes is seen in the next one's
time. Nearly always that is the row just added; while a preset is still guessed the text of earlier rows may come late,
and where the wire has no event borders, more text of the same read.

No row is ever taken back. `final` and `bound` end it: behind `final` nothing changes the outcome, at a `bound` the rest
of the data is not looked at.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

from streamkit.errors import LimitExceeded, LineTooLong
from streamkit.lab.client.ending import accepted
from streamkit.lab.client.piece_reader import PieceReader
from streamkit.lab.recording.recorded import Events
from streamkit.parser import NDJSONParser, ServerSentEvent, SSEParser
from streamkit.presets import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from streamkit.presets import PresetLike

__all__ = ["Decoder"]

NDJSON_TYPES: Final = frozenset(
    f"application/{name}"
    for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "x-jsonlines", "stream+json", "json-seq+ndjson")
)
MAX_PROBLEM_BYTES: Final = 64 * 1024


class Decoder:
    """What one body says, as rows of `events`; how a row was handed on (`handed_ns`) is the business of others.

    final     an end marker or an error event was read: nothing that comes can change the outcome
    bound     the bound of ours that was reached
    problem   the body behind a status other than 2xx
    """

    def __init__(self, preset: PresetLike | None = None, reasoning: bool = False, max_events: int = 1_000_000) -> None:
        self.events = Events()
        self.final = False
        self.bound: str | None = None
        self.problem = bytearray()
        self._pieces = PieceReader(preset, reasoning)
        self._room = max_events
        self._unreadable = False
        self._parser: SSEParser | NDJSONParser | None = None
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._notes: list[str] = []
        self._decode: Callable[[bytes, int, int], Iterable[tuple[int, str]]] = self._ignore

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Choose how to read; names of `headers` in lower case."""
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = headers.get("content-encoding", "identity").strip().lower()
        self._pieces.headers = headers
        if not accepted(status):
            self._decode = self._collect_problem
        elif encoding not in ("", "identity"):
            self._notes.append("the body is compressed although that was not asked for; its bytes are kept undecoded")
        elif (said := unreadable(media_type)) is not None:
            self._unreadable = True
            self._notes.append(said)
        elif media_type == "text/event-stream":
            self._parser, self._decode = SSEParser(strays=True), self._parse
        elif media_type in NDJSON_TYPES:
            self._parser, self._decode = NDJSONParser(), self._parse
        else:
            self._decode = self._take_text
            self._notes.append("the body has no event borders: each event here is what one read brought")

    def feed(self, data: bytes, read: int, at_ns: int) -> Iterable[tuple[int, str]]:
        """Decode what the read numbered `read` brought at `at_ns`; has to be iterated to its end."""
        return self._decode(data, read, at_ns)

    def close(self, read: int, at_ns: int, *, whole: bool) -> Iterator[tuple[int, str]]:
        """The body is over: what still waits came with this last read. `whole`: and nothing of it was left out."""
        if self._parser is not None:
            yield from self._rows(self._parser.close() if whole else [], read, at_ns)
            late_text, late_reasoning = self._pieces.close()
            if late_text or late_reasoning:
                self.events.text[-1] += late_text
                self.events.reasoning[-1] += late_reasoning
                yield len(self.events) - 1, late_text
            if self._parser.unfinished is not None:
                self._notes.append("the stream ended inside an event; that event was dropped")
        if (rest := self._utf8.decode(b"", final=True)) and self.events:
            self.events.text[-1] += rest
            self._notes.append("the text ended inside a character")
            yield len(self.events) - 1, rest

    @property
    def error(self) -> str | None:
        """The code of the event that reported an error."""
        return self._pieces.error

    @property
    def error_data(self) -> str:
        """That event's data."""
        return self._pieces.error_data

    @property
    def unread(self) -> str | None:
        """Why the first event that could not be read could not; None if all could."""
        return "binary_stream" if self._unreadable else self._pieces.unread_code

    @property
    def preset(self) -> str | None:
        """The name of the shape by which text was found; None where none fits or none was needed."""
        return None if self._parser is None else self._pieces.name

    @property
    def signed(self) -> bool:
        """The provider said that it finishes."""
        return self._pieces.answer is not None and self._pieces.answer.signed

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, in the provider's word; None where that was not told."""
        return None if self._pieces.answer is None else self._pieces.answer.finish_reason

    def problem_at_end(self, *, clean: bool) -> str | None:
        """The body is over, and this closed: why that is not the whole answer; None where it is, or nobody knows.

        See `streamkit.presets.Answer.problem_at_end`.
        """
        answer = self._pieces.answer
        if answer is None or self._parser is None:
            return None
        return answer.problem_at_end(clean=clean, unfinished=self._parser.unfinished)

    def notes(self) -> list[str]:
        """What has to be known about the rows."""
        return [*self._notes, *self._pieces.notes()]

    def _ignore(self, data: bytes, read: int, at_ns: int) -> Iterable[tuple[int, str]]:
        """Encoded bytes, and those before any head."""
        del data, read, at_ns
        return ()

    def _collect_problem(self, data: bytes, read: int, at_ns: int) -> Iterable[tuple[int, str]]:
        del read, at_ns
        self.problem += data[: MAX_PROBLEM_BYTES - len(self.problem)]
        return ()

    def _parse(self, data: bytes, read: int, at_ns: int) -> Iterable[tuple[int, str]]:
        assert self._parser is not None  # noqa: S101  set together with this method
        try:
            wire_events = self._parser.feed(data)
        except LimitExceeded as error:
            wire_events = error.events
            self.bound = "max_line_bytes" if isinstance(error, LineTooLong) else "max_event_bytes"
        return self._rows(wire_events, read, at_ns)

    def _rows(self, wire_events: Iterable[ServerSentEvent], read: int, at_ns: int) -> Iterator[tuple[int, str]]:
        events = self.events
        for wire_event in wire_events:
            if self._room <= 0:
                self.bound = "max_events"
                return
            self._room -= 1
            found = self._pieces.read(wire_event)
            text, reasoning = found.pop()
            new = len(events)
            for index, (late_text, late_reasoning) in enumerate(found, start=new - len(found)):
                events.text[index], events.reasoning[index] = late_text, late_reasoning
                yield index, late_text
            size = len(wire_event.data.encode("utf-8", "replace"))
            events.append(
                wire_event, at_ns=at_ns, handed_ns=at_ns, read=read, text=text, reasoning=reasoning, size=size
            )
            self.final = self._pieces.final
            yield new, text

    def _take_text(self, data: bytes, read: int, at_ns: int) -> Iterator[tuple[int, str]]:
        text, events = self._utf8.decode(data), self.events
        if events and events.read[-1] == read:
            events.text[-1] += text
            events.size[-1] += len(data)
        elif self._room <= 0:
            self.bound = "max_events"
            return
        else:
            self._room -= 1
            size = len(data)
            events.append(_NO_EVENT, at_ns=at_ns, handed_ns=at_ns, read=read, text=text, reasoning="", size=size)
        yield len(events) - 1, text


_NO_EVENT: Final = ServerSentEvent(event="", data="", id="")

"""Decoder: the bytes of one answer's body in, its events with their text out. No I/O, no clock.

Theory of operation
-------------------
The head decides, once, how the body is read:

    content codings           are taken off first (`content.codings`), whatever follows
    status other than 2xx     the problem is collected; there are no events
    a binary stream           nothing: `unread` says so
    a preset is given         its grammar  ─┐
    text/event-stream         SSE          ─┤
    NDJSON by any name        NDJSON       ─┴▶ AnswerParser ─▶ PieceReader ─▶ a row of `events`
    anything else             a `Guess`: one of these, or text, of which what one read brought is one event

The `AnswerParser` looks at the first bytes before it believes what is expected; a guess keeps what came until it is
sure, and then takes it as it came, read by read: what is looked at loses nothing and moves no time.

`feed` is a generator: it yields the index of each row whose text has become known, and that text, before it looks at
the next event. Who iterates may so stamp and tell each event by itself, and what that takes is seen in the next one's
time. Nearly always that is the row just added; while a preset is still guessed the text of earlier rows may come late,
and where the wire has no event borders, more text of the same read.

A stream may come in several answers, one behind the other (`cut`, `back`): each has a parser and codings of its own, a
`Splice` says what of it is new, and the `PieceReader`, which judges the answer, is one for all.

No row is ever taken back. `final` and `bound` end it: behind `final` nothing changes the outcome, at a `bound` the rest
of the data is not looked at.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final, TypeAlias

from streamkit.content.codings import KNOWN, CodingError, Decoding, codings_of
from streamkit.content.head import accepted, grammar_of, media_types
from streamkit.content.looking import LOOK_BYTES, AnswerParser
from streamkit.errors import LimitExceeded, LineTooLong
from streamkit.lab.client.bulk import Bulk
from streamkit.lab.client.guess import Guess
from streamkit.lab.client.piece_reader import PieceReader
from streamkit.lab.client.resume import Place
from streamkit.lab.client.splice import Splice
from streamkit.lab.client.wire_failure import WireFailure
from streamkit.lab.recording.rows import Events
from streamkit.outcome import Outcome
from streamkit.parser import ServerSentEvent
from streamkit.presets import preset as find_preset
from streamkit.presets import unreadable
from streamkit.taps import LIVE_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from streamkit.content.head import Grammar
    from streamkit.presets import PresetLike

    _Decode: TypeAlias = Callable[[bytes, int, int], Iterable[tuple[int, str]]]

__all__ = ["MAX_EVENT_BYTES", "Decoder"]

MAX_EVENT_BYTES: Final = 16 << 20
"""Of one line or event: pictures come as megabytes of base64. A relay, which has many streams at once, bears less."""
MAX_PROBLEM_BYTES: Final = 64 * 1024
OTHER_ANSWER: Final = "other_answer"
"""The code of a stream behind whose cut another one came."""


class Decoder:
    """What one body says, as rows of `events`; how a row was handed on (`handed_ns`) is the business of others.

    final     an end marker or an error event was read: nothing that comes can change the outcome
    bound     the bound of ours that was reached
    problem   the body behind a status other than 2xx
    coding    the content codings that lay over the body, as `gzip, br`; `decoded_bytes`: what is under them so far
    undecoded how that body could not be decoded, or broke off inside a coding, or could not be joined to what had come
    splice    what of a further answer is new
    astray    what comes is another answer than the one before the cut
    returned_ns   when the read returned whose bytes are decoded: when its events are handed on, where nobody listens
    """

    def __init__(
        self,
        preset: PresetLike | None = None,
        reasoning: bool = False,
        max_events: int = 1_000_000,
        max_event_bytes: int = MAX_EVENT_BYTES,
        max_bytes: int = 64 << 20,
        events: Events | None = None,
    ) -> None:
        self.events = Events() if events is None else events
        self.returned_ns = 0
        self.final = False
        self.bound: str | None = None
        self.problem = bytearray()
        self.coding: str | None = None
        self.undecoded: WireFailure | None = None
        self.splice = Splice(self.events)
        self.astray = False
        self.decoded_bytes = 0
        self._resumed = False
        self._given = None if preset is None else find_preset(preset)
        self._pieces = PieceReader(preset, reasoning)
        self._bulk = Bulk(self.events, self._pieces)
        self._room = max_events
        self._max_event_bytes = max_event_bytes
        self._room_for_bytes = max_bytes
        self._parser: AnswerParser | None = None
        self._typeless = False  # a preset was believed, and no media type
        self._guess = Guess()
        self._held: list[tuple[bytes, int, int]] = []  # while it guesses
        self._unreadable = False
        self._retry_ms: int | None = None
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._notes: list[str] = []
        self._coding = Decoding(())
        self._decode: _Decode = self._ignore
        self._uncoded: _Decode = self._ignore  # what is done with the body under its codings

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Choose how to read; names of `headers` in lower case."""
        self._pieces.headers = headers
        self.splice.head(headers.get("x-stream-id", ""))
        self._decode = self._uncoded = self._choose(status, headers)
        self._take_codings_off(headers)

    def cut(self, read: int, at_ns: int) -> Iterator[tuple[int, str]]:
        """The connection is over, and the stream perhaps not: what is whole came with this last read. Twice is once."""
        if self._held:
            yield from self._settle(self._guess.end())
        if self._parser is not None:
            yield from self._rows(self._parser.close(), read, at_ns)
        if self.undecoded is None and not self._coding.whole:
            self.undecoded = self._inside_its_coding()

    def place(self, size: int) -> Place:
        """How far the stream had come when its connection ended, with `size` bytes of body."""
        grammar: Grammar | None = "text" if self._parser is None else self._parser.grammar
        told, retry_ms = ("", None) if self._parser is None else (self._parser.last_event_id, self._parser.retry_ms)
        last_id, stuck = self.splice.cut(grammar, told)
        self._retry_ms = self._retry_ms if retry_ms is None else retry_ms
        return Place(len(self.events), size, grammar, last_id, stuck, self._retry_ms)

    def anew(self, status: int, headers: Mapping[str, str]) -> None:
        """Nothing had come of the answers before this one: it is read as if it were the first."""
        self._parser, self._held, self._guess = None, [], Guess()
        self._coding, self.undecoded = Decoding(()), None
        self._notes.clear()
        self.head(status, headers)

    def back(self, headers: Mapping[str, str]) -> None:
        """The stream goes on with another answer, which is written as the one before it was."""
        self.undecoded, self._coding = None, Decoding(())
        if self._parser is None or self._parser.grammar is None:
            self.splice.head("")  # no number tells which bytes are replayed
            return  # a text goes on at any byte, inside a character too
        self.splice.head(headers.get("x-stream-id", ""), headers.get(LIVE_HEADER, ""))
        bound = self._max_event_bytes
        self._parser = AnswerParser(self._parser.grammar, max_line_bytes=bound, max_event_bytes=bound)
        self._resumed = True
        self._decode = self._uncoded = self._parse
        self._take_codings_off(headers)

    def refused(self, data: bytes) -> None:
        """The stream was asked for again, and refused: more of the problem behind that status."""
        self._collect_problem(data, 0, 0)

    def _take_codings_off(self, headers: Mapping[str, str]) -> None:
        codings = codings_of(headers.get("content-encoding"))
        if not codings:
            return
        self.coding = ", ".join(codings)
        try:
            self._coding, self._decode = Decoding(codings), self._uncode
        except ValueError:
            self._decode = self._ignore
            self._undecodable("unknown_coding", f"the body is {self.coding}; what can be decoded is {', '.join(KNOWN)}")

    def _choose(self, status: int, headers: Mapping[str, str]) -> _Decode:
        if not accepted(status):
            return self._collect_problem
        content_type = headers.get("content-type")
        types = media_types(content_type)
        if said := unreadable(*types):
            self._unreadable = True
            self._notes.append(said)
            return self._ignore
        if "text/html" in types:
            self._notes.append("the answer calls itself text/html: perhaps a web page, and no stream")
        told = grammar_of(content_type)
        expected = told if self._given is None else self._given.grammar
        self._typeless = told is None and self._given is not None
        if expected is not None:
            bound = self._max_event_bytes
            self._parser = AnswerParser(expected, max_line_bytes=bound, max_event_bytes=bound)
            return self._parse
        if types == {"text/plain"} and headers.get("x-content-type-options", "").strip().lower() == "nosniff":
            return self._as_text()  # its sender says that it is what it says
        is_json = any(name.endswith("json") for name in types)
        self._guess = Guess(self._max_event_bytes if is_json else LOOK_BYTES)
        return self._hold

    def feed(self, data: bytes, read: int, at_ns: int) -> Iterable[tuple[int, str]]:
        """Decode what the read numbered `read` brought at `at_ns`; has to be iterated to its end."""
        return self._decode(data, read, at_ns)

    def takes_whole(self, size: int) -> bool:
        """So many bytes more can be taken by `take`: of a plain stream of events, in the middle of its text, far from
        every bound.
        """
        return (
            self._parser is not None
            and self._parser.grammar is not None
            and self._decode == self._parse
            and not self._resumed
            and 2 * self._room >= size  # no event takes less than two bytes
            and size <= self._max_event_bytes
            and self._pieces.steady
        )

    def take(self, parts: Sequence[bytes], first: int, at_ns: list[int], returned_ns: list[int]) -> int:
        """What several reads brought, numbered from `first`, as `feed` takes it one by one, but where nobody listens;
        how many of them were taken: behind a bound none is.
        """
        assert self._parser is not None  # noqa: S101  see takes_whole
        before = len(self.events)
        taken = self._bulk.take(self._parser, parts, first, at_ns, returned_ns)
        self._room -= len(self.events) - before
        self.bound = self._bulk.bound
        self.final = self._pieces.final
        return taken

    def close(self, read: int, at_ns: int, *, whole: bool) -> Iterator[tuple[int, str]]:
        """The body is over: what still waits came with this last read. `whole`: and nothing of it was left out."""
        if self._held:
            yield from self._settle(self._guess.end())
        if self._parser is not None:
            yield from self._rows(self._parser.close() if whole else [], read, at_ns)
            yield from self._late(self._pieces.settle())
            self.final = self._pieces.final
            late_text, late_reasoning = self._pieces.close()
            if late_text or late_reasoning:
                self.events.grow(-1, late_text, late_reasoning)
                yield len(self.events) - 1, late_text
            if self._typeless and not self.events:
                self._notes.append("the body holds no event; without preset= it is recorded as plain text")
            elif self._parser.unfinished is not None:
                self._notes.append("the stream ended inside an event; that event was dropped")
        if whole and self.undecoded is None and not self._coding.whole:
            self.undecoded = self._inside_its_coding()
        if (rest := self._utf8.decode(b"", final=True)) and self.events:
            self.events.grow(-1, rest, "")
            self._notes.append("the text ended inside a character")
            yield len(self.events) - 1, rest

    def _inside_its_coding(self) -> WireFailure:
        return WireFailure(Outcome("truncated"), f"the body ended inside its coding ({self.coding})")

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

    def problem_at_end(self, *, clean: bool, last: bool = True) -> str | None:
        """The body is over, and this closed: why that is not the whole answer; None where it is, or nobody knows.

        Not the `last` one: what was cut off is left out, as it may come once more and whole.
        See `streamkit.presets.Answer.problem_at_end`.
        """
        answer = self._pieces.answer
        if answer is None or self._parser is None:
            return None
        unfinished = self._parser.unfinished
        unfinished = unfinished if last or unfinished is None else _NO_EVENT
        return answer.problem_at_end(
            clean=clean, unfinished=unfinished, foreign=self._pieces.other_provider is not None
        )

    def notes(self) -> list[str]:
        """What has to be known about the rows."""
        return [*self._notes, *self._pieces.notes(), *self.splice.notes()]

    def _ignore(self, data: bytes, read: int, at_ns: int) -> Iterable[tuple[int, str]]:
        """What cannot be decoded, and what comes before any head."""
        del data, read, at_ns
        return ()

    def _uncode(self, data: bytes, read: int, at_ns: int) -> Iterator[tuple[int, str]]:
        """A read may grow to any size: what it grows to counts against the bound as it comes."""
        try:
            for part in self._coding.feed(data):
                yield from self._uncoded(part[: self._room_for_bytes], read, at_ns)
                self._room_for_bytes -= len(part)
                self.decoded_bytes += len(part)
                if self._room_for_bytes < 0:
                    self.bound = self.bound or "max_bytes"
                if self.bound is not None:
                    return
        except CodingError:
            self._undecodable(
                "malformed_coding", f"from read {read} on, the body is not the {self.coding} that its head promises"
            )
            self._decode = self._ignore

    def _undecodable(self, code: str, why: str) -> None:
        self.undecoded = WireFailure(Outcome("error_event", code), why)
        self._notes.append(f"{why}; its bytes are kept as they came")

    def _hold(self, data: bytes, read: int, at_ns: int) -> Iterable[tuple[int, str]]:
        self._held.append((data, read, at_ns))
        grammar = self._guess.feed(data)
        return () if grammar is None else self._settle(grammar)

    def _settle(self, grammar: Grammar) -> Iterator[tuple[int, str]]:
        """It is known now what the body is: what was held comes as it came."""
        held, self._held = self._held, []
        bound = self._max_event_bytes
        if grammar == "text":
            decode = self._as_text()
        else:
            self._parser = AnswerParser(grammar, max_line_bytes=bound, max_event_bytes=bound)
            decode = self._parse
        if self._decode == self._hold:  # no coding lies over it
            self._decode = decode
        self._uncoded = decode
        for part in held:
            if self.bound is None:
                yield from decode(*part)

    def _as_text(self) -> _Decode:
        self._notes.append("the body has no event borders: each event here is what one read brought")
        return self._take_text

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

    def _new(self, wire_events: Iterable[ServerSentEvent]) -> Iterator[ServerSentEvent]:
        """What had not come before the cut; of another answer nothing."""
        yield from self.splice.new(wire_events)
        if self.splice.differs:
            self.astray = True
            self.undecoded = WireFailure(
                Outcome("error_event", OTHER_ANSWER),
                "after the cut the server sent another answer, which is not joined",
            )
            self._decode = self._uncoded = self._ignore

    def _rows(self, wire_events: Iterable[ServerSentEvent], read: int, at_ns: int) -> Iterator[tuple[int, str]]:
        assert self._parser is not None  # noqa: S101  whose events these are
        self._pieces.is_sse = self._parser.grammar == "sse"
        events = self.events
        for wire_event in self._new(wire_events) if self._resumed else wire_events:
            if self._room <= 0:
                self.bound = "max_events"
                return
            self._room -= 1
            found = self._pieces.read(wire_event)
            text, reasoning = found.pop()
            new = len(events)
            yield from self._late(found)
            size = len(wire_event.data.encode("utf-8", "replace"))
            events.append(
                wire_event,
                at_ns=at_ns,
                handed_ns=self.returned_ns,
                read=read,
                text=text,
                reasoning=reasoning,
                size=size,
            )
            self.final = self._pieces.final
            yield new, text

    def _late(self, found: Sequence[tuple[str, str]]) -> Iterator[tuple[int, str]]:
        """(text, reasoning) of the last rows, which had none."""
        for index, (text, reasoning) in enumerate(found, start=len(self.events) - len(found)):
            self.events.grow(index, text, reasoning)
            yield index, text

    def _take_text(self, data: bytes, read: int, at_ns: int) -> Iterator[tuple[int, str]]:
        text, events = self._utf8.decode(data), self.events
        if events and events.read[-1] == read:
            events.grow(-1, text, "")
            events.size[-1] += len(data)
        elif self._room <= 0:
            self.bound = "max_events"
            return
        else:
            self._room -= 1
            size, handed_ns = len(data), self.returned_ns
            events.append(_NO_EVENT, at_ns=at_ns, handed_ns=handed_ns, read=read, text=text, reasoning="", size=size)
        yield len(events) - 1, text


_NO_EVENT: Final = ServerSentEvent(event="", data="", id="")

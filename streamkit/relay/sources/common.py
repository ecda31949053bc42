"""A read that is nothing but common events, taken at once: bytes in, texts out. No I/O.

    reads = CommonReads(answer, parser, 65_536)
    if (texts := reads.texts(data)) is None:  # ["Hi", " there"]; None: nothing was done
        events = reads.feed(data)             # the general way; behind it, once `answer` has read them:
        reads.settle(events)

**Theory of operation.** The general way goes from bytes to events, from these to pieces, from these to bytes: it is
what defines an answer. Most reads of a running answer are plain beyond that: events of one shape and one type, each on
one line, each a text and nothing else. Such a read changes nothing in the parser (`between_events`) nor in the answer
(`steady`), so both are passed by, and one function reads it (`presets.common`). At the first doubt all of the read goes
the general way, with what had been kept of an event in progress in front of it: nothing is lost, nothing is read twice,
and the way may change with every read.

    state     it is known                     a read                                              then
    none      nothing                         the general way, and `settle`                       learned, or none
    learned   how the last events looked      one event, and it is so: its text (`presets.common` learned
                                              has a function for just that)
                                              all of it is so: its texts                          learned
                                              else the general way; `MISSES` in a row: as none    learned, or none
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from streamkit.content.looking import AnswerParser
from streamkit.parser import ServerSentEvent
from streamkit.presets import Answer
from streamkit.presets.common import Common, OneCommon

__all__ = ["CommonReads"]

LF: Final = 10
CR: Final = 13
MISSES: Final = 2
LESSONS: Final = 32
"""How often it is learned what is common: an answer whose events change all the time has no common ones."""


class _Written(NamedTuple):
    """How events are written: what stands in front of the data and behind it, and what lies between the data of two;
    and where the data of the first begin and those of the last end.
    """

    prefix: bytes
    blank: bytes
    border: bytes
    before: int
    behind: int


def _written(prefix: bytes, blank: bytes) -> _Written:
    return _Written(prefix, blank, blank + prefix, len(prefix), -len(blank))


class CommonReads:
    """The common reads of one `answer`, whose bytes otherwise go through `parser`; none is longer than `max_bytes`."""

    __slots__ = (*("_answer", "_common", "_kept", "_lessons", "_max_bytes", "_missed", "_one", "_parser", "_written"),)

    def __init__(self, answer: Answer, parser: AnswerParser, max_bytes: int) -> None:
        self._answer = answer
        self._parser = parser
        self._max_bytes = max_bytes
        self._common: Common | None = None
        self._one: OneCommon | None = None
        self._lessons = LESSONS
        self._missed = 0
        self._written = _written(b"", b"\n")
        self._kept = b""  # of an event that has begun

    def texts(self, data: bytes) -> list[str] | None:
        """The texts of the events that these bytes complete; None, and nothing done, if they may be more than that."""
        one = self._one
        if one is not None and not self._kept and len(data) <= self._max_bytes:
            texts = one(data)
            if texts is not None:
                self._missed = 0
                return texts
        common = self._common
        if common is None:
            return None
        prefix, blank, border, before, behind = self._written
        kept = b""
        if self._kept:
            data = self._kept + data
        if len(data) > self._max_bytes:
            return self._other()
        if not data.endswith(blank):
            data, kept = _cut(data, blank)
            if _may_end(kept):
                return self._other()
            if not data:
                self._kept = kept
                return []
        events = data[before:behind].split(border)
        inside = b"".join(events)  # in which to look for bytes takes a tenth of the time of counting them in `data`
        if data.startswith(prefix) and LF not in inside and CR not in inside:
            texts = common(events)
            if texts is not None:
                self._kept, self._missed = kept, 0
                return texts
        return self._other()

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that these bytes complete, in the general way. Raises what the parser does."""
        if self._kept:
            data, self._kept = self._kept + data, b""
        if self._lessons and self._answer.steady:  # the next one may be common, so the parser is left between two
            whole, kept = _cut(data, self._blank_of(data))
            if whole and len(kept) < self._max_bytes and not _may_end(kept):
                data, self._kept = whole, kept
        return self._parser.feed(data)

    def settle(self, events: Sequence[ServerSentEvent], data: bytes) -> None:
        """The answer has read these events, which `data` completed: whether the next read may be a common one."""
        if not (self._answer.steady and self._parser.between_events):
            self._common = self._one = None
        elif self._common is None and events and self._lessons:
            self._lessons -= 1
            self._missed = 0
            self._learn(events[-1], self._blank_of(data))

    def ended(self) -> None:
        """The body is over: what was kept is the parser's, as all that no event came of."""
        if self._kept:
            self._parser.feed(self._kept)
            self._kept = b""

    def _other(self) -> list[str] | None:
        """It is no common read."""
        self._missed += 1
        if self._missed >= MISSES:
            self._common = self._one = None
        return None

    def _learn(self, event: ServerSentEvent, blank: bytes) -> None:
        self._common = self._answer.common(event)
        if self._parser.grammar == "ndjson":
            prefix = b""
        elif event.event == "message":
            prefix = b"data: "
        else:
            prefix = b"event: %b%bdata: " % (event.event.encode(), blank[: len(blank) // 2])
        self._written = _written(prefix, blank)
        self._one = self._answer.one_common(event, prefix, blank)

    def _blank_of(self, data: bytes) -> bytes:
        """What stands behind each event."""
        if self._parser.grammar == "ndjson":
            return b"\n"
        return b"\r\n\r\n" if b"\r" in data else b"\n\n"


def _cut(data: bytes, blank: bytes) -> tuple[bytes, bytes]:
    """Up to the end of the last event, and what begins behind it."""
    end = data.rfind(blank)
    return (b"", data) if end < 0 else (data[: end + len(blank)], data[end + len(blank) :])


def _may_end(kept: bytes) -> bool:
    """It may end an event after all: by other line ends, or by the beginning of them."""
    return b"\r" in kept or b"\n\n" in kept

"""JSONParser: JSON values one after the other, an event each; over however many lines, in an array or not."""

from __future__ import annotations

import re
from typing import Final

from streamkit.errors import EventTooLarge
from streamkit.parser.event import ServerSentEvent
from streamkit.parser.lines import Readable, positive, to_bytes
from streamkit.parser.sse import SSEParser

__all__ = ["JSONParser"]

_SIGN: Final = re.compile(rb'["{}\[\]]')
_QUOTE: Final = re.compile(rb'["\\]')
_BETWEEN: Final = re.compile(rb"[ \t\r\n,\x1e\xef\xbb\xbf]*")  # commas, RFC 7464's separator, a BOM
_SCALAR_END: Final = re.compile(rb"[\s,\]]")
_FIELD: Final = re.compile(rb"(data|event|id|retry)?:")
LONGEST_FIELD: Final = len("event:")
_OPENING: Final = b"{["
_DONE: Final = b"[DONE]"


class JSONParser:
    """A parser for JSON in any form: one event of type "message" for each value, with its text as it came as `data`.

        >>> from streamkit.parser import JSONParser
        >>> [event.data for event in JSONParser().feed(b'[{"text": "hi"},\\n {"text":\\n "ho"}]')]
        ['{"text": "hi"}', '{"text":\\n "ho"}']

    For answers that are JSON although a stream was asked for: one object over several lines, objects in lines or one
    after the other, RFC 7464's sequences, and an array of objects (Gemini's without `alt=sse`), each element of which
    is an event as soon as it is complete. How the bytes are split does not matter. A value ends where its brackets do;
    that it is JSON has to be checked by whoever reads the event.

    Text between values that is not a value is an event of its own, line by line (`[DONE]`). From a line on that could
    belong to an event stream, the rest is read as an event stream (`data: [DONE]` after a whole answer).

    A value or a line of more than `max_event_bytes` raises `EventTooLarge` and is dropped; the next `feed` goes on
    after it, as in `SSEParser`.
    """

    def __init__(self, *, max_event_bytes: int = 1 << 20) -> None:
        self.unfinished: ServerSentEvent | None = None
        self._max_event = positive("max_event_bytes", max_event_bytes)
        self._item = bytearray()  # the value or line in progress
        self._kind = ""  # what that is: "value", "string", "scalar", "line"; "": nothing is in progress
        self._depth = 0  # brackets that are open in it
        self._quoted = False  # inside a string of it
        self._escaped = False  # behind a backslash
        self._array = False  # inside an array at the top
        self._waiting = b""  # behind an oversized item
        self._skipping = False
        self._stream: SSEParser | None = None  # for the rest
        self._closed = False

    def __repr__(self) -> str:
        return f"<JSONParser {'closed' if self._closed else f'{len(self._item)} bytes pending'}>"

    between_events = False  # a document is never taken apart without the parser

    def feed(self, data: Readable) -> list[ServerSentEvent]:
        """Take some bytes, and return the values they complete as events, in order.

        Raises EventTooLarge (see the class), TypeError for text, RuntimeError after `close`.
        """
        if self._closed:
            raise RuntimeError("feed() after close(): the stream has ended; use a new JSONParser for the next")
        data, self._waiting = self._waiting + to_bytes(data), b""
        events: list[ServerSentEvent] = []
        pos = 0
        while pos < len(data) and self._stream is None:
            pos = self._go_on(data, pos, events) if self._kind else self._begin(data, pos)
        if self._stream is not None and pos < len(data):
            events += self._stream.feed(data[pos:])
        return events

    def close(self) -> list[ServerSentEvent]:
        """Tell the parser that the body has ended; returns a last `[DONE]`, or `[]`.

        `unfinished` is then a value that was cut, or an array that did not end.
        """
        if self._closed:
            return []
        self._closed = True
        if self._stream is not None:
            last = self._stream.close()
            self.unfinished = self._stream.unfinished
            return last
        item, self._item = bytes(self._item), bytearray()
        if self._kind == "line" and item.strip() == _DONE:  # the one line that is known to be whole
            return [_event(item.strip())]
        if self._kind or self._array or self._waiting:
            self.unfinished = _event(item)
        return []

    def _begin(self, data: bytes, pos: int) -> int:
        """What stands next: where to go on."""
        match = _BETWEEN.match(data, pos)
        assert match is not None  # noqa: S101  it can be empty
        pos = match.end()
        if pos == len(data):
            return pos
        first = data[pos : pos + 1]
        if first == b"]" and self._array:
            self._array = False
            return pos + 1
        if first == b"{" or (first == b"[" and self._array):
            self._kind = "value"
        elif first == b'"' and self._array:
            self._kind = "string"
        elif first == b"[":
            self._kind = "opening"
            self._item += b"["
            return pos + 1
        else:
            self._kind = "scalar" if self._array else "line"
        return pos

    def _go_on(self, data: bytes, pos: int, events: list[ServerSentEvent]) -> int:
        if self._kind == "opening":
            return self._open(data, pos)
        if self._kind == "line":
            return self._line(data, pos, events)
        if self._kind == "scalar":
            match = _SCALAR_END.search(data, pos)
            return self._take(data, pos, len(data) if match is None else match.start(), events, ends=match is not None)
        return self._value(data, pos, events)

    def _open(self, data: bytes, pos: int) -> int:
        """Behind `[`: an array, or a line such as `[DONE]`."""
        if data[pos : pos + 1] in b" \t\r\n":
            return pos + 1
        if data[pos : pos + 1] in b'{["]-0123456789tfn':
            self._kind, self._array = "", True
            self._item.clear()
        else:
            self._kind = "line"
        return pos

    def _line(self, data: bytes, pos: int, events: list[ServerSentEvent]) -> int:
        end = data.find(b"\n", pos)
        stop = len(data) if end < 0 else end
        begins = bytes(self._item[:LONGEST_FIELD]) + data[pos : min(stop, pos + LONGEST_FIELD)]
        if not self._array and len(self._item) < LONGEST_FIELD and _FIELD.match(begins):
            self._stream = SSEParser(max_line_bytes=self._max_event, max_event_bytes=self._max_event, strays=True)
            before = self._stream.feed(bytes(self._item))
            assert not before  # noqa: S101  the beginning of a line is no event
            self._item.clear()
            return pos
        return self._take(data, pos, stop, events, ends=end >= 0)

    def _value(self, data: bytes, pos: int, events: list[ServerSentEvent]) -> int:
        at = pos
        while at < len(data):
            if self._escaped:
                self._escaped, at = False, at + 1
            elif self._quoted:
                match = _QUOTE.search(data, at)
                if match is None:
                    break
                self._escaped, self._quoted, at = match[0] == b"\\", match[0] != b'"', match.end()
            else:
                match = _SIGN.search(data, at)
                if match is None:
                    break
                at = match.end()
                if match[0] == b'"':
                    self._quoted = True
                    continue
                self._depth += 1 if match[0] in _OPENING else -1
            if not self._depth and not self._quoted and not self._escaped:
                return self._take(data, pos, at, events, ends=True)
        return self._take(data, pos, len(data), events, ends=False)

    def _take(self, data: bytes, pos: int, stop: int, events: list[ServerSentEvent], *, ends: bool) -> int:
        """These bytes are the item's; with `ends`, its last ones. Where to go on."""
        large = len(self._item) + stop - pos > self._max_event
        if self._skipping or large:
            self._item.clear()
        else:
            self._item += data[pos:stop]
        told, self._skipping = self._skipping, (self._skipping or large) and not ends
        if ends:
            if not (told or large):
                events.append(_event(bytes(self._item)))
            self._item.clear()
            self._kind = ""
        if large and not told:
            self._waiting = data[stop:]
            raise EventTooLarge(self._max_event, events)
        return stop


def _event(item: bytes) -> ServerSentEvent:
    return ServerSentEvent(data=item.decode("utf-8", "replace").rstrip("\r"))

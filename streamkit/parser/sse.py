"""The event-stream grammar: WHATWG HTML, sections 9.2.5 (parsing) and 9.2.6 (interpreting an event stream).

**Theory of operation.** Bytes take one of three ways, each quicker than the next, with one result:

    LF only, nothing pending but the beginning of a small event         `_at_once`: `_batch` for what is whole
    whole events somewhere in it                                        `_normalise`, `_parse`: `_batch` for those
    the rest: an event that began before, or does not end here          `_lines`, each against the bounds

and a `_batch` looks for the two shapes that providers send (`_only_data_lines`, `_only_named_data`) before it takes
line after line. What is pending between two reads is the beginning of an event, not yet looked at (`_began`); or else
the line in progress (`_line`), the event in progress (`_data`, `_type`, `_id`, `_size`), a CR whose LF may come
(`_after_cr`), the beginning of a BOM (`_head`), and what stands behind an oversized event (`_waiting`, `_skipping`).
"""

from __future__ import annotations

from itertools import repeat, starmap
from typing import Final, NoReturn

from streamkit.errors import EventTooLarge, LineTooLong
from streamkit.parser.event import MAX_RETRY_MS, ServerSentEvent
from streamkit.parser.lines import Lines, Readable, positive, to_bytes

__all__ = ["SSEParser"]

_LF: Final = 0x0A
_CR: Final = 0x0D
_COLON: Final = 0x3A
_MOST_BEGUN: Final = 4096
"""A small event: so much of it may be copied with each line that comes of it."""
_new_tuple = tuple.__new__


class SSEParser(Lines):
    """A parser for event streams (Server-Sent Events), by the letter of WHATWG HTML, sections 9.2.5 and 9.2.6.

        >>> sk.SSEParser().feed(b"event: add\\ndata: 1\\n\\ndata: cut")
        [ServerSentEvent(event='add', data='1', id='')]

    The result does not depend on how the bytes are split. Each event is returned by the `feed` that completes it, even
    if its last byte is a lone CR. The cost is linear in the bytes.

    max_line_bytes    the longest line, comments included, without its line end (1 MiB)
    max_event_bytes   the largest event: all its lines together, without their ends and without comments (1 MiB)
    last_event_id     the id to start from, as an EventSource keeps it when it reconnects
    strays            servers that fail in mid-stream may write past the grammar, by which that is to be ignored. True:
                      it becomes an event of its own, after that of its block. A field named `error` (llama.cpp) becomes
                      an event of type "error", bare JSON in place of fields one of type "message"

        >>> sk.SSEParser(strays=True).feed(b'error: {"code": 500}\\n\\n')
        [ServerSentEvent(event='error', data='{"code": 500}', id='')]

    One byte beyond a bound raises `LineTooLong` or `EventTooLarge`, once per event; that event is dropped as a whole,
    with its id, up to its blank line. What follows it is parsed by the next `feed`: call `feed(b"")` until it returns,
    since bytes with several oversized events raise for each of them.

    The parser has these attributes:

    last_event_id   the standard's last event ID string, set by each blank line
    retry_ms        the reconnection time the stream asked for; None if it did not
    comments        how many comment lines came (usually heartbeats)
    unfinished      after `close()`: the event that the end cut off, or None
    """

    def __init__(
        self,
        *,
        max_line_bytes: int = 1 << 20,
        max_event_bytes: int = 1 << 20,
        last_event_id: str = "",
        strays: bool = False,
    ) -> None:
        super().__init__()
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self.comments = 0
        self._max_line = positive("max_line_bytes", max_line_bytes)
        self._max_event = positive("max_event_bytes", max_event_bytes)
        self._batch_bytes = min(max_line_bytes, max_event_bytes)  # a batch no longer than this cannot break a bound
        self._began_bytes = min(self._batch_bytes, _MOST_BEGUN)
        self._began = b""  # how the next event begins, where nothing else is pending
        self._after_cr = False  # an LF that comes next belongs to the CR before it
        self._line_room = 0  # how long the line in progress may grow
        self._skipped_newline = False  # the last byte dropped was a line end
        # The event in progress; its buffers have the standard's names: data, event type, last event ID.
        self._data: list[str] = []
        self._type = ""
        self._id = last_event_id
        self._size = 0  # bytes of its lines so far; 0: no event in progress
        self._idle = False  # nothing is pending anywhere
        self._hears_strays = strays
        self._stray: list[str] = []
        self._stray_type = ""

    def __repr__(self) -> str:
        began = len(self._began) - self._began.count(b"\n")
        state = "closed" if self._closed else f"{began + len(self._line) + self._size} bytes pending"
        return f"<SSEParser {state}, last_event_id={self.last_event_id!r}, retry_ms={self.retry_ms}>"

    @property
    def between_events(self) -> bool:
        """Whether nothing is pending, so that whole events that come now could be read without the parser."""
        return self._idle

    def feed(self, data: Readable) -> list[ServerSentEvent]:
        """Take some bytes, and return the events they complete, in order; `b""` is allowed and adds nothing.

        Raises LineTooLong or EventTooLarge (see the class), TypeError for text, RuntimeError after `close`.
        """
        if type(data) is not bytes:
            data = to_bytes(data)
        line, began = self._line, self._began
        if line:
            if _LF not in data and _CR not in data and len(line) + len(data) <= self._line_room:
                line += data
                return []
        elif began and _LF not in data and _CR not in data:
            self._began = b""
            self._lines(began + data, 0, len(began) + len(data), [])  # it drips, and the next drop is for `line`
            return []
        elif began or self._idle:
            data, self._began = began + data, b""
            events = self._at_once(data)
            if events is not None:
                return events
        return self._parse(self._normalise(data))

    def close(self) -> list[ServerSentEvent]:
        """Tell the parser that the stream has ended. Returns `[]`: an event without its blank line is dropped.

        `unfinished` then holds as much of that event as had arrived, or None if the stream ended between events. It is
        not a valid event: its last line may be cut. Comments alone do not count. What was still waiting after an
        oversized event is dropped as well, and counts as unfinished. Closing twice is harmless.
        """
        if not self._closed:
            self._lines(self._began, 0, len(self._began), [])
            self._began = b""
            self.unfinished = self._what_is_cut()
            self._data, self._stray, self._idle = [], [], False
            self._end()
        return []

    # -- from bytes to lines -------------------------------------------------------------------------------------

    def _at_once(self, data: bytes) -> list[ServerSentEvent] | None:
        """The whole events of bytes with nothing pending before them; how the next one begins is kept. None, and
        nothing done, where that takes a longer way.
        """
        if _CR in data or len(data) > self._batch_bytes:
            return None
        events: list[ServerSentEvent] = []
        if data[-2:] == b"\n\n":
            self._batch(data, events)
            self._idle = True
            return events
        last = data.rfind(b"\n")  # a search for one byte costs a tenth of one for two
        end = last + 1 if data[last - 1 : last] == b"\n" else data.rfind(b"\n\n", 0, last + 1) + 2
        end = end if end > 1 else 0
        if not self._may_wait(data, end):
            return None
        if end:
            self._batch(data[:end], events)
        self._began, self._idle = data[end:], False
        return events

    def _may_wait(self, data: bytes, pos: int) -> bool:
        """Whether nobody has to know yet what stands from there on, in the beginning of an event: it is short, and none
        of its lines is a comment, which is counted when it comes, or a `retry`, which counts at once.
        """
        return (
            len(data) - pos <= self._began_bytes
            and data[pos : pos + 1] in b"dei"
            and data.find(b"\n:", pos) < 0
            and data.find(b"\nr", pos) < 0
        )

    def _normalise(self, data: bytes) -> bytes:
        """The same text without BOM and with LF as the only line end, whatever the split."""
        data = self._without_bom(data)
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if _CR in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _parse(self, data: bytes) -> list[ServerSentEvent]:
        """Finish the event in progress, take whole events in batches, begin the event at the end."""
        data, pos = self._take_waiting(data)
        stop = len(data)
        self._idle = False
        if self._skipping:
            pos = self._skip(data, pos)
        events: list[ServerSentEvent] = []
        while pos < stop:
            newline = data.find(b"\n", pos)  # a search for one byte costs a tenth of one for two, so it goes first
            between = not self._size and not self._line
            batch_end = data.rfind(b"\n\n", newline, pos + self._batch_bytes) + 2 if between and newline >= 0 else 1
            if batch_end > 1:
                self._batch(data[pos:batch_end], events)
                pos = batch_end
            elif between and not self._after_cr and self._may_wait(data, pos):
                self._began = data[pos:]
                return events
            else:
                end = self._event_end(data, pos, newline)
                self._lines(data, pos, end, events)
                pos = end
        self._idle = not (self._size or self._line or self._skipping or self._after_cr or self._head is not None)
        return events

    @staticmethod
    def _event_end(data: bytes, pos: int, newline: int) -> int:
        """Where to look for whole events again: behind a blank line, which may be the very first."""
        if newline == pos:
            return pos + 1
        end = data.find(b"\n\n", newline) if newline >= 0 else -1
        return end + 2 if end >= 0 else len(data)

    def _lines(self, data: bytes, pos: int, stop: int, events: list[ServerSentEvent]) -> None:
        """One line after the other, each against its bounds; the last one may be without its end."""
        line = self._line
        while pos < stop:
            end = data.find(b"\n", pos, stop)
            part = data[pos : end if end >= 0 else stop]
            size = len(line) + len(part)
            if size:
                comment = (line or part)[0] == _COLON
                room = self._max_line if comment else min(self._max_line, self._max_event - self._size)
                if size > room:
                    self._drop_event(data, pos, room, events)
                if end < 0:
                    line += part
                    self._line_room = room
                    return
                if line:
                    line += part
                    self._field(line.decode("utf-8", "replace"))
                    line.clear()
                else:
                    self._field(part.decode("utf-8", "replace"))
                self._size += 0 if comment else size
            else:
                self._dispatch(events)
            pos = end + 1

    def _drop_event(self, data: bytes, pos: int, room: int, events: list[ServerSentEvent]) -> NoReturn:
        """The line at `pos` breaks a bound: forget its event, remember what stands behind it, and say so."""
        self._line.clear()
        self._data.clear()
        self._stray.clear()
        self._type, self._id, self._size = "", self.last_event_id, 0
        self._skipping, self._skipped_newline = True, False
        behind = self._skip(data, pos)
        if behind < len(data):
            self._waiting = data, behind
        if room == self._max_line:
            raise LineTooLong(self._max_line, events)
        raise EventTooLarge(self._max_event, events)

    def _skip(self, data: bytes, pos: int) -> int:
        """Where the event that is being dropped ends; it may not end here."""
        if self._skipped_newline and data[pos : pos + 1] == b"\n":
            end = pos + 1
        elif (end := data.find(b"\n\n", pos) + 2) == 1:
            self._skipped_newline = data.endswith(b"\n") if pos < len(data) else self._skipped_newline
            return len(data)
        self._skipping = False
        return end

    # -- from lines to events ------------------------------------------------------------------------------------

    def _batch(self, data: bytes, events: list[ServerSentEvent]) -> None:
        """Whole events, LF only, within the bounds; none is in progress before or behind them.

        Decoding them at once replaces the same bytes as decoding the whole stream would: no malformed sequence
        reaches over a line end, which is ASCII.
        """
        if _only_data_lines(data, self.last_event_id, events) or _only_named_data(data, self.last_event_id, events):
            return
        lines = data.decode("utf-8", "replace").split("\n")
        lines.pop()  # nothing stands behind the last LF
        for line in lines:
            if line[:6] == "data: ":
                self._data.append(line[6:])
            elif line:
                self._field(line)
            else:
                self._dispatch(events)

    def _field(self, line: str) -> None:
        """Process one line that is not blank."""
        name, _, value = line.partition(":")
        if value[:1] == " ":
            value = value[1:]
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif not name:
            self.comments += 1
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = _clamped(value)
        elif self._hears_strays:
            self._keep_stray(name, value, line)

    def _keep_stray(self, name: str, value: str, line: str) -> None:
        """A line that the grammar ignores: the field `error`, or the first or a further line of bare JSON."""
        if name == "error" and not self._stray:
            self._stray.append(value)
            self._stray_type = "error"
        elif self._stray or (line[0] in "{[" and line != "[DONE]"):  # a mark that is no data ends nothing
            self._stray_type = self._stray_type if self._stray else "message"
            self._stray.append(line)

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        """A blank line: commit the id, then let the event go if it has a data line at all."""
        self.last_event_id = self._id
        if self._data:
            data = "\n".join(self._data)
            events.append(_new_tuple(ServerSentEvent, (self._type or "message", data, self._id)))
            self._data.clear()
        if self._stray:
            events.append(_new_tuple(ServerSentEvent, (self._stray_type, "\n".join(self._stray), self._id)))
            self._stray.clear()
        self._type, self._size = "", 0

    def _what_is_cut(self) -> ServerSentEvent | None:
        if self._skipping or self._waiting:
            return ServerSentEvent(id=self.last_event_id)
        line = bytes(self._line) or self._head or b""
        if line and line[0] != _COLON:
            retry_ms = self.retry_ms
            self._field(line.decode("utf-8", "replace"))
            self.retry_ms = retry_ms  # its last digits may be missing
        elif not self._size:
            return None
        if self._stray and not self._data:
            return ServerSentEvent(self._stray_type, "\n".join(self._stray), self._id)
        return ServerSentEvent(self._type or "message", "\n".join(self._data), self._id)


def _only_data_lines(data: bytes, last_event_id: str, events: list[ServerSentEvent]) -> bool:
    """Add the events of whole blocks if it can be proved that each block is one `data: ` line; else do nothing.

    `data` has LF as its only line end and ends with a blank line. The proof, at the speed of C: it begins with
    "data: ", and what lies between is split at every blank line that "data: " follows. If no part holds an LF, then
    `data` is exactly "data: " + part + LF LF, once for each part.
    """
    if data[:6] != b"data: ":
        return False
    body = data[6:-2]
    if _LF not in body:  # one event per read: what a live stream looks like
        events.append(_new_tuple(ServerSentEvent, ("message", body.decode("utf-8", "replace"), last_event_id)))
        return True
    parts = body.decode("utf-8", "replace").split("\n\ndata: ")
    if "\n" in "".join(parts):
        return False
    fields = zip(repeat("message"), parts, repeat(last_event_id))
    # The objects are most of the cost: `starmap` hands each argument tuple on as it is, `map` would make its own (5 %).
    events += starmap(_new_tuple, zip(repeat(ServerSentEvent), fields))  # noqa: RUF058
    return True


def _only_named_data(data: bytes, last_event_id: str, events: list[ServerSentEvent]) -> bool:
    """The same for blocks of an `event: ` line and then a `data: ` line (Anthropic, OpenAI Responses, Cohere).

    Split at every blank line that "event: " follows, a block with no LF but the one before "data: " is those two lines.
    """
    if data[:7] != b"event: ":
        return False
    found = []
    for block in data[7:-2].decode("utf-8", "replace").split("\n\nevent: "):
        kind, data_field, value = block.partition("\ndata: ")
        if not data_field or "\n" in kind or "\n" in value:
            return False
        found.append(_new_tuple(ServerSentEvent, (kind or "message", value, last_event_id)))
    events += found
    return True


def _clamped(digits: str) -> int:
    """The number, however long: `int` refuses more than 4,300 digits, zeros in front included."""
    digits = digits.lstrip("0")
    return min(int(digits or "0"), MAX_RETRY_MS) if len(digits) < 20 else MAX_RETRY_MS

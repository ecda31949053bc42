"""NDJSONParser: newline-delimited JSON, one event a line."""

from __future__ import annotations

import orjson

from streamkit.errors import LineTooLong
from streamkit.parser.event import ServerSentEvent
from streamkit.parser.lines import Lines, Readable, positive, to_bytes

__all__ = ["NDJSONParser"]


class NDJSONParser(Lines):
    """A parser for newline-delimited JSON: bytes in, one event per line out.

        >>> sk.NDJSONParser().feed(b'{"text": "hi"}\\n\\n{"te')
        [ServerSentEvent(event='message', data='{"text": "hi"}', id='')]

    Each line that is not blank becomes a `ServerSentEvent` of type "message", with the line as its `data`. A line ends
    at LF, and nothing else; a CR before it is dropped. Whether it is JSON is not checked: that is the extractor's task.
    A BOM at the start is dropped, and invalid UTF-8 is replaced. How the bytes are split does not matter.

    A line longer than `max_line_bytes` (1 MiB; all bytes before its LF) raises `LineTooLong` and is dropped. What
    follows it is parsed by the next `feed`, as in `SSEParser`. After `close()`, `unfinished` is what the end cut off.
    """

    def __init__(self, *, max_line_bytes: int = 1 << 20) -> None:
        super().__init__()
        self._max_line = positive("max_line_bytes", max_line_bytes)

    def __repr__(self) -> str:
        return f"<NDJSONParser {'closed' if self._closed else f'{len(self._line)} bytes pending'}>"

    @property
    def between_events(self) -> bool:
        """Whether nothing is pending, so that whole lines that come now could be read without the parser."""
        return not (self._line or self._waiting or self._skipping or self._closed or self._head is not None)

    def feed(self, data: Readable) -> list[ServerSentEvent]:
        """Take some bytes, and return the events they complete, in order; `b""` is allowed and adds nothing.

        Raises LineTooLong (see the class), TypeError for text, RuntimeError after `close`.
        """
        data, pos = self._take_waiting(self._without_bom(data if type(data) is bytes else to_bytes(data)))
        events: list[ServerSentEvent] = []
        while (end := data.find(b"\n", pos)) >= 0:
            if not self._skipping:
                self._grow(data, pos, end, events)
                events += self._event()
            self._skipping, pos = False, end + 1
        if not self._skipping:
            self._grow(data, pos, len(data), events)
        return events

    def close(self) -> list[ServerSentEvent]:
        """Tell the parser that the stream has ended; returns the last line if only its newline is missing, else `[]`.

        Many producers leave out the last newline (JSON Lines allows that), so a last line that is one whole JSON text
        is returned. A cut line must not look complete: anything else is dropped, and kept in `unfinished`. A bare
        number never counts as whole, as `12` may be the beginning of `123`; every other JSON text shows its own end.
        An oversized line without its end, or bytes still waiting after one, count as unfinished too.
        """
        if self._closed:
            return []
        cut = bool(self._skipping or self._waiting)
        last = [ServerSentEvent(data=self._head.decode("utf-8", "replace"))] if self._head else self._event()
        self._end()
        if last and not cut and _is_whole_json(last[0].data):
            return last
        self.unfinished = last[0] if last else ServerSentEvent() if cut else None
        return []

    def _grow(self, data: bytes, pos: int, end: int, events: list[ServerSentEvent]) -> None:
        if len(self._line) + end - pos <= self._max_line:
            self._line += data[pos:end]
            return
        self._line.clear()
        self._skipping = end == len(data)
        if end + 1 < len(data):
            self._waiting = data, end + 1
        raise LineTooLong(self._max_line, events)

    def _event(self) -> list[ServerSentEvent]:
        """The line in progress, which ends here; blank ones (JSON's white space only) make no event."""
        text = self._line.decode("utf-8", "replace").removesuffix("\r")
        self._line.clear()
        return [ServerSentEvent(data=text)] if text.strip(" \t\r") else []


def _is_whole_json(text: str) -> bool:
    """One JSON text that no further byte could prolong; only a bare number, which ends in a digit, could go on."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return not text.rstrip(" \t\r")[-1].isdigit()

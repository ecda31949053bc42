"""What a body is written in where neither a preset nor its media type says: a guess that text is not taken for events.

Text may begin like anything: with a brace, with `data:`. So what looks like events is tried before it is believed:

    field lines only, up to the first event         SSE
    JSON, and the first value is a known provider's  JSON
    anything else                                   text
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from streamkit.content.looking import BOM, LOOK_BYTES, look
from streamkit.errors import LimitExceeded
from streamkit.parser import JSONParser, SSEParser
from streamkit.presets import SSE_TEXT, detect

if TYPE_CHECKING:
    from streamkit.content.head import Grammar

__all__ = ["Guess"]

_NO_FIELD: Final = re.compile(rb"^(?!(?:data|event|id|retry)?:|(?:data|event|id|retry)?\r?$)", re.M)


class Guess:
    """Fed the body's bytes until it says what they are; `most_bytes` of JSON may be looked at."""

    def __init__(self, most_bytes: int = LOOK_BYTES) -> None:
        self._first = b""
        self._json = JSONParser(max_event_bytes=most_bytes)
        self._is_json = False  # by its first bytes

    def feed(self, data: bytes) -> Grammar | None:
        """What it is; None: more of it is needed to say."""
        if self._is_json:
            return self._values(data)
        self._first += data
        grammar = look(self._first, "text")
        if grammar == "sse":
            return self._event_stream()
        self._is_json = grammar == "json"
        return self._values(self._first) if self._is_json else grammar

    def end(self) -> Grammar:
        """The body is over, and held no event: fields, or comments, that were cut; or else it was text."""
        if look(self._first, "text") != "sse" or _NO_FIELD.search(self._first.removeprefix(BOM)):
            return "text"
        return "text" if self._first.startswith(b":") and b"\n" not in self._first else "sse"

    def _event_stream(self) -> Grammar | None:
        lines, _, _ = self._first[:LOOK_BYTES].rpartition(b"\n")
        if lines and _NO_FIELD.search(lines.removeprefix(BOM)):
            return "text"
        return "sse" if len(self._first) >= LOOK_BYTES or SSEParser().feed(self._first) else None

    def _values(self, data: bytes) -> Grammar | None:
        try:
            values = self._json.feed(data)
        except LimitExceeded as error:
            values = error.events
            if not values:
                return "text"
        if not values:
            return None
        return "text" if detect(values[:1]) in (None, SSE_TEXT) else "json"

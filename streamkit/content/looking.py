"""What an answer is written in: as its preset or its media type has it, unless its first bytes differ.

    parser = AnswerParser("sse")          # what is expected
    for read in body:
        events = parser.feed(read)        # any split gives the same
    parser.grammar                        # what it was

Gateways write `application/json` over event streams, `text/plain` over JSON lines, and answer with one JSON document
where a stream was asked for. The bytes tell: no event stream begins with a brace, no JSON with a field's name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from streamkit.content.head import Grammar
from streamkit.parser import JSONParser, NDJSONParser, ServerSentEvent, SSEParser

__all__ = ["BOM", "LOOK_BYTES", "AnswerParser", "look"]

LOOK_BYTES: Final = 4096
"""White space in front of it may be as long; then it is what was expected."""

BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = b" \t\r\n"
_FIELDS: Final = (b":", b"data:", b"event:", b"id:", b"retry:")


def look(first: bytes, expected: Grammar) -> Grammar | None:
    """What a body that begins like this is written in, where `expected` was; None: it takes more of it to say.

    >>> from streamkit.content.looking import look
    >>> look(b"data: {", "ndjson"), look(b'{"error"', "sse"), look(b"hello", "text"), look(b"da", "ndjson")
    ('sse', 'json', 'text', None)
    """
    first = first[:LOOK_BYTES]
    text = first.removeprefix(BOM).lstrip(_BLANK)
    if not text:
        return None if len(first) < LOOK_BYTES else expected
    if text[0] == 0x1E:
        return "json"
    if text[:1] in b"{[":
        return _look_at_json(text, first, expected)
    if expected == "sse":
        return None if BOM.startswith(first) else "sse"
    if text.startswith(_FIELDS):
        return "sse"
    more = BOM.startswith(first) or any(field.startswith(text) for field in _FIELDS)
    return None if more else expected


def _look_at_json(text: bytes, first: bytes, expected: Grammar) -> Grammar | None:
    rest = text[1:].lstrip(b" \t\r")
    if expected != "ndjson" and text[:1] == b"{":
        return "json"
    if not rest:
        return None if len(first) < LOOK_BYTES else expected
    if text[:1] == b"{":  # lines, unless the first one ends behind its brace
        return "json" if rest[:1] == b"\n" else "ndjson"
    return expected if rest[:1] == b"D" else "json"  # [DONE]


class AnswerParser:
    """A parser of answers that are `expected` to be written in one grammar, and looked at before that is believed.

        >>> from streamkit.content.looking import AnswerParser
        >>> parser = AnswerParser("sse")
        >>> [event.data for event in parser.feed(b'{"error": {"code": 7}}')], parser.grammar
        (['{"error": {"code": 7}}'], 'json')

    `grammar` is None until it is known. Of "text" there are no events: its bytes are passed over. Bounds, and what
    raises, are those of the parsers; a line's bound is an NDJSON line's too, an event's that of a JSON value.
    """

    def __init__(self, expected: Grammar, *, max_line_bytes: int = 1 << 20, max_event_bytes: int = 1 << 20) -> None:
        self.grammar: Grammar | None = None
        self.feed: Callable[[bytes], list[ServerSentEvent]] = self._look
        """The events that these bytes complete; that of the parser itself, as soon as there is one."""
        self._expected = expected
        self._bounds = max_line_bytes, max_event_bytes
        self._held = b""
        self._parser: SSEParser | NDJSONParser | JSONParser | None = None

    def close(self) -> list[ServerSentEvent]:
        """The body has ended: what that completes, by the rules of its grammar."""
        last: list[ServerSentEvent] = []
        if self.grammar is None and self._held:
            last = self._read_as(self._expected)
        return last if self._parser is None else [*last, *self._parser.close()]

    @property
    def unfinished(self) -> ServerSentEvent | None:
        """What the end of the body cut off, or None."""
        return None if self._parser is None else self._parser.unfinished

    @property
    def between_events(self) -> bool:
        """Nothing is pending: a read of whole events begins and ends here, and leaves nothing behind."""
        return self._parser is not None and self._parser.between_events

    @property
    def last_event_id(self) -> str:
        """The id behind which an event stream goes on (`SSEParser.last_event_id`); "" in other grammars."""
        return self._parser.last_event_id if isinstance(self._parser, SSEParser) else ""

    @property
    def retry_ms(self) -> int | None:
        """How long an event stream asks to wait before it is asked again; None where it does not say."""
        return self._parser.retry_ms if isinstance(self._parser, SSEParser) else None

    def _look(self, data: bytes) -> list[ServerSentEvent]:
        self._held += data
        grammar = look(self._held, self._expected)
        return [] if grammar is None else self._read_as(grammar)

    def _read_as(self, grammar: Grammar) -> list[ServerSentEvent]:
        held, self._held, self.grammar = self._held, b"", grammar
        max_line, max_event = self._bounds
        if grammar == "sse":
            self._parser = SSEParser(max_line_bytes=max_line, max_event_bytes=max_event, strays=True)
        elif grammar == "ndjson":
            self._parser = NDJSONParser(max_line_bytes=max_line)
        elif grammar == "json":
            self._parser = JSONParser(max_event_bytes=max_event)
        else:
            self.feed = _pass_over
            return []
        self.feed = self._parser.feed
        return self._parser.feed(held)


def _pass_over(_: bytes) -> list[ServerSentEvent]:
    return []

"""Bytes in, events out: parsers for event streams (SSE), newline-delimited JSON, and JSON in any other form; sans-IO.

    parser = SSEParser()
    for read in body:                  # any split of the bytes gives the same events
        for event in parser.feed(read):
            ...
    parser.close()
    parser.unfinished                  # what the end of the stream cut off, or None

Each read goes into `feed` of one of the parsers (two of which share their line buffer, `lines`), and comes out as
`ServerSentEvent`s. Nothing on the wire raises, except a line or an event beyond its bound:

    try:
        events = parser.feed(read)
    except LimitExceeded as error:
        events = error.events          # those before it; `feed(b"")` goes on after it

Doors: `SSEParser`, `NDJSONParser`, `JSONParser` (for answers that are JSON in whatever form), `ServerSentEvent`, and
`encode_event`, the way back from an event to its bytes.
"""

from __future__ import annotations

from streamkit.parser.event import MAX_RETRY_MS, ServerSentEvent, encode_event
from streamkit.parser.ndjson import NDJSONParser
from streamkit.parser.sse import SSEParser
from streamkit.parser.values import JSONParser

__all__ = [
    "MAX_RETRY_MS",
    "JSONParser",
    "NDJSONParser",
    "SSEParser",
    "ServerSentEvent",
    "encode_event",
]

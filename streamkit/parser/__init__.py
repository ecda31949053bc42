"""Bytes in, events out."""

from __future__ import annotations

from streamkit.parser.event import MAX_RETRY_MS, ServerSentEvent, encode_event
from streamkit.parser.ndjson import NDJSONParser
from streamkit.parser.sse import SSEParser

__all__ = [
    "MAX_RETRY_MS",
    "NDJSONParser",
    "SSEParser",
    "ServerSentEvent",
    "encode_event",
]

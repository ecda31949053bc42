"""What the head of an answer says about its body: whether there is one to read, and what it is written in."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

__all__ = ["NO_CONTENT", "Grammar", "accepted", "grammar_of", "media_types"]

Grammar: TypeAlias = Literal["sse", "ndjson", "json", "text"]
"""`json`: values one behind the other (`JSONParser`). `text`: none of the others; there are no events."""

NO_CONTENT: Final = frozenset((204, 205))
"""Accepted, and nothing follows."""

EVENT_STREAM: Final = "text/event-stream"
NDJSON_NAMES: Final = frozenset(
    f"{prefix}{name}"
    for prefix in ("", "x-")
    for name in ("ndjson", "jsonl", "jsonlines", "json-lines", "json-stream", "ldjson", "nljson", "ndjsonl")
)


def accepted(status: int) -> bool:
    """The status of an answer: 2xx, but not a part of one that nobody asked for (206, RFC 9110, section 15.3.7)."""
    return 200 <= status < 300 and status != 206


def media_types(content_type: str | None) -> set[str]:
    """The types that a Content-Type names, without parameters: none, one, or several where two parties have written it.

    >>> from streamkit.content.head import media_types
    >>> sorted(media_types("Text/Event-Stream; charset=utf-8, application/json"))
    ['application/json', 'text/event-stream']
    """
    words = (word.partition(";")[0].strip().lower() for word in (content_type or "").split(","))
    return {word for word in words if "/" in word}


def grammar_of(content_type: str | None) -> Grammar | None:
    """What the media type says that the body is written in; None where it does not say.

    >>> from streamkit.content.head import grammar_of
    >>> grammar_of("text/x-ndjson"), grammar_of("application/json-seq"), grammar_of("application/json")
    ('ndjson', 'json', None)
    """
    types = media_types(content_type)
    if len(types) != 1:
        return None
    (media_type,) = types
    if media_type == EVENT_STREAM:
        return "sse"
    name = media_type.partition("/")[2]
    if name in NDJSON_NAMES or name in ("stream+json", "x-stream+json", "json-seq+ndjson"):
        return "ndjson"
    return "json" if name == "json-seq" or name.endswith("+json-seq") else None

"""Media types of streams that no preset reads: what they are, and what to do instead."""

from __future__ import annotations

from typing import Final

__all__ = ["unreadable"]

_UNREADABLE: Final = {
    "application/vnd.amazon.eventstream": (
        "the answer is AWS's binary event stream (application/vnd.amazon.eventstream, what Bedrock streams in), which "
        "is not read here: ask Bedrock's OpenAI-compatible endpoint, or a gateway that answers with text/event-stream"
    )
}


def unreadable(*media_types: str) -> str | None:
    """What an answer of one of these media types is, and what to do, if it is a stream that nothing here reads; else
    None. `media_types` without parameters, in lower case.

        >>> from streamkit.presets import unreadable
        >>> unreadable("application/vnd.amazon.eventstream")[:44]
        "the answer is AWS's binary event stream (app"
        >>> unreadable("text/event-stream") is None
        True
    """
    return next((_UNREADABLE[each] for each in media_types if each in _UNREADABLE), None)

"""The event, and how it is written: `encode_event` is the inverse of `streamkit.parser.SSEParser`."""

from __future__ import annotations

from typing import Final, NamedTuple

from streamkit.errors import EncodeError

__all__ = ["MAX_RETRY_MS", "ServerSentEvent", "encode_event"]

MAX_RETRY_MS: Final = 2**63 - 1
"""A longer `retry` counts as this many milliseconds (292 million years): any number of digits is allowed there."""


class ServerSentEvent(NamedTuple):
    """One event as a parser dispatches it: a named tuple of `event`, `data` and `id`.

        >>> kind, data, id = sk.ServerSentEvent(data="hi")

    event   its type; "message" unless the stream says otherwise
    data    its data lines, joined by newlines
    id      the last event id in force when it was dispatched (the standard's `lastEventId`); an earlier event may have
            set it
    """

    event: str = "message"
    data: str = ""
    id: str = ""


def encode_event(
    event: ServerSentEvent | str, *, last_event_id: str | None = None, retry_ms: int | None = None
) -> bytes:
    """Write an event as bytes of an event stream, with its blank line: the inverse of `SSEParser`.

        >>> sk.encode_event(sk.ServerSentEvent("add", "1", "7"), retry_ms=3000)
        b'retry: 3000\\nevent: add\\nid: 7\\ndata: 1\\n\\n'
        >>> sk.encode_event("a plain text")
        b'data: a plain text\\n\\n'

    event           an event; or a plain string, which becomes a "message" event without an `id` line
    last_event_id   the id that is in force at the receiver ("" at first). With it, an `id` line that would change
                    nothing is left out. Without it, each event states its id, even an empty one (`id:`), since an id
                    stays in force until another one comes: so events encoded one after the other always parse as the
                    same list
    retry_ms        also ask the client to wait so long before it reconnects

    Lines end with LF. Raises EncodeError for what the grammar cannot carry: CR anywhere, LF or an empty string as
    `event`, LF or NUL in `id`, a lone surrogate, a `retry_ms` below 0 or above MAX_RETRY_MS.
    """
    if isinstance(event, str):
        event, last_event_id = ServerSentEvent(data=event), ""
    elif not isinstance(event, ServerSentEvent):
        raise TypeError(f"expected a ServerSentEvent or a str, got {type(event).__name__}")
    _check_carried(event)
    lines = [] if retry_ms is None else [f"retry: {_checked_retry(retry_ms)}"]
    if event.event != "message":
        lines.append(f"event: {event.event}")
    if event.id != last_event_id:
        lines.append(f"id: {event.id}" if event.id else "id:")
    lines += [f"data: {line}" for line in event.data.split("\n")]
    try:
        return ("\n".join(lines) + "\n\n").encode()
    except UnicodeEncodeError as error:
        bad = error.object[error.start]
        raise EncodeError(
            f"expected text that UTF-8 can carry, got the lone surrogate {bad!r}; replace it first"
        ) from None


def _check_carried(event: ServerSentEvent) -> None:
    """Raise EncodeError for a field that would come back as something else."""
    for field, value, forbidden in zip(event._fields, event, ("\r\n", "\r", "\r\n\0"), strict=True):
        if not isinstance(value, str):
            raise TypeError(f"expected a str as {field}, got {type(value).__name__}")
        for char in forbidden:
            if char in value:
                raise EncodeError(f"expected {field} without {char!r}, got {value!r:.80}; the grammar cannot carry it")
    if not event.event:
        raise EncodeError("expected a non-empty event type, got ''; it would come back as 'message', so say that")


def _checked_retry(retry_ms: int) -> int:
    if type(retry_ms) is not int:
        raise TypeError(f"expected retry_ms as an int (milliseconds), got {type(retry_ms).__name__}")
    if not 0 <= retry_ms <= MAX_RETRY_MS:
        raise EncodeError(f"expected retry_ms from 0 to 2**63 - 1 milliseconds, got {hex(retry_ms):.40}")
    return retry_ms

"""The media types of an answer: pieces in, bytes out. No I/O.

    form = negotiate(request, WHOLE)
    form.pieces([Piece("Hi")], first=1)      # b'id: 1\ndata: {"text":"Hi"}\n\n'

Each has its own way to tell a whole answer from a broken one; text/plain has none but its final chunk. What becomes of
pieces that are not text, says the table of `streamkit.relay.pieces`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

import orjson
from sanic import Request
from sanic.headers import parse_accept

from streamkit.extractor.pieces import Piece
from streamkit.relay.delivery.portion import WHOLE, Portion
from streamkit.relay.failure import Failure
from streamkit.relay.pieces import Progress, Value

__all__ = ["EventStream", "Format", "JSONLines", "PlainText", "media_type", "negotiate"]

RETRY: Final = b"retry: 1000\n"
"""How many milliseconds a client that was cut waits before it comes back (WHATWG HTML §9.2)."""


class Format(Protocol):
    """One media type."""

    content_type: str
    tells_drops: bool
    """It can say that pieces are missing."""
    heartbeat: bytes
    """What may stand between pieces and means nothing; empty if there is no such thing."""

    def pieces(self, pieces: Sequence[Piece], first: int, dropped: int = 0) -> bytes:
        """The pieces as one write, the first of which is number `first` of the stream, from 1; empty if this format
        shows nothing of them. `dropped` pieces before it were left out.
        """

    def texts(self, texts: Sequence[str], first: int) -> bytes:
        """The same for pieces that are nothing but these texts, none of which is empty."""

    def done(self, sent: int, dropped: int = 0, finish_reason: str | None = None) -> bytes:
        """What proves completion, beside the final chunk: so many pieces were sent, so many left out; and why the
        provider ended, in its own word, where that is known.
        """

    def error(self, failure: Failure, sent: int) -> bytes | None:
        """The error event, behind `sent` pieces, or None if this format has none and must be cut."""


class PlainText:
    """`text/plain`: the text and nothing else; JSON values as lines. Progress is left out, but where `tells_progress`
    as lines too, as NDJSON has it.
    """

    content_type = "text/plain; charset=utf-8"
    tells_drops = False
    heartbeat = b""

    def __init__(self, portion: Portion = WHOLE, *, tells_progress: bool = False) -> None:
        self._skip_bytes = portion.skip_bytes
        self._tells_progress = tells_progress

    def pieces(self, pieces: Sequence[Piece], first: int, dropped: int = 0) -> bytes:  # noqa: ARG002  # Format
        if self._tells_progress:
            data = "".join([piece.line if isinstance(piece, Progress) else piece.text for piece in pieces]).encode()
        else:
            data = "".join([piece.text for piece in pieces]).encode()
        return data[self._skip_bytes :] if first == 1 else data

    def texts(self, texts: Sequence[str], first: int) -> bytes:
        data = "".join(texts).encode()
        return data[self._skip_bytes :] if first == 1 else data

    def done(self, sent: int, dropped: int = 0, finish_reason: str | None = None) -> bytes:  # noqa: ARG002  # Format
        return b""

    def error(self, failure: Failure, sent: int) -> bytes | None:  # noqa: ARG002  # Format
        return None


class EventStream:
    """`text/event-stream`: unnamed events `{"text": …}` or a JSON value, and `event: progress`; then `event: done` or
    `event: error`.

    An event's id is the piece's number in the stream, or, where it can be resumed, a cursor; then the first event of an
    answer says too when to come back (`retry`). Where pieces were left out, the next event says how many
    (`"dropped": 3`), and the ids leave a gap.
    """

    content_type = "text/event-stream; charset=utf-8"
    tells_drops = True
    heartbeat = b":\n\n"  # a comment (WHATWG HTML §9.2.6)

    def __init__(self, portion: Portion = WHOLE) -> None:
        self._after = portion.after
        self._id = f"id: {portion.name}.".encode() if portion.name else b"id: "
        self._retry = RETRY if portion.name else b""

    def pieces(self, pieces: Sequence[Piece], first: int, dropped: int = 0) -> bytes:
        lines = [self._retry] if first - dropped == 1 else []
        for number, piece in enumerate(pieces, self._after + first):
            if isinstance(piece, Progress):
                lines.append(b"event: progress\n")
            lines.append(b"%b%d\ndata: %b\n\n" % (self._id, number, orjson.dumps(_shown(piece, dropped))))
            dropped = 0
        return b"".join(lines)

    def texts(self, texts: Sequence[str], first: int) -> bytes:
        name, retry = self._id, self._retry if first == 1 else b""
        return retry + b"".join(
            [
                b"%b%d\ndata: %b\n\n" % (name, number, orjson.dumps({"text": text}))
                for number, text in enumerate(texts, self._after + first)
            ]
        )

    def done(self, sent: int, dropped: int = 0, finish_reason: str | None = None) -> bytes:
        return self._last("done", _ended(self._after + sent, dropped, finish_reason), sent)

    def error(self, failure: Failure, sent: int) -> bytes | None:
        return self._last("error", failure.as_problem(), sent)

    def _last(self, event: str, data: dict[str, Any], sent: int) -> bytes:
        retry = b"" if sent else self._retry
        return b"%bevent: %b\ndata: %b\n\n" % (retry, event.encode(), orjson.dumps(data))


class JSONLines:
    """`application/x-ndjson`: `{"text": …}` lines, JSON values, `{"progress": …}`; then `{"done": …}` or
    `{"error": …}`; `"dropped"` as in SSE. Where the stream can be resumed, each line has its cursor as `"id"`.

    A value that could be taken for another line, or has no room for what the line has to say, stands under `"value"`.
    """

    content_type = "application/x-ndjson"
    tells_drops = True
    heartbeat = b"\n"  # "parsers MAY silently ignore empty lines" (github.com/ndjson/ndjson-spec); ours does

    def __init__(self, portion: Portion = WHOLE) -> None:
        self._after = portion.after
        self._name = portion.name

    def pieces(self, pieces: Sequence[Piece], first: int, dropped: int = 0) -> bytes:
        lines = []
        for number, piece in enumerate(pieces, self._after + first):
            shown = {"progress": piece.data} if isinstance(piece, Progress) else _shown(piece, dropped, LINE_NAMES)
            if self._name:
                shown = {**_with_room(shown, "id"), "id": f"{self._name}.{number}"}
            lines.append(orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE))
            dropped = 0
        return b"".join(lines)

    def texts(self, texts: Sequence[str], first: int) -> bytes:
        if self._name:
            return self.pieces([Piece(text) for text in texts], first)
        return b"".join([orjson.dumps({"text": text}, option=orjson.OPT_APPEND_NEWLINE) for text in texts])

    def done(self, sent: int, dropped: int = 0, finish_reason: str | None = None) -> bytes:
        ended = _ended(self._after + sent, dropped, finish_reason)
        return orjson.dumps({"done": ended}, option=orjson.OPT_APPEND_NEWLINE)

    def error(self, failure: Failure, sent: int) -> bytes | None:  # noqa: ARG002  # Format
        return orjson.dumps({"error": failure.as_problem()}, option=orjson.OPT_APPEND_NEWLINE)


LINE_NAMES: Final = frozenset({"text", "progress", "done", "error", "value"})
"""By which a line of NDJSON is known."""


def _shown(piece: Piece, dropped: int, reserved: frozenset[str] = frozenset()) -> Any:
    """As one JSON value; `reserved` are names that an object may not have there."""
    if isinstance(piece, Value):
        data = piece.data
        if isinstance(data, dict) and not reserved.isdisjoint(data):
            data = {"value": data}
        return {**_with_room(data, "dropped"), "dropped": dropped} if dropped else data
    if isinstance(piece, Progress):
        return piece.data
    shown: dict[str, Any] = {"text": piece.text}
    if piece.reasoning:
        shown["reasoning"] = piece.reasoning
    if dropped:
        shown["dropped"] = dropped
    return shown


def _with_room(data: Any, name: str) -> dict[str, Any]:
    """An object that can have that name beside what it is."""
    return data if isinstance(data, dict) and name not in data else {"value": data}


def _ended(sent: int, dropped: int, finish_reason: str | None) -> dict[str, Any]:
    ended: dict[str, Any] = {"outcome": "complete", "pieces": sent}
    if dropped:
        ended["dropped"] = dropped
    if finish_reason is not None:
        ended["finish_reason"] = finish_reason
    return ended


def negotiate(request: Request, portion: Portion) -> Format:
    """The format that the client asks for, for that part of a stream. Raises sanic.exceptions.InvalidHeader."""
    chosen = FORMATS[media_type(request)]
    return PlainText(portion, tells_progress=True) if _wants_progress_lines(request, portion) else chosen(portion)


def _wants_progress_lines(request: Request, portion: Portion) -> bool:
    """Whether text/plain is to tell progress (`Prefer: progress=lines`, RFC 7240). Where the stream can be resumed it
    does not: there a client counts bytes of the text, by which it comes back.
    """
    prefer = request.headers.get("prefer", "")
    return bool(prefer and PROGRESS_LINES.search(prefer)) and not portion.name and media_type(request) == "text/plain"


PROGRESS_LINES: Final = re.compile(r'(?:^|,)\s*progress\s*=\s*"?lines"?\s*(?:[,;]|$)', re.IGNORECASE)


def media_type(request: Request) -> str:
    """What the client's Accept ranks highest (RFC 9110 §12.5.1); text/plain on a tie or without a match.

    Raises sanic.exceptions.InvalidHeader.
    """
    return _ranked_highest(request.headers.get("accept"))


FORMATS: Final[dict[str, type[PlainText | EventStream | JSONLines]]] = {
    "text/plain": PlainText,
    "text/event-stream": EventStream,
    "application/x-ndjson": JSONLines,
}


@lru_cache(maxsize=64)
def _ranked_highest(accept: str | None) -> str:
    """A key of FORMATS. Remembered, because clients say few different things and parsing takes longer than a write."""
    chosen = parse_accept(accept).match(*FORMATS)
    return chosen.mime if chosen else "text/plain"

"""What a `Writer` is: how a provider writes its stream. Those of the known providers are in `writing` and beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from streamkit.errors import EncodeError
from streamkit.presets import shapes
from streamkit.presets.asked import Asked, unless_declined
from streamkit.presets.shapes import Shape

__all__ = [
    "DONE_EVENT",
    "NDJSON_TYPE",
    "SSE_TYPE",
    "Writer",
    "json_event",
    "json_line",
    "json_text",
    "remember",
    "sse_event",
]

SSE_TYPE = "text/event-stream; charset=utf-8"
NDJSON_TYPE = "application/x-ndjson"

Build: TypeAlias = Callable[[str, int], bytes]
Close: TypeAlias = Callable[[int], list[bytes]]


@dataclass(frozen=True, kw_only=True, repr=False)
class Writer:
    """How a provider writes. Every bytes object is one whole event (or one comment).

        >>> sk.preset("anthropic").write.close()[-1]
        b'event: message_stop\\ndata: {"type":"message_stop"}\\n\\n'

    - `piece_event` makes the event that carries a text, given that and its number (from 0).
    - `opening` stands before the first piece, `closing` makes what stands behind the last, given their number.
    - `recap` makes what stands between these and tells the whole text again, given it and the number of pieces.
    - `usage_event` stands before the last of `closing` where the request asks for usage, given the number of pieces.
    - `error_event` makes the event that reports an error, given its code.
    - `content_type` is the media type of the answer.
    - `unstreamed` makes the JSON object that answers where no stream is asked for, given the whole text and the number
      of pieces; `streams_where` says whether one is. Without an `unstreamed` there is always a stream.
    - `models` makes the answer to `GET /v1/models`.
    - `cumulative`: each event repeats all the text before it, so that this is what `piece_event` is given.

    With it, a provider of one's own can be scripted:

        >>> from streamkit.presets import Writer
        >>> write = Writer(name="mine", piece_event=lambda text, number: sk.encode_event(text))
        >>> sk.Script(["hi"], preset=sk.Preset(name="mine", text="@data", write=write)).expected_text
        'hi'
    """

    name: str
    piece_event: Build
    opening: tuple[bytes, ...] = ()
    closing: Close = lambda _: []
    recap: Callable[[str, int], list[bytes]] | None = None
    usage_event: Callable[[int], bytes] | None = None
    error_event: Callable[[str], bytes] | None = None
    content_type: str = SSE_TYPE
    unstreamed: Callable[[str, int], Shape] | None = None
    streams_where: Callable[[Asked], bool] = unless_declined
    models: Callable[[], Shape] = shapes.openai_models
    cumulative: bool = False

    def open(self) -> list[bytes]:
        """What stands before the first piece: role chunks, `message_start`, comments; none of it carries text."""
        return list(self.opening)

    def piece(self, text: str, index: int) -> bytes:
        """The event that carries `text` as piece number `index` (from 0).

        Raises EncodeError for what this format cannot carry: half a surrogate pair anywhere, a CR in Replicate's
        plain-text data (the grammar reads it as a line end), an empty text (no provider sends one as a piece).
        """
        if not text:
            raise EncodeError("expected text in a piece, got ''")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise EncodeError(f"expected text that UTF-8 can carry, got {text[:40]!r}") from None
        return self.piece_event(text, index)

    def close(self, index: int = 0, text: str = "", *, usage: bool = False) -> list[bytes]:
        """The finish events and the end marker, behind `index` pieces that make `text` (of which only a `recap` makes
        use); with `usage` what it cost, where this provider tells that on request.
        """
        events = [*(self.recap(text, index) if self.recap else ()), *self.closing(index)]
        if usage and self.usage_event is not None:
            events.insert(-1, self.usage_event(index))
        return events

    def streams(self, asked: Asked) -> bool:
        """Whether it answers this request with a stream, or `one` JSON object."""
        return self.unstreamed is None or self.streams_where(asked)

    def one(self, text: str, index: int) -> bytes:
        """The answer without a stream: the JSON object that says all `text`, of `index` pieces, at once.

            >>> sk.preset("ollama").write.one("hi", 1)[:59]
            b'{"model":"script","created_at":"2024-01-01T00:00:00Z","mess'

        Raises EncodeError where this provider has none.
        """
        if self.unstreamed is None:
            raise EncodeError(f"expected a provider that answers without a stream, got {self.name!r}")
        return orjson.dumps(self.unstreamed(text, index))

    def error(self, code: str) -> bytes:
        """The event by which this provider reports an error in mid-stream; `code` is a word of its own, or a number.

        Without an `error_event`, one that any preset understands that knows `COMMON_ERRORS`.
        """
        if self.error_event is not None:
            return self.error_event(code)
        error = {"error": {"code": code, "message": "scripted error"}}
        return json_line(error) if self.is_ndjson else sse_event(error, event="error")

    @property
    def is_ndjson(self) -> bool:
        """Its events are lines of JSON, and not Server-Sent Events."""
        return self.content_type == NDJSON_TYPE

    def heartbeat(self, *, as_event: bool = False) -> bytes:
        """What says that the provider lives and nothing else: a comment, or a `ping` event; in NDJSON a blank line."""
        if self.is_ndjson:
            return b"\n"
        return sse_event({"type": "ping"}, event="ping") if as_event else b": ping\n\n"

    def __repr__(self) -> str:
        return f"<Writer {self.name}, {self.content_type}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        # Those of the known providers are made of lambdas, which pickle cannot carry: they go by name.
        return (_known, (self.name,)) if _KNOWN.get(self.name) is self else super().__reduce__()


_KNOWN: dict[str, Writer] = {}


def _known(name: str) -> Writer:
    return _KNOWN[name]


def remember(*writers: Writer) -> None:
    """These go by their names into other processes, which remember the same ones."""
    _KNOWN.update({one.name: one for one in writers})


def json_text(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


def sse_event(
    data: str | Mapping[str, Any],
    *,
    event: str = "",
    id: str = "",  # noqa: A002  # the field's name
    colon: str = ": ",
    end: str = "\n",
) -> bytes:
    """One event, its fields in the order in which most providers send them."""
    text = data if isinstance(data, str) else json_text(data)
    fields = [f"event{colon}{event}"] if event else []
    fields += [f"id{colon}{id}"] if id else []
    fields += [f"data{colon}{line}" for line in text.split("\n")]
    return (end.join(fields) + end * 2).encode()


def json_event(value: Any, *, event: str = "", end: str = "\n") -> bytes:
    """One Server-Sent Event whose data is this JSON value; `end` ends its lines."""
    return sse_event(orjson.dumps(value).decode(), event=event, end=end)


def json_line(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value) + b"\n"


DONE_EVENT = sse_event("[DONE]")
"""OpenAI's last word, and that of many more."""

"""`Writer`: how a provider writes its stream. Those of the known providers are in `writing` and beside it."""

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
    """How a provider writes its stream, for upstreams that follow a script.

        >>> sk.preset("anthropic").write.close()[-1]
        b'event: message_stop\\ndata: {"type":"message_stop"}\\n\\n'

    name            what it is called
    piece_event     a function: a text and its number (from 0) → the event that carries it
    opening         the events before the first piece
    closing         a function: the number of pieces → the events after the last one
    recap           a function: the whole text, the number of pieces → events before `closing` that say it all again
    usage_event     a function: the number of pieces → the event before the last of `closing`, if usage is asked for
    error_event     a function: an error's code → the event that reports it
    content_type    the media type of the answer
    unstreamed      a function: the whole text, the number of pieces → the JSON object that answers if no stream is
                    asked for. Without it there is always a stream
    streams_where   a function: what is asked → whether that is a stream
    models          a function: → the answer to `GET /v1/models`
    cumulative      whether each event repeats all text before it; this is then what `piece_event` is given

    Every bytes object is one whole event (or one comment). With a writer, a provider of your own can be scripted:

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
        """The events before the first piece: role chunks, `message_start`, comments; none of them carries text."""
        return list(self.opening)

    def piece(self, text: str, index: int) -> bytes:
        """The event that carries `text` as piece number `index` (from 0).

        Raises EncodeError for what this format cannot carry: half a surrogate pair anywhere; a CR in Replicate's
        plain-text data, which the grammar reads as a line end; an empty text, which no provider sends as a piece.
        """
        if not text:
            raise EncodeError("expected text in a piece, got ''")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise EncodeError(f"expected text that UTF-8 can carry, got {text[:40]!r}") from None
        return self.piece_event(text, index)

    def close(self, index: int = 0, text: str = "", *, usage: bool = False) -> list[bytes]:
        """The finish events and the end mark, after `index` pieces that make up `text` (which only a `recap` needs).

        With `usage`, also what it cost, if this provider says so on request.
        """
        events = [*(self.recap(text, index) if self.recap else ()), *self.closing(index)]
        if usage and self.usage_event is not None:
            events.insert(-1, self.usage_event(index))
        return events

    def streams(self, asked: Asked) -> bool:
        """Whether this request is answered with a stream, and not with `one` JSON object."""
        return self.unstreamed is None or self.streams_where(asked)

    def one(self, text: str, index: int) -> bytes:
        """The answer without a stream: a JSON object with the whole `text`, of `index` pieces.

            >>> sk.preset("ollama").write.one("hi", 1)[:59]
            b'{"model":"script","created_at":"2024-01-01T00:00:00Z","mess'

        Raises EncodeError if this provider has no such answer.
        """
        if self.unstreamed is None:
            raise EncodeError(f"expected a provider that answers without a stream, got {self.name!r}")
        return orjson.dumps(self.unstreamed(text, index))

    def error(self, code: str) -> bytes:
        """The event by which this provider reports an error in mid-stream; `code` is a word of its own, or a number.

        Without an `error_event`, it is one that every preset with `COMMON_ERRORS` understands.
        """
        if self.error_event is not None:
            return self.error_event(code)
        error = {"error": {"code": code, "message": "scripted error"}}
        return json_line(error) if self.is_ndjson else sse_event(error, event="error")

    @property
    def is_ndjson(self) -> bool:
        """Whether its events are lines of JSON, and not Server-Sent Events."""
        return self.content_type == NDJSON_TYPE

    def heartbeat(self, *, as_event: bool = False) -> bytes:
        """A heartbeat: a comment, or (`as_event`) a `ping` event; in NDJSON, a blank line."""
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

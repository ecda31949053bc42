"""How the routes of a relay's own are asked: an LLM's answer, and whatever somebody else's function yields."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, TypeAlias, cast

from sanic import Request

from streamkit.errors import ConfigError
from streamkit.relay.pieces import Item, Progress, as_piece
from streamkit.relay.request.arriving import arriving
from streamkit.relay.request.receive import receive_fields, receive_json
from streamkit.relay.request.resuming import body_digest, json_text
from streamkit.relay.request.trace_context import TraceContext
from streamkit.relay.route import Ask, Wanted
from streamkit.relay.sources.llm import llm
from streamkit.relay.sources.source import Arriving, Into, Pieces
from streamkit.relay.sources.upstream import Upstream
from streamkit.relay.stream import Stream

__all__ = ["BodyKind", "SourceFunction", "ask_function", "ask_llm"]

FIELD: Final = "chat_history"
"""The field of a request that holds the question."""

BodyKind: TypeAlias = Literal["json", "raw", "none"] | Sequence[str]
"""What the body of a request is, as its route says: one JSON value; bytes that are read while they come; nothing that
is looked at; or fields of these names, in a form or a JSON object.
"""

SourceFunction: TypeAlias = Callable[..., AsyncIterator[Item]]
"""An async generator function of somebody else's, however it is annotated: text, JSON values and progress, one by one.
"""

GIVEN: Final = ("request", "into")
"""Parameters that such a function may have beside what the body gives it."""


def ask_llm(upstream: Upstream) -> Ask:
    """`chat_history`, asked of that upstream, as a part of the trace that the request is part of."""

    async def ask(request: Request, stream: Stream) -> Wanted:
        fields = await receive_fields(request, [FIELD], **stream.settings.body_bounds)
        question = upstream.question(fields[FIELD])
        if stream.record.trace_id and (context := TraceContext.of(request.headers)) is not None:
            question = replace(question, headers={**question.headers, **context.headers()})
        return Wanted(partial(llm, upstream, question), body_digest(fields))

    return ask


def ask_function(function: SourceFunction, body: BodyKind = "json") -> Ask:
    """A function, called with what the body is: `function(value)`, `function(body)` (raw: `Arriving`), `function()`, or
    fields by their names. One that has parameters called `request` (Sanic's) or `into` (`Into`) gets those too.

    Raises ConfigError for what is no async generator function, or does not take that.
    """
    if not inspect.isasyncgenfunction(inspect.unwrap(function)):
        name = getattr(function, "__name__", function)
        raise ConfigError(f"expected an async generator function (async def with yield), got {name!r}")
    named = _named(body)
    parameters = inspect.signature(function).parameters
    wanted = [name for name in GIVEN if name in parameters]
    _check_call(function, body, [*named, *wanted])

    async def ask(request: Request, stream: Stream) -> Wanted:
        given: tuple[Any, ...] = ()
        fields: dict[str, Any] = {}
        digest = ""
        coming: Arriving | None = None
        settings = stream.settings
        if named:
            fields = await receive_fields(request, named, **settings.body_bounds, scalars=True)
            digest = body_digest(fields)
        elif body == "json":
            value = await receive_json(request, **settings.body_bounds)
            given, digest = (value,), body_digest({"": json_text(value)})
        elif body == "raw":
            coming = arriving(request, **settings.upload_bounds, taps=stream.taps)
            given = (coming,)
        if "request" in wanted:
            fields["request"] = request

        def source(into: Into) -> Pieces:
            items = function(*given, **fields, **({"into": into} if "into" in wanted else {}))
            return one_by_one(cast("AsyncGenerator[Item, None]", items), into)

        return Wanted(source, None if coming is not None else digest, coming)

    return ask


def _named(body: BodyKind) -> list[str]:
    """The fields. Raises ConfigError for a kind of body that there is not."""
    if isinstance(body, str):
        if body not in {"json", "raw", "none"}:
            raise ConfigError(f'expected body as "json", "raw", "none", or a list of fields, got {body!r}')
        return []
    names = [*body]
    if not names or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise ConfigError(f"expected names of fields that can be names of parameters, got {body!r}")
    return names


def _check_call(function: SourceFunction, body: BodyKind, names: list[str]) -> None:
    one = [None] if body in ("json", "raw") else []
    try:
        inspect.signature(function).bind(*one, **dict.fromkeys(names))
    except TypeError as error:
        takes = ", ".join([*(["the body"] if one else []), *names]) or "nothing"
        raise ConfigError(f"expected {function.__name__} to take {takes}: {error}") from None


async def one_by_one(items: AsyncGenerator[Item, None], into: Into) -> Pieces:
    """What somebody else's function yields, as a source. Raises TypeError for what no piece can be, ValueError for
    progress that goes back.
    """
    reached = 0.0
    async with aclosing(items):
        async for item in items:
            piece = as_piece(item)
            if isinstance(piece, Progress):
                reached = _not_back(reached, piece)
            pieces = [piece]
            if not into.offer(pieces):
                yield pieces


def _not_back(reached: float, piece: Progress) -> float:
    progress = cast("float", piece.data["progress"])
    if progress < reached:
        raise ValueError(f"expected progress that does not go back, got {progress!r} after {reached!r}")
    return progress

"""What a route is: how a request is received, the source that it asks for, and how long that may take.

    Route(ask)                                   # ask(request, stream) → Wanted(source)
    Route(ask, {"idle_s": 0, "total_s": 0})      # of a source that may be silent for long

All else (formats, policies, deadlines, endings, what is kept for those who come back, taps, log) is the same for all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, fields, replace
from typing import TypeAlias

from sanic import Request

from streamkit.errors import ConfigError
from streamkit.relay.settings import Deadlines, Settings
from streamkit.relay.sources.source import Arriving, Into, Pieces
from streamkit.relay.stream import Stream

__all__ = ["Ask", "Route", "Wanted"]


@dataclass(slots=True)
class Wanted:
    """What one request asks for.

    `source` is run once, given where its pieces go. `digest` tells the request's body from others (`Idempotency-Key`);
    None while it is still to come: it is `arriving` then, and read by the source, and no key finds it again.
    """

    source: Callable[[Into], Pieces]
    digest: str | None = None
    arriving: Arriving | None = None


Ask: TypeAlias = Callable[[Request, Stream], Awaitable[Wanted]]
"""Receives a request, or as much of it as is needed to know what it asks for. Raises Failed."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a relay: how a request is received, and the source it asks for.

    ask            receives a request, and returns what it wants
    deadlines      deadlines of its streams, where they differ from the relay's
    asynchronous   whether a client may leave at once and come back for the answer (`Prefer: respond-async`, RFC 7240)
    running        a context manager, entered with the relay's settings while the server runs: for what the route's
                   streams share
    uploads        whether its bodies are read while they arrive, within the bounds of uploads

    Raises ConfigError for a deadline that does not exist.
    """

    ask: Ask
    deadlines: Mapping[str, float] = field(default_factory=dict)
    asynchronous: bool = False
    running: Callable[[Settings], AbstractAsyncContextManager[object]] | None = None
    uploads: bool = False

    def __post_init__(self) -> None:
        known = [each.name for each in fields(Deadlines)]
        if unknown := set(self.deadlines) - set(known):
            raise ConfigError(f"expected deadlines out of {', '.join(known)}, got {min(unknown)!r}")
        replace(Deadlines(), **self.deadlines)

    def settings(self, relay: Settings) -> Settings:
        """Those of its streams, where the relay has these."""
        if not self.deadlines:
            return relay
        return relay._replace(deadlines=replace(relay.deadlines, **self.deadlines))

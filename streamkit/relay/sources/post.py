"""How the upstream is asked, and asked again while it can be known that it has heard nothing."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx2

from streamkit.presets.asking import UpstreamRequest
from streamkit.relay.sources.upstream import Upstream
from streamkit.transport import Body, StreamTransport
from streamkit.transport.http1 import fields

__all__ = ["Reply", "post"]


@dataclass(slots=True)
class Reply:
    """The head of an upstream's answer, and its body, unread, from whichever transport; leaving it closes that.

    `headers` are by names in lower case, `body` is None for a transport of somebody else's, `raw` are the bytes.
    """

    status: int
    headers: Mapping[str, str]
    http_version: str | None
    body: Body | None
    raw: AsyncIterable[bytes]
    close: Callable[[], Awaitable[None]]

    @classmethod
    def of_body(cls, body: Body) -> Self:
        """From our own transport."""
        head = body.head
        headers = fields(head.headers)
        head.headers = []  # nobody reads them again: a thousand streams would hold them all
        return cls(head.status or 0, headers, head.http_version.decode(), body, body, body.aclose)

    @classmethod
    def of_response(cls, response: httpx2.Response) -> Self:
        """From any."""
        body = response.extensions.get("stamps")
        raw = response.aiter_raw() if body is None else body
        return cls(response.status_code, response.headers, response.http_version, body, raw, response.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def post(upstream: Upstream, question: UpstreamRequest) -> Reply:
    """POST `question`: `async with await post(upstream, question) as reply`.

    Through a transport alone, without httpx2's client: that would log the URL, follow the environment to proxies and
    .netrc, and keep cookies; a relay wants none of that.

    The one timer is connecting (`connect_s`), with the wait for a pool slot and all retries; every other deadline is
    the caller's. A failure behind connecting is never tried again: how much of the question has arrived, nobody knows.
    """
    connect_s, retries = upstream.settings.deadlines.connect_s, upstream.settings.retries
    now = asyncio.get_running_loop().time
    give_up_at = now() + (connect_s or math.inf)
    for attempt in itertools.count(1):
        left_s = give_up_at - now()
        try:
            return await _asked(upstream, question, left_s if connect_s else None)
        except httpx2.ConnectError:
            wait_s = retries.wait_s(attempt, random.random())  # noqa: S311  # jitter, no cryptography
            if attempt > retries.connect_retries or now() + wait_s >= give_up_at:
                raise
            await asyncio.sleep(wait_s)
    raise AssertionError  # count() has no end


async def _asked(upstream: Upstream, question: UpstreamRequest, connect_s: float | None) -> Reply:
    """By way of httpx2's interface where the transport is somebody else's; ours takes bytes."""
    transport = upstream.transport
    if type(transport) is StreamTransport:
        template = upstream.template(question)
        return Reply.of_body(await transport.ask(template, question.content, connect_s))
    timeout = {"connect": connect_s, "pool": connect_s, "read": None, "write": None}
    request = httpx2.Request(
        "POST",
        upstream.url_of(question),
        headers=upstream.headers_of(question),
        content=question.content,
        extensions={"timeout": timeout},
    )
    return Reply.of_response(await transport.handle_async_request(request))

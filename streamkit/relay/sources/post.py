"""How the upstream is asked, and asked again while it can be known that it has heard nothing."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from streamkit._version import __version__
from streamkit.presets.asking import UpstreamRequest
from streamkit.relay.sources.upstream import Upstream

__all__ = ["post"]

USER_AGENT = f"streamkit/{__version__}"


@asynccontextmanager
async def post(upstream: Upstream, question: UpstreamRequest) -> AsyncIterator[httpx2.Response]:
    """POST `question` and give the response with its body unread; leaving closes it.

    Through a transport alone, without httpx2's client: that would log the URL, follow the environment to proxies and
    .netrc, and keep cookies; a relay wants none of that.

    The one timer is connecting (`connect_s`), with the wait for a pool slot and all retries; every other deadline is
    the caller's.
    """
    response = await _answered(upstream, question)
    del question  # its content is sent, and may be large
    try:
        yield response
    finally:
        await response.aclose()


async def _answered(upstream: Upstream, question: UpstreamRequest) -> httpx2.Response:
    """The answer to the first attempt that got a connection. A failure behind that is never tried again: how much of
    the question has arrived, nobody knows.
    """
    connect_s, retries = upstream.settings.deadlines.connect_s, upstream.settings.retries
    now = asyncio.get_running_loop().time
    give_up_at = now() + (connect_s or math.inf)
    for attempt in itertools.count(1):
        left_s = give_up_at - now()
        try:
            return await upstream.transport.handle_async_request(
                _request(upstream.url, question, left_s if connect_s else None)
            )
        except httpx2.ConnectError:
            wait_s = retries.wait_s(attempt, random.random())  # noqa: S311  # jitter, no cryptography
            if attempt > retries.connect_retries or now() + wait_s >= give_up_at:
                raise
            await asyncio.sleep(wait_s)
    raise AssertionError  # count() has no end


def _request(url: httpx2.URL, question: UpstreamRequest, connect_s: float | None) -> httpx2.Request:
    return httpx2.Request(
        "POST",
        url.copy_merge_params(question.params) if question.params else url,
        headers={"user-agent": USER_AGENT, **question.headers},
        content=question.content,
        extensions={"timeout": {"connect": connect_s, "pool": connect_s, "read": None, "write": None}},
    )

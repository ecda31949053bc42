"""How the relay asks its upstream."""

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
from streamkit.relay.settings import Retries

__all__ = ["post"]

NO_RETRIES = Retries()
USER_AGENT = f"streamkit/{__version__}"


@asynccontextmanager
async def post(
    transport: httpx2.AsyncBaseTransport,
    url: httpx2.URL,
    ask: UpstreamRequest,
    connect_s: float,
    retries: Retries = NO_RETRIES,
) -> AsyncIterator[httpx2.Response]:
    """POST `ask` and give the response with its body unread; leaving closes it.

    Through a transport alone, without httpx2's client: that would log the URL, follow the environment to proxies and
    .netrc, and keep cookies; a relay wants none of that.

    The one timer is connecting, with the wait for a pool slot and all `retries`; every other deadline is the caller's.
    """
    response = await _answered(transport, url, ask, connect_s, retries)
    del ask  # its content is sent, and may be large
    try:
        yield response
    finally:
        await response.aclose()


async def _answered(
    transport: httpx2.AsyncBaseTransport, url: httpx2.URL, ask: UpstreamRequest, connect_s: float, retries: Retries
) -> httpx2.Response:
    """The answer to the first attempt that got a connection. A failure behind that is never tried again: how much of
    the question has arrived, nobody knows.
    """
    now = asyncio.get_running_loop().time
    give_up_at = now() + (connect_s or math.inf)
    for attempt in itertools.count(1):
        left_s = give_up_at - now()
        try:
            return await transport.handle_async_request(_request(url, ask, left_s if connect_s else None))
        except httpx2.ConnectError:
            wait_s = retries.wait_s(attempt, random.random())  # noqa: S311  # jitter, no cryptography
            if attempt > retries.connect_retries or now() + wait_s >= give_up_at:
                raise
            await asyncio.sleep(wait_s)
    raise AssertionError  # count() has no end


def _request(url: httpx2.URL, ask: UpstreamRequest, connect_s: float | None) -> httpx2.Request:
    return httpx2.Request(
        "POST",
        url.copy_merge_params(ask.params) if ask.params else url,
        headers={"user-agent": USER_AGENT, **ask.headers},
        content=ask.content,
        extensions={"timeout": {"connect": connect_s, "pool": connect_s, "read": None, "write": None}},
    )

"""How the relay asks its upstream."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

import httpx2

from streamkit import __version__
from streamkit.asking import UpstreamRequest
from streamkit.config import Retries
from streamkit.errors import ConfigError

__all__ = ["post", "split_unix_url"]

NO_RETRIES = Retries()
UNIX_SCHEME = "http+unix"
USER_AGENT = f"streamkit/{__version__}"


def split_unix_url(url: str) -> tuple[httpx2.URL, str | None]:
    """`http+unix://%2Ftmp%2Fs.sock/ans` as the URL `http://localhost/ans` and the socket's path; others unchanged.

    Raises ConfigError for a URL without scheme or host; its text is not repeated, it may hold a secret.
    """
    wanted = ConfigError("expected a full URL such as http://127.0.0.1:8000/ans or http+unix://%2Ftmp%2Fs.sock/ans")
    try:
        parts = urlsplit(url)
        plain = httpx2.URL(url)
    except (ValueError, httpx2.InvalidURL):
        raise wanted from None
    if parts.scheme not in {"http", "https", UNIX_SCHEME} or not parts.netloc:
        raise wanted
    if parts.scheme != UNIX_SCHEME:
        return plain, None
    query = f"?{parts.query}" if parts.query else ""
    return httpx2.URL(f"http://localhost{parts.path or '/'}{query}"), unquote(parts.netloc)


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

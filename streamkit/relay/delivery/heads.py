"""What the head of every answer says, whichever route, and whichever failure, it is of.

`STREAMED` and `UNSTORED` are made with an answer, `finish_head` adds the rest when it begins.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from sanic import HTTPResponse

__all__ = ["STREAMED", "UNSTORED", "finish_head"]

UNSTORED: Final = {"cache-control": "no-store, no-transform"}
"""Caches keep nothing of it (RFC 9111 section 5.2.2), proxies change nothing: neither do they compress it."""

STREAMED: Final = {
    **UNSTORED,
    "vary": "Accept, Prefer",  # RFC 9110 section 12.5.5, RFC 7240 section 2
    "incremental": "?1",  # RFC 10036: intermediaries pass on what comes as it comes
    "x-accel-buffering": "no",  # the same, for nginx
    "x-content-type-options": "nosniff",  # text that looks like markup or events is text (WHATWG Fetch)
}


def finish_head(response: HTTPResponse, cors: Mapping[str, str]) -> None:
    """Add what is missing: Date (RFC 9110 section 6.6.1), which nobody else writes here, that it is not to be stored,
    and `cors`, what is said to web pages. Done twice, it is done once.
    """
    headers = response.headers
    headers.setdefault("date", _date(int(time.time())))
    for name, value in UNSTORED.items():
        headers.setdefault(name, value)
    for name, value in cors.items():
        if name == "vary" and value not in headers.get(name, value):
            headers[name] = f"{headers[name]}, {value}"
        headers.setdefault(name, value)


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    """Written once in a second: that takes longer than the rest of a head."""
    return formatdate(second, usegmt=True)

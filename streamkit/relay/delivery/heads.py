"""What the head of every answer says, whichever route, and whichever failure, it is of.

`STREAMED` and `UNSTORED` are made with an answer, `finish_head` adds the rest when it begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from typing import Final

from sanic import HTTPResponse

from streamkit.inside_sanic import without_alt_svc

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
    for name, value in {"date": formatdate(usegmt=True), **UNSTORED, **cors}.items():
        if name == "vary" and value not in headers.get(name, value):
            headers[name] = f"{headers[name]}, {value}"
        headers.setdefault(name, value)
    without_alt_svc(response)

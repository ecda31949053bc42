"""What every head of an answer says, whichever route, and whichever failure, it is of.

headers = standing()                        # made with the answer
finish_head(request, response, cors)        # by the app, when the answer begins
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
}


def finish_head(response: HTTPResponse, cors: Mapping[str, str]) -> None:
    """Date (RFC 9110 section 6.6.1), which nobody else writes here, and what is said to web pages."""
    headers = response.headers
    headers.setdefault("date", formatdate(usegmt=True))
    for name, value in {**UNSTORED, **cors}.items():
        if name == "vary" and name in headers:
            if value.lower() not in headers[name].lower():
                headers[name] = f"{headers[name]}, {value}"
        else:
            headers.setdefault(name, value)
    without_alt_svc(response)

"""Errors that httpx2's own do not tell apart, as subclasses of them: code that catches httpx2's catches these too."""

from __future__ import annotations

import httpx2

__all__ = ["ClosedIdle", "HeadTooLarge", "MalformedHead"]


class ClosedIdle(httpx2.ReadError):
    """The server closed a connection that had been used before, while the request was on its way, without an answer.

    Whether it had received the request is not known, and it must not be sent twice (RFC 9112, section 9.3.1).
    """


class MalformedHead(httpx2.RemoteProtocolError):
    """What came is not the head of an HTTP/1.1 answer."""


class HeadTooLarge(httpx2.RemoteProtocolError):
    """The head of the answer, with all interim ones, does not end within its bounds."""

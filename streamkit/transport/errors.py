"""What httpx2's own errors do not tell apart, as kinds of them: whoever knows httpx2's alone catches these too."""

from __future__ import annotations

import httpx2

__all__ = ["ClosedIdle", "HeadTooLarge", "MalformedHead"]


class ClosedIdle(httpx2.ReadError):
    """The server closed a connection that had been used before, with the request on its way and not a byte answered:
    whether that was heard, nobody knows, and it must not be sent twice (RFC 9112 section 9.3.1).
    """


class MalformedHead(httpx2.RemoteProtocolError):
    """What came is not the head of an HTTP/1.1 answer."""


class HeadTooLarge(httpx2.RemoteProtocolError):
    """The head of the answer, with all interim ones, has no end within its bounds."""

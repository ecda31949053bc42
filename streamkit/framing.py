"""What ends the body of a response, and whether that end proves that all of it came (RFC 9112 §6.3, §8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

__all__ = ["Framing", "framing"]

Framing: TypeAlias = Literal["chunked", "length", "close", "transport"]


def framing(headers: Mapping[str, str], http_version: str | None) -> Framing:
    """How a body with these `headers` (names in lower case, or a case-insensitive mapping) ends.

    `chunked`: with the final chunk; `length`: with the last of Content-Length's bytes; `transport`: HTTP/2 and later
    end a stream by a frame, and a transport of somebody's own (`http_version` None) by its word. Each proves that the
    body is whole. `close`: with the connection, which proves nothing: a broken connection ends just so.
    """
    if http_version is None or not http_version.startswith("HTTP/1"):
        return "transport"
    codings = headers.get("transfer-encoding", "").lower().replace(" ", "").split(",")
    if codings[-1] == "chunked":
        return "chunked"
    return "length" if codings == [""] and "content-length" in headers else "close"

"""A request's body, all of it: within its bound, in time, and then what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sanic import Request
from sanic.exceptions import PayloadTooLarge

from streamkit.inside_sanic import announced_bytes, bound_body
from streamkit.relay.failure import Failed
from streamkit.relay.request.body import JSON, check_type, read_fields, read_json
from streamkit.relay.request.connection import StrictHttp, check_stock

__all__ = ["receive_fields", "receive_json", "receive_nothing"]


async def receive_fields(
    request: Request, names: Sequence[str], *, max_bytes: int, within_s: float, scalars: bool = False
) -> dict[str, str]:
    """The fields called `names` (see `read_fields`) of a request whose body has not been read: of at most `max_bytes`,
    and within `within_s` seconds (0: any).

    What its head already rules out is refused before the body is read. Raises Failed.
    """
    check_stock(request)
    headers = request.headers
    content_type = check_type(headers.getall("content-type", []), headers.getall("content-encoding", []))
    return read_fields(content_type, await _received(request, max_bytes, within_s), names, scalars=scalars)


async def receive_json(request: Request, *, max_bytes: int, within_s: float) -> Any:
    """The same, of a body that is one JSON value (see `read_json`)."""
    check_stock(request)
    headers = request.headers
    content_type = check_type(headers.getall("content-type", []), headers.getall("content-encoding", []), [JSON])
    return read_json(content_type, await _received(request, max_bytes, within_s))


async def receive_nothing(request: Request, *, max_bytes: int, within_s: float) -> None:
    """The same, of a body of which nothing is wanted: who still sends it has to see the answer."""
    check_stock(request)
    await _received(request, max_bytes, within_s)


async def _received(request: Request, max_bytes: int, within_s: float) -> bytes:
    if announced_bytes(request) > max_bytes:
        raise _too_large(max_bytes)
    bound_body(request, max_bytes)
    if isinstance(request.stream, StrictHttp) and (whole := request.stream.take_whole()) is not None:
        return whole
    body = bytearray()
    stream: Any = request.stream  # Sanic types it wider than what a route with stream=True gets
    try:
        async with asyncio.timeout(within_s or None):
            async for data in stream:
                body += data
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except PayloadTooLarge:  # Sanic's own word, in an app of somebody else's
        raise _too_large(max_bytes) from None
    except TimeoutError:
        raise Failed.of_request(408, "timeout_body", f"send the body within {within_s:g} s") from None
    return bytes(body)


def _too_large(max_bytes: int) -> Failed:
    return Failed.of_request(413, "body_too_large", f"send at most {max_bytes} bytes")

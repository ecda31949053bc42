"""join(): add to a recording what its server kept of the same stream; and how taps are fetched over HTTP.

A relay that traces (`streamkit serve --trace`, `create_app(trace=True)`) answers `GET /streams/<id>/taps` with the taps
of each stream; the id is the answer's `X-Stream-Id`. So does a scripted upstream.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote, urlsplit

import httpx2

from streamkit.content.codings import CodingError, Decoding, codings_of
from streamkit.errors import NoTaps
from streamkit.lab.arguments import check_number
from streamkit.lab.client.connections import OwnConnections, YourClient, public_url
from streamkit.lab.client.resume import Ask
from streamkit.lab.client.wire_failure import failure_of
from streamkit.lab.recording.join import attach
from streamkit.taps import STREAM_ID_HEADER, StreamTaps
from streamkit.transport import Timings

if TYPE_CHECKING:
    from streamkit.lab.client.course import Asking
    from streamkit.lab.recording.recording import Recording
    from streamkit.transport.tls import Verify

__all__ = ["TAPS_WAIT_S", "FetchTaps", "fetch_taps", "finished_taps", "join", "join_or_note", "noted", "origin_of"]

TAPS_WAIT_S: Final = 0.5  # a server may see the end a moment after the client
TAPS_POLL_S: Final = 0.01
ANSWER_S: Final = 10.0  # for one answer, of which the largest are some megabytes
MAX_TAPS_BYTES: Final = 256 << 20

FetchTaps: TypeAlias = Callable[[str], Awaitable[StreamTaps | None]]
"""The taps of the stream of this id; None where they are not known."""


async def join(
    recording: Recording,
    url: str | None = None,
    *,
    headers: Any = None,
    client: Any = None,
    verify: Verify = True,
    wait_s: float = TAPS_WAIT_S,
) -> Recording:
    """Add what a server kept of the same stream: its taps, its queues, and the relay's own account.

        recording = await sk.record("http://127.0.0.1:8000/ans", data={"chat_history": "hi"}, accept="sse")
        recording = await sk.join(recording)
        sk.plots.journey(recording)

    recording   is not changed: a new one is returned
    url         of the relay, which has to trace: `streamkit serve --trace`, `create_app(trace=True)`. None: the
                recording's own URL, without its path. Behind a proxy it may be under a path: "http://host/relay"
    headers, client, verify   as for `record()`, for this one request; a recording does not keep its own
    wait_s      how long the server may take to see the end of the stream too. Taps that have not ended by then are
                joined as they are, and `meta["notes"]` says so

    A scripted upstream behind a relay that traces has taps of the same stream: call `join` once for each.
    `record(taps=True)` does this when the stream has ended.

    Raises `NoTaps` if there are none to be had: the recording's answer had no `X-Stream-Id`; the server does not trace,
    has forgotten the stream, is another one, cannot be reached, or answers something else. Raises ValueError for taps
    of another clock (another machine or boot: such times must never be subtracted) or another stream, for taps that are
    joined already, and for an invalid URL or number.
    """
    check_number("wait_s", wait_s, "seconds")
    target = origin_of(recording.url) if url is None else str(url).rstrip("/")
    arguments: dict[str, Any] = {"headers": [] if headers is None else list(httpx2.Headers(headers).raw)}
    asking: Asking
    if client is None:
        asking = OwnConnections("GET", target, httpx2.Timeout(ANSWER_S), arguments, None, verify)
    elif verify is True:
        asking = YourClient(client, "GET", target, arguments)
    else:
        raise TypeError("expected verify or a client, got both: a client of your own decides whom it trusts")
    return await _joined(recording, asking, target, wait_s)


async def join_or_note(recording: Recording, asking: Asking, url: str) -> Recording:
    """The same by whom `recording` was asked, at `url` without its path; what goes wrong is a note in the recording."""
    try:
        return await _joined(recording, asking, origin_of(url), TAPS_WAIT_S)
    except (NoTaps, ValueError) as error:
        return noted(recording, f"the taps of its server are not joined: {error}")


async def _joined(recording: Recording, asking: Asking, url: str, wait_s: float) -> Recording:
    stream_id = recording.headers.get(STREAM_ID_HEADER)
    if stream_id is None:
        raise NoTaps("expected a recording of an answer with X-Stream-Id, as our relay's have, got one without")

    async def fetch(stream_id: str) -> StreamTaps:
        return await fetch_taps(asking, url, stream_id)

    found = await finished_taps({url: fetch}, stream_id, wait_s)
    return attach(recording, *found.values())


def origin_of(url: str) -> str:
    """The URL without path and query.

    >>> origin_of("http+unix://%2Ftmp%2Fs.sock/ans?x=1")
    'http+unix://%2Ftmp%2Fs.sock'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def finished_taps(sources: Mapping[str, FetchTaps], stream_id: str, wait_s: float) -> dict[str, StreamTaps]:
    """Those of each source that knows the stream; a wait of at most `wait_s` for those that have not ended yet."""
    deadline = time.monotonic() + wait_s
    while True:
        asked = {who: await fetch(stream_id) for who, fetch in sources.items()}
        found = {who: taps for who, taps in asked.items() if taps is not None}
        if all(taps.finished for taps in found.values()) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(TAPS_POLL_S)


async def fetch_taps(asking: Asking, url: str, stream_id: str, answer_s: float = ANSWER_S) -> StreamTaps:
    """What the server at `url` tells of this stream. Raises NoTaps if it does not, or not within `answer_s`."""
    ask = Ask("GET", f"{url}/streams/{quote(stream_id, safe='')}/taps", {}, body=False)
    where = public_url(url)
    try:
        async with asyncio.timeout(answer_s), asking(ask, Timings()) as response:
            status, told = response.status_code, await _body_of(response)
    except TimeoutError:
        raise NoTaps(f"the server at {where} did not send the taps within {answer_s:g} s") from None
    except Exception as error:
        failure = failure_of(error, own=asking.own, started=True)
        if failure is None:
            raise
        raise NoTaps(f"the server at {where} could not be asked for the taps: {failure.error}") from None
    if status != 200:
        raise NoTaps(_why_not(where, status, _code_of(told)))
    try:
        return StreamTaps.from_dict(json.loads(told))
    except (ValueError, TypeError, KeyError):
        raise NoTaps(f"the server at {where} answered with something other than taps: is it a relay of ours?") from None


async def _body_of(response: Any) -> bytes:
    """All of it, in bounds, whatever a proxy compressed it with."""
    if response.is_stream_consumed:  # a test transport's
        return bytes(response.content)
    decoding = Decoding(codings_of(response.headers.get("content-encoding")))
    body = bytearray()
    async for data in response.aiter_raw():
        try:
            for part in decoding.feed(data):
                body += part
        except CodingError:
            return b""
        if len(body) > MAX_TAPS_BYTES:
            return b""
    return bytes(body)


def _code_of(body: bytes) -> str | None:
    """The `code` of a problem (RFC 9457) as our relay writes it."""
    try:
        told = json.loads(body)
    except ValueError:
        return None
    return str(told["code"]) if isinstance(told, dict) and "code" in told else None


def _why_not(where: str, status: int, code: str | None) -> str:
    if code == "unknown_stream":
        return (
            f"the relay at {where} does not know the stream (404, unknown_stream): it is another relay, or another of "
            "its workers, or it was restarted, or has forgotten it"
        )
    if status == 404:
        return (
            f"the server at {where} has no taps (404): a relay has them with --trace, create_app(trace=True) or "
            "STREAMKIT_TRACE=1; behind a proxy the URL may need a path"
        )
    return f"the server at {where} answered {status} when asked for the taps"


def noted(recording: Recording, note: str) -> Recording:
    """With one more of the notes in `meta`."""
    return replace(recording, meta={**recording.meta, "notes": [*recording.meta.get("notes", ()), note]})

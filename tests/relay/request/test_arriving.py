"""A body as it arrives, off a stream that is none: what it says, counts and stamps. Over sockets: test_uploads_*."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from sanic.compat import Header
from sanic.exceptions import BadRequest, PayloadTooLarge

from streamkit.relay.failure import Failed, Failure
from streamkit.relay.request.arriving import ArrivingBody, arriving
from streamkit.relay.sources.source import Arriving
from streamkit.taps import StreamTaps, TapLog

HELD = "held"
"""A read that ends when the client has sent more: never."""


class Stream:
    """As much of Sanic's as is asked of it: `reads` are what its `read` gives, or raises."""

    def __init__(self, reads: list[Any], length: int | None) -> None:
        self._reads = reads
        self.request_body: Any = "chunked" if length is None else True
        self.request_bytes = length or 0
        self.keep_alive = True

    async def read(self) -> bytes | None:
        if not self._reads:
            self.request_body = None
            return None
        read = self._reads.pop(0)
        if read is HELD:
            await asyncio.Event().wait()
        if isinstance(read, Exception):
            raise read
        if self.request_body == "chunked":
            self.request_bytes += len(read)
        return bytes(read)


def body_of(
    *reads: Any,
    length: int | None = None,
    max_bytes: int = 1_000,
    stall_s: float = 0.0,
    taps: StreamTaps | None = None,
    **headers: str,
) -> ArrivingBody:
    fields = Header([(name.replace("_", "-"), value) for name, value in headers.items()])
    request: Any = SimpleNamespace(stream=Stream([*reads], length), headers=fields)
    return arriving(request, max_bytes=max_bytes, stall_s=stall_s, taps=taps)


async def read(body: Arriving) -> tuple[list[bytes], Failure | None]:
    parts: list[bytes] = []
    try:
        async for part in body:
            parts.append(part)  # those before a failure count
    except Failed as error:
        return parts, error.failure
    return parts, None


def outcome(*reads: Any, **of: Any) -> tuple[int, str, str]:
    """How many bytes came, and how it ended."""
    body = body_of(*reads, **of)
    parts, failure = asyncio.run(read(body))
    assert body.received >= sum(map(len, parts))
    return body.received, "whole" if failure is None else failure.code, "" if failure is None else str(failure.outcome)


def test_it_gives_its_parts_counts_them_and_then_it_was_whole() -> None:
    body = body_of(b"ab", b"c", length=3, content_type="text/csv")
    assert (body.content_type, body.length, body.received) == ("text/csv", 3, 0)
    assert asyncio.run(read(body)) == ([b"ab", b"c"], None)
    assert repr(body) == "<ArrivingBody 3 of 3 bytes, whole>"
    assert body.cut() is None, "there is nothing left to cut"


def test_without_a_length_or_a_type_it_says_so() -> None:
    body = body_of(b"ab")
    assert (body.content_type, body.length) == ("", None)
    assert repr(body) == "<ArrivingBody 0 bytes>"


def test_whatever_ends_it_has_a_name_and_says_how_much_had_come() -> None:
    assert outcome(b"a" * 600, b"a" * 600) == (1200, "too_large", "refused(413)")
    assert outcome(b"a", PayloadTooLarge("Sanic's")) == (1, "too_large", "refused(413)")
    assert outcome(b"a", BadRequest("Sanic's")) == (1, "bad_chunk", "refused(400)")
    assert outcome(b"a", HELD, stall_s=0.01) == (1, "timeout_upload", "timeout(upload)")
    assert outcome(b"a", content_digest=f"sha-256=:{'A' * 43}=:") == (1, "digest_mismatch", "refused(400)")


def test_what_its_head_rules_out_is_refused_before_anything_is_read() -> None:
    for of, code in (
        ({"length": 1_001}, "too_large"),
        ({"content_encoding": "gzip"}, "unsupported_content_encoding"),
        ({"repr_digest": "sha-256=x"}, "bad_digest"),
    ):
        with pytest.raises(Failed, match=code):
            body_of(**of)


def test_how_it_failed_is_said_again_to_whoever_asks_again() -> None:
    body = body_of(b"a", BadRequest("Sanic's"), b"b")
    first = asyncio.run(read(body))[1]
    assert asyncio.run(read(body)) == ([], first)
    assert body.cut() == first


def test_who_reads_it_in_another_task_is_woken_when_it_is_cut() -> None:
    async def cut() -> tuple[tuple[list[bytes], Failure | None], Failure | None, Failure | None]:
        with body_of(b"abc", HELD, length=10) as body:
            reading = asyncio.ensure_future(read(body))
            await asyncio.sleep(0.01)
            was = body.cut()
        return await reading, was, body.cut()

    (parts, failure), was, again = asyncio.run(cut())
    assert failure is not None
    assert parts == [b"abc"]
    assert (str(failure.outcome), failure.code) == ("truncated", "upload_cut")
    assert failure.detail == "the body was cut after 3 of 10 bytes"
    assert failure == was == again


def test_a_cut_is_not_taken_for_a_stall_nor_a_stall_for_a_cut() -> None:
    async def both() -> Failure | None:
        body = body_of(HELD, stall_s=0.01)
        failure = (await read(body))[1]
        assert body.cut() == failure
        return failure

    failure = asyncio.run(both())
    assert failure is not None
    assert failure.code == "timeout_upload"


def test_an_upload_of_any_length_takes_some_thousand_steps_and_loses_no_byte() -> None:
    taps = TapLog().open("s")
    parts = [b"a" * 50] * 20_000
    body = body_of(*parts, max_bytes=1 << 30, taps=taps)
    asyncio.run(read(body))
    tap = taps.taps["server.read"]
    assert tap.bytes[-1] == body.received == 1_000_000
    assert 1_024 < len(tap) < 6_000
    assert set(tap.events) == {0}, "parts are nobody's events"
    steps = [after - before for before, after in zip(tap.bytes, tap.bytes[1:], strict=False)]
    assert max(steps) <= 1_000_000 / 1_024 + 50


def test_what_came_before_a_cut_is_among_its_steps() -> None:
    taps = TapLog().open("s")
    body = body_of(b"a" * 900, b"a", BadRequest("Sanic's"), taps=taps)
    asyncio.run(read(body))
    assert taps.taps["server.read"].bytes[-1] == 901

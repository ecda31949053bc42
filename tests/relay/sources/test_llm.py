"""An LLM's answer as a source: what its head, and a failure to get one, are called."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import httpx2
import pytest

from streamkit.presets.asking import UpstreamRequest
from streamkit.relay.settings import Deadlines
from streamkit.relay.sources.llm import llm, retry_after_s
from streamkit.relay.sources.source import Into
from streamkit.taps import StreamTaps
from tests.relay.sources.upstreams import CHUNKED, Answering, Wire, failed, relay, stream, upstream_over


@pytest.mark.parametrize(
    ("error", "code", "status", "outcome"),
    [
        (httpx2.ConnectError("x"), "upstream_unreachable", 502, "refused(connect)"),
        (httpx2.ConnectTimeout("x"), "timeout_connect", 504, "timeout(connect)"),
        (httpx2.PoolTimeout("x"), "timeout_connect", 504, "timeout(connect)"),
        (httpx2.RemoteProtocolError("x"), "upstream_truncated", 502, "truncated"),
    ],
)
def test_a_failure_to_get_an_answer_is_named(error: Exception, code: str, status: int, outcome: str) -> None:
    assert failed(Answering(error=error)) == (code, status, outcome)


@pytest.mark.parametrize(
    ("answered", "code", "status"),
    [
        (429, "upstream_rate_limited", 429),
        (503, "upstream_overloaded", 503),
        (401, "upstream_refused", 502),
        (500, "upstream_refused", 502),
        (302, "upstream_refused", 502),
        (204, "upstream_refused", 502),
    ],
)
def test_a_refusal_keeps_its_status_in_the_outcome(answered: int, code: str, status: int) -> None:
    assert failed(Answering(status=answered)) == (code, status, f"refused({answered})")


def test_retry_after_is_kept() -> None:
    _, failure = relay(Answering(status=429, headers={"retry-after": "7"}))
    assert failure is not None
    assert failure.retry_after_s == 7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("0", 0), ("7", 7), ("60", 60), ("61", 60), ("9" * 5000, 60), ("-1", None), ("+5", None),
        ("٣", None), ("soon", None), ("Sun, 22 Nov 2026 12:00:30 GMT", 30), ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 12:00:00 GMT", 60), ("", None), ("Mon, 23 Nov 99999 12:00:00 GMT", None),
        ("Mon, 23 Nov 2026 12:00:00 +" + "9" * 30, None), (f"Mon, {'9' * 30} Nov 2026 12:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_and_capped(value: str | None, seconds: int | None) -> None:
    assert retry_after_s(value, datetime(2026, 11, 22, 12, tzinfo=UTC)) == seconds


def test_a_json_error_under_200_is_named_by_its_code() -> None:
    body = b'{"error": {"type": "invalid_request_error", "code": "model_not_found", "message": "no"}}'
    upstream = Answering([body], headers={"content-type": "application/json", "content-length": "99"})
    assert failed(upstream) == ("upstream_error", 502, "error_event(model_not_found)")


def test_bedrocks_binary_event_stream_is_refused_by_its_name() -> None:
    _, failure = relay(Answering([b"\x00\x00"], headers={"content-type": "application/vnd.amazon.eventstream"}))
    assert failure is not None
    assert failure.code == "upstream_content_type"
    assert "AWS's binary event stream" in failure.detail


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json", "TEXT/HTML"])
def test_an_answer_that_is_no_stream_is_refused(content_type: str) -> None:
    upstream = Answering([b"<html>"], headers={"content-type": content_type, "content-length": "6"})
    assert failed(upstream)[0] == "upstream_content_type"


def test_a_compressed_answer_is_refused_unread() -> None:
    upstream = Answering([b"\x1f\x8b"], headers={**CHUNKED, "content-encoding": "gzip"})
    assert failed(upstream)[0] == "upstream_content_encoding"


def test_a_traced_stream_tells_the_upstream_its_name_and_when_it_asked() -> None:
    asked: list[httpx2.Request] = []

    class Listening(Answering):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            asked.append(request)
            return await super().handle_async_request(request)

    async def main(into: Into) -> None:
        upstream = upstream_over(Listening(stream("openai", "a")))
        async for _ in llm(upstream, upstream.question("hi"), into):
            pass

    taps = StreamTaps("ab12")
    asyncio.run(main(Into(taps=taps)))
    asyncio.run(main(Into()))
    traced, other = asked
    assert traced.headers["x-stream-id"] == "ab12"
    assert "x-stream-id" not in other.headers
    assert list(taps.marks) == ["relay.asking"]
    assert {name: tap.events[-1] for name, tap in taps.taps.items()} == {"relay.read": 1, "relay.event": 1}


def test_what_is_asked_is_let_go_when_the_answer_begins() -> None:
    """It may be a megabyte, and an answer takes minutes."""

    async def main() -> None:
        upstream = upstream_over(Answering(stream("openai", "a", "b")))
        content = bytes(bytearray(1000))
        question = UpstreamRequest({}, content)
        source = llm(upstream, question, Into(taps=StreamTaps("ab12")))
        del question
        async with aclosing(source):
            await anext(source)
            assert sys.getrefcount(content) == 2, "this function's, and the one that getrefcount is given"

    asyncio.run(main())


def test_a_transport_that_hands_its_reads_out_is_left_too_when_nothing_comes_behind_a_finish_reason() -> None:
    class Endless(Wire):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for data in stream("openai", "a")[:-1]:
                yield data
            while True:
                await asyncio.sleep(0.01)
                yield b"event: ping\ndata: {}\n\n"

    answering = Answering()
    answering.wire = Endless(())

    async def main() -> list[str]:
        asked = upstream_over(answering, deadlines=Deadlines(idle_s=0.2))
        return [piece.text async for pieces in llm(asked, asked.question("hi"), Into()) for piece in pieces]

    assert asyncio.run(asyncio.wait_for(main(), 10)) == ["a"]

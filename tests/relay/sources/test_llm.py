"""An LLM's answer as a source: what its head, and a failure to get one, are called."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import httpx2
import pytest

from streamkit.presets.asking import UpstreamRequest
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.settings import Deadlines
from streamkit.relay.sources.llm import llm, retry_after_s
from streamkit.relay.sources.source import Into
from streamkit.taps import StreamTaps
from tests.fakes import run_in_fake_time
from tests.relay.sources.upstreams import (
    CHUNKED,
    Answering,
    Chunk,
    Wire,
    failed,
    joined,
    relay,
    stream,
    upstream_over,
)


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
        (206, "upstream_refused", 502),
    ],
)
def test_a_refusal_keeps_its_status_in_the_outcome(answered: int, code: str, status: int) -> None:
    assert failed(Answering(status=answered)) == (code, status, f"refused({answered})")


def test_a_proxy_that_passes_no_stream_on_has_a_code_of_its_own() -> None:
    said = {"proxy-status": "cdn.example; error=incremental_refused"}
    assert failed(Answering(status=501, headers=said)) == ("upstream_incremental_refused", 502, "refused(501)")
    assert failed(Answering(status=501)) == ("upstream_refused", 502, "refused(501)")


@pytest.mark.parametrize("status", [401, 429, 500])
def test_the_providers_message_behind_a_refusal_is_kept_for_the_log_alone(status: int) -> None:
    _, failure = relay(Answering([b'{"error": {"message": ', b'"no such key"}}'], status=status))
    assert failure is not None
    assert failure.why == "no such key"
    assert "key" not in failure.detail
    assert "key" not in repr(failure)


@pytest.mark.parametrize("rest", [httpx2.ReadError("cut"), b"x" * 100_000])
def test_a_message_that_is_cut_or_endless_does_not_hide_the_refusal(rest: Chunk) -> None:
    _, failure = relay(Answering([b"No.", rest], status=401))
    assert failure is not None
    assert (str(failure.outcome), failure.why[:3], len(failure.why) <= 65_536) == ("refused(401)", "No.", True)


def test_a_refusal_whose_message_does_not_come_is_told_all_the_same() -> None:
    class Silent(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"No."
            await asyncio.Event().wait()

    class Refusing(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, _: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(401, stream=Silent())

    async def main() -> Failure:
        asked = upstream_over(Refusing())
        try:
            async with aclosing(llm(asked, asked.question("hi"), Into())) as pieces:
                async for _ in pieces:
                    pass
        except Failed as error:
            return error.failure
        raise AssertionError("it was refused")

    assert run_in_fake_time(main()).why == "No."


def test_a_compressed_refusal_is_not_quoted() -> None:
    _, failure = relay(Answering([b"\x1f\x8b"], status=401, headers={"content-encoding": "gzip"}))
    assert failure is not None
    assert failure.why == ""


def test_why_somebody_elses_transport_failed_may_name_addresses_and_is_not_quoted() -> None:
    _, failure = relay(Answering(error=httpx2.ConnectError("http://secret.test refused")))
    assert failure is not None
    assert failure.why == ""


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


ERRORS = [
    b'{"error": {"type": "invalid_request_error", "code": "model_not_found", "message": "no"}}',
    b'{\n  "error": {\n    "code": "model_not_found"\n  }\n}\n',
    b'[{"error": {"code": "model_not_found"}}]',
]


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain", "text/html", None])
@pytest.mark.parametrize("name", ["openai", "gemini", "ollama", "anthropic"])
@pytest.mark.parametrize("body", ERRORS)
def test_an_error_that_is_a_document_is_named_by_its_code(content_type: str | None, name: str, body: bytes) -> None:
    upstream = Answering([body[:5], body[5:]], headers=typed(content_type))
    assert failed(upstream, name) == ("upstream_error", 502, "error_event(model_not_found)")


def typed(content_type: str | None) -> dict[str, str]:
    named = {} if content_type is None else {"content-type": content_type}
    return {"transfer-encoding": "chunked", **named}


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/html", "text/plain", "application/octet-stream", None, "application/json, text/plain"],
)
@pytest.mark.parametrize("name", ["openai", "ollama", "seed"])
def test_a_stream_is_read_whatever_its_type_says(content_type: str | None, name: str) -> None:
    whole = b"".join(stream(name, "a", "b"))
    for cut in (1, 1 << 20):
        reads = [whole[at : at + cut] for at in range(0, len(whole), cut)]
        batches, failure = relay(Answering(reads, headers=typed(content_type)), name)
        assert (joined(batches), failure) == ("ab", None)


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
def test_an_array_of_a_streams_events_is_read_element_by_element(content_type: str) -> None:
    """Gemini's without alt=sse."""
    chunk = b'{"candidates": [{"content": {"parts": [{"text": "%s"}]}%s}]}'
    reads = [b"[" + chunk % (b"a", b"") + b"\n", b",\r\n" + chunk % (b"b", b', "finishReason": "STOP"') + b"\n", b"]"]
    assert relay(Answering(reads, headers=typed(content_type)), "gemini") == ([["a"], ["b"]], None)
    assert failed(Answering(reads[:1], headers=typed(content_type)), "gemini")[0] == "upstream_truncated"


def test_bedrocks_binary_event_stream_is_refused_by_its_name() -> None:
    _, failure = relay(Answering([b"\x00\x00"], headers={"content-type": "application/vnd.amazon.eventstream"}))
    assert failure is not None
    assert failure.code == "upstream_content_type"
    assert "AWS's binary event stream" in failure.detail


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json", "TEXT/HTML"])
def test_an_answer_that_is_no_stream_is_refused(content_type: str) -> None:
    upstream = Answering([b"<html>"], headers={"content-type": content_type, "content-length": "6"})
    assert failed(upstream)[0] == "upstream_content_type"


WHOLE = b'{"object": "chat.completion", "choices": [{"message": {"content": "OK"}, "finish_reason": "stop"}]}'


@pytest.mark.parametrize("behind", [b"", b"\n\ndata: [DONE]\n\n"])
def test_a_whole_answer_in_a_document_is_no_stream_where_its_type_says_so_too(behind: bytes) -> None:
    assert failed(Answering([WHOLE + behind], headers=typed("application/json")))[0] == "upstream_content_type"


@pytest.mark.parametrize("content_type", ["text/event-stream", "text/plain", None])
@pytest.mark.parametrize("behind", [b"", b"\n\ndata: [DONE]\n\n"])
def test_under_another_type_it_is_one_piece(content_type: str | None, behind: bytes) -> None:
    batches, failure = relay(Answering([WHOLE[:20], WHOLE[20:] + behind], headers=typed(content_type)))
    assert (joined(batches), failure) == ("OK", None)


@pytest.mark.parametrize("status", [200, 201, 202, 203])
def test_any_2xx_is_an_answer(status: int) -> None:
    assert joined(relay(Answering(stream("openai", "a"), status=status))[0]) == "a"


@pytest.mark.parametrize("coding", ["none", "identity", "UTF-8", ""])
def test_what_is_no_coding_is_no_reason_to_refuse(coding: str) -> None:
    upstream = Answering(stream("openai", "a"), headers={**CHUNKED, "content-encoding": coding})
    assert joined(relay(upstream)[0]) == "a"


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


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b"data: [DONE]\n\n"], []),
        ([b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n', b"data: [DONE]\n\n"], ["length"]),
        ([b'data: {"choices":[{"delta":{},"finish_reason":"two words"}]}\n\n', b"data: [DONE]\n\n"], []),
    ],
)
def test_why_the_provider_ended_is_told_where_it_said_so_in_a_word_that_can_be_shown(
    events: list[bytes], told: list[str]
) -> None:
    heard: list[str] = []

    async def main() -> None:
        upstream = upstream_over(Answering(events))
        with contextlib.suppress(Failed):
            async for _ in llm(upstream, upstream.question("hi"), Into(finished=heard.append)):
                assert not heard, "behind all pieces"

    asyncio.run(main())
    assert heard == told


def test_what_was_held_back_is_delivered_before_a_cut() -> None:
    chunk = 'data: {"choices":[{"index":%d,"delta":{"content":"%s"}}]}\n\n'
    events: list[Chunk] = [(chunk % (index, text)).encode() for index, text in enumerate("abc")]
    batches, failure = relay(Answering([*events, httpx2.ReadError("cut")]), "openai")
    assert failure is not None
    assert (joined(batches), failure.code) == ("abc", "upstream_truncated")


def test_what_was_left_out_is_noted_behind_all_pieces() -> None:
    chunk = 'data: {"choices":[{"index":%d,"delta":{"content":"%s"}}]}\n\n'
    events = [(chunk % (index, text)).encode() for index, text in ((0, "a"), (1, "x"), (0, "b"))]
    noted: list[str] = []

    async def main() -> None:
        upstream = upstream_over(Answering([*events, b"data: [DONE]\n\n"]))
        async for _ in llm(upstream, upstream.question("hi"), Into(noted=noted.extend)):
            assert not noted

    asyncio.run(main())
    assert noted == ["choice 1 was left out: 1 piece"]


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

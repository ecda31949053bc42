"""An LLM's answer as a source of pieces: when it is complete, and what every other ending is called.

The network is a list of byte chunks that may end in an exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.presets import preset, writer
from streamkit.relay.failure import Failure, SourceFailed
from streamkit.relay.settings import Limits
from streamkit.relay.sources.llm import HEARTBEATS, llm, retry_after_s

CHUNKED = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
Chunk = bytes | Exception


class Wire(httpx2.AsyncByteStream):
    """A response body that arrives as given and remembers whether it was closed."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = chunks
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


class Upstream(httpx2.AsyncBaseTransport):
    """Answers every request with one response, or fails to connect."""

    def __init__(
        self,
        chunks: Sequence[Chunk] = (),
        status: int = 200,
        headers: dict[str, str] | None = None,
        error: Exception | None = None,
    ) -> None:
        self.wire = Wire(chunks)
        self._status, self._headers, self._error = status, CHUNKED if headers is None else headers, error

    async def handle_async_request(self, _: httpx2.Request) -> httpx2.Response:
        if self._error is not None:
            raise self._error
        return httpx2.Response(self._status, headers=self._headers, stream=self.wire)


def relay(
    upstream: Upstream, name: str = "openai", limits: Limits | None = None
) -> tuple[list[list[str]], Failure | None]:
    """The texts of each batch, and the failure if there was one. The upstream is closed in every case."""

    async def main() -> tuple[list[list[str]], Failure | None]:
        found = preset(name)
        ask = found.request("hi", model="m")
        batches: list[list[str]] = []
        url = httpx2.URL("http://upstream.test/v1")
        try:
            async for pieces in llm(upstream, url, ask, found, limits or Limits(), 1.0):
                batches.append([piece.text for piece in pieces])
        except SourceFailed as failed:
            return batches, failed.failure
        return batches, None

    batches, failure = asyncio.run(main())
    assert upstream.wire.closed or upstream._error is not None, "the upstream's answer was left open"
    return batches, failure


def stream(name: str, *texts: str) -> list[bytes]:
    """A whole answer in `name`'s wire format, event by event."""
    form = writer(name)
    return [*form.open(), *(form.piece(text, i) for i, text in enumerate(texts)), *form.close()]


def joined(batches: list[list[str]]) -> str:
    return "".join(text for batch in batches for text in batch)


# --- complete -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["seed", "openai", "anthropic", "gemini", "cohere", "mistral", "dashscope", "replicate"]
)
def test_a_whole_answer_is_complete(name: str) -> None:
    batches, failure = relay(Upstream(stream(name, "你", "好")), name)
    assert (joined(batches), failure) == ("你好", None)


def test_ndjson_is_read_as_ndjson() -> None:
    upstream = Upstream(
        stream("ollama", "你", "好"), headers={"content-type": "application/x-ndjson", "content-length": "9"}
    )
    batches, failure = relay(upstream, "ollama")
    assert (joined(batches), failure) == ("你好", None)


def test_pieces_of_one_read_stay_together_and_a_read_that_completes_no_event_yields_nothing() -> None:
    a, b, c = (writer("seed").piece(text, i) for i, text in enumerate("abc"))
    batches, _ = relay(Upstream([a + b, b": heartbeat\n\n", c[:9], c[9:]]), "seed")
    assert batches == [["a", "b"], ["c"]]


def test_an_event_without_text_still_shows_that_the_upstream_lives() -> None:
    batches, _ = relay(Upstream([b'data: {"choices": []}\n\n', *stream("openai", "a")]))
    assert batches[0] == []


def test_without_an_end_marker_clean_framing_is_the_proof() -> None:
    pieces = [writer("seed").piece("a", 0)]
    assert relay(Upstream(pieces), "seed") == ([["a"]], None)
    length = {"content-type": "text/event-stream", "content-length": str(len(pieces[0]))}
    assert relay(Upstream(pieces, headers=length), "seed") == ([["a"]], None)


def test_a_finish_reason_and_clean_framing_are_enough_for_openai() -> None:
    without_done = stream("openai", "a")[:-1]
    assert relay(Upstream(without_done))[1] is None


@pytest.mark.parametrize("name", ["openai", "anthropic", "seed", "replicate"])
def test_many_events_in_one_read_give_what_they_give_one_by_one(name: str) -> None:
    events = stream(name, *("你好\n" if i % 7 else '"' for i in range(100)))
    texts = [text for batch in relay(Upstream(events), name)[0] for text in batch]
    assert relay(Upstream([b"".join(events)]), name) == ([texts], None)


def test_the_pieces_before_an_error_are_handed_on_with_it_in_one_read() -> None:
    form = writer("openai")
    events = [*(form.piece("a", i) for i in range(100)), form.error("busy"), form.piece("b", 0)]
    batches, failure = relay(Upstream([b"".join(events)]))
    assert batches == [["a"] * 100]
    assert failure is not None
    assert failure.outcome.name == "error_event"


def test_what_comes_after_the_end_marker_is_not_read() -> None:
    after: list[Chunk] = [
        *stream("openai", "a"),
        b'data: {"choices": [{"index": 0, "delta": {"content": "b"}}]}\n\n',
        httpx2.ReadError("x"),
    ]
    batches, failure = relay(Upstream(after))
    assert (joined(batches), failure) == ("a", None)


def test_a_stream_that_is_complete_stays_so_whatever_follows_in_the_same_read() -> None:
    behind = b"".join(stream("openai", "a")) + b"data: " + b"x" * 5000 + b"\n\n"
    batches, failure = relay(Upstream([behind]), limits=Limits(max_line_bytes=1000))
    assert (joined(batches), failure) == ("a", None)


# --- truncated ------------------------------------------------------------------------------------------------------


def truncated(upstream: Upstream, name: str = "openai") -> bool:
    _, failure = relay(upstream, name)
    return failure is not None and str(failure.outcome) == "truncated" and failure.status == 502


def test_a_bare_eof_proves_nothing() -> None:
    assert truncated(Upstream([writer("seed").piece("a", 0)], headers={"content-type": "text/event-stream"}), "seed")


def test_clean_framing_without_the_end_marker_is_truncated() -> None:
    assert truncated(Upstream([writer("anthropic").piece("a", 0)]), "anthropic")


def test_a_finish_reason_without_clean_framing_is_truncated() -> None:
    assert truncated(Upstream(stream("openai", "a")[:-1], headers={"content-type": "text/event-stream"}))


@pytest.mark.parametrize("error", [httpx2.ReadError("x"), httpx2.RemoteProtocolError("x"), httpx2.ReadTimeout("")])
def test_a_cut_connection_is_truncated_and_the_pieces_before_it_are_kept(error: Exception) -> None:
    batches, failure = relay(Upstream([writer("seed").piece("a", 0), error]), "seed")
    assert batches == [["a"]]
    assert failure is not None
    assert str(failure.outcome) == "truncated"


@given(st.data())
def test_no_prefix_of_a_stream_with_an_end_marker_passes_for_the_whole(data: st.DataObject) -> None:
    whole = b"".join(stream("anthropic", "你", "好"))
    cut = data.draw(st.integers(0, len(whole) - len(writer("anthropic").close()[-1])))
    assert truncated(Upstream([whole[:cut]]), "anthropic")


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": "model_not_found"}}',
        b'{\n  "error": {\n    "code": "model_not_found"\n  }\n}\n',
        b"<html>\n\n<p>Sign in</p>\n\n</html>\n",
        writer("seed").piece("a", 0) + writer("seed").piece("b", 1)[:-1],
    ],
    ids=["json", "pretty json", "a page", "half an event"],
)
@pytest.mark.parametrize("name", ["seed", "gemini"])
def test_clean_framing_proves_nothing_if_the_stream_ends_inside_an_event(name: str, body: bytes) -> None:
    assert truncated(Upstream([body], headers={"content-type": "text/plain", "content-length": "9"}), name)


def test_comments_may_stand_behind_the_last_event() -> None:
    assert relay(Upstream([writer("seed").piece("a", 0), b": bye"]), "seed") == ([["a"]], None)


# --- heartbeats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(HEARTBEATS))
@pytest.mark.parametrize("data", ["{}", '{"type": "ping"}', "12:00:01", "", "5"])
def test_an_event_that_is_a_heartbeat_is_no_event(kind: str, data: str) -> None:
    beat = f"event: {kind}\ndata: {data}\n\n".encode()
    batches, failure = relay(Upstream([beat, *stream("openai", "a"), beat]))
    assert (batches[0], joined(batches), failure) == (relay(Upstream(stream("openai", "a")))[0][0], "a", None)


def test_heartbeats_beside_events_and_texts_hide_nothing() -> None:
    beat, empty = b"event: ping\ndata: now\n\n", b'data: {"choices": []}\n\n'
    a, b = (writer("openai").piece(text, 0) for text in "ab")
    batches, failure = relay(Upstream([beat + empty, beat + a + beat + b + beat, beat, *stream("openai")]))
    assert batches[:2] == [[], ["a", "b"]]
    assert failure is None


def test_malformed_json_behind_a_heartbeat_is_still_an_error() -> None:
    _, failure = relay(Upstream([b"event: ping\ndata: now\n\n" + b"data: {oops\n\n"]))
    assert failure is not None
    assert failure.code == "upstream_malformed"


# --- errors ---------------------------------------------------------------------------------------------------------


def failed(upstream: Upstream, name: str = "openai", limits: Limits | None = None) -> tuple[str, int, str]:
    _, failure = relay(upstream, name, limits)
    assert failure is not None
    return failure.code, failure.status, str(failure.outcome)


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
    assert failed(Upstream(error=error)) == (code, status, outcome)


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
    assert failed(Upstream(status=answered)) == (code, status, f"refused({answered})")


def test_retry_after_is_kept() -> None:
    _, failure = relay(Upstream(status=429, headers={"retry-after": "7"}))
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


def test_an_error_in_the_stream_ends_it_with_the_providers_code() -> None:
    upstream = Upstream(
        [*writer("openai").open(), writer("openai").piece("a", 0), writer("openai").error("server_busy")]
    )
    batches, failure = relay(upstream)
    assert joined(batches) == "a"
    assert failure is not None
    assert (failure.code, str(failure.outcome)) == ("upstream_error", "error_event(server_busy)")


def test_nothing_that_the_provider_wrote_but_its_code_reaches_a_client() -> None:
    secret = b'data: {"error": {"code": "bad", "message": "key sk-secret is wrong"}}\n\n'
    _, failure = relay(Upstream([secret]))
    assert "sk-secret" not in repr(failure)


def test_a_json_error_under_200_is_named_by_its_code() -> None:
    body = b'{"error": {"type": "invalid_request_error", "code": "model_not_found", "message": "no"}}'
    upstream = Upstream([body], headers={"content-type": "application/json", "content-length": "99"})
    assert failed(upstream) == ("upstream_error", 502, "error_event(model_not_found)")


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json", "TEXT/HTML"])
def test_an_answer_that_is_no_stream_is_refused(content_type: str) -> None:
    upstream = Upstream([b"<html>"], headers={"content-type": content_type, "content-length": "6"})
    assert failed(upstream)[0] == "upstream_content_type"


def test_a_compressed_answer_is_refused_unread() -> None:
    upstream = Upstream([b"\x1f\x8b"], headers={**CHUNKED, "content-encoding": "gzip"})
    assert failed(upstream)[0] == "upstream_content_encoding"


def test_a_malformed_payload_is_an_error_and_not_skipped() -> None:
    upstream = Upstream([*stream("openai", "a")[:-1], b"data: {oops\n\n", b"data: [DONE]\n\n"])
    assert failed(upstream) == ("upstream_malformed", 502, "error_event(malformed_json)")


@pytest.mark.parametrize("limit", ["max_line_bytes", "max_event_bytes"])
def test_an_oversized_event_ends_the_stream_after_the_pieces_before_it(limit: str) -> None:
    upstream = Upstream([*stream("seed", "a"), b"data: " + b"x" * 5000 + b"\n\n", *stream("seed", "b")])
    batches, failure = relay(upstream, "seed", Limits(**{limit: 1000}))
    assert batches == [["a"]]
    assert failure is not None
    assert failure.code == "upstream_too_large"


def test_an_event_of_too_many_values_ends_the_stream_after_the_pieces_before_it_unparsed() -> None:
    crowd = b'data: {"choices":[' + 100_000 * b"{}," + b"{}]}\n\n"
    batches, failure = relay(Upstream([*stream("openai", "a")[:-1], crowd, *stream("openai", "b")]), "openai")
    assert joined(batches) == "a"
    assert failure is not None
    assert (failure.code, str(failure.outcome)) == ("upstream_malformed", "error_event(too_many_values)")

"""How a stream ends, as its client and the relay's log see it: the log line, heartbeats, and a server that stops."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from streamkit.app import create_app
from streamkit.presets import writer
from streamkit.serving.server import Server, serve
from tests.rawsockets import (
    LAST_CHUNK,
    SSE_HEAD,
    WAIT_S,
    RawServer,
    chunk,
    connected,
    exchange,
    is_whole,
    read_answer,
    request,
)
from tests.servers import eventually

PIECE = writer("seed").piece("床", 0)
SSE, NDJSON, TEXT = "text/event-stream", "application/x-ndjson", "text/plain"
Starter = Callable[..., Server]
Upstream = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def relay() -> Iterator[Starter]:
    """Start relays, which are stopped after the test."""
    started: list[Server] = []

    def start(upstream: str, **options: Any) -> Server:
        started.append(serve(partial(create_app, upstream=upstream, **options)))
        return started[-1]

    yield start
    for server in started:
        server.stop(0)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[int], list[dict[str, Any]]]:
    """The relay's log lines, as soon as there are so many."""
    caplog.set_level(logging.INFO, "streamkit.relay")

    def read(count: int) -> list[dict[str, Any]]:
        assert eventually(lambda: len(caplog.records) >= count)
        return [json.loads(record.getMessage()) for record in caplog.records]

    return read


def ask(accept: str = TEXT) -> bytes:
    return request("/ans", b"chat_history=hi", accept=accept)


def two_pieces(connection: socket.socket) -> None:
    connection.sendall(SSE_HEAD + chunk(PIECE) + chunk(PIECE) + LAST_CHUNK)


class Waiting:
    """An upstream that sends `first`, and the rest when it is told to."""

    def __init__(self, first: bytes) -> None:
        self.first = first
        self.go_on = threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(self.first)
        self.go_on.wait(WAIT_S)
        connection.sendall((b"" if self.first else SSE_HEAD) + chunk(PIECE) + LAST_CHUNK)


# --- The log line ---------------------------------------------------------------------------------------------------


def test_a_whole_stream_has_one_line_with_its_times_and_counts(
    relay: Starter, lines: Callable[[int], list[dict[str, Any]]]
) -> None:
    with RawServer(two_pieces) as upstream:
        answer = exchange(relay(upstream.url).url, ask(SSE))
    (line,) = lines(1)
    assert line.pop("stream_id").encode() in answer
    assert 0 < line.pop("first_piece_ms") <= line.pop("duration_ms")
    assert line.pop("held_ms") >= 0
    assert line.pop("wrote_bytes") > 2 * len("床".encode())
    assert line == {
        "outcome": "complete",
        "code": "",
        "finish_reason": None,
        "status": 200,
        "format": SSE,
        "policy": "pause",
        "pieces": 2,
        "dropped": 0,
    }


def test_a_stream_that_breaks_tells_its_code_and_that_the_client_was_told_200(
    relay: Starter, lines: Callable[[int], list[dict[str, Any]]]
) -> None:
    with RawServer(lambda connection: connection.sendall(SSE_HEAD + chunk(PIECE))) as upstream:
        exchange(relay(upstream.url).url, ask())
    (line,) = lines(1)
    assert (line["outcome"], line["code"], line["status"]) == ("truncated", "upstream_truncated", 200)
    assert line["pieces"] == 1


@pytest.mark.parametrize("accept", [SSE, NDJSON])
def test_why_the_provider_ended_is_told_to_the_client_and_in_the_line(
    relay: Starter, lines: Callable[[int], list[dict[str, Any]]], accept: str
) -> None:
    events = b'data: {"choices":[{"delta":{"content":"The first"}}]}\n\n'
    events += b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\ndata: [DONE]\n\n'
    with RawServer(lambda connection: connection.sendall(SSE_HEAD + chunk(events) + LAST_CHUNK)) as upstream:
        answer = exchange(relay(upstream.url, preset="openai", model="m").url, ask(accept))
    assert b'{"outcome":"complete","pieces":1,"finish_reason":"length"}' in answer
    (line,) = lines(1)
    assert (line["outcome"], line["finish_reason"]) == ("complete", "length")


def test_what_is_refused_has_a_line_too_with_no_piece(
    relay: Starter, lines: Callable[[int], list[dict[str, Any]]]
) -> None:
    server = relay("http://127.0.0.1:1/")
    for body in (b"nothing=of+use", b"chat_history=hi"):
        exchange(server.url, request("/ans", body))
    missing, unreachable = lines(2)
    assert (missing["outcome"], missing["code"], missing["status"]) == ("refused(422)", "chat_history_missing", 422)
    assert (unreachable["outcome"], unreachable["status"]) == ("refused(connect)", 502)
    assert {line["first_piece_ms"] for line in (missing, unreachable)} == {None}


def test_one_stream_too_many_is_refused_at_once_and_logged(
    relay: Starter, lines: Callable[[int], list[dict[str, Any]]]
) -> None:
    silent = Waiting(b"")
    with RawServer(silent) as upstream:
        server = relay(upstream.url, max_streams=1)
        with connected(server.url) as first:
            first.sendall(ask())
            assert eventually(lambda: bool(upstream.requests))
            answer = exchange(server.url, ask())
            silent.go_on.set()
            assert is_whole(read_answer(first))
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1\r\n" in answer
    busy, _ = lines(2)
    assert (busy["outcome"], busy["code"]) == ("refused(503)", "too_many_streams")


# --- Heartbeats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("accept", "heartbeat"), [(SSE, b":\n\n"), (NDJSON, b"\n")])
def test_a_silent_upstream_is_bridged_by_heartbeats_that_are_no_pieces(
    relay: Starter, accept: str, heartbeat: bytes
) -> None:
    waiting = Waiting(SSE_HEAD + chunk(PIECE))
    with RawServer(waiting) as upstream, connected(relay(upstream.url, heartbeat_s=0.05).url) as client:
        client.sendall(ask(accept))
        seen = b""
        while seen.count(chunk(heartbeat)) < 3:
            seen += client.recv(4096)
        waiting.go_on.set()
        while not seen.endswith(LAST_CHUNK):
            seen += client.recv(4096)
    assert seen.count("床".encode()) == 2
    assert b'"pieces":2' in seen


def test_plain_text_has_no_heartbeat_and_so_no_byte_that_is_not_the_answers(relay: Starter) -> None:
    waiting = Waiting(SSE_HEAD + chunk(PIECE))
    with RawServer(waiting) as upstream, connected(relay(upstream.url, heartbeat_s=0.05).url) as client:
        client.sendall(ask())
        threading.Timer(0.3, waiting.go_on.set).start()
        body = read_answer(client).partition(b"\r\n\r\n")[2]
    assert body == 2 * chunk("床".encode()) + LAST_CHUNK


# --- A server that stops --------------------------------------------------------------------------------------------


def stopped(relay: Starter, behave: Waiting, accept: str, grace_s: float) -> bytes:
    """What a client gets whose server is stopped when its upstream was asked, or has sent its first piece."""
    with RawServer(behave) as upstream:
        server = relay(upstream.url)
        with connected(server.url) as client:
            client.sendall(ask(accept))
            assert eventually(lambda: bool(upstream.requests))
            begun = client.recv(4096) if behave.first else b""
            since = time.monotonic()
            server.stop(grace_s)
            assert time.monotonic() - since < grace_s + 5
            behave.go_on.set()
            return begun + read_answer(client)


def test_a_stream_that_outlasts_the_grace_ends_with_an_error_event(
    relay: Starter, lines: Callable[[int], list[dict[str, Any]]]
) -> None:
    answer = stopped(relay, Waiting(SSE_HEAD + chunk(PIECE)), SSE, 0)
    assert b"event: error\n" in answer
    assert b'"code":"shutting_down"' in answer
    (line,) = lines(1)
    assert (line["outcome"], line["code"], line["pieces"]) == ("cancelled(shutdown)", "shutting_down", 1)


def test_a_plain_text_that_outlasts_the_grace_is_cut_visibly(relay: Starter) -> None:
    answer = stopped(relay, Waiting(SSE_HEAD + chunk(PIECE)), TEXT, 0)
    assert "床".encode() in answer
    assert not is_whole(answer)


def test_a_request_without_a_piece_at_the_end_of_the_grace_is_told_to_come_again(relay: Starter) -> None:
    answer = stopped(relay, Waiting(b""), TEXT, 0)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1\r\n" in answer
    assert b'"shutting_down"' in answer


def test_a_stream_that_ends_within_the_grace_ends_whole(relay: Starter) -> None:
    waiting = Waiting(SSE_HEAD + chunk(PIECE))
    threading.Timer(0.3, waiting.go_on.set).start()
    assert is_whole(stopped(relay, waiting, TEXT, WAIT_S))


# --- HTTP/1.0, which has no chunks ----------------------------------------------------------------------------------


def old(accept: str) -> bytes:
    return ask(accept).replace(b"HTTP/1.1", b"HTTP/1.0")


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(partial(client.recv, 65536), b""))


def test_a_whole_answer_over_http_1_0_ends_with_the_connection_and_has_heartbeats_too(relay: Starter) -> None:
    waiting = Waiting(SSE_HEAD + chunk(PIECE))
    with RawServer(waiting) as upstream, connected(relay(upstream.url, heartbeat_s=0.05).url) as client:
        client.sendall(old(SSE))
        threading.Timer(0.3, waiting.go_on.set).start()
        body = read_all(client).partition(b"\r\n\r\n")[2]
    assert body.startswith(b"id: 1\ndata: ")
    assert b"\n:\n\n:\n\n" in body
    assert body.endswith(b'event: done\ndata: {"outcome":"complete","pieces":2}\n\n')


def test_a_broken_plain_text_over_http_1_0_ends_with_a_reset_since_an_end_would_look_whole(relay: Starter) -> None:
    broken = RawServer(lambda connection: connection.sendall(SSE_HEAD + chunk(PIECE)))
    with broken as upstream, connected(relay(upstream.url).url) as client:
        client.sendall(old(TEXT))
        with pytest.raises(ConnectionResetError):
            read_all(client)


# --- A slow client, and a source that fails -------------------------------------------------------------------------


def slowly(url: str, sent: bytes) -> bytes:
    """The answer, to a client whose buffers hold next to nothing and which takes 2 kB at a time, for over two seconds
    behind the failure.
    """
    parts = urlsplit(url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(WAIT_S)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(sent)
        data = b""
        while not is_whole(data):
            try:
                more = connection.recv(2048)
            except ConnectionResetError:
                break
            if not more:
                break
            data += more
            time.sleep(0.03)
        return data


@pytest.mark.parametrize("policy", ["pause", "buffer(1000000)"])
@pytest.mark.parametrize(
    "asked",
    [
        ask(TEXT),
        ask(SSE),
        request("/ans", b"chat_history=hi", accept=SSE, connection="close"),
        ask(TEXT).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["text", "events", "events, then close", "text, HTTP/1.0"],
)
def test_a_slow_client_that_still_reads_gets_all_that_came_before_a_failure(
    relay: Starter, lines: Callable[[int], list[dict[str, Any]]], asked: bytes, policy: str
) -> None:
    count = 150_000 // (3 if TEXT.encode() in asked else 30)

    def break_off(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD + chunk(PIECE * count))

    with RawServer(break_off) as upstream:
        server = relay(
            upstream.url,
            policy=policy,
            max_pending_bytes=1_000_000,
            max_event_bytes=10_000_000,
            send_buffer_bytes=4096,
            grace_s=0.5,
        )
        answer = slowly(server.url, asked)
    assert answer.count("床".encode()) == count
    assert not is_whole(answer) or b'"code":"upstream_truncated"' in answer
    assert b"event: error" in answer or TEXT.encode() in asked
    (line,) = lines(1)
    assert (line["outcome"], line["pieces"]) == ("truncated", count)

"""The naive relays: they relay what is whole, and are wrong about what is broken, each in its own way; and an upload
that is echoed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import socket
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import httpx2
import pytest
from sanic import Sanic

from streamkit.lab.client.record import record
from streamkit.lab.experiments.naive import article, echo, pumped, stock
from streamkit.lab.recording.recording import Recording
from streamkit.presets import writer
from streamkit.serving.server import Server, serve
from tests.rawsockets import LAST_CHUNK, RawServer, chunk

Relay = Callable[..., Sanic[Any, Any]]
Behave = Callable[[socket.socket], None]

FORM = writer("seed")
HEAD = (
    f"HTTP/1.1 200 OK\r\nContent-Type: {FORM.content_type}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
).encode()
PIECES = ("床前", "明月光", "，疑是地上霜。")
EVENTS = [chunk(FORM.piece(text, index)) for index, text in enumerate(PIECES)]
WHOLE = "".join(PIECES)
BOTH = pytest.mark.parametrize("relay", [article, stock])


def ask(relay: Relay, behave: Behave, timeout_s: float = 20.0) -> Recording:
    """What a client of this relay gets from an upstream that does so with its connection."""
    with RawServer(behave) as upstream, serve(partial(relay, upstream.url, timeout_s)) as server:
        return asyncio.run(record(f"{server.url}/ans", data={"chat_history": "你好"}, total_s=20))


def says(*parts: bytes) -> Behave:
    return lambda connection: connection.sendall(b"".join(parts))


def silent_after_a_piece(connection: socket.socket) -> None:
    connection.sendall(HEAD + EVENTS[0])
    with contextlib.suppress(ConnectionError):
        connection.recv(1)  # until the relay leaves


whole = says(HEAD, *EVENTS, LAST_CHUNK)
cut_off = says(HEAD, *EVENTS[:2])  # and then it closes


@BOTH
def test_what_is_whole_they_relay_whole(relay: Relay) -> None:
    recording = ask(relay, whole)
    assert (str(recording.outcome), recording.text) == ("complete", WHOLE)


@pytest.mark.parametrize("relay", [article, stock, pumped])
def test_they_pass_the_streams_id_on_if_there_is_one(relay: Relay) -> None:
    with RawServer(whole) as upstream, serve(partial(relay, upstream.url)) as server:
        for headers in ({"X-Stream-Id": "one"}, {}):
            asyncio.run(record(f"{server.url}/ans", data={"chat_history": "你好"}, headers=headers, total_s=20))
    assert [b"\r\nx-stream-id: one\r\n" in asked.lower() for asked in upstream.requests] == [True, False]


@BOTH
def test_through_both_a_truncated_stream_looks_complete(relay: Relay) -> None:
    recording = ask(relay, cut_off)
    assert (recording.status, str(recording.outcome)) == (200, "complete")
    assert recording.text.startswith(PIECES[0])
    assert recording.text != WHOLE


def test_the_article_writes_errors_into_the_text() -> None:
    assert "error: " in ask(article, cut_off).text
    assert "error: " not in ask(stock, cut_off).text


@BOTH
def test_an_upstreams_refusal_is_an_answer_without_text(relay: Relay) -> None:
    recording = ask(relay, says(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"))
    assert (recording.status, str(recording.outcome), recording.text) == (200, "complete", "")


def test_before_the_first_piece_stock_says_500_and_the_article_says_200() -> None:
    garbage = says(HEAD, chunk(b"data: no JSON\n\n"), LAST_CHUNK)
    assert ask(stock, garbage).status == 500
    wrong = ask(article, garbage)
    assert (wrong.status, str(wrong.outcome)) == (200, "complete")
    assert wrong.text.startswith("error: ")


@pytest.mark.parametrize(("relay", "at_once"), [(article, 1), (stock, 2)])
def test_the_article_asks_for_one_stream_after_the_other(relay: Relay, at_once: int) -> None:
    """A blocking call in an async handler: its loop stands still."""
    running: list[int] = []
    most: list[int] = []

    def slowly(connection: socket.socket) -> None:
        running.append(1)
        most.append(len(running))
        time.sleep(0.3)
        running.pop()
        whole(connection)

    async def twice(url: str) -> None:
        ask = partial(record, f"{url}/ans", data={"chat_history": "你好"}, total_s=20)
        assert [one.text for one in await asyncio.gather(ask(), ask())] == [WHOLE, WHOLE]

    with RawServer(slowly) as upstream, serve(partial(relay, upstream.url, 20.0)) as server:
        asyncio.run(twice(server.url))
    assert max(most) == at_once


def with_a_patient_sanic(upstream: str, timeout_s: float) -> Sanic[Any, Any]:
    """Both have the same timeout, and on a busy machine either may come first."""
    app = stock(upstream, timeout_s)
    app.config.REQUEST_TIMEOUT = app.config.RESPONSE_TIMEOUT = 20
    return app


def test_stock_ends_a_silent_stream_cleanly_when_httpx_has_had_enough() -> None:
    recording = ask(with_a_patient_sanic, silent_after_a_piece, 0.4)
    assert (str(recording.outcome), recording.text) == ("complete", PIECES[0])


def test_with_httpxs_timeout_off_sanic_cuts_it_visibly() -> None:
    recording = ask(partial(stock, httpx_timeout=False), silent_after_a_piece, 0.4)
    assert (str(recording.outcome), recording.text) == ("truncated", PIECES[0])


@BOTH
def test_a_factory_can_go_to_another_process_and_be_called_twice(relay: Relay) -> None:
    again = pickle.loads(pickle.dumps(relay))  # noqa: S301  # our own
    apps = [again("http://127.0.0.1:1"), again("http://127.0.0.1:1")]
    assert apps[0].name != apps[1].name
    for app in apps:
        Sanic.unregister_app(app)


@BOTH
def test_their_tracebacks_are_kept_quiet_and_those_of_others_are_not(
    relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    ask(relay, cut_off)
    ask(relay, says(b"no HTTP\r\n\r\n"))
    assert [entry for entry in caplog.records if entry.levelno >= logging.WARNING] == []
    logging.getLogger("sanic.error").error("somebody else's")
    assert [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.WARNING] == ["somebody else's"]


# --- The upload that waits for itself --------------------------------------------------------------------------------


async def parts(count: int, part: bytes = bytes(8_192)) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield part


def test_an_echo_gives_back_what_it_was_sent() -> None:
    with serve(echo) as server:
        recording = asyncio.run(record(f"{server.url}/upload", content=parts(3, b"some bytes"), total_s=20))
        told = server.app.ctx if server.app is not None else None
    assert (str(recording.outcome), recording.body) == ("complete", b"some bytes" * 3)
    assert told is not None
    assert (told.read_bytes, told.answered_bytes) == (30, 30)


def test_it_waits_for_a_client_that_reads_only_when_it_has_sent_all_and_stands_at_the_same_byte_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stood = []
    with serve(partial(echo, "small-buffers"), unix=True) as server:
        assert server.app is not None
        for _ in range(2):
            with pytest.raises(httpx2.WriteTimeout):
                asyncio.run(sent_before_it_is_read(server))
            stood.append((server.app.ctx.read_bytes, server.app.ctx.answered_bytes))
    assert stood[0] == stood[1]
    assert 0 < stood[0][1] < stood[0][0] < 100_000
    assert [entry for entry in caplog.records if entry.levelno >= logging.WARNING] == []


async def sent_before_it_is_read(server: Server) -> None:
    small = [(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)]
    transport = httpx2.AsyncHTTPTransport(uds=server.unix, socket_options=small)
    async with httpx2.AsyncClient(transport=transport, timeout=httpx2.Timeout(20, write=0.3)) as client:
        await client.post("http://here/upload", content=parts(100))


def test_a_client_that_reads_while_it_sends_gets_it_all_back() -> None:
    with serve(partial(echo, "small-buffers"), unix=True) as server:
        recording = asyncio.run(record(f"{server.url}/upload", content=parts(100), total_s=20))
    assert (str(recording.outcome), recording.body) == ("complete", bytes(819_200))

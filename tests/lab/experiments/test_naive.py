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
from streamkit.lab.experiments.naive import article, article_as_written, echo, pumped, stock
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
    with RawServer(behave) as upstream:
        return ask_at(partial(relay, upstream.url, timeout_s))


def ask_at(factory: Callable[[], Sanic[Any, Any]]) -> Recording:
    with serve(factory) as server:
        return asyncio.run(record(f"{server.url}/ans", data={"chat_history": "你好"}, total_s=20))


def says(*parts: bytes) -> Behave:
    return lambda connection: connection.sendall(b"".join(parts))


def silent_after_a_piece(connection: socket.socket) -> None:
    connection.sendall(HEAD + EVENTS[0])
    with contextlib.suppress(ConnectionError):
        connection.recv(1)  # until the relay leaves


whole = says(HEAD, *EVENTS, LAST_CHUNK)
cut_off = says(HEAD, *EVENTS[:2])  # and then it closes
refuses = says(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")


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


def test_an_upstreams_refusal_is_for_the_article_a_text_with_the_upstreams_url_and_for_stock_no_text() -> None:
    with RawServer(refuses) as upstream:
        refused = {relay: ask_at(partial(relay, upstream.url)) for relay in (article, stock)}
    assert [(one.status, str(one.outcome)) for one in refused.values()] == [(200, "complete")] * 2
    assert refused[article].text == f"error: 429 Client Error: Too Many Requests for url: {upstream.url}/"
    assert refused[stock].text == ""


def test_the_article_skips_a_line_that_it_cannot_read_and_stock_fails() -> None:
    garbage = chunk(b"data: no JSON\n\n")
    assert ask(article, says(HEAD, EVENTS[0], garbage, EVENTS[1], LAST_CHUNK)).text == PIECES[0] + PIECES[1]
    assert ask(stock, says(HEAD, EVENTS[0], garbage, EVENTS[1], LAST_CHUNK)).text == PIECES[0]
    assert ask(stock, says(HEAD, garbage, LAST_CHUNK)).status == 500


def test_so_an_error_that_the_upstream_reports_ends_the_article_without_a_word() -> None:
    recording = ask(article, says(HEAD, EVENTS[0], chunk(FORM.error("overloaded")), LAST_CHUNK))
    assert (recording.status, str(recording.outcome), recording.text) == (200, "complete", PIECES[0])


# --- The article's own way of asking --------------------------------------------------------------------------------


def test_as_written_it_fails_on_todays_sanic_with_a_traceback_that_shows_no_path_of_this_machine() -> None:
    with RawServer(whole) as upstream:
        recording = ask_at(partial(article_as_written, upstream.url))
    assert (recording.status, upstream.requests) == (500, [])
    assert recording.body is not None
    told = recording.body.decode().splitlines()
    assert told[1].startswith('  File "naive.py", line ')
    assert told[-1].startswith("AttributeError: module 'sanic.response' has no attribute 'stream'")


def test_its_question_is_the_whole_body_and_no_form() -> None:
    with RawServer(whole) as upstream:
        ask_at(partial(article, upstream.url))
    (asked,) = upstream.requests
    head, _, body = asked.partition(b"\r\n\r\n")
    assert body == "你好".encode()
    assert b"\r\naccept: text/event-stream\r\n" in head.lower() + b"\r\n"
    assert b"form" not in head.lower()


def test_no_proxy_of_this_machine_stands_between(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert ask(article, whole).text == WHOLE


def test_with_a_bound_on_silence_that_too_is_told_in_the_text() -> None:
    recording = ask(article, silent_after_a_piece, 0.4)
    assert str(recording.outcome) == "complete"
    assert recording.text.startswith(f"{PIECES[0]}error: ")
    assert "timed out" in recording.text


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

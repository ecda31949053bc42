"""Web pages and the relay on localhost, as heads on a socket: what is refused leaves no trace upstream."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sanic import Sanic

from streamkit.app import create_app, create_blueprint
from streamkit.presets import writer
from streamkit.serving.server import Server, serve
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, WAIT_S, RawServer, chunk, connected, exchange, read_answer, request

ASK = b"chat_history=hi"
PAGE = "https://app.example"
EVIL = {"origin": "https://evil.example", "sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}
Starter = Callable[..., Server]


def speak(connection: socket.socket) -> None:
    head = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    connection.sendall(head + chunk(writer("seed").piece("床", 0)) + LAST_CHUNK)


@pytest.fixture
def upstream() -> Iterator[RawServer]:
    with RawServer(speak) as server:
        yield server


@contextmanager
def relay(upstream: RawServer, **options: Any) -> Iterator[str]:
    with serve(partial(create_app, upstream=upstream.url, trace=True, **options)) as server:
        yield server.url


def own_name(url: str) -> str:
    return url.removeprefix("http://")


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_on_any_page_runs_no_stream(upstream: RawServer, content_type: str) -> None:
    with relay(upstream) as url:
        answer = exchange(url, request("/ans", ASK, host=own_name(url), content_type=content_type, **EVIL))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b'"code":"cross_site"' in answer
    assert b"access-control-allow" not in answer
    assert upstream.requests == [], "nothing was asked, and no key sent"


def test_it_is_refused_before_its_body_has_come(upstream: RawServer) -> None:
    with relay(upstream) as url, connected(url) as client:
        client.sendall(request("/ans", b"", host=own_name(url), content_length="1000", expect="100-continue", **EVIL))
        answer = read_answer(client)
    assert answer.startswith(b"HTTP/1.1 403 "), "and not 100 Continue"


def test_a_name_that_was_rebound_reads_nothing(upstream: RawServer) -> None:
    rebound = {"host": "evil.example:8000", "origin": "http://evil.example:8000", "sec_fetch_site": "same-origin"}
    with relay(upstream) as url:
        stream = exchange(url, request("/ans", ASK)).partition(b"x-stream-id: ")[2][:32].decode()
        assert b'"code":"foreign_host"' in exchange(url, request("/ans", ASK, **rebound))
        for path in ("/health", f"/streams/{stream}/taps"):
            head = f"GET {path} HTTP/1.1\r\nHost: "
            assert exchange(url, f"{head}evil.example:8000\r\n\r\n".encode()).startswith(b"HTTP/1.1 403 ")
            assert exchange(url, f"{head}{own_name(url)}\r\n\r\n".encode()).startswith(b"HTTP/1.1 200 ")
            foreign = f"{head}{own_name(url)}\r\nSec-Fetch-Site: cross-site\r\n\r\n".encode()
            assert exchange(url, foreign).startswith(b"HTTP/1.1 403 ")
    assert len(upstream.requests) == 1


def test_whoever_is_no_browser_and_a_page_of_our_own_may_ask(upstream: RawServer) -> None:
    with relay(upstream) as url:
        for said in ({}, {"origin": url}, {"origin": url, "sec_fetch_site": "same-origin"}, {"sec_fetch_site": "none"}):
            asked = request("/ans", ASK, **{"host": own_name(url), **said})
            assert exchange(url, asked).startswith(b"HTTP/1.1 200 ")


def test_a_page_that_is_let_in_asks_first_then_reads(upstream: RawServer) -> None:
    with relay(upstream, cors_origins=[PAGE]) as url:
        before = (
            f"OPTIONS /ans HTTP/1.1\r\nHost: {own_name(url)}\r\nOrigin: {PAGE}\r\nSec-Fetch-Site: cross-site\r\n"
            "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type,prefer\r\n"
            "Connection: close\r\n\r\n"
        )
        preflight = exchange(url, before.encode())
        asked = {"host": own_name(url), "origin": PAGE, "sec_fetch_site": "cross-site"}
        answer = exchange(url, request("/ans", ASK, **asked))
        other = exchange(url, before.replace(PAGE, "https://evil.example").encode())
        refused = exchange(url, request("/ans", b"nothing=in+it", **asked))
    assert preflight.startswith(b"HTTP/1.1 204 ")
    for line in (b"access-control-allow-methods: POST", b"access-control-allow-headers: content-type, prefer"):
        assert line in preflight
    assert answer.startswith(b"HTTP/1.1 200 ")
    for told in (preflight, answer, refused):
        assert f"access-control-allow-origin: {PAGE}\r\n".encode() in told
    assert b"access-control-expose-headers: x-stream-id" in answer
    assert b'"code":"chat_history_missing"' in refused, "a page that may ask reads why it failed"
    assert other.startswith(b"HTTP/1.1 403 ")
    assert b"access-control-allow-origin" not in other


def test_without_the_option_there_is_no_preflight(upstream: RawServer) -> None:
    with relay(upstream) as url:
        asked = f"OPTIONS /ans HTTP/1.1\r\nHost: {own_name(url)}\r\nOrigin: {PAGE}\r\n\r\n".encode()
        answer = exchange(url, asked)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"access-control" not in answer


def test_a_name_that_is_allowed_is_ours(upstream: RawServer) -> None:
    with relay(upstream, allowed_hosts="relay.example") as url:
        said = {"host": "relay.example", "origin": "https://relay.example"}
        assert exchange(url, request("/ans", ASK, **said)).startswith(b"HTTP/1.1 200 ")


def test_the_environment_says_it_too(upstream: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMKIT_CORS_ORIGINS", f"{PAGE}, http://localhost:5173")
    monkeypatch.setenv("STREAMKIT_ALLOWED_HOSTS", "relay.example")
    with relay(upstream) as url:
        said = {"host": "relay.example", "origin": "http://localhost:5173", "sec_fetch_site": "cross-site"}
        assert exchange(url, request("/ans", ASK, **said)).startswith(b"HTTP/1.1 200 ")


def test_over_a_unix_socket_no_name_is_foreign_but_a_page_is(upstream: RawServer, tmp_path: Path) -> None:
    path = str(tmp_path / "relay.sock")
    with serve(partial(create_app, upstream=upstream.url), unix=path):
        answers = []
        for said in ({"host": "relay.example"}, {"host": "relay.example", **EVIL}):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(WAIT_S)
                client.connect(path)
                client.sendall(request("/ans", ASK, **said))
                answers.append(read_answer(client)[9:12])
    assert answers == [b"200", b"403"]


def test_a_relay_for_everybody_is_on_localhost_too(upstream: RawServer) -> None:
    with serve(partial(create_app, upstream=upstream.url), host="0.0.0.0") as server:  # noqa: S104  # that is meant
        port = server.url.rpartition(":")[2]
        local = exchange(f"http://127.0.0.1:{port}", request("/ans", ASK, host="evil.example"))
    assert b'"code":"foreign_host"' in local


def test_in_an_app_of_ones_own_the_same_is_refused(upstream: RawServer) -> None:
    def make() -> Sanic[Any, Any]:
        app: Sanic[Any, Any] = Sanic("of-ones-own", configure_logging=False)
        app.config.TOUCHUP = False
        app.blueprint(create_blueprint(upstream=upstream.url, cors_origins=PAGE))
        return app

    with serve(make) as server:
        host = own_name(server.url)
        assert b'"code":"cross_site"' in exchange(server.url, request("/ans", ASK, host=host, **EVIL))
        answer = exchange(server.url, request("/ans", ASK, host=host, origin=PAGE))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"access-control-allow-origin" in answer


def test_what_was_refused_has_a_line_in_the_log(upstream: RawServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "streamkit.relay")
    with relay(upstream) as url:
        exchange(url, request("/ans", ASK, host=own_name(url), **EVIL))
    (line,) = caplog.records
    assert '"outcome":"refused(403)","code":"cross_site"' in line.getMessage()
    assert "evil.example" not in line.getMessage()


def test_what_was_refused_takes_no_place_among_the_taps(upstream: RawServer) -> None:
    with relay(upstream) as url:
        host = own_name(url)
        exchange(url, request("/ans", ASK, host=host, x_stream_id="mine", **EVIL))
        answer = exchange(url, f"GET /streams/mine/taps HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert b'"code":"unknown_stream"' in answer

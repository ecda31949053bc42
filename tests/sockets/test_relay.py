"""The relay's contract, over real sockets: what a client sees in each case, and what the upstream sees."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import httpx2
import pytest
from sanic import Sanic

from streamkit.app import create_app, create_blueprint
from streamkit.lab.upstream import Script, create_upstream
from streamkit.presets import writer
from streamkit.serving.listener import free_port
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

QUICK = Script(["床前", "明月", "光"], first_piece_ms=1, gap_ms=1)
TEXT = "床前明月光"
ASK = request("/ans", "chat_history=你好".encode())
KEY = "sk-canary-4711"
SEED_EVENT = writer("seed").piece("床", 0)


@pytest.fixture
def up() -> Iterator[Callable[..., Server]]:
    """Start servers that are stopped after the test."""
    started: list[Server] = []

    def start(factory: Callable[[], Sanic[Any, Any]]) -> Server:
        started.append(serve(factory))
        return started[-1]

    yield start
    for server in reversed(started):
        server.stop()


@pytest.fixture
def relay(up: Callable[..., Server]) -> Callable[..., Server]:
    """A relay in front of `upstream` (a URL), or of a quick scripted LLM."""

    def start(upstream: str | None = None, **options: Any) -> Server:
        options.setdefault("preset", "seed")
        script = Script(QUICK.pieces, QUICK.first_piece_ms, QUICK.gap_ms, preset=options["preset"])
        url = upstream or up(partial(create_upstream, script)).url
        return up(partial(create_app, upstream=url, **options))

    return start


def post(server: Server, accept: str = "*/*", **kwargs: Any) -> httpx2.Response:
    kwargs = kwargs or {"data": {"chat_history": "你好"}}
    return httpx2.post(f"{server.url}/ans", headers={"accept": accept}, timeout=WAIT_S, trust_env=False, **kwargs)


# --- A whole stream -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["seed", "openai", "anthropic", "gemini", "ollama", "cohere", "mistral", "dashscope"])
def test_the_text_of_every_provider_arrives_whole(relay: Callable[..., Server], name: str) -> None:
    answer = post(relay(preset=name, model="m"))
    assert (answer.status_code, answer.text) == (200, TEXT)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"chat_history": "你好"}},
        {"json": {"chat_history": "你好"}},
        {"files": {"chat_history": (None, "你好")}},
        {"json": {"chat_history": [{"role": "user", "content": "你好"}]}},
    ],
)
def test_forms_of_both_encodings_and_json_are_understood(relay: Callable[..., Server], body: dict[str, Any]) -> None:
    assert post(relay(), **body).text == TEXT


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        (
            "text/event-stream",
            "text/event-stream; charset=utf-8",
            'event: done\ndata: {"outcome":"complete","pieces":3}\n',
        ),
        ("application/x-ndjson", "application/x-ndjson", '{"done":{"outcome":"complete","pieces":3}}\n'),
        ("text/plain;q=0.1, text/event-stream;q=0.9", "text/event-stream; charset=utf-8", "\n\n"),
        ("image/png", "text/plain; charset=utf-8", TEXT),
        ("*/*", "text/plain; charset=utf-8", TEXT),
    ],
)
def test_the_answers_form_follows_accept(
    relay: Callable[..., Server], accept: str, content_type: str, end: str
) -> None:
    answer = post(relay(), accept)
    assert answer.headers["content-type"] == content_type
    assert end.rstrip("\n") in answer.text


def test_proxies_are_told_not_to_buffer_and_the_stream_has_an_id(relay: Callable[..., Server]) -> None:
    headers = post(relay()).headers
    assert headers["cache-control"] == "no-store, no-transform"
    assert headers["incremental"] == "?1", "RFC 10036"
    assert headers["x-accel-buffering"] == "no"
    assert re.fullmatch("[0-9a-f]{32}", headers["x-stream-id"])


def test_the_status_line_waits_for_the_first_piece_and_each_piece_leaves_at_once(relay: Callable[..., Server]) -> None:
    """The upstream goes on only when the client has seen what was sent before: buffering anywhere would hang here."""
    client_saw = [b""]

    def step_by_step(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD + chunk(b": the head and a comment are no piece\n\n"))
        time.sleep(0.2)
        assert client_saw == [b""], "bytes left before the first piece"
        connection.sendall(chunk(SEED_EVENT))
        wait_until(lambda: "床".encode() in client_saw[0])
        connection.sendall(LAST_CHUNK)

    with RawServer(step_by_step) as upstream, connected(relay(upstream.url).url) as client:
        client.sendall(ASK)
        while not is_whole(client_saw[0]):
            more = client.recv(65536)
            assert more, "the connection closed before the answer was whole"
            client_saw[0] += more


def test_an_answer_without_text_is_an_empty_complete_stream(relay: Callable[..., Server]) -> None:
    silent = chunk(b'data: {"data": [{"value": "{}"}]}\n\n')
    with RawServer(lambda c: c.sendall(SSE_HEAD + silent + LAST_CHUNK)) as upstream:
        answer = post(relay(upstream.url))
    assert (answer.status_code, answer.text) == (200, "")


def test_an_answer_without_one_event_is_none(relay: Callable[..., Server]) -> None:
    with RawServer(lambda c: c.sendall(SSE_HEAD + LAST_CHUNK)) as upstream:
        assert problem(post(relay(upstream.url))) == (502, "upstream_empty")


# --- Before the first piece: a true status --------------------------------------------------------------------------


def problem(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["stream_id"] == answer.headers["x-stream-id"]
    return answer.status_code, told["code"]


def test_a_bad_request_is_refused_and_the_upstream_is_not_asked(relay: Callable[..., Server]) -> None:
    with RawServer(lambda _: None) as upstream:
        server = relay(upstream.url, max_body_bytes=1000)
        assert problem(post(server, data={"chat": "x"})) == (422, "chat_history_missing")
        assert problem(post(server, content=b"x")) == (415, "unsupported_media_type")
        assert problem(post(server, data={"chat_history": "x" * 2000})) == (413, "body_too_large")
        assert upstream.requests == []


def test_routing_errors_have_the_same_shape(relay: Callable[..., Server]) -> None:
    server = relay()
    assert problem(httpx2.get(f"{server.url}/ans", trust_env=False)) == (405, "method_not_allowed")
    assert problem(httpx2.get(f"{server.url}/nowhere", trust_env=False)) == (404, "not_found")


def test_an_upstream_that_is_not_there_is_a_502(relay: Callable[..., Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    assert problem(post(relay(url))) == (502, "upstream_unreachable")


def test_an_upstream_that_is_busy_is_passed_on_with_its_retry_after(relay: Callable[..., Server]) -> None:
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
    with RawServer(lambda c: c.sendall(busy)) as upstream:
        answer = post(relay(upstream.url))
    assert problem(answer) == (429, "upstream_rate_limited")
    assert answer.headers["retry-after"] == "7"


def test_a_silent_upstream_is_a_504_named_after_its_deadline(relay: Callable[..., Server]) -> None:
    with RawServer(lambda c: upstream.until_left(c)) as upstream:
        answer = post(relay(upstream.url, first_piece_s=0.3))
    assert problem(answer) == (504, "timeout_first_piece")
    assert answer.json()["outcome"] == "timeout(first_piece)"


def test_heartbeats_do_not_pass_for_a_first_piece(relay: Callable[..., Server]) -> None:
    def beat(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        while True:  # until the relay leaves
            connection.sendall(chunk(b": beat\n\n"))
            time.sleep(0.02)

    with RawServer(beat) as upstream:
        assert problem(post(relay(upstream.url, first_piece_s=0.3))) == (504, "timeout_first_piece")


def test_a_crowd_above_the_limit_is_refused_at_once(relay: Callable[..., Server]) -> None:
    with RawServer(lambda c: upstream.until_left(c)) as upstream:
        server = relay(upstream.url, max_streams=1)
        with connected(server.url) as first:
            first.sendall(ASK)
            wait_until(lambda: upstream.requests)
            answer = post(server)
            assert problem(answer) == (503, "too_many_streams")
            assert answer.headers["retry-after"] == "1"


# --- After the first piece: a visible break -------------------------------------------------------------------------


def piece_then(end: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD + chunk(SEED_EVENT))
        time.sleep(0.05)  # so that the piece is not in one read with its end
        end(connection)

    return behave


def silence(connection: socket.socket) -> None:
    """Until the other side has gone."""
    connection.recv(1)


BREAKS: dict[str, Callable[[socket.socket], None]] = {
    "FIN": lambda c: c.close(),
    "garbage instead of a chunk": lambda c: c.sendall(b"zz\r\n"),
    "a malformed payload": lambda c: c.sendall(chunk(b"data: {oops\n\n")),
    "an error event": lambda c: c.sendall(chunk(writer("seed").error("busy"))),
    "silence": silence,
}


@pytest.mark.parametrize("end", BREAKS)
@pytest.mark.parametrize("accept", ["text/plain", "text/event-stream", "application/x-ndjson"])
def test_a_broken_stream_never_looks_whole(relay: Callable[..., Server], accept: str, end: str) -> None:
    with RawServer(piece_then(BREAKS[end])) as upstream:
        server = relay(upstream.url, idle_s=0.3)
        answer = exchange(server.url, request("/ans", b"chat_history=x", accept=accept))
        assert "床".encode() in answer, "the piece before the break was lost"
        if accept == "text/plain":
            assert not is_whole(answer), "text/plain ended as if it were complete"
            assert b"error" not in answer.partition(b"\r\n\r\n")[2], "error prose inside the content"
        else:
            assert b"event: error" in answer or b'{"error":' in answer
            assert b"event: done" not in answer
            assert b'{"done":' not in answer
        until_idle(server)


def test_the_error_event_names_what_happened(relay: Callable[..., Server]) -> None:
    with RawServer(piece_then(BREAKS["silence"])) as upstream:
        answer = post(relay(upstream.url, idle_s=0.3), "text/event-stream").text
    assert '"code":"timeout_idle","outcome":"timeout(idle)"' in answer


def test_the_total_deadline_ends_a_lively_stream(relay: Callable[..., Server]) -> None:
    def chatter(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        while True:  # until the relay leaves
            connection.sendall(chunk(SEED_EVENT))
            time.sleep(0.02)

    with RawServer(chatter) as upstream:
        answer = post(relay(upstream.url, total_s=0.4), "application/x-ndjson").text
    assert '"outcome":"timeout(total)"' in answer


def test_a_reader_that_stops_reading_is_cut_when_the_write_stalls(relay: Callable[..., Server]) -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        while True:  # until the relay leaves
            connection.sendall(chunk(writer("seed").piece("床" * 20_000, 0)))

    with RawServer(flood) as upstream:
        server = relay(upstream.url, write_stall_s=0.5)
        with connected(server.url) as client:
            client.sendall(ASK)
            until_idle(server)


def health(server: Server) -> dict[str, Any]:
    told: dict[str, Any] = httpx2.get(f"{server.url}/health", trust_env=False).json()
    return told


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "what this test waits for did not happen"
        time.sleep(0.005)


def until_idle(server: Server) -> None:
    """Wait until a stream has been served and none is live in the relay."""
    wait_until(lambda: (told := health(server))["served"] and not told["live"])


class Flood:
    """An upstream that sends as much as is taken, until somebody stops it; notes what it sent, and when it was held."""

    PIECE = "床" * 20_000
    MAX_PIECES = 1_000  # 60 MB, far more than the sockets between hold: who gets there was not held

    def __init__(self) -> None:
        self.pieces = 0
        self.held = self.stop = False

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        while not self.stop and self.pieces < self.MAX_PIECES:
            left = memoryview(chunk(writer("seed").piece(self.PIECE, 0)))
            self.pieces += 1
            while left:
                if not select.select([], [connection], [], 0.5)[1]:
                    self.held = True
                left = left[connection.send(left) :]
        connection.sendall(LAST_CHUNK)


def test_a_reader_that_waits_holds_the_upstream_and_then_gets_everything(relay: Callable[..., Server]) -> None:
    flood = Flood()
    with RawServer(flood) as upstream, connected(relay(upstream.url).url) as client:
        client.sendall(ASK)
        wait_until(lambda: flood.held)
        flood.stop = True
        tail, text_bytes = b"", 0
        while not tail.endswith(b"\r\n" + LAST_CHUNK):
            data = client.recv(1 << 20)
            assert data, "the connection closed before the answer was whole"
            text_bytes += sum(data.count(byte) for byte in set("床".encode()))
            tail = (tail + data)[-16:]
    assert text_bytes == flood.pieces * len(flood.PIECE.encode())
    assert flood.pieces < flood.MAX_PIECES, "the upstream was never held"


def test_a_client_that_leaves_while_it_is_waited_for_is_cancelled_as_any_other(
    relay: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "streamkit.relay")
    flood = Flood()
    with RawServer(flood) as upstream:
        server = relay(upstream.url)
        with connected(server.url) as client:
            client.sendall(ASK)
            wait_until(lambda: flood.held)
        until_idle(server)
    assert '"outcome":"cancelled"' in caplog.text


# --- A client that leaves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["before the first piece", "in mid-stream"])
@pytest.mark.parametrize("how", ["FIN", "RST", "half-close"])
def test_a_client_that_leaves_frees_the_upstream_within_half_a_second(
    relay: Callable[..., Server], phase: str, how: str
) -> None:
    def speak(connection: socket.socket) -> None:
        if phase == "in mid-stream":
            connection.sendall(SSE_HEAD + chunk(SEED_EVENT))
        upstream.until_left(connection)

    def leave() -> int:
        """Ask, leave, and say after how many ns the upstream was left too."""
        asked, left = len(upstream.requests), len(upstream.left_at_ns)
        with connected(server.url) as client:
            client.sendall(ASK)
            if phase == "in mid-stream":
                assert client.recv(65536)
            wait_until(lambda: len(upstream.requests) > asked)
            if how == "RST":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            at_ns = time.monotonic_ns()
            if how == "half-close":
                client.shutdown(socket.SHUT_WR)
            else:
                client.close()
            wait_until(lambda: len(upstream.left_at_ns) > left)
        return upstream.left_at_ns[-1] - at_ns

    with RawServer(speak) as upstream:
        server = relay(upstream.url)
        took_ms = min(leave() / 1e6 for _ in range(3))  # the machine may stall once, the relay may not
        until_idle(server)
    assert took_ms < 500


# --- What should not happen ------------------------------------------------------------------------------------------


class BrokenBody(httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield SEED_EVENT
        raise RuntimeError(f"a bug, and in its text {KEY}")


class Buggy(httpx2.AsyncBaseTransport):
    """A transport that fails in a way that no transport should."""

    def __init__(self, when: str) -> None:
        self._when = when

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._when == "before":
            raise RuntimeError(f"a bug, and in its text {KEY}")
        return httpx2.Response(200, headers={"transfer-encoding": "chunked"}, stream=BrokenBody(), request=request)


def test_a_bug_before_the_first_piece_is_a_500_that_tells_nothing(
    relay: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    answer = post(relay("http://unused.test", transport=Buggy("before")))
    assert problem(answer) == (500, "internal_error")
    assert "RuntimeError at test_relay.py" in caplog.text
    assert KEY not in answer.text + caplog.text


def test_a_bug_in_mid_stream_is_a_visible_break(relay: Callable[..., Server], caplog: pytest.LogCaptureFixture) -> None:
    server = relay("http://unused.test", transport=Buggy("after"))
    assert not is_whole(exchange(server.url, ASK))
    assert '"code":"internal_error"' in post(server, "text/event-stream").text
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400 Bad Request"),
        (request("/ans", b"chat_history=x", accept="@@@"), b"400 Bad Request"),
        (request("/ans", b"zz\r\nchat", content_length="", transfer_encoding="chunked"), b"400 Bad Request"),
    ],
)
def test_malformed_http_is_a_problem_and_the_next_request_works(
    relay: Callable[..., Server], sent: bytes, status: bytes
) -> None:
    server = relay()
    answer = exchange(server.url, sent)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"application/problem+json" in answer
    assert post(server).text == TEXT


# --- Around it ------------------------------------------------------------------------------------------------------


def test_health_counts_streams(relay: Callable[..., Server]) -> None:
    server = relay()
    post(server)
    assert health(server) == {"status": "ok", "live": 0, "served": 1}


def test_health_can_be_asked_for_its_head_alone(relay: Callable[..., Server]) -> None:
    answer = httpx2.head(f"{relay().url}/health", trust_env=False)
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_blueprint_works_in_somebody_elses_app(up: Callable[..., Server]) -> None:
    llm = up(partial(create_upstream, QUICK))

    def theirs() -> Sanic[Any, Any]:
        app: Sanic[Any, Any] = Sanic("theirs", configure_logging=False)
        app.blueprint(create_blueprint(upstream=llm.url, preset="seed"), url_prefix="/llm")
        return app

    server = up(theirs)
    answer = httpx2.post(f"{server.url}/llm/ans", data={"chat_history": "x"}, trust_env=False)
    assert answer.text == TEXT


@pytest.mark.parametrize("signal_name", ["http.lifecycle.send", "http.lifecycle.<what>"])
def test_an_app_that_listens_to_sanics_sends_is_told_of_each(up: Callable[..., Server], signal_name: str) -> None:
    llm = up(partial(create_upstream, QUICK))
    told: list[bytes] = []

    def listening() -> Sanic[Any, Any]:
        app = create_app(upstream=llm.url, preset="seed")

        @app.signal(signal_name)
        async def note(data: bytes = b"", **_: object) -> None:
            told.append(data)

        return app

    assert exchange(up(listening).url, ASK) == b"".join(told)


def test_a_client_of_http_1_0_gets_the_whole_text_and_then_the_close(relay: Callable[..., Server]) -> None:
    with connected(relay().url) as client:
        client.sendall(ASK.replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = b"".join(iter(partial(client.recv, 65536), b""))
    assert b"connection: close" in answer.lower()
    assert answer.partition(b"\r\n\r\n")[2] == TEXT.encode(), "it knows no chunks"


def test_a_length_set_by_a_middleware_is_kept_to(up: Callable[..., Server]) -> None:
    llm = up(partial(create_upstream, QUICK))

    def with_length() -> Sanic[Any, Any]:
        app = create_app(upstream=llm.url, preset="seed")

        async def set_length(_: Any, response: Any) -> None:
            response.headers["content-length"] = str(len(TEXT.encode()))

        app.register_middleware(set_length, "response")
        return app

    answer = exchange(up(with_length).url, ASK)
    assert answer.partition(b"\r\n\r\n")[2] == TEXT.encode(), "chunks where none were announced"


def test_the_connection_serves_one_answer_after_another(relay: Callable[..., Server]) -> None:
    with connected(relay().url) as client:
        for _ in range(3):
            client.sendall(ASK)
            assert is_whole(read_answer(client))


def test_an_upstream_on_a_unix_socket(up: Callable[..., Server]) -> None:
    llm = serve(partial(create_upstream, QUICK), unix=True)
    try:
        assert post(up(partial(create_app, upstream=llm.url, preset="seed"))).text == TEXT
    finally:
        llm.stop()


def test_the_key_goes_to_the_upstream_and_nowhere_else(
    relay: Callable[..., Server], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\n" + KEY.encode()[:3]
    with RawServer(lambda c: c.sendall(refusal)) as upstream:
        server = relay(upstream.url, preset="openai", model="m")
        answer = post(server)
        assert f"authorization: Bearer {KEY}".lower() in upstream.requests[0].decode().lower()
    assert problem(answer) == (502, "upstream_refused")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("streamkit")]
    assert '"outcome":"refused(401)"' in "".join(ours)
    for text in (answer.text, str(answer.headers), repr(server), *ours):
        assert KEY not in text
        assert upstream.url not in text


@pytest.fixture
def from_shell(up: Callable[..., Server]) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], str]]]:
    """Start a command that serves a relay; gives the process and its URL. All of it is gone after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> tuple[subprocess.Popen[bytes], str]:
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--port", str(port)],
            env={**os.environ, "STREAMKIT_UPSTREAM": up(partial(create_upstream, QUICK)).url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append(process)
        until_listening(port, process)
        return process, f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its workers, which hold the pipe too
        output, _ = process.communicate(timeout=WAIT_S)
        assert b"Traceback" not in output


def ask(url: str) -> str:
    return httpx2.post(f"{url}/ans", data={"chat_history": "x"}, trust_env=False, timeout=WAIT_S).text


def test_streamkit_serve_runs_until_sigterm(
    from_shell: Callable[..., tuple[subprocess.Popen[bytes], str]],
) -> None:
    process, url = from_shell("streamkit", "serve", "--idle-s", "5")
    assert ask(url) == TEXT
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0


def test_sanics_own_command_runs_the_factory(
    from_shell: Callable[..., tuple[subprocess.Popen[bytes], str]],
) -> None:
    _, url = from_shell("sanic", "streamkit.app:create_app", "--factory")
    assert ask(url) == TEXT


def until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        select.select([], [], [], 0.05)
    raise AssertionError(f"the server did not start (exit status {process.poll()})")

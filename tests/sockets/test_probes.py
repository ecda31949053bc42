"""What an operator asks: whether it lives, whether it wants requests; and whose trace a stream is part of."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from streamkit.app import create_app
from streamkit.lab.upstream import Script, create_upstream
from streamkit.relay.relay import Relay
from streamkit.relay.replay.end import STORE_LOST
from streamkit.serving.server import serve
from tests.rawsockets import RawServer, exchange, request
from tests.servers import ROOT, eventually, rest_of

LONG_S = 60.0  # for an interpreter that starts on a machine that is busy
SLOW = Script([f"{number:03} " for number in range(30)], 1, 20)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def asked(url: str, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Its status, head and body."""
    answer = exchange(url, f"{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    said = dict(each.split(": ", 1) for each in fields)
    return int(first.split()[1]), {name.lower(): value for name, value in said.items()}, body


@pytest.mark.parametrize(("path", "says"), [("/healthz", {"status": "ok"}), ("/readyz", {"status": "ready"})])
def test_a_relay_that_runs_lives_and_is_ready_whatever_becomes_of_its_upstream(path: str, says: object) -> None:
    with serve(partial(create_app, upstream="http://127.0.0.1:9", preset="seed")) as server:
        status, head, body = asked(server.url, path)
        assert (status, json.loads(body), head["cache-control"]) == (200, says, "no-store, no-transform")
        assert asked(server.url, path, "HEAD")[::2] == (200, b"")


def code(relay: Relay) -> str:
    """Why it is not ready."""
    return "" if relay.unready is None else relay.unready.code


def test_it_is_not_ready_where_its_store_cannot_be_reached_nor_where_it_drains() -> None:
    relay = Relay(upstream="http://127.0.0.1:9", preset="seed", resume="redis://127.0.0.1:9/0")
    assert code(relay) == STORE_LOST.code
    plain = Relay(upstream="http://127.0.0.1:9", preset="seed", resume=True)
    assert code(plain) == ""
    plain.draining = True
    assert code(plain) == "draining"


# --- Stopping ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def relay() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`streamkit serve` in a process of its own, which drains until it is interrupted."""
    with serve(partial(create_upstream, SLOW)) as upstream:
        command = ["-m", "streamkit", "serve", "--port", "0", "--upstream", upstream.url, "--drain-s", "300"]
        with subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env={**os.environ}, stdout=-1, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            yield process, process.stdout.readline().partition("POST ")[2].partition("/ans")[0]
            process.kill()


def test_while_it_drains_it_says_that_it_is_not_ready_and_serves_all_the_same(
    relay: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = relay
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), LONG_S) as stream:
        stream.sendall(request("/ans", b"chat_history=x", connection="close"))
        got = stream.recv(4096)
        process.send_signal(signal.SIGTERM)
        assert eventually(lambda: asked(url, "/readyz")[0] == 503, LONG_S)
        status, head, body = asked(url, "/readyz")
        assert (status, json.loads(body)["code"], head["content-type"]) == (503, "draining", "application/problem+json")
        assert asked(url, "/healthz")[0] == 200
        late = exchange(url, request("/ans", b"chat_history=x"))
        assert late.endswith(b"0\r\n\r\n")
        assert b"connection: close" in late.partition(b"\r\n\r\n")[0].lower()  # whoever asks again is to go elsewhere
        assert process.poll() is None
        assert (got + rest_of(stream)).endswith(b"0\r\n\r\n")  # one that was open ended whole
    process.send_signal(signal.SIGINT)  # the first was SIGTERM: this one ends the wait
    assert process.wait(LONG_S) == 0


# --- Traces -----------------------------------------------------------------------------------------------------------

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\ndata: {}\n\n\n"


def passed_on(caplog: pytest.LogCaptureFixture, **fields: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Of the question what begins with "trace", and the log line."""
    caplog.clear()
    with (
        caplog.at_level("INFO", "streamkit.relay"),
        RawServer(lambda connection: connection.sendall(ANSWER)) as upstream,
        serve(partial(create_app, upstream=upstream.url, preset="openai")) as server,
    ):
        exchange(server.url, request("/ans", b"chat_history=x", **fields))
        lines = upstream.requests[0].decode().partition("\r\n\r\n")[0].split("\r\n")
        assert eventually(lambda: bool(caplog.records))
    sent = dict(line.split(": ", 1) for line in lines[1:] if line.lower().startswith("trace"))
    return {name.lower(): value for name, value in sent.items()}, json.loads(caplog.messages[0])


def test_a_trace_goes_on_at_the_upstream_and_stands_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    sent, line = passed_on(caplog, traceparent=PARENT, tracestate="a=1,b=2")
    assert sent == {"traceparent": PARENT, "tracestate": "a=1,b=2"}
    assert line["trace_id"] == PARENT[3:35]


def test_one_that_breaks_the_grammar_does_neither(caplog: pytest.LogCaptureFixture) -> None:
    sent, line = passed_on(caplog, traceparent=PARENT.upper(), tracestate="a=1,b=2")
    assert sent == {}
    assert "trace_id" not in line

"""`streamkit serve --with upload,jobs,analysis` in a process of its own; pages, and our own client."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

import streamkit as sk
from streamkit.app import create_app
from streamkit.serving.server import Server, serve
from tests.rawsockets import WAIT_S
from tests.routes import SSE, Asked, ask
from tests.servers import ROOT, eventually, leaves_nothing

PI = {"job": "pi", "arguments": {"samples": 20_000}}
LONG = {"job": "pi", "arguments": {"samples": 10**12}}
PAGE = "https://app.example"
ALL = "upload,jobs,analysis"


def test_the_command_serves_them_without_an_upstream_within_the_bounds_that_it_is_given() -> None:
    """As options, and by the environment."""
    options = ["--with", ALL, "--port", "0", "--max-jobs", "1", "--job-queue", "0", "--upload-stall-s", "0.3"]
    bounds = {"STREAMKIT_MAX_UPLOAD_BYTES": "1000", "STREAMKIT_JOB_S": "3"}
    command = [sys.executable, "-m", "streamkit", "serve", *options]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **bounds}, **pipes) as served:
        try:
            assert served.stdout is not None
            ready = served.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", ready)
            assert found is not None, ready
            url = found[0]
            assert all(f"{url}/{name}" in ready for name in ALL.split(","))
            assert ask(url, "/upload?process=csv", b"a\n1\n").final["rows"] == 1
            assert ask(url, "/analysis?window=10", b"1\n3\n").final["mean"] == 2
            assert ask(url, "/jobs", PI, accept=SSE).final["samples"] == 20_000
            assert ask(url, "/ans", b"chat_history=x").status == 404
            assert ask(url, "/upload?process=csv", b"1" * 1001).code == "too_large"
            with Asked(url, "/upload?process=csv", length=5) as asked:
                assert asked.answer().code == "timeout_upload"
            with Asked(url, "/jobs", length=len(json.dumps(LONG)), content_type="application/json") as one:
                one.send(json.dumps(LONG).encode()).until(lambda answer: bool(answer.body))
                assert ask(url, "/jobs", PI).code == "too_many_jobs"
                assert one.answer().code == "timeout_job"
        finally:
            served.send_signal(signal.SIGTERM)
            _, logged = served.communicate(timeout=WAIT_S)
    assert served.returncode == 0, logged
    lines = [json.loads(line[line.index("{") :]) for line in logged.splitlines() if '{"stream_id"' in line]
    outcomes = [line["outcome"] for line in lines]
    assert outcomes[:3] == ["complete"] * 3
    assert {"refused(413)", "timeout(upload)", "timeout(job)", "refused(503)"} < set(outcomes)
    assert [line["received_bytes"] for line in lines[:2]] == [4, 4]


# --- Pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = partial(create_app, uses=ALL, cors_origins=PAGE, trace=True)
    with leaves_nothing(), serve(made) as running:
        yield running


ROUTES = ["/upload?process=lines", "/jobs", "/analysis"]
BODIES: dict[str, Any] = {"/jobs": PI}


@pytest.mark.parametrize("path", ROUTES)
def test_a_page_of_another_site_may_not_ask_and_one_that_is_let_may(path: str, server: Server) -> None:
    with Asked(server.url, path, length=1 << 20, origin="https://elsewhere.example", expect="100-continue") as asked:
        refused = asked.answer()
    assert (refused.status, refused.code) == (403, "cross_site")
    assert ask(server.url, path, host="elsewhere.example").code == "foreign_host"
    answer = ask(server.url, path, BODIES.get(path, b"1\n"), origin=PAGE)
    assert answer.heads["access-control-allow-origin"] == PAGE
    assert answer.final


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        *((path, "POST") for path in ROUTES),
        (f"/streams/{'0' * 32}", "GET, DELETE"),
        (f"/streams/{'0' * 32}/status", "GET"),
    ],
)
def test_a_page_that_is_let_is_told_what_it_may_send(path: str, methods: str, server: Server) -> None:
    answer = ask(server.url, path, method="OPTIONS", origin=PAGE, access_control_request_method="POST")
    assert (answer.status, answer.heads["access-control-allow-methods"]) == (204, methods)
    assert {"content-type", "prefer", "idempotency-key", "last-event-id", "content-digest"} <= set(
        answer.heads["access-control-allow-headers"].split(", ")
    )
    assert "location" in answer.heads["access-control-expose-headers"]


def test_a_body_of_no_bytes_is_none_and_its_connection_lives_on(server: Server) -> None:
    path = ask(server.url, "/jobs", PI, prefer="respond-async").heads["location"]
    with Asked(server.url, path, method="GET", length=0) as asked:
        assert asked.answer().heads["connection"] == "keep-alive"


# --- Our own client ---------------------------------------------------------------------------------------------------


async def rows() -> AsyncIterator[bytes]:
    yield b"a,b\n"
    for _ in range(4):
        yield b"1,2\n" * 100
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("accept", ["sse", "ndjson"])
def test_our_client_reads_while_it_sends_and_both_sides_say_the_same(accept: str, server: Server) -> None:
    url, name = f"{server.url}/upload?process=csv&every=0.01", f"own-{accept}"
    recording = asyncio.run(sk.record(url, content=rows(), accept=accept, headers={"x-stream-id": name}))
    assert recording.outcome.ok
    assert recording.values[-1]["rows"] == 400
    assert recording.values[-1]["final"] is True
    assert len(recording.values) > 2
    assert recording.events.at_ns[0] < recording.sends.at_ns[-1]
    assert recording.sent_bytes == 4 + 4 * 400
    taps = json.loads(ask(server.url, f"/streams/{name}/taps", method="GET").body)
    assert taps["taps"]["server.read"]["bytes"][-1] == recording.sent_bytes


def test_our_client_tells_a_job_that_failed_from_one_that_is_complete(server: Server) -> None:
    fails = {"job": "fails", "arguments": {"after": 2}}
    failed, whole = (asyncio.run(sk.record(f"{server.url}/jobs", json=job, accept="ndjson")) for job in (fails, PI))
    assert str(failed.outcome) == "error_event(job_failed)"
    assert failed.values == [{"result": 1}, {"result": 2}]
    assert whole.outcome.ok
    assert whole.values[-1]["final"] is True


def test_our_client_says_how_much_of_a_refused_upload_had_left(server: Server) -> None:
    recording = asyncio.run(sk.record(f"{server.url}/upload?process=none", content=rows()))
    assert str(recording.outcome) == "refused(422)"
    assert recording.sent_bytes is not None
    assert eventually(lambda: ask(server.url, "/health", method="GET").body.startswith(b'{"status":"ok","live":0'))

"""Every head that streamkit sends, read by the linter of the HTTP working group's chair (httplint)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import pytest
from httplint import HttpRequestLinter, HttpResponseLinter, levels

from streamkit.app import create_app
from streamkit.lab.client.record import record
from streamkit.lab.upstream.app import create_upstream
from streamkit.presets import writer
from streamkit.serving.server import Server, serve
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, RawServer, chunk, exchange, request

SSE, NDJSON, TEXT = "text/event-stream", "application/x-ndjson", "text/plain"
PAGE = "https://app.example"
STATUS_ITSELF = {"STATUS_BAD_REQUEST"}  # "the server didn't understand the request": so it is meant


def fields(head: bytes) -> list[tuple[bytes, bytes]]:
    split = (line.split(b":", 1) for line in head.split(b"\r\n")[1:])
    return [(name.strip(), value.strip()) for name, value in split]


def complaints(linter: HttpRequestLinter | HttpResponseLinter, head: bytes) -> list[str]:
    linter.process_headers(fields(head))
    linter.finish_content(True)
    bad = (levels.WARN, levels.BAD)
    return [f"{type(note).__name__}: {note.summary}" for note in linter.notes if note.level in bad]


def linted(asked: bytes, answer: bytes) -> list[str]:
    """What is wrong with an answer's head, for what was asked."""
    asking, head = asked.partition(b"\r\n\r\n")[0], answer.partition(b"\r\n\r\n")[0]
    before, linter = HttpRequestLinter(no_content=True), HttpResponseLinter(no_content=True)
    before.process_request_topline(*asking.split(b"\r\n")[0].split(b" "))
    before.process_headers(fields(asking))
    linter.request = before
    linter.process_response_topline(*head.split(b"\r\n")[0].split(b" ", 2))
    return [found for found in complaints(linter, head) if found.partition(":")[0] not in STATUS_ITSELF]


def head_of(answer: bytes) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in fields(answer.partition(b"\r\n\r\n")[0])}


@pytest.fixture(scope="module")
def asked() -> Iterator[RawServer]:
    head = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answer = head + chunk(writer("seed").piece("床", 0)) + LAST_CHUNK
    with RawServer(lambda connection: connection.sendall(answer)) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def relay(asked: RawServer) -> Iterator[Server]:
    options: dict[str, Any] = {"trace": True, "max_body_bytes": 100, "cors_origins": PAGE, "body_s": 0.3, "head_s": 0.3}
    with serve(partial(create_app, upstream=asked.url, **options)) as server:
        yield server


def get(path: str, *more: str, host: str = "test", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *more, "", ""]).encode()


ASK = b"chat_history=hi"
REQUESTS = {
    "text": request("/ans", ASK, accept=TEXT),
    "events": request("/ans", ASK, accept=SSE),
    "lines": request("/ans", ASK, accept=NDJSON),
    "a policy": request("/ans", ASK, accept=SSE, prefer="backpressure=latest"),
    "a page": request("/ans", ASK, accept=SSE, origin=PAGE),
    "HTTP/1.0": request("/ans", ASK).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "nothing in it": request("/ans", b"other=hi"),
    "too large": request("/ans", ASK * 10),
    "another type": request("/ans", ASK, content_type="text/csv"),
    "a malformed Accept": request("/ans", ASK, accept="nonsense"),
    "a page of another site": request("/ans", ASK, origin="https://evil.example"),
    "another name": request("/ans", ASK, host="evil.example"),
    "health": get("/health"),
    "no such stream": get("/streams/none/taps"),
    "no such page": get("/nowhere"),
    "no such method": get("/ans"),
    "a malformed head": get("/health", host="x y"),
    "half a head": b"GET /health HTTP/1.1\r\nHost: te",
    "half a body": request("/ans", ASK)[:-3],
    "a preflight": get("/ans", f"Origin: {PAGE}", "Access-Control-Request-Method: POST", method="OPTIONS"),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_no_head_of_the_relays_is_complained_about(relay: Server, what: str) -> None:
    asked = REQUESTS[what]
    if what == "a preflight":
        asked = asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")  # it has no body to wait for
    answer = exchange(relay.url, asked)
    assert linted(asked if b"\r\n\r\n" in asked else get("/"), answer) == []
    head = head_of(answer)
    assert head["cache-control"] == "no-store, no-transform"
    assert parsedate_to_datetime(head["date"]).tzinfo is not None
    assert "alt-svc" not in head


@pytest.mark.parametrize("what", ["text", "events", "lines"])
def test_a_stream_says_by_what_it_varies_and_that_it_is_to_be_passed_on_as_it_comes(relay: Server, what: str) -> None:
    head = head_of(exchange(relay.url, REQUESTS[what]))
    assert head["vary"] == "Accept, Prefer, Origin"
    assert head["incremental"] == "?1"
    assert head["x-content-type-options"] == "nosniff"


def test_taps_are_told_in_a_good_head_too(relay: Server) -> None:
    stream = head_of(exchange(relay.url, REQUESTS["events"]))["x-stream-id"]
    asked = get(f"/streams/{stream}/taps")
    answer = exchange(relay.url, asked)
    assert answer.startswith(b"HTTP/1.1 200")
    assert linted(asked, answer) == []


@pytest.mark.parametrize("asked", [request("/v1", b"{}"), get("/sent"), get("/nowhere")], ids=["ask", "sent", "no"])
def test_nor_is_one_of_the_scripted_upstreams(asked: bytes) -> None:
    with serve(create_upstream) as upstream:
        assert linted(asked, exchange(upstream.url, asked)) == []


def question(asked: RawServer) -> bytes:
    head = asked.requests[-1].partition(b"\r\n\r\n")[0]
    linter = HttpRequestLinter(no_content=True)
    linter.process_request_topline(*head.split(b"\r\n")[0].split(b" "))
    assert complaints(linter, head) == []
    return head.lower()


def test_nor_is_what_the_upstream_is_asked_with(relay: Server, asked: RawServer) -> None:
    exchange(relay.url, REQUESTS["events"])
    assert b"incremental" not in question(asked), (
        "the question is whole when it is sent, and a proxy may refuse the word"
    )


def test_nor_a_recorders_request_which_says_that_a_stream_is_meant(asked: RawServer) -> None:
    asyncio.run(record(asked.url, json={"a": 1}, accept="sse", headers={"user-agent": "test"}))
    assert b"\r\nincremental: ?1" in question(asked)
    asyncio.run(record(asked.url, headers={"user-agent": "test", "incremental": "?0"}))
    assert b"\r\nincremental: ?0" in question(asked), "what is given stays"


def test_the_linter_would_see_it() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nalt-svc: \r\nbad name: x\r\n\r\n"
    assert linted(get("/"), head) != []

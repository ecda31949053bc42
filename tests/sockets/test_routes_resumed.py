"""Uploads and live analysis whose answers can be resumed: who is cut behind its last byte comes back for the result."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

import streamkit as sk
from streamkit.app import create_app
from streamkit.lab.net.link import Link
from streamkit.relay.replay.memory import MemoryStore
from streamkit.relay.replay.store import Created
from streamkit.relay.sources.source import Arriving
from streamkit.serving.server import Server, serve
from tests.rawsockets import WAIT_S
from tests.redis_server import NONE, REDIS, redis_server
from tests.routes import NDJSON, SSE, TEXT, Answer, Asked, ask, log_lines, ndjson
from tests.servers import eventually, leaves_nothing

LINES, DIGEST, LIVE = "/upload?process=lines&every=0.01", "/upload?process=digest&every=0.01", "/analysis?every=0.01"
SMALL_LOG = 2_000
"""A dozen states."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = partial(create_app, uses="upload,jobs,analysis", resume=True, resume_max_bytes=SMALL_LOG)
    with leaves_nothing(), serve(made) as running:
        yield running


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    with log_lines() as kept:
        yield kept


def begun(answer: Answer) -> bool:
    return bool(answer.body)


def back(url: str, stream: str, **headers: str) -> Answer:
    return ask(url, f"/streams/{stream}", method="GET", **headers)


@pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT])
@pytest.mark.parametrize(("path", "name"), [(LINES, "lines"), (DIGEST, "bytes"), (LIVE, "total")])
def test_who_is_cut_when_it_has_sent_all_comes_back_for_the_final_result(
    path: str, name: str, accept: str, server: Server
) -> None:
    with Asked(server.url, path, length=600, accept=accept) as asked:
        came = asked.send(b"1\n" * 100).until(begun)
        asked.send(b"1\n" * 200)
        asked.leave("RST")
    found = back(server.url, came.heads["x-stream-id"], accept=accept)
    assert found.final[name] == (600 if name == "bytes" else 300)
    assert found.whole


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("path", [LINES, DIGEST, LIVE])
def test_who_is_cut_in_the_midst_of_it_has_cut_it_and_is_told_how_much_had_come(
    path: str, how: str, server: Server, lines: list[dict[str, Any]]
) -> None:
    with Asked(server.url, path, length=600) as asked:
        came = asked.send(b"1\n" * 100).until(begun)
        asked.leave(how)
    told = back(server.url, came.heads["x-stream-id"])
    assert (told.code, told.end.data["outcome"]) == ("upload_cut", "truncated")
    assert told.end.data["detail"] == "the body was cut after 200 of 600 bytes"
    assert eventually(lambda: len(lines) >= 3)
    answer = next(line for line in lines if line["role"] == "answer" and line.get("received_bytes"))
    stream = next(line for line in lines if line["role"] == "stream")
    assert (answer["outcome"], answer["received_bytes"]) == ("truncated", 200)
    assert (stream["outcome"], stream["code"]) == ("truncated", "upload_cut")


@pytest.mark.parametrize("path", [LINES, LIVE])
def test_who_leaves_while_its_log_is_made_has_cut_it_too(
    path: str, server: Server, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would ever tell whoever waits for its bytes."""
    create, begun = MemoryStore.create, threading.Event()

    async def slowly(*given: Any) -> Created:
        begun.set()
        await asyncio.sleep(0.1)
        return await create(*given)

    monkeypatch.setattr(MemoryStore, "create", slowly)
    with Asked(server.url, path, length=600) as asked:
        assert begun.wait(WAIT_S)
        asked.leave("RST")
    assert eventually(lambda: any(line["role"] == "stream" for line in lines))
    assert {(line["outcome"], line["code"]) for line in lines} == {("truncated", "upload_cut")}


def test_a_cursor_leads_to_what_stands_behind_it(server: Server) -> None:
    with Asked(server.url, LINES, accept=SSE) as asked:
        asked.send(b"x\n").until(begun)
        asked.send(b"x\n").until(lambda answer: len(answer.values) >= 2)
        whole = asked.finish().answer()
    rest = back(server.url, whole.heads["x-stream-id"], accept=SSE, last_event_id=whole.events[0].id)
    assert rest.events == whole.events[1:]
    again = ask(server.url, LINES, b"whatever", accept=SSE, last_event_id=whole.events[0].id)
    assert again.events == whole.events[1:]


@pytest.mark.parametrize("path", [LINES, LIVE])
def test_who_reads_nothing_before_it_has_sent_all_is_not_held_by_a_log_that_is_full(path: str, server: Server) -> None:
    with Asked(server.url, path, receive_bytes=4096) as asked:
        for number in range(50):
            asked.send(ndjson([number]))
            time.sleep(0.01)
        answer = asked.finish().answer()
    assert answer.final["lines" if path == LINES else "total"] == 50
    assert answer.whole


def test_a_key_finds_no_upload_again(server: Server) -> None:
    """Whether it is the same as before would be known when it has been read."""
    one, other = (ask(server.url, LINES, body, idempotency_key='"k"') for body in (b"x\n", b"x\nx\n"))
    assert (one.final["lines"], other.final["lines"]) == (1, 2)


def test_who_comes_back_may_send_all_of_it_again(server: Server) -> None:
    body = b"x\n" * (1 << 20)
    whole = ask(server.url, LINES, body, accept=SSE)
    again = ask(server.url, LINES, body, accept=SSE, last_event_id=whole.events[0].id)
    assert again.events == whole.events[1:]


def test_our_client_comes_back_by_itself_though_it_sent_all_of_it_before() -> None:
    read, go_on = threading.Event(), threading.Event()

    async def slow(body: Arriving) -> AsyncIterator[Any]:
        size = sum([len(part) async for part in body])
        yield {"read": size}
        read.set()
        while not go_on.is_set():  # noqa: ASYNC110  # it is another thread's
            await asyncio.sleep(0.01)
        yield {"bytes": size, "final": True}

    def make() -> Any:
        app = create_app(uses="upload", resume=True)
        sk.source(app, "/slow", body="raw")(slow)
        return app

    with serve(make) as server, Link(server.url) as link:

        def cut() -> None:
            assert read.wait(WAIT_S)
            time.sleep(0.05)
            link.cut("rst")
            go_on.set()

        threading.Thread(target=cut).start()
        asked = sk.record(
            f"{link.url}/slow", content=b"x" * (3 << 20), accept="sse", resume=sk.Resume(backoff_ms=1), total_s=WAIT_S
        )
        recording = asyncio.run(asked)
    assert recording.outcome.ok
    assert recording.values == [{"read": 3 << 20}, {"bytes": 3 << 20, "final": True}]
    assert len(recording.cuts) == 1


@pytest.mark.skipif(REDIS is None, reason=NONE)
def test_by_way_of_a_redis_values_and_progress_are_read_at_another_worker() -> None:
    with redis_server() as redis:
        made = partial(create_app, uses="upload,jobs,analysis", resume=redis.url)
        with serve(made) as one, serve(made) as other:
            asked = {"job": "pi", "arguments": {"samples": 20_000}}
            answer = ask(one.url, "/jobs", asked, accept=SSE)
            again = back(other.url, answer.heads["x-stream-id"], accept=SSE)
            assert again.events == answer.events
            assert {each.kind for each in again.events} == {"data", "progress", "done"}
            path = ask(one.url, "/jobs", asked, prefer="respond-async").heads["location"]
            assert ask(other.url, path, method="GET").final["samples"] == 20_000
            with Asked(one.url, LINES, length=4) as upload:
                came = upload.send(b"x\n").until(begun)
                upload.send(b"y\n")
                upload.leave("RST")
            assert back(other.url, came.heads["x-stream-id"]).final["lines"] == 2

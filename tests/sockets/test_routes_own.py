"""Sources of one's own, over plain sockets: on three kinds of app, with four kinds of body, failing, held, left."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sanic import Blueprint, Request, Sanic

import streamkit as sk
from streamkit.app import create_app
from streamkit.relay.sources.source import Arriving, Into
from streamkit.serving.server import serve
from tests.routes import NDJSON, SSE, TEXT, Asked, ask, form, log_lines
from tests.servers import eventually, leaves_nothing

INSIDE = "postgres at 10.0.0.7"
_serial = itertools.count(1)


class Seen:
    """What the functions of one app saw."""

    def __init__(self) -> None:
        self.given = 0
        self.closed: list[str] = []


SEEN = Seen()


def add(app: Any) -> None:
    """Routes of every kind."""

    @sk.source(app, "/count", body=["upto"])
    async def count(upto: str) -> AsyncIterator[Any]:
        for number in range(int(upto)):
            yield sk.Progress(number, total=int(upto))
            yield {"n": number}

    @sk.source(app, "/json")
    async def echo(value: Any) -> AsyncIterator[Any]:
        yield "text"
        yield {"value": value}
        yield sk.Value(3)
        yield [1]
        yield sk.Snapshot({"state": 1})

    @sk.source(app, "/raw", body="raw")
    async def measure(body: Arriving) -> AsyncIterator[Any]:
        async for part in body:
            yield {"got": len(part)}
        yield {"bytes": body.received, "final": True}

    @sk.source(app, "/none", body="none")
    async def hello(request: Request, into: Into) -> AsyncIterator[Any]:
        assert into.taps is None
        yield request.path

    @sk.source(app, "/fails", body=["how"])
    async def fails(how: str) -> AsyncIterator[Any]:
        if how != "at once":
            yield {"n": 1}
        if how == "failed":
            raise sk.Failed.of_request(409, "not_now", "come back on Monday")
        if how == "type":
            yield object()
        if how == "back":
            yield sk.Progress(2)
            yield sk.Progress(1)
        raise ValueError(INSIDE)

    @sk.source(app, "/flood", body="none")
    async def flood() -> AsyncIterator[Any]:
        try:
            while True:
                SEEN.given += 1
                yield {"n": SEEN.given, "much": "x" * 10_000}
        finally:
            SEEN.closed.append("flood")

    @sk.source(app, "/waits", body="none")
    async def waits() -> AsyncIterator[Any]:
        try:
            yield {"n": 1}
            await asyncio.sleep(3600)
        finally:
            SEEN.closed.append("waits")

    @sk.source(app, "/silent", body="none", first_piece_s=0.2)
    async def silent() -> AsyncIterator[Any]:
        await asyncio.sleep(3600)
        yield {}


def of_create_app() -> Any:
    app = create_app(uses="upload")
    add(app)
    return app


def of_a_blueprint() -> Any:
    app: Sanic[Any, Any] = Sanic(f"own_{next(_serial)}", configure_logging=False)
    app.config.TOUCHUP = False
    blueprint = Blueprint("mine", url_prefix="/v1")
    add(blueprint)
    app.blueprint(blueprint)
    return app


def plain() -> Any:
    app: Sanic[Any, Any] = Sanic(f"own_{next(_serial)}", configure_logging=False)
    app.config.TOUCHUP = False
    add(app)
    return app


@pytest.fixture(scope="module", params=[of_create_app, of_a_blueprint, plain], ids=lambda make: make.__name__)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with leaves_nothing(), serve(request.param) as running:
        yield f"{running.url}{'/v1' if request.param is of_a_blueprint else ''}"


@pytest.fixture
def seen() -> Seen:
    SEEN.given, SEEN.closed = 0, []
    return SEEN


def at(url: str, path: str) -> tuple[str, str]:
    prefix = "/v1" if url.endswith("/v1") else ""
    return url.removesuffix("/v1"), prefix + path


def asked(url: str, path: str, body: Any = b"", **headers: str) -> Any:
    return ask(*at(url, path), body, **headers)


FIELDS = {"content_type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT])
def test_fields_by_a_form_by_a_multipart_form_and_by_json(accept: str, url: str) -> None:
    body, content_type = form(("upto", None, b"2"))
    for answer in (
        asked(url, "/count", b"upto=2", accept=accept, **FIELDS),
        asked(url, "/count", body, accept=accept, content_type=content_type),
        asked(url, "/count", {"upto": "2"}, accept=accept),
    ):
        assert answer.values == [{"n": 0}, {"n": 1}]
        assert answer.whole
        if accept != TEXT:
            assert [each.kind for each in answer.events] == ["progress", "data", "progress", "data", "done"]


def test_a_json_value_and_all_that_may_be_yielded(url: str) -> None:
    answer = asked(url, "/json", {"a": [1, None]}, accept=SSE)
    assert [each.data for each in answer.events][:5] == [
        {"text": "text"},
        {"value": {"a": [1, None]}},
        3,
        [1],
        {"state": 1},
    ]
    assert asked(url, "/json", b"{", content_type="application/json").code == "bad_json"


def test_a_raw_body_is_read_while_it_comes(url: str) -> None:
    with Asked(*at(url, "/raw")) as one:
        one.send(b"123").until(lambda answer: answer.values == [{"got": 3}])
        one.send(b"45").until(lambda answer: answer.values[1:] == [{"got": 2}])
        assert one.finish().answer().final == {"bytes": 5, "final": True}


def test_no_body_but_the_request_and_what_is_filled(url: str) -> None:
    assert asked(url, "/none", accept=TEXT).body.decode().endswith("/none")


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("at once", 500, "internal_error"),
        ("behind", 200, "internal_error"),
        ("type", 200, "internal_error"),
        ("back", 200, "internal_error"),
        ("failed", 200, "not_now"),
    ],
)
def test_what_it_raises_is_told_by_name_and_nothing_of_its_inside(how: str, status: int, code: str, url: str) -> None:
    with log_lines() as lines:
        answer = asked(url, "/fails", {"how": how})
        assert (answer.status, answer.code) == (status, code)
        assert INSIDE.encode() not in answer.body
        assert b"ValueError" not in answer.body
        if status == 200:
            assert answer.values == [{"n": 1}]
        assert eventually(lambda: bool(lines))
        assert INSIDE not in json.dumps(lines)


def test_it_is_not_resumed_while_its_client_does_not_read_and_is_closed_when_that_leaves(url: str, seen: Seen) -> None:
    with Asked(*at(url, "/flood"), receive_bytes=4096) as one:
        one.until(lambda answer: bool(answer.body))
        assert eventually(lambda: held(seen))
        before = seen.given
        time.sleep(0.1)
        assert seen.given == before
        assert seen.closed == []
        one.leave("RST")
    assert eventually(lambda: seen.closed == ["flood"])


def held(seen: Seen) -> bool:
    before = seen.given
    time.sleep(0.05)
    return seen.given == before


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_it_is_closed_when_its_client_leaves(how: str, url: str, seen: Seen) -> None:
    with Asked(*at(url, "/waits")) as one:
        one.finish().until(lambda answer: bool(answer.body))
        one.leave(how)
    assert eventually(lambda: seen.closed == ["waits"])


def test_a_route_has_deadlines_of_its_own(url: str) -> None:
    answer = asked(url, "/silent")
    assert (answer.status, answer.code) == (504, "timeout_first_piece")


def test_a_page_of_another_site_may_not_ask(url: str) -> None:
    answer = asked(url, "/count", {"upto": "1"}, origin="https://elsewhere.example")
    assert (answer.status, answer.code) == (403, "cross_site")


def test_resumed_it_goes_on_where_its_client_was_cut() -> None:
    gate = threading.Event()

    async def numbers(upto: Any) -> AsyncIterator[Any]:
        for number in range(upto):
            while number == 3 and not gate.is_set():  # noqa: ASYNC110  # it is another thread's
                await asyncio.sleep(0.01)
            yield {"n": number}

    def make() -> Any:
        return create_app(routes={"/numbers": numbers}, resume=True)

    with serve(make) as server, Asked(server.url, "/numbers", length=1, content_type="application/json") as one:
        one.send(b"6").until(lambda answer: len(answer.values) == 3)
        one.leave("RST")
        last = one.so_far.events[-1].id
        with Asked(server.url, f"/streams/{last.partition('.')[0]}", method="GET", last_event_id=last) as again:
            again.until(lambda _: True)
            gate.set()
            assert again.answer().values == [{"n": 3}, {"n": 4}, {"n": 5}]


def test_a_server_that_stops_ends_it_by_name(seen: Seen) -> None:
    with serve(plain) as server, Asked(server.url, "/waits") as one:
        one.finish().until(lambda answer: bool(answer.body))
        server.stop(0.1)
        assert one.answer().code == "shutting_down"
        assert seen.closed == ["waits"]

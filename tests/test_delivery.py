"""What leaves the relay: three formats, each of which a client can tell whole from broken; and by which way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sanic import HTTPResponse, Request
from sanic.http import Http

from streamkit.config import Deadlines
from streamkit.deadline import Watch
from streamkit.delivery import Answer, EventStream, Format, JSONLines, PlainText, deliver, problem, timed_out
from streamkit.outcome import Outcome
from streamkit.parser import NDJSONParser, SSEParser
from streamkit.presets import preset
from streamkit.results import End, Piece, ProviderError
from streamkit.sources import Failure
from tests.fakes import run_in_fake_time

BROKEN = Failure(Outcome("truncated"), "upstream_truncated", 502, "broke off")
texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=20)


@given(texts)
def test_plain_text_is_the_text_and_nothing_else(pieces: list[str]) -> None:
    form = PlainText()
    assert form.pieces([Piece(text) for text in pieces]).decode() == "".join(pieces)
    assert form.done() == b""
    assert form.error(BROKEN) is None, "text/plain has no way to say it: the connection must be cut"


@pytest.mark.parametrize(("form", "parser"), [(EventStream, SSEParser), (JSONLines, NDJSONParser)])
@given(pieces=texts)
def test_our_own_preset_reads_back_what_we_send(
    form: type[EventStream | JSONLines], parser: type[SSEParser | NDJSONParser], pieces: list[str]
) -> None:
    writer: Format = form()
    wire = b"".join(writer.pieces([Piece(text)]) for text in pieces)
    read = preset("streamkit").read
    whole = [read(event) for event in parser().feed(wire + writer.done())]
    assert [result.text for result in whole if isinstance(result, Piece)] == pieces
    assert isinstance(whole[-1], End)
    assert whole[-1].conclusive
    broken = [read(event) for event in parser().feed(wire + (writer.error(BROKEN) or b""))]
    assert isinstance(broken[-1], ProviderError)
    assert broken[-1].code == "upstream_truncated"


def test_events_are_unnamed_and_numbered_from_one_over_several_reads() -> None:
    form = EventStream()
    events = SSEParser().feed(form.pieces([Piece("a"), Piece("b")]) + form.pieces([Piece("c")]) + form.done())
    assert [(event.event, event.id) for event in events] == [
        ("message", "1"),
        ("message", "2"),
        ("message", "3"),
        ("done", "3"),
    ]


def test_the_error_event_names_code_and_outcome() -> None:
    (event,) = SSEParser().feed(EventStream().error(timed_out("idle")) or b"")
    assert event.event == "error"
    told = orjson.loads(event.data)
    assert (told["code"], told["outcome"]) == ("timeout_idle", "timeout(idle)")


@pytest.mark.parametrize("form", [EventStream(), JSONLines()])
def test_reasoning_is_a_field_of_its_own(form: Format) -> None:
    assert b'{"text":"a","reasoning":"b"}' in form.pieces([Piece("a", "b")])


def test_reasoning_never_gets_into_plain_text() -> None:
    assert PlainText().pieces([Piece("", "thinking")]) == b""


def test_a_problem_names_code_outcome_and_stream() -> None:
    response = problem(Failure(Outcome("refused", 429), "upstream_rate_limited", 429, "later", 7), "s1")
    assert response.status == 429
    assert response.content_type == "application/problem+json"
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-stream-id"] == "s1"
    assert response.body is not None
    assert orjson.loads(response.body) == {
        "type": "about:blank",
        "title": "Upstream rate limited",
        "status": 429,
        "detail": "later",
        "code": "upstream_rate_limited",
        "outcome": "refused(429)",
        "stream_id": "s1",
    }


class Client:
    """An `Answer` that notes what is done with it; `behind` are the seconds that each `send` waits for the reader."""

    def __init__(self, *, writable: bool, behind: float = 0.0) -> None:
        self.done: list[str] = []
        self._writable = writable
        self._behind = behind

    def write(self, pieces: list[Piece]) -> bool:
        if self._writable:
            self.done.append("write " + "".join(piece.text for piece in pieces))
        return self._writable

    async def send(self, pieces: list[Piece]) -> None:
        self.done.append("send " + "".join(piece.text for piece in pieces))
        await asyncio.sleep(self._behind)

    async def finish(self) -> None:
        self.done.append("finish")

    async def fail(self, failure: Failure) -> HTTPResponse | None:
        self.done.append(f"fail {failure.code}")
        return None

    def cut(self) -> None:
        self.done.append("cut")


async def two_reads_a_second_apart() -> AsyncGenerator[list[Piece], None]:
    yield [Piece("a"), Piece("b")]
    await asyncio.sleep(1)
    yield []
    yield [Piece("c")]


def delivered(client: Client, **limits: float) -> Outcome:
    async def main() -> Outcome:
        watch = Watch(Deadlines(**{**dict.fromkeys(("first_piece_s", "idle_s", "total_s"), 0.0), **limits}))
        return (await deliver(two_reads_a_second_apart(), cast("Answer", cast("Any", client)), watch))[0]

    return run_in_fake_time(main())


def test_while_the_client_keeps_up_each_read_is_one_write_and_nothing_waits() -> None:
    client = Client(writable=True)
    assert delivered(client) == Outcome("complete")
    assert client.done == ["write ab", "write c", "finish"]


def test_while_the_client_is_behind_reading_waits_for_sending() -> None:
    client = Client(writable=False, behind=5.0)
    assert delivered(client, write_stall_s=6.0) == Outcome("complete")
    assert client.done == ["send ab", "send c", "finish"]


def test_only_waiting_for_the_client_is_a_write_stall() -> None:
    client = Client(writable=False, behind=7.0)
    assert delivered(client, write_stall_s=6.0) == Outcome("timeout", "write_stall")
    assert client.done == ["send ab", "cut"]
    assert delivered(Client(writable=True), write_stall_s=0.5) == Outcome("complete"), (
        "the upstream was silent, for 1 s"
    )


class Connection:
    """A request as far as an `Answer` needs it, with Sanic's own state of a chunked answer; notes who sent what."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.closing = False
        self.room = asyncio.Event()
        self.room.set()
        self.transport = SimpleNamespace(
            is_closing=lambda: self.closing, write=lambda data: self.sent.append(("us", data))
        )
        self.protocol = SimpleNamespace(_can_write=self.room)
        self.stream = object.__new__(Http)
        self.stream.response_func = self.stream.http1_response_chunked
        self.app = SimpleNamespace(signal_router=SimpleNamespace(routes=()))

    async def respond(self, **_: object) -> Connection:
        return self

    async def send(self, data: bytes, *, end_stream: bool = False) -> None:
        self.sent.append(("Sanic, the end" if end_stream else "Sanic", data))


def test_sanic_sends_the_first_piece_and_the_end_and_we_the_chunks_between() -> None:
    async def main() -> list[tuple[str, bytes]]:
        connection = Connection()
        answer = Answer(cast("Request", connection), PlainText(), "s1")
        for text in ("one", "two", "three"):
            if not answer.write([Piece(text)]):
                await answer.send([Piece(text)])
        await answer.finish()
        return connection.sent

    assert asyncio.run(main()) == [
        ("Sanic", b"one"),
        ("us", b"3\r\ntwo\r\n"),
        ("us", b"5\r\nthree\r\n"),
        ("Sanic, the end", b""),
    ]


def test_a_read_without_anything_to_show_writes_nothing_since_an_empty_chunk_would_be_the_end() -> None:
    async def main() -> list[tuple[str, bytes]]:
        connection = Connection()
        answer = Answer(cast("Request", connection), PlainText(), "s1")
        await answer.send([Piece("one")])
        assert answer.write([Piece("", "thinking")])
        return connection.sent

    assert asyncio.run(main()) == [("Sanic", b"one")]


@pytest.mark.parametrize("why", ["full", "closing"])
def test_a_connection_that_is_full_or_closing_is_left_to_sanic(why: str) -> None:
    async def main() -> list[tuple[str, bytes]]:
        connection = Connection()
        answer = Answer(cast("Request", connection), EventStream(), "s1")
        await answer.send([Piece("one")])
        assert answer.write([Piece("two")])
        connection.closing = why == "closing"
        if why == "full":
            connection.room.clear()
        assert not answer.write([Piece("three")])
        await answer.send([Piece("three")])
        return connection.sent

    *_, (sender, data) = asyncio.run(main())
    assert (sender, data.split(b"\n")[0]) == ("Sanic", b"id: 3"), "the refused write has used up a number"

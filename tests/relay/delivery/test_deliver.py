"""What leaves the relay, by which way, and what its ends look like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from sanic import HTTPResponse, Request
from sanic.http import Http

from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.relay.delivery.answer import Answer, problem
from streamkit.relay.delivery.deadline import Watch
from streamkit.relay.delivery.deliver import deliver
from streamkit.relay.delivery.format import PlainText
from streamkit.relay.delivery.outlet import Outlet
from streamkit.relay.delivery.policy import policy as find_policy
from streamkit.relay.delivery.policy import queue
from streamkit.relay.failure import Failure
from streamkit.relay.settings import Deadlines
from tests.fakes import run_in_fake_time


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
    """An `Answer` that notes what is done with it. `keeps_up` says whether it can be written to at once, `behind` are
    the seconds that each `send` and each wait for room takes otherwise.
    """

    started = True
    wrote = 0

    def __init__(self, *, keeps_up: bool, behind: float = 0.0) -> None:
        self.done: list[str] = []
        self.writable = lambda: keeps_up
        self._behind = behind

    def write(self, data: bytes) -> None:
        self.done.append("write " + data.decode())

    async def room(self) -> None:
        await asyncio.sleep(self._behind)

    async def send(self, data: bytes) -> None:
        self.done.append("send " + data.decode())
        await asyncio.sleep(self._behind)

    async def finish(self, data: bytes) -> None:
        self.done.append("finish " + data.decode())

    async def fail(self, failure: Failure, *_: object) -> HTTPResponse | None:
        self.done.append(f"fail {failure.code}")
        return None

    def cut(self) -> None:
        self.done.append("cut")


async def two_reads_a_second_apart() -> AsyncGenerator[list[Piece], None]:
    yield [Piece("a"), Piece("b")]
    await asyncio.sleep(1)
    yield []
    yield [Piece("c")]


def delivered(client: Client, policy: str = "pause", **limits: float) -> Outcome:
    async def main() -> Outcome:
        watch = Watch(Deadlines(**{**dict.fromkeys(("first_piece_s", "idle_s", "total_s"), 0.0), **limits}))
        outlet = Outlet(cast("Answer", client), PlainText(), queue(find_policy(policy), 1000), watch)
        return (await deliver(two_reads_a_second_apart(), outlet, watch)).outcome

    return run_in_fake_time(main())


def test_while_the_client_keeps_up_each_read_is_one_write_and_nothing_waits() -> None:
    client = Client(keeps_up=True)
    assert delivered(client) == Outcome("complete")
    assert client.done == ["write ab", "write c", "finish "]


def test_while_the_client_is_behind_reading_waits_for_sending() -> None:
    client = Client(keeps_up=False, behind=5.0)
    assert delivered(client, write_stall_s=6.0) == Outcome("complete")
    assert client.done == ["send ab", "send c", "finish "]


def test_only_waiting_for_the_client_is_a_write_stall() -> None:
    client = Client(keeps_up=False, behind=7.0)
    assert delivered(client, write_stall_s=6.0) == Outcome("timeout", "write_stall")
    assert client.done == ["send ab", "cut"]
    assert delivered(Client(keeps_up=True), write_stall_s=0.5) == Outcome("complete"), (
        "the upstream was silent, for 1 s"
    )


def test_a_stalled_client_is_cut_also_where_its_pieces_are_kept_and_the_upstream_goes_on() -> None:
    client = Client(keeps_up=False, behind=100.0)
    assert delivered(client, "buffer", write_stall_s=6.0) == Outcome("timeout", "write_stall")
    assert client.done == ["cut"]


def test_a_silent_upstream_is_noticed_while_pieces_wait_for_the_client() -> None:
    client = Client(keeps_up=False, behind=0.6)
    assert delivered(client, "buffer", idle_s=0.5, write_stall_s=6.0) == Outcome("timeout", "idle")
    assert client.done == ["send ab", "fail timeout_idle"], "what waited still leaves, before the failure is told"


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
        self.stream.response_func = cast("Any", None)
        self.app = SimpleNamespace(signal_router=SimpleNamespace(routes=()))

    async def respond(self, **_: object) -> Connection:
        return self

    async def send(self, data: bytes, *, end_stream: bool = False) -> None:
        self.stream.response_func = self.stream.http1_response_chunked  # known from the head on, as with Sanic
        self.sent.append(("Sanic, the end" if end_stream else "Sanic", data))


def test_sanic_sends_the_first_piece_and_the_end_and_we_the_chunks_between() -> None:
    async def main() -> tuple[list[tuple[str, bytes]], int]:
        connection = Connection()
        answer = Answer(cast("Request", connection), "text/plain", "s1")
        for text in (b"one", b"two", b"three"):
            if answer.writable():
                answer.write(text)
            else:
                await answer.send(text)
        await answer.finish(b"")
        return connection.sent, answer.wrote

    sent, wrote = asyncio.run(main())
    assert sent == [
        ("Sanic", b"one"),
        ("us", b"3\r\ntwo\r\n"),
        ("us", b"5\r\nthree\r\n"),
        ("Sanic, the end", b""),
    ]
    assert wrote == len(b"3\r\none\r\n" + b"3\r\ntwo\r\n" + b"5\r\nthree\r\n"), "as it is on the wire, whoever sends it"


@pytest.mark.parametrize("why", ["full", "closing"])
def test_a_connection_that_is_full_or_closing_is_left_to_sanic(why: str) -> None:
    async def main() -> None:
        connection = Connection()
        answer = Answer(cast("Request", connection), "text/plain", "s1")
        assert not answer.writable(), "nothing has left yet, and so no head"
        await answer.send(b"one")
        assert answer.writable()
        connection.closing = why == "closing"
        if why == "full":
            connection.room.clear()
        assert not answer.writable()

    asyncio.run(main())

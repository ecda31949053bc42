"""An answer: who sends what of it, and what a failure is before there is one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from sanic import Request
from sanic.exceptions import BadRequest, MethodNotAllowed, NotFound, SanicException
from sanic.http import Http

from streamkit.outcome import Outcome
from streamkit.relay.delivery.answer import Answer, problem, refusal
from streamkit.relay.failure import Failure


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


@pytest.mark.parametrize(
    ("error", "code", "status", "detail"),
    [
        (NotFound(), "not_found", 404, "Not Found"),
        (MethodNotAllowed("x", "GET", ["POST"]), "method_not_allowed", 405, "Method Not Allowed"),
        (BadRequest("with the client's words"), "bad_request", 400, "Bad Request"),
        (SanicException("of no status"), "sanic_exception", 500, "Internal Server Error"),
    ],
)
def test_what_sanic_refuses_has_our_shape_and_nobodys_words(
    error: SanicException, code: str, status: int, detail: str
) -> None:
    assert refusal(error) == Failure(Outcome("refused", status), code, status, detail)


class Connection:
    """A request as far as an `Answer` needs it, with Sanic's own state of a chunked answer; notes who sent what."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.closing = False
        self.room = asyncio.Event()
        self.room.set()
        self.transport = SimpleNamespace(
            is_closing=lambda: self.closing,
            write=lambda data: self.sent.append(("us", data)),
            get_write_buffer_size=lambda: 0,
        )
        self.protocol = SimpleNamespace(_can_write=self.room)
        self.stream = object.__new__(Http)
        self.stream.response_func = cast("Any", None)
        self.app = SimpleNamespace(signal_router=SimpleNamespace(name_index={}))

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
            if not answer.offer(text):
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

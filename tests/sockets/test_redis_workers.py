"""Two processes that serve the same streams, with a Redis between them: over HTTP, one of them killed."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial

import pytest

from streamkit.lab.upstream import Script, create_upstream
from streamkit.serving.server import serve
from tests.rawsockets import WAIT_S
from tests.redis_server import NONE, REDIS, redis_server
from tests.servers import ROOT

if REDIS is None:
    pytest.skip(NONE, allow_module_level=True)

TALK = Script([f"é{number:03} " for number in range(150)], first_piece_ms=1, gap_ms=10)
WHOLE = "".join(TALK.pieces)
LEASE_S = 1.0
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Relay:
    """`streamkit serve` in a process of its own."""

    def __init__(self, upstream: str, redis: str) -> None:
        command = [sys.executable, "-m", "streamkit", "serve", "--upstream", upstream, "--port", "0", "--replay", redis]
        self._process = subprocess.Popen(
            [*command, "--resume-lease-s", str(LEASE_S)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    @cached_property
    def _port(self) -> int:
        """When it is ready; until then another may start beside it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/ans", line):
                return int(found[1])
        raise AssertionError("the relay did not start")

    @contextmanager
    def asked(self, method: str, path: str, body: str = "", **headers: str) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT_S)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body or None, FORM | {"accept": "text/event-stream"} | named)
        response = connection.getresponse()
        try:
            yield response
        finally:
            response.close()
            connection.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(WAIT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="module")
def upstream_and_redis() -> Iterator[tuple[str, str]]:
    with serve(partial(create_upstream, TALK)) as llm, redis_server() as server:
        yield llm.url, server.url


@pytest.fixture(scope="module")
def relays(upstream_and_redis: tuple[str, str]) -> Iterator[tuple[Relay, Relay]]:
    two = Relay(*upstream_and_redis), Relay(*upstream_and_redis)
    yield two
    for relay in two:
        relay.kill()


@pytest.fixture
def mortal(upstream_and_redis: tuple[str, str]) -> Iterator[Relay]:
    """One more, which a test may kill."""
    relay = Relay(*upstream_and_redis)
    yield relay
    relay.kill()


def events(response: http.client.HTTPResponse, many: int = 1 << 30) -> Iterator[dict[str, str]]:
    """So many of them, as they come; an event is its fields."""
    fields: dict[str, str] = {}
    while many and (line := response.readline().decode()):
        name, _, value = line.rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif fields:
            yield fields
            fields, many = {}, many - 1


def text(of: list[dict[str, str]]) -> str:
    return "".join(re.findall(r'^\{"text":"(.*)"\}$', "\n".join(event["data"] for event in of if "id" in event), re.M))


def test_a_client_that_is_cut_again_and_again_goes_on_at_the_other_while_the_first_still_produces(
    relays: tuple[Relay, Relay],
) -> None:
    with relays[0].asked("POST", "/ans", "chat_history=x") as answer:
        got = list(events(answer, 10))
    for turn in range(1, 9):
        with relays[turn % 2].asked("POST", "/ans", Last_Event_ID=got[-1]["id"]) as answer:
            assert answer.status == 200
            got += list(events(answer, 10))
    with relays[1].asked("GET", f"/streams/{got[-1]['id'].partition('.')[0]}", Last_Event_ID=got[-1]["id"]) as answer:
        got += list(events(answer))
    assert text(got) == WHOLE
    assert [event for event in got if "id" not in event] == [
        {"event": "done", "data": '{"outcome":"complete","pieces":150}'}
    ]


def test_a_worker_that_is_killed_is_an_error_by_name_within_its_lease_behind_all_that_it_wrote(
    relays: tuple[Relay, Relay], mortal: Relay
) -> None:
    with mortal.asked("POST", "/ans", "chat_history=x") as first:
        got = list(events(first, 5))
        stream_id = first.headers["x-stream-id"]
        with relays[1].asked("GET", f"/streams/{stream_id}") as answer:
            got = list(events(answer, 20))
            mortal.kill()
            killed = time.monotonic()
            got += list(events(answer))
    assert time.monotonic() - killed < LEASE_S + 0.5
    assert got[-1]["event"] == "error"
    assert '"code":"producer_lost"' in got[-1]["data"]
    assert len(text(got)) >= 20 * 5
    assert WHOLE.startswith(text(got))
    with relays[1].asked("GET", f"/streams/{stream_id}") as answer:
        again = list(events(answer))
    assert (text(again), again[-1]["event"]) == (text(got), "error")


def test_a_stream_is_stopped_at_the_worker_that_does_not_produce_it(relays: tuple[Relay, Relay]) -> None:
    with relays[0].asked("POST", "/ans", "chat_history=x") as answer:
        got = list(events(answer, 5))
        asked = time.monotonic()
        with relays[1].asked("DELETE", f"/streams/{answer.headers['x-stream-id']}") as deleted:
            assert deleted.status == 204
        assert time.monotonic() - asked < 0.6
        got += list(events(answer))
        assert '"code":"stopped"' in got[-1]["data"]
        with relays[1].asked("GET", f"/streams/{answer.headers['x-stream-id']}/status") as status:
            said = status.read().decode()
    assert '"state":"ended"' in said
    assert '"code":"stopped"' in said


def test_the_same_key_at_both_asks_the_upstream_once(relays: tuple[Relay, Relay]) -> None:
    with (
        relays[0].asked("POST", "/ans", "chat_history=x", Idempotency_Key="one") as here,
        relays[1].asked("POST", "/ans", "chat_history=x", Idempotency_Key="one") as there,
    ):
        assert here.headers["x-stream-id"] == there.headers["x-stream-id"]
        assert text(list(events(here))) == text(list(events(there))) == WHOLE
    with relays[1].asked("POST", "/ans", "chat_history=y", Idempotency_Key="one") as other:
        assert (other.status, b"idempotency_key_reused" in other.read()) == (422, True)

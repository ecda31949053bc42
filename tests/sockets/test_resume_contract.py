"""Streams that can be resumed, over real sockets: the contract, line by line."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar, NamedTuple

import pytest
from sanic import Blueprint, Sanic

from streamkit.app import create_app, create_blueprint
from streamkit.inside_sanic import keep_plain
from streamkit.lab.upstream import Script, create_upstream
from streamkit.presets import writer
from streamkit.relay.relay import Relay
from streamkit.serving.server import Server, serve
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, RawServer, chunk, connected, is_whole, read_answer, request
from tests.servers import eventually

SSE, NDJSON, TEXT = "text/event-stream", "application/x-ndjson", "text/plain"
PIECES = ["床前", "明月", "光", " ok"]
WHOLE = "".join(PIECES)
BYTES = WHOLE.encode()
SEED = writer("seed")
FORM = "chat_history=你好".encode()
OTHER_FORM = b"chat_history=other"
UNKNOWN_ID = "0" * 32
ENDLESS = "9007199254740991"


# --- What is asked, and what came -----------------------------------------------------------------------------------


class Answer(NamedTuple):
    status: int
    heads: dict[str, str]
    body: bytes
    whole: bool

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])

    @property
    def id(self) -> str:
        return self.heads["x-stream-id"]


def answer_of(data: bytes) -> Answer:
    head, _, rest = data.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    heads = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    body = rest
    if heads.get("transfer-encoding") == "chunked":
        body = b""
        while match := re.match(rb"([0-9a-fA-F]+)\r\n", rest):
            size = int(match[1], 16)
            body, rest = body + rest[match.end() : match.end() + size], rest[match.end() + size + 2 :]
    return Answer(int(line.split(" ")[1]), heads, body, is_whole(data) or line.split(" ")[1] == "204")


def asking(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    if body is not None:
        return request(path, body, **headers)
    lines = ["host: test", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()


def ask(server: Server, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    with connected(server.url) as connection:
        connection.sendall(asking(method, path, body, **headers))
        if method == "DELETE":
            return answer_of(_head_of(connection))
        return answer_of(read_answer(connection))


def _head_of(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data or (b"204" not in data[:16] and not is_whole(data)):
        data += connection.recv(65536)
    return data


def post(server: Server, body: bytes = FORM, **headers: str) -> Answer:
    return ask(server, "POST", "/ans", body, **headers)


def get(server: Server, path: str, **headers: str) -> Answer:
    return ask(server, "GET", path, None, **headers)


def delete(server: Server, stream_id: str, **headers: str) -> Answer:
    return ask(server, "DELETE", f"/streams/{stream_id}", None, **headers)


def status(server: Server, stream_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(server, f"/streams/{stream_id}/status").body)
    return found


class Event(NamedTuple):
    name: str
    number: int | None
    data: dict[str, Any]
    retry: str | None


def events(body: bytes, stream_id: str) -> list[Event]:
    found = []
    for block in body.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if not fields:
            continue
        number = None
        if "id" in fields:
            name, _, count = fields["id"].rpartition(".")
            assert name == stream_id
            number = int(count)
        found.append(Event(fields.get("event", "message"), number, json.loads(fields["data"]), fields.get("retry")))
    return found


def text(found: list[Event]) -> str:
    return "".join(event.data["text"] for event in found if event.name == "message")


@pytest.fixture(autouse=True)
def all_are_closed() -> Iterator[None]:
    yield
    for connection in Reading.opened:
        connection.close()
    Reading.opened.clear()


@pytest.fixture
def up() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(factory: Callable[[], Sanic[Any, Any]]) -> Server:
        started.append(serve(factory))
        return started[-1]

    yield start
    for server in reversed(started):
        server.stop(0)


class Gate:
    """An upstream that says what it is told to, when it is told to: it can be held in mid-stream."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self.server = RawServer(self._behave)

    def _behave(self, connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        self.connections.append(connection)
        self.server.until_left(connection)

    @property
    def asked(self) -> int:
        return len(self.server.requests)

    def say(self, *pieces: str, which: int = -1) -> None:
        assert eventually(lambda: bool(self.connections))
        self.connections[which].sendall(b"".join(chunk(SEED.piece(each, 0)) for each in pieces))

    def end(self, which: int = -1, *, broken: bool = False) -> None:
        assert eventually(lambda: bool(self.connections))
        self.connections[which].sendall(b"" if broken else LAST_CHUNK)
        self.connections[which].shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    with gate.server:
        yield gate
        for connection in gate.connections:
            with contextlib.suppress(OSError):  # it is closed already
                connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def relay(up: Callable[..., Server], gate: Gate) -> Callable[..., Server]:
    def start(**options: Any) -> Server:
        given = {"preset": "seed", "resume": True, **options}
        return up(partial(create_app, upstream=gate.server.url, **given))

    return start


def relay_of(server: Server) -> Relay:
    assert server.app is not None
    found: Relay = server.app.ctx.relay
    return found


class Reading:
    """A client whose answer has begun; whoever does not read it to its end leaves it open until the test ends."""

    opened: ClassVar[list[socket.socket]] = []

    def __init__(self, server: Server, sent: bytes, *, small: bool = False) -> None:
        self.connection = socket.socket()
        self.opened.append(self.connection)
        if small:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.connection.settimeout(10)
        self.connection.connect((server.host, server.port))
        self.connection.sendall(sent)
        self.data = b""

    def until(self, *needles: str | bytes) -> Reading:
        for needle in needles:
            sought = needle.encode() if isinstance(needle, str) else needle
            while sought not in self.data:
                more = self.connection.recv(65536)
                assert more, f"it ended before {needle!r}: {self.data!r}"
                self.data += more
        return self

    def rest(self) -> Answer:
        with contextlib.suppress(ConnectionResetError):
            while not is_whole(self.data) and (more := self.connection.recv(65536)):
                self.data += more
        self.connection.close()
        return answer_of(self.data)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    @property
    def id(self) -> str:
        return answer_of(self.until("\r\n\r\n").data).id


def begun(server: Server, gate: Gate, *pieces: str, accept: str = SSE, **headers: str) -> Reading:
    """A stream that runs, of which so much has come."""
    asked = gate.asked
    reading = Reading(server, request("/ans", FORM, accept=accept, **headers))
    assert eventually(lambda: len(gate.connections) > asked)
    gate.say(*pieces)
    return reading.until(pieces[-1])


def ended(server: Server, gate: Gate, *, broken: bool = False) -> str:
    """The id of a stream that has ended."""
    reading = begun(server, gate, *PIECES)
    gate.end(broken=broken)
    assert reading.rest().whole
    return reading.id


# --- A stream that nobody cuts --------------------------------------------------------------------------------------


def test_an_answer_names_its_stream_and_each_event_its_place(relay: Callable[..., Server], gate: Gate) -> None:
    reading = begun(relay(), gate, *PIECES)
    gate.end()
    answer = reading.rest()
    assert (answer.status, answer.whole) == (200, True)
    assert re.fullmatch("[0-9a-f]{32}", answer.id)
    assert answer.heads["location"] == f"/streams/{answer.id}"
    found = events(answer.body, answer.id)
    assert [event.number for event in found] == [1, 2, 3, 4, None]
    assert text(found) == WHOLE
    assert [event.retry for event in found] == ["1000", None, None, None, None]
    assert (found[-1].name, found[-1].data["pieces"]) == ("done", 4)


def test_ids_are_the_relays_own(relay: Callable[..., Server], gate: Gate) -> None:
    reading = begun(relay(), gate, "a", x_stream_id="mine")
    assert reading.id != "mine"
    reading.connection.close()


def test_lines_carry_their_cursor_and_text_has_none(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    stream_id = ended(server, gate)
    lines = [json.loads(line) for line in get(server, f"/streams/{stream_id}", accept=NDJSON).body.splitlines()]
    assert [line.get("id") for line in lines] == [*(f"{stream_id}.{n}" for n in (1, 2, 3, 4)), None]
    assert get(server, f"/streams/{stream_id}", accept=TEXT).body == BYTES


def test_without_resume_everything_is_as_before(up: Callable[..., Server]) -> None:
    upstream = up(partial(create_upstream, Script(PIECES, 1, 1)))
    server = up(partial(create_app, upstream=upstream.url, preset="seed"))
    answer = post(server, accept=SSE, last_event_id=f"{UNKNOWN_ID}.1", idempotency_key="k")
    assert answer.status == 200
    assert not {"location", "x-stream-live"} & set(answer.heads)
    assert answer.body.startswith(b"id: 1\n")
    assert b"retry" not in answer.body
    assert get(server, f"/streams/{answer.id}").status == 404
    assert get(server, f"/streams/{answer.id}").code == "not_found"


# --- Coming back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(5))
def test_who_was_cut_gets_what_is_behind_its_cursor_by_every_way(
    relay: Callable[..., Server], gate: Gate, number: int
) -> None:
    server = relay()
    stream_id = ended(server, gate)
    cursor = f"{stream_id}.{number}"
    ways = [
        post(server, OTHER_FORM, accept=SSE, last_event_id=cursor),
        post(server, b"", accept=SSE, last_event_id=cursor),
        get(server, f"/streams/{stream_id}", accept=SSE, last_event_id=cursor),
        get(server, f"/streams/{stream_id}?after={number}", accept=SSE),
        get(server, f"/streams/{stream_id}?after=0", accept=SSE, last_event_id=cursor),
    ]
    for answer in ways:
        found = events(answer.body, stream_id)
        assert (answer.status, answer.whole, answer.id) == (200, True, stream_id)
        assert answer.heads["location"] == f"/streams/{stream_id}"
        assert [event.number for event in found] == [*range(number + 1, 5), None]
        assert text(found) == "".join(PIECES[number:])
        assert [event.retry for event in found] == ["1000", *[None] * (len(found) - 1)]
        assert found[-1].data["pieces"] == 4
    assert gate.asked == 1, "the upstream was asked again"


def test_what_is_replayed_and_what_is_live_meet_without_a_seam(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    first = begun(server, gate, "a", "b", "c")
    first.reset()
    second = Reading(server, asking("POST", "/ans", FORM, accept=SSE, last_event_id=f"{first.id}.1")).until('"c"')
    assert answer_of(second.data).heads["x-stream-live"] == "3"
    gate.say("d", "e")
    second.until('"e"')
    gate.end()
    answer = second.rest()
    assert text(events(answer.body, first.id)) == "bcde"
    assert answer.whole


def test_each_reader_has_its_own_format_and_gets_everything(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    first = begun(server, gate, *PIECES[:2])
    others = [
        Reading(server, asking("GET", f"/streams/{first.id}", accept=kind)).until("明月") for kind in (NDJSON, TEXT)
    ]
    assert status(server, first.id)["readers"] == 3
    gate.say(*PIECES[2:])
    gate.end()
    lines, plain = [other.rest() for other in others]
    assert text(events(first.rest().body, first.id)) == WHOLE
    assert "".join(json.loads(line).get("text", "") for line in lines.body.splitlines()) == WHOLE
    assert plain.body == BYTES


def test_who_has_all_but_the_end_gets_the_end_alone(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    first = begun(server, gate, "a")
    waiting = Reading(server, asking("GET", f"/streams/{first.id}?after=1", accept=SSE)).until("\r\n\r\n")
    gate.end(broken=True)
    answer = waiting.rest()
    found = events(answer.body, first.id)
    assert [(event.name, event.number, event.retry) for event in found] == [("error", None, "1000")]
    assert found[0].data["code"] == "upstream_truncated"
    again = get(server, f"/streams/{first.id}?after=1", accept=SSE)
    assert events(again.body, first.id) == found, "a failed stream replays as failed"


def test_a_client_of_http_1_0_comes_back_too(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    stream_id = ended(server, gate)
    asked = asking("GET", f"/streams/{stream_id}?after=1", accept=TEXT).replace(b"HTTP/1.1", b"HTTP/1.0")
    answer = Reading(server, asked).rest()
    assert answer.body == "".join(PIECES[1:]).encode()
    assert "transfer-encoding" not in answer.heads


# --- Bytes of text --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("byte", range(len(BYTES)))
def test_text_goes_on_at_any_byte_also_inside_a_character(relay: Callable[..., Server], gate: Gate, byte: int) -> None:
    server = relay()
    stream_id = ended(server, gate)
    answer = get(server, f"/streams/{stream_id}", accept=TEXT, range=f"bytes={byte}-")
    assert (answer.status, answer.body, answer.whole) == (206, BYTES[byte:], True)
    assert answer.heads["content-range"] == f"bytes {byte}-{len(BYTES) - 1}/{len(BYTES)}"


def test_a_running_stream_has_no_last_byte(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    first = begun(server, gate, *PIECES[:2])
    sent = asking("GET", f"/streams/{first.id}", accept=TEXT, range=f"bytes={len('床前明月'.encode()) - 1}-")
    second = Reading(server, sent).until(b"\x88")
    gate.say(*PIECES[2:])
    gate.end()
    answer = second.rest()
    assert (answer.status, answer.body) == (206, BYTES[11:])
    assert answer.heads["content-range"] == f"bytes 11-{ENDLESS}/*"


def test_at_the_end_of_a_complete_text_there_is_nothing(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    stream_id = ended(server, gate)
    answer = get(server, f"/streams/{stream_id}", accept=TEXT, range=f"bytes={len(BYTES)}-")
    assert (answer.status, answer.code) == (416, "range_not_satisfiable")
    assert answer.heads["content-range"] == f"bytes */{len(BYTES)}"


def test_a_broken_text_ends_in_a_cut_and_never_in_416(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    stream_id = ended(server, gate, broken=True)
    for byte in (3, len(BYTES)):
        answer = get(server, f"/streams/{stream_id}", accept=TEXT, range=f"bytes={byte}-")
        assert (answer.status, answer.body, answer.whole) == (206, BYTES[byte:], False)
    assert get(server, f"/streams/{stream_id}", accept=TEXT, range=f"bytes={len(BYTES) + 1}-").code == "cursor_ahead"


# --- What is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ({"last_event_id": "17"}, "", "cursor_malformed"),
        ({"last_event_id": f"{UNKNOWN_ID}.1"}, "", "cursor_malformed"),
        ({}, "?after=x", "cursor_malformed"),
        ({}, "?after=", "cursor_malformed"),
        ({}, "?after=1&after=2", "cursor_malformed"),
        ({}, "?after=99", "cursor_ahead"),
        ({"accept": TEXT, "range": "bytes=0-4"}, "", "cursor_malformed"),
        ({"accept": SSE, "range": "bytes=0-"}, "", "cursor_malformed"),
        ({"accept": TEXT, "range": "bytes=0-"}, "?after=1", "cursor_malformed"),
    ],
)
def test_no_cursor_that_makes_no_sense_begins_anew(
    relay: Callable[..., Server], gate: Gate, headers: dict[str, str], query: str, code: str
) -> None:
    server = relay()
    stream_id = ended(server, gate)
    answer = get(server, f"/streams/{stream_id}{query}", **headers)
    assert (answer.status, answer.code) == (400, code)
    assert gate.asked == 1


def test_a_cursor_ahead_of_a_running_stream_is_refused(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    first = begun(server, gate, "a")
    answer = post(server, accept=SSE, last_event_id=f"{first.id}.2")
    assert (answer.status, answer.code) == (400, "cursor_ahead")


def test_an_unknown_stream_and_somebody_elses_get_the_same_answer(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    mine = begun(server, gate, "a", authorization="Bearer mine")
    answers = []
    for stream_id in (UNKNOWN_ID, mine.id):
        path = f"/streams/{stream_id}"
        for owner in ({}, {"authorization": "Bearer yours"}):
            answers += [
                get(server, path, accept=SSE, **owner),
                get(server, f"{path}/status", **owner),
                post(server, FORM, accept=SSE, last_event_id=f"{stream_id}.0", **owner),
                delete(server, stream_id, **owner),
            ]
    assert {(answer.status, answer.code) for answer in answers} == {(404, "stream_unknown")}
    heads = [{**answer.heads, "date": ""} for answer in answers]
    assert all(head == heads[0] for head in heads)
    assert len({answer.body for answer in answers}) == 1
    assert "x-stream-id" not in heads[0]
    assert get(server, f"/streams/{mine.id}/status", authorization="Bearer mine").status == 200
    mine.connection.close()


def test_other_headers_can_tell_owners_apart(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay(resume_owner_headers="X-User")
    mine = begun(server, gate, "a", x_user="me", authorization="one")
    path = f"/streams/{mine.id}/status"
    assert get(server, path, x_user="me", authorization="two").status == 200
    assert get(server, path, x_user="you", authorization="one").status == 404


def test_what_was_trimmed_is_called_so(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay(resume_max_bytes=64)
    reading = begun(server, gate, "x" * 40, idempotency_key="k")
    for letter in "abcdefgh":
        gate.say(letter * 40)
        reading.until(letter * 40)
    first = str(status(server, reading.id)["first"])
    assert int(first.rpartition(".")[2]) > 1
    for answer in (
        get(server, f"/streams/{reading.id}", accept=SSE),
        get(server, f"/streams/{reading.id}", accept=TEXT, range="bytes=0-"),
        post(server, accept=SSE, last_event_id=f"{reading.id}.0"),
        post(server, accept=SSE, idempotency_key="k"),
    ):
        assert (answer.status, answer.code) == (410, "cursor_trimmed")
    gate.end()
    assert len(events(reading.rest().body, reading.id)) == 10


def test_above_the_total_new_streams_are_refused_for_now(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay(resume_max_total_bytes=4)
    reading = begun(server, gate, "hello")
    answer = post(server)
    assert (answer.status, answer.code) == (503, "resume_full")
    assert int(answer.heads["retry-after"]) > 0
    gate.say("world")
    reading.until("world")


# --- Keys -----------------------------------------------------------------------------------------------------------


def test_a_client_that_was_cut_before_the_head_comes_back_by_its_key(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    first = Reading(server, request("/ans", FORM, accept=SSE, idempotency_key='"k 1"'))
    assert eventually(lambda: gate.asked == 1)
    first.reset()
    second = Reading(server, request("/ans", FORM, accept=SSE, idempotency_key='"k 1"'))
    third = Reading(server, request("/ans", FORM, accept=TEXT, idempotency_key='"k 1"'))
    gate.say(*PIECES)
    gate.end()
    answer = second.rest()
    assert text(events(answer.body, answer.id)) == WHOLE
    assert third.rest()[2:] == (BYTES, True)
    assert post(server, accept=TEXT, idempotency_key='"k 1"').id == answer.id, "also when it has ended"
    assert gate.asked == 1


def test_a_key_counts_with_and_without_quotes_for_its_owner_and_its_question(
    relay: Callable[..., Server], gate: Gate
) -> None:
    server = relay()
    first = begun(server, gate, "a", idempotency_key='"k"')
    again = Reading(server, request("/ans", FORM, accept=SSE, idempotency_key="k"))
    assert again.id == first.id
    answer = post(server, OTHER_FORM, idempotency_key="k")
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    other = Reading(server, request("/ans", FORM, accept=SSE, idempotency_key="k", authorization="x"))
    assert eventually(lambda: gate.asked == 2)
    other.reset()
    assert post(server, idempotency_key="a b").code == "idempotency_key_malformed"


def test_a_key_is_free_again_where_nothing_came(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    first = Reading(server, request("/ans", FORM, accept=SSE, idempotency_key="k"))
    second = Reading(server, request("/ans", FORM, accept=SSE, idempotency_key="k"))
    assert eventually(lambda: bool(gate.connections) and relay_of(server).live == 2)
    gate.end(broken=True)
    assert [reading.rest().status for reading in (first, second)] == [502, 502]
    reading = begun(server, gate, "a", idempotency_key="k")
    assert reading.id
    assert gate.asked == 2


# --- Stopping -------------------------------------------------------------------------------------------------------


def test_it_is_stopped_by_delete_and_that_is_not_leaving(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay(resume_keep_s=1.2)
    first = begun(server, gate, "a")
    plain = Reading(server, asking("GET", f"/streams/{first.id}", accept=TEXT)).until("a")
    before_ns = time.monotonic_ns()
    assert delete(server, first.id).status == 204
    assert eventually(lambda: bool(gate.server.left_at_ns))
    assert gate.server.left_at_ns[0] - before_ns < 500e6
    found = events(first.rest().body, first.id)
    assert (found[-1].name, found[-1].data["code"]) == ("error", "stopped")
    assert plain.rest().whole is False
    told = status(server, first.id)
    assert (told["state"], told["outcome"], told["code"]) == ("ended", "cancelled", "stopped")
    assert events(get(server, f"/streams/{first.id}", accept=SSE).body, first.id)[-1].data["code"] == "stopped"
    assert delete(server, first.id).status == 204
    answers = [
        delete(server, first.id),
        get(server, f"/streams/{first.id}"),
        post(server, last_event_id=f"{first.id}.0"),
    ]
    assert [(answer.status, answer.code) for answer in answers] == [(410, "stream_expired")] * 3
    assert eventually(lambda: get(server, f"/streams/{first.id}").code == "stream_unknown")


def test_a_stream_that_is_stopped_before_its_first_piece_has_a_status(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    first = Reading(server, request("/ans", FORM, accept=SSE))
    assert eventually(lambda: gate.asked == 1)
    resumable = relay_of(server).resumable
    assert resumable is not None
    (stream_id,) = resumable.replay._producers
    assert delete(server, stream_id).status == 204
    answer = first.rest()
    assert (answer.status, answer.code) == (410, "stopped")


def test_status_tells_all_of_a_stream(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    first = begun(server, gate, "é", "b")
    running = status(server, first.id)
    assert running == {
        "id": first.id,
        "state": "running",
        "outcome": None,
        "code": "",
        "pieces": 2,
        "bytes": 3,
        "readers": 1,
        "first": f"{first.id}.1",
        "last": f"{first.id}.2",
        "expires_in_s": None,
    }
    gate.end()
    first.rest()
    over = status(server, first.id)
    assert (over["state"], over["outcome"], over["readers"]) == ("ended", "complete", 0)
    assert 0 < over["expires_in_s"] <= 300


# --- Leaving --------------------------------------------------------------------------------------------------------


def test_without_a_reader_the_upstream_is_closed_when_the_grace_is_over(
    relay: Callable[..., Server], gate: Gate
) -> None:
    server = relay(resume_grace_s=0.4)
    first = begun(server, gate, "a")
    left_ns = time.monotonic_ns()
    first.reset()
    assert eventually(lambda: bool(gate.server.left_at_ns))
    assert 0.3e9 < gate.server.left_at_ns[0] - left_ns < 1.4e9
    told = status(server, first.id)
    assert (told["outcome"], told["code"]) == ("cancelled", "abandoned")


def test_a_reader_within_the_grace_and_nothing_has_happened(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay(resume_grace_s=0.5)
    first = begun(server, gate, "a")
    first.reset()
    second = Reading(server, asking("GET", f"/streams/{first.id}", accept=SSE)).until('"a"')
    time.sleep(0.8)
    gate.say("b")
    second.until('"b"')
    assert gate.server.left_at_ns == []


@pytest.mark.parametrize("accept", [SSE, TEXT])
def test_who_is_cut_with_full_sockets_comes_back_for_all_of_it(
    relay: Callable[..., Server], gate: Gate, accept: str
) -> None:
    """The log is small: it holds the upstream instead of dropping what lies in the connection."""
    server = relay(resume_max_bytes=100_000, send_buffer_bytes=4096, write_buffer_bytes=4096, receive_buffer_bytes=4096)
    pieces = [f"<{number:04}>" + "x" * 994 for number in range(600)]
    reading = Reading(server, request("/ans", FORM, accept=accept), small=True)
    assert eventually(lambda: bool(gate.connections))
    gate.connections[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    gate.connections[0].settimeout(0.3)
    framed = b"".join(chunk(SEED.piece(piece, 0)) for piece in pieces)
    sent = 0
    with contextlib.suppress(TimeoutError):  # the upstream is held
        while sent < len(framed):
            sent += gate.connections[0].send(framed[sent : sent + 65536])
    assert sent < len(framed)
    reading.until("<0003>")
    reading.reset()
    answer = answer_of(reading.data)
    if accept == SSE:
        have = [event for event in events(answer.body, answer.id) if event.name == "message"]
        sent_again = asking("POST", "/ans", FORM, accept=SSE, last_event_id=f"{answer.id}.{len(have)}")
        head = text(have)
    else:
        head = answer.body.decode()
        sent_again = asking("GET", f"/streams/{answer.id}", accept=TEXT, range=f"bytes={len(head)}-")
    second = Reading(server, sent_again)
    gate.connections[0].settimeout(10)
    second.until("<0100>")

    def speak_on() -> None:
        gate.connections[0].sendall(framed[sent:])
        gate.end()

    rest = threading.Thread(target=speak_on)
    rest.start()
    again = second.rest()
    rest.join()
    tail = again.body.decode() if accept == TEXT else text(events(again.body, answer.id))
    assert head + tail == "".join(pieces)
    assert again.whole


@pytest.mark.parametrize("how", ["disconnect", "write_stall"])
def test_a_reader_that_takes_nothing_is_cut_without_a_word_and_the_log_is_whole(
    relay: Callable[..., Server], gate: Gate, how: str
) -> None:
    given = {"policy": "disconnect(0.3)"} if how == "disconnect" else {"write_stall_s": 0.3}
    server = relay(send_buffer_bytes=4096, write_buffer_bytes=4096, **given)
    reading = Reading(server, request("/ans", FORM, accept=SSE), small=True)
    assert eventually(lambda: bool(gate.connections))
    gate.say(*["x" * 1000] * 300)
    stream_id = reading.id
    assert eventually(lambda: status(server, stream_id)["readers"] == 0)
    gate.end()
    answer = reading.rest()
    assert b"event:" not in answer.body
    assert not answer.whole
    assert text(events(get(server, f"/streams/{stream_id}", accept=SSE).body, stream_id)) == "x" * 300_000


def test_latest_leaves_out_pieces_for_its_reader_alone(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay(send_buffer_bytes=4096, write_buffer_bytes=4096)
    sent = request("/ans", FORM, accept=SSE, prefer="backpressure=latest")
    reading = Reading(server, sent, small=True)
    assert eventually(lambda: bool(gate.connections))
    for letter in "abcdefghij":
        gate.say(*[letter * 1000] * 30)
    stream_id = reading.id
    assert eventually(lambda: status(server, stream_id)["pieces"] == 300)
    gate.end()
    found = events(reading.rest().body, stream_id)
    assert sum(event.data.get("dropped", 0) for event in found[:-1]) == found[-1].data["dropped"] > 0
    numbers = [event.number for event in found if event.number is not None]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 300
    assert len(text(events(get(server, f"/streams/{stream_id}", accept=SSE).body, stream_id))) == 300_000


# --- The server -----------------------------------------------------------------------------------------------------


def test_a_server_that_stops_tells_its_readers_and_leaves_nothing(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay(grace_s=0.1)
    first = begun(server, gate, "a")
    kept = relay_of(server)
    server.stop(0.1)
    found = events(first.rest().body, first.id)
    assert (found[-1].name, found[-1].data["code"]) == ("error", "shutting_down")
    assert (kept.live, kept.producing) == (0, 0)
    assert eventually(lambda: len(gate.server.left_at_ns) == 1)


def test_a_stream_without_a_reader_ends_with_its_server(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay()
    begun(server, gate, "a").reset()
    kept = relay_of(server)
    server.stop(0.1)
    assert kept.producing == 0
    assert eventually(lambda: len(gate.server.left_at_ns) == 1)


def test_in_an_app_of_ones_own_the_location_has_its_prefix(up: Callable[..., Server], gate: Gate) -> None:
    def own() -> Sanic[Any, Any]:
        app: Sanic[Any, Any] = Sanic(f"own_{time.monotonic_ns()}", configure_logging=False)
        keep_plain(app)
        made = create_blueprint(upstream=gate.server.url, preset="seed", resume=True)
        app.blueprint(Blueprint.group(made, url_prefix="/llm"))
        return app

    server = up(own)
    reading = Reading(server, request("/llm/ans", FORM, accept=SSE))
    gate.say("a")
    reading.until('"a"')
    location = answer_of(reading.data).heads["location"]
    assert location == f"/llm/streams/{reading.id}"
    second = Reading(server, asking("GET", f"{location}?after=0", accept=SSE)).until('"a"')
    assert answer_of(second.data).heads["location"] == location


def test_a_page_that_may_asks_before_it_comes_back_or_stops(relay: Callable[..., Server], gate: Gate) -> None:
    server = relay(cors_origins="https://app.example")
    stream_id = ended(server, gate)
    given = {"origin": "https://app.example", "sec_fetch_site": "cross-site"}
    for path, method in (
        (f"/streams/{stream_id}", "DELETE"),
        (f"/streams/{stream_id}/status", "GET"),
        ("/ans", "POST"),
    ):
        sent = asking("OPTIONS", path, None, access_control_request_method=method, **given)
        with connected(server.url) as connection:
            connection.sendall(sent)
            answer = answer_of(_head_of(connection))
        assert answer.status == 204
        assert method in answer.heads["access-control-allow-methods"]
    answer = get(server, f"/streams/{stream_id}", accept=TEXT, **given)
    assert answer.heads["access-control-allow-origin"] == "https://app.example"
    exposed = answer.heads["access-control-expose-headers"].lower()
    assert "x-stream-id" in exposed
    assert "location" in exposed
    refused = get(server, f"/streams/{stream_id}", origin="https://evil.example", sec_fetch_site="cross-site")
    assert (refused.status, refused.code) == (403, "cross_site")

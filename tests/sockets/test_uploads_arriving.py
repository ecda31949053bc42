"""A request's body that is read as it arrives, over raw sockets: beside its answer, in time, in bounds, and cut.

Over connections of ours, and of an app of somebody else's (`stock`), where what Sanic does not check is Sanic's matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sanic import HTTPResponse, Request, Sanic

from streamkit.inside_sanic import without_response_timeout
from streamkit.relay.delivery.answer import problem
from streamkit.relay.failure import Failed
from streamkit.relay.request.arriving import ArrivingBody, arriving
from streamkit.relay.request.connection import RelayApp
from streamkit.serving.server import Server, serve
from tests.rawsockets import LAST_CHUNK, WAIT_S, chunk, connected, exchange, is_whole, read_answer
from tests.servers import eventually, leaves_nothing

MAX_BYTES = 1 << 20
STALL_S = 0.5
BODY_S = 0.25
"""The deadline of whole bodies, which does not count here: it is shorter."""
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER: on, 0 s
BLOCK = bytes(range(256)) * 256
NEXT = b"GET /next HTTP/1.1\r\nHost: test\r\n\r\n"

_serial = itertools.count(1)


class Watched:
    """What the handlers of one server saw."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        """How each reader ended."""
        self.received: list[int] = []
        self.parts: list[bytes] = []
        self.cut: list[str] = []
        """How each answer that was cancelled says that its upload ended."""
        self.held_bytes = 0


class House:
    """A server, and what is seen of it in the test that runs."""

    server: Server
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.watched = Watched()

    def is_at_rest(self) -> bool:
        """It has no connection, and nobody reads."""
        running = [str(task.get_coro()) for task in asyncio.all_tasks(self.loop)]
        return not any("connection_task" in each or "read_it" in each for each in running)


def make(house: House, kind: type[Sanic[Any, Any]]) -> Sanic[Any, Any]:
    app = kind(f"uploads_{next(_serial)}", configure_logging=False)
    app.config.TOUCHUP = False
    app.config.BODY_TIMEOUT = BODY_S

    @app.after_server_start
    async def note(_: Any) -> None:
        house.loop = asyncio.get_running_loop()

    @app.exception(Failed)
    async def refuse(_: Request, error: Failed) -> HTTPResponse:
        return problem(error.failure, "x")

    def opened(request: Request) -> ArrivingBody:
        return arriving(request, max_bytes=MAX_BYTES, stall_s=STALL_S)

    async def read_it(body: ArrivingBody) -> str:
        try:
            async for part in body:
                house.watched.parts.append(part)
        except Failed as error:
            house.watched.ends.append(f"{error.failure.outcome} {error.failure.code}")
        else:
            house.watched.ends.append("whole")
        house.watched.received.append(body.received)
        return house.watched.ends[-1]

    async def answered(request: Request, body: ArrivingBody, read: Any) -> None:
        try:
            with body, without_response_timeout(request):
                await read()
        except asyncio.CancelledError:
            failure = body.cut()
            house.watched.cut.append("whole" if failure is None else f"{failure.outcome} {failure.detail}")
            raise

    @app.post("/count", stream=True)
    async def count(request: Request) -> HTTPResponse:
        with opened(request) as body:
            digest = hashlib.sha256()
            async for part in body:
                house.watched.parts.append(part)
                digest.update(part)
        return HTTPResponse(json.dumps({"bytes": body.received, "sha256": digest.hexdigest()}))

    @app.post("/echo", stream=True)
    async def echo(request: Request) -> None:
        """One part comes back for one that came; and before all that a word, where it is asked for."""
        body = opened(request)
        response = await request.respond(content_type="text/plain")
        if request.args.get("first"):
            await response.send("begin ")
        try:
            with body:
                async for part in body:
                    await response.send(part)
            await response.send(" end")
        except Failed as error:
            await response.send(f" {error.failure.code}")
        await response.send(end_stream=True)

    @app.post("/own", stream=True)
    async def own(request: Request) -> None:
        """Read by the task that answers, which has begun."""
        response = await request.respond()
        await response.send("begin")
        body = opened(request)
        await answered(request, body, lambda: read_it(body))

    @app.post("/silent", stream=True)
    async def silent(request: Request) -> None:
        """The same, of an answer that has not."""
        body = opened(request)
        await answered(request, body, lambda: read_it(body))

    @app.post("/other", stream=True)
    async def other(request: Request) -> None:
        """Read by another task than the one that answers."""
        body = opened(request)
        response = await request.respond()
        await response.send("begin")
        request.app.add_task(read_it(body))
        await answered(request, body, asyncio.Event().wait)

    @app.post("/late", stream=True)
    async def late(request: Request) -> None:
        """By another one too, which begins only when the client has left."""
        body = opened(request)
        response = await request.respond()
        await response.send("begin")
        try:
            await answered(request, body, asyncio.Event().wait)
        finally:
            request.app.add_task(read_it(body))

    @app.post("/hasty", stream=True)
    async def hasty(request: Request) -> None:
        """By another one that is quicker to see that the client has left."""
        body = opened(request)
        response = await request.respond()
        await response.send("begin")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.ensure_future(read_it(body))
            house.watched.cut.append(str(body.cut() and "truncated"))
            raise

    @app.post("/plain", stream=True)
    async def plain(request: Request) -> None:
        """Read as Sanic has it, beside an answer."""
        response = await request.respond()
        await response.send("begin")
        stream: Any = request.stream
        async for part in stream:
            house.watched.parts.append(part)

    @app.post("/then", stream=True)
    async def then(request: Request) -> None:
        """Read whole, and answered much later."""
        body = opened(request)
        await read_it(body)
        await answered(request, body, asyncio.Event().wait)

    @app.post("/deaf", stream=True)
    async def deaf(request: Request) -> HTTPResponse:
        with opened(request):
            for _ in range(10):
                await asyncio.sleep(0.02)
                protocol: Any = request.protocol
                house.watched.held_bytes = max(house.watched.held_bytes, len(protocol.recv_buffer))
        return HTTPResponse("done")

    @app.get("/next")
    async def behind(_: Request) -> HTTPResponse:
        return HTTPResponse("next")

    return app


@pytest.fixture(scope="module")
def houses() -> Iterator[dict[type[Sanic[Any, Any]], House]]:
    made: dict[type[Sanic[Any, Any]], House] = {RelayApp: House(), Sanic: House()}
    with leaves_nothing(), contextlib.ExitStack() as running:
        for kind, house in made.items():
            house.server = running.enter_context(serve(partial(make, house, kind)))
        yield made


@pytest.fixture
def kind() -> type[Sanic[Any, Any]]:
    return RelayApp


@pytest.fixture
def house(houses: dict[type[Sanic[Any, Any]], House], kind: type[Sanic[Any, Any]]) -> House:
    houses[kind].watched = Watched()
    return houses[kind]


@pytest.fixture
def watched(house: House) -> Watched:
    return house.watched


@pytest.fixture
def server(house: House) -> Server:
    return house.server


EITHER = pytest.mark.parametrize("kind", [RelayApp, Sanic], ids=["ours", "stock"])


def head(path: str, *fields: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/{version}", "Host: test", *fields, "", ""]).encode()


def sized(path: str, body: bytes, *fields: str, version: str = "1.1") -> bytes:
    return head(path, f"Content-Length: {len(body)}", *fields, version=version) + body


def chunked(path: str, *fields: str) -> bytes:
    return head(path, "Transfer-Encoding: chunked", *fields)


def told(answer: bytes) -> tuple[int, Any]:
    """The status, and the JSON of an answer with a length."""
    start, _, body = answer.partition(b"\r\n\r\n")
    return int(start.split(b" ")[1]), json.loads(body)


def code_of(answer: bytes) -> tuple[int, str, str]:
    status, body = told(answer)
    return status, body["code"], body["outcome"]


def text_of(answer: bytes) -> bytes:
    """What the chunks of an answer hold, which is whole."""
    assert answer.endswith(LAST_CHUNK)
    _, _, rest = answer.partition(b"\r\n\r\n")
    text = b""
    while rest != LAST_CHUNK:
        size, _, rest = rest.partition(b"\r\n")
        text += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return text


def until_closed(client: socket.socket) -> bytes:
    return b"".join(iter(partial(client.recv, 65536), b""))


def until(client: socket.socket, seen: bytes, data: bytes = b"") -> bytes:
    """`data`, and what comes until `seen` is in it."""
    while seen not in data:
        more = client.recv(65536)
        assert more, f"it ended after {data!r}"
        data += more
    return data


# --- As it comes -----------------------------------------------------------------------------------------------------

FRAMINGS = {
    "a length": sized("/count", 10 * BLOCK),
    "large chunks": chunked("/count") + 10 * chunk(BLOCK) + LAST_CHUNK,
    "small chunks": chunked("/count")
    + b"".join(chunk((10 * BLOCK)[at : at + 100]) for at in range(0, 655_360, 100))
    + LAST_CHUNK,
    "chunks with extensions": chunked("/count") + 10 * (b'10000;a;b="c"\r\n' + BLOCK + b"\r\n") + LAST_CHUNK,
}


@EITHER
@pytest.mark.parametrize("framing", FRAMINGS)
def test_however_it_is_framed_each_byte_comes_once_and_no_part_is_empty_or_large(
    framing: str, server: Server, watched: Watched
) -> None:
    assert told(exchange(server.url, FRAMINGS[framing])) == (
        200,
        {"bytes": 655_360, "sha256": hashlib.sha256(10 * BLOCK).hexdigest()},
    )
    assert b"".join(watched.parts) == 10 * BLOCK
    assert all(0 < len(part) <= 1 << 19 for part in watched.parts)


@EITHER
@pytest.mark.parametrize("sent", [head("/count"), sized("/count", b""), chunked("/count") + LAST_CHUNK])
def test_no_body_is_a_whole_one_of_no_bytes(sent: bytes, server: Server) -> None:
    assert told(exchange(server.url, sent))[1]["bytes"] == 0


@pytest.mark.parametrize("framing", ["a length", "large chunks"])
def test_however_it_is_cut_into_reads_each_byte_comes_once(framing: str, server: Server, watched: Watched) -> None:
    """Some of what is read is given on as it was read, some by way of a buffer: they do not overtake each other."""
    sent = FRAMINGS[framing]
    with connected(server.url) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        at = 0
        for size in itertools.cycle([1, 7, 200, 65_537, 3, 40_000, 131_072]):
            client.sendall(sent[at : at + size])
            at += size
            if at >= len(sent):
                break
            time.sleep(0.001)
        client.sendall(NEXT)
        answer = until(client, b"next")
    assert answer.count(b"HTTP/1.1 200") == 2, "what is behind the body is the next request"
    assert b"".join(watched.parts) == 10 * BLOCK


def test_who_listens_to_sanics_signal_of_reads_hears_each() -> None:
    heard: list[bytes] = []
    house = House()

    def listening() -> Sanic[Any, Any]:
        app = make(house, RelayApp)

        @app.signal("http.lifecycle.read_body")
        async def hear(body: bytes) -> None:
            heard.append(body)

        return app

    with serve(listening) as server:
        assert told(exchange(server.url, FRAMINGS["a length"]))[0] == 200
    assert heard == house.watched.parts


def test_tiny_chunks_that_came_together_are_one_part(server: Server, watched: Watched) -> None:
    assert told(exchange(server.url, chunked("/count") + 20_000 * chunk(b"a") + LAST_CHUNK))[1]["bytes"] == 20_000
    assert len(watched.parts) < 2_000


def test_who_does_not_read_makes_the_client_wait_and_holds_next_to_nothing(server: Server, watched: Watched) -> None:
    with connected(server.url) as client:
        client.sendall(head("/deaf", f"Content-Length: {MAX_BYTES}") + BLOCK * 14)
        assert read_answer(client).endswith(b"done")
    assert 0 < watched.held_bytes <= 65_536 + (1 << 18)


# --- Beside its answer ----------------------------------------------------------------------------------------------


def echoed_in_parts(client: socket.socket, version: str = "1.1") -> bytes:
    """All but the end, each part sent when the one before has come back."""
    client.sendall(head("/echo?first=1", "Content-Length: 9", version=version))
    answer = until(client, b"begin ")
    for part in (b"one", b"two", b"xyz"):
        client.sendall(part)
        answer = until(client, part, answer)
    return answer


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_its_answer_begins_while_it_comes_and_the_connection_closes_behind_the_end(
    version: str, server: Server
) -> None:
    with connected(server.url) as client:
        answer = echoed_in_parts(client, version)
        client.sendall(NEXT)
        answer += until_closed(client)
    assert answer.count(b"HTTP/") == 1, "what is behind the body is neither body nor answered"
    if version == "1.0":
        assert answer.endswith(b"\r\n\r\nbegin onetwoxyz end")
    else:
        assert b"connection: close" in answer, "it says so before"
        assert text_of(answer) == b"begin onetwoxyz end"


@pytest.mark.parametrize("kind", [Sanic])
def test_over_sanics_own_connection_its_answer_begins_while_it_comes_too(server: Server) -> None:
    with connected(server.url) as client:
        assert text_of(until(client, LAST_CHUNK, echoed_in_parts(client))) == b"begin onetwoxyz end"


def test_chunks_may_come_beside_the_answer_and_their_end_ends_it(server: Server) -> None:
    with connected(server.url) as client:
        client.sendall(chunked("/echo?first=1"))
        answer = until(client, b"begin ")
        for part in (b"one", b"two"):
            client.sendall(chunk(part))
            answer = until(client, part, answer)
        client.sendall(LAST_CHUNK)
        assert text_of(answer + until_closed(client)) == b"begin onetwo end"


def test_a_body_that_was_read_before_its_answer_began_leaves_the_connection_alive(server: Server) -> None:
    for sent in (sized("/echo", b"hello"), chunked("/echo") + chunk(b"hello") + LAST_CHUNK):
        with connected(server.url) as client:
            client.sendall(sent + NEXT)
            answer = until(client, b"next")
        assert b"connection: close" not in answer
        assert b"hello" in answer


@pytest.mark.parametrize(
    ("behind", "code"),
    [
        (b"0\r\nDigest: x\r\n\r\n", b"bad_chunk"),
        (b"0\r\nX: y\r\n\r\n", b"bad_chunk"),
        (b"5\r\nhelloXX", b"bad_chunk"),
        (b"+1\r\na\r\n", b"bad_chunk"),
        (b"%x\r\na" % MAX_BYTES, b"too_large"),
    ],
    ids=["a digest in a trailer", "a trailer", "no CRLF behind a chunk", "a size with a sign", "beyond the bound"],
)
def test_what_is_wrong_in_mid_body_is_said_behind_what_came_before(server: Server, behind: bytes, code: bytes) -> None:
    with connected(server.url) as client:
        client.sendall(chunked("/echo?first=1") + chunk(b"good") + behind + NEXT)
        answer = until_closed(client)
    said = text_of(answer)
    assert said.startswith(b"begin good")
    assert said.endswith(b" " + code)


# --- In time --------------------------------------------------------------------------------------------------------


@EITHER
def test_it_may_take_as_long_as_it_needs_if_only_its_bytes_keep_coming(server: Server) -> None:
    with connected(server.url) as client:
        client.sendall(head("/count", "Content-Length: 12"))
        for _ in range(12):
            time.sleep(0.05)
            client.sendall(b"a")
        assert told(read_answer(client))[1]["bytes"] == 12, f"longer than {BODY_S} s, and than {STALL_S} s"


@EITHER
@pytest.mark.parametrize(
    ("sent", "dripped"),
    [
        (head("/count", "Content-Length: 12") + b"a", b""),
        (chunked("/count") + chunk(b"a"), b"000000000000000000000000"),
    ],
    ids=["silence", "a chunk's line, byte by byte"],
)
def test_a_stall_has_a_name_and_a_deadline(sent: bytes, dripped: bytes, server: Server) -> None:
    with connected(server.url) as client:
        client.sendall(sent)
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for number in range(len(dripped)):
                if time.monotonic() - began > STALL_S:
                    break
                client.send(dripped[number : number + 1])
                time.sleep(0.05)
        answer = read_answer(client)
        took_s = time.monotonic() - began
    assert code_of(answer) == (408, "timeout_upload", "timeout(upload)")
    assert took_s > STALL_S * 0.9


# --- Refused --------------------------------------------------------------------------------------------------------


@EITHER
@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (head("/count", f"Content-Length: {MAX_BYTES + 1}"), 413, "too_large"),
        (head("/count", "Content-Length: 1", "Content-Encoding: gzip"), 415, "unsupported_content_encoding"),
        (head("/count", "Content-Length: 1", "Content-Type: a/b", "Content-Type: c/d"), 400, "bad_header"),
        (head("/count", "Content-Length: 1", "Content-Digest: sha-256=x"), 400, "bad_digest"),
    ],
)
def test_what_its_head_rules_out_is_refused_without_waiting_for_it_or_asking_for_it(
    kind: type[Sanic[Any, Any]], sent: bytes, status: int, code: str, server: Server, watched: Watched
) -> None:
    for expect in (b"\r\n", b"Expect: 100-continue\r\n\r\n") if kind is RelayApp else (b"\r\n",):
        answer = exchange(server.url, sent[:-2] + expect)
        assert answer.startswith(b"HTTP/1.1 %d" % status), "no 100 Continue before it"
        assert code_of(answer)[:2] == (status, code)
    assert watched.parts == []


def test_a_client_that_asks_first_is_told_to_go_on_when_its_body_is_read(server: Server) -> None:
    with connected(server.url) as client:
        client.sendall(head("/count", "Content-Length: 5", "Expect: 100-continue"))
        assert until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hello")
        assert told(read_answer(client))[1]["bytes"] == 5


def test_it_is_told_so_before_an_answer_that_begins_first(server: Server) -> None:
    with connected(server.url) as client:
        client.sendall(head("/echo?first=1", "Content-Length: 5", "Expect: 100-continue"))
        began = until(client, b"begin ")
        assert began.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        client.sendall(b"hello")
        assert text_of(began.partition(b"\r\n\r\n")[2] + until_closed(client)) == b"begin hello end"


@EITHER
def test_digests_are_checked_before_the_last_word(server: Server) -> None:
    digest = "Repr-Digest: sha-512=:" + b64encode(hashlib.sha512(BLOCK).digest()).decode() + ":, md5=:AAAA:"
    assert told(exchange(server.url, sized("/count", BLOCK, digest)))[0] == 200
    answer = exchange(server.url, sized("/count", BLOCK[:-1] + b"x", digest))
    assert code_of(answer) == (400, "digest_mismatch", "refused(400)")


# --- Cut ------------------------------------------------------------------------------------------------------------


def leave(client: socket.socket, how: str) -> None:
    if how == "RST":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if how == "half-close":
        client.shutdown(socket.SHUT_WR)
    else:
        client.close()


@EITHER
def test_who_leaves_in_mid_body_cuts_it_for_whoever_reads_it_and_nothing_is_left(
    house: House, server: Server, watched: Watched
) -> None:
    bodies = [head("{}", "Content-Length: 1000") + b"a" * 99, chunked("{}") + chunk(b"a" * 99)]
    for path, how, body in itertools.product(("/own", "/silent", "/other"), ("FIN", "RST", "half-close"), bodies):
        case = f"{path} {how} {body[:60]!r}"
        watched.ends.clear()
        watched.cut.clear()
        watched.parts.clear()
        with connected(server.url) as client:
            client.sendall(body.replace(b"{}", path.encode()))
            assert eventually(lambda: b"".join(watched.parts) == b"a" * 99), case
            leave(client, how)
            assert eventually(lambda: bool(watched.cut) and house.is_at_rest()), case
        assert eventually(lambda: path != "/other" or bool(watched.ends)), case  # noqa: B023  # asked at once
        of = " of 1000" if b"Length" in body else ""
        assert watched.cut == [f"truncated the body was cut after 99{of} bytes"], case
        assert watched.ends == (["truncated upload_cut"] if path == "/other" else []), case
        if path == "/other":
            assert watched.received[-1] == 99, case


@pytest.mark.parametrize("how", ["FIN", "RST", "half-close"])
def test_who_leaves_a_route_that_reads_by_itself_leaves_nothing_behind_either(
    how: str, house: House, server: Server, watched: Watched
) -> None:
    with connected(server.url) as client:
        client.sendall(head("/plain", "Content-Length: 1000") + b"a" * 99)
        assert eventually(lambda: b"".join(watched.parts) == b"a" * 99)
        leave(client, how)
        assert eventually(house.is_at_rest)


@pytest.mark.parametrize(
    "body", [head("/hasty", "Content-Length: 100") + b"a" * 99, chunked("/hasty") + chunk(b"a" * 99)]
)
def test_who_reads_on_before_it_is_said_that_the_client_left_is_told_so_too(
    body: bytes, house: House, server: Server, watched: Watched
) -> None:
    with connected(server.url) as client:
        client.sendall(body)
        until(client, b"begin")
        leave(client, "FIN")
        assert eventually(lambda: bool(watched.cut) and house.is_at_rest())
    assert (watched.ends, watched.received, watched.cut) == (["truncated upload_cut"], [99], ["truncated"])


def test_who_leaves_when_all_of_a_large_body_has_come_is_seen_to(
    house: House, server: Server, watched: Watched
) -> None:
    """Sanic stops reading when much has come at once; it is read on to see it."""
    with connected(server.url) as client:
        client.sendall(sized("/then", 10 * BLOCK))
        assert eventually(lambda: watched.ends == ["whole"])
        leave(client, "FIN")
        assert eventually(house.is_at_rest)
    assert watched.cut == ["whole"]


HALF = BLOCK[: 1 << 14]
"""Less than makes a connection stop reading: it is then not seen either that the client leaves."""
IN_CHUNKS = chunked("/late") + 2 * chunk(HALF)


@pytest.mark.parametrize(
    ("sent", "end"),
    [
        (sized("/late", 2 * HALF), "whole"),
        (IN_CHUNKS + LAST_CHUNK, "whole"),
        (head("/late", "Content-Length: 32769") + 2 * HALF, "truncated upload_cut"),
        (IN_CHUNKS + b"0\r\n", "truncated upload_cut"),
        (IN_CHUNKS + b"0\r\nX: y\r\n\r\n", "truncated upload_cut"),
    ],
    ids=["a length", "chunks", "but for a byte", "but for an empty line", "with a trailer"],
)
def test_what_had_come_when_the_client_left_is_read_and_is_whole_only_if_it_was(
    sent: bytes, end: str, house: House, server: Server, watched: Watched
) -> None:
    with connected(server.url) as client:
        client.sendall(sent)
        until(client, b"begin")
        leave(client, "FIN")
        assert eventually(lambda: bool(watched.ends) and house.is_at_rest())
    assert watched.ends == [end]
    assert watched.received == [32_768]
    assert b"".join(watched.parts) == 2 * HALF
    assert [each.split(" ")[0] for each in watched.cut] == [end.split(" ", maxsplit=1)[0]]


@EITHER
def test_an_answer_that_ends_before_its_body_has_come_says_so_and_closes(
    kind: type[Sanic[Any, Any]], server: Server
) -> None:
    """Of a connection of ours; Sanic's own reads on, to see its next request."""
    with connected(server.url) as client:
        client.sendall(head("/deaf", f"Content-Length: {MAX_BYTES}") + BLOCK)
        answer = read_answer(client)
        assert is_whole(answer)
        assert answer.endswith(b"done")
        if kind is RelayApp:
            assert b"connection: close" in answer
        with contextlib.suppress(ConnectionError):
            client.sendall(BLOCK)
        client.settimeout(WAIT_S)
        with contextlib.suppress(ConnectionResetError):  # Sanic does not wait for what still comes
            assert client.recv(1) == b"", "and says no more"

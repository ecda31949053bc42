"""The strict connection, as others take it, and a body however it comes; the rest of what it does is in
tests/sockets/test_hostile_clients.py and test_uploads_arriving.py.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import itertools
import weakref
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st
from sanic import HTTPResponse, Request, Sanic
from sanic.compat import Header
from sanic.headers import format_http1_response
from sanic.server.protocols.http_protocol import HttpProtocol

import streamkit.app
from streamkit.relay.request import connection
from streamkit.relay.request.arriving import arriving
from tests.rawsockets import LAST_CHUNK, chunk

PAUSE_BYTES = 200
"""So much in a connection's buffer makes it stop reading."""
NEXT = b"GET /next HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"

_serial = itertools.count(1)


def test_it_stands_beside_the_blueprint_for_apps_of_somebody_elses() -> None:
    assert streamkit.app.Connection is connection.Connection
    assert issubclass(streamkit.app.Connection, HttpProtocol), "what `app.create_server(protocol=…)` takes"
    assert issubclass(connection.RelayApp, Sanic)


class Transport(asyncio.Transport):
    """Keeps what is written, and says when it may be read from."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = asyncio.Event()
        self.reading.set()
        self.closed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.reading.clear()

    def resume_reading(self) -> None:
        self.reading.set()

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def close(self) -> None:
        self.closed.set()

    abort = close

    def can_write_eof(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is room."""

    def get_write_buffer_size(self) -> int:
        return 0


async def answers(reads: Sequence[bytes], at_once: int) -> tuple[bytes, bytes]:
    """What a connection writes that gets these reads, some in each turn of the loop; and the body that came by it."""
    app = connection.RelayApp(f"connection_{next(_serial)}", configure_logging=False)
    app.config.REQUEST_BUFFER_SIZE = PAUSE_BYTES
    came: list[bytes] = []

    @app.post("/", stream=True)
    async def count(request: Request) -> HTTPResponse:
        with arriving(request, max_bytes=1 << 20, stall_s=0) as body:
            async for part in body:
                assert part
                came.append(part)
        return HTTPResponse(hashlib.sha256(b"".join(came)).hexdigest())

    @app.get("/next")
    async def behind(_: Request) -> HTTPResponse:
        return HTTPResponse("next")

    try:
        app.finalize()
        app.signalize(allow_fail_builtin=False)
        transport = Transport()
        protocol = connection.Connection(loop=asyncio.get_running_loop(), app=app)
        protocol.connection_made(transport)  # type: ignore[no-untyped-call]  # Sanic's
        async with asyncio.timeout(5):
            for number, read in enumerate(reads):
                if number % at_once == 0:
                    await asyncio.sleep(0)
                await transport.reading.wait()
                protocol.data_received(read)
            await transport.closed.wait()
        protocol.connection_lost(None)
        await asyncio.sleep(0)
    finally:
        Sanic.unregister_app(app)
    return transport.written, b"".join(came)


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """In reads of these sizes, over and over."""
    reads: list[bytes] = []
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(data):
            return reads
        reads.append(data[at : at + size])
        at += size
    return reads


@given(
    data=st.integers(0, 1_200).map(lambda size: bytes(number % 251 for number in range(size))),
    chunks=st.none() | st.lists(st.integers(5, 500), min_size=1, max_size=9),
    sizes=st.lists(st.integers(1, 500), min_size=1, max_size=9),
    at_once=st.integers(1, 4),
)
@example(data=bytes(range(128)), chunks=None, sizes=[61], at_once=2)
@example(data=bytes(1_000), chunks=None, sizes=[60, 400], at_once=2)
@example(data=bytes(1_000), chunks=[400], sizes=[100, 250, 250], at_once=3)
def test_however_a_body_is_framed_and_read_it_comes_whole_and_so_does_the_next_request(
    data: bytes, chunks: list[int] | None, sizes: list[int], at_once: int
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: test\r\n"
    if chunks is None:
        sent = head + b"Content-Length: %d\r\n\r\n" % len(data) + data
    else:
        sent = head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(map(chunk, cut(data, chunks))) + LAST_CHUNK
    written, came = asyncio.run(answers(cut(sent + NEXT, sizes), at_once))
    assert came == data
    first, _, second = written.partition(hashlib.sha256(data).hexdigest().encode())
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert second.startswith(b"HTTP/1.1 200 OK\r\n")
    assert second.endswith(b"next")


def test_a_connection_is_looked_at_also_after_a_stream_that_was_longer_than_its_timers() -> None:
    """Sanic looks again after half of the shortest timer, and a stream lifts those for the answer and behind it."""
    config = streamkit.app.create_app(routes={}).config
    assert config.REQUEST_TIMEOUT <= config.KEEP_ALIVE_TIMEOUT


# --- The head of an answer ------------------------------------------------------------------------------------------

FIELDS = st.lists(st.tuples(st.text("abcdefghij-", min_size=1, max_size=9), st.text(max_size=12)), max_size=5)


@given(FIELDS, st.sampled_from([200, 202, 206, 404]))
def test_the_head_of_an_answer_is_what_sanic_would_send(given_fields: list[tuple[str, str]], status: int) -> None:
    def response() -> HTTPResponse:
        return HTTPResponse(status=status, headers=Header(given_fields), content_type="text/plain")

    whole = response()
    assert connection.response_head(response()) == format_http1_response(status, whole.processed_headers)


def test_a_connection_that_is_over_is_freed_at_once() -> None:
    """Not by the cycle collector, which would walk all that a relay holds to find it."""

    async def main() -> weakref.ref[Transport]:
        app = connection.RelayApp(f"connection_{next(_serial)}", configure_logging=False)

        @app.get("/")
        async def over(_: Request) -> HTTPResponse:
            return HTTPResponse("over")

        transport = Transport()
        try:
            app.finalize()
            app.signalize(allow_fail_builtin=False)
            protocol = connection.Connection(loop=asyncio.get_running_loop(), app=app)
            protocol.connection_made(transport)  # type: ignore[no-untyped-call]  # Sanic's
            protocol.data_received(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            await transport.closed.wait()
            protocol.connection_lost(None)
        finally:
            Sanic.unregister_app(app)
        return weakref.ref(transport)

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(main())() is None
    finally:
        gc.enable()

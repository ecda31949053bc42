"""The transport against real sockets, on both event loops and with both kinds of wire."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import itertools
import os
import random
import socket
import ssl
import stat
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import httpx2
import pytest
import uvloop

from streamkit.transport import Body, ReadPart, StreamTransport, Timings
from streamkit.transport.errors import ClosedIdle, HeadTooLarge, MalformedHead
from streamkit.transport.receive_times import keep_stamping
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, WAIT_S, RawServer, chunk
from tests.servers import eventually

T = TypeVar("T")
Stamps = Literal["kernel", "socket"]
Run = Callable[[Coroutine[Any, Any, T]], T]

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture(scope="module", autouse=True)
def _young() -> Iterator[None]:
    """Objects from before these tests are none of their garbage, and are not searched for it a few hundred times."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run[Any]]:
    """Runs coroutines on a loop of this kind. What the loop would only log is an error here, and nothing stays open."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    logged: list[dict[str, Any]] = []
    gc.collect()
    keep_stamping()  # the one socket that stays
    before = open_sockets()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: logged.append(context))
        yield runner.run
        gc.collect()
        runner.run(asyncio.sleep(0))
    assert logged == []
    assert eventually(lambda: open_sockets() <= before), "a socket was left open"


@pytest.fixture(params=["socket", "kernel"])
def stamps(request: pytest.FixtureRequest) -> Stamps:
    kind: Stamps = request.param
    return kind


def open_sockets() -> int:
    return sum(is_socket(int(name)) for name in os.listdir("/dev/fd"))  # noqa: PTH208  # the names are numbers


def is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:  # that of the listing itself
        return False


def post(url: str, content: Any = b"ask", timings: Timings | None = None, **limits: float) -> httpx2.Request:
    extensions: dict[str, Any] = {
        "timeout": {"connect": WAIT_S, "read": WAIT_S, "write": WAIT_S, "pool": WAIT_S} | limits
    }
    if timings is not None:
        extensions["timings"] = timings
    return httpx2.Request("POST", url, content=content, extensions=extensions)


async def ask(transport: StreamTransport, request: httpx2.Request) -> tuple[int, bytes]:
    response = await transport.handle_async_request(request)
    try:
        return response.status_code, b"".join([part async for part in response.aiter_raw()])
    finally:
        await response.aclose()


@contextlib.asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[StreamTransport]:
    transport = StreamTransport(**options)
    try:
        yield transport
    finally:
        await transport.aclose()


def body_of(response: httpx2.Response) -> Body:
    body = response.extensions["stamps"]
    assert isinstance(body, Body)
    assert body is response.stream
    return body


async def collect(body: Body, parts: list[bytes]) -> None:
    async for part in body:
        parts.append(part)


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not claim():  # noqa: ASYNC110  # there is no event for what the transport does by itself
            await asyncio.sleep(0.005)


class Steady:
    """A server that keeps connections alive: each answer is `chunks` chunks with `pause_s` before each."""

    def __init__(self, chunks: int = 3, pause_s: float = 0.0, **listen: Any) -> None:
        self.chunks, self.pause_s = chunks, pause_s
        self.connections = self.requests = 0
        self._listen = listen
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        tasks: dict[asyncio.Task[None], asyncio.WriteTransport] = {}

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            tasks[task] = writer.transport
            task.add_done_callback(tasks.pop)

        if "path" in self._listen:
            server = await asyncio.start_unix_server(serve, **self._listen)
        else:
            server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512, **self._listen)
            scheme = "https" if "ssl" in self._listen else "http"
            self.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        self._ready.set()
        await self._stop.wait()
        await asyncio.sleep(
            0.02
        )  # asyncio 3.11 drops, unclosed, what it accepted in the turn in which it stops listening
        server.close()
        for _ in range(3):  # aborted transports are closed in the next turns
            await asyncio.sleep(0.01)
            for transport in tasks.values():
                transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await read_body(reader, head)
                self.requests += 1
                writer.write(SSE_HEAD)
                for number in range(self.chunks):
                    await asyncio.sleep(self.pause_s)
                    writer.write(chunk(b"data: %d\n\n" % number))
                    await writer.drain()
                writer.write(LAST_CHUNK)
        except (OSError, ValueError, asyncio.IncompleteReadError):  # the client left
            pass
        finally:
            writer.transport.abort()


async def read_body(reader: asyncio.StreamReader, head: bytes) -> None:
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        await reader.readexactly(length)


THREE = b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


# What is handed over


def test_a_read_is_one_part_however_many_chunks_it_holds(run: Run[None], stamps: Stamps) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        for number in range(3):
            time.sleep(0.05)
            connection.sendall(chunk(b"a%d" % number) + chunk(b"b%d" % number))
        connection.sendall(LAST_CHUNK)

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            timings = Timings()
            body = body_of(await transport.handle_async_request(post(url, timings=timings)))
            seen = [(data, body.read, body.at_ns, body.read_ns, body.kind) async for data in body]
            assert [data for data, *_ in seen] == [b"a0b0", b"a1b1", b"a2b2"]
            assert [read for _, read, *_ in seen] == [2, 3, 4]  # the first read brought the head
            assert [kind for *_, kind in seen] == [stamps] * 3
            moments = [at_ns for _, _, at_ns, *_ in seen]
            assert moments == sorted(moments)
            assert all(at_ns <= read_ns for _, _, at_ns, read_ns, _ in seen)
            assert (body.error_ns > 0) == (stamps == "kernel")
            gaps_ns = [later - earlier for earlier, later in itertools.pairwise(moments)]
            assert all(30_000_000 < gap_ns < 1_000_000_000 for gap_ns in gaps_ns)
            order = [timings.started_ns, timings.acquired_ns, timings.connected_ns, timings.sent_ns, timings.head_ns]
            assert order == sorted(order)  # type: ignore[type-var]  # a None would be an error here, as it should
            assert timings.tls_ns is None
            assert timings.sent_error_ns is not None
            assert timings.sent_error_ns >= 0

    with RawServer(behave) as server:
        run(main(server.url))


OFF_NS = 1_000_000
"""By how much the kernel's clock of the wall, set beside the monotonic one, may be wrong here."""


def test_a_poured_read_comes_with_its_stamp_in_the_callback_that_reads_it(run: Run[None], stamps: Stamps) -> None:
    had = threading.Semaphore(0)
    sent_ns: list[int] = []

    def behave(connection: socket.socket) -> None:
        for data in (SSE_HEAD + chunk(b"a"), chunk(b"b") + chunk(b"c"), chunk(b"d") + LAST_CHUNK):
            sent_ns.append(time.monotonic_ns())
            connection.sendall(data)
            had.acquire(timeout=WAIT_S)

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            body = body_of(await transport.handle_async_request(post(url)))
            seen: list[tuple[bytes, int, str, int]] = []

            def sink(part: ReadPart) -> bool:
                data, number, (at_ns, kind, _, read_ns) = part
                assert at_ns <= read_ns <= time.monotonic_ns()
                seen.append((data, number, kind, at_ns))
                had.release()
                return True

            await body.pour(sink)
            assert [(data, kind) for data, _, kind, _ in seen] == [(b"a", stamps), (b"bc", stamps), (b"d", stamps)]
            assert [number for _, number, _, _ in seen] == [1, 2, 3]
            moments = [at_ns for *_, at_ns in seen]
            sent_ns.append(time.monotonic_ns())
            for at_ns, (before, after) in zip(moments, itertools.pairwise(sent_ns), strict=True):
                assert before - OFF_NS <= at_ns <= after + OFF_NS
            assert transport.idle_connections == 1

    with RawServer(behave) as server:
        run(main(server.url))


def test_who_pours_and_has_enough_leaves(run: Run[None], stamps: Stamps) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD + chunk(b"a"))
        time.sleep(0.05)
        connection.sendall(chunk(b"b"))
        server.until_left(connection)

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            response = await transport.handle_async_request(post(url))
            await body_of(response).pour(lambda part: part[0] != b"b")
            await response.aclose()
            assert transport.open_connections == 0

    with RawServer(behave) as server:
        run(main(server.url))
    assert len(server.left_at_ns) == 1


def test_kernel_stamps_do_not_move_when_python_is_late(run: Run[tuple[int, int, list[bytes]]]) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD)
        for number in range(4):
            time.sleep(0.05)
            connection.sendall(chunk(b"%d" % number))
        connection.sendall(LAST_CHUNK)

    async def stamped(url: str, stamps: Stamps) -> tuple[int, int, list[bytes]]:
        """Last and first stamp's distance from the head, the parts, with a loop that sleeps while they come."""
        async with opened(stamps=stamps) as transport:
            timings = Timings()
            body = body_of(await transport.handle_async_request(post(url, timings=timings)))
            time.sleep(0.4)  # noqa: ASYNC251  # the claim is about just this
            parts = [part async for part in body]
            assert timings.head_ns is not None
            return body.at_ns - timings.head_ns, body.read_ns - body.at_ns, parts

    with RawServer(behave) as server:
        after_head_ns, late_ns, parts = run(stamped(server.url, "kernel"))
        assert b"".join(parts) == b"0123"
        assert 150_000_000 < after_head_ns < 350_000_000
        assert late_ns > 50_000_000
        after_head_ns, late_ns, _ = run(stamped(server.url, "socket"))
        assert after_head_ns > 390_000_000
        assert late_ns == 0


def test_what_came_before_a_fault_is_handed_over_first(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str, kind: type[Exception], reason: str) -> None:
        async with opened(stamps=stamps) as transport:
            body = body_of(await transport.handle_async_request(post(url)))
            parts: list[bytes] = []
            with pytest.raises(kind, match=reason):
                await collect(body, parts)
            assert b"".join(parts) == b"first"
            assert transport.open_connections == 0

    def sending(rest: bytes) -> Callable[[socket.socket], None]:
        return lambda connection: connection.sendall(SSE_HEAD + chunk(b"first") + rest)

    with RawServer(sending(b"")) as server:
        run(main(server.url, httpx2.RemoteProtocolError, "without its final chunk"))
    with RawServer(sending(b"zz\r\n")) as server:
        run(main(server.url, httpx2.RemoteProtocolError, "chunked framing"))


def test_a_reset_is_a_read_error(run: Run[None], stamps: Stamps) -> None:
    read = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD + chunk(b"first"))
        assert read.wait(WAIT_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            body = body_of(await transport.handle_async_request(post(url)))
            assert await anext(aiter(body)) == b"first"
            read.set()
            with pytest.raises(httpx2.ReadError, match="the connection was reset before the answer was complete"):
                await anext(body)

    with RawServer(behave) as server:
        run(main(server.url))


def test_a_body_may_end_with_the_connection(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            response = await transport.handle_async_request(post(url))
            assert b"".join([part async for part in body_of(response)]) == b"all"
            assert transport.open_connections == 0

    with RawServer(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nall")) as server:
        run(main(server.url))


def test_reading_stops_while_the_consumer_lags(run: Run[None], stamps: Stamps) -> None:
    """What waits here is bounded, and the server is held by TCP."""
    sent = 0
    total = 64 * 1024 * 1024

    def behave(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            sent += connection.send(bytes(65_536))

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            body = body_of(await transport.handle_async_request(post(url)))
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.1)
            assert before < total
            assert body._inbox.held < 1_000_000
            got = 0
            async for part in body:
                got += len(part)
            assert got == total

    with RawServer(behave) as server:
        run(main(server.url))


# What is sent


def test_a_streamed_body_goes_as_it_was_declared(run: Run[None], stamps: Stamps) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"", b"two"):
            await asyncio.sleep(0)
            yield part

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            assert (await ask(transport, post(url, parts())))[0] == 200
            request = httpx2.Request("POST", url, content=parts(), headers={"content-length": "6"})
            assert (await ask(transport, request))[0] == 200
            assert transport.idle_connections == 1

    with Steady() as server:
        run(main(server.url))
        assert (server.connections, server.requests) == (1, 2)


@pytest.mark.parametrize("length", [2, 4])
def test_a_body_that_is_not_as_long_as_declared_is_the_callers_error(
    run: Run[None], stamps: Stamps, length: int
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"abc"

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            for content in (parts(), b"abc"):
                request = httpx2.Request("POST", url, content=content, headers={"content-length": str(length)})
                with pytest.raises(httpx2.LocalProtocolError, match=f"3 bytes, its Content-Length says {length}"):
                    await transport.handle_async_request(request)
            assert transport.open_connections == 0

    with Steady() as server:
        run(main(server.url))


def test_an_error_of_the_callers_body_is_the_callers(run: Run[None], stamps: Stamps) -> None:
    class Mine(ConnectionError):
        pass

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"abc", None):
            if part is None:
                raise Mine
            yield part

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            with pytest.raises(Mine):
                await transport.handle_async_request(post(url, parts()))
            assert transport.open_connections == 0

    with Steady() as server:
        run(main(server.url))


def test_an_early_refusal_is_the_answer_and_ends_the_upload(run: Run[None], stamps: Stamps) -> None:
    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(65_536)
                await asyncio.sleep(0)
        finally:
            closed.set()

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            assert await ask(transport, post(url, endless())) == (413, b"big")
            assert transport.open_connections == 0
            async with asyncio.timeout(WAIT_S):
                await closed.wait()

    def behave(connection: socket.socket) -> None:
        connection.sendall(refusal)
        server.until_left(connection)

    with RawServer(behave) as server:
        run(main(server.url))


def test_an_answer_can_come_beside_the_upload(run: Run[None], stamps: Stamps) -> None:
    heard = asyncio.Event()

    async def talk() -> AsyncIterator[bytes]:
        yield b"hello"
        await heard.wait()
        yield b"goodbye"

    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD + chunk(b"I hear"))
        data = b""
        while b"0\r\n\r\n" not in data:
            data += connection.recv(4096)
        connection.sendall(chunk(data[data.index(b"7\r\n") :]) + LAST_CHUNK)

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            timings = Timings()
            body = body_of(await transport.handle_async_request(post(url, talk(), timings)))
            assert await anext(body) == b"I hear"
            during = dataclasses.replace(timings)
            heard.set()
            assert b"".join([part async for part in body]) == b"7\r\ngoodbye\r\n0\r\n\r\n"
            assert (during.sent_ns, timings.sent_ns is not None) == (None, True)
            assert transport.idle_connections == 1

    with RawServer(behave) as server:
        run(main(server.url))


def test_a_large_body_is_sent_whole(run: Run[None], stamps: Stamps) -> None:
    content = random.Random(1).randbytes(5_000_000)

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            assert await ask(transport, post(url, content)) == (200, b"hello")

    with RawServer(lambda connection: connection.sendall(HELLO)) as server:
        run(main(server.url))
        assert server.requests[0].endswith(b"\r\n\r\n" + content)


# Timers


def test_each_timer_names_itself_and_its_time(run: Run[None], stamps: Stamps) -> None:
    silent = threading.Event()

    def behave(connection: socket.socket) -> None:
        if b"/head" not in server.requests[-1]:
            connection.sendall(SSE_HEAD + chunk(b"x"))
        assert silent.wait(WAIT_S)

    async def main(url: str) -> None:
        async with opened(stamps=stamps, max_connections=1) as transport:
            with pytest.raises(httpx2.ReadTimeout, match=r"^nothing was received for 0\.05 s$"):
                await transport.handle_async_request(post(url + "/head", read=0.05))
            response = await transport.handle_async_request(post(url, read=0.05))
            with pytest.raises(httpx2.PoolTimeout, match=r"within 0\.05 s: 1 of 1 are in use"):
                await transport.handle_async_request(post(url, pool=0.05))
            parts: list[bytes] = []
            with pytest.raises(httpx2.ReadTimeout, match=r"^nothing was received for 0\.05 s$"):
                await collect(body_of(response), parts)
            assert parts == [b"x"]
            assert transport.open_connections == 0
        silent.set()

    with RawServer(behave) as server:
        run(main(server.url))


def test_a_server_that_takes_nothing_is_a_write_timeout(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            with pytest.raises(httpx2.WriteTimeout, match=r"^the server took nothing of the request for 0\.2 s$"):
                await transport.handle_async_request(post(url, bytes(64 * 1024 * 1024), write=0.2))
            assert transport.open_connections == 0

    with socket.create_server(("127.0.0.1", 0)) as listener:
        run(main(f"http://127.0.0.1:{listener.getsockname()[1]}/"))


def test_a_connection_that_is_not_made_in_time_is_a_connect_timeout(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            timings = Timings()
            with pytest.raises(httpx2.ConnectTimeout, match=r"^no connection within 0\.1 s$"):
                await transport.handle_async_request(post(url, timings=timings, connect=0.1))
            assert timings.acquired_ns is not None
            assert timings.connected_ns is None
            assert transport.open_connections == 0

    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as full:
        for _ in range(4):  # a full queue answers no SYN
            waiting = full.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        run(main(f"http://127.0.0.1:{listener.getsockname()[1]}/"))


def test_a_handshake_that_is_not_answered_is_a_connect_timeout(run: Run[None]) -> None:
    async def main(url: str) -> None:
        async with opened(ssl_context=trusting()) as transport:
            timings = Timings()
            with pytest.raises(httpx2.ConnectTimeout, match=r"^connected, but no TLS handshake within 0\.2 s$"):
                await transport.handle_async_request(post(url, timings=timings, connect=0.2))
            assert timings.connected_ns is not None
            assert (timings.tls_ns, transport.open_connections) == (None, 0)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        run(main(f"https://127.0.0.1:{listener.getsockname()[1]}/"))


def test_errors_of_connecting_name_the_reason_and_no_address(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str, reason: str) -> None:
        async with opened(stamps=stamps) as transport:
            with pytest.raises(httpx2.ConnectError) as failed:
                await transport.handle_async_request(post(url))
            assert str(failed.value).startswith(f"no connection: {reason}")
            assert transport.open_connections == 0

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    run(main(f"http://127.0.0.1:{port}/", "connection refused: nobody listens there"))
    run(main("http://name.invalid/", "the host name was not resolved: "))


def test_what_it_does_not_speak_it_refuses(run: Run[None]) -> None:
    async def main() -> None:
        async with opened() as transport:
            for url in ("ftp://127.0.0.1/", "ws://127.0.0.1/"):
                with pytest.raises(httpx2.UnsupportedProtocol):
                    await transport.handle_async_request(post(url))
            for method in ("CONNECT", "G T"):
                with pytest.raises(httpx2.LocalProtocolError):
                    await transport.handle_async_request(httpx2.Request(method, "http://127.0.0.1:9/"))
            assert transport.open_connections == 0

    run(main())


# Connections are used again, but never wrongly


def test_a_complete_answer_leaves_its_connection_for_the_next_request(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            for number in range(3):
                timings = Timings()
                assert await ask(transport, post(url, timings=timings)) == (200, THREE)
                assert (timings.connected_ns is None) == (number > 0)
            assert (transport.open_connections, transport.idle_connections) == (1, 1)

    with Steady() as server:
        run(main(server.url))
        assert (server.connections, server.requests) == (1, 3)


@pytest.mark.parametrize("surplus", [b"x", EMPTY])
def test_bytes_that_nobody_asked_for_make_a_connection_useless(run: Run[None], stamps: Stamps, surplus: bytes) -> None:
    """In the same read as the answer, and later."""
    for pause_s in (0.0, 0.05):

        def behave(connection: socket.socket, pause_s: float = pause_s) -> None:
            connection.sendall(HELLO + (b"" if pause_s else surplus))
            time.sleep(pause_s)
            connection.sendall(surplus)
            server.until_left(connection)

        async def main(url: str) -> None:
            async with opened(stamps=stamps) as transport:
                assert await ask(transport, post(url)) == (200, b"hello")
                await until(lambda: transport.open_connections == 0)

        with RawServer(behave) as server:
            run(main(server.url))
    assert len(server.left_at_ns) == 1


def test_an_idle_connection_that_the_server_closes_leaves_the_pool(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            for _ in range(3):
                assert await ask(transport, post(url)) == (200, b"hello")
                await until(lambda: transport.open_connections == 0)

    with RawServer(lambda connection: connection.sendall(HELLO)) as server:
        run(main(server.url))


STALE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale"


@pytest.mark.parametrize("stir", [STALE, b""], ids=["an answer", "a close"])
def test_what_came_on_an_idle_connection_is_never_the_answer_to_the_next_request(
    run: Run[None], stamps: Stamps, stir: bytes
) -> None:
    """Not even when the loop has not read it yet; and the request goes out on a new connection, once."""
    idle, stirred = threading.Event(), threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.sendall(HELLO)
        if len(server.requests) == 1:
            assert idle.wait(WAIT_S)
            connection.sendall(stir)
            if not stir:
                connection.shutdown(socket.SHUT_WR)
            stirred.set()
        server.until_left(connection)

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            assert await ask(transport, post(url)) == (200, b"hello")
            assert transport.idle_connections == 1
            idle.set()
            assert stirred.wait(WAIT_S)  # the loop stands still meanwhile
            assert await ask(transport, post(url)) == (200, b"hello")
            assert (transport.open_connections, transport.idle_connections) == (1, 1)

    with RawServer(behave) as server:
        run(main(server.url))
        assert len(server.requests) == 2


class FlakyServer(RawServer):
    """Answers the first request of the first connection, and closes at the second; then answers."""

    def __init__(self) -> None:
        super().__init__(self._once)
        self.heads: list[bytes] = []

    def _once(self, connection: socket.socket) -> None:
        self.heads.append(b"first")
        connection.sendall(HELLO)
        if len(self.heads) == 1:
            connection.recv(65_536)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_a_post_is_never_sent_twice(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            await ask(transport, post(url))
            with pytest.raises(ClosedIdle, match="must not be sent twice"):
                await transport.handle_async_request(post(url))
            assert transport.open_connections == 0

    with FlakyServer() as server:
        run(main(server.url))
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 OK\r\n\r\n", MalformedHead),
        (b"SSH-2.0-OpenSSH_9.9\r\n", MalformedHead),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", MalformedHead),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000, HeadTooLarge),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17, HeadTooLarge),
        (b"HTTP/1.1 200 OK\r\nX: ", httpx2.RemoteProtocolError),  # cut
        (b"", httpx2.RemoteProtocolError),
    ],
)
def test_a_head_that_is_none_and_one_that_is_too_large_are_kinds_of_their_own(
    run: Run[None], stamps: Stamps, answer: bytes, kind: type[Exception]
) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            with pytest.raises(httpx2.RemoteProtocolError) as caught:
                await transport.handle_async_request(post(url))
            assert type(caught.value) is kind

    with RawServer(lambda connection: connection.sendall(answer)) as server:
        run(main(server.url))


def test_a_get_is_sent_again_on_a_fresh_connection_and_only_once(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps, max_connections=1) as transport:
            await ask(transport, post(url))
            timings = Timings()
            get = httpx2.Request("GET", url, extensions={"timings": timings})
            assert await ask(transport, get) == (200, b"hello")
            assert timings.connected_ns is not None

    with FlakyServer() as server:
        run(main(server.url))
        assert len(server.requests) == 2


def test_an_answer_left_before_its_end_costs_the_connection(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            response = await transport.handle_async_request(post(url))
            assert await anext(body_of(response)) == b"data: 0\n\n"
            await response.aclose()
            await response.aclose()
            assert transport.open_connections == 0
            with pytest.raises(httpx2.StreamClosed):
                await anext(body_of(response))

    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD + chunk(b"data: 0\n\n"))
        server.until_left(connection)

    with RawServer(behave) as server:
        run(main(server.url))
    assert len(server.left_at_ns) == 1


def test_a_parked_connection_waits_for_the_end_of_the_message_and_is_used_again(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            for _ in range(2):
                response = await transport.handle_async_request(post(url))
                body = body_of(response)
                assert await anext(body) == b"data: 0\n\n"
                body.park()
                await response.aclose()
                await until(lambda: transport.idle_connections == 1)

    with Steady(chunks=2, pause_s=0.02) as server:
        run(main(server.url))
        assert (server.connections, server.requests) == (1, 2)


@pytest.mark.parametrize("rest", [b"", b"x" * 5000, b"zz\r\n"], ids=["no end", "too much", "malformed"])
def test_a_parked_connection_does_not_wait_for_long(run: Run[None], stamps: Stamps, rest: bytes) -> None:
    parked = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.sendall(SSE_HEAD + chunk(b"over"))
        assert parked.wait(WAIT_S)
        connection.sendall(chunk(rest) if len(rest) > 10 else rest)
        server.until_left(connection)

    async def main(url: str) -> None:
        async with opened(stamps=stamps) as transport:
            response = await transport.handle_async_request(post(url))
            await anext(body_of(response))
            body_of(response).park()
            await response.aclose()
            assert transport.open_connections == 1
            parked.set()
            await until(lambda: transport.open_connections == 0)

    with RawServer(behave) as server:
        run(main(server.url))
    assert len(server.left_at_ns) == 1


def test_a_parked_connection_gives_way_when_the_pool_is_full(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps, max_connections=1) as transport:
            response = await transport.handle_async_request(post(url))
            await anext(body_of(response))
            body_of(response).park()
            await response.aclose()
            timings = Timings()
            second = await transport.handle_async_request(post(url, timings=timings))
            assert timings.connected_ns is not None
            await second.aclose()

    with Steady(chunks=2, pause_s=0.05) as server:
        run(main(server.url))
        assert server.connections == 2


def test_a_response_that_is_dropped_gives_its_slot_back(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(stamps=stamps, max_connections=1) as transport:
            response = [await transport.handle_async_request(post(url))]
            with pytest.warns(ResourceWarning, match="neither read to its end nor closed"):
                response.clear()
            assert await ask(transport, post(url)) == (200, THREE)

    with Steady() as server:
        run(main(server.url))


# Where it connects


def test_a_unix_socket_takes_all_requests(run: Run[None], stamps: Stamps) -> None:
    async def main(path: str) -> None:
        async with opened(unix=path, stamps=stamps) as transport:
            response = await transport.handle_async_request(post("http://anywhere/"))
            assert b"".join([part async for part in body_of(response)]) == THREE
            assert body_of(response).kind == "socket"

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "s")
        with Steady(path=path):
            run(main(path))


def test_tls_is_verified_and_stamped(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with opened(ssl_context=trusting(), stamps=stamps) as transport:
            for number in range(2):
                timings = Timings()
                response = await transport.handle_async_request(post(url, timings=timings))
                assert b"".join([part async for part in body_of(response)]) == THREE
                assert body_of(response).kind == "socket"
                if number == 0:
                    assert timings.connected_ns is not None
                    assert timings.tls_ns is not None
                    assert timings.connected_ns < timings.tls_ns
        async with opened(stamps=stamps) as transport:
            with pytest.raises(httpx2.ConnectError, match=r"certificate was not accepted: it is self-signed"):
                await transport.handle_async_request(post(url))
            assert transport.open_connections == 0

    with Steady(ssl=serving_tls()) as server:
        run(main(server.url))


def test_socket_options_are_set(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        async with opened(stamps=stamps, socket_options=[option]) as transport:
            response = await transport.handle_async_request(post(url))
            wire: Any = body_of(response)._exchange.wire
            sock = wire._sock if stamps == "kernel" else wire.transport.get_extra_info("socket")
            assert sock.getsockopt(*option[:2]) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            await response.aclose()

    with Steady() as server:
        run(main(server.url))


# Its life


def test_closing_ends_everything(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        transport = StreamTransport(stamps=stamps, max_connections=2)
        body = body_of(await transport.handle_async_request(post(url)))
        assert await anext(body) == b"data: 0\n\n"

        async def rest() -> None:
            async for _ in body:
                pass

        tasks = [asyncio.create_task(rest()), asyncio.create_task(ask(transport, post(url)))]
        await asyncio.sleep(0.05)
        tasks += [asyncio.create_task(ask(transport, post(url)))]
        await asyncio.sleep(0.05)
        assert transport.waiting_requests == 1
        await transport.aclose()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["the transport was closed"] * 3
        assert transport.open_connections == 0
        await transport.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await transport.handle_async_request(post(url))

    with Steady(chunks=1000, pause_s=0.01) as server:
        run(main(server.url))


def test_closing_ends_connecting(run: Run[None]) -> None:
    async def main(url: str) -> None:
        transport = StreamTransport(ssl_context=trusting())
        task = asyncio.create_task(transport.handle_async_request(post(url)))
        await asyncio.sleep(0.05)
        await transport.aclose()
        with pytest.raises(httpx2.ReadError, match="the transport was closed"):
            await task
        assert transport.open_connections == 0

    with socket.create_server(("127.0.0.1", 0)) as listener:
        run(main(f"https://127.0.0.1:{listener.getsockname()[1]}/"))


def test_it_belongs_to_one_loop() -> None:
    transport = StreamTransport()

    async def main(url: str) -> None:
        await ask(transport, post(url))
        await transport.aclose()

    with Steady() as server:
        asyncio.run(main(server.url))
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            asyncio.run(main(server.url))


def test_httpx2s_client_works_on_it(run: Run[None], stamps: Stamps) -> None:
    async def main(url: str) -> None:
        async with httpx2.AsyncClient(transport=StreamTransport(stamps=stamps)) as client:
            async with client.stream("POST", url, content=b"x") as response:
                assert [line async for line in response.aiter_lines() if line] == ["data: 0", "data: 1", "data: 2"]
            response = await client.post(url, json={"a": 1})
            assert (response.status_code, response.http_version, response.content) == (200, "HTTP/1.1", THREE)

    with Steady() as server:
        run(main(server.url))


# The storm


async def storm(url: str, *, rounds: int, seed: int, **options: Any) -> dict[str, int]:
    """Requests that are cancelled at any await, with a pool that is nearly full; what became of how many."""
    dice = random.Random(seed)
    ends = {"complete": 0, "cancelled": 0, "failed": 0}

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(dice.randrange(3)):
            await asyncio.sleep(0)
            yield b"part"

    async def one(transport: StreamTransport) -> None:
        content = dice.choice([b"ask", parts(), bytes(300_000)])
        response = await transport.handle_async_request(post(url, content, pool=dice.choice([0.01, WAIT_S])))
        try:
            async for _ in body_of(response):
                if dice.random() < 0.1:
                    if dice.random() < 0.5:
                        body_of(response).park()
                    break
        finally:
            await response.aclose()

    async def doomed(transport: StreamTransport) -> None:
        task = asyncio.create_task(one(transport))
        if dice.random() < 0.5:
            for _ in range(dice.randrange(20)):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(dice.random() * 0.02)
        if dice.random() < 0.8:
            task.cancel()
        try:
            await task
            ends["complete"] += 1
        except asyncio.CancelledError:
            ends["cancelled"] += 1
        except httpx2.TransportError:
            ends["failed"] += 1

    async with opened(max_connections=6, **options) as transport:
        for _ in range(rounds):
            await asyncio.gather(*[doomed(transport) for _ in range(20)])
        await until(lambda: transport.open_connections == transport.idle_connections)
        assert transport.waiting_requests == 0
        answers = await asyncio.gather(*[ask(transport, post(url)) for _ in range(12)])
        assert answers == [(200, THREE)] * 12
        assert transport.open_connections <= 6
    assert transport.open_connections == 0
    return ends


def test_requests_cancelled_at_any_await_leak_nothing(run: Run[dict[str, int]], stamps: Stamps) -> None:
    """Thousands of them; the fixture `run` then counts sockets."""
    with Steady(pause_s=0.001) as server:
        ends = run(storm(server.url, rounds=75, seed=3, stamps=stamps))
    assert sum(ends.values()) == 1500
    assert ends["cancelled"] > 300
    assert ends["complete"] > 100


def test_requests_cancelled_in_tls_handshakes_leak_nothing(run: Run[dict[str, int]]) -> None:
    with Steady(pause_s=0.001, ssl=serving_tls()) as server:
        ends = run(storm(server.url, rounds=50, seed=4, ssl_context=trusting()))
    assert sum(ends.values()) == 1000
    assert ends["cancelled"] > 200


# A certificate for 127.0.0.1 that nobody trusts but these tests. Its key is public, and of no other use.

KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgV7n/zOnqHV8iCqzg
DWzHd+ddFRtcGEaZcsG2FULmv1ihRANCAARs+ryywLtCzO/0VLbf2+VofLU7AiYa
4ngUhcoIfHvCCPNkZimOk+r7Aof4GOajDOqpOjRPmEgHASDeGYNQdHQl
-----END PRIVATE KEY-----
"""
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBtDCCAVugAwIBAgIUS5im493MWA3yws9owQRgsFQAbX8wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOc3RyZWFta2l0IHRlc3QwIBcNMjYxMTIyMjA1MTU3WhgPMjEy
NjEwMjkyMDUxNTdaMBkxFzAVBgNVBAMMDnN0cmVhbWtpdCB0ZXN0MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEbPq8ssC7Qszv9FS239vlaHy1OwImGuJ4FIXKCHx7
wgjzZGYpjpPq+wKH+BjmowzqqTo0T5hIBwEg3hmDUHR0JaN/MH0wHQYDVR0OBBYE
FIP+nLQCCWb5qaG/IrSqBVv3P/L/MB8GA1UdIwQYMBaAFIP+nLQCCWb5qaG/IrSq
BVv3P/L/MBoGA1UdEQQTMBGHBH8AAAGCCWxvY2FsaG9zdDAPBgNVHRMBAf8EBTAD
AQH/MA4GA1UdDwEB/wQEAwIChDAKBggqhkjOPQQDAgNHADBEAiAoGtdSrcF4th0G
jKYdXsQJqupY6Sv66lFUZKVENW7zNgIgR/HuFaZy7SQWRrKaAaZCv8iGi/JrfJpz
Vfch1YG1u0Q=
-----END CERTIFICATE-----
"""
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: these tests outlive any certificate


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=CERTIFICATE)
    context.verify_flags |= NO_CHECK_TIME  # has no name in ssl
    return context


def serving_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("key", KEY), ("certificate", CERTIFICATE)):
            (Path(folder) / name).write_text(text)
        context.load_cert_chain(Path(folder) / "certificate", Path(folder) / "key")
    return context

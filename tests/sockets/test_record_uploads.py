"""record() sends a body while it reads the answer: over sockets, against servers that do as they like."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import struct
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from streamkit.lab.client.kept import last_recording
from streamkit.lab.client.record import record
from streamkit.lab.findings import upload_finding
from streamkit.lab.lab import Lab
from streamkit.lab.metrics import max_backlog
from streamkit.lab.recording.recording import Recording
from streamkit.relay.asks import ask_function
from streamkit.relay.pieces import Item, Snapshot, Value
from streamkit.relay.route import Route
from streamkit.relay.sources.source import Arriving
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, RawServer, chunk, read_head

OURS = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nX-Stream-Id: s1\r\nIncremental: ?1\r\n\r\n")
DONE = b'event: done\ndata: {"outcome":"complete","pieces":0}\n\n'
TOO_LARGE = (
    b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/problem+json\r\nContent-Length: 20\r\n\r\n"
    b'{"code":"too_large"}'
)
MEGABYTE = bytes(1 << 20)


class Upload:
    """An iterator of parts that knows how many were taken, and whether it was closed."""

    def __init__(self, part: bytes = b"12345", count: int = 5, pause_s: float = 0.0) -> None:
        self.part, self.count, self.pause_s = part, count, pause_s
        self.taken = 0
        self.closed = False

    async def parts(self) -> AsyncIterator[bytes]:
        try:
            while self.taken < self.count:
                self.taken += 1
                yield self.part
                await asyncio.sleep(self.pause_s)
        finally:
            self.closed = True

    def blocking(self) -> Iterator[bytes]:
        try:
            while self.taken < self.count:
                self.taken += 1
                yield self.part
                time.sleep(self.pause_s)
        finally:
            self.closed = True


def uploaded(behave: Callable[[socket.socket], None], content: Any, **options: Any) -> Recording:
    """The recording of an upload to a server that does so with the connection, behind the request's head."""

    async def main(url: str) -> Recording:
        recording = await record(f"{url}/upload", content=content, **{"total_s": 10, **options})
        assert len(asyncio.all_tasks()) == 1, "nothing is left running"
        return recording

    with RawServer(behave, read_head) as server:
        return asyncio.run(main(server.url))


def read_all(connection: socket.socket) -> int:
    """The rest of a chunked body; how many bytes that is, with its framing."""
    size, last = 0, b""
    while not last.endswith(LAST_CHUNK):
        data = connection.recv(1 << 16)
        assert data, "the body was cut"
        size += len(data)
        last = (last + data)[-5:]
    return size


def echo(connection: socket.socket) -> None:
    """A result for each part, as it comes."""
    connection.sendall(OURS)
    seen, result = b"", 0
    while not seen.endswith(LAST_CHUNK):
        seen += connection.recv(65536)
        while seen.count(b"12345") > result:
            result += 1
            connection.sendall(chunk(b'data: {"n":%d}\n\n' % result))
    connection.sendall(chunk(DONE) + LAST_CHUNK)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("kind", ["parts", "blocking"])
def test_results_come_while_the_body_is_sent_whatever_the_iterator_waits_for(kind: str) -> None:
    upload = Upload(count=4, pause_s=0.05)
    recording = uploaded(echo, getattr(upload, kind)())
    assert recording.outcome.ok
    assert recording.values == [{"n": number} for number in (1, 2, 3, 4)]
    assert recording.text == '{"n":1}\n{"n":2}\n{"n":3}\n{"n":4}\n'
    assert recording.events.at_ns[0] < recording.sends.at_ns[1], "the first is here before the second part is sent"
    assert recording.sent_bytes == 20
    assert recording.sent_ns is not None
    assert recording.origin_ns == recording.sends.at_ns[0]
    assert upload.closed


def test_more_than_the_kernels_hold_goes_through_an_echo() -> None:
    def echo_bytes(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        left = b""
        while not left.endswith(LAST_CHUNK):
            data = connection.recv(1 << 20)
            left = (left + data)[-5:]
            connection.sendall(chunk(data))
        connection.sendall(LAST_CHUNK)

    upload = Upload(MEGABYTE, 24)
    recording = uploaded(echo_bytes, upload.parts(), keep_bytes=False)
    assert (recording.outcome.ok, recording.sent_bytes) == (True, 24 << 20)
    assert sum(recording.reads.size) > 24 << 20


def test_back_pressure_reaches_the_iterator_and_is_measured() -> None:
    go_on = threading.Event()

    def slow(connection: socket.socket) -> None:
        connection.sendall(OURS + chunk(b'event: progress\ndata: {"progress":0}\n\n'))
        assert go_on.wait(5)
        read_all(connection)
        connection.sendall(chunk(DONE) + LAST_CHUNK)

    upload = Upload(MEGABYTE, 64)
    taken: list[int] = []

    async def main(url: str) -> Recording:
        recording = asyncio.create_task(record(url, content=upload.parts(), total_s=10))
        while not taken or upload.taken > taken[-1]:
            taken.append(upload.taken)
            await asyncio.sleep(0.1)
        go_on.set()
        return await recording

    with RawServer(slow, read_head) as server:
        recording = asyncio.run(main(server.url))
    assert 0 < taken[-1] < 64
    assert (recording.outcome.ok, recording.sent_bytes) == (True, 64 << 20)
    assert max(recording.sends.held_ns) > 90_000_000
    assert recording.progress == [{"progress": 0}]


@pytest.mark.parametrize("how", ["stays open", "closes", "resets"])
def test_a_refusal_before_all_is_sent_is_read_and_ends_the_sending(how: str) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(TOO_LARGE)
        if how == "stays open":
            with contextlib.suppress(ConnectionError):
                while connection.recv(1 << 20):
                    pass
        elif how == "resets":
            time.sleep(0.05)  # it is with the client's kernel
            reset(connection)

    upload = Upload(bytes(100_000), 10_000, 0.001)
    recording = uploaded(refuse, upload.parts())
    assert str(recording.outcome) == "refused(413)"
    assert recording.error is not None
    assert "too_large" in recording.error
    assert f"only {recording.sent_bytes:,} bytes of the request's body had been sent" in recording.error
    assert recording.sent_ns is None
    assert upload.closed
    assert 0 < upload.taken < 10_000


def test_a_refusal_over_a_unix_socket_that_is_closed_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            read_head(connection)
            connection.sendall(TOO_LARGE)

    thread = threading.Thread(target=refuse)
    thread.start()
    upload = Upload(bytes(100_000), 10_000, 0.001)
    url = f"http+unix://{quote(str(path), safe='')}/upload"
    recording = asyncio.run(record(url, content=upload.parts(), total_s=10))
    thread.join(5)
    listener.close()
    assert str(recording.outcome) == "refused(413)"
    assert upload.closed


def test_an_answer_that_is_whole_before_all_is_sent_counts_and_ends_the_sending() -> None:
    def enough(connection: socket.socket) -> None:
        connection.sendall(OURS + chunk(b'data: {"n":1}\n\n' + DONE) + LAST_CHUNK)
        with contextlib.suppress(ConnectionError):
            while connection.recv(1 << 20):
                pass

    upload = Upload(count=10_000, pause_s=0.01)
    recording = uploaded(enough, upload.parts())
    assert (str(recording.outcome), recording.values) == ("complete", [{"n": 1}])
    assert upload.closed
    assert "the answer was complete when" in recording.meta["notes"][-1]


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_cut_while_it_is_sent_says_how_much_had_left(how: str) -> None:
    def cut(connection: socket.socket) -> None:
        connection.sendall(OURS + chunk(b'data: {"n":1}\n\n'))
        connection.recv(1 << 16)
        time.sleep(0.05)
        if how == "rst":
            reset(connection)

    upload = Upload(bytes(100_000), 10_000, 0.001)
    recording = uploaded(cut, upload.parts())
    assert (str(recording.outcome), recording.values) == ("truncated", [{"n": 1}])
    assert f"{recording.sent_bytes:,} bytes of the request's body had been sent" in str(recording.error)
    assert f"{recording.sent_bytes:,} bytes sent" in repr(recording)
    assert dict(recording.summary().rows())["bytes sent"] == f"{recording.sent_bytes:,}, not all of it"
    assert upload.closed


@pytest.mark.parametrize("kind", ["parts", "blocking"])
def test_what_the_iterator_raises_while_results_come_is_raised_and_carries_the_recording(kind: str) -> None:
    class Mine(TimeoutError):
        pass

    came = threading.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"12345"
        await asyncio.to_thread(came.wait, 5)
        raise Mine

    def blocking() -> Iterator[bytes]:
        yield b"12345"
        came.wait(5)
        raise Mine

    def answer(connection: socket.socket) -> None:
        connection.sendall(OURS + chunk(b'data: {"n":1}\n\n'))
        with contextlib.suppress(ConnectionError):
            while connection.recv(1 << 16):
                pass

    with pytest.raises(Mine) as raised:
        uploaded(answer, parts() if kind == "parts" else blocking(), on_piece=lambda _: came.set())
    kept = last_recording(of=raised.value)
    assert kept is not None
    assert (str(kept.outcome), kept.values) == ("cancelled(by us)", [{"n": 1}])


def test_who_is_cancelled_while_it_sends_leaves_nothing_open() -> None:
    def silent(connection: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            while connection.recv(1 << 16):
                pass

    for name in ("parts", "blocking"):
        upload = Upload(count=10_000, pause_s=0.02)

        async def main(url: str, content: Any) -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(record(url, content=content), 0.15)
            assert len(asyncio.all_tasks()) == 1

        with RawServer(silent) as server:
            asyncio.run(main(server.url, getattr(upload, name)()))
        assert upload.closed


def test_nobody_there_closes_the_iterator_too() -> None:
    upload = Upload()
    content = upload.parts()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    recording = asyncio.run(record(url, content=content))
    assert str(recording.outcome) == "refused(connect)"
    assert upload.taken == 0
    with pytest.raises(StopAsyncIteration):
        asyncio.run(anext(content))  # type: ignore[arg-type]  # it is a coroutine


def test_a_file_goes_by_its_length_from_where_it_stands_and_stays_open() -> None:
    def count(connection: socket.socket) -> None:
        connection.sendall(OURS + chunk(DONE) + LAST_CHUNK)

    file = io.BytesIO(b"head" + bytes(300_000))
    file.read(4)
    with RawServer(count) as server:
        recording = asyncio.run(record(server.url, content=file))
    assert recording.outcome.ok
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert b"content-length: 300000" in head.lower()
    assert b"transfer-encoding" not in head.lower()
    assert body == bytes(300_000)
    assert recording.sent_bytes == 300_000
    assert not file.closed


@pytest.mark.parametrize("answer", ["continue", "refusal"])
def test_who_asks_first_sends_when_it_is_wanted(answer: str) -> None:
    first: list[bytes] = []

    def wanted(connection: socket.socket) -> None:
        if answer == "refusal":
            connection.sendall(TOO_LARGE)
            connection.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                first.append(connection.recv(1 << 16))
            return
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        read_all(connection)
        connection.sendall(OURS + chunk(DONE) + LAST_CHUNK)

    upload = Upload()
    recording = uploaded(wanted, upload.parts(), headers={"Expect": "100-continue"})
    if answer == "refusal":
        assert (str(recording.outcome), upload.taken, recording.sent_bytes) == ("refused(413)", 0, 0)
        assert first in ([], [b""]), "not a byte of the body came"
    else:
        assert (recording.outcome.ok, recording.sent_bytes) == (True, 25)


def test_a_lab_joins_what_its_relay_read_of_an_upload_and_its_finding_says_who_was_slow() -> None:
    async def count(body: Arriving) -> AsyncGenerator[Item, None]:
        async for _ in body:
            yield Snapshot({"bytes": body.received})
            await asyncio.sleep(0.01)
        yield Value({"bytes": body.received, "final": True})

    async def main() -> Recording:
        with Lab(routes={"/count": Route(ask_function(count, "raw"))}) as lab:
            return await lab.post("/count", content=Upload(MEGABYTE, 16).parts(), accept="sse", total_s=20)

    recording = asyncio.run(main())
    assert recording.outcome.ok
    assert recording.values[-1] == {"bytes": 16 << 20, "final": True}
    curves = recording.upload()
    assert {tap: one.total for tap, one in curves.items()} == {"client.sent": 16 << 20, "server.read": 16 << 20}
    assert 0 < max_backlog(*curves.values()) <= 16 << 20
    assert upload_finding(recording).split(": ")[1].startswith("the server")
    assert len(recording.counted.at_ns) > 2, "results came while it was sent"
    assert recording.events.at_ns[0] < recording.sends.at_ns[-1]

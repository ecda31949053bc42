"""Wiretap on real sockets: any client, any server; the bytes are the same, and each answer is recorded."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import random
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import httpx2
import openai
import pytest
import trustme

from streamkit.errors import ConfigError, ServerError
from streamkit.lab.client.record import record
from streamkit.lab.recording.recording import Recording
from streamkit.lab.run import run
from streamkit.lab.sets import RecordingSet
from streamkit.lab.upstream import Script, create_upstream
from streamkit.lab.wiretap.wiretap import Wiretap
from streamkit.serving.server import Server, serve
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, WAIT_S, RawServer, chunk, connected, exchange, read_answer, request
from tests.servers import eventually, leaves_nothing

EVENT = chunk(b'data: {"text": "hi"}\n\n')
RELAY_HEAD = SSE_HEAD.replace(b"\r\n\r\n", b"\r\nX-Stream-Id: s1\r\n\r\n")
WHOLE = RELAY_HEAD + EVENT + chunk(b"event: done\ndata: {}\n\n") + LAST_CHUNK

OCTETS = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    with leaves_nothing():
        yield


@pytest.fixture
def llm() -> Iterator[Server]:
    script = Script(["你", "好"], first_piece_ms=20, gap_ms=20, preset="openai")
    with serve(partial(create_upstream, script)) as server:
        yield server


def ended(tap: Wiretap, count: int) -> list[Recording]:
    """The recordings, when there are so many."""
    assert eventually(lambda: tap.finished >= count), tap
    return list(tap.recordings)


def outcomes(recordings: list[Recording]) -> list[str]:
    return [str(each.outcome) for each in recordings]


class Peer:
    """A server whose connections the test holds itself."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(WAIT_S)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @contextlib.contextmanager
    def through(self, tap: Wiretap) -> Iterator[tuple[socket.socket, socket.socket]]:
        """Both ends of a new connection through the tap: the client's and the server's."""
        with connected(tap.url) as client:
            accepted, _ = self.listener.accept()
            with accepted:
                accepted.settimeout(WAIT_S)
                yield client, accepted


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    with made.listener:
        yield made


# --- Any client -----------------------------------------------------------------------------------------------------


def ask_httpx2(url: str) -> list[bytes]:
    with httpx2.Client(trust_env=False) as client:
        return [client.post(url, json={}).content for _ in range(2)]


def ask_aiohttp(url: str) -> list[bytes]:
    async def ask() -> list[bytes]:
        async with aiohttp.ClientSession() as session:
            return [await (await session.post(url, json={})).read() for _ in range(2)]

    return asyncio.run(ask())


def ask_curl(url: str) -> list[bytes]:
    command = ["curl", "-sN", "--data", "{}", url, "--next", "-sN", "--data", "{}", url]
    out = subprocess.run(command, capture_output=True, timeout=WAIT_S, check=True).stdout
    return [out[: len(out) // 2], out[len(out) // 2 :]]


CLIENTS: dict[str, Callable[[str], list[bytes]]] = {"httpx2": ask_httpx2, "aiohttp": ask_aiohttp}
if shutil.which("curl"):
    CLIENTS["curl"] = ask_curl


@pytest.mark.parametrize("client", CLIENTS)
def test_two_streams_on_one_connection_are_two_recordings(llm: Server, client: str) -> None:
    with Wiretap(llm.url) as tap:
        bodies = CLIENTS[client](f"{tap.url}/v1/chat/completions")
        recordings = ended(tap, 2)
        assert tap.notices == ()
    assert outcomes(recordings) == ["complete"] * 2
    assert [each.text for each in recordings] == ["你好"] * 2
    assert {each.label for each in recordings} == {"POST /v1/chat/completions"}
    assert {each.url for each in recordings} == {f"{llm.url}/v1/chat/completions"}
    assert [len(body) for body in bodies] == [each.summary().bytes for each in recordings]
    assert all(each.summary().ttft_ms and each.sent_ns is not None for each in recordings)


def test_the_openai_sdk_streams_through_it(llm: Server) -> None:
    with (
        Wiretap(llm.url) as tap,
        httpx2.Client(trust_env=False) as pool,
        openai.OpenAI(api_key="sk-hush-hush", base_url=f"{tap.url}/v1", http_client=pool) as client,
    ):
        message: Any = {"role": "user", "content": "hi"}
        parts = client.chat.completions.create(model="m", messages=[message], stream=True)
        text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
        (recording,) = ended(tap, 1)
    assert (text, recording.text, str(recording.outcome)) == ("你好", "你好", "complete")
    assert (recording.label, recording.preset) == ("POST /v1/chat/completions", "openai")


def test_a_recorder_and_the_tap_before_it_see_the_same_stream(llm: Server) -> None:
    with Wiretap(llm.url) as tap:
        theirs = run(record(f"{tap.url}/ans", json={}))
        (ours,) = ended(tap, 1)
    assert [event.data for event in ours.events] == [event.data for event in theirs.events]
    assert ours.finish_reason == theirs.finish_reason == "stop"
    assert (ours.summary().ttft_ms or 0) <= (theirs.summary().ttft_ms or 0) + 5


def test_requests_in_a_pipeline_are_recorded_each() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(WHOLE * 3)
        connection.recv(1)

    asked = b"".join(request(f"/{name}", b"") for name in "abc")
    read: Callable[[socket.socket], bytes] = partial(_read_exactly, len(asked))
    with RawServer(answer, read) as server, Wiretap(server.url) as tap, connected(tap.url) as client:
        client.sendall(asked)
        recordings = ended(tap, 3)
    assert [each.label for each in recordings] == ["POST /a", "POST /b", "POST /c"]
    assert [each.text for each in recordings] == ["hi"] * 3


def _read_exactly(size: int, connection: socket.socket) -> bytes:
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


def test_a_websocket_passes_unseen_and_that_is_told(peer: Peer) -> None:
    with Wiretap(peer.url) as tap, peer.through(tap) as (client, server):
        client.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert server.recv(4096).startswith(b"GET /ws")
        server.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
        assert client.recv(4096).endswith(b"\x81\x02hi")
        client.sendall(b"\x81\x80\x00\x01\x02\x03")
        assert server.recv(4096) == b"\x81\x80\x00\x01\x02\x03"
        assert eventually(lambda: len(tap.notices) == 1)
        assert "another protocol (101 Switching Protocols)" in tap.notices[0]
        assert tap.finished == 0


# --- The bytes are the same -----------------------------------------------------------------------------------------


def digest_of(connection: socket.socket, size: int, into: list[str]) -> None:
    seen, found = 0, hashlib.sha256()
    while seen < size and (data := connection.recv(262_144)):
        seen += len(data)
        found.update(data)
    into.append(found.hexdigest())


@pytest.mark.parametrize("rewrite_host", [False, True])
def test_ten_megabytes_up_and_down_are_the_same(peer: Peer, rewrite_host: bool) -> None:
    body = random.Random(3).randbytes(10_000_000)
    up = request("/", body, host="here.test")
    down = OCTETS % len(body) + body[::-1]
    up_on = up.replace(b"here.test", peer.url.removeprefix("http://").encode()) if rewrite_host else up
    seen: list[str] = []
    came: list[str] = []
    with Wiretap(peer.url, rewrite_host=rewrite_host) as tap, peer.through(tap) as (client, server):
        threads = [
            threading.Thread(target=digest_of, args=(server, len(up_on), seen)),
            threading.Thread(target=digest_of, args=(client, len(down), came)),
            threading.Thread(target=server.sendall, args=(down,)),  # beside what the client sends
        ]
        for thread in threads[:2]:
            thread.start()
        client.sendall(up[:1000])
        threads[2].start()
        client.sendall(up[1000:])
        for thread in threads:
            thread.join(WAIT_S)
        (recording,) = ended(tap, 1)
        assert (tap.carried.up, tap.carried.down) == (len(up_on), len(down))
    assert seen == [hashlib.sha256(up_on).hexdigest()]
    assert came == [hashlib.sha256(down).hexdigest()]
    assert recording.summary().bytes == len(body)


def test_a_slow_client_holds_the_server_back_and_that_is_told(peer: Peer) -> None:
    size = 60_000_000
    written = [0]

    def write(server: socket.socket) -> None:
        server.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % size
        )
        part = bytes(100_000)
        while written[0] < size:
            server.sendall(part)
            written[0] += len(part)

    with (
        Wiretap(peer.url, max_bytes=200 << 20, max_stream_bytes=100 << 20) as tap,
        peer.through(tap) as (client, server),
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        server.recv(4096)
        thread = threading.Thread(target=write, args=(server,))
        thread.start()
        assert eventually(lambda: written[0] > 0 and _stands_still(written))
        assert written[0] < size
        digest_of(client, size, [])
        thread.join(WAIT_S)
        (recording,) = ended(tap, 1)
    assert recording.meta["client_held_ms"] > 100
    assert any("the client took nothing for" in note for note in recording.summary().notes)


def _stands_still(written: list[int]) -> bool:
    before = written[0]
    time.sleep(0.3)
    return written[0] == before


# --- How it ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_client_that_leaves_is_passed_on_and_has_cancelled(peer: Peer, how: str) -> None:
    with Wiretap(peer.url) as tap, peer.through(tap) as (client, server):
        client.sendall(request("/", b""))
        server.recv(4096)
        server.sendall(RELAY_HEAD + EVENT)
        assert EVENT in client.recv(4096) + (b"" if how else client.recv(1))
        if how == "rst":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with contextlib.suppress(ConnectionResetError):
            assert server.recv(4096) == b""
        server.close()
        (recording,) = ended(tap, 1)
    assert (str(recording.outcome), recording.text) == ("cancelled", "hi")


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_server_that_cuts_is_passed_on_and_the_answer_is_truncated(peer: Peer, how: str) -> None:
    with Wiretap(peer.url) as tap, peer.through(tap) as (client, server):
        client.sendall(request("/", b""))
        server.recv(4096)
        server.sendall(RELAY_HEAD + EVENT)
        assert client.recv(4096)
        if how == "rst":
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        if how == "rst":
            with pytest.raises(ConnectionResetError):
                client.recv(4096)
        else:
            assert client.recv(4096) == b""
        (recording,) = ended(tap, 1) if how == "rst" else _after(client.close, tap)
    assert (str(recording.outcome), recording.text) == ("truncated", "hi")


def _after(do: Callable[[], object], tap: Wiretap) -> list[Recording]:
    do()
    return ended(tap, 1)


def test_a_server_that_is_not_there_is_told_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    told: list[str] = []
    tap = Wiretap(url, on_notice=told.append, on_recording=lambda each: told.append(str(each.error)))
    with tap, contextlib.suppress(ConnectionError), connected(tap.url) as client:
        client.sendall(request("/", b""))
        read_answer(client)
    assert len(told) == 1
    assert "connection refused: nobody listens there" in told[0]


def test_stopping_it_ends_what_runs_and_tells_of_all(peer: Peer, tmp_path: Path) -> None:
    told: list[str] = []
    tap = Wiretap(peer.url, folder=tmp_path, on_recording=lambda each: told.append(str(each.outcome)))
    with peer.through(tap) as (client, server):
        client.sendall(request("/", b""))
        server.recv(4096)
        server.sendall(RELAY_HEAD + EVENT)
        assert client.recv(4096)
        tap.stop()
        tap.stop()
    assert told == outcomes(list(tap.recordings)) == ["cancelled(by us)"]
    (file,) = tmp_path.iterdir()
    assert Recording.load(file).text == "hi"
    assert not tap.running
    assert "stopped" in repr(tap)


def test_one_that_nobody_holds_any_more_stops() -> None:
    with RawServer(lambda connection: connection.sendall(WHOLE)) as server:
        tap = Wiretap(server.url, on_recording=lambda _: None)
        gone = weakref.ref(tap)
        del tap
        gc.collect()
        assert gone() is None
        assert eventually(lambda: not any("wiretap" in thread.name for thread in threading.enumerate()))


# --- Secrets --------------------------------------------------------------------------------------------------------


def test_no_secret_is_in_what_is_kept(tmp_path: Path) -> None:
    problem = b'{"error": {"message": "Incorrect API key provided: k-hush-hush, cookie c00kie, query qu3ry"}}'
    head = b"HTTP/1.1 401 No\r\nSet-Cookie: s=fresh-one\r\nWWW-Authenticate: Bearer\r\nContent-Length: %d\r\n\r\n"
    with RawServer(lambda connection: connection.sendall(head % len(problem) + problem)) as server:
        with Wiretap(server.url, folder=tmp_path) as tap:
            sent = request("/a?key=qu3ry", b"body-of-mine", authorization="Bearer k-hush-hush", cookie="c00kie")
            answer = exchange(tap.url, sent)
        assert server.requests == [sent]
    assert b"Set-Cookie: s=fresh-one" in answer
    (recording,) = tap.recordings
    (file,) = tmp_path.iterdir()
    kept = file.read_text() + repr(recording) + str(recording.summary()) + recording._repr_html_() + repr(tap)
    assert "Incorrect API key provided: …" in kept
    for secret in ("hush", "c00kie", "qu3ry", "fresh-one", "body-of-mine"):
        assert secret not in kept
    assert recording.url == f"{server.url}/a"


# --- TLS ------------------------------------------------------------------------------------------------------------


class SecureServer:
    """Speaks TLS, by a certificate; what it has read, and how it ends each connection: in order, or not."""

    def __init__(self, certificate: trustme.LeafCert, answer: bytes = WHOLE, *, in_order: bool = True) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._context)
        self._answer, self._in_order = answer, in_order
        self.requests: list[bytes] = []
        self.left = threading.Event()
        self._plain = RawServer(self._serve, lambda _: b"")
        self.url = self._plain.url.replace("http://", "https://")

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as connection:
            self.requests.append(connection.recv(65536))
            connection.sendall(self._answer)
            if self._in_order:
                connection.unwrap()
                return
            with contextlib.suppress(OSError):
                connection.recv(1)
            self.left.set()

    def __enter__(self) -> Self:
        self._plain.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._plain.__exit__(kind, error, trace)


def test_a_target_that_speaks_tls_is_asked_by_its_own_name(ca: trustme.CA, ca_file: str) -> None:
    with SecureServer(ca.issue_cert("127.0.0.1")) as server, Wiretap(server.url, verify=ca_file) as tap:
        assert exchange(tap.url, request("/ans", b"hi", host="127.0.0.1:9000")) == WHOLE
        (recording,) = ended(tap, 1)
        host = server.url.removeprefix("https://").encode()
        assert server.requests == [request("/ans", b"hi", host=host.decode())]
    assert (str(recording.outcome), recording.text, recording.url) == ("complete", "hi", f"{server.url}/ans")


def test_megabytes_over_tls_are_the_same_though_the_client_is_slow(ca: trustme.CA, ca_file: str) -> None:
    body = random.Random(3).randbytes(10_000_000)
    answer = OCTETS % len(body) + body
    came: list[str] = []
    with SecureServer(ca.issue_cert("127.0.0.1"), answer) as server, Wiretap(server.url, verify=ca_file) as tap:
        with connected(tap.url) as client:
            client.sendall(request("/", b"hi"))
            time.sleep(0.3)  # the client reads nothing: all buffers on the way are full then
            digest_of(client, len(answer), came)
        (recording,) = ended(tap, 1)
    assert came == [hashlib.sha256(answer).hexdigest()]
    assert recording.summary().bytes == len(body)


def test_its_host_may_be_left_as_the_client_wrote_it(ca: trustme.CA, ca_file: str) -> None:
    with SecureServer(ca.issue_cert("127.0.0.1")) as server:
        with Wiretap(server.url, verify=ca_file, rewrite_host=False) as tap:
            sent = request("/ans", b"hi", host="127.0.0.1:9000")
            assert exchange(tap.url, sent) == WHOLE
        assert server.requests == [sent]


def test_an_answer_that_ends_with_tls_closed_in_order_ends_in_order(ca: trustme.CA, ca_file: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: [DONE]\n\n"
    with SecureServer(ca.issue_cert("127.0.0.1"), answer) as server, Wiretap(server.url, verify=ca_file) as tap:
        with connected(tap.url) as client:
            client.sendall(request("/", b""))
            came = b""
            while more := client.recv(4096):
                came += more
        assert came == answer
        assert ended(tap, 1)[0].meta["framing"] == "close"


def test_a_client_that_leaves_ends_the_connection_to_a_tls_target(ca: trustme.CA, ca_file: str) -> None:
    begun = RELAY_HEAD + EVENT
    secure = SecureServer(ca.issue_cert("127.0.0.1"), begun, in_order=False)
    with secure as server, Wiretap(server.url, verify=ca_file) as tap:
        with connected(tap.url) as client:
            client.sendall(request("/", b""))
            assert client.recv(4096)
        assert server.left.wait(WAIT_S / 2)
        assert outcomes(ended(tap, 1)) == ["cancelled"]


def test_a_target_that_is_not_trusted_is_told_in_words(ca: trustme.CA) -> None:
    told: list[str] = []
    with SecureServer(ca.issue_cert("127.0.0.1")) as server:
        tap = Wiretap(server.url, on_notice=told.append, on_recording=lambda each: told.append(str(each.error)))
        with tap, contextlib.suppress(ConnectionError), connected(tap.url) as client:
            client.sendall(request("/", b""))
            assert read_answer(client) == b""
    assert len(told) == 1
    assert "the server's certificate was not accepted: its issuer is not trusted" in told[0]


# --- Where it listens, and to whom it leads -------------------------------------------------------------------------


def test_a_unix_socket_can_be_the_target(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    llm = partial(create_upstream, Script(["hi"], gap_ms=1, preset="openai"))
    with serve(llm, unix=path) as server, Wiretap(server.url) as tap:
        assert b"hi" in exchange(tap.url, request("/ans", b"{}", content_type="application/json"))
    (recording,) = tap.recordings
    assert recording.url == f"http+unix://{quote(str(path), safe='')}/ans"


def test_it_listens_where_it_is_told_to(llm: Server) -> None:
    with Wiretap(llm.url, host="::1") as tap:
        assert tap.url.startswith("http://[::1]:")
        with Wiretap(llm.url) as other, pytest.raises(ServerError, match="cannot listen"):
            Wiretap(llm.url, port=int(other.url.rpartition(":")[2]), on_recording=lambda _: None)


def test_the_path_of_its_target_is_in_its_own_url(llm: Server) -> None:
    with Wiretap(f"{llm.url}/v1") as tap:
        assert tap.url.endswith("/v1")


@pytest.mark.parametrize(
    ("url", "options", "error"),
    [
        ("nowhere", {}, ValueError),
        ("ftp://127.0.0.1", {}, ValueError),
        ("http://me:pw@127.0.0.1", {}, ValueError),
        ("http://127.0.0.1:1", {"max_streams": 0}, ValueError),
        ("http://127.0.0.1:1", {"max_bytes": "1"}, TypeError),
        ("http://127.0.0.1:1", {"on_recording": 3}, TypeError),
        ("https://127.0.0.1:1", {"verify": "/nowhere/ca.pem"}, ConfigError),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_call(url: str, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Wiretap(url, **options)


def test_what_is_kept_is_a_set_like_others_and_the_newest(llm: Server) -> None:
    with Wiretap(llm.url, max_streams=2, keep_text=False) as tap:
        for name in "abc":
            exchange(f"{tap.url}", request(f"/{name}", b"{}", content_type="application/json"))
        assert eventually(lambda: tap.finished == 3)
        recordings = tap.recordings
    assert isinstance(recordings, RecordingSet)
    assert list(recordings.by("label")) == ["POST /b", "POST /c"]
    assert recordings.summary().complete == 2
    assert not recordings[0].events.kept

"""Link: a bad network on real sockets; what passes, what is held, what is cut, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from streamkit.errors import ServerError
from streamkit.lab.net import carrier
from streamkit.lab.net.link import Carried, Link
from streamkit.lab.net.toxics import QUEUE_BYTES, Bandwidth, Blackhole, Cut, How, Latency, Slice, SlowClose, Toxic
from streamkit.lab.run import run
from streamkit.serving.server import serve, servers
from tests.cells import FakeShell
from tests.rawsockets import LAST_CHUNK, WAIT_S, connected, exchange, request
from tests.server_apps import make_app
from tests.servers import QUICK_S, eventually, python, rest_of, said

pytestmark = pytest.mark.usefixtures("nothing_left")

SILENCE_S = 0.15
EITHER_CUT = pytest.mark.parametrize("how", ["fin", "rst"])


class Target:
    """A listening socket whose connections the test holds itself."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(WAIT_S)
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def accept(self) -> socket.socket:
        connection, _ = self.listener.accept()
        connection.settimeout(WAIT_S)
        return connection

    @contextlib.contextmanager
    def through(self, link: Link) -> Iterator[tuple[socket.socket, socket.socket]]:
        """Both ends of a new connection: the client's and the target's."""
        with connected(link.url) as client, self.accept() as accepted:
            yield client, accepted


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    with made.listener:
        yield made


def receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := connection.recv(min(65536, size - len(data)))):
        data += more
    return data


def ending(connection: socket.socket) -> str:
    """How it ends, whatever comes before."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return "rst"
    return "fin"


def met_with(url: str) -> str:
    """How a connection ends in which nothing is said; a reset may come while it is made."""
    try:
        with connected(url) as client:
            return ending(client)
    except ConnectionResetError:
        return "rst"


def silent(connection: socket.socket) -> bool:
    """Nothing comes for a while, and it does not end."""
    connection.settimeout(SILENCE_S)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(WAIT_S)
    return False


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def is_broken(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"x")
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def is_refused(url: str) -> bool:
    try:
        with connected(url):
            return False
    except ConnectionRefusedError:
        return True


# --- What passes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("toxics", [[], [Latency(5, jitter_ms=10), Slice(1000, jitter_bytes=999), Bandwidth(2e6)]])
def test_bytes_pass_unchanged_both_ways_at_once(target: Target, toxics: list[Toxic]) -> None:
    there, back = random.Random(1).randbytes(300_000), random.Random(2).randbytes(300_000)
    with Link(target.url, up=toxics, down=toxics) as link, target.through(link) as (client, server):
        senders = [
            threading.Thread(target=client.sendall, args=(there,)),
            threading.Thread(target=server.sendall, args=(back,)),
        ]
        for sender in senders:
            sender.start()
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append(receive(server, len(there))))
        reader.start()
        assert receive(client, len(back)) == back
        for thread in [*senders, reader]:
            thread.join(WAIT_S)
        assert received == [there]
        assert link.carried == Carried(up=len(there), down=len(back))


def test_a_half_close_is_passed_on_and_the_other_direction_goes_on(target: Target) -> None:
    with Link(target.url) as link, target.through(link) as (client, server):
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert rest_of(server.dup()) == b"question"
        server.sendall(b"answer")
        assert receive(client, 6) == b"answer"
        server.close()
        assert client.recv(1) == b""
        assert eventually(lambda: link.connections == 0)


def test_the_end_comes_after_all_delayed_data(target: Target) -> None:
    data = bytes(100_000)
    with Link(target.url, down=[Latency(100)]) as link, target.through(link) as (client, server):
        server.sendall(data)
        server.close()
        assert rest_of(client.dup()) == data


@pytest.mark.parametrize("who", ["client", "target"])
def test_a_reset_of_one_side_is_a_reset_of_the_other_behind_its_data(target: Target, who: str) -> None:
    with Link(target.url, up=[Latency(50)], down=[Latency(50)]) as link, target.through(link) as (client, server):
        there, here = (client, server) if who == "client" else (server, client)
        there.sendall(b"last words")
        time.sleep(0.02)  # the link has read them: a reset would overtake them in its kernel
        reset(there)
        assert receive(here, 10) == b"last words"
        assert ending(here) == "rst"
        assert eventually(lambda: link.connections == 0)


def test_a_client_that_is_gone_after_its_half_close_is_a_reset_too(target: Target) -> None:
    with Link(target.url) as link, target.through(link) as (client, server):
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        reset(client)
        assert eventually(lambda: is_broken(server))
        assert eventually(lambda: link.connections == 0)


def test_a_target_on_a_unix_socket_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with (
        serve(make_app, unix=path) as server,
        Link(f"http+unix://{quote(str(path), safe='')}/echo") as link,
    ):
        assert server.running
        assert link.url.endswith("/echo")
        assert repr(link).startswith(f"<Link running 127.0.0.1:{link.url.split(':')[2][:-5]} → {path}: ")
        assert exchange(link.url, request("/echo", b"a\n")).endswith(b"a\n\r\n0\r\n\r\n")


def test_a_target_that_refuses_is_a_reset(target: Target) -> None:
    with Link(target.url) as link:
        target.listener.close()
        assert met_with(link.url) == "rst"
        assert eventually(lambda: link.connections == 0)


# --- Toxics ---------------------------------------------------------------------------------------------------------


def test_latency_is_that_of_its_direction(target: Target) -> None:
    with Link(target.url, up=[Latency(60)], down=[Latency(140)]) as link, target.through(link) as (client, server):
        begin = time.monotonic()
        client.sendall(b"?")
        assert server.recv(1) == b"?"
        assert time.monotonic() - begin >= 0.06
        begin = time.monotonic()
        for _ in range(20):
            server.sendall(b"!")
            time.sleep(0.002)
        assert receive(client, 20) == b"!" * 20
        assert 0.14 <= time.monotonic() - begin < 10 * 0.14  # one after the other it would be twenty times as long


def test_bandwidth_is_shared_by_no_other_connection_and_kept(target: Target) -> None:
    with Link(target.url, down=[Bandwidth(200_000)]) as link, target.through(link) as (client, server):
        begin = time.monotonic()
        server.sendall(bytes(60_000))
        receive(client, 60_000)
        assert time.monotonic() - begin >= 0.3


def test_each_link_has_a_jitter_of_its_own_unless_it_is_given_a_seed(target: Target) -> None:
    with Link(target.url) as first, Link(target.url) as second, Link(target.url, seed=7) as third:
        assert second.seed == first.seed + 1
        assert third.seed == 7


def test_slices_with_a_gap_come_one_by_one(target: Target) -> None:
    with Link(target.url, down=[Slice(1, gap_ms=20)]) as link, target.through(link) as (client, server):
        begin = time.monotonic()
        server.sendall("你好".encode())
        assert receive(client, 6) == "你好".encode()
        assert time.monotonic() - begin >= 0.095, "five gaps; a busy machine reads some of them at once"


def test_into_a_blackhole_nothing_passes_and_when_it_closes_all_of_it(target: Target) -> None:
    with Link(target.url, up=[Blackhole()]) as link, target.through(link) as (client, server):
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert silent(server)
        server.sendall(b"still there")
        assert receive(client, 11) == b"still there"
        link.up = []
        assert receive(server, 5) == b"hello"
        assert server.recv(1) == b""


def test_a_slow_close_holds_the_end_back(target: Target) -> None:
    with Link(target.url, down=[SlowClose(200)]) as link, target.through(link) as (client, server):
        begin = time.monotonic()
        server.sendall(b"all")
        server.close()
        assert receive(client, 3) == b"all"
        assert client.recv(1) == b""
        assert time.monotonic() - begin >= 0.2


@EITHER_CUT
@pytest.mark.parametrize("size", [1, 70_001])
def test_a_cut_lets_exactly_its_bytes_through_and_both_ends_see_it(target: Target, how: How, size: int) -> None:
    with Link(target.url, up=[Cut(after_bytes=size, how=how)]) as link, target.through(link) as (client, server):
        client.sendall(bytes(size))
        assert len(receive(server, size)) == size
        assert ending(server) == how
        assert ending(client) == how
        assert link.carried.up == size
        assert link.connections == 0


@EITHER_CUT
def test_a_cut_without_a_measure_cuts_at_once(target: Target, how: How) -> None:
    with Link(target.url, up=[Cut(how=how)]) as link:
        assert met_with(link.url) == how


@EITHER_CUT
def test_a_cut_carries_data_until_its_time(target: Target, how: How) -> None:
    with Link(target.url, down=[Cut(after_s=0.3, how=how)]) as link, target.through(link) as (client, server):
        begin = time.monotonic()
        server.sendall(b"data")
        assert receive(client, 4) == b"data"
        assert ending(client) == ending(server) == how
        assert time.monotonic() - begin >= 0.25


def test_a_cut_comes_in_time_though_the_client_takes_nothing(target: Target) -> None:
    with Link(target.url, down=[Cut(after_s=0.3)]) as link, target.through(link) as (_, server):
        server.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                server.send(bytes(65536))
        server.settimeout(WAIT_S)
        assert ending(server) in ("fin", "rst")
        assert eventually(lambda: link.connections == 0)


# --- While it runs --------------------------------------------------------------------------------------------------


def test_what_is_set_holds_at_once_for_connections_that_live(target: Target) -> None:
    with Link(target.url) as link, target.through(link) as (client, server):
        for ms in (80, 0, 120):
            link.down = [Latency(ms)]
            begin = time.monotonic()
            server.sendall(b"x")
            client.recv(1)
            assert time.monotonic() - begin >= ms / 1e3
        assert link.down == (Latency(120),)
        assert link.up == ()
        link.down = [Latency(60_000)]
        server.sendall(b"far away")
        assert silent(client)
        link.down = ()
        assert receive(client, 8) == b"far away"


def test_toxics_may_be_set_from_any_thread_while_bytes_pass(target: Target) -> None:
    data = random.Random(3).randbytes(400_000)
    with Link(target.url) as link, target.through(link) as (client, server):
        done = threading.Event()

        def change() -> None:
            for ms in range(1000):
                link.down = [Latency(ms % 3, jitter_ms=2), Slice(5000 + ms)]
                if done.wait(0.001):
                    return

        changers = [threading.Thread(target=change) for _ in range(2)]
        sender = threading.Thread(target=server.sendall, args=(data,))
        for thread in [*changers, sender]:
            thread.start()
        assert receive(client, len(data)) == data
        done.set()
        for thread in [*changers, sender]:
            thread.join(WAIT_S)


@EITHER_CUT
def test_a_cut_now_cuts_all_that_live_and_no_more(target: Target, how: How) -> None:
    with Link(target.url) as link, target.through(link) as one, target.through(link) as two:
        for client, server in (one, two):
            client.sendall(b"x")
            assert server.recv(1) == b"x"
        assert link.connections == 2
        link.cut(how)
        assert link.connections == 0
        assert [ending(each) for each in (*one, *two)] == [how] * 4
        with target.through(link) as (client, server):
            server.sendall(b"new")
            assert receive(client, 3) == b"new"


def test_in_an_outage_new_connections_are_refused_and_those_that_live_go_on(target: Target) -> None:
    with Link(target.url) as link, target.through(link) as (client, server):
        url = link.url
        for _ in range(3):
            link.refuse()
            link.refuse()
            assert (link.listening, is_refused(url)) == (False, True)
            assert repr(link).startswith("<Link refusing ")
            server.sendall(b"on")
            assert receive(client, 2) == b"on"
            link.accept()
            link.accept()
            assert (link.listening, link.url) == (True, url)
            with target.through(link) as (another, accepted):
                accepted.sendall(b"back")
                assert receive(another, 4) == b"back"


def test_while_it_refuses_nobody_else_gets_its_port(target: Target) -> None:
    with Link(target.url) as link:
        link.refuse()
        port = int(link.url.rpartition(":")[2])
        with pytest.raises(OSError, match="Address already in use"), socket.socket() as thief:
            thief.bind(("127.0.0.1", port))


# --- What is held ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("toxics", [[], [Latency(1)], [Blackhole()]])
def test_back_pressure_passes_through(target: Target, toxics: list[Toxic]) -> None:
    with Link(target.url, down=toxics) as link, target.through(link) as (client, server):
        server.settimeout(SILENCE_S)
        written = 0
        with contextlib.suppress(TimeoutError):
            while written < 200 << 20:
                written += server.send(bytes(65536))
        assert written < 100 << 20
        link.down = []
        assert len(receive(client, written)) == written


def test_a_link_that_is_full_holds_no_more_than_its_bound(target: Target) -> None:
    with Link(target.url, down=[Blackhole()]) as link, target.through(link) as (_, server):
        server.settimeout(SILENCE_S)
        with contextlib.suppress(TimeoutError):
            while True:
                server.send(bytes(65536))
        (connection,) = link._carrier.live
        flow = connection.ways["down"]._flow
        assert flow.room == 0
        assert flow._queued == QUEUE_BYTES


def test_connections_above_the_bound_are_reset(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier, "MAX_CONNECTIONS", 1)
    with Link(target.url) as link, target.through(link) as (client, server):
        assert met_with(link.url) == "rst"
        server.sendall(b"on")
        assert receive(client, 2) == b"on"


def test_without_a_free_descriptor_it_waits_for_one(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    with Link(target.url) as link:
        port = int(link.url.rpartition(":")[2])
        accept = socket.socket.accept
        failures = iter([OSError(errno.EMFILE, "Too many open files")] * 2)

        def starved(sock: socket.socket) -> Any:
            if sock.getsockname()[1] == port and (error := next(failures, None)):
                raise error
            return accept(sock)

        monkeypatch.setattr(socket.socket, "accept", starved)
        with target.through(link) as (client, server):
            server.sendall(b"at last")
            assert receive(client, 7) == b"at last"


# --- Its life -------------------------------------------------------------------------------------------------------


def test_a_stop_cuts_what_lives_and_can_be_repeated(target: Target) -> None:
    link = Link(target.url)
    with target.through(link) as (client, server):
        server.sendall(b"x")
        client.recv(1)
        begin = time.monotonic()
        link.stop()
        link.stop()
        assert time.monotonic() - begin < QUICK_S
        ending(client)
        ending(server)
    assert not link.running
    assert not link.listening
    assert link.connections == 0
    assert is_refused(link.url)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_stop_does_not_wait_for_connections_that_were_cut(target: Target, how: How) -> None:
    with Link(target.url) as link, target.through(link):
        assert eventually(lambda: link.connections == 1)
        link.cut(how)
        begin = time.monotonic()
        link.stop()
        assert time.monotonic() - begin < carrier.LINGER_S


def test_within_the_grace_of_a_stop_what_is_on_the_way_arrives(target: Target) -> None:
    with Link(target.url, down=[Latency(200)]) as link, target.through(link) as (client, server):
        server.sendall(b"last words")
        server.close()
        client.shutdown(socket.SHUT_WR)
        time.sleep(0.05)  # the link has read all of it
        link.stop(WAIT_S)
        assert rest_of(client.dup()) == b"last words"


def test_a_stop_cuts_at_the_end_of_its_grace_what_does_not_end(target: Target) -> None:
    with Link(target.url) as link, target.through(link) as (client, _):
        assert eventually(lambda: link.connections == 1)
        begin = time.monotonic()
        link.stop(0.2)
        assert 0.2 <= time.monotonic() - begin < QUICK_S
        assert ending(client) in ("fin", "rst")


def test_after_a_stop_it_says_what_to_do(target: Target) -> None:
    link = Link(target.url)
    link.stop()
    for late in (link.cut, link.refuse, link.accept, lambda: setattr(link, "up", [])):
        with pytest.raises(ServerError, match="this Link was stopped: make a new one"):
            late()
    assert repr(link).startswith("<Link stopped ")


def test_it_works_with_async_with_and_inside_a_running_loop() -> None:
    async def main() -> bytes:
        with serve(make_app) as server:
            async with Link(server.url, down=[Latency(1)]) as link:
                link.up = [Latency(1)]
                reader, writer = await asyncio.open_connection("127.0.0.1", int(link.url.rpartition(":")[2]))
                writer.write(request("/echo", b"a\n"))
                answer = await reader.readuntil(LAST_CHUNK)
                writer.close()
                return answer

    assert b"a\n" in run(main())


def test_it_works_in_a_cell_that_made_its_loop_re_entrant() -> None:
    script = python(
        """
        import asyncio
        import streamkit as sk
        script = sk.Script(["a", "b"], first_piece_ms=1, gap_ms=1)
        async def main():
            with sk.serve(lambda: sk.create_upstream(script)) as server, sk.net.Link(server.url) as link:
                for toxics in ([], [sk.net.Latency(10)], [sk.net.Slice(1)]):
                    link.down = toxics
                    recording = sk.run(sk.record(link.url, data={"x": "y"}))
                    print(recording.outcome)
        asyncio.run(main())
        """
    )
    said, warned = script.communicate(timeout=3 * WAIT_S)
    assert said == "complete\ncomplete\ncomplete\n"
    assert "Warning" not in warned  # asyncio's debug mode may call an import slow


def test_a_link_that_nobody_keeps_stops(target: Target) -> None:
    Link(target.url)
    gc.collect()
    assert eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("streamkit")])


def test_a_cell_run_again_replaces_its_link(shell: FakeShell, target: Target) -> None:
    shell.user_ns.update(Link=Link, url=target.url)
    for _ in range(3):
        shell.run("kept.append(Link(url))")
    shell.run("kept.append(Link(url))  # another cell")
    assert [link.running for link in shell.user_ns["kept"]] == [False, False, True, True]
    assert servers() == []


def test_a_link_nobody_stopped_ends_with_the_interpreter() -> None:
    script = python(
        """
        import streamkit as sk
        link = sk.net.Link("http://127.0.0.1:9")
        print(link.running)
        """
    )
    begin = time.monotonic()
    assert said(script) == ("True\n", "")
    assert time.monotonic() - begin < WAIT_S


def test_it_says_what_it_does_and_no_secret_of_the_target(target: Target) -> None:
    with Link(f"{target.url}/v1?key=secret", up=[Blackhole()], down=[Latency(5), Slice(1)]) as link:
        port = link.url.split(":")[2].partition("/")[0]
        assert link.url == f"http://127.0.0.1:{port}/v1?key=secret"
        assert repr(link) == (
            f"<Link running 127.0.0.1:{port} → 127.0.0.1:{target.port}: "
            "up Blackhole(after_bytes=None, after_s=None); "
            "down Latency(ms=5, jitter_ms=0.0), Slice(size_bytes=1, gap_ms=0.0, jitter_bytes=0)>"
        )
        link.up = []
        assert "up clear; down" in repr(link)


# --- What makes no sense --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000", "ftp://127.0.0.1", "http://", "http://h:port", "http://me:secret@h", 5, None, b"http://h"],
)
def test_what_is_no_url_is_refused_and_not_repeated(url: Any) -> None:
    with pytest.raises(ValueError, match="expected the target as a URL such as") as caught:
        Link(url)
    assert "secret" not in str(caught.value)


def test_tls_is_refused_and_said_why() -> None:
    with pytest.raises(ValueError, match="not https: its certificate would not be"):
        Link("https://api.example.com")


@pytest.mark.parametrize("direction", ["up", "down"])
def test_what_are_no_toxics_is_refused(target: Target, direction: str) -> None:
    toxics: Any = {direction: Latency(200)}
    with pytest.raises(TypeError, match="expected a sequence of toxics, got one of them: write"):
        Link(target.url, **toxics)
    with Link(target.url) as link:
        with pytest.raises(TypeError, match="expected a sequence of toxics"):
            setattr(link, direction, 5)
        with pytest.raises(ValueError, match="expected how as 'fin' or 'rst', got 'drop'"):
            link.cut("drop")  # type: ignore[arg-type]  # that is the point
        assert getattr(link, direction) == ()

"""What the kernel tells of a connection's queues, and how a unix socket stands in a URL."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from streamkit.sockets import (
    SendQueue,
    peer_unread_bytes,
    reset_on_close,
    resident_bytes,
    send_queue,
    set_buffers,
    tcp_info,
    unix_path,
    unread_bytes,
    unsent_bytes,
    window_full_ns,
)
from tests.rawsockets import WAIT_S

LINUX = sys.platform == "linux"  # elsewhere the kernel tells nothing of its queues


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, WAIT_S))


@contextlib.asynccontextmanager
async def connected(family: int = socket.AF_INET) -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """A transport, and its peer, who reads nothing."""
    if family == socket.AF_UNIX:
        ours, peer = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            peer, _ = listener.accept()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    with peer:
        yield transport, peer
        transport.abort()
        await asyncio.sleep(0)


def test_what_was_written_is_in_one_queue_or_the_other_until_it_is_read() -> None:
    async def main() -> None:
        async with connected() as (transport, peer):
            set_buffers(transport, send_buffer_bytes=20_000, write_buffer_bytes=1_000)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
            size = 1_000_000
            transport.write(bytes(size))
            queue = send_queue(transport)
            assert (queue.unsent is not None) == LINUX
            assert queue.buffer > 0
            assert unsent_bytes(transport) == queue.buffer + (queue.unsent or 0)
            read = 0
            while read < size:
                read += len(await asyncio.get_running_loop().run_in_executor(None, peer.recv, 65_536))
            while unsent_bytes(transport):  # noqa: ASYNC110  # the peer's kernel has still to acknowledge
                await asyncio.sleep(0.001)
            assert send_queue(transport) == SendQueue(0, 0 if LINUX else None)

    run(main())


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_what_came_and_was_not_read_is_told(family: int) -> None:
    async def main() -> None:
        async with connected(family) as (transport, peer):
            assert unread_bytes(peer) == (0 if LINUX else None)
            transport.write(b"hello")
            while unread_bytes(peer) != (5 if LINUX else None):  # noqa: ASYNC110  # the kernel tells nobody
                await asyncio.sleep(0.001)
            peer.recv(2)
            assert unread_bytes(peer) == (3 if LINUX else None)

    run(main())


@pytest.mark.parametrize(("listen", "dial"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")])
def test_what_a_peer_on_this_machine_has_not_read_is_told_to_the_byte(listen: str, dial: str) -> None:
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with (
        socket.create_server((listen, 0), family=family, dualstack_ipv6=listen == "::") as listener,
        socket.create_connection((dial, listener.getsockname()[1])) as peer,
        listener.accept()[0] as ours,
    ):
        told = [peer_unread_bytes(ours)]
        ours.sendall(bytes(777))
        peer.recv(700, socket.MSG_WAITALL)
        told += [peer_unread_bytes(ours), peer_unread_bytes(peer)]
        assert told == ([0, 77, 0] if LINUX else [None] * 3)


class Elsewhere:
    """A connection between these two addresses, as a socket would tell them."""

    family = socket.AF_INET

    def __init__(self, here: tuple[str, int], there: tuple[str, int]) -> None:
        self.getsockname = lambda: here
        self.getpeername = lambda: there

    def fileno(self) -> int:
        return 0


def test_what_a_peer_on_another_machine_has_not_read_is_not_known() -> None:
    sock = cast("socket.socket", Elsewhere(("127.0.0.1", 8000), ("203.0.113.7", 50_000)))
    assert peer_unread_bytes(sock) is None


def test_who_listens_at_a_peers_address_is_not_the_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = cast("socket.socket", Elsewhere(("127.0.0.1", 8000), listener.getsockname()))
        assert peer_unread_bytes(sock) is None


def test_of_a_unix_socket_a_closed_one_and_one_that_is_not_connected_no_peer_is_known() -> None:
    ours, peer = socket.socketpair()
    with peer:
        assert peer_unread_bytes(ours) is None
        ours.close()
    assert peer_unread_bytes(ours) is None
    assert peer_unread_bytes(None) is None
    with socket.socket() as nobody:
        assert peer_unread_bytes(nobody) is None


def test_a_unix_socket_has_no_send_queue_of_its_own() -> None:
    async def main() -> None:
        async with connected(socket.AF_UNIX) as (transport, _):
            transport.write(bytes(1000))
            assert send_queue(transport) == SendQueue(0, None)

    run(main())


def test_of_a_closed_connection_nothing_is_known() -> None:
    async def main() -> None:
        async with connected() as (transport, peer):
            transport.abort()
            assert unsent_bytes(transport) is None
            assert send_queue(transport) == SendQueue(0, None)
            peer.close()
            assert unread_bytes(peer) is None
            assert unread_bytes(None) is None

    run(main())


@pytest.mark.parametrize("reset", [False, True])
def test_a_reset_on_close_is_a_reset_for_the_peer(reset: bool) -> None:
    async def main() -> None:
        async with connected() as (transport, peer):
            if reset:
                reset_on_close(transport)
            transport.close()
            await asyncio.sleep(0.01)
            with pytest.raises(ConnectionResetError) if reset else contextlib.nullcontext():
                assert peer.recv(1) == b""

    run(main())


def test_the_size_of_a_send_buffer_is_set_where_one_is_wanted() -> None:
    async def main() -> None:
        async with connected() as (transport, _):
            sock = transport.get_extra_info("socket")
            before = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            set_buffers(transport, send_buffer_bytes=0, write_buffer_bytes=4_000)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before
            assert transport.get_write_buffer_limits() == (1_000, 4_000)
            set_buffers(transport, send_buffer_bytes=10_000, write_buffer_bytes=4_000)
            assert 10_000 <= sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 20_000  # Linux doubles it

    run(main())


def test_how_long_a_peer_had_no_room_is_told_of_tcp() -> None:
    async def main() -> None:
        async with connected() as (transport, _):
            sock = transport.get_extra_info("socket")
            before = window_full_ns(sock)
            transport.write(bytes(16 << 20))  # more than both kernels hold
            await asyncio.sleep(0.1)
            after = window_full_ns(sock)
            if LINUX:
                assert before == 0
                assert after is not None
                assert after > 20_000_000
            else:
                assert (before, after) == (None, None)
        async with connected(socket.AF_UNIX) as (transport, _):
            assert window_full_ns(transport.get_extra_info("socket")) is None
        assert window_full_ns(None) is None

    run(main())


def test_resident_memory_is_told_where_the_kernel_tells_it() -> None:
    found = resident_bytes()
    assert (found is not None and found > 1_000_000) if LINUX else found is None


def test_resident_memory_is_told_of_any_process_but_one_that_has_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert (resident_bytes(other.pid) is None) is (not LINUX)
    assert resident_bytes(other.pid) is None


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http+unix://%2Ftmp%2Fa%20b.sock", "/tmp/a b.sock"),  # noqa: S108  # a name in a URL, no file
        ("http+unix://%2Frun%2Fs/ans?x=1", "/run/s"),
        ("http://127.0.0.1:8000/ans", None),
        ("https://api.test", None),
        ("", None),
    ],
)
def test_a_unix_socket_is_the_host_of_its_url(url: str, path: str | None) -> None:
    assert unix_path(urlsplit(url)) == path


@pytest.mark.skipif(not LINUX, reason="TCP_INFO of tcp(7) is Linux's")
def test_what_tcp_knows_of_a_connection_counts_what_came() -> None:
    async def main() -> None:
        async with connected() as (transport, peer):
            transport.write(b"hello")
            while unread_bytes(peer) != 5:  # noqa: ASYNC110  # the kernel tells nobody
                await asyncio.sleep(0.001)
            known = tcp_info(peer)
            assert known is not None
            assert (known.segments, known.out_of_order, known.retransmits, known.lost) == (1, 0, 0, 0)
            sent = tcp_info(transport.get_extra_info("socket"))
            assert sent is not None
            assert 0 < sent.min_rtt_us <= sent.rtt_us < 10_000_000

    run(main())


def test_where_there_is_no_tcp_nothing_is_known_of_it() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert tcp_info(one) is None
    assert tcp_info(one) is None
    assert tcp_info(None) is None

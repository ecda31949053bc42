"""What a wire that speaks TLS tells, and when: a peer in memory, and one over a socket."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from streamkit.transport import StreamTransport
from streamkit.transport.receive_times import Stamp
from streamkit.transport.tls_wire import RECORD_BYTES, TLSWire
from streamkit.transport.wire import MOST_PART_BYTES

HOST = "127.0.0.1"
CA = trustme.CA()


def contexts(host: str = HOST) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's, which trusts the CA, and that of a server that is `host`."""
    client = ssl.create_default_context()
    CA.configure_trust(client)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CA.issue_cert(host).configure_cert(server)
    return client, server


CLIENT, SERVER = contexts()


class Notes:
    """A receiver that writes down what happens."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.ends: list[str] = []

    def received(self, data: bytes, stamp: Stamp) -> None:
        assert stamp[1:3] == ("socket", -1)
        self.parts.append(data)

    def eof(self) -> None:
        self.ends.append("eof")

    def lost(self, error: Exception | None) -> None:
        self.ends.append(f"lost: {type(error).__name__}")


class Peer:
    """The server's end, in memory, in the place of the wire's transport. What the wire writes is read at once."""

    def __init__(self, context: ssl.SSLContext = SERVER) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.aborted = False
        self.reading: list[bool] = []

    def says(self, *texts: bytes) -> bytes:
        """The records of these texts, one each at least."""
        for text in texts:
            rest = memoryview(text)
            while rest:
                rest = rest[self.tls.write(rest) :]
        return self._outgoing.read()

    def ends(self) -> bytes:
        """A close_notify."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()

    def heard(self, size: int) -> bytes:
        return b"".join(iter(lambda: self.tls.read(RECORD_BYTES) if self._incoming.pending else b"", b""))[:size]

    def shake(self) -> bytes:
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._outgoing.read()

    def write(self, data: bytes) -> None:
        self._incoming.write(data)

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading.append(False)

    def resume_reading(self) -> None:
        self.reading.append(True)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        assert (high, low) == (0, 0)


async def shaken(peer: Peer, behind: bytes = b"") -> TLSWire:
    """A wire to this peer, behind its handshake; `behind` comes in the read of the handshake's last message."""
    wire = TLSWire(asyncio.get_running_loop(), CLIENT, HOST)
    wire.connection_made(peer)  # type: ignore[arg-type]  # as much of a transport as a wire uses
    wire.receiver = Notes()
    shaking = asyncio.create_task(wire.handshake())
    while not shaking.done():
        await asyncio.sleep(0)
        if records := peer.shake():
            if shaking_ended := peer.tls.version() is not None and behind:
                records += peer.says(shaking_ended)
                behind = b""
            wire.data_received(records)
    await shaking
    return wire


def notes_of(wire: TLSWire) -> Notes:
    assert isinstance(wire.receiver, Notes)
    return wire.receiver


def run(test: Awaitable[None]) -> None:
    async def main() -> None:
        await asyncio.wait_for(test, 10)

    asyncio.run(main())


@given(texts=st.lists(st.binary(min_size=1, max_size=300), max_size=4), cuts=st.lists(st.integers(0, 1500), max_size=5))
def test_wherever_its_records_are_cut_a_text_is_the_same(texts: list[bytes], cuts: list[int]) -> None:
    async def main() -> None:
        peer = Peer()
        wire = await shaken(peer)
        records = peer.says(*texts) + peer.ends()
        borders = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
        for start, end in itertools.pairwise(borders):
            wire.data_received(records[start:end])
        notes = notes_of(wire)
        assert b"".join(notes.parts) == b"".join(texts)
        assert notes.ends == ["eof"]
        assert wire.closed

    run(main())


def test_the_records_of_one_read_are_handed_on_together() -> None:
    async def main() -> None:
        peer = Peer()
        wire = await shaken(peer)
        wire.data_received(peer.says(b"one ", b"two ", b"three"))
        wire.data_received(peer.says(b"four"))
        assert notes_of(wire).parts == [b"one two three", b"four"]

    run(main())


def test_a_large_read_is_handed_on_in_parts_that_bound_what_openssl_holds() -> None:
    async def main() -> None:
        peer = Peer()
        wire = await shaken(peer)
        text = bytes(range(256)) * 2000
        wire.data_received(peer.says(text))
        while sum(map(len, notes_of(wire).parts)) < len(text):  # noqa: ASYNC110  # it comes turn by turn of the loop
            await asyncio.sleep(0)
        parts = notes_of(wire).parts
        assert b"".join(parts) == text
        assert len(parts) > len(text) / (MOST_PART_BYTES + RECORD_BYTES)
        assert max(map(len, parts)) <= MOST_PART_BYTES + RECORD_BYTES

    run(main())


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (lambda peer, wire: wire.data_received(peer.says(b"!") + peer.ends()), "eof"),
        (lambda peer, wire: (wire.data_received(peer.says(b"!")[:-1]), wire.eof_received()), "lost: NoneType"),
        (lambda _, wire: wire.eof_received(), "lost: NoneType"),
        (lambda _, wire: wire.connection_lost(ConnectionResetError()), "lost: ConnectionResetError"),
        (lambda peer, wire: wire.data_received(bytes(len(peer.says(b"!")))), "lost: SSLError"),
        (lambda peer, wire: wire.data_received(peer.says(b"!")[:-1] + b"?"), "lost: SSLError"),
    ],
    ids=["close_notify", "cut in a record", "cut between records", "reset", "no record", "a forged record"],
)
def test_only_a_close_notify_is_an_end(end: Callable[[Peer, TLSWire], object], told: str) -> None:
    """And it is told once, with nothing behind it."""

    async def main() -> None:
        peer = Peer()
        wire = await shaken(peer)
        end(peer, wire)
        wire.eof_received()
        wire.connection_lost(None)
        assert notes_of(wire).ends == [told]
        assert wire.closed
        assert not wire.write(b"late")

    run(main())


def test_what_comes_with_the_handshakes_end_comes_behind_it() -> None:
    async def main() -> None:
        wire = await shaken(Peer(), behind=b"hasty")
        assert notes_of(wire).parts == [b"hasty"]

    run(main())


@pytest.mark.parametrize(
    ("host", "error"),
    [("127.0.0.2", ssl.SSLCertVerificationError), (HOST, ConnectionResetError)],
    ids=["another's certificate", "closed meanwhile"],
)
def test_a_handshake_that_fails_says_why(host: str, error: type[OSError]) -> None:
    async def main() -> None:
        wire = TLSWire(asyncio.get_running_loop(), CLIENT, HOST)
        peer = Peer(contexts(host)[1])
        wire.connection_made(peer)  # type: ignore[arg-type]  # see `shaken`
        shaking = asyncio.create_task(wire.handshake())
        await asyncio.sleep(0)
        wire.data_received(peer.shake()[: None if host != HOST else -1])
        wire.eof_received()
        with pytest.raises(error):
            await shaking

    run(main())


def test_what_is_written_comes_to_the_peer_and_waits_for_its_kernel() -> None:
    async def main() -> None:
        peer = Peer()
        wire = await shaken(peer)
        text = bytes(range(256)) * 300
        assert wire.write(text)
        assert peer.heard(len(text)) == text
        assert wire.sent_error_ns is not None
        wire.pause_writing()
        assert not wire.write(b"more")
        flushed = asyncio.create_task(wire.flush())
        await asyncio.sleep(0)
        assert not flushed.done()
        wire.resume_writing()
        await flushed
        assert peer.heard(4) == b"more"

    run(main())


def test_what_is_written_while_the_peer_negotiates_anew_leaves_behind_that() -> None:
    """Only TLS 1.2 knows that, and no peer that Python makes does it."""

    async def main() -> None:
        peer = Peer()
        wire = await shaken(peer)
        tls: Any = wire._tls

        class Negotiating:
            def write(self, data: memoryview) -> int:
                del data
                raise ssl.SSLWantReadError

            read = tls.read

        wire._tls = Negotiating()  # type: ignore[assignment]  # see above
        assert not wire.write(b"question")
        flushed = asyncio.create_task(wire.flush())
        await asyncio.sleep(0)
        wire.resume_writing()
        await asyncio.sleep(0)
        assert not flushed.done()
        wire._tls = tls
        wire.data_received(peer.says(b"done"))
        await flushed
        assert peer.heard(8) == b"question"

    run(main())


def test_a_pause_reaches_the_socket() -> None:
    async def main() -> None:
        peer = Peer()
        wire = await shaken(peer)
        wire.pause()
        wire.resume()
        assert peer.reading == [False, True]

    run(main())


@asynccontextmanager
async def answering(*, with_notify: bool) -> AsyncIterator[str]:
    """A server whose answers end with their connections: with a close_notify, or without."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it")
        await writer.drain()
        if with_notify:
            writer.close()
        else:
            writer.transport.get_extra_info("socket").shutdown(1)
            with suppress(ConnectionError):
                await reader.read()  # until the client has gone
            writer.transport.abort()

    server = await asyncio.start_server(answer, HOST, 0, ssl=SERVER)
    async with server:
        yield f"https://{HOST}:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize("with_notify", [True, False], ids=["close_notify", "none"])
def test_a_body_that_ends_with_its_connection_is_whole_only_behind_a_close_notify(with_notify: bool) -> None:
    """RFC 9112 section 9.8: anybody on the way can close a connection."""

    async def main() -> None:
        async with answering(with_notify=with_notify) as url, StreamTransport(ssl_context=CLIENT) as transport:
            response = await transport.handle_async_request(httpx2.Request("GET", url))
            body = response.extensions["stamps"]
            got: list[bytes] = []
            try:
                async for part in body:
                    got.append(part)
                ended = "whole"
            except httpx2.ReadError:
                ended = "cut"
            assert b"".join(got) == b"all of it"
            assert ended == ("whole" if with_notify else "cut")
            await response.aclose()

    run(main())

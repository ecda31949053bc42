"""How bytes move: a wire of either kind keeps nothing, and tells each thing once. Socket pairs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from streamkit.transport.receive_times import Stamp, WallClock
from streamkit.transport.wire import LEAST_PART_BYTES, MOST_PART_BYTES, TURN_NS, ProtocolWire, StampedWire, Wire
from tests.rawsockets import WAIT_S


class Notes:
    """A receiver that writes down what happens."""

    def __init__(self) -> None:
        self.data = b""
        self.happened: list[str] = []

    def received(self, data: bytes, stamp: Stamp) -> None:
        at_ns, kind, error_ns, read_ns = stamp
        assert at_ns <= read_ns
        assert kind == "socket"
        assert error_ns == -1
        self.data += data

    def eof(self) -> None:
        self.happened.append("eof")

    def lost(self, error: Exception | None) -> None:
        self.happened.append(f"lost: {error}")


async def wired(kind: str) -> tuple[Wire, socket.socket]:
    """A wire over one end of a socket pair (which has no kernel times), and the other end."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    if kind == "stamped":
        return StampedWire(loop, ours, WallClock()), theirs
    _, wire = await loop.create_unix_connection(lambda: ProtocolWire(loop), sock=ours)
    return wire, theirs


async def until(claim: Callable[[], bool]) -> None:
    while not claim():  # noqa: ASYNC110  # there is no event for it; `run` bounds the wait
        await asyncio.sleep(0)


KINDS = pytest.mark.parametrize("kind", ["protocol", "stamped"])


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, WAIT_S))


@KINDS
def test_a_paused_wire_reads_nothing_and_goes_on_where_it_was(kind: str) -> None:
    async def main() -> None:
        wire, theirs = await wired(kind)
        with theirs:
            wire.receiver = notes = Notes()
            wire.pause()
            wire.pause()
            theirs.send(b"one")
            await asyncio.sleep(0.02)
            assert notes.data == b""
            wire.resume()
            wire.resume()
            await until(lambda: notes.data == b"one")
            wire.abort()

    run(main())


@KINDS
def test_the_end_is_told_once_and_the_wire_is_closed(kind: str) -> None:
    async def main() -> None:
        wire, theirs = await wired(kind)
        wire.receiver = notes = Notes()
        theirs.close()
        await until(lambda: wire.closed)
        await asyncio.sleep(0.01)
        assert notes.happened == ["eof"]
        assert wire.write(b"late") is False
        with pytest.raises(ConnectionResetError):
            await wire.flush()
        wire.abort()

    run(main())


@KINDS
def test_what_the_kernel_does_not_take_at_once_is_flushed_later(kind: str) -> None:
    async def main() -> None:
        wire, theirs = await wired(kind)
        with theirs:
            wire.receiver = Notes()
            size = 4_000_000
            assert wire.write(bytes(size)) is False
            first_ns = wire.sent_ns
            flushed = asyncio.create_task(wire.flush())
            loop = asyncio.get_running_loop()
            await asyncio.sleep(0.01)
            assert not flushed.done()
            got = 0
            while got < size:
                got += len(await loop.sock_recv(theirs, 65_536))
            await flushed
            assert wire.sent_ns > first_ns
            assert wire.write(b"x") is True
            wire.abort()

    run(main())


@KINDS
def test_closing_wakes_who_waits_to_write(kind: str) -> None:
    async def main() -> None:
        wire, theirs = await wired(kind)
        with theirs:
            wire.receiver = notes = Notes()
            wire.write(bytes(4_000_000))
            flushed = asyncio.create_task(wire.flush())
            await asyncio.sleep(0.01)
            wire.abort()
            with pytest.raises(ConnectionResetError):
                await flushed
            assert notes.happened == []
            await asyncio.sleep(0.01)

    run(main())


@KINDS
def test_a_server_that_speaks_before_it_is_asked_is_left(kind: str) -> None:
    async def main() -> None:
        wire, theirs = await wired(kind)
        with theirs:
            theirs.send(b"HTTP/1.1 200 OK\r\n\r\n")
            await until(lambda: wire.closed)
            await asyncio.sleep(0.01)

    run(main())


class Turns(Notes):
    """Also writes down how large each part was, and calls `at_each` with their number."""

    def __init__(self, at_each: Callable[[int], None] = lambda _: None) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self._at_each = at_each

    def received(self, data: bytes, stamp: Stamp) -> None:
        super().received(data, stamp)
        self.sizes.append(len(data))
        self._at_each(len(self.sizes))


LARGE = bytes(range(256)) * (5 * LEAST_PART_BYTES // 256) + b"the end"


async def large_read(at_each: Callable[[ProtocolWire, int], None] = lambda _, __: None) -> tuple[ProtocolWire, Turns]:
    """A wire that has just read LARGE at once, as asyncio and uvloop do."""
    wire, theirs = await wired("protocol")
    theirs.close()
    assert isinstance(wire, ProtocolWire)
    wire.receiver = turns = Turns(lambda number: at_each(wire, number))
    wire.data_received(LARGE)
    return wire, turns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the wires take for the time."""
    now = [0]
    monkeypatch.setattr("streamkit.transport.wire.monotonic_ns", lambda: now[0])
    return now


def slow(clock: list[int]) -> Callable[[ProtocolWire, int], None]:
    """Each part takes a turn's whole time."""
    return lambda _, __: clock.__setitem__(0, clock[0] + TURN_NS)


def test_a_large_read_that_takes_long_is_handed_on_in_turns_of_the_loop(clock: list[int]) -> None:
    async def main() -> None:
        seen: list[int] = []
        wire, turns = await large_read(slow(clock))
        while len(turns.data) < len(LARGE):
            seen.append(len(turns.sizes))
            await asyncio.sleep(0)
        assert turns.data == LARGE
        assert turns.sizes == [LEAST_PART_BYTES] * 5 + [len(b"the end")]
        assert seen == [1, 2, 3, 4, 5]
        await until(lambda: wire.closed)
        assert turns.happened == ["eof"]

    run(main())


@pytest.mark.usefixtures("clock")
def test_a_large_read_that_takes_no_time_is_handed_on_at_once_in_growing_parts() -> None:
    async def main() -> None:
        wire, turns = await large_read()
        assert turns.data == LARGE
        assert turns.sizes[:2] == [LEAST_PART_BYTES, 2 * LEAST_PART_BYTES]
        wire.data_received(bytes(4 * MOST_PART_BYTES))
        assert turns.sizes[-3:] == [MOST_PART_BYTES] * 3
        wire.abort()

    run(main())


def test_what_waits_of_a_large_read_comes_before_what_is_read_next(clock: list[int]) -> None:
    """Also when the receiver paused and resumed meanwhile; and a pause at the end is kept to."""

    async def main() -> None:
        wire, theirs = await wired("protocol")
        with theirs:
            assert isinstance(wire, ProtocolWire)

            def pause_or_resume(number: int) -> None:
                slow(clock)(wire, number)
                (wire.pause if number % 2 == 0 else wire.resume)()

            wire.receiver = turns = Turns(pause_or_resume)
            theirs.send(b"next")
            wire.data_received(LARGE)
            await until(lambda: turns.data.startswith(LARGE))
            assert len(turns.sizes) == 6
            await asyncio.sleep(0.02)
            assert turns.data == LARGE, "read although the last part was answered with a pause"
            wire.resume()
            await until(lambda: turns.data == LARGE + b"next")
            wire.abort()

    run(main())


@pytest.mark.parametrize("ending", ["eof_received", "connection_lost"])
def test_the_end_of_a_connection_comes_behind_a_large_read(ending: str, clock: list[int]) -> None:
    async def main() -> None:
        wire, turns = await large_read(slow(clock))
        assert len(turns.sizes) == 1
        wire.eof_received() if ending == "eof_received" else wire.connection_lost(None)
        assert turns.data == LARGE
        assert turns.happened == ["eof" if ending == "eof_received" else "lost: None"]
        wire.transport.abort()
        await asyncio.sleep(0.01)
        assert len(turns.happened) == 1

    run(main())


def test_nothing_more_of_a_large_read_comes_from_a_wire_that_was_aborted(clock: list[int]) -> None:
    async def main() -> None:
        wire, turns = await large_read(slow(clock))
        wire.abort()
        await asyncio.sleep(0.02)
        assert turns.sizes == [LEAST_PART_BYTES]
        assert turns.happened == []

    run(main())


@KINDS
@pytest.mark.parametrize("stir", [lambda peer: peer.send(b"x"), lambda peer: peer.close()], ids=["bytes", "close"])
def test_a_wire_knows_what_its_peer_did_before_the_loop_does(
    kind: str, stir: Callable[[socket.socket], object]
) -> None:
    async def main() -> None:
        wire, theirs = await wired(kind)
        with theirs:
            wire.receiver = notes = Notes()
            assert not wire.stirred()
            stir(theirs)
            assert wire.stirred()
            assert (notes.data, notes.happened) == (b"", [])
            wire.abort()
            assert wire.stirred()
            await asyncio.sleep(0)

    run(main())

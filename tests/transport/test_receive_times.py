"""Kernel receive times on the monotonic clock: exact on fake clocks, whose wall clock can be stepped."""

from __future__ import annotations

import struct
import sys
import time

from hypothesis import given
from hypothesis import strategies as st

from streamkit.transport.receive_times import SO_TIMESTAMPNS, SOL_SOCKET, ReceiveTimes, Stamp, StampKind, WallClock
from tests.rawsockets import WAIT_S
from tests.servers import python

S = 1_000_000_000
EPOCH = 1_700_000_000 * S
"""Wall clock minus monotonic clock in these tests."""


class Clocks:
    """Two clocks that move together until the wall clock is stepped; each look at either takes `look_ns`."""

    def __init__(self, look_ns: int = 10) -> None:
        self.now_ns = 100 * S
        self.offset_ns = EPOCH
        self.look_ns = look_ns

    def monotonic_ns(self) -> int:
        self.now_ns += self.look_ns
        return self.now_ns

    def realtime_ns(self) -> int:
        return self.monotonic_ns() + self.offset_ns

    def arrival(self) -> list[tuple[int, int, bytes]]:
        """What the kernel would say of a packet that arrives now."""
        return ancillary(self.now_ns + self.offset_ns)


def ancillary(real_ns: int) -> list[tuple[int, int, bytes]]:
    return [(SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@ll", *divmod(real_ns, S)))]


def kind_of(stamp: Stamp) -> StampKind:
    _, kind, _, _ = stamp
    return kind


def started(look_ns: int = 10) -> tuple[Clocks, WallClock, ReceiveTimes]:
    clocks = Clocks(look_ns)
    clock = WallClock(clocks.monotonic_ns, clocks.realtime_ns)
    return clocks, clock, ReceiveTimes(clock)


def test_a_stamp_is_the_time_of_arrival_within_its_error() -> None:
    clocks, _, times = started()
    arrived_ns, packet = clocks.now_ns, clocks.arrival()
    clocks.now_ns += 200_000_000
    at_ns, kind, error_ns, read_ns = times.stamp(packet, drained=True)
    assert kind == "kernel"
    assert abs(at_ns - arrived_ns) <= error_ns == 20
    assert read_ns == clocks.now_ns


def test_the_narrowest_bracket_counts() -> None:
    """A thread that is put aside between two looks at the clocks makes that one bracket wide, and no error."""
    clocks, clock, _ = started(look_ns=10)
    clocks.look_ns = 5_000_000
    clock.sample()
    assert (clock.high_ns - clock.low_ns, clock.steps) == (20, 0)


@given(looks=st.lists(st.integers(0, 1_000_000), min_size=1, max_size=30))
def test_brackets_that_overlap_never_lose_the_true_difference(looks: list[int]) -> None:
    clocks, clock, _ = started()
    for clocks.look_ns in looks:
        clock.sample()
        assert clock.low_ns <= EPOCH <= clock.high_ns
    assert clock.steps == 0


def test_a_step_of_the_wall_clock_is_noticed_by_the_next_read() -> None:
    for step_ns in (3600 * S, -3600 * S, 50_000, -50_000):
        clocks, clock, times = started()
        clocks.offset_ns += step_ns
        at_ns, kind, error_ns, read_ns = times.stamp(clocks.arrival(), drained=True)
        assert (kind, error_ns, at_ns) == ("socket", -1, read_ns)
        assert clock.steps == 1
        arrived_ns = clocks.now_ns
        at_ns, kind, error_ns, _ = times.stamp(clocks.arrival(), drained=True)
        assert kind == "kernel"
        assert abs(at_ns - arrived_ns) <= error_ns


def test_after_a_step_what_was_queued_before_is_not_trusted() -> None:
    clocks, _, times = started()
    queued = [clocks.arrival() for _ in range(3)]
    clocks.offset_ns += S
    kinds = [kind_of(times.stamp(packet, drained=number == 2)) for number, packet in enumerate(queued)]
    assert kinds == ["socket", "socket", "socket"]
    assert kind_of(times.stamp(clocks.arrival(), drained=True)) == "kernel"


def test_each_connection_notices_a_step_for_itself() -> None:
    clocks, clock, times = started()
    other = ReceiveTimes(clock)
    packet = clocks.arrival()
    clocks.offset_ns += S
    times.stamp(clocks.arrival(), drained=True)
    assert kind_of(other.stamp(packet, drained=True)) == "socket"


def test_without_a_kernel_time_the_time_of_the_read_counts() -> None:
    _, _, times = started()
    for nothing in ([], [(SOL_SOCKET, 99, b"x" * 16)], [(SOL_SOCKET, SO_TIMESTAMPNS, b"short")]):
        at_ns, kind, error_ns, read_ns = times.stamp(nothing, drained=True)
        assert (kind, error_ns, at_ns) == ("socket", -1, read_ns)


def test_a_stamp_from_the_future_is_moved_to_its_read_and_its_error_says_how_far() -> None:
    clocks, _, times = started()
    at_ns, _, error_ns, read_ns = times.stamp(ancillary(clocks.now_ns + EPOCH + S), drained=True)
    assert at_ns == read_ns
    assert 0.9 * S < error_ns < S


@given(
    arrivals=st.lists(st.integers(-2 * S, 2 * S) | st.none(), max_size=20),
    steps=st.lists(st.sampled_from([0, 0, 0, 700, -700, S, -S]), min_size=20, max_size=20),
    drained=st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_stamps_never_fall_and_never_lie_after_their_read(
    arrivals: list[int | None], steps: list[int], drained: list[bool]
) -> None:
    clocks, _, times = started()
    last_ns = 0
    for arrival_ns, step_ns, empty in zip(arrivals, steps, drained, strict=False):
        clocks.offset_ns += step_ns
        packet = [] if arrival_ns is None else ancillary(clocks.now_ns + clocks.offset_ns + arrival_ns)
        at_ns, kind, error_ns, read_ns = times.stamp(packet, drained=empty)
        assert last_ns <= at_ns <= read_ns
        assert error_ns >= 0 if kind == "kernel" else error_ns == -1
        last_ns = at_ns


def test_the_clocks_of_this_machine_keep_their_difference() -> None:
    """What everything above rests on; a wall clock that is stepped just now would be the one exception."""
    clock = WallClock()
    for _ in range(100):
        clock.sample()
        time.sleep(0.001)
    assert clock.steps == 0
    assert clock.high_ns - clock.low_ns < 1_000_000


def test_the_first_read_of_a_process_has_a_stamp_already() -> None:
    """The kernel begins to stamp a moment after the first socket has asked, so one asks beforehand, and stays."""
    code = """
        import asyncio, socket, threading
        import httpx2
        from streamkit.transport import StreamTransport

        def answer(listener):
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 1\\r\\n\\r\\nx")
            connection.close()

        async def main(url):
            transport = StreamTransport(stamps="kernel")
            response = await transport.handle_async_request(httpx2.Request("GET", url))
            body = response.extensions["stamps"]
            async for _ in body:
                print(body.kind)
            await transport.aclose()

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=answer, args=[listener])
            thread.start()
            asyncio.run(main(f"http://127.0.0.1:{listener.getsockname()[1]}/"))
            thread.join()
    """
    process = python(code)
    out, err = process.communicate(timeout=WAIT_S)
    assert (out.split(), err) == (["kernel" if sys.platform == "linux" else "socket"], "")

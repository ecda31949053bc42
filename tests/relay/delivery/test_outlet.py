"""The outlet between a source and a client that is slow: order, loss, bounds, and who has to wait for whom."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sanic import HTTPResponse

from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.parser import SSEParser
from streamkit.relay.delivery.deliver import deliver
from streamkit.relay.delivery.format import EventStream
from streamkit.relay.delivery.outlet import Outlet
from streamkit.relay.delivery.policy import Policy
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.log import StreamRecord
from streamkit.relay.settings import Deadlines
from streamkit.relay.stream import Stream
from streamkit.taps import StreamTaps
from tests.fakes import run_in_fake_time

if TYPE_CHECKING:
    from streamkit.relay.delivery.answer import Answer

BOUND = 300
HIGH_WATER = 200
OFF = dict.fromkeys(("first_piece_s", "idle_s", "write_stall_s", "total_s"), 0.0)
BROKEN = Failure(Outcome("truncated"), "upstream_truncated", 502, "broke off")


class Connection:
    """An `Answer` over a connection whose buffer a reader empties: beyond `HIGH_WATER` bytes there is no room."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.received = bytearray()
        self.started = False
        self.wrote = 0
        self.ended = ""
        self.largest = 0
        self._room = asyncio.Event()
        self._room.set()

    def unsent_bytes(self) -> int:
        return len(self.buffer)

    def read(self, size: int) -> None:
        self.received += self.buffer[:size]
        del self.buffer[:size]
        if not self.buffer:
            self._room.set()

    def writable(self) -> bool:
        return self.started and self._room.is_set()

    def offer(self, data: bytes) -> bool:
        if not self.writable():
            return False
        self._write(data)
        return True

    def _write(self, data: bytes) -> None:
        assert data, "an empty chunk would be the end"
        self.wrote += len(data)
        self.buffer += data
        self.largest = max(self.largest, len(data))
        if len(self.buffer) > HIGH_WATER:
            self._room.clear()

    async def room(self) -> None:
        await self._room.wait()

    async def send(self, data: bytes) -> None:
        await self.room()
        self._write(data)
        self.started = True

    async def finish(self, data: bytes) -> None:
        await self.send(data)
        self.ended = "whole"

    async def fail(self, _: Failure, last_words: bytes | None) -> HTTPResponse | None:
        await self.send(last_words or b"")
        self.ended = "broken"
        return None

    def cut(self) -> None:
        self.ended = "cut"


def outlet_to(connection: Connection, policy: str, taps: StreamTaps | None = None, **limits: float) -> Outlet:
    """Of events, with at most `BOUND` bytes waiting, and no deadline but those in `limits`."""
    deadlines = Deadlines(**{**OFF, **limits})
    return Outlet(cast("Answer", connection), EventStream(), Policy.of(policy).queue(BOUND), deadlines, taps)


@dataclass
class Run:
    """What came of it."""

    outcome: Outcome
    connection: Connection
    most_pending: int
    taps: StreamTaps
    came_after_s: list[float] = field(default_factory=list)
    """When the source had handed over each read."""
    ended_after_s: float = 0.0

    @property
    def told(self) -> list[tuple[str, dict[str, object]]]:
        events = SSEParser().feed(bytes(self.connection.received + self.connection.buffer))
        return [(event.id if event.event == "message" else event.event, orjson.loads(event.data)) for event in events]

    @property
    def numbers(self) -> list[int]:
        return [int(name) for name, _ in self.told if name.isdigit()]


Schedule = list[tuple[float, int]]
"""Pauses in seconds, and what happens then: so many pieces come, or so many bytes are read."""


def run(name: str, reads: Schedule, reader: Schedule, *, broken: bool = False, **limits: float) -> Run:
    """`reads` come, and are offered as a transport's callback does; `reader` is what the client does, and then it reads
    on, a thousand bytes a second.
    """

    async def main() -> Run:
        loop = asyncio.get_running_loop()
        connection, taps = Connection(), StreamTaps("s")
        outlet = outlet_to(connection, name, taps, **limits)
        ran = Run(Outcome("cancelled"), connection, 0, taps)
        began = loop.time()

        async def source() -> AsyncGenerator[list[Piece], None]:
            number = 0
            for pause_s, size in reads:
                await asyncio.sleep(pause_s)
                pieces = [Piece(f"text {number + index}") for index in range(size)]
                number += size
                as_texts = size % 2 == 1 and outlet.offer_texts([piece.text for piece in pieces])
                if not (as_texts or outlet.offer(pieces)):
                    yield pieces
                ran.most_pending = max(ran.most_pending, outlet.pending_bytes)  # now nothing waits in `put`
                ran.came_after_s.append(loop.time() - began)
            if broken:
                raise Failed(BROKEN)

        async def read() -> None:
            for pause_s, size in reader:
                await asyncio.sleep(pause_s)
                connection.read(size)
            while True:
                await asyncio.sleep(0.1)
                connection.read(100)

        reading = asyncio.create_task(read())
        ran.outcome = (await deliver(source(), outlet, Stream(StreamRecord("s")))).outcome
        ran.ended_after_s = loop.time() - began
        reading.cancel()
        return ran

    return run_in_fake_time(main())


POLICIES = ["pause", f"buffer({BOUND})", f"coalesce({BOUND})", "latest", "disconnect(100)"]
pauses = st.sampled_from([0.0, 0.0, 0.01, 0.3, 2.0])


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=60, deadline=None)
@given(
    reads=st.lists(st.tuples(pauses, st.integers(0, 12)), max_size=40),
    reader=st.lists(st.tuples(pauses, st.integers(0, 400)), max_size=40),
)
@example(reads=[(0.0, 40)], reader=[(5.0, 0)])
@example(reads=[(0.0, 12)] * 30, reader=[(0.3, 1)] * 40)
def test_whatever_the_reader_does_order_counts_and_bounds_hold(name: str, reads: Schedule, reader: Schedule) -> None:
    ran = run(name, reads, reader)
    offered = sum(size for _, size in reads)
    assert ran.outcome == Outcome("complete")
    assert ran.connection.ended == "whole"
    *pieces, (last, done) = ran.told
    assert last == "done"
    assert ran.numbers == sorted(set(ran.numbers)), "neither out of order nor twice"
    assert [told["text"] for _, told in pieces] == [f"text {number - 1}" for number in ran.numbers]
    dropped = sum(cast("int", told.get("dropped", 0)) for _, told in pieces)
    assert len(pieces) == done["pieces"]
    assert dropped == done.get("dropped", 0) == ran.taps.counts["relay.dropped_pieces"]
    assert len(pieces) + dropped == offered
    if name == "latest":
        assert not offered or ran.numbers[-1] == offered, "the present state always arrives"
    else:
        assert not dropped
    assert ran.most_pending <= BOUND
    assert ran.taps.counts["relay.peak_pending_bytes"] == ran.most_pending


@pytest.mark.parametrize("name", POLICIES)
def test_a_broken_stream_hands_over_what_waits_and_then_says_so(name: str) -> None:
    ran = run(name, [(0.0, 5)] * 4, [(0.5, 1000), (0.1, 1000)], broken=True)
    assert ran.outcome == Outcome("truncated")
    assert ran.connection.ended == "broken"
    assert ran.told[-1][0] == "error"
    assert ran.numbers[-1] == 20
    assert name == "latest" or ran.numbers == list(range(1, 21))


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=60, deadline=None)
@given(
    reads=st.lists(st.tuples(pauses, st.integers(1, 12)), min_size=1, max_size=40),
    crawl=st.lists(st.tuples(st.sampled_from([0.3, 2.0, 4.0]), st.integers(1, 60)), max_size=60),
)
@example(reads=[(0.0, 12)] * 6, crawl=[(4.0, 20)] * 60)
def test_what_came_before_a_failure_is_delivered_to_any_client_that_still_reads(
    name: str, reads: Schedule, crawl: Schedule
) -> None:
    ran = run(name, reads, crawl, broken=True, write_stall_s=5)
    offered = sum(size for _, size in reads)
    assert ran.outcome == Outcome("truncated")
    assert ran.connection.ended == "broken"
    assert ran.told[-1][0] == "error"
    assert ran.numbers[-1] == offered
    assert name == "latest" or ran.numbers == list(range(1, offered + 1))


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("limits", [{"write_stall_s": 5.0}, {"total_s": 8.0}, {"write_stall_s": 5.0, "total_s": 60.0}])
def test_a_client_that_reads_nothing_is_freed_by_its_deadline_also_behind_a_failure(
    name: str, limits: dict[str, float]
) -> None:
    ran = run(name, [(0.0, 8)], [(1000.0, 0)], broken=True, **limits)
    assert (ran.outcome, ran.connection.ended) == (Outcome("truncated"), "cut")
    assert ran.ended_after_s == pytest.approx(min(limits.values()), abs=0.6)


def test_a_stream_whose_time_is_over_has_a_second_for_its_end() -> None:
    ran = run("pause", [(0.0, 8), (100.0, 1)], [(1000.0, 0)], total_s=3)
    assert (ran.outcome, ran.connection.ended) == (Outcome("timeout", "total"), "cut")
    assert ran.ended_after_s == pytest.approx(4, abs=0.1)


def test_a_time_that_is_over_while_the_end_still_leaves_cuts_it_and_says_no_second_word() -> None:
    class Slow(Connection):
        async def finish(self, data: bytes) -> None:
            await super().finish(data)
            await asyncio.sleep(1000)  # until the kernel has it

    async def main() -> tuple[Outcome, str, bytes]:
        connection = Slow()

        async def source() -> AsyncGenerator[list[Piece], None]:
            yield [Piece("text")]

        outcome = (
            await deliver(source(), outlet_to(connection, "pause", total_s=3), Stream(StreamRecord("s")))
        ).outcome
        return outcome, connection.ended, bytes(connection.buffer)

    outcome, ended, said = run_in_fake_time(main())
    assert (outcome, ended) == (Outcome("timeout", "total"), "cut")
    assert b"event: done" in said
    assert b"event: error" not in said


def test_a_server_that_stops_does_not_wait_for_the_end_of_a_stream_that_failed() -> None:
    async def main() -> tuple[Outcome, str]:
        connection = Connection()
        outlet = outlet_to(connection, "pause")

        async def source() -> AsyncGenerator[list[Piece], None]:
            yield [Piece("text")] * 8
            raise Failed(BROKEN)

        made: list[Stream] = []

        async def main_task() -> Outcome:
            made.append(Stream(StreamRecord("s")))
            return (await deliver(source(), outlet, made[0])).outcome

        delivering = asyncio.create_task(main_task())
        await asyncio.sleep(30)
        made[0].stop()
        return await delivering, connection.ended

    assert run_in_fake_time(main()) == (Outcome("truncated"), "cut")


def test_under_pause_the_source_waits_and_under_buffer_only_beyond_its_bound() -> None:
    waited = {
        name: run(name, [(0.0, 4)] * 6, [(3.0, 0)]).came_after_s
        for name in ("pause", f"buffer({BOUND})", f"coalesce({BOUND})", "latest")
    }
    assert [after_s >= 3.0 for after_s in waited["pause"]] == [False, False, True, True, True, True]
    assert [after_s >= 3.0 for after_s in waited[f"buffer({BOUND})"]] == [False] * 4 + [True] * 2
    assert [after_s >= 3.0 for after_s in waited[f"coalesce({BOUND})"]] == [False] * 4 + [True] * 2
    assert not any(after_s >= 3.0 for after_s in waited["latest"])


def test_coalesced_pieces_leave_as_one_write_and_buffered_ones_as_they_came() -> None:
    writes = {
        name: len(run(name, [(0.0, 2)] * 10, [(3.0, 0)]).taps.taps["relay.sent"]) for name in ("buffer", "coalesce")
    }
    assert writes["buffer"] == 10
    assert writes["coalesce"] < 8


@pytest.mark.parametrize("name", [f"buffer({BOUND})", f"coalesce({BOUND})"])
def test_when_the_queue_has_emptied_the_source_goes_on_although_the_client_is_behind_again(name: str) -> None:
    ran = run(name, [*[(0.0, 4)] * 5, (1.0, 2), (0.0, 2)], [(1.0, 1000), (6.0, 1000)])
    assert ran.came_after_s[-1] == pytest.approx(2.0, abs=0.5), "at 1 s the client took some, from then on nothing"


def test_what_waits_is_let_go_when_the_client_is_cut() -> None:
    ran = run("buffer", [(0.0, 8)] * 4, [(100.0, 0)], write_stall_s=2)
    assert (ran.outcome, ran.connection.ended) == (Outcome("timeout", "write_stall"), "cut")


def test_a_reader_that_is_slow_but_takes_something_is_not_cut() -> None:
    crawl = [(1.0, 5)] * 200
    ran = run("disconnect(2)", [(0.0, 8)] * 4, crawl, write_stall_s=2)
    assert ran.outcome == Outcome("complete")


def test_the_first_time_that_the_client_cannot_take_a_piece_is_marked_with_what_it_had_taken() -> None:
    ran = run("pause", [(0.0, 4)] * 6, [(1.0, 0)])
    assert ran.taps.counts["relay.blocked_bytes"] > HIGH_WATER
    assert "relay.blocked" in ran.taps.marks
    easy = run("pause", [(0.0, 1)] * 3, [])
    assert "relay.blocked" not in easy.taps.marks
    assert "relay.blocked_bytes" not in easy.taps.counts


def test_a_client_that_leaves_while_pieces_wait_takes_the_stream_with_it() -> None:
    async def main() -> list[str]:
        connection = Connection()
        outlet = outlet_to(connection, "buffer")
        closed: list[str] = []

        async def source() -> AsyncGenerator[list[Piece], None]:
            try:
                while True:
                    yield [Piece("text")]
            finally:
                closed.append("source")

        delivering = asyncio.create_task(deliver(source(), outlet, Stream(StreamRecord("s"))))
        await asyncio.sleep(1)
        before = asyncio.all_tasks()
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering
        await asyncio.sleep(0)
        assert len(before) - len(asyncio.all_tasks()) == 2, "the one that delivers, and the one that drains"
        return closed

    assert run_in_fake_time(main()) == ["source"]


def test_what_goes_wrong_while_draining_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> Outcome:
        connection = Connection()
        outlet = outlet_to(connection, "buffer")

        async def broken(_: bytes) -> None:
            raise ZeroDivisionError("of the connection")

        async def source() -> AsyncGenerator[list[Piece], None]:
            for _ in range(4):
                yield [Piece("some text")] * 3
            monkeypatch.setattr(connection, "send", broken)
            connection.read(1000)

        outcome = (await deliver(source(), outlet, Stream(StreamRecord("s")))).outcome
        assert connection.ended == "cut"
        return outcome

    assert run_in_fake_time(main()) == Outcome("error_event", "internal_error")


def test_an_outlet_that_was_left_is_freed_at_once() -> None:
    """It and its timer refer to each other until then."""
    connection = Connection()
    outlet = outlet_to(connection, "pause")
    with outlet:
        pass
    left = weakref.ref(connection)
    gc.disable()
    try:
        del connection, outlet
        assert left() is None
    finally:
        gc.enable()

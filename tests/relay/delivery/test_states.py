"""What tells how something stands makes nobody wait: who cannot take one yet gets a newer one in its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.parser import SSEParser
from streamkit.relay.delivery.deliver import deliver
from streamkit.relay.delivery.states import States, size_of
from streamkit.relay.log import StreamRecord
from streamkit.relay.pieces import Progress, Snapshot, Value
from streamkit.relay.stream import Stream
from tests.fakes import run_in_fake_time
from tests.relay.delivery.test_outlet import BOUND, Connection, outlet_to

NEAR_BYTES = 100
ALL_POLICIES = pytest.mark.parametrize("policy", ["pause", f"buffer({BOUND})", f"coalesce({BOUND})", "latest"])


class Dashboard(Connection):
    """A client of which it is known how far it is behind: states leave for it when that is next to nothing."""

    def may_leave(self, size_bytes: int) -> bool:
        del size_bytes
        return len(self.buffer) <= NEAR_BYTES


@dataclass
class Ran:
    connection: Dashboard
    outcome: Outcome
    waited_s: float
    """Until the source had given all."""

    @property
    def told(self) -> list[tuple[str, Any]]:
        events = SSEParser().feed(bytes(self.connection.received + self.connection.buffer))
        return [(event.event, orjson.loads(event.data)) for event in events]

    def values(self, name: str) -> list[Any]:
        return [data[name] for _, data in self.told if name in data]


def run(
    policy: str, said: list[list[Piece]], bytes_per_s: float, *, gap_s: float = 0.1, write_stall_s: float = 0
) -> Ran:
    """`said` comes, a list each `gap_s`, to a client that reads at that pace."""

    async def main() -> Ran:
        loop = asyncio.get_running_loop()
        connection = Dashboard()
        outlet = outlet_to(connection, policy, write_stall_s=write_stall_s)
        began_s = loop.time()
        ran = Ran(connection, Outcome("cancelled"), 0)

        async def source() -> AsyncGenerator[list[Piece], None]:
            for pieces in said:
                if not outlet.offer(pieces):
                    yield pieces
                await asyncio.sleep(gap_s)
            ran.waited_s = loop.time() - began_s

        async def read() -> None:
            while True:
                await asyncio.sleep(0.1)
                connection.read(int(bytes_per_s / 10))

        reading = asyncio.create_task(read())
        ran.outcome = (await deliver(source(), outlet, Stream(StreamRecord("s")))).outcome
        reading.cancel()
        return ran

    return run_in_fake_time(main())


def snapshots(count: int) -> list[list[Piece]]:
    return [[Snapshot({"n": number, "skipped": 0})] for number in range(count)]


@ALL_POLICIES
def test_a_client_that_keeps_up_gets_all_of_them(policy: str) -> None:
    ran = run(policy, snapshots(20), 100_000)
    assert ran.values("n") == list(range(20))
    assert ran.values("skipped") == [0] * 20
    assert ran.told[-1] == ("done", {"outcome": "complete", "pieces": 20})


@ALL_POLICIES
def test_a_client_that_reads_nothing_for_long_makes_no_source_wait(policy: str) -> None:
    ran = run(policy, snapshots(50), 10)
    assert ran.waited_s == pytest.approx(5.0)
    assert ran.outcome == Outcome("complete")


@ALL_POLICIES
def test_a_slow_client_gets_the_newest_each_time_and_is_told_what_it_did_not_get(policy: str) -> None:
    ran = run(policy, snapshots(100), 100)
    shown, skipped = ran.values("n"), ran.values("skipped")
    assert shown == sorted(set(shown))
    assert shown[-1] == 99, "the last state always arrives"
    assert 2 < len(shown) < 60
    assert [number - place for place, number in enumerate(shown)] == skipped, "in all, until then"
    assert ran.told[-1][1]["pieces"] == len(shown)
    assert ran.told[-1][1]["dropped"] == skipped[-1]


def test_what_a_slow_client_reads_is_never_old() -> None:
    """Under 100 bytes away when it leaves, and 50 of its own: at 200 bytes a second it is read within a second."""
    ran = run("pause", snapshots(100), 200)
    assert ran.connection.largest < NEAR_BYTES
    shown = ran.values("n")
    assert max(later - earlier for earlier, later in pairwise(shown)) < 10


@ALL_POLICIES
def test_progress_and_snapshots_do_not_take_each_others_place(policy: str) -> None:
    said: list[list[Piece]] = [[Snapshot({"n": 0})]]
    for number in range(1, 40):
        said += [[Progress(number, 40)], [Snapshot({"n": number})]]
    ran = run(policy, said, 100)
    assert ran.values("n")[-1] == 39
    assert ran.values("progress")[-1] == 39
    assert len(ran.told) < 50


def of_kind(kind: str, number: int) -> Piece:
    if kind == "p":
        return Progress(number)
    return (Value if kind == "v" else Snapshot)({"n": number, "kind": kind})


@pytest.mark.parametrize("policy", ["pause", f"buffer({BOUND})", f"coalesce({BOUND})"])
@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(st.sampled_from("vvsp"), min_size=1, max_size=60),
    bytes_per_s=st.sampled_from([30, 300, 3000]),
    gap_s=st.sampled_from([0.0, 0.05, 0.5]),
)
def test_values_are_never_lost_and_nothing_overtakes(policy: str, kinds: str, bytes_per_s: int, gap_s: float) -> None:
    said = [[of_kind(kind, number)] for number, kind in enumerate(kinds)]
    ran = run(policy, said, bytes_per_s, gap_s=gap_s)
    *told, (last, _) = ran.told
    assert last == "done"
    numbers = [data["n"] if "n" in data else data["progress"] for _, data in told]
    assert numbers == sorted(set(numbers)), "neither out of order nor twice"
    shown = {data["n"] for _, data in told if data.get("kind") == "v"}
    assert shown == {number for number, kind in enumerate(kinds) if kind == "v"}
    for kind in "sp":
        those = [number for number, each in enumerate(kinds) if each == kind]
        assert not those or those[-1] in numbers, "the newest of each always arrives"


def test_a_value_behind_a_state_that_waits_sends_it_before_it() -> None:
    said: list[list[Piece]] = [[Value({"n": 0, "fill": "x" * 180})], [Snapshot({"n": 1})], [Value({"n": 2})]]
    assert run("pause", said, 50).values("n") == [0, 1, 2]


def test_a_client_that_takes_no_states_is_not_stalled_while_its_kernel_takes_them() -> None:
    class Uploading(Dashboard):
        """All has come to its kernel, and nothing is read: it still sends."""

        def unsent_bytes(self) -> int:
            return 0

    async def main() -> Outcome:
        connection = Uploading()
        outlet = outlet_to(connection, "pause", write_stall_s=5.0)

        async def source() -> AsyncGenerator[list[Piece], None]:
            yield [Snapshot({"n": 0})]
            for number in range(1, 600):
                outlet.offer([Snapshot({"n": number})])
                await asyncio.sleep(0.1)

        async def read() -> None:
            await asyncio.sleep(60)
            while True:
                connection.read(1000)
                await asyncio.sleep(0.1)

        reading = asyncio.create_task(read())
        ended = await deliver(source(), outlet, Stream(StreamRecord("s")))
        reading.cancel()
        return ended.outcome

    assert run_in_fake_time(main()) == Outcome("complete")


def test_a_client_that_is_gone_is_noticed_by_what_its_kernel_does_not_take() -> None:
    """Nothing of it is read, nor comes to its kernel: 5 s later it is cut."""
    ran = run("pause", snapshots(600), 0, write_stall_s=5.0)
    assert ran.outcome == Outcome("timeout", "write_stall")


def test_of_each_kind_the_newest_waits_in_the_order_in_which_they_came() -> None:
    states = States()
    states.put([Progress(1), Snapshot({"n": 1})], first=1)
    states.put([Progress(2)], first=3)
    seen: list[tuple[int, Any]] = []

    def encode(pieces: Any, number: int) -> bytes:
        seen.append((number, pieces[0].data))
        return b"."

    assert len(states) == 2
    write = states.pop(encode)
    assert [number for number, _ in seen] == [2, 3]
    assert (write.data, write.events, states.dropped, states.skipped) == (b"..", 1, 1, 0)
    assert not states


def test_what_waits_is_measured_with_what_the_format_puts_around_it() -> None:
    states = States()
    states.put([Snapshot({"n": 1})], first=1)
    assert states.bytes == size_of([Snapshot({"n": 1})]) > len(Snapshot({"n": 1}).text)

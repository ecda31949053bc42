"""Whatever happens to a stream and its readers: each has all of it, once, and its true end; or a named error.

And: of faults that such code has had elsewhere, each is found.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import hypothesis.strategies as st
import pytest
from hypothesis import settings as examples
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamkit.extractor.pieces import Piece
from streamkit.relay.failure import Failure
from streamkit.relay.replay.kept import Kept
from streamkit.relay.replay.log import Log, LogReader
from streamkit.relay.replay.memory import MemoryStore
from tests.fakes import FakeTimeLoop, run_in_fake_time
from tests.relay.replay.oracle import BROKEN, KINDS, Kind, World, random_run, settings_of
from tests.relay.replay.planted import (
    a_failure_that_is_stored_as_complete,
    a_reader_that_is_not_told_of_the_end,
    a_reader_that_is_not_woken_when_it_refused,
    an_end_that_is_forgotten,
    an_end_that_overtakes_pieces,
)

RUNS = 100


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The bugs that sources have here are meant."""
    logging.getLogger("streamkit.relay").disabled = True
    yield
    logging.getLogger("streamkit.relay").disabled = False


def run(seed: int, **resuming: float) -> None:
    async def main() -> None:
        settings = settings_of(**resuming)
        await random_run(World(MemoryStore(settings.resuming), settings), seed)

    run_in_fake_time(main())


def each(seeds: range) -> None:
    for seed in seeds:
        try:
            run(seed, resume_max_bytes=(16, 64, 300, 4 << 20)[seed % 4])
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def test_every_reader_has_all_of_the_text_once_and_the_true_end_or_a_named_error() -> None:
    each(range(RUNS))


def test_the_same_where_all_logs_together_are_full() -> None:
    for seed in range(RUNS // 4):
        run(seed, resume_max_total_bytes=32, resume_max_bytes=4 << 20)


class Stream(RuleBasedStateMachine):
    """The same, with whatever hypothesis thinks of, and its smallest example where something is broken."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=FakeTimeLoop)
        settings = settings_of()
        self.world = World(MemoryStore(settings.resuming), settings)
        self.runner.run(self.world.begin())
        self.ending = False

    @rule(bursts=st.lists(st.integers(1, 9), min_size=1, max_size=4))
    @precondition(lambda self: not self.ending)
    def the_source_speaks(self, bursts: list[int]) -> None:
        self.runner.run(self.world.speak(bursts))

    @rule(end=st.sampled_from([None, BROKEN, RuntimeError("a bug")]))
    @precondition(lambda self: not self.ending)
    def the_source_ends(self, end: Failure | Exception | None) -> None:
        self.ending = True
        self.runner.run(self.world.speak(end))

    @rule()
    def its_owner_stops_it(self) -> None:
        self.ending = True
        self.runner.run(self.world.stop())

    @rule(data=st.data(), kind=st.sampled_from(KINDS), refusing=st.booleans(), flowing=st.booleans())
    def a_reader_comes(self, data: st.DataObject, kind: Kind, refusing: bool, flowing: bool) -> None:
        cursor = data.draw(st.integers(0, self.world.log.last + 1))
        self.runner.run(self.world.join(cursor, kind, refusing=refusing, flowing=flowing))

    @rule(data=st.data(), kind=st.sampled_from(KINDS))
    @precondition(lambda self: self.world.left)
    def one_comes_back(self, data: st.DataObject, kind: Kind) -> None:
        self.runner.run(self.world.join(data.draw(st.sampled_from(self.world.left)), kind))

    @rule(data=st.data())
    @precondition(lambda self: self.world.visitors)
    def one_is_cut(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.world.visitors) - 1))
        self.runner.run(self.world.cut(self.world.visitors[index]))

    @rule(data=st.data(), many=st.integers(1, 20))
    @precondition(lambda self: self.world.visitors)
    def pieces_arrive(self, data: st.DataObject, many: int) -> None:
        index = data.draw(st.integers(0, len(self.world.visitors) - 1))
        self.world.visitors[index].arrive(many)

    @rule(data=st.data(), flowing=st.booleans())
    @precondition(lambda self: self.world.visitors)
    def one_turns_its_mind(self, data: st.DataObject, flowing: bool) -> None:
        visitor = self.world.visitors[data.draw(st.integers(0, len(self.world.visitors) - 1))]
        visitor.open(refusing=not visitor.refusing, flowing=flowing)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 6.5]))
    def time_passes(self, seconds: float) -> None:
        self.runner.run(self.world.pass_time(seconds))

    @rule()
    def everything_flows(self) -> None:
        self.runner.run(self.world.check())

    @invariant()
    def nothing_is_wrong(self) -> None:
        async def look() -> None:
            self.world.look()

        self.runner.run(look())

    def teardown(self) -> None:
        try:
            self.runner.run(self.world.finish())
        finally:
            self.runner.run(self.world.close())
            self.runner.close()


TestStream = Stream.TestCase
TestStream.settings = examples(max_examples=80, stateful_step_count=30)


# --- Faults that are planted ----------------------------------------------------------------------------------------

Patch = Callable[[pytest.MonkeyPatch], None]


def a_cursor_that_is_one_too_high(patch: pytest.MonkeyPatch) -> None:
    after = Kept.after
    patch.setattr(Kept, "after", lambda kept, number, size: after(kept, min(number + 1, kept.last), size))


def a_cursor_that_is_one_too_low(patch: pytest.MonkeyPatch) -> None:
    after = Kept.after
    patch.setattr(Kept, "after", lambda kept, number, size: after(kept, max(number - 1, kept.first - 1), size))


def a_reader_that_listens_without_looking_at_what_there_is(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        LogReader, "behind", property(lambda reader: reader.log.end is not None and reader.position < reader.log.last)
    )


def a_reader_that_looks_and_then_listens_a_moment_later(patch: pytest.MonkeyPatch) -> None:
    pour = LogReader.pour

    async def late(reader: LogReader, offer: Callable[[list[Piece]], bool]) -> list[Piece]:
        await asyncio.sleep(0)
        return await pour(reader, offer)

    patch.setattr(LogReader, "pour", late)


def pieces_that_count_though_they_were_refused(patch: pytest.MonkeyPatch) -> None:
    came = LogReader.came

    def careless(reader: LogReader, pieces: list[Piece]) -> None:
        listening, before = reader._offer is not None, reader.position
        came(reader, pieces)
        if listening and reader.position == before:
            reader.position += len(pieces)

    patch.setattr(LogReader, "came", careless)


def what_is_in_flight_counts_as_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LogReader, "taken", lambda reader, _: reader.position)


def the_fastest_reader_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Log, "taken", lambda log: max((reader.position for reader in log._readers), default=None))


def nobody_counts_when_nobody_reads(patch: pytest.MonkeyPatch) -> None:
    taken = Log.taken
    patch.setattr(Log, "taken", lambda log: log.last if not log._readers else taken(log))


def a_full_log_that_forgets_its_oldest(patch: pytest.MonkeyPatch) -> None:
    def room(log: Log) -> bool:
        log.trim(log.last - 3)
        return True

    patch.setattr(Log, "_has_room", room)


def a_producer_that_is_not_told_of_room(patch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.get_running_loop().create_future()

    patch.setattr(Log, "_change", never)


def reasoning_that_counts_as_text_in_flight(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Kept, "behind_text", Kept.behind)
    patch.setattr(Log, "_air_bytes", 0)


def what_stays_for_connections_fills_the_log(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Kept, "bytes_behind_first", property(lambda kept: kept.bytes))


FAULTS: list[Patch] = [
    a_cursor_that_is_one_too_high,
    a_cursor_that_is_one_too_low,
    a_reader_that_is_not_woken_when_it_refused,
    a_reader_that_is_not_told_of_the_end,
    a_reader_that_listens_without_looking_at_what_there_is,
    a_reader_that_looks_and_then_listens_a_moment_later,
    pieces_that_count_though_they_were_refused,
    an_end_that_is_forgotten,
    a_failure_that_is_stored_as_complete,
    an_end_that_overtakes_pieces,
    what_is_in_flight_counts_as_taken,
    the_fastest_reader_counts,
    nobody_counts_when_nobody_reads,
    a_full_log_that_forgets_its_oldest,
    a_producer_that_is_not_told_of_room,
    reasoning_that_counts_as_text_in_flight,
    what_stays_for_connections_fills_the_log,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_it_finds(monkeypatch: pytest.MonkeyPatch, fault: Patch) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        each(range(RUNS))

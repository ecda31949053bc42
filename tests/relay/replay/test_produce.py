"""A source, run into its log: whoever reads it, or nobody, under the deadlines of the upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace

import pytest

from streamkit.extractor.pieces import Piece
from streamkit.relay.failure import SHUT_DOWN, Failed, timed_out
from streamkit.relay.log import StreamRecord
from streamkit.relay.replay.end import ABANDONED, STOPPED, StreamEnd
from streamkit.relay.replay.log import Log, Quota
from streamkit.relay.replay.produce import FIRST_READER_S, Producer
from streamkit.relay.settings import Deadlines, Resuming, Settings
from streamkit.relay.sources.source import Into
from tests.fakes import run_in_fake_time

GRACE_S = 5.0


def end_of(stage: Stage) -> StreamEnd | None:
    """Asked anew each time."""
    return stage.log.end


class Stage:
    """A log of `max_bytes`, and a producer for it."""

    def __init__(self, *, max_bytes: int = 1 << 20, grace_s: float = GRACE_S, **deadlines: float) -> None:
        self.log = Log("s1", max_bytes, Quota(1 << 30))
        given = replace(Deadlines(), **{"total_s": 0, "idle_s": 0, "first_piece_s": 0, **deadlines})
        settings = Settings()._replace(deadlines=given, resuming=Resuming(resume_grace_s=grace_s))
        self.record = StreamRecord("s1")
        self.producer = Producer(self.log, self.record, settings)
        self.over = 0
        self.closed_s: float | None = None

    def start(self, source: Callable[[Into], AsyncGenerator[list[Piece], None]]) -> None:
        self.producer.start(source(self.producer.into), self._ended)

    def _ended(self) -> None:
        self.over += 1

    async def speaking(self, _: Into) -> AsyncGenerator[list[Piece], None]:
        """A piece a second, for ever."""
        try:
            while True:
                yield [Piece("x" * 10)]
                await asyncio.sleep(1)
        finally:
            self.closed_s = now()


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


def play(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    run_in_fake_time(main())


def test_a_source_that_returns_is_complete_and_says_why_it_ended() -> None:
    async def whole(into: Into) -> AsyncGenerator[list[Piece], None]:
        assert into.offer([Piece("a")])
        yield [Piece("b")]
        into.finished("stop")

    async def test() -> None:
        stage = Stage()
        stage.start(whole)
        await asyncio.sleep(0.1)
        assert end_of(stage) == StreamEnd(None, "stop")
        assert stage.log.kept.after(0, 100) == [Piece("a"), Piece("b")]
        assert (stage.record.pieces, str(stage.record.outcome), stage.over) == (2, "complete", 1)

    play(test)


@pytest.mark.parametrize("error", [Failed(timed_out("head")), RuntimeError("a bug")], ids=["failed", "a bug"])
def test_what_it_raises_is_the_end_behind_all_pieces(error: Exception) -> None:
    async def broken(_: Into) -> AsyncGenerator[list[Piece], None]:
        yield [Piece("a")]
        raise error

    async def test() -> None:
        stage = Stage()
        stage.start(broken)
        await asyncio.sleep(0.1)
        assert stage.log.end is not None
        assert stage.log.last == 1
        assert stage.log.end.code == ("timeout_head" if isinstance(error, Failed) else "internal_error")

    play(test)


def test_without_a_reader_the_upstream_is_closed_when_the_grace_is_over() -> None:
    async def test() -> None:
        stage = Stage()
        stage.start(stage.speaking)
        stage.log.attach().close()
        await asyncio.sleep(GRACE_S + 1)
        assert end_of(stage) == StreamEnd(ABANDONED)
        assert stage.closed_s == pytest.approx(GRACE_S)

    play(test)


def test_a_reader_within_the_grace_and_nothing_has_happened() -> None:
    async def test() -> None:
        stage = Stage()
        stage.start(stage.speaking)
        stage.log.attach().close()
        await asyncio.sleep(GRACE_S - 0.1)
        reader, other = stage.log.attach(), stage.log.attach()
        await asyncio.sleep(3 * GRACE_S)
        reader.close()
        await asyncio.sleep(3 * GRACE_S)
        assert end_of(stage) is None
        left_s = now()
        other.close()
        await asyncio.sleep(GRACE_S + 1)
        assert end_of(stage) == StreamEnd(ABANDONED)
        assert stage.closed_s == pytest.approx(left_s + GRACE_S)

    play(test)


def test_without_any_grace_the_one_who_asks_can_still_read() -> None:
    async def test() -> None:
        stage = Stage(grace_s=0)
        stage.start(stage.speaking)
        await asyncio.sleep(FIRST_READER_S / 2)
        reader = stage.log.attach()
        await asyncio.sleep(60)
        assert end_of(stage) is None
        reader.close()
        await asyncio.sleep(0.1)
        assert end_of(stage) == StreamEnd(ABANDONED)

    play(test)


def test_it_is_stopped_once_and_the_first_reason_counts() -> None:
    async def test() -> None:
        stage = Stage()
        stage.start(stage.speaking)
        await asyncio.sleep(2.5)
        stage.producer.stop(STOPPED)
        stage.producer.stop(SHUT_DOWN)
        await stage.producer.stopped(1)
        assert (end_of(stage), stage.closed_s, stage.over) == (StreamEnd(STOPPED), 2.5, 1)
        stage.producer.stop(SHUT_DOWN)

    play(test)


def test_it_is_stopped_before_its_first_step_and_has_an_end_all_the_same() -> None:
    async def test() -> None:
        stage = Stage()
        stage.start(stage.speaking)
        stage.producer.stop(SHUT_DOWN)
        await stage.producer.stopped(1)
        assert (end_of(stage), stage.log.last, stage.over) == (StreamEnd(SHUT_DOWN), 0, 1)

    play(test)


def test_the_source_waits_where_the_log_is_full_and_goes_on_where_it_is_read() -> None:
    async def test() -> None:
        stage = Stage(max_bytes=40)
        reader = stage.log.attach()
        stage.start(stage.speaking)
        await asyncio.sleep(60)
        held_at = stage.log.last
        assert held_at == 5  # 40 bytes, and the first one always fits
        reader.took(await reader.page())
        await asyncio.sleep(1.5)
        assert stage.log.last > held_at
        assert stage.log.first > 1

    play(test)


def test_without_a_reader_a_full_log_waits_until_the_grace_is_over() -> None:
    async def test() -> None:
        stage = Stage(max_bytes=20)
        stage.start(stage.speaking)
        stage.log.attach().close()
        await asyncio.sleep(GRACE_S - 0.1)
        assert (end_of(stage), stage.log.last, stage.log.first) == (None, 3, 1)
        await asyncio.sleep(1)
        assert end_of(stage) == StreamEnd(ABANDONED)

    play(test)


def test_a_source_that_waits_for_readers_is_not_called_idle() -> None:
    async def test() -> None:
        stage = Stage(max_bytes=20, idle_s=2.0)
        reader = stage.log.attach()
        stage.start(stage.speaking)
        await asyncio.sleep(60)
        assert end_of(stage) is None
        reader.took(await reader.page())
        await asyncio.sleep(1.5)
        assert end_of(stage) is None

    play(test)


@pytest.mark.parametrize(("deadline", "spoken"), [("first_piece", 0), ("idle", 1)])
def test_a_silent_source_is_told_apart_by_when_it_fell_silent(deadline: str, spoken: int) -> None:
    async def silent(_: Into) -> AsyncGenerator[list[Piece], None]:
        for _number in range(spoken):
            yield [Piece("x")]
        await asyncio.sleep(1e6)

    async def test() -> None:
        stage = Stage(first_piece_s=3.0, idle_s=2.0)
        stage.log.attach()
        stage.start(silent)
        await asyncio.sleep(10)
        assert end_of(stage) == StreamEnd(timed_out(deadline))

    play(test)


def test_thinking_and_empty_events_keep_their_deadlines_from_firing() -> None:
    async def thinking(into: Into) -> AsyncGenerator[list[Piece], None]:
        for _ in range(3):
            into.thinking()
            yield []
            await asyncio.sleep(2)
        yield [Piece("x")]
        for _ in range(3):
            await asyncio.sleep(1.5)
            yield []

    async def test() -> None:
        stage = Stage(first_piece_s=3.0, idle_s=2.0)
        stage.log.attach()
        stage.start(thinking)
        await asyncio.sleep(60)
        assert end_of(stage) == StreamEnd()

    play(test)


def test_the_whole_has_its_time() -> None:
    async def test() -> None:
        stage = Stage(total_s=30.0)
        stage.log.attach()
        stage.start(stage.speaking)
        await asyncio.sleep(40)
        assert end_of(stage) == StreamEnd(timed_out("total"))
        assert stage.closed_s == pytest.approx(30)

    play(test)

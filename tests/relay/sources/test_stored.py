"""A log as a source: replayed, then live, then its end; through offers, and without any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from streamkit.extractor.pieces import Piece
from streamkit.relay.failure import Failed
from streamkit.relay.replay.end import STOPPED, StreamEnd
from streamkit.relay.replay.log import Log, Quota
from streamkit.relay.sources.source import Into
from streamkit.relay.sources.stored import stored
from tests.fakes import run_in_fake_time

PIECES = [Piece(f"{number} ") for number in range(40)]
Takes = Callable[[int], bool]


async def read(log: Log, takes: Takes, after: int = 0) -> tuple[list[Piece], list[str], str]:
    """All that a delivery gets which takes offer number n at once or not, the reasons, and how it ended."""
    got: list[Piece] = []
    reasons: list[str] = []
    offers = 0

    def offer(pieces: list[Piece]) -> bool:
        nonlocal offers
        offers += 1
        if takes(offers):
            got.extend(pieces)
            return True
        return False

    with log.attach(after) as reader:
        try:
            async for pieces in stored(reader, Into(offer, finished=reasons.append)):
                await asyncio.sleep(0.3)  # others append meanwhile
                got.extend(pieces)
        except Failed as error:
            return got, reasons, error.failure.code
    return got, reasons, "complete"


@pytest.mark.parametrize("takes", [lambda _: True, lambda _: False, lambda n: n % 2 == 0, lambda n: n % 3 != 0])
@pytest.mark.parametrize("after", [0, 7, 20])
@pytest.mark.parametrize("end", [StreamEnd(None, "stop"), StreamEnd(STOPPED)], ids=["complete", "stopped"])
def test_all_behind_the_cursor_comes_once_and_then_the_end(takes: Takes, after: int, end: StreamEnd) -> None:
    async def main() -> None:
        log = Log("s1", 1 << 20, Quota(1 << 20))
        log.offer(PIECES[:20])
        reading = asyncio.ensure_future(read(log, takes, after))
        for piece in PIECES[20:]:
            await asyncio.sleep(0.1)
            log.offer([piece])
        log.close(end)
        reason = [] if end.finish_reason is None else [end.finish_reason]
        assert await reading == (PIECES[after:], reason, end.code or "complete")

    run_in_fake_time(main())


def test_a_failed_stream_replays_as_failed_behind_all_its_pieces() -> None:
    async def main() -> None:
        log = Log("s1", 1 << 20, Quota(1 << 20))
        log.offer(PIECES)
        log.close(StreamEnd(STOPPED))
        assert await read(log, lambda _: True) == (PIECES, [], "stopped")
        assert await read(log, lambda _: True, len(PIECES)) == ([], [], "stopped")

    run_in_fake_time(main())

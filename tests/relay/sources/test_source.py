"""A source that knows nothing but the protocol: through a delivery, into a store, and what closing it means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, cast

import pytest
from sanic import Request

from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.relay.delivery.deliver import Delivery, Ended
from streamkit.relay.delivery.policy import Policy
from streamkit.relay.failure import Failed, Failure
from streamkit.relay.log import StreamRecord
from streamkit.relay.settings import Deadlines, Settings
from streamkit.relay.sources.source import Into, Pieces
from streamkit.relay.stream import Stream
from streamkit.taps import StreamTaps
from tests.fakes import run_in_fake_time
from tests.relay.asking import Asking

BROKE_OFF = Failure(Outcome("error_event", "no_more_paper"), "no_more_paper", 502, "the printer has no more paper")


class Disk:
    """What a source of files would tell of what waits."""

    waiting_bytes = 7

    def unread_bytes(self) -> int | None:
        return None


async def numbers(upto: int, into: Into, *, broken: bool = False, every_s: float = 0.0) -> Pieces:
    """The example of `source.py`, and what else a source may do."""
    into.opened(Disk())
    for number in range(upto):
        await asyncio.sleep(every_s)
        pieces = [Piece(f"{number} ")]
        if not into.offer(pieces):
            yield pieces
    if broken:
        raise Failed(BROKE_OFF)


def delivered(
    source: Callable[[Into], Pieces], asking: Asking, settings: Settings | None = None
) -> tuple[Ended, Stream]:
    async def main() -> tuple[Ended, Stream]:
        stream = Stream(StreamRecord("s1"), StreamTaps("s1"), settings or Settings())
        delivery = Delivery(cast("Request", asking), stream, Policy())
        return await delivery.run(source(delivery.into)), stream

    return run_in_fake_time(main())


def test_it_is_delivered_in_the_form_and_under_the_policy_that_its_client_asked_for() -> None:
    asking = Asking(accept="application/x-ndjson", prefer="backpressure=coalesce")
    ended, stream = delivered(lambda into: numbers(3, into), asking)
    assert ended == Ended(Outcome("complete"))
    assert (
        bytes(asking.sent)
        == b'{"text":"0 "}\n{"text":"1 "}\n{"text":"2 "}\n{"done":{"outcome":"complete","pieces":3}}\n'
    )
    record = stream.record
    assert (record.format, record.policy, record.pieces) == ("application/x-ndjson", "coalesce(131072)", 3)


def test_latest_is_no_policy_for_text_that_cannot_tell_what_is_missing() -> None:
    _, stream = delivered(lambda into: numbers(3, into), Asking(prefer="backpressure=latest"))
    assert stream.record.policy == "pause"


def test_its_failure_is_told_behind_its_pieces() -> None:
    asking = Asking(accept="text/event-stream")
    ended, _ = delivered(lambda into: numbers(2, into, broken=True), asking)
    assert (ended.outcome, ended.code, ended.response) == (BROKE_OFF.outcome, "no_more_paper", None)
    assert asking.sent.index(b"1 ") < asking.sent.index(b"event: error") < asking.sent.index(b"no_more_paper")


def test_a_failure_before_its_first_piece_is_a_whole_answer() -> None:
    ended, _ = delivered(lambda into: numbers(0, into, broken=True), Asking())
    assert ended.response is not None
    assert ended.response.status == 502


def test_the_deadlines_are_not_its_business() -> None:
    settings = Settings(Deadlines(idle_s=1))
    ended, stream = delivered(lambda into: numbers(9, into, every_s=2), Asking(), settings)
    assert (ended.outcome, stream.record.pieces) == (Outcome("timeout", "idle"), 1)


async def thinking(into: Into, *, thoughts: int, every_s: float) -> Pieces:
    """Reasons for a while, then says one word, and then reasons again."""
    for pieces in ([], [Piece("42")], []):
        for _ in range(1 if pieces else thoughts):
            await asyncio.sleep(every_s)
            into.thinking()
            if not into.offer(pieces):
                yield pieces


def test_an_answer_that_thinks_longer_than_a_first_piece_may_take_is_alive() -> None:
    settings = Settings(Deadlines(first_piece_s=5, idle_s=5))
    ended, stream = delivered(lambda into: thinking(into, thoughts=9, every_s=2), Asking(), settings)
    assert (ended.outcome, stream.record.pieces) == (Outcome("complete"), 1)


def test_an_answer_that_falls_silent_while_it_thinks_is_late_with_its_first_piece() -> None:
    settings = Settings(Deadlines(first_piece_s=5, idle_s=60))
    ended, _ = delivered(lambda into: thinking(into, thoughts=9, every_s=6), Asking(), settings)
    assert (ended.outcome, ended.code) == (Outcome("timeout", "first_piece"), "timeout_first_piece")
    assert ended.response is not None


def test_what_waits_in_front_of_it_is_seen_by_the_gauges() -> None:
    async def main() -> Any:
        delivery = Delivery(cast("Request", Asking()), Stream(StreamRecord("s1")), Policy())
        before = delivery.queues.read()
        await delivery.run(numbers(1, delivery.into))
        return before, delivery.queues.read()

    before, after = run_in_fake_time(main())
    assert (before["relay.inbox"], after["relay.inbox"], after["relay.unread"]) == (None, 7, None)


def test_without_a_delivery_it_can_fill_a_store_which_takes_all_that_is_offered() -> None:
    async def main(into: Into) -> list[list[Piece]]:
        async with aclosing(numbers(3, into)) as source:
            return [pieces async for pieces in source]

    stored: list[str] = []

    def keep(pieces: list[Piece]) -> bool:
        stored.extend(piece.text for piece in pieces)
        return True

    assert run_in_fake_time(main(Into(keep))) == []
    assert stored == ["0 ", "1 ", "2 "]
    assert run_in_fake_time(main(Into())) == [[Piece("0 ")], [Piece("1 ")], [Piece("2 ")]], "nobody takes any: yielded"


@pytest.mark.parametrize("after_s", [0.5, 2.5])
def test_it_is_closed_when_its_client_leaves(after_s: float) -> None:
    async def main() -> list[str]:
        told: list[str] = []

        async def source(into: Into) -> Pieces:
            try:
                async for pieces in numbers(9, into, every_s=1):
                    yield pieces
            finally:
                told.append("closed")

        async def run() -> None:
            delivery = Delivery(cast("Request", Asking()), Stream(StreamRecord("s1")), Policy())
            await delivery.run(source(delivery.into))

        running = asyncio.create_task(run())
        await asyncio.sleep(after_s)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return told

    assert run_in_fake_time(main()) == ["closed"]

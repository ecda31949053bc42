"""A stream that is told to stop, and a client that leaves at the same moment: which of the two it ends by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import cast

import pytest
from sanic import HTTPResponse

from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.relay.delivery.answer import Answer
from streamkit.relay.delivery.deliver import Ended, deliver
from streamkit.relay.delivery.format import EventStream
from streamkit.relay.delivery.outlet import Outlet
from streamkit.relay.delivery.policy import Policy
from streamkit.relay.failure import SHUT_DOWN, Failure
from streamkit.relay.log import StreamRecord
from streamkit.relay.settings import Deadlines
from streamkit.relay.stream import Stream
from tests.fakes import run_in_fake_time


class Client:
    """An `Answer` that takes one piece; its last words take most of a second."""

    started = True
    wrote = 0

    def __init__(self) -> None:
        self.told: list[str] = []

    def writable(self) -> bool:
        return True

    def unsent_bytes(self) -> None:
        """That is not known here."""

    def offer(self, data: bytes) -> bool:
        self.told.append(data.decode())
        return True

    async def fail(self, failure: Failure, *_: object) -> HTTPResponse | None:
        await asyncio.sleep(0.9)
        self.told.append(failure.code)
        return None


class Streaming:
    """One stream that waits for ever behind its first piece, in a task as a server has for it."""

    def __init__(self) -> None:
        self.client = Client()
        self.closed = 0
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> Ended:
        self.stream = Stream(StreamRecord("s1"))
        outlet = Outlet(cast("Answer", self.client), EventStream(), Policy().queue(100), Deadlines())
        return await deliver(self._source(), outlet, self.stream)

    async def _source(self) -> AsyncGenerator[list[Piece], None]:
        try:
            yield [Piece("a")]
            await asyncio.sleep(1e6)
        finally:
            self.closed += 1

    def leave(self) -> None:
        """What Sanic does when the connection is lost."""
        self.task.cancel()


def after(*steps: Callable[[Streaming], object]) -> tuple[Ended | None, list[str], int]:
    """How it ended (None: cancelled), what its client was told, and how often its source was closed. The steps are
    taken one right after the other.
    """

    async def main() -> tuple[Ended | None, list[str], int]:
        streaming = Streaming()
        await asyncio.sleep(1)
        for step in steps:
            step(streaming)
        (ended,) = await asyncio.gather(streaming.task, return_exceptions=True)
        assert streaming.task.cancelling() == steps.count(Streaming.leave), "ours was taken back, the client's not"
        told = [text for text in streaming.client.told if "data" not in text]
        return ended if isinstance(ended, Ended) else None, told, streaming.closed

    return run_in_fake_time(main())


def stop(streaming: Streaming) -> None:
    streaming.stream.stop()


def test_a_stream_that_is_told_to_stop_says_so_and_ends_by_itself() -> None:
    assert after(stop) == (Ended(SHUT_DOWN.outcome, SHUT_DOWN.code), ["shutting_down"], 1)


def test_a_client_that_leaves_ends_it_with_nobody_to_tell() -> None:
    assert after(Streaming.leave) == (None, [], 1)


@pytest.mark.parametrize("steps", [(stop, Streaming.leave), (Streaming.leave, stop), (stop, Streaming.leave, stop)])
def test_of_both_at_once_the_client_counts_whoever_was_first(steps: tuple[Callable[[Streaming], object], ...]) -> None:
    assert after(*steps) == (None, [], 1)


def test_told_twice_is_told_once() -> None:
    async def main() -> tuple[Outcome, list[str]]:
        streaming = Streaming()
        await asyncio.sleep(1)
        streaming.stream.stop()
        await asyncio.sleep(0.5)  # its last words are on their way
        streaming.stream.stop()
        return (await streaming.task).outcome, streaming.client.told[1:]

    assert run_in_fake_time(main()) == (SHUT_DOWN.outcome, ["shutting_down"])


def test_a_client_that_leaves_while_it_is_told_the_last_words_is_a_client_that_left() -> None:
    async def main() -> list[str]:
        streaming = Streaming()
        await asyncio.sleep(1)
        streaming.stream.stop()
        await asyncio.sleep(0.5)
        streaming.leave()
        with pytest.raises(asyncio.CancelledError):
            await streaming.task
        assert not streaming.stream.is_told_to_stop(), "that has been answered"
        return streaming.client.told[1:]

    assert run_in_fake_time(main()) == []

"""What leaves the relay, by which way, and what its ends look like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

from sanic import HTTPResponse

from streamkit.extractor.pieces import Piece
from streamkit.outcome import Outcome
from streamkit.relay.delivery.answer import Answer
from streamkit.relay.delivery.deliver import deliver
from streamkit.relay.delivery.format import PlainText
from streamkit.relay.delivery.outlet import Outlet
from streamkit.relay.delivery.policy import Policy
from streamkit.relay.delivery.portion import WHOLE, Portion
from streamkit.relay.failure import Failed, Failure, timed_out
from streamkit.relay.log import StreamRecord
from streamkit.relay.settings import Deadlines
from streamkit.relay.stream import Stream
from tests.fakes import run_in_fake_time


class Client:
    """An `Answer` that notes what is done with it. `keeps_up` says whether it can be written to at once, `behind` are
    the seconds that each `send` and each wait for room takes otherwise.
    """

    started = True
    wrote = 0

    def __init__(self, *, keeps_up: bool, behind: float = 0.0) -> None:
        self.done: list[str] = []
        self._keeps_up = keeps_up
        self._behind = behind

    def unsent_bytes(self) -> None:
        """That is not known here."""

    def writable(self) -> bool:
        return self._keeps_up

    def offer(self, data: bytes) -> bool:
        if self._keeps_up:
            self.done.append("write " + data.decode())
        return self._keeps_up

    async def room(self) -> None:
        await asyncio.sleep(self._behind)

    async def send(self, data: bytes) -> None:
        self.done.append("send " + data.decode())
        await asyncio.sleep(self._behind)

    async def finish(self, data: bytes) -> None:
        self.done.append("finish " + data.decode())

    async def fail(self, failure: Failure, *_: object) -> HTTPResponse | None:
        self.done.append(f"fail {failure.code}")
        return None

    def cut(self) -> None:
        self.done.append("cut")


async def two_reads_a_second_apart() -> AsyncGenerator[list[Piece], None]:
    yield [Piece("a"), Piece("b")]
    await asyncio.sleep(1)
    yield []
    yield [Piece("c")]


def outlet_to(client: Client, policy: str = "pause", **limits: float) -> Outlet:
    deadlines = Deadlines(**{**dict.fromkeys(("first_piece_s", "idle_s", "total_s"), 0.0), **limits})
    return Outlet(cast("Answer", client), PlainText(), Policy.of(policy).queue(1000), deadlines)


def delivered(client: Client, policy: str = "pause", **limits: float) -> Outcome:
    async def main() -> Outcome:
        outlet = outlet_to(client, policy, **limits)
        return (await deliver(two_reads_a_second_apart(), outlet, Stream(StreamRecord("s1")))).outcome

    return run_in_fake_time(main())


def test_while_the_client_keeps_up_each_read_is_one_write_and_nothing_waits() -> None:
    client = Client(keeps_up=True)
    assert delivered(client) == Outcome("complete")
    assert client.done == ["write ab", "write c", "finish "]


def test_while_the_client_is_behind_reading_waits_for_sending() -> None:
    client = Client(keeps_up=False, behind=5.0)
    assert delivered(client, write_stall_s=6.0) == Outcome("complete")
    assert client.done == ["send ab", "send c", "finish "]


def test_only_waiting_for_the_client_is_a_write_stall() -> None:
    client = Client(keeps_up=False, behind=7.0)
    assert delivered(client, write_stall_s=6.0) == Outcome("timeout", "write_stall")
    assert client.done == ["send ab", "cut"]
    assert delivered(Client(keeps_up=True), write_stall_s=0.5) == Outcome("complete"), (
        "the upstream was silent, for 1 s"
    )


def test_a_stalled_client_is_cut_also_where_its_pieces_are_kept_and_the_upstream_goes_on() -> None:
    client = Client(keeps_up=False, behind=100.0)
    assert delivered(client, "buffer", write_stall_s=6.0) == Outcome("timeout", "write_stall")
    assert client.done == ["cut"]


def test_what_ends_an_answer_and_not_its_stream_is_a_cut_without_a_word() -> None:
    async def main(portion: Portion) -> list[str]:
        client = Client(keeps_up=True)
        stream = Stream(StreamRecord("s1"))
        ended = await deliver(two_reads_a_second_apart(), outlet_to(client, total_s=0.5), stream, portion)
        assert ended.outcome == Outcome("timeout", "total")
        return client.done

    assert run_in_fake_time(main(Portion("s1"))) == ["write ab", "cut"], "who can come back does"
    assert run_in_fake_time(main(WHOLE)) == ["write ab", "fail timeout_total"]


def test_a_stream_that_can_be_resumed_fails_as_any_other() -> None:
    async def failing() -> AsyncGenerator[list[Piece], None]:
        yield [Piece("a")]
        raise Failed(timed_out("idle"))

    async def main() -> list[str]:
        client = Client(keeps_up=True)
        await deliver(failing(), outlet_to(client), Stream(StreamRecord("s1")), Portion("s1"))
        return client.done

    assert run_in_fake_time(main()) == ["write a", "fail timeout_idle"]


def test_a_silent_upstream_is_noticed_while_pieces_wait_for_the_client() -> None:
    client = Client(keeps_up=False, behind=0.6)
    assert delivered(client, "buffer", idle_s=0.5, write_stall_s=6.0) == Outcome("timeout", "idle")
    assert client.done == ["send ab", "fail timeout_idle"], "what waited still leaves, before the failure is told"

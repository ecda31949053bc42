"""A relay without sockets: what each stream's own word is, how many run, and what becomes of them at a stop."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

import pytest
from sanic import Request
from sanic.exceptions import InvalidHeader

from streamkit.outcome import Outcome
from streamkit.relay.asks import ask_llm
from streamkit.relay.relay import Relay
from streamkit.relay.route import Route
from tests.fakes import run_in_fake_time
from tests.relay.asking import Asking
from tests.relay.sources.upstreams import Answering, stream


def relay(texts: Sequence[str] = ("a", "b"), **settings: Any) -> Relay:
    upstream = Answering(stream("openai", *texts))
    return Relay(upstream="http://upstream.test/v1", preset="openai", transport=upstream, trace=True, **settings)


def ask(relay: Relay, asking: Asking) -> Coroutine[Any, Any, Any]:
    assert relay.upstream is not None
    answer: Any = relay.ask("/ans", Route(ask_llm(relay.upstream)))
    return cast("Coroutine[Any, Any, Any]", answer(cast("Request", asking)))


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    caplog.set_level(logging.INFO, "streamkit.relay")
    return lambda: [json.loads(record.getMessage()) for record in caplog.records]


def word(relay: Relay, name: str = "mine") -> dict[str, Any]:
    """The relay's own word for the stream of this name, kept beside its taps, which have ended."""
    assert relay.taps is not None
    taps = relay.taps.get(name)
    assert taps is not None
    assert taps.finished
    assert taps.word is not None
    return taps.word


def test_a_whole_stream_has_its_word_with_its_taps(logged: Callable[[], list[dict[str, Any]]]) -> None:
    relayed, asking = relay(), Asking(x_stream_id="mine", accept="text/event-stream")
    assert run_in_fake_time(ask(relayed, asking)) is None
    assert asking.ended
    assert asking.protocol.response_timeout == 60.0, "Sanic's timer is its own again"
    told = word(relayed)
    assert logged() == [told], "exactly what is logged"
    assert (told["outcome"], told["pieces"], told["format"]) == ("complete", 2, "text/event-stream")
    assert (relayed.live, relayed.served) == (0, 1)


@pytest.mark.parametrize(
    ("asking", "settings", "outcome", "status"),
    [
        (Asking(b"x=1", x_stream_id="mine"), {}, "refused(422)", 422),
        (Asking(x_stream_id="mine", content_length="9"), {"max_body_bytes": 3}, "refused(413)", 413),
        (Asking(x_stream_id="mine", arrives_s=9), {"body_s": 1}, "timeout(body)", 408),
        (Asking(x_stream_id="mine", takes_s=9), {"total_s": 1}, "timeout(total)", 200),
    ],
    ids=["no field", "too large", "too late", "in mid-stream"],
)
def test_what_fails_has_its_word_too(
    asking: Asking,
    settings: dict[str, Any],
    outcome: str,
    status: int,
    logged: Callable[[], list[dict[str, Any]]],
) -> None:
    relayed = relay(**settings)
    response = run_in_fake_time(ask(relayed, asking))
    assert response is None or response.status == status
    assert logged() == [word(relayed)]
    assert (word(relayed)["outcome"], word(relayed)["status"]) == (outcome, status)


def test_what_sanic_refuses_has_its_word_before_the_app_answers(logged: Callable[[], list[dict[str, Any]]]) -> None:
    relayed = relay()
    with pytest.raises(InvalidHeader):
        run_in_fake_time(ask(relayed, Asking(x_stream_id="mine", accept="this is none")))
    assert logged() == [word(relayed)]
    assert (word(relayed)["outcome"], word(relayed)["code"]) == ("refused(400)", "invalid_header")


def test_one_too_many_is_refused_and_has_its_word_and_is_not_counted() -> None:
    async def main() -> tuple[Relay, int]:
        relayed = relay(max_streams=1)
        first = asyncio.create_task(ask(relayed, Asking(takes_s=5)))
        await asyncio.sleep(1)
        response = await ask(relayed, Asking(x_stream_id="mine"))
        assert relayed.live == 1
        await first
        assert (relayed.live, relayed.served) == (0, 1)
        return relayed, response.status

    relayed, status = run_in_fake_time(main())
    assert (word(relayed)["outcome"], word(relayed)["code"], status) == ("refused(503)", "too_many_streams", 503)


def test_a_client_that_leaves_is_the_word_for_it() -> None:
    async def main() -> Relay:
        relayed = relay()
        asked = asyncio.create_task(ask(relayed, Asking(x_stream_id="mine", takes_s=5)))
        await asyncio.sleep(1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        return relayed

    told = word(run_in_fake_time(main()))
    assert (told["outcome"], told["code"], told["status"]) == ("cancelled", "", 200)


def test_at_a_stop_who_is_still_asking_is_told_to_come_again_and_who_listens_that_it_ends() -> None:
    async def main() -> tuple[Relay, Any, Asking]:
        relayed, listening = relay(), Asking(x_stream_id="theirs", takes_s=0.2, accept="text/event-stream")
        asking = asyncio.create_task(ask(relayed, Asking(x_stream_id="mine", arrives_s=100)))
        await asyncio.sleep(1)
        listens = asyncio.create_task(ask(relayed, listening))
        await asyncio.sleep(0.1)
        await relayed.end_streams()
        assert await listens is None
        assert relayed.live == 0
        return relayed, await asking, listening

    relayed, response, listening = run_in_fake_time(main())
    assert (response.status, word(relayed)["outcome"]) == (503, "cancelled(shutdown)")
    assert b"event: error" in listening.sent
    assert word(relayed, "theirs")["outcome"] == str(Outcome("cancelled", "shutdown"))


def test_a_name_that_another_stream_has_is_not_taken() -> None:
    async def main() -> Relay:
        relayed = relay()
        for _ in range(2):
            await ask(relayed, Asking(x_stream_id="mine"))
        return relayed

    relayed = run_in_fake_time(main())
    assert relayed.taps is not None
    assert len(relayed.taps) == 2

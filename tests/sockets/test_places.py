"""Where the three of a Lab run: on one loop, beside each other, and with a relay of somebody else's."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2
import numpy as np
import pytest
from sanic import Request, Sanic

from streamkit.errors import ServerError
from streamkit.lab.lab import Lab, Roles
from streamkit.lab.net.toxics import Latency
from streamkit.lab.recording.recording import Recording
from streamkit.lab.run import run
from streamkit.lab.upstream import Script

pytestmark = pytest.mark.usefixtures("nothing_left")

SCRIPT = Script(["床前", "明月光，", "疑", "是地上霜。"] * 3, first_piece_ms=20, gap_ms=4)


def slow_tap() -> Script:
    """A stream of a minute, to be left before its end."""
    return Script(["x"] * 1000, first_piece_ms=0, gap_ms=60)


def no_taps_of(recording: Recording) -> list[str]:
    return [note for note in recording.meta["notes"] if note.startswith("no taps")]


def busy(seconds: float) -> Any:
    """A reader that computes for so long over each piece."""
    return lambda _: time.sleep(seconds)


def test_on_one_loop_a_busy_client_makes_the_upstream_late_and_the_verdict_says_so() -> None:
    script = Script(["x"] * 20, first_piece_ms=20, gap_ms=5)
    worst = {}
    trust = {}
    roles: Roles
    for roles in ("one loop", "processes"):
        with Lab(script, roles=roles) as lab:
            recording = run(lab.ask("你好", accept="sse", on_piece=busy(0.02)))
        late_ns = np.asarray(recording.taps["upstream.sent"].at_ns) - np.asarray(recording.taps["upstream.due"].at_ns)
        worst[roles], trust[roles] = int(np.median(late_ns)), recording.trust
    assert worst["one loop"] > 2 * worst["processes"]
    assert trust["one loop"].level != "good"
    assert any("the upstream sent" in reason for reason in trust["one loop"].reasons)


def test_on_one_loop_nothing_runs_between_two_posts() -> None:
    with Lab(SCRIPT, roles="one loop") as lab:

        async def main() -> tuple[Recording, set[asyncio.Task[Any]]]:
            recording = await lab.ask("你好")
            await asyncio.sleep(0.05)  # closed connections see their end in the loop's next turns
            return recording, asyncio.all_tasks() - {asyncio.current_task()}

        for _ in range(2):  # each run() is a loop of its own
            recording, tasks = run(main())
            assert recording.outcome.ok
            assert tasks == set()
        assert (lab.relay, lab.upstream) == (None, None)


def test_on_one_loop_a_cancelled_post_takes_its_servers_along() -> None:
    async def main(lab: Lab) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lab.ask("你好"), 0.3)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not lab._place._pairs  # type: ignore[union-attr]  # one loop

    with Lab(slow_tap(), roles="one loop") as lab:
        run(main(lab))


def test_on_one_loop_a_server_that_cannot_start_leaves_nothing() -> None:
    async def main(lab: Lab) -> None:
        with pytest.raises(ServerError, match="UnknownPreset"):
            await lab.ask("你好")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with Lab(SCRIPT, roles="one loop", preset="opnai") as lab:
        run(main(lab))


def make_naive(url: str, *, passes_id: bool = False) -> Sanic[Any, Any]:
    """It sends on whatever comes, and knows nothing of taps."""
    app: Sanic[Any, Any] = Sanic("naive", configure_logging=False)

    @app.post("/ans")
    async def answer(request: Request) -> None:
        headers = {"x-stream-id": request.headers["x-stream-id"]} if passes_id else {}
        response = await request.respond(content_type="text/plain")
        async with httpx2.AsyncClient(trust_env=False) as client, client.stream("POST", url, headers=headers) as stream:
            async for chunk in stream.aiter_raw():
                await response.send(chunk)

    return app


def make_naive_that_passes_the_id(url: str) -> Sanic[Any, Any]:
    return make_naive(url, passes_id=True)


@pytest.mark.parametrize("roles", ["threads", "processes"])
def test_a_relay_of_somebody_elses_has_no_taps_and_all_else_works(roles: Roles) -> None:
    with Lab(SCRIPT, roles=roles, relay=make_naive_that_passes_the_id, upstream_link=[Latency(40)]) as lab:
        assert repr(lab) == f"<Lab running, {roles}: a script of 12 pieces, a relay of its own>"
        recording = run(lab.ask("你好"))
    assert recording.outcome.ok
    assert recording.taps.keys() == {"upstream.due", "upstream.sent"}
    assert not no_taps_of(recording)


@pytest.mark.parametrize("relay", [make_naive, make_naive_that_passes_the_id])
def test_a_relay_that_passes_the_id_on_has_the_upstreams_taps_and_one_that_does_not_has_none(relay: Any) -> None:
    async def together(lab: Lab) -> list[Recording]:
        return list(await asyncio.gather(lab.ask("你好"), lab.ask("你好")))

    with Lab(SCRIPT, relay=relay) as lab:
        recordings = [run(lab.ask("你好")), *run(together(lab))]
    passes = relay is make_naive_that_passes_the_id
    for recording in recordings:
        assert recording.outcome.ok
        assert bool(recording.taps) == passes
        assert no_taps_of(recording) == ([] if passes else ["no taps of this stream: upstream"])
    if passes:
        assert len({recording.marks["upstream.asked"] + recording.started_ns for recording in recordings}) == 3


def test_on_one_loop_a_relay_of_somebody_elses_serves_too() -> None:
    with Lab(SCRIPT, roles="one loop", relay=make_naive_that_passes_the_id) as lab:
        recording = run(lab.ask("你好"))
    assert recording.outcome.ok
    assert recording.taps.keys() == {"upstream.due", "upstream.sent"}

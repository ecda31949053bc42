"""The truth of a load: who was late is told, the client as well as the server."""

from __future__ import annotations

import asyncio
import time

import streamkit as sk
from streamkit.lab.load.load import load
from streamkit.lab.load.mix import Visit
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet
from tests.lab.client.peers import DONE, END, HEAD, Peer, Script, chunk, event, serving

BLOCKED_S = 0.3
SERVING_S = 0.02


def due_at_ns(recording: Recording) -> int:
    """When it was due, by the clock."""
    assert recording.due_ns is not None
    return recording.started_ns + recording.due_ns


def ttft_from_sent_ns(recording: Recording) -> int:
    return recording.events.at_ns[0] - (recording.sent_ns or 0)


def ttft_from_due_ns(recording: Recording) -> int:
    return recording.events.at_ns[0] - (recording.due_ns or 0)


def test_a_client_that_was_too_slow_says_so_and_the_server_bears_it_out() -> None:
    """The loop is blocked for 300 ms, while the server has a thread of its own, and a log."""
    blocked: list[int] = []

    def block() -> None:
        blocked.append(time.monotonic_ns())
        time.sleep(BLOCKED_S)
        blocked.append(time.monotonic_ns())

    async def main() -> tuple[RecordingSet, dict[str, int]]:
        with sk.serve(lambda: sk.create_upstream(sk.Script("one", first_piece_ms=0))) as server:

            async def target(n: int, visit: Visit) -> Recording:
                headers = {"x-stream-id": str(n)}
                return await sk.record(server.url, data={"n": "1"}, headers=headers, **visit.options)

            asyncio.get_running_loop().call_later(0.05, block)
            streams = await load(target, streams=20, rate=100, arrivals="constant", progress=False)
            assert server.app is not None
            return streams, {log.stream_id: log.started_ns for log in server.app.ctx.sent}

    streams, received_ns = asyncio.run(main())
    begin_ns, end_ns = blocked
    hit = [n for n, one in enumerate(streams) if begin_ns < due_at_ns(one) < end_ns]
    assert len(hit) >= 10
    for n in hit:
        one = streams[n]
        late_ns = -(one.due_ns or 0)
        assert late_ns >= end_ns - due_at_ns(one)  # no earlier than the loop was free again
        assert received_ns[str(n)] >= due_at_ns(one) + late_ns  # and that is when the server was asked
        assert ttft_from_due_ns(one) >= ttft_from_sent_ns(one) + late_ns
    worst = max((streams[n] for n in hit), key=ttft_from_due_ns)
    assert ttft_from_due_ns(worst) > 0.5 * BLOCKED_S * 1e9 > ttft_from_sent_ns(worst)


def one_at_a_time() -> Script:
    """A server that serialises: who comes while another one is served, waits."""
    served = asyncio.Lock()

    async def serve(peer: Peer) -> None:
        async with served:
            await asyncio.sleep(SERVING_S)
            await peer.send(HEAD, chunk(event("a") + DONE), END)

    return serve


def slowest_ns(arrivals: str, rate: float | None) -> int:
    """The longest time to first piece: from the schedule where there is one, else from the request."""

    async def main() -> RecordingSet:
        async with serving(one_at_a_time()) as (url, _):
            return await load(url, streams=20, rate=rate, arrivals=arrivals, progress=False)

    return max(map(ttft_from_due_ns, asyncio.run(main())))


def test_a_closed_loop_hides_how_long_people_wait_for_a_server_that_is_too_slow() -> None:
    """50 a second is what the server can do; as 100 come in one, the last of 20 waits for half of them at least."""
    open_ns, closed_ns = slowest_ns("constant", rate=100), slowest_ns("closed(1)", rate=None)
    assert open_ns >= (20 * SERVING_S - 19 / 100) * 1e9
    assert closed_ns < open_ns / 2

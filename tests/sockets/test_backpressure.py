"""A client slower than the server, over real sockets: what each policy gives it, what the relay holds, who waits."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from streamkit.lab.client.pace import Reader
from streamkit.lab.client.record import record
from streamkit.lab.lab import Lab
from streamkit.lab.net.buffers import NETWORKS
from streamkit.lab.upstream import Script
from streamkit.parser import SSEParser
from streamkit.serving.server import Server
from streamkit.taps import StreamTaps, TapLog
from tests.rawsockets import WAIT_S, is_whole, read_answer, request
from tests.servers import connect, eventually

STATES = tuple(f"state {number:03}" for number in range(1, 301))
FAST = Script(STATES, first_piece_ms=1, gap_ms=1)
MB = 1_000_000
ONE_READ_BYTES = 256 * 1024  # what an event loop takes at once
OF_PARTS_BYTES = 8_192  # which the inbox counts beside the bytes: 256 for each part of 16 KiB or more


def ask(server: Server, **headers: str) -> socket.socket:
    """A connection on which the question has been asked."""
    connection = connect(server)
    connection.sendall(request("/ans", b"chat_history=hi", **{"accept": "text/event-stream", **headers}))
    return connection


def relay_of(lab: Lab) -> Server:
    assert lab.relay is not None
    return lab.relay


def slowly(lab: Lab, stall_s: float, **headers: str) -> tuple[bytes, list[dict[str, object]]]:
    """The head and the events of an answer of which nothing is read for `stall_s`, once it has begun."""
    with closing(ask(relay_of(lab), **headers)) as connection:
        begun = connection.recv(64)
        time.sleep(stall_s)
        head, _, body = (begun + read_answer(connection)).partition(b"\r\n\r\n")
    text = re.sub(rb"(?m)^[0-9a-f]+\r\n", b"", body).replace(b"\r\n", b"")
    return head, [json.loads(event.data) for event in SSEParser().feed(text)]


@pytest.fixture(scope="module")
def small() -> Iterator[Lab]:
    with Lab(FAST, network="small-buffers") as lab:
        yield lab


@pytest.mark.parametrize("policy", ["pause", "buffer(2000)", "coalesce(2000)", "disconnect(30)"])
def test_a_reader_that_stops_for_a_while_gets_everything_in_order(small: Lab, policy: str) -> None:
    head, events = slowly(small, 0.6, prefer=f'backpressure="{policy}"')
    assert f'preference-applied: backpressure="{policy}"'.encode() in head.lower()
    assert [event.get("text") for event in events[:-1]] == list(STATES)
    assert events[-1] == {"outcome": "complete", "pieces": len(STATES)}


def test_under_latest_sent_and_dropped_are_all_there_were_and_the_client_is_told(small: Lab) -> None:
    _, (*events, done) = slowly(small, 0.6, prefer="backpressure=latest")
    dropped = sum(int(str(event.get("dropped", 0))) for event in events)
    assert dropped == done["dropped"]
    assert len(events) == done["pieces"]
    assert len(events) + dropped == len(STATES)
    assert dropped > 50, "the reader stood still for longer than the stream lasts"
    assert events[-1]["text"] == STATES[-1], "the present state always arrives"
    texts = [event["text"] for event in events]
    assert texts == sorted(texts, key=str), "in order, none twice"
    assert len(set(texts)) == len(texts)


def test_plain_text_cannot_tell_what_is_missing_so_latest_is_not_applied(small: Lab) -> None:
    with closing(ask(relay_of(small), accept="text/plain", prefer="backpressure=latest")) as connection:
        answer = read_answer(connection)
    assert b"preference-applied" not in answer
    assert b"state 300" in answer


def test_a_request_gets_no_more_than_the_relay_allows_and_is_told_so() -> None:
    with Lab(Script("x"), network="small-buffers", max_pending_bytes=5000, write_stall_s=7) as lab:
        asked = [
            ("backpressure=buffer", b'backpressure="buffer(5000)"'),
            ('backpressure="coalesce(999999)"', b'backpressure="coalesce(5000)"'),
            ('backpressure="disconnect(60)"', b'backpressure="disconnect(7)"'),
        ]
        for prefer, applied in asked:
            assert b"preference-applied: " + applied in slowly(lab, 0, prefer=prefer)[0].lower()
        assert b"preference-applied" not in slowly(lab, 0, prefer="backpressure=everything")[0].lower()


def test_disconnect_cuts_a_reader_that_takes_nothing_for_so_long_and_the_cut_is_seen() -> None:
    with Lab(FAST, network="small-buffers", policy="disconnect(0.3)") as lab:
        relay = relay_of(lab)
        with closing(ask(relay)) as connection:
            begun = connection.recv(64)
            assert relay.app is not None
            served = relay.app.ctx.relay
            assert eventually(lambda: served.live == 0), "while nothing is read"
            assert not is_whole(begun + read_answer(connection))
        log = lab.upstream.app.ctx.sent[-1] if lab.upstream is not None and lab.upstream.app is not None else None
        assert log is not None
        assert eventually(lambda: log.ended)
        assert not log.finished, "the upstream is not held for nobody"


def test_pressure_reaches_the_upstream_under_pause_and_not_under_latest() -> None:
    """The stream that nothing holds tells how long the other has to be watched."""
    wrote, watch_s = {}, WAIT_S
    for policy in ("latest", "pause"):
        with Lab(FAST, network="small-buffers", policy=policy) as lab:
            assert lab.upstream is not None
            assert lab.upstream.app is not None
            with closing(ask(relay_of(lab))) as connection:
                begin = time.monotonic()
                connection.recv(64)
                log = lab.upstream.app.ctx.sent[-1]
                eventually(partial(getattr, log, "finished"), within_s=watch_s)
                wrote[policy], watch_s = len(log.sent_ns), 2 * (time.monotonic() - begin)
    assert wrote["pause"] < len(STATES) // 2
    assert wrote["latest"] == len(STATES)


def is_blocked(log: TapLog, stream_id: str) -> bool:
    taps = log.get(stream_id)
    return taps is not None and "relay.blocked_bytes" in taps.counts


def read_one_by_one(taps: StreamTaps) -> bool:
    """Each event in a read of its own: a machine that was busy makes one of two."""
    events = taps.taps["relay.read"].copy().events
    return list(events) == list(range(1, len(events) + 1))


def test_in_the_small_laboratory_the_relay_is_blocked_after_the_same_byte_in_every_run() -> None:
    """Events 8 ms apart, so that each is a read and a write of its own; runs in which they were not do not count."""
    blocked: list[int] = []
    with Lab(Script(["0123456789"] * 400, first_piece_ms=5, gap_ms=8), network="small-buffers") as lab:
        relay = relay_of(lab)
        assert relay.app is not None
        log = relay.app.ctx.relay.taps
        for stream_id in (f"run-{number}" for number in range(60)):
            with closing(ask(relay, x_stream_id=stream_id)):
                assert eventually(partial(is_blocked, log, stream_id))
                if read_one_by_one(log.get(stream_id)):
                    blocked.append(log.get(stream_id).counts["relay.blocked_bytes"])
            if len(blocked) == 10:
                break
    assert len(blocked) >= 3
    assert len(set(blocked)) == 1, blocked
    assert 0 < blocked[0] < 10_000


def test_a_reader_that_keeps_up_is_never_waited_for() -> None:
    with Lab(FAST) as lab:
        recording = asyncio.run(lab.post(chat_history="hi", accept="sse"))
    assert recording.text == "".join(STATES)
    assert "relay.blocked" not in recording.marks
    assert recording.counts["relay.peak_pending_bytes"] == 0


def resident_bytes(server: Server) -> int:
    assert server.process is not None
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * 4096


SLOW_S = 3.0
"""Time for a relay or an upstream that is not held to take all of it."""


@pytest.mark.parametrize(("network", "most_mb"), [("loopback-tcp", 10), ("small-buffers", 1)])
def test_200_mb_for_a_reader_of_10_kb_a_second_hold_the_upstream_and_cost_the_relay_little(
    network: str, most_mb: float
) -> None:
    script = Script(["x" * 9_999 + "\n"] * 20_000, first_piece_ms=0, gap_ms=0)
    with Lab(script, network=network, roles="processes", gauge_ms=0, trace=False) as lab:
        relay = relay_of(lab)
        with closing(ask(relay, x_stream_id="warm-up")) as connection:
            connection.recv(64)
            time.sleep(0.5)
        before = most = resident_bytes(relay)
        with closing(ask(relay, x_stream_id="slow")) as connection:
            read, until = 0, time.monotonic() + SLOW_S
            while time.monotonic() < until:
                read += len(connection.recv(500))
                time.sleep(0.05)
                most = max(most, resident_bytes(relay))
        assert lab.upstream is not None
        told = asyncio.run(record(f"{lab.upstream.url}/sent", method="GET", total_s=WAIT_S))
        sent = len(json.loads(told.body or b"[]")[-1]["sent_ns"])
    assert read > SLOW_S * 10_000 / 2, "the client is slow, not dead"
    assert sent < 10_000, (
        "of 20,000: the upstream is held, but for what the buffers of two hops take (each up to 38 MB)"
    )
    assert most - before < most_mb * MB


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_flood_for_a_reader_that_never_reads_is_read_ahead_by_the_bound_and_one_read(loop: str) -> None:
    bound = 65_536
    flood = Script(["x" * 10_000] * 600, first_piece_ms=1, gap_ms=0)
    with Lab(flood, loop=loop, read_ahead_bytes=bound, send_buffer_bytes=65_536, gauge_ms=2) as lab:
        asked = lab.ask("hi", accept="sse", reader=Reader.never(), total_s=0.7)
        gauges = asyncio.run(asked).gauges
    most = {name: max(gauges[f"relay.{name}"].value) for name in ("inbox", "pending", "buffer")}
    assert bound < most["inbox"] < bound + ONE_READ_BYTES + OF_PARTS_BYTES, "docs/relay.md tells the sum"
    assert most["pending"] + most["buffer"] < 3 * 65_536


def test_one_stalled_reader_does_not_hold_up_the_others() -> None:
    """Gaps of twenty healthy readers, p99, beside nobody and beside one that reads nothing."""
    script = Script(["x" * 200] * 20, first_piece_ms=20, gap_ms=25)
    with Lab(script, network=NETWORKS["small-buffers"], roles="processes", trace=False) as lab:

        async def healthy() -> float:
            asked = [lab.post("/ans", chat_history="hi", accept="sse", gauge_ms=0) for _ in range(20)]
            recordings = await asyncio.gather(*asked)
            assert all(recording.text == script.text for recording in recordings)
            return max(recording.summary().gap_p99_ms or 0.0 for recording in recordings)

        alone = min(asyncio.run(healthy()) for _ in range(2))
        with closing(ask(relay_of(lab))) as stalled:
            stalled.recv(64)
            beside = min(asyncio.run(healthy()) for _ in range(2))
    assert beside < 3 * alone + 25, "a loop that waits for one reader would hold the others for seconds"

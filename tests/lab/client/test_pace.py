"""Readers: when a client takes what. The decisions on a clock of numbers, then the real thing in few lines."""

from __future__ import annotations

import asyncio
import copy
import math
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.client.pace import Pace, Reader
from streamkit.lab.client.record import record
from streamkit.lab.lab import Lab
from streamkit.lab.upstream import Script
from streamkit.outcome import Outcome
from tests.rawsockets import LAST_CHUNK, SSE_HEAD, RawServer, chunk

SAYING = Script(["x" * 40] * 100, first_piece_ms=1, gap_ms=1)


# --- What a reader is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "<Reader: full speed>"),
        ({"bytes_per_s": 10_000}, "<Reader: 10000 bytes/s>"),
        ({"events_per_s": 2.5, "work_ms": 1}, "<Reader: 2.5 events/s, 1 ms of work per event>"),
        ({"pauses_s": {20: 3, 0: 1}}, "<Reader: 1 s pause after the head, 3 s pause after 20 events>"),
        ({"pauses_s": ((5, math.inf),)}, "<Reader: stops after 5 events>"),
    ],
)
def test_a_reader_says_what_it_does(given: dict[str, Any], told: str) -> None:
    reader = Reader(**given)
    assert repr(reader) == told
    assert copy.deepcopy(reader) == reader
    assert hash(reader) == hash(Reader(**given))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"bytes_per_s": 0}, {"events_per_s": -1}, {"bytes_per_s": math.inf}, {"work_ms": -1}, {"work_ms": math.nan}),
        *({"pauses_s": {-1: 1.0}}, {"pauses_s": {1: -1.0}}, {"pauses_s": {1: math.nan}}),
    ],
)
def test_a_pace_that_makes_no_sense_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"expected .*{next(iter(wrong))} as "):
        Reader(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"bytes_per_s": "10"}, {"events_per_s": True}, {"work_ms": None}, {"work_ms": "2"}, {"pauses_s": 3}),
        *({"pauses_s": {"20": 1.0}}, {"pauses_s": {20: "1"}}, {"pauses_s": {2.5: 1.0}}, {"pauses_s": {True: 1.0}}),
    ],
)
def test_a_pace_that_is_no_number_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"expected .*{next(iter(wrong))} as "):
        Reader(**wrong)


def test_a_slow_reader_reads_little_at_a_time() -> None:
    assert Reader(bytes_per_s=10_000).read_bytes == 500
    assert Reader(bytes_per_s=1).read_bytes == 64
    assert Reader(bytes_per_s=1e9).read_bytes == 16_384
    assert Reader.never().read_bytes == 64


# --- When it takes what ---------------------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(1, 500), min_size=1, max_size=100),
    late=st.lists(st.floats(0, 1.0), min_size=100, max_size=100),
)
def test_a_rate_is_kept_on_the_whole_also_where_timers_are_late(sizes: list[int], late: list[float]) -> None:
    pace, now = Pace(Reader(bytes_per_s=10_000), 0.0), 0.0
    for size, lateness in zip(sizes, late, strict=False):
        if wait_s := pace.read_wait_s(now):
            now += wait_s + lateness
        pace.reads(now)
        pace.took(size, now)
    assert pace.read_wait_s(now) == pytest.approx(max(0.0, sum(sizes) / 10_000 - now), abs=1e-6)


def test_who_had_nothing_to_take_does_not_make_up_for_it() -> None:
    pace = Pace(Reader(bytes_per_s=1000, events_per_s=1), 0.0)
    pace.reads(0.0)
    pace.took(500, 100.0)
    assert pace.read_wait_s(100.0) == pytest.approx(0.5, abs=0.06)
    pace.found(100.0)
    pace.handed(100.0)
    assert pace.event_wait_s(100.0) == pytest.approx(1.0)


def test_after_a_pause_the_pace_is_the_same_as_before() -> None:
    pace = Pace(Reader(bytes_per_s=1000, events_per_s=10, pauses_s={1: 60.0}), 0.0)
    pace.handed(0.0)
    pace.handed(60.0)
    pace.reads(60.0)
    pace.took(100, 60.0)
    assert pace.event_wait_s(60.0) == pytest.approx(0.1)
    assert pace.read_wait_s(60.0) == pytest.approx(0.1)


def test_events_are_handed_over_at_their_pace() -> None:
    pace, now, times = Pace(Reader(events_per_s=10), 0.0), 0.0, []
    for _ in range(5):
        now += pace.event_wait_s(now)
        times.append(now)
        pace.handed(now)
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_in_a_pause_nothing_is_handed_over_and_nothing_read() -> None:
    pace = Pace(Reader(pauses_s={0: 1.0, 2: 3.0}), 10.0)
    assert (pace.event_wait_s(10.0), pace.read_wait_s(10.0)) == (1.0, 1.0)
    for _ in range(2):
        assert pace.event_wait_s(11.0) == 0
        pace.handed(11.0)
    assert (pace.event_wait_s(12.0), pace.read_wait_s(12.0)) == (2.0, 2.0)
    assert pace.event_wait_s(14.0) == 0


def test_never_is_for_ever() -> None:
    assert Pace(Reader.never(), 0.0).read_wait_s(1e9) == math.inf


# --- The real thing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["loopback-tcp", "small-buffers"])
@pytest.mark.parametrize(
    "reader",
    [
        Reader(),
        Reader(bytes_per_s=20_000),
        Reader(events_per_s=200),
        Reader(pauses_s={30: 0.3}),
        Reader(work_ms=1),
        Reader(bytes_per_s=40_000, events_per_s=400, pauses_s={50: 0.1}, work_ms=0.5),
    ],
    ids=repr,
)
def test_every_reader_gets_everything_in_its_own_time(network: str, reader: Reader) -> None:
    pieces: list[str] = []
    with Lab(SAYING, network=network) as lab:
        recording = asyncio.run(lab.post(chat_history="hi", accept="sse", reader=reader, on_piece=pieces.append))
    assert recording.outcome == Outcome("complete")
    assert recording.text == SAYING.text == "".join(pieces)
    assert recording.meta["reader"] == repr(reader)
    handed = recording.events.handed_ns
    assert all(at <= by for at, by in zip(recording.events.at_ns, handed, strict=True))
    took_s = (handed[99] - handed[0]) / 1e9
    least_s = max(99 / (reader.events_per_s or 1e9), 99 * reader.work_ms / 1e3, sum(dict(reader.pauses_s).values()))
    assert took_s >= 0.95 * least_s
    size = sum(recording.reads.size)
    assert recording.ended_ns is not None
    assert recording.ended_ns / 1e9 >= 0.8 * size / (reader.bytes_per_s or 1e9)


def test_what_a_slow_reader_does_not_want_yet_waits_in_the_kernel_and_what_it_read_in_the_client() -> None:
    with Lab(SAYING, gauge_ms=5) as lab:
        narrow = asyncio.run(lab.post(chat_history="hi", accept="sse", reader=Reader(bytes_per_s=10_000)))
        lazy = asyncio.run(lab.post(chat_history="hi", accept="sse", reader=Reader(events_per_s=150)))
    most = {
        who: [max(recording.gauges[name].value) for name in ("client.unread", "client.backlog")]
        for who, recording in (("narrow", narrow), ("lazy", lazy))
    }
    assert most["narrow"][0] > 3000 > 600 > most["narrow"][1]
    assert most["lazy"][1] > 1000


def test_a_reader_that_never_reads_is_ended_by_the_total() -> None:
    with Lab(SAYING) as lab:
        recording = asyncio.run(lab.post(chat_history="hi", accept="sse", reader=Reader.never(), total_s=0.4))
    assert recording.outcome == Outcome("timeout", "total")
    assert sum(recording.reads.size) < 64
    assert recording.status == 200


def test_a_cut_during_a_pause_is_seen_when_reading_goes_on() -> None:
    def cut(connection: Any) -> None:
        connection.sendall(SSE_HEAD + chunk(b'data: {"text":"hi"}\n\n' * 3))

    with RawServer(cut) as server:
        recording = asyncio.run(record(server.url, preset="streamkit", reader=Reader(pauses_s={2: 0.2})))
    assert recording.outcome == Outcome("truncated")
    assert recording.text == "hihihi"
    assert recording.events.handed_ns[2] - recording.events.handed_ns[1] >= 200_000_000


def test_the_time_in_which_we_do_not_read_is_not_the_servers_silence() -> None:
    def patient(connection: Any) -> None:
        connection.sendall(
            SSE_HEAD + chunk(b'data: {"text":"hi"}\n\n') + chunk(b"event: done\ndata: {}\n\n") + LAST_CHUNK
        )

    timeout = httpx2.Timeout(5, read=0.2)
    with RawServer(patient) as server:
        asked = record(server.url, preset="streamkit", reader=Reader(pauses_s={1: 0.6}), timeout=timeout)
        assert asyncio.run(asked).outcome == Outcome("complete")


def test_what_a_listener_raises_comes_out_of_record_whoever_called_it() -> None:
    def fail(_: str) -> None:
        raise ZeroDivisionError("of the listener")

    with Lab(SAYING) as lab:
        for reader in (Reader(events_per_s=1000), Reader(pauses_s={0: 0.1})):
            asked = lab.post(chat_history="hi", accept="sse", reader=reader, on_piece=fail)
            with pytest.raises(ZeroDivisionError, match="of the listener"):
                asyncio.run(asyncio.wait_for(asked, 5))


def whole(connection: Any) -> None:
    connection.sendall(SSE_HEAD + chunk(b'data: {"text":"hi"}\n\n' * 50 + b"event: done\ndata: {}\n\n") + LAST_CHUNK)


@pytest.mark.parametrize("reader", [Reader(events_per_s=10), Reader(work_ms=50)])
def test_a_stream_that_its_reader_has_not_got_is_not_complete_and_the_total_holds(reader: Reader) -> None:
    with RawServer(whole) as server:
        recording = asyncio.run(record(server.url, preset="streamkit", reader=reader, total_s=0.5))
    assert recording.outcome == Outcome("timeout", "total")
    assert recording.ended_ns is not None
    assert 0.4e9 < recording.ended_ns < 5e9


def test_a_server_cannot_leave_descriptors_with_a_paced_reader(tmp_path: Path) -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            with gift_path.open("w") as gift:
                socket.send_fds(
                    connection, [SSE_HEAD + chunk(b"event: done\ndata: {}\n\n") + LAST_CHUNK], [gift.fileno()]
                )

    path, gift_path = str(tmp_path / "s"), tmp_path / "gift"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        asyncio.run(record(f"http+unix://{quote(path, safe='')}/", preset="streamkit", reader=Reader(bytes_per_s=1e6)))
        thread.join()
    assert str(gift_path) not in {str(descriptor.resolve()) for descriptor in Path("/proc/self/fd").iterdir()}


def test_a_client_of_ones_own_has_its_own_pace_and_who_stops_for_ever_needs_an_end() -> None:
    async def with_client() -> None:
        async with httpx2.AsyncClient() as client:
            await record("http://127.0.0.1:9", reader=Reader(), client=client)

    with pytest.raises(TypeError, match="a client of your own reads at its own pace"):
        asyncio.run(with_client())
    with pytest.raises(TypeError, match="expected total_s="):
        asyncio.run(record("http://127.0.0.1:9", reader=Reader.never()))

"""Record, replay, record again: on real sockets, what was recorded is what is recorded then."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import streamkit as sk
from streamkit.lab.upstream.fault_base import Fault
from streamkit.presets import presets
from tests.rawsockets import LAST_CHUNK, RawServer, chunk
from tests.servers import ROOT

pytestmark = pytest.mark.usefixtures("nothing_left")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
PIECES = ["Tea ", "is ", "床", "前", " good", "."]


def record(url: str, **given: Any) -> sk.Recording:
    return asyncio.run(sk.record(url, **{"data": {"question": "hi"}, "timeout": 0.4, **given}))


def recorded(script: sk.Script, **given: Any) -> sk.Recording:
    with sk.serve(partial(sk.create_upstream, script)) as server:
        return record(server.url, **given)


def replayed(one: sk.Recording, speed: float = 1.0, **given: Any) -> sk.Recording:
    return recorded(sk.Script.from_recording(one, speed), **given)


def seen(one: sk.Recording) -> tuple[Any, ...]:
    """All that has to agree; neither times, nor how TCP cut what was sent in one go."""
    headers = {name: value for name, value in one.headers.items() if name not in ("connection", "date", "x-stream-id")}
    fields = (one.outcome, one.error, one.finish_reason, one.status, one.preset, headers, one.content_type)
    columns = (list(one.events.text), list(one.events.event), list(one.events.data), list(one.events.id))
    return (*fields, *columns, one.body, one.meta["wire_end"], one.meta["framing"])


F = sk.faults
ENDS: dict[str, tuple[list[Fault], str, str]] = {
    "whole": ([], "complete", "clean"),
    "closed": ([F.Cut(3)], "truncated", "fin"),
    "reset": ([F.Cut(3, how="rst")], "truncated", "reset"),
    "reset before the head": ([F.Cut(0, how="rst")], "truncated", "reset"),
    "no end marker": ([F.NoEnd()], "truncated", "clean"),
    "an error event": ([F.ErrorEvent(3)], "error_event(overloaded_error)", "clean"),
    "silence": ([F.Stall(3, ms=60_000)], "timeout(idle)", "open"),
    "silence from the start": ([F.NoAnswer()], "timeout(first_piece)", "open"),
    "less than its length": ([F.WrongLength(5)], "complete", "fin"),  # behind [DONE]
    "refused": ([F.Status(429, retry_after=7)], "refused(429)", "clean"),
    "no content": ([F.Status(204)], "complete", "clean"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_ends_as_it_ended_when_it_was_recorded(end: str) -> None:
    faults, outcome, wire_end = ENDS[end]
    first = recorded(sk.Script(PIECES, 10, 15, preset="openai", faults=faults))
    assert (str(first.outcome), first.meta["wire_end"]) == (outcome, wire_end)
    assert seen(replayed(first)) == seen(first)


def test_each_answer_has_a_name_of_its_own_under_which_its_taps_are_found() -> None:
    first = recorded(sk.Script(PIECES, 1, 1, preset="streamkit"))
    with sk.serve(partial(sk.create_upstream, sk.Script.from_recording(first))) as server:
        one, other = (record(server.url, taps=True) for _ in range(2))
        assert record(server.url, headers={"x-stream-id": "mine"}).headers["x-stream-id"] == "mine"
    assert len({each.headers["x-stream-id"] for each in (first, one, other)}) == 3
    assert "upstream.sent" in one.taps
    assert "upstream.sent" in other.taps


@pytest.mark.parametrize("preset", presets())
def test_each_provider_s_stream_comes_back_to_the_byte(preset: str) -> None:
    first = recorded(sk.Script(PIECES, 0, 1, preset=preset), preset=preset)
    again = replayed(first, preset=preset)
    assert (first.outcome.ok, again.text) == (True, first.text)
    assert seen(again) == seen(first)


def test_reads_that_lie_apart_are_cut_as_they_were() -> None:
    first = recorded(sk.Script(["a"] * 12, 30, 30))
    assert len(first.reads) >= 8, "the machine was too busy for this test to say anything"
    again = replayed(first)
    whole = {int(end) for end in np.cumsum(first.reads.size)}
    assert {int(end) for end in np.cumsum(again.reads.size)} <= whole


def test_it_takes_as_long_as_it_took_and_half_of_it_at_twice_the_speed() -> None:
    first = recorded(sk.Script(["a"] * 6, 100, 100))
    spans_ms = [one.events.at_ns[-1] / 1e6 for one in (replayed(first), replayed(first, speed=2))]
    assert spans_ms[0] > 550
    assert 275 < spans_ms[1] < 0.8 * spans_ms[0]


def test_a_refusal_has_its_body_and_says_when_to_come_back() -> None:
    again = replayed(recorded(sk.Script(faults=[F.Status(429, retry_after=7)])))
    assert (again.status, again.headers["retry-after"]) == (429, "7")
    assert again.body == b'{"error":{"code":"429","message":"scripted error"}}'


def test_an_encoded_body_is_sent_as_it_came_under_the_name_of_its_coding() -> None:
    squeeze = zlib.compressobj(wbits=31)
    events = [b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % number for number in range(5)]
    parts = [squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH) for data in [*events, b"data: [DONE]\n\n"]]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked"

    def answer(connection: socket.socket) -> None:
        for part in (head + b"\r\n\r\n", *map(chunk, parts), chunk(squeeze.flush()), LAST_CHUNK):
            connection.sendall(part)

    with RawServer(answer) as server:
        first = record(server.url, accept_encoding="gzip")
    again = replayed(first, accept_encoding="gzip")
    assert first.body is not None
    assert gzip.decompress(first.body).startswith(events[0])
    assert (again.headers["content-encoding"], again.text) == ("gzip", "01234")
    assert seen(again) == seen(first)


def test_what_only_a_close_ends_ends_by_a_close() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        connection.sendall(b"data: [DONE]\n\n")

    with RawServer(answer) as server:
        first = record(server.url, preset="openai")
    assert (first.meta["framing"], first.meta["wire_end"]) == ("close", "fin")
    assert seen(replayed(first, preset="openai")) == seen(first)


def test_a_recorded_get_is_answered_to_get() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 10\r\n\r\ndata: hi\n\n"
        )

    with RawServer(answer) as server:
        first = record(server.url, method="GET", data=None)
    assert first.meta["method"] == "GET"
    assert seen(replayed(first, method="GET", data=None)) == seen(first)


def test_a_lab_relays_a_recording_as_it_relays_a_script() -> None:
    first = recorded(sk.Script(PIECES, 20, 20, preset="openai"))
    script = sk.Script.from_recording(first)
    with sk.Lab(script) as lab:
        relayed = asyncio.run(lab.ask("hi", accept="sse"))
    assert (relayed.outcome.ok, relayed.text) == (True, script.expected_text)
    seen_by = ("upstream.due", "upstream.sent", "relay.event", "relay.sent")
    assert [relayed.taps[name].events[-1] for name in seen_by] == [len(PIECES)] * len(seen_by)


def test_a_saved_recording_is_replayed_as_well(tmp_path: Path) -> None:
    first = recorded(sk.Script(PIECES, 0, 5, preset="anthropic"))
    first.save(tmp_path / "stream.jsonl")
    assert seen(replayed(sk.Recording.load(tmp_path / "stream.jsonl"))) == seen(first)


def test_the_command_serves_it_until_it_is_stopped(tmp_path: Path) -> None:
    first = recorded(sk.Script(PIECES, 0, 5))
    first.save(tmp_path / "stream.jsonl")
    command = [sys.executable, "-m", "streamkit", "replay", "stream.jsonl", "--port", "0", "--speed", "2"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            assert told.startswith("streamkit replay ready: http://127.0.0.1:")
            assert seen(record(told.split()[3])) == seen(first)
        finally:
            process.terminate()
        assert process.wait(10) == 0

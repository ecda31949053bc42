"""A small soak, and the instruments of the large one (`python -m campaigns.soak`)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from campaigns import soak
from campaigns.visitor import (
    HOWS,
    NDJSON,
    PHASES,
    SSE,
    TEXT,
    Leave,
    Phase,
    Reading,
    Unreadable,
    parse,
    post,
    read,
    visit,
)
from campaigns.watched import Census, Ticker, idle_process
from tests.rawsockets import LAST_CHUNK, RawServer, chunk
from tests.servers import alive, eventually

ROOT = Path(__file__).parents[2]
REST = Census(4, 17, 0, 0, 0, 50 * soak.MEBI, 50 * soak.MEBI, 0.01, 0.01, [], [])


# --- The soak -------------------------------------------------------------------------------------------------------


def test_a_soak_leaves_nothing_behind_and_every_stream_that_was_not_left_is_whole() -> None:
    """Times and memory are judged by the full one: here they only have to be measured."""
    found = soak.soak(soak.QUICK)
    assert found.report.wrong == []
    assert found.report.streams == soak.QUICK.streams
    assert found.report.complete == soak.QUICK.streams // 2
    assert {phase for phase, _ in found.report.left} == set(PHASES)
    assert {how for _, how in found.report.left} == set(HOWS)
    assert found.back_s is not None, f"{found.start.counts} before, {found.end.counts} afterwards"
    assert found.end.alarms == []
    assert (found.report.leaked, found.end.leaked) == (0, [])
    assert 0 < found.stream_bytes < soak.MAX_STREAM_BYTES
    assert found.end.stall_s > 0
    assert found.idle.stall_s > 0


def test_a_broken_claim_is_printed_and_ends_with_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    report = soak.Report(complete=2, seconds=1.0)
    whole = soak.Outcome(30_000.0, report, REST, REST, 0.0, 5.0, REST)
    assert soak.show(whole)
    broken = {
        "streams wrong": replace(whole, report=soak.Report(wrong=["stream 7"], seconds=1.0)),
        "tasks, descriptors": replace(whole, back_s=None),
        "drift": replace(whole, end=replace(REST, resident_bytes=61 * soak.MEBI)),
        "worst stall": replace(whole, end=replace(REST, own_stall_s=0.26)),
        "memory per live": replace(whole, stream_bytes=263_000.0),
        "canary": replace(whole, end=replace(REST, leaked=["sanic.root"])),
        "errors logged": replace(whole, end=replace(REST, alarms=["a bug"])),
    }
    for claim, outcome in broken.items():
        capsys.readouterr()
        assert not soak.show(outcome)
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.endswith("BROKEN")]
        assert line.startswith(claim)


def test_the_same_seed_makes_the_same_visits_and_half_of_them_leave() -> None:
    visits = soak.visits(1000, seed=7)
    assert visits == soak.visits(1000, seed=7) != soak.visits(1000, seed=8)
    assert sum(each.leave is not None for each in visits) == 500
    assert {(each.leave.phase, each.leave.how) for each in visits if each.leave} == {
        (p, h) for p in PHASES for h in HOWS
    }


def test_a_question_leads_to_its_script_in_whatever_shape_the_relay_asks() -> None:
    for each in soak.visits(50, seed=1):
        assert soak.script_of(b'{"messages":[{"content":"%b"}]}' % each.question.encode()).text.encode() == each.text


@pytest.mark.parametrize("module", ["campaigns.soak", "campaigns.faults"])
def test_ctrl_c_ends_it_with_all_its_processes(module: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--concurrency", "5"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    group = process.pid
    try:
        assert eventually(lambda: len(members(group)) >= 3), "its servers did not start"
        children = members(group)
        os.killpg(group, signal.SIGINT)
        assert process.wait(20) == 130
        assert eventually(lambda: not any(map(alive, children)))
    finally:
        process.kill()
        process.wait()


def members(group: int) -> list[int]:
    """The processes of a group."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in pids if alive(pid) and pid_group(pid) == group]


def pid_group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


# --- The ticker -----------------------------------------------------------------------------------------------------


def test_a_ticker_sees_for_how_long_a_loop_had_no_time() -> None:
    async def block() -> Ticker:
        ticker = Ticker()
        task = asyncio.create_task(ticker.run())
        await asyncio.sleep(0.05)
        ticker.forget()
        time.sleep(0.2)  # noqa: ASYNC251  # that is the point
        await asyncio.sleep(0.05)
        task.cancel()
        return ticker

    ticker = asyncio.run(block())
    assert ticker.worst_s >= ticker.own_s
    assert ticker.worst_s >= 0.18


def test_a_census_counts_and_forgets() -> None:
    with idle_process() as idle:
        first = idle.census(forget=True)
        second = idle.census()
        assert second.is_back_to(first)
        assert not first.is_back_to(replace(first, tasks=first.tasks - 1))
        assert not first.is_back_to(replace(first, descriptors=first.descriptors - 1))
        assert second.peak_bytes >= second.resident_bytes // 2 > 1_000_000
        assert idle.until(lambda _: False, within_s=0.1)[1] is None


# --- The reader -----------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def answer(accept: str, *chunks: bytes, end: bytes = LAST_CHUNK) -> bytes:
    return HEAD % accept.encode() + b"".join(map(chunk, chunks)) + end


PIECE = {TEXT: b"hi", SSE: b'id: 1\ndata: {"text":"hi"}\n\n', NDJSON: b'{"text":"hi"}\n'}
DONE = {
    TEXT: b"",
    SSE: b'event: done\ndata: {"outcome":"complete","pieces":1}\n\n',
    NDJSON: b'{"done":{"outcome":"complete","pieces":1}}\n',
}
FAILED = {SSE: b'event: error\ndata: {"code":"c","outcome":"o"}\n\n', NDJSON: b'{"error":{"code":"c","outcome":"o"}}\n'}


@pytest.mark.parametrize("accept", [TEXT, SSE, NDJSON])
def test_an_answer_is_complete_by_its_own_proof_and_not_one_byte_before(accept: str) -> None:
    whole = answer(accept, PIECE[accept], *filter(None, [DONE[accept]]))
    assert read(whole, accept).complete
    assert read(whole, accept).text == b"hi"
    proof = len(LAST_CHUNK) if accept == TEXT else len(LAST_CHUNK) + 2  # behind it stand CRLFs and the last chunk
    for end in range(len(whole) - proof):
        assert not read(whole[:end], accept).complete
        assert b"hi".startswith(read(whole[:end], accept).text)


@pytest.mark.parametrize("accept", [SSE, NDJSON])
def test_an_error_is_no_end(accept: str) -> None:
    assert read(answer(accept, PIECE[accept], FAILED[accept]), accept) == Reading(200, False, b"hi", "c", "o")


def test_a_problem_is_read() -> None:
    body = b'{"code":"c","outcome":"refused(503)"}'
    head = b"HTTP/1.1 503 Busy\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert read(head + body, TEXT) == Reading(503, False, code="c", outcome="refused(503)")
    assert read(head + body[:-1], TEXT) == Reading(503, False)
    assert read(b"", TEXT) == Reading(None, False)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\na: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        answer(TEXT, b"a") + b"b",
        answer(TEXT, end=b"zz\r\na\r\n"),
        answer(TEXT, end=b"1\r\nabc\r\n"),
        answer("text/html", b"a"),
    ],
)
def test_an_answer_against_the_rules_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read(data, TEXT)


@pytest.mark.parametrize(
    "chunks",
    [
        [DONE[SSE], PIECE[SSE]],
        [DONE[SSE], FAILED[SSE]],
        [PIECE[SSE]],
        [b"event: other\ndata: {}\n\n"],
        [b"what: is this\n\n"],
        [b'data: {"words":"hi"}\n\n'],
    ],
)
def test_a_stream_of_events_with_two_ends_or_none_is_unreadable(chunks: list[bytes]) -> None:
    with pytest.raises(Unreadable):
        read(answer(SSE, *chunks), SSE)


def test_heartbeats_are_no_events() -> None:
    assert read(answer(SSE, b":\n\n", PIECE[SSE], b":\n\n", DONE[SSE]), SSE).complete
    assert read(answer(NDJSON, b"\n", PIECE[NDJSON], DONE[NDJSON]), NDJSON).text == b"hi"


def test_a_chunk_that_has_come_in_part_is_in_the_body() -> None:
    assert parse(answer(TEXT, b"abc", end=b"5\r\nde")).body == b"abcde"


# --- The visitor ----------------------------------------------------------------------------------------------------


def test_a_visitor_leaves_where_and_how_it_is_told() -> None:
    seen: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        connection.sendall(answer(TEXT, b"hi", end=b""))
        try:
            seen.append(connection.recv(1) or b"FIN")
        except ConnectionResetError:
            seen.append(b"RST")

    for how in HOWS:
        with RawServer(behave) as server:
            address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
            found = asyncio.run(visit(address, post("/ans", "x", TEXT), leave=Leave("streaming", how, 1)))
        assert read(found.data, TEXT).text == b"hi"
    assert seen == [b"FIN", b"RST", b"FIN"]


@pytest.mark.parametrize("phase", ["head", "body"])
def test_a_visitor_that_leaves_early_has_not_asked(phase: Phase) -> None:
    asked = post("/ans", "a question", TEXT)
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(visit(listener.getsockname(), asked, leave=Leave(phase, "FIN", 0.5)))
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(4096):
                got.append(data)
    sent = b"".join(got)
    assert asked.startswith(sent)
    assert (b"\r\n\r\n" in sent) == (phase == "body")
    assert sent != asked

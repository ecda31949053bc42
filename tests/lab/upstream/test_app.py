"""The scripted upstream on real sockets: its queues, its logs, and scripts with faults, written past the server."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from streamkit.errors import EncodeError
from streamkit.lab.client.record import record
from streamkit.lab.net import Network
from streamkit.lab.upstream import app as upstream
from streamkit.lab.upstream.app import SentLog, create_upstream
from streamkit.lab.upstream.fault_base import Fault
from streamkit.lab.upstream.faults import (
    BadChunk,
    Cut,
    Garbage,
    Heartbeats,
    HugeEvent,
    Interim,
    Merge,
    NoAnswer,
    Split,
    Stall,
    WrongLength,
)
from streamkit.lab.upstream.script import POEM, Script
from streamkit.lab.upstream.steps import Step
from streamkit.serving.server import Server, serve
from streamkit.sockets import unread_bytes
from tests.rawsockets import is_whole, read_answer, request
from tests.scripted import A, script, wires
from tests.servers import connect, eventually, rest_of


def test_lateness_is_sent_minus_due() -> None:
    log = SentLog(started_ns=0, asked=b"")
    log.due_ns.extend([1_000_000, 2_000_000])
    log.sent_ns.extend([1_500_000, 83_000_000])
    assert log.lateness_ms() == [0.5, 81.0]
    assert repr(log) == "<SentLog unfinished: 2 events, at most 81.0 ms late>"


def test_what_a_format_cannot_carry_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(EncodeError):
        create_upstream(Script(["good", "a\rb"], preset="replicate"))


# --- Its buffers and gauges -----------------------------------------------------------------------------------------

LINUX = sys.platform == "linux"  # elsewhere the kernel tells nothing of its queues
SMALL = Network.of("small-buffers")
OFFER = Script(["x" * 10_000] * 1000, first_piece_ms=0, gap_ms=0)  # more than TCP absorbs
EVERYWHERE = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
create_held = partial(
    create_upstream, OFFER, send_buffer_bytes=SMALL.send_buffer_bytes, write_buffer_bytes=SMALL.write_buffer_bytes
)


@contextmanager
def asked(factory: Any, **where: Any) -> Iterator[tuple[socket.socket, SentLog, int]]:
    """A reader that has taken the head of the answer, the upstream's log, and how much of the body came with it."""
    with serve(factory, **where) as server, connect(server) as reader:
        reader.sendall(request("/", b""))
        begin = b""
        while b"\r\n\r\n" not in begin:
            begin += reader.recv(1000)
        assert server.app is not None
        log: SentLog = server.app.ctx.sent[-1]
        yield reader, log, len(begin.partition(b"\r\n\r\n")[2])
        reader.close()
        assert eventually(lambda: log.ended)


def latest(log: SentLog) -> dict[str, int]:
    assert log.gauges is not None
    return {name: column[-1] for name, column in log.gauges.as_dict()["columns"].items()}


@EVERYWHERE
@pytest.mark.parametrize("taken", [0, 1, 5_000, 50_000])
def test_on_a_unix_socket_what_was_written_and_not_taken_lies_in_the_gauges_to_the_byte(loop: str, taken: int) -> None:
    with asked(partial(create_held, gauge_ms=1), unix=True, loop=loop) as (reader, log, came):
        while came < taken:
            came += len(reader.recv(taken - came))

        def rest() -> int:
            now = latest(log)
            return now["upstream.wrote"] - came - now["upstream.buffer"] - (unread_bytes(reader) or 0)

        assert eventually(lambda: latest(log)["upstream.buffer"] > 0 and (rest() == 0 or not LINUX))
        assert not log.finished


@EVERYWHERE
def test_on_tcp_bytes_that_have_come_count_twice_until_they_are_acknowledged(loop: str) -> None:
    with asked(partial(create_upstream, OFFER, gauge_ms=1), loop=loop) as (reader, log, came):
        came += len(reader.recv(5000))

        def agrees() -> bool:
            now, unread = latest(log), unread_bytes(reader) or 0
            written = now["upstream.wrote"] - came
            return written <= now["upstream.buffer"] + now["upstream.unsent"] + unread <= written + unread

        assert eventually(lambda: latest(log)["upstream.buffer"] > 65_536)
        assert eventually(agrees) or not LINUX
        assert latest(log)["upstream.wrote"] > 1_000_000


def test_with_small_buffers_the_script_is_held_after_the_same_byte_in_ten_runs() -> None:
    wrote = set()
    for loop in ("asyncio", "uvloop"):
        for _ in range(5):
            with asked(partial(create_held, gauge_ms=1), unix=True, loop=loop) as (_, log, came):
                assert eventually(lambda log=log: latest(log)["upstream.buffer"] > 0)  # type: ignore[misc]  # bound now
                wrote.add((latest(log)["upstream.wrote"], came))
    assert len(wrote) == 1


def test_the_counter_ends_at_the_size_of_the_body_with_its_framing() -> None:
    with serve(partial(create_upstream, Script(POEM, 0, 0), gauge_ms=1)) as server, connect(server) as reader:
        reader.sendall(request("/", b""))
        body = read_answer(reader).partition(b"\r\n\r\n")[2]
        assert server.app is not None
        log: SentLog = server.app.ctx.sent[-1]
        assert eventually(lambda: log.ended)
        assert latest(log)["upstream.wrote"] == log.wrote_bytes == len(body)
        assert log.taps().gauges is log.gauges
        assert (log.finished, log.cut, log.how) == (True, False, "finished")


def test_a_reader_that_leaves_has_left() -> None:
    with asked(create_held) as (_, log, _):
        assert log.how == "running"
    assert (log.finished, log.cut, log.how) == (False, False, "left")


def test_gauges_are_kept_of_the_last_streams_that_ended_and_not_at_all_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "REMEMBERED_GAUGES", 2)
    for gauge_ms, kept in ((0, [False] * 4), (5, [False, False, True, True])):
        with serve(partial(create_upstream, Script(["a"], 0), gauge_ms=gauge_ms)) as server, connect(server) as reader:
            for _ in range(4):
                reader.sendall(request("/", b""))
                read_answer(reader)
            assert server.app is not None
            logs: list[SentLog] = list(server.app.ctx.sent)
            assert eventually(lambda logs=logs: logs[-1].ended)  # type: ignore[misc]  # bound now
            assert [log.gauges is not None for log in logs] == kept


@pytest.mark.parametrize("setting", ["send_buffer_bytes", "write_buffer_bytes", "gauge_ms"])
def test_negative_settings_are_refused_by_name(setting: str) -> None:
    with pytest.raises(ValueError, match=f"expected {setting} as"):
        create_upstream(**{setting: -1})  # type: ignore[arg-type]  # mypy cannot see which


# --- What SDKs ask for beside streams: tests/sockets/test_sdks.py runs them -------------------------------------------


def planned(steps: Sequence[Step]) -> list[bytes]:
    return [step.framed for step in steps]


def json_of(server: Server, body: object, path: str = "/", method: str = "POST") -> tuple[bytes, bytes]:
    """Head and body of the answer to a JSON body; chunks are taken off."""
    data = json.dumps(body).encode()
    asked = request(path, data, **{"content-type": "application/json"}).replace(b"POST", method.encode(), 1)
    with connect(server) as reader:
        reader.sendall(asked)
        head, _, rest = read_answer(reader).partition(b"\r\n\r\n")
    return head, b"".join(re.findall(rb"(?m)^[{\[].*$", rest))


def test_an_answer_without_a_stream_comes_whole_when_the_last_piece_is_due() -> None:
    given = Script(["床前", "明月光"], 20, 30, preset="openai")
    with serve(partial(create_upstream, given)) as server:
        head, body = json_of(server, {"model": "m", "messages": [], "stream": False}, "/v1/chat/completions")
        assert b"content-type: application/json\r\n" in head + b"\r\n"
        assert json.loads(body)["choices"][0]["message"]["content"] == "床前明月光"
        log = log_of(server)
        assert eventually(lambda: log.how == "finished")
        assert log.due_ns.tolist() == [log.started_ns + 50_000_000]
        assert log.sent_ns[0] >= log.due_ns[0]
        assert log.taps().as_dict()["taps"]["upstream.sent"]["bytes"][-1] == len("床前明月光".encode())


@pytest.mark.parametrize(
    "body", [{"model": "m", "stream": True}, {"question": "hi"}, ["stream", False], "stream=false", None], ids=str
)
def test_all_else_is_answered_with_the_stream(body: object) -> None:
    given = Script(["a"], 0, preset="openai")
    with serve(partial(create_upstream, given)) as server:
        head, _ = json_of(server, body)
        assert b"text/event-stream" in head
        assert planned(log_of(server).steps) == planned(given.steps())


def test_usage_comes_to_whoever_asks_for_it_and_not_to_the_next() -> None:
    given = Script(["a"], 0, preset="openai")
    with serve(partial(create_upstream, given)) as server:
        for asks in (True, False):
            json_of(server, {"model": "m", "stream": True, "stream_options": {"include_usage": asks}})
            assert len(log_of(server).steps) == len(given.steps()) + asks


def test_a_script_with_faults_goes_as_planned_whatever_is_asked() -> None:
    given = script(Split(1), preset="openai", gap_ms=0)
    with serve(partial(create_upstream, given)) as server:
        json_of(server, {"model": "m", "stream": False})
        assert planned(log_of(server).steps) == planned(given.steps())


@pytest.mark.parametrize("path", ["/models", "/v1/models"])
@pytest.mark.parametrize(("preset", "kind"), [("openai", "object"), ("seed", "object"), ("anthropic", "type")])
def test_its_one_model_is_listed(preset: str, kind: str, path: str) -> None:
    with serve(partial(create_upstream, Script(["a"], 0, preset=preset))) as server:
        _, body = json_of(server, None, path, "GET")
        (model,) = json.loads(body)["data"]
        assert (model["id"], model[kind]) == ("script", "model")
        assert server.app is not None
        assert not server.app.ctx.sent


# --- A script with faults, past the server ----------------------------------------------------------------------------


@contextmanager
def faulty(given: Script, **where: Any) -> Iterator[tuple[socket.socket, Server]]:
    """A connection on which the scripted upstream was asked."""
    with serve(partial(create_upstream, given), **where) as server, connect(server) as reader:
        reader.sendall(request("/", b"x=1"))
        yield reader, server


def log_of(server: Server) -> SentLog:
    assert server.app is not None
    assert eventually(lambda: len(server.app.ctx.sent) > 0)  # type: ignore[union-attr]  # narrowed above
    log: SentLog = server.app.ctx.sent[-1]
    return log


@EVERYWHERE
@pytest.mark.parametrize(
    "fault",
    [Split(1, 1), Merge(1, 3), WrongLength(-5), WrongLength(5), BadChunk(2), BadChunk(2, "long"), Cut(2, inside=True)],
    ids=repr,
)
def test_a_client_gets_exactly_the_planned_bytes_and_then_the_end(fault: Fault, loop: str) -> None:
    given = script(fault, Interim(1), gap_ms=0)
    with faulty(given, loop=loop) as (reader, server):
        assert rest_of(reader) == b"".join(step.framed for step in given.steps())
        log = log_of(server)
        assert eventually(lambda: log.ended)
        assert log.how == ("cut" if given.steps()[-1].kind == "fin" else "finished")
        assert len(log.sent_ns) == len(log.due_ns) == len(given.steps())
        assert log.wrote_bytes == len(b"".join(wires(given)))


@EVERYWHERE
@pytest.mark.parametrize("inside", [False, True])
def test_a_reset_comes_behind_all_that_was_sent(loop: str, inside: bool) -> None:
    given = script(Cut(3, "rst", inside), Merge(2, 2), pieces=("x" * 200_000, "b", "c"), gap_ms=0)
    with faulty(given, loop=loop) as (reader, server):
        got: list[bytes] = []
        with pytest.raises(ConnectionResetError):
            got.extend(iter(partial(reader.recv, 65536), b""))
        assert b"".join(got) == b"".join(step.framed for step in given.steps())
        assert log_of(server).how == "cut"


def test_on_a_unix_socket_a_reset_is_an_end() -> None:
    with faulty(script(Cut(2, "rst")), unix=True) as (reader, _):
        assert rest_of(reader).endswith(A)


@pytest.mark.parametrize("fault", [Merge(1, 3), Split(2), Heartbeats(1, 1, 3)], ids=repr)
def test_each_step_is_one_write_but_merged_ones_leave_together(fault: Fault) -> None:
    writes: list[bytes] = []
    free = asyncio.Event()
    free.set()
    steps = script(fault, gap_ms=0).steps()

    async def perform() -> None:
        leave = asyncio.Event()
        transport = SimpleNamespace(
            write=writes.append,
            is_closing=lambda: False,
            get_extra_info=lambda _: None,
            close=leave.set,
        )
        protocol = SimpleNamespace(transport=transport, _can_write=free)
        request: Any = SimpleNamespace(transport=transport, stream=SimpleNamespace(stage=None), protocol=protocol)
        log = SentLog(time.monotonic_ns(), b"", "", steps)
        task = asyncio.ensure_future(upstream._perform(request, log))
        await leave.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert log.how == "finished"

    asyncio.run(perform())
    head, *events, end = (step.framed for step in steps)
    assert writes == [head, *([b"".join(events)] if isinstance(fault, Merge) else events), end]


@EVERYWHERE
@pytest.mark.parametrize("fault", [NoAnswer(), Stall(0, 3_600_000), Stall(2, 3_600_000)], ids=repr)
def test_an_upstream_that_is_silent_ends_when_its_asker_leaves(fault: Fault, loop: str) -> None:
    with faulty(script(fault), loop=loop) as (reader, server):
        log = log_of(server)
        assert (log.how, log.ended) == ("running", False)
        reader.close()
        assert eventually(lambda: log.ended)
        assert log.how == "left"
        with connect(server) as other:
            other.sendall(request("/", b"").replace(b"POST /", b"GET /sent"))
            assert b'"how":"left"' in read_answer(other)


def test_an_upstream_whose_reader_takes_nothing_is_held_and_ends_when_it_leaves() -> None:
    with faulty(script(HugeEvent(1, 100_000_000))) as (reader, server):
        log = log_of(server)
        assert eventually(lambda: log.wrote_bytes > 100_000)
        assert not log.ended
        reader.close()
        assert eventually(lambda: log.ended)
        assert (log.how, log.wrote_bytes < 50_000_000) == ("left", True)


def test_another_answer_comes_on_the_next_connection() -> None:
    with serve(partial(create_upstream, script(Garbage(1), gap_ms=0))) as server:
        for _ in range(3):
            with connect(server) as reader:
                reader.sendall(request("/", b""))
                assert is_whole(read_answer(reader))


# --- One upstream for many scripts ----------------------------------------------------------------------------------


def test_a_script_can_be_found_in_the_question() -> None:
    said = {b"first": Script(["one"], 0, 0), b"other": Script(["two"], 0, 0, faults=[Cut(1)])}
    with serve(partial(create_upstream, lambda body: said[body])) as server:
        whole, cut = (asyncio.run(record(server.url, content=body, preset="seed")) for body in (b"first", b"other"))
        assert server.app is not None
        asked = [(log.asked, log.how) for log in server.app.ctx.sent]
    assert (whole.text, whole.outcome.ok, str(cut.outcome)) == ("one", True, "truncated")
    assert asked == [(b"first", "finished"), (b"other", "cut")]


def test_a_stream_can_be_ended_by_whoever_has_its_log() -> None:
    script = Script(["word "] * 1_000, 0, 10)

    async def ended() -> Any:
        with serve(partial(create_upstream, script)) as server:
            asking = asyncio.create_task(record(server.url, content=b"hi", preset="seed"))
            await asyncio.sleep(0.3)
            assert server.app is not None
            assert server.loop is not None
            server.loop.call_soon_threadsafe(server.app.ctx.sent[-1].hang_up)
            return await asking

    assert str(asyncio.run(ended()).outcome) == "truncated"

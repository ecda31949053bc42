"""The scripted upstream: what it says and when is fixed by the script alone."""

from __future__ import annotations

import socket
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.errors import ConfigError, EncodeError, UnknownPreset
from streamkit.lab.net.buffers import network
from streamkit.lab.upstream import app as upstream
from streamkit.lab.upstream.app import SentLog, create_upstream
from streamkit.lab.upstream.script import POEM, Script, plan, split_text
from streamkit.serving.server import serve
from streamkit.sockets import unread_bytes
from tests.rawsockets import read_answer, request
from tests.servers import connect, eventually


@given(st.text(max_size=200), st.integers())
def test_pieces_join_to_the_text_for_any_seed(text: str, seed: int) -> None:
    pieces = split_text(text, seed)
    assert "".join(pieces) == text
    assert all(1 <= len(piece) <= 6 for piece in pieces)


def test_the_same_seed_cuts_alike_and_another_does_not() -> None:
    assert split_text(POEM, 1) == split_text(POEM, 1) != split_text(POEM, 2)


def test_without_jitter_the_pieces_are_due_on_an_even_grid() -> None:
    assert Script(["a", "b", "c"], first_piece_ms=300, gap_ms=50).due_ns() == [300_000_000, 350_000_000, 400_000_000]


@given(st.integers(), st.floats(0, 1000), st.floats(0, 100), st.floats(0, 500))
def test_jitter_moves_pieces_but_never_before_their_predecessor(
    seed: int, first_ms: float, gap_ms: float, jitter_ms: float
) -> None:
    script = Script(["x"] * 20, first_piece_ms=first_ms, gap_ms=gap_ms, jitter_ms=jitter_ms, seed=seed)
    due = script.due_ns()
    assert due == sorted(due)
    assert due[0] >= 0
    assert due == Script(["x"] * 20, first_piece_ms=first_ms, gap_ms=gap_ms, jitter_ms=jitter_ms, seed=seed).due_ns()


def test_the_plan_is_the_providers_stream_event_by_event() -> None:
    steps = plan(Script(["你", "好"], first_piece_ms=10, gap_ms=5, preset="openai"))
    assert [step.kind for step in steps].count("piece") == 2
    assert [step.due_ns for step in steps if step.kind == "piece"] == [10_000_000, 15_000_000]
    assert steps[-1].data == b"data: [DONE]\n\n"
    assert steps[-1].due_ns == 15_000_000


def test_a_script_without_pieces_still_opens_and_ends() -> None:
    assert {step.kind for step in plan(Script([], preset="openai"))} == {"open", "close"}


@pytest.mark.parametrize("field", ["first_piece_ms", "gap_ms", "jitter_ms"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_times_that_make_no_sense_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"expected {field} as milliseconds"):
        Script(**{field: value})  # type: ignore[arg-type]  # mypy cannot see which field


def test_an_empty_piece_is_refused() -> None:
    with pytest.raises(ValueError, match="non-empty strings"):
        Script(["a", ""])


def test_an_unknown_wire_format_is_refused_when_the_script_is_written() -> None:
    with pytest.raises(UnknownPreset, match="openai"):
        Script(preset="opnai")


def test_lateness_is_sent_minus_due() -> None:
    log = SentLog(started_ns=0, asked=b"")
    log.due_ns.extend([1_000_000, 2_000_000])
    log.sent_ns.extend([1_500_000, 83_000_000])
    assert log.lateness_ms() == [0.5, 81.0]
    assert repr(log) == "<SentLog unfinished: 2 events, at most 81.0 ms late>"


# --- A long script --------------------------------------------------------------------------------------------------


def test_the_bytes_of_a_long_script_are_never_in_memory_as_a_whole() -> None:
    pieces = [f"{number:05} {'x' * 10_000}" for number in range(1000)]
    script = Script(pieces, preset="openai")
    tracemalloc.start()
    try:
        steps = plan(script)
        assert sum(len(step.data) for step in steps) > 10_000_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


def test_what_a_format_cannot_carry_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(EncodeError):
        create_upstream(Script(["good", "a\rb"], preset="replicate"))


# --- Its buffers and gauges -----------------------------------------------------------------------------------------

LINUX = sys.platform == "linux"  # elsewhere the kernel tells nothing of its queues
SMALL = network("small-buffers")
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

        assert eventually(lambda: rest() == 0) or not LINUX
        assert latest(log)["upstream.buffer"] > 0
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
    with pytest.raises(ConfigError, match=f"expected {setting} as"):
        create_upstream(**{setting: -1})  # type: ignore[arg-type]  # mypy cannot see which

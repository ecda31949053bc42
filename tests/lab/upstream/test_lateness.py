"""How late the upstream was by itself: exact on columns made by hand, and told of real streams."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.metrics import percentile_ns
from streamkit.lab.net import Network
from streamkit.lab.upstream.app import SentLog, create_upstream
from streamkit.lab.upstream.faults import Stall
from streamkit.lab.upstream.lateness import own_lateness_ns, p95
from streamkit.lab.upstream.script import Script
from streamkit.serving.server import serve
from tests.rawsockets import read_answer, request
from tests.servers import connect, eventually

MS = 1_000_000
SMALL = Network.of("small-buffers")


def own(due: Sequence[float], ready: Sequence[float], sent: Sequence[float]) -> list[float]:
    return list(own_lateness_ns(*([round(at * MS) for at in column] for column in (due, ready, sent))))


def test_who_is_there_in_time_is_not_late() -> None:
    assert own([0, 5, 10], [0, 5, 10], [0, 5, 10]) == [0, 0, 0]


def test_an_upstream_that_its_reader_holds_back_is_not_blamed() -> None:
    """On time for 20 events; then each send waits for the reader, who has 10 events unread, until the stream's end."""
    reader = [index + 0.1 if index < 20 else 20 + (index - 20) * 8.0 for index in range(100)]
    due = [float(index) for index in range(100)]
    sent, ready = [0.0], [0.0]
    for index in range(1, 100):
        ready.append(max(due[index], sent[-1]))
        sent.append(max(ready[-1], reader[index - 10] if index >= 10 else 0.0))
    assert max(at - meant for at, meant in zip(sent, due, strict=True)) > 400
    assert max(own(due, ready, sent)) == 0


def test_a_burst_after_a_late_wake_up_is_all_the_upstreams_own() -> None:
    """One loop: nothing is sent for 60 ms, then all that is due at once, and only then the relay reads."""
    due = [index * 5 for index in range(120)]
    there = [60 * (index // 12 + 1) + index % 12 * 0.01 for index in range(120)]
    late = own(due, there, there)
    assert late == [round((at - meant) * MS) for at, meant in zip(there, due, strict=True)]
    assert p95([round(each) for each in late]) > 50 * MS


def test_however_little_is_unread_a_connection_that_takes_nothing_excuses_it() -> None:
    """As in a laboratory of small buffers, where hardly an event fits between the two."""
    due = [index * 50 for index in range(21)]
    assert set(own(due, due, [at + 40 for at in due])) == {0}


def test_however_much_is_unread_it_does_not_excuse_an_upstream_that_was_not_there() -> None:
    due = [index * 5 for index in range(40)]
    there = [at + 20 for at in due]
    assert set(own(due, there, there)) == {20 * MS}


def test_what_it_added_itself_while_it_was_held_counts_and_no_more() -> None:
    """Held for 100 ms before the first event is taken, then 30 ms late by itself, with 10 ms of the schedule to go."""
    assert own([0, 10, 20], [0, 130, 130], [100, 130, 130]) == [0, 30 * MS, 20 * MS]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    due = np.cumsum(draw(st.lists(st.integers(0, 100), min_size=1, max_size=50))).tolist()
    ready: list[int] = []
    sent: list[int] = []
    for at in due:
        ready.append(max([at, *sent[-1:]]) + draw(st.integers(0, 300)))
        sent.append(ready[-1] + draw(st.integers(0, 300)))
    return due, ready, sent


@given(streams())
def test_own_lateness_is_never_more_than_all_of_it(columns: tuple[list[int], list[int], list[int]]) -> None:
    due, _, sent = columns
    for late, meant, at in zip(own_lateness_ns(*columns), due, sent, strict=True):
        assert 0 <= late <= at - meant


@given(streams())
def test_where_nobody_held_it_all_of_it_is_its_own(columns: tuple[list[int], list[int], list[int]]) -> None:
    due, _, sent = columns
    assert list(own_lateness_ns(due, sent, sent)) == [at - meant for at, meant in zip(sent, due, strict=True)]


@given(st.lists(st.integers(0, 2**62), min_size=1))
def test_its_percentile_is_that_of_the_metrics(values: list[int]) -> None:
    assert p95(values) == percentile_ns(values, 95)


def test_one_late_event_in_a_hundred_does_not_condemn_the_rest() -> None:
    assert p95([0] * 99 + [40 * MS]) == 0


# --- Told of a stream -----------------------------------------------------------------------------------------------


def log_of(script: Script, hold_s: float = 0.0) -> SentLog:
    """What the upstream noted of one answer, whose reader takes nothing for so long behind its head."""
    factory = partial(
        create_upstream,
        script,
        send_buffer_bytes=SMALL.send_buffer_bytes,
        write_buffer_bytes=SMALL.write_buffer_bytes,
    )
    with serve(factory, unix=True) as server, connect(server) as reader:
        reader.sendall(request("/", b""))
        time.sleep(hold_s)
        read_answer(reader)
        assert server.app is not None
        log: SentLog = server.app.ctx.sent[-1]
        assert eventually(lambda: log.ended)
        return log


@pytest.mark.parametrize("faults", [(), (Stall(3, 0),)], ids=["through the server", "past it"])
def test_a_reader_that_takes_nothing_makes_the_sends_late_and_not_the_upstream(faults: tuple[Stall, ...]) -> None:
    log = log_of(Script(["x" * 5_000] * 40, first_piece_ms=0, gap_ms=1, faults=faults), hold_s=0.6)
    assert max(log.lateness_ms()) > 400
    assert log.taps().counts["upstream.own_late_p95_ns"] < 200 * MS


def test_an_upstream_whose_loop_was_busy_is_late_by_itself() -> None:
    log = SentLog(0, b"", "", Script(["x"] * 3, first_piece_ms=0, gap_ms=10).steps())
    for step in log.steps:
        for column, at in ((log.due_ns, step.due_ns), (log.ready_ns, step.due_ns + 80 * MS)):
            column.append(at)
        log.sent_ns.append(step.due_ns + 80 * MS)
    assert log.taps().counts == {"upstream.own_late_p95_ns": 80 * MS}


def test_an_upstream_without_a_schedule_is_not_late() -> None:
    assert log_of(Script(["x"] * 50, first_piece_ms=0, gap_ms=0)).taps().counts == {}


def test_before_anything_was_sent_nothing_is_told() -> None:
    assert SentLog(0, b"", "", Script(["x"] * 3).steps()).taps().counts == {}

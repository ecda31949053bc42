"""The benchmark of timestamps: its arithmetic on made-up numbers, and one tiny run of the golden server."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import golden
from benchmarks.golden import Plan
from benchmarks.truth import (
    Tally,
    gap_errors_ns,
    outside_ns,
    report,
    run_once,
    same_read,
    stall_error_ns,
    tally_run,
    within_write_ns,
)
from benchmarks.truth_clients import events_of_pieces
from streamkit.parser import SSEParser

MS = 1_000_000
PLAN = Plan(streams=4, events=12, interval_ns=20 * MS)
STALLING = Plan(streams=2, events=12, interval_ns=20 * MS, stall_ns=500 * MS)


# -- gaps, labels, brackets ----------------------------------------------------------------------------------------


def test_a_constant_delay_is_no_error_of_gaps() -> None:
    assert gap_errors_ns([107, 207, 407], [100, 200, 400], [0, 1, 2]).tolist() == [0, 0]


def test_a_late_stamp_spoils_the_gaps_on_both_sides() -> None:
    assert gap_errors_ns([100, 230, 300], [100, 200, 300], [0, 1, 2]).tolist() == [30, 30]


def test_gaps_within_a_write_are_no_gaps_that_were_sent() -> None:
    at, sent, write = [100, 140, 300, 340], [100, 100, 300, 300], [0, 0, 1, 1]
    assert gap_errors_ns(at, sent, write).tolist() == [40]
    assert within_write_ns(at, write).tolist() == [40, 40]


def test_only_what_lies_beyond_the_bracket_is_surely_an_error() -> None:
    assert outside_ns([95, 100, 110, 120, 150], [100] * 5, [120] * 5).tolist() == [5, 0, 0, 0, 30]


def test_labels_are_judged_pair_by_pair() -> None:
    assert same_read(read=[0, 0, 1, 2, 2], write=[0, 0, 0, 1, 2]) == (2, 1, 2, 1)


def test_the_stall_is_judged_where_it_was_sent() -> None:
    assert stall_error_ns([0, 20, 530, 1540], [0, 20, 520, 540]) == 10


def test_a_stall_needs_two_events() -> None:
    with pytest.raises(ValueError, match="empty"):
        stall_error_ns([1], [1])


# -- a whole stream ------------------------------------------------------------------------------------------------


def log(plan: Plan, stream: int = 0) -> dict[str, Any]:
    """What the server logs when all goes to plan: received at 1 s, sends take 20 µs."""
    before = [1_100 * MS + plan.due_ns(stream, write) for write in range(plan.writes)]
    return {"received_ns": 1_000 * MS, "before_ns": before, "after_ns": [ns + 20_000 for ns in before]}


def seen(at_ns: list[int], **fields: Any) -> dict[str, Any]:
    told = {"stream": 0, "called_ns": 990 * MS, "sent_ns": 1_000 * MS, "at_ns": at_ns, "read": None, "error_ns": None}
    return {**told, "summary": {}, "remarks": [], **fields}


def test_ttft_is_judged_from_the_request_and_from_the_call() -> None:
    tally = Tally()
    sent = log(PLAN)
    tally.add(PLAN, sent, seen([ns + 3 * MS for ns in sent["before_ns"]]))
    assert (tally.ttft_errors, tally.call_errors) == ([3 * MS], [13 * MS])


def test_a_client_that_does_not_tell_when_its_request_left_is_judged_from_its_call() -> None:
    tally = Tally()
    sent = log(PLAN)
    tally.add(PLAN, sent, seen(sent["before_ns"], sent_ns=None))
    assert (tally.ttft_errors, tally.tells_sent) == ([10 * MS], False)


def test_an_event_is_covered_if_its_stated_error_reaches_the_bracket() -> None:
    tally = Tally()
    sent = log(PLAN)
    late = [ns + 50_000 for ns in sent["before_ns"]]
    tally.add(PLAN, sent, seen(late, error_ns=[30_000] * 9 + [29_999] * 3))
    assert (tally.covered, sum(map(len, tally.stated))) == (9, 12)


def test_events_that_a_client_did_not_show_are_counted() -> None:
    tally = Tally()
    sent = log(PLAN)
    tally.add(PLAN, sent, seen(sent["before_ns"][:10]))
    assert (tally.missing, len(tally.delays[0])) == (2, 10)
    assert "! peer did not show 2 events" in report("20x50", {"peer": tally})


@pytest.mark.parametrize(("summary", "found"), [((1, 5), 1), ((1, 6), 0), ((2, 5), 0)])
def test_a_stall_is_in_the_summary_if_it_is_the_only_one_and_at_its_place(summary: tuple[int, int], found: int) -> None:
    tally = Tally()
    sent = log(STALLING)
    stalls, place = summary
    tally.add(STALLING, sent, seen(sent["before_ns"], summary={"stalls": stalls, "stall_after": place}))
    assert (tally.stalls_in_summary, tally.stall_errors) == (found, [0])


def test_the_report_judges_ours_against_the_peer_on_the_same_loop() -> None:
    sent = log(PLAN)
    streams = [seen(sent["before_ns"], read=list(range(12)))]
    tallies = {"streamkit": Tally(), "aiohttp": Tally()}
    for tally, cpu_s in zip(tallies.values(), (0.002, 0.001), strict=True):
        tally_run(tally, PLAN, {"streams": {"0": sent}}, {"streams": streams, "cpu_s": cpu_s})
    text = report("20x50", tallies)
    assert "streamkit: gap error p50/p95/p99, µs: 0.00/0.00/0.00 (at most 10.00/30.00/60.00) ok" in text
    assert "streamkit: CPU µs/event, aiohttp's on the same loop: 41.67 (at most 20.83) MISSED" in text
    assert "streamkit: events not covered, %: – (at most 1.00) not stated" in text


def test_a_run_that_failed_is_in_the_report() -> None:
    assert "! a run of peer failed: no connection" in report("20x50", {"peer": Tally(failures=["no connection"])})


# -- pieces and events ---------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.data())
def test_an_event_has_the_time_of_the_piece_with_its_last_byte(sizes: list[int], data: st.DataObject) -> None:
    body = b"".join(b"data: " + b"x" * size + b"\n\n" for size in sizes)
    ends = list(itertools.accumulate(8 + size for size in sizes))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(body) - 1))) | {0, len(body)})
    pieces = [(stop, body[start:stop]) for start, stop in itertools.pairwise(cuts)]
    at_ns, read = events_of_pieces(pieces, len(sizes))
    assert at_ns == [min(cut for cut in cuts if cut >= end) for end in ends]
    assert [pieces[number][0] for number in read] == at_ns


def test_what_follows_the_last_event_of_the_plan_is_left_out() -> None:
    assert events_of_pieces([(1, b"data: a\n\n"), (2, b"data: [DONE]\n\n")], 1) == ([1], [0])


# -- the golden server's plan --------------------------------------------------------------------------------------


def test_the_schedule_is_absolute() -> None:
    assert [PLAN.due_ns(2, write) for write in range(4)] == [0, 20 * MS, 40 * MS, 60 * MS]


def test_a_stall_shifts_all_that_follows_and_each_stream_has_its_own_place() -> None:
    places = []
    for stream in range(STALLING.streams):
        due = [STALLING.due_ns(stream, write) for write in range(STALLING.writes)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(due)]
        assert sorted(gaps) == [20 * MS] * 10 + [520 * MS]
        places.append(gaps.index(520 * MS))
    assert places == [STALLING.stall_after(0), STALLING.stall_after(1)] == [4, 6]


@given(st.integers(0, 3), st.integers(0, 10**9))
def test_streams_begin_on_a_common_grid_after_their_own_request(stream: int, later_ns: int) -> None:
    epoch_ns = 5_000 * MS
    start = PLAN.start_ns(stream, epoch_ns, epoch_ns + later_ns)
    assert 0 <= start - (epoch_ns + later_ns + PLAN.first_ns) < PLAN.interval_ns
    assert (start - epoch_ns) % PLAN.interval_ns == stream * 5 * MS


@pytest.mark.parametrize("per_write", [1, 5])
def test_the_writes_hold_the_events_and_the_end(per_write: int) -> None:
    plan = Plan(streams=1, events=12, interval_ns=1, per_write=per_write)
    body = b"".join(plan.payload(write) for write in range(plan.writes + 1))
    parser = SSEParser()
    chunks = body.split(b"\r\n")
    events = parser.feed(b"".join(chunks[1::2]))
    assert [f"word{number} " in event.data for number, event in enumerate(events[:12])] == [True] * 12
    assert [event.data for event in events[13:]] == ["[DONE]"]
    assert chunks[-3:] == [b"0", b"", b""]


def test_the_narrowest_bracket_tells_the_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monotonic = iter([0, 900, 1000, 1020])
    real = iter([70_000, 71_010])
    monkeypatch.setattr(time, "monotonic_ns", lambda: next(monotonic))
    monkeypatch.setattr(time, "time_ns", lambda: next(real))
    assert golden.realtime_offset_ns(2) == (70_000, 11)


def test_other_ancillary_data_is_no_stamp() -> None:
    stamp = golden.TIMESPEC.pack(3, 7)
    assert golden.kernel_stamp_ns([(1, 99, b""), (1, golden.SO_TIMESTAMPNS, stamp)]) == 3_000_000_007
    assert golden.kernel_stamp_ns([(1, 99, stamp)]) is None


# -- for real ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["recvmsg", "data_received"])
def test_every_event_of_a_run_is_logged_and_seen_after_it_was_sent(client: str) -> None:
    plan = Plan(streams=3, events=8, interval_ns=5 * MS, per_write=2, first_ns=20 * MS)
    sent, told = run_once(plan, client)
    tally = Tally()
    tally_run(tally, plan, sent, told)
    assert (tally.streams, tally.missing, len(tally.delays)) == (3, 0, 3)
    assert min(int(delay.min()) for delay in tally.delays) >= -sent_offset_error_ns(sent)
    for stream in sent["streams"].values():
        due = [stream["start_ns"] + write * plan.interval_ns for write in range(plan.writes)]
        assert all(before >= at for before, at in zip(stream["before_ns"], due, strict=True))
        assert all(after > before for before, after in zip(stream["before_ns"], stream["after_ns"], strict=True))
        assert stream["start_ns"] >= stream["received_ns"] + plan.first_ns


def sent_offset_error_ns(sent: dict[str, Any]) -> int:
    """Two clocks were compared on both sides."""
    return 2 * max(int(stream["received_error_ns"]) for stream in sent["streams"].values()) + 1_000


def test_a_client_that_fails_is_named_with_its_last_words() -> None:
    with pytest.raises(RuntimeError, match="nobody"):
        run_once(PLAN, "nobody")

"""The verdict on a recording, and the error that each of its times states: on numbers made by hand.

Times are in ms here; the median gap of `paced()` is 50 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.client.looplag import LoopLag
from streamkit.lab.recording.calibration import Calibration, Lag
from streamkit.lab.recording.join import DROPPED, UNFINISHED
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.trust import (
    LEVELS,
    LIBRARY_ERROR_NS,
    LOOP_PROBE_NS,
    SOCKET_ERROR_NS,
    TIMER_ROUNDING_NS,
    Trust,
    first_piece_error_ns,
    first_piece_is_shared,
    judge,
    reach_ns,
    read_error_ns,
    stated_error_ns,
)
from streamkit.outcome import Outcome
from streamkit.parser import ServerSentEvent
from streamkit.taps import Tap

MS = 1_000_000


def paced(
    count: int = 21,
    gap_ms: float = 50,
    *,
    error_ms: float | Sequence[float] = 0.001,
    late_ms: float = 0,
    stamps: str = "kernel",
    **fields: Any,
) -> Recording:
    """One event per read on an even grid."""
    at_ns = [int(index * gap_ms * MS) for index in range(count)]
    errors = [error_ms] * count if isinstance(error_ms, int | float) else error_ms
    reads = Reads(at_ns, error_ns=[int(e * MS) if e >= 0 else -1 for e in errors], late_ns=[int(late_ms * MS)] * count)
    return Recording(reads=reads, events=Events(at_ns, text=["x"] * count), stamps=stamps, **fields)  # type: ignore[arg-type]  # mypy sees a str


def staircase(times_ms: Sequence[float]) -> Tap:
    """One event of 10 bytes at each time."""
    counts = range(1, len(times_ms) + 1)
    return Tap([int(t * MS) for t in times_ms], counts, [10 * n for n in counts])


def sent(late_ms: float, gap_ms: float = 50, count: int = 21) -> Recording:
    """An upstream that meant to send every `gap_ms`, and says that it was so late by itself."""
    due = [index * gap_ms for index in range(count)]
    counts = {"upstream.own_late_p95_ns": int(late_ms * MS)}
    return paced(count, gap_ms, taps={"upstream.due": staircase(due)}, counts=counts)


def calibrated(lag_ms: float = 0.2, timer_ms: float = 0.2) -> dict[str, Any]:
    lag = int(lag_ms * MS)
    found = Calibration(
        timer_p50_ns=0,
        timer_p99_ns=int(timer_ms * MS),
        loop_p99_ns=0,
        loop_max_ns=0,
        clock_ns=50,
        stamp_ns=300,
        lags=(Lag(20, 10, lag, lag, lag),),
    )
    return {"calibration": found.as_dict()}


# --- The verdict itself ---------------------------------------------------------------------------------------------


def test_an_even_stream_with_kernel_times_is_good() -> None:
    assert judge(paced()) == Trust("good")
    assert paced().trust == Trust("good")


@pytest.mark.parametrize("outcome", ["refused(connect)", "refused(503)", "timeout(first_piece)", "complete"])
def test_where_no_event_came_nothing_is_good_for_nothing_was_measured(outcome: str) -> None:
    verdict = judge(Recording(outcome=Outcome.parse(outcome)))
    assert verdict == Trust("limited", ("no event came: nothing but the end was measured",))


def test_the_text_is_the_level_and_its_reasons() -> None:
    assert str(Trust("good")) == "good"
    assert str(Trust("limited", ("one thing", "another"))) == "limited: one thing; another"
    assert repr(Trust("do not quote", ("it is late",))) == "<Trust do not quote: it is late>"


def test_verdicts_are_ordered_by_level() -> None:
    limited, good, worst = Trust("limited", ("a",)), Trust("good"), Trust("do not quote", ("b",))
    assert [verdict.level for verdict in sorted([limited, good, worst])] == list(LEVELS)
    assert good > limited
    assert limited <= Trust("limited", ("another reason",))


def test_a_verdict_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match=r"compare its \.level"):
        bool(Trust("good"))


def test_the_worst_reason_decides_and_stands_first() -> None:
    recording = paced(stamps="library", error_ms=-1, meta=calibrated(), damage=("line 3: is empty",))
    verdict = judge(recording)
    assert verdict.level == "do not quote"
    assert verdict.reasons[0] == "parts of it were lost with a damaged file"
    assert len(verdict.reasons) > 1


# --- The upstream's own lateness ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late_ms", "text"),
    [
        (4.9, "good"),
        (5.1, "limited: the upstream sent 5.1 ms late (p95)"),
        (49, "limited: the upstream sent 49 ms late (p95)"),
        (81, "do not quote: the upstream sent 81 ms late (p95)"),
    ],
)
def test_lateness_is_weighed_against_the_median_gap(late_ms: float, text: str) -> None:
    assert str(judge(sent(late_ms))) == text


def test_where_gaps_are_short_a_little_lateness_is_much() -> None:
    assert judge(sent(1.2, gap_ms=2)).level == "limited"
    assert judge(sent(2.1, gap_ms=2)).level == "do not quote"


def test_where_gaps_are_long_a_reader_still_sees_50_ms() -> None:
    assert judge(sent(51, gap_ms=2000)).level == "do not quote"


def test_lateness_is_not_excused_by_the_wider_gaps_that_it_makes() -> None:
    late = sent(25, gap_ms=20)
    stretched = replace(paced(21, 90), taps=late.taps, counts=late.counts)
    assert str(judge(stretched)) == "do not quote: the upstream sent 25 ms late (p95)"


def test_where_the_upstream_does_not_tell_nothing_is_claimed() -> None:
    """A recording out of an older file, or of an upstream that is not ours: its taps do not say who was late."""
    due, late = ([index * 50.0 + by for index in range(21)] for by in (0, 200))
    taps = {"upstream.due": staircase(due), "upstream.sent": staircase(late)}
    assert judge(paced(taps=taps)).level == "good"
    assert judge(paced()).level == "good"


def test_a_reader_that_is_slow_on_purpose_is_no_fault_of_the_measurement() -> None:
    late = paced(late_ms=500.0)
    assert "Python was" in str(judge(late))
    assert "Python was" not in str(judge(replace(late, meta={**late.meta, "reader": "<Reader: 5 events/s>"})))


def test_parts_of_one_packet_have_no_gaps_that_an_error_could_matter_for() -> None:
    at_ns = [1_000_000 * (number // 4) for number in range(80)]
    reads = Reads([at + number for number, at in enumerate(at_ns)], error_ns=[130] * 80)
    events = Events(reads.at_ns, text=["x"] * 80, read=range(80))
    assert "wrong" not in str(judge(Recording(reads=reads, events=events, stamps="kernel")))


def test_a_schedule_finer_than_the_timers_is_limited() -> None:
    recording = sent(0, gap_ms=2)
    fine = replace(recording, meta=calibrated(timer_ms=5.4))
    assert (
        str(judge(fine))
        == "limited: timers here are up to 5.4 ms late (p99), and the upstream's gaps were meant to be 2 ms"
    )
    assert judge(replace(recording, meta=calibrated(timer_ms=1.9))).level == "good"


# --- The stamps -----------------------------------------------------------------------------------------------------


def test_stamps_of_a_foreign_client_are_limited_at_best() -> None:
    verdict = judge(paced(gap_ms=1000, stamps="library", error_ms=-1))
    assert str(verdict) == "limited: stamped by a client library, not when it was read"


def test_user_space_stamps_are_good_where_gaps_are_long() -> None:
    assert judge(paced(stamps="socket", error_ms=-1)).level == "good"


def test_without_a_calibration_the_assumed_error_limits_and_no_more() -> None:
    verdict = judge(paced(gap_ms=1, stamps="socket", error_ms=-1))
    assert str(verdict) == "limited: read times may be 2 ms wrong (p99), an assumption: calibrate() measures it"


def test_a_measured_error_above_the_gap_is_not_to_be_quoted() -> None:
    verdict = judge(paced(gap_ms=1, stamps="socket", error_ms=-1, meta=calibrated(lag_ms=3)))
    assert str(verdict) == "do not quote: read times may be 3 ms wrong (p99)"
    assert judge(paced(gap_ms=1, stamps="socket", error_ms=-1, meta=calibrated(lag_ms=0.05))).level == "good"


def test_reads_without_kernel_time_are_counted() -> None:
    verdict = judge(paced(error_ms=[-1, -1, *[0.001] * 19]))
    assert str(verdict) == "limited: 2 of 21 reads have no kernel time, as after a step of the wall clock"


@pytest.mark.parametrize(
    ("lag_ms", "level"), [(4, "good"), (40, "good"), (51, "limited"), (249, "limited"), (251, "do not quote")]
)
def test_a_late_loop_counts_where_stamps_are_taken_on_it(lag_ms: float, level: str) -> None:
    meta = {"loop_lag_ns": int(lag_ms * MS)}
    assert judge(paced(stamps="socket", error_ms=-1, meta=meta)).level == level
    assert judge(paced(meta=meta)).level == "good"


def test_a_delay_of_the_loop_that_could_pass_for_a_stall_is_named() -> None:
    verdict = judge(paced(stamps="socket", error_ms=-1, meta={"loop_lag_ns": 300 * MS}))
    assert verdict.reasons == (
        "the recorder's event loop was up to 300 ms late: it may have made the stalls that it shows",
    )


def test_late_python_limits_the_times_of_handing_over_and_never_the_kernels() -> None:
    assert judge(paced(late_ms=4)).level == "good"
    assert str(judge(paced(late_ms=300))) == (
        "limited: Python was 300 ms late (p95): client.event includes that, read times do not"
    )


# --- Coalescing and taps --------------------------------------------------------------------------------------------


def crowded(per_read: int, reads: int = 10, **fields: Any) -> Recording:
    at_ns = [50 * MS * index for index in range(reads)]
    events = Events(np.repeat(at_ns, per_read).tolist(), text=["x"] * (reads * per_read))
    return Recording(reads=Reads(at_ns, error_ns=[1000] * reads), events=events, stamps="kernel", **fields)


def test_pieces_that_share_reads_are_counted() -> None:
    assert (
        str(judge(crowded(5)))
        == "limited: 80% of the pieces share a read with an earlier one: their gaps are not known"
    )
    assert judge(crowded(1)).level == "good"


def test_events_without_text_do_not_crowd_a_read() -> None:
    at_ns = [0, 50 * MS, 100 * MS]
    events = Events(np.repeat(at_ns, 2).tolist(), text=["x", ""] * 3)
    assert judge(Recording(reads=Reads(at_ns, error_ns=[1] * 3), events=events, stamps="kernel")).level == "good"


def test_dropped_steps_of_taps_are_limited() -> None:
    assert str(judge(paced(meta={DROPPED: 3}))) == "limited: 3 steps of the taps were dropped"


def test_taps_that_were_read_too_early_are_limited_unless_the_stream_itself_was_cut() -> None:
    meta = {UNFINISHED: ["relay.sent"]}
    assert str(judge(paced(meta=meta))) == "limited: read before their end: relay.sent"
    assert judge(paced(meta=meta, outcome=Outcome("truncated"))).level == "good"


def test_a_calibration_out_of_a_changed_file_counts_as_none() -> None:
    recording = paced(stamps="socket", error_ms=-1, meta={"calibration": {"lags": "none"}})
    assert read_error_ns(recording).tolist() == [SOCKET_ERROR_NS] * 21


# --- The stated error -----------------------------------------------------------------------------------------------


def test_what_a_stamp_says_of_itself_is_stated() -> None:
    assert stated_error_ns(paced(3, error_ms=[0.001, 0.002, 0.003])).tolist() == [1000, 2000, 3000]


def test_user_space_stamps_state_the_calibrated_error_or_the_assumed_one() -> None:
    assert stated_error_ns(paced(1, stamps="socket", error_ms=-1)).tolist() == [SOCKET_ERROR_NS]
    assert stated_error_ns(paced(1, stamps="library", error_ms=-1)).tolist() == [LIBRARY_ERROR_NS]
    assert stated_error_ns(paced(1, stamps="socket", error_ms=-1, meta=calibrated(0.3))).tolist() == [300_000]


def test_a_loop_that_was_late_widens_the_error_of_stamps_taken_on_it_only() -> None:
    """It was busy for up to a probe longer than its timer was late."""
    meta = {**calibrated(0.3), "loop_lag_ns": 7 * MS}
    late_ns = 7 * MS + LOOP_PROBE_NS - TIMER_ROUNDING_NS
    assert stated_error_ns(paced(2, stamps="socket", error_ms=-1, meta=meta)).tolist() == [late_ns] * 2
    assert stated_error_ns(paced(2, meta=meta)).tolist() == [1000] * 2


def test_a_loop_that_was_late_as_any_was_is_not_taken_for_a_busy_one() -> None:
    meta = {**calibrated(0.3), "loop_lag_ns": 2 * MS}
    assert (
        stated_error_ns(paced(2, stamps="socket", error_ms=-1, meta=meta)).tolist() == [2 * MS - TIMER_ROUNDING_NS] * 2
    )


def test_of_the_events_of_one_read_the_last_has_its_time_and_the_others_may_have_come_since_the_read_before() -> None:
    events = Events([10, 30, 30, 60])
    reads = Reads([10, 30, 60], error_ns=[1, 1, 1])
    assert stated_error_ns(Recording(reads=reads, events=events)).tolist() == [1, 21, 1, 1]


def test_a_read_that_ends_in_the_middle_of_an_event_ends_later_than_those_before_it() -> None:
    reads = Reads([10, 30, 60], data=[b"data: a\n\n", b"data: b\n\nda", b"ta: c\n\n"], error_ns=[1, 1, 1])
    events = Events([10, 30, 60], data=["a", "b", "c"])
    assert stated_error_ns(Recording(reads=reads, events=events)).tolist() == [1, 21, 1]


def test_before_the_first_read_the_head_had_come() -> None:
    recording = Recording(reads=Reads([30], error_ns=[1]), events=Events([30, 30]), sent_ns=5, head_ns=12)
    assert stated_error_ns(recording).tolist() == [19, 1]


def test_a_head_that_came_with_the_first_read_bounds_nothing_but_the_request_does() -> None:
    recording = Recording(reads=Reads([30], error_ns=[1]), events=Events([30, 30]), sent_ns=5, head_ns=30)
    assert stated_error_ns(recording).tolist() == [26, 1]


def test_without_event_borders_any_read_may_hold_several_pieces() -> None:
    recording = Recording(reads=Reads([10, 30], error_ns=[1, 1]), events=Events([10, 30], event=["", ""]))
    assert stated_error_ns(recording).tolist() == [11, 21]


def shared(*, lag_ms: float = 0.5, late_ms: float = 0.2, reads: int = 30, **fields: Any) -> Recording:
    """Reads 250 ms apart that bring five events each, all of which had been written at once."""
    at_ns = [250 * MS * (index + 1) for index in range(reads)]
    meta = {"loop_lag_ns": int(lag_ms * MS), **fields.pop("meta", {})}
    columns = Reads(at_ns, error_ns=[100] * reads, late_ns=[int(late_ms * MS)] * reads)
    events = Events(np.repeat(at_ns, 5).tolist(), text=["x"] * 5 * reads)
    given: dict[str, Any] = {"sent_ns": 0, "stamps": "kernel", **fields}
    return Recording(reads=columns, events=events, meta=meta, **given)


@pytest.mark.parametrize(
    ("recording", "reach_ms"),
    [
        (shared(), 0.2),  # as late as reads were seen; half a millisecond is a timer's rounding
        (shared(lag_ms=3.5), 2.5),
        (shared(late_ms=4), 4),
        (shared(reads=2), SOCKET_ERROR_NS / MS),  # two reads do not show how late reads are here
        (shared(reads=2, meta=calibrated(0.3)), 0.3),
        (shared(lag_ms=81), 80 + LOOP_PROBE_NS / MS),  # it was busy, also before its timer could see it
    ],
)
def test_a_free_loop_reads_at_once_so_what_shares_a_read_is_hardly_older(recording: Recording, reach_ms: float) -> None:
    reach = reach_ns(recording)
    assert reach is not None
    assert set(reach.tolist()) == {int(reach_ms * MS)}
    first_of_read = stated_error_ns(recording)[::5]
    assert set(first_of_read.tolist()) == {100 + int(reach_ms * MS)}
    assert set(stated_error_ns(recording)[4::5].tolist()) == {100}


@pytest.mark.parametrize(
    "change", [{"meta": {"reader": "slow"}}, {"stamps": "library"}, {"meta": {"loop_lag_ns": None}}]
)
def test_where_nothing_tells_how_late_reads_are_all_of_the_time_between_them_counts(change: dict[str, Any]) -> None:
    recording = shared(**change)
    assert reach_ns(recording) is None
    assert stated_error_ns(recording)[5] == 100 + 250 * MS


def test_a_recording_without_events_states_nothing() -> None:
    assert stated_error_ns(Recording()).size == 0


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(1, 4)), min_size=1, max_size=20), st.data())
def test_the_stated_error_covers_any_arrival_between_two_reads(
    steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Whenever the events of a shared read really came after the read before it, their stamp is not further off."""
    read_at = np.cumsum([gap for gap, _ in steps]).tolist()
    at_ns = [at for at, (_, count) in zip(read_at, steps, strict=True) for _ in range(count)]
    recording = Recording(reads=Reads(read_at, error_ns=[0] * len(read_at)), events=Events(at_ns))
    for event, error_ns in zip(recording.events, stated_error_ns(recording).tolist(), strict=True):
        last = [*recording.events.read[event.index + 1 : event.index + 2]] != [event.read]
        earliest = event.at_ns if last else ([0, *read_at])[event.read]
        came_ns = data.draw(st.integers(earliest, event.at_ns))
        assert event.at_ns - came_ns <= error_ns


UNENCODED = {"accept_encoding": "identity"}
BROWSER = "asked for an unencoded body; a browser would ask for gzip"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"vary": "Origin, Accept-Encoding"}, BROWSER),
        ({"vary": "*"}, BROWSER),
        ({"server": "nginx/1.22.1"}, f"{BROWSER}, and nginx may compress for it"),
        ({"server": "Apache"}, f"{BROWSER}, and apache may compress for it"),
    ],
)
def test_where_the_server_may_compress_for_a_browser_an_unencoded_body_is_limited(
    headers: dict[str, str], reason: str
) -> None:
    trust = judge(paced(headers=headers, meta=UNENCODED))
    assert (trust.level, trust.reasons) == ("limited", (reason,))


@pytest.mark.parametrize(
    ("headers", "meta"),
    [
        ({"vary": "Accept"}, UNENCODED), ({}, UNENCODED), ({"server": "uvicorn"}, UNENCODED),
        ({"vary": "accept-encoding"}, {"accept_encoding": "gzip, br"}), ({"vary": "accept-encoding"}, {}),
        ({"vary": "accept-encoding", "content-encoding": "gzip"}, UNENCODED),
    ],
)  # fmt: skip
def test_where_nothing_says_so_or_it_was_asked_for_it_is_not(headers: dict[str, str], meta: dict[str, str]) -> None:
    assert judge(paced(headers=headers, meta=meta)) == Trust("good")


# --- A loop that is busy at times, on a fake clock ------------------------------------------------------------------

WAKE_NS = 150_000
"""How long a free loop of these takes from the first byte to its read."""


SSE = ServerSentEvent(data="x")


def read_by_a_loop(arrivals_ns: list[int], busy: list[tuple[int, int]], *, apart: bool = True) -> Recording:
    """What a recorder would have seen: it reads when the loop is free, all that has come, stamped as its last byte was.
    Its timer rings every `LOOP_PROBE_NS`, as soon as the loop is free.
    """

    def free(at_ns: int) -> int:
        return next((end for begin, end in busy if begin <= at_ns < end), at_ns)

    reads, events, waiting = Reads(), Events(), list(arrivals_ns)
    while waiting:
        returned_ns = free(waiting[0] + WAKE_NS)
        came = [at_ns for at_ns in waiting if at_ns <= returned_ns]
        del waiting[: len(came)]
        reads.append(came[-1], len(came), None, 0, returned_ns - came[-1])
        for _ in came:
            events.append(
                SSE, at_ns=came[-1], handed_ns=returned_ns, read=len(reads) - 1, text="x", reasoning="", size=1
            )
    lag, ring_ns = LoopLag(), 0
    while ring_ns < arrivals_ns[-1] + 1000 * MS:
        since_ns, ring_ns = ring_ns, free(ring_ns + LOOP_PROBE_NS)
        lag.note(since_ns, ring_ns, ring_ns - since_ns - LOOP_PROBE_NS)
    told = {"loop_calm_ns": lag.calm_ns, "loop_busy_ns": lag.busy} if apart else {}
    meta = {"loop_lag_ns": lag.worst_ns, **told}
    return Recording(reads=reads, events=events, stamps="kernel", sent_ns=0, meta=meta)


@given(
    gaps_ns=st.lists(st.integers(0, 100 * MS), min_size=1, max_size=40),
    blocks=st.lists(st.tuples(st.integers(0, 300 * MS), st.integers(60 * MS, 600 * MS)), max_size=3),
    apart=st.booleans(),
)
def test_what_is_stated_covers_how_far_each_time_is_off_however_the_loop_was_kept_busy(
    gaps_ns: list[int], blocks: list[tuple[int, int]], apart: bool
) -> None:
    arrivals_ns = np.cumsum([10 * MS, *gaps_ns]).tolist()
    busy, end_ns = [], 0
    for pause_ns, block_ns in blocks:
        busy.append((end_ns + pause_ns, end_ns + pause_ns + block_ns))
        end_ns = busy[-1][1]
    recording = read_by_a_loop(arrivals_ns, busy, apart=apart)
    off_ns = np.asarray(recording.events.at_ns) - arrivals_ns
    assert (off_ns <= stated_error_ns(recording)).all()


def test_a_burst_that_a_free_loop_reads_states_what_a_read_takes_and_not_the_time_since_the_one_before() -> None:
    recording = read_by_a_loop([250 * MS * (burst + 1) + 10_000 * n for burst in range(20) for n in range(5)], [])
    assert recording.events.read.tolist() == [burst for burst in range(20) for _ in range(5)]
    assert max(stated_error_ns(recording)) <= WAKE_NS


def test_a_time_in_which_the_loop_was_busy_says_nothing_of_the_reads_before_and_behind_it() -> None:
    bursts = [250 * MS * (burst + 1) + 10_000 * n for burst in range(30) for n in range(5)]
    stated = stated_error_ns(read_by_a_loop(bursts, [(1400 * MS, 1600 * MS)]))  # the sixth burst comes at 1500 ms
    assert stated[25:30].max() > 100 * MS
    assert np.delete(stated, range(25, 30)).max() <= WAKE_NS


# --- The first piece ------------------------------------------------------------------------------------------------


def one_piece(at_ms: float = 300, **fields: Any) -> Recording:
    at_ns = int(at_ms * MS)
    return Recording(reads=Reads([at_ns], error_ns=[1000]), events=Events([at_ns], text=["x"]), **fields)


def test_the_time_to_the_first_piece_states_its_own_error_and_that_of_when_the_request_left() -> None:
    assert first_piece_error_ns(one_piece(sent_ns=0, meta={"sent_error_ns": 40_000})) == 1000 + 40_000
    assert first_piece_error_ns(one_piece(sent_ns=0)) == 1000 + SOCKET_ERROR_NS, "not told, as by a client of others"
    assert first_piece_error_ns(one_piece()) == 1000, "counted from the call, which is known"
    assert first_piece_error_ns(Recording()) is None


def test_the_time_to_the_first_piece_is_not_more_wrong_than_it_is_long() -> None:
    assert first_piece_error_ns(one_piece(2, sent_ns=MS, meta={"sent_error_ns": 5 * MS})) == MS


def test_a_first_piece_that_shares_its_read_is_known_as_an_upper_bound() -> None:
    assert first_piece_is_shared(shared())
    assert not first_piece_is_shared(paced(3))
    assert not first_piece_is_shared(Recording())


def test_what_came_before_the_first_piece_in_its_read_does_not_make_its_time_a_bound() -> None:
    events = Events([10, 10, 60], text=["", "a", "b"])
    assert not first_piece_is_shared(Recording(reads=Reads([10, 60]), events=events))


def test_of_an_encoded_body_the_last_byte_of_a_read_says_nothing_of_its_events() -> None:
    fields: dict[str, Any] = {"reads": Reads([10], data=[b"\x1f\x8b"]), "events": Events([10], text=["a"], data=["a"])}
    assert first_piece_is_shared(Recording(**fields))
    assert not first_piece_is_shared(Recording(**fields, headers={"content-encoding": "gzip"}))


def test_a_first_piece_that_may_have_come_much_earlier_is_limited() -> None:
    late = shared(lag_ms=151, reads=1, sent_ns=0)
    assert "the first piece may have come up to 202 ms earlier: it shared its read" in judge(late).reasons
    assert not any("first piece" in reason for reason in judge(shared()).reasons)

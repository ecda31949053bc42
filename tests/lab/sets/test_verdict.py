"""The verdict on a set: it judges this client, not the server, and says what holds all the same."""

from __future__ import annotations

from dataclasses import replace

from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.sets import RecordingSet, Verdict
from tests.lab.sets.streams import MS, load, stream


def verdict(*recordings: object) -> Verdict:
    return RecordingSet(recordings).verdict  # type: ignore[arg-type]


def test_a_client_in_time_is_good() -> None:
    assert str(verdict(*load(50))) == "good"


def test_a_slow_server_is_not_the_client_s_fault() -> None:
    assert verdict(*(stream(20 * n, ttft=100 + 50 * n, gap=600) for n in range(60))).level == "good"


def test_who_begins_late_may_not_quote_and_is_told_how_much_is_theirs() -> None:
    """A loop that was blocked for 300 ms, of a load of one second."""
    told = verdict(*(stream(10 * n, 300 - 10 * n, ttft=20) if n < 30 else stream(10 * n, ttft=20) for n in range(100)))
    assert told.level == "do not quote"
    assert told.reasons[0].startswith("this client began up to 290 ms late (p99)")
    assert "are ours" in told.reasons[0]
    assert "from when a request was sent, hold, but for the load that was sent" in told.stands


def test_lateness_that_changes_no_percentile_is_borne() -> None:
    assert verdict(*(stream(10 * n, 8, ttft=900) for n in range(100))).level == "good"


def test_between_a_tenth_and_a_half_it_is_limited() -> None:
    assert verdict(*(stream(10 * n, 25, ttft=100) for n in range(100))).level == "limited"


def test_without_kernel_stamps_nothing_is_said_to_hold() -> None:
    told = verdict(*(stream(10 * n, 200, ttft=20, stamps="socket") for n in range(20)))
    assert told.level == "do not quote"
    assert told.stands.startswith("No other number is free of it")


def test_a_loop_that_was_busy_before_the_request_had_left_is_ours_too() -> None:
    """All begun in time, and then 400 ms of work before the last was sent; it is seen every 50 ms."""
    told = verdict(*(stream(0, leaving=8 * n + 1, busy=((0, 8 * n),), ttft=50) for n in range(50)))
    assert told.level == "do not quote"
    assert "busy up to 342 ms (p99) before requests had left" in told.reasons[0]


def test_a_slow_way_to_the_server_is_not_known_to_be_ours() -> None:
    told = verdict(*(stream(10 * n, leaving=2 + n, ttft=50) for n in range(50)))
    assert told.level == "limited"
    assert told.reasons == ("connecting and sending took up to 51 ms (p99): how much of that is ours is not known",)


def test_a_load_that_left_slower_than_it_was_due_is_another_load() -> None:
    told = verdict(*(stream(10 * n, 4 * n, ttft=9000) for n in range(50)))
    assert told.level == "do not quote"
    assert told.reasons[0] == "100.0 requests/s were due, this client began 71.4"


def test_a_late_loop_counts_where_the_kernel_did_not_stamp() -> None:
    late = {"loop_lag_ns": 80 * MS, "loop_busy_ns": []}
    assert verdict(*(stream(9 * n, stamps="socket", meta=late) for n in range(9))).level == "do not quote"
    assert verdict(*(stream(9 * n, meta=late) for n in range(9))).level == "good"


def test_an_upstream_that_was_late_by_itself_is_named() -> None:
    told = verdict(*(stream(9 * n, counts={"upstream.own_late_p95_ns": 30 * MS}) for n in range(9)))
    assert told.reasons == ("the scripted upstream sent 30 ms late (p95)",)
    assert told.level == "do not quote"


def test_pieces_that_share_reads_have_no_gap() -> None:
    at = [102 * MS] * 5
    one = replace(stream(), reads=Reads(at[:1], size=[9], error_ns=[0]), events=Events(at, text=["x"] * 5))
    assert verdict(one).reasons == ("80% of the pieces share a read with an earlier one: their gaps are not known",)


def test_a_closed_loop_hides_what_nobody_could_ask() -> None:
    told = verdict(*(stream(None) for _ in range(9)))
    assert told.level == "limited"
    assert told.reasons[0].startswith("no request had a due time")


def test_stamps_of_a_library_and_several_clocks_are_named() -> None:
    told = verdict(stream(stamps="library"), stream(meta={"origin": "elsewhere"}))
    assert {reason.split(" ")[0] for reason in told.reasons} == {"1", "made"}


def test_no_event_and_no_stream_say_so() -> None:
    assert verdict(stream(pieces=0)).reasons[0].startswith("no event came")
    assert verdict().reasons == ("there is no stream",)


def test_a_part_of_a_damaged_set_is_not_to_be_quoted() -> None:
    damaged = RecordingSet(load(9))
    damaged.damage = ("line 3: does not match its checksum",)
    assert damaged.verdict.level == "do not quote"
    assert damaged[1:].verdict.level == "do not quote"


def test_in_brief_it_is_the_worst_reason() -> None:
    assert Verdict("limited", ("a", "b")).brief == "limited: a; and 1 more"
    assert Verdict("good").brief == "good"

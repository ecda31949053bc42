"""Each cause by what makes it, on columns made by hand; and where it cannot be told, that is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamkit.lab.diagnosis.result import CAUSES
from streamkit.lab.diagnosis.rules import diagnose
from streamkit.lab.diagnosis.seen import TcpRows, spans
from streamkit.lab.metrics.curves import curve
from tests.lab.diagnosis.columns import MS, gaps, held, paused, seen, steady


def test_a_steady_stream_has_nothing_to_explain() -> None:
    found = diagnose(seen(steady(40)))
    assert (found.cause, found.after, found.evidence) == ("none", None, ())
    assert found.sentence == "No stall: the longest wait between two events was 30 ms"


def test_silence_and_then_the_usual_pace_is_a_source_that_paused() -> None:
    found = diagnose(seen(paused()))
    assert (found.cause, found.after, found.silence_ms) == ("source_paused", 20, 700)
    assert found.sentence == "A stall of 700 ms after event 20: the source paused"
    assert "24" not in found.evidence[0]
    assert "the usual pace" in found.evidence[0]


def test_silence_and_then_all_that_was_due_was_held() -> None:
    found = diagnose(seen(held()))
    assert (found.cause, found.after) == ("held", 20)
    assert "all at once" in found.evidence[0]


def test_a_burst_that_comes_in_parts_was_held_too() -> None:
    times = held(due=24)
    late = [at + (n - 20) * 3 if 20 <= n < 44 else at for n, at in enumerate(times)]
    assert diagnose(seen([max(late[: n + 1]) for n in range(60)])).cause == "held"


def test_half_of_what_was_due_is_neither() -> None:
    times = gaps(*[30] * 19, 720, *[0] * 11, *[30] * 30)
    assert diagnose(seen(times, read=np.arange(len(times)))).cause == "unknown"


def test_heartbeats_meanwhile_mean_that_the_server_lives_and_the_model_does_not() -> None:
    beats = np.array([950, 1100, 1250]) * MS
    found = diagnose(seen(paused(), alive_ns=beats))
    assert found.cause == "model_paused"
    assert found.evidence[0] == "3 heartbeats came meanwhile over the same connection"


def test_a_comment_beside_an_event_is_no_heartbeat_within_the_silence() -> None:
    assert diagnose(seen(paused(), alive_ns=np.array([672 * MS]))).cause == "source_paused"


def test_heartbeats_before_a_burst_do_not_hide_that_it_was_held() -> None:
    assert diagnose(seen(held(), alive_ns=np.array([1000 * MS]))).cause == "held"


def test_events_without_text_at_the_usual_pace_are_a_server_that_speaks() -> None:
    other = np.arange(690, 1350, 30) * MS
    assert diagnose(seen(paused(), other_ns=other)).cause == "without_text"


def test_one_event_without_text_is_no_answer_that_goes_on() -> None:
    assert diagnose(seen(paused(), other_ns=np.array([1000 * MS]))).cause == "source_paused"


def test_an_event_that_lay_unread_is_a_late_loop_also_if_the_loop_was_not_watched() -> None:
    at_ms = steady(40)
    handed = [at + (700 if n == 20 else 0) for n, at in enumerate(at_ms)]
    handed = [max(handed[: n + 1]) for n in range(40)]
    found = diagnose(seen(at_ms, handed))
    assert (found.cause, found.after) == ("late_loop", 20)


def test_a_stamp_before_a_lost_segment_came_again_is_no_proof_that_it_lay_here() -> None:
    """What waited behind a hole has the time at which it came, and nobody could have read it."""
    times = held()
    stamps = [690 if n == 20 else at for n, at in enumerate(times)]
    lossy = TcpRows([0, 600 * MS, 1500 * MS], [9000] * 3, [0] * 3, [0, 0, 23])
    assert diagnose(seen(stamps, times, tcp=lossy)).cause == "network"
    assert diagnose(seen(stamps, times, tcp=lossy, loop_busy_ns=spans([[700 * MS, 1390 * MS]]))).cause == "late_loop"


def test_a_loop_that_was_watched_and_on_time_was_not_late() -> None:
    at_ms = steady(40)
    handed = [at + (700 if n == 20 else 0) for n, at in enumerate(at_ms)]
    handed = [max(handed[: n + 1]) for n in range(40)]
    assert diagnose(seen(at_ms, handed, watched=True)).cause != "late_loop"


def test_a_loop_that_was_late_hides_what_came_in_the_stamp_of_the_last_of_it() -> None:
    """One read brings all, and has the time of its last segment: by stamps alone that is a silence."""
    times = held()
    handed = [at + 5 if n >= 20 else at for n, at in enumerate(times)]
    found = diagnose(seen(times, handed, loop_busy_ns=spans([[700 * MS, 1400 * MS]])))
    assert found.cause == "late_loop"


def test_a_loop_that_was_late_while_the_source_paused_is_not_to_blame() -> None:
    """One event alone was there when it read again."""
    busy = spans([[700 * MS, 1350 * MS]])
    assert diagnose(seen(paused(), loop_busy_ns=busy)).cause == "source_paused"


def test_a_loop_that_was_late_for_a_part_of_it_is_not_to_blame() -> None:
    assert diagnose(seen(held(), loop_busy_ns=spans([[700 * MS, 800 * MS]]))).cause == "held"


def test_a_reader_that_took_nothing_while_all_lay_here_is_slow() -> None:
    found = diagnose(seen(held(), reader_busy_ns=spans([[680 * MS, 1390 * MS]]), unread=([900 * MS], [4096])))
    assert found.cause == "slow_reader"
    assert "up to 4,096 bytes lay in the receive queue" in found.evidence


def test_a_reader_that_is_always_behind_is_slow_without_a_stall() -> None:
    at_ms = steady(60)
    handed = [100 + n * 80.0 for n in range(60)]
    found = diagnose(seen(at_ms, handed, paced=True))
    assert found.cause == "slow_reader"
    assert "always behind" in found.sentence


LOST = TcpRows([0, 600 * MS, 1500 * MS], [9000, 9000, 9000], [0, 0, 0], [0, 0, 4])


def test_segments_out_of_order_and_a_burst_are_a_network_that_lost_some() -> None:
    found = diagnose(seen(held(), tcp=LOST))
    assert found.cause == "network"
    assert "TCP: 4 segments overtook a lost one; round trip 9 ms" in found.evidence


def test_segments_out_of_order_without_a_burst_are_no_reason_for_a_silence() -> None:
    assert diagnose(seen(paused(), tcp=LOST)).cause == "source_paused"


def test_what_was_lost_before_the_silence_is_not_its_reason() -> None:
    early = TcpRows([0, 300 * MS, 1500 * MS], [9000] * 3, [0] * 3, [0, 4, 4])
    assert diagnose(seen(held(), tcp=early)).cause == "held"


def test_what_tcp_cannot_see_is_said() -> None:
    found = diagnose(seen(held(), tcp=TcpRows([0], [9000], [0], [0])))
    assert any("a loss of all that was sent would not show" in line for line in found.evidence)


def test_halts_after_equal_numbers_of_events_are_one_cause() -> None:
    times = gaps(*[400 if n % 12 == 0 else 30 for n in range(1, 70)])
    found = diagnose(seen(times))
    assert (found.cause, found.names, found.causes[0].halts) == ("periodic", ("periodic",), 5)
    assert "one every 12 events" in found.sentence
    assert any("source paused" in line for line in found.evidence)


def test_one_short_halt_more_does_not_hide_the_rhythm() -> None:
    times = gaps(*[400 if n % 12 == 0 else 290 if n == 29 else 30 for n in range(1, 70)])
    found = diagnose(seen(times))
    assert found.names == ("periodic", "source_paused")
    assert [cause.halts for cause in found.causes] == [5, 1]


def test_three_of_them_may_be_chance() -> None:
    times = gaps(*[400 if n in (12, 24, 36) else 30 for n in range(1, 60)])
    assert diagnose(seen(times)).cause == "source_paused"


def test_events_that_always_come_five_at_a_time_are_batched_and_no_stall() -> None:
    times = [100.0 + n // 5 * 300 for n in range(60)]
    found = diagnose(seen(times))
    assert (found.cause, found.after) == ("batched", None)
    assert found.sentence.startswith("Always 5 events at a time, every 300 ms: put together")


def test_bunches_that_come_in_several_reads_are_bunches_too() -> None:
    times = [100.0 + n // 5 * 300 + n % 5 * 0.4 for n in range(60)]
    assert diagnose(seen(times)).names == ("batched",)


def test_a_stall_between_bunches_is_seen_and_does_not_hide_them() -> None:
    """What HAProxy made of a word every 25 ms, and of a pause of 700 ms: the kernel collects, 200 ms at a time."""
    sizes, waits = [6, 9, 5, 9, 9, 9, 9, 4], [211, 227, 824, 224, 223, 228, 92]
    starts = gaps(*waits)
    times = [at for at, size in zip(starts, sizes, strict=True) for _ in range(size)]
    found = diagnose(seen(times))
    assert found.names == ("source_paused", "batched")
    assert found.causes[1].sentence.startswith("Always 9 events at a time, every 226 ms")


def test_bunches_that_this_client_made_itself_are_not_the_servers() -> None:
    times = [100.0 + n // 5 * 150 for n in range(60)]
    busy = spans([[(100 + k * 150 + 10) * MS, (240 + k * 150) * MS] for k in range(11)])
    assert diagnose(seen(times, loop_busy_ns=busy)).cause == "late_loop"


def test_a_whole_answer_at_once_is_batched() -> None:
    """As behind a proxy that collects all of it."""
    found = diagnose(seen([3100.0] * 31))
    assert found.cause == "batched"
    assert found.sentence.startswith("All 31 events at once, 3.1 s after the request: put together")


def test_an_answer_at_once_that_nobody_had_to_wait_for_is_none() -> None:
    assert diagnose(seen([120.0] * 31)).cause == "none"


def test_an_answer_at_once_that_lay_here_is_this_clients() -> None:
    found = diagnose(seen([3100.0] * 31, loop_busy_ns=spans([[200 * MS, 3090 * MS]])))
    assert found.cause == "late_loop"


def test_a_few_large_bunches_are_bunches_and_a_fast_stream_that_pauses_is_not() -> None:
    """Buffers of a fixed size: 40 events each 1.5 s. And a stream of 500 events a second that halts twice."""
    assert diagnose(seen([1500.0 * (1 + n // 40) for n in range(120)])).cause == "batched"
    fast = gaps(*[700 if n in (50, 100) else 2 for n in range(1, 400)])
    assert diagnose(seen(fast)).names == ("source_paused",)


def test_a_stall_in_a_batched_stream_comes_before_its_bunches() -> None:
    times = [100.0 + n // 5 * 150 + (900 if n >= 40 else 0) for n in range(80)]
    assert diagnose(seen(times)).names == ("source_paused", "batched")


def test_a_pace_too_fast_to_be_seen_is_no_bunch() -> None:
    times = [100.0 + n // 5 * 20 for n in range(100)]
    assert diagnose(seen(times)).cause == "none"


def test_silence_before_a_cut_cannot_be_told() -> None:
    found = diagnose(seen(steady(30), end=(970 * MS, 2000 * MS), ended="truncated"))
    assert (found.cause, found.after) == ("unknown", 30)
    assert found.sentence == "A stall of 1030 ms after event 30, before the end: this cannot be told from here"
    assert found.evidence[0].endswith("then: truncated")


def test_heartbeats_before_a_cut_tell() -> None:
    beats = np.array([1300, 1600]) * MS
    assert diagnose(seen(steady(30), alive_ns=beats, end=(970 * MS, 2000 * MS))).cause == "model_paused"


def test_few_events_behind_a_silence_do_not_tell() -> None:
    assert diagnose(seen(paused(after=57, events=60))).cause == "unknown"
    assert diagnose(seen([0, 50, 900])).cause == "unknown"


def test_a_cut_is_told_by_the_recording() -> None:
    times = gaps(*[30] * 19, 800, *[0] * 10, *[30] * 20)
    follows = np.arange(len(times)) > 0
    follows[20:31] = False
    found = diagnose(seen(times, follows=follows, cuts=[(670 * MS, 1470 * MS)]))
    assert (found.cause, found.after) == ("cut", 20)


def test_the_cause_that_cost_most_is_the_main_one() -> None:
    """A source that pauses for 1,500 ms, and a loop that is late for 400."""
    times = gaps(*[30] * 19, 1500, *[30] * 60)
    handed = [at + (400 if n == 10 else 0) for n, at in enumerate(times)]
    handed = [max(handed[: n + 1]) for n in range(len(times))]
    assert diagnose(seen(times, handed)).names == ("source_paused", "late_loop")


def test_without_borders_a_burst_is_told_by_its_length() -> None:
    """Text: each read is one event, and that behind the silence has the text of 24."""
    times = gaps(*[30] * 19, 720, *[30] * 30)
    weight = np.ones(len(times))
    assert diagnose(seen(times, weight=weight, borders=False)).cause == "source_paused"
    weight[20] = 24
    assert diagnose(seen(times, weight=weight, borders=False)).cause == "held"


WAY = {
    "upstream.sent": curve(np.array(paused()) * MS),
    "relay.read": curve(np.array(paused()) * MS + MS),
    "client.read": curve(np.array(paused()) * MS + 2 * MS),
}


def test_with_taps_it_says_where_the_stall_was_first() -> None:
    found = diagnose(seen(paused(), curves=WAY))
    assert found.where == "upstream.sent"
    assert found.evidence[-1] == "700 ms after event 20: it was the upstream's own (upstream.sent)"
    later = diagnose(seen(paused(), curves={name: WAY[name] for name in ("relay.read", "client.read")}))
    assert later.evidence[-1] == "700 ms after event 20: it was there already at relay.read"


def test_with_taps_it_says_between_which_it_arose() -> None:
    way = {"relay.sent": curve(np.array(steady(60)) * MS), "client.read": curve(np.array(held()) * MS)}
    found = diagnose(seen(held(), curves=way))
    assert (found.cause, found.where) == ("held", "client.read")
    assert found.evidence[-1].endswith("it arose between relay.sent and client.read")


def test_a_tap_of_the_upstream_tells_what_cannot_be_told_without() -> None:
    few = paused(after=57, events=60)
    found = diagnose(seen(few, curves={"upstream.sent": curve(np.array(few) * MS)}))
    assert (found.cause, found.sentence) == ("source_paused", "A stall of 700 ms after event 57: the source paused")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_stream_of_so_few_events_has_no_stall(count: int) -> None:
    assert diagnose(seen(steady(3)[:count])).cause == "none"


@settings(deadline=None, max_examples=200)
@given(
    after=st.integers(10, 30),
    ms=st.floats(400, 3000),
    gap_ms=st.floats(10, 80),
    noise=st.lists(st.floats(-0.3, 0.3), min_size=90, max_size=90),
)
def test_jitter_does_not_make_a_pause_a_hold_or_the_other_way_round(
    after: int, ms: float, gap_ms: float, noise: list[float]
) -> None:
    """A third of the gap, either way: the wrong name of the two is never given."""
    ms = max(ms, 8 * gap_ms)
    due = int(ms / gap_ms) + 1
    events = after + due + 20
    moved = [gap_ms * noise[n % 90] for n in range(events)]
    pause = np.maximum.accumulate(np.add(paused(after, ms, events, gap_ms), moved))
    hold = np.maximum.accumulate(np.add(held(after, due, events, gap_ms), moved))
    assert diagnose(seen(pause.tolist())).cause in ("source_paused", "unknown", "none")
    assert diagnose(seen(hold.tolist())).cause in ("held", "unknown", "none")


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(0, 3000), max_size=60), st.booleans(), st.booleans())
def test_it_says_something_of_any_stream(gaps_ms: list[float], paced: bool, borders: bool) -> None:
    found = diagnose(seen(gaps(*gaps_ms), paced=paced, borders=borders))
    assert found.cause in CAUSES
    assert found.sentence
    assert str(found).startswith(found.sentence)
    assert found._repr_html_().startswith("<p>")


# --- Honest streams that look like something else -------------------------------------------------------------------


def test_a_model_that_thinks_slowly_and_then_speaks_has_no_timer() -> None:
    """A halt behind each single event is a pace."""
    assert "periodic" not in diagnose(seen(gaps(*[500] * 12, *[20] * 40))).names
    assert "periodic" not in diagnose(seen(gaps(*[20] * 40, *[500] * 6, *[20] * 40))).names


def test_a_source_that_speaks_faster_behind_a_pause_was_not_held() -> None:
    """All that was due meanwhile came within a fifth of it; and so it went on, or to its end."""
    assert diagnose(seen(gaps(*[40] * 60, 800, *[8] * 50))).names == ("unknown",)
    assert diagnose(seen(gaps(*[30] * 40, 900, *[10] * 10))).names == ("unknown",)


def test_a_model_that_says_several_at_a_time_was_not_held_for_saying_eight() -> None:
    """Reads of one to eight events, as of a model that guesses ahead, and a wait that is longer than the others."""
    steps = [1, 3, 8, 2, 5, 1, 8, 4, 2, 6, 3, 8, 1, 7, 2, 4]
    at_ms = [100.0 + 60 * step + (300 if step >= 11 else 0) for step, size in enumerate(steps) for _ in range(size)]
    assert "held" not in diagnose(seen(at_ms)).names


def test_a_large_event_that_was_on_its_way_all_the_time_is_no_pause() -> None:
    """A slow line: the reads within the silence brought parts of the event behind it."""
    found = diagnose(seen(paused(), parts_ns=np.arange(700, 1350, 30) * MS))
    assert found.cause == "unknown"
    assert found.evidence[0] == "18 reads brought parts of an event meanwhile: it was on its way"


def test_where_nobody_vouches_for_the_client_a_burst_is_nobody_s() -> None:
    """Neither a kernel's stamp nor a watched loop, as in older files and in those of others: it may have lain here."""
    found = diagnose(seen(held(), kernel=False))
    assert found.cause == "unknown"
    assert found.evidence[0].endswith("nobody watched whether this client was late")
    assert diagnose(seen(held(), kernel=False, watched=True)).cause == "held"


def test_where_nobody_vouches_for_the_client_nobody_is_named_for_bunches() -> None:
    times = np.repeat(np.arange(100.0, 1600, 100), 5).tolist()
    assert diagnose(seen(times, kernel=False)).cause == "unknown"
    assert diagnose(seen(times, kernel=False, watched=True)).cause == "batched"
    assert diagnose(seen(times)).cause == "batched"

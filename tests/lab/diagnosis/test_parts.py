"""The parts of a diagnosis: heartbeats, what TCP told, equal distances, taps, serial servers, how it is shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.diagnosis.result import Cause, Diagnosis
from streamkit.lab.diagnosis.rhythm import Period, period
from streamkit.lab.diagnosis.seen import TcpRows, overlap_ns, quiet_reads, spans
from streamkit.lab.diagnosis.several import Served, diagnose_several, serial
from streamkit.lab.diagnosis.tapped import first_tap, words_of
from streamkit.lab.metrics.curves import curve
from tests.lab.diagnosis.columns import MS

# --- Heartbeats -----------------------------------------------------------------------------------------------------


def beats(*bodies: bytes | None, sizes: list[int] | None = None) -> list[int]:
    """Which of these reads, of which none brought an event, are heartbeats: by their places."""
    size = sizes or [len(body or b"") for body in bodies]
    found: list[int] = quiet_reads(range(len(bodies)), size, bodies, [], [], []).alive_ns.tolist()
    return found


def test_comments_and_blank_lines_are_heartbeats_and_a_torn_event_is_none() -> None:
    assert beats(b": ping\n\n", b"data: {", b"\n", b":\r\n\r\n") == [0, 2, 3]


def test_where_bytes_were_not_kept_small_reads_of_one_size_are_heartbeats() -> None:
    assert beats(None, None, None, sizes=[9, 77, 9]) == [0, 2]


def test_large_reads_of_one_size_are_parts_of_an_event() -> None:
    assert beats(None, None, sizes=[16_384, 16_384]) == []


def test_small_reads_of_one_size_before_an_event_that_is_larger_than_its_own_are_parts_of_it() -> None:
    """A slow line, and no bytes kept: 2,100 bytes of an event came with four reads and with its own."""
    sizes = [9, 500, 500, 500, 500, 120]
    found = quiet_reads(range(6), sizes, [None] * 6, [5], ["message"], [True], [2100])
    assert (found.alive_ns.tolist(), found.parts_ns.tolist()) == ([], [0, 1, 2, 3, 4])
    known = quiet_reads(range(6), sizes, [None] * 6, [5], ["message"], [True], [100])
    assert known.alive_ns.tolist() == [1, 2, 3, 4]


def test_a_read_with_an_event_that_is_waited_for_is_no_heartbeat() -> None:
    found = quiet_reads([5, 6], [9, 9], [None, None], [0, 0, 1], ["ping", "message", "ping"], [False, True, False])
    assert (found.alive_ns.tolist(), found.other_ns.tolist()) == ([6], [])


def test_a_read_that_brought_neither_is_a_part_of_an_event() -> None:
    found = quiet_reads([5, 6, 7], [9, 2, 9], [b"data: {", b"\n", None], [2], ["message"], [True])
    assert (found.alive_ns.tolist(), found.parts_ns.tolist()) == ([6], [5])


def test_an_event_without_text_that_is_no_ping_says_something_else() -> None:
    found = quiet_reads([5, 6], [9, 9], [None, None], [0, 1], ["message", "message"], [True, False])
    assert (found.alive_ns.tolist(), found.other_ns.tolist()) == ([], [6])


# --- Spans, TCP -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [None, "busy", [[1]], [[1, 2, 3]], {"a": 1}, [["a", "b"]], 7])
def test_what_is_no_list_of_spans_is_none(told: object) -> None:
    assert spans(told).shape == (0, 2)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=20, unique=True), st.integers(0, 1000), st.integers(0, 1000))
def test_an_overlap_is_what_a_count_of_single_moments_says(edges: list[int], one: int, other: int) -> None:
    edges = sorted(edges)[: len(edges) // 2 * 2]
    pairs = [edges[at : at + 2] for at in range(0, len(edges), 2)]
    since, until = sorted((one, other))
    counted = sum(any(a <= t < b for a, b in pairs) for t in range(since, until))
    assert overlap_ns(spans(pairs), since, until) == counted


def test_a_count_of_tcp_grew_from_the_last_look_before_to_the_first_behind() -> None:
    rows = TcpRows([0, 100, 200, 300], [1] * 4, [0] * 4, [0, 2, 2, 7])
    assert rows.grown("out_of_order", 150, 250) == 5
    assert rows.grown("out_of_order", 100, 200) == 0
    assert rows.grown("out_of_order", 0, 50) == 2
    assert rows.grown("out_of_order", 250, 9999) == 5


@pytest.mark.parametrize(
    "told", [None, [], {"at_ns": [1]}, {name: ["x"] for name in TcpRows._fields}, {**dict.fromkeys(TcpRows._fields, 1)}]
)
def test_what_tcp_did_not_tell_is_empty(told: object) -> None:
    assert TcpRows.of(told) == TcpRows()
    assert TcpRows.of(told).grown("out_of_order", 0, 1) == 0


def test_what_grew_since_a_look_that_was_long_ago_is_of_no_silence() -> None:
    rows = TcpRows([0, 60_000 * MS], [9000] * 2, [0] * 2, [0, 40])
    assert rows.grown("out_of_order", 4_000 * MS, 5_000 * MS) == 40
    assert rows.grown("out_of_order", 30_000 * MS, 31_000 * MS) == 0


# --- Rhythms --------------------------------------------------------------------------------------------------------


def test_distances_in_time_need_one_halt_more_than_those_in_events() -> None:
    every = [0, 1000, 2010, 3000, 4000]
    assert period([3, 9, 11, 20], every[:4]) is None
    assert period([3, 9, 11, 20, 22], every) == Period(None, 1000)


def test_distances_in_time_that_differ_are_no_rhythm() -> None:
    assert period([3, 9, 11, 20, 22], [0, 1000, 2300, 3000, 4010]) is None


@given(st.lists(st.integers(1, 50), min_size=3, max_size=9), st.integers(1, 100))
def test_a_rhythm_of_events_is_exact(steps: list[int], first: int) -> None:
    after = np.cumsum([first, *steps]).tolist()
    found = period(after, [n * n for n in range(len(after))])
    assert (found is not None and found.events is not None) == (len(set(steps)) == 1 and steps[0] > 1)


# --- Taps -----------------------------------------------------------------------------------------------------------


def test_the_first_tap_is_the_first_at_which_the_two_events_are_half_of_it_apart() -> None:
    way = {
        "upstream.sent": curve([0, 20]),
        "relay.read": curve([1, 400]),
        "client.read": curve([2, 702]),
    }
    assert first_tap(way, 1, 700) == "relay.read"
    assert words_of(way, "relay.read") == "arose between upstream.sent and relay.read"
    assert first_tap(way, 1, 2000) is None
    assert first_tap({}, 1, 700) is None


# --- Several --------------------------------------------------------------------------------------------------------


def served(*times_ms: tuple[int, int, int]) -> list[Served]:
    return [Served(*(each * MS for each in times)) for times in times_ms]


ONE_BY_ONE = served((0, 100, 1000), (2, 1100, 2000), (3, 2105, 3000), (5, 3110, 4000))


def test_streams_that_follow_each_other_and_were_asked_for_at_once_are_served_one_by_one() -> None:
    assert serial(ONE_BY_ONE)
    assert serial(ONE_BY_ONE[::-1])


def test_two_streams_may_follow_each_other_by_chance() -> None:
    assert not serial(ONE_BY_ONE[:2])


def test_streams_that_run_side_by_side_are_not() -> None:
    assert not serial(served((0, 100, 1000), (2, 400, 2000), (3, 900, 3000)))


def test_streams_that_were_asked_for_one_after_the_other_are_not() -> None:
    """Who asks again when the answer is there sees the same times, and made them itself."""
    assert not serial(served((0, 100, 1000), (1000, 1100, 2000), (2000, 2105, 3000)))


def test_streams_between_which_nobody_is_served_are_not() -> None:
    assert not serial(served((0, 100, 400), (0, 3000, 3300), (0, 9000, 9300)))


def test_answers_that_are_over_in_a_moment_are_not() -> None:
    assert not serial(served((0, 100, 110), (0, 120, 130), (0, 140, 150)))


WELL = Diagnosis((Cause(name="none", sentence="No stall"),))
PAUSED = Diagnosis((Cause(name="source_paused", sentence="A stall", total_ms=700.0, silence_ms=700.0),))


def test_of_several_the_serial_server_comes_first_and_then_what_most_of_them_had() -> None:
    found = diagnose_several(ONE_BY_ONE, [WELL, PAUSED, WELL, WELL])
    assert found.names == ("serial_server", "source_paused")
    assert (
        found.sentence
        == "The server answers one request at a time: of 4 at once, the last waited 3.1 s, the first 100 ms"
    )
    assert found.causes[1].sentence == "A stall (1 of 4)"


def test_several_that_are_well_are_well() -> None:
    assert diagnose_several([], [WELL, WELL]).sentence == "No stall (both)"


def test_none_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a diagnosis or several, got none"):
        diagnose_several([], [])


# --- How it is shown ------------------------------------------------------------------------------------------------


def test_it_is_shown_with_its_evidence_and_nothing_of_it_is_markup() -> None:
    found = Diagnosis((Cause(name="held", sentence="A <b>", evidence=("1 < 2",)), *PAUSED.causes))
    assert str(found) == "A <b>\n  - 1 < 2\nA stall"
    assert repr(found) == "<Diagnosis held: A <b> (and source_paused)>"
    assert "A &lt;b&gt;" in found._repr_html_()
    assert "<li>1 &lt; 2</li>" in found._repr_html_()

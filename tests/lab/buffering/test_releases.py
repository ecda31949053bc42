"""In which portions an answer was let go: what a buffer looks like, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamkit.lab.buffering.releases import lateness, releases, releasing
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from tests.lab.findings.held import (
    EVENT,
    MS,
    Layer,
    as_text,
    every,
    head_start,
    in_bursts,
    late,
    portions,
    recorded,
    steady,
    whole,
)


def of(sent: object, *layers: Layer) -> tuple[str, int]:
    found = releasing(recorded(sent, *layers))  # type: ignore[arg-type]  # a Sent
    return found.pattern, found.amount


def test_reads_that_follow_each_other_are_one_release() -> None:
    cut = recorded([(10, EVENT), (50, EVENT)], lambda _: [(10, EVENT), (50, EVENT[:100]), (51, EVENT[100:])])
    assert [(one.at_ns // MS, one.bytes, one.events, one.inside) for one in releases(cut)] == [
        (10, 400, 1, False),
        (50, 800, 2, False),
    ]


def test_times_count_from_when_the_request_was_sent() -> None:
    sent_later = recorded([(10, EVENT)])
    assert releases(sent_later)[0].at_ns == 10 * MS


def test_a_release_inside_of_an_event_is_seen() -> None:
    cut = releases(recorded(steady(20), portions(1000)))
    assert {one.inside for one in cut[:-1]} == {True, False}  # 2,000 bytes are five events


def test_an_events_end_may_be_cut_in_two_by_reads() -> None:
    ends = recorded([(10, EVENT)], lambda _: [(10, EVENT[:-1]), (50, EVENT[-1:])])
    assert [one.inside for one in releases(ends)] == [True, False]


def test_nothing_is_known_of_the_inside_of_encoded_bodies_and_of_bytes_that_were_not_kept() -> None:
    encoded = recorded(steady(5), headers={"content-encoding": "gzip"})
    assert {one.inside for one in releases(encoded)} == {None}
    lost = Recording(reads=Reads([10], size=[5]), events=Events([10], text=["x"], event=["message"]))
    assert releases(lost)[0].inside is None


@pytest.mark.parametrize(
    ("layers", "pattern", "amount"),
    [
        ([], "as it came", 0),
        ([late(300)], "as it came", 0),
        ([portions(4096, first=3792)], "portions", 4096),
        ([portions(8192)], "portions", 8192),
        ([portions(16384, first=16080)], "portions", 16384),
        ([every(200)], "period", 200 * MS),
        ([head_start(8192)], "head start", 8400),
        ([whole], "lump", 48000),
    ],
)
def test_each_way_of_holding_has_a_pattern_of_its_own(layers: list[Layer], pattern: str, amount: int) -> None:
    assert of(steady(), *layers) == (pattern, amount)


@pytest.mark.parametrize(
    ("layers", "pattern", "amount"),
    [
        ([], "as it came", 0),
        ([portions(4096, first=3792)], "portions", 4096),
        ([every(200)], "period", 200 * MS),
        ([head_start(8192)], "head start", 8400),
        ([whole], "lump", 48000),
    ],
)
def test_a_text_without_borders_has_them_too_where_a_servers_tap_tells_its_events(
    layers: list[Layer], pattern: str, amount: int
) -> None:
    found = releasing(as_text(steady(), *layers))
    assert (found.pattern, found.amount, found.inside, found.events) == (pattern, amount, 0, 120)


def test_without_its_taps_a_text_shows_portions_alone() -> None:
    told = {name: releasing(as_text(steady(), layer, told=False)).pattern for name, layer in TEXTS.items()}
    assert told == {"late": "bursts", "portions": "portions", "every": "bursts"}


TEXTS: dict[str, Layer] = {"late": late(0), "portions": portions(4096), "every": every(200)}


def test_portions_are_known_by_one_in_the_middle_where_it_is_of_a_buffers_size() -> None:
    assert of(steady(), portions(16384, first=16384)) == ("portions", 16384)
    assert of(steady(60), portions(9216)) == ("bursts", 0)  # 24,000 bytes: one of 9 KiB might be chance


def test_a_source_that_pauses_makes_bursts_that_end_with_an_event() -> None:
    found = releasing(recorded(in_bursts()))
    assert (found.pattern, found.inside) == ("period", 0)


def test_events_that_are_as_long_as_a_buffer_are_no_portions() -> None:
    kib = b"data: %b\n\n" % (b"x" * 1016)
    assert of(steady(40, event=kib)) == ("as it came", 0)


def test_what_comes_as_fast_as_a_network_can_is_no_portion() -> None:
    """TLS has records of 16 KiB, and a window may have as many."""
    assert of(steady(2000, gap_ms=0.2), portions(16384))[0] != "portions"


def test_a_handful_of_events_says_nothing() -> None:
    assert of(steady(4))[0] == "bursts"
    assert releasing(Recording()).pattern == "nothing"


@given(st.integers(1, 12), st.integers(0, 4095), st.integers(300, 900))
def test_a_buffers_size_is_found_whatever_lies_before_the_answer_in_it(blocks: int, head: int, size: int) -> None:
    event = b"data: %b\n\n" % (b"x" * (size - 8))
    buffer = 4096 * blocks
    found = releasing(recorded(steady(600, event=event), portions(buffer, first=buffer - head)))
    if found.inside * 2 > found.count - 1:
        assert (found.pattern, found.amount) == ("portions", buffer)
    else:
        assert found.pattern != "as it came"


def test_lateness_is_what_a_layer_adds_to_the_fastest_event() -> None:
    held = lateness(recorded(steady(), portions(4096)))
    assert held is not None
    assert held.held("portions")
    assert 20 * MS < held.median_ns < 60 * MS  # ten events lie in it, 8 ms apart
    free = lateness(recorded(steady(), late(30)))
    assert free is not None
    assert (free.held("as it came"), free.median_ns, free.least_ns) == (False, 0, 30 * MS)


def test_a_source_that_pauses_is_not_late() -> None:
    paused = lateness(recorded(in_bursts()))
    assert paused is not None
    assert paused.held("period") is False


def test_what_held_the_first_events_alone_counts_where_they_came_together() -> None:
    started = lateness(recorded(steady(), head_start(8192)))
    assert started is not None
    assert started.share < 0.25
    assert started.held("head start") is True
    assert started.held("bursts") is None


def test_a_tenth_of_a_second_for_each_may_be_a_network_and_may_be_a_layer() -> None:
    far = lateness(recorded(steady(), late(200)))
    assert far is not None
    assert far.held("as it came") is None


def test_a_client_that_was_busy_itself_tells_nothing() -> None:
    assert lateness(recorded(steady(), portions(4096), lag_ms=60)) is None
    assert lateness(recorded(steady(), portions(4096), lag_ms=5)) is not None


def test_without_taps_nothing_is_known() -> None:
    assert lateness(recorded(steady(), portions(4096), told=False)) is None

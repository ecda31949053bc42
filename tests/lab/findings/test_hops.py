"""Where the delay is, in one sentence: exact texts for made-up ways."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamkit.lab.findings.hops import compared_hops, hop_journeys, hops_finding
from streamkit.lab.recording.recorded import Reads
from streamkit.lab.recording.recording import Recording
from tests.lab.findings.pieces import made
from tests.ways import DISTANT, DUE, FINE, RELAY_STALL, later, way


@pytest.mark.parametrize(
    ("recordings", "sentence"),
    [
        (DISTANT, "Most of the delay is between relay.sent and client.read: p50 150 ms of 151 ms"),
        (FINE, "No hop stands out: each takes up to 0.20 ms of 1.2 ms (p50)"),
        (Recording(), "No delay to measure: it takes two taps and an event that passed both"),
        (
            {"direct": FINE, "far": DISTANT},
            "relay.sent → client.read: p95 150 ms in far, 0.20 ms in direct",
        ),
        (
            {"direct": FINE, "stalled": RELAY_STALL},
            "relay.event → relay.send: p95 750 ms in stalled, 0.20 ms in direct",
        ),
        ({"a": FINE, "b": FINE}, "Both alike: p95 up to 1.2 ms from the first tap to the last"),
        (
            {"none": Recording(), "far": DISTANT},
            "far: most of the delay is between relay.sent and client.read: p50 150 ms of 151 ms",
        ),
    ],
)
def test_the_finding_of_the_hops_is_where_the_delay_is(
    recordings: Recording | dict[str, Recording], sentence: str
) -> None:
    assert hops_finding(recordings) == sentence


def test_what_seems_to_arrive_before_it_was_sent_is_no_delay() -> None:
    early = way({"relay.sent": later(DUE, 0.5)}, DUE)
    assert hops_finding(early) == "No delay that the stamps could tell: p50 -0.50 ms from the first tap to the last"


def parted(read_ms: float, error_ns: int) -> Recording:
    """Events that take 0.22 ms to the relay and `read_ms` from there; their reads' times may be wrong by so much."""
    relay_ms = later(DUE, 0.22)
    made = way({"upstream.sent": DUE, "relay.read": relay_ms}, later(relay_ms, read_ms))
    return replace(made, reads=Reads(made.reads.at_ns, size=made.reads.size, error_ns=[error_ns] * len(made.reads)))


@pytest.mark.parametrize(
    ("read_ms", "error_ns", "sentence"),
    [
        (0.23, 0, "No hop stands out: each takes up to 0.23 ms of 0.45 ms (p50)"),
        (0.80, 0, "Most of the delay is between relay.read and client.read: p50 0.80 ms of 1.0 ms"),
        (0.80, 600_000, "No hop stands out: each takes up to 0.80 ms of 1.0 ms (p50)"),
    ],
)
def test_a_part_is_the_largest_if_it_is_more_than_a_tenth_larger_and_more_than_the_error(
    read_ms: float, error_ns: int, sentence: str
) -> None:
    assert hops_finding(parted(read_ms, error_ns)) == sentence


@pytest.mark.parametrize(
    ("recordings", "whose"),
    [
        (made([0, 50]), "the client's own: a hop lies between two parties"),
        ({"a": made([0, 50]), "b": made([0, 50])}, "the client's own of a, b: a hop lies"),
        ({"far": DISTANT, "b": made([0, 50])}, "the client's own of b: a hop lies"),
    ],
)
def test_of_the_clients_own_taps_nothing_is_said(recordings: Recording | dict[str, Recording], whose: str) -> None:
    with pytest.raises(ValueError, match=whose):
        hops_finding(recordings)


def test_recordings_without_a_common_hop_are_not_compared() -> None:
    by_relay, by_upstream = (way({tap: DUE}, later(DUE, 1)) for tap in ("relay.sent", "upstream.sent"))
    assert hops_finding([by_relay, by_upstream]) == (
        "Both were seen at other taps: no hop between two parties is common to them"
    )


def test_a_hop_that_differs_in_its_tail_alone_is_found_there_and_one_in_its_middle_alone_too() -> None:
    """By p95 first, then by p99, then by p50."""

    def delayed(*delays_ms: float) -> Recording:
        sent = [1000.0 * index for index in range(len(delays_ms))]
        return way({"relay.sent": sent}, [at + delay for at, delay in zip(sent, delays_ms, strict=True)])

    quick, rarely = delayed(*[0.5] * 40), delayed(*[0.5] * 39, 400)
    assert hops_finding({"a": quick, "b": rarely}) == "relay.sent → client.read: p99 400 ms in b, 0.50 ms in a"
    seldom, often = delayed(*[300] * 30, *[500] * 10), delayed(*[300] * 10, *[500] * 30)
    assert hops_finding({"a": seldom, "b": often}) == "relay.sent → client.read: p50 500 ms in b, 300 ms in a"


def test_hops_that_differ_are_told_from_those_that_are_alike_and_none_is_left_out() -> None:
    compared = compared_hops(hop_journeys({"direct": FINE, "far": DISTANT}))
    assert [group.name for group in compared.drawn] == ["relay.sent → client.read", "all the way"]
    assert [group.name for group in (*compared.alike, *compared.drawn[:1])] == [
        "upstream.due → upstream.sent",
        "upstream.sent → relay.read",
        "relay.read → relay.event",
        "relay.event → relay.send",
        "relay.send → relay.sent",
        "client.read → client.event",
        "relay.sent → client.read",
    ]


def test_more_than_eight_recordings_are_compared_as_groups_by_all_their_delays_together() -> None:
    shown = [replace(far, label="far") for far in [DISTANT, *[FINE] * 4]] + [replace(FINE, label="direct")] * 5
    assert hops_finding(shown) == "relay.sent → client.read: p95 150 ms in far (5), 0.20 ms in direct (5)"
    (hop, *_) = compared_hops(hop_journeys(shown)).drawn
    assert [together.delay.size for together in hop.of.values()] == [200, 200]
    assert [len(each) for each in hop.each.values()] == [5, 5]


def test_recordings_of_one_name_or_of_too_many_are_one_group_and_where_its_delay_is_is_said() -> None:
    assert hops_finding([DISTANT] * 9) == (
        "In all 9, most of the delay is between relay.sent and client.read: p50 150 ms of 151 ms"
    )
    assert hops_finding([replace(FINE, label="a")] * 9) == (
        "In a (9), no hop stands out: each takes up to 0.20 ms of 1.2 ms (p50)"
    )


def test_where_nothing_differs_the_whole_way_is_drawn_all_the_same() -> None:
    compared = compared_hops(hop_journeys({"a": FINE, "b": FINE}))
    assert [group.name for group in compared.drawn] == ["all the way"]
    assert compared.q == 95

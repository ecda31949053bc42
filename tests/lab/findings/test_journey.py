"""What the taps of a recording show, in one sentence: exact texts for made-up ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from streamkit.lab.findings.journey import journey_finding, journeys
from streamkit.lab.recording.recording import Recording
from tests.ways import DISTANT, DUE, FINE, FIVES, HALTED, MS, RELAY_STALL, later, quick, slow_reader, way


def slipped(times: Sequence[float], **changes: Sequence[float]) -> Recording:
    return replace(quick(times, **changes), counts={"upstream.own_late_p95_ns": 81 * MS})


SLIPPED = slipped(DUE, upstream_sent=later(DUE, 81), relay_read=later(DUE, 81.2), relay_event=later(DUE, 81.3),
                relay_send=later(DUE, 81.4), relay_sent=later(DUE, 81.5), client_read=later(DUE, 81.6))  # fmt: skip
SCRIPT_STALL = quick([at + (612 if i >= 16 else 0) for i, at in enumerate(DUE)])
TWO_STALLS = quick([at + (612 if i >= 16 else 0) + (800 if i >= 30 else 0) for i, at in enumerate(DUE)])
JOINED = quick(DUE, relay_send=FIVES, relay_sent=later(FIVES, 0.1), client_read=later(FIVES, 0.3))
CUT = way(
    {"upstream.sent": DUE[:24], "relay.read": later(DUE[:22], 0.2), "relay.sent": later(DUE[:18], 0.4)},
    later(DUE[:16], 0.6),
    "truncated",
)
LOST_AT_ONCE = way({"upstream.sent": DUE[:20], "relay.sent": DUE[:18]}, DUE[:18], "truncated")
IDLE = way({"upstream.sent": DUE[:14]}, DUE[:14], "timeout(idle)", 3000)
OWN = "the wait is the upstream's own"
UNEVEN = [300, 330, 360, 450, 480, 510, 600]
WAVES = [300 + 50 * i + (200 if 10 <= i < 20 else 0) for i in range(20)]


@pytest.mark.parametrize(
    ("recording", "sentence"),
    [
        (Recording(), "Not one piece in 0 ms: complete"),
        (way({}, [], "refused(503)", 12), "Refused with status 503 after 12 ms"),
        (
            way({"upstream.sent": DUE[:3], "relay.read": DUE[:3]}, [], "timeout(first_piece)", 5000),
            "Not one piece in 5,000 ms: timeout(first_piece); 3 more were on the way, past relay.read",
        ),
        (CUT, "Cut after 16 pieces: truncated; 8 more were on the way, 2 of them past relay.sent"),
        (LOST_AT_ONCE, "Cut after 18 pieces: truncated; 2 more were on the way, past upstream.sent"),
        (IDLE, "Cut after 14 pieces and 2,050 ms of silence: timeout(idle); the upstream had sent no more"),
        (way({}, DUE[:3], "truncated"), "Cut after 3 pieces: truncated"),
        (way({}, DUE), "First piece after 300 ms, then one every 50 ms"),
        (way({"relay.sent": DUE}, DUE, "complete", 5000), "A stall of 2,750 ms after piece 40, before the end"),
        (slow_reader(12), "From event 30 on the client is slow: the pressure reaches the upstream 1,020 ms later"),
        (slow_reader(1000), "The relay held 33 events for 1,350 ms: the client reads too slowly"),
        (SLIPPED, "Upstream sent 81 ms late (p95): its own schedule slipped"),
        (
            replace(SLIPPED, counts={}),
            "The upstream added 81 ms (p50) of 82 ms: upstream.due → upstream.sent",
        ),
        (RELAY_STALL, "A stall of 900 ms after event 13 arose in the relay: relay.event → relay.send"),
        (
            way({"relay.sent": DUE}, HALTED),
            "A stall of 900 ms after event 13 arose on the way to the client: relay.sent → client.read",
        ),
        (SCRIPT_STALL, "A stall of 662 ms after event 16 is the upstream's own"),
        (TWO_STALLS, "2 stalls; the longest, 850 ms after event 30, is the upstream's own"),
        (way({"relay.read": HALTED}, HALTED), "A stall of 900 ms after event 13 was there already at relay.read"),
        (JOINED, "From relay.send on about 5 events travel together: they wait 100 ms (p50) since relay.event"),
        (
            way({"relay.sent": [300 + 50 * i for i in range(20)]}, WAVES),
            "The way to the client held up to 4 events, up to 200 ms: relay.sent → client.read",
        ),
        (
            FINE,
            "Every hop adds under 1 ms: the wait is the upstream's own (300 ms to the first piece, one every 50 ms)",
        ),
        (quick(UNEVEN), f"Every hop adds under 1 ms: {OWN} (300 ms to the first piece, one every 50 ms)"),
        (
            way({"relay.read": [300]}, [303]),
            "Every hop adds under 5 ms: the wait was there already at relay.read (300 ms to the only piece)",
        ),
        (
            way({"upstream.sent": [300] * 4}, [301] * 4),
            "Every hop adds under 2 ms: the wait is the upstream's own (all at once after 300 ms)",
        ),
        (
            quick([300]),
            "Every hop adds under 1 ms: the wait is the upstream's own (300 ms to the only piece)",
        ),
        (
            way({"upstream.sent": FIVES}, FIVES),
            f"Every hop adds under 1 ms: {OWN} (501 ms to the first piece, 5 events every 250 ms)",
        ),
        (
            way({"upstream.sent": DUE}, [at + (40 if i == 17 else 2) for i, at in enumerate(DUE)]),
            "The way to the client added 40 ms to a few (p99), 2.0 ms to most (p50): upstream.sent → client.read",
        ),
        (DISTANT, "The way to the client added 150 ms (p50) of 151 ms: relay.sent → client.read"),
    ],
)
def test_the_finding_of_a_journey(recording: Recording, sentence: str) -> None:
    assert journey_finding(recording) == sentence


def test_pressure_that_the_relay_feels_in_send_needs_no_other_sign() -> None:
    """A send that does not return is held by what comes after it."""
    held = [at + max(0, 20 * (i - 30)) for i, at in enumerate(DUE)]
    recording = way({"relay.event": DUE, "relay.send": DUE, "relay.sent": held}, held)
    assert journey_finding(recording) == "The relay held 3 events for 180 ms: the client reads too slowly"


def test_a_reader_that_takes_its_time_is_named_without_other_taps() -> None:
    handed = [at + 20 * i for i, at in enumerate(DUE)]
    assert journey_finding(way({}, DUE, handed=handed)) == (
        "From event 1 on the client is slow: it holds up to 12 events, up to 780 ms"
    )


def test_bytes_are_counted_in_bytes() -> None:
    assert journey_finding(FINE, "bytes").endswith("(300 ms to the first piece, 7 bytes every 50 ms)")
    assert journey_finding(CUT, "bytes").endswith("56 more were on the way, 14 of them past relay.sent")


def test_times_count_from_when_the_request_had_left() -> None:
    (journey,) = journeys(replace(FINE, sent_ns=100 * MS))
    assert journey.curves["upstream.due"].at_ns[0] == 200 * MS


def test_the_hops_are_those_between_neighbouring_taps_and_the_whole_way() -> None:
    (journey,) = journeys(CUT)
    assert [hop.name for hop in journey.hops] == [
        "upstream.sent → relay.read",
        "relay.read → relay.sent",
        "relay.sent → client.read",
        "client.read → client.event",
    ]
    assert [hop.lost for hop in journey.hops] == [2, 4, 2, 0]
    assert journey.whole is not None
    assert journey.whole.name == "upstream.sent → client.event"


def test_a_negative_delay_is_not_said_in_a_sentence() -> None:
    """The relay's send may return after the client has read."""
    (journey,) = journeys(way({"relay.sent": later(DUE, 0.5)}, DUE))
    assert journey.hops[0].delay.min() < 0
    assert journey.hops[0].percentile(50) == 0

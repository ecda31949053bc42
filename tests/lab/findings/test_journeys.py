"""What the taps of a recording show, in one sentence: exact texts for made-up ways."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from streamkit.lab.findings.journeys import backlog_finding, hops_finding, journey_finding, journeys
from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome
from streamkit.taps import Tap

MS = 1_000_000
DUE = [300 + 50 * i for i in range(40)]


def way(
    taps: Mapping[str, Sequence[float]],
    client: Sequence[float],
    outcome: str = "complete",
    ended_ms: float = 0,
    handed: Sequence[float] | None = None,
    label: str = "",
) -> Recording:
    """One event of seven bytes at each of these times, tap by tap, in ms; the client's equal times share a read."""
    at_ns = [round(at * MS) for at in client]
    reads = sorted(set(at_ns))
    return Recording(
        reads=Reads(reads, size=[99] * len(reads)),
        events=Events(
            at_ns,
            text=["seven b"] * len(at_ns),
            handed_ns=None if handed is None else [round(at * MS) for at in handed],
        ),
        taps={name: tap(times) for name, times in taps.items()},
        outcome=Outcome.parse(outcome),
        sent_ns=0,
        ended_ns=round(max([ended_ms, *client]) * MS),
        label=label,
    )


def tap(at_ms: Sequence[float]) -> Tap:
    return Tap([round(at * MS) for at in at_ms], range(1, len(at_ms) + 1), range(7, 7 * len(at_ms) + 1, 7))


def later(times: Sequence[float], by_ms: float) -> list[float]:
    return [at + by_ms for at in times]


def quick(times: Sequence[float], **changes: Sequence[float]) -> Recording:
    """Each hop takes 0.2 ms, from the upstream on, except where told otherwise."""
    names = ("upstream.due", "upstream.sent", "relay.read", "relay.event", "relay.send", "relay.sent", "client_read")
    stamps = {name: changes.get(name.replace(".", "_"), later(times, 0.2 * i)) for i, name in enumerate(names)}
    return way(stamps, stamps.pop("client_read"))


def slow_reader(relay_room: int, count: int = 120) -> Recording:
    """From event 30 on the reader takes 42 ms an event, the upstream goes on sending one every 20 ms. The socket holds
    15 events, then the relay's send waits; the relay holds `relay_room`, then it reads no more."""
    due = [200 + 20 * i for i in range(count)]
    read, sent, client = [0.0] * count, [0.0] * count, [0.0] * count
    for i in range(count):
        read[i] = max(due[i] + 0.2, sent[i - relay_room] if i >= relay_room else 0)
        sent[i] = max(read[i] + 0.2, client[i - 15] if i >= 15 else 0)
        client[i] = max(sent[i] + 0.2, client[i - 1] + 42 if i >= 30 else 0)
    return way({"upstream.due": due, "upstream.sent": due, "relay.read": read, "relay.sent": sent}, client)


def slipped(times: Sequence[float], **changes: Sequence[float]) -> Recording:
    return replace(quick(times, **changes), counts={"upstream.own_late_p95_ns": 81 * MS})


FINE = quick(DUE)
SLIPPED = slipped(DUE, upstream_sent=later(DUE, 81), relay_read=later(DUE, 81.2), relay_event=later(DUE, 81.3),
                relay_send=later(DUE, 81.4), relay_sent=later(DUE, 81.5), client_read=later(DUE, 81.6))  # fmt: skip
HALTED = [1800 if 900 < at < 1800 else at for at in DUE]
RELAY_STALL = quick(DUE, relay_send=later(HALTED, 0.8), relay_sent=later(HALTED, 1.0), client_read=later(HALTED, 1.2))
SCRIPT_STALL = quick([at + (612 if i >= 16 else 0) for i, at in enumerate(DUE)])
TWO_STALLS = quick([at + (612 if i >= 16 else 0) + (800 if i >= 30 else 0) for i, at in enumerate(DUE)])
FIVES = [DUE[5 * (i // 5) + 4] + 1.0 for i in range(40)]
JOINED = quick(DUE, relay_send=FIVES, relay_sent=later(FIVES, 0.1), client_read=later(FIVES, 0.3))
DISTANT = quick(DUE, client_read=later(DUE, 151))
CUT = way(
    {"upstream.sent": DUE[:24], "relay.read": later(DUE[:22], 0.2), "relay.sent": later(DUE[:18], 0.4)},
    later(DUE[:16], 0.6),
    "truncated",
)
LOST_AT_ONCE = way({"upstream.sent": DUE[:20], "relay.sent": DUE[:18]}, DUE[:18], "truncated")
IDLE = way({"upstream.sent": DUE[:14]}, DUE[:14], "timeout(idle)", 3000)
OWN = "the wait is the upstream's own"
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
        (IDLE, "Cut after 14 pieces: timeout(idle); the upstream had sent no more"),
        (way({}, DUE[:3], "truncated"), "Cut after 3 pieces: truncated"),
        (way({}, DUE), "First piece after 300 ms, then one every 50 ms"),
        (slow_reader(12), "From event 30 on the reader is slow: the pressure reaches the upstream 1,020 ms later"),
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
        "From event 1 on the reader is slow: it holds up to 12 events, up to 780 ms"
    )


def test_bytes_are_counted_in_bytes() -> None:
    assert backlog_finding(slow_reader(12), "bytes") == (
        "The way to the relay held most, 147 bytes after 2,580 ms: upstream.sent → relay.read"
    )
    assert journey_finding(CUT, "bytes").endswith("56 more were on the way, 14 of them past relay.sent")


@pytest.mark.parametrize(
    ("recording", "sentence"),
    [
        (slow_reader(12), "The way to the relay held most, 21 events after 2,580 ms: upstream.sent → relay.read"),
        (RELAY_STALL, "The relay held most, 18 events after 1,801 ms: relay.event → relay.send"),
        (FINE, "No hop ever held more than one event"),
        (Recording(), "No hop held anything back"),
    ],
)
def test_the_finding_of_a_backlog_is_the_hop_that_held_most(recording: Recording, sentence: str) -> None:
    assert backlog_finding(recording) == sentence


@pytest.mark.parametrize(
    ("recordings", "sentence"),
    [
        (DISTANT, "Most of the delay is between relay.sent and client.read: p50 150 ms of 151 ms"),
        (FINE, "The largest part of the delay is between upstream.due and upstream.sent: p50 0.20 ms of 1.2 ms"),
        (Recording(), "No delay to measure: it takes two taps and an event that passed both"),
        (
            {"direct": FINE, "far": DISTANT},
            "relay.sent → client.read: p50 150 ms in far, 0.20 ms in direct",
        ),
        (
            {"direct": FINE, "stalled": RELAY_STALL},
            "relay.event → relay.send: p99 850 ms in stalled, 0.20 ms in direct",
        ),
        ({"a": FINE, "b": FINE}, "Both alike: p50 up to 1.2 ms from the first tap to the last"),
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


def test_findings_need_no_matplotlib() -> None:
    code = "import sys, streamkit.lab.findings.journeys; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

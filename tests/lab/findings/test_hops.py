"""Where the delay is, in one sentence: exact texts for made-up ways."""

from __future__ import annotations

import pytest

from streamkit.lab.findings.hops import hops_finding
from streamkit.lab.recording.recording import Recording
from tests.ways import DISTANT, FINE, RELAY_STALL


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

"""What each hop held, in one sentence: exact texts for made-up ways."""

from __future__ import annotations

import pytest

from streamkit.lab.findings.backlog import backlog_finding
from streamkit.lab.recording.recording import Recording
from tests.lab.findings.pieces import made
from tests.ways import FINE, RELAY_STALL, slow_reader, way


@pytest.mark.parametrize(
    ("recording", "sentence"),
    [
        (slow_reader(), "The way to the relay held most, 21 events after 2,580 ms: upstream.sent → relay.read"),
        (RELAY_STALL, "The relay held most, 18 events after 1,801 ms: relay.event → relay.send"),
        (FINE, "No hop ever held more than one event"),
        (Recording(), "No event passed a tap, so there was nothing to hold"),
        (made([0, 50, 100]), "The client held nothing back; what came before it is not known"),
        (
            way({}, [10, 20, 30], handed=[10, 300, 310]),
            "The client held up to 2 events, after 30 ms; what came before it is not known",
        ),
    ],
)
def test_the_finding_of_a_backlog_is_the_hop_that_held_most(recording: Recording, sentence: str) -> None:
    assert backlog_finding(recording) == sentence


def test_bytes_are_counted_in_bytes() -> None:
    assert backlog_finding(slow_reader(), "bytes") == (
        "The way to the relay held most, 147 bytes after 2,580 ms: upstream.sent → relay.read"
    )

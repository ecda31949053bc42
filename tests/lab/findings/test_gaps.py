"""How the gaps are distributed, in one sentence: exact texts for made-up pieces."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamkit.lab.findings.gaps import gaps_finding
from streamkit.lab.recording.recording import Recording
from tests.lab.findings.pieces import BURSTS, made, paced, stalling


@pytest.mark.parametrize(
    ("recordings", "sentence"),
    [
        (paced(), "Half of the gaps are within 50 ms, the longest is 50 ms"),
        (stalling(), "Half of the gaps are within 50 ms, the longest is 612 ms"),
        (paced(count=200), "Half of the gaps are within 50 ms, 99 % within 50 ms"),
        (paced(count=1), "No gap to measure: it takes events in two reads"),
        (made(BURSTS), "Half of the gaps are within 250 ms, the longest is 250 ms"),
        ({"direct": paced(), "relay": stalling()}, "The p99 gap of relay is 612 ms, that of direct 50 ms"),
        ({"direct": paced(), "relay": paced(301.5)}, "Both alike: p50 up to 50 ms, p99 up to 50 ms"),
        (
            {"direct": paced(), "relay": Recording()},
            "direct alone has gaps: half of the gaps are within 50 ms, the longest is 50 ms",
        ),
    ],
)
def test_gaps_finding_names_the_middle_and_the_tail(
    recordings: Recording | dict[str, Recording], sentence: str
) -> None:
    assert gaps_finding(recordings) == sentence


def test_equal_tails_leave_the_medians_to_tell_recordings_apart() -> None:
    """The last gap is 100 ms for both; half of the gaps are 50 or 80 ms."""
    quick = made([50 * i for i in range(20)] + [1050])
    slow = made([80 * i for i in range(20)] + [1620])
    assert gaps_finding({"quick": quick, "slow": slow}) == "The p50 gap of slow is 80 ms, that of quick 50 ms"


def test_of_more_than_eight_recordings_it_is_about_all_gaps_of_a_group_together() -> None:
    """A single long gap in one of five is beyond their p99."""
    shown = [replace(one, label=name) for name in "ab" for one in [paced(count=60)] * 5]
    shown[0] = replace(stalling(), label="a")
    assert gaps_finding(shown) == "Both alike: p50 up to 50 ms, p99 up to 50 ms"
    assert gaps_finding([paced()] * 9) == "In all 9, half of the gaps are within 50 ms, 99 % within 50 ms"

"""What a load shows, as a sentence, and in numbers."""

from __future__ import annotations

import pytest

from streamkit.lab.findings import load_facts, load_finding
from streamkit.lab.findings.load import describe_process
from streamkit.lab.recording.recording import Recording
from streamkit.lab.sets import RecordingSet, Resources
from tests.lab.sets.streams import MS, ZERO_NS, load, stream


def test_first_of_all_whether_it_may_be_quoted() -> None:
    late = [stream(0, 300, ttft=20), stream(9, 300, ttft=20, outcome="truncated")]
    assert load_finding(late).startswith("Do not quote: this client began up to 300 ms late")


def test_then_what_did_not_complete() -> None:
    some = [stream(), stream(outcome="refused(503)"), stream(outcome="refused(503)"), stream(outcome="truncated")]
    assert load_finding(some) == "3 of 4 streams did not complete: 2 refused(503), 1 truncated"


def test_who_leaves_because_they_were_to_is_no_failure() -> None:
    left = stream(9, outcome="cancelled(by us)", labels={"leaves": True})
    assert load_finding([stream(), left]).startswith("2 streams, up to 2 live at once: first piece 102 ms")
    assert load_finding([stream(), left, stream(outcome="truncated")]) == "1 of 3 streams did not complete: 1 truncated"


def test_then_where_it_bends() -> None:
    bent = [stream(20 * n, ttft=100 + 40 * n) for n in range(40)]
    told = "First pieces took 222 ms at the start, 1.5 s at the end: 40 streams, up to 30 live at once"
    assert load_finding(bent) == told


def test_else_how_long_the_first_piece_took() -> None:
    assert load_finding([stream(50 * n) for n in range(9)]).endswith(
        "first piece 102 ms (p50) after it was due, the longest 102 ms"
    )
    assert "p99 102 ms" in load_finding([stream(50 * n) for n in range(100)])


def test_without_a_schedule_it_is_from_sent() -> None:
    assert load_finding([stream(None)]) == "1 stream: first piece 100 ms after it was sent"
    assert load_finding([stream(None, pieces=0)]) == "1 stream: no piece came"


def test_none_are_refused_of_a_set_too() -> None:
    with pytest.raises(ValueError, match="expected a Recording or several, got none"):
        load_finding(RecordingSet([]))


def test_memory_a_stream_is_what_it_grew_by_over_those_live_by_then() -> None:
    rows = [(ZERO_NS, 10**7, 9, 0, -1), (ZERO_NS + 60 * MS, 11 * 10**6, 9, 30 * MS, -1)]
    relay = Resources.of("relay", rows)
    facts = load_facts(RecordingSet([stream(10 * n) for n in range(10)], resources=[relay]))
    (used,) = facts.processes
    assert used.stream_bytes == round(10**6 / 7)
    assert describe_process(used) == "relay: 11 MB (143 kB a stream), 9 descriptors, 50% of a core"


def test_what_did_not_grow_is_not_said_to_be_a_stream_s() -> None:
    flat = Resources.of("relay", [(ZERO_NS, 10**7, -1, -1, -1), (ZERO_NS + 60 * MS, 10**7 + 5, -1, -1, -1)])
    (used,) = load_facts(RecordingSet(load(5), resources=[flat])).processes
    assert (used.stream_bytes, used.most_descriptors, used.cpu_share) == (None, None, None)
    (nothing,) = load_facts(RecordingSet(load(5), resources=[Resources.of("relay", [])])).processes
    assert describe_process(nothing) == "relay: nothing is known"


def test_different_clocks_have_no_moments() -> None:
    facts = load_facts([Recording(meta={"origin": "a"}), Recording(meta={"origin": "b"})])
    assert (facts.zero_ns, facts.end_ns) == (None, 0)

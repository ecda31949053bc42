"""A recording's diagnosis: what it says of its own making counts, and survives being saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import streamkit as sk
from streamkit.lab.recording.diagnosed import seen
from streamkit.lab.recording.rows import Events, Reads
from streamkit.lab.recording.trust import LOOP_PROBE_NS
from streamkit.taps import Tap
from streamkit.taps.gauges import Gauge

MS = 1_000_000
TIMES = [n * 30 * MS + (700 * MS if n >= 20 else 0) for n in range(60)]
BURST = [(min(max(n, 44) if n >= 20 else n, 60) * 30) * MS for n in range(60)]
TCP = {
    "at_ns": [0, 500 * MS, 1500 * MS],
    "rtt_us": [9000] * 3,
    "min_rtt_us": [8000] * 3,
    "retransmits": [0] * 3,
    "lost": [0] * 3,
    "out_of_order": [0, 0, 5],
    "segments": [1, 20, 60],
}


def recording(times: list[int], **fields: Any) -> sk.Recording:
    return sk.Recording.from_pieces(
        [(at_ns, "word ") for at_ns in times], **{"sent_ns": 0, "stamps": "kernel", **fields}
    )


def test_what_tcp_told_is_saved_and_so_is_the_diagnosis(tmp_path: Path) -> None:
    made = recording(BURST, meta={"tcp": TCP, "reader_busy_ns": [[0, 1]]})
    assert made.diagnose().cause == "network"
    made.save(tmp_path / "lossy.jsonl")
    loaded = sk.Recording.load(tmp_path / "lossy.jsonl")
    assert loaded.meta["tcp"] == TCP
    assert loaded.diagnose() == made.diagnose()


@pytest.mark.parametrize(
    "meta", [{"tcp": "x"}, {"tcp": {"at_ns": [1]}}, {"loop_busy_ns": 3}, {"reader_busy_ns": [[1]]}]
)
def test_a_file_that_was_changed_is_looked_at_without_what_makes_no_sense(meta: dict[str, Any]) -> None:
    assert recording(BURST, meta=meta).diagnose().cause == "held"


def test_the_loop_was_late_for_certain_since_its_timer_was_due() -> None:
    made = recording(TIMES, meta={"loop_busy_ns": [[0, LOOP_PROBE_NS + 7], [9, 10]]})
    assert seen(made).loop_busy_ns.tolist() == [[LOOP_PROBE_NS, LOOP_PROBE_NS + 7]]


def test_the_summary_says_why_in_a_row_and_is_silent_where_there_is_nothing() -> None:
    why = dict(recording(TIMES).summary().rows())["why"]
    assert why == "A stall of 730 ms after event 20: the source paused"
    assert recording(TIMES).summary().diagnosis == why
    assert "why" not in dict(recording(TIMES[:20]).summary().rows())
    assert recording(TIMES[:20]).summary().diagnosis is None


def test_the_title_of_the_timeline_says_it_behind_the_stall() -> None:
    assert sk.findings.finding(recording(TIMES)) == "A stall of 730 ms after piece 20: the source paused"
    assert sk.findings.finding(recording(TIMES[:22])) == "A stall of 730 ms after piece 20"


def test_the_receive_queue_is_evidence_where_somebody_looked() -> None:
    gauge = Gauge([700 * MS, 900 * MS], [0, 8192])
    made = recording(BURST, gauges={"client.unread": gauge}, meta={"reader_busy_ns": [[580 * MS, 1310 * MS]]})
    found = made.diagnose()
    assert found.cause == "slow_reader"
    assert any("8,192 bytes lay in the receive queue" in line for line in found.evidence)


def test_of_what_was_held_the_head_tells_who_may_have_done_it() -> None:
    headers = {"server": "nginx", "content-encoding": "gzip"}
    found = recording(BURST, headers=headers).diagnose()
    assert found.evidence[-2:] == (
        "the answer's head says server: nginx",
        "the body was compressed on its way (gzip), and compressors collect",
    )
    assert not any("nginx" in line for line in recording(TIMES, headers=headers).diagnose().evidence)


def test_its_taps_say_where_it_was_first_as_the_journey_does() -> None:
    tap = Tap(at_ns=TIMES, events=range(1, 61), bytes=range(5, 305, 5))
    made = recording(TIMES, taps={"relay.read": tap})
    found = made.diagnose()
    assert found.where == "relay.read"
    assert found.evidence[-1] == "730 ms after event 20: it was there already at relay.read"
    assert "was there already at relay.read" in sk.findings.journey_finding(made)


def test_a_text_without_borders_is_told_by_its_lengths() -> None:
    times = sorted(set(BURST))
    texts = ["word " * (24 if n == 20 else 1) for n in range(len(times))]
    events = Events(times, text=texts, event=[""] * len(times))
    made = sk.Recording(reads=Reads(times, size=map(len, texts)), events=events, sent_ns=0, stamps="kernel")
    assert not seen(made).borders
    assert made.diagnose().cause == "held"


def test_of_several_recordings_all_causes_are_counted() -> None:
    found = sk.findings.diagnose([recording(TIMES), recording(TIMES[:20]), recording(BURST), recording(BURST)])
    assert found.names == ("held", "source_paused")
    assert found.sentence.endswith("(2 of 4)")
    assert sk.RecordingSet([recording(TIMES)]).diagnose().cause == "source_paused"
    assert sk.findings.diagnose(recording(TIMES)).cause == "source_paused"


def test_streams_that_were_served_one_after_the_other_are_titled_so_where_their_clock_is_one() -> None:
    def one(number: int, origin: str | None) -> sk.Recording:
        times = [(500 * number + 60 + 25 * n) * MS for n in range(18)]
        return recording(times, label=f"request {number + 1}", meta={"origin": origin} if origin else {})

    four = [one(number, "here") for number in range(4)]
    assert sk.findings.finding(four) == "Served one after the other: request 4 waited 1,500 ms longer than request 1"
    assert sk.findings.diagnose(four).cause == "serial_server"
    apart = sk.findings.finding([one(number, None) for number in range(4)])
    assert apart == "request 4: first piece 1,500 ms later than request 1"


def test_what_is_no_recording_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a Recording"):
        sk.findings.diagnose(["x"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="got none"):
        sk.findings.diagnose([])
    with pytest.raises(ValueError, match="got none"):
        sk.RecordingSet([]).diagnose()


def test_a_burst_in_a_recording_that_nobody_vouches_for_is_not_called_held() -> None:
    """An older file, or one of others: times of reading alone, and nobody watched who read."""
    found = recording(BURST, stamps="library").diagnose()
    assert found.cause == "unknown"
    assert recording(BURST, stamps="library", meta={"loop_busy_ns": []}).diagnose().cause == "held"


def test_streams_that_waited_for_a_slot_of_their_client_say_nothing_of_the_server() -> None:
    """One at a time, by a limit of the client: each was asked for when it had its slot."""
    second = 10**9
    one_by_one = [
        recording(
            [n * second + k * 30 * MS for k in range(1, 30)],
            sent_ns=None,
            acquired_ns=n * second,
            ended_ns=n * second + 900 * MS,
        )
        for n in range(5)
    ]
    assert sk.RecordingSet(one_by_one).diagnose().cause == "none"

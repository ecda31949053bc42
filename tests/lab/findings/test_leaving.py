"""What an upstream did after its client had left: on made-up taps, and for real."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamkit.lab.experiments.naive import pumped
from streamkit.lab.findings.leaving import Leaving, after_leaving, leaving_finding, leavings
from streamkit.lab.lab import Lab
from streamkit.lab.recording.recording import Recording
from streamkit.lab.run import run
from streamkit.lab.upstream import Script
from streamkit.outcome import Outcome
from streamkit.taps import Tap

MS = 1_000_000


def recording(sent_ms: list[int], ended_ms: int, over_ms: int | None) -> Recording:
    """A stream whose pieces of 2 bytes were sent at `sent_ms`, left at `ended_ms`, over upstream at `over_ms`."""
    count = len(sent_ms)
    tap = Tap([at * MS for at in sent_ms], range(1, count + 1), range(2, 2 * count + 1, 2))
    marks = {"upstream.asked": 0} | ({} if over_ms is None else {"upstream.ended": over_ms * MS})
    return Recording(ended_ns=ended_ms * MS, taps={"upstream.sent": tap}, marks=marks, outcome=Outcome("cancelled"))


def test_what_was_sent_behind_the_end_was_for_nobody() -> None:
    assert after_leaving(recording([10, 20, 30, 40], 25, 45)) == Leaving(2, 4, 20.0)
    assert after_leaving(recording([10, 20], 25, 26)) == Leaving(0, 0, 1.0)
    assert after_leaving(recording([30, 40], 25, None)) == Leaving(2, 4, None)
    assert after_leaving(recording([], 25, 20)) == Leaving(0, 0, 0.0)


def test_a_recording_without_the_upstreams_taps_is_refused() -> None:
    with pytest.raises(ValueError, match="the upstream's taps"):
        after_leaving(Recording(ended_ns=5))


def test_it_reads_as_a_sentence() -> None:
    assert str(Leaving(3, 1200, 4.26)) == "3 pieces (1,200 bytes) for nobody, stopped after 4.3 ms"
    assert str(Leaving(0, 0, None)) == "0 pieces (0 bytes) for nobody, still at work"


@pytest.mark.parametrize(
    ("sent_ms", "over_ms", "sentence"),
    [
        ([10, 20, 30, 40], 45, "The upstream stopped 20 ms after its client had left: 2 pieces for nobody"),
        ([10, 20], 26, "The upstream stopped 1.0 ms after its client had left: 0 pieces for nobody"),
        ([10, 30], None, "The upstream did not stop when its client had left: 1 piece for nobody so far"),
    ],
)
def test_the_finding_says_when_it_stopped_and_what_was_for_nobody(
    sent_ms: list[int], over_ms: int | None, sentence: str
) -> None:
    assert leaving_finding(recording(sent_ms, 25, over_ms)) == sentence


def test_of_several_the_finding_is_what_sets_them_apart() -> None:
    soon, late, never = (recording([10, 20], 25, over) for over in (26, 500, None))
    wasteful = recording([10, 30, 40], 25, 500)
    assert leaving_finding({"a": soon, "b": wasteful}) == "2 pieces for nobody with b, none with a"
    assert (
        leaving_finding({"a": soon, "b": late})
        == "With b the upstream stopped 475 ms after its client left, with a 1.0 ms"
    )
    assert leaving_finding({"a": soon, "b": never}) == "The upstream did not stop with b"
    assert leaving_finding(soon, soon) == "All alike: 0 pieces for nobody, stopped within 1.0 ms"


def test_who_stayed_did_not_leave() -> None:
    stayed = replace(recording([10, 20], 25, 26), outcome=Outcome("complete"))
    assert leaving_finding(stayed) == "The client did not leave before the end"
    assert leaving_finding(stayed, stayed) == "No client left before the end"


def test_what_the_relay_sent_on_is_known_where_it_has_taps() -> None:
    without = recording([10, 30], 25, 45)
    sent_on = Tap([11 * MS, 31 * MS, 41 * MS], [1, 2, 3], [2, 4, 6])
    (left,) = leavings(replace(without, taps={**without.taps, "relay.sent": sent_on}))
    assert (left.facts.pieces, left.facts.relay_pieces) == (1, 2)
    assert after_leaving(without).relay_pieces is None


def test_our_relay_stops_the_model_and_a_pumping_one_lets_it_speak_to_the_end() -> None:
    script = Script(["word "] * 60, first_piece_ms=5, gap_ms=10)
    with Lab(script) as ours, Lab(script, relay=pumped) as theirs:
        left = after_leaving(run(ours.post(chat_history="hi", max_bytes=20)))
        naive = after_leaving(run(theirs.post(chat_history="hi", max_bytes=20, taps_wait_s=10)))
    assert left.stopped_after_ms is not None
    assert naive.stopped_after_ms is not None
    assert left.pieces < 20, "half a second would be 50"
    assert naive.pieces > 40

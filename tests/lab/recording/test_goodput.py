"""Goodput: which streams, and which of their events, kept an objective."""

from __future__ import annotations

from typing import Any

import pytest

from streamkit.lab import metrics
from streamkit.lab.recording.goodput import goodput
from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome, OutcomeName

MS = 1_000_000


class TestGoodput:
    slo = metrics.SLO(ttft_ms=100, gap_ms=50)

    def stream(self, *at_ms: int, **fields: Any) -> Recording:
        return Recording.from_pieces([(ms * MS, "x") for ms in at_ms], ended_ns=max(at_ms, default=0) * MS, **fields)

    @pytest.mark.parametrize(
        ("at_ms", "outcome", "failed"),
        [
            ((100, 150, 200), "complete", ()),
            ((101, 150), "complete", ("ttft",)),
            ((100, 151), "complete", ("gap",)),
            ((101, 152), "truncated", ("outcome", "ttft", "gap")),
            ((), "complete", ("ttft",)),
        ],
    )
    def test_a_stream_says_which_part_of_the_objective_it_failed(
        self, at_ms: tuple[int, ...], outcome: OutcomeName, failed: tuple[str, ...]
    ) -> None:
        assert self.stream(*at_ms, outcome=Outcome(outcome)).slo_failures(self.slo) == failed

    def test_the_wait_counts_from_when_the_request_had_left(self) -> None:
        assert self.stream(120, sent_ns=20 * MS).slo_failures(self.slo) == ()

    def test_a_ping_does_not_end_a_gap(self) -> None:
        recording = self.stream(10, 50, 90)
        assert isinstance(recording.events.text, list)
        recording.events.text[1] = ""
        assert recording.slo_failures(self.slo) == ("gap",)

    def test_without_a_limit_nothing_is_late(self) -> None:
        assert self.stream(10**9, 2 * 10**9).slo_failures(metrics.SLO()) == ()

    def test_many_streams_have_a_share_and_a_rate(self) -> None:
        """From the first request at 0 to the last end at 2 s."""
        streams = [self.stream(50, started_ns=0), self.stream(500, started_ns=1_500 * MS), self.stream(90)]
        assert goodput(streams, self.slo) == (2, 3, 2 / 3, 1.0)

    def test_one_stream_has_a_share_of_events(self) -> None:
        at_ms = (50, 50, 100, 300, 300, 340, 390, 400)
        assert goodput(self.stream(*at_ms), self.slo, "events") == (6, 8, 0.75, 15.0)

    def test_streams_of_different_clocks_have_a_share_and_no_rate(self) -> None:
        streams = [self.stream(50, meta={"origin": name}) for name in ("boot-1", "boot-2")]
        assert goodput(streams, self.slo) == (2, 2, 1.0, None)

    def test_of_nothing_there_is_no_share(self) -> None:
        assert goodput([], self.slo) == (0, 0, None, None)

    def test_only_streams_and_events_are_counted(self) -> None:
        with pytest.raises(ValueError, match="'streams' or 'events', got 'tokens'"):
            goodput([], self.slo, "tokens")  # type: ignore[arg-type]  # the claim

"""How a stream ended, and what is kept of that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamkit.outcome import Outcome
from streamkit.relay.failure import SHUT_DOWN, Failure, timed_out
from streamkit.relay.replay.end import ABANDONED, PRODUCER_LOST, STOPPED, STORE_LOST, StreamEnd

FAILURES = [
    SHUT_DOWN,
    ABANDONED,
    PRODUCER_LOST,
    STOPPED,
    STORE_LOST,
    timed_out("idle"),
    Failure.of_request(400, "x", "é"),
]


@pytest.mark.parametrize("failed", [None, *FAILURES], ids=str)
@pytest.mark.parametrize("reason", [None, "stop"])
def test_who_reads_it_later_is_told_the_same(failed: Failure | None, reason: str | None) -> None:
    end = StreamEnd(failed, reason)
    again = StreamEnd.loaded(end.dumped())
    assert again == end
    assert (again.outcome, again.code) == (end.outcome, end.code)


def test_a_whole_one_is_complete_and_has_no_code() -> None:
    assert (str(StreamEnd().outcome), StreamEnd().code) == ("complete", "")


def test_what_the_upstream_said_stays_with_the_relay_that_heard_it() -> None:
    failed = replace(timed_out("idle"), why="the upstream's own words")
    assert b"own words" not in StreamEnd(failed).dumped()
    assert StreamEnd(failed).without_why() == StreamEnd(timed_out("idle"))
    assert StreamEnd(None, "stop").without_why() == StreamEnd(None, "stop")


def test_stopped_is_not_abandoned() -> None:
    assert STOPPED.code != ABANDONED.code
    assert STOPPED.outcome == ABANDONED.outcome == Outcome("cancelled")


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b'{"finish_reason":null,"outcome":"whatever"}'])
def test_what_is_no_end_is_not_taken_for_one(data: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        StreamEnd.loaded(data)

"""Where the bytes lay at one moment: exact texts for a chain of queues."""

from __future__ import annotations

from typing import Any

import pytest

from streamkit.lab.findings.queues import queued
from streamkit.lab.findings.where import UNSEEN, moment, where_finding
from streamkit.taps.gauges import STRETCHES
from tests.queue_chain import queue_case
from tests.ways import MS


@pytest.mark.parametrize(
    ("case", "at_ms", "sentence"),
    [
        (
            "tcp",
            None,
            (
                "At the fullest moment, after 2,060 ms, 4.1 MB of 8.2 MB lay between relay and client, "
                "2.6 MB of it in the relay's kernel (relay.unsent)"
            ),
        ),
        ("tcp", 200, "At 200 ms, 774 kB of 802 kB lay in the client's kernel (client.unread)"),
        ("unknown", 900, "At 900 ms, 2.2 MB of 3.6 MB lay between relay and client in no queue that was seen"),
        (
            "unknown",
            1500,
            ("At 1,500 ms, 4.1 MB of 6.0 MB lay between relay and client, 2.6 MB of it in no queue that was seen"),
        ),
        ("client alone", 400, "At 400 ms, 1.3 kB of 1.5 kB lay in the client's kernel (client.unread)"),
        ("empty queues", None, "No queue that was seen ever held a byte"),
        ("empty queues", 1, "At 1.0 ms no queue that was seen held a byte"),
        ("nothing", None, "Where the bytes lay is not known: nobody looked at the queues"),
        ("nothing", 12, "Where the bytes lay is not known: nobody looked at the queues"),
    ],
)
def test_the_finding(case: str, at_ms: float | None, sentence: str) -> None:
    assert where_finding(queue_case(case), at_ms) == sentence


def test_the_parts_are_what_each_queue_held_when_it_was_last_looked_at() -> None:
    shown, all_along = moment(queue_case("small"), 490.5), queued(queue_case("small"))
    assert list(shown.parts) == list(STRETCHES)
    at = all_along.at_ns.tolist().index(480 * MS)
    held = {name: size for (_, name), size in shown.by_name.items() if name != UNSEEN}
    assert held == {name: int(value[at]) for name, value in all_along.queues.items()}
    assert shown.at_ns == 490_500_000
    assert not shown.fullest


def test_the_fullest_moment_is_when_most_lay_on_the_whole_way() -> None:
    shown = moment(queue_case("tcp"))
    assert shown.fullest
    assert shown.total == pytest.approx(queued(queue_case("tcp")).most, rel=0.001)


@pytest.mark.parametrize(
    ("at_ms", "error", "words"),
    [
        (3001, ValueError, "expected at_ms between 0 and 3,000, while somebody looked at the queues, got 3001"),
        (-1, ValueError, "expected at_ms as a time in ms >= 0, got -1"),
        (float("nan"), ValueError, "expected at_ms as a time in ms >= 0, got nan"),
        ("812", TypeError, "expected at_ms as a time in ms >= 0, got '812'"),
        (True, TypeError, "expected at_ms as a time in ms >= 0, got True"),
    ],
)
def test_a_time_at_which_nobody_looked_is_refused(at_ms: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        where_finding(queue_case("small"), at_ms)

"""Where the bytes lay, in one sentence: exact texts for a chain of queues."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamkit.lab.findings.queues import describe_queues, queued, queues_finding
from streamkit.lab.findings.stretches import Held
from streamkit.taps.gauges import Gauge
from tests.queue_chain import queue_case, small
from tests.ways import MS


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (
            "tcp",
            (
                "Up to 4.1 MB lay between relay and client, 2.6 MB of it in the relay's kernel; "
                "the relay was first blocked after 1,023 ms, when 4.1 MB had been written"
            ),
        ),
        ("easy", "The relay never had to wait: at most 320 B lay anywhere"),
        (
            "fits",
            (
                "The relay never had to wait: up to 3.0 MB lay between relay and client, "
                "1.6 MB of it in the relay's kernel"
            ),
        ),
        (
            "unknown",
            (
                "Up to 4.1 MB lay between relay and client, 2.6 MB of it in none of the queues that were seen; "
                "the relay was first blocked after 1,023 ms, when 4.1 MB had been written"
            ),
        ),
        ("client alone", "Up to 1.3 kB lay between relay and client, all of it in the client's kernel"),
        ("empty queues", "No queue that was seen held a byte"),
        ("nothing", "Where the bytes lay is not known: nobody looked at the queues"),
    ],
)
def test_the_finding(case: str, sentence: str) -> None:
    assert queues_finding(queue_case(case)) == sentence


def test_how_much_had_been_written_is_left_out_where_it_was_not_counted() -> None:
    assert queues_finding(replace(small(), counts={})).endswith("the relay was first blocked after 404 ms")


@pytest.mark.parametrize(
    ("looks", "part"), [(2, "in the client's kernel"), (20, "in none of the queues that were seen")]
)
def test_a_rest_counts_when_it_lasts_and_not_at_a_leap_that_a_sampler_has_not_seen_yet(looks: int, part: str) -> None:
    """50 looks, 10 ms apart: 3 kB unread all along, and the curves say 9 kB for some of them."""
    at_ns = np.arange(50, dtype=np.int64) * 10 * MS
    unread = np.full(50, 3_000, dtype=np.int64)
    by_curves = np.where((at_ns >= 100 * MS) & (at_ns < (100 + 10 * looks) * MS), 9_000, unread)
    held = Held(
        at_ns=at_ns,
        by_queue={"client.unread": unread},
        by_curves=by_curves,
        rest=by_curves - unread,
        missing=(),
    )
    shown = replace(queued(small()), stretches={"relay → client": held}, at_ns=at_ns)
    assert part in describe_queues(shown)


def test_a_rest_that_begins_with_the_last_looks_is_not_known_to_last() -> None:
    at_ns = np.arange(50, dtype=np.int64) * 10 * MS
    unread = np.full(50, 3_000, dtype=np.int64)
    by_curves = np.where(at_ns >= 480 * MS, 9_000, unread)
    held = Held(
        at_ns=at_ns, by_queue={"client.unread": unread}, by_curves=by_curves, rest=by_curves - unread, missing=()
    )
    shown = replace(queued(small()), stretches={"relay → client": held}, at_ns=at_ns)
    assert describe_queues(shown).startswith("Up to 3.0 kB lay between relay and client, all of it in the client's")


def test_bytes_on_their_way_count_once_in_what_lay_anywhere() -> None:
    """1 kB moves on: by the curves it has left the relay, whose queue was not looked at since, for the client."""
    at_ns = np.arange(3, dtype=np.int64) * 10 * MS

    def held(name: str, in_queue: list[int], by_curves: list[int]) -> Held:
        queue, curve = np.array(in_queue, dtype=np.int64), np.array(by_curves, dtype=np.int64)
        return Held(at_ns=at_ns, by_queue={name: queue}, by_curves=curve, rest=curve - queue, missing=())

    stretches = {
        "in the relay": held("relay.buffer", [1_000, 1_000, 0], [1_000, 0, 0]),
        "relay → client": held("client.unread", [0, 0, 1_000], [0, 1_000, 1_000]),
    }
    shown = replace(queued(small()), stretches=stretches, at_ns=at_ns, relay_known=True, blocked_ns=None)
    assert shown.most == 1_000
    assert describe_queues(shown) == "The relay never had to wait: at most 1.0 kB lay anywhere"


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("tcp", "Except for instants, curves and queues agree to within 330 B of 8.2 MB"),
        ("unknown", "Up to 4.1 MB of 8.2 MB lay between upstream and relay, in no queue that was seen"),
        ("client alone", "Except for instants, curves and queues agree"),
        ("nothing", "Where the bytes lay is not known: nobody looked at the queues"),
    ],
)
def test_held_is_said_by_how_far_curves_and_queues_agree(case: str, sentence: str) -> None:
    assert queues_finding(queue_case(case), held=True) == sentence


def test_bytes_in_two_queues_at_once_are_said_when_they_are_more_than_those_in_none() -> None:
    recording = small()
    late = recording.gauges["relay.unsent"]
    acked = Gauge(late.at_ns, [value + 900 for value in late.value])
    doubled = replace(recording, gauges={**recording.gauges, "relay.unsent": acked})
    said = queues_finding(doubled, held=True)
    assert said == "Up to 840 B of 10 kB were in two queues at once, between relay and client"

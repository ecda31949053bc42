"""The trace: what the Trace Event Format asks of it, and that it shows what the recording knows."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import streamkit as sk
from streamkit.lab.exports import trace
from streamkit.lab.recording.cuts import Cut
from tests.lab.exports.examples import MS, recorded, with_all


def events(one: Any, ph: str) -> list[dict[str, Any]]:
    return [event for event in trace.of(one)["traceEvents"] if event["ph"] == ph]


def slices(one: sk.Recording) -> list[tuple[str, float, float]]:
    return [(event["name"], event["ts"], event["ts"] + event["dur"]) for event in events(one, "X")]


@pytest.mark.parametrize("one", [with_all(), sk.Recording(), [with_all(), recorded([])]])
def test_it_is_a_trace_by_the_format(one: Any) -> None:
    told = json.loads(json.dumps(trace.of(one), allow_nan=False))
    tracks = defaultdict(list)
    for event in told["traceEvents"]:
        assert {"ph", "name", "pid", "tid", "args"} <= event.keys()
        assert event["ph"] in {"M", "X", "i", "C"}
        assert event["ph"] == "M" or event["ts"] >= 0
        assert event["ph"] != "i" or event["s"] == "t"
        assert event["ph"] != "C" or all(isinstance(value, int) for value in event["args"].values())
        if event["ph"] == "X":
            assert event["dur"] >= 0
            tracks[event["pid"], event["tid"]].append((event["ts"], -event["dur"], event["ts"] + event["dur"]))
    for found in tracks.values():  # of one track, slices lie in each other or apart
        for (_, _, end), (begin, _, inner_end) in pairwise(sorted(found)):
            assert begin >= end or inner_end <= end


def test_the_phases_are_slices_in_microseconds() -> None:
    assert slices(with_all()) == [
        ("waiting for a slot", 0, 1000),
        ("connecting", 1000, 2000),
        ("TLS", 2000, 4000),
        ("sending", 4000, 5000),
        ("waiting for the first piece", 5000, 20000),
        ("streaming", 20000, 900000),
        ("stall", 110000, 900000),
    ]


def test_where_no_piece_came_there_is_but_the_wait() -> None:
    one = sk.Recording(sent_ns=1 * MS, ended_ns=9 * MS, outcome=sk.Outcome("timeout", "first_piece"))
    assert slices(one) == [("waiting, and no piece came", 1000, 9000)]
    assert [event["name"] for event in events(one, "i")] == ["timeout(first_piece)"]


def test_each_tap_has_a_track_with_an_instant_a_step() -> None:
    names = {event["tid"]: event["args"]["name"] for event in events(with_all(), "M") if event["name"] == "thread_name"}
    taps = {tid: name for tid, name in names.items() if tid >= trace.FIRST_TAP}
    assert list(taps.values()) == ["relay.sent", "client.read", "client.event"]
    sent = [event for event in events(with_all(), "i") if event["name"] == "relay.sent"]
    assert [(event["ts"], event["args"]["events_so_far"]) for event in sent] == [
        *[(10000, 1), (40000, 2), (70000, 3), (100000, 4), (800000, 5)],
    ]


def test_hops_and_queues_are_counters_and_what_is_not_known_of_a_queue_is_none() -> None:
    counters = defaultdict(list)
    for event in events(with_all(), "C"):
        counters[event["name"]].append((event["ts"], *event["args"].items()))
    assert counters["relay.unsent"] == [(0, ("bytes", 0)), (10000, ("bytes", 512))]
    assert counters["relay.sent → client.read"][:2] == [(10000, ("events", 1)), (20000, ("events", 0))]
    assert max(value for _, (_, value) in counters["relay.sent → client.read"]) == 1


def test_a_cut_has_a_track_of_its_own() -> None:
    one = replace(with_all(), cuts=(Cut(at_ns=120 * MS, event=4, read=4, attempts=2),))
    (cut,) = [event for event in events(one, "X") if event["name"] == "cut"]
    assert (cut["tid"], cut["ts"], cut["args"]["attempts"]) == (trace.CUTS, 110000, 2)


def test_streams_of_one_clock_stand_beside_each_other_those_of_several_each_from_its_begin() -> None:
    first, later = with_all(), replace(with_all(), started_ns=with_all().started_ns + 2000 * MS)
    first = replace(first, started_ns=later.started_ns - 2000 * MS)
    begins = [event["ts"] for event in events([first, later], "X") if event["name"] == "waiting for a slot"]
    assert begins == [0, 2_000_000]
    other = replace(later, meta={**later.meta, "origin": "another boot"})
    assert [e["ts"] for e in events([first, other], "X") if e["name"] == "waiting for a slot"] == [0, 0]


def test_nothing_that_was_said_is_in_it(tmp_path: Path) -> None:
    trace.write(with_all(), tmp_path / "x.json")
    told = (tmp_path / "x.json").read_text()
    assert json.loads(told)["displayTimeUnit"] == "ms"
    assert "Tea" not in told
    assert "first" in told

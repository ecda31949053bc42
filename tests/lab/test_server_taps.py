"""The taps of upstream and relay, as they join a recording: what is waited for, and what is said of what is missing."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

from streamkit.lab.client.joining import FetchTaps, finished_taps
from streamkit.lab.recording.recording import Recording
from streamkit.lab.server_taps import fetcher, joined
from streamkit.outcome import Outcome
from streamkit.taps import StreamTaps

STARTED_NS = 1_000


def taps_of(*names: str, origin: str = "boot-here", finished: bool = True) -> StreamTaps:
    taps = StreamTaps("one")
    taps.origin, taps.finished = origin, finished
    for name in names:
        taps.stamp(name, STARTED_NS + 5, 1, 3)
    return taps


def source(*answers: StreamTaps | None) -> FetchTaps:
    """Gives one answer after the other, and the last again and again."""
    left = list(answers)

    async def fetch(stream_id: str) -> StreamTaps | None:
        assert stream_id == "one"
        return left.pop(0) if len(left) > 1 else left[0]

    return fetch


def recording() -> Recording:
    return Recording(headers={"x-stream-id": "one"}, meta={"origin": "boot-here", "notes": []}, started_ns=STARTED_NS)


def test_it_waits_for_those_that_have_not_ended_yet() -> None:
    early, late = taps_of("relay.read", finished=False), taps_of("relay.read", "relay.sent")
    found = asyncio.run(finished_taps({"relay": source(early, early, late)}, "one", 10))
    assert found == {"relay": late}


def test_the_wait_is_bounded_and_what_there_is_is_taken() -> None:
    running, over = taps_of("upstream.sent", finished=False), taps_of("relay.read")
    begin = time.monotonic()
    found = asyncio.run(finished_taps({"upstream": source(running), "relay": source(over)}, "one", 0.05))
    assert 0.05 <= time.monotonic() - begin < 5
    assert {who: taps.finished for who, taps in found.items()} == {"upstream": False, "relay": True}


def test_who_does_not_know_the_stream_is_not_waited_for_and_is_noted() -> None:
    sources = {"upstream": source(None), "relay": source(taps_of("relay.read"))}
    begin = time.monotonic()
    whole = asyncio.run(joined(recording(), sources, "one", 60))
    assert time.monotonic() - begin < 5
    assert whole.taps.keys() == {"relay.read"}
    assert whole.meta["notes"] == ["no taps of this stream: upstream"]


def test_taps_of_another_clock_are_left_out_and_the_recording_stays() -> None:
    """Where a monotonic clock is each process's own, as outside Linux, there is nothing to subtract."""
    foreign = {"upstream": taps_of("upstream.sent", origin="process-1"), "relay": taps_of("relay.read", origin="2")}
    whole = asyncio.run(joined(recording(), {who: source(taps) for who, taps in foreign.items()}, "one"))
    assert not whole.taps
    assert [note.partition(": ")[0] for note in whole.meta["notes"]] == [
        "the taps of upstream cannot be joined",
        "the taps of relay cannot be joined",
    ]


def test_a_server_that_cannot_be_asked_counts_as_none() -> None:
    assert asyncio.run(finished_taps({"upstream": fetcher(None, "http://127.0.0.1:1")}, "one", 0)) == {}


def test_why_the_relay_failed_is_told_beside_what_its_client_was_told_and_not_to_others() -> None:
    taps = taps_of("relay.read")
    taps.why = "the key is wrong"
    assert "the key is wrong" not in json.dumps(taps.as_dict())
    failed = replace(recording(), outcome=Outcome("refused", 502), error="status 502")
    for one, error in [
        (failed, "status 502; the relay's log says why: the key is wrong"),
        (replace(failed, error=None), "the relay's log says why: the key is wrong"),
        (replace(failed, error="the key is wrong"), "the key is wrong"),
        (replace(failed, outcome=Outcome("complete"), error=None), None),
    ]:
        assert asyncio.run(joined(one, {"relay": source(taps)}, "one", 1)).error == error

"""A recording made by hand, for all tests of this room."""

from __future__ import annotations

from streamkit.lab.recording.recorded import Events, Reads
from streamkit.lab.recording.recording import Recording

MS = 1_000_000


def small() -> Recording:
    """Four events in three reads: the first at 120 ms, two together at 170 ms, the last at 600 ms."""
    return Recording(
        reads=Reads([120 * MS, 170 * MS, 600 * MS], data=[b"data: a\n\n", b"data: bc\n\ndata: \n\n", b"data: d\n\n"]),
        events=Events(
            [120 * MS, 170 * MS, 170 * MS, 600 * MS],
            read=[0, 1, 1, 2],
            text=["a", "bc", "", "你"],
            data=["a", "bc", "", "d"],
        ),
        status=200,
        headers={"content-type": "text/event-stream"},
        content_type="text/event-stream",
        preset="streamkit",
        url="http://127.0.0.1/ans",
        labels={"prompt": "long", "clients": 50},
        started_ns=5,
        due_ns=-2 * MS,
        connected_ns=1 * MS,
        sent_ns=20 * MS,
        head_ns=110 * MS,
        ended_ns=620 * MS,
        meta={"clock": "time.monotonic_ns", "notes": ["said so"]},
    )

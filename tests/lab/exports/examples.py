"""Recordings that the tests of all formats use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from streamkit.lab.client.recorder import Recorder
from streamkit.lab.client.wire_failure import WireFailure
from streamkit.lab.recording.recording import Recording
from streamkit.presets import writer
from streamkit.taps import Tap
from streamkit.taps.gauges import NOT_KNOWN, Gauge
from streamkit.transport import Timings

MS = 1_000_000
STARTED_AT = "2026-11-29T08:00:00.250+00:00"


def recorded(
    pieces: list[tuple[int, str]],
    *,
    preset: str = "openai",
    ended: bool = True,
    failure: WireFailure | None = None,
    headers: dict[str, str] | None = None,
    **given: Any,
) -> Recording:
    """What a recorder makes of these pieces in a provider's format, each with when it came in ms; no sockets."""
    form, now_ns = writer(preset), 0
    recorder = Recorder(url="http://127.0.0.1:8000/v1/chat", preset=preset, clock=lambda: now_ns, **given)
    recorder.timed(Timings(acquired_ns=1 * MS, connected_ns=2 * MS, tls_ns=4 * MS, sent_ns=5 * MS, head_ns=6 * MS))
    recorder.head(200, {"content-type": form.content_type, "transfer-encoding": "chunked", **(headers or {})})
    read, now_ns = 0, 6 * MS
    for read, (at_ms, text) in enumerate(pieces):
        now_ns = at_ms * MS
        recorder.feed(read, now_ns, form.piece(text, read), "kernel", error_ns=20_000, late_ns=30_000)
    for data in form.close(len(pieces), "") if ended else ():
        read += 1
        recorder.feed(read, now_ns, data, "kernel")
    recorder.ended_ns = now_ns
    return recorder.finish(failure)


def with_all() -> Recording:
    """One of which everything is known: taps, marks, gauges, labels, a stall."""
    pieces = [(20 + 30 * number, text) for number, text in enumerate(["Tea ", "is ", "床", "前"])] + [(900, "good.")]
    one = recorded(pieces, label="first", labels={"prompt": "long", "clients": 5})
    sent = Tap([10 * MS, 40 * MS, 70 * MS, 100 * MS, 800 * MS], [1, 2, 3, 4, 5], [4, 7, 10, 13, 18])
    gauge = Gauge([0, 10 * MS, 20 * MS], [0, 512, NOT_KNOWN])
    meta = {**one.meta, "started_at": STARTED_AT}
    return replace(
        one, taps={"relay.sent": sent}, gauges={"relay.unsent": gauge}, marks={"relay.asked": 5 * MS}, meta=meta
    )

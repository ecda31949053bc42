"""What an upstream did after its client had left: how long it went on, and for how many pieces that nobody read."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamkit.lab.findings.subjects import the_recording

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["Leaving", "after_leaving"]


@dataclass(frozen=True, slots=True)
class Leaving:
    """`pieces` and `bytes` of text that the upstream sent after the client had gone; `stopped_after_ms` is from then to
    the end of its work, None while it works on.

        >>> str(sk.findings.Leaving(3, 12, 4.2))
        '3 pieces (12 bytes) for nobody, stopped after 4.2 ms'
    """

    pieces: int
    bytes: int
    stopped_after_ms: float | None

    def __str__(self) -> str:
        over = "still at work" if self.stopped_after_ms is None else f"stopped after {self.stopped_after_ms:.1f} ms"
        return f"{self.pieces} pieces ({self.bytes:,} bytes) for nobody, {over}"


def after_leaving(recording: Recording) -> Leaving:
    """What the tap `upstream.sent` and the mark `upstream.ended` say about the time behind the recording's end.

        left = sk.findings.after_leaving(await lab.post("/ans", chat_history="hi", total_s=0.5))
        left.pieces, left.stopped_after_ms

    Raises ValueError for a recording without the upstream's taps, or one that has no end, TypeError for what is none.
    """
    recording = the_recording(recording)
    if recording.ended_ns is None or "upstream.asked" not in recording.marks:
        raise ValueError("expected a recording with an end and the upstream's taps, as Lab.post() makes them")
    sent = recording.taps.get("upstream.sent")
    ended_ns = recording.marks.get("upstream.ended")
    stopped_ms = None if ended_ns is None else max(0.0, (ended_ns - recording.ended_ns) / 1e6)
    if sent is None or not len(sent):
        return Leaving(0, 0, stopped_ms)
    seen = bisect_right(sent.at_ns, recording.ended_ns)
    before = (0, 0) if seen == 0 else (sent.events[seen - 1], sent.bytes[seen - 1])
    return Leaving(sent.events[-1] - before[0], sent.bytes[-1] - before[1], stopped_ms)

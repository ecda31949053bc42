"""What was seen of one stream at both sides of a gateway, made by hand: four pieces, sent every 10 ms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from streamkit.lab.audit.witness import UpstreamSide, Witness
from streamkit.lab.recording.recording import Recording

MS = 1_000_000
PIECES = ("床前", "明月光", " The", " moon")


def side(pieces: int = 4, gap_ms: int = 10, **more: Any) -> UpstreamSide:
    sizes = [len("".join(PIECES[:number]).encode()) for number in range(1, pieces + 1)]
    at_ns = tuple(number * gap_ms * MS for number in range(1, pieces + 1))
    return replace(UpstreamSide(0, at_ns, tuple(sizes), at_ns[-1] if at_ns else None, 60 * MS), **more)


def paced(*delays_ms: float) -> Witness:
    """Each piece came so long after it was sent."""
    times = [
        (int((10 * (number + 1) + delay) * MS), text)
        for number, (delay, text) in enumerate(zip(delays_ms, PIECES, strict=True))
    ]
    return Witness(Recording.from_pieces(times, started_ns=0), (side(),))

"""Made-up recordings of pieces, seen by the client alone."""

from __future__ import annotations

from collections.abc import Sequence

from streamkit.lab.recording.recording import Recording
from streamkit.outcome import Outcome

MS = 1_000_000


def made(at_ms: Sequence[float], outcome: str = "complete", ended_ms: float = 0, label: str = "") -> Recording:
    """Pieces of three characters at these times; equal times share a read."""
    pieces = [(round(at * MS), "abc") for at in at_ms]
    end = max([ended_ms, *at_ms])
    return Recording.from_pieces(
        pieces, outcome=Outcome.parse(outcome), ended_ns=round(end * MS), label=label, sent_ns=0
    )


def paced(
    first: float = 301, gap: float = 50, count: int = 20, outcome: str = "complete", label: str = ""
) -> Recording:
    return made([first + gap * i for i in range(count)], outcome, label=label)


def stalling(after: int = 16, stall: float = 612, label: str = "") -> Recording:
    return made([301 + 50 * i + (stall - 50 if i >= after else 0) for i in range(20)], label=label)


BURSTS = [300 + 250 * (i // 5) for i in range(30)]

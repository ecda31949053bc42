"""A slow reader under one setting of the relay: what it cost the model, the relay, the reader. A trial for sweeps."""

from __future__ import annotations

from streamkit.lab.client.pace import Reader
from streamkit.lab.findings.policies import policy_facts
from streamkit.lab.lab import Lab
from streamkit.lab.upstream import Script

__all__ = ["slow_reader"]


async def slow_reader(
    policy: str = "pause",
    buffer_bytes: int | None = None,
    events_per_s: float = 250.0,
    *,
    pieces: int = 60,
    piece_bytes: int = 1_500,
    gap_ms: float = 0.5,
) -> dict[str, float | None]:
    """A trial for sweeps that runs one slow reader under one policy, in a lab of its own, and tells what that did.

        sk.sweep(sk.experiments.slow_reader, {"policy": ["buffer", "coalesce"], "buffer_bytes": [8_000, 64_000]})

    policy        the relay's policy for a client that cannot keep up
    buffer_bytes  the bound of that policy, if it has one
    events_per_s  how fast the reader takes events
    pieces, piece_bytes, gap_ms
                  what the model says: how many pieces, how large, how far apart

    The network is `small-buffers`, so that nothing but the relay holds much. It returns a dict:

    held_ms       how much later than due the last piece left the model: so long the slow reader held it up
    peak_bytes    the most that lay in the relay's memory for this stream
    age_ms        how old the pieces were when the reader had them (median)
    took_ms       from the request to the end
    lost          pieces that the reader never got

    Raises RuntimeError if the stream does not complete, and what `Lab` raises.
    """
    words = [f"{number:>5} ".ljust(piece_bytes, ".") for number in range(pieces)]
    asked = policy if buffer_bytes is None else f"{policy}({buffer_bytes})"
    async with Lab(Script(words, first_piece_ms=5, gap_ms=gap_ms), network="small-buffers", gauge_ms=5) as lab:
        recording = await lab.ask("hi", accept="sse", reader=Reader(events_per_s=events_per_s), policy=asked)
    if not recording.outcome.ok:
        raise RuntimeError(f"expected the stream to complete, got {recording.outcome}")
    facts = policy_facts(recording)
    return {
        "held_ms": _in_ms(facts.held_ns),
        "peak_bytes": facts.peak_relay_bytes,
        "age_ms": _in_ms(facts.age_p50_ns),
        "took_ms": _in_ms(facts.finished_ns),
        "lost": facts.lost,
    }


def _in_ms(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6

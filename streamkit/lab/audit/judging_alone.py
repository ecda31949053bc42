"""The same of what is measured alone: the pace, several at once, a client that does not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from streamkit.lab.audit.scenarios import Scenario
from streamkit.lab.audit.witness import AuditFact, AuditFinding, Judgement, Witness
from streamkit.lab.findings.words import about, byte_size, duration
from streamkit.lab.metrics import percentile_ns
from streamkit.lab.metrics.curves import curve, time_of
from streamkit.lab.recording.recording import Recording

__all__ = ["delays_ns", "judge_crowd", "judge_flood", "judge_pace"]

HELD_SHARE: Final = 0.2
"""A busy machine brings a piece in ten late; who holds pieces back holds nearly all."""


def delays_ns(witness: Witness) -> list[int] | None:
    """How long each piece was on its way, from the upstream's sending to the client's read that completed it.

    By cumulative bytes of text, as a gateway may put pieces together anew:
    `delay(n) = min {t : client(t) >= sent_bytes(n)} - sent_ns(n)`. None where the text that came is another.
    """
    recording = witness.recording
    if len(witness.sides) != 1 or not witness.sides[0].sent_bytes:
        return None
    side = witness.sides[0]
    sizes = [len(text.encode()) for text in recording.events.text]
    if sum(sizes) != side.sent_bytes[-1]:
        return None
    came = curve(np.asarray(recording.events.at_ns, dtype=np.int64), np.asarray(sizes, dtype=np.int64))
    arrived = [time_of(came, size) for size in side.sent_bytes]
    return [
        at_ns + recording.started_ns - sent_ns
        for at_ns, sent_ns in zip(arrived, side.sent_ns, strict=True)
        if at_ns is not None
    ]


def judge_pace(scenario: Scenario, witness: Witness, bare: Witness | None = None) -> Judgement:
    """Whether pieces are passed on one by one, and what the way through the gateway adds.

    `bare` is the same stream without a gateway: how wrong the instrument is. A piece is held if it comes only when the
    next one has been sent. Where that is so without a gateway, too, nothing is judged: this machine is too busy.
    """
    delays = delays_ns(witness)
    if delays is None or len(delays) < 2:
        return Judgement.of(
            scenario, (), unjudged=f"the text did not come as it was sent ({witness.recording.outcome})"
        )
    own = None if bare is None else delays_ns(bare)
    if bare is not None and own and _held(own, bare.sides[0].sent_ns) > HELD_SHARE * (len(own) - 1):
        return Judgement.of(scenario, (), unjudged="pieces came late without the gateway, too: this machine is busy")
    return Judgement.of(scenario, _of_pace(scenario, witness.sides[0].sent_ns, delays, own))


def _held(delays: Sequence[int], sent_ns: Sequence[int]) -> int:
    """How many came only when the next one had been sent."""
    return sum(delay > after - at for delay, at, after in zip(delays, sent_ns, sent_ns[1:], strict=False))


def _of_pace(
    scenario: Scenario, sent_ns: Sequence[int], delays: Sequence[int], own: Sequence[int] | None
) -> Iterator[AuditFinding | AuditFact]:
    held = _held(delays, sent_ns)
    browser, steps = scenario.client.like_browser, len(sent_ns) - 1
    if held > HELD_SHARE * steps:
        told = f"{held} of {steps} pieces came only when the next had been sent, up to {about(max(delays))} late"
        yield AuditFinding("held_from_browsers" if browser else "held_back", scenario.name, told)
    else:
        yield AuditFact("pace", scenario.name, f"{steps - held} of {steps} pieces passed on before the next was sent")
    if not browser:
        yield AuditFact("pace", "a piece's way", _percentiles(delays))
        if own:
            yield AuditFact("pace", "… without the gateway", _percentiles(own))


def _percentiles(values_ns: Sequence[int]) -> str:
    return ", ".join(f"p{q} {duration(percentile_ns(values_ns, q) or 0)}" for q in (50, 95))


def judge_crowd(scenario: Scenario, recordings: Sequence[Recording]) -> Judgement:
    """Whether streams that were asked at once run at once: the last one's first piece may not wait for two others."""
    firsts = sorted(first for recording in recordings if (first := _first_ns(recording)) is not None)
    if len(firsts) < len(recordings):
        return Judgement.of(scenario, (), unjudged=f"{len(recordings) - len(firsts)} of {len(recordings)} had no text")
    due_ns = scenario.script.due_ns()
    takes_ns = due_ns[-1] - due_ns[0]
    told = f"first pieces of {len(firsts)} at once: {', '.join(about(first) for first in firsts)}"
    if firsts[-1] - firsts[0] > 1.5 * takes_ns and firsts[-1] - firsts[0] > 0.5 * (len(firsts) - 1) * takes_ns:
        told = f"{told}; each stream takes {about(takes_ns)}"
        return Judgement.of(scenario, [AuditFinding("one_at_a_time", scenario.name, told)])
    return Judgement.of(scenario, [AuditFact("side by side", scenario.name, told)])


def _first_ns(recording: Recording) -> int | None:
    found = (at for at, text in zip(recording.events.at_ns, recording.events.text, strict=True) if text)
    first = next(found, None)
    return None if first is None else first - recording.origin_ns


def judge_flood(scenario: Scenario, witness: Witness) -> Judgement:
    """Whether a client that does not read holds the upstream, and how much was taken until it did."""
    if not witness.sides:
        why = f"the gateway answered without asking its upstream ({witness.recording.outcome})"
        return Judgement.of(scenario, (), unjudged=why)
    return Judgement.of(scenario, _of_flood(scenario, witness))


def _of_flood(scenario: Scenario, witness: Witness) -> Iterator[AuditFinding | AuditFact]:
    took, said = witness.sides[0].wrote_bytes, len(scenario.script.text)
    grew = "" if witness.grew_bytes is None else f"its memory grew by {byte_size(max(0, witness.grew_bytes))}"
    if witness.sides[0].how == "left":
        yield AuditFact("back-pressure", "not read", f"it left its upstream when {byte_size(took)} were sent; {grew}")
    elif took >= said:
        told = f"all of {byte_size(said)} was taken from the upstream"
        yield AuditFinding("no_back_pressure", scenario.name, "; ".join(filter(None, (told, grew))))
    else:
        told = f"the upstream was held when {byte_size(took)} were sent, kernels' buffers included"
        yield AuditFact("back-pressure", "not read", "; ".join(filter(None, (told, grew))))

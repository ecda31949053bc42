"""Whether a gateway did right by a stream: pure functions of a scenario and of what both sides saw of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from streamkit.lab.audit.damage import damage_of
from streamkit.lab.audit.scenarios import Aspect, Scenario
from streamkit.lab.audit.witness import AuditFact, AuditFinding, Judgement, UpstreamSide, Witness
from streamkit.lab.findings.endings import Ending, ending
from streamkit.lab.findings.words import about, many, short
from streamkit.lab.recording.recording import Recording
from streamkit.lab.upstream import faults
from streamkit.reasons import masked

__all__ = ["LATE_NS", "judge", "without"]

LATE_NS: Final = 1_000_000_000
"""A client's leaving that takes longer to reach the upstream is late."""
SEEN_LIMIT: Final = 60
LOOKED_AT: Final = 100


def judge(scenario: Scenario, witness: Witness, upstream: str = "") -> Judgement:
    """What came of a scenario about endings, text, leaving or timers.

    `upstream` is the address of the upstream, `host:port`, which is nobody's business on the client's side.

        judge(scenario, Witness(recording, [side_of(log)])).found
    """
    noticed = [*BY_ASPECT[scenario.aspect](scenario, witness), *_told(scenario, witness.recording, upstream)]
    seen = None if scenario.aspect == "leaving" else _ending(scenario, witness.recording)
    return Judgement.of(scenario, noticed, ending=seen, unjudged=_why_unjudged(scenario, witness))


def _why_unjudged(scenario: Scenario, witness: Witness) -> str:
    recording = witness.recording
    if not witness.sides and scenario.aspect != "text":
        return f"the gateway answered without asking its upstream ({recording.outcome})"
    if scenario.aspect == "leaving" and not _left(recording):
        return f"it was over before the client could leave ({recording.outcome})"
    return ""


def _ending(scenario: Scenario, recording: Recording) -> Ending:
    return ending(recording, scenario.truth.text if scenario.truth.whole else None)


# --- Endings --------------------------------------------------------------------------------------------------------


def _of_broken(scenario: Scenario, witness: Witness) -> Iterator[AuditFinding | AuditFact]:
    """A broken stream has to look broken, and its text to be the beginning of what was said."""
    recording, said = witness.recording, scenario.script.text  # of which what is behind a failure may come, too
    if not witness.sides:
        return
    seen = _ending(scenario, recording)
    readable = recording.outcome.name != "refused"
    damage = damage_of(recording.text, said) if readable else None
    if seen.kind == "false_complete":
        came = f"{len(recording.text)} of {many(len(scenario.script.text), 'character')}"
        yield AuditFinding("false_success", scenario.name, came if damage is None else "with other words in it")
    elif seen.kind == "endless" and len(witness.sides) == 1:
        yield AuditFinding("never_told", scenario.name, f"nothing within {scenario.spare_s:g} s")
    if damage is not None:
        yield AuditFinding(damage, scenario.name, _excerpt(recording.text, said))
    yield from _statuses(scenario, recording)
    yield from _asked_again(scenario, witness)


def _statuses(scenario: Scenario, recording: Recording) -> Iterator[AuditFact]:
    """Of an upstream that refuses: what its status has become."""
    for status in (each.status for each in scenario.script.faults if isinstance(each, faults.Status)):
        later = recording.headers.get("retry-after")
        told = "" if later is None else f", Retry-After: {short(later, SEEN_LIMIT)}"
        if status >= 400 and recording.status is not None:
            yield AuditFact("endings", scenario.name, f"the client sees status {recording.status}{told}")


def _asked_again(scenario: Scenario, witness: Witness) -> Iterator[AuditFact]:
    if len(witness.sides) > 1:
        still = (
            f", and no end within {scenario.spare_s:g} s"
            if _ending(scenario, witness.recording).kind == "endless"
            else ""
        )
        yield AuditFact("endings", scenario.name, f"the upstream was asked {len(witness.sides)} times{still}")


def _told(scenario: Scenario, recording: Recording, upstream: str) -> Iterator[AuditFinding]:
    """The address of the upstream, in the body or in the head."""
    if not upstream:
        return
    where = [f"in the field {name} of the head" for name, value in recording.headers.items() if upstream in value]
    where += ["in the body"] if upstream.encode() in (recording.body or b"") else []
    if where:
        yield AuditFinding("tells_upstream", scenario.name, where[0])


def _excerpt(came: str, said: str) -> str:
    """From where the text is another."""
    same = next((at for at, (one, other) in enumerate(zip(came, said, strict=False)) if one != other), None)
    at = min(len(came), len(said)) if same is None else same
    return repr(short(without(came[max(0, at - 10) : at + LOOKED_AT]), SEEN_LIMIT))


def without(text: str, secrets: Sequence[str] = ()) -> str:
    """As it stands there, unless it holds one of these or what looks like a key: then on one line, and masked."""
    line = " ".join(text.split())
    found = masked(line, secrets)
    return text if found == line else found


# --- Text -----------------------------------------------------------------------------------------------------------


def _of_whole(scenario: Scenario, witness: Witness) -> Iterator[AuditFinding | AuditFact]:
    """A whole stream arrives whole, to the character."""
    recording, said = witness.recording, scenario.truth.text
    readable = recording.outcome.name != "refused"
    damage = damage_of(recording.text, said) if readable else None
    if damage is not None:
        yield AuditFinding(damage, scenario.name, _excerpt(recording.text, said))
    elif not recording.outcome.ok:
        yield AuditFinding("false_failure", scenario.name, _how(recording))
    elif recording.text != said:
        lost = len(said) - len(recording.text)
        yield AuditFinding("text_dropped", scenario.name, f"the last {many(lost, 'character')}, and it looks complete")


def _how(recording: Recording) -> str:
    told = str(recording.outcome)
    return told if recording.error is None else f"{told}: {short(recording.error, 100)}"


# --- Leaving --------------------------------------------------------------------------------------------------------


def _left(recording: Recording) -> bool:
    """The client left by itself."""
    return recording.outcome.name in ("cancelled", "timeout")


def _of_leaving(scenario: Scenario, witness: Witness) -> Iterator[AuditFinding | AuditFact]:
    """Somebody who has gone is worked for no longer."""
    recording = witness.recording
    if not witness.sides or not _left(recording) or recording.ended_ns is None:
        return
    left_ns = recording.started_ns + recording.ended_ns
    side = max(witness.sides, key=lambda side: side.ended_ns or left_ns)
    wasted = sum(sent_ns > left_ns for each in witness.sides for sent_ns in each.sent_ns)
    nobody = f"{many(wasted, 'piece')} for nobody"
    if side.ended_ns is None or side.how != "left":
        yield AuditFinding("not_cancelled", scenario.name, f"{nobody}, to the end")
        return
    took_ns = max(0, side.ended_ns - left_ns)
    told = f"closed {about(took_ns)} later, {nobody}"
    if took_ns > LATE_NS:
        yield AuditFinding("cancelled_late", scenario.name, told)
    else:
        yield AuditFact("leaving", scenario.name, told)


# --- Timers ---------------------------------------------------------------------------------------------------------


def _of_silence(scenario: Scenario, witness: Witness) -> Iterator[AuditFinding | AuditFact]:
    """A silence is borne; or cut off, and how that looks."""
    recording = witness.recording
    if not witness.sides:
        return
    seen = _ending(scenario, recording)
    gave_up = next((side for side in witness.sides if _gave_up(side, scenario)), None)
    if seen.kind == "complete" and gave_up is None:
        yield AuditFact("timers", scenario.name, f"none within {scenario.silence_s:g} s")
        return
    if gave_up is None and not _ended_early(scenario, witness):  # that is another fault's, and named there
        if not recording.outcome.ok:
            yield AuditFinding("false_failure", scenario.name, _how(recording))
        return
    side = gave_up or witness.sides[0]
    ended_ns = side.ended_ns if gave_up is not None else recording.started_ns + (recording.ended_ns or 0)
    after_ns = (ended_ns or 0) - _silent_since(side)
    yield AuditFinding("own_timer", scenario.name, f"after {about(after_ns)}; the client sees {_seen_as(seen)}")
    if seen.kind == "false_complete":
        yield AuditFinding("false_success", scenario.name, "its own timer had cut it")
    if recording.outcome.name != "refused" and damage_of(recording.text, scenario.truth.text) is not None:
        yield AuditFinding("error_in_text", scenario.name, _excerpt(recording.text, scenario.truth.text))


def _silent_since(side: UpstreamSide) -> int:
    return side.started_ns if side.last_ns is None else side.last_ns


def _gave_up(side: UpstreamSide, scenario: Scenario) -> bool:
    """It closed the upstream's connection before the silence was over."""
    if side.how != "left" or side.ended_ns is None or len(side.sent_ns) == len(scenario.script.pieces):
        return False
    return side.ended_ns - _silent_since(side) < scenario.silence_s * 1e9


def _ended_early(scenario: Scenario, witness: Witness) -> bool:
    """The client's stream ended while the upstream was silent, whatever became of the upstream's."""
    recording = witness.recording
    ended_ns = recording.started_ns + (recording.ended_ns or 0)
    return all(ended_ns < side.started_ns + scenario.silence_s * 1e9 for side in witness.sides)


def _seen_as(seen: Ending) -> str:
    return {"complete": "a whole answer", "false_complete": "a complete answer", "cut": "a cut"}.get(
        seen.kind, seen.says
    )


BY_ASPECT: Final[Mapping[Aspect, Callable[[Scenario, Witness], Iterator[AuditFinding | AuditFact]]]] = {
    "endings": _of_broken,
    "text": _of_whole,
    "leaving": _of_leaving,
    "timers": _of_silence,
}

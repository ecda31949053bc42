"""What was seen of one stream, by both sides of a gateway; and what was made of it: plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias, get_args

from streamkit.lab.audit.scenarios import ASPECTS, Aspect, Scenario

if TYPE_CHECKING:
    from streamkit.lab.findings.endings import Ending
    from streamkit.lab.recording.recording import Recording
    from streamkit.lab.upstream.app import SentLog

__all__ = ["FINDINGS", "AuditFact", "AuditFinding", "FindingCode", "Judgement", "UpstreamSide", "Witness", "side_of"]

FindingCode: TypeAlias = Literal[
    "false_success",
    "error_in_text",
    "never_told",
    "false_failure",
    "text_undecodable",
    "text_dropped",
    "text_doubled",
    "text_changed",
    "held_back",
    "held_from_browsers",
    "not_cancelled",
    "cancelled_late",
    "own_timer",
    "no_back_pressure",
    "one_at_a_time",
    "resumed_wrongly",
    "bad_head",
    "tells_upstream",
    "did_not_recover",
]
FINDINGS: Final[dict[FindingCode, tuple[Aspect, str]]] = {
    "false_success": ("endings", "a broken answer looks complete"),
    "error_in_text": ("endings", "words that the model never said stand in the text"),
    "never_told": ("endings", "the upstream was gone, and the client was not told"),
    "tells_upstream": ("endings", "the address of the upstream is told to the client"),
    "false_failure": ("text", "a whole answer arrives broken, or not at all"),
    "text_undecodable": ("text", "characters were damaged (U+FFFD)"),
    "text_dropped": ("text", "text is missing"),
    "text_doubled": ("text", "text came twice"),
    "text_changed": ("text", "the text is a different one"),
    "did_not_recover": ("text", "after all that, a good answer comes late, or never"),
    "held_back": ("pace", "pieces are held back"),
    "held_from_browsers": ("pace", "pieces are held back from clients that accept compression"),
    "not_cancelled": ("leaving", "the upstream works on for a client that has left"),
    "cancelled_late": ("leaving", "the upstream learns late that the client has left"),
    "own_timer": ("timers", "a silence of the model is cut off"),
    "no_back_pressure": ("back-pressure", "a client that does not read holds nobody: all is taken, and kept"),
    "one_at_a_time": ("side by side", "one stream waits for another to end"),
    "resumed_wrongly": ("resuming", "a stream that was cut goes on wrongly"),
    "bad_head": ("heads", "the head of an answer is at odds with HTTP"),
}
"""What each code is about, and says."""
assert set(FINDINGS) == set(get_args(FindingCode))  # noqa: S101  # of two lists, one would be wrong
assert {aspect for aspect, _ in FINDINGS.values()} == set(ASPECTS)  # noqa: S101


@dataclass(frozen=True, slots=True)
class UpstreamSide:
    """What the upstream saw of one request; times by the monotonic clock.

    `sent_ns` and `sent_bytes` are of the pieces: when each left, and how much text had left by then. `last_ns` is when
    it last said anything, None if it never did. `how` it ended: "running", "finished", "cut" by the script, or "left"
    by the gateway. `wrote_bytes` of body were written.
    """

    started_ns: int
    sent_ns: tuple[int, ...] = ()
    sent_bytes: tuple[int, ...] = ()
    last_ns: int | None = None
    ended_ns: int | None = None
    how: Literal["running", "finished", "cut", "left"] = "finished"
    wrote_bytes: int = 0


def side_of(log: SentLog) -> UpstreamSide:
    """The upstream's log of a request, as it stands now."""
    sent_ns, sent_bytes = [], []
    size = 0
    at_ns = log.sent_ns[:]  # at once: it may be growing
    for step, sent in zip(log.steps, at_ns, strict=False):
        if step.kind == "piece":
            size += step.text_bytes
            sent_ns.append(sent)
            sent_bytes.append(size)
    last_ns = at_ns[-1] if len(at_ns) else None
    return UpstreamSide(
        log.started_ns, tuple(sent_ns), tuple(sent_bytes), last_ns, log.ended_ns, log.how, log.wrote_bytes
    )


@dataclass(frozen=True)
class Witness:
    """What was seen of one scenario: the client's recording, and each time that the upstream was asked for it.

    `grew_bytes` is by how much the gateway's memory grew meanwhile; None where it is not ours to see.
    """

    recording: Recording
    sides: Sequence[UpstreamSide]
    grew_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """Something that the gateway did wrong: its `code` (`FINDINGS`), in which scenario, and what was seen."""

    code: FindingCode
    scenario: str
    seen: str


@dataclass(frozen=True, slots=True)
class AuditFact:
    """Something that was measured, and is neither right nor wrong."""

    aspect: Aspect
    what: str
    value: str


@dataclass(frozen=True)
class Judgement:
    """What came of one scenario. `unjudged` says why nothing can be said; "" where it can."""

    scenario: str
    aspect: Aspect
    ending: Ending | None = None
    found: tuple[AuditFinding, ...] = ()
    facts: tuple[AuditFact, ...] = ()
    unjudged: str = ""

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        noticed: Iterable[AuditFinding | AuditFact],
        *,
        ending: Ending | None = None,
        unjudged: str = "",
    ) -> Self:
        """With all that was noticed, each in its place."""
        each = list(noticed)
        found = tuple(one for one in each if isinstance(one, AuditFinding))
        facts = tuple(one for one in each if isinstance(one, AuditFact))
        return cls(scenario.name, scenario.aspect, ending, found, facts, unjudged)

"""Diagnosis: why a stream stuttered, and what speaks for it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

__all__ = ["CAUSES", "Cause", "CauseName", "Diagnosis"]

CauseName: TypeAlias = Literal[
    "late_loop",
    "slow_reader",
    "network",
    "held",
    "model_paused",
    "without_text",
    "source_paused",
    "periodic",
    "batched",
    "serial_server",
    "cut",
    "unknown",
    "none",
]
CAUSES: tuple[CauseName, ...] = get_args(CauseName)


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One cause of one or several halts.

    name        which one, out of `CAUSES`
    sentence    what happened, with its numbers
    evidence    what speaks for it, one line each
    halts       how many halts it explains; 0 if it is not about halts (bunches, a reader that is always behind)
    after       after which event the longest of them began, counted from 1; None if it has no such place
    at_ms       when that was, counted from when the request was sent
    silence_ms  how long the reader waited there
    total_ms    how long it waited in all
    """

    name: CauseName
    sentence: str
    evidence: tuple[str, ...] = ()
    halts: int = 0
    after: int | None = None
    at_ms: float | None = None
    silence_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """Why a stream stuttered: all causes found, the one that cost the most time first.

        diagnosis = recording.diagnose()
        diagnosis.cause, diagnosis.sentence, diagnosis.evidence

    >>> sk.Recording.from_pieces([(n * 50_000_000, "x") for n in range(9)]).diagnose()
    <Diagnosis none: No stall: the longest wait between two events was 50 ms>

    causes      all of them, as `Cause`s
    cause       the name of the main one, out of `CAUSES`. In this client: `late_loop`, `slow_reader`; on the way:
                `network`, `held`; at the sender: `model_paused`, `source_paused`, `without_text`; a rhythm: `periodic`,
                `batched`; of several streams: `serial_server`; `cut`; `unknown`: it cannot be decided; `none`: there is
                nothing to explain
    sentence, evidence, after, silence_ms
                those of the main cause
    where       the first tap at which the stall is seen; None without taps of servers
    """

    causes: tuple[Cause, ...]
    where: str | None = None

    @property
    def cause(self) -> CauseName:
        """The name of the main cause."""
        return self.causes[0].name

    @property
    def sentence(self) -> str:
        """What happened, in one sentence."""
        return self.causes[0].sentence

    @property
    def evidence(self) -> tuple[str, ...]:
        """The evidence for it, one line each."""
        return self.causes[0].evidence

    @property
    def after(self) -> int | None:
        """After which event the longest halt began."""
        return self.causes[0].after

    @property
    def silence_ms(self) -> float:
        """How long that one was, in ms."""
        return self.causes[0].silence_ms

    @property
    def names(self) -> tuple[CauseName, ...]:
        """The names of all causes found, the main one first."""
        return tuple(cause.name for cause in self.causes)

    def __str__(self) -> str:
        return "\n".join(f"{cause.sentence}\n{_lines(cause.evidence)}".rstrip() for cause in self.causes)

    def __repr__(self) -> str:
        more = f" (and {', '.join(self.names[1:])})" if len(self.causes) > 1 else ""
        return f"<Diagnosis {self.cause}: {self.sentence}{more}>"

    def _repr_html_(self) -> str:
        return "".join(
            f"<p><b>{html.escape(cause.name.replace('_', ' '))}</b>: {html.escape(cause.sentence)}</p>"
            f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in cause.evidence)}</ul>"
            for cause in self.causes
        )


def _lines(evidence: tuple[str, ...]) -> str:
    return "\n".join(f"  - {line}" for line in evidence)

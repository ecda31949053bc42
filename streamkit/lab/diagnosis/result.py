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
    """One cause, of one halt or of several.

    name        which one, out of `CAUSES`
    sentence    what happened, with its numbers
    evidence    what speaks for it, a line each
    halts       how many halts it explains; 0 for what is no halt (bunches, a reader that is always behind)
    after       after which event the longest of them began, counted from 1; None where it has no such place
    at_ms       when that was, from when the request was sent
    silence_ms  for how long its reader waited there
    total_ms    for how long in all
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
    """Why a stream stuttered: all causes found, that which cost most first; `none` where it did not stutter.

        diagnosis = recording.diagnose()
        diagnosis.cause, diagnosis.sentence, diagnosis.evidence

    cause       the main one's name, out of `CAUSES`: `late_loop`, `slow_reader` (this client); `network`, `held` (on
                the way); `model_paused`, `source_paused`, `without_text` (whoever sends); `periodic`, `batched` (a
                rhythm); `serial_server` (of several streams); `cut`; `unknown`: this cannot be told; `none`: nothing to
                explain
    where       the tap at which the stall first was, where there are taps of others
    The rest is that of the main one, see `Cause`.

    >>> sk.Recording.from_pieces([(n * 50_000_000, "x") for n in range(9)]).diagnose()
    <Diagnosis none: No stall: the longest wait between two events was 50 ms>
    """

    causes: tuple[Cause, ...]
    where: str | None = None

    @property
    def cause(self) -> CauseName:
        """The main one's name."""
        return self.causes[0].name

    @property
    def sentence(self) -> str:
        """What happened, in one sentence."""
        return self.causes[0].sentence

    @property
    def evidence(self) -> tuple[str, ...]:
        """What speaks for it."""
        return self.causes[0].evidence

    @property
    def after(self) -> int | None:
        """After which event the longest halt began."""
        return self.causes[0].after

    @property
    def silence_ms(self) -> float:
        """How long that one was."""
        return self.causes[0].silence_ms

    @property
    def names(self) -> tuple[CauseName, ...]:
        """All causes found, the main one first."""
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

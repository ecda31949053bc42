"""What one probe of a streaming endpoint told: a recording's facts as far as they bear on who holds bytes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from streamkit.content.codings import codings_of
from streamkit.lab.findings.layers import Layer, compressor_of, is_copy, layers_of
from streamkit.lab.findings.releases import Lateness, Releasing, lateness, releasing
from streamkit.lab.findings.words import about, many

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["Differs", "Probed", "each", "probed"]

Differs: TypeAlias = Literal["plain", "codings", "not incremental", "unbuffered", "direct", "direct codings"]
"""What a probe differs in: nothing, which codings it asks for, `Incremental: ?0`, that the server was made to say
`X-Accel-Buffering: no`, that it went around the layers.
"""


@dataclass(frozen=True, slots=True)
class Probed:
    """What one probe told. `held` is whether something kept its bytes back, None where that cannot be known; `untold`
    says why its server did not tell when they left it.
    """

    name: str
    differs: Differs
    said: str
    status: int | None
    ok: bool
    coding: str
    compressor: str | None
    varies: bool
    copy: str | None
    stream_id: str | None
    refused: str | None
    layers: tuple[Layer, ...]
    releasing: Releasing
    events: int
    lateness: Lateness | None
    untold: str | None = None

    @property
    def held(self) -> bool | None:
        if self.lateness is not None:
            return self.lateness.held(self.releasing.pattern)
        if self.releasing.pattern in ("portions", "as it came"):
            return self.releasing.pattern == "portions"
        return None

    @property
    def crowd(self) -> float:
        """Events in a release, on average."""
        return self.events / max(self.releasing.count, 1)

    def __str__(self) -> str:
        if not self.ok or not self.releasing.count:
            return self.said
        one = self.releasing
        coded = f"{self.coding}, " if self.coding else ""
        late = "" if self.lateness is None else f", half of the events {about(self.lateness.median_ns)} late or more"
        return (
            f"{coded}{many(one.bytes, 'byte')} in {many(one.count, 'release')}, {about(one.first_ns)} to "
            f"{about(one.last_ns)}: {_said_of(one)}{late}"
        )


def probed(name: str, differs: Differs, recording: Recording, *, refused: str | None = None) -> Probed:
    """The facts of one probe; `refused` is who said that it does not pass on what comes as it comes (RFC 10036)."""
    headers = recording.headers
    coding = ", ".join(codings_of(headers.get("content-encoding")))
    first = b"".join(data or b"" for data in recording.reads.data[:3])
    return Probed(
        name=name,
        differs=differs,
        said=str(recording.outcome),
        status=recording.status,
        ok=recording.outcome.ok or bool(recording.events),
        coding=coding,
        compressor=compressor_of(first) if coding == "gzip" else None,
        varies="accept-encoding" in headers.get("vary", "").lower(),
        copy=is_copy(headers),
        stream_id=headers.get("x-stream-id"),
        refused=refused,
        layers=layers_of(headers),
        releasing=releasing(recording),
        events=len(recording.events),
        lateness=lateness(recording),
        untold=next((note for note in recording.meta.get("notes", ()) if note.startswith("the taps of")), None),
    )


def _said_of(one: Releasing) -> str:
    """How its releases lie, in words."""
    told = {
        "as it came": "as it came",
        "bursts": "several events at a time",
        "lump": "all at once",
        "portions": f"{one.amount:,} bytes at a time, {one.inside} of {one.count - 1} times inside of an event",
        "period": f"every {about(one.amount)}",
        "head start": f"{one.amount:,} bytes at once, then as it came",
    }
    return told.get(one.pattern, one.pattern)


def each(probes: Sequence[Probed]) -> tuple[str, ...]:
    """As evidence, a line each."""
    return tuple(f"{probe.name}: {probe}" for probe in probes)

"""What one probe of a streaming endpoint told: a recording's facts as far as they bear on who holds bytes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal, TypeAlias

from streamkit.content.codings import codings_of
from streamkit.lab.buffering.layers import Layer, compressor_of, is_copy, layers_of
from streamkit.lab.buffering.releases import Lateness, Releasing, lateness, releasing
from streamkit.lab.findings.words import about, enumerated, many

if TYPE_CHECKING:
    from streamkit.lab.recording.recording import Recording

__all__ = ["Differs", "Probed", "known_by", "probed"]

Differs: TypeAlias = Literal["plain", "codings", "not incremental", "unbuffered", "direct", "direct codings"]
"""What a probe differs in: nothing, which codings it asks for, `Incremental: ?0`, that the server was made to say
`X-Accel-Buffering: no`, that it went around the layers.
"""


@dataclass(frozen=True, slots=True)
class Probed:
    """What one probe told. `held` is whether something kept its bytes back, None where that cannot be known; `untold`
    says why its server did not tell when they left it, `error` why it was no whole answer; `age` is the head's Age.
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
    lateness: Lateness | None
    untold: str | None = None
    error: str | None = None
    age: str | None = None

    @property
    def held(self) -> bool | None:
        if self.lateness is not None:
            return self.lateness.held(self.releasing.pattern)
        if self.releasing.pattern in ("portions", "as it came"):
            return self.releasing.pattern == "portions"
        return None

    @property
    def span_ns(self) -> int:
        """From its first release to its last."""
        return self.releasing.last_ns - self.releasing.first_ns

    @property
    def crowd(self) -> float:
        """Events in a release, on average."""
        return self.releasing.events / max(self.releasing.count, 1)

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
        lateness=lateness(recording),
        untold=next((note for note in recording.meta.get("notes", ()) if note.startswith("the taps of")), None),
        error=recording.error,
        age=headers.get("age"),
    )


def _said_of(one: Releasing) -> str:
    """How its releases lie, in words."""
    inside = f", {one.inside} of {one.count - 1} times inside an event"
    told = {
        "as it came": "as it came",
        "bursts": "several events at a time",
        "lump": "all at once",
        "portions": f"{one.amount:,} bytes at a time{inside if one.inside else ''}",
        "period": f"every {about(one.amount)}",
        "head start": f"{one.amount:,} bytes at once, then as it came",
    }
    return told.get(one.pattern, one.pattern)


def known_by(probes: Sequence[Probed]) -> tuple[str, ...]:
    """By what it is known whether these held: what their servers told, and where their releases end; as evidence."""
    if not probes:
        return ()
    names = enumerated([probe.name for probe in probes])
    told = [probe.lateness for probe in probes if probe.lateness is not None]
    patterns = {probe.releasing.pattern for probe in probes}
    lines = []
    if told and patterns == {"head start"}:
        first = min(one.first for one in told)
        lines.append(f"the first {many(first, 'event')} came together, though they had left one by one ({names})")
    elif told:
        late = about(median(one.median_ns for one in told))
        lines.append(
            f"from {told[0].tap} to client.read half of the events took {late} longer than the fastest ({names})"
        )
    inside = sum(probe.releasing.inside for probe in probes)
    if inside and patterns == {"portions"}:
        ended = sum(probe.releasing.count - 1 for probe in probes)
        lines.append(
            f"{inside} of {ended} releases end inside an event, where no source ends that writes whole ones ({names})"
        )
    if patterns == {"as it came"} and not told:
        lines.append(f"events came one by one: nobody waited to let several go together ({names})")
    return tuple(lines)

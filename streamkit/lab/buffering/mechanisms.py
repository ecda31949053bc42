"""How bytes are held back on the way to an endpoint, told from its probes: compression, portions, a period, the whole.

What holds is told by three kinds of evidence, and by nothing less:

- the taps of the server were joined, or the same endpoint was asked around the layers: then it is known when an event
  had left, and what came much later was held on the way;
- releases end inside of events, always the same number of bytes apart: no source does that which writes whole events;
- one probe streams and another does not: then it is what they differ in.

A source that pauses, a model that says all at once, a client that was busy: without one of these they look just like a
buffer, and the mechanism is "unknown".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final, Literal, TypeAlias

from streamkit.lab.buffering.probes import Probed, known_by
from streamkit.lab.buffering.releases import Pattern
from streamkit.lab.findings.words import many, short

__all__ = ["CORK_NS", "ENOUGH_BYTES", "Kind", "Mechanism", "disagree", "mechanism_of"]

Kind: TypeAlias = Literal[
    "none", "unknown", "server", "refused", "copy", "compression", "portions", "period", "head start", "whole"
]
"""`server`: it lets go like that itself; `copy`: a cache answered; the rest as `Pattern`s, done by a layer."""

KINDS: Final[dict[Pattern, Kind]] = {
    "portions": "portions",
    "period": "period",
    "head start": "head start",
    "lump": "whole",
}
ENOUGH_BYTES: Final = 40_000
"""A whole answer of fewer bytes tells nothing: it fits into any buffer."""
CORK_NS: Final = (100_000_000, 300_000_000)
"""Linux keeps what was written "with more to come" for up to 200 ms or so (tcp(7), TCP_CORK): HAProxy writes like that.
"""
SAME: Final = 1.3  # by how much the amounts of two probes may differ …
SAME_PERIOD: Final = 2.5  # … and their periods: a kernel's timers depend on the round trip that it has measured
FASTER: Final = 4  # times as fast as the answer itself comes its copy
CROWDED: Final = 4  # times as many events in a release as in the plain probe


@dataclass(frozen=True)
class Mechanism:
    """How it is held, as far as the probes tell; `amount` in bytes or ns, `because` for the evidence. `held`: that
    something holds is known, though not how. `answered`: whether there was an answer to tell it by.
    """

    kind: Kind
    amount: int = 0
    because: tuple[str, ...] = ()
    of: Probed | None = None
    held: bool = False
    answered: bool = True


def mechanism_of(probes: Sequence[Probed], seen: Collection[str]) -> Mechanism:
    """How it is held, as far as the probes tell; `seen` are the names of the layers that are known to be there."""
    return _sure(_mechanism(probes), seen)


def _mechanism(probes: Sequence[Probed]) -> Mechanism:
    plain = _plain(probes)
    for rule in (_refused, _copied, _by_server):
        if (found := rule(probes)) is not None:
            return found
    if not plain:
        error = () if probes[0].error is None else (probes[0].error,)
        return Mechanism(
            "unknown", because=(f"the plain probe was no answer: {probes[0].said}", *error), answered=False
        )
    told = [_held(probe, probes) for probe in plain]
    most = max(told, key=told.count)
    if told.count(most) * 2 <= len(told):
        return Mechanism("unknown", because=("the plain probes do not agree",))
    agreeing = [probe for probe, held in zip(plain, told, strict=True) if held is most]
    if most is not None:
        found = _how(agreeing) if most else _by_coding(probes, agreeing)
        around = [f"{one.name}: {one}" for one in probes if one.differs == "direct" and one.ok]
        return replace(found, because=(*found.because, *around))
    untold = tuple(dict.fromkeys(probe.untold for probe in plain if probe.untold))
    why = SLOW if any(probe.lateness is not None for probe in agreeing) else SILENT
    return _by_difference(probes, agreeing) or Mechanism("unknown", because=(why, *known_by(agreeing), *untold))


def _sure(how: Mechanism, seen: Collection[str]) -> Mechanism:
    """Portions that leave in the rhythm of HAProxy's own holding may be several of a smaller buffer."""
    if how.kind != "portions" or "HAProxy" not in seen or how.of is None:
        return how
    if not CORK_NS[0] <= how.of.releasing.apart_ns <= CORK_NS[1]:
        return how
    told = f"in portions of {how.amount:,} bytes, which HAProxy's own period may have made of smaller ones"
    return Mechanism("unknown", because=(told, *how.because), of=how.of, held=True)


def _plain(probes: Sequence[Probed]) -> list[Probed]:
    """Those of the plain request; one that asked for codings and got none is no other."""
    return [
        one for one in probes if one.ok and (one.differs == "plain" or (one.differs == "codings" and not one.coding))
    ]


def disagree(probes: Sequence[Probed]) -> bool:
    """Whether the plain probes do not tell the same: one more is wanted, since most of them count."""
    told = [_held(probe, probes) for probe in _plain(probes)]
    return bool(told) and told.count(max(told, key=told.count)) * 2 <= len(told)


def _held(probe: Probed, probes: Sequence[Probed]) -> bool | None:
    """Its own word, or what the same endpoint did when it was asked around the layers."""
    around = next((one for one in probes if one.differs == "direct" and one.ok), None)
    if probe.held is not None or around is None or around.held is not False:
        return probe.held
    if probe.releasing.pattern in KINDS or probe.crowd >= CROWDED * around.crowd:
        return True
    return None


def _refused(probes: Sequence[Probed]) -> Mechanism | None:
    for probe in probes:
        if probe.refused is not None:
            return Mechanism(
                "refused", because=(f"501, Proxy-Status: {probe.refused}; error=incremental_refused",), of=probe
            )
    return None


def _copied(probes: Sequence[Probed]) -> Mechanism | None:
    """An answer out of a cache: by its head, or since two answers are one stream, and one of them came as only a copy
    does. A server that gives several answers one name, and streams each of them, is no cache.
    """
    for probe in probes:
        if probe.copy is not None:
            return Mechanism("copy", because=(f"{probe.name}: {probe.copy}",), of=probe)
    by_id: dict[str, list[Probed]] = {}
    for probe in probes:
        if probe.stream_id is not None and probe.ok:
            by_id.setdefault(probe.stream_id, []).append(probe)
    for alike in (several for several in by_id.values() if len(several) > 1):
        slowest_ns = max(probe.span_ns for probe in alike)
        for probe in alike:
            if (how := _as_copies_come(probe, slowest_ns)) is not None:
                same = f"{many(len(alike), 'probe')} were answered with the same X-Stream-Id, {probe.name} {how}"
                return Mechanism("copy", because=(same,), of=probe)
    return None


def _as_copies_come(probe: Probed, slowest_ns: int) -> str | None:
    """How it came, if that is how a stored answer does; `slowest_ns` is how long another answer of its name took."""
    if probe.age is not None:
        return f"with Age: {short(probe.age, 20)}"
    if probe.releasing.pattern == "lump" or probe.span_ns * FASTER < slowest_ns:
        return "all at once"
    return None


def _by_server(probes: Sequence[Probed]) -> Mechanism | None:
    """Asked around the layers, it lets go in the same way."""
    around = next((one for one in probes if one.differs == "direct" and one.ok), None)
    plain = _plain(probes)
    if around is None or around.held is False or not plain:
        return None
    same = all(probe.releasing.pattern == around.releasing.pattern and probe.lateness is None for probe in plain)
    if same and all(probe.crowd < SAME * around.crowd for probe in plain):
        return Mechanism("server", because=(f"asked around the layers: {around}",), of=around)
    return None


def _how(plain: Sequence[Probed]) -> Mechanism:
    """Something holds; by the pattern that most of the plain probes show."""
    patterns = [probe.releasing.pattern for probe in plain]
    pattern = max(patterns, key=patterns.count)
    alike = [probe for probe in plain if probe.releasing.pattern == pattern]
    amounts = [probe.releasing.amount for probe in alike]
    same = SAME_PERIOD if pattern == "period" else SAME
    told = len(alike) * 2 > len(plain) and pattern in KINDS and max(amounts) <= same * min(amounts)
    if told and (pattern != "lump" or alike[0].releasing.bytes >= ENOUGH_BYTES):
        return Mechanism(KINDS[pattern], int(median(amounts)), known_by(alike), alike[0])
    whole = max(probe.releasing.bytes for probe in plain)
    short = f"the answer is too short to tell how: {whole:,} bytes fit into many a buffer"
    why = short if whole < ENOUGH_BYTES else "in no pattern that is known"
    return Mechanism("unknown", because=(why, *known_by(plain)), held=True)


def _by_coding(probes: Sequence[Probed], plain: Sequence[Probed]) -> Mechanism:
    """Nothing holds what is not encoded; what a client that accepts codings gets may be another matter."""
    because = known_by(plain)
    coded = [probe for probe in probes if probe.differs == "codings" and probe.ok and probe.coding]
    around = next((one for one in probes if one.differs == "direct codings" and one.ok), None)
    for probe in coded:
        crowded = probe.crowd >= CROWDED * median(one.crowd for one in plain)
        late = probe.held if probe.lateness is not None else crowded
        if late and crowded:
            by_itself = around is not None and around.coding == probe.coding
            return Mechanism("server" if by_itself else "compression", 0, (*because, _crowding(probe, plain)), probe)
        if late:
            return Mechanism("unknown", because=(f"encoded it was late in no pattern that is known: {probe}", *because))
    asked_whole = [
        f"asked with {one.name} it is held" for one in probes if one.differs == "not incremental" and one.held
    ]
    return Mechanism("none", because=(*because, *known_by(coded), *asked_whole), of=plain[0])


def _by_difference(probes: Sequence[Probed], plain: Sequence[Probed]) -> Mechanism | None:
    """Made to say `X-Accel-Buffering: no`, the server is heard as it speaks."""
    for probe in probes:
        if probe.differs == "unbuffered" and probe.ok and probe.held is False:
            crowded = all(one.crowd >= CROWDED * probe.crowd for one in plain)
            how = _how(plain)
            return (
                Mechanism(how.kind, how.amount, (f"with {probe.name} it came as it was sent", *how.because), probe)
                if crowded
                else None
            )
    return None


SILENT: Final = (
    "a server that pauses, or says it all at once, looks the same from here, and nothing tells when the bytes left it"
)
SLOW: Final = "events come late, but one by one, as through a slow network, or a limit on its rate, or a busy machine"


def _crowding(probe: Probed, plain: Sequence[Probed]) -> str:
    fewest = min(one.releasing.count for one in plain)
    return (
        f"under {probe.coding} the answer came in {many(probe.releasing.count, 'release')}, else in {fewest:,} or more"
    )

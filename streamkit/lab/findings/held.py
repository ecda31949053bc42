"""held(): what each hop of a stream's way held over time, by its queues and by its curves, side by side.

    held(recording)["relay → client"].by_queue["relay.unsent"]      # bytes, at each of .at_ns
    held(recording)["relay → client"].rest                          # by_curves - the queues: what no gauge saw

The two are told by different means, so they check each other. Gauges are samples of what lies in a buffer, in bytes
as they are on the wire. Curves count the bytes of text that had passed two taps; how many bytes on the wire these are,
the writer's own counter says (`upstream.wrote`, `relay.wrote`): it and the writer's tap were seen at the same moment.

What remains between them is not rounded away. It has many sources: half an event that was read but cannot be counted
yet, bytes on their way between two kernels, samplers that look at different moments (what they saw is held until their
next look), bytes that TCP holds at both ends until it has acknowledged them, wire bytes without text, and whatever
still lies with a server that has stopped looking because its part was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streamkit.lab.metrics.curves import Curve, count_at
from streamkit.taps.gauges import COUNTERS, GAUGES, HOPS, NOT_KNOWN

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.recording.recording import Recording
    from streamkit.taps.gauges import Gauge

    Ints = npt.NDArray[np.int64]

__all__ = ["Held", "held"]


class _Ends(NamedTuple):
    """The taps between which a hop lies, and which counter says what the text that passes there is on the wire."""

    before: str
    after: str
    counter: str | None  # None: the client's own reads
    counted_at: str


UNDECODED: Final = _Ends("relay.read", "relay.event", "upstream.wrote", "upstream.sent")
DECODED: Final = _Ends("relay.event", "relay.sent", "relay.wrote", "relay.sent")
"""Within the relay there are two encodings: until an event is decoded it is as long as the upstream wrote it."""

ENDS: Final[Mapping[str, _Ends]] = {
    "upstream → relay": _Ends("upstream.sent", "relay.read", "upstream.wrote", "upstream.sent"),
    "in the relay": _Ends("relay.read", "relay.sent", "relay.wrote", "relay.sent"),
    "relay → client": _Ends("relay.sent", "client.read", "relay.wrote", "relay.sent"),
    "in the client": _Ends("client.read", "client.event", None, "client.read"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """One hop: bytes at each of `at_ns`, the moments at which anything on the whole way was looked at.

    `by_queue` has the queues that could be seen, in the order of the way, the others are `missing`. A queue counts as
    0 while it was not looked at or not known; the `rest` has its bytes then. `by_curves` and `rest` are None where the
    curves do not tell; `untold` says why. A `rest` below 0 are bytes that are in two queues at once.
    """

    at_ns: Ints
    by_queue: Mapping[str, Ints]
    by_curves: Ints | None
    rest: Ints | None
    missing: tuple[str, ...]
    untold: str = ""

    @property
    def in_queues(self) -> Ints:
        """The queues together."""
        return sum(self.by_queue.values(), np.zeros_like(self.at_ns))

    @property
    def amount(self) -> Ints:
        """The queues together, or what the curves say where that is more."""
        return self.in_queues if self.by_curves is None else np.maximum(self.in_queues, self.by_curves)


def held(recording: Recording) -> dict[str, Held]:
    """The hops of `gauges.HOPS` of which anything can be told, in the order of the way; none without any gauge."""
    at_ns = _looked_at(recording)
    if not at_ns.size:
        return {}
    curves = _curves(recording)
    told = {hop: _held(recording, curves, at_ns, hop) for hop in HOPS}
    return {hop: one for hop, one in told.items() if one.by_queue or one.by_curves is not None}


def _held(recording: Recording, curves: Mapping[str, Curve], at_ns: Ints, hop: str) -> Held:
    gauges = recording.gauges
    seen = [name for name in HOPS[hop] if name in gauges and gauges[name].known]
    by_queue = {name: _sampled(gauges[name], at_ns) for name in seen}
    by_curves, untold = None, _untold(recording, curves, hop)
    if not untold:
        legs = [_between(recording, curves, at_ns, ends) for ends in _legs(recording, curves, hop)]
        by_curves = np.rint(sum(legs, np.zeros(at_ns.size))).astype(np.int64)
    return Held(
        at_ns=at_ns,
        by_queue=by_queue,
        by_curves=by_curves,
        rest=None if by_curves is None else by_curves - sum(by_queue.values(), np.zeros_like(at_ns)),
        missing=tuple(name for name in HOPS[hop] if name not in seen),
        untold=untold,
    )


def _looked_at(recording: Recording) -> Ints:
    """All moments of all samplers."""
    columns = [_column(gauge.at_ns) for name, gauge in recording.gauges.items() if name in (*GAUGES, *COUNTERS)]
    return np.unique(np.concatenate(columns)) if columns else np.zeros(0, dtype=np.int64)


def _column(values: object) -> Ints:
    return np.array(values, dtype=np.int64)


def _sampled(gauge: Gauge, at_ns: Ints) -> Ints:
    """Each sample holds until the next one; 0 before the first, after the last, and where it was not known."""
    own, value = _column(gauge.at_ns), _column(gauge.value)
    last = np.searchsorted(own, at_ns, side="right") - 1
    known = (last >= 0) & (at_ns <= own[-1]) & (value[last] != NOT_KNOWN)
    return np.where(known, value[last], 0)


def _curves(recording: Recording) -> dict[str, Curve]:
    """In bytes of text; the client's reads when they returned, since until then the kernel's queue had them.

    The kernel stamps what has come, not what is read (`Read.late_ns`).
    """
    curves = recording.curves("bytes")
    read, reads = curves["client.read"], recording.reads
    late_ns = _column(reads.late_ns)[_column(recording.events.read)]
    return curves | {"client.read": Curve(np.maximum.accumulate(read.at_ns + late_ns), read.count)}


def _untold(recording: Recording, curves: Mapping[str, Curve], hop: str) -> str:
    """Why the curves do not tell what this hop held; "" if they do."""
    before, after, counter, _ = ENDS[hop]
    for tap in (before, after):
        if tap not in curves:
            return f"no {tap} tap"
    if not curves[before].total:
        return f"no text at {before}"
    if counter is not None and not _counted(recording, counter):
        return f"no {counter} counter"
    if hop == "in the relay" and recording.counts.get("relay.dropped_pieces"):
        return "pieces were dropped there"
    if recording.outcome.ok and curves[before].total != curves[after].total:
        return f"{before} and {after} did not count the same text"
    return ""


def _counted(recording: Recording, counter: str) -> bool:
    return counter in recording.gauges and recording.gauges[counter].known


def _legs(recording: Recording, curves: Mapping[str, Curve], hop: str) -> list[_Ends]:
    """The hop in parts of one encoding each; the relay's own for all of it where the upstream did not count."""
    apart = "upstream.sent" in curves and "relay.event" in curves and _counted(recording, "upstream.wrote")
    return [UNDECODED, DECODED] if hop == "in the relay" and apart else [ENDS[hop]]


def _between(recording: Recording, curves: Mapping[str, Curve], at_ns: Ints, ends: _Ends) -> npt.NDArray[np.float64]:
    text, wire = _on_the_wire(recording, curves, ends)
    passed = [np.interp(count_at(curves[tap], at_ns), text, wire) for tap in (ends.before, ends.after)]
    return np.subtract(*passed)


def _on_the_wire(recording: Recording, curves: Mapping[str, Curve], ends: _Ends) -> tuple[Ints, Ints]:
    """Bytes of text, and how many bytes on the wire had been written by then: points to interpolate between.

    What has no text goes with the text before it; text beyond the last sample counts in proportion.
    """
    if ends.counter is None:
        reads = recording.reads
        at_ns = np.maximum.accumulate(_column(reads.at_ns) + _column(reads.late_ns))
        wire = np.cumsum(_column(reads.size))
    else:
        counter = recording.gauges[ends.counter]
        at_ns, wire = _column(counter.at_ns), _column(counter.value)
        at_ns, wire = at_ns[wire != NOT_KNOWN], wire[wire != NOT_KNOWN]
    curve = curves[ends.counted_at]
    text = count_at(curve, at_ns)
    last = np.append(np.diff(text) > 0, True)  # of the samples at the same text
    text, wire = text[last], wire[last]
    if text[0] > 0:
        text, wire = np.append(0, text), np.append(0, wire)
    total = max(curve.total, curves[ends.before].total)
    if 0 < text[-1] < total:
        text, wire = np.append(text, total), np.append(wire, wire[-1] * total // text[-1])
    return text, wire

"""held(): what each stretch of a stream's way held over time, by its queues and by its curves, side by side.

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

from streamkit.lab.findings.subjects import the_recording
from streamkit.lab.metrics.curves import Curve, count_at
from streamkit.taps.gauges import COUNTERS, GAUGES, NOT_KNOWN, STRETCHES

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.recording.recording import Recording
    from streamkit.taps.gauges import Gauge

    Ints = npt.NDArray[np.int64]

__all__ = ["Held", "held"]


class _Taps(NamedTuple):
    """The taps between which a stretch lies, and which counter says what the text that passes there is on the wire."""

    before: str
    after: str
    counter: str | None  # None: the client's own reads
    counted_at: str


UNDECODED: Final = _Taps("relay.read", "relay.event", "upstream.wrote", "upstream.sent")
DECODED: Final = _Taps("relay.event", "relay.sent", "relay.wrote", "relay.sent")
"""Within the relay there are two encodings: until an event is decoded it is as long as the upstream wrote it."""

BETWEEN: Final[Mapping[str, _Taps]] = {
    "upstream → relay": _Taps("upstream.sent", "relay.read", "upstream.wrote", "upstream.sent"),
    "in the relay": _Taps("relay.read", "relay.sent", "relay.wrote", "relay.sent"),
    "relay → client": _Taps("relay.sent", "client.read", "relay.wrote", "relay.sent"),
    "in the client": _Taps("client.read", "client.event", None, "client.read"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """What one stretch of the way held, in bytes over time.

        held = sk.findings.held(recording)["relay → client"]
        held.at_ns, held.by_queue["client.unread"], held.rest

    at_ns       the moments at which anything on the whole way was looked at
    by_queue    the queues that could be seen, in the order of the way. A queue counts as 0 while it was not looked at
                or not known; its bytes are then in `rest`
    by_curves   what the curves say; None where they do not tell
    rest        `by_curves` minus the queues: bytes in no queue that was seen; below 0, bytes seen in two at once. None
                like `by_curves`
    missing     the queues that could not be seen
    untold      why the curves do not tell; "" where they do
    """

    at_ns: Ints
    by_queue: Mapping[str, Ints]
    by_curves: Ints | None
    rest: Ints | None
    missing: tuple[str, ...]
    untold: str = ""

    @property
    def in_queues(self) -> Ints:
        """What all queues held together."""
        return sum(self.by_queue.values(), np.zeros_like(self.at_ns))

    @property
    def amount(self) -> Ints:
        """What all queues held together, or what the curves say, whichever is more."""
        return self.in_queues if self.by_curves is None else np.maximum(self.in_queues, self.by_curves)


def held(recording: Recording) -> dict[str, Held]:
    """What each stretch of the way held, in the order of the way; stretches of which nothing is known are left out.

        held = sk.findings.held(await lab.post("/ans", chat_history="hi"))
        held["relay → client"].by_queue["relay.unsent"]

    Without gauges (`gauge_ms` turns them on) there is none:

        >>> sk.findings.held(sk.Recording.from_pieces([(10_000_000, "hi")]))
        {}

    Raises TypeError for what is not a recording.
    """
    at_ns = _looked_at(the_recording(recording))
    if not at_ns.size:
        return {}
    curves = _curves(recording)
    told = {stretch: _held(recording, curves, at_ns, stretch) for stretch in STRETCHES}
    return {stretch: one for stretch, one in told.items() if one.by_queue or one.by_curves is not None}


def _held(recording: Recording, curves: Mapping[str, Curve], at_ns: Ints, stretch: str) -> Held:
    gauges = recording.gauges
    seen = [name for name in STRETCHES[stretch] if name in gauges and gauges[name].known]
    by_queue = {name: _sampled(gauges[name], at_ns) for name in seen}
    by_curves, untold = None, _untold(recording, curves, stretch)
    if not untold:
        legs = [_between(recording, curves, at_ns, taps) for taps in _legs(recording, curves, stretch)]
        by_curves = np.rint(sum(legs, np.zeros(at_ns.size))).astype(np.int64)
    return Held(
        at_ns=at_ns,
        by_queue=by_queue,
        by_curves=by_curves,
        rest=None if by_curves is None else by_curves - sum(by_queue.values(), np.zeros_like(at_ns)),
        missing=tuple(name for name in STRETCHES[stretch] if name not in seen),
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


def _untold(recording: Recording, curves: Mapping[str, Curve], stretch: str) -> str:
    """Why the curves do not tell what this stretch held; "" if they do."""
    before, after, counter, _ = BETWEEN[stretch]
    for tap in (before, after):
        if tap not in curves:
            return f"no {tap} tap"
    if not curves[before].total:
        return f"no text at {before}"
    if counter is not None and not _counted(recording, counter):
        return f"no {counter} counter"
    if stretch == "in the relay" and recording.counts.get("relay.dropped_pieces"):
        return "pieces were dropped there"
    if recording.outcome.ok and curves[before].total != curves[after].total:
        return f"{before} and {after} did not count the same text"
    return ""


def _counted(recording: Recording, counter: str) -> bool:
    return counter in recording.gauges and recording.gauges[counter].known


def _legs(recording: Recording, curves: Mapping[str, Curve], stretch: str) -> list[_Taps]:
    """The stretch in parts of one encoding each; the relay's own for all of it where the upstream did not count."""
    apart = "upstream.sent" in curves and "relay.event" in curves and _counted(recording, "upstream.wrote")
    return [UNDECODED, DECODED] if stretch == "in the relay" and apart else [BETWEEN[stretch]]


def _between(recording: Recording, curves: Mapping[str, Curve], at_ns: Ints, taps: _Taps) -> npt.NDArray[np.float64]:
    text, wire = _on_the_wire(recording, curves, taps)
    passed = [np.interp(count_at(curves[tap], at_ns), text, wire) for tap in (taps.before, taps.after)]
    return np.subtract(*passed)


def _on_the_wire(recording: Recording, curves: Mapping[str, Curve], taps: _Taps) -> tuple[Ints, Ints]:
    """Bytes of text, and how many bytes on the wire had been written by then: points to interpolate between.

    What has no text goes with the text before it; text beyond the last sample counts in proportion.
    """
    if taps.counter is None:
        reads = recording.reads
        at_ns = np.maximum.accumulate(_column(reads.at_ns) + _column(reads.late_ns))
        wire = np.cumsum(_column(reads.size))
    else:
        counter = recording.gauges[taps.counter]
        at_ns, wire = _column(counter.at_ns), _column(counter.value)
        at_ns, wire = at_ns[wire != NOT_KNOWN], wire[wire != NOT_KNOWN]
    curve = curves[taps.counted_at]
    text = count_at(curve, at_ns)
    last = np.append(np.diff(text) > 0, True)  # of the samples at the same text
    text, wire = text[last], wire[last]
    if text[0] > 0:
        text, wire = np.append(0, text), np.append(0, wire)
    total = max(curve.total, curves[taps.before].total)
    if 0 < text[-1] < total:
        text, wire = np.append(text, total), np.append(wire, wire[-1] * total // text[-1])
    return text, wire

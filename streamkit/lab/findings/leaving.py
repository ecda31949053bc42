"""What went on after a client had left: how long its upstream worked on, and for how many pieces that nobody read."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streamkit.lab.findings.subjects import Recordings, named, recordings_in, the_recording
from streamkit.lab.findings.words import are_apart, duration, enumerated, many, short

if TYPE_CHECKING:
    from streamkit.lab.metrics.curves import Curve
    from streamkit.lab.recording.recording import Recording
    from streamkit.lab.recording.trust import Trust

__all__ = ["Leaving", "Left", "after_leaving", "describe_leaving", "leaving_finding", "leavings"]

STAYED: Final = "The client did not leave before the end"
ALL_STAYED: Final = "No client left before the end"
SENDERS: Final = ("upstream.sent", "relay.sent")
"""The taps of what can be sent for nobody, in the order of the way."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """What was still sent after the client had left.

        >>> str(sk.findings.Leaving(3, 12, 4.2))
        '3 pieces (12 bytes) for nobody, stopped after 4.2 ms'

    pieces, bytes      pieces, and bytes of text, that the upstream sent
    stopped_after_ms   how long the upstream went on working; None while it still works
    relay_pieces       pieces that the relay sent on; None if it has no taps
    """

    pieces: int
    bytes: int
    stopped_after_ms: float | None
    relay_pieces: int | None = None

    def __str__(self) -> str:
        over = "still at work" if self.stopped_after_ms is None else f"stopped after {self.stopped_after_ms:.1f} ms"
        return f"{self.pieces} pieces ({self.bytes:,} bytes) for nobody, {over}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Left:
    """One of several streams whose client left: its curves (in pieces) up to the client's, and when each stopped.

    Times in ns are from the call on; `origin_ns` is when the request had left, None where that is not known.
    """

    name: str
    facts: Leaving
    stayed: bool  # its client did not leave: the stream is complete
    curves: dict[str, Curve]
    origin_ns: int | None
    left_ns: int
    stopped_ns: int | None
    trust: Trust

    @property
    def end_ns(self) -> int:
        """When all was over, as far as is known."""
        last = [int(curve.at_ns[-1]) for curve in self.curves.values() if curve.total]
        return max(self.left_ns, self.stopped_ns or 0, *last)


def after_leaving(recording: Recording) -> Leaving:
    """What was still sent after the client had left, by the tap `upstream.sent` and the mark `upstream.ended`.

        left = sk.findings.after_leaving(await lab.post("/ans", chat_history="hi", total_s=0.5))
        left.pieces, left.stopped_after_ms

    Raises ValueError for a recording without the upstream's taps or without an end, TypeError for what is not a
    recording.
    """
    recording = the_recording(recording)
    if recording.ended_ns is None or "upstream.asked" not in recording.marks:
        raise ValueError("expected a recording with an end and the upstream's taps, as Lab.post() makes them")
    ended_ns = recording.marks.get("upstream.ended")
    stopped_ms = None if ended_ns is None else max(0.0, (ended_ns - recording.ended_ns) / 1e6)
    pieces, size = _behind(recording, "upstream.sent") or (0, 0)
    by_relay = _behind(recording, "relay.sent")
    return Leaving(pieces, size, stopped_ms, None if by_relay is None else by_relay[0])


def _behind(recording: Recording, name: str) -> tuple[int, int] | None:
    """Pieces and bytes that passed a tap after the recording's end."""
    tap, end_ns = recording.taps.get(name), recording.ended_ns
    if tap is None or end_ns is None:
        return None
    if not len(tap):
        return 0, 0
    seen = bisect_right(tap.at_ns, end_ns)
    before = (0, 0) if seen == 0 else (tap.events[seen - 1], tap.bytes[seen - 1])
    return tap.events[-1] - before[0], tap.bytes[-1] - before[1]


def leaving_finding(*recordings: Recordings) -> str:
    """What was sent for nobody, as a sentence; for several recordings, which of them stopped and which did not.

        sk.findings.leaving_finding(ours, pumped)

    It is the title of `sk.plots.leaving`, and raises what that raises.
    """
    return describe_leaving(leavings(*recordings))


def leavings(*recordings: Recordings) -> list[Left]:
    """One `Left` for each recording; they come one by one, in a list, or in a mapping, whose keys are their names.

    Raises ValueError for none, and where `after_leaving` does; TypeError for what is not a recording.
    """
    given = [one for each in recordings for one in recordings_in(each)] or recordings_in([])
    return [_left(name, recording) for name, recording in named(given)]


def _left(name: str, recording: Recording) -> Left:
    facts = after_leaving(recording)
    curves = recording.curves()
    return Left(
        name=name,
        facts=facts,
        stayed=recording.outcome.ok,
        curves={tap: curves[tap] for tap in (*SENDERS, "client.read") if tap in curves},
        origin_ns=recording.origin_ns if recording.sends or recording.sent_ns is not None else None,
        left_ns=recording.ended_ns or 0,
        stopped_ns=recording.marks.get("upstream.ended"),
        trust=recording.trust,
    )


def describe_leaving(shown: list[Left]) -> str:
    """`leaving_finding` of what is already a list of `Left`s."""
    if len(shown) == 1:
        return STAYED if shown[0].stayed else _one(shown[0].facts)
    if all(left.stayed for left in shown):
        return ALL_STAYED
    least, most = (pick(shown, key=lambda left: left.facts.pieces) for pick in (min, max))
    if least.facts.pieces < most.facts.pieces:
        none = "none" if not least.facts.pieces else f"{least.facts.pieces:,}"
        return f"{many(most.facts.pieces, 'piece')} for nobody with {short(most.name)}, {none} with {short(least.name)}"
    working = [short(left.name) for left in shown if left.facts.stopped_after_ms is None]
    if working:
        return f"The upstream did not stop with {enumerated(working)}"
    soon, late = (pick(shown, key=_stopped_ns) for pick in (min, max))
    if are_apart(_stopped_ns(soon), _stopped_ns(late)):
        after, later = duration(_stopped_ns(soon)), duration(_stopped_ns(late))
        told = f"the upstream stopped {later} after its client left"
        return f"With {short(late.name)} {told}, with {short(soon.name)} {after}"
    return f"All alike: {_counted(most.facts.pieces)}, stopped within {duration(_stopped_ns(late))}"


def _one(facts: Leaving) -> str:
    if facts.stopped_after_ms is None:
        return f"The upstream did not stop when its client had left: {_counted(facts.pieces)} so far"
    after = duration(facts.stopped_after_ms * 1e6)
    return f"The upstream stopped {after} after its client had left: {_counted(facts.pieces)}"


def _counted(pieces: int) -> str:
    return f"{many(pieces, 'piece')} for nobody"


def _stopped_ns(left: Left) -> float:
    return (left.facts.stopped_after_ms or 0.0) * 1e6

"""What each hop held, in one sentence: the title of backlog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamkit.lab.findings.journey import Journey, journeys
from streamkit.lab.findings.words import capital, duration, many

if TYPE_CHECKING:
    from streamkit.lab.metrics.curves import Unit
    from streamkit.lab.recording.recording import Recording

__all__ = ["backlog_finding", "describe_backlog"]


def backlog_finding(recording: Recording, unit: Unit = "events") -> str:
    """Which hop held the most, and when, as a sentence.

        >>> sk.findings.backlog_finding(sk.Recording.from_pieces([(10_000_000, "Hel"), (60_000_000, "lo")]))
        'The client held nothing back; what came before it is not known'

    `unit` is "events" or "bytes". It is the title of `sk.plots.backlog`.
    """
    return describe_backlog(journeys(recording, unit)[0])


def describe_backlog(journey: Journey) -> str:
    """`backlog_finding` of what is already a journey."""
    if not any(curve.total for curve in journey.curves.values()):
        return "No event passed a tap, so there was nothing to hold"
    if journey.client_only:
        most = max(journey.hops, key=lambda hop: hop.most)
        held = (
            f"up to {many(most.most, journey.noun)}, after {duration(most.most_at_ns)}" if most.most else "nothing back"
        )
        return f"The client held {held}; what came before it is not known"
    if not any(hop.most for hop in journey.hops):
        return "No hop held anything back"
    most = max(journey.hops, key=lambda hop: hop.most)
    held = f"{many(most.most, journey.noun)} after {duration(most.most_at_ns)}"
    if journey.unit == "events" and most.most == 1:
        return "No hop ever held more than one event"
    return f"{capital(most.place)} held most, {held}: {most.name}"

"""Where the delay is, in one sentence: the title of hops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from streamkit.lab.findings.journey import Journey, journeys
from streamkit.lab.findings.subjects import Recordings
from streamkit.lab.findings.words import APART, are_apart, both, duration, listed, lower, short
from streamkit.lab.metrics import percentile_ns

__all__ = ["describe_hops", "hop_journeys", "hops_finding"]

MOST: Final = 0.5  # share of the whole delay from which on it is "most"


def hops_finding(recordings: Recordings) -> str:
    """Where most of the delay is, as a sentence; of several recordings, the hop that sets them apart.

        sk.findings.hops_finding({"alone": one, "together": other})

    It is the title of `plots.hops`, and it raises the same.
    """
    return describe_hops(hop_journeys(recordings))


def hop_journeys(recordings: Recordings) -> list[Journey]:
    """The recordings as `Journey`s, each with a hop that lies between two parties, or without any event.

    Raises ValueError where there are the client's own taps alone: of them nothing can be said but how long its reader
    took, and that two such recordings are alike means nothing. Otherwise as `journeys`.
    """
    shown = journeys(recordings)
    alone = [journey.name for journey in shown if journey.client_only and journey.subject.count]
    if alone:
        whose = f" of {listed([short(name) for name in alone])}" if all(alone) else ""
        raise ValueError(
            f"expected recordings with taps of the upstream or the relay, got only the client's own{whose}: a hop lies "
            "between two parties. Lab.ask() and Lab.post() bring them (unless trace=False); what the client alone saw, "
            "plots.timeline and plots.gaps show"
        )
    return shown


def describe_hops(shown: Sequence[Journey]) -> str:
    """`hops_finding` of what are already journeys."""
    measured = [journey for journey in shown if journey.whole is not None and journey.whole.delay.size]
    if not measured:
        return "No delay to measure: it takes two taps and an event that passed both"
    if len(measured) == 1:
        sentence = _shares(measured[0])
        if len(shown) == 1:
            return sentence
        return f"{short(measured[0].name)}: {lower(sentence)}"
    return _compared(measured)


def _shares(journey: Journey) -> str:
    """Where the largest part of the delay is, if it is one: larger than the next by more than a tenth of it, and by
    more than the times of the reads may be wrong.
    """
    parts = [hop.percentile(50) for hop in journey.hops]
    most, whole = journey.hops[parts.index(max(parts))], journey.whole_ns
    if journey.whole is not None and (whole_ns := percentile_ns(journey.whole.delay, 50) or 0) <= 0:
        return f"No delay that the stamps could tell: p50 {duration(whole_ns)} from the first tap to the last"
    part, *others = sorted(parts, reverse=True)
    if others and (part <= APART * others[0] or part - others[0] <= journey.error_ns):
        return f"No hop stands out: each takes up to {duration(part)} of {duration(whole)} (p50)"
    amount = "Most" if part > MOST * whole else "The largest part"
    return f"{amount} of the delay is between {most.before} and {most.after}: p50 {duration(part)} of {duration(whole)}"


def _compared(measured: Sequence[Journey]) -> str:
    """The hop that sets several recordings apart, by p50, then by p99; of those that all of them have."""
    for q in (50, 99):
        known = [{hop.name: percentile_ns(hop.delay, q) or 0 for hop in journey.hops} for journey in measured]
        common = [name for name in known[0] if all(name in delays for delays in known)]
        if not any(hop.name in common and not hop.before.startswith("client.") for hop in measured[0].hops):
            return f"{both(len(measured))} were seen at other taps: no hop between two parties is common to them"
        spread = {name: max(d[name] for d in known) - min(d[name] for d in known) for name in common}
        name = max(common, key=spread.__getitem__, default="")
        delays = [d.get(name, 0) for d in known]
        low, high = min(delays), max(delays)
        if are_apart(low, high):
            slow, quick = (short(measured[delays.index(value)].name) for value in (high, low))
            return f"{name}: p{q} {duration(high)} in {slow}, {duration(low)} in {quick}"
    longest_ns = max(journey.whole_ns for journey in measured)
    return f"{both(len(measured))} alike: p50 up to {duration(longest_ns)} from the first tap to the last"

"""Where the delay is, in one sentence: the title of hops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from streamkit.lab.findings.journey import Journey, journeys
from streamkit.lab.findings.subjects import Recordings
from streamkit.lab.findings.words import are_apart, both, duration, lower, short

__all__ = ["describe_hops", "hops_finding"]

MOST: Final = 0.5  # share of the whole delay from which on it is "most"


def hops_finding(recordings: Recordings) -> str:
    """Where most of the delay is, as a sentence; of several recordings, the hop that sets them apart.

        sk.findings.hops_finding({"alone": one, "together": other})

    It is the title of `plots.hops`.
    """
    return describe_hops(journeys(recordings))


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
    """Where the largest part of the delay is."""
    most = max(journey.hops, key=lambda hop: hop.percentile(50))
    part, whole = most.percentile(50), journey.whole_ns
    amount = "Most" if part > MOST * whole else "The largest part"
    return f"{amount} of the delay is between {most.before} and {most.after}: p50 {duration(part)} of {duration(whole)}"


def _compared(measured: Sequence[Journey]) -> str:
    """The hop that sets several recordings apart, by p50, then by p99; of those that all of them have."""
    for q in (50, 99):
        known = [{hop.name: hop.percentile(q) for hop in journey.hops} for journey in measured]
        common = [name for name in known[0] if all(name in delays for delays in known)]
        spread = {name: max(d[name] for d in known) - min(d[name] for d in known) for name in common}
        name = max(common, key=spread.__getitem__, default="")
        delays = [d.get(name, 0) for d in known]
        low, high = min(delays), max(delays)
        if are_apart(low, high):
            slow, quick = (short(measured[delays.index(value)].name) for value in (high, low))
            return f"{name}: p{q} {duration(high)} in {slow}, {duration(low)} in {quick}"
    longest_ns = max(journey.whole_ns for journey in measured)
    return f"{both(len(measured))} alike: p50 up to {duration(longest_ns)} from the first tap to the last"

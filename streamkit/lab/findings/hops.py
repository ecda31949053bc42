"""Where the delay is, in one sentence: the title of hops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from streamkit.lab.findings.journey import HopFacts, Journey, journeys
from streamkit.lab.findings.subjects import Bundle, Recordings, grouped
from streamkit.lab.findings.words import APART, are_apart, both, duration, listed, lower, short
from streamkit.lab.metrics import percentile_ns
from streamkit.taps import TAPS

__all__ = [
    "WHOLE",
    "ComparedHops",
    "SameHop",
    "compared_hops",
    "delay_at",
    "describe_hops",
    "has_delay",
    "hop_journeys",
    "hops_finding",
    "hops_of",
]

MOST: Final = 0.5  # share of the whole delay from which on it is "most"
COMPARED_BY: Final = (95, 99, 50)  # recordings, by the first of these percentiles at which any hop differs
WHOLE: Final = "all the way"


def delay_at(hop: HopFacts, q: int) -> int:
    """A percentile of its delays in ns, below 0 where a send returned after the other end had read."""
    return percentile_ns(hop.delay, q) or 0


class SameHop(NamedTuple):
    """One hop, or all the way, in each group of recordings that has it, by the group's number: the delays of all its
    recordings together (`of`), and of each of them (`each`).
    """

    name: str
    of: Mapping[int, HopFacts]
    each: Mapping[int, Sequence[HopFacts]]

    def spread(self, q: int) -> int:
        """Between the shortest and the longest of these percentiles, in ns."""
        delays = [delay_at(hop, q) for hop in self.of.values()]
        return max(delays) - min(delays)

    def differs(self, q: int) -> bool:
        delays = [delay_at(hop, q) for hop in self.of.values()]
        return are_apart(min(delays), max(delays))


class ComparedHops(NamedTuple):
    """What differs by percentile `q`, and what does not; where nothing does, the last of all is drawn all the same."""

    q: int
    drawn: tuple[SameHop, ...]
    alike: tuple[SameHop, ...]


def hops_finding(recordings: Recordings) -> str:
    """Where most of the delay is, as a sentence; for several recordings, the hop that sets them apart by its p95.

        sk.findings.hops_finding({"alone": one, "together": other})

    It is the title of `sk.plots.hops`, and raises what that raises.
    """
    return describe_hops(hop_journeys(recordings))


def hop_journeys(recordings: Recordings) -> list[Bundle[Journey]]:
    """The recordings as `Journey`s, in the groups in which they are drawn; each of them with a hop that lies between
    two parties, or without any event.

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
    return grouped(shown)


def describe_hops(shown: Sequence[Bundle[Journey]]) -> str:
    """`hops_finding` of what are already groups of journeys."""
    measured = [group for group in shown if any(map(has_delay, group.members))]
    if not measured:
        return "No delay to measure: it takes two taps and an event that passed both"
    if len(measured) > 1:
        return _compared(measured)
    (group,) = measured
    sentence = _shares(group)
    if len(group.members) > 1:
        return f"In {short(group.name)}, {lower(sentence)}"
    return sentence if len(shown) == 1 else f"{short(group.name)}: {lower(sentence)}"


def has_delay(journey: Journey) -> bool:
    """Whether anything in it passed two taps."""
    return journey.whole is not None and bool(journey.whole.delay.size)


def _shares(group: Bundle[Journey]) -> str:
    """Where the largest part of the delay is, if it is one: larger than the next by more than a tenth of it, and by
    more than the times of the reads may be wrong.
    """
    *_, whole = everywhere = [hop.of[0] for hop in hops_of([group])]
    hops = everywhere if len(everywhere) == 1 else everywhere[:-1]
    parts = [hop.percentile(50) for hop in hops]
    most, whole_ns = hops[parts.index(max(parts))], delay_at(whole, 50)
    if whole_ns <= 0:
        return f"No delay that the stamps could tell: p50 {duration(whole_ns)} from the first tap to the last"
    part, *others = sorted(parts, reverse=True)
    error_ns = max(journey.error_ns for journey in group.members)
    if others and (part <= APART * others[0] or part - others[0] <= error_ns):
        return f"No hop stands out: each takes up to {duration(part)} of {duration(whole_ns)} (p50)"
    amount = "Most" if part > MOST * whole_ns else "The largest part"
    of_the_whole = f"p50 {duration(part)} of {duration(whole_ns)}"
    return f"{amount} of the delay is between {most.before} and {most.after}: {of_the_whole}"


def compared_hops(shown: Sequence[Bundle[Journey]]) -> ComparedHops:
    """By the first of `COMPARED_BY` at which any hop differs, which are those: by more than a tenth and 5 ms."""
    groups = hops_of(shown)
    for q in COMPARED_BY:
        differing = tuple(group for group in groups if group.differs(q))
        if differing:
            break
    else:
        q, differing = COMPARED_BY[0], groups[-1:]
    return ComparedHops(q=q, drawn=differing, alike=tuple(group for group in groups if group not in differing))


def hops_of(shown: Sequence[Bundle[Journey]]) -> tuple[SameHop, ...]:
    """Every hop that anything passed in any of them, in the order of the way, and at last all the way."""
    found: dict[tuple[int, int], dict[int, list[HopFacts]]] = {}
    whole: dict[int, list[HopFacts]] = {}
    for number, journey in [(number, journey) for number, group in enumerate(shown) for journey in group.members]:
        for hop in journey.hops:
            if hop.delay.size:
                place = (TAPS.index(hop.before), TAPS.index(hop.after))
                found.setdefault(place, {}).setdefault(number, []).append(hop)
        if journey.whole is not None and has_delay(journey):
            whole.setdefault(number, []).append(journey.whole)
    hops = [_same(found[place]) for place in sorted(found)]
    return (*hops, _same(whole)._replace(name=WHOLE)) if len(hops) > 1 else tuple(hops)


def _same(each: Mapping[int, Sequence[HopFacts]]) -> SameHop:
    together = {number: _together(hops) for number, hops in each.items()}
    return SameHop(next(iter(together.values())).name, together, each)


def _together(hops: Sequence[HopFacts]) -> HopFacts:
    """The delays of all of them; what was held at a time is only of the first."""
    first, *others = hops
    return replace(first, delay=np.concatenate([hop.delay for hop in hops])) if others else first


def _compared(measured: Sequence[Bundle[Journey]]) -> str:
    """The hop that sets several recordings apart; of those that all of them have."""
    compared = compared_hops(measured)
    common = [group for group in (*compared.drawn, *compared.alike) if len(group.of) == len(measured)]
    if not any(group.name != WHOLE and not group.of[0].before.startswith("client.") for group in common):
        return f"{both(len(measured))} were seen at other taps: no hop between two parties is common to them"
    apart = [group for group in common if group.name != WHOLE and group.differs(compared.q)]
    if not apart:
        q = compared.q
        longest_ns = max(delay_at(hop, q) for hop in hops_of(measured)[-1].of.values())
        return f"{both(len(measured))} alike: p{q} up to {duration(longest_ns)} from the first tap to the last"
    widest = max(apart, key=lambda group: group.spread(compared.q))
    delays = [delay_at(widest.of[number], compared.q) for number in range(len(measured))]
    low, high = min(delays), max(delays)
    slow, quick = (short(measured[delays.index(value)].name) for value in (high, low))
    return f"{widest.name}: p{compared.q} {duration(high)} in {slow}, {duration(low)} in {quick}"

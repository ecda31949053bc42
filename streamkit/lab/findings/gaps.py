"""How the gaps between reads are distributed, in one sentence: the title of gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from streamkit.lab.findings.subjects import Bundle, Recordings, Subject, extremes, grouped, subjects
from streamkit.lab.findings.words import are_apart, both, duration, lower, short

__all__ = ["describe_gaps", "gaps_finding", "together"]


def gaps_finding(recordings: Recordings) -> str:
    """The most important thing to see in the distribution of gaps, as a sentence.

        >>> sk.findings.gaps_finding(sk.Recording.from_pieces([(10_000_000, "Hel"), (60_000_000, "lo")]))
        'Half of the gaps are within 50 ms, the longest is 50 ms'

    It is the title of `sk.plots.gaps`.
    """
    return describe_gaps(grouped(subjects(recordings)))


def together(group: Bundle[Subject]) -> Subject:
    """Its recordings as if they were one: the gaps of all."""
    first, *others = group.members
    if not others:
        return first
    return replace(first, name=group.name, gaps=np.concatenate([subject.gaps for subject in group.members]))


def describe_gaps(groups: Sequence[Bundle[Subject]]) -> str:
    """`gaps_finding` of what are already groups of subjects."""
    shown = [together(group) for group in groups]
    measured = [subject for subject in shown if subject.gaps.size]
    if not measured:
        return "No gap to measure: it takes events in two reads"
    if len(shown) == 1:
        sentence = _half_and_tail(shown[0])
        return f"In {short(shown[0].name)}, {lower(sentence)}" if len(groups[0].members) > 1 else sentence
    for q in (99, 50):
        low, high = extremes(measured, [subject.gap_ns(q) for subject in measured])
        if are_apart(low.gap_ns(q), high.gap_ns(q)):
            values = f"{duration(high.gap_ns(q))}, that of {short(low.name)} {duration(low.gap_ns(q))}"
            return f"The p{q} gap of {short(high.name)} is {values}"
    if len(measured) == 1:
        return f"{short(measured[0].name)} alone has gaps: {lower(_half_and_tail(measured[0]))}"
    p50, p99 = (duration(max(subject.gap_ns(q) for subject in measured)) for q in (50, 99))
    all_of_them = len(measured) == len(shown)
    who = f"{both(len(measured))} alike" if all_of_them else f"{len(measured)} of {len(shown)} have gaps, and are alike"
    return f"{who}: p50 up to {p50}, p99 up to {p99}"


def _half_and_tail(subject: Subject) -> str:
    half = f"Half of the gaps are within {duration(subject.gap_ns(50))}"
    if subject.gaps.size < 100:  # below that the 99th percentile is the maximum
        return f"{half}, the longest is {duration(subject.gap_ns(100))}"
    return f"{half}, 99 % within {duration(subject.gap_ns(99))}"

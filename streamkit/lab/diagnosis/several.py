"""Several streams: a server that serves one after the other, and otherwise what each of them had, counted.

A serial server takes a request, answers it to its end, and only then looks at the next: of n requests sent at once the
time to the first piece grows by one duration each. From outside, each stream runs alone, begins when the one before has
ended, and was asked for long before that. Where c streams run at a time, and the others wait, it has c workers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from streamkit.lab.diagnosis.result import Cause, CauseName, Diagnosis
from streamkit.lab.metrics.words import about_ms

__all__ = ["Served", "diagnose_several", "serial"]

LEAST_STREAMS: Final = 3
"""Two may follow each other by chance."""
SLACK_NS: Final = 30_000_000
"""How much two streams may overlap, or streams be short, by a busy machine's noise."""
BETWEEN: Final = 0.75
"""The next one begins within this share of what a stream takes behind the one before …"""
BY_FIRST: Final = (0.5, 2.0)
"""… or it takes about as long to begin as the first one did, before which there was nobody."""
WAITED: Final = 0.5
"""Each but the first was asked for by when half of the one before was still to come; else it did not wait."""
MOST_LISTED: Final = 8


class Served(NamedTuple):
    """When a stream was asked for, when its first piece came, and when it ended; ns of one clock."""

    sent_ns: int
    first_ns: int
    ended_ns: int


def serial(streams: Sequence[Served]) -> bool:
    """Whether each of them begins when the one before has ended, and was asked for long before.

    >>> from streamkit.lab.diagnosis.several import Served, serial
    >>> serial([Served(0, n * 10**9 + 10**8, (n + 1) * 10**9) for n in range(4)])
    True
    """
    order = sorted(streams, key=lambda stream: stream.first_ns)
    if len(order) < LEAST_STREAMS:
        return False
    alone_ns = order[0].first_ns - order[0].sent_ns  # what it takes to begin, where nobody is before it
    usual_ns = float(np.median([stream.ended_ns - stream.first_ns for stream in order]))
    if usual_ns <= 2 * SLACK_NS:  # what is over in a moment follows each other anyhow
        return False
    for before, after in pairwise(order):
        between_ns = after.first_ns - before.ended_ns
        soon = between_ns <= BETWEEN * usual_ns + SLACK_NS
        as_first = BY_FIRST[0] * alone_ns <= between_ns <= BY_FIRST[1] * alone_ns
        waited = after.sent_ns < before.ended_ns - WAITED * (before.ended_ns - before.first_ns)
        if between_ns < -SLACK_NS or not waited or not (soon or as_first):
            return False
    return True


def diagnose_several(streams: Sequence[Served | None], found: Sequence[Diagnosis]) -> Diagnosis:
    """Of several recordings: the server that serves them one by one, if it does, then what each of them had.

    `streams[i]`, None where nothing came, and `found[i]` are of recording i. Raises ValueError for none at all.
    """
    if not found:
        raise ValueError("expected a diagnosis or several, got none")
    begun = [stream for stream in streams if stream is not None]
    causes = [_serial(begun)] if serial(begun) else []
    causes += _counted(found)
    return Diagnosis(tuple(cause for cause in causes if cause.name != "none") or tuple(causes))


def _serial(streams: Sequence[Served]) -> Cause:
    order = sorted(streams, key=lambda stream: stream.first_ns)
    sent = [stream.sent_ns for stream in order]
    waits = [stream.first_ns - stream.sent_ns for stream in order]
    listed = ", ".join(about_ms(wait) for wait in waits[:MOST_LISTED]) + (", …" if len(waits) > MOST_LISTED else "")
    sentence = (
        f"The server answers one request at a time: of {len(order)} at once, the last waited {about_ms(max(waits))}, "
        f"the first {about_ms(min(waits))}"
    )
    took = sorted(stream.ended_ns - stream.first_ns for stream in order)[len(order) // 2]
    return Cause(
        name="serial_server",
        sentence=sentence,
        evidence=(
            f"asked for within {about_ms(max(sent) - min(sent))}; the first pieces came after {listed}",
            f"each began only when the one before had ended; the middle one of them took {about_ms(took)}",
        ),
        total_ms=(max(waits) - min(waits)) / 1e6,
        silence_ms=max(waits) / 1e6,
    )


def _counted(found: Sequence[Diagnosis]) -> list[Cause]:
    """One cause a name: the worst of those that have it, with how many do; `none` where all are well."""
    counts: Counter[CauseName] = Counter(name for one in found for name in one.names)
    named: list[Cause] = []
    for name, count in counts.items():
        worst = max(
            (cause for one in found for cause in one.causes if cause.name == name), key=lambda cause: cause.total_ms
        )
        which = f"{count} of {len(found)}" if count < len(found) else "both" if count == 2 else f"all {count}"
        sentence = worst.sentence if len(found) == 1 else f"{worst.sentence} ({which})"
        named.append(Cause(**{**vars(worst), "sentence": sentence}))
    named.sort(key=lambda cause: (cause.name == "none", -counts[cause.name], -cause.total_ms))
    return named

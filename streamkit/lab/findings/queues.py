"""Where the bytes lay, in one sentence: the title of queues.

What a stretch held is what its queues held together, or what its curves say where that is more: see
`streamkit.lab.findings.stretches`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from streamkit.lab.findings.journey import Journey, journeys
from streamkit.lab.findings.stretches import Held, held
from streamkit.lab.findings.words import APART, byte_size, capital, duration
from streamkit.taps.gauges import GAUGES, STRETCHES

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.recording.recording import Recording

    Ints = npt.NDArray[np.int64]

__all__ = [
    "ALL",
    "NOBODY_LOOKED",
    "PARTS",
    "PLACES",
    "Queued",
    "describe_held",
    "describe_queues",
    "lasting",
    "queued",
    "queues_finding",
]

LITTLE_BYTES: Final = 65_536  # what a transport holds by default before it makes its writer wait
LASTING_NS: Final = 100_000_000  # several looks of every sampler
ALL: Final = 0.995  # a queue with this share of its stretch has all of it
AGREED: Final = 0.05  # of the most that lay anywhere: curves and queues that differ by less agree

NOBODY_LOOKED: Final = "Where the bytes lay is not known: nobody looked at the queues"
PLACES: Final[Mapping[str, str]] = {
    "upstream → relay": "between upstream and relay",
    "in the relay": "in the relay",
    "relay → client": "between relay and client",
    "in the client": "in the client",
}
PARTS: Final[Mapping[str, str]] = {
    "upstream.buffer": "in the upstream's write buffer",
    "upstream.unsent": "in the upstream's kernel",
    "relay.unread": "in the relay's kernel",
    "relay.inbox": "read and not yet decoded",
    "relay.pending": "held back by its policy",
    "relay.buffer": "in the relay's write buffer",
    "relay.unsent": "in the relay's kernel",
    "client.unread": "in the client's kernel",
    "client.backlog": "read and not yet handed on",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Queued:
    """One recording as the figure of its queues sees it; times in ns from `journey.origin_ns` on."""

    journey: Journey
    stretches: Mapping[str, Held]
    at_ns: Ints
    relay_known: bool
    blocked_ns: int | None
    blocked_bytes: int | None

    @property
    def end_ns(self) -> int:
        """The end of the stream, or of looking at it."""
        return max((self.journey.end_ns, *map(int, self.at_ns[-1:])))

    @cached_property
    def queues(self) -> dict[str, Ints]:
        """Those that could be seen, in the order of the way."""
        return {name: value for held in self.stretches.values() for name, value in held.by_queue.items()}

    @cached_property
    def in_queues(self) -> Ints:
        """All of them together."""
        return sum(self.queues.values(), np.zeros_like(self.at_ns))

    @cached_property
    def rest(self) -> Ints | None:
        """What the curves say beyond that, over all stretches of which they tell; None where they tell of none."""
        known = [held.rest for held in self.stretches.values() if held.rest is not None]
        return sum(known, np.zeros_like(self.at_ns)) if known else None

    @property
    def most(self) -> int:
        """The most that lay on the whole way at one moment: in all queues together, or, if more, by the curves.

        The two are not mixed stretch by stretch: bytes that have left one by its curves, and still lie there by a queue
        that was not looked at since, would count in the next one too.
        """
        by_curves = 0 if self.rest is None else int((self.in_queues + self.rest).max(initial=0))
        return max(int(self.in_queues.max(initial=0)), by_curves)

    @property
    def missing(self) -> list[str]:
        """What could not be seen: whole stretches by their names, else queues."""
        names = []
        for stretch, queues in STRETCHES.items():
            unseen = [name for name in queues if name not in self.queues]
            names.extend([stretch] if len(unseen) == len(queues) else unseen)
        return names


def queued(recording: Recording) -> Queued:
    """Raises TypeError for what is not a recording."""
    journey = journeys([recording], "bytes")[0]
    stretches = held(recording)
    at_ns = next((one.at_ns for one in stretches.values()), np.zeros(0, dtype=np.int64))
    blocked_ns = recording.marks.get("relay.blocked")
    known = (*recording.taps, *(name for name in GAUGES if name in recording.gauges))
    return Queued(
        journey=journey,
        stretches=stretches,
        at_ns=at_ns - journey.origin_ns,
        relay_known=any(name.startswith("relay.") for name in known),
        blocked_ns=None if blocked_ns is None else blocked_ns - journey.origin_ns,
        blocked_bytes=recording.counts.get("relay.blocked_bytes"),
    )


def queues_finding(recording: Recording, *, held: bool = False) -> str:
    """Where most of the bytes lay, and when the relay first had to wait for its client, as a sentence.

        >>> sk.findings.queues_finding(sk.Recording.from_pieces([(10_000_000, "hi")]))
        'Where the bytes lay is not known: nobody looked at the queues'

    With `held=True`: how far curves and queues agree on that. It is the title of `sk.plots.queues`.
    """
    return (describe_held if held else describe_queues)(queued(recording))


def describe_queues(shown: Queued) -> str:
    """`queues_finding` of what is already looked into."""
    if not shown.stretches:
        return NOBODY_LOOKED
    never = shown.relay_known and shown.blocked_ns is None
    if never and shown.most <= LITTLE_BYTES:
        return f"The relay never had to wait: at most {byte_size(shown.most)} lay anywhere"
    lay = _main(shown) if shown.most else "no queue that was seen held a byte"
    if never:
        return f"The relay never had to wait: {lay}"
    sentence = capital(lay)
    if shown.blocked_ns is None:
        return sentence
    written = "" if shown.blocked_bytes is None else f", when {byte_size(shown.blocked_bytes)} had been written"
    return f"{sentence}; the relay was first blocked after {duration(shown.blocked_ns)}{written}"


def describe_held(shown: Queued) -> str:
    """`queues_finding(held=True)` of what is already looked into. What differs for an instant only does not count, for
    the samplers look by turns.
    """
    if not shown.stretches:
        return NOBODY_LOOKED
    rests = {stretch: one.rest for stretch, one in shown.stretches.items() if one.rest is not None}
    if not rests:
        return "The curves do not tell what lay on the way"
    unseen = {stretch: int(_lasts(shown.at_ns, rest).max()) for stretch, rest in rests.items()}
    twice = {stretch: int(_lasts(shown.at_ns, -rest).max()) for stretch, rest in rests.items()}
    nowhere, doubled = max(unseen, key=unseen.__getitem__), max(twice, key=twice.__getitem__)
    most, total = max(unseen[nowhere], twice[doubled]), byte_size(shown.most)
    if most <= AGREED * shown.most:
        within = f" to within {byte_size(most)} of {total}" if most else ""
        return f"Except for instants, curves and queues agree{within}"
    if unseen[nowhere] >= twice[doubled]:
        return f"Up to {byte_size(most)} of {total} lay {PLACES[nowhere]}, in no queue that was seen"
    return f"Up to {byte_size(most)} of {total} were in two queues at once, {PLACES[doubled]}"


def _main(shown: Queued) -> str:
    """The stretch that held most, of several alike the nearest to the client, and its largest part at that moment."""
    seen = {stretch: lasting(one) for stretch, one in shown.stretches.items()}
    largest = max(int(amount.max()) for amount in seen.values())
    stretch = next(stretch for stretch in reversed(seen) if seen[stretch].max() * APART >= largest)
    peak = int(np.argmax(seen[stretch]))
    amount = int(seen[stretch][peak])
    parts = {PARTS[name]: int(value[peak]) for name, value in shown.stretches[stretch].by_queue.items()}
    parts["in none of the queues that were seen"] = amount - sum(parts.values())
    part = max(parts, key=parts.__getitem__)
    of_it = "all" if parts[part] >= ALL * amount else byte_size(parts[part])
    return f"up to {byte_size(amount)} lay {PLACES[stretch]}, {of_it} of it {part}"


def lasting(held: Held) -> Ints:
    """The queues together, and what the curves say beyond them for `LASTING_NS` on end: for an instant they do at every
    leap, since the samplers look by turns. What began later than that before the last look cannot be told.
    """
    return held.in_queues if held.rest is None else held.in_queues + _lasts(held.at_ns, held.rest)


def _lasts(at_ns: Ints, amount: Ints) -> Ints:
    """The least that it is for `LASTING_NS` from each moment on, or 0."""
    until = np.searchsorted(at_ns, at_ns + LASTING_NS, side="right")
    seen = int(np.searchsorted(at_ns, at_ns[-1] - LASTING_NS, side="right"))
    least = [max(0, int(amount[start:end].min())) for start, end in enumerate(until[:seen])]
    return np.array(least + [0] * (at_ns.size - seen), dtype=np.int64)

"""What the taps of a recording show, hop by hop, and in one sentence: the title of journey.

A hop lies between two neighbouring taps that the recording has. Its delay is read off the staircases horizontally
(`curves.delay_ns`), what it held vertically (`curves.backlog`). Which hop is to blame is decided by rules, tried in the
order of `_RULES`, with the thresholds named here; what no rule explains goes to the largest share of the delay.

A staircase cannot tell a slow network from a slow client: "the client" is whatever comes after the relay's send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from streamkit.lab import metrics
from streamkit.lab.diagnosis.tapped import first_tap
from streamkit.lab.findings.subjects import Recordings, Subject, named, recordings_in, subjects
from streamkit.lab.findings.timeline import describe_cuts, describe_timeline
from streamkit.lab.findings.words import capital, duration, many
from streamkit.lab.metrics.curves import backlog, count_at, delay_ns, time_of
from streamkit.lab.recording.join import UNDER_WAY
from streamkit.lab.recording.recording import Recording
from streamkit.lab.recording.trust import read_error_ns

if TYPE_CHECKING:
    import numpy.typing as npt

    from streamkit.lab.metrics.curves import Curve, Unit
    from streamkit.lab.recording.trust import Trust

    Ints = npt.NDArray[np.int64]

__all__ = ["NOISE_NS", "HopFacts", "Journey", "describe_journey", "journey_finding", "journeys"]

NOISE_NS: Final = 10_000_000  # a hop whose p99 stays below adds no more than a shared machine's noise …
NOISE_STEPS_MS: Final = (1, 2, 5, 10)  # … and is said to stay under the first of these that holds
HOLDS_NS: Final = 100_000_000  # a hop holds events back when its delay grows by this much
ON_TIME_NS: Final = 5_000_000  # an event is on time when its delay is within this of the hop's smallest
LATE_NS: Final = 20_000_000  # the upstream's own schedule has slipped when its p95 is this late
JOINED: Final = 2  # events travel together where a tap sees this many times as many at once as the tap before it


@dataclass(frozen=True, kw_only=True, eq=False)
class HopFacts:
    """What happened between two taps. `delay[i]` is that of event (or byte) i in ns; `at_ns`, `held` is the backlog."""

    before: str
    after: str
    delay: Ints
    at_ns: Ints
    held: Ints
    lost: int  # what passed the tap before, and by the end not the one after
    under_way: bool  # that was not the end: it may still come

    @property
    def name(self) -> str:
        return f"{self.before} → {self.after}"

    @property
    def place(self) -> str:
        """In words: a hop within a place has that place's name."""
        before, after = (tap.partition(".")[0] for tap in (self.before, self.after))
        return f"the {after}" if before == after else f"the way to the {after}"

    @property
    def most(self) -> int:
        """The largest backlog."""
        return int(self.held.max(initial=0))

    @property
    def most_at_ns(self) -> int:
        """When the backlog was largest, for the first time; 0 where nothing was held."""
        return int(self.at_ns[np.argmax(self.held)]) if self.most else 0

    @property
    def longest_ns(self) -> int:
        """The largest delay."""
        return int(self.delay.max(initial=0))

    def percentile(self, q: int) -> int:
        """In ns, never below 0: a send may return after the other end has read. 0 where nothing passed both taps."""
        return max(0, metrics.percentile_ns(self.delay, q) or 0)

    @property
    def holds(self) -> bool:
        """Whether the delay grew: one that is constant is a distance, not a hold."""
        return bool(self.delay.size) and int(np.ptp(self.delay)) >= HOLDS_NS

    @property
    def on_time(self) -> int:
        """The number of the last event that was on time before the largest delay; 0 if there was none."""
        if not self.delay.size:
            return 0
        until = self.delay[: int(np.argmax(self.delay)) + 1]
        return int(np.flatnonzero(until <= self.delay.min() + ON_TIME_NS).max(initial=-1)) + 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Journey:
    """One recording as the figures of the way see it; times in ns from `origin_ns` on (the request sent, or made)."""

    subject: Subject
    unit: Unit
    origin_ns: int
    end_ns: int
    curves: Mapping[str, Curve]
    trust: Trust
    error_ns: int  # how wrong the times of its reads may be, the 99th percentile
    own_late_ns: int | None  # how late the upstream was by itself, the 95th percentile
    under_way: bool  # the stream went on when this was told

    @property
    def name(self) -> str:
        return self.subject.name

    @cached_property
    def hops(self) -> tuple[HopFacts, ...]:
        """Between neighbouring taps, in the order of the way."""
        return tuple(self.hop(before, after) for before, after in pairwise(self.curves))

    @cached_property
    def whole(self) -> HopFacts | None:
        """From the first tap to the last; None where there are not two."""
        taps = list(self.curves)
        return self.hop(taps[0], taps[-1]) if len(taps) > 1 else None

    def hop(self, before: str, after: str) -> HopFacts:
        one, other = self.curves[before], self.curves[after]
        at_ns, held = backlog(one, other)
        return HopFacts(
            before=before,
            after=after,
            delay=delay_ns(one, other),
            at_ns=at_ns,
            held=held,
            lost=max(0, one.total - other.total),
            under_way=self.under_way,
        )

    @property
    def whole_ns(self) -> int:
        """The median delay of the whole way; 0 where it is not known."""
        return 0 if self.whole is None else self.whole.percentile(50)

    @property
    def noun(self) -> str:
        """What is counted: `event` or `byte`."""
        return self.unit.removesuffix("s")

    @property
    def client_only(self) -> bool:
        """Whether nothing is known of what came before the client."""
        return all(tap.startswith("client.") for tap in self.curves)


def journeys(recordings: Recordings, unit: Unit = "events") -> list[Journey]:
    """The recordings as `Journey`s, named like `findings.subjects` names them.

    Raises TypeError for what is not a recording, ValueError for none at all or an unknown unit.
    """
    given = named(recordings_in(recordings))
    return [_journey(recording, subjects({name: recording})[0], unit) for name, recording in given]


def journey_finding(recording: Recording, unit: Unit = "events") -> str:
    """The most important thing to see in a journey, as a sentence.

        >>> sk.findings.journey_finding(sk.Recording.from_pieces([(10_000_000, "Hel"), (60_000_000, "lo")]))
        'First piece after 10 ms, then one every 50 ms'

    With the taps of upstream and relay, as `Lab.post()` brings them, it says which hop is to blame. `unit` is "events"
    or "bytes". It is the title of `sk.plots.journey`.
    """
    return describe_journey(journeys(recording, unit)[0])


def describe_journey(journey: Journey) -> str:
    """`journey_finding` of what is already a journey."""
    return next(sentence for rule in _RULES if (sentence := rule(journey)))


def _journey(recording: Recording, subject: Subject, unit: Unit) -> Journey:
    origin_ns = subject.origin_ns
    curves = {tap: curve._replace(at_ns=curve.at_ns - origin_ns) for tap, curve in recording.curves(unit=unit).items()}
    last_ns = max((int(curve.at_ns[-1]) for curve in curves.values() if curve.at_ns.size), default=0)
    return Journey(
        subject=subject,
        unit=unit,
        origin_ns=origin_ns,
        end_ns=max(subject.end_ns - origin_ns, last_ns),
        curves=curves,
        trust=recording.trust,
        error_ns=metrics.percentile_ns(read_error_ns(recording), 99) or 0,
        own_late_ns=recording.counts.get("upstream.own_late_p95_ns"),
        under_way=UNDER_WAY in recording.meta,
    )


def _not_whole(journey: Journey) -> str | None:
    """A stream that brought nothing or did not complete: how it ended, and where the rest was."""
    if journey.subject.count and journey.subject.outcome.ok:
        return None
    sentence = describe_timeline([journey.subject])
    lost = [hop for hop in journey.hops if hop.lost and hop.before != "upstream.due"]
    if lost:
        on_the_way = sum(hop.lost for hop in lost)
        past = "" if lost[-1].lost == on_the_way else f"{lost[-1].lost:,} of them "
        return f"{sentence}; {on_the_way:,} more were on the way, {past}past {lost[-1].before}"
    whole = journey.subject.count and any(tap.startswith("upstream.") for tap in journey.curves)
    return f"{sentence}; the upstream had sent no more" if whole else sentence


def _cut(journey: Journey) -> str | None:
    """A stream that was cut and went on: whom to blame for a delay is not to be seen where nobody listened."""
    return describe_cuts(journey.subject) if journey.subject.cuts.size else None


def _client_alone(journey: Journey) -> str | None:
    """With the client's taps alone, the pace is all there is to tell, unless the client itself holds."""
    if not journey.client_only or any(hop.holds for hop in journey.hops):
        return None
    return describe_timeline([journey.subject])


def _pressure(journey: Journey) -> str | None:
    """The client began to hold, and hops before it followed: nearest first, the upstream last."""
    reading = [hop for hop in journey.hops if hop.holds and _is_reading(hop)]
    if not reading:
        return None
    slow = min(reading, key=lambda hop: _since_ns(journey, hop))
    since_ns = _since_ns(journey, slow)
    follows = [hop for hop in journey.hops if hop.holds and hop not in reading and _since_ns(journey, hop) >= since_ns]
    at_upstream = [_since_ns(journey, hop) for hop in follows if hop.before.startswith("upstream.")]
    since = f"From {_numbered(slow.on_time, journey)} on" if slow.on_time else "From the start"
    if at_upstream:
        later = duration(min(at_upstream) - since_ns)
        return f"{since} the client is slow: the pressure reaches the upstream {later} later"
    in_relay = [hop for hop in (*follows, *reading) if hop.place == "the relay"]
    if in_relay:
        most = max(in_relay, key=lambda hop: hop.most)
        held = f"{many(most.most, journey.noun)} for {duration(most.longest_ns)}"
        return f"The relay held {held}: the client reads too slowly"
    own = max(reading, key=lambda hop: hop.longest_ns)
    if own.after == "client.event":  # what waits unread meanwhile seems to be on its way: it shares a late read
        held = f"up to {many(own.most, journey.noun)}, up to {duration(own.longest_ns)}"
        return f"{since} the client is slow: it holds {held}"
    return None


def _slipped(journey: Journey) -> str | None:
    """The upstream sent later than it meant to, and nobody held it: by its own count."""
    if journey.own_late_ns is None or journey.own_late_ns < LATE_NS:
        return None
    return f"Upstream sent {duration(journey.own_late_ns)} late (p95): its own schedule slipped"


def _stalled(journey: Journey) -> str | None:
    """The longest stall that the client saw, and the first tap that shows it; before the end there is no such tap."""
    stall = journey.subject.longest_stall
    start_ns, end_ns = stall or (0, 0)
    if journey.subject.silence_ns > end_ns - start_ns:
        return describe_timeline([journey.subject])
    if stall is None or "client.read" not in journey.curves:
        return None
    start_ns, end_ns = (at - journey.origin_ns for at in stall)
    passed = count_at(journey.curves["client.read"], start_ns)
    taps = list(journey.curves)
    first = first_tap(journey.curves, passed, end_ns - start_ns) or "client.read"
    count, length, where = len(journey.subject.stalls), duration(end_ns - start_ns), _numbered(passed, journey)
    what = (
        f"A stall of {length} after {where}" if count == 1 else f"{count} stalls; the longest, {length} after {where},"
    )
    if first == taps[0]:
        return f"{what} {_source(first, 'is', 'was')}"
    hop = journey.hops[taps.index(first) - 1]
    return f"{what} arose {'on' if ' way ' in hop.place else 'in'} {hop.place}: {hop.name}"


def _noise(journey: Journey) -> str | None:
    """No hop adds anything to speak of: the pace is that of whatever comes before the first tap."""
    worst = max((hop.percentile(99) for hop in journey.hops), default=0)
    if worst >= NOISE_NS or any(hop.holds for hop in journey.hops):
        return None
    under = next(step for step in NOISE_STEPS_MS if worst < step * 1e6)
    first = next(iter(journey.curves))
    return f"Every hop adds under {under} ms: the wait {_source(first, 'is', 'was')} ({_pace(journey, first)})"


def _joined(journey: Journey) -> str | None:
    """Events that came one by one went on together: whoever joined them let them wait for one another."""
    if journey.unit != "events":
        return None
    per_step = [_per_step(curve) for curve in journey.curves.values()]
    for hop, (before, after) in zip(journey.hops, pairwise(per_step), strict=True):
        if before < JOINED <= after / before and hop.percentile(50) >= NOISE_NS:
            waited = f"they wait {duration(hop.percentile(50))} (p50) since {hop.before}"
            return f"From {hop.after} on about {after:.0f} events travel together: {waited}"
    return None


def _held(journey: Journey) -> str | None:
    """A single hop holds, with no pressure to be seen before it."""
    holding = [hop for hop in journey.hops if hop.holds]
    if not holding:
        return None
    most = max(holding, key=lambda hop: hop.longest_ns)
    held = f"up to {many(most.most, journey.noun)}, up to {duration(most.longest_ns)}"
    return f"{capital(most.place)} held {held}: {most.name}"


def _added(journey: Journey) -> str:
    """What is left: a delay that does not grow."""
    most = max(journey.hops, key=lambda hop: (hop.percentile(50), hop.longest_ns))
    if most.percentile(50) < NOISE_NS:  # a few were late, and the rest is nothing to speak of
        late = max(journey.hops, key=lambda hop: hop.percentile(99))
        some, half = duration(late.percentile(99)), duration(late.percentile(50))
        return f"{capital(late.place)} added {some} to a few (p99), {half} to most (p50): {late.name}"
    whole = duration(journey.whole_ns)
    return f"{capital(most.place)} added {duration(most.percentile(50))} (p50) of {whole}: {most.name}"


_RULES: Final[tuple[Callable[[Journey], str | None], ...]] = (
    _not_whole,
    _cut,
    _client_alone,
    _pressure,
    _slipped,
    _stalled,
    _joined,
    _held,
    _noise,
    _added,
)


def _is_reading(hop: HopFacts) -> bool:
    """Whether the hop waits for the client: what lies after the relay's send, and a send that does not return."""
    return hop.after.startswith("client.") or (hop.before, hop.after) == ("relay.send", "relay.sent")


def _since_ns(journey: Journey, hop: HopFacts) -> int:
    """When the first event that is late on this hop entered it."""
    return time_of(journey.curves[hop.before], hop.on_time + 1) or 0


def _per_step(curve: Curve) -> float:
    """How many events pass at a time, in the mean."""
    return curve.total / max(1, np.unique(curve.at_ns).size)


def _pace(journey: Journey, tap: str) -> str:
    curve, noun = journey.curves[tap], journey.subject.noun
    first = f"{duration(int(curve.at_ns[0]))} to the {{}} {noun}"
    steps = np.unique(curve.at_ns).size
    if steps == 1:
        return first.format("only") if curve.total == 1 else f"all at once after {duration(int(curve.at_ns[0]))}"
    together = _per_step(curve) >= JOINED
    every = duration(float(np.ptp(curve.at_ns)) / ((steps if together else curve.total) - 1))
    return f"{first.format('first')}, {f'{_per_step(curve):.0f} {journey.unit}' if together else 'one'} every {every}"


def _source(tap: str, its: str, there: str) -> str:
    return f"{its} the upstream's own" if tap.startswith("upstream.") else f"{there} there already at {tap}"


def _numbered(number: int, journey: Journey) -> str:
    return f"{journey.noun} {number:,}"
